//! How long one fenced transaction takes on the embedded store, in its own process and over mutual TLS on loopback, and on
//! one member of etcd, over mutual TLS on loopback too; all on the same disk, beside what that needs for one fsync.
//! `cargo bench --profile timing -p hardstand --bench store -- DIR`; DIR is on the disk to be measured, by default the build's own.
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
use hardstand_exec::{Run, Started};

use store::etcd::{Endpoints, Etcd};
use store::{Embedded, Remote, Store, Txn};
use trust::{Authority, Identity, Trust, TrustFiles};

/// Enough that one in a hundred is thirty of them, over some seconds: a disk that others use has bad ones.
const ROUNDS: usize = 3000;
/// Engines are asked in turn, a share of the rounds each time, so that what else the disk does meets them all.
const TURNS: usize = 30;
/// etcd is up within a second; a loaded machine takes ten.
const UP_LIMIT: Duration = Duration::from_secs(60);
/// What a redb commit of this size writes, about.
const PAGE: [u8; 4096] = [0x5a; 4096];

fn main() {
    let dir = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).map(PathBuf::from);
    let room = tempfile::tempdir_in(dir.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        print("one write of 4 KiB and fdatasync", bare(room.path()));
        let store = new_store(room.path(), "store.redb");
        let mut trust = Papers::new(room.path());
        let remote = served(&mut trust, &new_store(room.path(), "served.redb")).await;
        let (_member, etcd) = etcd(&mut trust, room.path()).await;
        let engines: [(&str, &dyn Store); 3] = [
            ("fenced transaction, embedded", &store),
            ("fenced transaction, remote over mutual TLS", &remote),
            ("fenced transaction, etcd over mutual TLS", &etcd),
        ];
        for ((what, _), took) in engines.iter().zip(in_turn(engines.map(|(_, store)| store)).await) {
            print(what, took);
        }
        print("fenced transaction, eight at once", at_once(&store).await);
        print("linearizable read, remote over mutual TLS", reads(&remote).await);
        print("linearizable read, etcd over mutual TLS", reads(&etcd).await);
        println!("{:<44} {} kB", "resident memory of all this but etcd", resident_kb());
    });
}

/// Each engine has a store of its own: one fence would end another's.
fn new_store(room: &Path, name: &str) -> Embedded {
    Embedded::create(&room.join(name)).unwrap();
    Embedded::open(&room.join(name)).unwrap()
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

/// [`ROUNDS`] on each engine, in turn.
async fn in_turn<const N: usize>(engines: [&dyn Store; N]) -> [Vec<Duration>; N] {
    let mut took = [const { Vec::new() }; N];
    let mut fences = [0; N];
    for (fence_of, engine) in fences.iter_mut().zip(engines) {
        *fence_of = fence(engine).await;
    }
    for turn in 0..TURNS {
        for ((engine, fence), took) in engines.iter().zip(fences).zip(&mut took) {
            for round in turn * ROUNDS / TURNS..(turn + 1) * ROUNDS / TURNS {
                let txn = intent(round, fence);
                let began = Instant::now();
                committed(*engine, &txn).await;
                took.push(began.elapsed());
            }
        }
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

/// Certificates for everybody who takes part.
struct Papers {
    authority: Authority,
    dir: PathBuf,
    now: u64,
}

impl Papers {
    fn new(room: &Path) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let dir = room.join("ca");
        Self { authority: Authority::init(&dir, now).unwrap(), dir, now }
    }

    fn node(&mut self, name: &str) -> TrustFiles {
        let who = Identity::new(Role::Node, name).unwrap();
        let issued = self.authority.issue(&who, &["127.0.0.1".to_owned()], None, self.now);
        let (certificate, key) = issued.unwrap();
        TrustFiles { authority: self.dir.join("ca.crt"), list: self.dir.join("crl.pem"), certificate, key }
    }
}

async fn served(trust: &mut Papers, store: &Embedded) -> Remote {
    let mut load = |name| Arc::new(Trust::load(trust.node(name)).unwrap());
    let (server, client) = (load("pve2"), load("pve1"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(store::serve::serve(listener, server, store.clone()));
    Remote::at(&url, client).unwrap()
}

/// One member that knows its clients by their certificates, with its defaults otherwise, and a client of it.
async fn etcd(trust: &mut Papers, room: &Path) -> (Started, Etcd) {
    let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (url, peer) = (format!("https://127.0.0.1:{}", port()), format!("http://127.0.0.1:{}", port()));
    let (server, client) = (trust.node("etcd"), trust.node("pve3"));
    let program = etcd_bin_vendored::etcd_bin_path().unwrap();
    let log = std::fs::File::create(room.join("etcd.log")).unwrap();
    let run = Run::new(program, Duration::ZERO).args([
        format!("--data-dir={}", room.join("etcd").display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--client-cert-auth".to_owned(),
        format!("--trusted-ca-file={}", server.authority.display()),
        format!("--cert-file={}", server.certificate.display()),
        format!("--key-file={}", server.key.display()),
        "--log-level=warn".to_owned(),
    ]);
    let member = run.start(log).unwrap();
    let TrustFiles { authority: ca, certificate: cert, key, .. } = client;
    let etcd = Etcd::new(Endpoints { urls: vec![url], ca, cert, key });
    let began = Instant::now();
    while let Err(error) = etcd.get(&Key::Halt.path()).await {
        assert!(began.elapsed() < UP_LIMIT, "etcd does not answer: {error}; {}", words(room));
    }
    (member, etcd)
}

fn words(room: &Path) -> String {
    std::fs::read_to_string(room.join("etcd.log")).unwrap_or_default()
}

fn resident_kb() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").to_owned()
}
