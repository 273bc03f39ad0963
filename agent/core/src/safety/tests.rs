//! Each blocker once: the fleet that is granted, and the same fleet with one thing wrong that is refused.

use super::blockers;
use crate::fixture::{Fleet, NODES, NOW_MS, PLAN, finding, moment, person, policy, report};
use crate::fleet::{Policy, Service};
use crate::health::Severity;
use crate::leader::{self, LeaderTurn};
use crate::lease::{Outcast, Token};
use crate::operator;
use crate::phase::Phase;
use crate::plan::RebootKind;
use crate::rollout::{Done, Ending, Probed, RolloutState};
use crate::status::{Brief, Hold, Report, Votes};
use crate::store::{Change, Entry, Key, Record, Txn};
use crate::view::{FRESH_MS, Flow};
use crate::window::Opening;

/// The check of the blockers for the next node, or `granted NODE`.
fn answer(turn: &LeaderTurn) -> String {
    match &turn.act {
        Some((what, _)) => what.clone(),
        None => {
            let words = turn.waiting.iter().map(|waiting| {
                let mut checks: Vec<&str> = waiting.blockers.iter().map(|blocker| blocker.check.as_str()).collect();
                checks.dedup();
                format!("{}: {}", waiting.node, checks.join(" "))
            });
            words.collect::<Vec<_>>().join("; ")
        }
    }
}

/// One thing wrong, and who then waits for what.
type Row = (&'static str, fn(&mut Fleet), &'static str);

fn says(fleet: &mut Fleet, node: &str, change: impl FnOnce(&mut Report)) {
    let mut report = report(node);
    change(&mut report);
    fleet.report(report);
}

fn run(rows: &[Row], fleet: impl Fn() -> Fleet) {
    for (what, change, expected) in rows {
        let mut fleet = fleet();
        change(&mut fleet);
        let turn = fleet.decide();
        assert_eq!(answer(&turn), *expected, "{what}");
        let blockers = turn.waiting.iter().flat_map(|waiting| &waiting.blockers);
        for blocker in blockers {
            assert!(!blocker.why.is_empty() && !blocker.way_out.is_empty(), "{what}: {blocker:?}");
        }
    }
}

#[test]
fn s1_slots_and_nodes_that_are_away() {
    run(
        &[
            ("all are well", |_| {}, "granting pve1"),
            ("another is silent for long", |fleet| age(fleet, "pve2", FRESH_MS + 1), "pve1: group.max_down quorum"),
            ("another is silent for as long as it may be", |fleet| age(fleet, "pve2", FRESH_MS), "granting pve1"),
            ("another has no session", |fleet| drop(fleet.view.sessions.remove("pve2")), "pve1: group.max_down quorum"),
            (
                "another has never reported",
                |fleet| drop(fleet.view.reports.remove("pve2")),
                "pve1: group.max_down quorum",
            ),
            (
                "the report of another may be of any age",
                |fleet| fleet.view.reports.get_mut("pve2").expect("it reports").watched = false,
                "pve1: group.max_down quorum",
            ),
            (
                "another is drained without a lease",
                |fleet| says(fleet, "pve2", |report| report.phase = Phase::Drained),
                "pve1: group.max_down quorum",
            ),
            ("the node itself was cast out", |fleet| cast_out(fleet, "pve1"), "pve1: node"),
            ("another was cast out", |fleet| cast_out(fleet, "pve2"), "pve1: group.max_down quorum"),
            ("the node itself is silent", |fleet| age(fleet, "pve1", FRESH_MS + 1), "pve1: node"),
        ],
        Fleet::under_way,
    );
}

/// A person has taken the lease of a node, and it has not proved itself since.
fn cast_out(fleet: &mut Fleet, node: &str) {
    let lost = Outcast {
        token: Token { incarnation: "life-1".to_owned(), revision: 1 },
        by: "operator:anna".to_owned(),
        reason: "it hangs".to_owned(),
        evidence: "it is off".to_owned(),
    };
    fleet.write(Txn::new().put(Key::Outcast(node.to_owned()), Record::Outcast(lost)));
}

