//! Tests of what a host of Proxmox VE is judged to be: one thing after the other goes wrong on a node that is well.

use std::collections::BTreeMap;

use super::super::judge as judge_all;
use super::super::tests::well;
use super::*;
use crate::observed::{
    PveBackups, PveGuestConfig, PveHa, PveHaEntry, PveNode, PveReplication, PveResource, PveResources, PveStorage,
    PveTask, PveUncovered,
};
use crate::{Finding, Health, History, Reading, Sample, Settings};

const HOUR: u64 = 3_600;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn now() -> u64 {
    well(0.0).at.unix_seconds
}

fn row(kind: &str, id: &str, node: &str, status: &str) -> PveResource {
    PveResource { kind: text(kind), id: text(id), node: text(node), status: text(status), ..PveResource::default() }
}

fn guest(id: &str, node: &str, name: &str) -> PveResource {
    let kind = id.split('/').next().unwrap();
    PveResource { name: text(name), template: Some(false), ..row(kind, id, node, "running") }
}

fn storage(name: &str, shared: bool) -> PveStorage {
    PveStorage {
        name: name.to_owned(),
        kind: text("dir"),
        active: Some(true),
        enabled: Some(true),
        shared: Some(shared),
    }
}

fn entry(kind: &str, name: &str, state: &str) -> PveHaEntry {
    PveHaEntry { kind: text(kind), name: text(name), node: text(name), state: text(state), ..PveHaEntry::default() }
}

fn service(name: &str, node: &str, state: &str) -> PveHaEntry {
    PveHaEntry { node: text(node), request_state: text("started"), ..entry("service", name, state) }
}

fn task(kind: &str, id: &str) -> PveTask {
    PveTask {
        upid: format!("UPID:one:0003A1B2:0123ABCD:66F0A1B2:{kind}:{id}:root@pam:"),
        kind: kind.to_owned(),
        id: id.to_owned(),
        user: "root@pam".to_owned(),
        start_unix_seconds: Some(now() - 60),
        ..PveTask::default()
    }
}

fn config(storages: &[&str], host_parts: &[&str]) -> Reading<PveGuestConfig> {
    let own = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect();
    Reading::Known(PveGuestConfig { storages: own(storages), host_parts: own(host_parts) })
}

/// A node of two on which nothing is wrong.
fn node() -> PveNode {
    let quorum = PveHaEntry { quorate: Some(true), ..entry("quorum", "one", "OK") };
    PveNode {
        name: "one".to_owned(),
        resources: PveResources {
            resources: vec![
                row("node", "node/one", "one", "online"),
                row("node", "node/two", "two", "online"),
                guest("qemu/100", "one", "web"),
                guest("lxc/101", "one", "db"),
                guest("qemu/200", "two", "far"),
            ],
        },
        ha: Reading::Known(PveHa {
            tells_end: true,
            entries: vec![
                quorum,
                entry("master", "one", "active"),
                entry("lrm", "one", "active"),
                entry("lrm", "two", "active"),
                service("vm:100", "one", "started"),
            ],
        }),
        tasks: Reading::Known(Vec::new()),
        storages: Reading::Known(vec![storage("nas", true), storage("local", false)]),
        replication: Reading::Known(vec![PveReplication {
            id: "101-0".to_owned(),
            guest: Some(101),
            target: text("two"),
            last_sync_unix_seconds: Some(now() - 600),
            fail_count: Some(0),
            ..PveReplication::default()
        }]),
        uncovered: Reading::Known(Vec::new()),
        backups: Reading::Known(PveBackups {
            last_unix_seconds: BTreeMap::from([(100, now() - HOUR), (101, now() - 2 * HOUR)]),
            unseen: Vec::new(),
            since_unix_seconds: now() - 31 * 24 * HOUR,
        }),
        configs: BTreeMap::from([
            ("qemu/100".to_owned(), config(&["nas"], &[])),
            ("lxc/101".to_owned(), config(&["nas"], &[])),
        ]),
        asked_before_seconds: 0.0,
    }
}

