//! iSCSI targets that this node serves (LIO, SCST), and who is logged in.
//!
//! It must never hold an opinion, nor a secret: names and passwords of CHAP are not kept.

use serde::{Deserialize, Serialize};

/// One target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IscsiTarget {
    /// Its qualified name.
    pub name: String,
    /// Whether it takes logins; `None` where that is not told.
    pub enabled: Option<bool>,
    /// Who is logged in. LIO tells one session of an initiator that has its own rule (ACL), though it may have more.
    pub sessions: Vec<TargetSession>,
    /// What it serves.
    pub units: Vec<TargetUnit>,
}

/// One session, as the target sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TargetSession {
    /// Qualified name of the initiator.
    pub initiator: String,
    /// LIO's state of it (`LOGGED_IN`, `FAILED`, ...), where it is told.
    pub state: Option<String>,
    /// Commands that are under way (SCST).
    pub active_commands: Option<u64>,
}

/// One logical unit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TargetUnit {
    /// Its number.
    pub lun: u64,
    /// The device or file behind it, or its name where that is not told.
    pub backing: Option<String>,
}

impl IscsiTarget {
    /// The initiators that are logged in, each once.
    pub fn initiators(&self) -> std::collections::BTreeSet<&str> {
        self.sessions.iter().map(|session| session.initiator.as_str()).collect()
    }
}
