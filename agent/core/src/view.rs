//! The fleet as one agent sees it: the store's records, folded from a reading and the changes after it.
//!
//! It must never compare clocks of two machines: ages count from this agent's own first sight of a change (S16).

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use crate::audit::AuditHead;
use crate::fleet::Policy;
use crate::lease::{Lease, Outcast, Token};
use crate::plan::{Plan, Updates};
use crate::rollout::{Approval, Ask, Done, Halt, LeaderRecord, Order, Probed, Rollout, SessionRecord};
use crate::status::{Report, Votes};
use crate::store::{Change, Entry, Key, Record, Revision};

/// How old what was seen may be to count as evidence, in milliseconds (F of the invariants).
pub const FRESH_MS: u64 = 10_000;

/// One record, with its revisions and when this agent first saw them.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen<T> {
    /// The record.
    pub value: T,
    /// When this life of the key began.
    pub created: Revision,
    /// When it was last written.
    pub modified: Revision,
    /// When this agent first saw this life of it, in milliseconds of its own boot.
    pub first_seen_ms: u64,
    /// When this agent first saw this writing of it.
    pub changed_ms: u64,
    /// Whether this writing came in while watching. One that was found when the reading began may be of any age.
    pub watched: bool,
}

/// Since when reports come in: only then does the silence of one node say something of that node, and not of the store or
/// of who reads it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flow {
    /// The first and the last report of an unbroken run of them, in milliseconds of this agent's own boot.
    run_ms: Option<(u64, u64)>,
}

impl Flow {
    /// Longest pause between two reports: nodes report every 3 s while a rollout is under way.
    const PAUSE_MS: u64 = FRESH_MS / 2;

    fn note(&mut self, now_ms: u64) {
        let unbroken = self.run_ms.filter(|(_, last)| now_ms.saturating_sub(*last) <= Self::PAUSE_MS);
        self.run_ms = Some((unbroken.map_or(now_ms, |(first, _)| first), now_ms));
    }

    /// One in which every node has had its time.
    #[cfg(test)]
    pub(crate) fn steady(now_ms: u64) -> Self {
        Self { run_ms: Some((now_ms - FRESH_MS - 1, now_ms)) }
    }

    /// Whether every node has had [`FRESH_MS`] to speak.
    pub fn is_steady(&self, now_ms: u64) -> bool {
        self.run_ms.is_some_and(|(first, last)| {
            now_ms.saturating_sub(first) > FRESH_MS && now_ms.saturating_sub(last) <= Self::PAUSE_MS
        })
    }
}

/// Everything of the store that decisions look at.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "each is a record documented at its type")]
pub struct View {
    /// The last revision folded in.
    pub revision: Revision,
    /// When the store was last known to be in touch, in milliseconds of this agent's own boot; `None`: never yet.
    pub heard_ms: Option<u64>,
    pub incarnation: Option<Seen<String>>,
    pub policy: Option<Seen<Policy>>,
    pub leader: Option<Seen<LeaderRecord>>,
    pub ask: Option<Seen<Ask>>,
    pub sessions: BTreeMap<String, Seen<SessionRecord>>,
    pub reports: BTreeMap<String, Seen<Report>>,
    /// Whose reports tell, or told, of whom as a voter.
    pub electors: Electors,
    /// Whether reports come in at all.
    pub flow: Flow,
    pub updates: BTreeMap<String, Seen<Updates>>,
    pub outcasts: BTreeMap<String, Seen<Outcast>>,
    pub leases: BTreeMap<(String, u32), Seen<Lease>>,
    pub rollout: Option<Seen<Rollout>>,
    pub plans: BTreeMap<String, Seen<Plan>>,
    pub approvals: BTreeMap<String, Seen<Approval>>,
    pub done: BTreeMap<(String, String), Seen<Done>>,
    pub probes: BTreeMap<(String, String), Seen<Vec<Probed>>>,
    pub orders: BTreeMap<String, Seen<Order>>,
    pub halt: Option<Seen<Halt>>,
    /// When this agent saw the last halt go: limits count anew from there, or lifting it would change nothing.
    pub lifted_ms: Option<u64>,
    pub audit: Option<Seen<AuditHead>>,
}

/// By voter, the nodes that have told of a set it has a voice in: so that not every report of a large fleet is looked
/// through for one node. What a report says now is in the report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Electors(BTreeMap<String, BTreeSet<String>>);

impl Electors {
    fn note(&mut self, report: &Report) {
        for voter in report.votes.iter().flat_map(|votes| &votes.voters) {
            if !self.0.get(voter).is_some_and(|tellers| tellers.contains(&report.node)) {
                self.0.entry(voter.clone()).or_default().insert(report.node.clone());
            }
        }
    }
}

