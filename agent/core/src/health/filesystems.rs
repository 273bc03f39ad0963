//! Is a filesystem full, filling, read-only, stuck, or counting errors?

use super::{Court, Gate, Severity, bytes, percent, span};
use crate::observed::{Filesystem, Space};
use crate::reading::Reading;

/// A filesystem that is this empty is not predicted to be full, whatever its rate (as node-mixin has it).
const PREDICT_WARN_BELOW_PERCENT: f64 = 40.0;
/// The same for a critical prediction.
const PREDICT_CRIT_BELOW_PERCENT: f64 = 20.0;
/// A prediction needs at least this much to look back on.
const PREDICT_LEAST_SECONDS: f64 = 3_600.0;
/// Without these the node does not come back from a reboot, so they gate.
const BOOT_MOUNTS: [&str; 4] = ["/", "/boot", "/boot/efi", "/efi"];

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(filesystems) = seen.filesystems.reading.known() else { return };
    for filesystem in filesystems {
        if court.settings.filesystems.ignore.contains(&filesystem.mount_point) {
            continue;
        }
        let gate = if BOOT_MOUNTS.contains(&filesystem.mount_point.as_str()) { Gate::Blocks } else { Gate::Warns };
        stuck(court, filesystem);
        read_only(court, filesystem, gate);
        errors(court, filesystem);
        match &filesystem.space {
            // A medium that cannot be written is full by nature.
            Reading::Known(space) if !filesystem.read_only_by_design => {
                space_left(court, filesystem, space, gate);
                inodes_left(court, filesystem, space, gate);
            }
            Reading::Known(_) => {}
            Reading::Unknown { why } => {
                let name = ("filesystem.space", filesystem.mount_point.as_str());
                court.find(name, Severity::Unknown, gate, format!("{} cannot be measured", name.1), why.clone());
            }
        }
    }
}

fn stuck(court: &mut Court<'_>, filesystem: &Filesystem) {
    let mount = filesystem.mount_point.as_str();
    if filesystem.stuck {
        court.find(
            ("filesystem.stuck", mount),
            Severity::Crit,
            Gate::Blocks,
            format!("{mount} does not answer"),
            format!(
                "statvfs of {mount} ({} on {}) hangs; check what it is mounted from",
                filesystem.kind, filesystem.device
            ),
        );
    } else {
        court.ok(("filesystem.stuck", mount), "answers");
    }
}

fn read_only(court: &mut Court<'_>, filesystem: &Filesystem, gate: Gate) {
    let mount = filesystem.mount_point.as_str();
    if filesystem.read_only && !filesystem.read_only_by_design {
        court.find(
            ("filesystem.readonly", mount),
            Severity::Crit,
            gate,
            format!("{mount} is read-only"),
            format!(
                "{} on {} cannot be written; see why: journalctl -k -g '{}'",
                filesystem.device, mount, filesystem.kind
            ),
        );
    } else if filesystem.read_only {
        court.ok(("filesystem.readonly", mount), "read-only by design");
    } else {
        court.ok(("filesystem.readonly", mount), "writable");
    }
}

fn errors(court: &mut Court<'_>, filesystem: &Filesystem) {
    let Some(errors) = filesystem.errors else { return };
    let mount = filesystem.mount_point.as_str();
    if errors > 0 {
        let evidence = format!(
            "{} has recorded {errors} errors; back it up and run fsck on {}",
            filesystem.kind, filesystem.device
        );
        court.find(("filesystem.errors", mount), Severity::Crit, Gate::Blocks, format!("{mount} has errors"), evidence);
    } else {
        court.ok(("filesystem.errors", mount), "no errors recorded");
    }
}

fn space_left(court: &mut Court<'_>, filesystem: &Filesystem, space: &Space, gate: Gate) {
    let mount = filesystem.mount_point.as_str();
    let name = ("filesystem.space", mount);
    let free = percent(space.available_bytes, space.size_bytes);
    let evidence = format!("{} of {} free ({free:.1} %)", bytes(space.available_bytes), bytes(space.size_bytes));
    let empty_in =
        court.history.empty_in(&format!("fill {mount}"), space.available_bytes as f64, PREDICT_LEAST_SECONDS);
    let hours = empty_in.map_or(f64::INFINITY, |seconds| seconds / 3_600.0);
    let limits = court.limits;
    let crit = free < limits.filesystem_free_crit_percent;
    let warn = free < limits.filesystem_free_warn_percent;
    let crit_soon = hours < limits.filesystem_full_crit_hours && free < PREDICT_CRIT_BELOW_PERCENT;
    let warn_soon = hours < limits.filesystem_full_warn_hours && free < PREDICT_WARN_BELOW_PERCENT;
    if !(crit || warn || crit_soon || warn_soon) {
        return court.ok(name, evidence);
    }
    let severity = if crit || crit_soon { Severity::Crit } else { Severity::Warn };
    let (summary, evidence) = if crit || warn {
        (format!("{mount} is {:.0} % full", 100.0 - free), evidence)
    } else {
        let soon = span(hours * 3_600.0);
        (format!("{mount} will be full in {soon}"), format!("{evidence}, full in {soon} at its present rate"))
    };
    court.find(
        name,
        severity,
        gate,
        summary,
        format!("{evidence}; see what fills it: du -xh {mount} | sort -h | tail"),
    );
}

fn inodes_left(court: &mut Court<'_>, filesystem: &Filesystem, space: &Space, gate: Gate) {
    if space.inodes == 0 {
        return;
    }
    let mount = filesystem.mount_point.as_str();
    let name = ("filesystem.inodes", mount);
    let free = percent(space.inodes_free, space.inodes);
    let evidence = format!("{} of {} inodes free ({free:.1} %)", space.inodes_free, space.inodes);
    let severity = if free < court.limits.inodes_free_crit_percent {
        Severity::Crit
    } else if free < court.limits.inodes_free_warn_percent {
        Severity::Warn
    } else {
        return court.ok(name, evidence);
    };
    let summary = format!("{mount} has {free:.1} % of its inodes left");
    court.find(
        name,
        severity,
        gate,
        summary,
        format!("{evidence}; find the many small files: du --inodes -x {mount} | sort -n | tail"),
    );
}
