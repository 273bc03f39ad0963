//! What belongs together in what a host of Proxmox VE tells.
//!
//! It must never count what it cannot tell apart.

use crate::observed::{PveNode, PveResource, PveTask};

impl PveNode {
    /// Guests on this node that are no templates: those never run.
    pub fn guests(&self) -> impl Iterator<Item = &PveResource> {
        self.resources.guests_on(&self.name)
    }

    /// Whether a node says of itself that it is there.
    pub(crate) fn is_online(&self, name: &str) -> bool {
        let mut nodes = self.resources.resources.iter().filter(|row| row.kind.as_deref() == Some("node"));
        nodes.any(|row| row.node.as_deref() == Some(name) && row.status.as_deref() == Some("online"))
    }

    /// Guests of this node by their ids, and when the last good backup of each ended, seconds since 1970.
    pub fn last_backups(&self) -> impl Iterator<Item = (&str, u64)> {
        let known = self.backups.known();
        self.guests().filter_map(move |guest| {
            let at = known?.last_unix_seconds.get(&guest.vmid()?)?;
            Some((guest.id.as_deref()?, *at))
        })
    }
}

impl PveTask {
    /// Whether it has not ended. The list of active tasks keeps those that have just ended for a moment.
    pub fn runs(&self) -> bool {
        let says_so = |status: &String| status.eq_ignore_ascii_case("running");
        self.end_unix_seconds.is_none() && self.status.as_ref().is_none_or(says_so)
    }

    /// Whether it holds the lock of this guest. A backup of several guests names none.
    pub(crate) fn works_on(&self, vmid: Option<u64>) -> bool {
        let is_of_several = self.kind == "vzdump" && self.id.is_empty();
        self.runs() && (is_of_several || vmid.is_some_and(|vmid| self.id == vmid.to_string()))
    }
}
