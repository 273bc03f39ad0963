//! iSCSI targets that this node serves.
//!
//! It must never leave out a target that nobody is logged in at.

use hardstand_core::Observed;

use super::page::{Kind, Page};

pub(super) fn write(page: &mut Page, observed: &Observed) {
    let targets = observed.iscsi_target.shown().and_then(Option::as_deref).unwrap_or_default();
    let help = "Sessions at an iSCSI target of this node.";
    let mut sessions = page.family("hardstand_iscsi_target_sessions", Kind::Gauge, help);
    for target in targets {
        sessions.sample(&[("target", &target.name)], target.sessions.len() as f64);
    }
}