fn health(node: Option<PveNode>, settings: &Settings) -> Health {
    let mut seen = well(0.0);
    seen.proxmox = Sample::fresh(node, 0.0);
    judge_all(&seen, settings, &mut History::default())
}

/// What is not ok of it.
fn complaints(node: PveNode) -> Vec<Finding> {
    let health = health(Some(node), &Settings::default());
    let ours = health.findings.into_iter().filter(|found| found.check.starts_with("pve."));
    ours.filter(|found| found.severity != Severity::Ok).collect()
}

/// The one complaint: what it is, and words of its evidence.
#[track_caller]
fn complains(node: PveNode, (check, subject): (&str, &str), severity: Severity, gate: Gate, told: &str) {
    let all = complaints(node);
    let found = all.iter().find(|found| found.check == check && found.subject == subject);
    let found = found.unwrap_or_else(|| panic!("no {check} of {subject} in {all:#?}"));
    assert_eq!((found.severity, found.gate), (severity, gate), "{found:?}");
    assert!(found.evidence.contains(told), "{told}: {found:?}");
    assert_eq!(all.len(), 1, "{all:#?}");
}

fn ha(node: &mut PveNode) -> &mut Vec<PveHaEntry> {
    let Reading::Known(ha) = &mut node.ha else { panic!("it is known") };
    &mut ha.entries
}

fn known<T>(reading: &mut Reading<T>) -> &mut T {
    let Reading::Known(value) = reading else { panic!("it is known") };
    value
}

/// The node with one thing changed.
fn with(change: impl FnOnce(&mut PveNode)) -> PveNode {
    let mut node = node();
    change(&mut node);
    node
}

#[test]
fn a_node_that_is_well_is_ok_and_one_that_is_none_is_no_finding() {
    assert_eq!(complaints(node()), []);
    let well = health(Some(node()), &Settings::default());
    let told = |check: &str, subject: &str| {
        let found = well.findings.iter().find(|found| found.check == check && found.subject == subject);
        found.unwrap_or_else(|| panic!("no {check} of {subject}")).evidence.clone()
    };
    assert_eq!(told("pve.guest", "guests"), "2 on this node, 2 of them running");
    assert_eq!(told("pve.ha", "vm:100"), "started on one");
    assert_eq!(told("pve.task", "tasks"), "none runs");
    assert_eq!(told("pve.backup_age", "lxc/101 db"), "2 h old");
    assert_eq!(told("pve.replication", "101-0"), "to two");
    let none = health(None, &Settings::default());
    assert!(none.findings.iter().all(|found| !found.check.starts_with("pve.")), "{none:?}");
}

#[test]
fn one_that_is_declared_must_be_there() {
    let mut settings = Settings::default();
    settings.node.expect.push(Expected::Proxmox);
    let of = |node: Option<PveNode>| {
        let health = health(node, &settings);
        let found = health.findings.into_iter().find(|found| found.check == "pve.expected").unwrap();
        (found.severity, found.gate)
    };
    assert_eq!(of(Some(node())), (Severity::Ok, Gate::None));
    assert_eq!(of(None), (Severity::Crit, Gate::Blocks));
}