impl View {
    /// Folds in one change, seen at `now_ms`.
    pub fn apply<V: Borrow<Record>>(&mut self, change: &Change<Key, V>, now_ms: u64) {
        self.revision = self.revision.max(change.revision);
        self.heard_ms = Some(now_ms);
        match &change.entry {
            Some(entry) => {
                if matches!(change.key, Key::Report(_)) {
                    self.flow.note(now_ms);
                }
                self.put(&change.key, entry, Sight::new(now_ms, true));
            }
            None => {
                if change.key == Key::Halt {
                    self.lifted_ms = Some(now_ms);
                }
                self.remove(&change.key);
            }
        }
    }

    /// Starts again from a whole reading, keeping first sights of what is unchanged.
    pub fn reload<'a, V: Borrow<Record> + 'a>(
        &mut self,
        entries: impl IntoIterator<Item = (&'a Key, &'a Entry<V>)>,
        revision: Revision,
        now_ms: u64,
    ) {
        let old = std::mem::take(self);
        self.revision = revision;
        self.heard_ms = Some(now_ms);
        self.lifted_ms = old.lifted_ms;
        let was_halted = old.halt.is_some();
        self.leases = old.leases;
        self.reports = old.reports;
        let mut kept = BTreeSet::new();
        for (key, entry) in entries {
            kept.insert(key.clone());
            self.put(key, entry, Sight::new(now_ms, false));
        }
        if was_halted && self.halt.is_none() {
            self.lifted_ms = Some(now_ms);
        }
        self.leases.retain(|(group, slot), _| kept.contains(&Key::Lease { group: group.clone(), slot: *slot }));
        self.reports.retain(|node, _| kept.contains(&Key::Report(node.clone())));
    }

    /// Whether the store was in touch within [`FRESH_MS`].
    pub fn is_in_touch(&self, now_ms: u64) -> bool {
        self.heard_ms.is_some_and(|heard| now_ms.saturating_sub(heard) <= FRESH_MS)
    }

    /// The plan of the rollout under way.
    pub fn plan(&self) -> Option<(&Seen<Rollout>, &Seen<Plan>)> {
        let rollout = self.rollout.as_ref()?;
        Some((rollout, self.plans.get(&rollout.value.plan)?))
    }

    /// A node's lease.
    pub fn lease_of(&self, node: &str) -> Option<&Seen<Lease>> {
        self.leases.values().find(|lease| lease.value.node == node)
    }

    /// The lease with this token.
    pub fn lease_with(&self, token: &Token) -> Option<&Seen<Lease>> {
        self.leases
            .values()
            .find(|lease| lease.created == token.revision && lease.value.incarnation == token.incarnation)
    }

    /// What is told of the voting sets that a voter has a voice in, and who tells it, however long ago.
    pub fn sets_of(&self, voter: &str) -> impl Iterator<Item = (&str, &Votes)> {
        let tellers = self.electors.0.get(voter).into_iter().flatten();
        let reports = tellers.filter_map(|teller| Some((teller.as_str(), self.reports.get(teller)?)));
        reports.flat_map(move |(teller, report)| {
            report.value.votes.iter().filter(move |votes| votes.has(voter)).map(move |votes| (teller, votes))
        })
    }

    /// How a node's part of a plan ended.
    pub fn done(&self, plan: &str, node: &str) -> Option<&Seen<Done>> {
        self.done.get(&(plan.to_owned(), node.to_owned()))
    }

    /// What is known of each declared service during a plan's rollout, in the policy's order; found by whoever led.
    pub fn services(&self, plan: &str) -> Vec<Probed> {
        let declared = self.policy.iter().flat_map(|policy| &policy.value.services);
        let mut rows: Vec<Probed> = declared.map(|service| Probed::of(&service.name)).collect();
        let found = self.probes.iter().filter(|((of, _), _)| of == plan).flat_map(|(_, seen)| &seen.value);
        for one in found {
            match rows.iter_mut().find(|row| row.service == one.service) {
                Some(row) => row.add(one),
                None => rows.push(one.clone()),
            }
        }
        rows
    }

    /// The end of the audit chain and its revision: what a transition chains to.
    pub fn audit_head(&self) -> (AuditHead, Revision) {
        self.audit.as_ref().map_or_else(|| (AuditHead::default(), 0), |head| (head.value.clone(), head.modified))
    }