fn age(fleet: &mut Fleet, node: &str, by_ms: u64) {
    fleet.view.reports.get_mut(node).expect("it reports").changed_ms = NOW_MS - by_ms;
}

#[test]
fn s1_a_taken_slot_is_waited_for_and_two_slots_are_two() {
    let mut fleet = Fleet::under_way();
    assert_eq!(fleet.lead(), ["granting pve1", "ordering pve1"]);
    assert_eq!(answer(&fleet.decide()), "pve2: group.max_down quorum");

    let two = |change: fn(&mut Policy)| {
        let mut policy = policy();
        policy.groups[0].max_down = 2;
        policy.groups[0].alone.clear();
        change(&mut policy);
        let mut fleet = Fleet::with(policy, |_| {});
        // Without votes: this is about slots.
        for node in NODES {
            says(&mut fleet, node, |report| report.votes.clear());
        }
        fleet
    };
    let mut fleet = two(|_| {});
    assert_eq!(fleet.lead(), ["granting pve1", "ordering pve1", "granting pve2", "ordering pve2"]);
    assert_eq!(answer(&fleet.decide()), "nas: group.max_down");
    // S14: who goes alone neither joins another nor is joined.
    let mut fleet = two(|policy| policy.groups[0].alone = vec!["pve2".to_owned()]);
    assert_eq!(fleet.lead(), ["granting pve1", "ordering pve1"]);
    assert_eq!(answer(&fleet.decide()), "pve2: group.max_down");
    let mut fleet = two(|policy| policy.groups[0].alone = vec!["pve1".to_owned()]);
    assert_eq!(fleet.lead(), ["granting pve1", "ordering pve1"]);
    assert_eq!(answer(&fleet.decide()), "pve2: group.max_down");
}

#[test]
fn s2_quorum_without_the_node() {
    run(
        &[
            (
                "another voter is not seen by one of them",
                |fleet| {
                    says(fleet, "nas", |report| {
                        report.votes[0].up = Some(vec!["nas".to_owned(), "pve1".to_owned()]);
                    });
                },
                "pve1: quorum",
            ),
            ("one of them cannot tell", |fleet| says(fleet, "nas", |report| report.votes[0].up = None), "pve1: quorum"),
            (
                "another set that the node does not vote in",
                |fleet| {
                    says(fleet, "nas", |report| {
                        report.votes[0].set = "etcd".to_owned();
                        report.votes[0].voters = vec!["nas".to_owned(), "pve2".to_owned()];
                        report.votes[0].up = None;
                    });
                },
                "granting pve1",
            ),
            (
                "another set that only others tell of, and the node votes in",
                |fleet| {
                    says(fleet, "nas", |report| {
                        report.votes[0].set = "etcd".to_owned();
                        report.votes[0].up = None;
                    });
                },
                "pve1: quorum",
            ),
            (
                "two voters are never enough",
                |fleet| {
                    for node in NODES {
                        says(fleet, node, |report| report.votes[0].voters.truncate(2));
                    }
                },
                "pve1: quorum",
            ),
            (
                "alone in its set",
                |fleet| says(fleet, "pve1", |report| report.votes[0].voters = vec!["pve1".to_owned()]),
                "granting pve1",
            ),
        ],
        Fleet::under_way,
    );
}

/// Two of three may be down, no slot goes alone; the nodes have a set each of these voters, told by who is named.
fn voting(tellers: &[&str], votes: &Votes) -> Fleet {
    let mut policy = policy();
    policy.groups[0].max_down = 2;
    policy.groups[0].alone.clear();
    let mut fleet = Fleet::with(policy, |_| {});
    for node in NODES {
        says(&mut fleet, node, |report| {
            report.votes = if tellers.contains(&node) { vec![votes.clone()] } else { Vec::new() };
        });
    }
    fleet
}

fn voices(voters: &[&str], up: &[&str]) -> Votes {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    Votes {
        set: "corosync home".to_owned(),
        voters: names(voters),
        weights: Vec::new(),
        needed: None,
        up: Some(names(up)),
        age_ms: 0,
    }
}

