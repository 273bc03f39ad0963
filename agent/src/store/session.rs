//! A session as its owner sees it: kept alive in the background, and known to be lost within its TTL also when the
//! store is silent.
//!
//! It must never outlive its TTL in the owner's eyes: the TTL counts from when the last sign of life that was
//! answered was *sent*, on a clock that runs through suspend.

use std::sync::Arc;
use std::time::Duration;

use hardstand_core::store::SessionId;
use nix::time::{ClockId, clock_gettime};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{Doing, SESSION_LIMIT, StoreError};

/// Shortest TTL: etcd takes no less than about its election timeout either.
pub(crate) const SESSION_TTL_MIN: Duration = Duration::from_secs(2);
/// Longest TTL: a node that is gone for longer should be seen.
pub(crate) const SESSION_TTL_MAX: Duration = Duration::from_secs(300);
/// Signs of life in one TTL: two may be lost.
const BEATS: u32 = 3;
/// Most that is waited after a failed sign of life before the next one.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// What an engine can do for a session.
pub(crate) trait Beat: Send + Sync + 'static {
    /// One sign of life, answered by the store. [`StoreError::SessionLost`] (or a TTL that is not positive): it is
    /// gone. Any other error: no answer, try again.
    fn beat(&self, session: SessionId) -> Doing<'_, ()>;
    /// Ends it and removes its keys.
    fn end(&self, session: SessionId) -> Doing<'_, ()>;
}

/// A short liveness hint. Never a permit. Dropping it ends it in the background.
#[derive(Debug)]
pub(crate) struct Session {
    id: SessionId,
    lost: watch::Receiver<Option<StoreError>>,
    stop: Option<oneshot::Sender<()>>,
    keeper: JoinHandle<Result<(), StoreError>>,
}

impl Session {
    /// Keeps a session that an engine has opened. `asked_at`: when the engine was asked, which is before its TTL began.
    pub(super) fn keep(id: SessionId, ttl: Duration, asked_at: Moment, engine: Arc<dyn Beat>) -> Self {
        let (told, lost) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let keeper = tokio::spawn(keep(id, ttl, asked_at, engine, told, stopped));
        Self { id, lost, stop: Some(stop), keeper }
    }

    /// Its number, for [`hardstand_core::store::Op::PutInSession`].
    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// Whether nothing is known of its loss.
    pub(crate) fn is_alive(&self) -> bool {
        self.lost.borrow().is_none()
    }

    /// Waits until it is lost, and says why. May be given up and asked again (cancel safe).
    pub(crate) async fn lost(&mut self) -> StoreError {
        match self.lost.wait_for(Option::is_some).await {
            Ok(why) => why.clone().expect("waited for a reason"),
            Err(_) => StoreError::SessionLost { session: self.id, why: "it is kept no more".to_owned() },
        }
    }

    /// Ends it and waits for the store to say so. Its keys are gone then.
    ///
    /// # Errors
    /// When the store did not answer: it ends by its TTL.
    pub(crate) async fn end(mut self) -> Result<(), StoreError> {
        // A keeper that is gone has found it lost; there is nothing to end.
        let _ = self.stop.take().map(|stop| stop.send(()));
        match (&mut self.keeper).await {
            Ok(ended) => ended,
            Err(error) => Err(StoreError::OutOfReach { why: format!("ending a session: {error}") }),
        }
    }
}

/// A moment on two clocks: one the runtime waits by, and one that runs through suspend. The larger elapsed time counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    instant: Instant,
    boottime: Duration,
}

impl Moment {
    /// Now.
    pub(super) fn now() -> Self {
        Self { instant: Instant::now(), boottime: boottime() }
    }

    /// How long ago.
    pub(super) fn elapsed(&self) -> Duration {
        self.instant.elapsed().max(boottime().saturating_sub(self.boottime))
    }
}

fn boottime() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has had this clock since 2.6.39").into()
}

