//! Is the processor saturated, throttled, or known to be vulnerable?

use super::{Court, Gate, Severity, names};

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(cpu) = seen.cpu.reading.known() else { return };
    let processors = cpu.times.len().max(1) as f64;
    let (load, limit) = (cpu.load[2] / processors, court.limits.load_per_cpu_warn);
    let evidence = format!("15 minute load is {load:.2} per processor, limit {limit:.1}");
    if load > limit {
        let advice = format!("{evidence}; see what runs: ps -eo pid,stat,pcpu,comm --sort=-pcpu");
        court.find(("cpu.load", "cpu"), Severity::Warn, Gate::Warns, format!("load {load:.1} per processor"), advice);
    } else {
        court.ok(("cpu.load", "cpu"), evidence);
    }
    busy(court, cpu);
    throttled(court, cpu);
    vulnerable(court, cpu);
    microcode(court);
}

fn busy(court: &mut Court<'_>, cpu: &crate::observed::Cpu) {
    // Centiseconds: whole numbers, as the kernel counts.
    let busy: f64 = cpu.times.iter().map(|(_, times)| times.busy()).sum();
    let total: f64 = cpu.times.iter().map(|(_, times)| times.total()).sum();
    let window = court.limits.sustained_secs as f64;
    let watched = court.history.held_for("cpu watched", true).unwrap_or(0.0);
    let busy = court.history.risen("cpu busy", (busy * 100.0) as u64, window, false);
    let total = court.history.risen("cpu total", (total * 100.0) as u64, window, false);
    if total == 0 {
        return court.ok(("cpu.busy", "cpu"), "first pass: nothing to compare with yet");
    }
    let share = busy as f64 * 100.0 / total as f64;
    let evidence = format!("processors were {share:.0} % busy over the last {}", super::span(watched.min(window)));
    if share > court.limits.cpu_busy_info_percent && watched >= window {
        court.find(("cpu.busy", "cpu"), Severity::Info, Gate::Warns, format!("processors {share:.0} % busy"), evidence);
    } else {
        court.ok(("cpu.busy", "cpu"), evidence);
    }
}

fn throttled(court: &mut Court<'_>, cpu: &crate::observed::Cpu) {
    let window = court.limits.event_memory_secs as f64;
    for (package, count) in &cpu.package_throttles {
        let subject = format!("package {package}");
        let risen = court.history.risen(&format!("throttle {package}"), *count, window, false);
        if risen > 0 {
            court.find(
                ("cpu.throttled", &subject),
                Severity::Warn,
                Gate::Warns,
                format!("{subject} throttled"),
                format!("throttled for heat {risen} times in the last {}; check fans and dust", super::span(window)),
            );
        } else {
            court.ok(("cpu.throttled", &subject), "not throttled for heat");
        }
    }
}

fn vulnerable(court: &mut Court<'_>, cpu: &crate::observed::Cpu) {
    let open: Vec<&str> = cpu
        .vulnerabilities
        .iter()
        .filter(|(name, state)| {
            state.starts_with("Vulnerable") && !court.settings.cpu.accepted_vulnerabilities.contains(name)
        })
        .map(|(name, _)| name.as_str())
        .collect();
    if open.is_empty() {
        let evidence = format!("{} known kinds, none open that is not accepted", cpu.vulnerabilities.len());
        return court.ok(("cpu.vulnerability", "cpu"), evidence);
    }
    court.find(
        ("cpu.vulnerability", "cpu"),
        Severity::Warn,
        Gate::None,
        format!("processor vulnerable to {}", names(open.iter().copied())),
        format!(
            "the kernel says Vulnerable for {}; update microcode and firmware, or accept them in [cpu] accepted_vulnerabilities",
            open.join(", ")
        ),
    );
}

fn microcode(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(inventory) = seen.inventory.reading.known() else { return };
    let name = ("cpu.microcode", "cpu");
    let revisions = &inventory.cpu.microcode;
    if revisions.len() > 1 {
        let evidence = format!("revisions {}; install the microcode package and reboot", revisions.join(", "));
        court.find(name, Severity::Warn, Gate::Warns, "processors run different microcode", evidence);
    } else {
        court.ok(name, revisions.first().map_or("no revision shown".to_owned(), |one| format!("revision {one}")));
    }
}
