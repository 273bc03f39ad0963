//! What a node does next: a pure function of its journal, its view of the fleet and what was seen on the host (design §6).
//!
//! Invariant: each disruptive act comes with the transaction that permits it (S3); every step onward rests on what was
//! seen, never on what was asked (S7, S8); whatever is not known is waited for, and past its limit it halts.

mod journey;

#[cfg(test)]
mod tests;

use crate::audit::{self, AuditHead, Deed, Transition};
use crate::journal::{Denied, Journal, Journey, KnownStore, REBOOT_ATTEMPTS};
use crate::lease::{self, Lease, LeaseState, Outcast};
use crate::phase::{Event, Phase};
use crate::plan::{NodePlan, RebootKind};
use crate::reading::Reading;
use crate::rollout::{Done, Halt, Order, RolloutState};
use crate::status::{Brief, Hold};
use crate::store::{Key, Record, Txn};
use crate::view::{Seen, View};

/// An act may begin this long after the answer to its permit, in milliseconds (S3).
pub const PERMIT_MS: u64 = 5_000;

/// Who decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The node.
    pub node: String,
}

impl Identity {
    fn by(&self) -> String {
        format!("node:{}", self.node)
    }
}

/// One thing to do to the host. It can be repeated; it leaves no choice to what does it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Fetch the exact package files and check that there is room. Changes nothing that runs.
    Stage,
    /// Run hooks and stop what the node declares.
    Drain,
    /// Install the exact set.
    Patch,
    /// Set the next boot entry and restart as planned.
    Reboot,
    /// Start again what the drain stopped, and run hooks.
    Restore,
}

impl Step {
    /// The word used everywhere.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Drain => "drain",
            Self::Patch => "patch",
            Self::Reboot => "reboot",
            Self::Restore => "restore",
        }
    }
}

/// Where the act of the present phase is, as its executor knows it. A restarted agent knows of none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActState {
    /// Not begun since this agent started, or since the last hold ended.
    None,
    /// Under way.
    Running,
    /// Ended well, by its own word.
    Ended,
    /// Failed.
    Failed {
        /// Why.
        why: String,
        /// What a person can do.
        next_action: String,
    },
}

/// What the package database says of a plan's set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageState {
    /// Every planned version is the installed one.
    pub installed: bool,
    /// Nothing is half-configured, half-installed or waiting for triggers (S17).
    pub whole: bool,
    /// The planned kernel has its boot entry (S17). True where none is planned.
    pub boot_entry: bool,
}

/// What was seen on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Milliseconds since this boot (CLOCK_BOOTTIME).
    pub now_ms: u64,
    /// Seconds since 1970, for records that people read.
    pub unix_seconds: u64,
    /// This boot.
    pub boot_id: String,
    /// The running kernel's release.
    pub kernel: Reading<String>,
    /// Whether everything that should start has started.
    pub boot_complete: Reading<bool>,
    /// When user space started, in milliseconds since this boot; a soft reboot moves it.
    pub userspace_since_ms: Reading<u64>,
    /// Findings that are at least a warning, or block.
    pub findings: Vec<Brief>,
    /// Since when no finding blocks and none is worse than the baseline; `None`: one is.
    pub gates_good_since_ms: Option<u64>,
    /// The act of the present phase.
    pub act: ActState,
    /// Whether nothing that is to be drained still serves.
    pub drained: Reading<bool>,
    /// Whether everything that was drained serves again.
    pub restored: Reading<bool>,
    /// The plan's packages.
    pub packages: Reading<PackageState>,
    /// Whether the store still has the last audit record this node saw; if not, it was restored.
    pub same_history: Reading<bool>,
}

/// What a decision looks at besides a pass and its findings: nothing else is asked of the host, in the agent as in the
/// simulator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Questions {
    /// [`Facts::drained`].
    pub drained: bool,
    /// [`Facts::restored`].
    pub restored: bool,
    /// [`Facts::packages`].
    pub packages: bool,
    /// [`Facts::userspace_since_ms`].
    pub userspace: bool,
}

