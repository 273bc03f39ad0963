//! A deterministic simulator in virtual time that drives exactly the shipped rules: nodes, leaders, operators, a store,
//! journals and hosts, under faults, with every invariant checked after every event.
//!
//! It must never hold a rule of its own: the broken variants change what goes in and out of the rules, not the rules.
//! One seed gives one story, always the same.

mod agent;
mod check;
mod eyes;
mod fault;
mod host;
mod link;
mod pace;
mod people;
mod random;
mod scenario;
mod strike;
mod variant;
mod world;

#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use pace::{Pace, Range};
pub use scenario::{Cut, Scenario};
pub use variant::Variant;

use world::World;

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
    /// Who waited for what, in the words of the leader, and for how many virtual seconds; the longest first.
    pub waits: Vec<(String, u64)>,
    /// The reasons of the halts, in their order.
    pub halts: Vec<String>,
    /// Events that were played.
    pub events: u64,
    /// Moments between two instructions that the node of [`Scenario::cut`] has passed.
    pub edges: u32,
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

/// Plays one seed. `telling` collects the story, and who waited for what.
pub fn play(scenario: &Scenario, seed: u64, telling: bool) -> Outcome {
    World::new(scenario, seed, telling).play()
}
