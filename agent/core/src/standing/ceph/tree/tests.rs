//! Tests of the standing of Ceph's tree of OSDs.

use super::super::super::worst;
use super::*;

fn bucket(id: i64, kind: &str, name: &str, children: &[i64]) -> CephBucket {
    CephBucket { id, name: name.to_owned(), kind: kind.to_owned(), children: Some(children.to_vec()) }
}

fn osd(id: i64) -> CephOsd {
    CephOsd {
        id,
        name: format!("osd.{id}"),
        device_class: Some("nvme".to_owned()),
        status: Some("up".to_owned()),
        exists: Some(true),
        crush_weight: Some(1.75),
        reweight: Some(1.0),
    }
}

/// Two hosts of two OSDs each.
fn good() -> CephOsdTree {
    CephOsdTree {
        buckets: vec![
            bucket(-1, "root", "default", &[-3, -5]),
            bucket(-3, "host", "n1", &[0, 1]),
            bucket(-5, "host", "n2", &[2, 3]),
        ],
        osds: (0..4).map(osd).collect(),
        stray: Some(Vec::new()),
    }
}

fn subjects(change: impl FnOnce(&mut CephOsdTree)) -> Vec<Subject> {
    let mut tree = good();
    change(&mut tree);
    tree.subjects()
}

fn standing(change: impl FnOnce(&mut CephOsdTree)) -> Standing {
    worst(&subjects(change))
}

fn down(tree: &mut CephOsdTree, id: usize) {
    tree.osds[id].status = Some("down".to_owned());
}

#[test]
fn a_tree_of_osds_that_serve_is_ok() {
    let subjects = subjects(|_| ());
    let told: Vec<String> = subjects.iter().map(|subject| format!("{} {}", subject.kind, subject.name)).collect();
    let expected =
        ["osds all", "root default", "host n1", "host n2", "osd osd.0", "osd osd.1", "osd osd.2", "osd osd.3"];
    assert_eq!(told, expected);
    assert_eq!(worst(&subjects), Standing::Ok);
}

#[test]
fn an_osd_stands_by_its_words_and_weights() {
    use Standing::{Degraded, Ok, Unknown};
    for (status, expected) in [
        (Some("up"), Ok),
        (Some("down"), Degraded),
        (Some("destroyed"), Degraded),
        (Some("odd"), Unknown),
        (None, Unknown),
    ] {
        assert_eq!(standing(|tree| tree.osds[0].status = status.map(str::to_owned)), expected, "{status:?}");
    }
    for (weight, expected) in
        [(Some(0.95), Ok), (Some(0.0), Degraded), (Some(-1.0), Degraded), (Some(f64::NAN), Degraded), (None, Unknown)]
    {
        assert_eq!(standing(|tree| tree.osds[0].reweight = weight), expected, "{weight:?}");
        assert_eq!(standing(|tree| tree.osds[0].crush_weight = weight), expected, "{weight:?}");
    }
    assert_eq!(standing(|tree| tree.osds[0].exists = Some(false)), Degraded);
    let down_without_weight = |tree: &mut CephOsdTree| {
        down(tree, 0);
        tree.osds[0].reweight = None;
    };
    assert_eq!(standing(down_without_weight), Degraded);
}

#[test]
fn a_host_may_be_down_and_a_root_may_not() {
    let host_down = |tree: &mut CephOsdTree| {
        down(tree, 2);
        down(tree, 3);
    };
    let told = subjects(host_down);
    assert_eq!(worst(&told), Standing::Degraded);
    assert_eq!((told[1].state, told[1].why.as_deref()), (Standing::Degraded, Some("2 of 4 OSDs are up and in")));
    assert_eq!(told[2].state, Standing::Ok);
    assert_eq!((told[3].state, told[3].why.as_deref()), (Standing::Degraded, Some("0 of 2 OSDs are up and in")));
    let all_down = |tree: &mut CephOsdTree| (0..4).for_each(|id| down(tree, id));
    let told = subjects(all_down);
    assert_eq!((told[0].state, told[1].state, told[2].state), (Standing::Failed, Standing::Failed, Standing::Degraded));
    let all_out = |tree: &mut CephOsdTree| tree.osds.iter_mut().for_each(|osd| osd.reweight = Some(0.0));
    assert_eq!(standing(all_out), Standing::Failed);
    let second_root_down = |tree: &mut CephOsdTree| {
        tree.buckets.push(bucket(-7, "root", "fast", &[-8]));
        tree.buckets.push(bucket(-8, "host", "n3", &[4]));
        tree.osds.push(osd(4));
        down(tree, 4);
    };
    assert_eq!(standing(second_root_down), Standing::Failed, "pools of that root have nothing left");
}

#[test]
fn hosts_of_no_osd_and_osds_in_two_places_are_as_they_should_be() {
    let parked = |tree: &mut CephOsdTree| tree.buckets.push(bucket(-9, "host", "old", &[]));
    assert_eq!(standing(parked), Standing::Ok);
    assert_eq!(subjects(parked).len(), subjects(|_| ()).len());
    let linked = |tree: &mut CephOsdTree| tree.buckets.push(bucket(-9, "root", "second", &[-3]));
    assert_eq!(standing(linked), Standing::Ok);
    let differs = |tree: &mut CephOsdTree| {
        tree.osds.push(CephOsd { status: Some("down".to_owned()), ..osd(0) });
    };
    let told = subjects(differs);
    assert_eq!(told.last().map(|subject| subject.name.as_str()), Some("osd.0 again"));
    assert_eq!((worst(&told), told[2].state), (Standing::Degraded, Standing::Degraded));
}

#[test]
fn strays_take_redundancy() {
    use Standing::{Degraded, Unknown};
    for (status, expected) in
        [(Some("up"), Degraded), (Some("down"), Degraded), (Some("odd"), Unknown), (None, Unknown)]
    {
        let stray = CephOsd { status: status.map(str::to_owned), ..osd(9) };
        assert_eq!(standing(|tree| tree.stray = Some(vec![stray])), expected, "{status:?}");
    }
}

#[test]
fn a_list_that_is_cut_down_is_unknown() {
    let unknown = |what: &str, change: fn(&mut CephOsdTree)| {
        assert_eq!(standing(change), Standing::Unknown, "{what}");
    };
    unknown("all", |tree| *tree = CephOsdTree::default());
    unknown("no OSD", |tree| {
        tree.osds.clear();
        tree.buckets.iter_mut().skip(1).for_each(|bucket| bucket.children = Some(Vec::new()));
    });
    unknown("strays", |tree| tree.stray = None);
    unknown("an OSD of a host", |tree| drop(tree.osds.pop()));
    unknown("a host", |tree| drop(tree.buckets.pop()));
    unknown("the children of a host", |tree| tree.buckets[1].children = None);
    unknown("OSDs alone", |tree| tree.buckets.clear());
    unknown("an OSD beside those that are down", |tree| {
        tree.osds.truncate(2);
        down(tree, 0);
        down(tree, 1);
    });
    assert_eq!(
        standing(|tree| tree.buckets.truncate(1)),
        Standing::Unknown,
        "hosts that are not listed hide their OSDs"
    );
}

#[test]
fn a_tree_that_bites_its_tail_ends_and_is_no_tree() {
    let cycle = |tree: &mut CephOsdTree| tree.buckets[1].children = Some(vec![-1, -3, 0, 1]);
    assert_eq!(standing(cycle), Standing::Unknown);
}
