//! The rules as shipped, or one of them broken on purpose: the ten ways others have failed. A test shows that each is
//! caught.
//!
//! It must never reach into the rules: a variant changes what they are told and what of theirs is committed.

use super::world::World;
use crate::health::Severity;
use crate::journal::Journal;
use crate::phase::Phase;
use crate::rollout::SessionRecord;
use crate::step::Turn;
use crate::store::{Compare, Key, Op, Record, Txn};
use crate::view::{Seen, View};

/// An act of a leader: what it is, and what is to be committed.
type Act = (String, Txn<Key, Record>);

/// Which rule is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// None: the rules as shipped.
    Shipped,
    /// The permit dies with the session.
    LeasedPermit,
    /// Acts do not wait for their permit's answer.
    NoFencing,
    /// A node frees its slot without looking whose it is.
    NaiveUnlock,
    /// Findings are not looked at.
    NoHealthGate,
    /// What is not known counts as good.
    UnknownIsOk,
    /// A reboot that was ordered counts as done.
    NoBootIdProof,
    /// Tokens do not say which life of the store gave them.
    TokenWithoutIncarnation,
    /// Slots are counted, not created.
    Counter,
    /// A leader's writes do not carry its epoch.
    LeaderWithoutEpoch,
    /// Entered leases are freed when their deadline passes.
    TimedRelease,
}

impl Variant {
    /// All that are broken.
    pub const BROKEN: [Self; 10] = [
        Self::LeasedPermit,
        Self::NoFencing,
        Self::NaiveUnlock,
        Self::NoHealthGate,
        Self::UnknownIsOk,
        Self::NoBootIdProof,
        Self::TokenWithoutIncarnation,
        Self::Counter,
        Self::LeaderWithoutEpoch,
        Self::TimedRelease,
    ];

    /// The word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::LeasedPermit => "leased-permit",
            Self::NoFencing => "no-fencing",
            Self::NaiveUnlock => "naive-unlock",
            Self::NoHealthGate => "no-health-gate",
            Self::UnknownIsOk => "unknown-is-ok",
            Self::NoBootIdProof => "no-boot-id-proof",
            Self::TokenWithoutIncarnation => "token-without-incarnation",
            Self::Counter => "counter",
            Self::LeaderWithoutEpoch => "leader-without-epoch",
            Self::TimedRelease => "timed-release",
        }
    }

    /// The variant of a word.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Shipped].into_iter().chain(Self::BROKEN).find(|variant| variant.word() == word)
    }

    /// What a leader's transaction becomes.
    pub(super) fn of_leader(self, mut txn: Txn<Key, Record>) -> Txn<Key, Record> {
        let grants = txn.ops.iter().any(|op| matches!(op, Op::Put { key: Key::Lease { .. }, .. }));
        match self {
            // The count is the permit; nobody compares the slot.
            Self::Counter if grants => {
                txn.compares.retain(|compare| !matches!(key_of(compare), Key::Lease { .. }));
            }
            Self::LeaderWithoutEpoch => {
                txn.compares.retain(|compare| !matches!(key_of(compare), Key::Leader | Key::AuditHead | Key::Audit(_)));
            }
            _ => {}
        }
        txn
    }

    /// What a node's transaction becomes.
    pub(super) fn of_node(self, mut txn: Txn<Key, Record>) -> Txn<Key, Record> {
        match self {
            Self::TokenWithoutIncarnation => {
                txn.compares.retain(|compare| *key_of(compare) != Key::Incarnation);
            }
            Self::NaiveUnlock => {
                txn.compares.retain(|compare| !matches!(key_of(compare), Key::Lease { .. }));
            }
            _ => {}
        }
        txn
    }

    /// What a node's rules are told; `None`: what is.
    pub(super) fn of_inputs(self, journal: &Journal, view: &View) -> Option<(Journal, View)> {
        (self == Self::TokenWithoutIncarnation).then(|| {
            let mut journal = journal.clone();
            if let Some(journey) = &mut journal.journey {
                nameless(&mut journey.order.token.incarnation);
            }
            (journal, one_life(view))
        })
    }
}

