//! Temperatures, fans and voltages from `/sys/class/hwmon`.
//!
//! It must never wake a disk: `drivetemp` chips are left out (reading one sends a command to the disk), their
//! temperature comes with SMART.

use hardstand_core::observed::{Sensor, SensorKind};

use super::kernel_dir::KernelDir;
use super::{Host, HostError};

const HWMON: &str = "sys/class/hwmon";
/// The chip that asks a disk for its temperature.
const DISK_CHIP: &str = "drivetemp";

/// Reads every sensor. A sensor that does not answer (a slot with no fan, a radio that is off) is left out, as it is
/// in `sensors(1)`; a machine with no chip has none.
///
/// # Errors
/// The list of chips cannot be read.
pub(crate) fn probe_sensors(host: &Host) -> Result<Vec<Sensor>, HostError> {
    let mut sensors = Vec::new();
    let Some(class) = KernelDir::open_if_there(host, HWMON)? else { return Ok(sensors) };
    for entry in class.names()?.into_iter().filter(|name| name.starts_with("hwmon")) {
        let Some(dir) = class.below(&entry) else { continue };
        if dir.text("name").is_some_and(|name| name == DISK_CHIP) {
            continue;
        }
        let chip = chip_name(&class, &dir, &entry);
        // Drivers of old keep their attributes in the device's own directory.
        let dir = if dir.has("name") { dir } else { dir.below("device").unwrap_or(dir) };
        let Ok(files) = dir.names() else { continue };
        sensors.extend(files.iter().filter_map(|file| sensor(&dir, &files, file, &chip)));
    }
    Ok(sensors)
}

fn sensor(dir: &KernelDir, files: &[String], file: &str, chip: &str) -> Option<Sensor> {
    let name = file.strip_suffix("_input")?;
    let digits = name.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
    let kind = match name.strip_suffix(digits)? {
        "temp" => SensorKind::Temperature,
        "fan" => SensorKind::Fan,
        "in" => SensorKind::Voltage,
        _ => return None,
    };
    let raw: i64 = dir.number(file)?;
    // Only files that are in the listing are opened: most chips have few of them.
    let listed = |suffix: &str| {
        let wanted = format!("{name}_{suffix}");
        files.binary_search(&wanted).is_ok().then_some(wanted)
    };
    let limit = |suffix: &str| listed(suffix).and_then(|file| dir.number(&file)).map(|raw: i64| in_unit(kind, raw));
    let alarm = |suffix: &str| listed(suffix).is_some_and(|file| dir.flag(&file));
    Some(Sensor {
        chip: chip.to_owned(),
        sensor: name.to_owned(),
        label: listed("label").and_then(|file| dir.text(&file)),
        kind,
        value: in_unit(kind, raw),
        max: limit("max"),
        critical: limit("crit"),
        alarm: alarm("alarm") || alarm("crit_alarm") || alarm("emergency_alarm"),
    })
}

/// hwmon counts temperatures in thousandths of a degree and voltages in thousandths of a volt.
fn in_unit(kind: SensorKind, raw: i64) -> f64 {
    match kind {
        SensorKind::Fan => raw as f64,
        SensorKind::Temperature | SensorKind::Voltage => raw as f64 / 1000.0,
    }
}

/// The chip's name as node_exporter makes it: bus (or parent) and device, else the driver's word, else `hwmonN`.
fn chip_name(class: &KernelDir, dir: &KernelDir, entry: &str) -> String {
    let device = class.link(entry).zip(dir.link("device")).and_then(|(at, device)| {
        let mut parts: Vec<&str> = Vec::new();
        for part in at.split('/').chain(device.split('/')) {
            match part {
                ".." => drop(parts.pop()),
                "" | "." => {}
                part => parts.push(part),
            }
        }
        let name = plain(parts.pop()?);
        let parent = parts.pop().map(plain).unwrap_or_default();
        let both = if parent.is_empty() { name } else { format!("{parent}_{name}") };
        (!both.is_empty()).then_some(both)
    });
    let named = device.or_else(|| dir.text("name").map(|name| plain(&name)).filter(|name| !name.is_empty()));
    named.unwrap_or_else(|| entry.to_owned())
}

/// Lower case, with everything that a metric's label value of node_exporter does not hold turned into `_`.
fn plain(word: &str) -> String {
    let kept = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == ':' || letter == '_';
    let lower = word.to_lowercase();
    let clean: String = lower.chars().map(|letter| if kept(letter) { letter } else { '_' }).collect();
    clean.trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests;
