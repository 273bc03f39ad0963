//! What every engine must do, as tests: one list, run against each of them with [`contract!`], and where answers can
//! be lost on the way with [`contract_of_faults!`].
//!
//! It must never ask an engine who it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hardstand_core::store::{Answer, Revision};
use tokio::task::JoinSet;

use super::{
    Change, Doing, HEARTBEAT, News, READ_LIMIT, SESSION_TTL_MIN, Store, StoreError, TXN_LIMIT, Txn, VALUE_BYTES_LIMIT,
    Watch,
};

/// Most that one clause may take, on a machine that is busy with other builds.
const LIMIT: Duration = Duration::from_secs(120);
/// What a busy machine may add to a time that is promised.
const SLACK: Duration = Duration::from_secs(2);

/// An empty store to be judged.
pub(super) struct Subject {
    /// The engine. It may write every key that an operator may.
    pub(super) store: Arc<dyn Store>,
    /// What can be done to it.
    pub(super) faults: Box<dyn Faults>,
}

/// What can be done to a store from outside.
pub(super) trait Faults: Send + Sync {
    /// Forgets history up to and with a revision.
    fn compact(&self, revision: Revision) -> Doing<'_, ()>;
    /// Breaks every connection there is. New ones can be made at once.
    fn cut(&self) {}
    /// Nothing gets through any more, and nobody is told; or all is well again.
    fn silence(&self, _on: bool) {}
    /// What is asked gets through, what is answered does not; or all is well again.
    fn mute(&self, _on: bool) {}
}

/// One test for each clause. `$open` is an async function that gives a [`Subject`].
macro_rules! contract {
    ($open:path) => {
        $crate::store::contract::contract!($open:
            a_slot_is_taken_once, compares_tell_a_life_from_a_write, all_or_nothing, a_key_made_again_is_another,
            revisions_only_grow, a_watch_tells_all_in_order_across_cuts, a_revision_is_told_whole,
            a_watch_tells_its_prefix_only, forgotten_history_is_told, session_keys_go_at_one_revision,
            a_kept_session_outlives_its_ttl, a_dropped_session_ends, what_is_too_large_is_refused,
            a_dead_session_binds_nothing, a_quiet_watch_says_that_it_is_there, what_is_not_there_is_nothing,
        );
    };
    ($open:path: $($clause:ident,)+) => {
        $(
            #[test]
            fn $clause() {
                $crate::store::contract::run(async { $crate::store::contract::$clause($open().await).await });
            }
        )+
    };
}

/// One test for each clause about answers that do not come.
macro_rules! contract_of_faults {
    ($open:path) => {
        $crate::store::contract::contract!($open:
            a_lost_answer_is_unknown, silence_is_out_of_reach, silence_loses_a_session_within_its_ttl,
            a_watch_outlives_silence,
        );
    };
}

pub(super) use {contract, contract_of_faults};

/// Runs one clause on a runtime like the agent's.
pub(super) fn run(clause: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, clause).await.expect("the clause should have ended by now") });
}

fn key(rest: &str) -> String {
    format!("/hardstand/v1/{rest}")
}

fn put(rest: &str, value: &str) -> Txn {
    Txn::new().put(key(rest), value.to_owned())
}

async fn committed(store: &dyn Store, txn: &Txn) -> Revision {
    match store.txn(txn).await.unwrap() {
        Answer::Committed { revision } => revision,
        Answer::Conflict { revision } => panic!("a conflict at {revision}: {txn:?}"),
    }
}

async fn is_conflict(store: &dyn Store, txn: &Txn) -> bool {
    matches!(store.txn(txn).await.unwrap(), Answer::Conflict { .. })
}

async fn value(store: &dyn Store, rest: &str) -> Option<String> {
    store.get(&key(rest)).await.unwrap().map(|entry| entry.value)
}

async fn now(store: &dyn Store) -> Revision {
    store.range(&key("")).await.unwrap().1
}