#[test]
fn s2_the_host_of_a_quorum_device_is_a_voter_that_tells_of_nothing() {
    let all = ["nas", "pve1", "pve2"];
    let mut fleet = voting(&["pve1", "pve2"], &voices(&all, &all));
    // There is a slot left for the storage box, and with it the device's vote would go.
    assert_eq!(fleet.lead(), ["granting pve1", "ordering pve1"]);
    let turn = fleet.decide();
    assert_eq!(answer(&turn), "pve2: quorum");
    let nas = fleet.view.plan().unwrap().1.value.of("nas").unwrap().clone();
    let blockers = blockers(&fleet.view, &nas, &Opening::Always, NOW_MS);
    let why: Vec<&str> = blockers.iter().map(|blocker| blocker.why.as_str()).collect();
    assert_eq!(why, ["corosync home has 1 of 3 votes without nas, and needs 2 (not up: pve1)"]);
}

#[test]
fn s2_votes_are_weighed_and_counted_by_the_rule_of_the_set() {
    let (two, all) = (["pve1", "pve2"], ["nas", "pve1", "pve2"]);
    for (what, votes, expected) in [
        ("two nodes of which one is enough", Votes { needed: Some(1), ..voices(&two, &two) }, "granting pve1"),
        ("two nodes of which both are needed", voices(&two, &two), "pve1: quorum"),
        ("one with most votes goes", Votes { weights: vec![1, 3, 1], ..voices(&all, &all) }, "pve1: quorum"),
        ("one with few votes goes", Votes { weights: vec![3, 1, 1], ..voices(&all, &all) }, "granting pve1"),
        ("a vote too few is told", Votes { weights: vec![3], ..voices(&all, &all) }, "granting pve1"),
        ("no weight, no vote", Votes { weights: vec![0, 1], ..voices(&all, &all) }, "pve1: quorum"),
        ("two on one node count twice", voices(&["nas", "nas", "pve1"], &["nas", "pve1"]), "granting pve1"),
        ("seen as long ago as may be", Votes { age_ms: FRESH_MS, ..voices(&all, &all) }, "granting pve1"),
        ("seen too long ago", Votes { age_ms: FRESH_MS + 1, ..voices(&all, &all) }, "pve1: quorum"),
        ("needs more than there can be", Votes { needed: Some(u64::MAX), ..voices(&all, &all) }, "pve1: quorum"),
    ] {
        assert_eq!(answer(&voting(&["pve1", "pve2"], &votes).decide()), expected, "{what}");
    }
}

#[test]
fn s2_a_voter_that_is_no_node_of_the_fleet_is_up_when_all_see_it() {
    let all = ["switch", "pve1", "pve2"];
    assert_eq!(answer(&voting(&["pve1", "pve2"], &voices(&all, &all)).decide()), "granting pve1");
    assert_eq!(answer(&voting(&["pve1", "pve2"], &voices(&all, &["pve1", "pve2"])).decide()), "pve1: quorum");
    let mut fleet = voting(&["pve1", "pve2"], &voices(&all, &all));
    says(&mut fleet, "pve2", |report| report.votes = vec![voices(&all, &["pve1", "pve2"])]);
    assert_eq!(answer(&fleet.decide()), "pve1: quorum", "one of them misses it");
}

#[test]
fn s2_what_a_node_said_that_has_left_the_fleet_is_in_nobodys_way() {
    let mut fleet = voting(&[], &voices(&[], &[]));
    let mut gone = report("pve9");
    gone.votes = vec![voices(&["pve1", "pve9"], &["pve9"])];
    fleet.report(gone);
    assert_eq!(answer(&fleet.decide()), "granting pve1");
}

