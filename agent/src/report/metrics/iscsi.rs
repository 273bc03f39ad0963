//! iSCSI sessions of this node as an initiator.
//!
//! It must never let a session that is gone vanish from the page.

use std::collections::BTreeSet;

use hardstand_core::observed::IscsiSessions;
use hardstand_core::{Health, Observed};

use super::page::{Kind, Page};

/// The check that names sessions, also those that are gone.
const SESSION_CHECK: &str = "iscsi.session";

/// A session that is gone stays on the page, in no state but `gone`, until it is forgotten on purpose.
pub(super) fn write(page: &mut Page, observed: &Observed, health: &Health) {
    let initiator = observed.iscsi.shown().and_then(Option::as_ref);
    const STATES: [&str; 5] = ["logged_in", "failed", "free", "gone", "unknown"];
    let sessions = initiator.map(IscsiSessions::named).unwrap_or_default();
    let mut states =
        page.family("hardstand_iscsi_session_state", Kind::Gauge, "The kernel's state of an iSCSI session.");
    let present: BTreeSet<String> = sessions.iter().map(|(name, _)| name.clone()).collect();
    let missed = health.findings.iter().filter(|finding| finding.check == SESSION_CHECK);
    for (name, session) in &sessions {
        let state = match session.session_state.as_deref() {
            Some("LOGGED_IN") => "logged_in",
            Some("FAILED") => "failed",
            Some("FREE") => "free",
            _ => "unknown",
        };
        states.states(&labels(name), "state", &STATES, state);
    }
    for gone in missed.filter(|finding| !present.contains(&finding.subject)) {
        states.states(&labels(&gone.subject), "state", &STATES, "gone");
    }
    let mut disks = page.family("hardstand_iscsi_session_disks", Kind::Gauge, "Disks of an iSCSI session.");
    for (name, session) in &sessions {
        let count = session.devices.iter().flatten().filter(|device| device.disk.is_some()).count();
        disks.sample(&labels(name), count as f64);
    }
}

fn labels(session: &str) -> [(&'static str, &str); 2] {
    let (target, portal) = session.split_once(' ').unwrap_or((session, ""));
    [("portal", portal), ("target", target)]
}
