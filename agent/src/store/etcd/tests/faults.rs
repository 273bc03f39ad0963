//! Each fault, at the leader, at a follower and at the member the client speaks to, under load; prints the longest time
//! (ms) without an acknowledged write and without news of one.

use std::sync::Arc;
use std::time::Duration;

use hardstand_core::store::{Answer, PREFIX};
use nix::sys::signal::Signal;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use super::super::super::{Store, StoreError, Txn};
use super::super::wire::{CompactRequest, Empty, LeaseId, Name};
use super::super::{Etcd, Kind};
use super::lab::{Cluster, Trust, address, bridge, in_lab, until};
use super::load::{LATE, Load, Measured, TTL};
use super::proxy::{Way, serve};

/// All cells of one test: the longest takes about 40 s on a loaded machine.
const STORY_LIMIT: Duration = Duration::from_secs(20 * 60);
/// How long a fault lasts: longer than an election, a try of a call, and a silent watch.
const HURT: Duration = Duration::from_secs(7);
/// Writes and watches go on within this time of any fault that leaves a majority: an election, or the 5 s of a
/// transaction that is never answered and the 6 s of a watch that hears nothing, on a loaded machine.
const BACK_LIMIT: Duration = Duration::from_secs(12);
/// The same where packets are lost at random.
const LOSSY_LIMIT: Duration = Duration::from_secs(30);
/// Delay of each direction on the slow link.
const DELAY_MS: u64 = 500;
/// What a slow disk adds to each fsync.
const SLOW: Duration = Duration::from_millis(400);
/// One request of the harness.
const ASK_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    Stop,
    Cut,
    Deaf,
    Mute,
    Loss,
    Delay,
    DiskFull,
    SlowFsync,
    Replaced,
    WrongCa,
    Compacted,
    AllDown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The leader; the client speaks to another.
    Leader,
    /// A follower; the client speaks to another.
    Follower,
    /// A follower, and the client speaks to it.
    Own,
    /// All members, or none in particular.
    All,
}

const AT_ONE: [Role; 3] = [Role::Leader, Role::Follower, Role::Own];

/// Every cell, and whether it is part of every day.
fn cells() -> Vec<(Fault, Role, bool)> {
    let at_one = [
        (Fault::Kill, [true, false, true]),
        (Fault::Stop, [true, false, true]),
        (Fault::Cut, [true, false, true]),
        (Fault::Deaf, [false, false, true]),
        (Fault::Mute, [true, false, false]),
        (Fault::Loss, [false, false, true]),
        (Fault::DiskFull, [true, false, false]),
        (Fault::SlowFsync, [true, false, false]),
        (Fault::Replaced, [false, false, true]),
        (Fault::WrongCa, [false, false, true]),
    ];
    let mut cells: Vec<_> = at_one
        .into_iter()
        .flat_map(|(fault, daily)| AT_ONE.into_iter().zip(daily).map(move |(role, daily)| (fault, role, daily)))
        .collect();
    cells.extend([Fault::Delay, Fault::Compacted, Fault::AllDown].map(|fault| (fault, Role::All, true)));
    cells
}

#[test]
fn every_fault_is_survived() {
    let wanted = std::env::var("HARDSTAND_ETCD_MATRIX").unwrap_or_default();
    in_lab(STORY_LIMIT, async move || {
        let mut cluster = Cluster::up(3, &[]).await;
        let delay = Way::new();
        let mut slow = Vec::new();
        for i in 0..3 {
            let listener = TcpListener::bind((bridge(), 0)).await.unwrap();
            slow.push(format!("https://{}", listener.local_addr().unwrap()));
            tokio::spawn(serve(listener, (address(i), 2379), Arc::clone(&delay)));
        }
        let mut table = vec![format!(
            "{:<22} {:>7} {:>6} {:>7} {:>6} {:>9} {:>9}  {}",
            "fault at", "written", "undone", "unknown", "taken", "write gap", "watch gap", "session"
        )];
        for (fault, role, daily) in cells() {
            let name = format!("{fault:?} {role:?}");
            let runs = if wanted.is_empty() { daily } else { wanted == "all" || name.contains(&wanted) };
            if !runs {
                continue;
            }
            eprintln!("{name} ...");
            let measured = cell(&mut cluster, fault, role, &delay, &slow).await;
            table.push(row(&name, &measured));
            eprintln!("{}", row(&name, &measured));
        }
        let what = if wanted.is_empty() { "the everyday part" } else { wanted.as_str() };
        println!("etcd fault matrix, {what} ({} cells of {}):\n{}", table.len() - 1, cells().len(), table.join("\n"));
        assert!(table.len() > 1, "no cell is named {wanted}");
    });
}

