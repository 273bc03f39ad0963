//! Judged facts: findings, the verdict over them, and the one sentence.
//!
//! It must never take an unknown for healthy, and never read anything but its arguments.

use serde::{Deserialize, Serialize};

use crate::observed::{Collector, Observed};
use crate::{History, Settings};

/// How bad a finding is. The order is the order of the verdict: what cannot be known is worse than a warning,
/// because it may hide anything, and not as bad as what is known to be critical.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Info,
    /// Wants attention.
    Warn,
    /// Not known, for a stated reason. Never healthy (S6).
    Unknown,
    /// Wants attention now.
    Crit,
}

impl Severity {
    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Crit => "crit",
        }
    }
}

/// What a finding means for taking the node down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// No grant, and a running rollout halts.
    Blocks,
    /// Shown in the plan.
    Warns,
    /// No bearing.
    None,
}

/// One judged fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at, for example `filesystem.space`.
    pub check: String,
    /// Of what: a mount point, a disk, a unit.
    pub subject: String,
    /// How bad.
    pub severity: Severity,
    /// What it means for taking the node down.
    pub gate: Gate,
    /// A few words for the table and the status line.
    pub summary: String,
    /// What was seen, and what an operator can do, in a sentence.
    pub evidence: String,
    /// Since when it has had this severity, seconds since 1970 by this node's clock.
    pub since_unix_seconds: u64,
}

/// All findings of one pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The node.
    pub node: String,
    /// The worst severity of all findings; unknown when there are none.
    pub verdict: Severity,
    /// Worst first, then by check and subject.
    pub findings: Vec<Finding>,
    /// One row per collector.
    pub collectors: Vec<Collector>,
}

/// Judges one pass. `history` is what earlier passes left and is brought up to date.
pub fn judge(_seen: &Observed, _settings: &Settings, _history: &mut History) -> Health {
    unimplemented!()
}
