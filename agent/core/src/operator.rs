//! What people do to the fleet, as transactions: policy, plans, approval, start, pause, halt, force.
//!
//! It must never let a person skip what the store can check: each commits only on what the person saw.

use crate::audit::{self, Deed, Transition};
use crate::fleet::Policy;
use crate::lease::{self, Lease, Outcast};
use crate::plan::Plan;
use crate::rollout::{Approval, Ask, Halt, Rollout, RolloutState};
use crate::status::Blocker;
use crate::store::{Key, Record, Txn};
use crate::view::{Seen, View};

/// A person, and when they act by their own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Their name, from their certificate.
    pub name: String,
    /// Seconds since 1970.
    pub unix_seconds: u64,
}

impl Person {
    fn deed(&self, what: Transition, reason: &str) -> Deed {
        Deed::new(what, self.by(), reason, self.unix_seconds)
    }

    fn by(&self) -> String {
        format!("operator:{}", self.name)
    }
}

/// Gives the store its first incarnation, or a new one after it was restored. Tokens of the old one are void.
pub fn adopt(view: &View, person: &Person, incarnation: String, reason: &str) -> Txn<Key, Record> {
    let modified = view.incarnation.as_ref().map_or(0, |old| old.modified);
    let txn =
        Txn::new().if_modified(Key::Incarnation, modified).put(Key::Incarnation, Record::Incarnation(incarnation));
    chained(view, txn, person.deed(Transition::Adopted, reason))
}

