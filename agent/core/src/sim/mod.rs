//! A deterministic simulator in virtual time that drives exactly the shipped rules: nodes, leaders, operators, a store,
//! journals and hosts, under faults, with every invariant checked after every event.
//!
//! It must never hold a rule of its own: the broken variants change what goes in and out of the rules, not the rules.
//! One seed gives one story, always the same.

mod agent;
mod check;
mod fault;
mod host;
mod people;
mod random;
mod variant;
mod world;

#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use variant::Variant;

use crate::fleet::Policy;
use world::World;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The fleet.
    pub policy: Policy,
    /// Which faults may happen; empty: none.
    pub faults: Vec<Fault>,
    /// The rules as shipped, or one broken on purpose.
    pub variant: Variant,
}

impl Scenario {
    /// The fleet of the tests: two hosts and a storage box that exclude each other.
    pub fn small(faults: &[Fault], variant: Variant) -> Self {
        Self { policy: world::small_fleet(), faults: faults.to_vec(), variant }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What was broken, by the number of the invariant; `None`: nothing.
    pub violation: Option<Violation>,
    /// Virtual seconds until the rollout was finished.
    pub seconds: u64,
    /// Virtual seconds each node was out of service, in the order of the nodes.
    pub out_of_service: Vec<(String, u64)>,
    /// How often the fleet was halted.
    pub halts: u32,
    /// Events that were played.
    pub events: u64,
    /// What happened, a line each; empty unless it was asked for.
    pub story: Vec<String>,
}

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its number: `S1`, `L1`.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
    /// When, in virtual milliseconds.
    pub at_ms: u64,
}

/// Plays one seed. `telling` collects the story.
pub fn play(scenario: &Scenario, seed: u64, telling: bool) -> Outcome {
    World::new(scenario, seed, telling).play()
}
