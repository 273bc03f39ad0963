//! What runs against a cluster while it is hurt, and what must be true afterwards: no acknowledged write lost, nothing
//! called undone that was done, one holder of a slot at a time, a watch without a gap, a session's loss known in time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hardstand_core::store::{Answer, PREFIX, Revision};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::super::super::{Change, News, Store, StoreError, Txn};
use super::super::Etcd;

/// Between two writes of one writer.
const PACE: Duration = Duration::from_millis(25);
/// How long a slot is held.
const HOLD: Duration = Duration::from_millis(30);
/// TTL of the session that is kept meanwhile.
pub(super) const TTL: Duration = Duration::from_secs(6);
/// How late the loss of a session may be told on a loaded machine.
pub(super) const LATE: Duration = Duration::from_secs(1);
/// The rest of the changes after the last write.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(30);

/// How one write ended.
#[derive(Debug, Clone, PartialEq)]
enum Fate {
    Written(Revision),
    Undone,
    Unknown,
}

struct Write {
    asked_at: Instant,
    told_at: Instant,
    fate: Fate,
}

/// The load while it runs.
pub(super) struct Load {
    etcd: Etcd,
    room: String,
    stop: Arc<AtomicBool>,
    writes: JoinHandle<BTreeMap<String, Write>>,
    takers: Vec<JoinHandle<u32>>,
    seen: Arc<Mutex<Vec<(Instant, Change)>>>,
    watcher: JoinHandle<()>,
    first: Revision,
    keeper: JoinHandle<Option<Instant>>,
}

/// What is printed of a cell.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) written: usize,
    pub(super) undone: usize,
    pub(super) unknown: usize,
    pub(super) taken: u32,
    /// The longest time after the fault without an acknowledged write.
    pub(super) write_gap: Duration,
    /// The longest time after the fault without a change seen.
    pub(super) watch_gap: Duration,
    /// From the fault to the loss of the session, if it was lost.
    pub(super) session_lost: Option<Duration>,
}

impl Load {
    /// Starts everything and waits until it works. The slot's takers have clients of their own.
    pub(super) async fn start(etcd: Etcd, takers: [Etcd; 2], room: &str) -> Self {
        let room = format!("{PREFIX}{room}/");
        let (_, first) = etcd.range(&room).await.expect("a healthy cluster answers");
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let held = Arc::new(AtomicI32::new(0));
        let takers = takers.into_iter().enumerate().map(|(who, etcd)| {
            tokio::spawn(take(etcd, format!("{room}slot"), who, Arc::clone(&held), Arc::clone(&stop)))
        });
        let load = Self {
            writes: tokio::spawn(write(etcd.clone(), format!("{room}w/"), Arc::clone(&stop))),
            takers: takers.collect(),
            watcher: tokio::spawn(watch(etcd.clone(), room.clone(), first, Arc::clone(&seen))),
            keeper: tokio::spawn(keep(etcd.clone(), format!("{room}session"), Arc::clone(&stop))),
            etcd,
            room,
            stop,
            seen,
            first,
        };
        super::lab::until("the load to run", async || load.seen.lock().unwrap().len() > 20).await;
        load
    }

    /// The number of changes seen so far.
    pub(super) fn seen_after(&self, moment: Instant) -> usize {
        self.seen.lock().unwrap().iter().filter(|(at, _)| *at > moment).count()
    }

