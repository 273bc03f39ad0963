//! How the resources of a cluster stand.
//!
//! It must never believe the last word of a guest or a storage whose node is not there to say another.

use std::collections::BTreeMap;

use super::super::{Fault, Names, Report, Standing, Subject};
use super::{of_ha_node, of_service};
use crate::observed::{PveResource, PveResources};

/// Pools are names for a set of guests and have no state of their own. A type that is not known here and tells no status
/// is left out as well; one that tells a status is unknown, unless it is a word that is good everywhere.
impl Report for PveResources {
    fn subjects(&self) -> Vec<Subject> {
        let absent = self.absent_nodes();
        let mut names = Names::default();
        let mut subjects = Vec::new();
        for (index, resource) in self.resources.iter().enumerate() {
            let Some((kind, mut faults)) = judged(resource) else { continue };
            let named = resource.label();
            if named.is_none() {
                faults.push((Standing::Unknown, "it has no name".to_owned()));
            }
            if let Some(why) =
                resource.node.as_ref().filter(|_| kind != "node").and_then(|node| absent.get(node.as_str()))
            {
                faults.push((Standing::Unknown, why.clone()));
            }
            let name = names.unique(kind, named.unwrap_or_else(|| format!("row {}", index + 1)));
            subjects.push(Subject::judged(kind, name, &faults));
        }
        subjects
    }
}

impl PveResources {
    /// Guests on a node that are no templates: those never run.
    pub fn guests_on<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a PveResource> {
        let here = self.resources.iter().filter(move |row| row.node.as_deref() == Some(node));
        here.filter(|row| row.is_guest() && row.template != Some(true))
    }

    /// Nodes that do not say of themselves that they are there, and in which words.
    fn absent_nodes(&self) -> BTreeMap<&str, String> {
        let nodes = self.resources.iter().filter(|resource| resource.kind.as_deref() == Some("node"));
        nodes
            .filter(|node| node.status.as_deref() != Some("online"))
            .filter_map(|node| {
                let name = node.node.as_deref()?;
                let status = node.status.as_deref().unwrap_or("of no status that is told");
                Some((name, format!("its node {name} is {status}, so this is not known")))
            })
            .collect()
    }
}

impl PveResource {
    /// The number of a guest.
    pub fn vmid(&self) -> Option<u64> {
        if !self.is_guest() {
            return None;
        }
        self.id.as_deref()?.rsplit_once('/')?.1.parse().ok()
    }

    /// Whether it is a guest of a sort that is known here.
    pub fn is_guest(&self) -> bool {
        matches!(self.kind.as_deref(), Some("qemu" | "lxc" | "openvz"))
    }

    /// The tags of a guest, one by one.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let all = self.tags.as_deref().unwrap_or_default().split([';', ',', ' ']);
        all.filter(|tag| !tag.is_empty())
    }

    /// The id without its type where that is said anyway; guests keep theirs, and have their name behind it.
    pub(crate) fn label(&self) -> Option<String> {
        let id = self.id.as_deref().filter(|id| !id.is_empty());
        let kind = self.kind.as_deref().unwrap_or_default();
        match kind {
            "qemu" | "lxc" | "openvz" => Some(match &self.name {
                Some(name) => format!("{} {name}", id?),
                None => id?.to_owned(),
            }),
            "node" | "storage" | "sdn" | "network" | "pool" => {
                let short = id.map(|id| id.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/')).unwrap_or(id));
                short.or(self.node.as_deref()).map(str::to_owned)
            }
            // Of a type that is not known here nobody says what it is anyway.
            _ => id.or(self.node.as_deref()).map(str::to_owned),
        }
    }
}

