//! What is remembered, for how long, and what a reboot leaves of it.

use super::*;

fn at(history: &mut History, boottime_seconds: f64) {
    history.begin(Moment { boottime_seconds, unix_seconds: 1_000 + boottime_seconds as u64 }, Some("one"));
}

#[test]
fn a_rise_is_remembered_for_its_window_and_no_longer() {
    let mut history = History::default();
    at(&mut history, 0.0);
    assert_eq!(history.risen("c", 40, 100.0, false), 0);
    at(&mut history, 10.0);
    assert_eq!(history.risen("c", 43, 100.0, false), 3);
    at(&mut history, 100.0);
    assert_eq!(history.risen("c", 43, 100.0, false), 3);
    at(&mut history, 111.0);
    assert_eq!(history.risen("c", 43, 100.0, false), 0);
}

#[test]
fn a_counter_that_fell_was_reset() {
    let mut history = History::default();
    at(&mut history, 0.0);
    history.risen("c", 40, 100.0, false);
    assert_eq!(history.risen("c", 2, 100.0, false), 2);
}

#[test]
fn a_condition_starts_anew_after_a_break() {
    let mut history = History::default();
    at(&mut history, 0.0);
    assert_eq!(history.held_for("k", true), Some(0.0));
    at(&mut history, 60.0);
    assert_eq!(history.held_for("k", true), Some(60.0));
    assert_eq!(history.held_for("k", false), None);
    assert_eq!(history.held_for("k", true), Some(0.0));
}

#[test]
fn a_reboot_drops_the_kernels_counters_and_keeps_the_devices() {
    let mut history = History::default();
    at(&mut history, 500.0);
    history.risen("kernel", 5, 1_000.0, true);
    history.risen_on_device("device", 7, 1_000.0);
    history.risen_on_device("device", 9, 1_000.0);
    history.begin(Moment { boottime_seconds: 3.0, unix_seconds: 2_000 }, Some("two"));
    assert_eq!(history.risen("kernel", 1, 1_000.0, true), 1, "the old five are gone");
    assert_eq!(history.risen_on_device("device", 9, 1_000.0), 2, "the old two count as seen at boot");
}

#[test]
fn a_falling_value_is_extrapolated_once_it_was_watched_long_enough() {
    let mut history = History::default();
    at(&mut history, 0.0);
    assert_eq!(history.empty_in("fs", 1_000.0, 3_600.0), None);
    at(&mut history, 1_800.0);
    assert_eq!(history.empty_in("fs", 900.0, 3_600.0), None);
    at(&mut history, 3_600.0);
    assert_eq!(history.empty_in("fs", 800.0, 3_600.0), Some(14_400.0));
    at(&mut history, 3_900.0);
    assert_eq!(history.empty_in("fs", 1_000.0, 3_600.0), None, "freed again");
}

#[test]
fn a_collector_that_was_away_for_a_while_takes_nothing_with_it() {
    let mut history = History::default();
    for seconds in [0.0, 10.0, 20.0] {
        at(&mut history, seconds);
        // Away in the pass at 10 s.
        if seconds != 10.0 {
            assert_eq!(history.held_for("k", true), Some(seconds));
            assert_eq!(history.risen("c", 5, 10_000.0, true), 5, "five once, not five again");
        }
        history.end();
    }
    at(&mut history, 20.0 + KEEP_UNTOUCHED_SECONDS + 1.0);
    history.end();
    assert!(history.conditions.is_empty() && history.counters.is_empty() && history.last_touched.is_empty());
}

#[test]
fn history_survives_being_written_and_read() {
    let mut history = History::default();
    at(&mut history, 0.0);
    history.risen("c", 40, 100.0, true);
    history.since("check", "subject", Severity::Warn);
    let text = serde_json::to_string(&history).unwrap();
    let mut read: History = serde_json::from_str(&text).unwrap();
    at(&mut read, 10.0);
    assert_eq!(read.since("check", "subject", Severity::Warn), 1_000);
    assert_eq!(read.risen("c", 41, 100.0, true), 41);
}

#[test]
fn a_finding_is_known_for_its_time_and_as_bad_as_it_was() {
    let mut history = History::default();
    at(&mut history, 0.0);
    assert!(!history.acknowledge("check", "subject", "known", 60), "nothing was found yet");
    history.since("check", "subject", Severity::Warn);
    history.since("check", "well", Severity::Ok);
    assert!(history.acknowledge("check", "subject", "known", 60));
    assert!(!history.acknowledge("check", "well", "known", 60));
    let known = |history: &History, severity| history.acknowledgement("check", "subject", severity).is_some();
    assert!(known(&history, Severity::Warn));
    assert!(!known(&history, Severity::Crit), "worse than it was");
    assert!(!known(&history, Severity::Info), "nothing to be told");
    at(&mut history, 59.0);
    assert!(known(&history, Severity::Warn));
    at(&mut history, 60.0);
    assert!(!known(&history, Severity::Warn));
    history.end();
    assert!(history.acknowledged.is_empty());
    at(&mut history, 61.0);
    history.since("check", "subject", Severity::Warn);
    assert!(history.acknowledge("check", "subject", "known", 60));
    assert!(history.acknowledge("check", "subject", "", 0), "and taken back");
    assert!(!known(&history, Severity::Warn) && !history.acknowledge("check", "subject", "", 0));
}
