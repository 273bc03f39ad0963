//! The parser of `zpool status -j` (OpenZFS 2.3 and later), with or without `-p`, `--json-int` and `--json-flat-vdevs`.
//!
//! It must never take a number that is missing for a zero: zero is the good one.

use hardstand_core::observed::{PoolScan, PoolStatus, ScanKind, ScanState, Vdev};
use serde::Deserialize;
use serde_json::Value;

use super::{InOrder, command_of, number};
use crate::host::HostError;

#[derive(Deserialize)]
struct WireRoot {
    output_version: Option<Value>,
    pools: Option<InOrder<WirePool>>,
}

#[derive(Deserialize)]
struct WirePool {
    name: Option<String>,
    state: Option<String>,
    pool_guid: Option<Value>,
    guid: Option<Value>,
    status: Option<String>,
    scan_stats: Option<WireScan>,
    vdevs: Option<InOrder<WireVdev>>,
    special: Option<InOrder<WireVdev>>,
    dedup: Option<InOrder<WireVdev>>,
    logs: Option<InOrder<WireVdev>>,
    l2cache: Option<InOrder<WireVdev>>,
    spares: Option<InOrder<WireVdev>>,
    error_count: Option<Value>,
}

#[derive(Deserialize)]
struct WireScan {
    function: Option<String>,
    state: Option<String>,
    end_time: Option<Value>,
    to_examine: Option<Value>,
    skipped: Option<Value>,
    issued: Option<Value>,
    errors: Option<Value>,
    scrub_pause: Option<Value>,
    rebuild_stats: Option<InOrder<WireRebuild>>,
}

#[derive(Deserialize)]
struct WireRebuild {
    state: Option<String>,
}

#[derive(Deserialize)]
struct WireVdev {
    name: Option<String>,
    guid: Option<Value>,
    state: Option<String>,
    read_errors: Option<Value>,
    write_errors: Option<Value>,
    checksum_errors: Option<Value>,
    aux: Option<String>,
    was: Option<String>,
    resilver_deferred: Option<Value>,
    parent: Option<String>,
    vdevs: Option<InOrder<WireVdev>>,
}

/// Parses the JSON of `zpool status -j`. No pool is an empty list.
///
/// # Errors
/// The text is not that JSON, or a pool or a device in it has no name.
pub(crate) fn parse(text: &str) -> Result<Vec<PoolStatus>, HostError> {
    let bad = |why: String| HostError::Parse { what: "zpool status -j".to_owned(), why };
    let root: WireRoot = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    command_of(root.output_version.as_ref(), "zpool status").map_err(bad)?;
    let pools = root.pools.ok_or_else(|| bad("no `pools` in it".to_owned()))?;
    pools.0.into_iter().map(|pool| pool.into_core().map_err(bad)).collect()
}

impl WirePool {
    fn into_core(self) -> Result<PoolStatus, String> {
        let name = self.name.ok_or("a pool without a name")?;
        let mut devices = Vec::new();
        let trees = [
            (None, self.vdevs),
            (Some("dedup"), self.dedup),
            (Some("special"), self.special),
            (Some("logs"), self.logs),
            (Some("cache"), self.l2cache),
            (Some("spares"), self.spares),
        ];
        for (class, tree) in trees {
            flatten(tree.map_or_else(Vec::new, |tree| tree.0), class, 0, &mut devices)?;
        }
        // In the flat form the root may stand anywhere; it is the one row that has the pool's name.
        if let Some(root) = devices.iter().position(|device| device.name == name && device.class.is_none()) {
            devices[..=root].rotate_right(1);
        }
        Ok(PoolStatus {
            guid: number(self.pool_guid.or(self.guid).as_ref()),
            state: self.state,
            remark: self.status.map(|words| words.split_whitespace().collect::<Vec<_>>().join(" ")),
            scan: self.scan_stats.and_then(WireScan::into_core),
            data_errors: number(self.error_count.as_ref()),
            whole: devices.first().is_some_and(|root| root.name == name),
            devices,
            name,
        })
    }
}

fn flatten(tree: Vec<WireVdev>, class: Option<&str>, depth: u32, into: &mut Vec<Vdev>) -> Result<(), String> {
    let parents: Vec<String> = tree.iter().filter_map(|vdev| vdev.parent.clone()).collect();
    for vdev in tree {
        let name = vdev.name.ok_or("a device without a name")?;
        let children = vdev.vdevs.map_or_else(Vec::new, |tree| tree.0);
        let deferred = number(vdev.resilver_deferred.as_ref()).is_some_and(|deferred| deferred > 0);
        let note = match (vdev.aux.filter(|aux| aux != "NONE"), vdev.was, deferred) {
            (_, _, true) => Some("awaiting resilver".to_owned()),
            (Some(aux), Some(was), _) => Some(format!("{aux}, was {was}")),
            (Some(aux), None, _) => Some(aux),
            (None, was, _) => was.map(|was| format!("was {was}")),
        };
        into.push(Vdev {
            guid: number(vdev.guid.as_ref()),
            depth,
            class: class.map(str::to_owned),
            has_children: !children.is_empty() || parents.contains(&name),
            state: vdev.state,
            read_errors: number(vdev.read_errors.as_ref()),
            write_errors: number(vdev.write_errors.as_ref()),
            checksum_errors: number(vdev.checksum_errors.as_ref()),
            note,
            name,
        });
        flatten(children, class, depth + 1, into)?;
    }
    Ok(())
}

impl WireScan {
    fn into_core(self) -> Option<PoolScan> {
        let rebuilds = self.rebuild_stats.map_or_else(Vec::new, |stats| stats.0);
        let rebuilds = rebuilds.iter().any(|rebuild| rebuild.state.as_deref() == Some("ACTIVE"));
        let paused = number(self.scrub_pause.as_ref()).is_some_and(|since| since > 0);
        let (kind, state) = match (self.function.as_deref(), self.state.as_deref()) {
            // A device is filled from the start to the end of its mates, beside whatever was scanned last.
            _ if rebuilds => (ScanKind::Resilver, ScanState::Running),
            (Some("NONE"), _) | (None, None) => return None,
            (function, state) => (kind(function), scan_state(state, paused)),
        };
        let running = matches!(state, ScanState::Running | ScanState::Paused);
        let issued = number(self.issued.as_ref()).filter(|_| running && !rebuilds);
        let skipped = number(self.skipped.as_ref()).unwrap_or(0);
        let whole = number(self.to_examine.as_ref()).map(|all| all.saturating_sub(skipped)).filter(|all| *all > 0);
        Some(PoolScan {
            kind,
            state,
            progress: issued.zip(whole).map(|(issued, whole)| (issued as f64 / whole as f64).min(1.0)),
            ended_unix_seconds: number(self.end_time.as_ref()).filter(|end| *end > 0 && !running),
            errors: number(self.errors.as_ref()),
        })
    }
}

fn kind(function: Option<&str>) -> ScanKind {
    match function {
        Some("SCRUB" | "ERRORSCRUB") => ScanKind::Scrub,
        Some("RESILVER") => ScanKind::Resilver,
        _ => ScanKind::Unknown,
    }
}

fn scan_state(state: Option<&str>, paused: bool) -> ScanState {
    match state {
        Some("SCANNING" | "ERRORSCRUBBING") if paused => ScanState::Paused,
        Some("SCANNING" | "ERRORSCRUBBING") => ScanState::Running,
        Some("FINISHED") => ScanState::Finished,
        Some("CANCELED") => ScanState::Canceled,
        _ => ScanState::Unknown,
    }
}