impl Questions {
    /// What the present phase asks; nothing while no journey is under way.
    pub fn of(journal: &Journal, act: &ActState) -> Self {
        let none = Self::default();
        let Some(journey) = &journal.journey else { return none };
        match journal.phase {
            // Before a drain is asked again: has anything left?
            Phase::Draining => Self { drained: true, restored: *act == ActState::None, ..none },
            Phase::Patching | Phase::Patched => Self { packages: true, ..none },
            Phase::RebootArmed => {
                Self { packages: true, userspace: journey.part.reboot.kind == RebootKind::SoftReboot, ..none }
            }
            Phase::Restoring => Self { restored: true, ..none },
            _ => none,
        }
    }
}

/// What to do now. The executor does it whole, in the order of the fields, and decides again.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// Nothing, for this reason.
    Wait(String),
    /// Write the journal.
    Write(Journal),
    /// Commit; when committed, write the journal.
    Commit {
        /// The transaction.
        txn: Txn<Key, Record>,
        /// The journal afterwards.
        then: Journal,
    },
    /// Commit the permit if there is one, write the journal, begin the step within [`PERMIT_MS`] of the permit's answer.
    Act {
        /// The permit.
        permit: Option<Txn<Key, Record>>,
        /// The journal afterwards.
        journal: Journal,
        /// The step.
        step: Step,
    },
}

/// What the node does next.
pub fn decide(journal: &Journal, view: &View, facts: &Facts, me: &Identity) -> Turn {
    let court = Court { journal, view, facts, me };
    if let Some(turn) = court.held() {
        return turn;
    }
    match &journal.journey {
        None => court.idle(),
        Some(journey) => court.travel(journey),
    }
}

/// Since when gates are good, kept from turn to turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Streak {
    since_ms: Option<u64>,
}

impl Streak {
    /// Notes whether the gates are good now, and gives since when they are.
    pub fn note(&mut self, good: bool, now_ms: u64) -> Option<u64> {
        self.since_ms = if good { self.since_ms.or(Some(now_ms)) } else { None };
        self.since_ms
    }
}

/// The findings that keep a node from going on: those that block and are not tolerated, and those that are worse than
/// the baseline, where there is one.
pub fn bad_gates<'a>(findings: &'a [Brief], baseline: Option<&[Brief]>, tolerate: &[String]) -> Vec<&'a Brief> {
    findings
        .iter()
        .filter(|brief| !is_tolerated(brief, tolerate))
        .filter(|brief| brief.blocks || baseline.is_some_and(|baseline| is_worse(brief, baseline)))
        .collect()
}

/// Whether the policy takes a finding as it is: by its check, or by `CHECK:SUBJECT`.
pub(crate) fn is_tolerated(brief: &Brief, tolerate: &[String]) -> bool {
    tolerate.iter().any(|name| *name == brief.check || *name == format!("{}:{}", brief.check, brief.subject))
}

/// Checks whose warnings are an update's doing until a person has looked: a service or a link that was well before and is
/// not now. Other warnings come and go by themselves (load, temperature, the clock after a boot).
const BROKEN_BY_UPDATES: [&str; 3] = ["systemd.failed_unit", "nic.link", "nic.speed"];

/// How units begin that do one step of ours. That such a run failed is a hold of its own, and a person has lifted it.
const OWN_RUNS: [&str; 3] = ["hardstand-stage-", "hardstand-patch-", "hardstand-reboot-"];

/// Whether a unit does one step of ours.
pub fn is_own_run(unit: &str) -> bool {
    OWN_RUNS.iter().any(|start| unit.starts_with(start))
}

/// Whether a finding was not so bad before, and is unknown or critical, or a warning that updates cause.
pub fn is_worse(now: &Brief, baseline: &[Brief]) -> bool {
    use crate::health::Severity;
    let counts = BROKEN_BY_UPDATES.contains(&now.check.as_str()) && !is_own_run(&now.subject);
    let counts_from = if counts { Severity::Warn } else { Severity::Unknown };
    let before = baseline.iter().find(|before| before.check == now.check && before.subject == now.subject);
    now.severity >= counts_from && before.is_none_or(|before| before.severity < now.severity)
}

/// One decision: everything it looks at.
struct Court<'a> {
    journal: &'a Journal,
    view: &'a View,
    facts: &'a Facts,
    me: &'a Identity,
}

