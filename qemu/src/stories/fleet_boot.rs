//! `fleet-boot`: three machines boot at once from one image and are well; one of them takes a whole upgrade from the
//! lab's repository, new kernel and new agent included, gives the service's address away, and reboots into that kernel.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::fleet::prober::Prober;
use crate::fleet::{Fleet, Topology};
use crate::scene::Scene;
use crate::stories::claims::COMMAND_LIMIT;
use crate::updates::{AGENT_TWO, Version};
use crate::wait::until;

/// Two passes of the agent and the first question of the clock, with three machines on two processors.
const WELL_LIMIT: Duration = Duration::from_secs(240);
/// apt reads its lists, unpacks a kernel and makes its initrd: 2 minutes alone, and the others take their share.
pub(super) const UPGRADE_LIMIT: Duration = Duration::from_secs(15 * 60);
/// apt as an operator would run it where nobody is asked.
pub(super) const UPGRADE: &str = "export DEBIAN_FRONTEND=noninteractive; apt-get -q update && \
                       apt-get -q -y -o Dpkg::Options::=--force-confold full-upgrade";

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let mut fleet = Fleet::boot(scene, Topology::three()).await?;
    for node in fleet.nodes() {
        well(&fleet, node.name()).await?;
    }
    scene.say("all three are well");
    ensure!(fleet.holder().await? == Some("node1"), "the first machine has the moving address");
    links_are_what_they_say(scene, &mut fleet).await?;

    let prober = Prober::start();
    fleet.repository.publish(Version::Two)?;
    let before = fleet.node("node1").ok("uname -r", COMMAND_LIMIT).await?;
    upgrade(scene, &fleet).await?;
    let give = "systemctl start lab-address-give.service";
    fleet.node("node1").ok(give, COMMAND_LIMIT).await.context("giving the address away")?;
    let holder = fleet.holder().await?.context("nobody has the moving address")?.to_owned();
    ensure!(holder != "node1", "node1 still has the moving address");
    scene.say(&format!("{holder} has the moving address now"));

    let node = fleet.node_mut("node1");
    node.reboot().await?;
    node.comes_up(scene).await?;
    let after = node.ok("uname -r", COMMAND_LIMIT).await?;
    ensure!(before != after, "node1 came back with its old kernel {}", before.trim());
    scene.say(&format!("node1 came back with kernel {}, was {}", after.trim(), before.trim()));
    let agent = node.ok("dpkg-query -W -f '${Version}' hardstand", COMMAND_LIMIT).await?;
    ensure!(agent == AGENT_TWO, "the agent's package is {agent}, not {AGENT_TWO}");
    let availability = prober.stop().await;
    scene.say(&format!("the service: {availability}"));
    ensure!(availability.asked > 0 && availability.answers.len() == 2, "both nodes must have answered: {availability}");
    fleet.end().await
}

/// Nothing that gates or is critical is found.
async fn well(fleet: &Fleet, name: &str) -> Result<()> {
    let guest = fleet.node(name).guest()?;
    let mut last = String::new();
    let what = format!("{name} to be well");
    let seen = until(&what, WELL_LIMIT, async || {
        let health = crate::health::Health::read(&guest.run("hardstand health --json", COMMAND_LIMIT).await?)?;
        last = health.complaints().join("; ");
        let ok = |check| health.worst(check, "").is_some_and(|finding| finding.severity == "ok");
        Ok((ok("clock.sync") && ok("systemd.state") && !last.contains("crit")).then_some(()))
    });
    seen.await.with_context(|| format!("the agent says: {last}"))?;
    let node = fleet.node(name).ok("uname -n", COMMAND_LIMIT).await?;
    ensure!(node.trim() == name, "{name} calls itself {}", node.trim());
    Ok(())
}

/// A link dropped one way carries nothing one way and something the other; a mended one carries both.
async fn links_are_what_they_say(scene: &Scene, fleet: &mut Fleet) -> Result<()> {
    ensure!(reaches(fleet, "node1", "nas").await?, "node1 does not reach nas before anything was cut");
    // An answer needs both directions, so either one that is dropped ends it; what is left shows in what arrives.
    fleet.links.drop_one_way("nas", "node1").await?;
    ensure!(!reaches(fleet, "node1", "nas").await?, "node1 reaches nas over a dropped link");
    ensure!(reaches(fleet, "node1", "node2").await?, "node1 does not reach node2, whose link is whole");
    fleet.links.mend().await?;
    fleet.links.partition(&["node1"]).await?;
    ensure!(!reaches(fleet, "node1", "node2").await?, "node1 reaches node2 across the partition");
    ensure!(reaches(fleet, "node2", "nas").await?, "node2 does not reach nas on its own side");
    fleet.links.mend().await?;
    fleet.links.cut("nas").await?;
    ensure!(!reaches(fleet, "node1", "nas").await?, "node1 reaches nas over a cut link");
    fleet.links.mend().await?;
    let (guest, limit) = (fleet.node("node1").guest()?, COMMAND_LIMIT);
    until("node1 to reach nas again", limit, async || {
        Ok((guest.run(&page_of("nas"), COMMAND_LIMIT).await?.status == 0).then_some(()))
    })
    .await?;
    scene.say("links were cut, dropped one way, and mended");
    Ok(())
}

async fn reaches(fleet: &Fleet, from: &str, to: &str) -> Result<bool> {
    Ok(fleet.node(from).run(&page_of(to), COMMAND_LIMIT).await?.status == 0)
}

fn page_of(node: &str) -> String {
    format!("busybox wget -q -T 4 -O /dev/null http://{node}/name")
}

async fn upgrade(scene: &Scene, fleet: &Fleet) -> Result<()> {
    scene.say("node1 upgrades");
    let mut upgrade = fleet.node("node1").follow(UPGRADE).await?;
    let step = |line: &&str| line.starts_with("Setting up ") || line.starts_with("update-initramfs: ");
    let said = upgrade.end(UPGRADE_LIMIT, |more| more.lines().filter(step).for_each(|line| scene.say(line)));
    let status = said.await?;
    ensure!(status == 0, "the upgrade ended with status {status}: {}", upgrade.text());
    let version = fleet.node("node1").ok("lab-tool", COMMAND_LIMIT).await?;
    ensure!(version.trim() == "lab-tool 2.0", "lab-tool is {}", version.trim());
    Ok(())
}
