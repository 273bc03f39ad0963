//! The embedded engine against the contract, and against what happens to files: kills, full disks, damage.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use hardstand_exec::{ExecError, Run};
use redb::{Database, StorageBackend, TableDefinition};

use super::super::contract::{Faults, Subject, contract, run};
use super::disk::HISTORY_CHANGES;
use super::*;

struct Fixture {
    store: Embedded,
    _room: tempfile::TempDir,
}

impl Faults for Fixture {
    fn compact(&self, revision: Revision) -> Doing<'_, ()> {
        Box::pin(self.store.compact(revision))
    }
}

async fn open() -> Subject {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("store.redb");
    Embedded::create(&path).unwrap();
    let store = Embedded::open(&path).unwrap();
    Subject { store: Arc::new(store.clone()), faults: Box::new(Fixture { store, _room: room }) }
}

contract!(open);

fn put(key: &str, value: &str) -> Txn {
    Txn::new().put(key.to_owned(), value.to_owned())
}

/// What stands between redb and the file in a test.
#[derive(Debug, Default)]
struct Disturbed {
    syncs: AtomicU64,
    full: AtomicBool,
    failing: AtomicBool,
}

#[derive(Debug)]
struct Disturbance(File, Arc<Disturbed>);

impl Disturbance {
    fn room(&self) -> std::io::Result<()> {
        if self.1.full.load(Ordering::SeqCst) { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disturbance {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read_exact_at(out, offset)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.room()?;
        self.0.set_len(len)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        if self.1.failing.load(Ordering::SeqCst) {
            return Err(std::io::Error::other("the disk is broken"));
        }
        self.1.syncs.fetch_add(1, Ordering::SeqCst);
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.room()?;
        self.0.write_all_at(data, offset)
    }
}

fn disturbed(path: &Path) -> (Embedded, Arc<Disturbed>) {
    let what = Arc::new(Disturbed::default());
    let backend: disk::Backend = {
        let what = Arc::clone(&what);
        Box::new(move |path: &Path| {
            let file = File::options().read(true).write(true).open(path)?;
            // As redb locks a file that it opens itself: whoever opens it next waits for the last close, which truncates.
            file.try_lock()?;
            Ok(Box::new(Disturbance(file, Arc::clone(&what))))
        })
    };
    Embedded::create(path).unwrap();
    (Embedded::on(Disk::open(path, Some(backend)).unwrap()).unwrap(), what)
}

/// Opens a store whose last handle was just dropped: its thread lets go of the file a moment later.
fn reopened(path: &Path) -> Embedded {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match Embedded::open(path) {
            Err(StoreError::OutOfReach { why }) if why.contains("already open") && Instant::now() < until => {
                std::thread::yield_now();
            }
            opened => return opened.unwrap(),
        }
    }
}

#[test]
fn one_transaction_is_one_fsync() {
    run(async {
        let room = tempfile::tempdir().unwrap();
        let (store, what) = disturbed(&room.path().join("s"));
        store.txn(&put("/k", "0")).await.unwrap();
        let before = what.syncs.load(Ordering::SeqCst);
        for i in 0..10 {
            store.txn(&put("/k", &i.to_string())).await.unwrap();
        }
        assert_eq!(what.syncs.load(Ordering::SeqCst) - before, 10);
        let conflict = put("/k", "no").if_absent("/k".to_owned());
        assert!(matches!(store.txn(&conflict).await, Ok(Answer::Conflict { .. })));
        store.get("/k").await.unwrap();
        assert_eq!(what.syncs.load(Ordering::SeqCst) - before, 10, "what writes nothing syncs nothing");
    });
}

#[test]
fn a_full_disk_refuses_and_works_again() {
    run(async {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("s");
        let (store, what) = disturbed(&path);
        store.txn(&put("/k", "before")).await.unwrap();
        for _ in 0..3 {
            what.full.store(true, Ordering::SeqCst);
            let told = store.txn(&put("/k", "no room")).await.unwrap_err();
            assert!(matches!(told, StoreError::Full { .. } | StoreError::Unknown { .. }), "{told}");
            assert!(told.to_string().contains("no storage space"), "{told}");
            what.full.store(false, Ordering::SeqCst);
            assert_eq!(store.get("/k").await.unwrap().unwrap().value, "before");
        }
        let answer = store.txn(&put("/k", "after")).await.unwrap();
        assert_eq!(answer, Answer::Committed { revision: 3 });
        assert!(matches!(Embedded::open(&path), Err(StoreError::OutOfReach { why }) if why.contains("already open")));
        drop(store);
        assert_eq!(reopened(&path).get("/k").await.unwrap().unwrap().value, "after");
    });
}

#[test]
fn a_failed_fsync_is_never_called_written() {
    run(async {
        let room = tempfile::tempdir().unwrap();
        let (store, what) = disturbed(&room.path().join("s"));
        store.txn(&put("/k", "before")).await.unwrap();
        what.failing.store(true, Ordering::SeqCst);
        let told = store.txn(&put("/k", "maybe")).await.unwrap_err();
        assert!(matches!(told, StoreError::Unknown { .. } | StoreError::OutOfReach { .. }), "{told}");
        assert!(told.to_string().contains("the disk is broken"), "{told}");
    });
}

/// Not a test by itself: the child that [`what_was_acknowledged_survives_a_kill`] kills.
#[test]
fn child_that_commits_until_killed() {
    let Some(path) = std::env::var_os("HARDSTAND_TEST_STORE") else { return };
    run(async {
        let path = Path::new(&path);
        let store = reopened(path);
        let acknowledged = File::create(path.with_extension("acknowledged")).unwrap();
        for i in 0_u64.. {
            let txn = put("/a", &i.to_string())
                .put("/b".to_owned(), i.to_string())
                .put(format!("/n/{}", i % 50), "x".repeat(300));
            store.txn(&txn).await.unwrap();
            acknowledged.write_all_at(&i.to_le_bytes(), 0).unwrap();
        }
    });
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    run(async {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("s");
        Embedded::create(&path).unwrap();
        let mut last = 0;
        for round in 0..4_u64 {
            let child = Run::new(std::env::current_exe().unwrap(), Duration::from_millis(700 + round * 37))
                .args(["--exact", "store::embedded::tests::child_that_commits_until_killed"])
                .env("HARDSTAND_TEST_STORE", &path);
            let ended = child.output().await;
            assert!(matches!(ended, Err(ExecError::Deadline { .. })), "{ended:?}");
            let mut bytes = [0; 8];
            File::open(path.with_extension("acknowledged")).unwrap().read_exact_at(&mut bytes, 0).unwrap();
            let acknowledged = u64::from_le_bytes(bytes);
            let store = reopened(&path);
            let (entries, revision) = store.range("/").await.unwrap();
            let value = |key: &str| entries.iter().find(|(one, _)| one == key).unwrap().1.value.parse::<u64>().unwrap();
            let (a, b) = (value("/a"), value("/b"));
            assert_eq!(a, b, "all or nothing");
            assert!(a == acknowledged || a == acknowledged + 1, "acknowledged {acknowledged}, found {a}");
            assert!(revision > last, "{revision} after {last}");
            last = revision;
        }
    });
}

#[test]
fn damage_is_told_and_never_an_empty_store() {
    run(async {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("s");
        Embedded::create(&path).unwrap();
        let store = Embedded::open(&path).unwrap();
        for i in 0..200 {
            store.txn(&put(&format!("/k/{i}"), &"value ".repeat(50))).await.unwrap();
        }
        drop(store);
        drop(reopened(&path));
        let mut whole = Vec::new();
        // The thread lets go of the file a moment after its last handle.
        while whole.is_empty() {
            if let Ok(disk) = Disk::open(&path, None) {
                drop(disk);
                whole = std::fs::read(&path).unwrap();
            }
        }
        let at = whole.windows(12).position(|part| part == b"value value ").unwrap();
        let mut flipped = whole.clone();
        flipped[at + 3] ^= 0x40;
        let mut headless = whole.clone();
        headless[..64].fill(0);
        for (kind, bytes) in [
            ("empty", Vec::new()),
            ("half", whole[..whole.len() / 2].to_vec()),
            ("one page", whole[..4096].to_vec()),
            ("text", b"[store]\nengine = \"embedded\"\n".repeat(1000)),
            ("zeros", vec![0; whole.len()]),
            ("no header", headless),
            ("one bit", flipped),
        ] {
            std::fs::write(&path, &bytes).unwrap();
            let told = Embedded::open(&path).map(|_| ()).unwrap_err();
            assert!(matches!(told, StoreError::Corrupt { .. }), "{kind}: {told}");
            assert!(told.to_string().contains("restore a backup"), "{kind}: {told}");
            assert!(matches!(Embedded::create(&path), Err(StoreError::Denied { .. })), "{kind}");
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(Embedded::open(&path).unwrap().range("/k/").await.unwrap().0.len(), 200);
    });
}

#[test]
fn another_program_s_file_and_another_format_are_told() {
    let room = tempfile::tempdir().unwrap();
    let foreign = room.path().join("foreign");
    let db = Database::create(&foreign).unwrap();
    drop(db);
    let told = Embedded::open(&foreign).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("it has no table"), "{told}");

    let newer = room.path().join("newer");
    Embedded::create(&newer).unwrap();
    let db = Database::open(&newer).unwrap();
    let tx = db.begin_write().unwrap();
    tx.open_table(TableDefinition::<&str, u64>::new("facts")).unwrap().insert("format", 2).unwrap();
    tx.commit().unwrap();
    drop(db);
    let told = Embedded::open(&newer).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("it has format 2, this program reads format 1"), "{told}");
}

