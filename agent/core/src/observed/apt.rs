//! What an upgrade would do, as `apt-get -s` tells it.
//!
//! It must never hold an opinion: whether the text adds up is judged elsewhere.

use serde::{Deserialize, Serialize};

use crate::plan::PackageSet;

/// What one simulation says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AptSimulation {
    /// What would change.
    pub changes: PackageSet,
    /// How many lines install something (`Inst`).
    pub installs: u64,
    /// How many lines remove something (`Remv`, `Purg`).
    pub removals: u64,
    /// Packages that are installed by a line and configured by none.
    pub unconfigured: Vec<String>,
    /// apt's own count; `None` where the text breaks off before it.
    pub count: Option<AptCount>,
    /// Packages that stay at their version though there is a newer one.
    pub kept_back: Vec<String>,
    /// Packages an earlier run left in the middle.
    pub unfinished: u64,
    /// Dependencies that cannot be met, in apt's words.
    pub unmet: Vec<String>,
    /// Errors, in apt's words.
    pub errors: Vec<String>,
    /// Warnings, in apt's words.
    pub warnings: Vec<String>,
}

/// apt's count of what it would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AptCount {
    /// Packages brought to a newer version.
    pub upgraded: u64,
    /// Packages that are new.
    pub newly_installed: u64,
    /// Packages installed once more.
    pub reinstalled: u64,
    /// Packages brought to an older version.
    pub downgraded: u64,
    /// Packages removed.
    pub removed: u64,
    /// Packages that could be upgraded and are not.
    pub not_upgraded: u64,
}
