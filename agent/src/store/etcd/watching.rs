//! One watch: its stream, opened again wherever it broke.
//!
//! It must never skip or repeat a change: it goes on after the last revision it has told whole, and tells `Compacted`
//! when etcd has forgotten that part.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hardstand_core::store::Revision;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::watch::{Feed, SILENCE_LIMIT};
use super::super::{Change, HEARTBEAT, News, StoreError};
use super::grpc::{CallError, Stream};
use super::link::Link;
use super::wire::{EVENT_DELETE, Empty, WatchAsk, WatchCreate, WatchRequest, WatchResponse};
use super::{Etcd, bytes, end_of, entry, refusal, revision, signed};

/// Pause before a broken stream is opened again.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);

/// Feeds a watch until its reader is gone or the watch cannot go on.
pub(super) async fn feed(etcd: Etcd, prefix: String, after: Revision, feed: Feed) {
    let told = AtomicU64::new(after);
    let mut is_away = false;
    while !feed.is_closed() {
        let began_at = told.load(Ordering::Relaxed);
        let (error, spoke) = once(&etcd, &prefix, &told, &feed).await;
        let Some(error) = error else { return };
        // One word for one loss: a stream that spoke in between is a new one.
        is_away &= !spoke && began_at == told.load(Ordering::Relaxed);
        let is_final = !matches!(error, StoreError::OutOfReach { .. });
        let is_gone = (is_final || !is_away) && feed.send(Err(error)).await.is_err();
        if is_final || is_gone {
            return;
        }
        is_away = true;
        sleep(REOPEN_PAUSE).await;
    }
}

/// One stream from its opening to its end: why it ended (nothing: the reader is gone), and whether it has said anything.
async fn once(etcd: &Etcd, prefix: &str, told: &AtomicU64, feed: &Feed) -> (Option<StoreError>, bool) {
    let link = match etcd.link().await {
        Ok(link) => link,
        Err(error) => return (Some(refusal::of_read(error)), false),
    };
    let mut reader = Reader { told, feed, link: &link, spoke: false, created: false };
    let ended = reader.read(prefix).await;
    let spoke = reader.spoke;
    match ended {
        Ok(()) => (None, spoke),
        Err(Ended::Told(error)) => (Some(error), spoke),
        Err(Ended::Broke(error)) => {
            if refusal::is_members_fault(&error) {
                etcd.links.leave(&link, &error).await;
            }
            (Some(refusal::of_read(error)), spoke)
        }
    }
}

enum Ended {
    /// etcd said so in the watch's own words.
    Told(StoreError),
    /// The stream broke.
    Broke(CallError),
}

impl From<CallError> for Ended {
    fn from(error: CallError) -> Self {
        Self::Broke(error)
    }
}

struct Reader<'a> {
    told: &'a AtomicU64,
    feed: &'a Feed,
    link: &'a Link,
    spoke: bool,
    created: bool,
}

impl Reader<'_> {
    async fn read(&mut self, prefix: &str) -> Result<(), Ended> {
        // From the last revision told, which is passed over, and not from the next: etcd answers no progress request of
        // a watch that begins in its future, and such a watch would look dead.
        let start = signed(self.told.load(Ordering::Relaxed).max(1));
        let create = WatchCreate { key: bytes(prefix), end: end_of(prefix), start, progress_notify: true };
        let ask = WatchRequest { ask: Some(WatchAsk::Create(create)) };
        let progress = WatchRequest { ask: Some(WatchAsk::Progress(Empty {})) };
        let silent = || CallError::Unanswered(format!("no word on a watch for {} s", SILENCE_LIMIT.as_secs()));
        let path = "/etcdserverpb.Watch/Watch";
        let open = Stream::open(self.link.sender.clone(), &self.link.authority, path, true, &ask);
        let open = tokio::time::timeout(SILENCE_LIMIT, open).await;
        let mut stream = open.unwrap_or_else(|_| Err(silent()))?;
        let mut heard_at = Instant::now();
        let mut ask_at = heard_at + HEARTBEAT;
        loop {
            let wake = ask_at.min(heard_at + SILENCE_LIMIT);
            let heard: Option<WatchResponse> = tokio::select! {
                heard = stream.next() => heard?,
                () = self.feed.closed() => return Ok(()),
                () = sleep_until(wake) => {
                    if heard_at.elapsed() >= SILENCE_LIMIT {
                        return Err(silent().into());
                    }
                    stream.ask(&progress)?;
                    ask_at = Instant::now() + HEARTBEAT;
                    continue;
                }
            };
            let heard = heard.ok_or_else(|| CallError::Unanswered("etcd ended the watch".to_owned()))?;
            if self.tell(heard).await?.is_break() {
                return Ok(());
            }
            // A slow reader is not a silent store.
            heard_at = Instant::now();
        }
    }

    /// Hands on one answer. Changes of one revision come in one answer, as fragments are not asked for.
    async fn tell(&mut self, heard: WatchResponse) -> Result<std::ops::ControlFlow<()>, Ended> {
        if heard.compacted > 0 {
            // etcd names the first revision that is left.
            return Err(Ended::Told(StoreError::Compacted { at: revision(heard.compacted - 1) }));
        }
        if heard.canceled {
            return Err(cancelled(heard.reason));
        }
        let told = self.told.load(Ordering::Relaxed);
        let at = heard.header.as_ref().map_or(0, |header| revision(header.revision));
        let mut changes = Vec::new();
        for event in heard.events {
            let (key, entry) = entry(event.entry.unwrap_or_default()).map_err(Ended::Told)?;
            let revision = entry.modified;
            if revision > told {
                changes.push(Change { revision, key, entry: (event.kind != EVENT_DELETE).then_some(entry) });
            }
        }
        let news = match changes.last() {
            Some(last) => {
                self.told.store(last.revision, Ordering::Relaxed);
                News::Changes(changes)
            }
            // "Created" comes before the changes that are still to be read from history, whatever revision it carries.
            None if heard.created => {
                self.created = true;
                // A history that is shorter than what was told is another one (a restore), or a member that lags;
                // reading anew is right for both.
                if at < told {
                    return Err(Ended::Told(StoreError::Compacted { at: 0 }));
                }
                // The refusal of a forgotten history comes after this, so it is no news yet.
                return Ok(std::ops::ControlFlow::Continue(()));
            }
            None => {
                // An answer for this watch alone is etcd's own notice; one that was asked for (-1) is not always true.
                let is_true = heard.id >= 0 || self.link.tells_progress_truly();
                let now = if self.created && is_true { told.max(at) } else { told };
                self.told.store(now, Ordering::Relaxed);
                News::Progress(now)
            }
        };
        self.spoke = true;
        Ok(if self.feed.send(Ok(news)).await.is_err() {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        })
    }
}

/// A watch that etcd refused or gave up, by the words it has for it.
fn cancelled(reason: String) -> Ended {
    if reason.contains("permission denied") || reason.contains("PermissionDenied") {
        return Ended::Told(StoreError::Denied { why: reason });
    }
    if reason.contains("compacted") {
        return Ended::Told(StoreError::Compacted { at: 0 });
    }
    Ended::Broke(CallError::Unanswered(format!("etcd cancelled the watch: {reason}")))
}
