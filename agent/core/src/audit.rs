//! The audit chain: who did what, hashed to what came before, in the transaction that did it (S18).
//!
//! It must never be written alone: [`record`] adds it to the transaction of the act itself.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::lease::Token;
use crate::phase::Phase;
use crate::store::Record;
use crate::store::{Key, Revision, Txn};

/// What stands before the first record.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Number and hash of the last record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// The number of the last record; 0: none yet.
    pub seq: u64,
    /// Its SHA-256 in hex.
    pub hash: String,
}

impl Default for AuditHead {
    fn default() -> Self {
        Self { seq: 0, hash: GENESIS.to_owned() }
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words of design §2 and §6")]
pub enum Transition {
    Led,
    PolicyApplied,
    Planned,
    Approved,
    Started,
    Paused,
    Resumed,
    Aborted,
    Finished,
    Granted,
    Ordered,
    Reclaimed,
    Entered,
    Stepped,
    Withdrawn,
    Verified,
    Released,
    ForceReleased,
    Rejoined,
    Halted,
    Lifted,
    Adopted,
}

impl Transition {
    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Led => "led",
            Self::PolicyApplied => "policy_applied",
            Self::Planned => "planned",
            Self::Approved => "approved",
            Self::Started => "started",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Aborted => "aborted",
            Self::Finished => "finished",
            Self::Granted => "granted",
            Self::Ordered => "ordered",
            Self::Reclaimed => "reclaimed",
            Self::Entered => "entered",
            Self::Stepped => "stepped",
            Self::Withdrawn => "withdrawn",
            Self::Verified => "verified",
            Self::Released => "released",
            Self::ForceReleased => "force_released",
            Self::Rejoined => "rejoined",
            Self::Halted => "halted",
            Self::Lifted => "lifted",
            Self::Adopted => "adopted",
        }
    }
}

/// One transition, before it is chained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// What was done.
    pub what: Transition,
    /// Who did it: `node:pve1`, `operator:anna`.
    pub by: String,
    /// To which node, where there is one.
    pub node: Option<String>,
    /// Under which lease, where there is one.
    pub token: Option<Token>,
    /// For which plan, where there is one.
    pub plan: Option<String>,
    /// The phase that begins, for a step.
    pub phase: Option<Phase>,
    /// Why, and what was seen, in a sentence or two.
    pub reason: String,
    /// Seconds since 1970 by the writer's clock. For people; no decision reads it (S16).
    pub at_unix_seconds: u64,
}

impl Deed {
    /// A deed with nothing but who and why.
    pub fn new(what: Transition, by: impl Into<String>, reason: impl Into<String>, at_unix_seconds: u64) -> Self {
        let (by, reason) = (by.into(), reason.into());
        Self { what, by, node: None, token: None, plan: None, phase: None, reason, at_unix_seconds }
    }

    /// To this node.
    #[must_use]
    pub fn to(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// Under this lease.
    #[must_use]
    pub fn under(mut self, token: &Token) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// For this plan.
    #[must_use]
    pub fn of_plan(mut self, plan: &str) -> Self {
        self.plan = Some(plan.to_owned());
        self
    }

    /// With this phase beginning.
    #[must_use]
    pub fn into_phase(mut self, phase: Phase) -> Self {
        self.phase = Some(phase);
        self
    }
}

/// One link of the chain. Its revision is that of the key it lies under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its number, from 1 without gaps.
    pub seq: u64,
    /// The hash of the record before.
    pub previous: String,
    /// What was done.
    #[serde(flatten)]
    pub deed: Deed,
    /// SHA-256 in hex over number, previous hash and deed.
    pub hash: String,
}

/// Adds one record to the transaction: it commits only while the chain still ends at `head` (revision `head_modified`;
/// 0 where there is no chain yet).
#[must_use]
pub fn record(txn: Txn<Key, Record>, (head, head_modified): (&AuditHead, Revision), deed: Deed) -> Txn<Key, Record> {
    let link = chained(head, deed);
    let next = AuditHead { seq: link.seq, hash: link.hash.clone() };
    txn.if_modified(Key::AuditHead, head_modified)
        .if_absent(Key::Audit(link.seq))
        .put(Key::AuditHead, Record::AuditHead(next))
        .put(Key::Audit(link.seq), Record::Audit(Box::new(link)))
}

