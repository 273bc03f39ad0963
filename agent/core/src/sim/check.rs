//! The invariants, checked against the truth of the world after every event. Each names its number.
//!
//! It must never look at what a rule believes: only at the store's record, the hosts, and what was done when.

use super::Variant;
use super::host::{NEW_KERNEL, Power};
use super::world::{Node, World};
use crate::audit::{self, AuditRecord};
use crate::lease::{Lease, LeaseState};
use crate::rollout::{Ending, RolloutState};
use crate::step::{PERMIT_MS, Step};
use crate::store::{Entry, Key, Op, Record, Revision, Txn};
use crate::view::FRESH_MS;

/// A node that is away for longer than evidence may be old, and a report and a look besides, is known to be away.
const KNOWN_AWAY_MS: u64 = FRESH_MS + 5_000;
/// A throne may be empty this long while somebody could take it (L2), a session's end and a look included.
const LEADERLESS_MS: u64 = 5_000;
/// An overdue lease may go untold this long (L4).
const UNTOLD_MS: u64 = 60_000;

/// Whose transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    Node(usize),
    Leader(usize),
    Person,
    Store,
}

/// What the checks remember.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    pub(super) halts: u32,
    lifted_ms: u64,
    leaderless_since_ms: Option<u64>,
    floors: Vec<u64>,
    /// For each node: its last permit.
    permits: Vec<(usize, Revision)>,
}

impl World {
    /// The leases a transaction is about to touch, as they are.
    pub(super) fn leases_before(&self, txn: &Txn<Key, Record>) -> Vec<(Key, Entry<Record>)> {
        txn.ops
            .iter()
            .map(|op| match op {
                Op::Put { key, .. } | Op::PutInSession { key, .. } | Op::Delete { key } => key,
            })
            .filter(|key| matches!(key, Key::Lease { .. }))
            .filter_map(|key| Some((key.clone(), self.store.get(key)?.clone())))
            .collect()
    }

    pub(super) fn check_commit(
        &mut self,
        author: Author,
        txn: &Txn<Key, Record>,
        revision: Revision,
        leases: &[(Key, Entry<Record>)],
        leader: Option<&Entry<Record>>,
        halted: bool,
    ) {
        self.check_author(author, leader);
        for op in &txn.ops {
            match op {
                Op::Put { key: key @ Key::Lease { .. }, value: Record::Lease(lease) } => {
                    let before = leases.iter().find(|(known, _)| known == key);
                    self.check_lease_written(lease, before.map(|(_, entry)| entry), halted);
                    if let Author::Node(node) = author {
                        self.ledger.permits.retain(|(known, _)| *known != node);
                        self.ledger.permits.push((node, revision));
                    }
                }
                Op::Delete { key: key @ Key::Lease { .. } } => {
                    if let Some((_, entry)) = leases.iter().find(|(known, _)| known == key) {
                        self.check_lease_ended(author, entry);
                    }
                }
                Op::Put { key: Key::Done { .. }, value: Record::Done(done) } => {
                    self.check_done(&done.node, done.ending)
                }
                Op::Put { key: Key::Halt, .. } => self.ledger.halts += 1,
                Op::Delete { key: Key::Halt } => self.ledger.lifted_ms = self.now_ms,
                Op::Put { key: Key::Rollout, value: Record::Rollout(rollout) }
                    if rollout.state == RolloutState::Finished =>
                {
                    self.finished_ms = Some(self.now_ms);
                    self.check_audit();
                }
                _ => {}
            }
        }
        self.check_audited(txn);
    }

    /// S9: only the one on the throne writes as a leader.
    fn check_author(&mut self, author: Author, leader: Option<&Entry<Record>>) {
        let Author::Leader(node) = author else { return };
        let on_throne = match leader.map(|entry| &entry.value) {
            Some(Record::Leader(record)) => record.node == self.nodes[node].name,
            // The transaction that takes the throne finds it empty.
            _ => true,
        };
        if !on_throne {
            let name = self.nodes[node].name.clone();
            self.violate("S9", format!("{name} wrote as a leader and is not on the throne"));
        }
    }

    /// S1, S2, S5, S14 at a grant; S3 at an entry.
    fn check_lease_written(&mut self, lease: &Lease, before: Option<&Entry<Record>>, halted: bool) {
        let node = lease.node.clone();
        if halted {
            self.violate("S5", format!("{node} was let on under a halt"));
        }
        match before.map(|entry| &entry.value) {
            Some(Record::Lease(old)) if old.node != node => {
                self.violate("S1", format!("{node} took the slot of {}", old.node));
            }
            Some(_) => {}
            None => self.check_grant(&node),
        }
    }

