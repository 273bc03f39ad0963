//! What a disk is: identity, model and transport, from sysfs and udev's database.
//!
//! It must never guess a serial number: without one a disk is remembered by its WWN or its name.

use hardstand_core::observed::{Disk, DiskId, Transport};

use crate::host::Host;
use crate::host::kernel_dir::KernelDir;

/// Reads what stays the same while a disk is plugged in; `None` when the device is no disk (a path of a multipath
/// NVMe, a device made of others). Sizes, states and counters are left at zero.
pub(super) fn identify(host: &Host, block: &KernelDir, dir: &KernelDir, name: &str) -> Option<Disk> {
    let place = block.link(name)?;
    let is_nvme = name.starts_with("nvme");
    let is_nbd = name.starts_with("nbd");
    // A disk behind several NVMe controllers is a virtual device; its hidden paths are not disks.
    if dir.flag("hidden") || (place.contains("/virtual/") && !is_nvme && !is_nbd) {
        return None;
    }
    let transport = transport(&place, name);
    let device = dir.below("device");
    let text = |attribute: &str| device.as_ref().and_then(|device| device.text(attribute));
    let (model, vendor, firmware) = match transport {
        Transport::Nvme => (text("model"), None, text("firmware_rev")),
        Transport::Mmc => (text("name"), None, text("fwrev")),
        // virtio keeps PCI numbers in `device/vendor`, which name no maker.
        Transport::Virtio if name.starts_with("vd") => (None, None, None),
        _ => (text("model"), text("vendor"), text("rev")),
    };
    let serial = serial(dir, device.as_ref(), transport);
    let wwn = wwn(dir, device.as_ref());
    let udev = if serial.is_none() || wwn.is_none() { udev_database(host, dir) } else { None };
    let from_udev = |key: &str| udev.as_deref().and_then(|database| property(database, key));
    Some(Disk {
        id: DiskId {
            wwn: wwn.or_else(|| from_udev("ID_WWN_WITH_EXTENSION").or_else(|| from_udev("ID_WWN")).map(naa)),
            serial: serial.or_else(|| from_udev("ID_SERIAL_SHORT")).or_else(|| usb_serial(host, &place, transport)),
            name: name.to_owned(),
        },
        model,
        // libata puts its own name where a SCSI disk has its maker's.
        vendor: vendor.filter(|vendor| vendor != "ATA"),
        firmware,
        size_bytes: 0,
        transport,
        rotational: dir.flag("queue/rotational"),
        removable: dir.flag("removable"),
        read_only: false,
        device_state: None,
        io_errors: None,
        io: [0; 5],
    })
}

/// How a disk is reached, told by the parts of its place in `/sys/devices`. The order decides: a SATA disk in a USB
/// case is reached by USB.
fn transport(place: &str, name: &str) -> Transport {
    let parts = || place.split('/');
    let any_starts = |prefix: &str| parts().any(|part| part.starts_with(prefix));
    let numbered = |prefix: &str| {
        parts().any(|part| {
            let digits = part.strip_prefix(prefix).unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    if name.starts_with("nvme") {
        Transport::Nvme
    } else if name.starts_with("mmcblk") {
        Transport::Mmc
    } else if numbered("usb") {
        Transport::Usb
    } else if numbered("session") {
        Transport::Iscsi
    } else if any_starts("rport-") {
        Transport::Fc
    } else if any_starts("end_device-") {
        Transport::Sas
    } else if numbered("ata") {
        Transport::Sata
    } else if numbered("virtio") {
        Transport::Virtio
    } else if numbered("host") {
        Transport::Scsi
    } else {
        Transport::Other
    }
}

fn serial(dir: &KernelDir, device: Option<&KernelDir>, transport: Transport) -> Option<String> {
    match transport {
        Transport::Virtio => dir.text("serial").or_else(|| device.and_then(unit_serial)),
        Transport::Nvme | Transport::Mmc => device?.text("serial"),
        // A bridge in a USB case answers page 0x80 with its own constant as often as with the disk's serial.
        Transport::Usb => None,
        _ => device.and_then(unit_serial),
    }
}

/// SCSI vital product data, page 0x80 (unit serial number): four bytes of header, then text.
fn unit_serial(device: &KernelDir) -> Option<String> {
    let page = device.bytes("vpd_pg80")?;
    let length = usize::from(u16::from_be_bytes([*page.get(2)?, *page.get(3)?]));
    let text = page.get(4..4 + length).or_else(|| page.get(4..))?;
    let text = String::from_utf8_lossy(text);
    let text = text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0');
    // Some firmware fills the field with what is no serial at all.
    let is_text = !text.is_empty() && text.chars().all(|letter| letter.is_ascii_graphic() || letter == ' ');
    is_text.then(|| text.to_owned())
}

/// `naa.` or `eui.` name of the device; a `t10.` name only repeats model and serial.
fn wwn(dir: &KernelDir, device: Option<&KernelDir>) -> Option<String> {
    let named = dir.text("wwid").or_else(|| device.and_then(|device| device.text("wwid")))?;
    ["naa.", "eui.", "uuid."].iter().any(|prefix| named.starts_with(prefix)).then_some(named)
}

/// udev writes `0x5000c500a1b2c3d4` where sysfs writes `naa.5000c500a1b2c3d4`.
fn naa(name: String) -> String {
    name.strip_prefix("0x").map(|digits| format!("naa.{digits}")).unwrap_or(name)
}

/// The serial number of the USB device the disk hangs on: the nearest one above it.
fn usb_serial(host: &Host, place: &str, transport: Transport) -> Option<String> {
    if transport != Transport::Usb {
        return None;
    }
    // `.../usb2/2-1/2-1:1.0/host0/...`: the device is above its interface, which has a colon in its name.
    let parts: Vec<&str> = place.split('/').filter(|part| *part != "..").collect();
    let interface = parts
        .iter()
        .rposition(|part| part.split_once(':').is_some_and(|(port, rest)| port.contains('-') && rest.contains('.')))?;
    let device = format!("sys/{}", parts[..interface].join("/"));
    KernelDir::open(host, device).ok()?.text("serial")
}

fn udev_database(host: &Host, dir: &KernelDir) -> Option<String> {
    let number = dir.text("dev")?;
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
        return None;
    }
    host.read(format!("run/udev/data/b{number}")).ok()
}

fn property(database: &str, key: &str) -> Option<String> {
    database
        .lines()
        .filter_map(|line| line.strip_prefix("E:")?.split_once('='))
        .find(|(name, value)| *name == key && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}

/// One property of a device in udev's database.
pub(super) fn udev_property(host: &Host, dir: &KernelDir, key: &str) -> Option<String> {
    property(&udev_database(host, dir)?, key)
}