impl Court<'_> {
    /// A node that stands still says so once, and goes on when a person has lifted the halt.
    fn held(&self) -> Option<Turn> {
        let hold = self.journal.hold.as_ref()?;
        let wait = || Turn::Wait(format!("held: {}; {}", hold.reason, hold.next_action));
        let mut then = self.journal.clone();
        match (&self.view.halt, hold.told) {
            (_, false) | (None, true) if !self.can_commit() => Some(wait()),
            (Some(_), false) => {
                then.hold = Some(Hold { told: true, ..hold.clone() });
                Some(Turn::Write(then))
            }
            (None, false) => {
                then.hold = Some(Hold { told: true, ..hold.clone() });
                let (txn, head) = self.halt(hold);
                then.seen = self.known(head);
                Some(Turn::Commit { txn, then })
            }
            (Some(_), true) => Some(wait()),
            (None, true) => {
                then.hold = None;
                if let Some(journey) = &mut then.journey {
                    journey.reboots = 0;
                    journey.phase_since_ms = self.facts.now_ms;
                    journey.phase_boot_id.clone_from(&self.facts.boot_id);
                }
                Some(Turn::Write(then))
            }
        }
    }

    /// With nothing under way: prove an outcast, or take an order.
    fn idle(&self) -> Turn {
        if !self.can_commit() {
            return Turn::Wait("the store is out of reach, or was restored; nothing new is begun".to_owned());
        }
        if let Some(outcast) = self.view.outcasts.get(&self.me.node) {
            return self.rejoin(outcast);
        }
        let Some(order) = self.view.orders.get(&self.me.node) else {
            return Turn::Wait("no order".to_owned());
        };
        if let Some(hold) = self.denied(&order.value) {
            return Turn::Write(Journal { hold: Some(hold), ..self.journal.clone() });
        }
        match self.accepted(&order.value) {
            Ok(journey) => {
                let mut then = self.journal.clone();
                let serial = self.view.plans.get(&order.value.plan).map_or(0, |plan| plan.value.serial);
                then.plan_floor = then.plan_floor.max(serial);
                then.phase = Phase::Gated;
                then.journey = Some(journey);
                Turn::Write(then)
            }
            Err(why) => Turn::Wait(why),
        }
    }

    /// An order for a set that did not come up before halts: a person allows it, or plans without it.
    fn denied(&self, order: &Order) -> Option<Hold> {
        let part = self.view.plans.get(&order.plan)?.value.of(&self.me.node)?;
        let set = part.packages.id();
        let denied = self.journal.denial(&set)?;
        (!self.journal.has_finished(&order.uid)).then(|| Hold {
            reason: format!("{} is asked to install a set that failed here before: {}", self.me.node, denied.why),
            next_action: format!(
                "hardstand rollout abort and plan without it; or, on {}: hardstand node allow {}; then lift the halt",
                self.me.node,
                set.get(..12).unwrap_or(&set)
            ),
            told: false,
        })
    }

    /// An order that may be begun, as a journey; or why not.
    fn accepted(&self, order: &Order) -> Result<Journey, String> {
        if self.journal.has_finished(&order.uid) {
            return Err("the last order is done".to_owned());
        }
        let rollout = self.view.rollout.as_ref().filter(|rollout| rollout.value.plan == order.plan);
        let rollout = rollout.ok_or("the order is of no rollout under way")?;
        if rollout.value.state != RolloutState::Running {
            return Err(format!("the rollout is {}", rollout.value.state.word()));
        }
        if self.view.halt.is_some() {
            return Err("the fleet is halted".to_owned());
        }
        let plan = self.view.plans.get(&order.plan).ok_or("the order's plan is not in the store")?;
        if plan.value.serial < self.journal.plan_floor {
            let floor = self.journal.plan_floor;
            return Err(format!("plan {} is older than one obeyed before ({floor}); plan anew", plan.value.serial));
        }
        let part = plan.value.of(&self.me.node).ok_or("the plan has no part for this node")?;
        if self.journal.denial(&part.packages.id()).is_some() {
            return Err("its package set is denied here".to_owned());
        }
        let lease = self.own_lease(&order.token).ok_or("the order's lease is not ours")?;
        if lease.value.state != LeaseState::Granted {
            return Err("the order's lease was entered before, and this node does not know of it".to_owned());
        }
        let bad = self.bad_gates(None);
        if let Some(first) = bad.first() {
            return Err(format!("gate: {} (+{} more)", first.summary, bad.len() - 1));
        }
        Ok(Journey {
            order: order.clone(),
            part: part.clone(),
            timeouts: plan.value.timeouts,
            streak_seconds: plan.value.streak_seconds,
            slot: lease.value.slot,
            deadline_seconds: lease.value.deadline_seconds,
            boot_id_before: self.facts.boot_id.clone(),
            undoing: false,
            reboots: 0,
            drained: Vec::new(),
            phase_since_ms: self.facts.now_ms,
            phase_boot_id: self.facts.boot_id.clone(),
            spent: Vec::new(),
        })
    }

    /// A node whose lease was taken by a person proves itself.
    fn rejoin(&self, outcast: &Seen<Outcast>) -> Turn {
        if !self.gates_held(self.streak_seconds()) {
            return Turn::Wait("its lease was released by force; gates must hold for the streak first".to_owned());
        }
        let key = Key::Outcast(self.me.node.clone());
        let txn = Txn::new().if_modified(key.clone(), outcast.modified).delete(key);
        let deed = self.deed(Transition::Rejoined, "gates held for the streak").under(&outcast.value.token);
        let (txn, head) = self.chained(txn, deed);
        Turn::Commit { txn, then: Journal { seen: self.known(head), ..self.journal.clone() } }
    }

    fn streak_seconds(&self) -> u64 {
        self.view
            .policy
            .as_ref()
            .map_or_else(|| crate::fleet::Gates::default().streak_seconds, |policy| policy.value.gates.streak_seconds)
    }

    /// The lease with this token, if the store still has it for us.
    fn own_lease(&self, token: &lease::Token) -> Option<&Seen<Lease>> {
        let incarnation = &self.view.incarnation.as_ref()?.value;
        let lease = self.view.lease_with(token)?;
        (*incarnation == token.incarnation && lease.value.node == self.me.node).then_some(lease)
    }

    fn bad_gates(&self, baseline: Option<&[Brief]>) -> Vec<&Brief> {
        let tolerate = self.view.policy.as_ref().map_or(&[][..], |policy| &policy.value.gates.tolerate);
        bad_gates(&self.facts.findings, baseline, tolerate)
    }

    fn gates_held(&self, seconds: u64) -> bool {
        self.facts
            .gates_good_since_ms
            .is_some_and(|since| self.facts.now_ms.saturating_sub(since) >= seconds.saturating_mul(1_000))
    }

    /// Whether the store is in touch and is the one this node knows (S4).
    fn can_commit(&self) -> bool {
        self.view.is_in_touch(self.facts.now_ms)
            && self.view.incarnation.is_some()
            && self.facts.same_history == Reading::Known(true)
    }

    /// The store with this audit record as its last.
    fn known(&self, head: AuditHead) -> Option<KnownStore> {
        let incarnation = self.view.incarnation.as_ref()?.value.clone();
        Some(KnownStore { incarnation, head })
    }

    fn deed(&self, what: Transition, reason: impl Into<String>) -> Deed {
        Deed::new(what, self.me.by(), reason, self.facts.unix_seconds).to(&self.me.node)
    }

    fn chained(&self, txn: Txn<Key, Record>, deed: Deed) -> (Txn<Key, Record>, AuditHead) {
        let (head, modified) = self.view.audit_head();
        let link = audit::chained(&head, deed.clone());
        (audit::record(txn, (&head, modified), deed), AuditHead { seq: link.seq, hash: link.hash })
    }

    fn halt(&self, hold: &Hold) -> (Txn<Key, Record>, AuditHead) {
        let halt = Halt {
            reason: hold.reason.clone(),
            next_action: hold.next_action.clone(),
            by: self.me.by(),
            node: Some(self.me.node.clone()),
            at_unix_seconds: self.facts.unix_seconds,
        };
        let mut deed = self.deed(Transition::Halted, hold.reason.clone());
        if let Some(journey) = &self.journal.journey {
            deed = deed.under(&journey.order.token).of_plan(&journey.order.plan);
        }
        self.chained(Txn::new().if_absent(Key::Halt).put(Key::Halt, Record::Halt(halt)), deed)
    }
}
