//! ZFS pools: as the kernel's module tells them without being asked anything that a sick pool could hold up, and as
//! `zpool status` and `zpool list` report them.
//!
//! It must never hold an opinion.

use serde::{Deserialize, Serialize};

/// One imported pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZfsPool {
    /// Its name.
    pub name: String,
    /// `ONLINE`, `DEGRADED`, `FAULTED`, `SUSPENDED`, ...; `None` where the module's file could not be read.
    pub state: Option<String>,
}

/// What `zpool status` and `zpool list` said, in one turn.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ZpoolReport {
    /// The pools as `zpool status` reports them.
    pub pools: Vec<PoolStatus>,
    /// How full they are, as `zpool list` reports it.
    pub space: Vec<PoolSpace>,
}

/// One pool of `zpool status`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// Its id, which survives a change of its name; the text form does not tell it.
    pub guid: Option<u64>,
    /// `ONLINE`, `DEGRADED`, ... as told.
    pub state: Option<String>,
    /// What the tool remarks. There are remarks about pools in which nothing is wrong.
    pub remark: Option<String>,
    /// The last scrub or resilver, or the one under way; `None` where there never was one.
    pub scan: Option<PoolScan>,
    /// Blocks that could not be read back; `None` where the report does not say how many.
    pub data_errors: Option<u64>,
    /// Whether the report tells of the pool to its end.
    pub whole: bool,
    /// Its devices from the root down, parents before children. The first one stands for the pool.
    pub devices: Vec<Vdev>,
}

/// One row of a pool's tree.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Vdev {
    /// Its name in the report.
    pub name: String,
    /// Its id; the text form does not tell it.
    pub guid: Option<u64>,
    /// Steps below the root, or below the heading of its class.
    pub depth: u32,
    /// What it is for, other than data: `logs`, `cache`, `spares`, `special`, `dedup`.
    pub class: Option<String>,
    /// Whether rows follow that belong to it: its counters are not the sum of theirs.
    pub has_children: bool,
    /// `ONLINE`, `DEGRADED`, `UNAVAIL`, ... as told (`CANT_OPEN` in the JSON is `UNAVAIL` in the text).
    pub state: Option<String>,
    /// Reads that failed since the pool was imported or the errors were cleared.
    pub read_errors: Option<u64>,
    /// Writes that failed.
    pub write_errors: Option<u64>,
    /// Blocks whose checksum was wrong.
    pub checksum_errors: Option<u64>,
    /// What is added to the row: `was /dev/sda1`, `too many errors`, `(resilvering)`.
    pub note: Option<String>,
}

/// A scrub or a resilver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolScan {
    /// Which.
    pub kind: ScanKind,
    /// How far.
    pub state: ScanState,
    /// The share that is done, 0 to 1, while it is under way and tells so.
    pub progress: Option<f64>,
    /// When it ended, seconds since 1970; `None` while it runs, and where the report writes a local date.
    pub ended_unix_seconds: Option<u64>,
    /// What it could not repair.
    pub errors: Option<u64>,
}

/// What goes through a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScanKind {
    /// All that is stored is read and compared.
    Scrub,
    /// What a device lacks is copied to it.
    Resilver,
    /// Another word was said.
    Unknown,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScanState {
    /// Under way.
    Running,
    /// Halted for now by a person.
    Paused,
    /// Ended.
    Finished,
    /// Given up by a person.
    Canceled,
    /// Another word was said.
    Unknown,
}

/// One pool of `zpool list`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PoolSpace {
    /// Its name.
    pub name: String,
    /// `ONLINE`, `DEGRADED`, ... as told.
    pub health: Option<String>,
    /// Bytes of all devices; rounded where the report is written for people.
    pub size_bytes: Option<u64>,
    /// Bytes in use.
    pub allocated_bytes: Option<u64>,
    /// Bytes free.
    pub free_bytes: Option<u64>,
    /// How scattered the free space is, in percent.
    pub fragmentation_percent: Option<u64>,
    /// Share in use, in percent.
    pub capacity_percent: Option<u64>,
}
