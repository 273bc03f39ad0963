//! The edges of the store: one trait over plain text, and the engines behind it (design §5).
//!
//! It must never decide what is written: rules live in the core. It must never report a write as not done when it may
//! have been done, and never take silence for an answer.
//!
//! Keys are whole paths below [`hardstand_core::store::PREFIX`]. Values are text of the caller's making.

#[cfg(test)]
mod contract;
mod embedded;
pub(crate) mod etcd;
mod limits;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod open;
pub(crate) mod records;
mod remote;
pub(crate) mod serve;
#[cfg(test)]
mod served;
mod session;
#[cfg(test)]
mod strangers;
mod watch;
mod wire;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use hardstand_core::store::{self, Answer, Compare, Op, Revision, SessionId};

#[cfg(test)]
use limits::VALUE_BYTES_LIMIT;
use limits::check;
use session::{SESSION_TTL_MAX, SESSION_TTL_MIN};
use watch::HEARTBEAT;

pub(crate) use embedded::Embedded;
pub(crate) use remote::Remote;
pub(crate) use session::{Beat, Session};
pub(crate) use watch::{News, Watch};

/// A transaction over plain text.
pub(crate) type Txn = store::Txn<String, String>;
/// A key's value and its two revisions.
pub(crate) type Entry = store::Entry<String>;
/// A key written or removed.
pub(crate) type Change = store::Change<String, String>;

/// One read. The fenced decision that rests on it is stale after 5 s, so a slower answer is of no use.
pub(crate) const READ_LIMIT: Duration = Duration::from_secs(5);
/// One transaction, fsync included. A disk that takes longer is not one to hang a rollout on; what became of the
/// transaction is then unknown.
pub(crate) const TXN_LIMIT: Duration = Duration::from_secs(5);
/// Opening a session, and each sign of life after it.
pub(crate) const SESSION_LIMIT: Duration = Duration::from_secs(3);

/// A call under way.
pub(crate) type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The one linearizable place for shared state.
///
/// Every call ends within its limit above, with an answer or an error; none is retried inside, but for watches, which
/// take up their stream again where it broke.
pub(crate) trait Store: fmt::Debug + Send + Sync {
    /// One key as it is now (a linearizable read); `None`: there is none.
    fn get<'a>(&'a self, key: &'a str) -> Doing<'a, Option<Entry>>;

    /// Every key that begins so, in the order of keys, all at one revision. A watch from that revision misses nothing.
    fn range<'a>(&'a self, prefix: &'a str) -> Doing<'a, (Vec<(String, Entry)>, Revision)>;

    /// Judges and writes, whole or not at all. `Committed` means durable.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when it was sent and no answer came: read again before anything else. Every other error
    /// means that nothing was written.
    fn txn<'a>(&'a self, txn: &'a Txn) -> Doing<'a, Answer>;

    /// What changes after a revision among the keys that begin so. Returns at once; errors come through the watch.
    fn watch(&self, prefix: &str, after: Revision) -> Watch;

    /// A new session, kept alive in the background until it is ended or dropped. The TTL is clamped to
    /// [`SESSION_TTL_MIN`] to [`SESSION_TTL_MAX`].
    fn session(&self, ttl: Duration) -> Doing<'_, Session>;
}

/// Why the store could not do what was asked. Each says what the operator can do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// Nothing was asked of the store, or it only read: no connection, no quorum, no answer in time.
    #[error("the store is out of reach: {why}; see on its host: systemctl status hardstand-agent (or etcd)")]
    OutOfReach {
        /// What was tried and what came back.
        why: String,
    },
    /// A transaction was sent and no answer came. It may have been written.
    #[error("the store did not say whether it has written: {why}; read again before anything else is tried")]
    Unknown {
        /// How the answer was lost.
        why: String,
    },
    /// A watch asked for history that is gone. It has ended; read with a range and watch from there.
    #[error("the store has forgotten its history up to revision {at}; read all keys again and go on from there")]
    Compacted {
        /// History up to and with this revision is gone; 0 when the engine did not say.
        at: Revision,
    },
    /// The session is not alive, or its TTL passed without a sign from the store.
    #[error("session {session:x} is lost: {why}; a new one is opened when the store answers again")]
    SessionLost {
        /// Which.
        session: SessionId,
        /// What ended it.
        why: String,
    },
    /// The store knows us, or does not, and will not have it.
    #[error("the store refuses this: {why}; see: hardstand ca show, and the log of the store's host")]
    Denied {
        /// The store's reason.
        why: String,
    },
    /// There is no room. Nothing was written; it works again once there is.
    #[error("the store has no room: {why}; free some space on its host (etcd: compact, defrag, then disarm its alarm)")]
    Full {
        /// What is full.
        why: String,
    },
    /// What is on disk or on the wire is not what this program writes. Never taken for an empty store.
    #[error("the store's data cannot be used: {why}; keep the file, and restore a backup as a new incarnation")]
    Corrupt {
        /// What was found.
        why: String,
    },
    /// The request can never be served, whoever sends it: too large, or a key twice. Nothing was sent.
    #[error("this is more than the store takes: {why}; this is a bug of hardstand, please report it")]
    Refused {
        /// Which limit.
        why: String,
    },
}

/// The keys that a transaction reads or writes.
pub(crate) fn keys_of(txn: &Txn) -> impl Iterator<Item = &String> {
    let compared = txn.compares.iter().map(|compare| match compare {
        Compare::Created { key, .. } | Compare::Modified { key, .. } => key,
    });
    compared.chain(txn.ops.iter().map(key_of))
}

/// The key that an operation writes.
pub(crate) fn key_of(op: &Op<String, String>) -> &String {
    match op {
        Op::Put { key, .. } | Op::PutInSession { key, .. } | Op::Delete { key } => key,
    }
}
