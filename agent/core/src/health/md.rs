//! Has every array of disks its redundancy?
//!
//! It must never take an array for whole that does not say how many devices it lacks, where it should.

use std::collections::BTreeSet;

use super::{Court, Gate, Severity};
use crate::history::Thing;
use crate::observed::MdArray;

/// Levels that have no redundancy to lose, and a set of which others are cut.
const WITHOUT_REDUNDANCY: [&str; 3] = ["raid0", "linear", "container"];
/// States in which an array serves what is asked of it.
const SERVES: [&str; 6] = ["clean", "active", "active-idle", "write-pending", "readonly", "read-auto"];

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(arrays) = seen.md.reading.known() else { return };
    let present: BTreeSet<String> = arrays.iter().map(|array| array.name.clone()).collect();
    for gone in court.history.missing(Thing::Array, &present) {
        let evidence = format!(
            "it was there and is not any more; see: cat /proc/mdstat, or if it was stopped on purpose: hardstand forget \
             array {gone}"
        );
        let summary = format!("array {gone} is gone");
        court.find(("md.array", &gone), Severity::Crit, Gate::Blocks, summary, evidence);
    }
    for array in arrays {
        judge_array(court, array);
    }
}

fn judge_array(court: &mut Court<'_>, array: &MdArray) {
    let name = ("md.array", array.name.as_str());
    let look = format!("see: mdadm --detail /dev/{}", array.name);
    let level = array.level.as_deref().unwrap_or("of no level that is told");
    // The metadata of a set is never active.
    let is_container = array.level.as_deref() == Some("container");
    let (severity, why) = match (array.state.as_deref(), array.degraded) {
        (None, _) => (Severity::Unknown, "its state is not told".to_owned()),
        (Some(state), _) if !SERVES.contains(&state) && !is_container => {
            let severity = if ["inactive", "suspended", "broken", "clear"].contains(&state) {
                Severity::Crit
            } else {
                Severity::Unknown
            };
            (severity, format!("it is {state}"))
        }
        (_, Some(0)) => match under_way(array) {
            Some(why) => (Severity::Warn, why),
            None => return court.ok(name, format!("{level}, whole")),
        },
        (_, Some(lacking)) => {
            let all = array.raid_disks.map_or_else(String::new, |all| format!(" of {all}"));
            let under_way = under_way(array).map_or_else(String::new, |why| format!(", {why}"));
            (Severity::Crit, format!("it lacks {lacking}{all} devices{under_way}"))
        }
        (_, None) if WITHOUT_REDUNDANCY.contains(&level) => return court.ok(name, level.to_owned()),
        (_, None) => (Severity::Unknown, "it does not tell how many devices it lacks".to_owned()),
    };
    let faulty: Vec<&str> =
        array.devices.iter().filter(|(_, state)| is_faulty(state)).map(|(dev, _)| dev.as_str()).collect();
    let faulty = if faulty.is_empty() { String::new() } else { format!("; faulty: {}", super::names(faulty)) };
    let summary = format!("array {}: {why}", array.name);
    court.find(name, severity, Gate::Blocks, summary, format!("{level}: {why}{faulty}; {look}"));
}

fn is_faulty(state: &Option<String>) -> bool {
    state.as_deref().is_some_and(|state| state.split(',').any(|word| word == "faulty"))
}

/// What is being copied: an array that is checked loses nothing by a reboot, one that is made whole does.
fn under_way(array: &MdArray) -> Option<String> {
    let what = match array.action.as_deref() {
        Some(action @ ("resync" | "recover" | "reshape")) => action,
        _ => return None,
    };
    let done = array.progress.map_or_else(String::new, |share| format!(", {:.0} % done", share * 100.0));
    Some(format!("{what} is under way{done}"))
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::super::tests::well;
    use super::*;
    use crate::{History, Sample, Settings};

    fn array(change: impl FnOnce(&mut MdArray)) -> MdArray {
        let text = |text: &str| Some(text.to_owned());
        let mut array = MdArray {
            name: "md0".to_owned(),
            level: text("raid1"),
            state: text("clean"),
            raid_disks: Some(2),
            degraded: Some(0),
            action: text("idle"),
            ..MdArray::default()
        };
        change(&mut array);
        array
    }

    fn found(history: &mut History, arrays: Vec<MdArray>) -> Option<(Severity, Gate, String)> {
        let mut seen = well(0.0);
        seen.md = Sample::fresh(arrays, 0.0);
        let health = judge(&seen, &Settings::default(), history);
        let found = health.findings.into_iter().find(|finding| finding.check == "md.array")?;
        Some((found.severity, found.gate, found.evidence))
    }

    #[test]
    fn every_state_of_an_array_counts() {
        type Change = fn(&mut MdArray);
        let cases: [(Change, Severity); 12] = [
            (|_| {}, Severity::Ok),
            (|array| array.action = Some("check".to_owned()), Severity::Ok),
            (|array| array.action = Some("resync".to_owned()), Severity::Warn),
            (|array| array.degraded = Some(1), Severity::Crit),
            (|array| array.degraded = None, Severity::Unknown),
            (|array| array.state = None, Severity::Unknown),
            (|array| array.state = Some("inactive".to_owned()), Severity::Crit),
            (|array| array.state = Some("broken".to_owned()), Severity::Crit),
            (|array| array.state = Some("odd".to_owned()), Severity::Unknown),
            (|array| (array.level, array.degraded) = (Some("raid0".to_owned()), None), Severity::Ok),
            (|array| (array.level, array.degraded) = (None, None), Severity::Unknown),
            (
                |array| {
                    array.level = Some("container".to_owned());
                    (array.state, array.degraded) = (Some("inactive".to_owned()), None);
                },
                Severity::Ok,
            ),
        ];
        for (index, (change, severity)) in cases.into_iter().enumerate() {
            let (told, gate, evidence) = found(&mut History::default(), vec![array(change)]).unwrap();
            assert_eq!((told, gate == Gate::Blocks), (severity, severity != Severity::Ok), "{index}: {evidence}");
        }
    }

    #[test]
    fn a_degraded_array_says_what_it_lacks_and_how_far_it_is() {
        let sick = array(|array| {
            (array.degraded, array.action, array.progress) = (Some(1), Some("recover".to_owned()), Some(0.25));
            array.devices = vec![("sda1".to_owned(), Some("faulty,write_error".to_owned()))];
        });
        let (_, _, evidence) = found(&mut History::default(), vec![sick]).unwrap();
        let expected = "raid1: it lacks 1 of 2 devices, recover is under way, 25 % done; faulty: sda1; see: mdadm \
                        --detail /dev/md0";
        assert_eq!(evidence, expected);
    }

    #[test]
    fn an_array_that_is_gone_is_missed_until_it_is_forgotten() {
        let mut history = History::default();
        found(&mut history, vec![array(|_| {})]);
        assert_eq!(found(&mut history, Vec::new()).map(|found| found.0), Some(Severity::Crit));
        assert!(history.forget(Thing::Array, "md0"));
        assert_eq!(found(&mut history, Vec::new()), None);
    }
}
