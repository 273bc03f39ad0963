//! What the leader does next: a pure function of the fleet's view (design §7).
//!
//! It must never write without its epoch (S9), and never wait without a reason that people can read.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::{self, Deed, Transition};
use crate::fleet::Group;
use crate::lease::{self, Lease, LeaseState, Purpose, Reign};
use crate::phase::Phase;
use crate::plan::Plan;
use crate::reading::Reading;
use crate::rollout::{Halt, LeaderRecord, Order, Rollout, RolloutState};
use crate::safety;
use crate::status::Blocker;
use crate::store::{Key, Record, SessionId, Txn};
use crate::view::{Seen, View};
use crate::window::Opening;

#[cfg(test)]
mod tests;

/// A node that waits, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Waiting {
    /// The node.
    pub node: String,
    /// Why, and what would end it.
    pub blockers: Vec<Blocker>,
}

/// One turn of the leader: at most one act, because each act chains to the one before it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LeaderTurn {
    /// What to commit, and what it is, in a few words.
    pub act: Option<(String, Txn<Key, Record>)>,
    /// Who waits for what.
    pub waiting: Vec<Waiting>,
}

/// Moments of a turn, and where windows stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since this boot.
    pub now_ms: u64,
    /// Seconds since 1970, for records that people read.
    pub unix_seconds: u64,
    /// Where the policy's windows stand.
    pub opening: Opening,
    /// Whether the store still has the last audit record this node saw; if not, it was restored.
    pub same_history: Reading<bool>,
}

/// Takes the empty throne, bound to the session.
pub fn stand(view: &View, node: &str, session: SessionId, unix_seconds: u64) -> Option<Txn<Key, Record>> {
    let incarnation = view.incarnation.as_ref()?;
    if view.leader.is_some() {
        return None;
    }
    let record = Record::Leader(LeaderRecord { node: node.to_owned() });
    let txn = Txn::new().if_absent(Key::Leader).if_modified(Key::Incarnation, incarnation.modified).put_in_session(
        Key::Leader,
        record,
        session,
    );
    let deed = Deed::new(Transition::Led, format!("node:{node}"), "the throne was empty", unix_seconds).to(node);
    Some(chained(view, txn, deed))
}

/// What `node` does as the leader; nothing when it does not lead.
pub fn decide(view: &View, node: &str, moment: &Moment) -> LeaderTurn {
    let (Some(leader), Some(incarnation)) = (&view.leader, &view.incarnation) else { return LeaderTurn::default() };
    let sure = view.is_in_touch(moment.now_ms) && moment.same_history == Reading::Known(true);
    if leader.value.node != node || !sure {
        return LeaderTurn::default();
    }
    let reign = Reign { epoch: leader.created, incarnation_modified: incarnation.modified };
    let court = Throne { view, node, moment, reign };
    if let Some(act) = court.overdue().or_else(|| court.reclaim()) {
        return LeaderTurn { act: Some(act), waiting: Vec::new() };
    }
    let Some((rollout, plan)) = view.plan() else { return LeaderTurn::default() };
    if let Some(act) = court.renew(rollout) {
        return LeaderTurn { act: Some(act), waiting: Vec::new() };
    }
    if rollout.value.state != RolloutState::Running {
        return LeaderTurn::default();
    }
    court.advance(rollout, plan)
}

struct Throne<'a> {
    view: &'a View,
    node: &'a str,
    moment: &'a Moment,
    reign: Reign,
}

