//! Whole disks from `/sys/block`, with what can be told of them without root.
//!
//! It must never open a block device: that can wake a disk, and needs root.

use std::collections::HashMap;

use hardstand_core::observed::Disk;

use super::kernel_dir::{KernelDir, is_gone};
use super::{Host, HostError};

mod identity;

const BLOCK: &str = "sys/block";
/// `/sys/block/*/size` and the sectors of `stat` count these, whatever the disk's own sector is.
const SECTOR_BYTES: u64 = 512;
/// Devices that are not disks: made of other devices, of memory, or of nothing.
const NOT_DISKS: [&str; 10] = ["loop", "ram", "zram", "dm-", "md", "zd", "fd", "mtdblock", "rbd", "drbd"];
/// What the optical driver says of an empty drive (sectors): a size it made up.
const EMPTY_DRIVE_SECTORS: u64 = 0x1f_ffff;

/// What cannot change while a disk stays plugged in, kept by its caller between passes (40 files a disk otherwise).
#[derive(Debug, Default)]
pub(crate) struct KnownDisks {
    /// By kernel name, with the kernel's sequence number of the plug-in (`diskseq`).
    by_name: HashMap<String, (u64, Disk)>,
}

impl KnownDisks {
    /// Reads the disks that are there now, sorted by kernel name; what is known already of a disk is not read again.
    ///
    /// # Errors
    /// `/sys/block` cannot be read, or an attribute every disk has is not of its form. A disk that goes away meanwhile
    /// is left out.
    pub(crate) fn probe(&mut self, host: &Host) -> Result<Vec<Disk>, HostError> {
        let block = KernelDir::open(host, BLOCK)?;
        let mut disks = Vec::new();
        let mut names = block.names()?;
        names.retain(|name| !NOT_DISKS.iter().any(|prefix| name.starts_with(prefix)));
        self.by_name.retain(|name, _| names.binary_search(name).is_ok());
        for name in names {
            match self.disk(host, &block, &name) {
                Ok(disk) => disks.extend(disk),
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(disks)
    }

    fn disk(&mut self, host: &Host, block: &KernelDir, name: &str) -> Result<Option<Disk>, HostError> {
        let Some(dir) = block.below(name) else { return Ok(None) };
        // Kernels before 5.15 have no `diskseq`; without it nothing is kept.
        let sequence: Option<u64> = dir.number("diskseq");
        let known = self.by_name.get(name).filter(|(seen, _)| Some(*seen) == sequence).map(|(_, disk)| disk.clone());
        let fresh = known.is_none();
        let Some(mut disk) = known.or_else(|| identity::identify(host, block, &dir, name)) else { return Ok(None) };
        let sectors: u64 = dir.required("size")?;
        if lacks_medium(host, &disk, &dir, sectors) {
            return Ok(None);
        }
        if let Some(sequence) = sequence.filter(|_| fresh) {
            self.by_name.insert(name.to_owned(), (sequence, disk.clone()));
        }
        disk.size_bytes = sectors.saturating_mul(SECTOR_BYTES);
        disk.read_only = dir.flag("ro");
        disk.io = dir.required_as("stat", "11 counts", io)?;
        if let Some(device) = dir.below("device") {
            disk.device_state = device_state(&device);
            if name.starts_with("sd") {
                let text = device.text("ioerr_cnt");
                disk.io_errors = text.and_then(|text| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok());
            }
        }
        Ok(Some(disk))
    }
}

/// Reads the disks once, with nothing kept.
///
/// # Errors
/// As [`KnownDisks::probe`].
pub(crate) fn probe_disks(host: &Host) -> Result<Vec<Disk>, HostError> {
    KnownDisks::default().probe(host)
}

/// A card reader with no card, an optical drive with no disc, a network block device that is not connected.
fn lacks_medium(host: &Host, disk: &Disk, dir: &KernelDir, sectors: u64) -> bool {
    if disk.id.name.starts_with("sr") {
        let medium = identity::udev_property(host, dir, "ID_CDROM_MEDIA").is_some();
        return sectors == 0 || (sectors == EMPTY_DRIVE_SECTORS && !medium);
    }
    sectors == 0 && (disk.removable || disk.id.name.starts_with("nbd"))
}

/// The state of a SCSI device or an NVMe controller. Of a disk behind several controllers: `live` if one of them is.
fn device_state(device: &KernelDir) -> Option<String> {
    device.text("state").or_else(|| {
        let controllers = device.names().ok()?;
        let states = controllers.iter().filter(|name| name.starts_with("nvme"));
        let mut states: Vec<String> = states.filter_map(|name| device.below(name)?.text("state")).collect();
        let place = states.iter().position(|state| state == "live").unwrap_or(0);
        (!states.is_empty()).then(|| states.swap_remove(place))
    })
}

/// Reads completed, sectors read, writes completed, sectors written, milliseconds busy.
fn io(bytes: &[u8]) -> Option<[u64; 5]> {
    let mut counts = [0; 11];
    let mut words = std::str::from_utf8(bytes).ok()?.split_ascii_whitespace();
    for slot in &mut counts {
        *slot = words.next()?.parse().ok()?;
    }
    Some([counts[0], counts[2], counts[4], counts[6], counts[9]])
}

#[cfg(test)]
mod tests;
