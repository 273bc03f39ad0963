//! `boot-zfs`: an installed system whose ZFS modules were compiled for its kernel makes a pool on a spare disk, and finds
//! it again after an export.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::args::{Bus, Rom};
use crate::machine::Running;
use crate::scene::{Scene, TAP, nic};
use crate::stories::claims::{self, COMMAND_LIMIT};

/// More than ZFS's least device of 64 MiB, so that it chooses its own partitions.
const DISK_BYTES: u64 = 512 << 20;
/// The kernel unpacks and links 11 MB of module under emulation.
const MODPROBE_LIMIT: Duration = Duration::from_secs(120);
/// Making a pool partitions the disk and waits for udev to name the parts.
const POOL_LIMIT: Duration = Duration::from_secs(120);
/// The spare disk, by the name udev gives it.
const DISK: &str = "/dev/disk/by-id/virtio-spare";
/// What is written into the pool and must come back.
const WRITTEN: &str = "kept through an export";

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let _network = scene.network(&[TAP]).await?;
    let mut machine = scene.machine("node", scene.uefi()?);
    machine.disks = vec![scene.system_disk("lab-storage", Bus::Virtio).await?, scene.blank_disk("spare", DISK_BYTES)?];
    machine.nics = vec![nic(Rom::Empty, None)];
    let mut running = scene.power_on(machine).await?;
    claims::comes_up(scene, &mut running).await?;
    modules_fit(scene, &running).await?;
    let guest = running.guest();
    guest.ok(&format!("udevadm settle && zpool create tank {DISK}"), POOL_LIMIT).await.context("making a pool")?;
    guest.ok(&format!("echo '{WRITTEN}' > /tank/file"), COMMAND_LIMIT).await?;
    pool_is_online(scene, &running, "made").await?;
    guest.ok("zpool export tank && test ! -e /tank/file", POOL_LIMIT).await.context("exporting the pool")?;
    guest.ok("zpool import -d /dev/disk/by-id tank", POOL_LIMIT).await.context("importing the pool")?;
    let read = guest.ok("cat /tank/file", COMMAND_LIMIT).await.context("reading what was written")?;
    ensure!(read.trim() == WRITTEN, "the pool came back with {read:?}");
    pool_is_online(scene, &running, "exported and imported").await?;
    running.power_off().await
}

/// The modules load into the running kernel, and are of the tools' own version.
async fn modules_fit(scene: &Scene, running: &Running) -> Result<()> {
    running.guest().ok("modprobe zfs", MODPROBE_LIMIT).await.context("loading the module")?;
    let module = running.guest().ok("cat /sys/module/zfs/version", COMMAND_LIMIT).await?;
    let tools = running.guest().ok("dpkg-query -W -f '${Version}' zfsutils-linux", COMMAND_LIMIT).await?;
    let upstream = tools.split('-').next().unwrap_or_default();
    ensure!(module.starts_with(upstream), "the module is {}, the tools are {tools}", module.trim());
    let compiler = running.guest().run("command -v gcc make dkms", COMMAND_LIMIT).await?;
    ensure!(compiler.stdout.trim().is_empty(), "the image holds {}", compiler.stdout.trim());
    scene.say(&format!("zfs {} is loaded, and no compiler is in the image", module.trim()));
    Ok(())
}

async fn pool_is_online(scene: &Scene, running: &Running, after: &str) -> Result<()> {
    let text = running.guest().ok("zpool status -j tank", COMMAND_LIMIT).await?;
    let status: Value = serde_json::from_str(&text).context("reading zpool status -j")?;
    let state = &status["pools"]["tank"]["state"];
    ensure!(state == "ONLINE", "the pool is {state}: {text}");
    scene.say(&format!("pool tank {after}: {}", state.as_str().unwrap_or_default()));
    Ok(())
}
