//! Do processors or the firmware report errors of the hardware?
//!
//! It must never count an error twice: the same lines of the kernel's log are seen in many passes, and by the next agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Court, Gate, Severity, span};
use crate::history::Log;
use crate::observed::{ErrorOrigin, ErrorSeverity, HardwareError};

const HOUR_SECONDS: f64 = 3_600.0;
const DAY_SECONDS: f64 = 86_400.0;
/// What a kept key begins with.
const PROCESSOR: &str = "processor";
const FIRMWARE: &str = "firmware";
const LOOK: &str = "see: journalctl -k -g 'Hardware Error'";

/// Errors of one kind and one part since boot, as far as the kernel's log tells of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRow {
    /// The part.
    pub origin: ErrorOrigin,
    /// How bad they were.
    pub severity: ErrorSeverity,
    /// How many.
    pub count: u64,
}

/// What one part reported.
#[derive(Debug, Default)]
struct Told {
    by_severity: BTreeMap<ErrorSeverity, u64>,
}

impl Told {
    fn of(&self, severities: &[ErrorSeverity]) -> u64 {
        severities.iter().filter_map(|severity| self.by_severity.get(severity)).sum()
    }
}

pub(super) fn judge(court: &mut Court<'_>) -> Vec<ErrorRow> {
    let seen = court.seen;
    if let Some(log) = seen.hardware_errors.reading.known() {
        overwritten(court, log.first);
        let entries = log.errors.iter().map(|error| (error.sequence, key(error)));
        court.history.enter(Log::Kernel, entries, log.next);
    }
    let rows: Vec<ErrorRow> = court.history.counted(Log::Kernel).filter_map(|(key, count)| row(key, count)).collect();
    if seen.hardware_errors.reading.known().is_none() {
        return rows;
    }
    let mut parts: BTreeMap<&ErrorOrigin, Told> = BTreeMap::new();
    for row in &rows {
        parts.entry(&row.origin).or_default().by_severity.insert(row.severity, row.count);
    }
    for (origin, told) in parts {
        match origin {
            ErrorOrigin::Processor { socket, bank } => processor(court, *socket, *bank, &told),
            ErrorOrigin::Firmware { fru, section } => firmware(court, fru, section, &told),
        }
    }
    let count = |is_one: fn(&ErrorOrigin) -> bool| rows.iter().filter(|row| is_one(&row.origin)).count();
    if count(|origin| matches!(origin, ErrorOrigin::Processor { .. })) == 0 {
        court.ok(("cpu.machine_check", "cpu"), "the kernel's log tells of no machine check");
    }
    if count(|origin| matches!(origin, ErrorOrigin::Firmware { .. })) == 0 {
        court.ok(("firmware.errors", "firmware"), "the firmware reports no error of the hardware");
    }
    rows
}

/// Lines that nobody has read may have told of an error.
fn overwritten(court: &mut Court<'_>, first: u64) {
    let name = ("kernel.log", "kernel");
    let next = court.history.next_of(Log::Kernel);
    if next == 0 || first <= next {
        return court.ok(name, "every line was read");
    }
    let evidence = format!(
        "{} lines were overwritten before they were read; an error of the hardware may have been among them: \
         journalctl -k -g 'Hardware Error'; a larger ring: log_buf_len= on the kernel's command line",
        first - next
    );
    court.find(name, Severity::Info, Gate::None, "the kernel logs faster than it is read", evidence);
}

