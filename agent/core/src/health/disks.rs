//! Is a disk gone, dying, worn, hot, or silent?

use super::{Court, Gate, Severity, bytes, span};
use crate::observed::{AtaSmart, Disk, NvmeSmart, PowerState, ScsiSmart, SmartDetail};
use crate::reading::Reading;

/// States in which the kernel still talks to a disk (SCSI and NVMe words).
const STATES_THAT_WORK: [&str; 5] = ["running", "live", "new", "connecting", "resetting"];

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(disks) = seen.disks.reading.known() else { return };
    missing(court, disks);
    for disk in disks {
        let subject = label(disk);
        court.ok(
            ("disk.present", &subject),
            format!("{}, {}", bytes(disk.size_bytes), disk.model.as_deref().unwrap_or("no model")),
        );
        state(court, disk, &subject);
        if let Some(smart) = seen.smart.reading.known().and_then(|all| all.get(&*disk.id.key())) {
            match (&smart.detail, smart.power) {
                (Reading::Known(detail), _) => detail_of(court, disk, &subject, detail),
                (Reading::Unknown { .. }, PowerState::Standby) => {
                    court.ok(("disk.smart", &subject), "asleep; left alone");
                }
                (Reading::Unknown { why }, PowerState::Active) => {
                    let summary = format!("{subject} does not tell its health");
                    court.find(("disk.smart", &subject), Severity::Unknown, Gate::Warns, summary, why.clone());
                }
            }
        }
    }
}

/// Kernel name and key: what an operator reads in the log and on the drive.
fn label(disk: &Disk) -> String {
    let (name, key) = (&disk.id.name, disk.id.key());
    if key == name.as_str() { name.clone() } else { format!("{name} {key}") }
}

fn missing(court: &mut Court<'_>, disks: &[Disk]) {
    for (key, gone) in court.history.missing_disks(disks) {
        let subject = if key == gone.name { key.clone() } else { format!("{} {key}", gone.name) };
        let evidence = format!(
            "{} ({}) was here and is not listed any more; check cable and drive, or if it was taken out on purpose: hardstand forget disk {key}",
            gone.model.as_deref().unwrap_or("a disk without a model"),
            bytes(gone.size_bytes),
        );
        let (severity, gate) =
            if gone.comes_and_goes { (Severity::Info, Gate::None) } else { (Severity::Crit, Gate::Blocks) };
        court.find(("disk.present", &subject), severity, gate, format!("disk {subject} vanished"), evidence);
    }
}

fn state(court: &mut Court<'_>, disk: &Disk, subject: &str) {
    if let Some(state) = &disk.device_state {
        if STATES_THAT_WORK.contains(&state.as_str()) {
            court.ok(("disk.state", subject), state.clone());
        } else {
            let evidence = format!("the kernel calls it {state}; see why: journalctl -k -g {}", disk.id.name);
            court.find(
                ("disk.state", subject),
                Severity::Crit,
                Gate::Blocks,
                format!("{subject} is {state}"),
                evidence,
            );
        }
    }
    if let Some(errors) = disk.io_errors {
        let window = court.limits.event_memory_secs as f64;
        let risen = court.history.risen(&format!("io errors {}", disk.id.key()), errors, window, false);
        if risen > 0 {
            let evidence =
                format!("{risen} commands failed in the last {}; see: journalctl -k -g {}", span(window), disk.id.name);
            court.find(
                ("disk.io_errors", subject),
                Severity::Warn,
                Gate::Warns,
                format!("{subject} has I/O errors"),
                evidence,
            );
        } else {
            court.ok(("disk.io_errors", subject), "no new failed commands");
        }
    }
}

