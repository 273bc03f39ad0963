//! Tests of the standing of a Ceph cluster's status.

use super::super::super::worst;
use super::*;
use crate::observed::{CephCheck, CephHealth, CephPgState};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn state(state: &str, count: u64) -> CephPgState {
    CephPgState { state: state.to_owned(), count }
}

fn good() -> CephStatus {
    CephStatus {
        fsid: Some("c1".to_owned()),
        release: Some("squid".to_owned()),
        health: CephHealth {
            status: Some("HEALTH_OK".to_owned()),
            checks: Some(Vec::new()),
            flags: Some(Vec::new()),
            scoped_flags: Some(Vec::new()),
        },
        mons: CephMons {
            total: Some(3),
            names: None,
            in_quorum: Some(names(&["a", "b", "c"])),
            ranks: Some(vec![0, 1, 2]),
        },
        mgr: Some(CephMgr { available: Some(true), active: None, standbys: Some(1) }),
        osds: CephOsdCounts { total: Some(6), up: Some(6), r#in: Some(6), remapped_pgs: 0, ..CephOsdCounts::default() },
        pgs: CephPgs {
            total: Some(129),
            states: Some(vec![state("active+clean", 127), state("active+clean+scrubbing+deep", 2)]),
            ..CephPgs::default()
        },
        mds: vec![CephMds {
            name: "m1".to_owned(),
            rank: Some(0),
            filesystem: Some(2),
            state: Some("up:active".to_owned()),
        }],
        mds_standbys: Some(1),
        failed_ranks: 0,
        damaged_ranks: 0,
    }
}

fn standing(change: impl FnOnce(&mut CephStatus)) -> Standing {
    let mut status = good();
    change(&mut status);
    worst(&status.subjects())
}

#[test]
fn a_whole_cluster_is_ok() {
    let subjects = good().subjects();
    let told: Vec<String> = subjects.iter().map(|subject| format!("{} {}", subject.kind, subject.name)).collect();
    let expected = [
        "cluster c1",
        "mons quorum",
        "mon a",
        "mon b",
        "mon c",
        "mgr active",
        "osds all",
        "pgs all",
        "pgs active+clean",
        "pgs active+clean+scrubbing+deep",
        "mds 2:0 m1",
    ];
    assert_eq!(told, expected);
    assert_eq!(worst(&subjects), Standing::Ok);
}

#[test]
fn health_ok_does_not_outweigh_the_numbers() {
    use Standing::{Degraded, Failed, Ok};
    assert_eq!(standing(|status| status.mons.in_quorum = Some(names(&["a", "b"]))), Standing::Unknown, "3 ranks");
    let two = |status: &mut CephStatus| {
        (status.mons.in_quorum, status.mons.ranks) = (Some(names(&["a", "b"])), None);
    };
    assert_eq!(standing(two), Degraded);
    let one = |status: &mut CephStatus| {
        (status.mons.in_quorum, status.mons.ranks) = (Some(names(&["a"])), Some(vec![0]));
    };
    assert_eq!(standing(one), Failed);
    let half = |status: &mut CephStatus| {
        status.mons = CephMons { total: Some(2), names: None, in_quorum: Some(names(&["a"])), ranks: Some(vec![0]) };
    };
    assert_eq!(standing(half), Failed, "of two, each is needed");
    assert_eq!(standing(|status| status.osds.up = Some(5)), Degraded);
    assert_eq!(standing(|status| status.osds.r#in = Some(5)), Degraded);
    assert_eq!(standing(|status| status.osds.up = Some(0)), Failed);
    assert_eq!(standing(|status| status.osds.r#in = Some(0)), Failed);
    assert_eq!(standing(|status| status.osds.remapped_pgs = 1), Degraded);
    assert_eq!(standing(|status| status.pgs.misplaced_objects = 1), Degraded);
    assert_eq!(standing(|status| status.pgs.degraded_objects = 1), Degraded);
    assert_eq!(standing(|status| status.pgs.unfound_objects = 1), Failed);
    for (words, expected) in [
        ("active+clean+snaptrim_wait", Ok),
        ("active+undersized+degraded", Degraded),
        ("peering", Degraded),
        ("unknown", Failed),
        ("undersized+degraded+peered", Failed),
        ("active+clean+odd", Standing::Unknown),
    ] {
        let change = |status: &mut CephStatus| status.pgs.states.as_mut().unwrap()[1] = state(words, 2);
        assert_eq!(standing(change), expected, "{words}");
        let none = |status: &mut CephStatus| status.pgs.states.as_mut().unwrap().push(state(words, 0));
        assert_eq!(standing(none), Ok, "none is {words}");
    }
    assert_eq!(standing(|status| status.mgr.as_mut().unwrap().available = Some(false)), Degraded);
    assert_eq!(standing(|status| status.failed_ranks = 1), Failed);
    assert_eq!(standing(|status| status.damaged_ranks = 1), Failed);
}

#[test]
fn metadata_servers_stand_as_they_say() {
    use Standing::{Degraded, Failed, Ok, Unknown};
    for (words, expected) in [
        (Some("up:active"), Ok),
        (Some("up:standby-replay"), Ok),
        (Some("up:rejoin"), Degraded),
        (Some("up:stopping"), Degraded),
        (Some("up:active(laggy or crashed)"), Degraded),
        (Some("down:damaged"), Failed),
        (Some("up:odd"), Unknown),
        (Some("???"), Unknown),
        (None, Unknown),
    ] {
        assert_eq!(standing(|status| status.mds[0].state = words.map(str::to_owned)), expected, "{words:?}");
    }
    assert_eq!(standing(|status| status.mds.clear()), Ok, "not every cluster has a file system");
}

#[test]
fn what_is_not_told_or_does_not_add_up_is_unknown() {
    let unknown = |what: &str, change: fn(&mut CephStatus)| {
        assert_eq!(standing(change), Standing::Unknown, "{what}");
    };
    unknown("all", |status| *status = CephStatus::default());
    unknown("health", |status| status.health.status = None);
    unknown("checks", |status| status.health.checks = None);
    unknown("monitors", |status| status.mons.total = None);
    unknown("quorum", |status| status.mons.in_quorum = None);
    unknown("no monitor", |status| {
        status.mons = CephMons { total: Some(0), in_quorum: Some(Vec::new()), ..CephMons::default() }
    });
    unknown("more in quorum than there are", |status| status.mons.total = Some(2));
    unknown("other ranks", |status| status.mons.ranks = Some(vec![0]));
    unknown("other names", |status| status.mons.names = Some(names(&["a", "b", "d"])));
    unknown("a monitor twice", |status| status.mons.in_quorum = Some(names(&["a", "b", "b"])));
    unknown("fewer names", |status| status.mons.names = Some(names(&["a", "b"])));
    unknown("manager", |status| status.mgr = None);
    unknown("manager's state", |status| status.mgr = Some(CephMgr::default()));
    unknown("OSDs", |status| status.osds.total = None);
    unknown("OSDs up", |status| status.osds.up = None);
    unknown("OSDs in", |status| status.osds.r#in = None);
    unknown("more up than there are", |status| status.osds.up = Some(7));
    unknown("no OSD", |status| {
        status.osds =
            CephOsdCounts { total: Some(0), up: Some(0), r#in: Some(0), remapped_pgs: 0, ..CephOsdCounts::default() }
    });
    unknown("PGs", |status| status.pgs.total = None);
    unknown("states", |status| status.pgs.states = None);
    unknown("one state less", |status| drop(status.pgs.states.as_mut().unwrap().pop()));
    unknown("more PGs than there are", |status| status.pgs.total = Some(128));
    unknown("PGs beyond count", |status| status.pgs.states.as_mut().unwrap()[0].count = u64::MAX);
    unknown("no PG", |status| status.pgs = CephPgs { total: Some(0), states: Some(Vec::new()), ..CephPgs::default() });
}

#[test]
fn a_monitor_that_is_missing_is_named_where_all_are() {
    let mut status = good();
    status.mons.names = Some(names(&["a", "b", "c"]));
    (status.mons.in_quorum, status.mons.ranks) = (Some(names(&["a", "c"])), Some(vec![0, 2]));
    let subjects = status.subjects();
    assert_eq!(subjects[1].why.as_deref(), Some("2 of 3 monitors are in quorum"));
    assert_eq!((subjects[3].name.as_str(), subjects[3].why.as_deref()), ("b", Some("it is not in quorum")));
}

#[test]
fn a_harmless_warning_leaves_the_numbers_to_decide() {
    let warns = |status: &mut CephStatus| {
        status.health.status = Some("HEALTH_WARN".to_owned());
        status.health.checks = Some(vec![CephCheck {
            name: "RECENT_CRASH".to_owned(),
            severity: Some("HEALTH_WARN".to_owned()),
            ..CephCheck::default()
        }]);
    };
    assert_eq!(standing(warns), Standing::Ok);
    let and_down = |status: &mut CephStatus| {
        warns(status);
        status.osds.up = Some(5);
    };
    assert_eq!(standing(and_down), Standing::Degraded);
}
