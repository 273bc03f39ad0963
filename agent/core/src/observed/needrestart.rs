//! What runs old code, as `needrestart -b` tells it.
//!
//! It must never hold an opinion: the numbers are needrestart's own.

use serde::{Deserialize, Serialize};

/// What one report says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Needrestart {
    /// needrestart's version.
    pub version: String,
    /// The kernel that runs.
    pub kernel: Option<String>,
    /// The kernel that the next boot is expected to bring.
    pub expected_kernel: Option<String>,
    /// 0: not known, 1: current, 2: an upgrade with the same ABI waits, 3: another version waits.
    pub kernel_state: Option<u64>,
    /// The microcode that runs.
    pub microcode: Option<String>,
    /// The microcode that the next boot is expected to bring.
    pub expected_microcode: Option<String>,
    /// 0: not known, 1: current, 2: an upgrade waits; `None` where it is not told (old versions, virtual machines).
    pub microcode_state: Option<u64>,
    /// Units that run old code.
    pub services: Vec<String>,
    /// Containers that do.
    pub containers: Vec<String>,
    /// Sessions of users that do.
    pub sessions: Vec<String>,
    /// Processes that do and belong to none of these.
    pub processes: Vec<String>,
    /// Lines with a key that is not known, whole.
    pub others: Vec<String>,
}
