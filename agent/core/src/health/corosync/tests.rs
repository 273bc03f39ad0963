//! Tests of the rules of quorum: what is left without this node, with and without a device, and who is missed.

use super::super::tests::well;
use super::super::{Finding, Health, judge};
use super::*;
use crate::observed::{CorosyncConfig, CorosyncDevice, Observed};
use crate::{History, Reading, Sample, Settings};

/// Two nodes and a device that votes, two links between them.
fn cluster() -> Corosync {
    let member = |node_id: u64, qdevice: &[&str]| QuorumMember {
        node_id,
        votes: 1,
        qdevice: qdevice.iter().map(|word| (*word).to_owned()).collect(),
        name: if node_id == 0 { "Qdevice".to_owned() } else { format!("192.0.2.{node_id}") },
        local: node_id == 1,
    };
    let words = ["A", "V", "NMW"];
    let quorum = Quorum {
        quorate: Some(true),
        nodes: Some(2),
        expected_votes: Some(3),
        highest_expected: Some(3),
        total_votes: Some(3),
        quorum_votes: Some(2),
        has_qdevice: true,
        qdevice_votes: Some(1),
        flags: Some(vec!["Quorate".to_owned(), "Qdevice".to_owned()]),
        members: vec![member(1, &words), member(2, &words), member(0, &[])],
        ..Quorum::default()
    };
    let link = |link| CorosyncLink { node_id: 2, link, state: "connected".to_owned() };
    Corosync { quorum, links: Reading::Known(vec![link(0), link(1)]), config: configured(true) }
}

/// What is configured, as far as these tests go.
fn configured(device: bool) -> Option<CorosyncConfig> {
    let device = device.then(CorosyncDevice::default);
    Some(CorosyncConfig { device, ..CorosyncConfig::default() })
}

fn seen(corosync: Option<Corosync>) -> Observed {
    let mut seen = well(0.0);
    seen.corosync = Sample::fresh(corosync, 0.0);
    seen
}

fn judged(change: impl FnOnce(&mut Corosync)) -> Health {
    let mut corosync = cluster();
    change(&mut corosync);
    judge(&seen(Some(corosync)), &Settings::default(), &mut History::default())
}

fn found<'a>(health: &'a Health, check: &str) -> Option<&'a Finding> {
    health.findings.iter().find(|finding| finding.check == check)
}

fn stands(health: &Health, check: &str) -> Option<(Severity, Gate)> {
    found(health, check).map(|finding| (finding.severity, finding.gate))
}

const WELL: Option<(Severity, Gate)> = Some((Severity::Ok, Gate::None));
const TOLD: Option<(Severity, Gate)> = Some((Severity::Warn, Gate::Warns));
const KEPT: Option<(Severity, Gate)> = Some((Severity::Warn, Gate::Blocks));

/// The device's host is away.
fn without_device(corosync: &mut Corosync) {
    let quorum = &mut corosync.quorum;
    (quorum.total_votes, quorum.qdevice_votes) = (Some(2), Some(0));
    quorum.members[2].votes = 0;
    for member in &mut quorum.members[..2] {
        member.qdevice[1] = "NV".to_owned();
    }
}

/// The other node is away, its links with it.
fn without_the_other(corosync: &mut Corosync) {
    let quorum = &mut corosync.quorum;
    (quorum.total_votes, quorum.nodes) = (Some(2), Some(1));
    quorum.members.remove(1);
    cut(corosync, 2);
}

fn cut(corosync: &mut Corosync, count: usize) {
    let Reading::Known(links) = &mut corosync.links else { panic!("links are known here") };
    links.iter_mut().rev().take(count).for_each(|link| link.state = "disconnected".to_owned());
}

#[test]
fn a_cluster_with_all_its_votes_may_do_without_this_node() {
    let health = judged(|_| ());
    for check in ["corosync.quorum", "corosync.margin", "corosync.qdevice", "corosync.link"] {
        assert_eq!(stands(&health, check), WELL, "{check}");
    }
    assert_eq!(found(&health, "corosync.node"), None);
    let sum = "3 of 3 votes are there, 2 are needed; without this node's 1 there are 2";
    assert_eq!(found(&health, "corosync.margin").unwrap().evidence, sum);
}

