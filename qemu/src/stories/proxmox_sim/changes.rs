//! The cluster of the story, and what happens to it. Each change is made to a cluster that is well.
//!
//! It must never make what the published schema does not allow, but for the two changes that say so.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::simulator::proxmox::{Guest, Job, Storage, Task, World};

const HOUR: u64 = 3_600;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn guest(vmid: u64, kind: &'static str, name: &'static str, node: &'static str) -> Guest {
    Guest { vmid, kind, name, node, status: "running", ..Guest::default() }
}

/// A task of this node that began an hour ago and has just ended, or runs.
fn task(kind: &'static str, id: &'static str, ended: Option<u64>) -> Task {
    Task { node: "one", kind, id, start: now() - HOUR, end: ended, status: "OK", log: Vec::new() }
}

/// Two nodes, of which this one has two guests.
pub(crate) fn well() -> World {
    let storage = |name, kind, shared| Storage { name, kind, shared, active: true, enabled: true };
    let log = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
    World {
        nodes: vec![("one".to_owned(), true), ("two".to_owned(), true)],
        guests: vec![
            Guest {
                ha: Some("started"),
                tags: "prod",
                options: vec![("scsi0", "nas:vm-100-disk-0,size=32G"), ("ide2", "archive:iso/debian.iso,media=cdrom")],
                ..guest(100, "qemu", "web", "one")
            },
            Guest { options: vec![("rootfs", "local:subvol-101-disk-0,size=8G")], ..guest(101, "lxc", "db", "one") },
            Guest { options: vec![("scsi0", "nas:vm-200-disk-0,size=8G")], ..guest(200, "qemu", "far", "two") },
        ],
        storages: vec![
            storage("nas", "nfs", true),
            storage("local", "zfspool", false),
            storage("archive", "dir", false),
            Storage { active: false, enabled: false, ..storage("retired", "dir", false) },
        ],
        tasks: vec![
            Task {
                status: "job errors",
                log: log(&[
                    "INFO: Starting Backup of VM 101 (lxc)",
                    "INFO: Finished Backup of VM 101 (00:00:12)",
                    "ERROR: Backup of VM 100 failed - job failed with err -5 - Input/output error",
                    "TASK ERROR: job errors",
                ]),
                ..task("vzdump", "", Some(now() - HOUR / 2))
            },
            // Where it was before it was moved here.
            Task { node: "two", ..task("vzdump", "100", Some(now() - HOUR)) },
        ],
        jobs: vec![Job {
            id: "101-0",
            guest: 101,
            source: "one",
            target: "two",
            last_sync: now() - 600,
            fail_count: 0,
            error: None,
            running: false,
        }],
        ..World::default()
    }
}

/// All that stay within the schema.
#[cfg(test)]
pub(crate) const CHANGES: [fn(&mut World); 19] = [
    |_| {},
    ha_error,
    ha_fence,
    ha_word_to_come,
    in_maintenance,
    other_node_offline,
    migrating,
    backing_up,
    replicating,
    looking,
    locked,
    storage_inactive,
    idle_storage_inactive,
    no_job,
    no_backup,
    first_backup_runs,
    first_backup_done,
    old_backup,
    replication_fails,
];

pub(super) fn ha_error(world: &mut World) {
    world.guests[0].ha = Some("error");
}

pub(super) fn ha_fence(world: &mut World) {
    world.guests[0].ha = Some("fence");
}

/// The schema allows any word there.
pub(super) fn ha_word_to_come(world: &mut World) {
    world.guests[0].ha = Some("teleporting");
}

pub(super) fn in_maintenance(world: &mut World) {
    world.maintenance.push("one".to_owned());
}

pub(super) fn other_node_offline(world: &mut World) {
    world.nodes[1].1 = false;
}

pub(super) fn migrating(world: &mut World) {
    world.tasks.insert(0, task("qmigrate", "100", None));
    world.guests[0].lock = Some("migrate");
}

pub(super) fn backing_up(world: &mut World) {
    world.tasks.insert(0, task("vzdump", "", None));
    world.guests[0].lock = Some("backup");
}

pub(super) fn replicating(world: &mut World) {
    world.jobs[0].running = true;
}

pub(super) fn looking(world: &mut World) {
    world.tasks.insert(0, task("vncproxy", "100", None));
}

pub(super) fn locked(world: &mut World) {
    world.guests[0].lock = Some("migrate");
}

pub(super) fn storage_inactive(world: &mut World) {
    world.storages[0].active = false;
}

pub(super) fn idle_storage_inactive(world: &mut World) {
    world.storages[2].active = false;
}

pub(super) fn no_job(world: &mut World) {
    world.guests.push(Guest { tags: "red;blue", ..guest(102, "qemu", "new", "one") });
    world.uncovered.push(102);
    // Its tag says that nobody wants one.
    world.guests.push(Guest { tags: "scratch", ..guest(105, "qemu", "toy", "one") });
}

pub(super) fn no_backup(world: &mut World) {
    world.guests.push(guest(103, "qemu", "newer", "one"));
}

pub(super) fn first_backup_runs(world: &mut World) {
    no_backup(world);
    world.tasks.insert(0, task("vzdump", "103", None));
}

pub(super) fn first_backup_done(world: &mut World) {
    no_backup(world);
    world.tasks.insert(0, task("vzdump", "103", Some(now())));
}

pub(super) fn old_backup(world: &mut World) {
    world.guests.push(guest(104, "qemu", "older", "one"));
    world.tasks.push(Task { start: now() - 31 * HOUR, ..task("vzdump", "104", Some(now() - 30 * HOUR)) });
}

pub(super) fn replication_fails(world: &mut World) {
    world.jobs[0].fail_count = 3;
    world.jobs[0].error = Some("no tunnel IP received");
}

/// A row of a type that the schema has not.
pub(super) fn stranger(world: &mut World) {
    world.stranger = Some("appliance");
}
