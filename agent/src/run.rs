//! The loop: probe, judge, report, wait. The only file that knows the order.
//!
//! It must never look inside a reading or a finding.
