//! Network cards: driver, bus, PCI numbers.
//!
//! It must never list what is made of software (bridges, bonds, taps).

use hardstand_core::observed::NicInfo;

use crate::host::kernel_dir::KernelDir;
use crate::host::{Host, HostError};

/// How far above a network device its PCI function may be (virtio and USB put devices of their own in between).
const LEVELS: usize = 6;
/// Speeds are in megabits a second.
const BYTES_PER_MEGABIT: u64 = 125_000;

/// Reads the cards, sorted by the interface's name.
///
/// # Errors
/// `/sys/class/net` cannot be read.
pub(crate) fn nic_infos(host: &Host) -> Result<Vec<NicInfo>, HostError> {
    let class = KernelDir::open(host, "sys/class/net")?;
    let mut cards = Vec::new();
    for name in class.names()? {
        let Some(dir) = class.below(&name) else { continue };
        let Some(device) = dir.below("device") else { continue };
        let (bus, pci_id) = place(&class, &name, &device);
        let speed = dir.number::<i64>("speed").and_then(|megabits| u64::try_from(megabits).ok());
        cards.push(NicInfo {
            // A member of a bond wears the bond's address; its own is kept by the bonding driver.
            mac: dir.text("bonding_slave/perm_hwaddr").or_else(|| dir.text("address")).unwrap_or_default(),
            driver: device.link_name("driver"),
            bus,
            pci_id,
            speed_bytes_per_second: speed.and_then(|megabits| megabits.checked_mul(BYTES_PER_MEGABIT)),
            name,
        });
    }
    Ok(cards)
}

/// The nearest PCI function above the interface and its numbers; else the device's own name on its bus.
fn place(class: &KernelDir, name: &str, device: &KernelDir) -> (Option<String>, Option<String>) {
    let target = class.link(name).unwrap_or_default();
    let parts: Vec<&str> = target.split('/').collect();
    let above = parts.iter().rev().skip(2).take(LEVELS).position(|part| is_pci_address(part));
    let Some(levels) = above else {
        return (parts.iter().rev().nth(2).map(|part| (*part).to_owned()), None);
    };
    let address = parts[parts.len() - 3 - levels];
    let number = |file: &str| {
        let text = device.text(&format!("{}{file}", "../".repeat(levels)))?;
        Some(text.strip_prefix("0x")?.to_owned())
    };
    let pci_id = number("vendor").zip(number("device")).map(|(vendor, device)| format!("{vendor}:{device}"));
    (Some(address.to_owned()), pci_id)
}

/// `0000:01:00.0`
fn is_pci_address(part: &str) -> bool {
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut pieces = part.split(':');
    let (Some(domain), Some(bus), Some(rest), None) = (pieces.next(), pieces.next(), pieces.next(), pieces.next())
    else {
        return false;
    };
    let Some((slot, function)) = rest.split_once('.') else { return false };
    [domain, bus, slot, function].into_iter().all(hex)
}
