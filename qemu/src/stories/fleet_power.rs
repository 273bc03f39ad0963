//! `fleet-power`: of three machines one loses its power on a disk that forgets what was not flushed, another on one that
//! does not. Both come back with what they had promised to keep, and the third has been there all the time. etcd,
//! which had a member on each, is healthy again. Then the bad packages of the repository show that they are bad.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::fleet::prober::Prober;
use crate::fleet::{Fleet, SeedFile, Topology};
use crate::guest::Said;
use crate::scene::Scene;
use crate::stories::claims::COMMAND_LIMIT;
use crate::stories::fleet_boot::{UPGRADE, UPGRADE_LIMIT};
use crate::updates::Version;

/// One file is promised, one is only in the guest's memory. ext4 writes back what is older than 5 s, so no time may pass.
const WRITE: &str = "echo kept >/root/promised; sync -f /root/promised; echo lost >/root/unpromised";

/// An election takes seconds; members that start under emulation take a minute.
const ETCD_LIMIT: Duration = Duration::from_secs(240);

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let note = SeedFile { mode: "0600", ..SeedFile::plain("/etc/hardstand-lab/note", "of the first boot\n") };
    let topology = Topology::three().etcd().strict("node2").file("node2", note);
    let mut fleet = Fleet::boot(scene, topology).await?;
    etcd_is_healthy(&fleet).await?;
    scene.say("etcd has a leader and takes writes");
    let prober = Prober::start();
    for name in ["node2", "nas"] {
        let node = fleet.node_mut(name);
        node.ok(WRITE, COMMAND_LIMIT).await?;
        node.cut_power().await?;
        scene.say(&format!("{name} has lost its power"));
    }
    for name in ["node2", "nas"] {
        fleet.node_mut(name).power_on(scene).await?;
    }
    for name in ["node2", "nas"] {
        let node = fleet.node_mut(name);
        node.comes_up(scene).await?;
        ensure!(node.ok("cat /root/promised", COMMAND_LIMIT).await? == "kept\n", "{name} lost what it had flushed");
        ensure!(
            node.run("cat /root/unpromised", COMMAND_LIMIT).await?.status != 0,
            "{name} kept what was in memory only"
        );
    }
    let note = fleet.node("node2").ok("stat -c %a /etc/hardstand-lab/note; cat /etc/hardstand-lab/note", COMMAND_LIMIT);
    ensure!(note.await? == "600\nof the first boot\n", "node2 has another note than it was given");
    scene.say("both came back with what was flushed and nothing else");
    etcd_is_healthy(&fleet).await?;
    scene.say("etcd, which had lost two of its three members, is healthy again");
    let availability = prober.stop().await;
    scene.say(&format!("the service, on the node that was not cut: {availability}"));
    ensure!(availability.failures.is_empty(), "node1 did not answer all the time: {availability}");
    fleet.node_mut("node2").power_off().await?;
    bad_versions_are_bad(scene, &fleet).await?;
    fleet.end().await
}

/// Every member says so; it asks the whole cluster before it does.
async fn etcd_is_healthy(fleet: &Fleet) -> Result<()> {
    for node in fleet.nodes() {
        let what = format!("the etcd member on {} to be healthy", node.name());
        let ask = "busybox wget -q -T 10 -O - http://127.0.0.1:2379/health || systemctl status --no-pager etcd >&2";
        let healthy = |said: &Said| said.stdout.contains("\"health\":\"true\"").then_some(());
        node.guest()?.until(&what, ETCD_LIMIT, ask, healthy).await?;
    }
    Ok(())
}

/// What the repository holds for updates that go wrong does go wrong, each in its own way.
async fn bad_versions_are_bad(scene: &Scene, fleet: &Fleet) -> Result<()> {
    let nas = fleet.node("nas");
    fleet.repository.publish(Version::FailsToInstall)?;
    let said = nas.run(UPGRADE, UPGRADE_LIMIT).await?;
    ensure!(said.status == 100, "the package that fails to install ended with {}: {}", said.status, said.stdout);
    let state = nas.ok("dpkg-query -W -f '${Status}' lab-tool", COMMAND_LIMIT).await?;
    ensure!(state == "install ok half-configured", "lab-tool is {state}");
    scene.say("a package failed to install");

    fleet.repository.publish(Version::ServiceStaysDown)?;
    nas.run(UPGRADE, UPGRADE_LIMIT).await?;
    let down = |said: &Said| (said.stdout.trim() == "failed").then_some(());
    let state = "systemctl is-active lab-service.service";
    nas.guest()?.until("the service that stays down to be down", COMMAND_LIMIT, state, down).await?;
    scene.say("a service stays down after its upgrade");
    Ok(())
}