impl Throne<'_> {
    /// An entered lease that was not written again within its limit halts the fleet; it stays (S12, L4).
    fn overdue(&self) -> Option<(String, Txn<Key, Record>)> {
        if self.view.halt.is_some() {
            return None;
        }
        let late = self.view.leases.values().find(|lease| {
            lease.value.state == LeaseState::Entered && self.is_over(lease, lease.value.deadline_seconds)
        })?;
        let Lease { node, phase, deadline_seconds, .. } = &late.value;
        let reason = format!("{node} is {phase} for more than {deadline_seconds} s");
        let halt = Halt {
            reason: reason.clone(),
            next_action: format!(
                "look at {node}; when it is well: hardstand halt --lift; if it is off for good: hardstand lease release --force"
            ),
            by: format!("leader:{}", self.node),
            node: Some(node.clone()),
            at_unix_seconds: self.moment.unix_seconds,
        };
        let txn = self
            .reign
            .txn()
            .if_absent(Key::Halt)
            .if_modified(late.value.key(), late.modified)
            .put(Key::Halt, Record::Halt(halt));
        let deed = self.deed(Transition::Halted, reason.clone()).to(node).under(&late.value.token(late.created));
        Some((reason, chained(self.view, txn, deed)))
    }

    /// A lease that was granted and not entered in time is taken back.
    fn reclaim(&self) -> Option<(String, Txn<Key, Record>)> {
        let late = self.view.leases.values().find(|lease| {
            lease.value.state == LeaseState::Granted && self.is_over(lease, lease.value.deadline_seconds)
        })?;
        let node = &late.value.node;
        let what = format!("taking back the lease {node} did not enter");
        let txn = lease::reclaim(&self.reign, &late.value, late.modified);
        let deed =
            self.deed(Transition::Reclaimed, "not entered in time").to(node).under(&late.value.token(late.created));
        Some((what, chained(self.view, txn, deed)))
    }

    fn is_over(&self, lease: &Seen<Lease>, limit_seconds: u64) -> bool {
        let since_ms = self.view.lifted_ms.map_or(lease.changed_ms, |lifted| lifted.max(lease.changed_ms));
        self.moment.now_ms.saturating_sub(since_ms) > limit_seconds.saturating_mul(1_000)
    }

    /// Every lease of this plan has an order of this leader and of this revision of the rollout.
    fn renew(&self, rollout: &Seen<Rollout>) -> Option<(String, Txn<Key, Record>)> {
        if self.view.halt.is_some() || rollout.value.state != RolloutState::Running {
            return None;
        }
        self.view.leases.values().find_map(|lease| {
            let plan = lease.value.purpose.plan().filter(|plan| *plan == rollout.value.plan)?;
            let node = &lease.value.node;
            let token = lease.value.token(lease.created);
            let order = Order {
                uid: Order::uid(plan, &token),
                node: node.clone(),
                plan: plan.to_owned(),
                token: token.clone(),
                epoch: self.reign.epoch,
                rollout_modified: rollout.modified,
            };
            if self.view.orders.get(node).is_some_and(|given| given.value == order) {
                return None;
            }
            let deed = self.deed(Transition::Ordered, "its part of the plan").to(node).under(&token).of_plan(plan);
            let txn = lease::order(&self.reign, lease.value.key(), order);
            Some((format!("ordering {node}"), chained(self.view, txn, deed)))
        })
    }

    /// Grants the next node of each group that may go, in the plan's order; or says who waits for what.
    fn advance(&self, rollout: &Seen<Rollout>, plan: &Seen<Plan>) -> LeaderTurn {
        let mut waiting = Vec::new();
        let mut blocked_groups: BTreeSet<&str> = BTreeSet::new();
        let first = (rollout.value.plan.clone(), String::new());
        let of_plan = self.view.done.range(first..).take_while(|((plan, _), _)| *plan == rollout.value.plan);
        let done: BTreeSet<&str> = of_plan.map(|((_, node), _)| node.as_str()).collect();
        let leased: BTreeSet<&str> = self.view.leases.values().map(|lease| lease.value.node.as_str()).collect();
        let policy = self.view.policy.as_ref().map(|policy| &policy.value);
        let groups: BTreeMap<&str, &Group> =
            policy.iter().flat_map(|policy| &policy.groups).map(|group| (group.name.as_str(), group)).collect();
        let mut open = false;
        for part in &plan.value.nodes {
            if done.contains(part.node.as_str()) {
                continue;
            }
            open = true;
            if blocked_groups.contains(part.group.as_str()) || leased.contains(part.node.as_str()) {
                // Its turn is now, or comes after one of its group that waits.
                continue;
            }
            let group = groups.get(part.group.as_str()).copied();
            let blockers = safety::blockers_in(self.view, group, part, &self.moment.opening, self.moment.now_ms);
            if blockers.is_empty()
                && let Some(act) = self.grant(rollout, plan, part)
            {
                return LeaderTurn { act: Some(act), waiting };
            }
            blocked_groups.insert(&part.group);
            waiting.push(Waiting { node: part.node.clone(), blockers });
        }
        if open {
            return LeaderTurn { act: None, waiting };
        }
        LeaderTurn { act: Some(self.finish(rollout)), waiting }
    }

    fn grant(
        &self,
        rollout: &Seen<Rollout>,
        plan: &Seen<Plan>,
        part: &crate::plan::NodePlan,
    ) -> Option<(String, Txn<Key, Record>)> {
        let policy = &self.view.policy.as_ref()?.value;
        let group = policy.group(&part.group)?;
        let taken = |slot: &u32| self.view.leases.contains_key(&(group.name.clone(), *slot));
        let slot = (0..group.max_down).find(|slot| !taken(slot))?;
        let limits = &plan.value.timeouts;
        let lease = Lease {
            node: part.node.clone(),
            group: group.name.clone(),
            slot,
            purpose: Purpose::Plan(rollout.value.plan.clone()),
            state: LeaseState::Granted,
            phase: Phase::Idle,
            incarnation: self.view.incarnation.as_ref()?.value.clone(),
            epoch: self.reign.epoch,
            deadline_seconds: limits.grant_seconds + limits.stage_seconds,
            boot_id_before: None,
        };
        let all: Vec<u32> = if part.alone { (0..group.max_down).collect() } else { Vec::new() };
        let txn = lease::grant(&self.reign, rollout.modified, lease, &all);
        let deed = self
            .deed(Transition::Granted, format!("every gate of group {} is good", group.name))
            .to(&part.node)
            .of_plan(&rollout.value.plan);
        Some((format!("granting {}", part.node), chained(self.view, txn, deed)))
    }

    fn finish(&self, rollout: &Seen<Rollout>) -> (String, Txn<Key, Record>) {
        let reason = "every node is done".to_owned();
        let finished = Rollout { state: RolloutState::Finished, reason: reason.clone(), ..rollout.value.clone() };
        let txn =
            self.reign.txn().if_modified(Key::Rollout, rollout.modified).put(Key::Rollout, Record::Rollout(finished));
        let deed = self.deed(Transition::Finished, reason).of_plan(&rollout.value.plan);
        ("finishing the rollout".to_owned(), chained(self.view, txn, deed))
    }

    fn deed(&self, what: Transition, reason: impl Into<String>) -> Deed {
        Deed::new(what, format!("leader:{}", self.node), reason, self.moment.unix_seconds)
    }
}

fn chained(view: &View, txn: Txn<Key, Record>, deed: Deed) -> Txn<Key, Record> {
    let (head, modified) = view.audit_head();
    audit::record(txn, (&head, modified), deed)
}
