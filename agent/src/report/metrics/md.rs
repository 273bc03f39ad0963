//! Arrays of disks, under node_exporter's names.
//!
//! It must never count a faulty device as one that serves.

use hardstand_core::Observed;

use super::page::{Kind, Page};

const STATES: [&str; 4] = ["active", "failed", "spare", "unknown"];

pub(super) fn write(page: &mut Page, observed: &Observed) {
    let arrays = observed.md.shown().map(Vec::as_slice).unwrap_or_default();
    let mut disks = page.family("node_md_disks", Kind::Gauge, "Devices of an array by what they are to it.");
    for array in arrays {
        for state in STATES {
            let count = array.devices.iter().filter(|(_, said)| of_device(said.as_deref()) == state).count();
            disks.sample(&[("device", &array.name), ("state", state)], count as f64);
        }
    }
    let mut required = page.family("node_md_disks_required", Kind::Gauge, "Devices an array should have.");
    for array in arrays {
        required.optional(&[("device", &array.name)], array.raid_disks.map(|count| count as f64));
    }
    let mut degraded = page.family("node_md_degraded", Kind::Gauge, "Devices an array lacks.");
    for array in arrays {
        degraded.optional(&[("device", &array.name)], array.degraded.map(|count| count as f64));
    }
    let mut progress = page.family("hardstand_md_sync_ratio", Kind::Gauge, "The share of a resync that is done.");
    for array in arrays {
        progress.optional(&[("device", &array.name)], array.progress);
    }
}

fn of_device(said: Option<&str>) -> &'static str {
    let Some(said) = said else { return "unknown" };
    let has = |word: &str| said.split(',').any(|one| one == word);
    match () {
        () if has("faulty") => "failed",
        () if has("in_sync") => "active",
        () if has("spare") => "spare",
        () => "unknown",
    }
}
