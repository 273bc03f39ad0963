//! How OSDs stand by the tree that Ceph lists them in, alone and by host and root.
//!
//! It must never take a list that was cut down to some OSDs for one of all.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Fault, Report, Standing, Subject};
use crate::observed::{CephBucket, CephOsd, CephOsdTree};

/// An OSD that is down is `degraded`: the copies that it holds are elsewhere too, and the tree cannot say which data would
/// have no copy left. A root of which no OSD serves is `failed`, for whatever is placed in it; so is a cluster.
impl Report for CephOsdTree {
    fn subjects(&self) -> Vec<Subject> {
        let tree = Tree::new(self);
        let mut subjects = vec![Subject::judged("osds", "all", &tree.faults())];
        subjects.extend(self.buckets.iter().filter_map(|bucket| tree.group(bucket)));
        let mut named = BTreeSet::new();
        let mut name = |osd: &CephOsd| {
            // One OSD may be in two places; two rows of it that differ are one too many.
            let again = if named.insert(osd.id) { "" } else { " again" };
            format!("{}{again}", osd.name)
        };
        subjects.extend(self.osds.iter().map(|osd| Subject::judged("osd", name(osd), &of_osd(osd))));
        subjects.extend(self.stray.iter().flatten().map(|osd| Subject::judged("stray", name(osd), &of_stray(osd))));
        subjects
    }
}

/// The tree, with what is looked up in it.
struct Tree<'a> {
    report: &'a CephOsdTree,
    buckets: BTreeMap<i64, &'a CephBucket>,
    /// How each OSD stands; the worst of its rows.
    osds: BTreeMap<i64, Standing>,
    /// Whatever is in some bucket.
    placed: BTreeSet<i64>,
    /// How it stands when no OSD that is listed serves: whoever is not listed may.
    when_none_serves: Standing,
}

impl<'a> Tree<'a> {
    fn new(report: &'a CephOsdTree) -> Self {
        let mut osds: BTreeMap<i64, Standing> = BTreeMap::new();
        for osd in &report.osds {
            let state = of_osd(osd).into_iter().map(|(state, _)| state).max().unwrap_or(Standing::Ok);
            let known = osds.entry(osd.id).or_insert(state);
            *known = state.max(*known);
        }
        let children = report.buckets.iter().flat_map(|bucket| bucket.children.iter().flatten());
        let mut tree = Self {
            report,
            buckets: report.buckets.iter().map(|bucket| (bucket.id, bucket)).collect(),
            osds,
            placed: children.copied().collect(),
            when_none_serves: Standing::Failed,
        };
        if !tree.gaps().is_empty() {
            tree.when_none_serves = Standing::Unknown;
        }
        tree
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = self.gaps();
        faults.extend(of_group(&self.osds.values().copied().collect::<Vec<_>>(), self.when_none_serves));
        if self.osds.is_empty() {
            faults.push((Standing::Unknown, "no OSD is in it, and it cannot say whether one should be".to_owned()));
        }
        faults
    }

    /// What tells that not all of the tree is listed.
    fn gaps(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut unknown = |why: String| faults.push((Standing::Unknown, why));
        if self.report.stray.is_none() {
            unknown("OSDs in no place of the tree are not told; is that the output of ceph osd tree?".to_owned());
        }
        for bucket in self.report.buckets.iter().filter(|bucket| bucket.children.is_none()) {
            unknown(format!("what is in {} {} is not told", bucket.kind, bucket.name));
        }
        let is_listed = |id: &&i64| self.osds.contains_key(id) || self.buckets.contains_key(id);
        if let Some(id) = self.placed.iter().find(|id| !is_listed(id)) {
            let number = self.placed.iter().filter(|id| !is_listed(id)).count();
            unknown(format!(
                "{number} entries of the tree are not listed, the first is {id}; was it asked for some alone?"
            ));
        }
        if let Some((id, _)) = self.osds.iter().find(|(id, _)| !self.placed.contains(id)) {
            unknown(format!("osd.{id} is in no bucket that is listed"));
        }
        let is_below = |bucket: &CephBucket| self.placed.contains(&bucket.id);
        if !self.report.buckets.is_empty() && self.report.buckets.iter().all(is_below) {
            unknown("no bucket is on top".to_owned());
        }
        faults
    }

    /// Hosts, and whatever is in nothing else; none of it when no OSD is in it.
    fn group(&self, bucket: &CephBucket) -> Option<Subject> {
        let (kind, when_none_serves) = match bucket.kind.as_str() {
            "host" => ("host", Standing::Degraded),
            _ if !self.placed.contains(&bucket.id) => ("root", self.when_none_serves),
            _ => return None,
        };
        let osds = self.below(bucket);
        (!osds.is_empty()).then(|| Subject::judged(kind, &bucket.name, of_group(&osds, when_none_serves).as_slice()))
    }

    /// How the OSDs below a bucket stand, each once, however they are placed.
    fn below(&self, bucket: &CephBucket) -> Vec<Standing> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<i64> = vec![bucket.id];
        let mut osds = Vec::new();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            osds.extend(self.osds.get(&id));
            open.extend(self.buckets.get(&id).into_iter().flat_map(|bucket| bucket.children.iter().flatten()));
        }
        osds
    }
}

fn of_group(osds: &[Standing], when_none_serves: Standing) -> Option<Fault> {
    let serving = osds.iter().filter(|state| **state == Standing::Ok).count();
    let total = osds.len();
    if serving == total {
        return None;
    }
    let state = match osds.iter().copied().max() {
        Some(Standing::Degraded) if serving == 0 => when_none_serves,
        worst => worst.unwrap_or(Standing::Unknown),
    };
    Some((state, format!("{serving} of {total} OSDs are up and in")))
}

fn of_osd(osd: &CephOsd) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |state, why: &str| faults.push((state, why.to_owned()));
    if osd.exists == Some(false) {
        fault(Standing::Degraded, "the cluster knows no OSD of this number");
    }
    match osd.status.as_deref() {
        Some("up") => {}
        Some(said @ ("down" | "destroyed")) => {
            fault(Standing::Degraded, said);
            return faults;
        }
        Some(other) => fault(Standing::Unknown, &format!("status {other} is not known")),
        None => fault(Standing::Unknown, "its status is not told"),
    }
    match osd.reweight {
        Some(weight) if weight > 0.0 => {}
        Some(_) => fault(Standing::Degraded, "out (reweight 0)"),
        None => fault(Standing::Unknown, "whether it is in is not told"),
    }
    match osd.crush_weight {
        Some(weight) if weight > 0.0 => {}
        Some(_) => fault(Standing::Degraded, "its weight is 0, it holds no data"),
        None => fault(Standing::Unknown, "its weight is not told"),
    }
    faults
}

/// It holds no data, or data that nobody looks for there.
fn of_stray(osd: &CephOsd) -> Vec<Fault> {
    let state = match osd.status.as_deref() {
        Some("up" | "down" | "destroyed") => Standing::Degraded,
        _ => Standing::Unknown,
    };
    let said = osd.status.as_deref().unwrap_or("its status is not told");
    vec![(state, format!("in no place of the CRUSH map, {said}"))]
}

#[cfg(test)]
mod tests;
