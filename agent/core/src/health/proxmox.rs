//! May this host of Proxmox VE be taken down: high availability, storages, tasks in flight, and the guests' backups?
//! Quorum is corosync's affair, and judged there.
//!
//! It must never take a word it does not know for a good one, nor a question that was not answered for nothing to tell.

use super::{Court, Gate, Severity, names, span};
use crate::observed::{PveNode, PveReplication, PveResource, PveResources, PveStorage};
use crate::settings::Expected;
use crate::standing::{Names, Report, Standing, Subject};

mod backups;
mod ha;

/// Tasks that are only somebody's look at something, or that can be done again at no cost.
const HARMLESS: [&str; 6] = ["aptupdate", "spiceproxy", "spiceshell", "termproxy", "vncproxy", "vncshell"];
/// Guests that are named in one line.
const NAMED: usize = 20;

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(node) = seen.proxmox.reading.known() else { return };
    let next = "pve-manager is not installed here; see [proxmox] in agent.toml";
    court.expected("pve.expected", Expected::Proxmox, "host of Proxmox VE", usize::from(node.is_some()), next);
    let Some(node) = node else { return };
    parts(court, node);
    nodes(court, node);
    strangers(court, node);
    ha::judge(court, node);
    tasks(court, node);
    guests(court, node);
    storages(court, node);
    pinned(court, node);
    replication(court, node);
    backups::judge(court, node);
}

/// Questions that were not answered. Those that decide about a reboot block while they are open.
fn parts(court: &mut Court<'_>, node: &PveNode) {
    let all = [
        ("ha", node.ha.why(), Gate::Blocks),
        ("tasks", node.tasks.why(), Gate::Blocks),
        ("storages", node.storages.why(), Gate::Blocks),
        ("replication", node.replication.why(), Gate::Blocks),
        ("backup jobs", node.uncovered.why(), Gate::Warns),
        ("backups", node.backups.why(), Gate::Warns),
    ];
    for (part, why, gate) in all {
        let Some(why) = why else {
            court.ok(("pve.api", part), "answered");
            continue;
        };
        court.find(("pve.api", part), Severity::Unknown, gate, format!("{part}: not told"), why);
    }
}

fn nodes(court: &mut Court<'_>, node: &PveNode) {
    let mut told = false;
    for row in node.resources.resources.iter().filter(|row| row.kind.as_deref() == Some("node")) {
        let Some(name) = row.node.as_deref() else { continue };
        told |= name == node.name;
        let next = "guests cannot move there; see there: systemctl status pve-cluster pvestatd";
        match row.status.as_deref() {
            Some("online") => court.ok(("pve.node", name), "online"),
            Some("offline") => {
                let evidence = format!("the cluster says that it is offline; {next}");
                court.find(("pve.node", name), Severity::Warn, Gate::Warns, format!("{name} is offline"), evidence);
            }
            status => {
                let status = status.unwrap_or("not told");
                let evidence = format!("its status is {status}; {next}");
                court.find(("pve.node", name), Severity::Unknown, Gate::Warns, format!("{name}: {status}"), evidence);
            }
        }
    }
    if !told {
        let evidence = format!(
            "the cluster tells of no node {}, so nothing is known of its guests; say its name in [proxmox] node, see: pvesh \
             get /nodes",
            node.name
        );
        let name = ("pve.node", node.name.as_str());
        court.find(
            name,
            Severity::Unknown,
            Gate::Blocks,
            format!("{} is not known to the cluster", node.name),
            evidence,
        );
    }
}

/// Rows of kinds that came with newer releases: told, and nothing is made of them.
fn strangers(court: &mut Court<'_>, node: &PveNode) {
    for subject in node.resources.subjects().iter().filter(|subject| subject.kind == "resource") {
        let why = subject.why.as_deref().unwrap_or_default();
        let evidence = format!("{why}; nothing is concluded from it");
        let name = ("pve.resource", subject.name.as_str());
        court.find(name, Severity::Info, Gate::None, format!("{} is not known here", subject.name), evidence);
    }
}

