//! The parser of `ceph osd tree -f json`.
//!
//! It must never drop a row: one that cannot be read is an error.

use std::collections::BTreeMap;

use hardstand_core::observed::{CephBucket, CephOsd, CephOsdTree};
use serde::Deserialize;

use super::{HostError, bad, document};

const WHAT: &str = "ceph osd tree -f json";

/// Rows at most, and as many children: the largest clusters have some ten thousand OSDs, and each host is gone through.
const MOST_ROWS: usize = 32_768;

#[derive(Deserialize)]
struct WireTree {
    nodes: Option<Vec<WireNode>>,
    stray: Option<Vec<WireNode>>,
}

#[derive(Deserialize)]
struct WireNode {
    id: Option<i64>,
    name: Option<String>,
    r#type: Option<String>,
    children: Option<Vec<i64>>,
    device_class: Option<String>,
    status: Option<String>,
    exists: Option<u64>,
    crush_weight: Option<f64>,
    reweight: Option<f64>,
}

/// Parses the output of `ceph osd tree -f json`.
///
/// # Errors
/// The text is not that JSON, or a row of it does not say what it is.
pub(crate) fn parse(text: &str) -> Result<CephOsdTree, HostError> {
    let tree: WireTree = document(WHAT, text)?;
    tree.into_core().map_err(|why| bad(WHAT, why))
}

impl WireTree {
    fn into_core(self) -> Result<CephOsdTree, String> {
        let nodes = self.nodes.ok_or("no `nodes` in it; is this the output of that command?")?;
        let children: usize = nodes.iter().map(|node| node.children.as_ref().map_or(0, Vec::len)).sum();
        if nodes.len().max(children).max(self.stray.as_ref().map_or(0, Vec::len)) > MOST_ROWS {
            return Err(format!("more than {MOST_ROWS} rows"));
        }
        let (mut buckets, mut osds, mut first) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (index, node) in nodes.into_iter().enumerate() {
            let why = |why: &str| format!("row {} of `nodes` {why}", index + 1);
            match node.into_core().map_err(why)? {
                Row::Osd(osd) => add(&mut osds, &mut first, osd.id, osd),
                Row::Bucket(bucket) => add(&mut buckets, &mut first, bucket.id, bucket),
            }
        }
        let stray = |(index, node): (usize, WireNode)| match node.into_core() {
            Ok(Row::Osd(osd)) => Ok(osd),
            Ok(Row::Bucket(_)) => Err(format!("row {} of `stray` is no OSD", index + 1)),
            Err(why) => Err(format!("row {} of `stray` {why}", index + 1)),
        };
        let stray = self.stray.map(|rows| rows.into_iter().enumerate().map(stray).collect::<Result<_, _>>());
        Ok(CephOsdTree { buckets, osds, stray: stray.transpose()? })
    }
}

/// Adds a row, but for one that is told again word for word: what is in two places is listed in both. `first` has the
/// place of the first row of each number.
fn add<T: PartialEq>(rows: &mut Vec<T>, first: &mut BTreeMap<i64, usize>, id: i64, row: T) {
    let first = *first.entry(id).or_insert(rows.len());
    if rows.get(first) != Some(&row) {
        rows.push(row);
    }
}

enum Row {
    Osd(CephOsd),
    Bucket(CephBucket),
}

impl WireNode {
    fn into_core(self) -> Result<Row, &'static str> {
        let id = self.id.ok_or("has no `id`")?;
        let kind = self.r#type.ok_or("has no `type`")?;
        let name = self.name.ok_or("has no `name`")?;
        match (kind == "osd", id >= 0) {
            (true, true) => Ok(Row::Osd(CephOsd {
                id,
                name,
                device_class: self.device_class,
                status: self.status,
                exists: self.exists.map(|exists| exists != 0),
                crush_weight: self.crush_weight,
                reweight: self.reweight,
            })),
            (false, false) => Ok(Row::Bucket(CephBucket { id, name, kind, children: self.children })),
            _ => Err("is of a type that does not go with its `id`"),
        }
    }
}

#[cfg(test)]
mod tests;
