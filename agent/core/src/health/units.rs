//! Is the service manager well, and what failed?

use super::{Court, Gate, Severity};

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(units) = seen.units.reading.known() else { return };
    state(court, &units.system_state);
    let mut failed = 0;
    for unit in &units.failed {
        if court.settings.units.ignore.contains(&unit.name) || court.settings.units.required.contains(&unit.name) {
            continue;
        }
        failed += 1;
        let evidence = format!("{} ({}) failed; see: systemctl status {}", unit.name, unit.description, unit.name);
        court.find(
            ("systemd.failed_unit", &unit.name),
            Severity::Warn,
            Gate::Warns,
            format!("{} failed", unit.name),
            evidence,
        );
    }
    if failed == 0 {
        court.ok(("systemd.failed_unit", "all units"), "none failed that is not accepted");
    }
    for unit in &units.declared {
        if unit.active == "active" {
            court.ok(("systemd.required_unit", &unit.name), format!("{} ({})", unit.active, unit.sub));
        } else {
            let evidence = format!(
                "{} is required and {} ({}, {}); see: systemctl status {}",
                unit.name, unit.active, unit.load, unit.sub, unit.name
            );
            let summary = format!("{} is {}", unit.name, unit.active);
            court.find(("systemd.required_unit", &unit.name), Severity::Crit, Gate::Blocks, summary, evidence);
        }
    }
}

fn state(court: &mut Court<'_>, state: &str) {
    let name = ("systemd.state", "systemd");
    let say = format!("systemd is {state}");
    match state {
        // What makes it degraded has findings of its own.
        "running" | "degraded" => court.ok(name, say),
        "initializing" | "starting" => {
            court.find(name, Severity::Info, Gate::Warns, say, "the boot is not finished; see: systemctl list-jobs");
        }
        "stopping" => court.find(name, Severity::Info, Gate::Blocks, say, "the node is shutting down"),
        "maintenance" => {
            let evidence = "rescue or emergency mode is active; see: systemctl status, then: systemctl default";
            court.find(name, Severity::Crit, Gate::Blocks, say, evidence);
        }
        _ => court.find(name, Severity::Unknown, Gate::Blocks, say, "a state this version does not know"),
    }
}