/// Applies a policy; not while a rollout runs under the old one.
///
/// # Errors
/// Everything that is wrong with it, or the rollout that is under way.
pub fn apply_policy(
    view: &View,
    person: &Person,
    policy: Policy,
    reason: &str,
) -> Result<Txn<Key, Record>, Vec<Blocker>> {
    let mut wrong = policy.check();
    // A guest's lease is no rollout: the nodes of this one wait for its slot.
    if let Some(lease) = view.leases.values().find(|lease| lease.value.purpose.plan().is_some()) {
        let why = format!("{} is in maintenance under the policy applied before", lease.value.node);
        wrong.push(Blocker::new("fleet", "fleet", why, "wait for it, or: hardstand rollout abort"));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let modified = view.policy.as_ref().map_or(0, |old| old.modified);
    let txn = Txn::new().if_modified(Key::Fleet, modified).put(Key::Fleet, Record::Fleet(Box::new(policy)));
    Ok(chained(view, txn, person.deed(Transition::PolicyApplied, reason)))
}

/// Puts a plan beside the others. Its id is the SHA-256 of its text.
pub fn keep_plan(view: &View, person: &Person, id: &str, plan: Plan) -> Txn<Key, Record> {
    let key = Key::Plan(id.to_owned());
    let count = plan.nodes.len();
    let reason = format!("plan {} of {count} node{}", plan.name, if count == 1 { "" } else { "s" });
    let txn = Txn::new().if_absent(key.clone()).put(key, Record::Plan(Box::new(plan)));
    chained(view, txn, person.deed(Transition::Planned, &reason).of_plan(id))
}

/// Approves a plan that lies in the store.
pub fn approve(view: &View, person: &Person, plan: &Seen<Plan>, id: &str, reason: &str) -> Txn<Key, Record> {
    let approval = Approval { plan: id.to_owned(), by: person.by(), reason: reason.to_owned() };
    let txn = Txn::new()
        .if_modified(Key::Plan(id.to_owned()), plan.modified)
        .put(Key::Approval(id.to_owned()), Record::Approval(approval));
    chained(view, txn, person.deed(Transition::Approved, reason).of_plan(id))
}

/// Approves a plan by an open window whose rule it matches. `person` is who starts it.
pub fn approve_by_window(view: &View, person: &Person, plan: &Seen<Plan>, id: &str, window: &str) -> Txn<Key, Record> {
    let by = format!("window:{window}");
    let reason = format!("what window {window} of the policy approves, started by {}", person.name);
    let approval = Approval { plan: id.to_owned(), by: by.clone(), reason: reason.clone() };
    let fleet = view.policy.as_ref().map_or(0, |policy| policy.modified);
    let txn = Txn::new()
        .if_modified(Key::Plan(id.to_owned()), plan.modified)
        .if_modified(Key::Fleet, fleet)
        .if_absent(Key::Approval(id.to_owned()))
        .put(Key::Approval(id.to_owned()), Record::Approval(approval));
    chained(view, txn, Deed::new(Transition::Approved, by, reason, person.unix_seconds).of_plan(id))
}

/// Starts an approved plan: none is under way, and none with its serial or a higher one ran before (S10).
///
/// # Errors
/// Why not.
pub fn start(view: &View, person: &Person, id: &str, reason: &str) -> Result<Txn<Key, Record>, Vec<Blocker>> {
    let mut wrong = Vec::new();
    let plan = view.plans.get(id).map(|plan| &plan.value);
    let approval = view.approvals.get(id);
    if plan.is_none() {
        wrong.push(Blocker::new("plan", id, "no such plan is in the store", "hardstand rollout plan"));
    }
    if approval.is_none() {
        wrong.push(Blocker::new("approval", id, "the plan is not approved", format!("hardstand rollout approve {id}")));
    }
    if let Some(halt) = &view.halt {
        wrong.push(Blocker::new("halt", "fleet", &halt.value.reason, &halt.value.next_action));
    }
    if let Some(now) = view.rollout.as_ref().map(|rollout| &rollout.value) {
        let over = matches!(now.state, RolloutState::Finished | RolloutState::Aborted);
        if !over {
            let why = format!("rollout {} is {}", now.name, now.state.word());
            wrong.push(Blocker::new("rollout", &now.name, why, "wait for it, or: hardstand rollout abort"));
        }
        if let Some(plan) = plan.filter(|plan| plan.serial <= now.serial) {
            let why = format!("plan {} is not newer than the last rollout's ({})", plan.serial, now.serial);
            wrong.push(Blocker::new("plan", id, why, "plan anew: hardstand rollout plan"));
        }
    }
    // A guest's lease is no rollout: the nodes of this one wait for its slot.
    if let Some(lease) = view.leases.values().find(|lease| lease.value.purpose.plan().is_some()) {
        let why = format!("{} still holds a lease", lease.value.node);
        wrong.push(Blocker::new("lease", &lease.value.node, why, "wait for it, or see: hardstand lease list"));
    }
    let (Some(plan), Some(approval), true) = (plan, approval, wrong.is_empty()) else { return Err(wrong) };
    let rollout = Rollout {
        plan: id.to_owned(),
        name: plan.name.clone(),
        serial: plan.serial,
        state: RolloutState::Running,
        by: person.by(),
        reason: reason.to_owned(),
        started_unix_seconds: person.unix_seconds,
    };
    let modified = view.rollout.as_ref().map_or(0, |rollout| rollout.modified);
    let txn = Txn::new()
        .if_absent(Key::Halt)
        .if_modified(Key::Rollout, modified)
        .if_modified(Key::Approval(id.to_owned()), approval.modified)
        .put(Key::Rollout, Record::Rollout(rollout));
    Ok(chained(view, txn, person.deed(Transition::Started, reason).of_plan(id)))
}

/// Pauses, resumes or aborts the rollout under way.
///
/// # Errors
/// Why it cannot go into that state.
pub fn set_state(
    view: &View,
    person: &Person,
    state: RolloutState,
    reason: &str,
) -> Result<Txn<Key, Record>, Vec<Blocker>> {
    let refused = |why: String, way_out: &str| Err(vec![Blocker::new("rollout", "fleet", why, way_out)]);
    let Some(now) = &view.rollout else {
        return refused("no rollout is under way".to_owned(), "hardstand rollout start");
    };
    let what = match (now.value.state, state) {
        (RolloutState::Running, RolloutState::Paused) => Transition::Paused,
        (RolloutState::Paused, RolloutState::Running) => Transition::Resumed,
        (RolloutState::Running | RolloutState::Paused, RolloutState::Aborted) => Transition::Aborted,
        (from, to) => {
            let why = format!("the rollout is {}, it cannot become {}", from.word(), to.word());
            return refused(why, "hardstand rollout history");
        }
    };
    let rollout = Rollout { state, by: person.by(), reason: reason.to_owned(), ..now.value.clone() };
    let txn = Txn::new().if_modified(Key::Rollout, now.modified).put(Key::Rollout, Record::Rollout(rollout));
    Ok(chained(view, txn, person.deed(what, reason).of_plan(&now.value.plan)))
}

/// Stops everything. `None`: it is halted already.
pub fn halt(view: &View, person: &Person, reason: &str) -> Option<Txn<Key, Record>> {
    if view.halt.is_some() {
        return None;
    }
    let halt = Halt {
        reason: reason.to_owned(),
        next_action: "when it may go on: hardstand halt --lift".to_owned(),
        by: person.by(),
        node: None,
        at_unix_seconds: person.unix_seconds,
    };
    let txn = Txn::new().if_absent(Key::Halt).put(Key::Halt, Record::Halt(halt));
    Some(chained(view, txn, person.deed(Transition::Halted, reason)))
}

/// Lifts exactly the halt that was seen (S5). `None`: there is none.
pub fn lift(view: &View, person: &Person, reason: &str) -> Option<Txn<Key, Record>> {
    let halt = view.halt.as_ref()?;
    let txn = Txn::new().if_modified(Key::Halt, halt.modified).delete(Key::Halt);
    Some(chained(view, txn, person.deed(Transition::Lifted, reason)))
}

/// Takes a lease from a node that cannot give it back itself. Safe only if the node is off for sure: the person says how
/// they know. The node counts as down until it proves itself (S12).
pub fn force_release(
    view: &View,
    person: &Person,
    held: &Seen<Lease>,
    reason: &str,
    evidence: &str,
) -> Txn<Key, Record> {
    let token = held.value.token(held.created);
    let outcast =
        Outcast { token: token.clone(), by: person.by(), reason: reason.to_owned(), evidence: evidence.to_owned() };
    let deed = person
        .deed(Transition::ForceReleased, &format!("{reason}; evidence: {evidence}"))
        .to(&held.value.node)
        .under(&token);
    chained(view, lease::force_release(&token, &held.value, outcast), deed)
}

/// Asks all agents to refresh their package lists. Changes nothing of the fleet, so it has no audit record.
pub fn ask_refresh(view: &View) -> Txn<Key, Record> {
    let (refresh, modified) = view.ask.as_ref().map_or((0, 0), |ask| (ask.value.refresh, ask.modified));
    Txn::new().if_modified(Key::Ask, modified).put(Key::Ask, Record::Ask(Ask { refresh: refresh + 1 }))
}

fn chained(view: &View, txn: Txn<Key, Record>, deed: Deed) -> Txn<Key, Record> {
    let (head, modified) = view.audit_head();
    audit::record(txn, (&head, modified), deed)
}
