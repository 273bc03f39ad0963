//! The words of the store: keys, records, transactions and changes (design §5).
//!
//! It must never reach a store: engines live in the agent, and take these values. The same types with plain text in
//! them are what an engine speaks, so one model ([`Model`]) serves the simulator and the engines' contract tests.

pub mod access;
mod key;
mod model;
mod record;

pub use key::{Key, PREFIX};
pub use model::Model;
pub use record::Record;

/// A position in the store's history. 0 is before everything: as a compare it means "the key does not exist".
pub type Revision = u64;

/// A short liveness hint of one client. Never a permit.
pub type SessionId = u64;

/// One key as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<V> {
    /// The value.
    pub value: V,
    /// When this life of the key began.
    pub created: Revision,
    /// When it was last written.
    pub modified: Revision,
}

/// One condition of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare<K> {
    /// The key's life began at this revision; 0: it does not exist.
    Created {
        /// The key.
        key: K,
        /// Its create revision.
        revision: Revision,
    },
    /// The key was last written at this revision; 0: it does not exist.
    Modified {
        /// The key.
        key: K,
        /// Its modification revision.
        revision: Revision,
    },
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Op<K, V> {
    /// Write a key.
    Put {
        /// The key.
        key: K,
        /// Its value.
        value: V,
    },
    /// Write a key that goes away with a session.
    PutInSession {
        /// The key.
        key: K,
        /// Its value.
        value: V,
        /// The session; the transaction is refused when it is not alive.
        session: SessionId,
    },
    /// Remove a key; nothing happens when there is none.
    Delete {
        /// The key.
        key: K,
    },
}

/// All of the writes, if all of the conditions hold; else none.
#[derive(Debug, Clone, PartialEq)]
pub struct Txn<K, V> {
    /// What must hold.
    pub compares: Vec<Compare<K>>,
    /// What is then written, at one revision. A key may stand here once.
    pub ops: Vec<Op<K, V>>,
}

impl<K, V> Txn<K, V> {
    /// No conditions and no writes yet.
    pub fn new() -> Self {
        Self { compares: Vec::new(), ops: Vec::new() }
    }

    /// Only if the key's life began at `revision` (0: if there is no such key).
    #[must_use]
    pub fn if_created(mut self, key: K, revision: Revision) -> Self {
        self.compares.push(Compare::Created { key, revision });
        self
    }

    /// Only if the key was last written at `revision` (0: if there is no such key).
    #[must_use]
    pub fn if_modified(mut self, key: K, revision: Revision) -> Self {
        self.compares.push(Compare::Modified { key, revision });
        self
    }

    /// Only if there is no such key.
    #[must_use]
    pub fn if_absent(self, key: K) -> Self {
        self.if_created(key, 0)
    }

    /// Write a key.
    #[must_use]
    pub fn put(mut self, key: K, value: V) -> Self {
        self.ops.push(Op::Put { key, value });
        self
    }

    /// Write a key that goes away with a session.
    #[must_use]
    pub fn put_in_session(mut self, key: K, value: V, session: SessionId) -> Self {
        self.ops.push(Op::PutInSession { key, value, session });
        self
    }

    /// Remove a key.
    #[must_use]
    pub fn delete(mut self, key: K) -> Self {
        self.ops.push(Op::Delete { key });
        self
    }
}

impl<K, V> Default for Txn<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// How a transaction ended. Either way the store has answered, and is at `revision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Written and durable. Keys that it made have this create revision.
    Committed {
        /// The revision of the writes.
        revision: Revision,
    },
    /// A condition did not hold; nothing was written.
    Conflict {
        /// The revision at which it was judged.
        revision: Revision,
    },
}

/// One key written or removed, as a watch tells it, in the order of revisions.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<K, V> {
    /// When.
    pub revision: Revision,
    /// Which key.
    pub key: K,
    /// What it is now; `None`: removed.
    pub entry: Option<Entry<V>>,
}
