//! needrestart: the parser of its batch output (`needrestart -b`).
//!
//! It must never pass over a line: the one that cannot be read may be the one that names a service.

use hardstand_core::observed::Needrestart;

use super::{HostError, excerpt};

const PREFIX: &str = "NEEDRESTART-";

/// Parses the output of `needrestart -b`. Keys that are not known are kept.
///
/// # Errors
/// A line is not of the form `NEEDRESTART-KEY: VALUE`, a value that there is once comes twice or is no number, or there
/// is no version.
pub(crate) fn parse(text: &str) -> Result<Needrestart, HostError> {
    let mut told = Needrestart::default();
    let mut version = None;
    for (index, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
        let unread = || format!("{:?} is not `NEEDRESTART-KEY: VALUE`", excerpt(line));
        line.strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once(':'))
            .ok_or_else(unread)
            .and_then(|(key, value)| pair(&mut told, &mut version, key, value.trim(), line))
            .map_err(|why| bad(format!("line {}: {why}", index + 1)))?;
    }
    told.version = version.ok_or_else(|| bad("no version in it; is this the output of needrestart -b?".to_owned()))?;
    Ok(told)
}

fn bad(why: String) -> HostError {
    HostError::Parse { what: "needrestart -b".to_owned(), why }
}

fn pair(
    told: &mut Needrestart,
    version: &mut Option<String>,
    key: &str,
    value: &str,
    line: &str,
) -> Result<(), String> {
    if value.is_empty() {
        return Err(format!("{key} without a value"));
    }
    let text = || value.to_owned();
    match key {
        "VER" => once(key, version, text()),
        "KCUR" => once(key, &mut told.kernel, text()),
        "KEXP" => once(key, &mut told.expected_kernel, text()),
        "KSTA" => once(key, &mut told.kernel_state, number(value)?),
        "UCCUR" => once(key, &mut told.microcode, text()),
        "UCEXP" => once(key, &mut told.expected_microcode, text()),
        "UCSTA" => once(key, &mut told.microcode_state, number(value)?),
        "SVC" => many(&mut told.services, text()),
        "CONT" => many(&mut told.containers, text()),
        "SESS" => many(&mut told.sessions, text()),
        "PID" => many(&mut told.processes, text()),
        _ => many(&mut told.others, excerpt(line)),
    }
}

fn once<T>(key: &str, slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("a second {key}")),
    }
}

/// A thing named twice is one thing.
fn many(list: &mut Vec<String>, value: String) -> Result<(), String> {
    if list.last() != Some(&value) {
        list.push(value);
    }
    Ok(())
}

fn number(text: &str) -> Result<u64, String> {
    let is_number = text.chars().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or_else(|| format!("{:?} is not a number", excerpt(text)))
}

#[cfg(test)]
mod tests;
