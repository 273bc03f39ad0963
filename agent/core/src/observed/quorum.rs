//! Corosync's quorum as this node sees it (`corosync-quorumtool -s`, `pvecm status`).
//!
//! It must never hold an opinion: what a report leaves out is `None`.

use serde::{Deserialize, Serialize};

use crate::reading::Reading;

/// Corosync on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corosync {
    /// What it says of votes.
    pub quorum: Quorum,
    /// Its links to the other nodes that are configured, also to those that are gone. Only knet tells of them.
    pub links: Reading<Vec<CorosyncLink>>,
    /// What its configuration says; `None` where that cannot be read.
    pub config: Option<CorosyncConfig>,
}

/// What `corosync.conf` says of who has a voice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CorosyncConfig {
    /// Name of the cluster.
    pub cluster: Option<String>,
    /// All nodes, also those that are gone.
    pub nodes: Vec<CorosyncNode>,
    /// The quorum device; `None`: there is none.
    pub device: Option<CorosyncDevice>,
}

/// One node that is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorosyncNode {
    /// Its number.
    pub node_id: u64,
    /// Its name, or its first address where it has no name.
    pub name: String,
    /// Its votes.
    pub votes: u64,
}

/// A quorum device that is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CorosyncDevice {
    /// Where it is: a name or an address.
    pub host: Option<String>,
}

/// One link to one other node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorosyncLink {
    /// Number of the other node.
    pub node_id: u64,
    /// Number of the link.
    pub link: u64,
    /// `connected`, `disconnected`, ...
    pub state: String,
}

impl CorosyncLink {
    /// Whether the other node answers over it.
    pub fn is_connected(&self) -> bool {
        self.state == "connected"
    }
}

/// What one report says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Quorum {
    /// Name of the cluster (`pvecm status` alone tells it).
    pub cluster: Option<String>,
    /// Whether the partition of this node has quorum: its line, else the flag.
    pub quorate: Option<bool>,
    /// Whether the report says that activity is blocked.
    pub blocked: bool,
    /// How many nodes it says are there.
    pub nodes: Option<u64>,
    /// Votes that there should be.
    pub expected_votes: Option<u64>,
    /// The most that any node expects.
    pub highest_expected: Option<u64>,
    /// Votes that are there.
    pub total_votes: Option<u64>,
    /// Votes that are needed.
    pub quorum_votes: Option<u64>,
    /// Votes that may go before quorum is lost: those there less those needed; negative where it is lost.
    pub margin: Option<i64>,
    /// Whether two nodes may each be quorate alone (flag `2Node`).
    pub two_node: bool,
    /// Whether there is a quorum device (flag `Qdevice`).
    pub has_qdevice: bool,
    /// Votes the quorum device casts, as its row tells; 0 while it casts none.
    pub qdevice_votes: Option<u64>,
    /// The flags, as they are told; `None` where their line is missing.
    pub flags: Option<Vec<String>>,
    /// The rows of the list of members, the quorum device's among them.
    pub members: Vec<QuorumMember>,
}

/// One row of the list of members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumMember {
    /// Number of the node; 0 is the quorum device.
    pub node_id: u64,
    /// Its votes that count now.
    pub votes: u64,
    /// How it stands to the quorum device (`A`, `V`, `NMW`, ...); empty where there is none, and for the device itself.
    pub qdevice: Vec<String>,
    /// Name or address.
    pub name: String,
    /// Whether it is this node.
    pub local: bool,
}

impl QuorumMember {
    /// Whether the quorum device votes with it.
    pub fn has_device_vote(&self) -> bool {
        let has = |word: &str| self.qdevice.iter().any(|one| one == word);
        has("A") && has("V")
    }

    /// Whether the row is the quorum device's.
    pub fn is_qdevice(&self) -> bool {
        self.node_id == 0
    }
}