    fn check_grant(&mut self, node: &str) {
        let Some(group) = self.policy.group_of(node).cloned() else { return };
        let mut others = 0;
        let mut sick = None;
        for other in self.nodes.iter().filter(|other| other.name != node && group.nodes.contains(&other.name)) {
            let leased = self.lease_of(&other.name).is_some();
            if leased || self.is_known_away(other) {
                others += 1;
            }
            let since = other.host.sick_since_ms;
            if other.host.is_up() && since.is_some_and(|since| self.now_ms.saturating_sub(since) > KNOWN_AWAY_MS) {
                sick = Some(other.name.clone());
            }
        }
        let limit = usize::try_from(group.max_down).unwrap_or(usize::MAX);
        if others + 1 > limit {
            self.violate("S1", format!("{node} was granted while {others} of its group were down or in maintenance"));
        }
        if let Some(sick) = sick {
            self.violate("S5", format!("{node} was granted while {sick} was critical"));
        }
        let up = self.nodes.iter().filter(|other| other.name != node && !self.is_known_away(other)).count();
        if self.nodes.len() > 1 && up < self.nodes.len() / 2 + 1 {
            self.violate("S2", format!("{node} was granted and leaves {up} votes of {}", self.nodes.len()));
        }
    }

    /// D of the invariants, by the truth: away, long enough to be known, and not by a lease.
    fn is_known_away(&self, node: &Node) -> bool {
        let away = match node.host.power {
            Power::On => !node.host.serving,
            Power::Off { .. } | Power::Dead => true,
        };
        away && node.host.away_since_ms.is_some_and(|since| self.now_ms.saturating_sub(since) > KNOWN_AWAY_MS)
    }

    fn lease_of(&self, node: &str) -> Option<&Lease> {
        self.store.all().find_map(|(_, entry)| match &entry.value {
            Record::Lease(lease) if lease.node == node => Some(lease),
            _ => None,
        })
    }

    /// S12: an entered lease is ended by its node or by a person.
    fn check_lease_ended(&mut self, author: Author, entry: &Entry<Record>) {
        let Record::Lease(lease) = &entry.value else { return };
        let own = matches!(author, Author::Node(node) if self.nodes[node].name == lease.node);
        if lease.state == LeaseState::Entered && !own && author != Author::Person {
            let node = lease.node.clone();
            let who = match author {
                Author::Node(other) => self.nodes[other].name.clone(),
                Author::Leader(_) => "the leader".to_owned(),
                Author::Store => "the store".to_owned(),
                Author::Person => String::new(),
            };
            self.violate("S12", format!("{who} ended the entered lease of {node}"));
        }
    }

    /// S7 and S8 at the end of a node's part: everything is done, and proved.
    fn check_done(&mut self, name: &str, ending: Ending) {
        let Some(node) = self.nodes.iter().find(|node| node.name == name) else { return };
        let host = &node.host;
        if ending != Ending::Verified {
            return;
        }
        let told = format!(
            "installed {}, whole {}, kernel {}, boots since {}, drained {}",
            host.installed, host.whole, host.kernel, host.boots_since_patch, host.drained
        );
        if !host.installed || !host.whole || host.drained {
            self.violate("S7", format!("{name} is said to be done: {told}"));
        } else if host.kernel != NEW_KERNEL || host.boots_since_patch == 0 {
            self.violate("S8", format!("{name} is said to have rebooted: {told}"));
        }
    }

    /// S18: whatever moves the fleet carries one record.
    fn check_audited(&mut self, txn: &Txn<Key, Record>) {
        let touches = |op: &Op<Key, Record>| {
            let key = match op {
                Op::Put { key, .. } | Op::PutInSession { key, .. } | Op::Delete { key } => key,
            };
            matches!(key, Key::Lease { .. } | Key::Rollout | Key::Halt | Key::Leader | Key::Incarnation | Key::Order(_))
        };
        let records = txn.ops.iter().filter(|op| matches!(op, Op::Put { key: Key::Audit(_), .. })).count();
        let broken = self.variant == Variant::LeasedPermit || self.variant == Variant::TimedRelease;
        if txn.ops.iter().any(touches) && records != 1 && !broken {
            self.violate("S18", format!("a transition carries {records} audit records"));
        }
    }

    fn check_audit(&mut self) {
        let records: Vec<AuditRecord> = self
            .store
            .all()
            .filter_map(|(_, entry)| match &entry.value {
                Record::Audit(record) => Some(record.as_ref().clone()),
                _ => None,
            })
            .collect();
        if let Err(broken) = audit::verify(&audit::AuditHead::default(), &records) {
            self.violate("S18", broken.to_string());
        }
    }

