//! Three nodes as one fleet, with a person who works on it: the store on the last of them, or one member of etcd beside it.
//!
//! It must never hand a node what a person would not.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hardstand_exec::{Run, Started};
use serde::Deserialize;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::read;
use super::rooms::{Room, Site};
use crate::fleet::Topology;
use crate::fleet::operator::Operator;
use crate::fleet::trust::{Engine, Trust, store_settings};
use crate::wait::until;

/// How long gates must hold in the bench's rollouts.
pub(super) const STREAK: Duration = Duration::from_secs(5);
/// Where the leader hears guests.
pub(super) const DOOR_PORT: u16 = 9786;
/// The guest that asks.
pub(super) const GUEST: &str = "guest";
/// The group of all.
pub(super) const GROUP: &str = "all";
/// Agents find the store and say what they have; a loaded machine takes a while.
const TOLD_LIMIT: Duration = Duration::from_secs(60);

/// The fleet. It ends with the value.
pub(super) struct Three {
    /// node1, node2, and nas, which hosts the store.
    pub(super) rooms: Vec<Room>,
    pub(super) operator: Operator,
    /// Who was ordered to reboot.
    pub(super) reboots: UnboundedReceiver<usize>,
    _etcd: Option<Started>,
}

/// What `store show --json` says, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    pub(super) revision: u64,
    nodes_alive: usize,
    nodes_reporting: usize,
}

#[derive(Debug, Deserialize)]
struct NodeShown {
    report: Report,
}

#[derive(Debug, Deserialize)]
struct Report {
    findings: Vec<Brief>,
}

#[derive(Debug, Deserialize)]
struct Brief {
    check: String,
    #[serde(default)]
    blocks: bool,
}

impl Three {
    /// Makes the rooms, the certificates and the store, starts the agents, and waits until each has reported.
    pub(super) async fn up(site: &Site, engine: Engine) -> Result<Self> {
        let (dir, program) = (&site.dir, &site.program);
        let mut topology = Topology::three();
        let trust = Trust::make(program, dir.join("trust")).await?;
        trust.enlist(&mut topology, engine).await?;
        let operator = Operator::new("anna", &trust, &topology, engine, program).await?;
        let (tell, reboots) = unbounded_channel();
        let mut rooms = Vec::new();
        for (number, seed) in topology.seeds.iter().enumerate() {
            let own = |below: &str| dir.join(below).join(&seed.name);
            let mut settings = store_settings(engine, seed, &topology.seeds);
            settings += &format!("credentials = \"{}\"\n", own("trust").display());
            if engine == Engine::Embedded && number + 1 == topology.seeds.len() {
                settings += &format!("file = \"{}\"\n", dir.join(&seed.name).join("store.redb").display());
            }
            rooms.push(Room::make(site, seed.clone(), number, &settings, tell.clone()).await?);
        }
        let etcd = (engine == Engine::Etcd).then(|| etcd(dir, &rooms)).transpose()?;
        let mut three = Self { rooms, operator, reboots, _etcd: etcd };
        three.found(engine).await?;
        Ok(three)
    }

    async fn found(&mut self, engine: Engine) -> Result<()> {
        if engine == Engine::Embedded {
            let host = self.rooms.last().context("a fleet has nodes")?;
            host.command(&["store", "init"])?.success().await.context("making the store")?;
        } else {
            let mut last = String::new();
            let made = until("etcd to take the store", TOLD_LIMIT, async || {
                let said = self.operator.run(&["store", "init"]).await?;
                last = said.stderr;
                Ok((said.code == Some(0)).then_some(()))
            });
            made.await.with_context(|| last.clone())?;
        }
        for room in self.rooms.iter_mut().rev() {
            room.start()?;
            room.serves().await?;
        }
        self.all_report().await?;
        self.apply("").await
    }

    /// Waits until every node is alive and has reported.
    pub(super) async fn all_report(&self) -> Result<()> {
        let count = self.rooms.len();
        until("every node to report", TOLD_LIMIT, async || {
            let shown = self.shown().await;
            Ok(shown.is_ok_and(|shown| shown.nodes_alive == count && shown.nodes_reporting == count).then_some(()))
        })
        .await
    }

    /// What the store holds.
    pub(super) async fn shown(&self) -> Result<Shown> {
        let said = self.operator.ok(&["store", "show", "--json"]).await?;
        serde_json::from_str(&said).with_context(|| format!("reading {said}"))
    }

    /// Applies the policy with `more` at its end. What blocks on the machine the bench runs on is tolerated by name.
    pub(super) async fn apply(&self, more: &str) -> Result<()> {
        let mut tolerated = BTreeSet::new();
        for room in &self.rooms {
            let said = self.operator.ok(&["node", "show", &room.seed.name, "--json"]).await?;
            let shown: NodeShown = serde_json::from_str(&said).with_context(|| format!("reading {said}"))?;
            let blocking = shown.report.findings.into_iter().filter(|finding| finding.blocks);
            tolerated.extend(blocking.map(|finding| format!("{:?}", finding.check)));
        }
        let names: Vec<String> = self.rooms.iter().map(|room| format!("{:?}", room.seed.name)).collect();
        let host = names.last().context("a fleet has nodes")?;
        let tolerated: Vec<String> = tolerated.into_iter().collect();
        let policy = format!(
            "[fleet]\nname = \"bench\"\n[[group]]\nname = \"{GROUP}\"\nnodes = [{}]\nstore_hosts = [{host}]\n\
             [gates]\nstreak = \"{}s\"\ntolerate = [{}]\n{more}",
            names.join(", "),
            STREAK.as_secs(),
            tolerated.join(", ")
        );
        let file = self.operator.file("fleet.toml", &policy)?;
        self.operator.ok(&["fleet", "apply", &file]).await?;
        Ok(())
    }

    /// Which room leads.
    pub(super) async fn leader(&self) -> Result<usize> {
        until("a node to lead", TOLD_LIMIT, async || {
            for (number, room) in self.rooms.iter().enumerate() {
                let page = room.page().await.unwrap_or_default();
                if read::sample(&page, "hardstand_leader") == Some(1.0) {
                    return Ok(Some(number));
                }
            }
            Ok(None)
        })
        .await
    }
}

/// One member beside the last node, with its certificate.
fn etcd(dir: &Path, rooms: &[Room]) -> Result<Started> {
    let host = rooms.last().context("a fleet has nodes")?;
    let (address, name) = (host.seed.address(), &host.seed.name);
    let file = |name: &str| dir.join("trust").join(&host.seed.name).join(name).display().to_string();
    let program = etcd_bin_vendored::etcd_bin_path().context("finding etcd")?;
    ensure!(program.is_file(), "{} is missing", program.display());
    let log = std::fs::File::create(dir.join("etcd.log")).context("making a log")?;
    let run: Run = host.inside(Duration::ZERO, program)?.args([
        format!("--name={name}"),
        format!("--data-dir={}", dir.join("etcd").display()),
        format!("--listen-client-urls=https://{address}:2379"),
        format!("--advertise-client-urls=https://{address}:2379"),
        format!("--listen-peer-urls=http://{address}:2380"),
        format!("--initial-advertise-peer-urls=http://{address}:2380"),
        format!("--initial-cluster={name}=http://{address}:2380"),
        "--client-cert-auth".to_owned(),
        format!("--trusted-ca-file={}", file("ca.crt")),
        format!("--cert-file={}", file(&format!("node-{name}.crt"))),
        format!("--key-file={}", file(&format!("node-{name}.key"))),
        "--log-level=warn".to_owned(),
    ]);
    Ok(run.start(log)?)
}