#[test]
fn states_of_ha_are_judged() {
    use Gate::{Blocks, None as Nothing, Warns};
    use Severity::{Crit, Info, Unknown, Warn};
    let service_is = |state: &str| {
        let state = state.to_owned();
        with(|node| ha(node)[4].state = Some(state))
    };
    for (state, severity, told) in [
        ("error", Crit, "ha-manager set vm:100 --state disabled"),
        ("fence", Crit, "one is being fenced"),
        ("recovery", Crit, "on one"),
        ("migrate", Warn, "on one"),
        ("freeze", Warn, "on one"),
        ("teleport", Unknown, "teleport"),
    ] {
        complains(service_is(state), ("pve.ha", "vm:100"), severity, Blocks, told);
    }
    let manager_of = |place: usize, state: &str| {
        let state = state.to_owned();
        with(|node| ha(node)[place].state = Some(state))
    };
    let maintenance = "node-maintenance disable";
    complains(manager_of(2, "maintenance mode"), ("pve.ha", "lrm one"), Info, Nothing, maintenance);
    complains(manager_of(3, "maintenance mode"), ("pve.ha", "lrm two"), Warn, Blocks, maintenance);
    complains(manager_of(2, "lost_agent_lock"), ("pve.ha", "lrm one"), Crit, Blocks, "lost_agent_lock");
    complains(manager_of(3, "old timestamp - dead?"), ("pve.ha", "lrm two"), Crit, Blocks, "dead?");
    complains(manager_of(3, "dancing"), ("pve.ha", "lrm two"), Unknown, Blocks, "dancing");
    complains(with(|node| drop(ha(node).remove(1))), ("pve.ha", "master cluster"), Unknown, Blocks, "no master");
    for (name, state, severity, gate) in [
        ("one", "fence", Crit, Blocks),
        ("two", "gone", Crit, Blocks),
        ("one", "maintenance", Info, Nothing),
        ("two", "maintenance", Warn, Blocks),
        ("two", "unknown", Unknown, Warns),
        ("two", "asleep", Unknown, Blocks),
    ] {
        let place = usize::from(name == "two");
        let node = with(|node| node.resources.resources[place].ha_state = text(state));
        complains(node, ("pve.ha", &format!("node {name}")), severity, gate, "");
    }
}

#[test]
fn a_node_that_is_away_is_told_and_takes_nothing_else_with_it() {
    let offline = with(|node| {
        node.resources.resources[1].status = text("offline");
        ha(node)[3].state = text("old timestamp - dead?");
        known(&mut node.replication)[0].fail_count = Some(1);
        known(&mut node.replication)[0].error = text("command failed: ssh exit code 255");
    });
    let all = complaints(offline);
    let told: Vec<_> = all.iter().map(|found| (found.check.as_str(), found.severity, found.gate)).collect();
    let warn = |check| (check, Severity::Warn, Gate::Warns);
    assert_eq!(told, [warn("pve.ha"), warn("pve.node"), warn("pve.replication")], "{all:#?}");
    assert!(all[2].evidence.contains("two, which is not online: command failed: ssh exit code 255"), "{:?}", all[2]);
    let unknown = with(|node| node.resources.resources[1].status = text("hibernating"));
    complains(unknown, ("pve.node", "two"), Severity::Unknown, Gate::Warns, "hibernating");
    let stranger = with(|node| node.name = "three".to_owned());
    let found = complaints(stranger).into_iter().find(|found| found.check == "pve.node").unwrap();
    assert_eq!((&*found.subject, found.severity, found.gate), ("three", Severity::Unknown, Gate::Blocks));
    assert!(found.evidence.contains("[proxmox] node"), "{found:?}");
}

#[test]
fn a_question_without_an_answer_is_told_alone() {
    let why = || "it answered 403 (Permission check failed): as root: pveum acl modify";
    type Change = fn(&mut PveNode, &str);
    let parts: [(&str, Gate, Change); 6] = [
        ("ha", Gate::Blocks, |node, why| node.ha = Reading::unknown(why)),
        ("tasks", Gate::Blocks, |node, why| node.tasks = Reading::unknown(why)),
        ("storages", Gate::Blocks, |node, why| node.storages = Reading::unknown(why)),
        ("replication", Gate::Blocks, |node, why| node.replication = Reading::unknown(why)),
        ("backup jobs", Gate::Warns, |node, why| node.uncovered = Reading::unknown(why)),
        ("backups", Gate::Warns, |node, why| node.backups = Reading::unknown(why)),
    ];
    for (part, gate, change) in parts {
        complains(with(|node| change(node, why())), ("pve.api", part), Severity::Unknown, gate, "pveum acl modify");
    }
}

