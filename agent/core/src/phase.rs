//! The node's step machine: phases, events, and the one function between them (design §6).
//!
//! It must never panic and never act: a pair that has no arrow is refused, with both names.

use serde::{Deserialize, Serialize};

/// Where a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing to do.
    #[default]
    Idle,
    /// An order is there, and its gates are good.
    Gated,
    /// The lease was seen to be ours.
    Leased,
    /// Packages lie ready; nothing has changed.
    Staged,
    /// Hooks run and services leave. From here on the node is in maintenance.
    Draining,
    /// Nothing of it serves any more.
    Drained,
    /// Packages are being installed.
    Patching,
    /// The planned versions are installed, and whole.
    Patched,
    /// A reboot was ordered.
    RebootArmed,
    /// Another boot, the expected kernel.
    Returned,
    /// Gates must hold for a streak.
    Verifying,
    /// Services come back.
    Restoring,
    /// Everything serves; the lease is to be given back.
    Released,
}

/// All phases, in their order.
pub const PHASES: [Phase; 13] = [
    Phase::Idle,
    Phase::Gated,
    Phase::Leased,
    Phase::Staged,
    Phase::Draining,
    Phase::Drained,
    Phase::Patching,
    Phase::Patched,
    Phase::RebootArmed,
    Phase::Returned,
    Phase::Verifying,
    Phase::Restoring,
    Phase::Released,
];

impl Phase {
    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Gated => "gated",
            Self::Leased => "leased",
            Self::Staged => "staged",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Patching => "patching",
            Self::Patched => "patched",
            Self::RebootArmed => "reboot_armed",
            Self::Returned => "returned",
            Self::Verifying => "verifying",
            Self::Restoring => "restoring",
            Self::Released => "released",
        }
    }

    /// Whether the node is in maintenance: something of it was taken away and not yet given back.
    pub fn is_disruptive(self) -> bool {
        self >= Self::Draining && self < Self::Released
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// What was seen to happen. Each is an observation with proof, never the mere end of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// An order for this node is there and its own gates are good.
    Ordered,
    /// The store shows our lease with the order's token.
    LeaseSeen,
    /// Every package file lies there with its hash, and there is room.
    Staged,
    /// The permit to leave service was committed.
    DrainPermitted,
    /// Nothing is left that serves.
    DrainSeen,
    /// The permit to install was committed.
    PatchPermitted,
    /// The planned versions are installed, dpkg is whole, the kernel has its boot entry.
    PatchProved,
    /// The permit to reboot was committed.
    RebootPermitted,
    /// Nothing needs a restart.
    NoReboot,
    /// Another boot id, the expected kernel, boot complete.
    RebootProved,
    /// The store answers, and the lease is still ours.
    StoreSeen,
    /// The gates held for the streak.
    GatesHeld,
    /// Everything that was drained serves again.
    RestoreSeen,
    /// The lease is given back, or taken from us, and nothing is left to do.
    Ended,
    /// Go back: the order was withdrawn, or the lease is no longer ours.
    Undo,
}

/// All events.
pub const EVENTS: [Event; 15] = [
    Event::Ordered,
    Event::LeaseSeen,
    Event::Staged,
    Event::DrainPermitted,
    Event::DrainSeen,
    Event::PatchPermitted,
    Event::PatchProved,
    Event::RebootPermitted,
    Event::NoReboot,
    Event::RebootProved,
    Event::StoreSeen,
    Event::GatesHeld,
    Event::RestoreSeen,
    Event::Ended,
    Event::Undo,
];

/// An event that has no place in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} has no place in phase {phase}; the journal and the host disagree, see: hardstand node show")]
pub struct Refused {
    /// The phase.
    pub phase: Phase,
    /// The event.
    pub event: Event,
}

