//! `[snapshots]` and `[[prune]]`: what is kept of datasets.
//!
//! It must never speak of snapshots that nobody named.

use serde::{Deserialize, Serialize};

use crate::snapshot::Keep;

/// `[snapshots]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotSettings {
    /// Whether the root is kept before packages are installed, where it is ZFS.
    pub root: bool,
    /// Other datasets that are kept with it, each without those below it.
    pub datasets: Vec<String>,
    /// How many of ours stay on each dataset; older ones go when the next one was made.
    pub keep: u64,
}

impl Default for SnapshotSettings {
    fn default() -> Self {
        Self { root: true, datasets: Vec::new(), keep: 3 }
    }
}

/// `[[prune]]`: what stays of the snapshots of one dataset when somebody prunes by the rules written down.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PruneSettings {
    /// The dataset, as in `tank/data`; those below it are left alone.
    pub dataset: String,
    /// How the names of its snapshots begin.
    pub prefix: String,
    /// This many of the newest stay.
    pub keep_last: u64,
    /// The newest of each of the latest hours that have one: so many.
    pub keep_hourly: u64,
    /// Of each of the latest days (UTC).
    pub keep_daily: u64,
    /// Of each of the latest weeks (from Monday, UTC).
    pub keep_weekly: u64,
}

impl PruneSettings {
    /// The rule.
    pub fn keep(&self) -> Keep {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Keep {
            last: number(self.keep_last),
            hours: number(self.keep_hourly),
            days: number(self.keep_daily),
            weeks: number(self.keep_weekly),
        }
    }
}
