//! `boot-disk`: an installed system boots from its disk, firmware to READY, and goes off when told.

use anyhow::Result;

use crate::args::{Bus, Rom};
use crate::scene::{Scene, TAP, nic};
use crate::stories::claims;

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let _network = scene.network(&[TAP]).await?;
    let mut machine = scene.machine("node", scene.uefi()?);
    machine.disks = vec![scene.system_disk("lab-node", Bus::Virtio).await?];
    machine.nics = vec![nic(Rom::Empty, None)];
    let mut running = scene.power_on(machine).await?;
    claims::comes_up(scene, &mut running).await?;
    claims::booted_by_uefi(scene, &running).await?;
    claims::root_is_on_a_disk(scene, &running).await?;
    claims::page_is_sound(scene, &running).await?;
    running.power_off().await?;
    scene.say("the power button ends it");
    Ok(())
}
