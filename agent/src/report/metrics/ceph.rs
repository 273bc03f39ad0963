//! A Ceph cluster, under the names of Ceph's own exporter where the meaning is the same.
//!
//! It must never say that a daemon may be stopped because nobody has said that it may not.

use hardstand_core::{Gate, Health, Observed};

use super::page::{Kind, Page};

/// The check that names what must not be stopped.
const STOP_CHECK: &str = "ceph.stop";

pub(super) fn write(page: &mut Page, observed: &Observed, health: &Health) {
    let cluster = observed.ceph.shown().and_then(Option::as_ref);
    let status = cluster.map(|cluster| &cluster.status);
    let word = status.and_then(|status| status.health.status.as_deref());
    let level =
        word.and_then(|word| ["HEALTH_OK", "HEALTH_WARN", "HEALTH_ERR"].iter().position(|known| *known == word));
    page.family("ceph_health_status", Kind::Gauge, "Ceph's own word: 0 HEALTH_OK, 1 HEALTH_WARN, 2 HEALTH_ERR.")
        .optional(&[], level.map(|level| level as f64));
    let mut detail = page.family("ceph_health_detail", Kind::Gauge, "Checks of Ceph's own that fail.");
    for check in status.iter().flat_map(|status| status.health.checks.iter().flatten()) {
        let severity = check.severity.as_deref().unwrap_or("unknown");
        detail.sample(&[("name", &check.name), ("severity", severity)], 1.0);
    }
    let mut quorum = page.family("ceph_mon_quorum_status", Kind::Gauge, "Whether a monitor is in quorum.");
    for mon in status.iter().flat_map(|status| status.mons.in_quorum.iter().flatten()) {
        quorum.sample(&[("ceph_daemon", &format!("mon.{mon}"))], 1.0);
    }
    let mons = status.and_then(|status| status.mons.total);
    page.family("hardstand_ceph_mons", Kind::Gauge, "Monitors there should be in quorum.")
        .optional(&[], mons.map(|count| count as f64));
    let mut up = page.family("ceph_osd_up", Kind::Gauge, "Whether an OSD is up.");
    for osd in cluster.iter().flat_map(|cluster| &cluster.tree.osds) {
        up.flag(&[("ceph_daemon", &osd.name)], osd.status.as_deref() == Some("up"));
    }
    let pgs = status.map(|status| &status.pgs);
    let mut states = page.family("hardstand_ceph_pgs", Kind::Gauge, "Placement groups by their state.");
    for of in pgs.iter().flat_map(|pgs| pgs.states.iter().flatten()) {
        states.sample(&[("state", &of.state)], of.count as f64);
    }
    for (name, help, value) in [
        ("ceph_cluster_total_bytes", "Size of the cluster's devices.", pgs.and_then(|pgs| pgs.total_bytes)),
        ("ceph_cluster_total_used_bytes", "Used of them.", pgs.and_then(|pgs| pgs.used_bytes)),
    ] {
        page.family(name, Kind::Gauge, help).optional(&[], value.map(|value| value as f64));
    }
    let help = "Whether a daemon on this node may be stopped now, together with the others of its kind.";
    let mut stop = page.family("hardstand_ceph_ok_to_stop", Kind::Gauge, help);
    for daemon in cluster.iter().flat_map(|cluster| &cluster.local) {
        stop.flag(&[("daemon", daemon)], may_stop(health, daemon));
    }
    let age = cluster.filter(|cluster| !cluster.stops.is_empty()).map(|cluster| cluster.asked_before_seconds);
    let help = "Age of Ceph's answer whether daemons may be stopped, when its status came.";
    page.family("hardstand_ceph_ok_to_stop_age_seconds", Kind::Gauge, help).optional(&[], age);
}

/// What the judgement of its kind says: an answer that is old or about others is none.
fn may_stop(health: &Health, daemon: &str) -> bool {
    let kind = daemon.split('.').next();
    let mut judged = health.findings.iter().filter(|found| found.check == STOP_CHECK);
    judged.any(|found| Some(found.subject.as_str()) == kind && found.gate == Gate::None)
}
