//! Whole disks and what they say of their own health.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::reading::Reading;

/// How a disk is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names of the transports")]
pub enum Transport {
    Sata,
    Sas,
    Scsi,
    Nvme,
    Usb,
    Virtio,
    Iscsi,
    Fc,
    Mmc,
    /// Anything else.
    Other,
}

/// What makes a disk this disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskId {
    /// World wide name or eui, where it has one.
    pub wwn: Option<String>,
    /// Serial number, where it has one.
    pub serial: Option<String>,
    /// Kernel name (`sda`), which may change between boots.
    pub name: String,
}

impl DiskId {
    /// The name under which the disk is remembered: serial, else WWN, else the kernel name. Namespaces of one NVMe
    /// controller share its serial; those after the first carry their number (`SERIAL-n2`).
    pub fn key(&self) -> Cow<'_, str> {
        let namespace = self.name.strip_prefix("nvme").and_then(|rest| rest.split_once('n')).map(|(_, number)| number);
        match (&self.serial, namespace) {
            (Some(serial), Some(number)) if number != "1" => Cow::Owned(format!("{serial}-n{number}")),
            (Some(serial), _) => Cow::Borrowed(serial),
            (None, _) => Cow::Borrowed(self.wwn.as_deref().unwrap_or(&self.name)),
        }
    }
}

/// One whole disk (`/sys/block`), partitions and virtual devices left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its identity.
    pub id: DiskId,
    /// Model, as it says.
    pub model: Option<String>,
    /// Vendor, as it says.
    pub vendor: Option<String>,
    /// Firmware revision.
    pub firmware: Option<String>,
    /// Size in bytes.
    pub size_bytes: u64,
    /// How it is reached.
    pub transport: Transport,
    /// Whether it spins.
    pub rotational: bool,
    /// Whether it can be taken out (a stick, a card reader).
    pub removable: bool,
    /// Whether it is write-protected.
    pub read_only: bool,
    /// SCSI device state (`running`, `offline`, ...) or NVMe controller state (`live`, `dead`, ...), where there is one.
    pub device_state: Option<String>,
    /// Errors the SCSI layer has counted, where it counts them.
    pub io_errors: Option<u64>,
    /// `/sys/block/*/stat`: reads completed, sectors read, writes completed, sectors written, milliseconds busy.
    pub io: [u64; 5],
}

/// Whether a disk was spinning when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerState {
    /// It answered.
    Active,
    /// It sleeps and was left alone; its other values are the last ones known.
    Standby,
}

/// Health of one disk in its own words (`smartctl --json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Smart {
    /// Whether it was awake.
    pub power: PowerState,
    /// The values; unknown while it sleeps or when it could not be asked.
    pub detail: Reading<SmartDetail>,
}

/// What a disk answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SmartDetail {
    /// Overall status: `Some(false)` means it expects to fail; `None` where it does not say.
    pub passed: Option<bool>,
    /// Temperature in degrees Celsius.
    pub temperature_celsius: Option<f64>,
    /// Hours it has been powered.
    pub power_on_hours: Option<u64>,
    /// Entries in the device's error log, where there is one.
    pub error_log_count: Option<u64>,
    /// ATA values.
    pub ata: Option<AtaSmart>,
    /// NVMe values.
    pub nvme: Option<NvmeSmart>,
    /// SCSI and SAS values.
    pub scsi: Option<ScsiSmart>,
}

/// ATA attributes that decide (raw values; `None` where the disk has no such attribute).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AtaSmart {
    /// Attribute 5.
    pub reallocated_sectors: Option<u64>,
    /// Attribute 197.
    pub pending_sectors: Option<u64>,
    /// Attribute 198.
    pub uncorrectable_sectors: Option<u64>,
    /// Attribute 199.
    pub crc_errors: Option<u64>,
    /// Life used in percent, from attributes 177, 202, 231 or 233 or the device statistics.
    pub used_percent: Option<u8>,
}

/// NVMe log page 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NvmeSmart {
    /// Bits as the device sets them.
    pub critical_warning: u8,
    /// Spare blocks left, in percent.
    pub available_spare_percent: u8,
    /// Where the device calls that too few, in percent.
    pub available_spare_threshold_percent: u8,
    /// Life used, in percent; may pass 100.
    pub percentage_used: u8,
    /// Blocks it could not give back whole.
    pub media_errors: u64,
    /// Times it lost power without warning.
    pub unsafe_shutdowns: u64,
}

/// SCSI and SAS counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScsiSmart {
    /// Sectors in the grown defect list.
    pub grown_defects: Option<u64>,
    /// Reads, writes and verifies that could not be corrected, added up.
    pub uncorrected_errors: Option<u64>,
    /// Endurance used, in percent.
    pub percentage_used: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_of_one_controller_are_told_apart() {
        let id = |name: &str, serial: Option<&str>| DiskId {
            wwn: Some("eui.1".to_owned()),
            serial: serial.map(str::to_owned),
            name: name.to_owned(),
        };
        assert_eq!(id("nvme0n1", Some("S")).key(), "S");
        assert_eq!(id("nvme0n2", Some("S")).key(), "S-n2");
        assert_eq!(id("sdn", Some("S")).key(), "S");
        assert_eq!(id("nvme0n2", None).key(), "eui.1");
    }
}