#[test]
fn s5_s6_s13_findings_of_the_node_and_of_its_group() {
    run(
        &[
            (
                "the node is critical",
                |fleet| says(fleet, "pve1", |report| report.findings = vec![finding("units.failed", Severity::Crit)]),
                "pve1: units.failed",
            ),
            (
                "another is critical",
                |fleet| says(fleet, "nas", |report| report.findings = vec![finding("units.failed", Severity::Crit)]),
                "pve1: units.failed",
            ),
            (
                "S6: a probe does not answer",
                |fleet| says(fleet, "pve1", |report| report.findings = vec![finding("ceph", Severity::Unknown)]),
                "pve1: ceph",
            ),
            (
                "S13: a pool resilvers elsewhere",
                |fleet| says(fleet, "nas", |report| report.findings = vec![finding("zfs.resilver", Severity::Warn)]),
                "pve1: zfs.resilver",
            ),
            (
                "the same, tolerated by name",
                |fleet| {
                    says(fleet, "nas", |report| report.findings = vec![finding("zfs.resilver", Severity::Warn)]);
                    let policy = fleet.view.policy.as_mut().expect("applied");
                    policy.value.gates.tolerate = vec!["zfs.resilver:tank".to_owned()];
                },
                "granting pve1",
            ),
            (
                "a node that was cast out says that its pool resilvers",
                |fleet| {
                    says(fleet, "nas", |report| report.findings = vec![finding("zfs.resilver", Severity::Warn)]);
                    cast_out(fleet, "nas");
                },
                "pve1: group.max_down zfs.resilver quorum",
            ),
            (
                "the node stands still",
                |fleet| {
                    says(fleet, "pve1", |report| {
                        report.hold =
                            Some(Hold { reason: "why".to_owned(), next_action: "look".to_owned(), told: true });
                    });
                },
                "pve1: hold",
            ),
            ("the node is busy", |fleet| says(fleet, "pve1", |report| report.phase = Phase::Staged), "pve1: phase"),
            ("S10: the node has obeyed a later plan", |fleet| says(fleet, "pve1", |r| r.plan_floor = 2), "pve1: plan"),
        ],
        Fleet::under_way,
    );
}

#[test]
fn s14_who_is_served_keeps_a_node_from_restarting_and_nobody_else() {
    fn logged_in(fleet: &mut Fleet, node: &str) {
        says(fleet, node, |report| {
            let brief = Brief { blocks: false, ..finding("iscsi_target.sessions", Severity::Info) };
            report.findings = vec![brief];
        });
    }
    run(
        &[
            ("its disks are in use", |fleet| logged_in(fleet, "pve1"), "pve1: iscsi_target.sessions"),
            ("those of another are", |fleet| logged_in(fleet, "nas"), "granting pve1"),
            (
                "the policy says that they ride it out",
                |fleet| {
                    logged_in(fleet, "pve1");
                    let policy = fleet.view.policy.as_mut().expect("applied");
                    policy.value.gates.tolerate = vec!["iscsi_target.sessions".to_owned()];
                },
                "granting pve1",
            ),
            (
                "it installs and does not restart",
                |fleet| {
                    logged_in(fleet, "pve1");
                    let plan = fleet.view.plans.values_mut().next().expect("one");
                    plan.value.nodes.iter_mut().for_each(|part| part.reboot.kind = RebootKind::None);
                },
                "granting pve1",
            ),
        ],
        Fleet::under_way,
    );
}

/// What it is, what is done to the fleet, and what the leader then does.
type Case<'a> = (&'a str, &'a dyn Fn(&mut Fleet), &'a str);

/// Room for two, and no votes.
fn roomy() -> Fleet {
    let mut policy = policy();
    policy.groups[0].max_down = 2;
    let mut fleet = Fleet::with(policy, |_| {});
    for node in NODES {
        says(&mut fleet, node, |report| report.votes.clear());
    }
    fleet
}

#[test]
fn s5_a_node_in_maintenance_that_is_sick_stops_the_next() {
    let mut fleet = roomy();
    let grant = fleet.decide().act.expect("granted").1;
    fleet.write(grant);
    let order = fleet.decide().act.expect("ordered").1;
    fleet.write(order);
    says(&mut fleet, "pve1", |report| {
        report.votes.clear();
        report.phase = Phase::Verifying;
        report.findings = vec![finding("units.failed", Severity::Crit)];
    });
    assert_eq!(answer(&fleet.decide()), "pve2: units.failed");
    age(&mut fleet, "pve1", FRESH_MS + 1);
    assert_eq!(answer(&fleet.decide()), "pve2: units.failed", "to fall silent mends nothing");
}

