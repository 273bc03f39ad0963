//! The store in one agent: a file, one thread that owns it, and handles to ask it (design §5).
//!
//! It must never acknowledge what is not on the disk, and never end a session early: TTLs count on the monotonic clock
//! of this process, and anew after its start.

mod disk;
#[cfg(test)]
mod tests;
mod thread;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use hardstand_core::store::{Answer, Revision, SessionId};
use rustls::crypto::SecureRandom;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::session::Moment;
use super::watch::Feed;
use super::{
    Beat, Change, Doing, Entry, HEARTBEAT, News, READ_LIMIT, SESSION_LIMIT, SESSION_TTL_MAX, SESSION_TTL_MIN, Session,
    Store, StoreError, TXN_LIMIT, Txn, Watch, check,
};
use disk::{Disk, Kept};
use thread::{Job, QUEUE};

/// Changes that a watch takes at once.
const CHANGES: usize = 256;

/// A handle on the store's thread. Clones are the same store; the thread ends with the last of them.
#[derive(Debug, Clone)]
pub(crate) struct Embedded {
    jobs: SyncSender<Job>,
    /// Where history stands, for those that wait for more.
    revision: watch::Receiver<Revision>,
    /// Whose sessions these are.
    owner: Arc<str>,
}

impl Embedded {
    /// Makes an empty store where there is none.
    ///
    /// # Errors
    /// When something is there, or the disk fails.
    pub(crate) fn create(path: &Path) -> Result<(), StoreError> {
        Disk::create(path)
    }

    /// Opens a store and starts its thread.
    ///
    /// # Errors
    /// When there is none, or it cannot be used as it is.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        Self::on(Disk::open(path, None)?)
    }

    fn on(mut disk: Disk) -> Result<Self, StoreError> {
        let sessions = disk.sessions()?;
        let (told, revision) = watch::channel(disk.facts().revision);
        let (jobs, queue) = std::sync::mpsc::sync_channel(QUEUE);
        let started = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || thread::run(disk, &queue, &told, sessions));
        started.map_err(|error| StoreError::OutOfReach { why: format!("starting its thread: {error}") })?;
        Ok(Self { jobs, revision, owner: Arc::from("") })
    }

    /// The same store in another's name: sessions are their owner's alone.
    pub(super) fn owned_by(&self, owner: &str) -> Self {
        Self { owner: Arc::from(owner), ..self.clone() }
    }

    /// Forgets history up to and with a revision.
    pub(crate) async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let answer = self.ask(TXN_LIMIT, |answer| Job::Compact { revision, answer }).await;
        answer.map_err(Lost::read)?
    }

    /// Opens a session without keeping it alive.
    pub(super) async fn begin_session(&self, ttl: Duration) -> Result<SessionId, StoreError> {
        let ttl_ms = u64::try_from(ttl.clamp(SESSION_TTL_MIN, SESSION_TTL_MAX).as_millis())
            .expect("the longest TTL is a few minutes");
        let kept = Kept { id: random_id()?, ttl_ms, owner: self.owner.to_string() };
        let id = kept.id;
        self.ask(SESSION_LIMIT, |answer| Job::Begin { kept, answer }).await.map_err(Lost::read)??;
        Ok(id)
    }

    /// What changed after a revision, and the revision up to which that is all.
    async fn changes(&self, prefix: &str, after: Revision) -> Result<(Vec<Change>, Revision), StoreError> {
        let prefix = prefix.to_owned();
        let job = |answer| Job::Changes { prefix, after, most: CHANGES, answer };
        self.ask(READ_LIMIT, job).await.map_err(Lost::read)?
    }

    async fn ask<T>(&self, limit: Duration, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Lost> {
        let (answer, answered) = oneshot::channel();
        match self.jobs.try_send(job(answer)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(Lost::NotSent("the store has too much to do")),
            Err(TrySendError::Disconnected(_)) => return Err(Lost::NotSent("the store's thread has ended")),
        }
        match timeout(limit, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Lost::Sent("the store's thread has ended")),
            Err(_) => Err(Lost::Sent("the disk did not answer in time")),
        }
    }
}

