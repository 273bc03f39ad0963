//! `hardstand inventory` as a person reads it.
//!
//! It must never leave out what could not be read: it stands there with its reason.

use hardstand_core::Reading;
use hardstand_core::observed::{BootEntry, Dimm, Disk, FirmwareType, Inventory, NicInfo};

use super::document::InventoryDocument;
use super::metrics::transport_word;
use super::table::{Cell, Fit, Row, draw};
use super::terminal::{Style, age, decimal_size, link_speed, one_line, size, wrap};

/// Columns of the names on the left.
const NAME_WIDTH: usize = 11;

/// Draws the document.
pub(crate) fn inventory_screen(document: &InventoryDocument, style: Style) -> String {
    let mut out = format!(
        "{}  {}\n",
        style.bold(&one_line(&document.node)),
        style.dim(&format!("inventory of {} ago", age(document.age_seconds as u64)))
    );
    match &document.inventory {
        Reading::Unknown { why } => out.push_str(&line(style, "unknown", why)),
        Reading::Known(inventory) => write_inventory(&mut out, inventory, style),
    }
    out
}

fn write_inventory(out: &mut String, inventory: &Inventory, style: Style) {
    out.push_str(&line(style, "machine", &machine(inventory)));
    if let Some(serial) = &inventory.dmi.product_serial {
        out.push_str(&line(style, "serial", serial));
    }
    out.push_str(&line(style, "system", &inventory.operating_system));
    let cpu = &inventory.cpu;
    let counts = format!("{} x {}, {} cores, {} threads", cpu.sockets, cpu.model, cpu.cores, cpu.threads);
    out.push_str(&line(style, "processor", &counts));
    out.push_str(&line(style, "microcode", &or_none(&cpu.microcode.join(", "))));
    out.push_str(&line(style, "memory", &memory(inventory)));
    out.push_str(&line(style, "firmware", &firmware(inventory)));
    let tpm = inventory.tpm.as_ref().map(|tpm| format!("{} {}", tpm.version, tpm.description.as_deref().unwrap_or("")));
    out.push_str(&line(style, "TPM", &or_none(tpm.as_deref().unwrap_or_default())));
    write_dimms(out, &inventory.dimms, style);
    write_disks(out, &inventory.disks, style);
    write_nics(out, &inventory.nics, style);
    write_boot_entries(out, &inventory.boot_entries, style);
}

/// One name and its value, wrapped beside it.
pub(super) fn line(style: Style, name: &str, value: &str) -> String {
    let mut out = String::new();
    let room = style.width.saturating_sub(NAME_WIDTH + 2);
    for (index, part) in wrap(&one_line(value), room).iter().enumerate() {
        let name = if index == 0 { name } else { "" };
        out.push_str(&format!("  {}{part}\n", style.dim(&format!("{name:<NAME_WIDTH$}"))));
    }
    out
}

fn or_none(text: &str) -> String {
    if text.trim().is_empty() { "none".to_owned() } else { text.trim().to_owned() }
}

/// Maker, model and board, and whether it is a virtual machine.
pub(super) fn machine(inventory: &Inventory) -> String {
    let dmi = &inventory.dmi;
    let words: Vec<&str> = [&dmi.sys_vendor, &dmi.product_name].into_iter().flatten().map(String::as_str).collect();
    let mut text = if words.is_empty() { "not named by its firmware".to_owned() } else { words.join(" ") };
    if let Some(board) = &dmi.board_name {
        text.push_str(&format!(", board {board}"));
    }
    if let Some(technology) = &inventory.virtualisation {
        text.push_str(&format!(" (virtual: {technology})"));
    }
    text
}

fn memory(inventory: &Inventory) -> String {
    let total = size(inventory.memory_bytes);
    match &inventory.dimms {
        Reading::Known(dimms) => {
            let filled = dimms.iter().filter(|dimm| dimm.size_bytes > 0).count();
            format!("{total}, {filled} of {} slots filled", dimms.len())
        }
        Reading::Unknown { why } => format!("{total}; slots unknown: {why}"),
    }
}

fn firmware(inventory: &Inventory) -> String {
    let dmi = &inventory.dmi;
    let kind = match inventory.firmware {
        FirmwareType::Uefi => "UEFI",
        FirmwareType::Bios => "BIOS",
    };
    let words = [&dmi.bios_vendor, &dmi.bios_version, &dmi.bios_date];
    let mut parts = vec![kind.to_owned()];
    parts.extend(words.into_iter().flatten().cloned());
    let secure = match &inventory.secure_boot {
        Reading::Known(true) => "Secure Boot on".to_owned(),
        Reading::Known(false) => "Secure Boot off".to_owned(),
        Reading::Unknown { why } => format!("Secure Boot unknown: {why}"),
    };
    format!("{}; {secure}", parts.join(" "))
}

