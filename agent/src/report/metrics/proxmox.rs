//! A host of Proxmox VE, under the names of its own and of prometheus-pve-exporter where the meaning is the same.
//!
//! It must never write a number for what was not told, but for what there is none of.

use hardstand_core::Observed;
use hardstand_core::observed::{PveNode, PveResource};

use super::page::{Kind, Page};

/// What the HA manager says of nodes, and of guests. Another word is a state of its own.
const NODE_STATES: [&str; 5] = ["online", "maintenance", "unknown", "fence", "gone"];
const GUEST_STATES: [&str; 11] = [
    "stopped",
    "request_stop",
    "request_start",
    "request_start_balance",
    "started",
    "fence",
    "recovery",
    "migrate",
    "relocate",
    "freeze",
    "error",
];

pub(super) fn write(page: &mut Page, observed: &Observed) {
    let node = observed.proxmox.reading.known().and_then(Option::as_ref);
    states(page, node);
    let mut active = page.family(
        "hardstand_pve_storage_active",
        Kind::Gauge,
        "Whether this node can use a storage that is enabled here.",
    );
    let storages = node.iter().filter_map(|node| node.storages.known()).flatten();
    for storage in storages.filter(|storage| storage.enabled != Some(false)) {
        active.optional(&[("storage", &storage.name)], storage.active.map(|active| f64::from(u8::from(active))));
    }
    let mut tasks = page.family("hardstand_pve_tasks", Kind::Gauge, "Tasks that run on this node, by their sort.");
    let mut counts = std::collections::BTreeMap::new();
    for task in node.iter().filter_map(|node| node.tasks.known()).flatten().filter(|task| task.runs()) {
        *counts.entry(task.kind.as_str()).or_insert(0_u32) += 1;
    }
    for (kind, count) in counts {
        tasks.sample(&[("type", kind)], f64::from(count));
    }
    replication(page, node);
    let uncovered = node.and_then(|node| node.uncovered.known());
    page.family("pve_not_backed_up_total", Kind::Unknown, "Guests of the cluster that are in no backup job.")
        .optional(&[], uncovered.map(|all| all.len() as f64));
    let mut info = page.family("pve_not_backed_up_info", Kind::Info, "A guest that is in no backup job.");
    for guest in uncovered.into_iter().flatten() {
        let kind = guest.kind.as_deref().unwrap_or("unknown");
        info.sample(&[("id", &format!("{kind}/{}", guest.vmid))], 1.0);
    }
}

/// Of the nodes, and of the guests of this one: each node tells of its own.
fn states(page: &mut Page, node: Option<&PveNode>) {
    let is_told = |row: &&PveResource| row.kind.as_deref() == Some("node") || row.is_guest();
    let is_ours = |row: &&PveResource| {
        row.kind.as_deref() == Some("node") || row.node.as_deref() == node.map(|node| node.name.as_str())
    };
    let rows = node.into_iter().flat_map(|node| &node.resources.resources).filter(is_told).filter(is_ours);
    let rows: Vec<_> = rows.filter_map(|row| Some((row, row.id.as_deref()?))).collect();
    let mut up = page.family("pve_up", Kind::Gauge, "Whether a node is online, or a guest of this one runs.");
    for (row, id) in &rows {
        let is_up = row.status.as_deref().filter(|status| *status != "unknown");
        up.optional(&[("id", id)], is_up.map(|status| f64::from(u8::from(matches!(status, "online" | "running")))));
    }
    let mut ha = page.family("pve_ha_state", Kind::Gauge, "What the HA manager says of a node or a guest.");
    for (row, id) in &rows {
        let Some(state) = row.ha_state.as_deref() else { continue };
        let known: &[&str] = if row.is_guest() { &GUEST_STATES } else { &NODE_STATES };
        for one in known.iter().copied().chain(Some(state).filter(|state| !known.contains(state))) {
            ha.flag(&[("id", id), ("state", one)], one == state);
        }
    }
}

fn replication(page: &mut Page, node: Option<&PveNode>) {
    let jobs: Vec<_> = node.iter().filter_map(|node| node.replication.known()).flatten().collect();
    let mut failed = page.family(
        "pve_replication_failed_syncs",
        Kind::Gauge,
        "How often in a row a replication job of this node has failed.",
    );
    for job in &jobs {
        failed.optional(&[("id", &job.id)], job.fail_count.map(|count| count as f64));
    }
    let mut last = page.family(
        "pve_replication_last_sync_timestamp_seconds",
        Kind::Gauge,
        "When a replication job of this node last made a copy; 0: never.",
    );
    for job in &jobs {
        last.optional(&[("id", &job.id)], job.last_sync_unix_seconds.map(|at| at as f64));
    }
}