#[test]
fn s6_s13_room_for_one_that_is_down_is_not_for_one_that_was_sick_or_could_not_speak() {
    let silent = |fleet: &mut Fleet| age(fleet, "pve2", FRESH_MS + 1);
    let says_it = |fleet: &mut Fleet, severity: Severity| {
        says(fleet, "pve2", |report| {
            report.votes.clear();
            report.findings = vec![finding("zfs.resilver", severity)];
        });
    };
    // Reports of another, each so long ago.
    let heard = |fleet: &mut Fleet, ago_ms: &[u64]| {
        fleet.view.flow = Flow::default();
        for (ago_ms, modified) in ago_ms.iter().zip(1_000..) {
            let mut report = report("nas");
            report.votes.clear();
            let entry = Entry { value: Record::Report(Box::new(report)), created: 1, modified };
            let change = Change { key: Key::Report("nas".to_owned()), entry: Some(entry), revision: modified };
            fleet.view.apply(&change, NOW_MS - ago_ms);
        }
        silent(fleet);
    };
    let cases: [Case<'_>; 8] = [
        ("another is silent for long: it takes one of two", &silent, "granting pve1"),
        (
            "its pool resilvered when it fell silent",
            &|fleet| {
                says_it(fleet, Severity::Warn);
                silent(fleet);
            },
            "pve1: zfs.resilver",
        ),
        (
            "a probe of it could not tell when this leader began to look",
            &|fleet| {
                says_it(fleet, Severity::Unknown);
                fleet.view.reports.get_mut("pve2").expect("it reports").watched = false;
            },
            "pve1: zfs.resilver",
        ),
        ("nobody was heard yet", &|fleet| heard(fleet, &[]), "pve1: node"),
        ("others are heard, for a moment", &|fleet| heard(fleet, &[0]), "pve1: node"),
        ("others were heard for long, and then not", &|fleet| heard(fleet, &[13_000, 9_000, 5_001]), "pve1: node"),
        ("with a gap, as while the store is full", &|fleet| heard(fleet, &[12_000, 6_999, 3_000, 0]), "pve1: node"),
        ("steadily, for as long as a report is fresh", &|fleet| heard(fleet, &[10_001, 6_000, 2_000]), "granting pve1"),
    ];
    for (case, change, expected) in cases {
        let mut fleet = roomy();
        change(&mut fleet);
        assert_eq!(answer(&fleet.decide()), expected, "{case}");
    }
}

#[test]
fn s15_the_host_of_the_store_goes_when_all_others_are_done() {
    let mut policy = policy();
    policy.groups[0].alone.clear();
    policy.groups[0].store_hosts = vec!["pve1".to_owned()];
    let mut fleet = Fleet::with(policy, |_| {});
    assert_eq!(answer(&fleet.decide()), "pve1: store.last", "a plan that names it first cannot make it go first");
    for node in ["pve2", "nas"] {
        let token = Token { incarnation: "life-1".to_owned(), revision: 1 };
        let done = Done {
            node: node.to_owned(),
            ending: Ending::Verified,
            token,
            boot_id: String::new(),
            kernel: String::new(),
            spent: Vec::new(),
        };
        let key = Key::Done { plan: PLAN.to_owned(), node: node.to_owned() };
        fleet.write(Txn::new().put(key, Record::Done(done)));
    }
    assert_eq!(answer(&fleet.decide()), "granting pve1");
}

