//! Values that have the right type and make no sense: shares above 100 percent, a warning beyond its alarm.
//!
//! It must never change a value: what does not fit is refused with the range that would.

use std::net::SocketAddr;
use std::path::PathBuf;

use hardstand_core::Settings;
use serde_json::Value;

use super::merge::Merged;
use super::{MAIN_FILE, Place, Problem};

/// The range of a number, by the unit its key ends in: unit, least, most. A key may overrule it in [`RANGES`].
const UNITS: [(&str, f64, f64); 7] = [
    ("_percent", 0.0, 100.0),
    ("_celsius", 1.0, 200.0),
    ("_hours", 0.0, 8760.0),
    ("_days", 0.0, 3650.0),
    ("_seconds", 0.0, 86400.0),
    ("_secs", 1.0, 31_536_000.0),
    ("", 0.0, 1e6),
];

/// Ranges that are narrower than their unit's, with the reason.
const RANGES: [(&str, f64, f64); 6] = [
    // More often than once a second costs more than it shows; rarer than a minute is no watch, and WatchdogSec ends it.
    ("probe.interval_secs", 1.0, 60.0),
    ("probe.deadline_secs", 1.0, 59.0),
    // A disk that is asked more often than this never rests.
    ("probe.smart_interval_secs", 10.0, 86400.0),
    // A hook that takes longer outlasts the phase it belongs to.
    ("hooks.deadline_secs", 1.0, 3600.0),
    ("hooks.tries", 1.0, 100.0),
    ("hooks.pause_secs", 1.0, 600.0),
];

/// The longest node name: a Linux host name.
const NAME_LIMIT: usize = 64;

/// Everything that is wrong with the values, in the order of the places.
pub(super) fn check(merged: &Merged) -> Vec<Problem> {
    let mut faults = Vec::new();
    numbers(&merged.tree, "", &mut faults);
    names(&merged.settings, &mut faults);
    orders(&merged.settings, &mut faults);
    let mut placed: Vec<(Place, String)> = faults.into_iter().map(|fault| fault.placed(merged)).collect();
    placed.sort();
    placed.into_iter().map(|(place, message)| Problem::At { place, message }).collect()
}

/// What is wrong, and the keys it hangs on (any of which may have been set).
struct Fault {
    keys: Vec<String>,
    message: String,
}

impl Fault {
    fn at(key: &str, message: String) -> Self {
        Self { keys: vec![key.to_owned()], message }
    }

    /// The last place that set one of the keys. Defaults are right, so there is one.
    fn placed(self, merged: &Merged) -> (Place, String) {
        let place = self.keys.iter().filter_map(|key| merged.origins.get(key)).max().cloned();
        (place.unwrap_or(Place { path: PathBuf::from(MAIN_FILE), line: 1, column: 1 }), self.message)
    }
}

fn numbers(tree: &Value, path: &str, faults: &mut Vec<Fault>) {
    if let Some(object) = tree.as_object() {
        for (key, value) in object {
            numbers(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, faults);
        }
        return;
    }
    let Some(number) = tree.as_f64() else { return };
    let named = RANGES.iter().find(|(key, ..)| *key == path);
    let (_, least, most) = named
        .or_else(|| UNITS.iter().find(|(unit, ..)| path.ends_with(unit)))
        .expect("the last unit is the empty one, in which every key ends");
    if !(*least..=*most).contains(&number) {
        faults.push(Fault::at(path, format!("`{path}` must be {least} to {most}, not {number}")));
    }
}