fn processor(court: &mut Court<'_>, socket: Option<u32>, bank: u32, told: &Told) {
    let subject = match socket {
        Some(socket) => format!("socket {socket} bank {bank}"),
        None => format!("bank {bank}"),
    };
    let name = ("cpu.machine_check", subject.as_str());
    let lost = told.of(&[ErrorSeverity::Uncorrected, ErrorSeverity::Fatal, ErrorSeverity::Other]);
    let deferred = told.of(&[ErrorSeverity::Deferred]);
    let corrected = told.of(&[ErrorSeverity::Corrected]);
    let recent = court.history.risen(&format!("mce {subject}"), corrected + deferred, HOUR_SECONDS, true);
    if lost > 0 {
        let evidence = format!("{lost} uncorrected machine checks since boot; {LOOK}, and have the machine looked at");
        court.find(name, Severity::Crit, Gate::Blocks, format!("{subject}: uncorrected machine check"), evidence);
    } else if recent > 0 {
        let evidence = format!(
            "{recent} machine checks in the last hour, {corrected} corrected and {deferred} deferred since boot; {LOOK}"
        );
        court.find(name, Severity::Warn, Gate::Warns, format!("{subject} reports machine checks"), evidence);
    } else {
        court.ok(name, format!("{} corrected machine checks since boot, none in the last hour", corrected + deferred));
    }
}

fn firmware(court: &mut Court<'_>, fru: &str, section: &str, told: &Told) {
    let part = if fru.is_empty() { "an unnamed part" } else { fru };
    let subject = if section.is_empty() { part.to_owned() } else { format!("{part} ({section})") };
    let name = ("firmware.errors", subject.as_str());
    // A lost transaction of a device is that device's matter; lost data in memory or a processor is everybody's.
    let is_shared = section.contains("memory") || section.contains("processor") || section.is_empty();
    let fatal = told.of(&[ErrorSeverity::Fatal]);
    let lost = told.of(&[ErrorSeverity::Uncorrected, ErrorSeverity::Deferred, ErrorSeverity::Other]);
    let corrected = told.of(&[ErrorSeverity::Corrected]);
    let limit = court.limits.dimm_corrected_warn_per_day;
    let per_day = court.history.risen(&format!("ghes {subject}"), corrected, DAY_SECONDS, true);
    if fatal > 0 || (lost > 0 && is_shared) {
        let evidence = format!("{} uncorrected errors since boot; {LOOK}, and replace the part", fatal + lost);
        court.find(name, Severity::Crit, Gate::Blocks, format!("{subject} lost data"), evidence);
    } else if lost > 0 {
        let evidence = format!("{lost} uncorrected errors since boot; {LOOK}");
        court.find(name, Severity::Warn, Gate::Warns, format!("{subject} reports errors"), evidence);
    } else if per_day as f64 >= limit {
        let evidence = format!("{per_day} corrected errors in {}; plan to replace the part; {LOOK}", span(DAY_SECONDS));
        court.find(name, Severity::Warn, Gate::Warns, format!("{subject} corrects many errors"), evidence);
    } else {
        court.ok(name, format!("{per_day} corrected errors in a day, none uncorrected"));
    }
}

/// As it is kept: the row without its count, in words with tabs between, of which a name of the firmware's has none.
fn key(error: &HardwareError) -> String {
    let severity = error.severity.word();
    match &error.origin {
        ErrorOrigin::Processor { socket, bank } => {
            let socket = socket.map_or_else(String::new, |socket| socket.to_string());
            format!("{PROCESSOR}\t{severity}\t{socket}\t{bank}")
        }
        ErrorOrigin::Firmware { fru, section } => format!("{FIRMWARE}\t{severity}\t{fru}\t{section}"),
    }
}

/// `None` for what an agent of another release has kept.
fn row(key: &str, count: u64) -> Option<ErrorRow> {
    let mut words = key.split('\t');
    let mut word = || words.next();
    let (kind, severity, first, second) = (word()?, word()?, word()?, word()?);
    let severity = ErrorSeverity::ALL.into_iter().find(|one| one.word() == severity)?;
    let origin = match kind {
        PROCESSOR => ErrorOrigin::Processor { socket: first.parse().ok(), bank: second.parse().ok()? },
        FIRMWARE => ErrorOrigin::Firmware { fru: first.to_owned(), section: second.to_owned() },
        _ => return None,
    };
    Some(ErrorRow { origin, severity, count })
}

#[cfg(test)]
mod tests;