#[test]
fn without_the_device_there_is_no_margin() {
    let health = judged(without_device);
    assert_eq!(stands(&health, "corosync.quorum"), WELL);
    assert_eq!(stands(&health, "corosync.qdevice"), TOLD);
    assert_eq!(stands(&health, "corosync.margin"), KEPT);
    let margin = found(&health, "corosync.margin").unwrap();
    assert_eq!(margin.summary, "no quorum without this node: 1 of 2 votes");
    assert!(margin.evidence.starts_with("2 of 3 votes are there, 2 are needed; without this node's 1 there are 1;"));
}

#[test]
fn a_device_that_votes_only_with_this_node_goes_with_it() {
    for word in ["NA", "NV", "NR"] {
        let health = judged(|corosync| corosync.quorum.members[1].qdevice = vec![word.to_owned()]);
        assert_eq!(stands(&health, "corosync.margin"), KEPT, "{word}");
        assert_eq!(stands(&health, "corosync.qdevice"), TOLD, "{word}");
        let evidence = &found(&health, "corosync.margin").unwrap().evidence;
        assert!(evidence.contains(&format!("(the quorum device's 1 not counted: node 2 has {word} with it)")));
    }
    let own = judged(|corosync| corosync.quorum.members[0].qdevice = vec!["NR".to_owned()]);
    assert_eq!((stands(&own, "corosync.margin"), stands(&own, "corosync.qdevice")), (WELL, TOLD), "ours goes anyway");
    let strange = judged(|corosync| corosync.quorum.members[1].qdevice.push("XY".to_owned()));
    assert_eq!(stands(&strange, "corosync.qdevice"), Some((Severity::Unknown, Gate::Blocks)));
}

#[test]
fn a_device_that_is_configured_and_nobody_speaks_with_is_told() {
    let silent = |config: Option<CorosyncConfig>| {
        judged(move |corosync| {
            let quorum = &mut corosync.quorum;
            quorum.members.remove(2);
            (quorum.total_votes, quorum.qdevice_votes, quorum.has_qdevice) = (Some(2), None, false);
            quorum.flags = Some(vec!["Quorate".to_owned()]);
            corosync.config.clone_from(&config);
        })
    };
    let health = silent(configured(true));
    assert_eq!((stands(&health, "corosync.qdevice"), stands(&health, "corosync.margin")), (TOLD, KEPT));
    for config in [configured(false), None] {
        let health = silent(config);
        assert_eq!((stands(&health, "corosync.qdevice"), stands(&health, "corosync.margin")), (None, KEPT));
    }
}

#[test]
fn no_quorum_is_critical_and_what_is_not_told_is_unknown() {
    let health = judged(|corosync| {
        without_device(corosync);
        without_the_other(corosync);
        let quorum = &mut corosync.quorum;
        (quorum.total_votes, quorum.quorate, quorum.blocked) = (Some(1), Some(false), true);
        quorum.flags = Some(vec!["Qdevice".to_owned()]);
    });
    assert_eq!(stands(&health, "corosync.quorum"), Some((Severity::Crit, Gate::Blocks)));
    assert_eq!(stands(&health, "corosync.margin"), None, "there is nothing left to lose");
    let unknown = Some((Severity::Unknown, Gate::Blocks));
    let strange = judged(|corosync| corosync.quorum.flags.as_mut().unwrap().push("New".to_owned()));
    assert_eq!(stands(&strange, "corosync.quorum"), unknown);
    let nobody = judged(|corosync| corosync.quorum.members[0].local = false);
    assert_eq!(stands(&nobody, "corosync.margin"), unknown);
    let dark = judged(|corosync| corosync.links = Reading::unknown("corosync-cfgtool hangs"));
    assert_eq!(stands(&dark, "corosync.link"), unknown);
}

