//! Is memory short, were processes killed for it, does it lose bits?

use super::{Court, Gate, Severity, bytes, percent, span};

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(memory) = seen.memory.reading.known() else { return };
    let window = court.limits.event_memory_secs as f64;
    available(court, memory);
    bad_pages(court, memory);
    let kills = court.history.risen("oom kills", memory.oom_kills, window, true);
    if kills > 0 {
        court.find(
            ("memory.oom", "memory"),
            Severity::Warn,
            Gate::Warns,
            format!("{kills} processes killed for want of memory"),
            format!("{kills} in the last {}; see which: journalctl -k -g 'Out of memory'", span(window)),
        );
    } else {
        court.ok(("memory.oom", "memory"), format!("no process killed for want of memory in {}", span(window)));
    }
    for (controller, dimm, label, corrected, uncorrected) in &memory.dimm_errors {
        let subject = if label.is_empty() { format!("{controller}/{dimm}") } else { label.clone() };
        let per_day = court.history.risen(&format!("ecc {controller}/{dimm}"), *corrected, 86_400.0, false);
        let name = ("memory.ecc", subject.as_str());
        if *uncorrected > 0 {
            let evidence =
                format!("{uncorrected} uncorrectable errors since boot; replace this module before anything else");
            court.find(name, Severity::Crit, Gate::Blocks, format!("{subject} lost data"), evidence);
        } else if per_day as f64 >= court.limits.dimm_corrected_warn_per_day {
            let evidence = format!("{per_day} corrected errors in a day; plan to replace this module");
            court.find(name, Severity::Warn, Gate::Warns, format!("{subject} corrects many errors"), evidence);
        } else {
            court.ok(name, format!("{per_day} corrected errors in a day, none uncorrectable"));
        }
    }
}

/// The kernel has taken them out of use; the module that they lie in goes on ageing.
fn bad_pages(court: &mut Court<'_>, memory: &crate::observed::Memory) {
    let name = ("memory.bad_pages", "memory");
    let total = |wanted: &str| memory.bad_pages.iter().filter(|row| row.1 == wanted).map(|row| row.2).sum::<u64>();
    let (all, failed) = (total("total"), total("failed") + total("ignored"));
    if all == 0 {
        return court.ok(name, "no page broke since boot");
    }
    let nodes: Vec<String> =
        memory.bad_pages.iter().filter(|row| row.1 == "total" && row.2 > 0).map(|row| row.0.to_string()).collect();
    let evidence = format!(
        "{all} since boot (memory node {}), {failed} of them still in use; which module: journalctl -k -g 'Memory failure'",
        nodes.join(", ")
    );
    court.find(name, Severity::Warn, Gate::Warns, format!("{all} pages of memory broke"), evidence);
}

fn available(court: &mut Court<'_>, memory: &crate::observed::Memory) {
    let name = ("memory.available", "memory");
    let (Some(total), Some(available)) = (memory.field("MemTotal"), memory.field("MemAvailable")) else {
        let evidence = "the kernel does not say MemTotal and MemAvailable in /proc/meminfo";
        return court.find(name, Severity::Unknown, Gate::Warns, "memory available unknown", evidence);
    };
    let share = percent(available, total);
    let evidence = format!("{} of {} available ({share:.0} %)", bytes(available), bytes(total));
    let low = share < court.limits.memory_available_warn_percent;
    let sustained = court.limits.sustained_secs as f64;
    match court.history.held_for("memory low", low) {
        Some(held) if held >= sustained => {
            let evidence = format!("{evidence} for {}; see who holds it: ps -eo pid,rss,comm --sort=-rss", span(held));
            court.find(name, Severity::Warn, Gate::Warns, format!("{share:.0} % of memory available"), evidence);
        }
        _ => court.ok(name, evidence),
    }
}