impl World {
    /// What a node's turn becomes.
    pub(super) fn of_turn(&mut self, node: usize, turn: Turn) -> Turn {
        let breaks = matches!(self.variant, Variant::NaiveUnlock | Variant::Counter);
        let ended = &self.nodes[node].journal;
        match (turn, &ended.journey) {
            // Its lease is gone, and it gives the slot back all the same.
            (Turn::Write(then), Some(journey)) if breaks && ended.phase == Phase::Released => {
                let slot = journey.slot;
                if self.variant == Variant::Counter {
                    self.count -= 1;
                    return Turn::Write(then);
                }
                match self.policy.group_of(&self.nodes[node].name) {
                    Some(group) => {
                        Turn::Commit { txn: Txn::new().delete(Key::Lease { group: group.name.clone(), slot }), then }
                    }
                    None => Turn::Write(then),
                }
            }
            (turn, _) => turn,
        }
    }

    /// What a leader does instead of what the rules say, or what they are told; `None`: neither.
    pub(super) fn of_throne(&self, node: usize, name: &str) -> Option<Result<Act, View>> {
        let view = &self.nodes[node].agent.as_ref()?.view;
        match self.variant {
            Variant::TimedRelease => self.timed_release(node, view, name).map(Ok),
            Variant::UnknownIsOk => Some(Err(self.hopeful(node, view))),
            Variant::TokenWithoutIncarnation => Some(Err(one_life(view))),
            Variant::Counter => Some(Err(self.counted(view))),
            _ => None,
        }
    }

    /// The broken rule "unknown counts as good": what was ever reported is taken for now.
    fn hopeful(&self, node: usize, view: &View) -> View {
        let mut view = view.clone();
        let host_ms = self.host_ms(node);
        for report in view.reports.values_mut() {
            report.changed_ms = host_ms;
            report.watched = true;
            report.value.findings.retain(|finding| finding.severity != Severity::Unknown);
            for votes in &mut report.value.votes {
                votes.up = Some(votes.voters.clone());
            }
        }
        for (name, seen) in &view.reports {
            let session = Seen {
                value: SessionRecord { boot_id: String::new(), version: String::new() },
                created: seen.created,
                modified: seen.modified,
                first_seen_ms: host_ms,
                changed_ms: host_ms,
                watched: true,
            };
            view.sessions.entry(name.clone()).or_insert(session);
        }
        view
    }

    /// The broken rule "an entered lease is free when its time is over".
    fn timed_release(&self, node: usize, view: &View, name: &str) -> Option<Act> {
        const TIME_MS: u64 = 8_000;
        let leader = view.leader.as_ref().filter(|leader| leader.value.node == name)?;
        let host_ms = self.host_ms(node);
        let late = view.leases.values().find(|lease| host_ms.saturating_sub(lease.changed_ms) > TIME_MS)?;
        let txn = Txn::new()
            .if_created(Key::Leader, leader.created)
            .if_modified(late.value.key(), late.modified)
            .delete(late.value.key());
        Some(("freeing a lease by time".to_owned(), txn))
    }

    /// The broken rule "so many slots are taken": leases beyond the count stand where nobody looks.
    fn counted(&self, view: &View) -> View {
        let mut view = view.clone();
        let counted = usize::try_from(self.count).unwrap_or(0);
        let beyond: Vec<_> = view.leases.keys().skip(counted).cloned().collect();
        for (at, key) in beyond.into_iter().enumerate() {
            if let Some(lease) = view.leases.remove(&key) {
                view.leases.insert((String::new(), u32::try_from(at).unwrap_or(0)), lease);
            }
        }
        view
    }
}

/// The broken rule "a token is a number": every life of the store looks like the same one.
fn one_life(view: &View) -> View {
    let mut view = view.clone();
    if let Some(incarnation) = &mut view.incarnation {
        nameless(&mut incarnation.value);
    }
    view.leases.values_mut().for_each(|lease| nameless(&mut lease.value.incarnation));
    view.orders.values_mut().for_each(|order| nameless(&mut order.value.token.incarnation));
    view
}

fn nameless(incarnation: &mut String) {
    incarnation.clear();
}

fn key_of(compare: &Compare<Key>) -> &Key {
    match compare {
        Compare::Created { key, .. } | Compare::Modified { key, .. } => key,
    }
}
