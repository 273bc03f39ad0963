//! Filesystems, disks and what the disks say of themselves.
//!
//! It must never let a disk that is gone vanish from the page: it stays, with 0, until it is forgotten on purpose.

use std::collections::BTreeSet;

use hardstand_core::observed::{Disk, Filesystem, NvmeSmart, PowerState, Smart, SmartDetail, Space, Transport};
use hardstand_core::{Health, Observed, Severity};

use super::page::{Kind, Page};

/// Bytes of a sector in the kernel's statistics, whatever the disk has.
const SECTOR_BYTES: f64 = 512.0;
/// The check that names disks which are gone.
const PRESENCE_CHECK: &str = "disk.present";

pub(super) fn write(page: &mut Page, observed: &Observed, health: &Health) {
    write_filesystems(page, observed.filesystems.shown().map_or(&[], Vec::as_slice));
    let disks = observed.disks.shown().map_or(&[][..], Vec::as_slice);
    write_presence(page, disks, health);
    write_disks(page, disks);
    let smart: Vec<(&str, &Smart)> =
        observed.smart.shown().into_iter().flatten().map(|(key, smart)| (&**key, smart)).collect();
    write_smart(page, &smart);
    write_nvme(page, &smart);
}

fn write_filesystems(page: &mut Page, filesystems: &[Filesystem]) {
    let flag = |yes: bool| Some(f64::from(u8::from(yes)));
    let space = |pick: fn(&Space) -> u64| {
        move |filesystem: &Filesystem| filesystem.space.known().map(|space| pick(space) as f64)
    };
    type Pick<'a> = &'a dyn Fn(&Filesystem) -> Option<f64>;
    let rows: [(&str, &str, Pick<'_>); 8] = [
        ("node_filesystem_size_bytes", "Size.", &space(|space| space.size_bytes)),
        ("node_filesystem_free_bytes", "Free, the reserve of root included.", &space(|space| space.free_bytes)),
        ("node_filesystem_avail_bytes", "Free for everybody.", &space(|space| space.available_bytes)),
        ("node_filesystem_files", "Inodes.", &space(|space| space.inodes)),
        ("node_filesystem_files_free", "Free inodes.", &space(|space| space.inodes_free)),
        ("node_filesystem_readonly", "Whether it is read-only.", &|filesystem| flag(filesystem.read_only)),
        ("node_filesystem_device_error", "Whether its space could not be read.", &|filesystem| {
            flag(filesystem.space.known().is_none())
        }),
        ("hardstand_filesystem_stuck", "Whether it did not answer in time.", &|filesystem| flag(filesystem.stuck)),
    ];
    for (name, help, pick) in rows {
        let mut family = page.family(name, Kind::Gauge, help);
        for filesystem in filesystems {
            family.optional(&filesystem_labels(filesystem), pick(filesystem));
        }
    }
    let mut errors = page.family("hardstand_ext4_errors", Kind::Gauge, "Errors ext4 has noted in its superblock.");
    for filesystem in filesystems {
        errors.optional(&filesystem_labels(filesystem), filesystem.errors.map(|count| count as f64));
    }
}

fn filesystem_labels(filesystem: &Filesystem) -> [(&'static str, &str); 3] {
    [("device", &filesystem.device), ("fstype", &filesystem.kind), ("mountpoint", &filesystem.mount_point)]
}

fn write_presence(page: &mut Page, disks: &[Disk], health: &Health) {
    let present: BTreeSet<_> = disks.iter().map(|disk| disk.id.key()).collect();
    let findings = health.findings.iter();
    let gone = findings.filter(|finding| finding.check == PRESENCE_CHECK && finding.severity != Severity::Ok);
    let mut family =
        page.family("hardstand_disk_present", Kind::Gauge, "Whether a disk that has been seen is there now.");
    for key in &present {
        family.flag(&[("serial", key)], true);
    }
    for finding in gone {
        // The subject is the kernel name and the key, or the kernel name alone.
        let key = finding.subject.split_once(' ').map_or(&*finding.subject, |(_, key)| key);
        family.flag(&[("serial", key)], false);
    }
}

fn write_disks(page: &mut Page, disks: &[Disk]) {
    let mut info = page.family("node_disk_info", Kind::Info, "What a disk is.");
    for disk in disks {
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        let labels = [
            ("device", &*disk.id.name),
            ("model", &*or_empty(&disk.model)),
            ("revision", &*or_empty(&disk.firmware)),
            ("rotational", if disk.rotational { "1" } else { "0" }),
            ("serial", &*or_empty(&disk.id.serial)),
            ("transport", transport_word(disk.transport)),
            ("wwn", &*or_empty(&disk.id.wwn)),
        ];
        info.sample(&labels, 1.0);
    }
    type Pick = fn(&Disk) -> Option<f64>;
    let rows: [(&str, Kind, &str, Pick); 7] = [
        ("node_disk_reads_completed_total", Kind::Counter, "Reads completed.", |disk| Some(disk.io[0] as f64)),
        ("node_disk_read_bytes_total", Kind::Counter, "Bytes read.", |disk| Some(disk.io[1] as f64 * SECTOR_BYTES)),
        ("node_disk_writes_completed_total", Kind::Counter, "Writes completed.", |disk| Some(disk.io[2] as f64)),
        ("node_disk_written_bytes_total", Kind::Counter, "Bytes written.", |disk| {
            Some(disk.io[3] as f64 * SECTOR_BYTES)
        }),
        ("node_disk_io_time_seconds_total", Kind::Counter, "Seconds spent doing I/O.", |disk| {
            Some(disk.io[4] as f64 / 1000.0)
        }),
        ("hardstand_disk_size_bytes", Kind::Gauge, "Size.", |disk| Some(disk.size_bytes as f64)),
        ("hardstand_scsi_errors_total", Kind::Counter, "Errors the SCSI layer has counted.", |disk| {
            disk.io_errors.map(|count| count as f64)
        }),
    ];
    for (name, kind, help, pick) in rows {
        let mut family = page.family(name, kind, help);
        for disk in disks {
            family.optional(&[("device", &disk.id.name)], pick(disk));
        }
    }
}

/// The word used in labels and tables.
pub(crate) fn transport_word(transport: Transport) -> &'static str {
    match transport {
        Transport::Sata => "sata",
        Transport::Sas => "sas",
        Transport::Scsi => "scsi",
        Transport::Nvme => "nvme",
        Transport::Usb => "usb",
        Transport::Virtio => "virtio",
        Transport::Iscsi => "iscsi",
        Transport::Fc => "fc",
        Transport::Mmc => "mmc",
        Transport::Other => "other",
    }
}

fn write_smart(page: &mut Page, smart: &[(&str, &Smart)]) {
    let mut power = page.family("hardstand_disk_power_state", Kind::Gauge, "Whether a disk was awake when asked.");
    for (key, smart) in smart {
        let present = match smart.power {
            PowerState::Active => "active",
            PowerState::Standby => "standby",
        };
        power.states(&[("serial", key)], "state", &["active", "standby"], present);
    }
    type Pick = fn(&SmartDetail) -> Option<f64>;
    let rows: [(&str, &str, Pick); 4] = [
        ("hardstand_disk_smart_ok", "0 when a disk expects to fail.", |detail| {
            detail.passed.map(|passed| f64::from(u8::from(passed)))
        }),
        ("hardstand_disk_temperature_celsius", "Temperature of a disk.", |detail| detail.temperature_celsius),
        ("hardstand_disk_powered_on_seconds", "How long a disk has been powered in all.", |detail| {
            detail.power_on_hours.map(|hours| hours as f64 * 3600.0)
        }),
        ("hardstand_disk_used_ratio", "Share of a disk's life that is used.", used_ratio),
    ];
    for (name, help, pick) in rows {
        let mut family = page.family(name, Kind::Gauge, help);
        for (key, smart) in smart {
            family.optional(&[("serial", key)], smart.detail.known().and_then(pick));
        }
    }
    let mut errors = page.family("hardstand_disk_errors_total", Kind::Counter, "Errors a disk counts, by kind.");
    for (key, detail) in smart.iter().filter_map(|(key, smart)| Some((key, smart.detail.known()?))) {
        for (kind, count) in error_counts(detail) {
            errors.optional(&[("serial", key), ("kind", kind)], count.map(|count| count as f64));
        }
    }
}

fn used_ratio(detail: &SmartDetail) -> Option<f64> {
    let ata = detail.ata.and_then(|ata| ata.used_percent);
    let scsi = detail.scsi.and_then(|scsi| scsi.percentage_used);
    let nvme = detail.nvme.map(|nvme| nvme.percentage_used);
    ata.or(scsi).or(nvme).map(|percent| f64::from(percent) / 100.0)
}

fn error_counts(detail: &SmartDetail) -> [(&'static str, Option<u64>); 8] {
    let (ata, scsi) = (detail.ata.unwrap_or_default(), detail.scsi.unwrap_or_default());
    [
        ("reallocated", ata.reallocated_sectors),
        ("pending", ata.pending_sectors),
        ("uncorrectable", ata.uncorrectable_sectors),
        ("crc", ata.crc_errors),
        ("grown_defects", scsi.grown_defects),
        ("uncorrected", scsi.uncorrected_errors),
        ("media", detail.nvme.map(|nvme| nvme.media_errors)),
        ("log", detail.error_log_count),
    ]
}

fn write_nvme(page: &mut Page, smart: &[(&str, &Smart)]) {
    /// Bits of the critical warning, from the lowest, as the NVMe base specification names them.
    const BITS: [&str; 6] = [
        "available_spare",
        "temperature",
        "reliability",
        "read_only",
        "volatile_memory_backup",
        "persistent_memory_region",
    ];
    let nvme: Vec<(&str, NvmeSmart)> =
        smart.iter().filter_map(|(key, smart)| Some((*key, smart.detail.known()?.nvme?))).collect();
    let mut warnings = page.family("hardstand_nvme_critical_warning", Kind::Gauge, "The device's own warnings.");
    for (key, detail) in &nvme {
        for (bit, name) in BITS.iter().enumerate() {
            warnings.flag(&[("serial", key), ("bit", name)], detail.critical_warning & (1 << bit) != 0);
        }
    }
    type Pick = fn(&NvmeSmart) -> f64;
    let rows: [(&str, Kind, &str, Pick); 5] = [
        ("hardstand_nvme_spare_ratio", Kind::Gauge, "Spare blocks left.", |nvme| {
            f64::from(nvme.available_spare_percent) / 100.0
        }),
        ("hardstand_nvme_spare_threshold_ratio", Kind::Gauge, "Where the device calls that too few.", |nvme| {
            f64::from(nvme.available_spare_threshold_percent) / 100.0
        }),
        ("hardstand_nvme_used_ratio", Kind::Gauge, "Share of the device's life that is used.", |nvme| {
            f64::from(nvme.percentage_used) / 100.0
        }),
        ("hardstand_nvme_media_errors_total", Kind::Counter, "Blocks it could not give back whole.", |nvme| {
            nvme.media_errors as f64
        }),
        ("hardstand_nvme_unsafe_shutdowns_total", Kind::Counter, "Times it lost power without warning.", |nvme| {
            nvme.unsafe_shutdowns as f64
        }),
    ];
    for (name, kind, help, pick) in rows {
        let mut family = page.family(name, kind, help);
        for (key, detail) in &nvme {
            family.sample(&[("serial", key)], pick(detail));
        }
    }
}
