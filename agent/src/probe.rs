//! Reads `host/*` into [`hardstand_core::Observed`]: collectors side by side, each with its own deadline, interval
//! and last good value.
//!
//! It must never fail: what cannot be read is Unknown with its reason. A hung collector makes only itself stale.
