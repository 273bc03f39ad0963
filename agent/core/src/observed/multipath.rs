//! Multipath maps and their paths, as `multipathd` or `multipath -ll` tells them.
//!
//! It must never hold an opinion: words are kept as they were told.

use serde::{Deserialize, Serialize};

/// One multipath map.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MultipathMap {
    /// Its name: an alias, or its WWID.
    pub name: String,
    /// World wide id, where it is told apart from the name.
    pub uuid: Option<String>,
    /// Kernel name (`dm-3`).
    pub sysfs: Option<String>,
    /// Whether the report tells all of it; `false` where it breaks off or leaves out what decides.
    pub whole: bool,
    /// State of the device-mapper map: `active`, `suspend`, `undef`; `multipath -ll` does not tell it.
    pub dm_state: Option<String>,
    /// `rw` or `ro`.
    pub write_protection: Option<String>,
    /// What happens to I/O when no path is left (`off`, `on`, `5 chk`, ...), or the features (`1 queue_if_no_path`).
    pub queueing: Option<String>,
    /// Size, as it is printed (`1.0G`).
    pub size: Option<String>,
    /// How many paths are listed.
    pub paths: u64,
    /// How many of them the device mapper uses (`active`).
    pub active_paths: u64,
    /// How many usable paths multipathd counts itself.
    pub counted_paths: Option<u64>,
    /// Times a path has failed since the map is there.
    pub path_faults: Option<u64>,
    /// Its groups, in the report's order.
    pub groups: Vec<PathGroup>,
}

/// Paths that are used together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PathGroup {
    /// How I/O is spread over them (`service-time 0`).
    pub policy: Option<String>,
    /// The higher, the more it is preferred.
    pub priority: Option<i64>,
    /// `active`, `enabled`, `disabled`, `undef`.
    pub state: Option<String>,
    /// The paths.
    pub paths: Vec<MultipathPath>,
}

/// One path: one SCSI or NVMe device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MultipathPath {
    /// Kernel name; `None` for a path whose device is gone.
    pub device: Option<String>,
    /// Host, channel, target and unit (`29:0:1:1`), where it is told.
    pub address: Option<String>,
    /// Major and minor number (`8:64`).
    pub numbers: Option<String>,
    /// What the device mapper thinks of it: `active`, `failed`, `undef`.
    pub dm_state: Option<String>,
    /// What the checker thinks of it: `ready`, `ghost`, `faulty`, `shaky`, `i/o pending`, ...
    pub checker_state: Option<String>,
    /// What the kernel thinks of the device: `running`, `offline`, ...
    pub device_state: Option<String>,
    /// `marginal` where it comes and goes, else `normal`.
    pub marginal_state: Option<String>,
}

impl MultipathMap {
    /// The map with its paths counted.
    pub fn counted(mut self) -> Self {
        let paths = || self.groups.iter().flat_map(|group| &group.paths);
        let active = paths().filter(|path| path.dm_state.as_deref() == Some("active")).count();
        (self.paths, self.active_paths) = (paths().count() as u64, active as u64);
        self
    }
}
