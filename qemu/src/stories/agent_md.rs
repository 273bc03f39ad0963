//! `agent-md`: an array of two disks loses one, gets it back and is stopped; the agent says so each time.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::args::{Bus, Rom};
use crate::machine::Running;
use crate::scene::{Scene, TAP, nic};
use crate::stories::claims::{self, COMMAND_LIMIT, finds};

const DISK_BYTES: u64 = 64 << 20;
/// A module is loaded, and udev names what is made, under emulation.
const MAKE_LIMIT: Duration = Duration::from_secs(120);
const ONE: &str = "/dev/disk/by-id/virtio-one";
const OTHER: &str = "/dev/disk/by-id/virtio-other";

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let _network = scene.network(&[TAP]).await?;
    let mut machine = scene.machine("node", scene.uefi()?);
    machine.disks = vec![
        scene.system_disk("lab-storage", Bus::Virtio).await?,
        scene.blank_disk("one", DISK_BYTES)?,
        scene.blank_disk("other", DISK_BYTES)?,
    ];
    machine.nics = vec![nic(Rom::Empty, None)];
    let mut running = scene.power_on(machine).await?;
    claims::comes_up(scene, &mut running).await?;
    lives(scene, &running).await?;
    running.power_off().await
}

async fn lives(scene: &Scene, running: &Running) -> Result<()> {
    let act = async |act: &str| running.guest().ok(act, MAKE_LIMIT).await.with_context(|| format!("running {act}"));
    act(&format!("udevadm settle && mdadm --create /dev/md0 --run --level=1 --raid-devices=2 {ONE} {OTHER}")).await?;
    scene.say("an array of two disks is made");
    finds(scene, running, ("md.array", "md0", "ok"), "raid1, whole").await?;
    act(&format!("mdadm /dev/md0 --fail {OTHER}")).await?;
    finds(scene, running, ("md.array", "md0", "crit"), "it lacks 1 of 2 devices").await?;
    // Disks of this size are copied before anybody looks, so the copying is slowed down.
    act("cd /proc/sys/dev/raid; echo 50 > speed_limit_min; echo 100 > speed_limit_max").await?;
    act(&format!("mdadm /dev/md0 --remove {OTHER} && mdadm --zero-superblock {OTHER} && mdadm /dev/md0 --add {OTHER}"))
        .await?;
    finds(scene, running, ("md.array", "md0", "crit"), "recover is under way").await?;
    act("cd /proc/sys/dev/raid; echo 1000000 > speed_limit_max; echo 1000000 > speed_limit_min").await?;
    finds(scene, running, ("md.array", "md0", "ok"), "raid1, whole").await?;
    act("mdadm --stop /dev/md0").await?;
    finds(scene, running, ("md.array", "md0", "crit"), "is not any more").await?;
    running.guest().ok("hardstand forget array md0", COMMAND_LIMIT).await?;
    let gate = "hardstand health --json | grep -c md.array || true";
    running
        .guest()
        .until("the array to be forgotten", MAKE_LIMIT, gate, |said| (said.stdout.trim() == "0").then_some(()))
        .await?;
    scene.say("the array is forgotten");
    Ok(())
}
