//! SMART and NVMe health: the parser of `smartctl --json`, and asking the helper for it.
//!
//! It must never wake a disk (smartctl is asked with `--nocheck=standby`), and never turn a missing value into a good
//! one: what a disk does not say is `None`, what could not be asked is Unknown.

use std::collections::BTreeMap;

use hardstand_core::Reading;
use hardstand_core::observed::{AtaSmart, Disk, NvmeSmart, PowerState, ScsiSmart, Smart, SmartDetail, Transport};
use serde_json::Value;
use tokio::task::JoinSet;

use super::HostError;
use crate::helper::{Client, DiskName, SmartAnswer};

/// What smartctl is asked for: identity, overall status, attributes, count of logged errors, life used. The other logs
/// cost a disk seconds and decide nothing.
pub(crate) const ARGUMENTS: [&str; 7] =
    ["--json=c", "--nocheck=standby", "--info", "--health", "--attributes", "--log=error", "--log=ssd"];

/// smartctl's exit status (a bit field, `smartctl(8)`): the command line was not understood or the device is unknown.
const EXIT_COMMAND_LINE: u64 = 1;
/// The device could not be opened, did not identify itself, or sleeps.
const EXIT_NOT_OPENED: u64 = 1 << 1;
/// The disk says it fails.
const EXIT_FAILING: u64 = 1 << 3;

