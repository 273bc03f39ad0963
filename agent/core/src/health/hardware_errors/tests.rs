//! Errors over passes, restarts and reboots.

use super::super::tests::well;
use super::super::{Health, judge};
use super::*;
use crate::observed::HardwareErrors;
use crate::{History, Sample, Settings};

fn bank(sequence: u64, severity: ErrorSeverity) -> HardwareError {
    HardwareError { sequence, origin: ErrorOrigin::Processor { socket: Some(1), bank: 7 }, severity }
}

fn dimm(sequence: u64, severity: ErrorSeverity) -> HardwareError {
    part(sequence, severity, "memory error")
}

fn part(sequence: u64, severity: ErrorSeverity, section: &str) -> HardwareError {
    let origin = ErrorOrigin::Firmware { fru: "A1".to_owned(), section: section.to_owned() };
    HardwareError { sequence, origin, severity }
}

fn pass(history: &mut History, seconds: f64, errors: &[HardwareError]) -> Health {
    pass_of(history, seconds, 0, 1_000, errors)
}

fn pass_of(history: &mut History, seconds: f64, first: u64, next: u64, errors: &[HardwareError]) -> Health {
    let mut seen = well(seconds);
    let log = HardwareErrors { first, next, errors: errors.to_vec() };
    seen.hardware_errors = Sample::fresh(log, 0.0);
    judge(&seen, &Settings::default(), history)
}

fn worst(health: &Health, check: &str) -> (Severity, Gate, String) {
    let finding = health.findings.iter().find(|finding| finding.check == check).unwrap();
    (finding.severity, finding.gate, finding.evidence.clone())
}

#[test]
fn a_log_without_errors_is_well() {
    let health = pass(&mut History::default(), 0.0, &[]);
    for check in ["cpu.machine_check", "firmware.errors", "kernel.log"] {
        assert_eq!(worst(&health, check).0, Severity::Ok, "{check}");
    }
    assert_eq!(health.errors, []);
}

#[test]
fn a_corrected_machine_check_warns_for_an_hour_and_counts_once() {
    let mut history = History::default();
    let error = bank(10, ErrorSeverity::Corrected);
    for seconds in [0.0, 10.0, 3_000.0] {
        let health = pass(&mut history, seconds, std::slice::from_ref(&error));
        let (severity, gate, evidence) = worst(&health, "cpu.machine_check");
        assert_eq!((severity, gate), (Severity::Warn, Gate::Warns), "{seconds}");
        assert!(evidence.starts_with("1 machine checks in the last hour, 1 corrected and 0 deferred"), "{evidence}");
        assert_eq!(health.errors[0].count, 1);
    }
    let health = pass(&mut history, 3_700.0, std::slice::from_ref(&error));
    assert_eq!(worst(&health, "cpu.machine_check").0, Severity::Ok, "{:?}", health.findings);
    assert_eq!(health.errors[0].count, 1, "still told in the metrics");
}

#[test]
fn counts_outlast_a_restart_of_the_agent_and_not_a_reboot() {
    let mut history = History::default();
    pass(&mut history, 0.0, &[bank(10, ErrorSeverity::Corrected), bank(20, ErrorSeverity::Corrected)]);
    let text = serde_json::to_string(&history).unwrap();
    let mut history: History = serde_json::from_str(&text).unwrap();
    // The ring has gone on: the first of them is not in it any more.
    let health = pass_of(&mut history, 60.0, 15, 1_010, &[bank(20, ErrorSeverity::Corrected)]);
    assert_eq!(health.errors[0].count, 2);

    let mut seen = well(120.0);
    let mut kernel = seen.kernel.reading.known().unwrap().clone();
    kernel.boot_id = "another".to_owned();
    seen.kernel = Sample::fresh(kernel, 0.0);
    let log = HardwareErrors { first: 0, next: 500, errors: vec![bank(5, ErrorSeverity::Uncorrected)] };
    seen.hardware_errors = Sample::fresh(log, 0.0);
    let health = judge(&seen, &Settings::default(), &mut history);
    assert_eq!(health.errors.len(), 1, "{:?}", health.errors);
    assert_eq!((health.errors[0].severity, health.errors[0].count), (ErrorSeverity::Uncorrected, 1));
}

#[test]
fn what_is_lost_blocks_until_the_next_boot() {
    for severity in [ErrorSeverity::Uncorrected, ErrorSeverity::Fatal, ErrorSeverity::Other] {
        let mut history = History::default();
        for seconds in [0.0, 90_000.0] {
            let health = pass(&mut history, seconds, &[bank(10, severity), dimm(20, severity)]);
            for check in ["cpu.machine_check", "firmware.errors"] {
                let (severity, gate, _) = worst(&health, check);
                assert_eq!((severity, gate), (Severity::Crit, Gate::Blocks), "{check} {severity:?}");
            }
        }
    }
}

#[test]
fn the_firmware_may_correct_a_few_and_a_device_may_lose_a_transaction() {
    let corrected: Vec<_> = (0..9).map(|number| dimm(number, ErrorSeverity::Corrected)).collect();
    let mut history = History::default();
    assert_eq!(worst(&pass(&mut history, 0.0, &corrected), "firmware.errors").0, Severity::Ok);
    let more: Vec<_> = (0..10).map(|number| dimm(2_000 + number, ErrorSeverity::Corrected)).collect();
    let (severity, _, evidence) = worst(&pass_of(&mut history, 60.0, 0, 3_000, &more), "firmware.errors");
    assert_eq!(severity, Severity::Warn);
    assert!(evidence.starts_with("19 corrected errors in 24 h; plan to replace the part"), "{evidence}");

    let device = [part(1, ErrorSeverity::Uncorrected, "PCIe error")];
    assert_eq!(worst(&pass(&mut History::default(), 0.0, &device), "firmware.errors").0, Severity::Warn);
    let fatal = [part(1, ErrorSeverity::Fatal, "PCIe error")];
    assert_eq!(worst(&pass(&mut History::default(), 0.0, &fatal), "firmware.errors").0, Severity::Crit);
}

#[test]
fn lines_that_nobody_read_are_told() {
    let mut history = History::default();
    pass_of(&mut history, 0.0, 700, 1_000, &[]);
    let (severity, _, evidence) = worst(&pass_of(&mut history, 60.0, 1_250, 2_000, &[]), "kernel.log");
    assert_eq!(severity, Severity::Info);
    assert!(evidence.starts_with("250 lines were overwritten before they were read"), "{evidence}");
    assert_eq!(worst(&pass_of(&mut history, 120.0, 1_300, 2_000, &[]), "kernel.log").0, Severity::Ok);
}

#[test]
fn while_the_log_cannot_be_read_what_was_counted_is_kept() {
    let mut history = History::default();
    pass(&mut history, 0.0, &[bank(10, ErrorSeverity::Corrected)]);
    let mut seen = well(10.0);
    seen.hardware_errors = Sample::never("the helper is away");
    let health = judge(&seen, &Settings::default(), &mut history);
    assert_eq!(health.errors[0].count, 1);
    assert!(health.findings.iter().all(|finding| finding.check != "cpu.machine_check"), "it is not known");
}
