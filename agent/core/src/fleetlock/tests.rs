//! Every row of the protocol's table.

use super::*;
use crate::fixture::{self, Fleet, seen};
use crate::fleet::FleetLock;
use crate::health::Severity;
use crate::operator;
use crate::rollout::Halt;
use crate::status::Brief;

/// A fleet with a rollout under way and no lease, led by `pve1`, whose policy lets two guests in.
fn fleet() -> View {
    let rules = FleetLock {
        listen: "0.0.0.0:9786".to_owned(),
        ids: ["c988", "d077"].map(str::to_owned).to_vec(),
        deadline_seconds: 1_800,
    };
    Fleet::with(Policy { fleetlock: Some(rules), ..fixture::policy() }, |_| {}).view
}

fn moment(opening: Opening) -> Moment {
    Moment { opening, ..fixture::moment() }
}

fn guest(id: &str) -> Guest {
    Guest::new(Some("true"), "cluster", id).unwrap()
}

fn ask(view: &View, id: &str, wish: Wish) -> Verdict {
    decide(view, &guest(id), wish, "pve1", &moment(Opening::Always))
}

/// The lease that a commit writes.
fn lease_of(verdict: &Verdict) -> Lease {
    let Verdict::Commit(txn) = verdict else { panic!("{verdict:?}") };
    let lease = txn.ops.iter().find_map(|op| match op {
        crate::store::Op::Put { value: Record::Lease(lease), .. } => Some(lease.clone()),
        _ => None,
    });
    lease.unwrap()
}

/// The fleet after the guest has its slot.
fn holding(id: &str) -> View {
    let mut view = fleet();
    let lease = lease_of(&ask(&view, id, Wish::PreReboot));
    view.leases.insert((lease.group.clone(), lease.slot), seen(lease));
    view
}

fn kind(verdict: &Verdict) -> (u16, &'static str) {
    match verdict {
        Verdict::Refused(refusal) => (refusal.status, refusal.kind),
        Verdict::Granted => (200, "granted"),
        Verdict::Commit(_) => (200, "commit"),
    }
}

#[test]
fn what_comes_in_is_checked() {
    let told = |header, group, id| Guest::new(header, group, id).map_err(|refusal| (refusal.status, refusal.kind));
    assert!(told(Some("true"), "a-Z.9", "c988").is_ok());
    assert_eq!(told(None, "cluster", "c988"), Err((400, "missing_header")));
    assert_eq!(told(Some("false"), "cluster", "c988"), Err((400, "missing_header")));
    for (group, id) in
        [("", "c"), ("clu/ster", "c"), ("cluster", ""), ("cluster", "a\nb"), ("cluster", &"x".repeat(129))]
    {
        assert_eq!(told(Some("true"), group, id), Err((400, "invalid_client_identity")), "{group:?} {id:?}");
    }
}

#[test]
fn a_slot_is_given_once_and_to_its_holder_again() {
    let lease = lease_of(&ask(&fleet(), "c988", Wish::PreReboot));
    assert_eq!((lease.state, lease.deadline_seconds, lease.slot), (LeaseState::Entered, 1_800, 0));
    let view = holding("c988");
    assert_eq!(kind(&ask(&view, "c988", Wish::PreReboot)), (200, "granted"));
    assert_eq!(kind(&ask(&view, "d077", Wish::PreReboot)), (423, "slots_full"));
}

#[test]
fn steady_is_told_by_anybody_and_frees_only_one_s_own() {
    let view = holding("c988");
    assert_eq!(kind(&ask(&view, "d077", Wish::SteadyState)), (200, "granted"), "a booted node is never stranded");
    let Verdict::Commit(txn) = ask(&view, "c988", Wish::SteadyState) else { panic!("held") };
    let freed = crate::store::Op::Delete { key: Key::Lease { group: "cluster".to_owned(), slot: 0 } };
    assert!(txn.ops.contains(&freed), "{txn:?}");
    assert_eq!(kind(&ask(&fleet(), "c988", Wish::SteadyState)), (200, "granted"));
}

#[test]
fn what_forbids_a_rollout_forbids_a_guest() {
    type Spoil = fn(&mut View);
    let cases: [(Spoil, (u16, &str)); 7] = [
        (
            |view| {
                let (reason, next_action) = ("pool".to_owned(), "look".to_owned());
                let halt = Halt { reason, next_action, by: "node:x".to_owned(), node: None, at_unix_seconds: 1 };
                view.halt = Some(seen(halt));
            },
            (409, "rollout_halted"),
        ),
        (
            |view| {
                let brief = Brief {
                    check: "zfs.pool".to_owned(),
                    subject: "tank".to_owned(),
                    severity: Severity::Crit,
                    blocks: true,
                    summary: "DEGRADED".to_owned(),
                };
                view.reports.get_mut("pve2").unwrap().value.findings.push(brief);
            },
            (409, "health_gate"),
        ),
        (|view| drop(view.sessions.remove("pve2")), (423, "slots_full")),
        (|view| view.heard_ms = None, (503, "no_quorum")),
        (|view| view.leader = None, (503, "no_quorum")),
        (|view| view.policy.as_mut().unwrap().value.groups.clear(), (400, "unknown_group")),
        (|view| view.policy.as_mut().unwrap().value.fleetlock = None, (400, "invalid_client_identity")),
    ];
    for (spoil, wanted) in cases {
        let mut view = fleet();
        spoil(&mut view);
        assert_eq!(kind(&ask(&view, "c988", Wish::PreReboot)), wanted);
    }
    let closed = moment(Opening::Closed { next: None });
    let verdict = decide(&fleet(), &guest("c988"), Wish::PreReboot, "pve1", &closed);
    assert_eq!(kind(&verdict), (409, "outside_window"));
    assert_eq!(kind(&ask(&fleet(), "stranger", Wish::PreReboot)), (400, "invalid_client_identity"));
}

#[test]
fn whoever_does_not_lead_sends_guests_on_also_under_a_policy_younger_than_the_leader() {
    let mut view = fleet();
    assert_eq!(elsewhere(&view, "pve2").as_deref(), Some("pve1:9786"));
    assert_eq!(elsewhere(&view, "pve1"), None, "the leader answers itself");
    view.policy.as_mut().unwrap().value.fleetlock = None;
    assert_eq!(elsewhere(&view, "pve2"), None, "no guests are heard");
    let mut view = fleet();
    view.leader = None;
    assert_eq!(elsewhere(&view, "pve2"), None, "nobody leads");
}

#[test]
fn a_rollout_starts_beside_a_guest_and_waits_for_its_slot() {
    let mut view = holding("c988");
    view.rollout = None;
    assert_eq!(operator::start(&view, &fixture::person(), fixture::PLAN, "updates").err(), None);
    for held in view.leases.values_mut() {
        held.value.purpose = Purpose::Plan("an-earlier-one".to_owned());
    }
    let blockers = operator::start(&view, &fixture::person(), fixture::PLAN, "updates").unwrap_err();
    assert_eq!(blockers.iter().map(|blocker| blocker.check.as_str()).collect::<Vec<_>>(), ["lease"]);

    let mut view = holding("c988");
    view.leases.values_mut().for_each(|held| held.changed_ms = fixture::NOW_MS);
    let turn = crate::leader::decide(&view, "pve1", &moment(Opening::Always));
    assert!(turn.act.is_none() && turn.waiting[0].blockers.iter().any(|blocker| blocker.check == "group.max_down"));
}
