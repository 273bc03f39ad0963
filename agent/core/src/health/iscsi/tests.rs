//! Sessions that do not stand, that are gone, that have fewer disks, and those that are declared.

use super::super::tests::{value, well};
use super::super::{Gate, Health, Severity, judge};
use crate::observed::{IscsiDevice, IscsiSession, IscsiSessions, Observed};
use crate::settings::Expected;
use crate::{Finding, History, Sample, Settings, Thing};

fn named<'a>(health: &'a Health, check: &str, subject: &str) -> Option<&'a Finding> {
    health.findings.iter().find(|finding| finding.check == check && finding.subject == subject)
}

/// A session with one disk, `lun` 1.
fn session(portal: &str, state: &str, device: &str) -> IscsiSession {
    let text = |text: &str| Some(text.to_owned());
    let disk = IscsiDevice { address: "5:0:0:1".to_owned(), lun: 1, disk: text("sdb"), state: text(device) };
    IscsiSession {
        sid: Some(3),
        target: "iqn.2020-01.lab:one".to_owned(),
        portal: text(portal),
        connection_state: text("up"),
        session_state: text(state),
        devices: Some(vec![disk]),
        ..IscsiSession::default()
    }
}

fn initiator(seconds: f64, sessions: Vec<IscsiSession>) -> Observed {
    let mut seen = well(seconds);
    seen.iscsi = Sample::fresh(Some(IscsiSessions { tells_devices: true, sessions, ..IscsiSessions::default() }), 0.0);
    seen
}

#[test]
fn a_session_that_does_not_stand_blocks_by_what_it_says() {
    for (state, device, severity) in [
        ("LOGGED_IN", "running", Severity::Ok),
        ("LOGGED_IN", "blocked", Severity::Warn),
        ("FAILED", "running", Severity::Crit),
        ("LOGGED_IN", "transport-offline", Severity::Crit),
        ("PERPLEXED", "running", Severity::Unknown),
    ] {
        let seen = initiator(0.0, vec![session("192.0.2.1:3260,1", state, device)]);
        let health = judge(&seen, &Settings::default(), &mut History::default());
        let found = named(&health, "iscsi.session", "iqn.2020-01.lab:one 192.0.2.1:3260,1").unwrap();
        let gate = if severity == Severity::Ok { Gate::None } else { Gate::Blocks };
        assert_eq!((found.severity, found.gate), (severity, gate), "{state} {device}");
    }
}

#[test]
fn a_session_that_is_gone_is_missed_over_reboots_until_it_is_forgotten() {
    let mut history = History::default();
    let both = ["192.0.2.1:3260,1", "192.0.2.2:3260,1"].map(|portal| session(portal, "LOGGED_IN", "running"));
    judge(&initiator(0.0, both.to_vec()), &Settings::default(), &mut history);
    let gone = "iqn.2020-01.lab:one 192.0.2.2:3260,1";
    for boot in ["one", "two"] {
        let mut seen = initiator(10.0, both[..1].to_vec());
        boot.clone_into(&mut value(&mut seen.kernel).boot_id);
        let health = judge(&seen, &Settings::default(), &mut history);
        let found = named(&health, "iscsi.session", gone).unwrap();
        assert_eq!((found.severity, found.gate), (Severity::Crit, Gate::Blocks), "{boot}");
        assert!(found.evidence.contains(&format!("hardstand forget session '{gone}'")), "{}", found.evidence);
    }
    // All of them, with the kernel's module.
    let health = judge(&well(20.0), &Settings::default(), &mut history);
    assert_eq!(health.findings.iter().filter(|finding| finding.check == "iscsi.session").count(), 2);
    assert!(history.forget(Thing::Session, gone) && !history.forget(Thing::Session, gone));
    let health = judge(&initiator(30.0, both[..1].to_vec()), &Settings::default(), &mut history);
    assert_eq!(health.verdict, Severity::Ok, "{:?}", health.findings.first());
}

#[test]
fn a_session_that_is_being_logged_in_is_not_missed_by_half_its_name() {
    let whole = session("192.0.2.1:3260,1", "LOGGED_IN", "running");
    let mut history = History::default();
    for half in [
        IscsiSession { target: String::new(), portal: None, ..whole.clone() },
        IscsiSession { target: String::new(), ..whole.clone() },
        IscsiSession { portal: None, ..whole.clone() },
    ] {
        judge(&initiator(0.0, vec![half]), &Settings::default(), &mut history);
    }
    let health = judge(&initiator(10.0, vec![whole]), &Settings::default(), &mut history);
    assert_eq!(health.verdict, Severity::Ok, "{:?}", health.findings.first());
}

#[test]
fn a_disk_that_left_its_session_is_missed_until_the_next_boot() {
    let mut history = History::default();
    let whole = session("192.0.2.1:3260,1", "LOGGED_IN", "running");
    let mut more = whole.clone();
    let second = IscsiDevice {
        address: "5:0:0:2".to_owned(),
        lun: 2,
        disk: Some("sdc".to_owned()),
        state: Some("running".to_owned()),
    };
    more.devices.as_mut().unwrap().push(second);
    judge(&initiator(0.0, vec![more]), &Settings::default(), &mut history);
    let health = judge(&initiator(10.0, vec![whole]), &Settings::default(), &mut history);
    let found = named(&health, "iscsi.disks", "iqn.2020-01.lab:one 192.0.2.1:3260,1").unwrap();
    assert_eq!((found.severity, found.gate), (Severity::Crit, Gate::Blocks));
    assert!(found.summary.ends_with("has 1 of 2 disks"), "{}", found.summary);
}

#[test]
fn what_is_declared_and_missing_is_critical() {
    let mut settings = Settings::default();
    let expected = |seen: &Observed, settings: &Settings| {
        let health = judge(seen, settings, &mut History::default());
        named(&health, "iscsi.expected", "iscsi-initiator").map(|found| (found.severity, found.gate))
    };
    assert_eq!(expected(&well(0.0), &settings), None);
    settings.node.expect = vec![Expected::IscsiInitiator];
    assert_eq!(expected(&well(0.0), &settings), Some((Severity::Crit, Gate::Blocks)));
    assert_eq!(expected(&initiator(0.0, Vec::new()), &settings), Some((Severity::Crit, Gate::Blocks)));
    let one = initiator(0.0, vec![session("192.0.2.1:3260,1", "LOGGED_IN", "running")]);
    assert_eq!(expected(&one, &settings), Some((Severity::Ok, Gate::None)));
}

#[test]
fn two_sessions_to_one_portal_are_two() {
    let twin = |state| session("192.0.2.1:3260,1", state, "running");
    let mut history = History::default();
    let seen = initiator(0.0, vec![twin("LOGGED_IN"), twin("FAILED")]);
    let health = judge(&seen, &Settings::default(), &mut history);
    let severity = |health: &Health, subject| named(health, "iscsi.session", subject).map(|found| found.severity);
    assert_eq!(severity(&health, "iqn.2020-01.lab:one 192.0.2.1:3260,1"), Some(Severity::Ok));
    assert_eq!(severity(&health, "iqn.2020-01.lab:one 192.0.2.1:3260,1 #2"), Some(Severity::Crit));
    let health = judge(&initiator(10.0, vec![twin("LOGGED_IN")]), &Settings::default(), &mut history);
    assert_eq!(severity(&health, "iqn.2020-01.lab:one 192.0.2.1:3260,1 #2"), Some(Severity::Crit), "one is gone");
}
