//! The board's controller by FreeIPMI's `ipmi-sensors` and `ipmi-sel` (1.6), which the helper runs: sensors and the room in
//! the log each time, entries of the log only when there are others than last time, and only the new ones.
//!
//! It must never take a line that it cannot read for a sensor that is well.

use std::sync::{Mutex, PoisonError};

use hardstand_core::Reading;
use hardstand_core::observed::{Ipmi, IpmiEvent, IpmiLog, IpmiSensor, IpmiState, IpmiTold};

use super::kernel_dir::KernelDir;
use super::{Host, HostError, excerpt};
use crate::helper::{AskError, Client};

/// The programs.
pub(crate) const SENSORS: &str = "ipmi-sensors";
pub(crate) const LOG: &str = "ipmi-sel";
/// What all of them are told: the kernel's driver and no other way to the controller (the tools would probe I/O ports).
pub(crate) const COMMON: [&str; 3] = ["--driver-type=OPENIPMI", "--quiet-cache", "--sdr-cache-recreate"];
pub(crate) const SENSORS_ARGUMENTS: [&str; 4] =
    ["--comma-separated-output", "--no-header-output", "--output-sensor-state", "--entity-sensor-names"];
pub(crate) const LOG_ARGUMENTS: [&str; 1] = ["--info"];
pub(crate) const EVENTS_ARGUMENTS: [&str; 4] =
    ["--comma-separated-output", "--no-header-output", "--output-event-state", "--entity-sensor-names"];
/// Entries of the log that are kept, the newest.
const KEPT: usize = 50;
/// The highest number an entry may have: the one above it means "the last one".
const LAST_ENTRY: u16 = 0xfffe;

/// The kernel's class of controllers, and its driver for the common way to one.
const CLASS: &str = "sys/class/ipmi";
const DRIVER: &str = "sys/bus/platform/drivers/ipmi_si";

/// What was in the log when it was asked last.
#[derive(Debug, Default)]
pub(crate) struct LastLog(Mutex<Option<Known>>);

#[derive(Debug)]
struct Known {
    /// What the tool said of the log, by which another one is told.
    info: String,
    events: Vec<IpmiEvent>,
}

/// Which entries are wanted, as an argument of `ipmi-sel`.
pub(crate) fn which_events(after: Option<u16>) -> String {
    match after {
        Some(after) => format!("--display-range={}-{LAST_ENTRY}", after.saturating_add(1).min(LAST_ENTRY)),
        None => format!("--tail={KEPT}"),
    }
}

