//! Watchdogs: clocks that reset the machine when nobody feeds them.
//!
//! It must never hold an opinion.

use serde::{Deserialize, Serialize};

/// One watchdog (`/sys/class/watchdog`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Watchdog {
    /// `watchdog0`.
    pub name: String,
    /// What its driver calls it.
    pub identity: Option<String>,
    /// `active` while it runs, `inactive` while it does not.
    pub state: Option<String>,
    /// After how many seconds without food it resets the machine.
    pub timeout_seconds: Option<u64>,
    /// Once it runs it cannot be stopped.
    pub no_way_out: Option<bool>,
    /// The reason of the last reset, where it tells one; 0 for another than itself.
    pub boot_status: Option<u64>,
}

impl Watchdog {
    /// Whether it runs.
    pub fn is_armed(&self) -> bool {
        self.state.as_deref() == Some("active")
    }
}
