//! ZFS pools: the kernel's state under node_exporter's name, space under zfs_exporter's, the rest under ours.
//!
//! It must never let a pool that is gone vanish from the page.

use std::collections::BTreeSet;

use hardstand_core::observed::{PoolScan, PoolSpace, PoolStatus, ScanKind, ScanState, ZpoolReport};
use hardstand_core::{Health, Observed};

use super::page::{Kind, Page};

/// The check that names pools, also those that are gone.
const POOL_CHECK: &str = "zfs.pool";
/// node_exporter's words, and two more: a pool that is gone, and one whose state is not known.
const STATES: [&str; 9] =
    ["online", "degraded", "faulted", "offline", "removed", "unavail", "suspended", "gone", "unknown"];

pub(super) fn write(page: &mut Page, observed: &Observed, health: &Health) {
    let pools = observed.zfs.shown().and_then(Option::as_deref).unwrap_or_default();
    let mut states = page.family("node_zfs_zpool_state", Kind::Gauge, "The kernel's state of a pool.");
    let present: BTreeSet<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    for pool in pools {
        let said = pool.state.as_deref().unwrap_or_default().to_lowercase();
        let known = STATES.iter().find(|state| **state == said && said != "gone");
        states.states(&[("zpool", &pool.name)], "state", &STATES, known.unwrap_or(&"unknown"));
    }
    let missed = health.findings.iter().filter(|finding| finding.check == POOL_CHECK);
    for gone in missed.filter(|finding| !present.contains(finding.subject.as_str())) {
        states.states(&[("zpool", &gone.subject)], "state", &STATES, "gone");
    }
    let nothing = ZpoolReport::default();
    write_report(page, observed.zpool.shown().and_then(Option::as_ref).unwrap_or(&nothing));
}

fn write_report(page: &mut Page, report: &ZpoolReport) {
    let help = "Errors of a device since its pool was imported or they were cleared.";
    let mut errors = page.family("hardstand_zpool_vdev_errors_total", Kind::Counter, help);
    for pool in &report.pools {
        for device in pool.devices.iter().filter(|device| !device.has_children) {
            let guid = device.guid.map(|guid| guid.to_string()).unwrap_or_default();
            let counts =
                [("read", device.read_errors), ("write", device.write_errors), ("checksum", device.checksum_errors)];
            for (kind, count) in counts {
                let labels = [("pool", pool.name.as_str()), ("vdev", &device.name), ("guid", &guid), ("type", kind)];
                errors.optional(&labels, count.map(|count| count as f64));
            }
        }
    }
    let mut lost = page.family("hardstand_zpool_data_errors", Kind::Gauge, "Blocks that could not be read back.");
    for pool in &report.pools {
        lost.optional(&[("pool", &pool.name)], pool.data_errors.map(|count| count as f64));
    }
    write_scans(page, &report.pools);
    type Value = fn(&PoolSpace) -> Option<f64>;
    let space: [(&'static str, &'static str, Value); 4] = [
        ("zfs_pool_size_bytes", "Size of a pool.", |pool| Some(pool.size_bytes? as f64)),
        ("zfs_pool_allocated_bytes", "Used of a pool.", |pool| Some(pool.allocated_bytes? as f64)),
        ("zfs_pool_free_bytes", "Free of a pool.", |pool| Some(pool.free_bytes? as f64)),
        ("zfs_pool_fragmentation_ratio", "How scattered the free space is.", |pool| {
            Some(pool.fragmentation_percent? as f64 / 100.0)
        }),
    ];
    for (name, help, value) in space {
        let mut family = page.family(name, Kind::Gauge, help);
        for pool in &report.space {
            family.optional(&[("pool", &pool.name)], value(pool));
        }
    }
}

fn write_scans(page: &mut Page, pools: &[PoolStatus]) {
    const STATES: [&str; 5] = ["running", "paused", "finished", "canceled", "unknown"];
    let scans: Vec<(&str, &'static str, &PoolScan)> =
        pools.iter().filter_map(|pool| Some((pool.name.as_str(), pool.scan.as_ref()?))).map(named).collect();
    let mut states =
        page.family("hardstand_zpool_scan_state", Kind::Gauge, "The last scrub or resilver, or the present one.");
    for (pool, kind, scan) in &scans {
        let state = match scan.state {
            ScanState::Running => "running",
            ScanState::Paused => "paused",
            ScanState::Finished => "finished",
            ScanState::Canceled => "canceled",
            ScanState::Unknown => "unknown",
        };
        states.states(&[("pool", pool), ("function", kind)], "state", &STATES, state);
    }
    let mut progress = page.family("hardstand_zpool_scan_progress_ratio", Kind::Gauge, "The share of it that is done.");
    for (pool, kind, scan) in &scans {
        progress.optional(&[("pool", pool), ("function", kind)], scan.progress);
    }
    let name = "hardstand_zpool_scan_last_success_timestamp_seconds";
    let mut ended = page.family(name, Kind::Gauge, "When the last one ended, seconds since 1970.");
    for (pool, kind, scan) in scans.iter().filter(|(_, _, scan)| scan.state == ScanState::Finished) {
        ended.optional(&[("pool", pool), ("function", kind)], scan.ended_unix_seconds.map(|end| end as f64));
    }
}

fn named<'a>((pool, scan): (&'a str, &'a PoolScan)) -> (&'a str, &'static str, &'a PoolScan) {
    let kind = match scan.kind {
        ScanKind::Scrub => "scrub",
        ScanKind::Resilver => "resilver",
        ScanKind::Unknown => "unknown",
    };
    (pool, kind, scan)
}
