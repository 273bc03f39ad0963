//! The parser of `ceph -s -f json` (`ceph status -f json`), and of Proxmox VE's `GET /cluster/ceph/status`, which puts the
//! whole maps of monitors and managers in it.
//!
//! It must never take a number that is missing for a zero, but for those that Ceph leaves out when they are.

use std::collections::BTreeSet;

use hardstand_core::observed::{CephMds, CephMgr, CephMons, CephOsdCounts, CephPgState, CephPgs, CephStatus};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::health::WireHealth;
use super::{HostError, bad, document};

const WHAT: &str = "ceph status -f json";

#[derive(Deserialize)]
struct WireStatus {
    /// All of it, as the API of Proxmox VE answers.
    data: Option<Box<WireStatus>>,
    fsid: Option<String>,
    health: Option<WireHealth>,
    quorum: Option<Vec<u64>>,
    quorum_names: Option<Vec<String>>,
    monmap: Option<WireMonMap>,
    osdmap: Option<WireOsdMap>,
    pgmap: Option<WirePgMap>,
    fsmap: Option<WireFsMap>,
    mgrmap: Option<WireMgrMap>,
}

#[derive(Default, Deserialize)]
struct WireMonMap {
    min_mon_release_name: Option<String>,
    num_mons: Option<u64>,
    mons: Option<Vec<WireMon>>,
}

#[derive(Deserialize)]
struct WireMon {
    name: Option<String>,
}

#[derive(Default, Deserialize)]
struct WireOsdMap {
    /// All of it, before Octopus.
    osdmap: Option<Box<WireOsdMap>>,
    epoch: Option<u64>,
    num_osds: Option<u64>,
    num_up_osds: Option<u64>,
    num_in_osds: Option<u64>,
    num_remapped_pgs: Option<u64>,
}

#[derive(Default, Deserialize)]
struct WirePgMap {
    num_pgs: Option<u64>,
    pgs_by_state: Option<Vec<WirePgState>>,
    degraded_objects: Option<u64>,
    misplaced_objects: Option<u64>,
    unfound_objects: Option<u64>,
    bytes_used: Option<u64>,
    bytes_avail: Option<u64>,
    bytes_total: Option<u64>,
}

#[derive(Deserialize)]
struct WirePgState {
    state_name: Option<String>,
    count: Option<u64>,
}

/// Only these: with several file systems Ceph repeats the keys `id`, `up`, `in` and `max`, one set for each.
#[derive(Default, Deserialize)]
struct WireFsMap {
    by_rank: Option<Vec<WireMds>>,
    failed: Option<u64>,
    damaged: Option<u64>,
    #[serde(rename = "up:standby")]
    standbys: Option<u64>,
}

#[derive(Deserialize)]
struct WireMds {
    filesystem_id: Option<u64>,
    rank: Option<u64>,
    name: Option<String>,
    status: Option<String>,
}

#[derive(Deserialize)]
struct WireMgrMap {
    available: Option<bool>,
    active_name: Option<String>,
    num_standbys: Option<u64>,
    standbys: Option<Vec<IgnoredAny>>,
}

/// Parses the output of `ceph -s -f json`, or the answer of Proxmox VE with or without its envelope `data`.
///
/// # Errors
/// The text is not that JSON, or a monitor, a server or a state in it has no name or no number.
pub(crate) fn parse(text: &str) -> Result<CephStatus, HostError> {
    let status: WireStatus = document(WHAT, text)?;
    let status = match status.data {
        Some(data) => *data,
        None => status,
    };
    status.into_core().map_err(|why| bad(WHAT, why.to_owned()))
}

impl WireStatus {
    fn into_core(self) -> Result<CephStatus, &'static str> {
        let health = self.health.ok_or("no `health` in it; is this the output of that command?")?;
        let monmap = self.monmap.unwrap_or_default();
        let fsmap = self.fsmap.unwrap_or_default();
        let osdmap = self.osdmap.unwrap_or_default();
        let by_rank = fsmap.by_rank.into_iter().flatten();
        Ok(CephStatus {
            fsid: self.fsid,
            release: monmap.min_mon_release_name.clone(),
            health: health.into_core(),
            mons: mons(monmap, self.quorum_names, self.quorum)?,
            mgr: self.mgrmap.map(WireMgrMap::into_core),
            osds: osdmap.into_core(),
            pgs: self.pgmap.unwrap_or_default().into_core()?,
            mds: by_rank
                .map(|mds| mds.into_core().ok_or("a metadata server without a name"))
                .collect::<Result<_, _>>()?,
            mds_standbys: fsmap.standbys,
            failed_ranks: fsmap.failed.unwrap_or(0),
            damaged_ranks: fsmap.damaged.unwrap_or(0),
        })
    }
}

fn mons(map: WireMonMap, in_quorum: Option<Vec<String>>, ranks: Option<Vec<u64>>) -> Result<CephMons, &'static str> {
    let names = |mons: Vec<WireMon>| mons.into_iter().map(|mon| mon.name.ok_or("a monitor without a name")).collect();
    let names: Option<Vec<String>> = map.mons.map(names).transpose()?;
    let total = map.num_mons.or(names.as_ref().map(|names| names.len() as u64));
    Ok(CephMons { total, names, in_quorum, ranks })
}

impl WireOsdMap {
    fn into_core(self) -> CephOsdCounts {
        let map = match self.osdmap {
            Some(map) => *map,
            None => self,
        };
        CephOsdCounts {
            epoch: map.epoch,
            total: map.num_osds,
            up: map.num_up_osds,
            r#in: map.num_in_osds,
            remapped_pgs: map.num_remapped_pgs.unwrap_or(0),
        }
    }
}

impl WirePgMap {
    fn into_core(self) -> Result<CephPgs, &'static str> {
        let mut told = BTreeSet::new();
        let state = |wire: WirePgState| match (wire.state_name, wire.count) {
            (Some(state), Some(count)) if told.insert(state.clone()) => Ok(CephPgState { state, count }),
            (Some(_), Some(_)) => Err("a state of placement groups comes twice"),
            _ => Err("a state of placement groups without a name or a count"),
        };
        let states = self.pgs_by_state.map(|states| states.into_iter().map(state).collect::<Result<Vec<_>, _>>());
        Ok(CephPgs {
            total: self.num_pgs,
            states: states.transpose()?,
            degraded_objects: self.degraded_objects.unwrap_or(0),
            misplaced_objects: self.misplaced_objects.unwrap_or(0),
            unfound_objects: self.unfound_objects.unwrap_or(0),
            used_bytes: self.bytes_used,
            available_bytes: self.bytes_avail,
            total_bytes: self.bytes_total,
        })
    }
}

impl WireMds {
    fn into_core(self) -> Option<CephMds> {
        Some(CephMds { name: self.name?, rank: self.rank, filesystem: self.filesystem_id, state: self.status })
    }
}

impl WireMgrMap {
    fn into_core(self) -> CephMgr {
        CephMgr {
            available: self.available,
            active: self.active_name.filter(|name| !name.is_empty()),
            standbys: self.num_standbys.or(self.standbys.map(|standbys| standbys.len() as u64)),
        }
    }
}

#[cfg(test)]
mod tests;
