//! Tests of the parser of iscsiadm: every level of detail, cut short, damaged, and samples that may lie beside.

use hardstand_core::standing::{Report, Standing, worst};

use super::*;
use crate::host::feed_damaged;

const GOOD: &str = "\
iSCSI Transport Class version 2.0-870
version 2.1.9
Target: iqn.2020-01.lab:one (non-flash)
\tCurrent Portal: 192.0.2.1:3260,1
\tPersistent Portal: 192.0.2.1:3260,1
\t\t**********
\t\tInterface:
\t\t**********
\t\tIface Name: default
\t\tIface Transport: tcp
\t\tSID: 3
\t\tiSCSI Connection State: LOGGED IN
\t\tiSCSI Session State: LOGGED_IN
\t\tInternal iscsid Session State: NO CHANGE
\t\t*********
\t\tTimeouts:
\t\t*********
\t\tRecovery Timeout: 120
\t\t*****
\t\tCHAP:
\t\t*****
\t\tusername: someone
\t\tpassword: ********
\t\t************************
\t\tNegotiated iSCSI params:
\t\t************************
\t\tHeaderDigest: None
\t\tMaxOutstandingR2T: 1
\t\t************************
\t\tAttached SCSI devices:
\t\t************************
\t\tHost Number: 5\tState: running
\t\tscsi5 Channel 00 Id 0 Lun: 0
\t\tscsi5 Channel 00 Id 0 Lun: 1
\t\t\tAttached scsi disk sdb\t\tState: running
";

fn state(text: &str) -> Standing {
    parse(text).map_or(Standing::Unknown, |told| worst(&told.subjects()))
}

fn why(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// The report at the level below, which ends before this line.
fn up_to<'a>(text: &'a str, line: &str) -> &'a str {
    &text[..text.find(line).unwrap()]
}

#[test]
fn a_session_is_read_whole() {
    let told = parse(GOOD).unwrap();
    let text = |text: &str| Some(text.to_owned());
    let device = |lun: u64, disk: Option<&str>| IscsiDevice {
        address: format!("5:0:0:{lun}"),
        lun,
        disk: disk.map(str::to_owned),
        state: disk.and(text("running")),
    };
    let session = IscsiSession {
        sid: Some(3),
        target: "iqn.2020-01.lab:one".to_owned(),
        portal: text("192.0.2.1:3260,1"),
        interface: text("default"),
        connection_state: text("LOGGED IN"),
        session_state: text("LOGGED_IN"),
        iscsid_state: text("NO CHANGE"),
        host_state: text("running"),
        recovery_timeout_secs: Some(120),
        devices: Some(vec![device(0, None), device(1, Some("sdb"))]),
    };
    assert_eq!(
        told,
        IscsiSessions { tells_iscsid: true, tells_devices: true, sessions: vec![session], complaints: Vec::new() }
    );
    assert_eq!(state(GOOD), Standing::Ok);
    assert!(!format!("{told:?}").contains("someone"), "nothing of CHAP is kept");
}

#[test]
fn levels_that_ask_for_less_stand_by_their_states() {
    let body = &GOOD[GOOD.find("Target").unwrap()..];
    let second = up_to(body, "\t\t************************\n\t\tAttached");
    let first = up_to(body, "\t\t*********\n\t\tTimeouts");
    for text in [first, second] {
        assert_eq!(state(text), Standing::Ok, "{text}");
        assert_eq!(state(&text.replace("LOGGED_IN", "FAILED")), Standing::Failed);
    }
    let flat =
        "tcp: [3] 192.0.2.1:3260,1 iqn.2020-01.lab:one (non-flash)\ntcp: [4] [fd00::1]:3260,1 iqn.2020-01.lab:two\n";
    let told = parse(flat).unwrap();
    assert_eq!(told.sessions[1].portal.as_deref(), Some("[fd00::1]:3260,1"));
    assert_eq!((told.sessions[1].sid, told.sessions[1].target.as_str()), (Some(4), "iqn.2020-01.lab:two"));
    assert_eq!(state(flat), Standing::Unknown, "it tells no states");
}