    fn put<V: Borrow<Record>>(&mut self, key: &Key, entry: &Entry<V>, at: Sight) {
        let at = at.of(entry.created, entry.modified);
        match (key, entry.value.borrow()) {
            (Key::Incarnation, Record::Incarnation(value)) => see(&mut self.incarnation, value, at),
            (Key::Fleet, Record::Fleet(value)) => see(&mut self.policy, value.as_ref(), at),
            (Key::Leader, Record::Leader(value)) => see(&mut self.leader, value, at),
            (Key::Ask, Record::Ask(value)) => see(&mut self.ask, value, at),
            (Key::Session(node), Record::Session(value)) => note(&mut self.sessions, node, value, at),
            (Key::Report(node), Record::Report(value)) => {
                self.electors.note(value);
                note(&mut self.reports, node, value.as_ref(), at);
            }
            (Key::Updates(node), Record::Updates(value)) => note(&mut self.updates, node, value, at),
            (Key::Outcast(node), Record::Outcast(value)) => note(&mut self.outcasts, node, value, at),
            (Key::Lease { group, slot }, Record::Lease(value)) => {
                note(&mut self.leases, &(group.clone(), *slot), value, at);
            }
            (Key::Rollout, Record::Rollout(value)) => see(&mut self.rollout, value, at),
            (Key::Plan(plan), Record::Plan(value)) => note(&mut self.plans, plan, value.as_ref(), at),
            (Key::Approval(plan), Record::Approval(value)) => note(&mut self.approvals, plan, value, at),
            (Key::Done { plan, node }, Record::Done(value)) => {
                note(&mut self.done, &(plan.clone(), node.clone()), value, at);
            }
            (Key::Probes { plan, node }, Record::Probes(value)) => {
                note(&mut self.probes, &(plan.clone(), node.clone()), value, at);
            }
            (Key::Order(node), Record::Order(value)) => note(&mut self.orders, node, value, at),
            (Key::Halt, Record::Halt(value)) => see(&mut self.halt, value, at),
            (Key::AuditHead, Record::AuditHead(value)) => see(&mut self.audit, value, at),
            // Audit records are read when somebody asks for them; a record of another kind than its key never decodes.
            _ => {}
        }
    }

    fn remove(&mut self, key: &Key) {
        match key {
            Key::Incarnation => self.incarnation = None,
            Key::Fleet => self.policy = None,
            Key::Leader => self.leader = None,
            Key::Ask => self.ask = None,
            Key::Session(node) => drop(self.sessions.remove(node)),
            Key::Report(node) => drop(self.reports.remove(node)),
            Key::Updates(node) => drop(self.updates.remove(node)),
            Key::Outcast(node) => drop(self.outcasts.remove(node)),
            Key::Lease { group, slot } => drop(self.leases.remove(&(group.clone(), *slot))),
            Key::Rollout => self.rollout = None,
            Key::Plan(plan) => drop(self.plans.remove(plan)),
            Key::Approval(plan) => drop(self.approvals.remove(plan)),
            Key::Done { plan, node } => drop(self.done.remove(&(plan.clone(), node.clone()))),
            Key::Probes { plan, node } => drop(self.probes.remove(&(plan.clone(), node.clone()))),
            Key::Order(node) => drop(self.orders.remove(node)),
            Key::Halt => self.halt = None,
            Key::AuditHead => self.audit = None,
            Key::Audit(_) => {}
        }
    }
}

fn see<T: Clone>(place: &mut Option<Seen<T>>, value: &T, at: Sight) {
    match place {
        Some(old) => old.take_in(value, at),
        None => *place = Some(Seen::first(value, at)),
    }
}

fn note<K: Ord + Clone, T: Clone>(place: &mut BTreeMap<K, Seen<T>>, key: &K, value: &T, at: Sight) {
    match place.get_mut(key) {
        Some(old) => old.take_in(value, at),
        None => drop(place.insert(key.clone(), Seen::first(value, at))),
    }
}

/// When and how a writing is seen.
#[derive(Debug, Clone, Copy)]
struct Sight {
    now_ms: u64,
    watched: bool,
    created: Revision,
    modified: Revision,
}

impl Sight {
    fn new(now_ms: u64, watched: bool) -> Self {
        Self { now_ms, watched, created: 0, modified: 0 }
    }

    fn of(self, created: Revision, modified: Revision) -> Self {
        Self { created, modified, ..self }
    }
}

impl<T: Clone> Seen<T> {
    fn first(value: &T, at: Sight) -> Self {
        Self {
            value: value.clone(),
            created: at.created,
            modified: at.modified,
            first_seen_ms: at.now_ms,
            changed_ms: at.now_ms,
            watched: at.watched,
        }
    }

    /// The record as seen now; what was seen before of the same life and the same writing keeps its first sight.
    fn take_in(&mut self, value: &T, at: Sight) {
        // A restored store can have given the same revisions to something else.
        self.value.clone_from(value);
        if self.created != at.created {
            self.created = at.created;
            self.first_seen_ms = at.now_ms;
            self.modified = 0;
        }
        if self.modified != at.modified {
            self.modified = at.modified;
            self.changed_ms = at.now_ms;
            self.watched = at.watched;
        }
    }
}
