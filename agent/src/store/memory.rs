//! The store in memory, for tests: the core's model behind the trait, with the faults of a real store on demand.
//!
//! It must never be kinder than a real engine, and never be part of the program.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hardstand_core::store::{Answer, Model, Op, Revision, SessionId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::session::Moment;
use super::watch::Feed;
use super::{
    Beat, Change, Doing, Entry, HEARTBEAT, News, SESSION_TTL_MAX, SESSION_TTL_MIN, Session, Store, StoreError, Txn,
    Watch, check,
};

/// A store in memory. Clones are the same store.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Moved at each commit and each change of a fault.
    turned: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    model: Model<String, String>,
    deadlines: BTreeMap<SessionId, (Duration, Instant)>,
    away: bool,
    mute: bool,
    full: bool,
}

impl Memory {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let (turned, _) = watch::channel(0);
        Self { shared: Arc::new(Shared { state: Mutex::default(), turned }) }
    }

    /// Out of reach, or back.
    pub(crate) fn set_away(&self, away: bool) {
        self.turn(|state| state.away = away);
    }

    /// Transactions are written and not answered.
    pub(crate) fn set_mute(&self, mute: bool) {
        self.turn(|state| state.mute = mute);
    }

    /// No room.
    pub(crate) fn set_full(&self, full: bool) {
        self.turn(|state| state.full = full);
    }

    /// Forgets history up to and with a revision.
    pub(crate) fn compact(&self, revision: Revision) {
        self.turn(|state| state.model.compact(revision));
    }

    fn turn<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.shared.turn(change)
    }
}

impl Shared {
    /// The state as of now: sessions past their deadline have ended.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let past: Vec<SessionId> =
            state.deadlines.iter().filter(|(_, (_, deadline))| *deadline <= now).map(|(id, _)| *id).collect();
        for id in past {
            state.deadlines.remove(&id);
            state.model.end_session(id);
        }
        state
    }

    fn turn<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let done = change(&mut self.state());
        self.turned.send_modify(|count| *count += 1);
        done
    }

    fn reach(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state();
        if state.away { Err(away()) } else { Ok(state) }
    }
}

fn away() -> StoreError {
    StoreError::OutOfReach { why: "the test took it away".to_owned() }
}

fn lost(session: SessionId) -> StoreError {
    StoreError::SessionLost { session, why: "the store does not know it".to_owned() }
}

impl Store for Memory {
    fn get<'a>(&'a self, key: &'a str) -> Doing<'a, Option<Entry>> {
        Box::pin(async move { Ok(self.shared.reach()?.model.get(&key.to_owned()).cloned()) })
    }

    fn range<'a>(&'a self, prefix: &'a str) -> Doing<'a, (Vec<(String, Entry)>, Revision)> {
        Box::pin(async move {
            let state = self.shared.reach()?;
            let found = state.model.all().filter(|(key, _)| key.starts_with(prefix));
            Ok((found.map(|(key, entry)| (key.clone(), entry.clone())).collect(), state.model.revision()))
        })
    }

    fn txn<'a>(&'a self, txn: &'a Txn) -> Doing<'a, Answer> {
        Box::pin(async move {
            check(txn)?;
            drop(self.shared.reach()?);
            self.turn(|state| {
                if state.full {
                    return Err(StoreError::Full { why: "the test left no room".to_owned() });
                }
                let answer = state.model.commit(txn).ok_or_else(|| {
                    let sessions = txn.ops.iter().filter_map(|op| match op {
                        Op::PutInSession { session, .. } => Some(*session),
                        Op::Put { .. } | Op::Delete { .. } => None,
                    });
                    lost(sessions.max().unwrap_or_default())
                });
                if state.mute {
                    return Err(StoreError::Unknown { why: "the test kept the answer".to_owned() });
                }
                answer
            })
        })
    }

    fn watch(&self, prefix: &str, after: Revision) -> Watch {
        let (shared, prefix) = (Arc::clone(&self.shared), prefix.to_owned());
        Watch::fed(move |feed| feeder(shared, prefix, after, feed))
    }

