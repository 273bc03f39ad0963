//! `lab bench fleet`: what rolling patches cost, on three agents of the release build that run as processes of this
//! machine. Each has its own network and mount namespace; no machine is started.
//!
//! Not real in it: systemd and logind (a bus of the bench answers that all is up, and takes orders to reboot), the reboot
//! (both processes end and start under another boot id), and the network (a bridge without delay). It must never leave a
//! figure out because it is bad.

mod bus;
mod engines;
mod read;
mod roll;
mod rooms;
mod three;
mod timing;

use std::time::Duration;

use anyhow::{Context as _, Result};

use self::read::Times;
pub(super) use self::read::measured;
use self::roll::Rolled;
use self::rooms::Site;
use self::three::{DOOR_PORT, GUEST, Three};
use self::timing::{Halts, Idle};
use super::protocol::decide;
use super::{Row, release_agent};
use crate::fleet::trust::Engine;
use crate::house::House;
use crate::network;

/// The agent's example that answers on a node's bus.
const BUS: &str = "nodeless_bus";
/// A cold build of the agent's dependencies takes four minutes on two busy cores.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Measures all of it. Enters network namespaces: must be called while the process has one thread.
pub(crate) async fn measure(house: &House) -> Result<Vec<Row>> {
    println!("building the agent (release)");
    release_agent(house)?.attached().await?;
    let mut rows = engines::measure(house).await?;
    rows.extend(decide(house).await?);
    let bus = ["build", "--locked", "--package", "hardstand", "--example", BUS];
    house.cargo(BUILD_LIMIT)?.args(bus).success().await.context("building what answers on the nodes' buses")?;
    let site = |engine| -> Result<Site> {
        let (program, bus) = (house.built("release", "hardstand"), house.built("debug", &format!("examples/{BUS}")));
        Ok(Site { program, bus, dir: house.evidence("bench-fleet", engine)? })
    };
    rows.extend(embedded(site("embedded")?).await?);
    rows.extend(etcd(site("etcd")?).await?);
    Ok(rows)
}

async fn embedded(site: Site) -> Result<Vec<Row>> {
    network::enter()?;
    network::bridge::<&str>(&[]).await?;
    println!("three agents on the embedded store");
    let mut three = Three::up(&site, Engine::Embedded).await?;
    println!("an idle fleet is watched");
    let mut rows = vec![idle_row(&timing::idle(&three).await?)];
    three.apply(&format!("[fleetlock]\nlisten = \"0.0.0.0:{DOOR_PORT}\"\nids = [{GUEST:?}]\n")).await?;
    println!("leases are taken and given back");
    rows.insert(0, grant_row(&timing::grants(&three).await?));
    println!("the fleet is halted");
    rows.extend(halt_rows(&timing::halts(&three).await?));
    println!("the fleet is rolled");
    let rolled = roll::roll(&mut three).await?;
    std::fs::write(site.dir.join("audit.jsonl"), roll::chain(&three).await?).context("keeping the chain")?;
    rows.extend(roll_rows(&rolled));
    Ok(rows)
}

async fn etcd(site: Site) -> Result<Vec<Row>> {
    network::enter()?;
    network::bridge::<&str>(&[]).await?;
    println!("three agents on one member of etcd");
    let mut three = Three::up(&site, Engine::Etcd).await?;
    Ok(vec![fall_row(&timing::falls(&mut three).await?)])
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn grant_row(took: &Times) -> Row {
    let (p50, p99) = (took.permille(500), took.permille(990));
    Row {
        figure: "lease grant: a guest asks the leader (FleetLock) until it is told that its lease is committed",
        ours: format!("p50 {}, p99 {}, most {} of {}", ms(p50), ms(p99), ms(took.most()), took.count()),
        peer: "kured polls hourly, zincati every 5 min (published)".to_owned(),
        target: "p99 < 50 ms, pushed",
        reached: Some(p99 < Duration::from_millis(50)),
    }
}

fn halt_rows(halts: &Halts) -> Vec<Row> {
    let told = |times: &Times| format!("p50 {}, most {}", ms(times.permille(500)), ms(times.most()));
    vec![Row {
        figure: "halt: `hardstand halt` begun until every agent shows it",
        ours: format!("{} of {}; the command itself {}", told(&halts.seen), halts.seen.count(), told(&halts.command)),
        peer: String::new(),
        target: "",
        reached: None,
    }]
}

fn fall_row(took: &Times) -> Row {
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    Row {
        figure: "leader fail-over: its agent is killed until another leads (one etcd, three agents)",
        ours: format!("p50 {}, most {} of {}", seconds(took.permille(500)), seconds(took.most()), took.count()),
        peer: "Proxmox up to 120 s (published)".to_owned(),
        target: "< 10 s",
        reached: Some(took.most() < Duration::from_secs(10)),
    }
}

fn idle_row(idle: &Idle) -> Row {
    let kb = idle.per_hour(idle.bytes) / 1e3;
    let writes = idle.per_hour(idle.writes);
    Row {
        figure: "store traffic of an idle node, both ways, headers included",
        ours: format!(
            "{kb:.0} kB an hour; the fleet of three writes {writes:.0} times an hour (seen for {} s)",
            idle.watched.as_secs()
        ),
        peer: String::new(),
        target: "",
        reached: None,
    }
}

fn roll_rows(rolled: &Rolled) -> Vec<Row> {
    let each: Vec<String> = rolled.overheads.iter().map(|time| format!("{:.2}", time.as_secs_f64())).collect();
    let mean = rolled.mean();
    let worst = rolled.overheads.iter().max().copied().unwrap_or_default();
    let mb = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
    let memory: Vec<String> = rolled.memory.iter().map(|memory| mb(memory.highest)).collect();
    let anonymous: Vec<String> = rolled.memory.iter().map(|memory| mb(memory.anonymous)).collect();
    let most = rolled.memory.iter().map(|memory| memory.highest).max().unwrap_or_default();
    vec![
        Row {
            figure: "rollout overhead per node: all but the streak and the time down; nothing to drain or to install",
            ours: format!("mean {:.2} s; {} s, the store's host last", mean.as_secs_f64(), each.join(", ")),
            peer: "ProxPatch about 180 s of sleeps (published)".to_owned(),
            target: "<= 2 s",
            reached: Some(worst <= Duration::from_secs(2)),
        },
        Row {
            figure: "agent memory during that rollout (highest RSS of each agent)",
            ours: format!(
                "{} MB, the store's host last; of it heap and stacks {}",
                memory.join(", "),
                anonymous.join(", ")
            ),
            peer: String::new(),
            target: "<= 10 MB",
            reached: Some(most <= 10_000_000),
        },
    ]
}
