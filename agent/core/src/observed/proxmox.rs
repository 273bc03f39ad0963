//! What a Proxmox VE cluster says of itself: its resources (`GET /cluster/resources`) and its high availability
//! (`GET /cluster/ha/status/current`, `GET /cluster/ha/status/manager_status`, `ha-manager status`).
//!
//! It must never hold an opinion: words are kept as they are told, and what is not told is `None`.

mod node;

pub use node::{PveBackups, PveGuestConfig, PveNode, PveReplication, PveStorage, PveTask, PveUncovered};
use serde::{Deserialize, Serialize};

/// The list of resources of a whole cluster, in the report's order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PveResources {
    /// Nodes, guests, storages, pools, networks, and what newer releases add.
    pub resources: Vec<PveResource>,
}

/// One row of the list. Most of it comes from broadcasts that every node makes some seconds apart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PveResource {
    /// `node`, `qemu`, `lxc`, `storage`, `pool`, `sdn`, `network`, or a type that is not known here.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its id in the list (`node/one`, `qemu/100`, `storage/one/local`, `/pool/lab`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The node that it is, or is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Name of a guest, or of the storage, pool or network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it is, in words of its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What holds the configuration of a guest: `backup`, `migrate`, `snapshot`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// What the HA manager says of a guest that it manages, or of a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ha_state: Option<String>,
    /// Whether a guest is a template, which never runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<bool>,
    /// Whether a storage is the same one on all nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
    /// Sort of a storage (`zfspool`, `dir`, `rbd`, ...) or of a network (`zone`, `fabric`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtype: Option<String>,
    /// Tags of a guest, as they are told (`a;b`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// Pool of a guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Bytes in use: of a storage, of the root filesystem of a node or container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// Bytes that there are of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Share in use, rounded down; `None` where one of both is not told or there is no byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_percent: Option<u64>,
    /// Memory in use, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<u64>,
    /// Memory of a node, or the most that a guest may have, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Seconds since it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_seconds: Option<u64>,
}

/// What one report says of high availability, in the report's order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PveHa {
    /// Whether the report would show that it is cut short: JSON does, the lines of `ha-manager status` do not.
    pub tells_end: bool,
    /// Its rows.
    pub entries: Vec<PveHaEntry>,
}

/// One row: the quorum, the master, a local resource manager (`lrm`), a node, a service, the fencing, or a type that is
/// not known here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PveHaEntry {
    /// `quorum`, `master`, `lrm`, `node`, `service`, `fencing`, ...
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The service (`vm:100`); of other rows their node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The node that it is, or is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// How it is, in words of its type. A `wait_for_agent_lock` of the manager's own JSON is `idle` here when no service
    /// waits for it, as `ha-manager status` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What the master says of a service, where `state` is the verbose word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crm_state: Option<String>,
    /// What a service should be, or what a node is asked to do (`maintenance`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_state: Option<String>,
    /// Whether a service runs, where the manager's own JSON is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
    /// Where a service is going to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The node in maintenance that a service will go back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance_node: Option<String>,
    /// Mode of a local resource manager (`active`, `maintenance`, ...); what the fencing does with resources while HA is
    /// disarmed (`freeze`, `ignore`); whether a master says that it is (`disarmed`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Whether there is quorum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quorate: Option<bool>,
    /// What is said of the watchdog: `active`, `standby`, `released`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<String>,
    /// When a master or local resource manager last said something, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_unix_seconds: Option<u64>,
    /// How long before the newest row of the report that was, where only the report can say so (the manager's own JSON).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_seconds: Option<u64>,
    /// Words of the row that could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unread: Vec<String>,
}