#[test]
fn no_store_is_no_empty_store_and_two_do_not_share_one() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("s");
    let told = Embedded::open(&path).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("No such file") && told.contains("store init"), "{told}");
    Embedded::create(&path).unwrap();
    let _first = Embedded::open(&path).unwrap();
    let told = Embedded::open(&path).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("already open"), "{told}");
}

#[test]
fn a_session_ends_by_its_ttl_and_never_before() {
    run(async {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("s");
        Embedded::create(&path).unwrap();
        let store = Embedded::open(&path).unwrap();
        let began = Instant::now();
        let session = store.begin_session(SESSION_TTL_MIN).await.unwrap();
        let txn = Txn::new().put_in_session("/k".to_owned(), "v".to_owned(), session);
        let Ok(Answer::Committed { revision }) = store.txn(&txn).await else { panic!("not written") };
        let mut watch = store.watch("/k", revision);
        while !matches!(watch.next().await.unwrap(), News::Changes(_)) {}
        assert!(began.elapsed() >= SESSION_TTL_MIN, "{:?}", began.elapsed());
        assert!(began.elapsed() < SESSION_TTL_MIN * 3, "{:?}", began.elapsed());
        assert!(matches!(store.beat(session).await, Err(StoreError::SessionLost { .. })));
    });
}

