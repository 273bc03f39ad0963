//! The clock and what disciplines it.

use serde::{Deserialize, Serialize};

/// `adjtimex(2)` and the time service's own word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// The kernel believes the clock is disciplined (`STA_UNSYNC` is clear).
    pub synchronised: bool,
    /// Offset in seconds, as the kernel has it.
    pub offset_seconds: f64,
    /// Largest error in seconds, as the kernel has it; grows while nothing disciplines the clock.
    pub max_error_seconds: f64,
    /// Estimated error in seconds.
    pub estimated_error_seconds: f64,
    /// Frequency adjustment as a ratio (1.0 is none).
    pub frequency_ratio: f64,
    /// The active time service (`systemd-timesyncd.service`, `chrony.service`, ...), or none.
    pub source: Option<String>,
}
