//! What the machine is made of. Disks are listed in `disk`, for they come and go.

use serde::{Deserialize, Serialize};

use crate::observed::disk::Disk;
use crate::reading::Reading;

/// How the machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FirmwareType {
    /// UEFI.
    Uefi,
    /// BIOS or a compatibility module.
    Bios,
}

/// Processors.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuInfo {
    /// Model, as the processor says.
    pub model: String,
    /// Vendor string.
    pub vendor: String,
    /// Sockets.
    pub sockets: u32,
    /// Physical cores in all.
    pub cores: u32,
    /// Logical processors in all.
    pub threads: u32,
    /// Microcode revisions seen, without repeats (more than one means the cores differ).
    pub microcode: Vec<String>,
}

/// One memory slot (SMBIOS type 17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimm {
    /// Slot, as printed on the board (`DIMM_A1`).
    pub locator: String,
    /// Bank, as the firmware names it.
    pub bank: String,
    /// Size in bytes; 0 when the slot is empty.
    pub size_bytes: u64,
    /// Kind: `DDR4`, `DDR5`...
    pub kind: String,
    /// Configured speed in transfers per second, if known.
    pub speed_mts: Option<u32>,
    /// Maker.
    pub manufacturer: Option<String>,
    /// Part number.
    pub part_number: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
}

/// What the firmware says of the machine (`/sys/class/dmi/id`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the kernel's own names")]
pub struct Dmi {
    pub sys_vendor: Option<String>,
    pub product_name: Option<String>,
    pub product_serial: Option<String>,
    pub product_uuid: Option<String>,
    pub board_vendor: Option<String>,
    pub board_name: Option<String>,
    pub bios_vendor: Option<String>,
    pub bios_version: Option<String>,
    pub bios_date: Option<String>,
    pub chassis_type: Option<String>,
}

/// A trusted platform module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tpm {
    /// `1.2` or `2.0`.
    pub version: String,
    /// The driver or the maker's words, where known.
    pub description: Option<String>,
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicInfo {
    /// Name now.
    pub name: String,
    /// Permanent MAC where known, else the current one.
    pub mac: String,
    /// Kernel driver.
    pub driver: Option<String>,
    /// Bus address (`0000:01:00.0`).
    pub bus: Option<String>,
    /// PCI vendor and device (`8086:1572`).
    pub pci_id: Option<String>,
    /// Speed in bytes per second, where the driver knows it.
    pub speed_bytes_per_second: Option<u64>,
}

/// One EFI boot entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootEntry {
    /// Its number (`0001`).
    pub number: String,
    /// Its description.
    pub description: String,
    /// Whether it is active.
    pub active: bool,
    /// Place in BootOrder, counted from 0; `None` when it is not in it.
    pub order: Option<u32>,
    /// The machine was started from it.
    pub current: bool,
}

/// The machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// `/etc/machine-id`.
    pub machine_id: Option<String>,
    /// Operating system (`PRETTY_NAME`).
    pub operating_system: String,
    /// Processors.
    pub cpu: CpuInfo,
    /// Memory the kernel manages, in bytes.
    pub memory_bytes: u64,
    /// Memory slots; unknown where only root may read them and there is no helper.
    pub dimms: Reading<Vec<Dimm>>,
    /// Firmware's description of the machine.
    pub dmi: Dmi,
    /// How it was started.
    pub firmware: FirmwareType,
    /// Secure Boot; unknown on BIOS machines never, there it is `Known(false)`.
    pub secure_boot: Reading<bool>,
    /// EFI boot entries; empty on BIOS machines, unknown without the helper.
    pub boot_entries: Reading<Vec<BootEntry>>,
    /// The TPM, if there is one.
    pub tpm: Option<Tpm>,
    /// Virtual machine technology the kernel or the firmware names (`kvm`, `qemu`, ...), if any.
    pub virtualisation: Option<String>,
    /// Network cards.
    pub nics: Vec<NicInfo>,
    /// Disks at the time of the inventory.
    pub disks: Vec<Disk>,
}