/// What kind of subject a row is and what is wrong with it; `None` for one that is not judged.
fn judged(resource: &PveResource) -> Option<(&'static str, Vec<Fault>)> {
    let status = resource.status.as_deref();
    let by = |standing| word("status", status, standing).into_iter().collect();
    match resource.kind.as_deref() {
        Some("node") => Some(("node", of_node_row(resource))),
        Some("storage") => Some(("storage", by(of_storage))),
        Some("sdn" | "network") => Some(("network", by(of_network))),
        Some("qemu" | "lxc" | "openvz") => Some(("guest", of_guest_row(resource))),
        Some("pool") if status.is_none() => None,
        Some(kind) => {
            let status = status.filter(|status| !is_good_everywhere(status))?;
            Some((
                "resource",
                vec![(Standing::Unknown, format!("type {kind} is not known, nor what {status} means of it"))],
            ))
        }
        None => Some(("resource", vec![(Standing::Unknown, "its type is not told".to_owned())])),
    }
}

fn is_good_everywhere(status: &str) -> bool {
    matches!(status, "online" | "available" | "ok" | "running")
}

fn word(what: &str, said: Option<&str>, standing: fn(&str) -> Standing) -> Option<Fault> {
    let Some(said) = said else { return Some((Standing::Unknown, format!("its {what} is not told"))) };
    match standing(said) {
        Standing::Ok => None,
        state => Some((state, format!("{what} {said}"))),
    }
}

fn of_node_row(node: &PveResource) -> Vec<Fault> {
    let mut faults: Vec<Fault> = word("status", node.status.as_deref(), of_node).into_iter().collect();
    if let Some(state) = &node.ha_state {
        faults.extend(word("HA state", Some(state), of_ha_node));
    }
    faults
}

fn of_node(said: &str) -> Standing {
    match said {
        "online" => Standing::Ok,
        "offline" => Standing::Failed,
        // `unknown`: a member of which nothing was heard yet.
        _ => Standing::Unknown,
    }
}

fn of_storage(said: &str) -> Standing {
    match said {
        "available" => Standing::Ok,
        "inactive" => Standing::Degraded,
        // `unknown`: its node said nothing of it.
        _ => Standing::Unknown,
    }
}

fn of_network(said: &str) -> Standing {
    match said {
        "available" | "ok" => Standing::Ok,
        // Configured, and not yet loaded on the node.
        "pending" => Standing::Degraded,
        "error" | "not ok" => Standing::Failed,
        _ => Standing::Unknown,
    }
}

fn of_guest_row(guest: &PveResource) -> Vec<Fault> {
    let mut faults: Vec<Fault> = word("status", guest.status.as_deref(), of_guest).into_iter().collect();
    if let Some(lock) = &guest.lock {
        faults.extend(word("lock", Some(lock), of_lock));
    }
    if let Some(state) = &guest.ha_state {
        faults.extend(word("HA state", Some(state), of_service));
        if state == "started" && guest.status.as_deref() == Some("stopped") {
            faults.push((Standing::Degraded, "it is stopped, and the HA manager has it started".to_owned()));
        }
    }
    faults
}

/// A guest may run or be stopped; both are lawful. The others are QEMU's words for a guest whose processors stand still.
fn of_guest(said: &str) -> Standing {
    match said {
        "running" | "stopped" => Standing::Ok,
        "paused" | "suspended" | "prelaunch" | "preconfig" | "inmigrate" | "finish-migrate" | "postmigrate"
        | "save-vm" | "restore-vm" | "shutdown" | "debug" => Standing::Degraded,
        "io-error" | "internal-error" | "guest-panicked" | "watchdog" => Standing::Failed,
        // `unknown`: its node said nothing of it.
        _ => Standing::Unknown,
    }
}

/// A lock is held by a task that runs, or was left by one that died: either way nobody may start, move or stop the guest.
fn of_lock(said: &str) -> Standing {
    match said {
        "backup" | "clone" | "create" | "disk" | "fstrim" | "migrate" | "mounted" | "rollback" | "snapshot"
        | "snapshot-delete" | "suspending" | "suspended" | "destroyed" => Standing::Degraded,
        _ => Standing::Unknown,
    }
}

#[cfg(test)]
mod tests;
