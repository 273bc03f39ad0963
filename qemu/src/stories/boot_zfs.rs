//! `boot-zfs`: an installed system whose ZFS modules were compiled for its kernel makes a pool on two spare disks, and finds
//! it again after an export; and the agent says so when it is degraded, resilvered, gone, rotten, suspended, and well again.

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
/// The spare disks, by the names udev gives them.
const DISKS: &str = "/dev/disk/by-id/virtio-spare /dev/disk/by-id/virtio-mate";
/// What the page may take on a slow guest. It is made of the last pass and asks nobody.
const PAGE_LIMIT: Duration = Duration::from_secs(5);
/// What is found of the pool when nothing is wrong with it.
const WELL: (&str, &str, &str) = ("zfs.pool", "tank", "ok");
/// What is written into the pool and must come back.
const WRITTEN: &str = "kept through an export";

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let _network = scene.network(&[TAP]).await?;
    let mut machine = scene.machine("node", scene.uefi()?);
    machine.disks = vec![
        scene.system_disk("lab-storage", Bus::Virtio).await?,
        scene.blank_disk("spare", DISK_BYTES)?,
        scene.blank_disk("mate", DISK_BYTES)?,
    ];
    machine.nics = vec![nic(Rom::Empty, None)];
    let mut running = scene.power_on(machine).await?;
    claims::comes_up(scene, &mut running).await?;
    modules_fit(scene, &running).await?;
    let guest = running.guest();
    guest
        .ok(&format!("udevadm settle && zpool create tank mirror {DISKS}"), POOL_LIMIT)
        .await
        .context("making a pool")?;
    guest.ok(&format!("echo '{WRITTEN}' > /tank/file"), COMMAND_LIMIT).await?;
    pool_is_online(scene, &running, "made").await?;
    claims::finds(scene, &running, WELL, "ONLINE").await?;
    claims::finds(scene, &running, ("zfs.device", "tank/virtio-mate", "ok"), "ONLINE").await?;
    keep(scene, &running, "well").await?;
    half(scene, &running).await?;
    gone(scene, &running).await?;
    rotten(scene, &running).await?;
    suspended(scene, &mut running).await?;
    running.power_cut().await
}

/// Keeps what ZFS's own tool says of the pool in both forms.
async fn keep(scene: &Scene, running: &Running, state: &str) -> Result<()> {
    claims::keep(scene, running, &format!("{state}.json"), "zpool status -j --json-int").await?;
    claims::keep(scene, running, &format!("{state}.txt"), "TZ=UTC zpool status -p").await
}

/// One side of the mirror is taken out, misses something, and comes back: the agent wants it whole before it is content.
async fn half(scene: &Scene, running: &Running) -> Result<()> {
    let guest = running.guest();
    guest.ok("zpool offline tank virtio-mate", COMMAND_LIMIT).await.context("taking one side out")?;
    claims::finds(scene, running, ("zfs.pool", "tank", "crit"), "DEGRADED").await?;
    claims::finds(scene, running, ("zfs.device", "tank/virtio-mate", "warn"), "OFFLINE").await?;
    keep(scene, running, "degraded").await?;
    // A pool of this size is whole again before anybody looks, so the copying is held.
    let hold = |on| format!("echo {on} > /sys/module/zfs/parameters/zfs_scan_suspend_progress");
    let miss = "head -c 64M /dev/urandom > /tank/missed && sync";
    guest.ok(miss, POOL_LIMIT).await.context("writing what one side misses")?;
    guest.ok(&hold(1), COMMAND_LIMIT).await?;
    guest.ok("zpool online tank virtio-mate", COMMAND_LIMIT).await.context("putting it back")?;
    claims::finds(scene, running, ("zfs.status", "tank", "warn"), "resilver").await?;
    claims::finds(scene, running, WELL, "ONLINE").await?;
    keep(scene, running, "resilvering").await?;
    guest.ok(&hold(0), COMMAND_LIMIT).await?;
    claims::finds(scene, running, ("zfs.status", "tank", "ok"), "nothing to resilver").await
}

/// The pool is exported and imported again.
async fn gone(scene: &Scene, running: &Running) -> Result<()> {
    let guest = running.guest();
    guest.ok("zpool export tank && test ! -e /tank/file", POOL_LIMIT).await.context("exporting the pool")?;
    claims::finds(scene, running, ("zfs.pool", "tank", "crit"), "it was imported and is not any more").await?;
    guest.ok("zpool import -d /dev/disk/by-id tank", POOL_LIMIT).await.context("importing the pool")?;
    let read = guest.ok("cat /tank/file", COMMAND_LIMIT).await.context("reading what was written")?;
    ensure!(read.trim() == WRITTEN, "the pool came back with {read:?}");
    pool_is_online(scene, running, "exported and imported").await?;
    claims::finds(scene, running, WELL, "ONLINE").await
}

/// One side is overwritten behind the pool's back; a scrub finds and mends it, and the agent keeps in mind what it found.
async fn rotten(scene: &Scene, running: &Running) -> Result<()> {
    let guest = running.guest();
    let rot = "dd if=/dev/zero of=/dev/disk/by-id/virtio-mate-part1 bs=1M seek=8 count=400 conv=notrunc,fsync";
    guest.ok(rot, POOL_LIMIT).await.context("overwriting one side")?;
    guest.ok("zpool scrub -w tank", POOL_LIMIT).await.context("scrubbing")?;
    claims::finds(scene, running, ("zfs.errors", "tank/virtio-mate", "warn"), "checksum").await?;
    claims::finds(scene, running, ("zfs.scrub", "tank", "ok"), "ended").await?;
    keep(scene, running, "scrubbed-with-errors").await?;
    guest.ok("zpool clear tank", COMMAND_LIMIT).await?;
    claims::finds(scene, running, ("zfs.status", "tank", "ok"), "no data errors").await
}

/// Both disks are pulled while the pool is written to: what touches it hangs from now on, and the agent does not.
async fn suspended(scene: &Scene, running: &mut Running) -> Result<()> {
    for serial in ["spare", "mate"] {
        running.pull(serial).await?;
    }
    let write = "(dd if=/dev/zero of=/tank/lost bs=1M count=64 conv=fsync > /dev/null 2>&1 &) ; true";
    running.guest().ok(write, COMMAND_LIMIT).await.context("writing to the pool that has no disks")?;
    claims::finds(scene, running, ("zfs.pool", "tank", "crit"), "SUSPENDED").await?;
    keep(scene, running, "suspended").await?;
    // The guest's shell asks within a limit that only a page that waits for the pool would pass.
    let page = running.guest().ok(claims::GET_PAGE, PAGE_LIMIT).await.context("the page beside a pool that hangs")?;
    let row = "node_zfs_zpool_state{zpool=\"tank\",state=\"suspended\"} 1";
    ensure!(page.contains(row), "the page does not tell of the suspended pool: no {row}");
    scene.say("the page answers beside it: suspended");
    Ok(())
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
