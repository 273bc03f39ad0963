//! How long one fenced transaction takes on the embedded store: in its own process, and over mutual TLS on loopback,
//! beside what the disk itself needs for one fsync. `cargo bench -p hardstand --bench store -- DIR`; DIR is on the disk
//! to be measured, by default the build's own.
//!
//! It must never be compared between two disks.

#![allow(dead_code, unused_imports, reason = "the rooms are taken whole, and only a part of them is measured")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails has nothing to tell")]

// cargo sets `test` for a bench, so the rooms bring the tests that stand in them; nothing runs these.
#[path = "../src/hang.rs"]
mod hang;
#[path = "../src/store/mod.rs"]
mod store;
#[path = "../src/trust/mod.rs"]
mod trust;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hardstand_core::store::access::Role;
use hardstand_core::store::{Answer, Key, Revision};

use store::{Embedded, Remote, Store, Txn};
use trust::{Authority, Identity, Trust, TrustFiles};

/// Enough that one in a hundred is ten of them.
const ROUNDS: usize = 1000;
/// What a redb commit of this size writes, about.
const PAGE: [u8; 4096] = [0x5a; 4096];

fn main() {
    let dir = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).map(PathBuf::from);
    let room = tempfile::tempdir_in(dir.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        print("one write of 4 KiB and fdatasync", bare(room.path()));
        let path = room.path().join("store.redb");
        Embedded::create(&path).unwrap();
        let store = Embedded::open(&path).unwrap();
        print("fenced transaction, embedded", fenced(&store).await);
        print("fenced transaction, eight at once", at_once(&store).await);
        let remote = served(room.path(), &store).await;
        print("fenced transaction, remote over mutual TLS", fenced(&remote).await);
        print("linearizable read, remote over mutual TLS", reads(&remote).await);
        println!("{:<44} {} kB", "resident memory of all this", resident_kb());
    });
}

fn print(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let micros = |part: usize| took[took.len() * part / 1000].as_secs_f64() * 1e6;
    println!("{what:<44} p50 {:8.0} us   p99 {:8.0} us", micros(500), micros(990));
}

/// What the disk needs by itself.
fn bare(room: &Path) -> Vec<Duration> {
    let file = std::fs::File::create(room.join("bare")).unwrap();
    file.set_len(1 << 20).unwrap();
    file.sync_all().unwrap();
    let one = |round: usize| {
        let began = Instant::now();
        file.write_all_at(&PAGE, (round % 256 * PAGE.len()) as u64).unwrap();
        file.sync_data().unwrap();
        began.elapsed()
    };
    (0..ROUNDS).map(one).collect()
}

/// As a node writes its intent: lease, leader, rollout and halt compared; report, audit record and head written.
fn intent(round: usize, fence: Revision) -> Txn {
    let lease = Key::Lease { group: "cluster".to_owned(), slot: 0 };
    Txn::new()
        .if_created(lease.path(), fence)
        .if_created(Key::Leader.path(), fence)
        .if_modified(Key::Rollout.path(), fence)
        .if_absent(Key::Halt.path())
        .if_absent(Key::Audit(fence * 1_000_000 + round as u64).path())
        .put(Key::Report("pve1".to_owned()).path(), "x".repeat(2000))
        .put(Key::Audit(fence * 1_000_000 + round as u64).path(), "x".repeat(400))
        .put(Key::AuditHead.path(), round.to_string())
}

async fn fence(store: &dyn Store) -> Revision {
    let lease = Key::Lease { group: "cluster".to_owned(), slot: 0 };
    let gone = [lease.path(), Key::Leader.path(), Key::Rollout.path()].into_iter().fold(Txn::new(), Txn::delete);
    store.txn(&gone).await.unwrap();
    let made = [lease.path(), Key::Leader.path(), Key::Rollout.path()]
        .into_iter()
        .fold(Txn::new(), |txn, key| txn.put(key, "pve1".to_owned()));
    committed(store, &made).await
}

async fn committed(store: &dyn Store, txn: &Txn) -> Revision {
    match store.txn(txn).await.unwrap() {
        Answer::Committed { revision } => revision,
        Answer::Conflict { .. } => panic!("a conflict"),
    }
}

async fn fenced(store: &dyn Store) -> Vec<Duration> {
    let fence = fence(store).await;
    let mut took = Vec::new();
    for round in 0..ROUNDS {
        let txn = intent(round, fence);
        let began = Instant::now();
        committed(store, &txn).await;
        took.push(began.elapsed());
    }
    took
}

/// Eight nodes at once: they share their fsyncs.
async fn at_once(store: &Embedded) -> Vec<Duration> {
    let fence = fence(store).await;
    let mut tasks = tokio::task::JoinSet::new();
    for who in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut took = Vec::new();
            for round in 0..ROUNDS / 8 {
                let txn = intent(who * ROUNDS + round, fence);
                let began = Instant::now();
                committed(&store, &txn).await;
                took.push(began.elapsed());
            }
            took
        });
    }
    tasks.join_all().await.concat()
}

async fn reads(store: &dyn Store) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        store.get(&Key::Halt.path()).await.unwrap();
        took.push(began.elapsed());
    }
    took
}

async fn served(room: &Path, store: &Embedded) -> Remote {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let dir = room.join("ca");
    let mut authority = Authority::init(&dir, now).unwrap();
    let mut trust = |name: &str| {
        let who = Identity::new(Role::Node, name).unwrap();
        let (certificate, key) = authority.issue(&who, &["127.0.0.1".to_owned()], None, now).unwrap();
        let files = TrustFiles { authority: dir.join("ca.crt"), list: dir.join("crl.pem"), certificate, key };
        (files.clone(), Arc::new(Trust::load(files).unwrap()))
    };
    let (_, server) = trust("pve2");
    let (_, client) = trust("pve1");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(store::serve::serve(listener, server, store.clone()));
    Remote::at(&url, client).unwrap()
}

fn resident_kb() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").to_owned()
}
