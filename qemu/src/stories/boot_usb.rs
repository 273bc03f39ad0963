//! `boot-usb`: the live image boots from a USB stick and leaves the machine's own disk alone.

use anyhow::Result;

use crate::args::{Bus, Rom};
use crate::scene::{Scene, TAP, nic};
use crate::stories::claims;

/// Large enough to be somebody's disk.
const DISK_BYTES: u64 = 64 << 20;

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let _network = scene.network(&[TAP]).await?;
    let mut machine = scene.machine("live", scene.uefi()?);
    let own = scene.blank_disk("own", DISK_BYTES)?;
    let own_file = own.file.clone();
    machine.disks = vec![scene.system_disk("live", Bus::Usb).await?, own];
    machine.nics = vec![nic(Rom::Empty, None)];
    let mut running = scene.power_on(machine).await?;
    claims::comes_up(scene, &mut running).await?;
    claims::booted_by_uefi(scene, &running).await?;
    claims::runs_from_memory(scene, &running).await?;
    running.power_cut().await?;
    claims::disk_is_untouched(scene, &own_file)?;
    Ok(())
}
