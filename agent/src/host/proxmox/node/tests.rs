//! Tests of the parsers of one node's lists: good ones, broken ones, damage, and samples beside.

use super::*;
use crate::host::feed_damaged;

const TASKS: &str = r#"{"data":[
  {"upid":"UPID:one:0003A1B2:0123ABCD:66F0A1B2:qmigrate:100:root@pam:","node":"one","pid":238002,"pstart":19114957,
   "starttime":1727046066,"type":"qmigrate","id":"100","user":"root@pam","status":"RUNNING"},
  {"upid":"UPID:one:0003A1B3:0123ABCE:66F0A1B3:vzdump::root@pam!t:","node":"one","starttime":"1727046067","type":"vzdump",
   "id":"","user":"root@pam!t","endtime":1727049667,"status":"WARNINGS: 2"}],"total":2}"#;
const STORAGES: &str = r#"{"data":[
  {"storage":"nas","type":"nfs","content":"images","active":1,"enabled":"1","shared":true,"total":10,"used":1,"avail":9},
  {"storage":"old","type":"cephfs","content":"images","active":0,"enabled":1},
  {"storage":"new","type":"quantum","content":"images"}]}"#;
const REPLICATION: &str = r#"{"data":[
  {"id":"100-0","type":"local","guest":100,"source":"one","target":"two","jobnum":0,"last_sync":1727046066,
   "next_sync":1727046966,"duration":3.47,"fail_count":0},
  {"id":"101-0","guest":"101","target":"two","last_sync":0,"fail_count":3,"error":"no tunnel IP received\n","pid":4711},
  {"id":"102-0","guest":102,"target":"two","disable":1}]}"#;
const QEMU: &str = r#"{"data":{"digest":"5911","name":"web","memory":"2048","cores":2,"scsihw":"virtio-scsi-pci",
  "scsi0":"nas:vm-100-disk-0,size=32G","scsi30":"file=fast:vm-100-disk-1,size=1G","virtio1":"/dev/disk/by-id/ata-x,size=9G",
  "ide2":"local:iso/debian-12.iso,media=cdrom","ide3":"none,media=cdrom","efidisk0":"nas:vm-100-disk-2,size=4M",
  "unused0":"slow:vm-100-disk-9","hostpci0":"0000:01:00,pcie=1","usb0":"host=1234:5678","usb1":"spice","serial0":"socket",
  "serial1":"/dev/ttyS0","net0":"virtio=BC:24:11:2E:C5:4A,bridge=vmbr0","boot":"order=scsi0;ide2","meta":"creation-qemu=9.0"}}"#;
const LXC: &str = r#"{"data":{"digest":"5911","hostname":"db","rootfs":"nas:subvol-101-disk-0,size=8G",
  "mp0":"volume=fast:subvol-101-disk-1,mp=/data","mp1":"/srv/data,mp=/srv","mp2":"/mnt/all,mp=/all,shared=1",
  "dev0":"/dev/dri/renderD128","lxc":[["lxc.cgroup2.devices.allow","c 226:0 rwm"]],"net0":"name=eth0,bridge=vmbr0"}}"#;
const UNCOVERED: &str = r#"{"data":[{"vmid":100,"type":"qemu","name":"web"},{"vmid":"101","type":"pod"}]}"#;
const LOG: &str = r#"{"data":[
  {"n":1,"t":"INFO: starting new backup job: vzdump --all 1 --quiet 1"},
  {"n":2,"t":"INFO: Starting Backup of VM 100 (qemu)"},
  {"n":3,"t":"INFO: Finished Backup of VM 100 (00:01:12)"},
  {"n":4,"t":"INFO: Starting Backup of VM 101 (lxc)"},
  {"n":5,"t":"ERROR: Backup of VM 101 failed - command 'set -o pipefail && lxc-usernsexec' failed: exit code 2"},
  {"n":6,"t":"INFO: Finished Backup of VM 102 (00:00:02)"},
  {"n":7,"t":"INFO: Finished Backup of VM next (soon)"},
  {"n":8,"t":"INFO: Backup job finished with errors"},{"n":9,"t":"TASK ERROR: job errors"},{"n":10}],"total":10}"#;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn lists_are_read_whole() {
    let tasks = parse_tasks(TASKS).unwrap();
    assert_eq!((tasks[0].runs(), &*tasks[0].kind, &*tasks[0].id), (true, "qmigrate", "100"));
    assert_eq!((tasks[1].runs(), tasks[1].start_unix_seconds), (false, Some(1_727_046_067)));
    assert_eq!(tasks[1].status, text("WARNINGS: 2"));
    let storages = parse_storages(STORAGES).unwrap();
    let told: Vec<_> = storages.iter().map(|one| (&*one.name, one.active, one.enabled, one.shared)).collect();
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(told, [("nas", yes, yes, yes), ("old", no, yes, None), ("new", None, None, None)]);
    let jobs = parse_replication(REPLICATION).unwrap();
    assert_eq!((jobs[0].fail_count, jobs[0].running, jobs[0].disabled), (Some(0), false, false));
    assert_eq!((jobs[1].guest, jobs[1].last_sync_unix_seconds, jobs[1].running), (Some(101), Some(0), true));
    assert_eq!(jobs[1].error, text("no tunnel IP received\n"));
    assert!(jobs[2].disabled && jobs[2].fail_count.is_none());
    let uncovered = parse_uncovered(UNCOVERED).unwrap();
    assert_eq!((uncovered[0].vmid, uncovered[1].vmid, &uncovered[1].kind), (100, 101, &text("pod")));
    assert_eq!(parse_backup_log(LOG).unwrap(), [100, 102]);
}

