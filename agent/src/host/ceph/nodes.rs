//! The parser of `ceph node ls -f json`: which daemon runs on which host, as the daemons themselves have reported it.
//!
//! It must never leave a daemon out because it cannot read its name.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{HostError, bad, document};

const WHAT: &str = "ceph node ls -f json";

/// Daemons by kind (`osd`, `mon`, `mgr`, `mds`) and host.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Nodes(BTreeMap<String, BTreeMap<String, Vec<Value>>>);

/// Parses the output of `ceph node ls -f json`.
///
/// # Errors
/// The text is not that JSON, or names no monitor, who must be there to answer.
pub(crate) fn parse(text: &str) -> Result<Nodes, HostError> {
    let nodes: Nodes = document(WHAT, text)?;
    let is_name = |id: &Value| id.is_u64() || id.as_str().is_some_and(|name| !name.is_empty());
    if !nodes.0.values().flat_map(BTreeMap::values).flatten().all(is_name) {
        return Err(bad(WHAT, "a daemon has no name".to_owned()));
    }
    if nodes.0.get("mon").is_none_or(BTreeMap::is_empty) {
        return Err(bad(WHAT, "no `mon` in it; is this the output of that command?".to_owned()));
    }
    Ok(nodes)
}

impl Nodes {
    /// The daemons on a host (`osd.3`, `mon.a`). Hosts of one short name are one: a daemon that may be here counts as here.
    pub(crate) fn on(&self, host: &str) -> Vec<String> {
        let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let mut daemons = Vec::new();
        for (kind, hosts) in &self.0 {
            for ids in hosts.iter().filter(|(name, _)| short(name) == short(host)).map(|(_, ids)| ids) {
                daemons.extend(ids.iter().map(|id| format!("{kind}.{}", named(id))));
            }
        }
        daemons
    }

    /// All monitors, each with its host.
    pub(crate) fn monitors(&self) -> Vec<(String, String)> {
        let hosts = self.0.get("mon").into_iter().flatten();
        hosts.flat_map(|(host, ids)| ids.iter().map(move |id| (named(id), host.clone()))).collect()
    }
}

fn named(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::feed_damaged;

    const GOOD: &str = r#"{"mon":{"node1":["a"],"node2.lab":["b"]},"osd":{"node1":[0,12],"node2":[3]},"mgr":{"node1":["x"]}}
"#;

    #[test]
    fn daemons_are_found_by_the_host_they_report() {
        let nodes = parse(GOOD).unwrap();
        assert_eq!(nodes.on("node1"), ["mgr.x", "mon.a", "osd.0", "osd.12"]);
        assert_eq!(nodes.on("NODE2.example"), ["mon.b", "osd.3"], "one short name is one host");
        let mon = |name: &str, host: &str| (name.to_owned(), host.to_owned());
        assert_eq!(nodes.monitors(), [mon("a", "node1"), mon("b", "node2.lab")]);
        assert_eq!(nodes.on("node3"), [] as [&str; 0]);
        assert_eq!(nodes.on("node"), [] as [&str; 0]);
    }

    #[test]
    fn what_does_not_name_them_is_refused() {
        for (text, why) in [
            ("{}", "no `mon` in it"),
            (r#"{"mon":{},"osd":{"node1":[0]}}"#, "no `mon` in it"),
            (r#"{"mon":{"node1":["a"]},"osd":{"node1":[null]}}"#, "a daemon has no name"),
            (r#"{"mon":{"node1":["a"]},"osd":{"node1":[-1]}}"#, "a daemon has no name"),
            (r#"{"mon":{"node1":[""]}}"#, "a daemon has no name"),
            (r#"{"mon":["node1"]}"#, "invalid type"),
            ("Error EACCES: access denied", "no JSON in it"),
        ] {
            let said = parse(text).unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
        feed_damaged(GOOD, |text| drop(parse(text)));
    }
}
