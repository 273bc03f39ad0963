//! What a simulated TrueNAS is: its version, what it answers, and how it misbehaves.
//!
//! It must never hold an entry that the schema of its version does not allow, but where a story makes one on purpose.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V25_04,
    V25_10,
    V26,
}

/// How it misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Not at all.
    None,
    /// It takes calls and answers none.
    Hangs,
    /// It answers what is no JSON.
    Garbage,
    /// Its answer has 9 MiB.
    Huge,
    /// It goes away in the middle of an answer.
    Drops,
}

/// Its whole state.
pub(crate) struct World {
    pub(crate) version: Version,
    pub(crate) trouble: Trouble,
    /// Answers by method, whole: filters and options are put on them.
    pub(crate) answers: BTreeMap<&'static str, Value>,
    /// The user and the key that it takes.
    pub(crate) user: &'static str,
    pub(crate) key: String,
    pub(crate) key_expired: bool,
    /// The user whom the socket trusts without a login: root, by its number.
    pub(crate) root: u32,
    /// Calls that were heard, and refusals with their codes.
    pub(crate) heard: Vec<String>,
    pub(crate) refused: Vec<(i64, String)>,
    /// The most calls that one connection had under way.
    pub(crate) most_under_way: usize,
}

impl World {
    /// A box that is well.
    pub(crate) fn well(version: Version) -> Self {
        let answers = [
            ("system.state", json!("READY")),
            ("system.info", info()),
            ("pool.query", json!([pool(1, "tank")])),
            ("boot.get_state", pool(2, "boot-pool")),
            ("alert.list", json!([])),
            ("iscsi.global.sessions", json!([])),
            ("replication.query", json!([replication()])),
            ("pool.snapshottask.query", json!([snapshot_task()])),
            ("core.get_jobs", json!([])),
            ("boot.environment.query", json!([environment("25.10.1", true, true)])),
            ("system.reboot.info", json!({"boot_id": "a7c1", "reboot_required_reasons": []})),
            ("update.status", update("NORMAL", Some(Value::Null), Value::Null)),
            ("pool.snapshot.query", json!([])),
            ("zfs.resource.snapshot.count", json!({"tank": 3, "tank/vm": 4})),
        ];
        let mut answers: BTreeMap<&'static str, Value> = answers.into_iter().collect();
        if version >= Version::V26 {
            for pool in answers.get_mut("pool.query").and_then(Value::as_array_mut).into_iter().flatten() {
                pool["all_sed"] = Value::Null;
            }
        }
        Self {
            version,
            trouble: Trouble::None,
            answers,
            user: "hardstand",
            key: format!("5-{}", "k".repeat(64)),
            key_expired: false,
            root: 0,
            heard: Vec::new(),
            refused: Vec::new(),
            most_under_way: 0,
        }
    }

    /// What it answers to a method, to be changed.
    pub(crate) fn of(&mut self, method: &str) -> &mut Value {
        self.answers.get_mut(method).expect("the story names a method that is answered")
    }
}

fn date(ms: u64) -> Value {
    json!({"$date": ms})
}

const NOW_MS: u64 = 1_795_395_600_000;

fn info() -> Value {
    json!({
        "version": "25.10.1", "buildtime": date(NOW_MS), "hostname": "nas", "physmem": 8_589_934_592_u64, "model": "simulated",
        "cores": 4, "physical_cores": 4, "loadavg": [0.1, 0.1, 0.1], "uptime": "1 day", "uptime_seconds": 86_400.0,
        "system_serial": null, "system_product": null, "system_product_version": null, "license": null,
        "boottime": date(NOW_MS), "datetime": date(NOW_MS), "timezone": "UTC", "system_manufacturer": null, "ecc_memory": true,
    })
}

pub(crate) fn scan(function: &str, state: &str) -> Value {
    json!({
        "function": function, "state": state, "start_time": date(NOW_MS), "end_time": null, "percentage": 40.5,
        "bytes_to_process": 100, "bytes_processed": 40, "bytes_issued": 40, "pause": null, "errors": 0, "total_secs_left": 60,
    })
}

