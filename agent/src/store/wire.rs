//! What is said between the embedded store's server and its clients: JSON, one version for all of it.
//!
//! It must never be used for what is on disk, and never guess at a version it does not know.

use hardstand_core::store::{Answer, Compare, Entry as CoreEntry, Op, Revision, SessionId};
use serde::{Deserialize, Serialize};

use super::{Change, Entry, StoreError, Txn};

/// Of everything below.
pub(super) const VERSION: u32 = 1;
/// Where it is asked.
pub(super) const PATH: &str = "/v1/store";
/// Bytes of a question: the largest transaction, each byte of it written as `\u00XX`.
pub(super) const QUESTION_BYTES: usize = 8 << 20;
/// Bytes of an answer, or of one line of a watch. A store of 10,000 nodes is about a quarter of it.
pub(super) const ANSWER_BYTES: usize = 128 << 20;

/// A question.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    pub(super) version: u32,
    pub(super) ask: Ask,
}

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Ask {
    Get { key: String },
    Range { prefix: String },
    Txn { compares: Vec<WireCompare>, ops: Vec<WireOp> },
    Watch { prefix: String, after: Revision },
    Begin { ttl_ms: u64 },
    Beat { session: SessionId },
    End { session: SessionId },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum WireCompare {
    Created { key: String, revision: Revision },
    Modified { key: String, revision: Revision },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum WireOp {
    Put { key: String, value: String },
    PutInSession { key: String, value: String, session: SessionId },
    Delete { key: String },
}

/// An answer, or one line of a watch.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    pub(super) version: u32,
    pub(super) say: Say,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Say {
    Entry(Option<WireEntry>),
    Range { entries: Vec<(String, WireEntry)>, revision: Revision },
    Committed { revision: Revision },
    Conflict { revision: Revision },
    Session { session: SessionId },
    Done,
    Changes(Vec<WireChange>),
    Progress { revision: Revision },
    Error(WireError),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireEntry {
    value: String,
    created: Revision,
    modified: Revision,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireChange {
    revision: Revision,
    key: String,
    entry: Option<WireEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum WireError {
    OutOfReach { why: String },
    Unknown { why: String },
    Compacted { at: Revision },
    SessionLost { session: SessionId, why: String },
    Denied { why: String },
    Full { why: String },
    Corrupt { why: String },
    Refused { why: String },
}

impl Ask {
    /// A transaction as a question.
    pub(super) fn txn(txn: &Txn) -> Self {
        let compares = txn.compares.iter().cloned().map(|compare| match compare {
            Compare::Created { key, revision } => WireCompare::Created { key, revision },
            Compare::Modified { key, revision } => WireCompare::Modified { key, revision },
        });
        let ops = txn.ops.iter().cloned().map(|op| match op {
            Op::Put { key, value } => WireOp::Put { key, value },
            Op::PutInSession { key, value, session } => WireOp::PutInSession { key, value, session },
            Op::Delete { key } => WireOp::Delete { key },
        });
        Self::Txn { compares: compares.collect(), ops: ops.collect() }
    }
}

/// A question as a transaction.
pub(super) fn txn(compares: Vec<WireCompare>, ops: Vec<WireOp>) -> Txn {
    let compares = compares.into_iter().map(|compare| match compare {
        WireCompare::Created { key, revision } => Compare::Created { key, revision },
        WireCompare::Modified { key, revision } => Compare::Modified { key, revision },
    });
    let ops = ops.into_iter().map(|op| match op {
        WireOp::Put { key, value } => Op::Put { key, value },
        WireOp::PutInSession { key, value, session } => Op::PutInSession { key, value, session },
        WireOp::Delete { key } => Op::Delete { key },
    });
    Txn { compares: compares.collect(), ops: ops.collect() }
}

impl From<Answer> for Say {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Committed { revision } => Self::Committed { revision },
            Answer::Conflict { revision } => Self::Conflict { revision },
        }
    }
}

impl From<Entry> for WireEntry {
    fn from(CoreEntry { value, created, modified }: Entry) -> Self {
        Self { value, created, modified }
    }
}

impl From<WireEntry> for Entry {
    fn from(WireEntry { value, created, modified }: WireEntry) -> Self {
        Self { value, created, modified }
    }
}

impl From<Change> for WireChange {
    fn from(change: Change) -> Self {
        Self { revision: change.revision, key: change.key, entry: change.entry.map(Into::into) }
    }
}

impl From<WireChange> for Change {
    fn from(change: WireChange) -> Self {
        Self { revision: change.revision, key: change.key, entry: change.entry.map(Into::into) }
    }
}

impl From<StoreError> for WireError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OutOfReach { why } => Self::OutOfReach { why },
            StoreError::Unknown { why } => Self::Unknown { why },
            StoreError::Compacted { at } => Self::Compacted { at },
            StoreError::SessionLost { session, why } => Self::SessionLost { session, why },
            StoreError::Denied { why } => Self::Denied { why },
            StoreError::Full { why } => Self::Full { why },
            StoreError::Corrupt { why } => Self::Corrupt { why },
            StoreError::Refused { why } => Self::Refused { why },
        }
    }
}

impl From<WireError> for StoreError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::OutOfReach { why } => Self::OutOfReach { why },
            WireError::Unknown { why } => Self::Unknown { why },
            WireError::Compacted { at } => Self::Compacted { at },
            WireError::SessionLost { session, why } => Self::SessionLost { session, why },
            WireError::Denied { why } => Self::Denied { why },
            WireError::Full { why } => Self::Full { why },
            WireError::Corrupt { why } => Self::Corrupt { why },
            WireError::Refused { why } => Self::Refused { why },
        }
    }
}