/// The next changes, however often the store is out of reach before them.
async fn changes(watch: &mut Watch) -> Vec<Change> {
    loop {
        match watch.next().await {
            Ok(News::Changes(changes)) => return changes,
            Ok(News::Progress(_)) | Err(StoreError::OutOfReach { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

pub(super) async fn a_slot_is_taken_once(subject: Subject) {
    let mut tasks = JoinSet::new();
    for who in 0..32 {
        let store = Arc::clone(&subject.store);
        tasks.spawn(async move {
            let txn = put("lease/g/0", &who.to_string()).if_absent(key("lease/g/0"));
            (who, store.txn(&txn).await.unwrap())
        });
    }
    let answers = tasks.join_all().await;
    let taken: Vec<_> = answers
        .iter()
        .filter_map(|(who, answer)| match answer {
            Answer::Committed { revision } => Some((who.to_string(), *revision)),
            Answer::Conflict { .. } => None,
        })
        .collect();
    let entry = subject.store.get(&key("lease/g/0")).await.unwrap().unwrap();
    assert_eq!(taken, [(entry.value, entry.created)]);
    assert_eq!(entry.created, entry.modified);
}

pub(super) async fn compares_tell_a_life_from_a_write(subject: Subject) {
    let store = subject.store.as_ref();
    let born = committed(store, &put("fleet", "1")).await;
    let written = committed(store, &put("fleet", "2")).await;
    let entry = store.get(&key("fleet")).await.unwrap().unwrap();
    assert_eq!((entry.created, entry.modified), (born, written));
    for (txn, holds) in [
        (Txn::new().if_created(key("fleet"), born), true),
        (Txn::new().if_created(key("fleet"), written), false),
        (Txn::new().if_modified(key("fleet"), written), true),
        (Txn::new().if_modified(key("fleet"), born), false),
        (Txn::new().if_absent(key("fleet")), false),
        (Txn::new().if_absent(key("halt")), true),
        (Txn::new().if_modified(key("halt"), 0), true),
        (Txn::new().if_created(key("halt"), born), false),
    ] {
        assert_eq!(!is_conflict(store, &txn.clone().put(key("ask"), "x".to_owned())).await, holds, "{txn:?}");
    }
}

pub(super) async fn all_or_nothing(subject: Subject) {
    let store = subject.store.as_ref();
    committed(store, &put("fleet", "1").put(key("ask"), "1".to_owned())).await;
    let before = store.range(&key("")).await.unwrap();
    let txn = put("fleet", "2").delete(key("ask")).put(key("halt"), "2".to_owned()).if_absent(key("fleet"));
    assert!(is_conflict(store, &txn).await);
    assert_eq!(store.range(&key("")).await.unwrap(), before);
    let txn = put("fleet", "2").delete(key("ask")).put(key("halt"), "2".to_owned());
    let revision = committed(store, &txn).await;
    let (entries, at) = store.range(&key("")).await.unwrap();
    assert_eq!(at, revision);
    let modified: Vec<_> = entries.iter().map(|(key, entry)| (key.as_str(), entry.modified)).collect();
    assert_eq!(modified, [("/hardstand/v1/fleet", revision), ("/hardstand/v1/halt", revision)]);
}

pub(super) async fn a_key_made_again_is_another(subject: Subject) {
    let store = subject.store.as_ref();
    let first = committed(store, &put("lease/g/0", "a")).await;
    let gone = committed(store, &Txn::new().delete(key("lease/g/0"))).await;
    assert_eq!(value(store, "lease/g/0").await, None);
    let second = committed(store, &put("lease/g/0", "a").if_absent(key("lease/g/0"))).await;
    assert!(first < gone && gone < second);
    assert_eq!(store.get(&key("lease/g/0")).await.unwrap().unwrap().created, second);
    assert!(is_conflict(store, &put("lease/g/0", "b").if_created(key("lease/g/0"), first)).await, "an old token");
    assert_eq!(committed(store, &Txn::new().delete(key("halt"))).await, second, "nothing was there to remove");
}

pub(super) async fn revisions_only_grow(subject: Subject) {
    let start = now(subject.store.as_ref()).await;
    let mut tasks = JoinSet::new();
    for who in 0..8 {
        let store = Arc::clone(&subject.store);
        tasks.spawn(async move {
            let mut own = Vec::new();
            for round in 0..8 {
                own.push(committed(store.as_ref(), &put(&format!("order/n{who}"), &round.to_string())).await);
            }
            assert!(own.is_sorted_by(|a, b| a < b), "{own:?}");
            own
        });
    }
    let mut all: Vec<Revision> = tasks.join_all().await.concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 64, "each write has its own revision");
    assert!(all[0] > start);
}

pub(super) async fn a_watch_tells_all_in_order_across_cuts(subject: Subject) {
    const WRITES: usize = 120;
    let Subject { store, faults } = subject;
    let start = now(store.as_ref()).await;
    // The first part is history before the watch begins.
    let mut written = Vec::new();
    for i in 0..WRITES / 3 {
        written.push((committed(store.as_ref(), &put("ask", &i.to_string())).await, i.to_string()));
    }
    let mut watch = store.watch(&key("ask"), start);
    let mut told: Vec<(Revision, String)> = Vec::new();
    let mut writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let mut written = Vec::new();
            for i in WRITES / 3..WRITES {
                // Where the cut lost the answer, what is there tells.
                let revision = match store.txn(&put("ask", &i.to_string())).await {
                    Ok(answer) => match answer {
                        Answer::Committed { revision } | Answer::Conflict { revision } => revision,
                    },
                    Err(_) => loop {
                        match store.get(&key("ask")).await {
                            Ok(Some(entry)) if entry.value == i.to_string() => break entry.modified,
                            Ok(_) => {
                                if let Ok(Answer::Committed { revision }) = store.txn(&put("ask", &i.to_string())).await
                                {
                                    break revision;
                                }
                            }
                            Err(_) => tokio::task::yield_now().await,
                        }
                    },
                };
                written.push((revision, i.to_string()));
            }
            written
        }
    });
    let mut cuts = 0;
    while told.len() < WRITES {
        let changes = changes(&mut watch).await;
        told.extend(changes.into_iter().map(|change| (change.revision, change.entry.unwrap().value)));
        if told.len() > WRITES / 4 * cuts {
            faults.cut();
            cuts += 1;
        }
    }
    written.extend((&mut writer).await.unwrap());
    assert!(cuts >= 2, "{cuts}");
    assert_eq!(told, written);
}

pub(super) async fn a_revision_is_told_whole(subject: Subject) {
    let store = subject.store.as_ref();
    let start = now(store).await;
    let mut watch = store.watch(&key("order/"), start);
    for round in 0..20 {
        let txn = (0..20).fold(Txn::new(), |txn, i| txn.put(key(&format!("order/n{i}")), round.to_string()));
        committed(store, &txn).await;
    }
    let mut count = 0;
    while count < 400 {
        let batch = changes(&mut watch).await;
        count += batch.len();
        for group in batch.chunk_by(|a, b| a.revision == b.revision) {
            assert_eq!(group.len(), 20, "revision {} came in parts", group[0].revision);
        }
    }
    assert_eq!(count, 400);
}

pub(super) async fn a_watch_tells_its_prefix_only(subject: Subject) {
    let store = subject.store.as_ref();
    let mut watch = store.watch(&key("order/n"), now(store).await);
    committed(store, &put("order/m", "no")).await;
    committed(store, &put("order/n", "yes").put(key("ask"), "no".to_owned())).await;
    let gone = committed(store, &Txn::new().delete(key("order/n"))).await;
    let mut told = Vec::new();
    while told.len() < 2 {
        told.extend(changes(&mut watch).await);
    }
    let told: Vec<_> = told.into_iter().map(|change| (change.key, change.entry.map(|entry| entry.value))).collect();
    assert_eq!(told, [(key("order/n"), Some("yes".to_owned())), (key("order/n"), None)]);
    assert_eq!(now(store).await, gone);
}

pub(super) async fn forgotten_history_is_told(subject: Subject) {
    let store = subject.store.as_ref();
    let start = now(store).await;
    let mut last = start;
    for i in 0..5 {
        last = committed(store, &put("ask", &i.to_string())).await;
    }
    subject.faults.compact(last).await.unwrap();
    let mut watch = store.watch(&key(""), start);
    for _ in 0..2 {
        let told = loop {
            match watch.next().await {
                Err(StoreError::OutOfReach { .. }) => {}
                told => break told,
            }
        };
        assert!(matches!(told, Err(StoreError::Compacted { .. })), "{told:?}");
    }
    let (entries, revision) = store.range(&key("")).await.unwrap();
    assert_eq!((entries.len(), revision), (1, last), "the entries stay");
    let mut watch = store.watch(&key(""), revision);
    committed(store, &put("ask", "after")).await;
    assert_eq!(changes(&mut watch).await[0].revision, last + 1);
}

pub(super) async fn session_keys_go_at_one_revision(subject: Subject) {
    let store = subject.store.as_ref();
    let session = store.session(Duration::from_secs(30)).await.unwrap();
    let bound = Txn::new().put_in_session(key("leader"), "a".to_owned(), session.id()).put_in_session(
        key("order/n"),
        "b".to_owned(),
        session.id(),
    );
    committed(store, &bound).await;
    committed(store, &put("fleet", "stays")).await;
    let mut watch = store.watch(&key(""), now(store).await);
    session.end().await.unwrap();
    assert_eq!((value(store, "leader").await, value(store, "order/n").await), (None, None));
    assert_eq!(value(store, "fleet").await.as_deref(), Some("stays"));
    let gone = changes(&mut watch).await;
    let keys: Vec<_> = gone.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(keys, ["/hardstand/v1/leader", "/hardstand/v1/order/n"]);
    assert_eq!(gone[0].revision, gone[1].revision);
    assert!(gone.iter().all(|change| change.entry.is_none()));
}

pub(super) async fn a_kept_session_outlives_its_ttl(subject: Subject) {
    let store = subject.store.as_ref();
    let session = store.session(SESSION_TTL_MIN).await.unwrap();
    committed(store, &Txn::new().put_in_session(key("leader"), "a".to_owned(), session.id())).await;
    let mut watch = store.watch(&key("leader"), now(store).await);
    let gone = tokio::time::timeout(SESSION_TTL_MIN * 3, changes(&mut watch)).await;
    assert!(gone.is_err(), "the key went: {gone:?}");
    assert!(session.is_alive());
    assert_eq!(value(store, "leader").await.as_deref(), Some("a"));
}

pub(super) async fn a_dropped_session_ends(subject: Subject) {
    let store = subject.store.as_ref();
    let session = store.session(Duration::from_secs(60)).await.unwrap();
    committed(store, &Txn::new().put_in_session(key("leader"), "a".to_owned(), session.id())).await;
    let mut watch = store.watch(&key("leader"), now(store).await);
    drop(session);
    let gone = tokio::time::timeout(Duration::from_secs(20), changes(&mut watch)).await.unwrap();
    assert_eq!(gone[0].entry, None);
}

pub(super) async fn what_is_too_large_is_refused(subject: Subject) {
    let store = subject.store.as_ref();
    let full = "\"\n".repeat(VALUE_BYTES_LIMIT / 2);
    committed(store, &put("fleet", &full)).await;
    assert_eq!(value(store, "fleet").await, Some(full.clone()));
    let before = now(store).await;
    let told = store.txn(&put("fleet", &(full + "x"))).await.unwrap_err();
    assert!(matches!(told, StoreError::Refused { .. }), "{told}");
    assert!(told.to_string().contains("/hardstand/v1/fleet has 1048577 bytes, the limit is 1048576"), "{told}");
    assert_eq!(now(store).await, before);
}

pub(super) async fn a_dead_session_binds_nothing(subject: Subject) {
    let store = subject.store.as_ref();
    let session = store.session(Duration::from_secs(30)).await.unwrap();
    let id = session.id();
    session.end().await.unwrap();
    let before = store.range(&key("")).await.unwrap();
    let txn = put("fleet", "no").put_in_session(key("leader"), "no".to_owned(), id);
    let told = store.txn(&txn).await.unwrap_err();
    assert!(matches!(told, StoreError::SessionLost { session, .. } if session == id), "{told}");
    assert_eq!(store.range(&key("")).await.unwrap(), before);
}

pub(super) async fn a_quiet_watch_says_that_it_is_there(subject: Subject) {
    let store = subject.store.as_ref();
    let revision = committed(store, &put("fleet", "1")).await;
    let mut watch = store.watch(&key("ask"), revision);
    for _ in 0..3 {
        let news = tokio::time::timeout(HEARTBEAT + SLACK, watch.next()).await.expect("a heartbeat");
        assert!(matches!(news, Ok(News::Progress(at)) if at >= revision), "{news:?}");
    }
}

pub(super) async fn what_is_not_there_is_nothing(subject: Subject) {
    let store = subject.store.as_ref();
    assert_eq!(store.get(&key("halt")).await.unwrap(), None);
    let (entries, at) = store.range(&key("order/")).await.unwrap();
    assert_eq!(entries, []);
    let first = committed(store, &put("order/b", "2").put(key("order/a"), "1".to_owned())).await;
    assert!(first > at);
    let (entries, _) = store.range(&key("order/")).await.unwrap();
    let keys: Vec<_> = entries.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["/hardstand/v1/order/a", "/hardstand/v1/order/b"], "in the order of keys");
}

