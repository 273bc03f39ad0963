//! The HA manager's own JSON, with or without what the API puts beside it: the quorum, and what each node's local
//! resource manager (LRM) wrote.
//!
//! It must never take a node for one that is well whose local resource manager is not told.

use std::collections::{BTreeMap, BTreeSet};

use hardstand_core::observed::PveHaEntry;
use serde::Deserialize;
use serde_json::Value;

use super::super::{Pairs, count, flag, truth, word};
use super::Told;

#[derive(Deserialize)]
pub(super) struct WireManager {
    /// The API's wrapping.
    pub(super) data: Option<Box<Told>>,
    pub(super) errors: Option<Value>,
    pub(super) message: Option<Value>,
    manager_status: Option<Box<WireManager>>,
    quorum: Option<WireQuorum>,
    lrm_status: Option<Pairs<WireLrm>>,
    #[serde(default, deserialize_with = "word")]
    master_node: Option<String>,
    #[serde(default, deserialize_with = "count")]
    timestamp: Option<u64>,
    node_status: Option<Pairs<Option<String>>>,
    service_status: Option<Pairs<WireService>>,
    disarm: Option<WireDisarm>,
    /// What nodes are asked to do before they are seen to do it: `{"maintenance": 1}`.
    node_request: Option<Pairs<Pairs<Value>>>,
}

/// There only while high availability is, or is being, disarmed.
#[derive(Deserialize)]
struct WireDisarm {
    #[serde(default, deserialize_with = "word")]
    mode: Option<String>,
    #[serde(default, deserialize_with = "word")]
    state: Option<String>,
}

#[derive(Deserialize)]
struct WireQuorum {
    #[serde(default, deserialize_with = "word")]
    node: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    quorate: Option<bool>,
}

#[derive(Deserialize)]
struct WireLrm {
    #[serde(default, deserialize_with = "word")]
    mode: Option<String>,
    #[serde(default, deserialize_with = "word")]
    state: Option<String>,
    #[serde(default, deserialize_with = "count")]
    timestamp: Option<u64>,
}

#[derive(Deserialize)]
struct WireService {
    #[serde(default, deserialize_with = "word")]
    node: Option<String>,
    #[serde(default, deserialize_with = "word")]
    state: Option<String>,
    #[serde(default, deserialize_with = "word")]
    target: Option<String>,
    #[serde(default, deserialize_with = "word")]
    maintenance_node: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    running: Option<bool>,
}

impl WireManager {
    pub(super) fn into_core(mut self) -> Result<Vec<PveHaEntry>, String> {
        let inner = self.manager_status.take();
        if inner.is_none() && self.is_empty() {
            return Err("neither a list of rows nor a manager's status in it".to_owned());
        }
        let (quorum, lrms) = (self.quorum.take(), self.lrm_status.take().unwrap_or_default().0);
        // Beside the one that the API wraps there may be another on the outside, which then counts as well.
        let managers: Vec<Self> = inner.map(|inner| *inner).into_iter().chain([self]).collect();
        let newest = managers.iter().map(|one| one.timestamp).chain(lrms.iter().map(|(_, lrm)| lrm.timestamp)).max();
        let facts = Facts {
            newest: newest.flatten(),
            is_quorate: quorum.as_ref().and_then(|quorum| quorum.quorate) == Some(true),
            active: active_services(&managers),
            has_services: managers.iter().any(|one| one.service_status.as_ref().is_some_and(|all| !all.0.is_empty())),
        };
        let mut entries: Vec<PveHaEntry> = quorum.into_iter().map(WireQuorum::into_core).collect();
        entries.extend(managers.iter().filter_map(|one| one.master(&facts)));
        entries.extend(managers.iter().filter_map(|one| one.disarm.as_ref()).map(WireDisarm::to_core));
        let mut untold = BTreeSet::new();
        let mut services = Vec::new();
        for node in managers.iter().flat_map(Self::nodes) {
            untold.extend(node.name.clone());
            entries.push(node);
        }
        for (sid, service) in managers.iter().flat_map(|one| one.service_status.iter().flat_map(|all| &all.0)) {
            services.push(service.to_core(sid));
        }
        for (name, lrm) in &lrms {
            entries.push(lrm.to_core(name, &facts));
            untold.remove(name);
        }
        entries.extend(untold.iter().map(|name| row("lrm", name, Some(name))));
        entries.extend(services);
        Ok(entries)
    }

    fn is_empty(&self) -> bool {
        self.quorum.is_none()
            && self.lrm_status.is_none()
            && self.master_node.is_none()
            && self.node_status.is_none()
            && self.service_status.is_none()
    }