fn detail_of(court: &mut Court<'_>, disk: &Disk, subject: &str, detail: &SmartDetail) {
    let mut bad: Vec<(Severity, String)> = Vec::new();
    if detail.passed == Some(false) {
        bad.push((Severity::Crit, "its own overall status is FAILED".to_owned()));
    }
    if let Some(ata) = &detail.ata {
        ata_faults(court, disk, ata, &mut bad);
    }
    if let Some(nvme) = &detail.nvme {
        nvme_faults(court, disk, nvme, &mut bad);
    }
    if let Some(scsi) = &detail.scsi {
        scsi_faults(court, disk, scsi, &mut bad);
    }
    let name = ("disk.smart", subject);
    match bad.iter().map(|(severity, _)| *severity).max() {
        None => court.ok(name, "no fault reported"),
        Some(severity) => {
            let gate = if severity == Severity::Crit { Gate::Blocks } else { Gate::Warns };
            let words: Vec<&str> = bad.iter().map(|(_, words)| words.as_str()).collect();
            let summary = format!("disk {subject} is failing");
            let summary =
                if severity == Severity::Crit { summary } else { format!("disk {subject} shows wear or errors") };
            let evidence = format!(
                "{}; look closer: smartctl -x /dev/{}, and plan its replacement",
                words.join(", "),
                disk.id.name
            );
            court.find(name, severity, gate, summary, evidence);
        }
    }
    if let Some(celsius) = detail.temperature_celsius {
        temperature(court, subject, celsius);
    }
}

fn temperature(court: &mut Court<'_>, subject: &str, celsius: f64) {
    let name = ("disk.temperature", subject);
    let limits = court.limits;
    let (severity, gate) = if celsius > limits.disk_temperature_crit_celsius {
        (Severity::Crit, Gate::Blocks)
    } else if celsius > limits.disk_temperature_warn_celsius {
        (Severity::Warn, Gate::Warns)
    } else {
        return court.ok(name, format!("{celsius:.0} °C"));
    };
    court.find(
        name,
        severity,
        gate,
        format!("{subject} at {celsius:.0} °C"),
        format!("{celsius:.0} °C; check cooling"),
    );
}

/// Faults of one kind: how much a device's counter rose within the memory of events.
fn rising(
    court: &mut Court<'_>,
    disk: &Disk,
    what: &str,
    value: Option<u64>,
    severity: Severity,
    bad: &mut Vec<(Severity, String)>,
) {
    let Some(value) = value else { return };
    let window = court.limits.event_memory_secs as f64;
    let risen = court.history.risen_on_device(&format!("smart {} {what}", disk.id.key()), value, window);
    if risen > 0 {
        bad.push((severity, format!("{risen} more {what} in the last {} ({value} in all)", span(window))));
    }
}

fn ata_faults(court: &mut Court<'_>, disk: &Disk, ata: &AtaSmart, bad: &mut Vec<(Severity, String)>) {
    rising(court, disk, "pending sectors", ata.pending_sectors, Severity::Crit, bad);
    rising(court, disk, "uncorrectable sectors", ata.uncorrectable_sectors, Severity::Crit, bad);
    rising(court, disk, "reallocated sectors", ata.reallocated_sectors, Severity::Warn, bad);
    rising(court, disk, "transfer errors", ata.crc_errors, Severity::Warn, bad);
    life(court, ata.used_percent, bad);
}

fn nvme_faults(court: &mut Court<'_>, disk: &Disk, nvme: &NvmeSmart, bad: &mut Vec<(Severity, String)>) {
    if nvme.critical_warning != 0 {
        bad.push((Severity::Crit, format!("critical warning 0x{:02x}", nvme.critical_warning)));
    }
    if nvme.available_spare_percent < nvme.available_spare_threshold_percent {
        bad.push((
            Severity::Crit,
            format!(
                "{} % spare left, threshold {} %",
                nvme.available_spare_percent, nvme.available_spare_threshold_percent
            ),
        ));
    }
    rising(court, disk, "media errors", Some(nvme.media_errors), Severity::Warn, bad);
    life(court, Some(nvme.percentage_used), bad);
}

fn scsi_faults(court: &mut Court<'_>, disk: &Disk, scsi: &ScsiSmart, bad: &mut Vec<(Severity, String)>) {
    rising(court, disk, "grown defects", scsi.grown_defects, Severity::Warn, bad);
    rising(court, disk, "uncorrected errors", scsi.uncorrected_errors, Severity::Crit, bad);
    life(court, scsi.percentage_used, bad);
}

fn life(court: &Court<'_>, used_percent: Option<u8>, bad: &mut Vec<(Severity, String)>) {
    if let Some(used) = used_percent.filter(|used| f64::from(*used) >= court.limits.disk_used_warn_percent) {
        bad.push((Severity::Warn, format!("{used} % of its life used")));
    }
}
