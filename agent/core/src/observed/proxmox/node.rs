//! What a host of Proxmox VE says of itself, its guests and what is done to them.
//!
//! It must never hold an opinion: words are kept as they are told, and what is not told is `None`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PveHa, PveResources};
use crate::Reading;

/// One host, as its API answers. The resources decide whether it answers at all; each other question may fail alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PveNode {
    /// Its name in its cluster.
    pub name: String,
    /// Nodes, guests and storages of the whole cluster.
    pub resources: PveResources,
    /// High availability of the whole cluster.
    pub ha: Reading<PveHa>,
    /// Tasks of this node that have not ended.
    pub tasks: Reading<Vec<PveTask>>,
    /// Storages that this node should have.
    pub storages: Reading<Vec<PveStorage>>,
    /// Replication jobs of guests on this node.
    pub replication: Reading<Vec<PveReplication>>,
    /// Guests of the whole cluster that are in no backup job.
    pub uncovered: Reading<Vec<PveUncovered>>,
    /// The last backups of guests on this node.
    pub backups: Reading<PveBackups>,
    /// What guests on this node are made of, by their ids (`qemu/100`).
    pub configs: BTreeMap<String, Reading<PveGuestConfig>>,
    /// How much older than the rest the oldest of the last three is, in seconds.
    pub asked_before_seconds: f64,
}

/// One task of a node's log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PveTask {
    /// Its whole id, which names the node as well.
    pub upid: String,
    /// The sort of task (`qmigrate`, `vzdump`, ...).
    pub kind: String,
    /// The guest or other thing it is about; empty where there is none, or several.
    pub id: String,
    /// Who started it.
    pub user: String,
    /// When it began, seconds since 1970.
    pub start_unix_seconds: Option<u64>,
    /// When it ended, seconds since 1970; `None` while it runs.
    pub end_unix_seconds: Option<u64>,
    /// How it ended (`OK`, `WARNINGS: 2`, or an error in its own words), or that it runs.
    pub status: Option<String>,
}

/// One storage as a node has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PveStorage {
    /// Its name in the cluster.
    pub name: String,
    /// Its sort (`zfspool`, `dir`, `rbd`, ...).
    pub kind: Option<String>,
    /// Whether the node can use it now.
    pub active: Option<bool>,
    /// Whether it is not switched off in the configuration.
    pub enabled: Option<bool>,
    /// Whether it is the same one on all nodes.
    pub shared: Option<bool>,
}

/// One replication job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PveReplication {
    /// Its id (`100-0`).
    pub id: String,
    /// The guest whose disks are copied.
    pub guest: Option<u64>,
    /// The node they are copied to.
    pub target: Option<String>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// When the last copy was made, seconds since 1970; 0: never.
    pub last_sync_unix_seconds: Option<u64>,
    /// How often in a row it has failed.
    pub fail_count: Option<u64>,
    /// Why it failed last.
    pub error: Option<String>,
    /// Whether it runs now.
    pub running: bool,
}

/// A guest that is in no backup job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PveUncovered {
    /// Its number.
    pub vmid: u64,
    /// `qemu`, `lxc`, or what newer releases add.
    pub kind: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// The last backups that the logs of tasks tell of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PveBackups {
    /// By the guest's number: when the task that made its last good backup ended, seconds since 1970.
    pub last_unix_seconds: BTreeMap<u64, u64>,
    /// Logs that could not be looked into, and why: a backup that is not seen may be told of there.
    pub unseen: Vec<String>,
    /// Seconds since 1970 before which nothing was looked for.
    pub since_unix_seconds: u64,
}

/// What of a guest's configuration decides where it can run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PveGuestConfig {
    /// Storages that its disks are on, each once.
    pub storages: Vec<String>,
    /// Options that hand it something of this host: a device (`hostpci0`), a directory (`mp1`).
    pub host_parts: Vec<String>,
}
