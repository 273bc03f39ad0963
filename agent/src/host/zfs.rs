//! ZFS pools: by the files of its kernel module below `/proc/spl`, which answer also when a pool does not, and by what
//! `zpool` reports.
//!
//! It must never take a directory that it cannot list for a machine without pools.

mod list;
mod snapshots;
mod status_json;
mod status_text;

use std::io::ErrorKind;

use hardstand_core::observed::{ZfsPool, ZpoolReport};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

pub(crate) use list::parse as parse_list;
pub(crate) use snapshots::{arguments as snapshot_arguments, parse as parse_snapshots, root_dataset};
pub(crate) use status_json::parse as parse_status_json;
pub(crate) use status_text::parse as parse_status_text;

use super::{Host, HostError};
use crate::helper::{Client, ZpoolAnswer};

const KSTAT: &str = "proc/spl/kstat/zfs";
/// What `zpool` is asked for, where it knows JSON (OpenZFS 2.3).
pub(crate) const STATUS_JSON: [&str; 3] = ["status", "-j", "--json-int"];
/// The same, where it does not: exact numbers.
pub(crate) const STATUS_TEXT: [&str; 2] = ["status", "-p"];
/// How full the pools are: the columns it has by itself, exact numbers.
pub(crate) const LIST: [&str; 2] = ["list", "-Hp"];

/// The imported pools, by name; `None` where the module is not loaded.
///
/// # Errors
/// The directory is there and cannot be listed.
pub(crate) fn probe_pools(host: &Host) -> Result<Option<Vec<ZfsPool>>, HostError> {
    let path = host.path(KSTAT);
    let failed = |source| HostError::Read { path: path.clone(), source };
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut pools = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        // Beside a directory for each pool there are files about all of them.
        if !entry.file_type().map_err(failed)?.is_dir() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let state = host.attribute(format!("{KSTAT}/{name}/state"));
        pools.push(ZfsPool { name, state });
    }
    pools.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Some(pools))
}

/// What `zpool` reports of all pools; `None` where none is imported, and nobody is asked.
///
/// # Errors
/// The helper or `zpool` does not answer, or its answer cannot be read.
pub(crate) async fn probe_report(
    pools: &Option<Vec<ZfsPool>>,
    helper: &Client,
) -> Result<Option<ZpoolReport>, HostError> {
    if pools.as_ref().is_none_or(Vec::is_empty) {
        return Ok(None);
    }
    let ZpoolAnswer { status, is_json, list } = helper.zpool().await?;
    let pools = if is_json { parse_status_json(&status) } else { parse_status_text(&status) }?;
    Ok(Some(ZpoolReport { pools, space: parse_list(&list)? }))
}

/// Whether this is how a `zpool` before 2.3 answers to [`STATUS_JSON`].
pub(crate) fn knows_no_json(stderr: &str) -> bool {
    stderr.contains("invalid option 'j'")
}

/// The values of a JSON object in the order of the text; each tells its own name.
struct InOrder<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for InOrder<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Values<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
                let mut values = Vec::new();
                while let Some((serde::de::IgnoredAny, value)) = map.next_entry()? {
                    values.push(value);
                }
                Ok(values)
            }
        }
        deserializer.deserialize_map(Values(std::marker::PhantomData)).map(Self)
    }
}

/// Whether a JSON document is the output of this command.
fn command_of(output_version: Option<&Value>, command: &str) -> Result<(), String> {
    match output_version.and_then(|version| version.get("command")?.as_str()) {
        Some(said) if said == command => Ok(()),
        Some(said) => Err(format!("it is the output of {}, not of {command}", super::excerpt(said))),
        None => Err(format!("no `output_version.command`; is this the output of {command} -j?")),
    }
}

/// A number of a JSON document: itself, or as text, exact or for people.
fn number(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    value.as_u64().or_else(|| human(value.as_str()?))
}

/// A number as the tools write it for people: `0`, `10039783424`, `9.35G` (rounded, steps of 1024).
fn human(text: &str) -> Option<u64> {
    const STEPS: &str = "KMGTPE";
    if let Ok(exact) = text.parse() {
        return Some(exact);
    }
    let step = STEPS.find(text.chars().next_back()?)?;
    let digits = &text[..text.len() - 1];
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let value: f64 = digits.parse().ok()?;
    // Saturates: there is no pool of 16 EiB.
    Some((value * f64::from(1024_u32).powi(i32::try_from(step).ok()? + 1)).round() as u64)
}

#[cfg(test)]
mod tests;
