//! The invariants, checked against the truth of the world after every event. Each names its number.
//!
//! It must never look at what a rule believes: only at the store's record, the hosts, and what was done when.

use std::rc::Rc;

use super::Variant;
use super::host::{NEW_KERNEL, Power};
use super::world::{Node, World};
use crate::audit;
use crate::lease::{Lease, LeaseState};
use crate::phase::Phase;
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
    pub(super) halts: Vec<String>,
    /// When the leader last looked.
    pub(super) led_ms: u64,
    lifted_ms: u64,
    leaderless_since_ms: Option<u64>,
    floors: Vec<u64>,
    /// Permits to act: whose, at which revision, for which phase, when. A node has one, and uses it once.
    permits: Vec<(usize, Revision, Phase, u64)>,
    /// Leases granted in this life of the store: whose, and their create revision.
    grants: Vec<(String, Revision)>,
    /// The revision up to which the rest is known.
    known: Revision,
    has_leader: bool,
    is_halted: bool,
    /// Entered leases: whose, when they were last written, and for how long that may be.
    entered: Vec<(String, u64, u64)>,
}

impl Ledger {
    /// The store went back to this revision.
    pub(super) fn rewind(&mut self, revision: Revision) {
        self.grants.retain(|(_, granted)| *granted <= revision);
        self.known = 0;
    }

    /// The store has a new life: what was granted before is void.
    pub(super) fn adopt(&mut self) {
        self.grants.clear();
    }
}

/// What stands in the store before a commit, as far as checks need it.
pub(super) struct Scene {
    leases: Vec<(Key, Entry<Rc<Record>>)>,
    leader: Option<Rc<Record>>,
    halted: bool,
}

type Shared = Txn<Key, Rc<Record>>;

impl World {
    /// All leases.
    pub(super) fn leases(&self) -> impl Iterator<Item = (&Key, &Entry<Rc<Record>>)> {
        self.store.range(Key::Lease { group: String::new(), slot: 0 }..Key::Rollout)
    }

    /// The leases a transaction is about to touch, the leader and the halt, as they are.
    pub(super) fn scene(&self, txn: &Txn<Key, Record>) -> Scene {
        let touched = txn.ops.iter().map(key_of).filter(|key| matches!(key, Key::Lease { .. }));
        Scene {
            leases: touched.filter_map(|key| Some((key.clone(), self.store.get(key)?.clone()))).collect(),
            leader: self.store.get(&Key::Leader).map(|entry| Rc::clone(&entry.value)),
            halted: self.store.get(&Key::Halt).is_some(),
        }
    }

    pub(super) fn check_commit(&mut self, author: Author, txn: &Shared, revision: Revision, scene: &Scene) {
        self.check_author(author, txn, scene.leader.as_deref());
        for op in &txn.ops {
            let key = key_of(op);
            let before = scene.leases.iter().find(|(known, _)| known == key).map(|(_, entry)| entry);
            match (key, value_of(op), before) {
                (Key::Lease { .. }, Some(Record::Lease(lease)), before) => {
                    self.check_lease_written(lease, before, scene.halted, revision);
                    if let Author::Node(node) = author {
                        self.ledger.permits.retain(|(known, ..)| *known != node);
                        self.ledger.permits.push((node, revision, lease.phase, self.now_ms));
                    }
                }
                (Key::Lease { .. }, None, Some(entry)) => self.check_lease_ended(author, entry),
                (Key::Done { .. }, Some(Record::Done(done)), _) => self.check_done(&done.node, done.ending),
                (Key::Halt, Some(Record::Halt(halt)), _) => {
                    if halt.reason.is_empty() || halt.next_action.is_empty() {
                        self.violate("L3", "a halt without a reason or a next action".to_owned());
                    }
                    self.ledger.halts.push(halt.reason.clone());
                }
                (Key::Halt, None, _) => self.ledger.lifted_ms = self.now_ms,
                (Key::Rollout, Some(Record::Rollout(rollout)), _) if rollout.state == RolloutState::Finished => {
                    self.finished_ms = Some(self.now_ms);
                    self.check_audit();
                }
                _ => {}
            }
        }
        self.check_audited(txn);
    }

