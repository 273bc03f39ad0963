//! iSCSI targets that this node serves.
//!
//! It must never leave out a target that nobody is logged in at.

use hardstand_core::Observed;
use hardstand_core::observed::TrueNas;

use super::page::{Kind, Page};

pub(super) fn write(page: &mut Page, observed: &Observed) {
    // The last that was known, as everywhere on the page; the kernel's, or those that TrueNAS tells of.
    let kernel = observed.iscsi_target.shown().and_then(Option::as_ref);
    let nas = observed.truenas.shown().and_then(Option::as_ref).filter(|nas| nas.is_local);
    let of_nas = kernel.is_none().then(|| nas.map(TrueNas::targets)).flatten().unwrap_or_default();
    let help = "Sessions at an iSCSI target of this node.";
    let mut sessions = page.family("hardstand_iscsi_target_sessions", Kind::Gauge, help);
    for target in kernel.into_iter().flatten().chain(&of_nas) {
        sessions.sample(&[("target", &target.name)], target.sessions.len() as f64);
    }
}
