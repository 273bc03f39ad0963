//! `ceph-live`: the agent beside a real Ceph cluster, which loses an OSD, a monitor and every answer, and gets all of it
//! back. No machine is booted: three monitors, two managers and three OSDs run on the loopback of a network namespace of
//! their own, and say of themselves that they are on three hosts, of which this is one.

mod cluster;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use crate::agent_here::{AgentHere, Ours};
use crate::scene::Scene;
use crate::stories::ceph::READER;
use cluster::{Cluster, OTHER, THIS};

/// Ceph is asked every two seconds, and sees what is lost after some seconds of its own.
const OURS: Ours = Ours { group: "ceph", collector: "ceph", seen_limit: Duration::from_secs(90) };
/// Two seconds between two questions, five to find a monitor, one between two passes; the rest is a busy machine.
const UNKNOWN_LIMIT: Duration = Duration::from_secs(20);

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let mut cluster = Cluster::up(&scene.dir).await?;
    scene.say("three monitors, two managers and three OSDs are up");
    let own = format!("[node]\nname = \"{THIS}\"\nexpect = [\"ceph\"]\n");
    let sections = format!("{own}{}interval_secs = 2\n", section(&cluster, &scene.dir));
    let agent = AgentHere::start(scene, &sections, OURS).await?;
    no_key(&agent, &cluster).await.context("without a key")?;
    well(&agent).await?;
    keep(&agent, &cluster, "well").await?;
    agent.is_free().await?;
    scene.say("nothing of Ceph is in the way");
    flag(&agent, &cluster).await.context("with noout set")?;
    osd(&agent, &mut cluster).await.context("with an OSD stopped")?;
    monitor(&agent, &mut cluster).await.context("with a monitor stopped")?;
    silence(&agent, &cluster).await.context("with all monitors stopped in their tracks")?;
    well(&agent).await
}

fn section(cluster: &Cluster, dir: &Path) -> String {
    format!("[ceph]\nconf = {:?}\nkeyring = {:?}\n", cluster.conf(), dir.join("hardstand.keyring"))
}

/// A cluster for somebody else, below `dir`, and the section of a configuration that has it asked.
pub(crate) async fn beside(dir: &Path) -> Result<(Cluster, String)> {
    let cluster = Cluster::up(dir).await?;
    let keyring = dir.join("hardstand.keyring");
    cluster.tell(&format!("auth get-or-create client.hardstand {READER} -o {}", keyring.display())).await?;
    let section = section(&cluster, dir);
    Ok((cluster, section))
}

/// Everything that the agent has to say of a cluster that is whole.
async fn well(agent: &AgentHere<'_>) -> Result<()> {
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
async fn no_key(agent: &AgentHere<'_>, cluster: &Cluster) -> Result<()> {
    let said = agent.sees(("collector", "ceph", "unknown"), "as Ceph's administrator: ceph auth get-or-create").await?;
    let command = said.split_once("as Ceph's administrator: ceph ").and_then(|(_, rest)| rest.split_once(" && "));
    let (command, _) = command.with_context(|| format!("finding the command in {said}"))?;
    cluster.shell(&format!("{} {command}", cluster.ceph())).await?;
    agent.scene.say("the key is made as the agent says");
    Ok(())
}

/// A flag that somebody else has set, for the cluster and for one OSD.
async fn flag(agent: &AgentHere<'_>, cluster: &Cluster) -> Result<()> {
    cluster.tell("osd set noout").await?;
    agent.finds(("ceph.flags", "OSDMAP_FLAGS", "warn"), "noout flag(s) set").await?;
    agent.is_also_blocked_by("ceph.flags OSDMAP_FLAGS").await?;
    keep(agent, cluster, "noout").await?;
    cluster.tell("osd unset noout").await?;
    cluster.tell("osd set-group noout osd.1").await?;
    agent.finds(("ceph.flags", "OSD_FLAGS", "warn"), "osd.1 has flags noout").await?;
    keep(agent, cluster, "noout-osd").await?;
    cluster.tell("osd unset-group noout osd.1").await?;
    well(agent).await
}

/// One of three copies is away: the cluster works, and the OSD of this host must stay.
async fn osd(agent: &AgentHere<'_>, cluster: &mut Cluster) -> Result<()> {
    cluster.stop("osd.1", Signal::SIGTERM).await?;
    agent.scene.say("osd.1 is stopped");
    agent.finds(("ceph.osds", "all", "crit"), "down: osd.1").await?;
    agent.finds(("ceph.check", "OSD_DOWN", "warn"), "osd.1").await?;
    agent.finds(("ceph.pgs", "all", "warn"), "active+undersized+degraded").await?;
    agent.finds(("ceph.stop", "osd", "crit"), "osd.0: ").await?;
    agent.is_also_blocked_by("ceph.stop osd: osd: osd.0").await?;
    agent.shows(r#"hardstand_ceph_ok_to_stop{daemon="osd.0"} 0"#).await?;
    agent.shows(r#"ceph_osd_up{ceph_daemon="osd.1"} 0"#).await?;
    keep(agent, cluster, "osd-down").await?;
    cluster.start("osd.1", OTHER)?;
    agent.scene.say("osd.1 is started");
    well(agent).await
}

/// Two of three monitors are left: neither may go.
async fn monitor(agent: &AgentHere<'_>, cluster: &mut Cluster) -> Result<()> {
    cluster.stop("mon.c", Signal::SIGKILL).await?;
    agent.scene.say("mon.c is killed");
    agent.finds(("ceph.mons", "quorum", "crit"), "2 of 3 monitors are in quorum, 0 more may be lost").await?;
    agent.finds(("ceph.stop", "mon", "crit"), "not enough monitors would be available (b)").await?;
    agent.is_also_blocked_by("ceph.stop mon: mon: mon.a").await?;
    keep(agent, cluster, "mon-down").await?;
    cluster.start("mon.c", OTHER)?;
    agent.scene.say("mon.c is started");
    well(agent).await
}

/// Nobody answers any more, and nobody says so either.
async fn silence(agent: &AgentHere<'_>, cluster: &Cluster) -> Result<()> {
    cluster.signal_monitors(Signal::SIGSTOP)?;
    agent.knows_nothing(UNKNOWN_LIMIT, "ceph").await?;
    agent.shows(r#"hardstand_ceph_ok_to_stop{daemon="osd.0"} 0"#).await?;
    cluster.signal_monitors(Signal::SIGCONT)?;
    agent.scene.say("the monitors go on");
    Ok(())
}

/// Keeps what Ceph's own tool prints: our parsers' fixtures come from there.
async fn keep(agent: &AgentHere<'_>, cluster: &Cluster, state: &str) -> Result<()> {
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
