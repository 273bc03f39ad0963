//! The list of a cluster's resources (`GET /cluster/resources`, `pvesh get /cluster/resources --output-format json`).
//!
//! It must never drop a row: one of a type that is not known is kept.

use hardstand_core::observed::{PveResource, PveResources};
use serde::Deserialize;

use super::super::{HostError, excerpt};
use super::{count, data, flag, word};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "a resource")]
struct WireResource {
    #[serde(default, rename = "type", deserialize_with = "word")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "word")]
    id: Option<String>,
    #[serde(default, deserialize_with = "word")]
    node: Option<String>,
    #[serde(default, deserialize_with = "word")]
    name: Option<String>,
    #[serde(default, deserialize_with = "word")]
    storage: Option<String>,
    #[serde(default, deserialize_with = "word")]
    pool: Option<String>,
    #[serde(default, deserialize_with = "word")]
    sdn: Option<String>,
    #[serde(default, deserialize_with = "word")]
    network: Option<String>,
    #[serde(default, deserialize_with = "word")]
    status: Option<String>,
    #[serde(default, deserialize_with = "word")]
    lock: Option<String>,
    #[serde(default, deserialize_with = "word")]
    hastate: Option<String>,
    #[serde(default, deserialize_with = "word")]
    tags: Option<String>,
    #[serde(default, deserialize_with = "word")]
    plugintype: Option<String>,
    #[serde(default, deserialize_with = "word")]
    network_type: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    template: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    shared: Option<bool>,
    #[serde(default, deserialize_with = "count")]
    disk: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    maxdisk: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    mem: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    maxmem: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    uptime: Option<u64>,
}

/// Parses the list, bare or as the API's `data`.
///
/// # Errors
/// The text is not that JSON, or it is the API's answer that it has none (its own words are in the error).
pub(crate) fn parse(text: &str) -> Result<PveResources, HostError> {
    let bad = |why: String| HostError::Parse { what: "GET /cluster/resources".to_owned(), why };
    let text = text.trim();
    let rows: Vec<WireResource> = match text.bytes().next() {
        None => return Err(bad("it is empty".to_owned())),
        Some(b'[') => serde_json::from_str(text).map_err(|error| bad(error.to_string()))?,
        Some(b'{') => data(text).map_err(bad)?,
        Some(_) => {
            let line = excerpt(text.lines().next().unwrap_or_default());
            return Err(bad(format!("no JSON in it; it says: {line}")));
        }
    };
    Ok(PveResources { resources: rows.into_iter().map(WireResource::into_core).collect() })
}

impl WireResource {
    fn into_core(self) -> PveResource {
        let is_pool = self.kind.as_deref() == Some("pool");
        PveResource {
            name: self.name.or(self.storage).or(self.sdn).or(self.network).or(self.pool.clone().filter(|_| is_pool)),
            pool: self.pool.filter(|_| !is_pool),
            subtype: self.plugintype.or(self.network_type),
            used_percent: percent(self.disk, self.maxdisk),
            kind: self.kind,
            id: self.id,
            node: self.node,
            status: self.status,
            lock: self.lock,
            tags: self.tags.filter(|tags| !tags.is_empty()),
            ha_state: self.hastate,
            template: self.template,
            shared: self.shared,
            used_bytes: self.disk,
            size_bytes: self.maxdisk,
            memory_used_bytes: self.mem,
            memory_bytes: self.maxmem,
            uptime_seconds: self.uptime,
        }
    }
}

fn percent(used: Option<u64>, size: Option<u64>) -> Option<u64> {
    let percent = (u128::from(used?) * 100).checked_div(u128::from(size?))?;
    Some(u64::try_from(percent).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
