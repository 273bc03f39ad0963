//! `hardstand status` as a person reads it: the verdict, then what one asks next.
//!
//! It must never show an old value as a present one: what is not current is named at the end.

use hardstand_core::health::{ServiceRow, ServiceWindow};
use hardstand_core::observed::{
    Disk, Filesystem, Kernel, Nic, Observed, OperState, Packages, PowerState, RebootReason, Role, Smart,
};
use hardstand_core::{Reading, Severity};

use super::document::{FindingRow, HealthDocument};
use super::health_screen::{coloured_sentence, findings_table, not_read};
use super::inventory_screen::{line, machine, section};
use super::metrics::transport_word;
use super::table::{Cell, Fit, Row};
use super::terminal::{Style, age, decimal_size, link_speed, one_line, size};

/// Findings on the screen; the others are counted. More would push the rest off it.
const FINDINGS: usize = 5;

/// Draws the node.
pub(crate) fn status_screen(seen: &Observed, health: &HealthDocument, style: Style, now_unix_seconds: u64) -> String {
    let mut out = format!("{}  {}\n", style.bold(&one_line(&health.node)), coloured_sentence(health, style));
    write_node(&mut out, seen, style, now_unix_seconds);
    write_findings(&mut out, health, style, now_unix_seconds);
    write_disks(&mut out, seen, style);
    write_filesystems(&mut out, seen.filesystems.shown().map_or(&[], Vec::as_slice), style);
    write_nics(&mut out, seen.nics.shown().map_or(&[], Vec::as_slice), style);
    write_services(&mut out, &health.services, style);
    out.push('\n');
    out.push_str(&collectors(health, style));
    out
}

fn write_node(out: &mut String, seen: &Observed, style: Style, now: u64) {
    if let Some(inventory) = seen.inventory.shown() {
        out.push_str(&line(style, "machine", &machine(inventory)));
        let role = seen.role.word();
        out.push_str(&line(style, "system", &format!("{}, role {role}", inventory.operating_system)));
    }
    if let Some(kernel) = seen.kernel.shown() {
        let up = age(now.saturating_sub(kernel.booted_unix_seconds));
        out.push_str(&line(style, "kernel", &format!("{}, up {up}", kernel.release)));
        out.push_str(&line(style, "boot id", &kernel.boot_id));
        out.push_str(&line(style, "reboot", &reboot(kernel)));
    }
    // A live image is replaced, not updated.
    if let Some(packages) = seen.packages.shown()
        && seen.role != Role::Live
    {
        out.push_str(&line(style, "updates", &updates(packages, now)));
    }
    if let Some(cpu) = seen.cpu.shown() {
        let [one, five, fifteen] = cpu.load;
        let load = format!("{one:.2} {five:.2} {fifteen:.2} on {} processors", cpu.times.len());
        out.push_str(&line(style, "load", &load));
    }
    if let Some(memory) = seen.memory.shown()
        && let (Some(total), Some(available)) = (memory.field("MemTotal"), memory.field("MemAvailable"))
    {
        out.push_str(&line(style, "memory", &format!("{} of {} available", size(available), size(total))));
    }
    if let Some(clock) = seen.clock.shown() {
        let source = clock.source.as_deref().unwrap_or("no time service");
        // Without discipline the kernel has no offset to speak of; how wrong it may be it does know.
        let text = if clock.synchronised {
            format!("synchronised, {source}, off by {}", small_seconds(clock.offset_seconds))
        } else {
            format!("not synchronised, {source}, wrong by up to {}", small_seconds(clock.max_error_seconds))
        };
        out.push_str(&line(style, "clock", &text));
    }
    if let Some(units) = seen.units.shown() {
        let failed: Vec<&str> = units.failed.iter().map(|unit| unit.name.as_str()).collect();
        let failed =
            if failed.is_empty() { "none failed".to_owned() } else { format!("failed: {}", failed.join(", ")) };
        out.push_str(&line(style, "systemd", &format!("{}, {failed}", units.system_state)));
    }
}

fn reboot(kernel: &Kernel) -> String {
    let reasons = match &kernel.reboot {
        Reading::Unknown { why } => return format!("unknown whether one is due: {why}"),
        Reading::Known(reasons) if reasons.is_empty() => return "not needed".to_owned(),
        Reading::Known(reasons) => reasons,
    };
    let words: Vec<String> = reasons
        .iter()
        .map(|reason| match reason {
            RebootReason::NewerKernel { newest, .. } => format!("kernel {newest} would boot next"),
            RebootReason::Requested { packages } if packages.is_empty() => "asked for by a package".to_owned(),
            RebootReason::Requested { packages } => format!("asked for by {}", packages.join(", ")),
            RebootReason::Replaced { what } => format!("{what} was replaced and still runs"),
        })
        .collect();
    format!("needed: {}", words.join("; "))
}