fn names(settings: &Settings, faults: &mut Vec<Fault>) {
    if let Some(name) = &settings.node.name {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(allowed) {
            let message =
                format!("`node.name` must be 1 to {NAME_LIMIT} letters, digits, `.`, `-` or `_`, not {name:?}");
            faults.push(Fault::at("node.name", message));
        }
    }
    let listen = &settings.metrics.listen;
    if listen != "off" && listen.parse::<SocketAddr>().is_err() {
        let message =
            format!("`metrics.listen` must be ADDRESS:PORT (127.0.0.1:9787, [::1]:9787) or \"off\", not {listen:?}");
        faults.push(Fault::at("metrics.listen", message));
    }
    let is_unit = |name: &str| name.rsplit_once('.').is_some_and(|(stem, kind)| !stem.is_empty() && !kind.is_empty());
    let unit = "a unit with its kind, as in nginx.service";
    list("units.required", &settings.units.required, unit, is_unit, faults);
    list("units.ignore", &settings.units.ignore, unit, is_unit, faults);
    list("drain.units", &settings.drain.units, unit, is_unit, faults);
    list("patch.keep_running", &settings.patch.keep_running, unit, is_unit, faults);
    hooks(settings, faults);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | ':' | ' ');
    let is_dataset = |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(allowed);
    list("snapshots.datasets", &settings.snapshots.datasets, "a dataset, as in tank/data", is_dataset, faults);
    let is_interface = |name: &str| !name.is_empty() && !name.contains(|c: char| c == '/' || c.is_whitespace());
    list("nics.required", &settings.nics.required, "an interface, as in eno1", is_interface, faults);
    list("nics.ignore", &settings.nics.ignore, "an interface, as in eno1", is_interface, faults);
    let absolute = |path: &str| path.starts_with('/');
    list("filesystems.ignore", &settings.filesystems.ignore, "a mount point, as in /mnt/scratch", absolute, faults);
}

/// Hooks are services, and none of them is stopped by the drain.
fn hooks(settings: &Settings, faults: &mut Vec<Fault>) {
    let hooks = &settings.hooks;
    let points = [
        ("hooks.pre_drain", &hooks.pre_drain),
        ("hooks.post_drain", &hooks.post_drain),
        ("hooks.pre_reboot", &hooks.pre_reboot),
        ("hooks.post_boot", &hooks.post_boot),
        ("hooks.pre_release", &hooks.pre_release),
    ];
    for (key, units) in points {
        let is_service = |name: &str| name.strip_suffix(".service").is_some_and(|stem| !stem.is_empty());
        list(key, units, "a service, as in move-address.service", is_service, faults);
        for unit in units.iter().filter(|unit| settings.drain.units.contains(unit)) {
            let message = format!("`{key}` names {unit:?}, which `drain.units` stops; a hook is a unit of its own");
            faults.push(Fault { keys: vec![key.to_owned(), "drain.units".to_owned()], message });
        }
    }
}

fn list(key: &str, values: &[String], wanted: &str, good: impl Fn(&str) -> bool, faults: &mut Vec<Fault>) {
    for value in values.iter().filter(|value| !good(value)) {
        faults.push(Fault::at(key, format!("each of `{key}` must be {wanted}, not {value:?}")));
    }
}

/// Pairs of keys whose first value must not be above its second.
fn orders(settings: &Settings, faults: &mut Vec<Fault>) {
    let t = &settings.thresholds;
    let p = &settings.probe;
    let free = ("thresholds.filesystem_free_crit_percent", "thresholds.filesystem_free_warn_percent");
    let inodes = ("thresholds.inodes_free_crit_percent", "thresholds.inodes_free_warn_percent");
    let full = ("thresholds.filesystem_full_crit_hours", "thresholds.filesystem_full_warn_hours");
    let used = ("thresholds.pool_used_warn_percent", "thresholds.pool_used_crit_percent");
    let heat = ("thresholds.disk_temperature_warn_celsius", "thresholds.disk_temperature_crit_celsius");
    let rows = [
        (free, t.filesystem_free_crit_percent, t.filesystem_free_warn_percent),
        (inodes, t.inodes_free_crit_percent, t.inodes_free_warn_percent),
        (full, t.filesystem_full_crit_hours, t.filesystem_full_warn_hours),
        (used, t.pool_used_warn_percent, t.pool_used_crit_percent),
        (heat, t.disk_temperature_warn_celsius, t.disk_temperature_crit_celsius),
        (("probe.deadline_secs", "probe.interval_secs"), p.deadline_secs as f64, p.interval_secs as f64),
        (("probe.interval_secs", "probe.smart_interval_secs"), p.interval_secs as f64, p.smart_interval_secs as f64),
        (
            ("probe.interval_secs", "probe.inventory_interval_secs"),
            p.interval_secs as f64,
            p.inventory_interval_secs as f64,
        ),
    ];
    for ((lower, upper), low, high) in rows {
        if low > high {
            let message = format!("`{lower}` ({low}) must not be above `{upper}` ({high})");
            faults.push(Fault { keys: vec![lower.to_owned(), upper.to_owned()], message });
        }
    }
}
