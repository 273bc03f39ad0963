//! The shared records around a rollout: its state, orders, outcomes, the halt, who leads and who is alive.
//!
//! It must never hold a decision: those are in `leader`, `step` and `safety`.

use serde::{Deserialize, Serialize};

use crate::fleet::Percent;
use crate::lease::Token;
use crate::store::Revision;

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderRecord {
    /// The node.
    pub node: String,
}

/// An agent is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The boot it lives in.
    pub boot_id: String,
    /// Its version.
    pub version: String,
}

/// What all agents are asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Refresh the package lists; rises with each wish, and [`crate::plan::Updates::answers`] names the last one served.
    pub refresh: u64,
}

/// Whether the leader may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Node after node.
    Running,
    /// No new grant, no new act, until resumed.
    Paused,
    /// Nodes that have not patched yet go back; the others finish. Ends it.
    Aborted,
    /// Every node is done.
    Finished,
}

impl RolloutState {
    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Aborted => "aborted",
            Self::Finished => "finished",
        }
    }
}

/// The rollout under way, or the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The plan's SHA-256.
    pub plan: String,
    /// What people call it.
    pub name: String,
    /// The plan's serial.
    pub serial: u64,
    /// Its state.
    pub state: RolloutState,
    /// Who set that, and why.
    pub by: String,
    /// Why it is in this state.
    pub reason: String,
    /// When it was started, by the starter's clock; for people.
    pub started_unix_seconds: u64,
}

/// Who lets a plan happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The plan's SHA-256.
    pub plan: String,
    /// `operator:anna`, or `window:monthly` for a rule that a person wrote.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What the leader asks of one node: its part of the plan, once, under this lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its name: plan and token. The same under a later leader, who only renews the epoch.
    pub uid: String,
    /// The node.
    pub node: String,
    /// The plan's SHA-256.
    pub plan: String,
    /// The lease.
    pub token: Token,
    /// The leader's epoch.
    pub epoch: Revision,
    /// The rollout's revision: a pause, an abort or a resume changes it.
    pub rollout_modified: Revision,
}

impl Order {
    /// The name of the order for this plan under this lease.
    pub fn uid(plan: &str, token: &Token) -> String {
        format!("{plan}@{token}")
    }
}

/// How a node's part ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// As planned, and proved.
    Verified,
    /// Went back before anything was installed.
    Undone,
}

/// A node's end of its part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The node.
    pub node: String,
    /// How.
    pub ending: Ending,
    /// The lease.
    pub token: Token,
    /// The boot it is in now.
    pub boot_id: String,
    /// The kernel that runs now.
    pub kernel: String,
    /// Seconds in each phase, in their order, by the node's own clocks.
    pub spent: Vec<(crate::phase::Phase, u64)>,
}

/// What the probes of one declared service found. Rows of several leaders add up; between two leaders nobody probes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// The service.
    pub service: String,
    /// Probes made.
    pub asked: u64,
    /// Those that were not answered with 2xx or 3xx in time.
    pub failed: u64,
    /// The longest time from one good answer to the next with a failure between them, in milliseconds.
    pub longest_gap_ms: u64,
    /// The last failure.
    pub last_failure: Option<ProbeFailure>,
    /// Whether the last probe failed.
    #[serde(default)]
    pub failing: bool,
}

/// A probe without a good answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFailure {
    /// Seconds since 1970 by the leader's clock; for people.
    pub at_unix_seconds: u64,
    /// What was seen instead.
    pub why: String,
}

impl Probed {
    /// The row of a service that was not probed yet.
    pub fn of(service: &str) -> Self {
        Self { service: service.to_owned(), ..Self::default() }
    }

    /// Takes in what another leader found of the same service.
    pub fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.failed += other.failed;
        self.longest_gap_ms = self.longest_gap_ms.max(other.longest_gap_ms);
        self.failing |= other.failing;
        let at = |row: &Self| row.last_failure.as_ref().map(|failure| failure.at_unix_seconds);
        if at(other) > at(self) {
            self.last_failure.clone_from(&other.last_failure);
        }
    }

    /// The share of good answers, rounded down so that a failure always shows; `None`: nobody asked.
    pub fn availability(&self) -> Option<Percent> {
        Percent::of(self.asked.saturating_sub(self.failed), self.asked)
    }
}

/// The fleet-wide stop: one reason, one next action (L3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Why.
    pub reason: String,
    /// What a person does next.
    pub next_action: String,
    /// Who halted: `node:pve2`, `leader:pve1`, `operator:anna`.
    pub by: String,
    /// The node it is about, where there is one.
    pub node: Option<String>,
    /// Seconds since 1970 by the writer's clock; for people.
    pub at_unix_seconds: u64,
}