pub(super) async fn a_lost_answer_is_unknown(subject: Subject) {
    let Subject { store, faults } = subject;
    committed(store.as_ref(), &put("fleet", "before")).await;
    faults.mute(true);
    let began = Instant::now();
    let told = store.txn(&put("fleet", "after")).await.unwrap_err();
    assert!(matches!(told, StoreError::Unknown { .. }), "{told}");
    assert!(began.elapsed() < TXN_LIMIT + SLACK, "{:?}", began.elapsed());
    faults.mute(false);
    assert_eq!(value(store.as_ref(), "fleet").await.as_deref(), Some("after"), "it was written after all");
}

pub(super) async fn silence_is_out_of_reach(subject: Subject) {
    let Subject { store, faults } = subject;
    faults.silence(true);
    let began = Instant::now();
    let told = store.get(&key("fleet")).await.unwrap_err();
    assert!(matches!(told, StoreError::OutOfReach { .. }), "{told}");
    assert!(began.elapsed() < READ_LIMIT + SLACK, "{:?}", began.elapsed());
    faults.silence(false);
    assert_eq!(value(store.as_ref(), "fleet").await, None);
}

pub(super) async fn silence_loses_a_session_within_its_ttl(subject: Subject) {
    let Subject { store, faults } = subject;
    let mut session = store.session(Duration::from_secs(4)).await.unwrap();
    let txn = Txn::new().put_in_session(key("leader"), "a".to_owned(), session.id());
    committed(store.as_ref(), &txn).await;
    faults.silence(true);
    let began = Instant::now();
    let told = session.lost().await;
    assert!(matches!(told, StoreError::SessionLost { .. }), "{told}");
    assert!(began.elapsed() < Duration::from_secs(4) + SLACK, "{:?}", began.elapsed());
    faults.silence(false);
    let mut watch = store.watch(&key("leader"), 0);
    while value(store.as_ref(), "leader").await.is_some() {
        // The store's own clock ends it, a little later than ours. An etcd may take more than twice its TTL.
        let _ = watch.next().await;
    }
}

pub(super) async fn a_watch_outlives_silence(subject: Subject) {
    let Subject { store, faults } = subject;
    let start = committed(store.as_ref(), &put("ask", "1")).await;
    let mut watch = store.watch(&key("ask"), start);
    committed(store.as_ref(), &put("ask", "2")).await;
    assert_eq!(changes(&mut watch).await.len(), 1);
    faults.silence(true);
    loop {
        // Heartbeats that were under way may still come.
        match watch.next().await {
            Ok(News::Progress(_)) => {}
            Err(StoreError::OutOfReach { .. }) => break,
            told => panic!("{told:?}"),
        }
    }
    faults.silence(false);
    committed(store.as_ref(), &put("ask", "3")).await;
    let told = changes(&mut watch).await;
    assert_eq!(told.len(), 1, "neither lost nor twice: {told:?}");
    assert_eq!(told[0].entry.as_ref().map(|entry| entry.value.as_str()), Some("3"));
}
