//! Kernel, firmware, clock, systemd and packages.
//!
//! It must never put on the page what the kernel shows to root alone (serial number and UUID of the machine).

use std::collections::BTreeMap;

use hardstand_core::Observed;
use hardstand_core::observed::{Clock, Inventory, Kernel, Packages, PendingPackage, Units};

use super::page::{Kind, Page};

pub(super) fn write(page: &mut Page, observed: &Observed) {
    write_machine(page, observed.inventory.shown());
    write_kernel(page, &observed.node, observed.kernel.shown());
    write_clock(page, observed.clock.shown());
    write_units(page, observed.units.shown());
    write_packages(page, observed.packages.shown());
}

fn write_machine(page: &mut Page, inventory: Option<&Inventory>) {
    let mut os = page.family("node_os_info", Kind::Info, "The operating system.");
    if let Some(inventory) = inventory {
        os.sample(&[("pretty_name", &inventory.operating_system)], 1.0);
    }
    let mut dmi = page.family("node_dmi_info", Kind::Info, "What the firmware says of the machine.");
    if let Some(inventory) = inventory {
        let of = |text: &Option<String>| text.clone().unwrap_or_default();
        let labels = [
            ("bios_date", &*of(&inventory.dmi.bios_date)),
            ("bios_vendor", &*of(&inventory.dmi.bios_vendor)),
            ("bios_version", &*of(&inventory.dmi.bios_version)),
            ("board_name", &*of(&inventory.dmi.board_name)),
            ("board_vendor", &*of(&inventory.dmi.board_vendor)),
            ("product_name", &*of(&inventory.dmi.product_name)),
            ("system_vendor", &*of(&inventory.dmi.sys_vendor)),
        ];
        dmi.sample(&labels, 1.0);
    }
    let mut firmware = page.family("hardstand_firmware_info", Kind::Info, "Versions of firmware.");
    if let Some(version) = inventory.and_then(|inventory| inventory.dmi.bios_version.as_ref()) {
        firmware.sample(&[("component", "bios"), ("version", version)], 1.0);
    }
    let mut microcode = page.family("hardstand_microcode_info", Kind::Info, "Microcode revisions the processors run.");
    for version in inventory.iter().flat_map(|inventory| &inventory.cpu.microcode) {
        microcode.sample(&[("version", version)], 1.0);
    }
}

fn write_kernel(page: &mut Page, node: &str, kernel: Option<&Kernel>) {
    let mut uname = page.family("node_uname_info", Kind::Info, "The running kernel.");
    if let Some(kernel) = kernel {
        let labels = [
            ("machine", std::env::consts::ARCH),
            ("nodename", node),
            ("release", &kernel.release),
            ("sysname", "Linux"),
            ("version", &kernel.version),
        ];
        uname.sample(&labels, 1.0);
    }
    page.family("node_boot_time_seconds", Kind::Gauge, "When the node was booted, in seconds since 1970.")
        .optional(&[], kernel.map(|kernel| kernel.booted_unix_seconds as f64));
    let reasons = kernel.and_then(|kernel| kernel.reboot.known());
    page.family("node_reboot_required", Kind::Gauge, "Whether a reboot is due.")
        .optional(&[], reasons.map(|reasons| f64::from(u8::from(!reasons.is_empty()))));
    let mut family = page.family("hardstand_reboot_reason", Kind::Gauge, "Why a reboot is due.");
    if let Some(reasons) = reasons {
        for label in ["kernel", "requested", "replaced"] {
            family.flag(&[("reason", label)], reasons.iter().any(|reason| reason.label() == label));
        }
    }
}

