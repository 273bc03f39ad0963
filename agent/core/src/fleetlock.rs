//! FleetLock v1: reboots of machines that know nothing of us, under leases of ours. What a request asks, and what the
//! leader answers: a pure function of the fleet's view.
//!
//! It must never take a guest's lease back by time: an overdue one halts, as any other (S12).

use crate::audit::{self, Deed, Transition};
use crate::fleet::Policy;
use crate::leader::Moment;
use crate::lease::{self, Lease, LeaseState, Purpose, Reign};
use crate::phase::Phase;
use crate::reading::Reading;
use crate::safety;
use crate::status::Blocker;
use crate::step::bad_gates;
use crate::store::{Key, Record, Txn};
use crate::view::{Seen, View};
use crate::window::Opening;

/// The longest id; a machine id has 32 characters.
const ID_LIMIT: usize = 128;

/// Who asks, for which group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The group.
    pub group: String,
    /// The client's id.
    pub id: String,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// `/v1/pre-reboot`: a slot.
    PreReboot,
    /// `/v1/steady-state`: no slot any more.
    SteadyState,
}

/// A refusal: the status and body of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// One of few words, for counting.
    pub kind: &'static str,
    /// A sentence for people.
    pub value: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(status: u16, kind: &'static str, value: impl Into<String>) -> Self {
        Self { status, kind, value: value.into() }
    }

    /// The store or the leader cannot be had now.
    pub fn out_of_reach(why: impl Into<String>) -> Self {
        Self::new(503, "no_quorum", why)
    }
}

/// What to do about a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// 200: it is as it should be.
    Granted,
    /// 200 once this is committed.
    Commit(Txn<Key, Record>),
    /// Not now, or never.
    Refused(Refusal),
}

impl Guest {
    /// Checks what came in: the header's value, the group and the id of the body.
    ///
    /// # Errors
    /// Status 400, with which part is wrong.
    pub fn new(header: Option<&str>, group: &str, id: &str) -> Result<Self, Refusal> {
        if header != Some("true") {
            return Err(Refusal::new(400, "missing_header", "the header fleet-lock-protocol: true is missing"));
        }
        let identity = |value: &str| Err(Refusal::new(400, "invalid_client_identity", value));
        let plain = |char: char| char.is_ascii_alphanumeric() || char == '.' || char == '-';
        if group.is_empty() || !group.chars().all(plain) {
            return identity("client_params.group must be of letters, digits, '.' and '-'");
        }
        if id.is_empty() || id.len() > ID_LIMIT || id.chars().any(char::is_control) {
            return identity("client_params.id must be of 1 to 128 characters");
        }
        Ok(Self { group: group.to_owned(), id: id.to_owned() })
    }

    fn purpose(&self) -> Purpose {
        Purpose::FleetLock(self.id.clone())
    }
}

/// Where guests reach the leader when that is another node than `me`: `name:port`, with the port of the policy. `None`: `me`
/// leads, or nobody does, or the policy hears no guests.
pub fn elsewhere(view: &View, me: &str) -> Option<String> {
    let leader = &view.leader.as_ref()?.value.node;
    let (_, port) = view.policy.as_ref()?.value.fleetlock.as_ref()?.listen.rsplit_once(':')?;
    (leader != me).then(|| format!("{leader}:{port}"))
}

/// What the leader answers. `leader` is this node's name.
pub fn decide(view: &View, guest: &Guest, wish: Wish, leader: &str, moment: &Moment) -> Verdict {
    let (Some(throne), Some(incarnation)) = (&view.leader, &view.incarnation) else {
        return Verdict::Refused(Refusal::out_of_reach("there is no leader now; ask again"));
    };
    let sure = view.is_in_touch(moment.now_ms) && moment.same_history == Reading::Known(true);
    if throne.value.node != leader || !sure {
        return Verdict::Refused(Refusal::out_of_reach("the store is out of reach; ask again"));
    }
    let Some(policy) = view.policy.as_ref().map(|policy| &policy.value) else {
        return Verdict::Refused(Refusal::new(400, "unknown_group", "no policy is applied"));
    };
    let Some(fleetlock) = policy.fleetlock.as_ref().filter(|rules| rules.ids.contains(&guest.id)) else {
        let value = format!("{} is not in [fleetlock] ids of the policy", guest.id);
        return Verdict::Refused(Refusal::new(400, "invalid_client_identity", value));
    };
    let reign = Reign { epoch: throne.created, incarnation_modified: incarnation.modified };
    let court = Court { view, policy, guest, moment, reign };
    let held = view.leases.values().find(|lease| lease.value.purpose == guest.purpose());
    match (wish, held) {
        (Wish::PreReboot, Some(held)) if held.value.group == guest.group => Verdict::Granted,
        (Wish::PreReboot, Some(held)) => {
            let value = format!("{} holds a slot of group {}", guest.id, held.value.group);
            Verdict::Refused(Refusal::new(423, "slots_full", value))
        }
        (Wish::PreReboot, None) => court.grant(&incarnation.value, fleetlock.deadline_seconds),
        (Wish::SteadyState, Some(held)) => court.release(held),
        (Wish::SteadyState, None) => match policy.group(&guest.group) {
            Some(_) => Verdict::Granted,
            None => Verdict::Refused(court.unknown_group()),
        },
    }
}

