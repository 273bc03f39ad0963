//! What every story starts from: the images, the evidence it keeps, the acceleration that works here, and a machine
//! with the lab's defaults.
//!
//! It must never change an image.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::args::{Accel, Bus, Disk, Firmware, Format, Machine, Nic, Rom};
use crate::house::House;
use crate::machine::{self, Running};
use crate::network::{self, Network, Offer, Served};
use crate::{accel, console, guest, updates};

/// The tap of a machine's first card.
pub(crate) const TAP: &str = "tap0";
/// The tap of a machine's second card.
pub(crate) const SECOND_TAP: &str = "tap1";
/// What the live image must come up with.
pub(crate) const MEMORY_MIB: u32 = 2048;
/// From power-on to a systemd that runs commands. Measured under emulation: 18 to 46 s on an idle machine, 160 s with
/// a load of seven per core; twice that is a hang.
pub(crate) const BOOT_LIMIT: Duration = Duration::from_secs(400);

/// One story's surroundings.
pub(crate) struct Scene {
    /// Directory with one built image per recipe.
    pub images: PathBuf,
    /// What a fleet's package repository serves.
    pub updates: PathBuf,
    /// The agent's program as built, for what an operator does.
    pub program: PathBuf,
    /// Where consoles and logs of this story are kept.
    pub dir: PathBuf,
    /// What executes guests here.
    pub accel: Accel,
    start: Instant,
}

impl Scene {
    /// Enters a network namespace and gets ready. Must be called while the process has one thread.
    pub(crate) async fn enter(house: &House, name: &str, images: PathBuf) -> Result<Self> {
        let dir = house.evidence("stories", name)?;
        network::enter()?;
        let accel = accel::probe(&dir).await?;
        let (updates, program) = (updates::updates(house), house.built("release", "hardstand"));
        Ok(Self { images, updates, program, dir, accel, start: Instant::now() })
    }

    /// Says one step with the seconds since the start.
    pub(crate) fn say(&self, step: &str) {
        println!("{:>7.1} s  {step}", self.start.elapsed().as_secs_f64());
    }

    /// A file of a built image.
    pub(crate) fn artefact(&self, recipe: &str, file: &str) -> Result<PathBuf> {
        let path = self.images.join(recipe).join(file);
        ensure!(
            path.exists(),
            "{} is missing; build the images first: qemu/lab build, or name their directory with --images",
            path.display()
        );
        path.canonicalize().with_context(|| format!("finding {}", path.display()))
    }

    /// A machine with the lab's defaults and the control port.
    pub(crate) fn machine(&self, name: &str, firmware: Firmware) -> Machine {
        Machine {
            name: name.to_owned(),
            memory_mib: MEMORY_MIB,
            cpus: 2,
            accel: self.accel,
            firmware,
            disks: Vec::new(),
            nics: Vec::new(),
            credentials: guest::credentials(),
            room: machine::room(name),
            console_log: self.dir.join(format!("{name}.console.log")),
        }
    }

    /// UEFI firmware with a variable store of its own.
    pub(crate) fn uefi(&self) -> Result<Firmware> {
        machine::uefi(&self.dir)
    }

    /// A throwaway layer over a recipe's `disk.img`.
    pub(crate) async fn system_disk(&self, recipe: &str, bus: Bus) -> Result<Disk> {
        let image = self.artefact(recipe, "disk.img")?;
        let file = self.dir.join("system.qcow2");
        let format = machine::overlay(&image, &file).await?;
        Ok(Disk { serial: "system".to_owned(), file, format, bus, boot: Some(1), write_log: None })
    }

    /// An empty disk.
    pub(crate) fn blank_disk(&self, serial: &str, bytes: u64) -> Result<Disk> {
        let path = self.dir.join(format!("{serial}.img"));
        let file = std::fs::File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        file.set_len(bytes).with_context(|| format!("sizing {}", path.display()))?;
        Ok(Disk {
            serial: serial.to_owned(),
            file: path,
            format: Format::Raw,
            bus: Bus::Virtio,
            boot: None,
            write_log: None,
        })
    }

    /// The lab's network with an offer to boot a recipe's image over it.
    pub(crate) async fn network_boot(&self, recipe: &str, taps: &[&str]) -> Result<Network> {
        let served = Served {
            dir: self.artefact(recipe, "netboot")?,
            ipxe_script: "boot.ipxe".to_owned(),
            uefi_program: "uki.efi".to_owned(),
        };
        Network::up(taps, &Offer::Boot(served), &self.dir).await
    }

    /// The lab's network with addresses and the time.
    pub(crate) async fn network(&self, taps: &[&str]) -> Result<Network> {
        Network::up(taps, &Offer::Nothing, &self.dir).await
    }

    /// Switches a machine on and says so.
    pub(crate) async fn power_on(&self, machine: Machine) -> Result<Running> {
        let how = match machine.accel {
            Accel::Kvm => "KVM",
            Accel::Tcg => "plain emulation",
        };
        self.say(&format!("power on: {} under {how}, console in {}", machine.name, machine.console_log.display()));
        Running::start(machine).await
    }

    /// The last lines of every console of this story, for a failure.
    pub(crate) fn last_words(&self) -> String {
        let mut words = String::new();
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.to_string_lossy().ends_with(".console.log") {
                let text = console::read(&path).unwrap_or_default();
                words += &format!("last lines of {}:\n{}\n", path.display(), console::tail(&text));
            }
        }
        words
    }
}

/// A card on the first tap.
pub(crate) fn nic(rom: Rom, boot: Option<u8>) -> Nic {
    Nic { tap: TAP.to_owned(), mac: "52:54:00:68:73:01".to_owned(), rom, boot }
}

/// A card on the second tap, for stories that pull its cable.
pub(crate) fn second_nic() -> Nic {
    Nic { tap: SECOND_TAP.to_owned(), mac: "52:54:00:68:73:02".to_owned(), rom: Rom::Empty, boot: None }
}
