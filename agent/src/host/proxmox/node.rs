//! What is asked of one node: its tasks, storages, replication jobs and guests, and what the logs of backups tell.
//!
//! It must never take a row for harmless because a word in it is not known: rows are kept as they are told.

use hardstand_core::observed::{PveGuestConfig, PveReplication, PveStorage, PveTask, PveUncovered};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::HostError;
use super::{Pairs, count, data, flag, word};

#[derive(Deserialize)]
#[serde(expecting = "a task")]
struct WireTask {
    #[serde(default, deserialize_with = "word")]
    upid: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "word")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "word")]
    id: Option<String>,
    #[serde(default, deserialize_with = "word")]
    user: Option<String>,
    #[serde(default, deserialize_with = "count")]
    starttime: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    endtime: Option<u64>,
    #[serde(default, deserialize_with = "word")]
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(expecting = "a storage")]
struct WireStorage {
    storage: String,
    #[serde(default, rename = "type", deserialize_with = "word")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    active: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    shared: Option<bool>,
}

#[derive(Deserialize)]
#[serde(expecting = "a replication job")]
struct WireReplication {
    id: String,
    #[serde(default, deserialize_with = "count")]
    guest: Option<u64>,
    #[serde(default, deserialize_with = "word")]
    target: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    disable: Option<bool>,
    #[serde(default, deserialize_with = "count")]
    last_sync: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    fail_count: Option<u64>,
    #[serde(default, deserialize_with = "word")]
    error: Option<String>,
    /// There while it runs.
    #[serde(default, deserialize_with = "count")]
    pid: Option<u64>,
}

#[derive(Deserialize)]
#[serde(expecting = "a guest")]
struct WireUncovered {
    #[serde(default, deserialize_with = "count")]
    vmid: Option<u64>,
    #[serde(default, rename = "type", deserialize_with = "word")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "word")]
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(expecting = "a line of a log")]
struct WireLine {
    #[serde(default, deserialize_with = "word")]
    t: Option<String>,
}

/// What stands beside the lines.
#[derive(Deserialize)]
struct WireTotal {
    #[serde(default, deserialize_with = "count")]
    total: Option<u64>,
}

fn answer<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, HostError> {
    data(text).map_err(|why| HostError::Parse { what: format!("GET {what}"), why })
}

/// `GET /nodes/{node}/tasks`
///
/// # Errors
/// The text is not that JSON, or it is the API's answer that it has none.
pub(crate) fn parse_tasks(text: &str) -> Result<Vec<PveTask>, HostError> {
    let rows: Vec<WireTask> = answer("/nodes/{node}/tasks", text)?;
    let task = |row: WireTask| PveTask {
        upid: row.upid.unwrap_or_default(),
        kind: row.kind.unwrap_or_else(|| "a task of a sort that is not told".to_owned()),
        id: row.id.unwrap_or_default(),
        user: row.user.unwrap_or_else(|| "somebody".to_owned()),
        start_unix_seconds: row.starttime,
        end_unix_seconds: row.endtime,
        status: row.status,
    };
    Ok(rows.into_iter().map(task).collect())
}

/// `GET /nodes/{node}/storage`
///
/// # Errors
/// The text is not that JSON, a storage has no name, or it is the API's answer that it has none.
pub(crate) fn parse_storages(text: &str) -> Result<Vec<PveStorage>, HostError> {
    let rows: Vec<WireStorage> = answer("/nodes/{node}/storage", text)?;
    let storage = |row: WireStorage| PveStorage {
        name: row.storage,
        kind: row.kind,
        active: row.active,
        enabled: row.enabled,
        shared: row.shared,
    };
    Ok(rows.into_iter().map(storage).collect())
}

/// `GET /nodes/{node}/replication`
///
/// # Errors
/// The text is not that JSON, a job has no id, or it is the API's answer that it has none.
pub(crate) fn parse_replication(text: &str) -> Result<Vec<PveReplication>, HostError> {
    let rows: Vec<WireReplication> = answer("/nodes/{node}/replication", text)?;
    let job = |row: WireReplication| PveReplication {
        id: row.id,
        guest: row.guest,
        target: row.target,
        disabled: row.disable == Some(true),
        last_sync_unix_seconds: row.last_sync,
        fail_count: row.fail_count,
        error: row.error.filter(|error| !error.trim().is_empty()),
        running: row.pid.is_some(),
    };
    Ok(rows.into_iter().map(job).collect())
}