fn row(name: &str, of: &Measured) -> String {
    let session = of.session_lost.map_or("kept".to_owned(), |after| format!("lost after {} ms", after.as_millis()));
    format!(
        "{name:<22} {:>7} {:>6} {:>7} {:>6} {:>9} {:>9}  {session}",
        of.written,
        of.undone,
        of.unknown,
        of.taken,
        of.write_gap.as_millis(),
        of.watch_gap.as_millis()
    )
}

async fn cell(cluster: &mut Cluster, fault: Fault, role: Role, delay: &Arc<Way>, slow: &[String]) -> Measured {
    cluster.wait_healthy().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let (target, first) = match role {
        Role::Leader => (leader, one),
        Role::Follower => (one, other),
        Role::Own | Role::All => (one, one),
    };
    let etcd = match fault {
        Fault::Delay => Etcd::new(cluster.trust.endpoints("client", slow.to_vec())),
        _ => cluster.client("client", first),
    };
    let takers = [cluster.client("client", target), cluster.client("client", first)];
    let room = format!("{fault:?}{role:?}");
    let load = Load::start(etcd.clone(), takers, &room).await;
    let hurt_at = Instant::now();
    hurt(cluster, fault, target, delay, &etcd).await;
    sleep(HURT).await;
    heal(cluster, fault, target, delay).await;
    let healed_at = Instant::now();
    cluster.wait_healthy().await;
    until("changes after the fault", async || load.seen_after(healed_at) > 10).await;
    // What has no majority can only be back once it is healed.
    let from = if fault == Fault::AllDown { healed_at } else { hurt_at };
    let measured = load.finish(hurt_at, from).await;
    let limit = if fault == Fault::Loss { LOSSY_LIMIT } else { BACK_LIMIT };
    // Without members nothing is written; a write over the slow link takes a second, and one over a lossy link as long as TCP needs to send it again.
    let fewest = if matches!(fault, Fault::Delay | Fault::Loss | Fault::AllDown) { 8 } else { 20 };
    assert!(measured.write_gap < limit, "{room}: {measured:?}");
    assert!(measured.watch_gap < limit, "{room}: {measured:?}");
    assert!(measured.taken > 0 && measured.written >= fewest, "{room}: {measured:?}");
    if fault == Fault::AllDown {
        let told = measured.session_lost.expect("a store that is away for longer than the TTL loses the session");
        assert!(told < TTL + LATE, "a session's loss is told within its TTL, and not after {told:?}");
    }
    measured
}

async fn hurt(cluster: &mut Cluster, fault: Fault, target: usize, delay: &Way, etcd: &Etcd) {
    let drop_all = |hook: &str| {
        format!("table inet lab {{\nchain c {{\ntype filter hook {hook} priority 0\niif != lo drop\n}}\n}}\n")
    };
    match fault {
        Fault::Kill => cluster.kill(target).await,
        Fault::Stop => cluster.signal(target, Signal::SIGSTOP),
        Fault::Cut => cluster.cable(target, false).await,
        Fault::Deaf => cluster.filter(target, &drop_all("input")).await,
        Fault::Mute => cluster.filter(target, &drop_all("output").replace("iif", "oif")).await,
        Fault::Loss => {
            let third = |hook, card| {
                format!(
                    "chain {hook} {{\ntype filter hook {hook} priority 0\n{card} != lo numgen random mod 100 < 30 drop\n}}"
                )
            };
            let rules = format!("table inet lab {{\n{}\n{}\n}}\n", third("input", "iif"), third("output", "oif"));
            cluster.filter(target, &rules).await;
        }
        Fault::Delay => delay.set_delay_ms(DELAY_MS),
        Fault::DiskFull => {
            cluster.fill(target);
            // Room that etcd has taken ahead must be used up before it notices.
            let ballast = Txn::new().put(format!("{PREFIX}ballast"), "x".repeat(64 << 10));
            until("the full disk to be met", async || {
                let _ = etcd.txn(&ballast).await;
                !cluster.runs(target)
            })
            .await;
        }
        Fault::SlowFsync => cluster.slow_down(target, SLOW),
        Fault::Replaced => replace(cluster, target, etcd).await,
        Fault::WrongCa => {
            cluster.kill(target).await;
            let other = Trust::new();
            other.issue(&format!("m{target}"), &[address(target)]);
            swap_certificates(cluster, &other, target);
            cluster.start(target);
        }
        Fault::Compacted => {
            let (_, revision) = etcd.range(PREFIX).await.unwrap();
            let request = CompactRequest { revision: i64::try_from(revision).unwrap() - 5, physical: true };
            let compacted = etcd.ask("/etcdserverpb.KV/Compact", &request, Kind::Write, ASK_LIMIT).await;
            compacted.map(|Empty {}| ()).unwrap();
        }
        Fault::AllDown => {
            for i in 0..3 {
                cluster.kill(i).await;
            }
        }
    }
}

