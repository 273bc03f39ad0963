//! How long things take in the simulated world: ranges of milliseconds.
//!
//! It must never be read by a rule: rules see only what has happened.

use super::random::Random;
use crate::plan::Timeouts;

/// From, to, in milliseconds.
pub type Range = (u64, u64);

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what its name says")]
pub struct Pace {
    pub stage: Range,
    pub drain: Range,
    pub patch: Range,
    /// From the order to reboot to the loss of power.
    pub down: Range,
    /// From the loss of power to the next boot.
    pub off: Range,
    /// The same, where firmware dawdles.
    pub slow_off: Range,
    /// From boot to the agent.
    pub agent: Range,
    /// From boot to boot-complete.
    pub boot: Range,
    pub restore: Range,
}

impl Pace {
    /// So short that a seed plays in a moment.
    pub const SHORT: Self = Self {
        stage: (300, 2_500),
        drain: (300, 2_500),
        patch: (800, 4_000),
        down: (50, 800),
        off: (1_000, 5_000),
        slow_off: (25_000, 45_000),
        agent: (300, 1_500),
        boot: (200, 2_000),
        restore: (300, 2_500),
    };

    /// Machines as they are: minutes to drain, patch and boot.
    pub const REAL: Self = Self {
        stage: (5_000, 60_000),
        drain: (10_000, 90_000),
        patch: (60_000, 240_000),
        down: (2_000, 20_000),
        off: (30_000, 120_000),
        slow_off: (300_000, 900_000),
        agent: (5_000, 20_000),
        boot: (10_000, 60_000),
        restore: (10_000, 60_000),
    };

    /// The longest time one node can take when nothing goes wrong, its streak aside.
    pub(super) fn longest_ms(&self) -> u64 {
        [self.stage, self.drain, self.patch, self.down, self.off, self.agent, self.boot, self.restore]
            .iter()
            .map(|(_, to)| to)
            .sum()
    }

    /// Limits of the tests, to which [`Pace::SHORT`] fits.
    pub(super) fn short_limits() -> Timeouts {
        Timeouts {
            grant_seconds: 20,
            stage_seconds: 20,
            drain_seconds: 15,
            patch_seconds: 25,
            reboot_seconds: 30,
            verify_seconds: 30,
            restore_seconds: 15,
        }
    }
}

impl Random {
    /// A time of a range.
    pub(super) fn time(&mut self, (from, to): Range) -> u64 {
        self.between(from, to)
    }
}
