//! Software RAID: arrays of the kernel's md driver.
//!
//! It must never hold an opinion.

use serde::{Deserialize, Serialize};

/// One array.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MdArray {
    /// Kernel name (`md0`, `md127`).
    pub name: String,
    /// `raid1`, `raid6`, `raid0`, `linear`, `container`, ...
    pub level: Option<String>,
    /// `clean`, `active`, `active-idle`, `write-pending`, `readonly`, `read-auto`, `inactive`, `suspended`, `broken`, ...
    pub state: Option<String>,
    /// How many devices it should have.
    pub raid_disks: Option<u64>,
    /// How many of them it lacks; levels without redundancy do not tell it.
    pub degraded: Option<u64>,
    /// What goes through it: `idle`, `resync`, `recover`, `check`, `repair`, `reshape`, `frozen`.
    pub action: Option<String>,
    /// The share of that which is done, 0 to 1.
    pub progress: Option<f64>,
    /// Its devices by kernel name, and what each is to it (`in_sync`, `faulty`, `spare`, with commas between).
    pub devices: Vec<(String, Option<String>)>,
}