/// What runs here is killed by a reboot, whatever it is.
fn tasks(court: &mut Court<'_>, node: &PveNode) {
    let Some(tasks) = node.tasks.known() else { return };
    let mut subjects = Names::default();
    let mut running = 0;
    for task in tasks.iter().filter(|task| task.runs()) {
        running += 1;
        let name = subjects.unique("task", format!("{} {}", task.kind, task.id).trim_end().to_owned());
        let since = task.start_unix_seconds.map(|start| court.seen.at.unix_seconds.saturating_sub(start));
        let since =
            since.map_or_else(|| "at a time that is not told".to_owned(), |age| format!("{} ago", span(age as f64)));
        let said = format!("{} started it {since}", task.user);
        if HARMLESS.contains(&task.kind.as_str()) {
            let evidence = format!("{said}; a reboot only ends it");
            court.find(("pve.task", &name), Severity::Info, Gate::None, format!("{name} runs"), evidence);
        } else {
            let evidence = format!(
                "{said}, and a reboot would kill it; wait until it has ended, see: pvenode task log {}",
                task.upid
            );
            court.find(("pve.task", &name), Severity::Info, Gate::Blocks, format!("{name} runs"), evidence);
        }
    }
    if running == 0 {
        court.ok(("pve.task", "tasks"), "none runs");
    }
}

/// Guests of this node that do not stand as they should. What HA makes of them is judged there.
fn guests(court: &mut Court<'_>, node: &PveNode) {
    let (mut count, mut running) = (0, 0);
    for guest in node.guests() {
        count += 1;
        running += usize::from(guest.status.as_deref() == Some("running"));
        let bare = PveResource { ha_state: None, lock: None, ..guest.clone() };
        let label = guest.label().unwrap_or_else(|| "a guest without an id".to_owned());
        for subject in (PveResources { resources: vec![bare] }).subjects() {
            if subject.state != Standing::Ok {
                court.stands(
                    "pve.guest",
                    &subject,
                    "",
                    "see it in the web interface, or: pvesh get /cluster/resources",
                );
            }
        }
        if let Some(lock) = &guest.lock {
            locked(court, node, guest, (&label, lock));
        }
    }
    court.ok(("pve.guest", "guests"), format!("{count} on this node, {running} of them running"));
}

fn locked(court: &mut Court<'_>, node: &PveNode, guest: &PveResource, (label, lock): (&str, &str)) {
    let name = (&*format!("{label} lock"), lock);
    let summary = format!("{label} is locked: {lock}");
    let tool = if guest.kind.as_deref() == Some("lxc") { "pct" } else { "qm" };
    let vmid = guest.vmid();
    let unlock = format!("{tool} unlock {}", vmid.map_or_else(|| "ID".to_owned(), |vmid| vmid.to_string()));
    let (severity, gate, evidence) = match node.tasks.known() {
        // It says so itself, and that is what blocks.
        Some(tasks) if tasks.iter().any(|task| task.works_on(vmid)) => return,
        // Its memory is on disk, and it goes on from there when it is started.
        _ if lock == "suspended" => {
            (Severity::Info, Gate::None, "it was put to sleep, and stays so over a reboot".to_owned())
        }
        Some(_) => (
            Severity::Warn,
            Gate::Blocks,
            format!(
                "no task of this node works on it: one that died has left the lock, and nobody may move or start the \
                     guest; if nothing works on it: {unlock}"
            ),
        ),
        None => (Severity::Unknown, Gate::Blocks, "whether a task works on it is not told".to_owned()),
    };
    court.find(("pve.guest", name.0), severity, gate, summary, evidence);
}

fn storages(court: &mut Court<'_>, node: &PveNode) {
    for storage in node.storages.known().into_iter().flatten().filter(|storage| storage.enabled != Some(false)) {
        let name = ("pve.storage", storage.name.as_str());
        let needed = needed(node, storage);
        let gate = if needed.is_some() { Gate::Blocks } else { Gate::Warns };
        let why = needed.unwrap_or_else(|| "no guest that runs here has a disk on it".to_owned());
        let next = format!("{why}; see: pvesm status, journalctl -u pvestatd");
        match storage.active {
            Some(true) => court.ok(name, "active"),
            Some(false) => {
                let evidence = format!("it is enabled, and this node cannot use it; {next}");
                court.find(name, Severity::Warn, gate, format!("storage {} is not active", storage.name), evidence);
            }
            None => {
                let evidence = format!("whether it is active is not told; {next}");
                court.find(name, Severity::Unknown, gate, format!("storage {}: not told", storage.name), evidence);
            }
        }
    }
}

