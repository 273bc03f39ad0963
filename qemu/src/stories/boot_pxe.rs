//! `boot-pxe-bios` and `boot-pxe-uefi`: the live image boots over a real network (DHCP, TFTP, HTTP).
//!
//! The forms differ on purpose: UEFI's own PXE takes the one-file image, iPXE in a BIOS takes kernel and initrd.

use anyhow::Result;

use crate::args::{Firmware, Rom};
use crate::scene::{Scene, TAP, nic};
use crate::stories::claims;

/// A BIOS machine: iPXE in the card's ROM, kernel and initrd by HTTP.
pub(crate) async fn bios(scene: &Scene) -> Result<()> {
    let _network = scene.network_boot("live", &[TAP]).await?;
    let mut machine = scene.machine("live", Firmware::Bios);
    machine.nics = vec![nic(Rom::Ipxe, Some(1))];
    let mut running = scene.power_on(machine).await?;
    claims::comes_up(scene, &mut running).await?;
    claims::booted_by_bios(scene, &running).await?;
    claims::runs_from_memory(scene, &running).await?;
    claims::was_served(scene, "http.log", "GET /")?;
    running.power_cut().await
}

/// A UEFI machine: the firmware's own PXE, the whole image in one file.
pub(crate) async fn uefi(scene: &Scene) -> Result<()> {
    let _network = scene.network_boot("live", &[TAP]).await?;
    let mut machine = scene.machine("live", scene.uefi()?);
    machine.nics = vec![nic(Rom::Empty, Some(1))];
    let mut running = scene.power_on(machine).await?;
    claims::comes_up(scene, &mut running).await?;
    claims::booted_by_uefi(scene, &running).await?;
    claims::runs_from_memory(scene, &running).await?;
    claims::was_served(scene, "dnsmasq.log", "uki.efi to ")?;
    running.power_cut().await
}