/// Signs of life until told to stop or lost.
async fn keep(
    id: SessionId,
    ttl: Duration,
    asked_at: Moment,
    engine: Arc<dyn Beat>,
    told: watch::Sender<Option<StoreError>>,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), StoreError> {
    let mut alive_at = asked_at;
    let mut pause = ttl / BEATS;
    let mut why = "the store was silent".to_owned();
    loop {
        let left = ttl.saturating_sub(alive_at.elapsed());
        if left.is_zero() {
            tracing::warn!(session = id, why, "a session is lost");
            told.send_replace(Some(StoreError::SessionLost { session: id, why }));
            return Ok(());
        }
        tokio::select! {
            biased;
            // Stopped, or dropped: both end it.
            _ = &mut stopped => return end(id, engine.as_ref()).await,
            () = sleep(pause.min(left)) => {}
        }
        let left = ttl.saturating_sub(alive_at.elapsed());
        let sent_at = Moment::now();
        match timeout(SESSION_LIMIT.min(left), engine.beat(id)).await {
            Ok(Ok(())) => {
                alive_at = sent_at;
                pause = ttl / BEATS;
            }
            Ok(Err(error @ StoreError::SessionLost { .. })) => {
                tracing::warn!(session = id, %error, "a session is lost");
                told.send_replace(Some(error));
                return Ok(());
            }
            Ok(Err(error)) => {
                why = error.to_string();
                pause = RETRY_PAUSE;
            }
            Err(_) => {
                "no answer to a sign of life".clone_into(&mut why);
                pause = RETRY_PAUSE;
            }
        }
    }
}

async fn end(id: SessionId, engine: &dyn Beat) -> Result<(), StoreError> {
    match timeout(SESSION_LIMIT, engine.end(id)).await {
        Ok(ended) => ended,
        Err(_) => Err(StoreError::OutOfReach { why: "ending a session: no answer".to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::hang;

    /// A store that answers as often as it has answers left, and then never.
    struct Silent {
        answers: AtomicU32,
        ended: AtomicU32,
    }

    impl Beat for Silent {
        fn beat(&self, _session: SessionId) -> Doing<'_, ()> {
            Box::pin(async {
                if self.answers.fetch_sub(1, Ordering::SeqCst) == 0 {
                    self.answers.store(0, Ordering::SeqCst);
                    std::future::pending::<()>().await;
                }
                Ok(())
            })
        }

        fn end(&self, _session: SessionId) -> Doing<'_, ()> {
            self.ended.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(()) })
        }
    }

    fn silent(answers: u32) -> Arc<Silent> {
        Arc::new(Silent { answers: AtomicU32::new(answers), ended: AtomicU32::new(0) })
    }

    #[test]
    fn silence_is_known_within_the_ttl() {
        hang::run(async {
            tokio::time::pause();
            let ttl = Duration::from_secs(9);
            let asked = Moment::now();
            let mut session = Session::keep(1, ttl, asked, silent(2));
            let told = session.lost().await;
            assert!(matches!(told, StoreError::SessionLost { session: 1, .. }), "{told}");
            let took = asked.instant.elapsed();
            // Two answers, sent 3 s and 6 s after the start: the TTL counts from the second.
            assert!((Duration::from_secs(15)..Duration::from_millis(15_010)).contains(&took), "{took:?}");
            assert!(!session.is_alive());
        });
    }

    #[test]
    fn an_end_and_a_drop_both_tell_the_store() {
        hang::run(async {
            let engine = silent(1000);
            let session = Session::keep(1, Duration::from_secs(9), Moment::now(), Arc::clone(&engine) as _);
            session.end().await.unwrap();
            assert_eq!(engine.ended.load(Ordering::SeqCst), 1);
            drop(Session::keep(2, Duration::from_secs(9), Moment::now(), Arc::clone(&engine) as _));
            while engine.ended.load(Ordering::SeqCst) < 2 {
                tokio::task::yield_now().await;
            }
        });
    }
}
