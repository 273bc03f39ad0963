//! What the leader writes holds only while it leads, and what it takes back was never entered.

use crate::fixture::{Fleet, NODES, NOW_MS, PLAN, moment, person};
use crate::lease::{Lease, LeaseState};
use crate::operator;
use crate::phase::Phase;
use crate::rollout::{Done, Ending, RolloutState};
use crate::store::{Key, Record, Txn};

fn lease(fleet: &Fleet, node: &str) -> Lease {
    fleet.view.lease_of(node).expect("it holds a lease").value.clone()
}

/// The node enters, as its own fence does it.
fn enter(fleet: &mut Fleet, node: &str) {
    let lease = Lease { state: LeaseState::Entered, phase: Phase::Draining, ..lease(fleet, node) };
    fleet.write(Txn::new().put(lease.key(), Record::Lease(lease)));
}

fn is_late(fleet: &mut Fleet, node: &str) {
    let limit_ms = lease(fleet, node).deadline_seconds * 1_000;
    for held in fleet.view.leases.values_mut() {
        held.changed_ms = NOW_MS.saturating_sub(limit_ms + 1);
    }
}

#[test]
fn l1_nodes_go_one_after_another_and_the_rollout_finishes() {
    let mut fleet = Fleet::under_way();
    for node in NODES {
        assert_eq!(fleet.lead(), [format!("granting {node}"), format!("ordering {node}")]);
        let held = fleet.view.lease_of(node).expect("granted").clone();
        let token = held.value.token(held.created);
        assert_eq!(fleet.view.orders[node].value.token, token);
        let done = Done {
            node: node.to_owned(),
            ending: Ending::Verified,
            token,
            boot_id: String::new(),
            kernel: String::new(),
            spent: Vec::new(),
        };
        let key = Key::Done { plan: PLAN.to_owned(), node: node.to_owned() };
        fleet.write(Txn::new().put(key, Record::Done(done)).delete(held.value.key()));
    }
    assert_eq!(fleet.lead(), ["finishing the rollout"]);
    assert_eq!(fleet.view.rollout.as_ref().map(|rollout| rollout.value.state), Some(RolloutState::Finished));
}

#[test]
fn s9_a_grant_of_a_former_leader_does_not_commit() {
    let mut fleet = Fleet::under_way();
    let old = fleet.decide().act.expect("it grants").1;
    fleet.write(Txn::new().delete(Key::Leader));
    assert!(!fleet.commit(&old), "the throne is empty");
    let session = fleet.store.begin_session();
    let stands = super::stand(&fleet.view, "pve2", session, 0).expect("empty");
    fleet.write(stands);
    assert!(!fleet.commit(&old), "another leads");
    let stands = super::stand(&fleet.view, "pve1", session, 0);
    assert_eq!(stands, None, "the throne is taken");
}

#[test]
fn s1_s5_s10_a_grant_commits_only_on_what_was_seen() {
    type Happening = (&'static str, fn(&mut Fleet));
    let happenings: [Happening; 4] = [
        ("S5: a halt", |fleet| {
            let halt = operator::halt(&fleet.view, &person(), "smoke").expect("not halted");
            fleet.write(halt);
        }),
        ("a pause", |fleet| {
            let pause = operator::set_state(&fleet.view, &person(), RolloutState::Paused, "wait").expect("it runs");
            fleet.write(pause);
        }),
        ("S1: the slot is taken", |fleet| {
            let grant = fleet.decide().act.expect("it grants").1;
            fleet.write(grant);
        }),
        ("the store has a new life", |fleet| {
            let adopt = operator::adopt(&fleet.view, &person(), "life-2".to_owned(), "restored");
            fleet.write(adopt);
        }),
    ];
    for (what, happen) in happenings {
        let mut fleet = Fleet::under_way();
        let grant = fleet.decide().act.expect("it grants").1;
        happen(&mut fleet);
        assert!(!fleet.commit(&grant), "{what}");
    }
}

#[test]
fn s12_a_granted_lease_is_taken_back_and_an_entered_one_halts() {
    let mut fleet = Fleet::under_way();
    fleet.lead();
    assert_eq!(fleet.decide().act, None, "in time");
    is_late(&mut fleet, "pve1");
    let (what, reclaim) = fleet.decide().act.expect("late");
    assert_eq!(what, "taking back the lease pve1 did not enter");
    // It enters at the last moment: then nobody takes it.
    let mut entered = Fleet::under_way();
    entered.lead();
    enter(&mut entered, "pve1");
    assert!(!entered.commit(&reclaim), "entered meanwhile");
    fleet.write(reclaim);
    assert!(fleet.view.leases.is_empty() && fleet.view.orders.is_empty());

    is_late(&mut entered, "pve1");
    let (what, halt) = entered.decide().act.expect("overdue");
    assert_eq!(what, "pve1 is draining for more than 2100 s");
    entered.write(halt);
    let halt = entered.view.halt.clone().expect("halted");
    assert!(halt.value.next_action.contains("pve1"), "L3: {}", halt.value.next_action);
    assert_eq!(lease(&entered, "pve1").state, LeaseState::Entered, "it stays");
    is_late(&mut entered, "pve1");
    assert_eq!(entered.decide().act, None, "told once");
}

#[test]
fn l2_a_later_leader_renews_the_orders_of_the_former() {
    let mut fleet = Fleet::under_way();
    fleet.lead();
    let before = fleet.view.orders["pve1"].value.clone();
    fleet.write(Txn::new().delete(Key::Leader));
    let session = fleet.store.begin_session();
    let stands = super::stand(&fleet.view, "pve1", session, 0).expect("empty");
    fleet.write(stands);
    assert_eq!(fleet.lead(), ["ordering pve1"]);
    let after = &fleet.view.orders["pve1"].value;
    assert_eq!((&after.uid, &after.token), (&before.uid, &before.token), "the same order");
    assert!(after.epoch > before.epoch);
    let mut unsure = moment();
    unsure.same_history = crate::reading::Reading::Known(false);
    assert_eq!(super::decide(&fleet.view, "pve1", &unsure).act, None, "a restored store is not led");
}