/// The phase after an event.
///
/// # Errors
/// The pair has no arrow.
pub fn next(phase: Phase, event: Event) -> Result<Phase, Refused> {
    Ok(match (phase, event) {
        (Phase::Idle, Event::Ordered) => Phase::Gated,
        (Phase::Gated, Event::LeaseSeen) => Phase::Leased,
        (Phase::Leased, Event::Staged) => Phase::Staged,
        (Phase::Staged, Event::DrainPermitted) => Phase::Draining,
        (Phase::Draining, Event::DrainSeen) => Phase::Drained,
        (Phase::Drained, Event::PatchPermitted) => Phase::Patching,
        (Phase::Patching, Event::PatchProved) => Phase::Patched,
        (Phase::Patched | Phase::RebootArmed, Event::RebootPermitted) => Phase::RebootArmed,
        (Phase::RebootArmed, Event::RebootProved) => Phase::Returned,
        (Phase::Patched, Event::NoReboot) | (Phase::Returned, Event::StoreSeen) => Phase::Verifying,
        (Phase::Verifying, Event::GatesHeld) => Phase::Restoring,
        (Phase::Restoring, Event::RestoreSeen) => Phase::Released,
        (Phase::Released, Event::Ended) => Phase::Idle,
        // Nothing was done yet: give the lease back and forget it.
        (Phase::Gated | Phase::Leased | Phase::Staged, Event::Undo) => Phase::Released,
        // Something serves no more, nothing was installed: take it back.
        (Phase::Draining | Phase::Drained, Event::Undo) => Phase::Restoring,
        // Packages are never undone blindly: verify what is there, then take the services back.
        (Phase::Patched | Phase::RebootArmed | Phase::Returned, Event::Undo) => Phase::Verifying,
        (phase, event) => return Err(Refused { phase, event }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every arrow there is: `phase event -> phase`.
    const ARROWS: &[(Phase, Event, Phase)] = &[
        (Phase::Idle, Event::Ordered, Phase::Gated),
        (Phase::Gated, Event::LeaseSeen, Phase::Leased),
        (Phase::Gated, Event::Undo, Phase::Released),
        (Phase::Leased, Event::Staged, Phase::Staged),
        (Phase::Leased, Event::Undo, Phase::Released),
        (Phase::Staged, Event::DrainPermitted, Phase::Draining),
        (Phase::Staged, Event::Undo, Phase::Released),
        (Phase::Draining, Event::DrainSeen, Phase::Drained),
        (Phase::Draining, Event::Undo, Phase::Restoring),
        (Phase::Drained, Event::PatchPermitted, Phase::Patching),
        (Phase::Drained, Event::Undo, Phase::Restoring),
        (Phase::Patching, Event::PatchProved, Phase::Patched),
        (Phase::Patched, Event::RebootPermitted, Phase::RebootArmed),
        (Phase::Patched, Event::NoReboot, Phase::Verifying),
        (Phase::Patched, Event::Undo, Phase::Verifying),
        (Phase::RebootArmed, Event::RebootPermitted, Phase::RebootArmed),
        (Phase::RebootArmed, Event::RebootProved, Phase::Returned),
        (Phase::RebootArmed, Event::Undo, Phase::Verifying),
        (Phase::Returned, Event::StoreSeen, Phase::Verifying),
        (Phase::Returned, Event::Undo, Phase::Verifying),
        (Phase::Verifying, Event::GatesHeld, Phase::Restoring),
        (Phase::Restoring, Event::RestoreSeen, Phase::Released),
        (Phase::Released, Event::Ended, Phase::Idle),
    ];

    #[test]
    fn every_pair_is_an_arrow_or_refused() {
        let mut arrows = 0;
        for phase in PHASES {
            for event in EVENTS {
                let arrow = ARROWS.iter().find(|(from, on, _)| (*from, *on) == (phase, event));
                match arrow {
                    Some((_, _, to)) => {
                        assert_eq!(next(phase, event), Ok(*to));
                        arrows += 1;
                    }
                    None => assert_eq!(next(phase, event), Err(Refused { phase, event })),
                }
            }
        }
        assert_eq!(arrows, ARROWS.len(), "each arrow once");
    }

    #[test]
    fn every_phase_leads_back_to_idle_and_patching_only_by_proof() {
        for start in PHASES {
            let mut reached = vec![start];
            let mut at = 0;
            while let Some(phase) = reached.get(at).copied() {
                let onward = EVENTS.iter().filter_map(|event| next(phase, *event).ok());
                let new: Vec<Phase> = onward.filter(|phase| !reached.contains(phase)).collect();
                for phase in new {
                    if !reached.contains(&phase) {
                        reached.push(phase);
                    }
                }
                at += 1;
            }
            assert!(reached.contains(&Phase::Idle), "{start}");
        }
        let out: Vec<Event> = EVENTS.into_iter().filter(|event| next(Phase::Patching, *event).is_ok()).collect();
        assert_eq!(out, [Event::PatchProved], "a package run is waited for or halted on, never undone");
    }
}