fn write_clock(page: &mut Page, clock: Option<&Clock>) {
    type Pick = fn(&Clock) -> f64;
    let rows: [(&str, &str, Pick); 5] = [
        ("node_timex_sync_status", "Whether the kernel holds the clock for disciplined.", |clock| {
            f64::from(u8::from(clock.synchronised))
        }),
        ("node_timex_offset_seconds", "Offset of the clock.", |clock| clock.offset_seconds),
        ("node_timex_maxerror_seconds", "Largest error.", |clock| clock.max_error_seconds),
        ("node_timex_estimated_error_seconds", "Estimated error.", |clock| clock.estimated_error_seconds),
        ("node_timex_frequency_adjustment_ratio", "Frequency adjustment.", |clock| clock.frequency_ratio),
    ];
    for (name, help, pick) in rows {
        page.family(name, Kind::Gauge, help).optional(&[], clock.map(pick));
    }
    let mut source = page.family("hardstand_clock_source_info", Kind::Info, "The active time service.");
    if let Some(clock) = clock {
        source.sample(&[("source", clock.source.as_deref().unwrap_or("none"))], 1.0);
    }
}

fn write_units(page: &mut Page, units: Option<&Units>) {
    page.family("hardstand_systemd_failed_units", Kind::Gauge, "Units in state failed.")
        .optional(&[], units.map(|units| units.failed.len() as f64));
    let mut failed =
        page.family("hardstand_systemd_unit_failed", Kind::Gauge, "The failed and the declared units: 1 when failed.");
    for unit in units.iter().flat_map(|units| units.failed.iter().chain(&units.declared)) {
        failed.flag(&[("name", &unit.name)], unit.active == "failed");
    }
    let mut declared = page.family("hardstand_systemd_unit_active", Kind::Gauge, "The declared units: 1 when active.");
    for unit in units.iter().flat_map(|units| &units.declared) {
        declared.flag(&[("name", &unit.name)], unit.active == "active");
    }
    page.family("node_systemd_system_running", Kind::Gauge, "Whether systemd calls the system running.")
        .optional(&[], units.map(|units| f64::from(u8::from(units.system_state == "running"))));
    let mut version = page.family("hardstand_systemd_info", Kind::Info, "systemd's version.");
    if let Some(units) = units {
        version.sample(&[("version", &units.version)], 1.0);
    }
}

fn write_packages(page: &mut Page, packages: Option<&Packages>) {
    let pending = packages.and_then(|packages| packages.pending.known());
    let mut family = page.family("apt_upgrades_pending", Kind::Gauge, "Pending upgrades by origin and architecture.");
    if let Some(pending) = pending {
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for package in pending {
            *counts.entry((&package.origin, &package.arch)).or_default() += 1;
        }
        if counts.is_empty() {
            family.sample(&[("origin", ""), ("arch", "")], 0.0);
        }
        for ((origin, arch), count) in counts {
            family.sample(&[("origin", origin), ("arch", arch)], count as f64);
        }
    }
    let count =
        |wanted: fn(&&PendingPackage) -> bool| pending.map(|pending| pending.iter().filter(wanted).count() as f64);
    page.family("hardstand_security_upgrades_pending", Kind::Gauge, "Pending upgrades from security lists.")
        .optional(&[], count(|package| package.security));
    page.family("hardstand_held_upgrades_pending", Kind::Gauge, "Pending upgrades the operator holds back.")
        .optional(&[], count(|package| package.held));
    page.family("apt_package_cache_timestamp_seconds", Kind::Gauge, "When the package lists were last refreshed.")
        .optional(
            &[],
            packages.and_then(|packages| packages.lists_refreshed_unix_seconds.known()).map(|seconds| *seconds as f64),
        );
    type Pick = fn(&Packages) -> usize;
    let rows: [(&str, &str, Pick); 4] = [
        ("hardstand_packages_installed", "Packages installed.", |packages| packages.installed as usize),
        ("hardstand_packages_held", "Packages on hold.", |packages| packages.held.len()),
        ("hardstand_packages_half_configured", "Packages dpkg left in the middle.", |packages| {
            packages.half_configured.len()
        }),
        ("hardstand_dpkg_interrupted", "Whether a dpkg operation was cut off or is under way.", |packages| {
            usize::from(packages.dpkg_interrupted)
        }),
    ];
    for (name, help, pick) in rows {
        page.family(name, Kind::Gauge, help).optional(&[], packages.map(|packages| pick(packages) as f64));
    }
}
