//! The one thread that owns the store's file: it takes jobs in order, and ends sessions whose time is over.
//!
//! It must never answer a write before the disk has, and never let a read see what the disk has not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use hardstand_core::store::{Answer, Revision, SessionId};
use tokio::sync::{oneshot, watch};

use super::super::{Change, Entry, StoreError, Txn};
use super::disk::{Disk, Kept, lost};

/// Jobs that wait. A thousand nodes that all ask at once; more are told to come again.
pub(super) const QUEUE: usize = 1024;
/// Transactions that share one fsync: as many as wait, up to this.
const GROUP: usize = 64;
/// How long the thread sleeps when no session ends sooner.
const IDLE: Duration = Duration::from_secs(60);
/// When the end of a session cannot be written (disk full): how long until it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the thread is asked.
pub(super) enum Job {
    Get { key: String, answer: Reply<Option<Entry>> },
    Range { prefix: String, answer: Reply<(Vec<(String, Entry)>, Revision)> },
    Changes { prefix: String, after: Revision, most: usize, answer: Reply<(Vec<Change>, Revision)> },
    Txn { txn: Txn, owner: Arc<str>, answer: Reply<Answer> },
    Begin { kept: Kept, answer: Reply<()> },
    Beat { session: SessionId, owner: Arc<str>, answer: Reply<()> },
    End { session: SessionId, owner: Arc<str>, answer: Reply<()> },
    Compact { revision: Revision, answer: Reply<()> },
}

struct Alive {
    kept: Kept,
    until: Instant,
}

struct Thread<'a> {
    disk: Disk,
    sessions: BTreeMap<SessionId, Alive>,
    told: &'a watch::Sender<Revision>,
}

/// Works until nobody holds the queue's other end.
pub(super) fn run(disk: Disk, queue: &Receiver<Job>, told: &watch::Sender<Revision>, sessions: Vec<Kept>) {
    // A whole TTL each: how long they were silent while nobody listened says nothing.
    let sessions = sessions.into_iter().map(|kept| (kept.id, Alive { until: Instant::now() + ttl(&kept), kept }));
    let mut thread = Thread { disk, sessions: sessions.collect(), told };
    loop {
        let next = thread.sessions.values().map(|alive| alive.until).min();
        let wait = next.map_or(IDLE, |until| until.saturating_duration_since(Instant::now()).min(IDLE));
        let mut next = match queue.recv_timeout(wait) {
            Ok(job) => Some(job),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        while let Some(job) = next.take() {
            next = match job {
                Job::Txn { txn, owner, answer } => thread.group((txn, owner, answer), queue),
                job => {
                    thread.work(job);
                    None
                }
            };
        }
        thread.end_overdue();
        // Only what the disk has is told.
        let revision = thread.disk.facts().revision;
        told.send_if_modified(|now| std::mem::replace(now, revision) != revision);
    }
}

fn ttl(kept: &Kept) -> Duration {
    Duration::from_millis(kept.ttl_ms)
}

impl Thread<'_> {
    /// Writes this transaction and those that wait behind it with one fsync; returns the first job that is none.
    fn group(&mut self, first: (Txn, Arc<str>, Reply<Answer>), queue: &Receiver<Job>) -> Option<Job> {
        let mut group = vec![first];
        let mut other = None;
        while group.len() < GROUP && other.is_none() {
            match queue.try_recv() {
                Ok(Job::Txn { txn, owner, answer }) => group.push((txn, owner, answer)),
                Ok(job) => other = Some(job),
                Err(_) => break,
            }
        }
        // Those that nobody waits for any more are not begun.
        group.retain(|(_, _, answer)| !answer.is_closed());
        let written = self.disk.write(|writing| {
            group.iter().map(|(txn, owner, _)| writing.commit(txn, owner)).collect::<Result<Vec<_>, _>>()
        });
        match written {
            Ok(answers) => {
                for ((_, _, reply), answer) in group.into_iter().zip(answers) {
                    // Whoever has left has taken its answer for lost.
                    let _ = reply.send(answer);
                }
            }
            Err(error) => {
                for (_, _, reply) in group {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
        let revision = self.disk.facts().revision;
        self.told.send_if_modified(|now| std::mem::replace(now, revision) != revision);
        other
    }

    fn work(&mut self, job: Job) {
        // Each answer may have lost its reader; there is nobody to tell then.
        match job {
            Job::Get { key, answer } => drop(answer.send(self.disk.get(&key))),
            Job::Range { prefix, answer } => {
                let found = self.disk.range(&prefix);
                drop(answer.send(found.map(|found| (found, self.disk.facts().revision))));
            }
            Job::Changes { prefix, after, most, answer } => {
                drop(answer.send(self.disk.changes(&prefix, after, most)));
            }
            Job::Begin { kept, answer } => drop(answer.send(self.begin(kept))),
            Job::Beat { session, owner, answer } => drop(answer.send(self.beat(session, &owner))),
            Job::End { session, owner, answer } => drop(answer.send(self.end(session, &owner))),
            Job::Compact { revision, answer } => {
                drop(answer.send(self.disk.write(|writing| writing.compact(revision))));
            }
            Job::Txn { .. } => unreachable!("transactions are written in groups"),
        }
    }

    fn begin(&mut self, kept: Kept) -> Result<(), StoreError> {
        self.disk.write(|writing| writing.begin_session(&kept))?;
        self.sessions.insert(kept.id, Alive { until: Instant::now() + ttl(&kept), kept });
        Ok(())
    }

    fn beat(&mut self, session: SessionId, owner: &str) -> Result<(), StoreError> {
        let alive = self.owned(session, owner)?;
        alive.until = Instant::now() + ttl(&alive.kept);
        Ok(())
    }

    fn end(&mut self, session: SessionId, owner: &str) -> Result<(), StoreError> {
        if self.owned(session, owner).is_err() {
            // It is over already.
            return Ok(());
        }
        self.disk.write(|writing| writing.end_session(session))?;
        self.sessions.remove(&session);
        Ok(())
    }

    fn owned(&mut self, session: SessionId, owner: &str) -> Result<&mut Alive, StoreError> {
        self.sessions.get_mut(&session).filter(|alive| alive.kept.owner == owner).ok_or_else(|| lost(session))
    }

    fn end_overdue(&mut self) {
        let now = Instant::now();
        let overdue: Vec<SessionId> =
            self.sessions.iter().filter(|(_, alive)| alive.until <= now).map(|(id, _)| *id).collect();
        for id in overdue {
            match self.disk.write(|writing| writing.end_session(id)) {
                Ok(()) => {
                    if let Some(alive) = self.sessions.remove(&id) {
                        tracing::info!(session = id, owner = alive.kept.owner, "a session has ended by its TTL");
                    }
                }
                Err(error) => {
                    tracing::warn!(session = id, %error, "a session's end could not be written");
                    if let Some(alive) = self.sessions.get_mut(&id) {
                        alive.until = now + AGAIN;
                    }
                }
            }
        }
    }
}