#[test]
fn what_runs_here_blocks_whatever_it_is() {
    let running = |kind: &str, id: &str| with(|node| known(&mut node.tasks).push(task(kind, id)));
    for (kind, id, subject) in [
        ("qmigrate", "100", "qmigrate 100"),
        ("vzdump", "", "vzdump"),
        ("qmsnapshot", "100", "qmsnapshot 100"),
        ("brandnew", "100", "brandnew 100"),
    ] {
        let node = running(kind, id);
        complains(
            node,
            ("pve.task", subject),
            Severity::Info,
            Gate::Blocks,
            "root@pam started it 60 s ago, and a reboot",
        );
    }
    complains(running("vncproxy", "100"), ("pve.task", "vncproxy 100"), Severity::Info, Gate::None, "only ends it");
    let says_so = PveTask { status: text("RUNNING"), ..task("qmigrate", "100") };
    let node = with(|node| known(&mut node.tasks).push(says_so));
    complains(node, ("pve.task", "qmigrate 100"), Severity::Info, Gate::Blocks, "pvenode task log UPID:one:");
    let ended = PveTask { end_unix_seconds: Some(now()), status: text("OK"), ..task("qmigrate", "100") };
    assert_eq!(complaints(with(|node| known(&mut node.tasks).push(ended))), []);
    let copies = with(|node| known(&mut node.replication)[0].running = true);
    complains(copies, ("pve.replication", "101-0"), Severity::Info, Gate::Blocks, "a reboot would kill it");
}

#[test]
fn guests_are_told_when_they_are_broken_or_held() {
    let web = |change: fn(&mut PveResource)| with(|node| change(&mut node.resources.resources[2]));
    let name = ("pve.guest", "qemu/100 web");
    complains(web(|guest| guest.status = text("io-error")), name, Severity::Crit, Gate::Blocks, "io-error");
    complains(web(|guest| guest.status = text("levitating")), name, Severity::Unknown, Gate::Blocks, "levitating");
    let lock = ("pve.guest", "qemu/100 web lock");
    complains(web(|guest| guest.lock = text("migrate")), lock, Severity::Warn, Gate::Blocks, "qm unlock 100");
    complains(web(|guest| guest.lock = text("suspended")), lock, Severity::Info, Gate::None, "put to sleep");
    let held = with(|node| {
        node.resources.resources[2].lock = text("backup");
        known(&mut node.tasks).push(task("vzdump", ""));
    });
    complains(held, ("pve.task", "vzdump"), Severity::Info, Gate::Blocks, "");
    let far = with(|node| node.resources.resources[4].status = text("io-error"));
    assert_eq!(complaints(far), [], "its own node says so");
    let strange = with(|node| node.resources.resources.push(row("jail", "jail/7", "one", "asleep")));
    complains(strange, ("pve.resource", "jail/7"), Severity::Info, Gate::None, "type jail is not known");
}

#[test]
fn a_storage_that_guests_need_blocks() {
    let inactive = |name: &'static str| {
        move |node: &mut PveNode| {
            let mut all = known(&mut node.storages).iter_mut();
            all.find(|storage| storage.name == name).unwrap().active = Some(false);
        }
    };
    let (nas, local) = (("pve.storage", "nas"), ("pve.storage", "local"));
    complains(with(inactive("nas")), nas, Severity::Warn, Gate::Blocks, "disks of qemu/100, lxc/101 are on it");
    complains(with(inactive("local")), local, Severity::Warn, Gate::Warns, "no guest that runs here");
    let stopped = with(|node| {
        inactive("nas")(node);
        node.resources.resources[2].status = text("stopped");
        node.resources.resources[3].status = text("stopped");
    });
    complains(stopped, nas, Severity::Warn, Gate::Warns, "no guest that runs here");
    let unread = with(|node| {
        inactive("local")(node);
        node.configs.insert("qemu/100".to_owned(), Reading::unknown("late"));
    });
    complains(unread, local, Severity::Warn, Gate::Blocks, "what qemu/100 may have on it is not known");
    let untold = with(|node| known(&mut node.storages)[0].active = None);
    complains(untold, nas, Severity::Unknown, Gate::Blocks, "not told");
    let off = with(|node| {
        inactive("nas")(node);
        known(&mut node.storages)[0].enabled = Some(false);
    });
    assert_eq!(complaints(off), []);
    let bound = with(|node| {
        node.configs.insert("qemu/100".to_owned(), config(&["local", "nas"], &["hostpci0"]));
    });
    let told = "goes down: qemu/100 web (hostpci0, local)";
    complains(bound, ("pve.pinned", "guests"), Severity::Info, Gate::None, told);
}

