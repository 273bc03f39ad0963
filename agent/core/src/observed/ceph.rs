//! Ceph as its monitors and its manager tell it (`ceph -s`, `ceph health detail`, `ceph osd tree`, `ceph osd ok-to-stop`).
//!
//! It must never hold an opinion: what a report leaves out is `None`, except where Ceph leaves out what is zero.

use serde::{Deserialize, Serialize};

use crate::Reading;

/// One cluster, as it answers this node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CephCluster {
    /// Its status; with the details of its health where they were asked for.
    pub status: CephStatus,
    /// The daemons on this host that the cluster knows (`osd.3`, `mon.a`, `mgr.x`, `mds.b`).
    pub local: Vec<String>,
    /// Daemons whose processes run on this host, and of whose kind the cluster knows none here.
    pub strangers: Vec<String>,
    /// All its monitors: the name of each, and the host it runs on.
    pub mons_on: Vec<(String, String)>,
    /// Its OSDs.
    pub tree: CephOsdTree,
    /// What was asked about stopping daemons of this host: all OSDs together, all monitors together.
    pub stops: Vec<CephStop>,
    /// How much older than the status all but the status is, in seconds.
    pub asked_before_seconds: f64,
}

/// A question whether daemons may be stopped together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CephStop {
    /// The daemons (`osd.3`, `osd.4`).
    pub daemons: Vec<String>,
    /// The answer, or why there is none.
    pub answer: Reading<CephOkToStop>,
}

/// What `ceph -s -f json` says, or `GET /cluster/ceph/status` of Proxmox VE.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CephStatus {
    /// The cluster's identity.
    pub fsid: Option<String>,
    /// The oldest release a monitor may be of (`reef`, `squid`, `tentacle`).
    pub release: Option<String>,
    /// Its health, by its own word and checks.
    pub health: CephHealth,
    /// Its monitors.
    pub mons: CephMons,
    /// Its manager; `None` where the report has no section of it.
    pub mgr: Option<CephMgr>,
    /// How many OSDs there are.
    pub osds: CephOsdCounts,
    /// Its placement groups.
    pub pgs: CephPgs,
    /// Metadata servers that hold a rank, in the report's order.
    pub mds: Vec<CephMds>,
    /// Metadata servers that wait to take over; `None` where the report does not tell.
    pub mds_standbys: Option<u64>,
    /// Ranks of file systems that no server holds (absent means 0).
    pub failed_ranks: u64,
    /// Ranks of file systems whose metadata is damaged (absent means 0).
    pub damaged_ranks: u64,
}

/// What `ceph health detail -f json` says; `ceph -s` has the same without the details.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CephHealth {
    /// `HEALTH_OK`, `HEALTH_WARN` or `HEALTH_ERR`; checks that are muted do not count in it.
    pub status: Option<String>,
    /// The checks that failed, by name, the muted ones among them; `None` where the report has no list of them.
    pub checks: Option<Vec<CephCheck>>,
    /// Flags of the whole cluster, as the check `OSDMAP_FLAGS` has them (`noout`, `noscrub`): none without that check,
    /// `None` where they cannot be made out of it.
    pub flags: Option<Vec<String>>,
    /// Flags of single OSDs, hosts and device classes, as the check `OSD_FLAGS` has them: none without that check, `None`
    /// where they cannot be made out of it (`ceph -s` does not tell them).
    pub scoped_flags: Option<Vec<CephScopedFlags>>,
}

impl CephHealth {
    /// The check of a name, muted or not.
    pub fn check(&self, name: &str) -> Option<&CephCheck> {
        self.checks.iter().flatten().find(|check| check.name == name)
    }
}

/// One check that failed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CephCheck {
    /// Its name (`OSD_DOWN`).
    pub name: String,
    /// `HEALTH_WARN` or `HEALTH_ERR`.
    pub severity: Option<String>,
    /// The line that sums it up.
    pub message: Option<String>,
    /// Whether somebody muted it.
    pub muted: bool,
    /// One line for each thing it is about; `ceph -s` does not tell them.
    pub detail: Vec<String>,
}

/// Flags of a part of the cluster (`ceph osd set-group`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CephScopedFlags {
    /// The part, in Ceph's words: `osd.3`, `host NAME`, `device class 'ssd'`.
    pub part: String,
    /// Its flags (`noout`).
    pub flags: Vec<String>,
}

/// The monitors.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CephMons {
    /// How many there are.
    pub total: Option<u64>,
    /// Names of all of them; `ceph -s` since Octopus does not tell them, Proxmox VE does.
    pub names: Option<Vec<String>>,
    /// Names of those in quorum.
    pub in_quorum: Option<Vec<String>>,
    /// Ranks in quorum, which must be as many.
    pub ranks: Option<Vec<u64>>,
}

