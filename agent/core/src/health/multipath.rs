//! Has every multipath map its paths?
//!
//! It must never call one path enough where there were more.

use std::collections::BTreeSet;

use super::{Court, Gate, Severity};
use crate::history::Thing;
use crate::observed::MultipathMap;
use crate::settings::Expected;

const LOOK: &str = "see: multipath -ll";

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(maps) = seen.multipath.reading.known() else { return };
    let maps = maps.as_deref().unwrap_or_default();
    let next = "see: systemctl status multipathd";
    court.expected("multipath.expected", Expected::Multipath, "maps", maps.len(), next);
    let present: BTreeSet<String> = maps.iter().map(|map| map.name.clone()).collect();
    for gone in court.history.missing(Thing::Map, &present) {
        let evidence = format!(
            "it was there and is not any more; {LOOK}, or if it was taken away on purpose: hardstand forget map {gone}"
        );
        let summary = format!("multipath map {gone} is gone");
        court.find(("multipath.map", &gone), Severity::Crit, Gate::Blocks, summary, evidence);
    }
    for map in maps {
        court.stands("multipath.map", &map.subject(), map.dm_state.as_deref().unwrap_or("active"), LOOK);
        paths(court, map);
    }
}

fn paths(court: &mut Court<'_>, map: &MultipathMap) {
    let name = ("multipath.paths", map.name.as_str());
    let active = map.active_paths;
    let most = court.history.best(&format!("multipath paths {}", map.name), active);
    if active == most {
        return court.ok(name, format!("{active} active"));
    }
    // The last one takes the data with it.
    let severity = if active <= 1 { Severity::Crit } else { Severity::Warn };
    let evidence = format!("{active} of the {most} that it had since this boot; {LOOK}");
    court.find(name, severity, Gate::Blocks, format!("{} has {active} of {most} paths", map.name), evidence);
}

#[cfg(test)]
mod tests {
    use super::super::tests::well;
    use super::super::{Health, judge};
    use super::*;
    use crate::observed::{MultipathPath, Observed, PathGroup};
    use crate::{Finding, History, Sample, Settings};

    /// A map of as many paths as there are words; each is the device mapper's.
    fn map(paths: &[&str]) -> MultipathMap {
        let text = |text: &str| Some(text.to_owned());
        let path = |dm: &&str| MultipathPath {
            device: text("sdb"),
            dm_state: text(dm),
            checker_state: text(if *dm == "active" { "ready" } else { "faulty" }),
            device_state: text("running"),
            ..MultipathPath::default()
        };
        let group =
            PathGroup { state: text("active"), paths: paths.iter().map(path).collect(), ..PathGroup::default() };
        let map =
            MultipathMap { name: "mpatha".to_owned(), whole: true, groups: vec![group], ..MultipathMap::default() };
        map.counted()
    }

    fn seen(seconds: f64, maps: Option<Vec<MultipathMap>>) -> Observed {
        let mut seen = well(seconds);
        seen.multipath = Sample::fresh(maps, 0.0);
        seen
    }

    fn named<'a>(health: &'a Health, check: &str) -> Option<&'a Finding> {
        health.findings.iter().find(|finding| finding.check == check && finding.subject == "mpatha")
    }

    #[test]
    fn fewer_paths_than_there_were_block_also_when_those_left_are_well() {
        let mut history = History::default();
        let mut severity = |seconds: f64, paths: &[&str]| {
            let health = judge(&seen(seconds, Some(vec![map(paths)])), &Settings::default(), &mut history);
            let of = |check| named(&health, check).map(|found| (found.severity, found.gate)).unwrap();
            (of("multipath.map"), of("multipath.paths"))
        };
        let well = (Severity::Ok, Gate::None);
        assert_eq!(severity(0.0, &["active", "active", "active"]), (well, well));
        assert_eq!(severity(10.0, &["active", "active"]), (well, (Severity::Warn, Gate::Blocks)));
        assert_eq!(severity(20.0, &["active"]), (well, (Severity::Crit, Gate::Blocks)));
        assert_eq!(
            severity(30.0, &["active", "active", "failed"]),
            ((Severity::Warn, Gate::Blocks), (Severity::Warn, Gate::Blocks))
        );
        assert_eq!(
            severity(40.0, &["failed", "failed", "failed"]),
            ((Severity::Crit, Gate::Blocks), (Severity::Crit, Gate::Blocks))
        );
        assert_eq!(severity(50.0, &["active", "active", "active"]), (well, well));
    }

    #[test]
    fn a_map_that_is_gone_is_missed_until_it_is_forgotten() {
        let mut history = History::default();
        let mut severity = |maps: Option<Vec<MultipathMap>>, forget: bool| {
            if forget {
                assert!(history.forget(Thing::Map, "mpatha"));
            }
            let health = judge(&seen(0.0, maps), &Settings::default(), &mut history);
            named(&health, "multipath.map").map(|found| found.severity)
        };
        assert_eq!(severity(Some(vec![map(&["active"])]), false), Some(Severity::Ok));
        assert_eq!(severity(None, false), Some(Severity::Crit));
        assert_eq!(severity(None, true), None);
    }

    #[test]
    fn declared_and_not_there_is_critical() {
        let mut settings = Settings::default();
        settings.node.expect = vec![Expected::Multipath];
        let health = judge(&seen(0.0, None), &settings, &mut History::default());
        let found = health.findings.iter().find(|finding| finding.check == "multipath.expected").unwrap();
        assert_eq!((found.severity, found.gate), (Severity::Crit, Gate::Blocks));
    }
}