/// Asks the helper for the health of every disk that can have such a thing, all at once, each with its own deadline.
/// The result holds no entry for a disk that has no SMART (virtual disks, most USB sticks); a disk that did not answer
/// is Unknown for itself only.
///
/// # Errors
/// The helper does not answer, or what it needs is not installed: then nothing is known of any disk.
pub(crate) async fn probe_smart(disks: &[Disk], helper: &Client) -> Result<BTreeMap<String, Smart>, HostError> {
    let mut asked = JoinSet::new();
    for disk in disks.iter().filter(|disk| may_have_smart(disk)) {
        let Ok(name) = DiskName::try_from(disk.id.name.clone()) else { continue };
        let (key, helper) = (disk.id.key().into_owned(), helper.clone());
        asked.spawn(async move { (key, helper.smart(name).await) });
    }
    let mut smart = BTreeMap::new();
    while let Some(joined) = asked.join_next().await {
        let (key, answer) =
            joined.map_err(|error| HostError::Helper { why: format!("a query ended early: {error}") })?;
        let unknown = |why| Some(Smart { power: PowerState::Active, detail: Reading::Unknown { why } });
        let said = match answer {
            Ok(SmartAnswer::Asleep {}) => Some(asleep()),
            Ok(SmartAnswer::Output { json }) => parse(&json).unwrap_or_else(|error| unknown(error.to_string())),
            Err(error) if error.is_about_one_request() => unknown(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        smart.extend(said.map(|said| (key, said)));
    }
    Ok(smart)
}

/// Volumes of a storage box are left out: their disks' health is the box's to tell.
fn may_have_smart(disk: &Disk) -> bool {
    !matches!(disk.transport, Transport::Iscsi | Transport::Fc | Transport::Mmc | Transport::Other)
}

fn asleep() -> Smart {
    Smart {
        power: PowerState::Standby,
        detail: Reading::unknown("the disk sleeps and was not woken; it is asked again when it is awake"),
    }
}

/// Parses the output of `smartctl --json`; `None` when the device has no SMART.
///
/// # Errors
/// The text is not smartctl's JSON, or smartctl could not ask the disk (its own words are in the error).
pub(crate) fn parse(text: &str) -> Result<Option<Smart>, HostError> {
    let bad = |why: String| HostError::Parse { what: "smartctl --json".to_owned(), why };
    let root: Value = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    let Some(exit_status) = number(&root, "/smartctl/exit_status") else {
        return Err(bad("no `smartctl.exit_status`; is this the output of smartctl --json?".to_owned()));
    };
    if sleeps(&root) {
        return Ok(Some(asleep()));
    }
    let words = messages(&root).join("; ");
    if root.pointer("/smart_support/available") == Some(&Value::Bool(false)) || is_unreachable_kind(&words) {
        return Ok(None);
    }
    if exit_status & (EXIT_COMMAND_LINE | EXIT_NOT_OPENED) != 0 {
        let words = if words.is_empty() { "it gave no reason".to_owned() } else { words };
        return Err(bad(format!("exit status {exit_status}, the disk was not asked: {words}")));
    }
    if root.pointer("/smart_support/enabled") == Some(&Value::Bool(false)) {
        let device = root.pointer("/device/name").and_then(Value::as_str).unwrap_or("DEVICE");
        let why = format!("SMART is switched off on the disk; switch it on with: smartctl --smart=on {device}");
        return Ok(Some(Smart { power: PowerState::Active, detail: Reading::Unknown { why } }));
    }
    let detail = detail(&root, exit_status).map_err(bad)?;
    if detail.passed.is_none() && detail.ata.is_none() && detail.nvme.is_none() && detail.scsi.is_none() {
        return Err(bad(format!(
            "exit status {exit_status}, no health in it{}{words}",
            if words.is_empty() { "" } else { ": " }
        )));
    }
    Ok(Some(Smart { power: PowerState::Active, detail: Reading::Known(detail) }))
}

fn detail(root: &Value, exit_status: u64) -> Result<SmartDetail, String> {
    let (ata, nvme) = (ata(root), nvme(root)?);
    let passed = root.pointer("/smart_status/passed").and_then(Value::as_bool);
    let logged = ["/ata_smart_error_log/extended/count", "/ata_smart_error_log/summary/count"];
    let nvme_log = "/nvme_smart_health_information_log";
    Ok(SmartDetail {
        passed: if exit_status & EXIT_FAILING != 0 { Some(false) } else { passed },
        // 0 is what a disk without a thermometer says (seen on SCSI).
        temperature_celsius: root
            .pointer("/temperature/current")
            .and_then(Value::as_f64)
            .filter(|celsius| *celsius != 0.0),
        power_on_hours: number(root, "/power_on_time/hours")
            .or_else(|| number(root, &format!("{nvme_log}/power_on_hours"))),
        error_log_count: logged
            .iter()
            .find_map(|pointer| number(root, pointer))
            .or_else(|| number(root, &format!("{nvme_log}/num_err_log_entries"))),
        ata,
        nvme,
        scsi: scsi(root),
    })
}

fn ata(root: &Value) -> Option<AtaSmart> {
    let table = root.pointer("/ata_smart_attributes/table")?.as_array()?;
    let attribute = |id: u64| table.iter().find(|row| number(row, "/id") == Some(id));
    let raw = |id| attribute(id).and_then(|row| number(row, "/raw/value"));
    Some(AtaSmart {
        reallocated_sectors: raw(5),
        pending_sectors: raw(197),
        uncorrectable_sectors: raw(198),
        crc_errors: raw(199),
        used_percent: used_percent(root).or_else(|| table.iter().find_map(worn_percent)),
    })
}

/// Life used as the disk's own statistics have it, under the names of smartctl 7.5 and before.
fn used_percent(root: &Value) -> Option<u8> {
    let direct = ["/endurance_used/current_percent", "/scsi_percentage_used_endurance_indicator"];
    let statistic = || {
        let pages = root.pointer("/ata_device_statistics/pages")?.as_array()?;
        let rows = pages.iter().filter_map(|page| page.pointer("/table")?.as_array()).flatten();
        let named =
            |row: &&Value| row.pointer("/name").and_then(Value::as_str) == Some("Percentage Used Endurance Indicator");
        rows.into_iter().find(named).and_then(|row| number(row, "/value"))
    };
    let percent = direct.iter().find_map(|pointer| number(root, pointer)).or_else(statistic)?;
    Some(u8::try_from(percent).unwrap_or(u8::MAX))
}

/// Life used from the makers' own attributes. The same number means another thing on another disk (231 is a temperature
/// on some, 233 a count of writes), so the name in smartctl's database decides; the normalised value is the life left.
fn worn_percent(row: &Value) -> Option<u8> {
    let name = row.pointer("/name")?.as_str()?;
    let known = match number(row, "/id")? {
        177 => name == "Wear_Leveling_Count",
        202 => name.starts_with("Percent_Lifetime"),
        231 => name == "SSD_Life_Left",
        230 | 233 => name == "Media_Wearout_Indicator",
        _ => false,
    };
    let left = u8::try_from(number(row, "/value")?).ok()?;
    if known { 100u8.checked_sub(left) } else { None }
}

/// A value of the log page that is missing is an error, not a zero: zero is the good one.
fn nvme(root: &Value) -> Result<Option<NvmeSmart>, String> {
    let Some(log) = root.pointer("/nvme_smart_health_information_log") else { return Ok(None) };
    let value = |name: &str| {
        let missing = || format!("nvme_smart_health_information_log has no number `{name}`");
        number(log, &format!("/{name}")).ok_or_else(missing)
    };
    let byte = |name: &str| value(name).map(|number| u8::try_from(number).unwrap_or(u8::MAX));
    Ok(Some(NvmeSmart {
        critical_warning: byte("critical_warning")?,
        available_spare_percent: byte("available_spare")?,
        available_spare_threshold_percent: byte("available_spare_threshold")?,
        percentage_used: byte("percentage_used")?,
        media_errors: value("media_errors")?,
        unsafe_shutdowns: value("unsafe_shutdowns")?,
    }))
}

fn scsi(root: &Value) -> Option<ScsiSmart> {
    if root.pointer("/device/protocol").and_then(Value::as_str) != Some("SCSI") {
        return None;
    }
    let uncorrected = |what: &str| number(root, &format!("/scsi_error_counter_log/{what}/total_uncorrected_errors"));
    let counts: Vec<u64> = ["read", "write", "verify"].into_iter().filter_map(uncorrected).collect();
    let scsi = ScsiSmart {
        grown_defects: number(root, "/scsi_grown_defect_list"),
        uncorrected_errors: (!counts.is_empty())
            .then(|| counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count))),
        percentage_used: used_percent(root),
    };
    (scsi != ScsiSmart::default()).then_some(scsi)
}