fn pool(id: u64, name: &str) -> Value {
    json!({
        "id": id, "name": name, "guid": "1", "path": format!("/mnt/{name}"), "status": "ONLINE", "scan": null, "expand": null,
        "is_upgraded": true, "healthy": true, "warning": false, "status_code": "OK", "status_detail": null,
        "size": 1000, "allocated": 100, "free": 900, "freeing": 0, "dedup_table_size": 0, "dedup_table_quota": "auto",
        "fragmentation": "1", "size_str": "1000", "allocated_str": "100", "free_str": "900", "freeing_str": "0",
        "autotrim": {"value": "off"}, "topology": null,
    })
}

pub(crate) fn alert(klass: &str, level: &str) -> Value {
    json!({
        "uuid": "7b0c", "source": "", "klass": klass, "args": null, "node": "Controller A", "key": "null",
        "datetime": date(NOW_MS), "last_occurrence": date(NOW_MS), "dismissed": false, "mail": null,
        "text": "%(pool)s is <b>ill</b>", "id": "7b0c", "level": level, "formatted": "tank is <b>ill</b>", "one_shot": false,
    })
}

pub(crate) fn session(initiator: &str) -> Value {
    json!({
        "initiator": initiator, "initiator_addr": "192.0.2.11", "initiator_alias": null,
        "target": "iqn.2005-10.org.freenas.ctl:vm", "target_alias": "vm", "header_digest": null, "data_digest": null,
        "max_data_segment_length": null, "max_receive_data_segment_length": null, "max_xmit_data_segment_length": null,
        "max_burst_length": null, "first_burst_length": null, "immediate_data": true, "iser": false, "offload": false,
    })
}

fn replication() -> Value {
    json!({
        "id": 1, "name": "to-backup", "direction": "PUSH", "transport": "LOCAL", "source_datasets": ["tank/vm"],
        "target_dataset": "backup/vm", "recursive": true, "periodic_snapshot_tasks": [], "auto": true, "enabled": true,
        "retention_policy": "SOURCE", "job": null, "has_encrypted_dataset_keys": false,
        "state": {"state": "FINISHED", "datetime": date(NOW_MS - 3_600_000), "last_snapshot": "tank/vm@auto"},
    })
}

fn snapshot_task() -> Value {
    json!({
        "id": 1, "dataset": "tank/vm", "recursive": true, "lifetime_value": 2, "lifetime_unit": "WEEK", "enabled": true,
        "naming_schema": "auto-%Y-%m-%d_%H-%M", "state": {"state": "FINISHED", "datetime": date(NOW_MS)},
    })
}

pub(crate) fn job(id: u64, method: &str) -> Value {
    json!({
        "id": id, "message_ids": [], "method": method, "arguments": [1], "transient": false, "description": null,
        "abortable": true, "logs_path": null, "logs_excerpt": null,
        "progress": {"percent": 40, "description": "sending", "extra": null}, "result": null, "result_encoding_error": null,
        "error": null, "exception": null, "exc_info": null, "state": "RUNNING", "time_started": date(NOW_MS),
        "time_finished": null, "credentials": null,
    })
}

pub(crate) fn environment(name: &str, active: bool, activated: bool) -> Value {
    json!({
        "id": name, "dataset": format!("boot-pool/ROOT/{name}"), "active": active, "activated": activated,
        "created": date(NOW_MS), "used_bytes": 1, "used": "1", "keep": false, "can_activate": true,
    })
}

/// `new` is the new version where there is a status.
pub(crate) fn update(code: &str, new: Option<Value>, error: Value) -> Value {
    let current = json!({"train": "TrueNAS-SCALE-Goldeye", "profile": "GENERAL", "matches_profile": true});
    let status = new.map(|new| json!({"current_version": current, "new_version": new}));
    json!({"code": code, "status": status, "error": error, "update_download_progress": null})
}