#[test]
fn permission_halt_rollout_window_and_the_store() {
    run(
        &[
            (
                "S5: halted",
                |fleet| {
                    let halt = operator::halt(&fleet.view, &person(), "smoke").expect("not halted yet");
                    fleet.write(halt);
                },
                "pve1: halt",
            ),
            (
                "lifted",
                |fleet| {
                    let halt = operator::halt(&fleet.view, &person(), "smoke").expect("not halted yet");
                    fleet.write(halt);
                    let lift = operator::lift(&fleet.view, &person(), "it was steam").expect("halted");
                    fleet.write(lift);
                },
                "granting pve1",
            ),
            ("paused", |fleet| set(fleet, RolloutState::Paused), ""),
            ("aborted", |fleet| set(fleet, RolloutState::Aborted), ""),
            ("S4: the store is silent", |fleet| fleet.view.heard_ms = Some(NOW_MS - FRESH_MS - 1), ""),
            ("no leader", |fleet| fleet.view.leader = None, ""),
        ],
        Fleet::under_way,
    );
    let fleet = Fleet::under_way();
    let mut closed = moment();
    closed.opening = Opening::Closed { next: None };
    assert_eq!(answer(&leader::decide(&fleet.view, "pve1", &closed)), "pve1: window");
    assert_eq!(leader::decide(&fleet.view, "pve2", &moment()), LeaderTurn::default(), "S9: only the leader acts");
}

fn set(fleet: &mut Fleet, state: RolloutState) {
    let txn = operator::set_state(&fleet.view, &person(), state, "as asked").expect("it runs");
    fleet.write(txn);
}

#[test]
fn s5_s6_a_declared_service_that_is_down_or_unknown_blocks() {
    fn told(fleet: &mut Fleet, leader: &str, change: impl FnOnce(&mut Probed)) {
        let mut row = Probed { asked: 1, ..Probed::of("wiki") };
        change(&mut row);
        let key = Key::Probes { plan: PLAN.to_owned(), node: leader.to_owned() };
        fleet.write(Txn::new().put(key, Record::Probes(vec![row])));
    }
    let service = Service { name: "wiki".to_owned(), url: "http://wiki.example/".to_owned(), slo_percent: None };
    run(
        &[
            ("nobody has asked it", |_| {}, "pve1: service"),
            ("it answers", |fleet| told(fleet, "pve1", |_| {}), "granting pve1"),
            ("it does not answer", |fleet| told(fleet, "pve1", |row| row.failing = true), "pve1: service"),
            ("a former leader has asked it", |fleet| told(fleet, "pve2", |_| {}), "pve1: service"),
            (
                "its row is there, and it was not asked",
                |fleet| told(fleet, "pve1", |row| row.asked = 0),
                "pve1: service",
            ),
            (
                "it was asked long ago",
                |fleet| {
                    told(fleet, "pve1", |_| {});
                    fleet.view.probes.values_mut().for_each(|seen| seen.changed_ms = NOW_MS - 30_001);
                },
                "pve1: service",
            ),
        ],
        || Fleet::with(Policy { services: vec![service.clone()], ..policy() }, |_| {}),
    );
    let mut lenient = Policy { services: vec![service.clone()], ..policy() };
    lenient.gates.tolerate = vec!["service:wiki".to_owned()];
    assert_eq!(answer(&Fleet::with(lenient.clone(), |_| {}).decide()), "granting pve1");
    lenient.gates.tolerate = vec!["service:wik".to_owned()];
    assert_eq!(answer(&Fleet::with(lenient, |_| {}).decide()), "pve1: service");
}

#[test]
fn gates_ask_for_no_plan_and_hide_nothing_else() {
    let checks = |change: fn(&mut Fleet)| {
        let mut fleet = Fleet::under_way();
        fleet.view.rollout = None;
        change(&mut fleet);
        let gates = super::gates(&fleet.view, "pve1", NOW_MS);
        gates.iter().map(|gate| gate.check.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(checks(|_| {}), "", "no rollout is needed");
    assert_eq!(checks(|fleet| drop(fleet.view.sessions.remove("pve2"))), "group.max_down quorum");
    assert_eq!(checks(|fleet| age(fleet, "pve1", FRESH_MS + 1)), "node");
    fn sick(report: &mut Report) {
        report.findings = vec![finding("zfs.pool", Severity::Crit)];
    }
    assert_eq!(checks(|fleet| says(fleet, "pve1", sick)), "zfs.pool");
    assert_eq!(checks(|fleet| says(fleet, "pve2", sick)), "zfs.pool");
    assert_eq!(checks(|fleet| fleet.view.policy = None), "fleet");
    let fleet = Fleet::under_way();
    assert_eq!(super::gates(&fleet.view, "stranger", NOW_MS)[0].check, "fleet");
}