/// A whole number, also where smartctl wrote one too large for JSON readers as a string or a float.
fn number(root: &Value, pointer: &str) -> Option<u64> {
    let value = root.pointer(pointer)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).or_else(|| {
        let float = value.as_f64().filter(|float| float.is_finite() && *float >= 0.0)?;
        // Saturates, which is what a counter of 128 bits should do here.
        Some(float as u64)
    })
}

fn messages(root: &Value) -> Vec<&str> {
    let messages = root.pointer("/smartctl/messages").and_then(Value::as_array);
    messages.into_iter().flatten().filter_map(|message| message.pointer("/string")?.as_str()).collect()
}

/// smartctl was told not to wake the disk, and left. Exit status 2 alone does not say so: it also means "not opened".
fn sleeps(root: &Value) -> bool {
    let is_low = |words: &str| words.contains("STANDBY") || words.contains("SLEEP");
    let left = messages(root).into_iter().any(|words| words.starts_with("Device is in ") && is_low(words));
    let mode = root.pointer("/power_mode/name").and_then(Value::as_str);
    left || (mode.is_some_and(is_low) && root.pointer("/smart_status").is_none())
}

/// smartctl knows no way to ask this kind of device.
fn is_unreachable_kind(words: &str) -> bool {
    ["Unable to detect device type", "Unknown USB bridge", "Unsupported USB bridge"]
        .iter()
        .any(|known| words.contains(known))
}

#[cfg(test)]
mod tests;
