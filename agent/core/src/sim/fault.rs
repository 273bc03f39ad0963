//! The faults that can happen, and when they do for a seed.
//!
//! It must never know what a fault does to the rules: it happens to hosts, links and the store.

use super::random::Random;

/// Faults begin after this, in virtual milliseconds: the rollout is under way.
const FIRST_MS: u64 = 2_000;
/// No fault begins after this; what then stands still stands still by itself.
pub(super) const LAST_MS: u64 = 90_000;

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
    SlowReboot,
    FailedReboot,
    OldKernel,
    BadPackage,
    SickAfterwards,
    UnknownProbe,
    ClockJump,
    StoreRestore,
    StoreFull,
    ForceRelease,
    TwoOperators,
    NodeDies,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Pause,
        Self::Partition,
        Self::Loss,
        Self::Reorder,
        Self::PowerCut,
        Self::AgentRestart,
        Self::SlowReboot,
        Self::FailedReboot,
        Self::OldKernel,
        Self::BadPackage,
        Self::SickAfterwards,
        Self::UnknownProbe,
        Self::ClockJump,
        Self::StoreRestore,
        Self::StoreFull,
        Self::ForceRelease,
        Self::TwoOperators,
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
            Self::SlowReboot => "slow-reboot",
            Self::FailedReboot => "failed-reboot",
            Self::OldKernel => "old-kernel",
            Self::BadPackage => "bad-package",
            Self::SickAfterwards => "sick-afterwards",
            Self::UnknownProbe => "unknown-probe",
            Self::ClockJump => "clock-jump",
            Self::StoreRestore => "store-restore",
            Self::StoreFull => "store-full",
            Self::ForceRelease => "force-release",
            Self::TwoOperators => "two-operators",
            Self::NodeDies => "node-dies",
        }
    }

    /// The fault of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.word() == word)
    }
}

/// One fault that will happen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planned {
    pub(super) at_ms: u64,
    pub(super) fault: Fault,
    pub(super) node: usize,
    pub(super) lasts_ms: u64,
}

/// The faults of one seed: up to four, of the kinds that may happen.
pub(super) fn plan(random: &mut Random, kinds: &[Fault], nodes: usize) -> Vec<Planned> {
    if kinds.is_empty() {
        return Vec::new();
    }
    let count = random.between(1, 4);
    let mut planned: Vec<Planned> = (0..count)
        .map(|_| Planned {
            at_ms: random.between(FIRST_MS, LAST_MS),
            fault: kinds[random.below(kinds.len())],
            node: random.below(nodes),
            lasts_ms: random.between(500, 20_000),
        })
        .collect();
    planned.sort_by_key(|planned| planned.at_ms);
    planned
}
