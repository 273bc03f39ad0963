//! What the report of a foreign system (ZFS, Ceph, iSCSI, ...) amounts to by its own words, before any limit of ours.
//! `hardstand parse` prints it, and the health rules begin with it.
//!
//! It must never take for good what a report does not say: a value nobody knows, and a report about nothing, are unknown.

mod apt;
mod ceph;
mod iscsi;
mod kubernetes;
mod multipath;
mod needrestart;
mod proxmox;
mod quorum;
mod smart;
mod zfs;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How something stands. The order is the order of the verdict, as in [`crate::Severity`]: what cannot be known may hide
/// anything, and is not as bad as what is known to have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It works, with all its redundancy.
    Ok,
    /// It works, with less than it should have; or it is on its way back.
    Degraded,
    /// The report does not say, or says it in words that are not known here.
    Unknown,
    /// It does not work, or data is lost.
    Failed,
}

/// One thing that a report is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// What it is: `pool`, `vdev`, `daemon`, `session`, `path`, `vote`, ...
    pub kind: &'static str,
    /// Its name in the report, unique among its kind.
    pub name: String,
    /// How it stands.
    pub state: Standing,
    /// Why it is not ok, in the report's own words where it has some; absent when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Subject {
    /// A subject that is as it should be.
    pub fn ok(kind: &'static str, name: impl Into<String>) -> Self {
        Self { kind, name: name.into(), state: Standing::Ok, why: None }
    }

    /// A subject that is not, and why.
    pub fn not_ok(kind: &'static str, name: impl Into<String>, state: Standing, why: impl Into<String>) -> Self {
        Self { kind, name: name.into(), state, why: Some(why.into()) }
    }

    /// A subject that is as bad as the worst of its faults, and names all that are as bad; ok when there is none.
    pub(crate) fn judged(kind: &'static str, name: impl Into<String>, faults: &[Fault]) -> Self {
        let Some(worst) = faults.iter().map(|(state, _)| *state).max() else { return Self::ok(kind, name) };
        let why: Vec<&str> = faults.iter().filter(|(state, _)| *state == worst).map(|(_, why)| why.as_str()).collect();
        Self::not_ok(kind, name, worst, why.join(", "))
    }
}

/// What is wrong with something, and in which words.
pub(crate) type Fault = (Standing, String);

/// Names of subjects: a second row of one name has ` #2` behind it.
#[derive(Default)]
pub(crate) struct Names(BTreeMap<(&'static str, String), usize>);

impl Names {
    /// The name, or the name with its number.
    pub(crate) fn unique(&mut self, kind: &'static str, name: String) -> String {
        let count = self.0.entry((kind, name.clone())).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name} #{count}") }
    }
}

/// A report that can be judged by its own words.
pub trait Report {
    /// Everything the report is about, in its order.
    fn subjects(&self) -> Vec<Subject>;
}

/// The worst of them; unknown when there is none, because a report about nothing vouches for nothing.
pub fn worst(subjects: &[Subject]) -> Standing {
    subjects.iter().map(|subject| subject.state).max().unwrap_or(Standing::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides_and_nothing_is_unknown() {
        let ok = Subject::ok("pool", "tank");
        let of = |state| Subject::not_ok("pool", "b", state, "why");
        assert_eq!(worst(&[]), Standing::Unknown);
        assert_eq!(worst(std::slice::from_ref(&ok)), Standing::Ok);
        assert_eq!(worst(&[ok.clone(), of(Standing::Degraded)]), Standing::Degraded);
        assert_eq!(worst(&[of(Standing::Unknown), of(Standing::Degraded), ok.clone()]), Standing::Unknown);
        assert_eq!(worst(&[of(Standing::Unknown), of(Standing::Failed), ok]), Standing::Failed);
    }
}
