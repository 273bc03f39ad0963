//! iSCSI sessions of this node as an initiator, as `iscsiadm` or sysfs tells them.
//!
//! It must never hold an opinion, nor a secret: names and passwords of CHAP are not kept.

use serde::{Deserialize, Serialize};

/// What one report says of all sessions. No session: the node has none (or QEMU speaks iSCSI itself, past the kernel).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IscsiSessions {
    /// Whether the report says what iscsid thinks (`iscsiadm -P 1` and above do, sysfs does not).
    pub tells_iscsid: bool,
    /// Whether the report lists the devices of every session (`iscsiadm -P 3` and sysfs do).
    pub tells_devices: bool,
    /// The sessions, in the report's order.
    pub sessions: Vec<IscsiSession>,
    /// What iscsiadm complained of, in its words.
    pub complaints: Vec<String>,
}

/// One session: one connection to one portal of one target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IscsiSession {
    /// The kernel's number; `None` where the report names a target and then no session of it.
    pub sid: Option<u64>,
    /// Qualified name of the target.
    pub target: String,
    /// Address, port and portal group it is connected to (`192.0.2.1:3260,1`).
    pub portal: Option<String>,
    /// Name of the interface record (`default`).
    pub interface: Option<String>,
    /// State of the connection: iscsid's (`LOGGED IN`, `TRANSPORT WAIT`, ...) or sysfs's (`up`, `failed`, `down`).
    pub connection_state: Option<String>,
    /// The kernel's state of the session: `LOGGED_IN`, `FAILED`, `FREE`.
    pub session_state: Option<String>,
    /// What iscsid is doing about it: `NO CHANGE`, `CLEANUP`, `REOPEN`, `REDIRECT`.
    pub iscsid_state: Option<String>,
    /// State of the SCSI host (`running`, `recovery`, ...), where it is told.
    pub host_state: Option<String>,
    /// Seconds for which I/O is held back after a loss, before it fails; -1: for ever.
    pub recovery_timeout_secs: Option<i64>,
    /// Its devices; `None` where the report does not come to them.
    pub devices: Option<Vec<IscsiDevice>>,
}

impl IscsiSessions {
    /// Each session with a name that stays when the kernel's number changes: `iqn.2020-01.lab:one 192.0.2.1:3260,1`. A
    /// second session of one target and portal has ` #2` behind it.
    pub fn named(&self) -> Vec<(String, &IscsiSession)> {
        let mut named: Vec<(String, &IscsiSession)> = Vec::new();
        for (index, session) in self.sessions.iter().enumerate() {
            let label = session.label();
            let before = self.sessions.iter().take(index).filter(|earlier| earlier.label() == label).count();
            named.push(if before == 0 { (label, session) } else { (format!("{label} #{}", before + 1), session) });
        }
        named
    }
}

impl IscsiSession {
    /// Whether target and portal are told, which they are not yet of a session that is being logged in.
    pub(crate) fn is_named(&self) -> bool {
        !self.target.is_empty() && self.portal.is_some()
    }

    fn label(&self) -> String {
        let target = if self.target.is_empty() { "a target that is not told" } else { &self.target };
        match &self.portal {
            Some(portal) => format!("{target} {portal}"),
            None => target.to_owned(),
        }
    }
}

/// One logical unit of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IscsiDevice {
    /// Host, channel, target and unit (`54:0:0:1`).
    pub address: String,
    /// Number of the unit.
    pub lun: u64,
    /// Kernel name of its disk; `None` for one that is no disk.
    pub disk: Option<String>,
    /// SCSI device state: `running`, `blocked`, `transport-offline`, `offline`, ...
    pub state: Option<String>,
}
