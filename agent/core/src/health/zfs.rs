//! Does every pool stand that was imported before?
//!
//! It must never let a pool go unmissed: the kernel tells only of those that are imported.

use std::collections::BTreeSet;

use super::{Court, Gate, Severity};
use crate::history::Thing;
use crate::observed::ZfsPool;
use crate::settings::Expected;

/// States in which a pool does not work, or not with all it should have. Another one is not known, and unknown.
const SICK: [&str; 7] = ["DEGRADED", "FAULTED", "OFFLINE", "REMOVED", "UNAVAIL", "SUSPENDED", "SPLIT"];

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(zfs) = seen.zfs.reading.known() else { return };
    let pools = zfs.as_deref().unwrap_or_default();
    court.expected("zfs.expected", Expected::Zfs, "pools", pools.len(), "see: zpool import");
    missing(court, pools);
    for pool in pools {
        judge_pool(court, pool);
    }
}

fn missing(court: &mut Court<'_>, pools: &[ZfsPool]) {
    let present: BTreeSet<String> = pools.iter().map(|pool| pool.name.clone()).collect();
    for gone in court.history.missing(Thing::Pool, &present) {
        let evidence = format!(
            "it was imported and is not any more; see: zpool import, or if it was exported on purpose: hardstand forget \
             pool {gone}"
        );
        let summary = format!("pool {gone} is gone");
        court.find(("zfs.pool", &gone), Severity::Crit, Gate::Blocks, summary, evidence);
    }
}

fn judge_pool(court: &mut Court<'_>, pool: &ZfsPool) {
    let name = ("zfs.pool", pool.name.as_str());
    let (severity, seen) = match pool.state.as_deref() {
        Some("ONLINE") => return court.ok(name, "ONLINE"),
        Some(state) if SICK.contains(&state) => (Severity::Crit, state),
        Some(state) => (Severity::Unknown, state),
        None => (Severity::Unknown, "in a state that cannot be read"),
    };
    let evidence = format!("the kernel's module calls it {seen}; see: zpool status {}", pool.name);
    court.find(name, severity, Gate::Blocks, format!("pool {} {seen}", pool.name), evidence);
}

#[cfg(test)]
mod tests {
    use super::super::tests::well;
    use super::super::{Health, judge};
    use super::*;
    use crate::observed::Observed;
    use crate::{Finding, History, Sample, Settings};

    fn pools(seconds: f64, pools: &[(&str, Option<&str>)]) -> Observed {
        let pool = |(name, state): &(&str, Option<&str>)| ZfsPool {
            name: (*name).to_owned(),
            state: state.map(str::to_owned),
        };
        let mut seen = well(seconds);
        seen.zfs = Sample::fresh(Some(pools.iter().map(pool).collect()), 0.0);
        seen
    }

    fn named<'a>(health: &'a Health, check: &str, subject: &str) -> Option<&'a Finding> {
        health.findings.iter().find(|finding| finding.check == check && finding.subject == subject)
    }

    #[test]
    fn every_state_but_online_blocks() {
        let judged = |state| {
            let seen = pools(0.0, &[("tank", state), ("other", Some("ONLINE"))]);
            let health = judge(&seen, &Settings::default(), &mut History::default());
            named(&health, "zfs.pool", "tank").map(|found| (found.severity, found.gate)).unwrap()
        };
        assert_eq!(judged(Some("ONLINE")), (Severity::Ok, Gate::None));
        for state in ["DEGRADED", "FAULTED", "OFFLINE", "REMOVED", "UNAVAIL", "SUSPENDED", "SPLIT"] {
            assert_eq!(judged(Some(state)), (Severity::Crit, Gate::Blocks), "{state}");
        }
        for state in [Some("UNKNOWN"), Some("online"), Some("ONLIN"), Some("HEALTHY"), None] {
            assert_eq!(judged(state), (Severity::Unknown, Gate::Blocks), "{state:?}");
        }
    }

    #[test]
    fn a_pool_that_is_gone_is_missed_until_it_is_forgotten_or_back() {
        let mut history = History::default();
        let severity = |seen: &Observed, history: &mut History| {
            let health = judge(seen, &Settings::default(), history);
            named(&health, "zfs.pool", "tank").map(|found| found.severity)
        };
        let there = [("tank", Some("ONLINE"))];
        assert_eq!(severity(&pools(0.0, &there), &mut history), Some(Severity::Ok));
        assert_eq!(severity(&pools(10.0, &[]), &mut history), Some(Severity::Crit));
        assert_eq!(severity(&well(20.0), &mut history), Some(Severity::Crit), "the module is gone as well");
        assert_eq!(severity(&pools(30.0, &there), &mut history), Some(Severity::Ok));
        assert_eq!(severity(&pools(40.0, &[]), &mut history), Some(Severity::Crit));
        assert!(history.forget(Thing::Pool, "tank"));
        assert_eq!(severity(&pools(50.0, &[]), &mut history), None);
    }

    #[test]
    fn declared_and_not_there_is_critical() {
        let mut settings = Settings::default();
        settings.node.expect = vec![Expected::Zfs];
        let severity = |seen: &Observed| {
            let health = judge(seen, &settings, &mut History::default());
            named(&health, "zfs.expected", "zfs").unwrap().severity
        };
        assert_eq!(severity(&well(0.0)), Severity::Crit);
        assert_eq!(severity(&pools(0.0, &[])), Severity::Crit);
        assert_eq!(severity(&pools(0.0, &[("tank", Some("ONLINE"))])), Severity::Ok);
    }
}