#[test]
fn the_margin_is_counted_by_votes_and_flags() {
    // Members with their votes (this node first), expected, needed, flags; and whether this node may leave.
    type Case = (&'static [u64], u64, u64, &'static [&'static str], bool);
    const CASES: [Case; 9] = [
        (&[1, 1], 2, 2, &[], false),
        (&[1, 1], 2, 1, &["2Node", "WaitForAll"], true),
        (&[1], 2, 1, &["2Node", "WaitForAll"], false),
        (&[1, 1, 1], 3, 2, &[], true),
        (&[1, 1], 3, 2, &[], false),
        (&[2, 1, 1], 4, 3, &[], false),
        (&[1, 1, 1, 1], 5, 3, &["LastManStanding"], true),
        (&[1, 1], 2, 2, &["AutoTieBreaker"], false),
        (&[1], 1, 1, &[], true),
    ];
    for (votes, expected, needed, flags, may_leave) in CASES {
        let health = judged(|corosync| {
            let member = |(index, votes): (usize, &u64)| QuorumMember {
                node_id: index as u64 + 1,
                votes: *votes,
                qdevice: Vec::new(),
                name: "n".to_owned(),
                local: index == 0,
            };
            let quorum = &mut corosync.quorum;
            quorum.members = votes.iter().enumerate().map(member).collect();
            (quorum.expected_votes, quorum.highest_expected) = (Some(expected), Some(expected));
            (quorum.total_votes, quorum.quorum_votes) = (Some(votes.iter().sum()), Some(needed));
            (quorum.nodes, quorum.has_qdevice, quorum.qdevice_votes) = (Some(votes.len() as u64), false, None);
            quorum.flags = Some(["Quorate"].iter().chain(flags).map(|flag| (*flag).to_owned()).collect());
            corosync.config = configured(false);
            corosync.links = Reading::Known(Vec::new());
        });
        let expected = if may_leave { WELL } else { KEPT };
        assert_eq!(
            stands(&health, "corosync.margin"),
            expected,
            "{votes:?} of {expected:?}, {needed} needed, {flags:?}"
        );
    }
}

#[test]
fn a_lowered_expectation_does_not_make_a_node_alone() {
    let health = judged(|corosync| {
        without_device(corosync);
        without_the_other(corosync);
        let quorum = &mut corosync.quorum;
        (quorum.expected_votes, quorum.highest_expected) = (Some(1), Some(1));
        (quorum.total_votes, quorum.quorum_votes) = (Some(1), Some(1));
    });
    assert_eq!(stands(&health, "corosync.margin"), KEPT);
}

#[test]
fn a_link_that_is_down_is_told_and_those_of_a_lost_node_only_as_the_node() {
    let health = judged(|corosync| cut(corosync, 1));
    assert_eq!(stands(&health, "corosync.link"), TOLD);
    assert_eq!(found(&health, "corosync.link").unwrap().summary, "1 of 2 links to node 2 are down");
    assert_eq!(stands(&health, "corosync.margin"), WELL);
    let health = judged(without_the_other);
    assert_eq!((stands(&health, "corosync.link"), stands(&health, "corosync.node")), (None, TOLD));
    assert!(found(&health, "corosync.node").unwrap().evidence.contains("0 disconnected, 1 disconnected"));
    assert_eq!(stands(&health, "corosync.margin"), KEPT);
}

#[test]
fn a_member_is_missed_until_it_is_forgotten() {
    let mut history = History::default();
    let mut of = |corosync: Option<Corosync>, forget: bool| {
        if forget {
            assert!(history.forget(Thing::Node, "2"));
        }
        stands(&judge(&seen(corosync), &Settings::default(), &mut history), "corosync.node")
    };
    let mut alone = cluster();
    without_the_other(&mut alone);
    alone.links = Reading::Known(Vec::new());
    assert_eq!(of(Some(cluster()), false), None);
    assert_eq!(of(Some(alone.clone()), false), TOLD);
    assert_eq!(of(None, false), Some((Severity::Crit, Gate::Blocks)), "the whole cluster is gone");
    assert_eq!(of(Some(alone), true), None);
}

#[test]
fn declared_and_not_there_is_critical() {
    let mut settings = Settings::default();
    settings.node.expect = vec![Expected::Corosync];
    let of = |corosync| stands(&judge(&seen(corosync), &settings, &mut History::default()), "corosync.expected");
    assert_eq!(of(None), Some((Severity::Crit, Gate::Blocks)));
    assert_eq!(of(Some(cluster())), WELL);
}
