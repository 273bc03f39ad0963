//! The pure rules of hardstand: what was seen, what it means, and (in later work) what may happen next.
//!
//! Invariant: nothing here reads a file, a clock, a socket or a random number; time and identity are arguments.
//! The manifest of this crate makes it impossible, and a test in `tests/` keeps it so.

pub mod health;
pub mod history;
pub mod observed;
pub mod reading;
pub mod settings;
pub mod store;
pub mod version;

pub use health::{Finding, Gate, Health, Severity, judge};
pub use history::History;
pub use observed::Observed;
pub use reading::{CollectorState, Reading, Sample};
pub use settings::Settings;
