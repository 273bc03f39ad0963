//! `ceph-live`: the agent beside a real Ceph cluster, which loses an OSD, a monitor and every answer, and gets all of it
//! back. No machine is booted: three monitors, two managers and three OSDs run on the loopback of a network namespace of
//! their own, and say of themselves that they are on three hosts, of which this is one.

mod cluster;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hardstand_exec::{Run, Started};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::guest::Said;
use crate::health::Health;
use crate::scene::Scene;
use crate::wait::until;
use cluster::{Cluster, OTHER, THIS};

/// One pass is due every two seconds; Ceph sees what is lost after some seconds of its own.
const SEEN_LIMIT: Duration = Duration::from_secs(90);
/// The first pass waits for the first answer of each collector.
const FIRST_LIMIT: Duration = Duration::from_secs(90);
const COMMAND_LIMIT: Duration = Duration::from_secs(20);
/// Two seconds between two questions, five to find a monitor, two between two passes; the rest is a busy machine.
const UNKNOWN_LIMIT: Duration = Duration::from_secs(20);
/// The page is made beforehand; on a busy machine it takes some milliseconds.
const PAGE_LIMIT: Duration = Duration::from_secs(1);
const PAGE: &str = "127.0.0.1:9787";

/// The agent in the foreground, and how an operator asks it.
struct Agent<'a> {
    scene: &'a Scene,
    _program: Started,
}

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let mut cluster = Cluster::up(&scene.dir).await?;
    scene.say("three monitors, two managers and three OSDs are up");
    let agent = Agent::start(scene, &cluster).await?;
    no_key(&agent, &cluster).await.context("without a key")?;
    well(&agent).await?;
    keep(&agent, &cluster, "well").await?;
    ensure!(agent.gate().await?.is_empty(), "the gate is shut by {:?}", agent.gate().await?);
    scene.say("nothing of Ceph is in the way");
    flag(&agent, &cluster).await.context("with noout set")?;
    osd(&agent, &mut cluster).await.context("with an OSD stopped")?;
    monitor(&agent, &mut cluster).await.context("with a monitor stopped")?;
    silence(&agent, &cluster).await.context("with all monitors stopped in their tracks")?;
    well(&agent).await
}