    fn session(&self, ttl: Duration) -> Doing<'_, Session> {
        Box::pin(async move {
            let ttl = ttl.clamp(SESSION_TTL_MIN, SESSION_TTL_MAX);
            let asked_at = Moment::now();
            drop(self.shared.reach()?);
            let id = self.turn(|state| {
                let id = state.model.begin_session();
                state.deadlines.insert(id, (ttl, Instant::now() + ttl));
                id
            });
            Ok(Session::keep(id, ttl, asked_at, Arc::new(self.clone())))
        })
    }
}

impl Beat for Memory {
    fn beat(&self, session: SessionId) -> Doing<'_, ()> {
        Box::pin(async move {
            let mut state = self.shared.reach()?;
            let (ttl, deadline) = state.deadlines.get_mut(&session).ok_or_else(|| lost(session))?;
            *deadline = Instant::now() + *ttl;
            Ok(())
        })
    }

    fn end(&self, session: SessionId) -> Doing<'_, ()> {
        Box::pin(async move {
            drop(self.shared.reach()?);
            self.turn(|state| {
                state.deadlines.remove(&session);
                state.model.end_session(session);
            });
            Ok(())
        })
    }
}

async fn feeder(shared: Arc<Shared>, prefix: String, after: Revision, feed: Feed) {
    let mut turned = shared.turned.subscribe();
    let mut told = after;
    let mut was_away = false;
    loop {
        turned.mark_unchanged();
        let (news, wake) = {
            let state = shared.state();
            (after_revision(&state, &prefix, told), state.deadlines.values().map(|(_, deadline)| *deadline).min())
        };
        let is_away = matches!(news, Err(StoreError::OutOfReach { .. }));
        let last = news.is_err() && !is_away;
        if let Ok((_, now)) = &news {
            told = *now;
        }
        let news = news.map(|(changes, now)| match changes.is_empty() {
            true => News::Progress(now),
            false => News::Changes(changes),
        });
        if !(is_away && was_away) && feed.send(news).await.is_err() || last {
            return;
        }
        was_away = is_away;
        let wake = wake.unwrap_or_else(|| Instant::now() + HEARTBEAT);
        let _ = timeout(HEARTBEAT, async {
            tokio::select! {
                _ = turned.changed() => {}
                () = sleep_until(wake) => {}
            }
        })
        .await;
    }
}

/// What came after a revision, and the revision up to which that is all.
fn after_revision(state: &State, prefix: &str, after: Revision) -> Result<(Vec<Change>, Revision), StoreError> {
    if state.away {
        return Err(away());
    }
    let changes = state.model.changes_after(after).ok_or(StoreError::Compacted { at: 0 })?;
    let ours = changes.iter().filter(|change| change.key.starts_with(prefix));
    Ok((ours.cloned().collect(), state.model.revision().max(after)))
}

#[cfg(test)]
mod tests {
    use super::super::contract::{Faults, Subject, contract, contract_of_faults};
    use super::*;

    impl Faults for Memory {
        fn compact(&self, revision: Revision) -> Doing<'_, ()> {
            Self::compact(self, revision);
            Box::pin(async { Ok(()) })
        }
        fn cut(&self) {
            self.set_away(true);
            let back = self.clone();
            tokio::spawn(async move { back.set_away(false) });
        }
        fn silence(&self, on: bool) {
            self.set_away(on);
        }
        fn mute(&self, on: bool) {
            self.set_mute(on);
        }
    }

    async fn open() -> Subject {
        let memory = Memory::new();
        Subject { store: Arc::new(memory.clone()), faults: Box::new(memory) }
    }

    contract!(open);
    contract_of_faults!(open);

    #[test]
    fn a_full_store_refuses_and_works_again() {
        super::super::contract::run(async {
            let memory = Memory::new();
            memory.set_full(true);
            let txn = Txn::new().put("/k".to_owned(), "v".to_owned());
            assert!(matches!(memory.txn(&txn).await, Err(StoreError::Full { .. })));
            memory.set_full(false);
            assert_eq!(memory.txn(&txn).await, Ok(Answer::Committed { revision: 2 }));
        });
    }
}
