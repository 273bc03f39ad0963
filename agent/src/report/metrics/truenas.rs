//! TrueNAS: what it says of itself, counted.
//!
//! It must never write a number for what it did not tell.

use std::collections::BTreeMap;

use hardstand_core::Observed;
use hardstand_core::observed::{NasAlert, TrueNas};

use super::page::{Kind, Page};

const STATES: [&str; 3] = ["BOOTING", "READY", "SHUTTING_DOWN"];
const TASK_STATES: [&str; 6] = ["PENDING", "WAITING", "RUNNING", "FINISHED", "ERROR", "HOLD"];

pub(super) fn write(page: &mut Page, observed: &Observed) {
    let nas = observed.truenas.shown().and_then(Option::as_ref);
    let mut info =
        page.family("hardstand_truenas_info", Kind::Info, "Version of TrueNAS, and of the API it is asked by.");
    if let Some((nas, version)) = nas.and_then(|nas| Some((nas, nas.version.known()?))) {
        info.sample(&[("api", &nas.api), ("version", version)], 1.0);
    }
    let mut states = page.family("hardstand_truenas_state", Kind::Gauge, "Whether TrueNAS is ready.");
    if let Some(state) = nas.and_then(|nas| nas.state.known()) {
        states.states(&[], "state", &STATES, state);
    }
    alerts(page, nas);
    let mut healthy =
        page.family("hardstand_truenas_pool_healthy", Kind::Gauge, "Whether TrueNAS finds a pool healthy.");
    let pools = nas.map(|nas| nas.pools.known().into_iter().flatten().chain(nas.boot_pool.known()));
    for pool in pools.into_iter().flatten() {
        healthy.optional(&[("pool", &pool.name)], pool.healthy.map(|is| f64::from(u8::from(is))));
    }
    tasks(page, nas);
    let mut jobs = page.family("hardstand_truenas_jobs", Kind::Gauge, "Jobs that are under way or wait.");
    if let Some(all) = nas.and_then(|nas| nas.jobs.known()) {
        let mut by_method: BTreeMap<&str, u32> = BTreeMap::new();
        for job in all {
            *by_method.entry(&job.method).or_default() += 1;
        }
        for (method, count) in by_method {
            jobs.sample(&[("method", method)], f64::from(count));
        }
    }
    let snapshots = nas.and_then(|nas| nas.snapshots.as_ref()?.known());
    page.family("hardstand_truenas_snapshots", Kind::Gauge, "Snapshots of ZFS, counted every few hours.")
        .optional(&[], snapshots.map(|count| *count as f64));
    let update = nas.and_then(|nas| nas.update.as_ref()?.known()).filter(|update| update.code == "NORMAL");
    page.family(
        "hardstand_truenas_update_available",
        Kind::Gauge,
        "Whether an update is on offer, asked every few hours.",
    )
    .optional(&[], update.map(|update| f64::from(u8::from(update.new_version.is_some()))));
}

/// Those that are not dismissed, and how many are.
fn alerts(page: &mut Page, nas: Option<&TrueNas>) {
    let alerts: Option<&Vec<NasAlert>> = nas.and_then(|nas| nas.alerts.known());
    let mut raised: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for alert in alerts.into_iter().flatten().filter(|alert| !alert.dismissed) {
        *raised.entry((&alert.level, &alert.klass)).or_default() += 1;
    }
    let mut family = page.family("hardstand_truenas_alerts", Kind::Gauge, "Alerts of TrueNAS that are not dismissed.");
    for ((level, klass), count) in raised {
        family.sample(&[("klass", klass), ("level", level)], f64::from(count));
    }
    let dismissed = alerts.map(|all| all.iter().filter(|alert| alert.dismissed).count());
    page.family("hardstand_truenas_alerts_dismissed", Kind::Gauge, "Alerts of TrueNAS that a person put away.")
        .optional(&[], dismissed.map(|count| count as f64));
}

fn tasks(page: &mut Page, nas: Option<&TrueNas>) {
    let replications = || nas.and_then(|nas| nas.replications.known()).into_iter().flatten();
    let mut states = page.family("hardstand_truenas_replication_state", Kind::Gauge, "State of a replication.");
    for task in replications() {
        if let Some(state) = &task.state {
            states.states(&[("task", &task.name)], "state", &TASK_STATES, state);
        }
    }
    let help = "When a replication ended well, by the clock of TrueNAS.";
    let mut ended = page.family("hardstand_truenas_replication_last_success_timestamp_seconds", Kind::Gauge, help);
    for task in replications().filter(|task| task.state.as_deref() == Some("FINISHED")) {
        ended.optional(&[("task", &task.name)], task.since_unix_seconds.map(|at| at as f64));
    }
}
