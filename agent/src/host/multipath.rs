//! Multipath: the parser of the JSON that multipathd prints (`show maps json`, `show map NAME json`).
//!
//! It must never take a map whose state or whose paths are not in the document for one that has none.

use hardstand_core::observed::{MultipathMap, MultipathPath, PathGroup};
use serde::Deserialize;

use super::{HostError, excerpt};

pub(crate) mod list;
pub(crate) mod socket;

/// What `multipathd -k` prints before and behind every answer.
const PROMPT: &str = "multipathd>";

#[derive(Deserialize)]
struct WireRoot {
    maps: Option<Vec<WireMap>>,
    map: Option<WireMap>,
}

#[derive(Deserialize)]
struct WireMap {
    name: Option<String>,
    uuid: Option<String>,
    sysfs: Option<String>,
    queueing: Option<String>,
    paths: Option<u64>,
    write_prot: Option<String>,
    dm_st: Option<String>,
    path_faults: Option<u64>,
    path_groups: Option<Vec<WireGroup>>,
}

#[derive(Deserialize)]
struct WireGroup {
    selector: Option<String>,
    pri: Option<i64>,
    dm_st: Option<String>,
    paths: Option<Vec<WirePath>>,
}

#[derive(Deserialize)]
struct WirePath {
    dev: Option<String>,
    dev_t: Option<String>,
    dm_st: Option<String>,
    dev_st: Option<String>,
    chk_st: Option<String>,
    marginal_st: Option<String>,
}

/// Parses the JSON of `multipathd show maps json` and of `multipathd show map NAME json`.
///
/// # Errors
/// The text is not that JSON (multipathd's own words are in the error where it said why), or a map has no name.
pub(crate) fn parse(text: &str) -> Result<Vec<MultipathMap>, HostError> {
    let bad = |why: String| HostError::Parse { what: "multipathd show maps json".to_owned(), why };
    let text = without_prompts(text);
    if !text.starts_with('{') {
        let line = excerpt(text.lines().next().unwrap_or_default());
        return Err(bad(match line.is_empty() {
            true => "it is empty".to_owned(),
            false => format!("no JSON in it; it says: {line}"),
        }));
    }
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<WireRoot>();
    let root = documents.next().transpose().map_err(|error| bad(error.to_string()))?;
    let behind = without_prompts(&text[documents.byte_offset()..]);
    if !behind.is_empty() {
        return Err(bad(format!("behind the JSON it says: {}", excerpt(behind.lines().next().unwrap_or_default()))));
    }
    let maps = match root {
        Some(WireRoot { maps: Some(maps), map: None }) => maps,
        Some(WireRoot { maps: None, map: Some(map) }) => vec![map],
        _ => return Err(bad("neither `maps` nor `map` in it".to_owned())),
    };
    maps.into_iter().map(|map| map.into_core().ok_or_else(|| bad("a map without a name".to_owned()))).collect()
}

impl WireMap {
    fn into_core(self) -> Option<MultipathMap> {
        let tells_paths =
            self.path_groups.as_ref().is_some_and(|groups| groups.iter().all(|group| group.paths.is_some()));
        let map = MultipathMap {
            name: self.name?,
            uuid: self.uuid,
            sysfs: self.sysfs,
            whole: tells_paths && self.dm_st.is_some(),
            dm_state: self.dm_st,
            write_protection: self.write_prot,
            queueing: self.queueing,
            size: None,
            counted_paths: self.paths,
            path_faults: self.path_faults,
            groups: self.path_groups.unwrap_or_default().into_iter().map(WireGroup::into_core).collect(),
            ..MultipathMap::default()
        };
        Some(map.counted())
    }
}

impl WireGroup {
    fn into_core(self) -> PathGroup {
        PathGroup {
            policy: self.selector,
            priority: self.pri,
            state: self.dm_st,
            paths: self.paths.unwrap_or_default().into_iter().map(WirePath::into_core).collect(),
        }
    }
}

impl WirePath {
    fn into_core(self) -> MultipathPath {
        MultipathPath {
            device: self.dev.filter(|dev| names_a_device(dev)),
            address: None,
            numbers: self.dev_t,
            dm_state: self.dm_st,
            checker_state: self.chk_st,
            device_state: self.dev_st,
            marginal_state: self.marginal_st,
        }
    }
}

/// multipathd writes `-` for a device that is gone, and `[undef]` for what it does not know.
fn names_a_device(name: &str) -> bool {
    !matches!(name, "" | "-" | "[undef]")
}

fn without_prompts(mut text: &str) -> &str {
    loop {
        text = text.trim();
        let Some(rest) = text.strip_prefix(PROMPT).or_else(|| text.strip_suffix(PROMPT)) else { return text };
        text = rest;
    }
}

#[cfg(test)]
mod tests;
