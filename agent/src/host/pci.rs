//! PCI Express devices from `/sys/bus/pci/devices`: links and error counters (the kernel's `sysfs-bus-pci` and
//! `sysfs-bus-pci-devices-aer_stats`).
//!
//! It must never wake a device: the width of a link is read from the device itself, so one that sleeps is not asked.

use std::collections::BTreeMap;

use hardstand_core::observed::{AerCounts, PciDevice, PciErrors, PciLink};

use super::kernel_dir::{Identity, KernelDir, is_gone};
use super::{Host, HostError};

const DEVICES: &str = "sys/bus/pci/devices";
/// The three files of a device that counts errors.
const ERRORS: [&str; 3] = ["aer_dev_correctable", "aer_dev_nonfatal", "aer_dev_fatal"];
/// More lanes than any link has: what the kernel says of a device that does not answer.
const NO_WIDTH: u64 = 63;

/// What cannot change while a device is there, kept between turns, so that most of them are not opened at all.
#[derive(Debug, Default)]
pub(crate) struct KnownPci(BTreeMap<String, Known>);

#[derive(Debug)]
struct Known {
    identity: Identity,
    id: String,
    class: u32,
    /// Lanes, and millions of transfers a second, at most; `None` where it has no link.
    most: Option<(u64, u64)>,
    counts_errors: bool,
}

impl KnownPci {
    /// The devices with a link or with error counters, by address; none on a machine without PCI.
    ///
    /// # Errors
    /// The list cannot be read, or a counter is not of its form.
    pub(crate) fn probe(&mut self, host: &Host) -> Result<Vec<PciDevice>, HostError> {
        let mut devices = Vec::new();
        let Some(class) = KernelDir::open_if_there(host, DEVICES)? else { return Ok(devices) };
        let addresses = class.names()?;
        self.0.retain(|address, _| addresses.binary_search(address).is_ok());
        for address in addresses {
            match self.device(&class, address) {
                Ok(device) => devices.extend(device),
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(devices)
    }

    fn device(&mut self, class: &KernelDir, address: String) -> Result<Option<PciDevice>, HostError> {
        let Some(identity) = class.identity_of(&address) else { return Ok(None) };
        let kept = self.0.get(&address).filter(|known| known.identity == identity);
        if kept.is_some_and(|known| known.most.is_none() && !known.counts_errors) {
            return Ok(None);
        }
        let Some(dir) = class.below(&address) else { return Ok(None) };
        if kept.is_none() {
            self.0.insert(address.clone(), known(identity, &dir)?);
        }
        let known = &self.0[&address];
        let errors = if known.counts_errors { Some(errors(&dir)?) } else { None };
        let link = known.most.and_then(|most| link(&dir, most));
        if errors.is_none() && known.most.is_none() {
            return Ok(None);
        }
        let (id, class) = (known.id.clone(), known.class);
        Ok(Some(PciDevice { address, id, class, driver: dir.link_name("driver"), link, errors }))
    }
}

fn known(identity: Identity, dir: &KernelDir) -> Result<Known, HostError> {
    let code = |name: &str| {
        dir.required_as(name, "a hexadecimal number", |bytes| {
            u32::from_str_radix(std::str::from_utf8(bytes).ok()?.strip_prefix("0x")?, 16).ok()
        })
    };
    let width = dir.number("max_link_width").filter(|width| (1..NO_WIDTH).contains(width));
    let most = width.zip(dir.text("max_link_speed").and_then(|text| megatransfers(&text)));
    Ok(Known {
        identity,
        id: format!("{:04x}:{:04x}", code("vendor")?, code("device")?),
        class: code("class")?,
        most,
        counts_errors: dir.has(ERRORS[0]),
    })
}

fn link(dir: &KernelDir, (max_width, max_megatransfers): (u64, u64)) -> Option<PciLink> {
    if dir.text("power/runtime_status").is_some_and(|status| status != "active" && status != "unsupported") {
        return None;
    }
    let width = dir.number("current_link_width").filter(|width| (1..NO_WIDTH).contains(width))?;
    let megatransfers = megatransfers(&dir.text("current_link_speed")?)?;
    Some(PciLink { width, max_width, megatransfers, max_megatransfers })
}

/// `16.0 GT/s PCIe`, `2.5 GT/s` on older kernels, or `Unknown`.
fn megatransfers(text: &str) -> Option<u64> {
    let (number, _) = text.split_once(" GT/s")?;
    let giga: f64 = number.parse().ok()?;
    // Bounded before it is cut to a whole number; PCI Express 7 has 128.
    (giga > 0.0 && giga < 10_000.0).then_some((giga * 1000.0) as u64)
}

fn errors(dir: &KernelDir) -> Result<PciErrors, HostError> {
    let counts = |file| dir.required_as(file, "lines of a kind and a count", parse_counts);
    let [correctable, nonfatal, fatal] = ERRORS;
    Ok(PciErrors { correctable: counts(correctable)?, nonfatal: counts(nonfatal)?, fatal: counts(fatal)? })
}

/// Parses `RxErr 0`, ..., `TOTAL_ERR_COR 0`; the first kernels that had it wrote kinds of several words.
pub(crate) fn parse_counts(bytes: &[u8]) -> Option<AerCounts> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (mut counts, mut total) = (AerCounts::default(), None);
    for line in text.lines() {
        let (kind, count) = line.rsplit_once(' ')?;
        let count: u64 = count.parse().ok()?;
        if kind.starts_with("TOTAL_ERR_") {
            total = Some(count);
        } else if count > 0 {
            counts.kinds.push((kind.to_owned(), count));
        }
    }
    // Without its end it is not whole.
    counts.total = total?;
    Some(counts)
}

#[cfg(test)]
mod tests;