#[test]
fn replication_that_fails_is_told() {
    let job = |change: fn(&mut PveReplication)| with(|node| change(&mut known(&mut node.replication)[0]));
    let name = ("pve.replication", "101-0");
    let failed = job(|job| (job.fail_count, job.error) = (Some(3), text("no tunnel IP received\n")));
    complains(
        failed,
        name,
        Severity::Warn,
        Gate::Warns,
        "it has failed 3 times to copy to two: no tunnel IP received; see",
    );
    let never = job(|job| job.last_sync_unix_seconds = Some(0));
    complains(never, name, Severity::Warn, Gate::Warns, "never copied anything to two; see: pvesr status");
    complains(job(|job| job.fail_count = None), name, Severity::Unknown, Gate::Warns, "not told");
    complains(job(|job| job.disabled = true), name, Severity::Warn, Gate::Warns, "switched off");
}

#[test]
fn guests_without_a_backup_are_told_with_their_tags() {
    let web = |vmid| vec![PveUncovered { vmid, kind: text("qemu"), name: text("web") }];
    let uncovered = |tags: &str| {
        let tags = text(tags);
        with(|node| {
            node.uncovered = Reading::Known(web(100));
            known(&mut node.backups).last_unix_seconds.remove(&100);
            node.resources.resources[2].tags = tags;
        })
    };
    let name = ("pve.backup_job", "qemu/100 web");
    complains(uncovered("prod;blue"), name, Severity::Warn, Gate::Warns, "(its tags: prod, blue)");
    complains(uncovered(""), name, Severity::Warn, Gate::Warns, "(it has no tags)");
    assert_eq!(complaints(with(|node| node.uncovered = Reading::Known(web(200)))), [], "its own node says so");
    let mut settings = Settings::default();
    settings.proxmox.no_backup_tags.push("blue".to_owned());
    settings.proxmox.backups_required = true;
    let of = |node| health(Some(node), &settings).findings.into_iter().find(|found| found.check == "pve.backup_job");
    assert_eq!(of(uncovered("prod;blue")), None);
    assert_eq!(of(uncovered("prod")).map(|found| found.gate), Some(Gate::Blocks));
    let template = with(|node| {
        node.resources.resources[2].template = Some(true);
        node.uncovered = Reading::Known(web(100));
    });
    assert_eq!(complaints(template), []);
}

#[test]
fn the_age_of_the_last_backup_has_a_limit() {
    let last = |at: Option<u64>, unseen: &[&str]| {
        with(|node| {
            let backups = known(&mut node.backups);
            backups.last_unix_seconds.remove(&100);
            backups.last_unix_seconds.extend(at.map(|at| (100, at)));
            backups.unseen = unseen.iter().map(|&one| one.to_owned()).collect();
        })
    };
    let name = ("pve.backup_age", "qemu/100 web");
    assert_eq!(complaints(last(Some(now() - 26 * HOUR), &[])), []);
    complains(last(Some(now() - 27 * HOUR), &[]), name, Severity::Warn, Gate::Warns, "at most 26 h old");
    complains(last(Some(now() - 27 * HOUR), &["two is away"]), name, Severity::Warn, Gate::Warns, "two is away");
    complains(last(None, &[]), name, Severity::Warn, Gate::Warns, "no log of the last 31 days tells");
    let unseen = ["two is not online", "other"];
    complains(last(None, &unseen), name, Severity::Unknown, Gate::Warns, "two is not online (and 1 more)");
    complains(last(Some(now() + 2 * HOUR), &[]), name, Severity::Unknown, Gate::Warns, "2 h ahead");
    let mut settings = Settings::default();
    settings.thresholds.guest_backup_warn_hours = 48.0;
    let health = health(Some(last(Some(now() - 27 * HOUR), &[])), &settings);
    assert!(health.findings.iter().all(|found| found.check != name.0 || found.severity == Severity::Ok));
}
