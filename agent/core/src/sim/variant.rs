//! The rules as shipped, or one of them broken on purpose: the ten ways others have failed. A test shows that each is
//! caught.
//!
//! It must never reach into the rules: a variant changes what they are told and what of theirs is committed.

use crate::store::{Compare, Key, Op, Record, Txn};

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
            Self::Counter if grants => {
                // The leader counts what it sees and writes; nobody compares, and the count is the slot.
                txn.compares.clear();
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
                txn.compares
                    .retain(|compare| !matches!(key_of(compare), Key::Incarnation | Key::AuditHead | Key::Audit(_)));
            }
            Self::NaiveUnlock => {
                txn.compares.retain(|compare| !matches!(key_of(compare), Key::Lease { .. }));
            }
            _ => {}
        }
        txn
    }
}

fn key_of(compare: &Compare<Key>) -> &Key {
    match compare {
        Compare::Created { key, .. } | Compare::Modified { key, .. } => key,
    }
}
