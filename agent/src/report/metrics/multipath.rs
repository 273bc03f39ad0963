//! Multipath maps and their paths.
//!
//! It must never count a path that the device mapper does not use.

use hardstand_core::Observed;

use super::page::{Kind, Page};

/// What the device mapper thinks of a path.
const STATES: [&str; 3] = ["active", "failed", "unknown"];

pub(super) fn write(page: &mut Page, observed: &Observed) {
    let maps = observed.multipath.shown().and_then(Option::as_deref).unwrap_or_default();
    let help = "Paths of a map that the device mapper uses.";
    let mut active = page.family("node_dmmultipath_active_paths", Kind::Gauge, help);
    for map in maps {
        active.sample(&[("device", &map.name)], map.active_paths as f64);
    }
    let mut states =
        page.family("hardstand_multipath_paths", Kind::Gauge, "Paths of a map by the device mapper's word.");
    for map in maps {
        let words = || map.groups.iter().flat_map(|group| &group.paths).map(|path| path.dm_state.as_deref());
        for state in STATES {
            let counts = |said: Option<&str>| match state {
                "unknown" => !matches!(said, Some("active" | "failed")),
                known => said == Some(known),
            };
            let count = words().filter(|said| counts(*said)).count();
            states.sample(&[("device", &map.name), ("state", state)], count as f64);
        }
    }
}
