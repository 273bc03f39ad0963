//! Sensors, supplies and the log, one thing made wrong at a time.

use super::super::tests::well;
use super::super::{Finding, judge};
use super::*;
use crate::observed::Ipmi;
use crate::{History, Sample, Settings};

fn sensor(name: &str, kind: &str, state: IpmiState, events: &[&str]) -> IpmiSensor {
    let events = events.iter().map(|event| (*event).to_owned()).collect();
    IpmiSensor { name: name.to_owned(), kind: kind.to_owned(), state, reading: None, unit: None, events }
}

fn event(id: u64, state: IpmiState) -> IpmiEvent {
    IpmiEvent {
        id,
        at: "Nov-26-2026 10:00:00".to_owned(),
        name: "Power Supply 2".to_owned(),
        kind: "Power Supply".to_owned(),
        state,
        event: "Power Supply input lost (AC/DC)".to_owned(),
    }
}

fn whole() -> IpmiTold {
    let sensors = vec![
        sensor("CPU1 Temp", "Temperature", IpmiState::Nominal, &["OK"]),
        sensor("PSU 2", "Power Supply", IpmiState::Nominal, &["Presence detected"]),
        sensor("PSU Redundancy", "Power Supply", IpmiState::Nominal, &["Fully Redundant"]),
        sensor("DIMM B4", "Memory", IpmiState::Unread, &[]),
    ];
    IpmiTold { sensors, log: IpmiLog { entries: 3, free_bytes: Some(9_000), ..IpmiLog::default() } }
}

fn findings(history: &mut History, seconds: f64, told: Reading<IpmiTold>) -> Vec<Finding> {
    let mut seen = well(seconds);
    seen.ipmi = Sample::fresh(Some(Ipmi { told }), 0.0);
    let mut findings = judge(&seen, &Settings::default(), history).findings;
    findings.retain(|finding| finding.check.starts_with("ipmi."));
    findings
}

fn found(told: IpmiTold) -> Vec<(String, Severity, Gate)> {
    let mut findings = findings(&mut History::default(), 0.0, Reading::Known(told));
    findings.retain(|finding| finding.severity != Severity::Ok);
    findings.into_iter().map(|finding| (finding.check, finding.severity, finding.gate)).collect()
}

fn changed(change: impl FnOnce(&mut IpmiTold)) -> IpmiTold {
    let mut told = whole();
    change(&mut told);
    told
}

#[test]
fn a_board_that_is_well_is_a_few_rows() {
    assert_eq!(found(whole()), []);
    let rows = findings(&mut History::default(), 0.0, Reading::Known(whole()));
    assert_eq!(rows.len(), 4, "{rows:?}");
    assert!(rows.iter().any(|row| row.evidence == "3 of 4 sensors nominal"), "{rows:?}");
}

#[test]
fn a_sensor_is_as_bad_as_its_state_and_a_power_supply_blocks() {
    type Case = (usize, IpmiState, Severity, Gate);
    let cases: [Case; 5] = [
        (0, IpmiState::Warning, Severity::Warn, Gate::Warns),
        (0, IpmiState::Critical, Severity::Crit, Gate::Warns),
        (0, IpmiState::Other, Severity::Unknown, Gate::Warns),
        (1, IpmiState::Warning, Severity::Warn, Gate::Warns),
        (1, IpmiState::Critical, Severity::Crit, Gate::Blocks),
    ];
    for (place, state, severity, gate) in cases {
        let told = changed(|told| told.sensors[place].state = state);
        assert_eq!(found(told), [("ipmi.sensor".to_owned(), severity, gate)], "{place} {state:?}");
    }
}

#[test]
fn redundancy_that_is_lost_blocks() {
    for words in ["Redundancy Lost", "Redundancy Degraded", "Non-redundant: Insufficient Resources"] {
        let told =
            changed(|told| told.sensors[2] = sensor("PSU Redundancy", "Power Supply", IpmiState::Critical, &[words]));
        assert_eq!(told.psu_redundant(), Some(false), "{words}");
        let expected = ["ipmi.redundancy", "ipmi.sensor"].map(|check| (check.to_owned(), Severity::Crit, Gate::Blocks));
        assert_eq!(found(told), expected);
    }
    assert_eq!(changed(|told| drop(told.sensors.remove(2))).psu_redundant(), None);
}

#[test]
fn a_log_without_room_warns() {
    let warns = [("ipmi.log".to_owned(), Severity::Warn, Gate::None)];
    assert_eq!(found(changed(|told| told.log.free_bytes = Some(511))), warns);
    assert_eq!(found(changed(|told| told.log.dropped = true)), warns);
    assert_eq!(found(changed(|told| told.log.free_bytes = Some(512))), []);
    assert_eq!(found(changed(|told| told.log.free_bytes = None)), []);
}

fn recent(history: &mut History, seconds: f64, events: Vec<IpmiEvent>) -> (Severity, String) {
    let told = changed(|told| told.log.events = events);
    let rows = findings(history, seconds, Reading::Known(told));
    let row = rows.into_iter().find(|row| row.check == "ipmi.event").unwrap();
    (row.severity, row.evidence)
}

#[test]
fn a_critical_event_is_news_once_and_an_old_one_is_none() {
    let mut history = History::default();
    let old = vec![event(1, IpmiState::Critical), event(2, IpmiState::Nominal)];
    assert_eq!(recent(&mut history, 0.0, old.clone()).0, Severity::Ok, "it was there before anybody looked");
    let mut events = [old, vec![event(3, IpmiState::Warning), event(4, IpmiState::Critical)]].concat();
    for seconds in [120.0, 240.0] {
        let (severity, evidence) = recent(&mut history, seconds, events.clone());
        assert_eq!(severity, Severity::Warn);
        let expected = "1 in the last 24 h, last: Power Supply 2, Power Supply input lost (AC/DC) (Nov-26-2026 10:00:00); \
                        see: ipmi-sel --output-event-state";
        assert_eq!(evidence, expected);
    }
    let text = serde_json::to_string(&history).unwrap();
    let mut history: History = serde_json::from_str(&text).unwrap();
    assert_eq!(recent(&mut history, 300.0, events.clone()).1.split(' ').next(), Some("1"), "the next agent knows it");
    assert_eq!(recent(&mut history, 90_000.0, events.clone()).0, Severity::Ok);
    // Cleared: the numbers begin anew, and so does the news.
    events = vec![event(1, IpmiState::Critical)];
    assert_eq!(recent(&mut history, 90_120.0, events).0, Severity::Warn);
    assert_eq!(
        recent(&mut history, 90_240.0, Vec::new()).0,
        Severity::Warn,
        "told for its time although it was cleared"
    );
}

#[test]
fn a_controller_that_cannot_be_asked_is_unknown_and_keeps_no_patch_away() {
    let rows = findings(&mut History::default(), 0.0, Reading::unknown("install freeipmi-tools"));
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].severity, rows[0].gate), (Severity::Unknown, Gate::Warns));
    assert_eq!(rows[0].evidence, "install freeipmi-tools");
}
