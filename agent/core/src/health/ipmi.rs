//! What does the board's controller say of sensors, power supplies and its event log?
//!
//! It must never tell of an old event as of a new one: what was in the log before anybody looked is not news.

use std::collections::BTreeMap;

use super::{Court, Gate, Severity, bytes, names, span};
use crate::Reading;
use crate::history::Log;
use crate::observed::{IpmiEvent, IpmiLog, IpmiSensor, IpmiState, IpmiTold};

/// The subject of what is about the whole controller.
const BMC: &str = "bmc";
/// Below this many bytes the event log takes few more entries (16 bytes each), and some controllers then drop them.
const LOG_FREE_WARN_BYTES: u64 = 512;
/// What is counted in the event log.
const CRITICAL: &str = "critical";

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(Some(ipmi)) = seen.ipmi.reading.known() else { return };
    match &ipmi.told {
        Reading::Known(told) => {
            sensors(court, told);
            redundancy(court, told);
            room(court, &told.log);
            events(court, &told.log);
        }
        // The machine does not depend on being asked: this keeps no patch away.
        unknown => {
            let why = unknown.why().unwrap_or_default();
            court.find(
                ("ipmi.sensor", BMC),
                Severity::Unknown,
                Gate::Warns,
                "the board's controller is not asked",
                why,
            );
        }
    }
}

fn sensors(court: &mut Court<'_>, told: &IpmiTold) {
    let mut well = 0_usize;
    for sensor in &told.sensors {
        let severity = match sensor.state {
            IpmiState::Nominal => {
                well += 1;
                continue;
            }
            IpmiState::Unread => continue,
            IpmiState::Warning => Severity::Warn,
            IpmiState::Critical => Severity::Crit,
            IpmiState::Other => Severity::Unknown,
        };
        let gate = if is_power(sensor) && severity >= Severity::Unknown { Gate::Blocks } else { Gate::Warns };
        let evidence = format!("{}; see: ipmi-sensors, or the controller's own page", told_by(sensor));
        let summary = format!("{} is {}", sensor.name, sensor.state.word());
        court.find(("ipmi.sensor", &sensor.name), severity, gate, summary, evidence);
    }
    court.ok(("ipmi.sensor", BMC), format!("{well} of {} sensors nominal", told.sensors.len()));
}

fn is_power(sensor: &IpmiSensor) -> bool {
    sensor.kind == "Power Supply"
}

fn told_by(sensor: &IpmiSensor) -> String {
    let value = sensor.reading.map(|value| format!("{value} {}", sensor.unit.as_deref().unwrap_or_default()));
    let events = (!sensor.events.is_empty()).then(|| names(sensor.events.iter().map(String::as_str)));
    let words: Vec<String> = [value, events].into_iter().flatten().map(|word| word.trim().to_owned()).collect();
    if words.is_empty() { "no value is told".to_owned() } else { words.join(": ") }
}

fn redundancy(court: &mut Court<'_>, told: &IpmiTold) {
    let name = ("ipmi.redundancy", BMC);
    match told.psu_redundant() {
        // Many boards have no such sensor; what its supplies say by themselves is judged with the sensors.
        None => {}
        Some(true) => court.ok(name, "one power supply may fail"),
        Some(false) => {
            let bad = told.sensors.iter().filter(|sensor| is_power(sensor) && sensor.state != IpmiState::Nominal);
            let evidence = format!(
                "{}; a reboot may not come back: check cords, feeds and supplies",
                names(bad.map(|sensor| sensor.name.as_str()))
            );
            court.find(name, Severity::Crit, Gate::Blocks, "the power supplies are not redundant", evidence);
        }
    }
}

fn room(court: &mut Court<'_>, log: &IpmiLog) {
    let name = ("ipmi.log", BMC);
    let free = log.free_bytes.map_or_else(|| "unknown room".to_owned(), |free| format!("{} free", bytes(free)));
    let seen = format!("{} entries, {free}", log.entries);
    let next = "save it and clear it: ipmi-sel > sel.txt && ipmi-sel --clear";
    if log.dropped {
        let evidence = format!("{seen}, and events were dropped; {next}");
        court.find(name, Severity::Warn, Gate::None, "the controller's event log is full", evidence);
    } else if log.free_bytes.is_some_and(|free| free < LOG_FREE_WARN_BYTES) {
        let summary = "the controller's event log is almost full";
        court.find(name, Severity::Warn, Gate::None, summary, format!("{seen}; {next}"));
    } else {
        court.ok(name, seen);
    }
}

fn events(court: &mut Court<'_>, log: &IpmiLog) {
    let name = ("ipmi.event", BMC);
    let newest = log.events.iter().map(|event| event.id).max().unwrap_or_default();
    let critical = log.events.iter().filter(|event| event.state == IpmiState::Critical);
    let new = critical.clone().map(|event| (event.id, CRITICAL.to_owned()));
    court.history.enter_from_now(Log::Ipmi, new, newest + 1);
    let counted: BTreeMap<&str, u64> = court.history.counted(Log::Ipmi).collect();
    let count = counted.get(CRITICAL).copied().unwrap_or_default();
    let window = court.limits.event_memory_secs as f64;
    let recent = court.history.risen_on_device("ipmi events", count, window);
    if recent == 0 {
        return court.ok(name, format!("no new critical event in {}", span(window)));
    }
    let last =
        critical.max_by_key(|event| event.id).map_or_else(String::new, |event| format!(", last: {}", line(event)));
    let evidence = format!("{recent} in the last {}{last}; see: ipmi-sel --output-event-state", span(window));
    court.find(name, Severity::Warn, Gate::Warns, format!("{recent} new critical events of the hardware"), evidence);
}

fn line(event: &IpmiEvent) -> String {
    format!("{}, {} ({})", event.name, event.event, event.at)
}

#[cfg(test)]
mod tests;