fn updates(packages: &Packages, now: u64) -> String {
    let mut words = vec![match &packages.pending {
        Reading::Unknown { why } => format!("unknown: {why}"),
        Reading::Known(pending) if pending.is_empty() => "none pending".to_owned(),
        Reading::Known(pending) => {
            let security = pending.iter().filter(|package| package.security).count();
            format!("{} pending, {security} of them security", pending.len())
        }
    }];
    if let Reading::Known(refreshed) = packages.lists_refreshed_unix_seconds {
        words.push(format!("lists {} old", age(now.saturating_sub(refreshed))));
    }
    if !packages.half_configured.is_empty() {
        words.push(format!("{} half configured", packages.half_configured.len()));
    }
    if packages.dpkg_interrupted {
        words.push("dpkg was interrupted or is at work".to_owned());
    }
    if !packages.held.is_empty() {
        words.push(format!("{} held", packages.held.len()));
    }
    words.join(", ")
}

/// `-12 µs`, `3.4 ms`, `1.2 s`.
fn small_seconds(seconds: f64) -> String {
    match seconds.abs() {
        s if s < 0.001 => format!("{:.0} µs", seconds * 1e6),
        s if s < 1.0 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

fn write_findings(out: &mut String, health: &HealthDocument, style: Style, now: u64) {
    let worth: Vec<&FindingRow> = health.findings.iter().filter(|row| row.severity != Severity::Ok).collect();
    if worth.is_empty() {
        return;
    }
    let brief: Vec<FindingRow> =
        worth.iter().take(FINDINGS).map(|row| FindingRow { evidence: String::new(), ..(*row).clone() }).collect();
    out.push('\n');
    out.push_str(&findings_table(&brief.iter().collect::<Vec<_>>(), style, now));
    if worth.len() > FINDINGS {
        out.push_str(&style.dim(&format!("{} more: hardstand health", worth.len() - FINDINGS)));
        out.push('\n');
    }
}

fn write_disks(out: &mut String, seen: &Observed, style: Style) {
    let disks = seen.disks.shown().map_or(&[][..], Vec::as_slice);
    let smart = |disk: &Disk| seen.smart.shown().and_then(|all| all.get(&*disk.id.key()));
    let rows: Vec<Row<'_>> = disks.iter().map(|disk| disk_row(disk, smart(disk))).collect();
    let headings = [
        ("DISK", Fit::Cut),
        ("SIZE", Fit::Whole),
        ("BY", Fit::Whole),
        ("MODEL", Fit::Wrap),
        ("TEMP", Fit::Whole),
        ("USED", Fit::Whole),
        ("SMART", Fit::Whole),
    ];
    section(out, style, &headings, &rows);
}

fn disk_row(disk: &Disk, smart: Option<&Smart>) -> Row<'static> {
    let detail = smart.and_then(|smart| smart.detail.known());
    let temperature = detail.and_then(|detail| detail.temperature_celsius);
    let used = detail.and_then(|detail| {
        let ata = detail.ata.and_then(|ata| ata.used_percent);
        let scsi = detail.scsi.and_then(|scsi| scsi.percentage_used);
        ata.or(scsi).or(detail.nvme.map(|nvme| nvme.percentage_used))
    });
    let word = match (smart, detail.and_then(|detail| detail.passed)) {
        (None, _) => "",
        (Some(smart), _) if smart.power == PowerState::Standby => "asleep",
        (_, Some(true)) => "passed",
        (_, Some(false)) => "FAILS",
        (_, None) if detail.is_none() => "unknown",
        (_, None) => "silent",
    };
    let cells = [
        disk.id.name.clone(),
        decimal_size(disk.size_bytes),
        transport_word(disk.transport).to_owned(),
        disk.model.clone().unwrap_or_default(),
        temperature.map_or_else(String::new, |celsius| format!("{celsius:.0} C")),
        used.map_or_else(String::new, |percent| format!("{percent} %")),
        word.to_owned(),
    ];
    Row { cells: cells.into_iter().map(Cell::new).collect(), below: String::new() }
}

fn write_filesystems(out: &mut String, filesystems: &[Filesystem], style: Style) {
    let rows: Vec<Row<'_>> = filesystems
        .iter()
        .map(|filesystem| {
            let (size_text, free, share) = match &filesystem.space {
                Reading::Known(space) => {
                    let share = space.available_bytes as f64 * 100.0 / (space.size_bytes.max(1)) as f64;
                    (size(space.size_bytes), size(space.available_bytes), format!("{share:.0} %"))
                }
                Reading::Unknown { .. } => ("?".to_owned(), "?".to_owned(), "?".to_owned()),
            };
            let word = match filesystem {
                Filesystem { stuck: true, .. } => "stuck",
                Filesystem { read_only: true, .. } => "read-only",
                _ => "",
            };
            let cells = [
                filesystem.mount_point.clone(),
                size_text,
                free,
                share,
                filesystem.kind.clone(),
                filesystem.device.clone(),
                word.to_owned(),
            ];
            Row { cells: cells.into_iter().map(Cell::new).collect(), below: String::new() }
        })
        .collect();
    let headings = [
        ("FILESYSTEM", Fit::Cut),
        ("SIZE", Fit::Whole),
        ("FREE", Fit::Whole),
        ("", Fit::Whole),
        ("TYPE", Fit::Whole),
        ("DEVICE", Fit::Cut),
        ("", Fit::Whole),
    ];
    section(out, style, &headings, &rows);
}

/// The interfaces with a device of their own, bonds, and what else is up: a host of virtual machines has dozens more.
fn write_nics(out: &mut String, nics: &[Nic], style: Style) {
    let shown = |nic: &&Nic| nic.physical || nic.bond_active_of.is_some() || nic.kind.as_deref() == Some("bridge");
    let rows: Vec<Row<'_>> = nics
        .iter()
        .filter(shown)
        .map(|nic| {
            let state = match (nic.admin_up, nic.oper_state, nic.carrier) {
                (false, ..) => "off",
                (_, OperState::Up, _) => "up",
                (_, _, Some(false)) => "no link",
                (_, OperState::Down | OperState::LowerLayerDown, _) => "down",
                (_, OperState::Dormant, _) => "dormant",
                (_, OperState::Unknown | OperState::Other, _) => "unknown",
            };
            let bond = nic.bond_active_of.map(|(up, all)| format!("{up} of {all} members up"));
            let member = nic.master.as_ref().map(|master| format!("in {master}"));
            let cells = [
                nic.name.clone(),
                state.to_owned(),
                nic.speed_bytes_per_second.map_or_else(String::new, link_speed),
                nic.mtu_bytes.to_string(),
                (nic.receive[2] + nic.transmit[2]).to_string(),
                bond.or(member).unwrap_or_default(),
            ];
            Row { cells: cells.into_iter().map(Cell::new).collect(), below: String::new() }
        })
        .collect();
    let headings = [
        ("NIC", Fit::Cut),
        ("LINK", Fit::Whole),
        ("SPEED", Fit::Whole),
        ("MTU", Fit::Whole),
        ("ERRORS", Fit::Whole),
        ("", Fit::Wrap),
    ];
    section(out, style, &headings, &rows);
}

/// Declared services: now, and for how much of the time that is known of each window.
fn write_services(out: &mut String, services: &[ServiceRow], style: Style) {
    let window = |window: &ServiceWindow| {
        let seen = match window.coverage_ratio {
            whole if whole > 0.985 => String::new(),
            part => format!(" ({} seen)", percent(part, 0)),
        };
        format!("{} {}{seen}", window.window, window.ratio.map_or_else(|| "?".to_owned(), |ratio| percent(ratio, 2)))
    };
    let rows: Vec<Row<'_>> = services
        .iter()
        .map(|row| {
            let state = match row.up {
                Some(true) => "up",
                Some(false) => "DOWN",
                None => "unknown",
            };
            let cells = [
                row.name.clone(),
                state.to_owned(),
                row.latency_seconds.map_or_else(String::new, small_seconds),
                row.slo_ratio.map_or_else(String::new, |ratio| percent(ratio, 2)),
                row.windows.iter().map(window).collect::<Vec<_>>().join(", "),
            ];
            Row { cells: cells.into_iter().map(Cell::new).collect(), below: String::new() }
        })
        .collect();
    let headings = [
        ("SERVICE", Fit::Cut),
        ("NOW", Fit::Whole),
        ("TOOK", Fit::Whole),
        ("PROMISED", Fit::Whole),
        ("ANSWERED", Fit::Wrap),
    ];
    section(out, style, &headings, &rows);
}

/// A share in percent, never rounded up to all.
fn percent(ratio: f64, digits: usize) -> String {
    let scale = 10_f64.powi(i32::try_from(digits).unwrap_or(0) + 2);
    format!("{:.*} %", digits, (ratio * scale + 1e-6).floor() / scale * 100.0)
}

fn collectors(health: &HealthDocument, style: Style) -> String {
    let not_read = not_read(health, style);
    if !not_read.is_empty() {
        return not_read;
    }
    let oldest = health.collectors.iter().max_by(|a, b| a.age_seconds.total_cmp(&b.age_seconds));
    let oldest = oldest
        .map_or_else(String::new, |row| format!("; the oldest, {}, is {} old", row.name, age(row.age_seconds as u64)));
    style.dim(&format!("{} collectors, all current{oldest}", health.collectors.len())) + "\n"
}