/// The controller; `None` on a board without one.
///
/// # Errors
/// There is one, and it does not answer, or not what it should.
pub(crate) async fn probe_ipmi(host: &Host, helper: &Client, last: &LastLog) -> Result<Option<Ipmi>, HostError> {
    let without_means = |why: &str| Ok(Some(Ipmi { told: Reading::unknown(why) }));
    match presence(host)? {
        Presence::None => return Ok(None),
        Presence::NoDevice => {
            return without_means(
                "the board has a controller and the kernel no device for it; load it: modprobe ipmi_devintf, for good: \
                 echo ipmi_devintf > /etc/modules-load.d/ipmi.conf",
            );
        }
        Presence::Device => {}
    }
    let answer = match helper.ipmi().await {
        Ok(answer) => answer,
        Err(AskError::Missing { why }) => return without_means(&why),
        Err(error) => return Err(error.into()),
    };
    let sensors = parse_sensors(&answer.sensors)?;
    let mut log = parse_log(&answer.log)?;
    log.events = events(helper, answer.log, last).await?;
    Ok(Some(Ipmi { told: Reading::Known(IpmiTold { sensors, log }) }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    None,
    NoDevice,
    Device,
}

/// The agent sees no device in its sandbox, but the kernel's lists of them.
fn presence(host: &Host) -> Result<Presence, HostError> {
    let names = |place: &str| KernelDir::open_if_there(host, place)?.map_or(Ok(Vec::new()), |dir| dir.names());
    if names(CLASS)?.iter().any(|name| name.starts_with("ipmi")) {
        return Ok(Presence::Device);
    }
    // A driver's directory has its devices beside `bind`, `uevent` and the like; they come from ACPI, SMBIOS or PCI.
    let is_device = |name: &String| name.contains(':') || name.contains("ipmi-si");
    Ok(if names(DRIVER)?.iter().any(is_device) { Presence::NoDevice } else { Presence::None })
}

/// The newest entries: those of last time while the log is the same, and else what has come since.
async fn events(helper: &Client, info: String, last: &LastLog) -> Result<Vec<IpmiEvent>, HostError> {
    // Taken out, so that all is asked again after whatever fails on the way.
    let kept = last.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let known = match kept {
        Some(kept) if kept.info == info => kept,
        kept => {
            let before = kept.filter(|kept| erased(&kept.info) == erased(&info)).map(|kept| kept.events);
            let newest = before.iter().flatten().map(|event| event.id).max();
            let after = newest.and_then(|id| u16::try_from(id).ok());
            let new = parse_events(&helper.ipmi_events(after).await?)?;
            let mut events = if after.is_some() { before.unwrap_or_default() } else { Vec::new() };
            events.extend(new);
            events.drain(..events.len().saturating_sub(KEPT));
            Known { info, events }
        }
    };
    let events = known.events.clone();
    *last.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    Ok(events)
}

/// The line that tells when the log was cleared.
fn erased(info: &str) -> Option<&str> {
    info.lines().find(|line| line.starts_with("Recent erase timestamp"))
}

/// Parses `ipmi-sensors`: `ID,NAME,TYPE,STATE,READING,UNIT,'EVENT' 'EVENT'`. A name may hold a comma.
pub(crate) fn parse_sensors(text: &str) -> Result<Vec<IpmiSensor>, HostError> {
    let mut sensors: Vec<IpmiSensor> = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (id, mut sensor) = sensor(line).ok_or_else(|| not_one(SENSORS, index, line, "a sensor"))?;
        if sensors.iter().any(|other| other.name == sensor.name) {
            sensor.name = format!("{} #{id}", sensor.name);
        }
        sensors.push(sensor);
    }
    Ok(sensors)
}

fn sensor(line: &str) -> Option<(u32, IpmiSensor)> {
    let (values, events) = match line.split_once(",'") {
        Some((values, events)) => (values, events.strip_suffix('\'')?.split("' '").map(str::to_owned).collect()),
        None => (line.strip_suffix(",N/A")?, Vec::new()),
    };
    let mut fields = values.rsplitn(5, ',');
    let mut field = || fields.next();
    let (unit, reading, state, kind) = (field()?, field()?, field()?, field()?);
    let (id, name) = field()?.split_once(',')?;
    let reading = match reading {
        "N/A" => None,
        number => Some(number.parse().ok().filter(|number: &f64| number.is_finite())?),
    };
    let unit = Some(unit.to_owned()).filter(|unit| unit != "N/A");
    let (name, kind) = (name.to_owned(), kind.to_owned());
    Some((id.parse().ok()?, IpmiSensor { name, kind, state: state_of(state), reading, unit, events }))
}

fn state_of(word: &str) -> IpmiState {
    match word {
        "Nominal" => IpmiState::Nominal,
        "Warning" => IpmiState::Warning,
        "Critical" => IpmiState::Critical,
        "N/A" => IpmiState::Unread,
        _ => IpmiState::Other,
    }
}

/// Parses `ipmi-sel --info`.
pub(crate) fn parse_log(text: &str) -> Result<IpmiLog, HostError> {
    let field = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim())
    };
    let bad = |why: &str| HostError::Parse { what: format!("{LOG} --info"), why: why.to_owned() };
    let entries = field("Number of log entries").ok_or_else(|| bad("no line `Number of log entries`"))?;
    let entries = entries.parse().map_err(|_error| bad("`Number of log entries` has no count"))?;
    let free_bytes = field("Free space remaining").and_then(|text| text.strip_suffix(" bytes")?.parse().ok());
    let dropped = field("Events dropped due to lack of space") == Some("Yes");
    Ok(IpmiLog { entries, free_bytes, dropped, events: Vec::new() })
}

/// Parses `ipmi-sel`: `ID,DATE,TIME,NAME,TYPE,STATE,EVENT`. A name and an event may hold a comma.
pub(crate) fn parse_events(text: &str) -> Result<Vec<IpmiEvent>, HostError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(index, line)| event(line).ok_or_else(|| not_one(LOG, index, line, "an entry"))).collect()
}

fn event(line: &str) -> Option<IpmiEvent> {
    let mut fields = line.splitn(4, ',');
    let (id, date, time, rest) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let words = [
        ("Nominal", IpmiState::Nominal),
        ("Warning", IpmiState::Warning),
        ("Critical", IpmiState::Critical),
        ("N/A", IpmiState::Unread),
    ];
    let found = words.iter().filter_map(|(word, state)| Some((rest.find(&format!(",{word},"))?, *word, *state)));
    // One that is taken otherwise has its state between the same commas.
    let (before, state, event) = match found.min_by_key(|(at, ..)| *at) {
        Some((at, word, state)) => (&rest[..at], state, &rest[at + word.len() + 2..]),
        None => {
            let mut parts = rest.splitn(4, ',');
            let (name, kind) = (parts.next()?, parts.next()?);
            parts.next()?;
            (&rest[..name.len() + 1 + kind.len()], IpmiState::Other, parts.next()?)
        }
    };
    let (name, kind) = before.rsplit_once(',')?;
    Some(IpmiEvent {
        id: id.parse().ok()?,
        at: if date == time { date.to_owned() } else { format!("{date} {time}") },
        name: name.to_owned(),
        kind: kind.to_owned(),
        state,
        event: event.to_owned(),
    })
}

fn not_one(program: &str, index: usize, line: &str, what: &str) -> HostError {
    let why = format!("line {}: `{}` is not {what}", index + 1, excerpt(line));
    HostError::Parse { what: format!("the output of {program}"), why }
}

#[cfg(test)]
mod tests;
