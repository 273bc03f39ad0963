//! How a Ceph cluster stands by its status: its health, and whether its own numbers bear that out.
//!
//! It must never take a number that is missing, or that does not add up, for a good one.

use std::collections::BTreeSet;

use super::super::{Fault, Report, Standing, Subject};
use super::pgs;
use crate::observed::{CephMds, CephMgr, CephMons, CephOsdCounts, CephPgs, CephStatus};

/// What Ceph appends to the state of a metadata server that does not answer in time.
const LAGGY: &str = "(laggy or crashed)";

impl Report for CephStatus {
    fn subjects(&self) -> Vec<Subject> {
        let mut subjects = self.health.subjects_of(self.fsid.as_deref().unwrap_or("ceph"));
        subjects.push(Subject::judged("mons", "quorum", of_quorum(&self.mons).as_slice()));
        subjects.extend(mons(&self.mons));
        subjects.push(Subject::judged("mgr", "active", of_mgr(self.mgr.as_ref()).as_slice()));
        subjects.push(Subject::judged("osds", "all", &of_osds(&self.osds)));
        subjects.push(Subject::judged("pgs", "all", &of_pgs(&self.pgs, self.osds.remapped_pgs)));
        subjects.extend(self.pgs.states.iter().flatten().map(|of| {
            let state = if of.count == 0 { Standing::Ok } else { pgs::of_state(&of.state) };
            match (state, self.pgs.total) {
                (Standing::Ok, _) => Subject::ok("pgs", &of.state),
                (_, Some(total)) => Subject::not_ok("pgs", &of.state, state, format!("{} of {total}", of.count)),
                (_, None) => Subject::not_ok("pgs", &of.state, state, of.count.to_string()),
            }
        }));
        if let Some(fault) = self.of_ranks() {
            subjects.push(Subject::judged("mds", "ranks", &[fault]));
        }
        subjects.extend(self.mds.iter().map(|mds| Subject::judged("mds", mds_name(mds), of_mds(mds).as_slice())));
        subjects
    }
}

impl CephStatus {
    fn of_ranks(&self) -> Option<Fault> {
        match (self.damaged_ranks, self.failed_ranks) {
            (0, 0) => None,
            (0, failed) => Some((Standing::Failed, format!("{failed} ranks of file systems are held by no server"))),
            (damaged, _) => Some((Standing::Failed, format!("{damaged} ranks of file systems are damaged"))),
        }
    }
}

fn of_quorum(mons: &CephMons) -> Option<Fault> {
    let unknown = |why: String| Some((Standing::Unknown, why));
    let (Some(total), Some(in_quorum)) = (mons.total, &mons.in_quorum) else {
        return unknown("the report does not tell which monitors there are, and which are in quorum".to_owned());
    };
    let there = in_quorum.len() as u64;
    if mons.ranks.as_ref().is_some_and(|ranks| ranks.len() as u64 != there) {
        return unknown("the ranks in quorum are not as many as the names".to_owned());
    }
    let mut told = BTreeSet::new();
    if let Some(twice) = in_quorum.iter().find(|name| !told.insert(*name)) {
        return unknown(format!("{twice} is in quorum twice"));
    }
    if let Some(names) = &mons.names {
        if names.len() as u64 != total {
            return unknown(format!("{} monitors are listed of {total}", names.len()));
        }
        if let Some(stranger) = in_quorum.iter().find(|name| !names.contains(name)) {
            return unknown(format!("{stranger} is in quorum and not in the list of monitors"));
        }
    }
    if total == 0 || there > total {
        return unknown(format!("{there} of {total} monitors are in quorum, which cannot be"));
    }
    let words = format!("{there} of {total} monitors are in quorum");
    match there {
        _ if there == total => None,
        // Each of two monitors is needed, each of three is not.
        _ if there <= total / 2 => Some((Standing::Failed, words)),
        _ => Some((Standing::Degraded, words)),
    }
}

