//! `lab run` and `lab shell`: a built image boots and a person is attached to its console, logged in as root by a
//! credential of the lab's, not by anything in the image.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::args::{Bus, Firmware, Rom};
use crate::attach::{self, HOW_TO_LEAVE};
use crate::guest;
use crate::house::House;
use crate::scene::{Scene, TAP, nic};

/// How a built image is booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Medium {
    /// `disk.img` as the machine's disk.
    Disk,
    /// `disk.img` as a USB stick.
    Usb,
    /// Over the network.
    Pxe,
}

/// Boots the image in `dir` and attaches to it until the person leaves. The image itself is not written.
pub(crate) async fn visit(house: &House, dir: &Path, medium: Medium, bios: bool) -> Result<()> {
    let dir = dir.canonicalize().with_context(|| format!("finding the image {}", dir.display()))?;
    let name = dir.file_name().context("the image directory has a name")?.to_string_lossy().into_owned();
    let images = dir.parent().map(PathBuf::from).context("the image directory has a parent")?;
    let scene = Scene::enter(house, "run", images).await?;
    let firmware = if bios { Firmware::Bios } else { scene.uefi()? };
    let mut machine = scene.machine("node", firmware);
    let rom = if bios { Rom::Ipxe } else { Rom::Empty };
    let _network = match medium {
        Medium::Pxe => scene.network_boot(&name, &[TAP]).await?,
        Medium::Disk | Medium::Usb => scene.network(&[TAP]).await?,
    };
    machine.nics = vec![nic(rom, (medium == Medium::Pxe).then_some(1))];
    match medium {
        Medium::Disk => machine.disks = vec![scene.system_disk(&name, Bus::Virtio).await?],
        Medium::Usb => machine.disks = vec![scene.system_disk(&name, Bus::Usb).await?],
        Medium::Pxe => {}
    }
    machine.credentials.push(guest::console_login());
    let mut running = scene.power_on(machine).await?;
    println!("{HOW_TO_LEAVE}");
    attach::attach(&mut running).await?;
    running.power_cut().await
}