#[test]
fn a_restart_gives_sessions_a_whole_ttl() {
    run(async {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("s");
        Embedded::create(&path).unwrap();
        let store = Embedded::open(&path).unwrap();
        let session = store.begin_session(SESSION_TTL_MIN).await.unwrap();
        store.txn(&Txn::new().put_in_session("/k".to_owned(), "v".to_owned(), session)).await.unwrap();
        // Most of its TTL passes before the restart.
        tokio::time::sleep(SESSION_TTL_MIN * 3 / 4).await;
        drop(store);
        let store = reopened(&path);
        let restarted = Instant::now();
        let mut watch = store.watch("/k", store.range("/").await.unwrap().1);
        while !matches!(watch.next().await.unwrap(), News::Changes(_)) {}
        let lived = restarted.elapsed();
        assert!(lived >= SESSION_TTL_MIN - Duration::from_millis(100), "{lived:?}");
    });
}

#[test]
fn a_session_is_its_owner_s() {
    run(async {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("s");
        Embedded::create(&path).unwrap();
        let store = Embedded::open(&path).unwrap();
        let (mine, yours) = (store.owned_by("node/pve1"), store.owned_by("node/pve2"));
        let session = mine.begin_session(Duration::from_secs(30)).await.unwrap();
        assert!(matches!(yours.beat(session).await, Err(StoreError::SessionLost { .. })));
        let txn = Txn::new().put_in_session("/k".to_owned(), "v".to_owned(), session);
        assert!(matches!(yours.txn(&txn).await, Err(StoreError::SessionLost { .. })));
        yours.end(session).await.unwrap();
        assert_eq!(mine.beat(session).await, Ok(()), "another's end does not end it");
        assert!(matches!(mine.txn(&txn).await, Ok(Answer::Committed { .. })));
    });
}

#[test]
fn history_is_bounded_and_its_loss_is_told() {
    run(async {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("s");
        Embedded::create(&path).unwrap();
        let store = Embedded::open(&path).unwrap();
        let rounds = HISTORY_CHANGES / 100 + 2;
        for round in 0..rounds {
            let txn = (0..100).fold(Txn::new(), |txn, i| txn.put(format!("/k/{i}"), round.to_string()));
            store.txn(&txn).await.unwrap();
        }
        let told = store.changes("/", 2).await.unwrap_err();
        assert_eq!(told, StoreError::Compacted { at: 3 }, "two rounds too many");
        assert_eq!(store.changes("/", 3).await.unwrap().0[0].revision, 4);
        assert!(matches!(store.changes("/", 1_000_000).await, Err(StoreError::Compacted { .. })), "ahead of the store");
    });
}