/// Who needs a storage among the guests that run here. What a guest is made of may not be known: then it may need it.
fn needed(node: &PveNode, storage: &PveStorage) -> Option<String> {
    let (mut by, mut perhaps) = (Vec::new(), Vec::new());
    for guest in node.guests().filter(|guest| guest.status.as_deref() != Some("stopped")) {
        let id = guest.id.clone().unwrap_or_default();
        match node.configs.get(&id).and_then(|config| config.known()) {
            Some(config) if config.storages.contains(&storage.name) => by.push(id),
            Some(_) => {}
            None => perhaps.push(id),
        }
    }
    match (by.is_empty(), perhaps.is_empty()) {
        (false, _) => Some(format!("disks of {} are on it", names(by.iter().map(String::as_str)))),
        (true, false) => {
            Some(format!("what {} may have on it is not known", names(perhaps.iter().map(String::as_str))))
        }
        (true, true) => None,
    }
}

/// Guests that stay where they are, whatever happens to this node: they are stopped when it goes down.
fn pinned(court: &mut Court<'_>, node: &PveNode) {
    let is_local = |name: &String| {
        let mut storages = node.storages.known().into_iter().flatten();
        storages.any(|storage| storage.name == *name && storage.shared == Some(false))
    };
    let mut all = Vec::new();
    for guest in node.guests().filter(|guest| guest.status.as_deref() == Some("running")) {
        let Some(config) = guest.id.as_ref().and_then(|id| node.configs.get(id)?.known()) else { continue };
        let local = config.storages.iter().filter(|name| is_local(name));
        let parts: Vec<&str> = config.host_parts.iter().chain(local).map(String::as_str).collect();
        if !parts.is_empty() {
            all.push(format!("{} ({})", guest.label().unwrap_or_default(), names(parts)));
        }
    }
    if all.is_empty() {
        return;
    }
    let (count, more) = (all.len(), all.len().saturating_sub(NAMED));
    all.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let evidence = format!(
        "they have disks or devices of this host, so they are copied or stopped when it goes down: {}{more}",
        all.join(", ")
    );
    let summary = format!("{count} running guests hold on to this host");
    court.find(("pve.pinned", "guests"), Severity::Info, Gate::None, summary, evidence);
}

fn replication(court: &mut Court<'_>, node: &PveNode) {
    for job in node.replication.known().into_iter().flatten() {
        let name = ("pve.replication", job.id.as_str());
        let target = job.target.as_deref().unwrap_or("a node that is not told");
        if job.running {
            let evidence = format!("it copies to {target} now, and a reboot would kill it; wait until it has ended");
            court.find(name, Severity::Info, Gate::Blocks, format!("replication {} runs", job.id), evidence);
            continue;
        }
        let subject = standing(job, node.is_online(target), target);
        let next = format!("see: pvesr status, pvesh get /nodes/{}/replication/{}/log", node.name, job.id);
        match subject.state {
            Standing::Ok => court.ok(name, format!("to {target}")),
            state => {
                let severity = if state == Standing::Unknown { Severity::Unknown } else { Severity::Warn };
                let why = subject.why.unwrap_or_default();
                court.find(
                    name,
                    severity,
                    Gate::Warns,
                    format!("replication {}: {why}", job.id),
                    format!("{why}; {next}"),
                );
            }
        }
    }
}

fn standing(job: &PveReplication, target_is_there: bool, target: &str) -> Subject {
    let not_ok = |state, why: String| Subject::not_ok("replication", &job.id, state, why);
    if job.disabled {
        return not_ok(Standing::Degraded, format!("it is switched off, so {target} has an old copy or none"));
    }
    let away = if target_is_there { "" } else { ", which is not online" };
    match (job.fail_count, &job.error) {
        (Some(0), None) | (None, None) if job.last_sync_unix_seconds == Some(0) => {
            not_ok(Standing::Degraded, format!("it has never copied anything to {target}{away}"))
        }
        (Some(0), None) => Subject::ok("replication", &job.id),
        (None, None) => not_ok(Standing::Unknown, "whether it fails is not told".to_owned()),
        (count, error) => {
            let times = count.map_or_else(String::new, |count| format!(" {count} times"));
            let said = error.as_deref().map_or_else(String::new, |error| format!(": {}", error.trim()));
            not_ok(Standing::Degraded, format!("it has failed{times} to copy to {target}{away}{said}"))
        }
    }
}

#[cfg(test)]
mod tests;
