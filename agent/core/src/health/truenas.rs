//! Is TrueNAS well by its own word, and may it be rebooted?
//!
//! It must never take what it was not told for good, nor tell of a pool that is told of already.

use super::{Court, Gate, Severity};
use crate::observed::{NasPool, Observed, TrueNas};
use crate::settings::Expected;

mod alerts;
mod system;
mod tasks;

/// Functions of a scan while data is rebuilt: the worst time to lose the box.
const REBUILDS: [&str; 2] = ["RESILVER", "REBUILD"];
/// States in which a pool does not work, or not with all it should have. Another one is not known, and unknown.
const SICK: [&str; 8] = ["DEGRADED", "FAULTED", "OFFLINE", "REMOVED", "UNAVAIL", "SUSPENDED", "LOCKED", "SPLIT"];
/// What does not matter for a reboot: an update that is not known of, and a number.
const NO_GATE: [&str; 2] = ["update.status", "pool.snapshot.query"];

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(nas) = seen.truenas.reading.known() else { return };
    let next = "see [truenas] in agent.toml: without its socket or an endpoint there is nothing to ask";
    court.expected("truenas.expected", Expected::Truenas, "TrueNAS", usize::from(nas.is_some()), next);
    let Some(nas) = nas else { return };
    for (method, why) in nas.unanswered() {
        let gate = if NO_GATE.contains(&method) { Gate::None } else { Gate::Blocks };
        let summary = format!("TrueNAS does not tell: {method}");
        court.find(("truenas.answer", method), Severity::Unknown, gate, summary, why);
    }
    system::judge(court, nas);
    for pool in nas.pools.known().into_iter().flatten() {
        judge_pool(court, "truenas.pool", nas, pool);
    }
    if let Some(pool) = nas.boot_pool.known() {
        judge_pool(court, "truenas.boot", nas, pool);
    }
    if let Some(alerts) = nas.alerts.known() {
        alerts::judge(court, alerts);
    }
    tasks::judge(court, nas);
}

/// A pool of this node's that its kernel and its own tool tell of is told of there, where they say the same; what only
/// TrueNAS finds is told here.
fn judge_pool(court: &mut Court<'_>, check: &str, nas: &TrueNas, pool: &NasPool) {
    let name = (check, pool.name.as_str());
    let (severity, gate, why) = stands(pool);
    let kernel = told_by_kernel(court.seen, &pool.name).filter(|_| nas.is_local);
    let is_same = kernel.is_some_and(|kernel| Some(kernel) == pool.status.as_deref());
    let is_sick = pool.status.as_deref().is_some_and(|status| SICK.contains(&status));
    if is_same && (severity == Severity::Ok || is_sick || is_rebuilt(pool)) {
        return;
    }
    if severity == Severity::Ok && kernel.is_none() {
        return court.ok(name, why);
    }
    let differs =
        kernel.filter(|_| !is_same).map(|kernel| format!("; the kernel calls it {kernel}")).unwrap_or_default();
    let evidence = format!("{why}{differs}; see there: zpool status -v {}", pool.name);
    // Who is right is not known, so it is no better than the worse of the two.
    let (severity, gate) =
        if differs.is_empty() { (severity, gate) } else { (severity.max(Severity::Unknown), Gate::Blocks) };
    court.find(name, severity, gate, format!("pool {}: {why}", pool.name), evidence);
}

/// The kernel's word for a pool that its own tool tells of, too.
fn told_by_kernel<'a>(seen: &'a Observed, pool: &str) -> Option<&'a str> {
    let report = seen.zpool.reading.known()?.as_ref()?;
    let kernel = seen.zfs.reading.known()?.as_ref()?.iter().find(|known| known.name == pool)?;
    report.pools.iter().any(|known| known.name == pool).then_some(())?;
    kernel.state.as_deref()
}

fn is_rebuilt(pool: &NasPool) -> bool {
    let scan = pool.scan.as_ref().filter(|scan| scan.state.as_deref() == Some("SCANNING"));
    scan.and_then(|scan| scan.function.as_deref()).is_some_and(|word| REBUILDS.contains(&word))
}

/// The worst that is to be said of a pool.
fn stands(pool: &NasPool) -> (Severity, Gate, String) {
    let detail = pool.detail.as_deref().map_or_else(String::new, |detail| format!(": {detail}"));
    let percent = pool.scan.as_ref().and_then(|scan| scan.percent);
    let percent = percent.map_or_else(String::new, |percent| format!(", {percent:.0} % done"));
    let scan = pool.scan.as_ref().filter(|scan| scan.state.as_deref() == Some("SCANNING"));
    let function = scan.map(|scan| scan.function.as_deref().unwrap_or("a scan without a name"));
    match pool.status.as_deref() {
        Some("ONLINE") => {}
        Some(status) if SICK.contains(&status) => return (Severity::Crit, Gate::Blocks, format!("{status}{detail}")),
        Some(status) => return (Severity::Unknown, Gate::Blocks, format!("{status}, a state that is not known here")),
        None => return (Severity::Unknown, Gate::Blocks, "its state is not told".to_owned()),
    }
    match pool.healthy {
        Some(true) => {}
        Some(false) => return (Severity::Crit, Gate::Blocks, format!("ONLINE, and not healthy{detail}")),
        None => return (Severity::Unknown, Gate::Blocks, "whether it is healthy is not told".to_owned()),
    }
    match function {
        Some(function) if REBUILDS.contains(&function) => {
            return (Severity::Warn, Gate::Blocks, format!("it is being rebuilt ({function}{percent})"));
        }
        None | Some("SCRUB") => {}
        Some(function) => {
            return (Severity::Unknown, Gate::Blocks, format!("{function} goes over it, which is not known here"));
        }
    }
    if pool.warning == Some(true) {
        return (Severity::Warn, Gate::Warns, format!("ONLINE, with a warning{detail}"));
    }
    let scrub = if function.is_some() { format!(", being scrubbed{percent}") } else { String::new() };
    (Severity::Ok, Gate::None, format!("ONLINE, healthy{scrub}"))
}

#[cfg(test)]
mod tests;