/// Everything that the agent has to say of a cluster that is whole.
async fn well(agent: &Agent<'_>) -> Result<()> {
    agent.finds(("ceph.expected", "ceph", "ok"), "1 cluster").await?;
    agent.finds(("ceph.osds", "all", "ok"), "3 of 3").await?;
    agent.finds(("ceph.pgs", "all", "ok"), "active and clean").await?;
    agent.finds(("ceph.mons", "quorum", "ok"), "3 of 3 in quorum, 1 may be lost").await?;
    // Debian's Ceph is born with this one, which takes nothing down.
    agent.finds(("ceph.check", "AUTH_INSECURE_GLOBAL_ID_RECLAIM_ALLOWED", "info"), "insecure").await?;
    agent.finds(("ceph.health", "cluster", "ok"), "HEALTH_WARN").await?;
    for (kind, daemon) in [("osd", "osd.0"), ("mon", "mon.a"), ("mgr", "mgr.x")] {
        agent.finds(("ceph.stop", kind, "ok"), daemon).await?;
    }
    agent.shows(r#"hardstand_ceph_ok_to_stop{daemon="osd.0"} 1"#).await?;
    agent.shows(r#"ceph_osd_up{ceph_daemon="osd.1"} 1"#).await
}

/// Nobody has made the key yet: the agent says how, word for word.
async fn no_key(agent: &Agent<'_>, cluster: &Cluster) -> Result<()> {
    let said =
        agent.finds(("collector", "ceph", "unknown"), "as Ceph's administrator: ceph auth get-or-create").await?;
    let command = said.split_once("as Ceph's administrator: ceph ").and_then(|(_, rest)| rest.split_once(" && "));
    let (command, _) = command.with_context(|| format!("finding the command in {said}"))?;
    cluster.shell(&format!("{} {command}", cluster.ceph())).await?;
    agent.scene.say("the key is made as the agent says");
    Ok(())
}

/// A flag that somebody else has set, for the cluster and for one OSD.
async fn flag(agent: &Agent<'_>, cluster: &Cluster) -> Result<()> {
    cluster.tell("osd set noout").await?;
    agent.finds(("ceph.flags", "OSDMAP_FLAGS", "warn"), "noout flag(s) set").await?;
    agent.blocked("ceph.flags OSDMAP_FLAGS").await?;
    keep(agent, cluster, "noout").await?;
    cluster.tell("osd unset noout").await?;
    cluster.tell("osd set-group noout osd.1").await?;
    agent.finds(("ceph.flags", "OSD_FLAGS", "warn"), "osd.1 has flags noout").await?;
    keep(agent, cluster, "noout-osd").await?;
    cluster.tell("osd unset-group noout osd.1").await?;
    well(agent).await
}

/// One of three copies is away: the cluster works, and the OSD of this host must stay.
async fn osd(agent: &Agent<'_>, cluster: &mut Cluster) -> Result<()> {
    cluster.stop("osd.1", Signal::SIGTERM).await?;
    agent.scene.say("osd.1 is stopped");
    agent.finds(("ceph.osds", "all", "crit"), "down: osd.1").await?;
    agent.finds(("ceph.check", "OSD_DOWN", "warn"), "osd.1").await?;
    agent.finds(("ceph.pgs", "all", "warn"), "active+undersized+degraded").await?;
    agent.finds(("ceph.stop", "osd", "crit"), "osd.0: ").await?;
    agent.blocked("ceph.stop osd: osd: osd.0").await?;
    agent.shows(r#"hardstand_ceph_ok_to_stop{daemon="osd.0"} 0"#).await?;
    agent.shows(r#"ceph_osd_up{ceph_daemon="osd.1"} 0"#).await?;
    keep(agent, cluster, "osd-down").await?;
    cluster.start("osd.1", OTHER)?;
    agent.scene.say("osd.1 is started");
    well(agent).await
}

/// Two of three monitors are left: neither may go.
async fn monitor(agent: &Agent<'_>, cluster: &mut Cluster) -> Result<()> {
    cluster.stop("mon.c", Signal::SIGKILL).await?;
    agent.scene.say("mon.c is killed");
    agent.finds(("ceph.mons", "quorum", "crit"), "2 of 3 monitors are in quorum, 0 more may be lost").await?;
    agent.finds(("ceph.stop", "mon", "crit"), "not enough monitors would be available (b)").await?;
    agent.blocked("ceph.stop mon: mon: mon.a").await?;
    keep(agent, cluster, "mon-down").await?;
    cluster.start("mon.c", OTHER)?;
    agent.scene.say("mon.c is started");
    well(agent).await
}

/// Nobody answers any more, and nobody says so either.
async fn silence(agent: &Agent<'_>, cluster: &Cluster) -> Result<()> {
    cluster.signal_monitors(Signal::SIGSTOP)?;
    let since = Instant::now();
    let mut slowest = Duration::ZERO;
    until("the agent to know nothing of Ceph", UNKNOWN_LIMIT, async || {
        let asked = Instant::now();
        agent.page().await?;
        slowest = slowest.max(asked.elapsed());
        let health = agent.health().await?;
        let found = health.worst("collector", "ceph").filter(|found| found.severity == "unknown");
        Ok(found.map(|found| found.evidence.clone()))
    })
    .await?;
    let took = since.elapsed().as_secs_f64();
    ensure!(slowest < PAGE_LIMIT, "the page took {} s meanwhile", slowest.as_secs_f64());
    let slowest = slowest.as_secs_f64() * 1e3;
    agent
        .scene
        .say(&format!("no monitor answers: unknown after {took:.1} s, the page within {slowest:.0} ms meanwhile"));
    agent.blocked("collector ceph").await?;
    agent.shows(r#"hardstand_ceph_ok_to_stop{daemon="osd.0"} 0"#).await?;
    cluster.signal_monitors(Signal::SIGCONT)?;
    agent.scene.say("the monitors go on");
    Ok(())
}

/// Keeps what Ceph's own tool prints: our parsers' fixtures come from there.
async fn keep(agent: &Agent<'_>, cluster: &Cluster, state: &str) -> Result<()> {
    for (kind, question) in [
        ("status.json", "status"),
        ("health.json", "health detail"),
        ("nodes.json", "node ls"),
        ("tree.json", "osd tree"),
        ("osd-stop.txt", "osd ok-to-stop 0"),
        ("mon-stop.txt", "mon ok-to-stop a"),
    ] {
        let printed = cluster.ask(question).await.with_context(|| format!("keeping {question}"))?;
        let file = format!("{state}-{kind}");
        std::fs::write(agent.scene.dir.join(&file), printed).with_context(|| format!("keeping {file}"))?;
    }
    Ok(())
}

impl<'a> Agent<'a> {
    async fn start(scene: &'a Scene, cluster: &Cluster) -> Result<Self> {
        let config = scene.dir.join("agent.toml");
        let text = format!(
            "[node]\nname = \"{THIS}\"\nexpect = [\"ceph\"]\n[probe]\ninterval_secs = 2\ndeadline_secs = 2\n\
             [metrics]\nlisten = \"{PAGE}\"\n[ceph]\nconf = {:?}\nkeyring = {:?}\ninterval_secs = 2\n",
            cluster.conf(),
            scene.dir.join("hardstand.keyring"),
        );
        std::fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        let log = std::fs::File::create(scene.dir.join("agent.log")).context("creating agent.log")?;
        let run = Run::new(&scene.program, Duration::ZERO).arg("agent").arg("--config").arg(config);
        let run = run.arg("--socket").arg(scene.dir.join("agent.sock")).arg("--state").arg(scene.dir.join("state"));
        let mut program = run.start(log)?;
        until("the agent to serve its page", FIRST_LIMIT, async || {
            let ended = program.ended()?;
            ensure!(ended.is_none(), "the agent ended with {ended:?}; see agent.log");
            Ok(page().await.ok())
        })
        .await?;
        Ok(Self { scene, _program: program })
    }

    async fn said(&self, words: &[&str]) -> Result<Said> {
        let run = Run::new(&self.scene.program, COMMAND_LIMIT).args(words);
        let finished = run.arg("--socket").arg(self.scene.dir.join("agent.sock")).output().await?;
        let stdout = String::from_utf8_lossy(&finished.stdout).into_owned();
        Ok(Said { status: finished.code.unwrap_or(-1), stdout, stderr: finished.stderr })
    }

    async fn health(&self) -> Result<Health> {
        Health::read(&self.said(&["health", "--json", "--all"]).await?)
    }

    async fn page(&self) -> Result<String> {
        page().await
    }

    /// The agent finds of a subject what it should, with these words in its evidence, once it has looked again.
    async fn finds(&self, (check, subject, severity): (&str, &str, &str), words: &str) -> Result<String> {
        let what = format!("the agent to find {check} of {subject} {severity}, {words}");
        let mut last = None;
        let evidence = until(&what, SEEN_LIMIT, async || {
            let health = self.health().await?;
            let found = health.worst(check, subject);
            last = found.map(|found| format!("{} {}", found.severity, found.evidence));
            let fits = found.filter(|found| found.severity == severity && found.evidence.contains(words));
            Ok(fits.map(|found| found.evidence.clone()))
        });
        let evidence = evidence.await.with_context(|| format!("it said last: {last:?}"))?;
        self.scene.say(&format!("the agent says: {check} of {subject} is {severity}, {evidence}"));
        Ok(evidence)
    }

    /// What of Ceph is in the way of taking the node down. The rest is of the machine the lab runs on.
    async fn gate(&self) -> Result<Vec<String>> {
        let said = self.said(&["gate", "--here"]).await?.stdout;
        let lines = said.lines().map(str::trim);
        Ok(lines
            .filter(|line| line.starts_with("ceph.") || line.starts_with("collector ceph"))
            .map(str::to_owned)
            .collect())
    }

    async fn blocked(&self, by: &str) -> Result<()> {
        let gate = self.gate().await?;
        let line = gate.iter().find(|line| line.starts_with(by));
        let line = line.with_context(|| format!("finding {by} in what the gate says: {gate:?}"))?;
        self.scene.say(&format!("the gate says: {line}"));
        Ok(())
    }

    async fn shows(&self, line: &str) -> Result<()> {
        let what = format!("the page to show {line}");
        until(&what, SEEN_LIMIT, async || Ok(self.page().await?.lines().any(|one| one == line).then_some(()))).await
    }
}

async fn page() -> Result<String> {
    let whole = async {
        let mut stream = TcpStream::connect(PAGE).await?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await.map(|_| page)
    };
    let page = tokio::time::timeout(COMMAND_LIMIT, whole).await.context("waiting for the page")?;
    let page = page.context("asking for the page")?;
    ensure!(page.starts_with("HTTP/1") && page.contains(" 200 "), "the page is {page}");
    Ok(page)
}
