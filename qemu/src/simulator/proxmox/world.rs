//! The cluster that the simulator tells of: two nodes, their guests, storages, tasks and jobs.
//!
//! It must never tell two things of one: every list is made of the same facts.

use serde_json::{Map, Value, json};

/// When something was said last. Whether that is long ago says the API itself.
const SAID: &str = "Thu Nov  5 21:10:11 2026";

/// All facts.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    /// Nodes, and whether each is online.
    pub nodes: Vec<(String, bool)>,
    /// Virtual machines and containers.
    pub guests: Vec<Guest>,
    /// Storages, which every node has.
    pub storages: Vec<Storage>,
    /// Tasks of all nodes, the newest first.
    pub tasks: Vec<Task>,
    /// Replication jobs.
    pub jobs: Vec<Job>,
    /// Numbers of guests that are in no backup job.
    pub uncovered: Vec<u64>,
    /// Nodes that HA has in maintenance.
    pub maintenance: Vec<String>,
    /// A row of a type that no schema has yet.
    pub stranger: Option<&'static str>,
}

/// A virtual machine or container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guest {
    pub vmid: u64,
    /// `qemu` or `lxc`.
    pub kind: &'static str,
    pub name: &'static str,
    pub node: &'static str,
    /// `running` or `stopped`.
    pub status: &'static str,
    pub tags: &'static str,
    pub lock: Option<&'static str>,
    /// What the HA manager says of it, where it manages it.
    pub ha: Option<&'static str>,
    /// More lines of its configuration: disks, devices.
    pub options: Vec<(&'static str, &'static str)>,
}

/// A storage.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    pub name: &'static str,
    pub kind: &'static str,
    pub shared: bool,
    pub active: bool,
    pub enabled: bool,
}

/// A task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Task {
    pub node: &'static str,
    pub kind: &'static str,
    /// The guest's number where there is one.
    pub id: &'static str,
    pub start: u64,
    /// `None`: it runs.
    pub end: Option<u64>,
    /// `OK`, or an error.
    pub status: &'static str,
    pub log: Vec<String>,
}

/// A replication job.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub id: &'static str,
    pub guest: u64,
    pub source: &'static str,
    pub target: &'static str,
    pub last_sync: u64,
    pub fail_count: u64,
    pub error: Option<&'static str>,
    pub running: bool,
}

impl World {
    /// `GET /cluster/resources`. Everybody sees the nodes.
    pub(super) fn resources(&self, only: Option<&str>, privileges: &[&str]) -> Value {
        let is_wanted = |kind: &str| only.is_none_or(|only| only == kind);
        let may = |privilege: &str| privileges.contains(&privilege);
        let mut rows = Vec::new();
        if is_wanted("node") {
            rows.extend(self.nodes.iter().map(|(name, online)| self.node(name, *online)));
        }
        if is_wanted("vm") && may("VM.Audit") {
            rows.extend(self.guests.iter().map(|guest| guest.row(self.is_online(guest.node))));
        }
        if is_wanted("storage") && may("Datastore.Audit") {
            let of_all = self.nodes.iter().flat_map(|(node, online)| {
                self.storages.iter().filter(|one| one.enabled).map(move |one| one.resource(node, *online))
            });
            rows.extend(of_all);
        }
        if let Some(kind) = self.stranger.filter(|_| only.is_none()) {
            rows.push(json!({ "id": format!("{kind}/one"), "type": kind, "status": "woken" }));
        }
        rows.into()
    }

    fn node(&self, name: &str, online: bool) -> Value {
        let status = if online { "online" } else { "offline" };
        let mut row =
            json!({ "id": format!("node/{name}"), "type": "node", "node": name, "status": status, "level": "" });
        if self.guests.iter().any(|guest| guest.ha.is_some()) {
            let state = match (online, self.maintenance.iter().any(|one| one == name)) {
                (_, true) => "maintenance",
                (true, false) => "online",
                (false, false) => "unknown",
            };
            row["hastate"] = json!(state);
        }
        row
    }

    fn is_online(&self, name: &str) -> bool {
        self.nodes.iter().any(|(known, online)| known == name && *online)
    }

    /// `GET /cluster/ha/status/current`
    pub(super) fn ha(&self) -> Value {
        let first = self.nodes.first().map_or("", |(name, _)| name.as_str());
        let mut rows = vec![json!({ "id": "quorum", "type": "quorum", "node": first, "status": "OK", "quorate": 1 })];
        let services: Vec<&Guest> = self.guests.iter().filter(|guest| guest.ha.is_some()).collect();
        if services.is_empty() {
            return rows.into();
        }
        rows.push(json!({
            "id": "master", "type": "master", "node": first, "timestamp": 1, "status": format!("{first} (active, {SAID})")
        }));
        rows.push(json!({
            "id": "fencing", "type": "fencing", "node": first, "armed-state": "armed",
            "status": "armed (CRM watchdog active)"
        }));
        for (name, online) in &self.nodes {
            let said = match (online, self.maintenance.contains(name)) {
                (_, true) => format!("{name} (maintenance mode, watchdog standby, {SAID})"),
                (true, false) => format!("{name} (active, watchdog active, {SAID})"),
                (false, false) => format!("{name} (old timestamp - dead?, {SAID})"),
            };
            let id = format!("lrm:{name}");
            rows.push(json!({ "id": id, "type": "lrm", "node": name, "timestamp": 1, "status": said }));
        }
        rows.extend(services.iter().filter_map(|guest| guest.service()));
        rows.into()
    }