#[test]
fn sessions_of_one_target_are_told_apart() {
    let block = |sid: u64, state: &str| {
        format!(
            "\t\tIface Name: default\n\t\tSID: {sid}\n\t\tiSCSI Connection State: LOGGED IN\n\
             \t\tiSCSI Session State: {state}\n\t\tInternal iscsid Session State: NO CHANGE\n"
        )
    };
    let portal = |last: u8| format!("\tCurrent Portal: 192.0.2.{last}:3260,1\n");
    let text = format!(
        "Target: iqn.2020-01.lab:one\n{}{}{}{}{}",
        portal(1),
        block(1, "LOGGED_IN"),
        block(2, "LOGGED_IN"),
        portal(2),
        block(3, "FAILED")
    );
    let told = parse(&text).unwrap();
    let read: Vec<_> = told.sessions.iter().map(|session| (session.sid, session.portal.as_deref())).collect();
    let expected = [(1, "192.0.2.1:3260,1"), (2, "192.0.2.1:3260,1"), (3, "192.0.2.2:3260,1")];
    assert_eq!(read, expected.map(|(sid, portal)| (Some(sid), Some(portal))));
    let states: Vec<_> = told.subjects().iter().map(|subject| subject.state).collect();
    assert_eq!(states, [Standing::Ok, Standing::Ok, Standing::Failed]);
}

#[test]
fn a_report_that_breaks_off_is_not_ok() {
    for end in 0..GOOD.trim_end().len() {
        assert_ne!(state(&GOOD[..end]), Standing::Ok, "cut at {end}: {:?}", &GOOD[..end]);
    }
    assert_eq!(state(GOOD.trim_end()), Standing::Ok);
    let two = format!("{GOOD}{}", &GOOD[GOOD.find("Target").unwrap()..].replace("SID: 3", "SID: 4"));
    for end in GOOD.len() + 1..two.trim_end().len() {
        // A word of which not even the first colon has come is nothing yet.
        if two[GOOD.len()..end].contains(':') {
            assert_ne!(state(&two[..end]), Standing::Ok, "cut at {end}");
        }
    }
}

#[test]
fn no_session_is_nothing_and_a_complaint_is_not() {
    let none = parse("iscsiadm: No active sessions.\n").unwrap();
    assert!(none.sessions.is_empty());
    assert_eq!(state("iscsiadm: No active sessions.\n"), Standing::Unknown);
    let stuck = "iscsiadm: can not connect to iSCSI daemon (111)!\n";
    assert_eq!(why(stuck), "parsing iscsiadm -m session: it says: can not connect to iSCSI daemon (111)!");
    assert_eq!(state(&format!("{GOOD}{stuck}")), Standing::Unknown);
}

#[test]
fn broken_output_says_what_is_wrong() {
    let nothing = "parsing iscsiadm -m session: no session in it; is this the output of iscsiadm -m session?";
    for text in ["", "\n\n", "{\"maps\":[]}", "rubbish"] {
        assert_eq!(why(text), nothing, "{text}");
    }
    for (text, expected) in [
        ("SID: 3\n", "line 1: no `Target:` before it"),
        ("Target: a\nSID: x\u{7}3\n", "line 2: \"x3\" is no number of a session"),
        ("Target: a\nSID: 99999999999999999999\n", "line 2: \"99999999999999999999\" is no number of a session"),
        ("Target: a\nSID: 3\nSID: 4\n", "line 3: a second `SID` of one session"),
        (
            "Target: a\nSID: 3\niSCSI Session State: A\niSCSI Session State: B\n",
            "line 4: a second session state of one session",
        ),
        ("Target: a\nscsi5 Channel 00 Id 0 Lun: 1\n", "line 2: no `Attached SCSI devices` before it"),
        ("Target: a\nAttached SCSI devices:\nscsi5 Lun: 1\n", "line 3: \"scsi5 Lun: 1\" names no unit"),
        (
            "Target: a\nAttached SCSI devices:\nAttached scsi disk sdb\n",
            "line 3: \"Attached scsi disk sdb\" is not `Attached scsi disk NAME State: STATE`",
        ),
        ("Target: a\nAttached SCSI devices:\nAttached scsi disk sdb State: running\n", "line 3: no unit before it"),
        ("tcp: [x] 192.0.2.1:3260,1 iqn\n", "line 1: \"tcp: [x] 192.0.2.1:3260,1 iqn\" is no session"),
    ] {
        assert_eq!(why(text), format!("parsing iscsiadm -m session: {expected}"), "{text}");
    }
    feed_damaged(GOOD, |text| drop(parse(text).map(|told| told.subjects())));
}

/// Captures that may lie beside the checkout; they are not ours to ship.
#[test]
fn samples_are_read() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/interfaces/samples/iscsi/iscsiadm-m-session-P3-healthy-and-reopen.txt"
    );
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("no sample at {path}; only our own texts were read");
        return;
    };
    let told = parse(&text).unwrap();
    let states: Vec<_> = told.subjects().iter().map(|subject| (subject.kind, subject.state)).collect();
    let expected = [
        ("session", Standing::Ok),
        ("device", Standing::Ok),
        ("device", Standing::Ok),
        ("session", Standing::Failed),
        ("device", Standing::Ok),
        ("device", Standing::Failed),
    ];
    assert_eq!(states, expected);
}
