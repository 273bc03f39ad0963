//! The pure rules of hardstand: what was seen, what it means, and what may happen next.
//!
//! Invariant: nothing here reads a file, a clock, a socket or a random number; time and identity are arguments.
//! The manifest of this crate makes it impossible, and a test in `tests/` keeps it so.

pub mod audit;
#[cfg(test)]
mod fixture;
pub mod fleet;
pub mod fleetlock;
pub mod health;
pub mod history;
pub mod journal;
pub mod leader;
pub mod lease;
pub mod observed;
pub mod operator;
pub mod phase;
pub mod plan;
pub mod planner;
pub mod reading;
pub mod rollout;
pub mod safety;
pub mod settings;
pub mod sim;
pub mod snapshot;
pub mod standing;
pub mod status;
pub mod step;
pub mod store;
pub mod version;
pub mod view;
pub mod voting;
pub mod window;

pub use health::{Finding, Gate, Health, Severity, judge};
pub use history::{History, Thing};
pub use observed::Observed;
pub use reading::{CollectorState, Reading, Sample};
pub use settings::Settings;