    /// Its nodes with what is asked of them; one that is only asked has no state.
    fn nodes(&self) -> Vec<PveHaEntry> {
        let mut requests: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, asked) in self.node_request.iter().flat_map(|all| &all.0) {
            let asked = asked.0.iter().filter(|(_, value)| truth(value) != Some(false)).map(|(word, _)| word.clone());
            requests.entry(name).or_default().extend(asked);
        }
        let mut nodes = Vec::new();
        for (name, state) in self.node_status.iter().flat_map(|all| &all.0) {
            let asked = requests.remove(name.as_str()).unwrap_or_default();
            nodes.push(PveHaEntry { state: state.clone(), ..asked_node(name, &asked) });
        }
        requests.retain(|_, asked| !asked.is_empty());
        nodes.extend(requests.iter().map(|(name, asked)| asked_node(name, asked)));
        nodes
    }

    /// One that has no service may sleep: Proxmox VE calls it idle.
    fn master(&self, facts: &Facts) -> Option<PveHaEntry> {
        let name = self.master_node.as_ref()?;
        let behind = facts.behind(self.timestamp);
        let sleeps = behind.is_some_and(|behind| behind > 0) && facts.is_quorate && !facts.has_services;
        Some(PveHaEntry {
            state: sleeps.then(|| "idle".to_owned()),
            at_unix_seconds: self.timestamp,
            behind_seconds: behind,
            ..row("master", name, Some(name))
        })
    }
}

/// What the rows of one report need to know of each other.
struct Facts {
    /// The newest time stamp.
    newest: Option<u64>,
    is_quorate: bool,
    /// How many services of each node need its local resource manager.
    active: BTreeMap<String, usize>,
    has_services: bool,
}

impl Facts {
    fn behind(&self, timestamp: Option<u64>) -> Option<u64> {
        Some(self.newest?.saturating_sub(timestamp?))
    }
}

/// Counted as Proxmox VE does it.
fn active_services(managers: &[WireManager]) -> BTreeMap<String, usize> {
    let mut active = BTreeMap::new();
    for (_, service) in managers.iter().flat_map(|one| one.service_status.iter().flat_map(|all| &all.0)) {
        let (Some(node), Some(state)) = (&service.node, &service.state) else { continue };
        if !matches!(state.as_str(), "stopped" | "freeze" | "error" | "ignored") {
            *active.entry(node.clone()).or_default() += 1;
        }
    }
    active
}

fn asked_node(name: &str, asked: &[String]) -> PveHaEntry {
    let request = (!asked.is_empty()).then(|| asked.join(" "));
    PveHaEntry { request_state: request, ..row("node", name, Some(name)) }
}

fn row(kind: &str, name: &str, node: Option<&str>) -> PveHaEntry {
    PveHaEntry {
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        node: node.map(str::to_owned),
        ..PveHaEntry::default()
    }
}

impl WireDisarm {
    fn to_core(&self) -> PveHaEntry {
        PveHaEntry {
            kind: Some("fencing".to_owned()),
            state: self.state.clone(),
            mode: self.mode.clone(),
            ..PveHaEntry::default()
        }
    }
}

impl WireQuorum {
    fn into_core(self) -> PveHaEntry {
        PveHaEntry {
            kind: Some("quorum".to_owned()),
            name: self.node.clone(),
            node: self.node,
            quorate: self.quorate,
            ..PveHaEntry::default()
        }
    }
}

impl WireLrm {
    /// Without a time stamp nothing of it counts, as for Proxmox VE.
    fn to_core(&self, name: &str, facts: &Facts) -> PveHaEntry {
        let is_active = self.mode.as_deref().is_none_or(|mode| mode == "active");
        let waits = self.state.as_deref() == Some("wait_for_agent_lock");
        let state = match self.timestamp {
            None => None,
            Some(_) if is_active && waits && !facts.active.contains_key(name) => Some("idle".to_owned()),
            Some(_) => self.state.clone(),
        };
        PveHaEntry {
            state,
            mode: self.mode.clone(),
            at_unix_seconds: self.timestamp,
            behind_seconds: facts.behind(self.timestamp),
            ..row("lrm", name, Some(name))
        }
    }
}

impl WireService {
    fn to_core(&self, sid: &str) -> PveHaEntry {
        PveHaEntry {
            state: self.state.clone(),
            running: Some(self.running == Some(true)),
            target: self.target.clone(),
            maintenance_node: self.maintenance_node.clone(),
            ..row("service", sid, self.node.as_deref())
        }
    }
}