/// Each monitor that has a name in the report.
fn mons(mons: &CephMons) -> Vec<Subject> {
    let in_quorum = mons.in_quorum.as_deref().unwrap_or_default();
    let all = mons.names.as_deref().unwrap_or(in_quorum);
    let subject = |name: &String| match (in_quorum.contains(name), &mons.in_quorum) {
        (true, _) => Subject::ok("mon", name),
        (false, Some(_)) => Subject::not_ok("mon", name, Standing::Degraded, "it is not in quorum"),
        (false, None) => Subject::not_ok("mon", name, Standing::Unknown, "the report does not tell the quorum"),
    };
    all.iter().map(subject).collect()
}

/// A manager that has a name is there, in reports that do not say so otherwise.
fn of_mgr(mgr: Option<&CephMgr>) -> Option<Fault> {
    let available = mgr.and_then(|mgr| mgr.available.or(mgr.active.as_ref().map(|_| true)));
    match available {
        Some(true) => None,
        Some(false) => Some((Standing::Degraded, "no manager is available; what it counts is as old".to_owned())),
        None => Some((Standing::Unknown, "the report does not tell whether a manager is available".to_owned())),
    }
}

fn of_osds(osds: &CephOsdCounts) -> Vec<Fault> {
    let unknown = |why: String| vec![(Standing::Unknown, why)];
    let (Some(total), Some(up), Some(placed)) = (osds.total, osds.up, osds.r#in) else {
        return unknown("the report does not tell how many there are, how many are up and how many are in".to_owned());
    };
    if total == 0 {
        return unknown("there is none, and the report cannot say whether one should be".to_owned());
    }
    let mut faults = Vec::new();
    for (count, what) in [(up, "up"), (placed, "in")] {
        let words = format!("{count} of {total} are {what}");
        match count {
            0 => faults.push((Standing::Failed, words)),
            _ if count < total => faults.push((Standing::Degraded, words)),
            _ if count > total => faults.push((Standing::Unknown, format!("{words}, which cannot be"))),
            _ => {}
        }
    }
    faults
}

fn of_pgs(pgs: &CephPgs, remapped: u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    match (pgs.total, &pgs.states) {
        (Some(0), _) => faults.push((Standing::Unknown, "none is counted; has the manager just begun?".to_owned())),
        (Some(total), Some(states)) => {
            let listed = states.iter().fold(0_u64, |sum, of| sum.saturating_add(of.count));
            if listed != total {
                faults.push((Standing::Unknown, format!("the states of {listed} are told, of {total}")));
            }
        }
        _ => faults.push((Standing::Unknown, "the report does not tell how many are in which state".to_owned())),
    }
    for (count, state, what) in [
        (pgs.unfound_objects, Standing::Failed, "objects cannot be found"),
        (pgs.degraded_objects, Standing::Degraded, "copies of objects are missing"),
        (pgs.misplaced_objects, Standing::Degraded, "copies of objects are misplaced"),
        (remapped, Standing::Degraded, "are remapped"),
    ] {
        if count > 0 {
            faults.push((state, format!("{count} {what}")));
        }
    }
    faults
}

fn mds_name(mds: &CephMds) -> String {
    match (mds.filesystem, mds.rank) {
        (Some(filesystem), Some(rank)) => format!("{filesystem}:{rank} {}", mds.name),
        _ => mds.name.clone(),
    }
}

fn of_mds(mds: &CephMds) -> Option<Fault> {
    let Some(said) = mds.state.as_deref() else {
        return Some((Standing::Unknown, "its state is not told".to_owned()));
    };
    let (word, is_laggy) = said.strip_suffix(LAGGY).map_or((said, false), |word| (word, true));
    let state = match word {
        "up:active" | "up:standby-replay" | "up:standby" if !is_laggy => return None,
        "up:active" | "up:standby-replay" | "up:standby" => Standing::Degraded,
        // On its way to hold the rank, or to give it up.
        "up:boot" | "up:creating" | "up:starting" | "up:replay" | "up:resolve" | "up:reconnect" | "up:rejoin"
        | "up:clientreplay" | "up:stopping" => Standing::Degraded,
        "down:dne" | "down:stopped" | "down:failed" | "down:damaged" => Standing::Failed,
        _ => Standing::Unknown,
    };
    Some((state, said.to_owned()))
}

#[cfg(test)]
mod tests;
