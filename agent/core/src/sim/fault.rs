//! The faults that can happen, and when they do for a seed.
//!
//! It must never know what a fault does to the rules: it happens to hosts, links and the store.

use super::random::Random;

/// Faults begin after this share of the time a rollout takes, in percent: it is under way.
const FIRST_PERCENT: u64 = 4;
/// The longest any of them stands, in milliseconds.
const LONGEST_MS: u64 = 20_000;

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names of the issue and of the command line")]
pub enum Fault {
    Pause,
    Partition,
    Loss,
    Reorder,
    PowerCut,
    AgentRestart,
    AgentUpgrade,
    SlowReboot,
    FailedReboot,
    OldKernel,
    BadPackage,
    SickAfterwards,
    Degraded,
    UnknownProbe,
    ClockJump,
    SessionLost,
    StoreRestore,
    StoreFull,
    ForceRelease,
    TwoOperators,
    Abort,
    NodeDies,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::Pause,
        Self::Partition,
        Self::Loss,
        Self::Reorder,
        Self::PowerCut,
        Self::AgentRestart,
        Self::AgentUpgrade,
        Self::SlowReboot,
        Self::FailedReboot,
        Self::OldKernel,
        Self::BadPackage,
        Self::SickAfterwards,
        Self::Degraded,
        Self::UnknownProbe,
        Self::ClockJump,
        Self::SessionLost,
        Self::StoreRestore,
        Self::StoreFull,
        Self::ForceRelease,
        Self::TwoOperators,
        Self::Abort,
        Self::NodeDies,
    ];

    /// The word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::Loss => "loss",
            Self::Reorder => "reorder",
            Self::PowerCut => "power-cut",
            Self::AgentRestart => "agent-restart",
            Self::AgentUpgrade => "agent-upgrade",
            Self::SlowReboot => "slow-reboot",
            Self::FailedReboot => "failed-reboot",
            Self::OldKernel => "old-kernel",
            Self::BadPackage => "bad-package",
            Self::SickAfterwards => "sick-afterwards",
            Self::Degraded => "degraded",
            Self::UnknownProbe => "unknown-probe",
            Self::ClockJump => "clock-jump",
            Self::SessionLost => "session-lost",
            Self::StoreRestore => "store-restore",
            Self::StoreFull => "store-full",
            Self::ForceRelease => "force-release",
            Self::TwoOperators => "two-operators",
            Self::Abort => "abort",
            Self::NodeDies => "node-dies",
        }
    }

    /// The fault of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.word() == word)
    }

    /// Whether it can wait for a moment between two of a node's instructions.
    fn is_sharp(self) -> bool {
        matches!(self, Self::Pause | Self::Partition | Self::PowerCut | Self::AgentRestart | Self::SessionLost)
    }
}

/// Moments between two instructions of a node, at which it can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    BeforeSend,
    BeforeCommit,
    AfterCommit,
    BeforeReply,
    BeforeWrite,
    AfterWrite,
    BeforeAct,
    AfterAct,
}

impl Edge {
    const ALL: [Self; 8] = [
        Self::BeforeSend,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::BeforeReply,
        Self::BeforeWrite,
        Self::AfterWrite,
        Self::BeforeAct,
        Self::AfterAct,
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::BeforeSend => "before it sends",
            Self::BeforeCommit => "before its commit",
            Self::AfterCommit => "after its commit",
            Self::BeforeReply => "before it reads the answer",
            Self::BeforeWrite => "before it writes its journal",
            Self::AfterWrite => "after it wrote its journal",
            Self::BeforeAct => "before it acts",
            Self::AfterAct => "after it began to act",
        }
    }
}

/// One fault that will happen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planned {
    pub(super) at_ms: u64,
    pub(super) fault: Fault,
    pub(super) node: usize,
    pub(super) lasts_ms: u64,
    /// It waits for this moment of the node; `None`: it happens at once.
    pub(super) edge: Option<Edge>,
}

/// The faults of one seed: up to four, of the kinds that may happen, in the first `last_ms`.
pub(super) fn plan(random: &mut Random, kinds: &[Fault], nodes: usize, last_ms: u64) -> Vec<Planned> {
    if kinds.is_empty() {
        return Vec::new();
    }
    let count = random.between(1, 4);
    let first_ms = last_ms * FIRST_PERCENT / 100;
    let mut planned: Vec<Planned> = (0..count)
        .map(|_| {
            let fault = kinds[random.below(kinds.len())];
            let edge = Edge::ALL[random.below(Edge::ALL.len())];
            let waits = fault.is_sharp() && random.percent(60);
            Planned {
                at_ms: random.between(first_ms, last_ms),
                fault,
                node: random.below(nodes),
                lasts_ms: random.between(500, LONGEST_MS),
                edge: waits.then_some(edge),
            }
        })
        .collect();
    planned.sort_by_key(|planned| planned.at_ms);
    planned
}