async fn heal(cluster: &mut Cluster, fault: Fault, target: usize, delay: &Way) {
    match fault {
        Fault::Kill => cluster.start(target),
        Fault::Stop => cluster.signal(target, Signal::SIGCONT),
        Fault::Cut => cluster.cable(target, true).await,
        Fault::Deaf | Fault::Mute | Fault::Loss => cluster.filter(target, "").await,
        Fault::Delay => delay.set_delay_ms(0),
        Fault::DiskFull => {
            cluster.unfill(target);
            // A member whose disk is full ends itself; only a supervisor brings it back.
            cluster.start(target);
        }
        Fault::SlowFsync => assert!(cluster.speed_up(target).await > 5, "the fault was there"),
        Fault::WrongCa => {
            cluster.kill(target).await;
            cluster.trust.issue(&format!("m{target}"), &[address(target), bridge()]);
            cluster.start(target);
        }
        Fault::AllDown => {
            for i in 0..3 {
                cluster.start(i);
            }
        }
        Fault::Replaced | Fault::Compacted => {}
    }
}

fn swap_certificates(cluster: &Cluster, other: &Trust, member: usize) {
    for ending in ["pem", "key"] {
        let file = format!("m{member}.{ending}");
        std::fs::copy(other.path(&file), cluster.trust.path(&file)).unwrap();
    }
}

/// A member that is gone for good, and a new one in its place with an empty disk.
async fn replace(cluster: &mut Cluster, target: usize, etcd: &Etcd) {
    let id = cluster.status(target).await.and_then(|status| status.header).unwrap().member;
    cluster.kill(target).await;
    // The messages that remove and add a member look on the wire as these two do: a number, and one text.
    ask_until_done(etcd, "/etcdserverpb.Cluster/MemberRemove", &LeaseId { id: id.cast_signed() }).await;
    std::fs::remove_dir_all(cluster.inner(target).join("etcd")).unwrap();
    let url = Name { name: format!("http://{}:2380", address(target)) };
    ask_until_done(etcd, "/etcdserverpb.Cluster/MemberAdd", &url).await;
    cluster.joins(target);
    cluster.start(target);
}

/// etcd refuses changes of its members for some seconds after one has gone.
async fn ask_until_done<Q: prost::Message>(etcd: &Etcd, path: &str, question: &Q) {
    until(path, async || match etcd.ask::<_, Empty>(path, question, Kind::Write, ASK_LIMIT).await {
        Ok(Empty {}) => true,
        Err(error) => error.to_string().contains("not found") || error.to_string().contains("already exists"),
    })
    .await;
}

/// A backup of the data is put back: the store is younger than its clients, and they must notice.
#[test]
fn a_restored_snapshot_is_noticed_by_watch_and_token() {
    in_lab(STORY_LIMIT, async || {
        let mut cluster = Cluster::up(1, &[]).await;
        let etcd = cluster.client("client", 0);
        let slot = format!("{PREFIX}lease/cluster/0");
        let put = |value: &str| Txn::new().put(format!("{PREFIX}halt"), value.to_owned());
        etcd.txn(&put("before")).await.unwrap();
        cluster.kill(0).await;
        let data = cluster.inner(0);
        let (data, copy) = (data.join("etcd").display().to_string(), data.join("copy").display().to_string());
        let inner = |path: &str| path.split_once("/root").map(|(_, inside)| inside.to_owned()).unwrap();
        let script = format!("cp -a {} {}", inner(&data), inner(&copy));
        cluster.run_inside(0, &["/bin/sh", "-c", &script]).success().await.unwrap();
        cluster.start(0);
        cluster.wait_healthy().await;
        for _ in 0..5 {
            etcd.txn(&put("lost by the restore")).await.unwrap();
        }
        let taken = etcd.txn(&Txn::new().if_absent(slot.clone()).put(slot.clone(), "pve1".to_owned())).await.unwrap();
        let Answer::Committed { revision: token } = taken else { panic!("{taken:?}") };
        let (_, revision) = etcd.range(PREFIX).await.unwrap();
        let mut watch = etcd.watch(PREFIX, revision);
        watch.next().await.unwrap();
        cluster.kill(0).await;
        let script = format!("rm -r {0} && mv {1} {0}", inner(&data), inner(&copy));
        cluster.run_inside(0, &["/bin/sh", "-c", &script]).success().await.unwrap();
        cluster.start_with(0, &["--force-new-cluster"]);
        cluster.wait_healthy().await;
        let noticed = timeout(Duration::from_secs(20), async {
            loop {
                match watch.next().await {
                    Err(StoreError::OutOfReach { .. }) | Ok(_) => {}
                    Err(error) => return error,
                }
            }
        });
        let noticed = noticed.await.expect("a watch does not wait for revisions that may never come");
        assert!(matches!(noticed, StoreError::Compacted { .. }), "{noticed}");
        let fenced = etcd.txn(&Txn::new().if_created(slot.clone(), token).delete(slot.clone())).await.unwrap();
        assert!(matches!(fenced, Answer::Conflict { .. }), "the token is of another life: {fenced:?}");
    });
}