/// `GET /cluster/backup-info/not-backed-up`
///
/// # Errors
/// The text is not that JSON, a guest has no number, or it is the API's answer that it has none.
pub(crate) fn parse_uncovered(text: &str) -> Result<Vec<PveUncovered>, HostError> {
    let what = "/cluster/backup-info/not-backed-up";
    let rows: Vec<WireUncovered> = answer(what, text)?;
    let guest = |row: WireUncovered| {
        let vmid = row
            .vmid
            .ok_or_else(|| HostError::Parse { what: format!("GET {what}"), why: "a guest without vmid".to_owned() })?;
        Ok(PveUncovered { vmid, kind: row.kind, name: row.name })
    };
    rows.into_iter().map(guest).collect()
}

/// `GET /nodes/{node}/qemu/{vmid}/config`, or of `lxc`.
///
/// # Errors
/// The text is not that JSON, or it is the API's answer that it has none.
pub(crate) fn parse_config(text: &str) -> Result<PveGuestConfig, HostError> {
    let options: Pairs<Value> = answer("/nodes/{node}/{kind}/{vmid}/config", text)?;
    let mut config = PveGuestConfig::default();
    for (name, value) in options.0 {
        match (&value, value.as_str()) {
            (_, Some(value)) => take_option(&mut config, &name, value),
            // Lines for the container's own configuration file.
            (Value::Array(_), _) if name == "lxc" => config.host_parts.push(name),
            _ => {}
        }
    }
    config.storages.sort();
    config.storages.dedup();
    Ok(config)
}

fn take_option(config: &mut PveGuestConfig, name: &str, value: &str) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_numbered = stem.len() < name.len();
    let is_of_host = match stem {
        "hostpci" | "dev" | "virtiofs" | "parallel" => is_numbered,
        "usb" => is_numbered && !value.contains("spice"),
        "serial" => is_numbered && value.starts_with('/'),
        "ide" | "sata" | "scsi" | "virtio" | "efidisk" | "tpmstate" | "mp" if is_numbered => take_disk(config, value),
        "rootfs" => take_disk(config, value),
        _ => false,
    };
    if is_of_host {
        config.host_parts.push(name.to_owned());
    }
}

/// Takes in the storage that a disk is on; says whether it is a path of this host instead.
fn take_disk(config: &mut PveGuestConfig, value: &str) -> bool {
    let mut options = value.split(',');
    let first = options.next().unwrap_or_default();
    let options: Vec<&str> = options.collect();
    // What lies in a drive is not needed to go on, and a guest may do without it.
    if options.contains(&"media=cdrom") {
        return false;
    }
    let volume =
        first.split_once('=').filter(|(key, _)| matches!(*key, "file" | "volume")).map_or(first, |pair| pair.1);
    match volume.split_once(':') {
        _ if volume.starts_with('/') => !options.contains(&"shared=1"),
        Some((storage, _)) => {
            config.storages.push(storage.to_owned());
            false
        }
        // `none`: an empty drive.
        None => false,
    }
}

/// `GET /nodes/{node}/tasks/{upid}/log` of a backup: the guests whose backup is finished, by their numbers.
///
/// # Errors
/// The text is not that JSON, there are more lines than it has, or it is the API's answer that it has none.
pub(crate) fn parse_backup_log(text: &str) -> Result<Vec<u64>, HostError> {
    let what = "/nodes/{node}/tasks/{upid}/log";
    let lines: Vec<WireLine> = answer(what, text)?;
    let bad = |why: String| HostError::Parse { what: format!("GET {what}"), why };
    let told: WireTotal = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    if let Some(total) = told.total.filter(|total| *total > lines.len() as u64) {
        return Err(bad(format!("it has {total} lines, of which {} came", lines.len())));
    }
    let finished = |line: WireLine| {
        let line = line.t?;
        // `INFO: Finished Backup of VM 100 (00:01:12)`, of containers too.
        let rest = line.trim().strip_prefix("INFO: Finished Backup of VM ")?;
        rest.split(' ').next()?.parse().ok()
    };
    Ok(lines.into_iter().filter_map(finished).collect())
}

#[cfg(test)]
mod tests;