    /// Ends it, and demands what must hold. Gaps are measured from `back_at` on, when there was a majority again.
    pub(super) async fn finish(self, hurt_at: Instant, back_at: Instant) -> Measured {
        self.stop.store(true, Ordering::SeqCst);
        let writes = self.writes.await.expect("the writer found nothing wrong");
        let mut taken = 0;
        for taker in self.takers {
            taken += taker.await.expect("a slot has one holder at a time");
        }
        let session_lost = self.keeper.await.expect("a session's loss is told in time");
        let (entries, last) = self.etcd.range(&format!("{}w/", self.room)).await.expect("the cluster is healthy again");
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        for (key, write) in &writes {
            let found = entries.get(key).map(|entry| entry.created);
            match write.fate {
                Fate::Written(revision) => assert_eq!(found, Some(revision), "{key} was acknowledged"),
                Fate::Undone => assert_eq!(found, None, "{key} was called not written"),
                Fate::Unknown => {}
            }
        }
        let told = check_watch(&self.etcd, &self.room, self.first, last, &self.seen).await;
        for (key, entry) in &entries {
            let times = told.iter().filter(|change| &change.key == key && change.revision == entry.modified).count();
            assert_eq!(times, 1, "{key} is told once by the watch");
        }
        self.watcher.abort();
        let count = |wanted: fn(&Fate) -> bool| writes.values().filter(|write| wanted(&write.fate)).count();
        let written = writes.values().filter(|write| matches!(write.fate, Fate::Written(_)));
        let write_gap = longest_gap(back_at, written.map(|write| write.told_at));
        let watch_gap = longest_gap(back_at, self.seen.lock().unwrap().iter().map(|(at, _)| *at));
        Measured {
            written: count(|fate| matches!(fate, Fate::Written(_))),
            undone: count(|fate| *fate == Fate::Undone),
            unknown: count(|fate| *fate == Fate::Unknown),
            taken,
            write_gap,
            watch_gap,
            session_lost: session_lost.map(|lost_at| lost_at.saturating_duration_since(hurt_at)),
        }
    }
}

/// The longest time from a moment on in which nothing came.
fn longest_gap(from: Instant, came: impl Iterator<Item = Instant>) -> Duration {
    let mut came: Vec<Instant> = came.filter(|at| *at >= from).chain([from]).collect();
    came.sort_unstable();
    came.windows(2).map(|pair| pair[1] - pair[0]).max().expect("something came after the fault")
}

/// Compares what the watch told through the fault with the whole history, read anew.
async fn check_watch(
    etcd: &Etcd,
    room: &str,
    first: Revision,
    last: Revision,
    seen: &Mutex<Vec<(Instant, Change)>>,
) -> Vec<Change> {
    let mut history = Vec::new();
    let mut replay = etcd.watch(room, first);
    let replayed = timeout(CATCH_UP_LIMIT, async {
        loop {
            match replay.next().await {
                Ok(News::Changes(changes)) => history.extend(changes),
                Ok(News::Progress(at)) if at >= last => return true,
                // The fault was a compaction: what is there now is all that can be compared.
                Err(StoreError::Compacted { .. }) => return false,
                Ok(News::Progress(_)) | Err(StoreError::OutOfReach { .. }) => {}
                Err(error) => panic!("replaying history: {error}"),
            }
        }
    });
    let is_whole = replayed.await.expect("history is read in time");
    let last_of_ours = etcd.range(room).await.expect("the cluster is healthy again").0;
    let last_of_ours = last_of_ours.iter().map(|(_, entry)| entry.modified).max().expect("it has written");
    super::lab::until("the watch to catch up", async || {
        seen.lock().unwrap().last().is_some_and(|(_, change)| change.revision >= last_of_ours)
    })
    .await;
    let told: Vec<Change> = seen.lock().unwrap().iter().map(|(_, change)| change.clone()).collect();
    assert!(told.is_sorted_by_key(|change| change.revision), "the watch has told changes in order");
    if !is_whole {
        return told;
    }
    let until_last = told.iter().filter(|change| change.revision <= last).count();
    let known = history.iter().filter(|change| change.revision <= last).count();
    assert_eq!(told[..until_last], history[..known], "the watch has told every change once, in order");
    told
}

