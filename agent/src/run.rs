//! The loop: probe, judge, report, wait. The only file that knows the order.
//!
//! It must never look inside a reading or a finding.

use std::path::PathBuf;

use hardstand_core::{Health, Observed, Settings};

/// Runs the agent until it is told to stop.
pub(crate) fn agent(_config: Option<PathBuf>, _socket: PathBuf) -> anyhow::Result<()> {
    unimplemented!()
}

/// Looks once and judges what was seen.
pub(crate) fn local_pass(_settings: Settings) -> anyhow::Result<(Observed, Health)> {
    unimplemented!()
}
