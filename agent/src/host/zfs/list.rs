//! The parser of `zpool list`: as JSON (`-j`), as the table for people, and as the one for scripts (`-H`).
//!
//! It must never guess a column: without a heading, only the columns that `-H` has by itself are read. A list that is cut
//! between two pools cannot be told from a shorter one.

use hardstand_core::observed::PoolSpace;
use serde::Deserialize;
use serde_json::Value;

use super::status_text::NO_POOLS;
use super::{InOrder, command_of, human, number};
use crate::host::{HostError, excerpt};

/// What `zpool list -H` prints, in its order; versions before 0.8 leave out the checkpoint.
const COLUMNS: [&str; 11] =
    ["NAME", "SIZE", "ALLOC", "FREE", "CKPOINT", "EXPANDSZ", "FRAG", "CAP", "DEDUP", "HEALTH", "ALTROOT"];
const COLUMNS_BEFORE_0_8: [&str; 10] =
    ["NAME", "SIZE", "ALLOC", "FREE", "EXPANDSZ", "FRAG", "CAP", "DEDUP", "HEALTH", "ALTROOT"];

#[derive(Deserialize)]
struct WireRoot {
    output_version: Option<Value>,
    pools: Option<InOrder<WirePool>>,
}

#[derive(Deserialize)]
struct WirePool {
    name: Option<String>,
    state: Option<String>,
    properties: Option<WireProperties>,
}

#[derive(Deserialize)]
struct WireProperties {
    size: Option<WireProperty>,
    allocated: Option<WireProperty>,
    free: Option<WireProperty>,
    fragmentation: Option<WireProperty>,
    capacity: Option<WireProperty>,
    health: Option<WireProperty>,
}

#[derive(Deserialize)]
struct WireProperty {
    value: Option<Value>,
}

/// Parses any of the three. No pool is an empty list; rows of devices (`-v`) are passed over.
///
/// # Errors
/// The text is none of them, or a row has no such columns.
pub(crate) fn parse(text: &str) -> Result<Vec<PoolSpace>, HostError> {
    let bad = |why: String| HostError::Parse { what: "zpool list".to_owned(), why };
    let text = text.trim_end();
    if text.is_empty() {
        return Err(bad("it is empty".to_owned()));
    }
    if text.trim() == NO_POOLS {
        return Ok(Vec::new());
    }
    if text.starts_with('{') {
        return parse_json(text).map_err(bad);
    }
    let mut lines = text.lines().peekable();
    let heading: Option<Vec<&str>> =
        lines.next_if(|line| line.starts_with("NAME ")).map(|line| columns(line).collect());
    let mut pools = Vec::new();
    for line in lines.filter(|line| !line.starts_with([' ', '\t']) && !line.is_empty()) {
        let row: Vec<&str> = match heading {
            Some(_) => columns(line).collect(),
            None => line.split('\t').collect(),
        };
        let heading = match (&heading, row.len()) {
            (Some(heading), _) => heading.as_slice(),
            (None, 10) => &COLUMNS_BEFORE_0_8,
            (None, 11..) => &COLUMNS,
            (None, _) => return Err(bad(format!("no row of zpool list: {}", excerpt(line)))),
        };
        pools.push(of_row(heading, &row));
    }
    Ok(pools)
}

fn columns(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace()
}

fn of_row(heading: &[&str], row: &[&str]) -> PoolSpace {
    let cell = |name: &str| heading.iter().position(|column| *column == name).and_then(|at| row.get(at).copied());
    PoolSpace {
        name: row.first().copied().unwrap_or_default().to_owned(),
        health: cell("HEALTH").map(str::to_owned),
        size_bytes: cell("SIZE").and_then(human),
        allocated_bytes: cell("ALLOC").and_then(human),
        free_bytes: cell("FREE").and_then(human),
        fragmentation_percent: cell("FRAG").and_then(percent),
        capacity_percent: cell("CAP").and_then(percent),
    }
}

fn percent(cell: &str) -> Option<u64> {
    human(cell.trim_end_matches('%'))
}

fn parse_json(text: &str) -> Result<Vec<PoolSpace>, String> {
    let root: WireRoot = serde_json::from_str(text).map_err(|error| error.to_string())?;
    command_of(root.output_version.as_ref(), "zpool list")?;
    root.pools.ok_or("no `pools` in it")?.0.into_iter().map(WirePool::into_core).collect()
}

impl WirePool {
    fn into_core(self) -> Result<PoolSpace, String> {
        let name = self.name.ok_or("a pool without a name")?;
        let Some(told) = self.properties else {
            return Ok(PoolSpace { name, health: self.state, ..PoolSpace::default() });
        };
        let value = |property: Option<WireProperty>| property.and_then(|property| property.value);
        let share = |property| match value(property) {
            Some(Value::String(text)) => percent(&text),
            other => number(other.as_ref()),
        };
        let health = value(told.health).and_then(|health| health.as_str().map(str::to_owned));
        Ok(PoolSpace {
            name,
            health: health.or(self.state),
            size_bytes: number(value(told.size).as_ref()),
            allocated_bytes: number(value(told.allocated).as_ref()),
            free_bytes: number(value(told.free).as_ref()),
            fragmentation_percent: share(told.fragmentation),
            capacity_percent: share(told.capacity),
        })
    }
}
