//! The lines of `ha-manager status`, and the JSON behind them with `--verbose`.
//!
//! It must never pass over a line: the one that cannot be read may be the one that names a dead node.

use hardstand_core::observed::{PveHa, PveHaEntry};

use super::super::super::excerpt;
use super::{json, read_status};

const KINDS: [&str; 5] = ["quorum", "master", "lrm", "service", "fencing"];

/// What `--verbose` has between the lines and the JSON.
const VERBOSE: &str = "full cluster state:";

/// Lines that are not known are kept as rows of no type.
pub(super) fn parse(text: &str) -> Result<PveHa, String> {
    let (text, verbose) = match text.split_once(VERBOSE) {
        Some((lines, json)) => (lines, Some(json)),
        None => (text, None),
    };
    let mut ha = PveHa { tells_end: verbose.is_some(), entries: Vec::new() };
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        ha.entries.push(row(line));
    }
    if ha.entries.iter().all(|entry| entry.kind.is_none()) {
        let line = excerpt(text.lines().next().unwrap_or_default());
        return Err(format!("no line of `ha-manager status` and no JSON in it; it says: {line}"));
    }
    if let Some(verbose) = verbose {
        // The lines say the rest already.
        let is_node = |entry: &PveHaEntry| entry.kind.as_deref() == Some("node");
        ha.entries.extend(json(verbose.trim())?.into_iter().filter(is_node));
    }
    Ok(ha)
}

fn row(line: &str) -> PveHaEntry {
    let known = line.split_once(' ').filter(|(kind, _)| KINDS.contains(kind));
    let Some((kind, status)) = known else {
        return PveHaEntry { unread: vec![excerpt(line)], ..PveHaEntry::default() };
    };
    let mut entry = PveHaEntry { kind: Some(kind.to_owned()), ..PveHaEntry::default() };
    read_status(&mut entry, status);
    entry
}