async fn write(etcd: Etcd, room: String, stop: Arc<AtomicBool>) -> BTreeMap<String, Write> {
    let mut writes = BTreeMap::new();
    while !stop.load(Ordering::SeqCst) {
        let key = format!("{room}{:05}", writes.len());
        let asked_at = Instant::now();
        let answer = etcd.txn(&Txn::new().if_absent(key.clone()).put(key.clone(), "x".repeat(200))).await;
        let fate = match answer {
            Ok(Answer::Committed { revision }) => Fate::Written(revision),
            Ok(Answer::Conflict { .. }) => panic!("{key} was written before it was asked for"),
            Err(StoreError::Unknown { .. }) => Fate::Unknown,
            Err(StoreError::OutOfReach { .. }) => Fate::Undone,
            Err(error) => panic!("writing {key}: {error}"),
        };
        let told_at = Instant::now();
        assert!(told_at - asked_at < super::super::TXN_LIMIT + LATE, "a transaction ends within its limit");
        writes.insert(key, Write { asked_at, told_at, fate });
        sleep(PACE).await;
    }
    writes
}

/// Takes and frees the slot until told to stop; how often it had it.
async fn take(etcd: Etcd, slot: String, who: usize, held: Arc<AtomicI32>, stop: Arc<AtomicBool>) -> u32 {
    let (mut taken, mut nonce) = (0, 0);
    while !stop.load(Ordering::SeqCst) {
        nonce += 1;
        let mine = format!("{who}.{nonce}");
        let token = match etcd.txn(&Txn::new().if_absent(slot.clone()).put(slot.clone(), mine.clone())).await {
            Ok(Answer::Committed { revision }) => Some(revision),
            // Also one of our own that came through after its answer was lost: it is ours to free.
            _ => match etcd.get(&slot).await {
                Ok(Some(entry)) if entry.value.starts_with(&format!("{who}.")) => Some(entry.created),
                _ => None,
            },
        };
        if let Some(token) = token {
            assert_eq!(held.fetch_add(1, Ordering::SeqCst), 0, "two hold {slot}");
            taken += 1;
            sleep(HOLD).await;
            held.fetch_sub(1, Ordering::SeqCst);
            free(&etcd, &slot, token).await;
        }
        sleep(PACE).await;
    }
    taken
}

/// Frees the slot if it still has this token; an answer that was lost is asked for again, which the token makes safe.
async fn free(etcd: &Etcd, slot: &str, token: Revision) {
    while etcd.txn(&Txn::new().if_created(slot.to_owned(), token).delete(slot.to_owned())).await.is_err() {
        sleep(PACE).await;
    }
}

async fn watch(etcd: Etcd, room: String, first: Revision, seen: Arc<Mutex<Vec<(Instant, Change)>>>) {
    let mut watch = etcd.watch(&room, first);
    loop {
        match watch.next().await {
            Ok(News::Changes(changes)) => {
                let now = Instant::now();
                seen.lock().unwrap().extend(changes.into_iter().map(|change| (now, change)));
            }
            Ok(News::Progress(_)) | Err(StoreError::OutOfReach { .. }) => {}
            Err(error) => panic!("watching: {error}"),
        }
    }
}

/// Keeps a session; when it was lost, if it was. Signs of its own show that it was not kept for too long.
async fn keep(etcd: Etcd, key: String, stop: Arc<AtomicBool>) -> Option<Instant> {
    let mut session = etcd.session(TTL).await.expect("a healthy cluster opens a session");
    let bound = Txn::new().put_in_session(key.clone(), "here".to_owned(), session.id());
    etcd.txn(&bound).await.expect("a healthy cluster writes");
    let mut read_at = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        if let Ok(lost) = timeout(PACE, session.lost()).await {
            assert!(matches!(lost, StoreError::SessionLost { .. }), "{lost}");
            return Some(Instant::now());
        }
        // The key goes when the store ends the session. From then on the owner must learn of it within the TTL.
        let is_gone = matches!(timeout(PACE, etcd.get(&key)).await, Ok(Ok(None)));
        if !is_gone {
            read_at = Instant::now();
        }
        assert!(!is_gone || read_at.elapsed() < TTL + LATE, "the session ended unnoticed");
    }
    None
}