#[test]
fn what_a_guest_needs_is_found() {
    let config = parse_config(QEMU).unwrap();
    assert_eq!(config.storages, ["fast", "nas"]);
    assert_eq!(config.host_parts, ["virtio1", "hostpci0", "usb0", "serial1"]);
    let config = parse_config(LXC).unwrap();
    assert_eq!(config.storages, ["fast", "nas"]);
    assert_eq!(config.host_parts, ["mp1", "dev0", "lxc"]);
}

#[test]
fn broken_answers_say_what_is_wrong() {
    let said = |error: HostError| error.to_string();
    let refused = r#"{"data":null,"errors":{"source":"value 'x' does not have a value in the enumeration"}}"#;
    let told = said(parse_tasks(refused).unwrap_err());
    assert!(told.starts_with("parsing GET /nodes/{node}/tasks: the API says: {\"source\":"), "{told}");
    for (told, wanted) in [
        (parse_storages("").map(drop), "EOF while parsing"),
        (parse_storages("<html>").map(drop), "expected value at line 1"),
        (parse_storages(r#"{"data":null}"#).map(drop), "no `data` in it"),
        (parse_storages(r#"{"data":[{"type":"dir"}]}"#).map(drop), "missing field `storage`"),
        (parse_replication(r#"{"data":{"id":"1"}}"#).map(drop), "invalid type: map"),
        (parse_uncovered(r#"{"data":[{"name":"web"}]}"#).map(drop), "a guest without vmid"),
        (parse_config(r#"{"data":[1]}"#).map(drop), "expected an object"),
        (parse_backup_log(r#"{"data":"gone"}"#).map(drop), "invalid type: string"),
        (parse_backup_log(r#"{"data":[{"n":1,"t":"a"}],"total":7}"#).map(drop), "it has 7 lines, of which 1 came"),
        (parse_tasks(r#"{"data":[{"type":["a"]}]}"#).map(drop), "a list where a word should be"),
    ] {
        let told = said(told.unwrap_err());
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
}

#[test]
fn damaged_answers_never_panic() {
    feed_damaged(TASKS, |text| drop(parse_tasks(text)));
    feed_damaged(STORAGES, |text| drop(parse_storages(text)));
    feed_damaged(REPLICATION, |text| drop(parse_replication(text)));
    feed_damaged(UNCOVERED, |text| drop(parse_uncovered(text)));
    feed_damaged(QEMU, |text| drop(parse_config(text)));
    feed_damaged(LXC, |text| drop(parse_config(text)));
    feed_damaged(LOG, |text| drop(parse_backup_log(text)));
}

/// Bodies of three releases, where they lie beside the checkout. Each that fits a parser is read, and none is empty by
/// mistake.
#[test]
fn samples_are_read() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/interfaces/samples/pve-api");
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut read = std::collections::BTreeMap::new();
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("go-proxmox")) {
        let all: Value = serde_json::from_str(&std::fs::read_to_string(entry.path()).unwrap()).unwrap();
        for response in all["responses"].as_array().unwrap() {
            let (path, body) = (response["path"].as_str().unwrap().trim_end_matches('$'), response["body"].to_string());
            let path = path.trim_start_matches('^');
            if response["method"] != "GET" || path.contains("snapshot") {
                continue;
            }
            let parts: Vec<&str> = path.split('/').skip(1).collect();
            let (name, count) = match parts.as_slice() {
                ["nodes", _, "storage"] => ("storage", parse_storages(&body).map(|all| all.len())),
                ["nodes", _, "replication"] => ("replication", parse_replication(&body).map(|all| all.len())),
                ["nodes", _, "tasks"] | ["cluster", "tasks"] => ("tasks", parse_tasks(&body).map(|all| all.len())),
                ["nodes", _, "tasks", _, "log"] => ("log", parse_backup_log(&body).map(|_| 1)),
                ["nodes", _, "qemu" | "lxc", _, "config"] => {
                    ("config", parse_config(&body).map(|config| config.storages.len()))
                }
                ["cluster", "backup-info", "not-backed-up"] => {
                    ("uncovered", parse_uncovered(&body).map(|all| all.len()))
                }
                _ => continue,
            };
            let count = count.unwrap_or_else(|error| panic!("{path} in {:?}: {error}", entry.file_name()));
            assert!(count > 0, "{path} in {:?} tells of nothing", entry.file_name());
            *read.entry(name).or_insert(0) += 1;
        }
    }
    let kinds: Vec<&str> = read.keys().copied().collect();
    assert_eq!(kinds, ["config", "log", "replication", "storage", "tasks", "uncovered"], "{read:?}");
}
