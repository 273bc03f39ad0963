//! `reboot-kinds`: restarts that are less than a full one, where a node declares them. A soft reboot keeps the kernel and
//! its boot id; kexec starts the kernel anew without the firmware. Each is a rollout of one node, proved like any other.

use anyhow::{Context as _, Result, ensure};

use crate::fleet::Fleet;
use crate::fleet::operator::Operator;
use crate::fleet::trust::Engine;
use crate::scene::Scene;
use crate::stories::claims::COMMAND_LIMIT;
use crate::stories::fleet_boot::UPGRADE_LIMIT;
use crate::stories::rolling::{finishes, start, up};

/// What both nodes declare.
const DECLARE: &str = "printf '[patch]\\nsoft_reboot = true\\nkexec = true\\n' >/etc/hardstand/agent.toml.d/80-patch.toml && \
                       systemctl reload hardstand-agent";
/// The image boots as one file; kexec needs the kernel's own initrd, as every node has after its first update.
const INITRD: &str = "update-initramfs -c -k $(uname -r)";
/// What a UEFI says when it starts something.
const FIRMWARE: &str = "BdsDxe: starting";

/// One boot of a node.
#[derive(Debug, PartialEq, Eq)]
struct Boot {
    id: String,
    kernel: String,
    soft_reboots: String,
    /// How often its console has seen the firmware.
    firmware: usize,
}

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let (fleet, operator) = up(scene, Engine::Embedded).await?;
    for name in ["node1", "node2"] {
        fleet.node(name).ok(DECLARE, COMMAND_LIMIT).await?;
    }
    let before = boot(scene, &fleet, "node1").await?;
    restart(scene, &fleet, &operator, "node1", "soft").await?;
    let after = boot(scene, &fleet, "node1").await?;
    ensure!(after == Boot { soft_reboots: "1".to_owned(), ..before }, "after the soft reboot: {after:?}");
    scene.say("a soft reboot: user space is new, kernel and boot id are the same");

    let mut made = fleet.node("node2").follow(INITRD).await?;
    let status = made.end(UPGRADE_LIMIT, |_| {}).await?;
    ensure!(status == 0, "making the initrd ended with {status}: {}", made.text());
    let before = boot(scene, &fleet, "node2").await?;
    restart(scene, &fleet, &operator, "node2", "kexec").await?;
    let after = boot(scene, &fleet, "node2").await?;
    ensure!(after.id != before.id && after.kernel == before.kernel, "after kexec: {after:?}, before: {before:?}");
    ensure!(after.firmware == before.firmware, "the firmware ran again: {after:?}, before: {before:?}");
    scene.say("kexec: another boot of the same kernel, without the firmware");
    scene.say(operator.ok(&["audit", "verify"]).await?.trim());
    fleet.end().await
}

async fn restart(scene: &Scene, fleet: &Fleet, operator: &Operator, node: &str, kind: &str) -> Result<()> {
    start(scene, operator, kind, &["--node", node, "--reboot", kind, "--no-packages", "--reason", "to see it"]).await?;
    finishes(scene, fleet, operator, kind).await
}

async fn boot(scene: &Scene, fleet: &Fleet, name: &str) -> Result<Boot> {
    let ask = "cat /proc/sys/kernel/random/boot_id; uname -r; systemctl show -P SoftRebootsCount";
    let said = fleet.node(name).ok(ask, COMMAND_LIMIT).await?;
    let mut lines = said.lines().map(str::to_owned);
    let mut line = || lines.next().with_context(|| format!("{name} says {said:?}"));
    let console = scene.dir.join(format!("{name}.1.console.log"));
    let text = std::fs::read(&console).with_context(|| format!("reading {}", console.display()))?;
    let firmware = String::from_utf8_lossy(&text).matches(FIRMWARE).count();
    ensure!(firmware > 0, "the console of {name} does not show its firmware");
    Ok(Boot { id: line()?, kernel: line()?, soft_reboots: line()?, firmware })
}
