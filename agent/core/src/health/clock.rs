//! Does something keep the clock right?

use super::{Court, Gate, Severity, span};

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(clock) = seen.clock.reading.known() else { return };
    let source = clock.source.as_deref().unwrap_or("no time service");
    let name = ("clock.sync", "clock");
    if clock.synchronised && clock.source.is_none() {
        // The kernel calls the clock unsynchronised only hours after the last correction.
        let evidence = format!(
            "no time service is active, largest error {:.3} s and growing; start one: systemctl start systemd-timesyncd",
            clock.max_error_seconds
        );
        court.find(name, Severity::Warn, Gate::Warns, "nothing keeps the clock right", evidence);
    } else if clock.synchronised {
        court.ok(name, format!("disciplined by {source}, largest error {:.3} s", clock.max_error_seconds));
    } else {
        let crit = clock.max_error_seconds >= court.limits.clock_max_error_crit_seconds;
        let severity = if crit { Severity::Crit } else { Severity::Warn };
        let evidence = format!(
            "the kernel counts it as unsynchronised, largest error {:.1} s, {source} active; check the time service and its servers: timedatectl timesync-status",
            clock.max_error_seconds
        );
        court.find(name, severity, Gate::Blocks, "clock not synchronised", evidence);
    }
    let off = clock.offset_seconds.abs();
    let limit = court.limits.clock_offset_warn_seconds;
    let evidence = format!("off by {off:.4} s, limit {limit} s");
    match court.history.held_for("clock off", off > limit) {
        Some(held) if held >= court.limits.clock_offset_warn_after_secs as f64 => {
            let evidence = format!("{evidence} for {}; check {source} and its servers", span(held));
            court.find(
                ("clock.offset", "clock"),
                Severity::Warn,
                Gate::Warns,
                format!("clock off by {off:.2} s"),
                evidence,
            );
        }
        _ => court.ok(("clock.offset", "clock"), evidence),
    }
}
