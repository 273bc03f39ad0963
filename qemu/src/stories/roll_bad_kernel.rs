//! `roll-bad-kernel`: an update whose kernel installs without a word and never finds its root. The boot loader goes back to
//! the kernel before it, the node sees that it does not run what was planned, halts and holds; the others stay as they
//! are. A person ends the rollout and takes the kernel away; the node proves itself with what it runs.

use anyhow::{Result, ensure};

use crate::fleet::prober::Prober;
use crate::fleet::trust::Engine;
use crate::scene::Scene;
use crate::stories::claims::COMMAND_LIMIT;
use crate::stories::fleet_boot::UPGRADE_LIMIT;
use crate::stories::roll_bad_update::{halts_at_node1, mended};
use crate::stories::rolling::up;
use crate::updates::{DEAD_KERNEL, Version};

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let (fleet, operator) = up(scene, Engine::Embedded).await?;
    let node = fleet.node("node1");
    let before = node.ok("uname -r; cat /proc/sys/kernel/random/boot_id", COMMAND_LIMIT).await?;
    let prober = Prober::start();
    fleet.repository.publish(Version::KernelDoesNotBoot)?;
    halts_at_node1(scene, &fleet, &operator, "dead-kernel", "it came back with kernel").await?;
    let after = node.ok("uname -r; cat /proc/sys/kernel/random/boot_id", COMMAND_LIMIT).await?;
    let (kernel, boot) = before.split_once('\n').unwrap_or_default();
    ensure!(after.starts_with(kernel) && !after.contains(boot), "node1 was {before}and is {after}");
    scene.say(&format!("node1 came back with the kernel it had, {kernel}"));
    for other in ["node2", "nas"] {
        let looks = format!("test ! -e /boot/vmlinuz-{DEAD_KERNEL}");
        fleet.node(other).ok(&looks, COMMAND_LIMIT).await?;
    }

    // As an operator would, who has read on the console that it finds no root.
    let purge = format!(
        "export DEBIAN_FRONTEND=noninteractive; update-initramfs -d -k {DEAD_KERNEL} && \
         apt-get -q -y purge linux-image-{DEAD_KERNEL} linux-image-cloud-amd64 && \
         /usr/lib/hardstand/boot-entry remove {DEAD_KERNEL}"
    );
    let mut purged = node.follow(&purge).await?;
    let status = purged.end(UPGRADE_LIMIT, |_| {}).await?;
    ensure!(status == 0, "taking the kernel away ended with {status}: {}", purged.text());
    mended(scene, &fleet, &operator, "true").await?;
    let availability = prober.stop().await;
    scene.say(&format!("the service: {availability}"));
    ensure!(availability.asked > 0 && availability.percent() > 99.0, "the service was away: {availability}");
    scene.say(operator.ok(&["audit", "verify"]).await?.trim());
    fleet.end().await
}
