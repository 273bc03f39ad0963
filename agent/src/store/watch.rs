//! A watch as its reader sees it, whatever engine feeds it.
//!
//! It must never skip a change, tell one twice, or be silent: a reader that hears nothing for [`SILENCE_LIMIT`] may
//! take the store for lost.

use std::time::Duration;

use hardstand_core::store::Revision;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Change, StoreError};

/// How often an engine says that it is there when nothing changes.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(2);
/// Silence after which a feeder takes its stream for dead: two heartbeats may be late.
pub(crate) const SILENCE_LIMIT: Duration = Duration::from_secs(6);
/// Batches that wait for a reader. A feeder that is further ahead waits; the engine keeps the rest in its history.
const BATCHES: usize = 16;

/// What a watch tells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// Changes in the order of revisions; those of one revision are never parted.
    Changes(Vec<Change>),
    /// Nothing changed up to and with this revision but what was told. The store was there a moment ago.
    Progress(Revision),
}

/// Where an engine puts its news.
pub(super) type Feed = mpsc::Sender<Result<News, StoreError>>;

/// A stream of changes. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    news: mpsc::Receiver<Result<News, StoreError>>,
    ended: Option<StoreError>,
    feeder: JoinHandle<()>,
}

impl Watch {
    /// A watch that a task feeds. The task ends with the watch. What it must keep to: changes in order and whole
    /// revisions; something at least every [`HEARTBEAT`] while the store is there; `OutOfReach` once for each loss,
    /// and then on from where it was; `Compacted`, `Denied` or `Corrupt` as its last word.
    pub(super) fn fed<F>(feeder: impl FnOnce(Feed) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (feed, news) = mpsc::channel(BATCHES);
        Self { news, ended: None, feeder: tokio::spawn(feeder(feed)) }
    }

    /// What comes next. May be given up and asked again (cancel safe).
    ///
    /// # Errors
    /// [`StoreError::OutOfReach`]: ask again, nothing will be missed. Any other is final, and told each time.
    pub(crate) async fn next(&mut self) -> Result<News, StoreError> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        let gone = || Err(StoreError::OutOfReach { why: "the watch has ended".to_owned() });
        let next = self.news.recv().await;
        let last = next.is_none();
        let next = next.unwrap_or_else(gone);
        if let Err(error) = &next
            && (last || !matches!(error, StoreError::OutOfReach { .. }))
        {
            self.ended = Some(error.clone());
        }
        next
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.feeder.abort();
    }
}