    /// S9: only the one on the throne writes as a leader; an empty throne is only taken.
    fn check_author(&mut self, author: Author, txn: &Shared, leader: Option<&Record>) {
        let Author::Leader(node) = author else { return };
        let on_throne = match leader {
            Some(Record::Leader(record)) => record.node == self.nodes[node].name,
            _ => txn.ops.iter().any(|op| matches!(op, Op::PutInSession { key: Key::Leader, .. })),
        };
        if !on_throne {
            let name = self.nodes[node].name.clone();
            self.violate("S9", format!("{name} wrote as a leader and is not on the throne"));
        }
    }

    /// S1, S2, S5, S6, S13, S14, S15 at a grant; S5 at every step on.
    fn check_lease_written(
        &mut self,
        lease: &Lease,
        before: Option<&Entry<Rc<Record>>>,
        halted: bool,
        revision: Revision,
    ) {
        let node = &lease.node;
        if halted {
            self.violate("S5", format!("{node} was let on under a halt"));
        }
        match before.map(|entry| entry.value.as_ref()) {
            Some(Record::Lease(old)) if old.node != *node => {
                let old = old.node.clone();
                self.violate("S1", format!("{node} took the slot of {old}"));
            }
            Some(_) => {}
            None => {
                self.count += 1;
                self.ledger.grants.push((node.clone(), revision));
                self.check_grant(node);
            }
        }
    }