/// How an answer was lost.
enum Lost {
    NotSent(&'static str),
    Sent(&'static str),
}

impl Lost {
    fn read(self) -> StoreError {
        let (Self::NotSent(why) | Self::Sent(why)) = self;
        StoreError::OutOfReach { why: why.to_owned() }
    }

    fn write(self) -> StoreError {
        match self {
            Self::NotSent(_) => self.read(),
            Self::Sent(why) => StoreError::Unknown { why: why.to_owned() },
        }
    }
}

/// Not a counter: after a restore of the store a number must not be given twice.
fn random_id() -> Result<SessionId, StoreError> {
    let mut bytes = [0; 8];
    let random: &dyn SecureRandom = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| StoreError::OutOfReach { why: "the kernel gave no randomness".to_owned() })?;
    // 0 stands for none. The top bit stays free, as in etcd.
    Ok((u64::from_le_bytes(bytes) >> 1).max(1))
}

impl Store for Embedded {
    fn get<'a>(&'a self, key: &'a str) -> Doing<'a, Option<Entry>> {
        let key = key.to_owned();
        Box::pin(async move { self.ask(READ_LIMIT, |answer| Job::Get { key, answer }).await.map_err(Lost::read)? })
    }

    fn range<'a>(&'a self, prefix: &'a str) -> Doing<'a, (Vec<(String, Entry)>, Revision)> {
        let prefix = prefix.to_owned();
        Box::pin(async move { self.ask(READ_LIMIT, |answer| Job::Range { prefix, answer }).await.map_err(Lost::read)? })
    }

    fn txn<'a>(&'a self, txn: &'a Txn) -> Doing<'a, Answer> {
        Box::pin(async move {
            check(txn)?;
            let (txn, owner) = (txn.clone(), Arc::clone(&self.owner));
            self.ask(TXN_LIMIT, |answer| Job::Txn { txn, owner, answer }).await.map_err(Lost::write)?
        })
    }

    fn watch(&self, prefix: &str, after: Revision) -> Watch {
        let (store, prefix) = (self.clone(), prefix.to_owned());
        Watch::fed(move |feed| feeder(store, prefix, after, feed))
    }

    fn session(&self, ttl: Duration) -> Doing<'_, Session> {
        Box::pin(async move {
            let ttl = ttl.clamp(SESSION_TTL_MIN, SESSION_TTL_MAX);
            let asked_at = Moment::now();
            let id = self.begin_session(ttl).await?;
            Ok(Session::keep(id, ttl, asked_at, Arc::new(self.clone())))
        })
    }
}

impl Beat for Embedded {
    fn beat(&self, session: SessionId) -> Doing<'_, ()> {
        let owner = Arc::clone(&self.owner);
        let job = move |answer| Job::Beat { session, owner, answer };
        Box::pin(async move { self.ask(SESSION_LIMIT, job).await.map_err(Lost::read)? })
    }

    fn end(&self, session: SessionId) -> Doing<'_, ()> {
        let owner = Arc::clone(&self.owner);
        let job = move |answer| Job::End { session, owner, answer };
        Box::pin(async move { self.ask(SESSION_LIMIT, job).await.map_err(Lost::read)? })
    }
}

/// Reads on from the history table each time the store has moved, so that there is nothing to lose between the two.
async fn feeder(store: Embedded, prefix: String, after: Revision, feed: Feed) {
    let mut told = after;
    let mut moved = store.revision.clone();
    // A watch must not keep the thread alive, nor the owner's handle from being the last one: it holds its own.
    loop {
        moved.mark_unchanged();
        let news = match store.changes(&prefix, told).await {
            Ok((changes, upto)) => {
                told = upto;
                Ok(if changes.is_empty() { News::Progress(upto) } else { News::Changes(changes) })
            }
            Err(error) => Err(error),
        };
        let last = matches!(&news, Err(error) if !matches!(error, StoreError::OutOfReach { .. }));
        if feed.send(news).await.is_err() || last {
            return;
        }
        if *moved.borrow() <= told && matches!(timeout(HEARTBEAT, moved.changed()).await, Ok(Err(_))) {
            return;
        }
    }
}