fn plain(cells: Vec<String>) -> Row<'static> {
    Row { cells: cells.into_iter().map(Cell::new).collect(), below: String::new() }
}

fn write_dimms(out: &mut String, dimms: &Reading<Vec<Dimm>>, style: Style) {
    let filled = dimms.known().into_iter().flatten().filter(|dimm| dimm.size_bytes > 0);
    let rows: Vec<Row<'_>> = filled
        .map(|dimm| {
            let speed = dimm.speed_mts.map_or_else(String::new, |speed| format!("{speed} MT/s"));
            let maker = [&dimm.manufacturer, &dimm.part_number].into_iter().flatten().cloned().collect::<Vec<_>>();
            plain(vec![dimm.locator.clone(), size(dimm.size_bytes), dimm.kind.clone(), speed, maker.join(" ")])
        })
        .collect();
    let headings =
        [("MEMORY", Fit::Cut), ("SIZE", Fit::Whole), ("KIND", Fit::Whole), ("SPEED", Fit::Whole), ("PART", Fit::Wrap)];
    section(out, style, &headings, &rows);
}

fn write_disks(out: &mut String, disks: &[Disk], style: Style) {
    let rows: Vec<Row<'_>> = disks
        .iter()
        .map(|disk| {
            let kind = if disk.rotational { "spins" } else { "" };
            plain(vec![
                disk.id.name.clone(),
                decimal_size(disk.size_bytes),
                format!("{} {kind}", transport_word(disk.transport)).trim().to_owned(),
                disk.model.clone().unwrap_or_default(),
                disk.firmware.clone().unwrap_or_default(),
                disk.id.serial.clone().or_else(|| disk.id.wwn.clone()).unwrap_or_default(),
            ])
        })
        .collect();
    let headings = [
        ("DISK", Fit::Cut),
        ("SIZE", Fit::Whole),
        ("BY", Fit::Whole),
        ("MODEL", Fit::Wrap),
        ("FIRMWARE", Fit::Cut),
        ("SERIAL", Fit::Cut),
    ];
    section(out, style, &headings, &rows);
}

fn write_nics(out: &mut String, nics: &[NicInfo], style: Style) {
    let rows: Vec<Row<'_>> = nics
        .iter()
        .map(|nic| {
            let bus = [&nic.bus, &nic.pci_id].into_iter().flatten().cloned().collect::<Vec<_>>();
            plain(vec![
                nic.name.clone(),
                nic.mac.clone(),
                nic.speed_bytes_per_second.map_or_else(String::new, link_speed),
                nic.driver.clone().unwrap_or_default(),
                bus.join(" "),
            ])
        })
        .collect();
    let headings =
        [("NIC", Fit::Cut), ("MAC", Fit::Whole), ("SPEED", Fit::Whole), ("DRIVER", Fit::Cut), ("BUS", Fit::Wrap)];
    section(out, style, &headings, &rows);
}

fn write_boot_entries(out: &mut String, entries: &Reading<Vec<BootEntry>>, style: Style) {
    let entries = match entries {
        Reading::Known(entries) => entries,
        Reading::Unknown { why } => {
            out.push('\n');
            out.push_str(&line(style, "boot", &format!("entries unknown: {why}")));
            return;
        }
    };
    let mut sorted: Vec<&BootEntry> = entries.iter().collect();
    sorted.sort_by_key(|entry| (entry.order.unwrap_or(u32::MAX), entry.number.clone()));
    let rows: Vec<Row<'_>> = sorted
        .into_iter()
        .map(|entry| {
            let mut words = Vec::new();
            if entry.current {
                words.push("booted from");
            }
            if !entry.active {
                words.push("not active");
            }
            let order = entry.order.map_or_else(String::new, |order| (order + 1).to_string());
            plain(vec![entry.number.clone(), order, entry.description.clone(), words.join(", ")])
        })
        .collect();
    let headings = [("BOOT", Fit::Whole), ("ORDER", Fit::Whole), ("ENTRY", Fit::Wrap), ("", Fit::Cut)];
    section(out, style, &headings, &rows);
}

/// A table after a blank line, where there is something in it.
pub(super) fn section(out: &mut String, style: Style, headings: &[(&str, Fit)], rows: &[Row<'_>]) {
    if !rows.is_empty() {
        out.push('\n');
        out.push_str(&draw(style, headings, rows, 2));
    }
}