struct Court<'a> {
    view: &'a View,
    policy: &'a Policy,
    guest: &'a Guest,
    moment: &'a Moment,
    reign: Reign,
}

impl Court<'_> {
    fn unknown_group(&self) -> Refusal {
        Refusal::new(400, "unknown_group", format!("the policy has no group {}", self.guest.group))
    }

    fn grant(&self, incarnation: &str, deadline_seconds: u64) -> Verdict {
        let Some(group) = self.policy.group(&self.guest.group) else {
            return Verdict::Refused(self.unknown_group());
        };
        if let Some(refusal) = self.closed() {
            return Verdict::Refused(refusal);
        }
        let now_ms = self.moment.now_ms;
        let taken = |slot: &u32| self.view.leases.contains_key(&(group.name.clone(), *slot));
        let full = safety::slots(self.view, group, &self.guest.id, false, now_ms);
        let (Some(slot), []) = ((0..group.max_down).find(|slot| !taken(slot)), full.as_slice()) else {
            let value = full.first().map_or_else(|| format!("every slot of {} is taken", group.name), told);
            return Verdict::Refused(Refusal::new(423, "slots_full", value));
        };
        let nodes = group.nodes.iter().filter_map(|node| self.view.reports.get(node));
        let bad = nodes.filter(|report| self.view.lease_of(&report.value.node).is_none()).find_map(|report| {
            let findings = bad_gates(&report.value.findings, None, &self.policy.gates.tolerate);
            findings.first().map(|brief| format!("{}: {}", report.value.node, brief.summary))
        });
        if let Some(value) = bad {
            return Verdict::Refused(Refusal::new(409, "health_gate", value));
        }
        let lease = Lease {
            node: self.guest.id.clone(),
            group: group.name.clone(),
            slot,
            purpose: self.guest.purpose(),
            // A guest tells nobody when it begins, so it counts as away at once and is never reclaimed.
            state: LeaseState::Entered,
            phase: Phase::Idle,
            incarnation: incarnation.to_owned(),
            epoch: self.reign.epoch,
            deadline_seconds,
            boot_id_before: None,
        };
        let rollout = self.view.rollout.as_ref().map_or(0, |rollout| rollout.modified);
        let txn = lease::grant(&self.reign, rollout, lease, &[]);
        self.chained(txn, Transition::Granted, &format!("a guest of group {} asked", group.name))
    }

    /// A halt, or no window.
    fn closed(&self) -> Option<Refusal> {
        if let Some(halt) = &self.view.halt {
            return Some(Refusal::new(409, "rollout_halted", &halt.value.reason));
        }
        match &self.moment.opening {
            Opening::Closed { next: Some((name, when)) } => {
                Some(Refusal::new(409, "outside_window", format!("window {name} opens {when}")))
            }
            Opening::Closed { next: None } => {
                Some(Refusal::new(409, "outside_window", "no window opens within a year"))
            }
            Opening::Always | Opening::Open { .. } => None,
        }
    }

    fn release(&self, held: &Seen<Lease>) -> Verdict {
        let token = held.value.token(held.created);
        let txn = lease::release(&token, held.value.key(), self.reign.incarnation_modified);
        self.chained(txn, Transition::Released, "the guest is steady")
    }

    fn chained(&self, txn: Txn<Key, Record>, what: Transition, reason: &str) -> Verdict {
        let by = format!("fleetlock:{}", self.guest.id);
        let deed = Deed::new(what, by, reason, self.moment.unix_seconds).to(&self.guest.id);
        let (head, modified) = self.view.audit_head();
        Verdict::Commit(audit::record(txn, (&head, modified), deed))
    }
}

fn told(blocker: &Blocker) -> String {
    format!("{} ({})", blocker.why, blocker.way_out)
}

#[cfg(test)]
mod tests;
