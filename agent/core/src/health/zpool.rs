//! Has a pool lost data, is it being resilvered, does a device of it fail, is it filling up, and when was it scrubbed?
//!
//! It must never take what ZFS's own tool has not told of for what is well.

use super::{Court, Gate, Severity, bytes, span};
use crate::observed::{PoolSpace, PoolStatus, ScanKind, ScanState, Vdev, ZfsPool, ZpoolReport};
use crate::standing::{Standing, Subject};

const DAY_SECONDS: f64 = 86_400.0;

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let (Some(imported), Some(report)) = (seen.zfs.reading.known(), seen.zpool.reading.known()) else { return };
    let nothing = ZpoolReport::default();
    let report = report.as_ref().unwrap_or(&nothing);
    for pool in imported.iter().flatten() {
        match report.pools.iter().find(|status| status.name == pool.name) {
            Some(status) => judge_pool(court, pool, status),
            None => not_told(court, &pool.name),
        }
        match report.space.iter().find(|space| space.name == pool.name) {
            Some(space) => judge_space(court, space),
            None => {
                let name = ("zfs.space", pool.name.as_str());
                let summary = format!("space of pool {} not told", pool.name);
                court.find(name, Severity::Unknown, Gate::Warns, summary, "zpool list does not tell of it");
            }
        }
    }
}

fn not_told(court: &mut Court<'_>, pool: &str) {
    let evidence = format!(
        "the kernel has it, and zpool status, when it was last asked, did not tell of it; it is asked again at once; \
         see: zpool status {pool}"
    );
    let summary = format!("status of pool {pool} not told");
    court.find(("zfs.status", pool), Severity::Unknown, Gate::Blocks, summary, evidence);
}

fn judge_pool(court: &mut Court<'_>, kernel: &ZfsPool, pool: &PoolStatus) {
    let look = format!("see: zpool status -v {}", pool.name);
    let mut faults = pool.faults();
    // Where both say the same, the kernel's word is judged by itself.
    if pool.state != kernel.state {
        let said = |state: &Option<String>| state.as_deref().unwrap_or("nothing").to_owned();
        let why = format!("the kernel calls it {}, zpool {}", said(&kernel.state), said(&pool.state));
        faults.push((Standing::Unknown, why));
    }
    let subject = Subject::judged("pool", pool.name.clone(), &faults);
    court.stands("zfs.status", &subject, "no data errors, nothing to resilver", &look);
    scrubbed(court, pool);
    if let Some(root) = pool.devices.first() {
        errors(court, &pool.name, root, &look);
    }
    for device in pool.below_root() {
        let own = device.subject(pool, Standing::Degraded, &device.faults());
        // What stands above others is as bad as they are, and has no counters of its own.
        if device.has_children && own.state != Standing::Unknown {
            continue;
        }
        court.stands("zfs.device", &own, device.state.as_deref().unwrap_or_default(), &look);
        if !device.has_children {
            errors(court, &own.name, device, &look);
        }
    }
}

/// Errors are judged by growth: those that are old were seen, or came before us.
fn errors(court: &mut Court<'_>, subject: &str, device: &Vdev, look: &str) {
    let name = ("zfs.errors", subject);
    let told = [("read", device.read_errors), ("write", device.write_errors), ("checksum", device.checksum_errors)];
    if told.iter().all(|(_, count)| count.is_none()) && device.class.as_deref() == Some("spares") {
        return;
    }
    let Some(counts) = told.iter().map(|(_, count)| *count).collect::<Option<Vec<u64>>>() else {
        let summary = format!("errors of {subject} not told");
        return court.find(name, Severity::Unknown, Gate::Blocks, summary, format!("zpool gives no number; {look}"));
    };
    let all = counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let window = court.limits.event_memory_secs as f64;
    let risen = court.history.risen_on_device(&format!("zfs errors {subject}"), all, window);
    let words: Vec<String> = told.iter().map(|(what, count)| format!("{} {what}", count.unwrap_or(0))).collect();
    let words = words.join(", ");
    if risen > 0 {
        let evidence = format!("{risen} more in the last {} ({words} in all); {look}", span(window));
        court.find(name, Severity::Warn, Gate::Blocks, format!("{subject} has new errors"), evidence);
    } else if all > 0 {
        let evidence = format!("{words}, none of them new; once their cause is mended: zpool clear");
        court.find(name, Severity::Info, Gate::None, format!("{subject} has old errors"), evidence);
    } else {
        court.ok(name, "none");
    }
}

fn scrubbed(court: &mut Court<'_>, pool: &PoolStatus) {
    let name = ("zfs.scrub", pool.name.as_str());
    let scrub = pool.scan.as_ref().filter(|scan| scan.kind == ScanKind::Scrub);
    let ended = scrub.filter(|scan| scan.state == ScanState::Finished).and_then(|scan| scan.ended_unix_seconds);
    let latest = court.history.latest(&format!("scrub {}", pool.name), ended);
    let age = court.seen.at.unix_seconds.saturating_sub(latest) as f64;
    if let Some(scan) = scrub.filter(|scan| scan.state == ScanState::Running) {
        let done = scan.progress.map_or_else(String::new, |share| format!(", {:.0} % done", share * 100.0));
        return court.ok(name, format!("under way{done}"));
    }
    if age > court.limits.scrub_age_warn_days * DAY_SECONDS {
        let evidence = format!("no scrub has ended for {}; start one: zpool scrub {}", span(age), pool.name);
        let summary = format!("pool {} was not scrubbed for {}", pool.name, span(age));
        court.find(name, Severity::Warn, Gate::Warns, summary, evidence);
    } else {
        court.ok(name, format!("ended, or was first looked for, {} ago", span(age)));
    }
}

fn judge_space(court: &mut Court<'_>, space: &PoolSpace) {
    let name = ("zfs.space", space.name.as_str());
    let told = (space.size_bytes.filter(|size| *size > 0), space.allocated_bytes);
    let (Some(size), Some(allocated)) = told else {
        let evidence = format!("zpool list gives no number; see: zpool list {}", space.name);
        let summary = format!("space of pool {} not told", space.name);
        return court.find(name, Severity::Unknown, Gate::Warns, summary, evidence);
    };
    let used = super::percent(allocated, size);
    let seen = format!("{used:.0} % of {} used", bytes(size));
    let severity = match used {
        used if used > court.limits.pool_used_crit_percent => Severity::Crit,
        used if used > court.limits.pool_used_warn_percent => Severity::Warn,
        _ => return court.ok(name, seen),
    };
    let evidence =
        format!("{seen}; ZFS slows down and then stops when it is full; see: zfs list -o space -r {}", space.name);
    court.find(name, severity, Gate::Warns, format!("pool {} {used:.0} % full", space.name), evidence);
}

#[cfg(test)]
mod tests;
