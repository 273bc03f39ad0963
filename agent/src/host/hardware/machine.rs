//! The machine as its firmware describes it: DMI, firmware type, TPM, virtualisation; and the name of its operating
//! system.
//!
//! It must never read what only root may: that is the helper's.

use hardstand_core::observed::{Dmi, FirmwareType, Tpm};

use super::smbios::says_something;
use crate::host::kernel_dir::KernelDir;
use crate::host::{Host, HostError};

/// `PRETTY_NAME` of `/etc/os-release`, or `unknown`.
pub(crate) fn operating_system(host: &Host) -> String {
    let text = host.attribute("etc/os-release").or_else(|| host.attribute("usr/lib/os-release")).unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "unknown".to_owned(), |name| name.trim_matches(['"', '\'']).to_owned())
}

/// Whether the machine was started by UEFI.
pub(crate) fn firmware(host: &Host) -> FirmwareType {
    if host.path("sys/firmware/efi").is_dir() { FirmwareType::Uefi } else { FirmwareType::Bios }
}

/// What `/sys/class/dmi/id` says to everybody (and the serial numbers, when we are root).
pub(crate) fn dmi(host: &Host) -> Dmi {
    let Ok(dir) = KernelDir::open(host, "sys/class/dmi/id") else { return Dmi::default() };
    let text = |name: &str| dir.text(name).filter(|text| says_something(text));
    Dmi {
        sys_vendor: text("sys_vendor"),
        product_name: text("product_name"),
        product_serial: text("product_serial"),
        product_uuid: text("product_uuid"),
        board_vendor: text("board_vendor"),
        board_name: text("board_name"),
        bios_vendor: text("bios_vendor"),
        bios_version: text("bios_version"),
        bios_date: text("bios_date"),
        chassis_type: text("chassis_type"),
    }
}

/// The first TPM.
pub(crate) fn tpm(host: &Host) -> Option<Tpm> {
    let name = host.names("sys/class/tpm").into_iter().find(|name| name.starts_with("tpm"))?;
    let dir = KernelDir::open(host, format!("sys/class/tpm/{name}")).ok()?;
    let version = match dir.text("tpm_version_major").as_deref() {
        Some("2") => "2.0".to_owned(),
        Some("1") => "1.2".to_owned(),
        Some(other) => other.to_owned(),
        None => "unknown".to_owned(),
    };
    let driver = dir.link_name("device/driver").map(|driver| format!("driver {driver}"));
    Some(Tpm { version, description: dir.text("device/description").or(driver) })
}

/// Names the virtual machine we run in: a hypervisor's own mark first, then the firmware's words, then the processor's.
pub(crate) fn virtualisation(host: &Host, dmi: &Dmi) -> Result<Option<String>, HostError> {
    if let Some(kind) = host.attribute("sys/hypervisor/type") {
        return Ok(Some(kind));
    }
    let flags = host.read("proc/cpuinfo")?;
    let is_virtual = flags
        .lines()
        .find(|line| line.starts_with("flags"))
        .is_some_and(|line| line.split_ascii_whitespace().any(|flag| flag == "hypervisor"));
    let clocks = host.attribute("sys/devices/system/clocksource/clocksource0/available_clocksource");
    let has_clock = |name: &str| clocks.as_deref().is_some_and(|clocks| clocks.contains(name));
    if is_virtual && has_clock("kvm-clock") {
        return Ok(Some("kvm".to_owned()));
    }
    if is_virtual && has_clock("hyperv_clocksource") {
        return Ok(Some("hyperv".to_owned()));
    }
    // Makers of virtual machines as they write themselves into the firmware.
    let makers = [
        ("QEMU", "qemu"),
        ("VMware", "vmware"),
        ("innotek", "virtualbox"),
        ("VirtualBox", "virtualbox"),
        ("Xen", "xen"),
        ("Bochs", "bochs"),
        ("Parallels", "parallels"),
        ("Google Compute Engine", "google"),
        ("Amazon EC2", "amazon"),
        ("BHYVE", "bhyve"),
    ];
    let words = [&dmi.sys_vendor, &dmi.product_name, &dmi.bios_vendor, &dmi.board_vendor];
    let named = makers.iter().find(|(maker, _)| words.iter().copied().flatten().any(|word| word.starts_with(maker)));
    let kind = named.map(|(_, kind)| *kind).or_else(|| is_virtual.then_some("another hypervisor"));
    Ok(kind.map(str::to_owned))
}
