//! Is every guest of this node in a backup job, and was it backed up lately?
//!
//! It must never take a log that could not be read for one that tells of no backup, nor a date ahead for a new backup.

use super::{Court, Gate, Severity, span};
use crate::observed::{PveBackups, PveNode, PveResource};

/// How far ahead a date may lie: nodes have clocks of their own.
const AHEAD_SECONDS: f64 = 3_600.0;
const HOUR: f64 = 3_600.0;

pub(super) fn judge(court: &mut Court<'_>, node: &PveNode) {
    let settings = &court.settings.proxmox;
    let gate = if settings.backups_required { Gate::Blocks } else { Gate::Warns };
    for guest in node.guests() {
        if guest.tags().any(|tag| settings.no_backup_tags.iter().any(|known| known == tag)) {
            continue;
        }
        let Some(vmid) = guest.vmid() else { continue };
        let label = guest.label().unwrap_or_default();
        let is_covered = node.uncovered.known().map(|all| all.iter().all(|guest| guest.vmid != vmid));
        if is_covered == Some(false) {
            uncovered(court, guest, &label, gate);
        }
        let Some(backups) = node.backups.known() else { continue };
        let last = backups.last_unix_seconds.get(&vmid).copied();
        // Of one that no job makes, only a backup that was made by hand is told.
        if is_covered != Some(false) || last.is_some() {
            age(court, backups, (&label, last), gate);
        }
    }
}

fn uncovered(court: &mut Court<'_>, guest: &PveResource, label: &str, gate: Gate) {
    let tags: Vec<&str> = guest.tags().collect();
    let tags = if tags.is_empty() { "it has no tags".to_owned() } else { format!("its tags: {}", tags.join(", ")) };
    let evidence = format!(
        "nobody makes a backup of it ({tags}); add it to a job (Datacenter, Backup), or name a tag of it in [proxmox] \
         no_backup_tags"
    );
    court.find(("pve.backup_job", label), Severity::Warn, gate, format!("{label} is in no backup job"), evidence);
}

fn age(court: &mut Court<'_>, backups: &PveBackups, (label, last): (&str, Option<u64>), gate: Gate) {
    let name = ("pve.backup_age", label);
    let most = court.limits.guest_backup_warn_hours * HOUR;
    let now = court.seen.at.unix_seconds as f64;
    let next = "see: pvenode task list --typefilter vzdump, on each node that it was on";
    let unseen = unseen(backups);
    let Some(last) = last else {
        let since = span((now - backups.since_unix_seconds as f64).max(0.0));
        if let Some(unseen) = unseen {
            let evidence = format!("no log that was read tells of one, and not all were: {unseen}; {next}");
            return court.find(name, Severity::Unknown, gate, format!("{label}: last backup not known"), evidence);
        }
        let evidence = format!("no log of the last {since} tells of a backup that succeeded; {next}");
        return court.find(name, Severity::Warn, gate, format!("{label} has no backup"), evidence);
    };
    let age = now - last as f64;
    if age < -AHEAD_SECONDS {
        let evidence = format!("its last backup is dated {} ahead; see: timedatectl, on each node", span(-age));
        return court.find(name, Severity::Unknown, gate, format!("{label}: backup dated in the future"), evidence);
    }
    let age = age.max(0.0);
    if age <= most {
        return court.ok(name, format!("{} old", span(age)));
    }
    let newer = unseen
        .map_or_else(String::new, |unseen| format!(" (a newer one may be told of where nobody looked: {unseen})"));
    let evidence = format!("it should be at most {} old{newer}; {next}", span(most));
    court.find(name, Severity::Warn, gate, format!("the last backup of {label} is {} old", span(age)), evidence);
}

/// Where nobody could look.
fn unseen(backups: &PveBackups) -> Option<String> {
    let first = backups.unseen.first()?;
    let more = backups.unseen.len() - 1;
    Some(if more > 0 { format!("{first} (and {more} more)") } else { first.clone() })
}