/// The next record after `head`.
pub fn chained(head: &AuditHead, deed: Deed) -> AuditRecord {
    let seq = head.seq + 1;
    let hash = hash(seq, &head.hash, &deed);
    AuditRecord { seq, previous: head.hash.clone(), deed, hash }
}

/// Where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenChain {
    /// A number is missing or stands twice.
    #[error("audit record {expected} is missing (found {found}); records were removed or the store was restored")]
    Gap {
        /// The number that should stand here.
        expected: u64,
        /// The number that does.
        found: u64,
    },
    /// A record does not name its predecessor's hash.
    #[error("audit record {seq} does not follow the one before it; one of them was exchanged")]
    Unlinked {
        /// Its number.
        seq: u64,
    },
    /// A record's text does not have the hash it names.
    #[error("audit record {seq} was changed after it was written")]
    Changed {
        /// Its number.
        seq: u64,
    },
}

/// Checks a run of records that follows `after`, and gives the head it leads to.
///
/// # Errors
/// The first place where the chain breaks.
pub fn verify<'a>(
    after: &AuditHead,
    records: impl IntoIterator<Item = &'a AuditRecord>,
) -> Result<AuditHead, BrokenChain> {
    let mut head = after.clone();
    for record in records {
        let seq = record.seq;
        if seq != head.seq + 1 {
            return Err(BrokenChain::Gap { expected: head.seq + 1, found: seq });
        }
        if record.previous != head.hash {
            return Err(BrokenChain::Unlinked { seq });
        }
        if record.hash != hash(seq, &record.previous, &record.deed) {
            return Err(BrokenChain::Changed { seq });
        }
        head = AuditHead { seq, hash: record.hash.clone() };
    }
    Ok(head)
}

/// Every field with its length before it, so that no two deeds have the same bytes.
fn hash(seq: u64, previous: &str, deed: &Deed) -> String {
    let mut hasher = Sha256::new();
    let mut field = |text: &str| {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    };
    field(&seq.to_string());
    field(previous);
    field(deed.what.word());
    field(&deed.by);
    field(deed.node.as_deref().unwrap_or("-"));
    field(&deed.token.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string));
    field(deed.plan.as_deref().unwrap_or("-"));
    field(deed.phase.map_or("-", Phase::word));
    field(&deed.reason);
    field(&deed.at_unix_seconds.to_string());
    hex(&hasher.finalize())
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(reasons: &[&str]) -> Vec<AuditRecord> {
        let mut head = AuditHead::default();
        reasons
            .iter()
            .map(|reason| {
                let link = chained(&head, Deed::new(Transition::Halted, "operator:anna", *reason, 7));
                head = AuditHead { seq: link.seq, hash: link.hash.clone() };
                link
            })
            .collect()
    }

    #[test]
    fn a_whole_chain_is_verified_to_its_head() {
        let links = chain(&["a", "b", "c"]);
        assert_eq!(verify(&AuditHead::default(), &links).map(|head| head.seq), Ok(3));
    }

    #[test]
    fn s18_a_changed_removed_or_exchanged_record_is_told() {
        let whole = chain(&["a", "b", "c"]);
        let mut changed = whole.clone();
        changed[1].deed.reason = "nothing".to_owned();
        assert_eq!(verify(&AuditHead::default(), &changed), Err(BrokenChain::Changed { seq: 2 }));
        let removed = [whole[0].clone(), whole[2].clone()];
        assert_eq!(verify(&AuditHead::default(), &removed), Err(BrokenChain::Gap { expected: 2, found: 3 }));
        let exchanged = [whole[0].clone(), chain(&["x", "b"])[1].clone()];
        assert_eq!(verify(&AuditHead::default(), &exchanged), Err(BrokenChain::Unlinked { seq: 2 }));
    }

    #[test]
    fn fields_cannot_run_into_each_other() {
        let one = Deed::new(Transition::Halted, "ab", "c", 0);
        let other = Deed::new(Transition::Halted, "a", "bc", 0);
        assert_ne!(hash(1, GENESIS, &one), hash(1, GENESIS, &other));
    }
}
