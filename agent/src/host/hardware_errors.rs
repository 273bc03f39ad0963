//! Errors of the hardware in the lines of the kernel's log: machine checks as x86 prints them (raw, or decoded by its EDAC
//! drivers), and what the firmware reports through APEI (GHES while running, BERT of the boot before).
//!
//! It must never count a line that only goes with an error, and never guess a socket.

use hardstand_core::observed::{ErrorOrigin, ErrorSeverity, HardwareError, HardwareErrors};

use super::{Host, HostError};
use crate::helper::Client;

/// What the kernel writes before each such line.
const MARK: &str = "[Hardware Error]: ";
/// `MCi_STATUS`: uncorrected; and on AMD: lost, but not used yet.
const UNCORRECTED: u64 = 1 << 61;
const DEFERRED: u64 = 1 << 44;
/// The socket of a machine check is told within this many lines after it.
const LINES_OF_ONE: usize = 6;
/// Most of what the firmware calls a part; by its own table it has 20 characters.
const LONGEST_NAME: usize = 48;

/// Asks the helper for the lines, and reads them.
///
/// # Errors
/// The helper does not answer, or may not read the log.
pub(crate) async fn probe_errors(host: &Host, helper: &Client) -> Result<HardwareErrors, HostError> {
    let log = helper.kernel_log().await?;
    let package = |cpu: u32| {
        let file = format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id");
        host.attribute(file).and_then(|text| text.parse().ok())
    };
    Ok(HardwareErrors { first: log.first, next: log.next, errors: parse(&log.lines, package) })
}

/// Whether a line of the kernel's log is one of those read here.
pub(crate) fn tells_of_hardware(line: &str) -> bool {
    line.contains("[Hardware Error]") || line.contains("Machine Check")
}

/// The errors, oldest first. `package` says to which socket a processor belongs.
pub(crate) fn parse(lines: &[(u64, String)], package: impl Fn(u32) -> Option<u32>) -> Vec<HardwareError> {
    let mut errors: Vec<HardwareError> = Vec::new();
    // Where the report is that lines of the firmware go with, by what they begin with (`{1}`); and the last machine check.
    let mut reports: Vec<(&str, usize)> = Vec::new();
    let mut last_check: Option<(usize, usize)> = None;
    for (index, (sequence, line)) in lines.iter().enumerate() {
        let (head, body) = line.split_once(MARK).unwrap_or(("", line));
        let body = body.trim();
        if let Some((cpu, bank, severity)) = raw_check(body).or_else(|| decoded_check(body)) {
            last_check = Some((index, errors.len()));
            let origin = ErrorOrigin::Processor { socket: package(cpu), bank };
            errors.push(HardwareError { sequence: *sequence, origin, severity });
        } else if let Some(socket) = number_after(body, "SOCKET ") {
            let near = last_check.filter(|(at, _)| index - at <= LINES_OF_ONE);
            if let Some(ErrorOrigin::Processor { socket: told, .. }) = near.map(|(_, place)| &mut errors[place].origin)
            {
                *told = Some(socket);
            }
        } else if let Some(word) = body.strip_prefix("event severity: ") {
            reports.retain(|(of, _)| *of != head);
            reports.push((head, errors.len()));
            let origin = ErrorOrigin::Firmware { fru: String::new(), section: String::new() };
            errors.push(HardwareError { sequence: *sequence, origin, severity: firmware_severity(word) });
        } else if let Some((_, place)) = reports.iter().find(|(of, _)| *of == head) {
            detail(&mut errors[*place].origin, body);
        }
    }
    errors
}

/// `CPU 0: Machine Check: 0 Bank 5: be00000000800400`, `... Machine Check Exception: 5 Bank 3: ...`, `... Event: 0x0 Bank 7: 0x...`.
fn raw_check(body: &str) -> Option<(u32, u32, ErrorSeverity)> {
    let (before, after) = body.split_once(": Machine Check")?;
    let cpu = before.rsplit_once("CPU ")?.1.parse().ok()?;
    let (_, bank) = after.split_once(" Bank ")?;
    let (bank, status) = bank.split_once(": ")?;
    let status = hexadecimal(status)?;
    let severity = if status & UNCORRECTED == 0 { ErrorSeverity::Corrected } else { ErrorSeverity::Uncorrected };
    Some((cpu, bank.trim().parse().ok()?, severity))
}

/// `CPU:2 (17:31:0) MC17_STATUS[Over|CE|...]: 0xdc2040000000011b`, which only AMD's driver prints.
fn decoded_check(body: &str) -> Option<(u32, u32, ErrorSeverity)> {
    let (cpu, rest) = body.strip_prefix("CPU:")?.split_once(' ')?;
    let (before, after) = rest.split_once("_STATUS[")?;
    let bank = before.rsplit_once("MC")?.1.parse().ok()?;
    let status = hexadecimal(after.split_once("]: ")?.1)?;
    let severity = match () {
        () if status & UNCORRECTED != 0 => ErrorSeverity::Uncorrected,
        () if status & DEFERRED != 0 => ErrorSeverity::Deferred,
        () => ErrorSeverity::Corrected,
    };
    Some((cpu.parse().ok()?, bank, severity))
}

fn hexadecimal(text: &str) -> Option<u64> {
    let word = text.split_whitespace().next()?;
    u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
}

fn number_after(body: &str, word: &str) -> Option<u32> {
    body.split_once(word)?.1.split_whitespace().next()?.parse().ok()
}

fn firmware_severity(word: &str) -> ErrorSeverity {
    match word {
        "info" => ErrorSeverity::Info,
        "corrected" => ErrorSeverity::Corrected,
        "recoverable" => ErrorSeverity::Uncorrected,
        "fatal" => ErrorSeverity::Fatal,
        _ => ErrorSeverity::Other,
    }
}

/// What a line says of a report that has begun. The first part that is named counts: the others of a report are its like.
fn detail(origin: &mut ErrorOrigin, body: &str) {
    let ErrorOrigin::Firmware { fru, section } = origin else { return };
    if let Some(text) = body.strip_prefix("section_type: ").filter(|_| section.is_empty()) {
        *section = name(text);
    } else if let Some(text) = body.strip_prefix("fru_text: ").filter(|_| fru.is_empty()) {
        *fru = name(text);
    } else if let Some((_, text)) = body.split_once("DIMM location: ").filter(|_| fru.is_empty()) {
        let text = text.split(" DMI handle:").next().unwrap_or_default();
        if !text.starts_with("not present") {
            *fru = name(text);
        }
    }
}

fn name(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;