    fn check_grant(&mut self, name: &str) {
        let Some(group) = self.policy.group_of(name) else { return };
        let long = |since_ms: u64| self.now_ms.saturating_sub(since_ms) > KNOWN_AWAY_MS;
        let leased = |node: &str| self.lease_of(node).is_some();
        let single = |node: &str| group.alone.iter().chain(&group.store_hosts).any(|listed| listed == node);
        let (mut others, mut alone) = (0, single(name));
        let mut broken: Option<(&'static str, String)> = None;
        let mut tell = |number, what| broken = broken.take().or(Some((number, what)));
        for node in self.nodes.iter().filter(|node| group.nodes.contains(&node.name)) {
            let host = &node.host;
            if host.is_up() && host.sick_since_ms.is_some_and(long) {
                tell("S5", format!("{name} was granted while {} was critical", node.name));
            }
            if host.is_up() && host.is_degraded(self.now_ms) && long(host.degraded_ms.0.max(host.booted_ms)) {
                tell("S13", format!("{name} was granted while data was degraded on {}", node.name));
            }
            if host.is_up() && host.is_blind(self.now_ms) && long(host.blind_ms.0.max(host.booted_ms)) {
                tell("S6", format!("{name} was granted while {} could not be judged", node.name));
            }
            if node.name != name && (leased(&node.name) || self.is_known_away(node)) {
                others += 1;
                alone |= single(&node.name);
            }
        }
        let most = usize::try_from(group.max_down).unwrap_or(usize::MAX);
        if others + 1 > most {
            tell("S1", format!("{name} was granted while {others} of its group were down or in maintenance"));
        } else if alone && others > 0 {
            tell("S14", format!("{name} was granted with {others} others, and one of them goes alone"));
        }
        let voters = &self.nodes[..self.voters];
        let votes = |node: &&Node| node.name != name && !leased(&node.name) && !self.is_known_away(node);
        let up = voters.iter().filter(votes).count();
        let is_voter = voters.iter().any(|voter| voter.name == name);
        if is_voter && self.voters > 1 && up < self.voters / 2 + 1 {
            tell("S2", format!("{name} was granted and leaves {up} votes of {}", self.voters));
        }
        if group.store_hosts.iter().any(|host| host == name) {
            let open = self.nodes.iter().find(|node| node.name != name && !self.is_done(&node.name));
            if let Some(open) = open {
                tell("S15", format!("{name} hosts the store and was granted before {}", open.name));
            }
        }
        if let Some((number, what)) = broken {
            self.violate(number, what);
        }
    }

    /// Whether the node's part of the plan under way is done.
    fn is_done(&self, node: &str) -> bool {
        let Some(Record::Rollout(rollout)) = self.store.get(&Key::Rollout).map(|entry| entry.value.as_ref()) else {
            return false;
        };
        self.store.get(&Key::Done { plan: rollout.plan.clone(), node: node.to_owned() }).is_some()
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
        self.leases().find_map(|(_, entry)| match entry.value.as_ref() {
            Record::Lease(lease) if lease.node == node => Some(lease),
            _ => None,
        })
    }

    /// S12: an entered lease is ended by its node or by a person.
    fn check_lease_ended(&mut self, author: Author, entry: &Entry<Rc<Record>>) {
        let Record::Lease(lease) = entry.value.as_ref() else { return };
        self.count -= 1;
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

    /// S5 after the reboot: nobody goes on from verifying who is worse than before.
    pub(super) fn check_phase(&mut self, node: usize, from: Phase, to: Phase) {
        let host = &self.nodes[node].host;
        if from == Phase::Verifying && to == Phase::Restoring && host.sick_since_ms.is_some() {
            let name = self.nodes[node].name.clone();
            self.violate("S5", format!("{name} is critical and goes on from verifying"));
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
    fn check_audited(&mut self, txn: &Shared) {
        let moves = |op: &Op<Key, Rc<Record>>| {
            matches!(
                key_of(op),
                Key::Lease { .. } | Key::Rollout | Key::Halt | Key::Leader | Key::Incarnation | Key::Order(_)
            )
        };
        let records = txn.ops.iter().filter(|op| matches!(op, Op::Put { key: Key::Audit(_), .. })).count();
        // These break another rule, with transactions of their own.
        let own = [Variant::LeasedPermit, Variant::TimedRelease, Variant::NaiveUnlock].contains(&self.variant);
        if txn.ops.iter().any(moves) && records != 1 && !own {
            self.violate("S18", format!("a transition carries {records} audit records"));
        }
    }

    fn check_audit(&mut self) {
        let records = self.store.range(Key::Audit(0)..).filter_map(|(_, entry)| match entry.value.as_ref() {
            Record::Audit(record) => Some(record.as_ref()),
            _ => None,
        });
        if let Err(broken) = audit::verify(&audit::AuditHead::default(), records) {
            self.violate("S18", broken.to_string());
        }
    }

    /// S1, S3, S4, S6, S13, S17 when an act begins.
    pub(super) fn check_start(&mut self, node: usize, step: &Step, answered_ms: u64) {
        let this = &self.nodes[node];
        let (name, word) = (&this.name, step.word());
        let mut broken = Vec::new();
        let mut tell = |number, why: &str| broken.push((number, format!("{name} begins to {word} {why}")));
        if self.now_ms - answered_ms > PERMIT_MS {
            tell("S3", "on an old permit");
        }
        let permit = self.ledger.permits.iter().find(|(known, ..)| *known == node);
        if permit.is_none_or(|(_, _, phase, _)| *phase != this.journal.phase) {
            tell("S3", "without a permit");
        }
        let token = this.journal.journey.as_ref().map(|journey| journey.order.token.revision);
        let granted = |(holder, revision): &(String, Revision)| holder == name && Some(*revision) == token;
        let just_now = self.last_restore_ms.is_some_and(|at| self.now_ms - at <= PERMIT_MS);
        if !just_now && (!self.ledger.grants.iter().any(granted) || this.bereft_ms.is_some() || self.has_lost(this)) {
            tell("S3", "with a token of another life of the store");
        }
        let (from_ms, until_ms) = this.cut_off_ms;
        if self.now_ms < until_ms && self.now_ms - from_ms > PERMIT_MS {
            tell("S4", "and has not heard of the store for longer than its permit");
        }
        let host = &this.host;
        let long = |since_ms: u64| self.now_ms.saturating_sub(since_ms.max(host.booted_ms)) > PERMIT_MS;
        if *step == Step::Drain && host.is_blind(self.now_ms) && long(host.blind_ms.0) {
            tell("S6", "and cannot be judged");
        }
        if *step == Step::Drain && host.is_degraded(self.now_ms) && long(host.degraded_ms.0) {
            tell("S13", "while data is degraded");
        }
        if *step == Step::Reboot && !(host.whole && host.default_kernel == NEW_KERNEL) {
            tell("S17", "and its packages are not whole");
        }
        if let Some(group) = self.policy.group_of(name) {
            let others = self.nodes.iter().filter(|other| other.name != *name && group.nodes.contains(&other.name));
            let disrupted = others.filter(|other| other.host.drained && !other.host.serving).count();
            if disrupted + 1 > usize::try_from(group.max_down).unwrap_or(usize::MAX) {
                tell("S1", "while others are taken out");
            }
        }
        self.ledger.permits.retain(|(known, ..)| *known != node);
        for (number, what) in broken {
            self.violate(number, what);
        }
    }

    /// Whether the node has on its disk what the store no longer has: it was restored.
    fn has_lost(&self, node: &Node) -> bool {
        let Some(known) = &node.journal.seen else { return false };
        let hash = match self.store.get(&Key::Audit(known.head.seq)).map(|entry| entry.value.as_ref()) {
            Some(Record::Audit(record)) => Some(record.hash.as_str()),
            _ => None,
        };
        let incarnation = match self.store.get(&Key::Incarnation).map(|entry| entry.value.as_ref()) {
            Some(Record::Incarnation(text)) => text.as_str(),
            _ => "",
        };
        !known.is_still(incarnation, hash)
    }

    /// What must hold at any moment.
    pub(super) fn check_now(&mut self) {
        if self.ledger.known != self.store.revision() {
            self.look_at_store();
        }
        self.check_floors();
        self.check_leader();
        self.check_overdue();
    }

    fn look_at_store(&mut self) {
        let commit_ms = |revision: Revision| {
            let at = self.commit_times.partition_point(|(known, _)| *known < revision);
            self.commit_times.get(at).map_or(0, |(_, at_ms)| *at_ms)
        };
        let entered = self.leases().filter_map(|(_, entry)| match entry.value.as_ref() {
            Record::Lease(lease) if lease.state == LeaseState::Entered => {
                Some((lease.node.clone(), commit_ms(entry.modified), lease.deadline_seconds * 1_000))
            }
            _ => None,
        });
        self.ledger.entered = entered.collect();
        self.ledger.known = self.store.revision();
        self.ledger.has_leader = self.store.get(&Key::Leader).is_some();
        self.ledger.is_halted = self.store.get(&Key::Halt).is_some();
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
        if self.ledger.has_leader || self.store_is_shut() || self.people.restored_ms.is_some() {
            self.ledger.leaderless_since_ms = None;
            return;
        }
        let since = *self.ledger.leaderless_since_ms.get_or_insert(now_ms);
        let late = now_ms.saturating_sub(since) > LEADERLESS_MS;
        let well = |node: &&Node| {
            let able = node.agent.is_some() && node.cut_off_ms.1 <= now_ms && node.paused_until_ms <= now_ms;
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
        let ledger = &self.ledger;
        if ledger.is_halted || !ledger.has_leader || self.store_is_shut() || self.people.restored_ms.is_some() {
            return;
        }
        // Who lifts a halt gives the node its whole time again.
        let late = |(_, written_ms, limit_ms): &&(String, u64, u64)| {
            self.now_ms.saturating_sub(ledger.lifted_ms.max(*written_ms) + limit_ms) > UNTOLD_MS
        };
        if let Some((node, ..)) = ledger.entered.iter().find(late) {
            let what = format!("the lease of {node} is overdue for more than a minute, and nobody says so");
            self.violate("L4", what);
        }
    }
}

fn key_of<V>(op: &Op<Key, V>) -> &Key {
    match op {
        Op::Put { key, .. } | Op::PutInSession { key, .. } | Op::Delete { key } => key,
    }
}

fn value_of(op: &Op<Key, Rc<Record>>) -> Option<&Record> {
    match op {
        Op::Put { value, .. } | Op::PutInSession { value, .. } => Some(value),
        Op::Delete { .. } => None,
    }
}
