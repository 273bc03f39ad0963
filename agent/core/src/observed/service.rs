//! The services people use, as one question to each of them found it.
//!
//! It must never hold an opinion.

use serde::{Deserialize, Serialize};

/// What came of one question.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ServiceAnswer {
    /// When it was over, CLOCK_BOOTTIME: tells one answer from the next.
    pub boottime_seconds: f64,
    /// Why it is not the answer that is declared; absent when it is.
    pub failure: Option<String>,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// From the first packet to the end of the answer; absent where there was none.
    pub latency_seconds: Option<f64>,
    /// When the certificate that was shown expires, seconds since 1970; absent without TLS.
    pub not_after_unix_seconds: Option<u64>,
}
