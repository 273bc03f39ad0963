//! From power-on to READY, beside the same image that starts no agent.

use std::time::Duration;

use anyhow::Result;

use super::Row;
use crate::args::{Bus, Credential, Rom};
use crate::scene::{BOOT_LIMIT, Scene, nic};

/// Keeps the agent from starting without changing the image.
const NO_AGENT: &str = "[Unit]\nConditionPathExists=/nonexistent\n";
/// Boots of each kind; the best of them is taken, for the machine is shared.
const BOOTS: usize = 2;

/// Boots the installed system with and without its agent.
pub(super) async fn measure(scene: &Scene) -> Result<Vec<Row>> {
    let (mut with, mut without) = (Duration::MAX, Duration::MAX);
    for _ in 0..BOOTS {
        without = without.min(boot(scene, false).await?);
        with = with.min(boot(scene, true).await?);
    }
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    Ok(vec![Row {
        figure: "power-on to agent READY (installed system)",
        ours: format!("{:.1} s", with.as_secs_f64()),
        peer: format!("same image without agent {:.1} s, ratio {ratio:.2}", without.as_secs_f64()),
        target: "ratio <= 1.15",
        reached: Some(ratio <= 1.15),
    }])
}

async fn boot(scene: &Scene, agent: bool) -> Result<Duration> {
    let mut machine = scene.machine(if agent { "with-agent" } else { "without-agent" }, scene.uefi()?);
    machine.disks = vec![scene.system_disk("lab-node", Bus::Virtio).await?];
    machine.nics = vec![nic(Rom::Empty, None)];
    if !agent {
        machine.credentials.push(Credential {
            name: "systemd.unit-dropin.hardstand-agent.service~lab".to_owned(),
            text: NO_AGENT.to_owned(),
        });
    }
    let mut running = scene.power_on(machine).await?;
    running.guest_answers(BOOT_LIMIT).await?;
    // The target waits for a READY of every unit it wants.
    let command = "systemctl is-active multi-user.target; systemctl is-active hardstand-agent";
    let expected = if agent { "active\nactive" } else { "active\ninactive" };
    let guest = running.guest();
    guest.until("the boot to end", BOOT_LIMIT, command, |said| (said.stdout.trim() == expected).then_some(())).await?;
    let took = running.uptime();
    running.power_cut().await?;
    Ok(took)
}
