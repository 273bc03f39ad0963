//! Errors of the hardware that the kernel's log tells of: machine checks, and what the firmware reports (APEI).
//!
//! It must never hold an opinion.

use serde::{Deserialize, Serialize};

/// What the kernel's log holds of errors now. It is a ring: what is older was overwritten.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HardwareErrors {
    /// The number of the oldest line that is still there.
    pub first: u64,
    /// The number that the next line will have.
    pub next: u64,
    /// Oldest first.
    pub errors: Vec<HardwareError>,
}

/// One error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardwareError {
    /// The number of its first line, which no other error of this boot has.
    pub sequence: u64,
    /// Who told of it, and of what.
    pub origin: ErrorOrigin,
    /// How bad it was.
    pub severity: ErrorSeverity,
}

/// Who told of an error.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorOrigin {
    /// A bank of a processor's machine-check registers.
    Processor {
        /// Its package, where the log or the kernel's topology tells it.
        socket: Option<u32>,
        /// The bank.
        bank: u32,
    },
    /// The firmware.
    Firmware {
        /// The part that it names (a DIMM, as a rule); empty where it names none.
        fru: String,
        /// What kind of part that is: `memory error`, `PCIe error`, ...
        section: String,
    },
}

/// How bad an error was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorSeverity {
    /// No error; told for the record.
    Info,
    /// Mended by the hardware.
    Corrected,
    /// Data is lost, and nobody has used it yet.
    Deferred,
    /// Data is lost; the system may have gone on.
    Uncorrected,
    /// The system cannot be relied on.
    Fatal,
    /// Another word of newer firmware.
    Other,
}

impl ErrorSeverity {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Info, Self::Corrected, Self::Deferred, Self::Uncorrected, Self::Fatal, Self::Other];

    /// The word used in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Corrected => "corrected",
            Self::Deferred => "deferred",
            Self::Uncorrected => "uncorrected",
            Self::Fatal => "fatal",
            Self::Other => "other",
        }
    }
}
