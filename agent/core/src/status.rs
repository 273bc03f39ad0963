//! What a node says of itself to the fleet.
//!
//! It must never say more than the node saw: what is not known is a blocker, never left out (S6).

use serde::{Deserialize, Serialize};

use crate::health::{Finding, Gate, Severity};
use crate::phase::Phase;
use crate::view::FRESH_MS;

/// Why something may not start, and what a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blocker {
    /// The rule or check: `zfs.pool`, `lease.slots`, `window`.
    pub check: String,
    /// What it is about: a node, a pool, a group.
    pub subject: String,
    /// Why, in a sentence.
    pub why: String,
    /// What to do, or what to wait for.
    pub way_out: String,
}

impl Blocker {
    /// A blocker.
    pub fn new(
        check: impl Into<String>,
        subject: impl Into<String>,
        why: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        Self { check: check.into(), subject: subject.into(), why: why.into(), way_out: way_out.into() }
    }
}

/// A finding in brief.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Brief {
    /// The check.
    pub check: String,
    /// Its subject.
    pub subject: String,
    /// How bad.
    pub severity: Severity,
    /// Whether it forbids taking a node down.
    pub blocks: bool,
    /// A few words.
    pub summary: String,
}

impl Brief {
    /// A finding in brief; nothing for one that is ok or info and is in nobody's way.
    pub fn of(finding: &Finding) -> Option<Self> {
        let blocks = finding.gate == Gate::Blocks;
        (finding.gate != Gate::None || finding.severity >= Severity::Warn).then(|| Self {
            check: finding.check.clone(),
            subject: finding.subject.clone(),
            severity: finding.severity,
            blocks,
            summary: finding.summary.clone(),
        })
    }
}

/// What a member of a voting set sees of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// The set: `store`, `corosync CLUSTER`, `ceph-mon FSID`.
    pub set: String,
    /// All voters by the node they run on.
    pub voters: Vec<String>,
    /// The votes of each voter, in their order; empty: one each. A quorum device may have more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<u64>,
    /// Votes that are needed, where the set has its own rule (two nodes of which one is enough); else more than half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<u64>,
    /// Those seen up and in step; `None`: cannot be told.
    pub up: Option<Vec<String>>,
    /// Milliseconds between that sight and this word of it. Where nobody waits for it, a set is looked at less often than
    /// evidence asks for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub age_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Votes {
    /// What a voter's voice counts; 0 for one that has none.
    pub fn weight(&self, voter: &str) -> u64 {
        let of_row = |row: usize| if self.weights.is_empty() { 1 } else { self.weights.get(row).copied().unwrap_or(0) };
        let rows = self.voters.iter().enumerate().filter(|(_, name)| *name == voter);
        rows.fold(0, |sum, (row, _)| sum.saturating_add(of_row(row)))
    }

    /// All votes.
    pub fn total(&self) -> u64 {
        let voters: std::collections::BTreeSet<&String> = self.voters.iter().collect();
        voters.into_iter().fold(0, |sum, voter| sum.saturating_add(self.weight(voter)))
    }

    /// How many of them are needed.
    pub fn floor(&self) -> u64 {
        self.needed.unwrap_or(self.total() / 2 + 1)
    }

    /// Whether a voter is one of the set.
    pub fn has(&self, voter: &str) -> bool {
        self.voters.iter().any(|name| name == voter)
    }

    /// Whether it was seen lately enough for a decision.
    pub fn is_evidence(&self) -> bool {
        self.age_ms <= FRESH_MS
    }

    /// Whether a voter is seen up. What cannot be told is not.
    pub fn sees(&self, voter: &str) -> bool {
        self.up.as_ref().is_some_and(|up| up.iter().any(|name| name == voter))
    }
}

/// A node that stands still until a person looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub reason: String,
    /// What a person does next.
    pub next_action: String,
    /// Whether the halt for it is in the store. It ends when somebody lifts that halt.
    pub told: bool,
}

/// One report. Written again on every change, and often while something is under way, so that its age says something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The node.
    pub node: String,
    /// Its role.
    pub role: String,
    /// The boot it is in.
    pub boot_id: String,
    /// The kernel that runs; empty while not known.
    pub kernel: String,
    /// The agent's version.
    pub version: String,
    /// Where its step machine is.
    pub phase: Phase,
    /// What it waits for, if it does.
    pub waits_for: Option<String>,
    /// Why it stands still, if it does.
    pub hold: Option<Hold>,
    /// The verdict over its findings.
    pub verdict: Severity,
    /// All findings that are at least a warning, or block.
    pub findings: Vec<Brief>,
    /// The voting sets it belongs to.
    pub votes: Vec<Votes>,
    /// The highest plan serial it has obeyed (S10).
    pub plan_floor: u64,
    /// The last plan it has carried out, and for how many hours it has run what that installed, by its own clock.
    #[serde(default)]
    pub ran: Option<(String, u64)>,
    /// Sequence and hash of the last audit record it had seen written: a store that does not know it was restored.
    pub sequence: u64,
}

impl Report {
    /// What of it forbids taking this node, or a node of its group, down.
    pub fn blockers(&self) -> impl Iterator<Item = Blocker> + '_ {
        self.findings.iter().filter(|finding| finding.blocks).map(|finding| {
            let way_out = format!("see it on {}: hardstand health", self.node);
            Blocker::new(finding.check.clone(), self.node.clone(), finding.summary.clone(), way_out)
        })
    }
}