/// The manager, which counts the placement groups.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CephMgr {
    /// Whether one is active and answers.
    pub available: Option<bool>,
    /// Name of the active one; `ceph -s` since Octopus does not tell it.
    pub active: Option<String>,
    /// How many wait to take over.
    pub standbys: Option<u64>,
}

/// How many OSDs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CephOsdCounts {
    /// Number of their map, another one with every change of OSDs, pools and weights; `None` where it is not told.
    pub epoch: Option<u64>,
    /// All of them.
    pub total: Option<u64>,
    /// Those that run.
    pub up: Option<u64>,
    /// Those that are meant to hold data.
    pub r#in: Option<u64>,
    /// Placement groups that are for now somewhere else than they should be (absent means 0).
    pub remapped_pgs: u64,
}

/// The placement groups.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CephPgs {
    /// How many there are.
    pub total: Option<u64>,
    /// How many are in which state.
    pub states: Option<Vec<CephPgState>>,
    /// Copies of objects that are missing (absent means 0).
    pub degraded_objects: u64,
    /// Copies of objects that are not where they should be (absent means 0).
    pub misplaced_objects: u64,
    /// Objects of which no copy can be found (absent means 0).
    pub unfound_objects: u64,
    /// Bytes used, as the devices count them.
    pub used_bytes: Option<u64>,
    /// Bytes left.
    pub available_bytes: Option<u64>,
    /// Bytes in all.
    pub total_bytes: Option<u64>,
}

/// Placement groups of one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CephPgState {
    /// Words joined by `+` (`active+clean+scrubbing`).
    pub state: String,
    /// How many.
    pub count: u64,
}

/// A metadata server that holds a rank of a file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CephMds {
    /// Its name.
    pub name: String,
    /// The rank.
    pub rank: Option<u64>,
    /// Number of the file system that the rank is of.
    pub filesystem: Option<u64>,
    /// `up:active`, `up:standby-replay`, `up:rejoin`, ...
    pub state: Option<String>,
}

/// The answer to `ceph osd ok-to-stop` or `ceph mon ok-to-stop`: whether daemons may be stopped together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CephOkToStop {
    /// The daemons that the answer is about (`osd.3`, `mon.a`); a refusal about OSDs may name none.
    pub daemons: Vec<String>,
    /// The answer.
    pub ok: Option<bool>,
    /// Placement groups on those OSDs that stay available.
    pub ok_pgs: Option<u64>,
    /// Placement groups that do not.
    pub not_ok_pgs: Option<u64>,
    /// Placement groups whose state the manager does not know (absent means 0).
    pub unknown_pgs: u64,
    /// Placement groups of a pool that is not there (absent means 0).
    pub no_pool_pgs: u64,
    /// Placement groups that are not available as it is (absent means 0).
    pub already_inactive_pgs: u64,
    /// Placement groups that would become unavailable (absent means 0).
    pub become_inactive_pgs: u64,
    /// Placement groups that would lose a copy and stay available (absent means 0).
    pub become_degraded_pgs: u64,
    /// Placement groups that lack a copy, would lose another one and stay available (absent means 0).
    pub become_more_degraded_pgs: u64,
    /// Monitors that would be left in quorum; `None` when the answer is about OSDs.
    pub mons_left: Option<Vec<String>>,
    /// What was said in words.
    pub words: Option<String>,
}

/// What `ceph osd tree -f json` says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CephOsdTree {
    /// Roots, hosts and what is between them, in the report's order.
    pub buckets: Vec<CephBucket>,
    /// The OSDs in the tree, in the report's order.
    pub osds: Vec<CephOsd>,
    /// OSDs that are in no place of the tree; `None` where the report has no list of them.
    pub stray: Option<Vec<CephOsd>>,
}

/// A node of the CRUSH map that is no OSD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CephBucket {
    /// Its number, which is negative.
    pub id: i64,
    /// Its name; a host's is its short hostname.
    pub name: String,
    /// `root`, `host`, `rack`, ...
    pub kind: String,
    /// Numbers of what is directly in it: OSDs and other buckets.
    pub children: Option<Vec<i64>>,
}

/// One OSD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CephOsd {
    /// Its number, which is not negative.
    pub id: i64,
    /// `osd.N`
    pub name: String,
    /// `hdd`, `ssd`, `nvme`, ...
    pub device_class: Option<String>,
    /// `up`, `down` or `destroyed`.
    pub status: Option<String>,
    /// Whether the cluster knows an OSD of this number.
    pub exists: Option<bool>,
    /// How much it should hold beside the others, in TiB by custom.
    pub crush_weight: Option<f64>,
    /// 0 when it is out, 1 when it is in, between them when it holds less than its weight.
    pub reweight: Option<f64>,
}