    /// `GET /cluster/backup-info/not-backed-up`
    pub(super) fn uncovered(&self) -> Value {
        let all = self.guests.iter().filter(|guest| self.uncovered.contains(&guest.vmid));
        all.map(|guest| json!({ "vmid": guest.vmid, "type": guest.kind, "name": guest.name })).collect()
    }

    /// `GET /nodes/{node}/storage`
    pub(super) fn storages(&self, only_enabled: bool, only: Option<&str>, may_see: bool) -> Value {
        let all = self.storages.iter().filter(|_| may_see);
        let all = all.filter(|one| one.enabled || !only_enabled).filter(|one| only.is_none_or(|only| one.name == only));
        all.map(Storage::row).collect()
    }

    /// `GET /nodes/{node}/replication`
    pub(super) fn replication(&self, node: &str, guest: Option<u64>, may_see: bool) -> Value {
        let all = self.jobs.iter().filter(|job| may_see && job.source == node);
        all.filter(|job| guest.is_none_or(|guest| job.guest == guest)).map(Job::row).collect()
    }
}

impl Guest {
    /// Of a guest whose node is away only its place is known.
    fn row(&self, is_there: bool) -> Value {
        let status = if is_there { self.status } else { "unknown" };
        let mut row = json!({
            "id": format!("{}/{}", self.kind, self.vmid), "type": self.kind, "vmid": self.vmid, "node": self.node,
            "name": self.name, "status": status, "template": 0, "maxcpu": 2, "maxmem": 2_147_483_648_u64,
        });
        if !self.tags.is_empty() {
            row["tags"] = json!(self.tags);
        }
        if let Some(lock) = self.lock {
            row["lock"] = json!(lock);
        }
        if let Some(state) = self.ha {
            row["hastate"] = json!(state);
        }
        row
    }

    fn service(&self) -> Option<Value> {
        let state = self.ha?;
        let sid = format!("{}:{}", if self.kind == "lxc" { "ct" } else { "vm" }, self.vmid);
        Some(json!({
            "id": format!("service:{sid}"), "type": "service", "sid": sid, "node": self.node, "state": state,
            "crm_state": state, "request_state": "started", "max_restart": 1, "max_relocate": 1,
            "status": format!("{sid} ({}, {state})", self.node),
        }))
    }

    /// `GET /nodes/{node}/qemu/{vmid}/config`, or of `lxc`.
    pub(super) fn config(&self) -> Value {
        let name = if self.kind == "lxc" { "hostname" } else { "name" };
        let mut config = Map::from_iter([
            ("digest".to_owned(), json!("5911baea29f4c0073fb063fd9ab29e75892832bf")),
            (name.to_owned(), json!(self.name)),
        ]);
        if !self.tags.is_empty() {
            config.insert("tags".to_owned(), json!(self.tags));
        }
        config.extend(self.options.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        config.into()
    }
}

impl Storage {
    fn resource(&self, node: &str, online: bool) -> Value {
        let status = match (online, self.active) {
            (false, _) => "unknown",
            (true, true) => "available",
            (true, false) => "inactive",
        };
        json!({
            "id": format!("storage/{node}/{}", self.name), "type": "storage", "storage": self.name, "node": node,
            "status": status, "plugintype": self.kind, "shared": u8::from(self.shared), "content": "images,rootdir",
        })
    }

    fn row(&self) -> Value {
        json!({
            "storage": self.name, "type": self.kind, "content": "images,rootdir", "active": u8::from(self.active),
            "enabled": u8::from(self.enabled), "shared": u8::from(self.shared),
        })
    }
}

impl Task {
    /// Made of what it is, as the real one is.
    pub(crate) fn upid(&self) -> String {
        format!("UPID:{}:0003A1B2:0123ABCD:{:08X}:{}:{}:root@pam:", self.node, self.start, self.kind, self.id)
    }

    pub(super) fn row(&self) -> Value {
        let mut row = json!({
            "upid": self.upid(), "node": self.node, "pid": 0x3_a1b2, "pstart": 0x123_abcd, "starttime": self.start,
            "type": self.kind, "id": self.id, "user": "root@pam",
        });
        match self.end {
            Some(end) => {
                row["endtime"] = json!(end);
                row["status"] = json!(self.status);
            }
            None => row["status"] = json!("RUNNING"),
        }
        row
    }
}

impl Job {
    fn row(&self) -> Value {
        let mut row = json!({
            "id": self.id, "type": "local", "guest": self.guest, "source": self.source, "target": self.target,
            "schedule": "*/15", "jobnum": 0, "vmtype": "qemu", "last_sync": self.last_sync, "last_try": self.last_sync,
            "next_sync": self.last_sync + 900, "duration": 3.47, "fail_count": self.fail_count,
        });
        if let Some(error) = self.error {
            row["error"] = json!(error);
        }
        if self.running {
            row["pid"] = json!(4711);
        }
        row
    }
}