    /// S1, S3, S10, S17 when an act begins.
    pub(super) fn check_start(&mut self, node: usize, step: &Step, answered_ms: u64) {
        let name = self.nodes[node].name.clone();
        let permit = self.ledger.permits.iter().find(|(known, _)| *known == node).copied();
        let order = self.nodes[node].journal.journey.as_ref().map(|journey| journey.order.clone());
        if self.now_ms - answered_ms > PERMIT_MS {
            self.violate("S3", format!("{name} begins to {} on an old permit", step.word()));
        }
        if permit.is_none() {
            self.violate("S3", format!("{name} begins to {} without a permit", step.word()));
        }
        let token_of = order.map(|order| order.token.incarnation);
        if token_of != self.incarnation() || self.has_lost_what_is_known_to(node) {
            let what = format!("{name} begins to {} with a token of another life of the store", step.word());
            self.violate("S3", what);
        }
        if *step == Step::Reboot && !(self.nodes[node].host.whole && self.nodes[node].host.default_kernel == NEW_KERNEL)
        {
            self.violate("S17", format!("{name} reboots and its packages are not whole"));
        }
        if let Some(group) = self.policy.group_of(&name) {
            let others = self.nodes.iter().filter(|other| other.name != name && group.nodes.contains(&other.name));
            let disrupted = others.filter(|other| other.host.drained && !other.host.serving).count();
            if disrupted + 1 > usize::try_from(group.max_down).unwrap_or(usize::MAX) {
                self.violate("S1", format!("{name} begins to {} while {disrupted} others are taken out", step.word()));
            }
        }
    }

    fn incarnation(&self) -> Option<String> {
        match self.store.get(&Key::Incarnation).map(|entry| &entry.value) {
            Some(Record::Incarnation(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// Whether the node has on its disk what the store no longer has: it was restored. What was lost in the moments since
    /// the permit's answer nobody could know.
    fn has_lost_what_is_known_to(&self, node: usize) -> bool {
        let Some(known) = &self.nodes[node].journal.seen else { return false };
        let hash = match self.store.get(&Key::Audit(known.head.seq)).map(|entry| &entry.value) {
            Some(Record::Audit(record)) => Some(record.hash.as_str()),
            _ => None,
        };
        let just_now = self.last_restore_ms.is_some_and(|at| self.now_ms - at <= PERMIT_MS);
        !just_now && !known.is_still(&self.incarnation().unwrap_or_default(), hash)
    }

    /// What must hold at any moment.
    pub(super) fn check_now(&mut self) {
        self.check_floors();
        self.check_leader();
        self.check_overdue();
    }

    /// S10: the highest plan obeyed never falls.
    fn check_floors(&mut self) {
        self.ledger.floors.resize(self.nodes.len(), 0);
        for at in 0..self.nodes.len() {
            let floor = self.nodes[at].journal.plan_floor;
            if floor < self.ledger.floors[at] {
                self.violate("S10", format!("{} forgot the plans it has seen", self.nodes[at].name));
            }
            self.ledger.floors[at] = floor;
        }
    }

    /// L2: an empty throne is taken while somebody can.
    fn check_leader(&mut self) {
        let now_ms = self.now_ms;
        let writable = now_ms >= self.store_full_until_ms && self.people.restored_ms.is_none();
        if !writable || self.store.get(&Key::Leader).is_some() {
            self.ledger.leaderless_since_ms = None;
            return;
        }
        let since = *self.ledger.leaderless_since_ms.get_or_insert(now_ms);
        let late = now_ms.saturating_sub(since) > LEADERLESS_MS;
        let well = |node: &&Node| {
            let able = node.agent.is_some() && node.cut_off_until_ms <= now_ms && node.paused_until_ms <= now_ms;
            // A node whose link loses messages, or whose own session is the one that ended, takes a little longer.
            able && node.lossy_until_ms <= now_ms && now_ms.saturating_sub(node.well_since_ms) > 2 * LEADERLESS_MS
        };
        if late && let Some(node) = self.nodes.iter().find(well) {
            let what = format!("no leader for {} ms, and {} could", now_ms - since, node.name);
            self.violate("L2", what);
        }
    }

    /// L4: an overdue lease is told, while there is a leader who can.
    fn check_overdue(&mut self) {
        if self.store.get(&Key::Halt).is_some() || self.store.get(&Key::Leader).is_none() {
            return;
        }
        let overdue = self.store.all().find_map(|(_, entry)| {
            let Record::Lease(lease) = &entry.value else { return None };
            let at = self.commit_times.iter().rfind(|(revision, _)| *revision == entry.modified)?.1;
            let at = at.max(self.ledger.lifted_ms);
            let late_ms = self.now_ms.saturating_sub(at + lease.deadline_seconds * 1_000);
            (lease.state == LeaseState::Entered && late_ms > UNTOLD_MS).then(|| lease.node.clone())
        });
        if let Some(node) = overdue
            && self.store_full_until_ms <= self.now_ms
            && self.people.restored_ms.is_none()
        {
            self.violate("L4", format!("the lease of {node} is overdue for more than a minute, and nobody says so"));
        }
    }
}
