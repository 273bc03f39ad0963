//! Tests of the parser of needrestart's batch output: every key, cut short, damaged, and a sample beside.

use hardstand_core::standing::{Report, Standing, worst};

use super::*;
use crate::host::feed_damaged;

const CURRENT: &str = "\
NEEDRESTART-VER: 3.8
NEEDRESTART-KCUR: 6.12.1-lab
NEEDRESTART-KEXP: 6.12.1-lab
NEEDRESTART-KSTA: 1
";

const BUSY: &str = "\
NEEDRESTART-VER: 3.8
NEEDRESTART-KCUR: 6.12.1-lab
NEEDRESTART-KEXP: 6.12.2-lab
NEEDRESTART-KSTA: 3
NEEDRESTART-UCSTA: 2
NEEDRESTART-UCCUR: 0x00f4
NEEDRESTART-UCEXP: 0x00f8
NEEDRESTART-SVC: one.service
NEEDRESTART-SVC: user@1000.service
NEEDRESTART-CONT: LXC web
NEEDRESTART-SESS: someone @ session #4
NEEDRESTART-PID: 4711=/usr/bin/thing
";

fn state(text: &str) -> Standing {
    parse(text).map_or(Standing::Unknown, |told| worst(&told.subjects()))
}

#[test]
fn every_key_is_read() {
    let text = |text: &str| Some(text.to_owned());
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let expected = Needrestart {
        version: "3.8".to_owned(),
        kernel: text("6.12.1-lab"),
        expected_kernel: text("6.12.2-lab"),
        kernel_state: Some(3),
        microcode: text("0x00f4"),
        expected_microcode: text("0x00f8"),
        microcode_state: Some(2),
        services: list(&["one.service", "user@1000.service"]),
        containers: list(&["LXC web"]),
        sessions: list(&["someone @ session #4"]),
        processes: list(&["4711=/usr/bin/thing"]),
        others: Vec::new(),
    };
    assert_eq!(parse(BUSY).unwrap(), expected);
    assert_eq!(state(BUSY), Standing::Degraded);
    assert_eq!(state(CURRENT), Standing::Ok);
    assert_eq!(state(&format!("{CURRENT}NEEDRESTART-NEW: thing\n")), Standing::Unknown);
    assert_eq!(state(&format!("{CURRENT}NEEDRESTART-SVC: a.service\n")), Standing::Degraded);
}

#[test]
fn a_report_that_breaks_off_is_not_ok() {
    for end in 0..CURRENT.trim_end().len() {
        assert_ne!(state(&CURRENT[..end]), Standing::Ok, "cut at {end}");
    }
    for line in CURRENT.lines().filter(|line| !line.contains("-KCUR") && !line.contains("-KEXP")) {
        assert_ne!(state(&CURRENT.replace(line, "")), Standing::Ok, "without {line}");
    }
}

#[test]
fn broken_output_says_what_is_wrong() {
    let why = |text: &str| parse(text).unwrap_err().to_string();
    for (text, expected) in [
        ("", "no version in it; is this the output of needrestart -b?"),
        ("NEEDRESTART-KSTA: 1\n", "no version in it; is this the output of needrestart -b?"),
        ("rub\u{7}bish\n", "line 1: \"rubbish\" is not `NEEDRESTART-KEY: VALUE`"),
        ("NEEDRESTART-VER: 3\nNEEDRESTART-SV", "line 2: \"NEEDRESTART-SV\" is not `NEEDRESTART-KEY: VALUE`"),
        ("NEEDRESTART-VER: 3\nNEEDRESTART-SVC:\n", "line 2: SVC without a value"),
        ("NEEDRESTART-VER: 3\nNEEDRESTART-VER: 3\n", "line 2: a second VER"),
        ("NEEDRESTART-VER: 3\nNEEDRESTART-KSTA: +1\n", "line 2: \"+1\" is not a number"),
    ] {
        assert_eq!(why(text), format!("parsing needrestart -b: {expected}"), "{text}");
    }
    feed_damaged(BUSY, |text| {
        assert_ne!(state(text), Standing::Ok, "{text:?}");
    });
}

/// A capture that may lie beside the checkout; it is not ours to ship.
#[test]
fn samples_are_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/interfaces/samples/misc/needrestart-b.txt");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("no sample at {path}; only our own texts were read");
        return;
    };
    let told = parse(&text).unwrap();
    assert_eq!((told.services.len(), told.containers.len(), told.sessions.len()), (2, 1, 2));
    assert_eq!((told.kernel_state, state(&text)), (Some(1), Standing::Degraded));
}
