//! Tests of the parser of the quorum: with and without a device, lost, cut short, damaged, and samples beside.

use hardstand_core::standing::{Report, Standing, worst};

use super::*;
use crate::host::feed_damaged;

const GOOD: &str = "\
Cluster information
-------------------
Name:             lab
Config Version:   4
Transport:        knet
Secure auth:      on

Quorum information
------------------
Date:             Mon Oct  5 21:10:11 2026
Quorum provider:  corosync_votequorum
Nodes:            2
Node ID:          0x00000001
Ring ID:          1.21
Quorate:          Yes

Votequorum information
----------------------
Expected votes:   3
Highest expected: 3
Total votes:      3
Quorum:           2
Flags:            Quorate Qdevice

Membership information
----------------------
    Nodeid      Votes    Qdevice Name
0x00000001          1    A,V,NMW 192.0.2.1 (local)
0x0000000b          1    A,V,NMW 192.0.2.2
0x00000000          1            Qdevice
";

const LOST: &str = "\
Quorum information
------------------
Quorum provider:  corosync_votequorum
Nodes:            1
Node ID:          1
Ring ID:          1/8
Quorate:          No

Votequorum information
----------------------
Expected votes:   2
Highest expected: 2
Total votes:      1
Quorum:           2 Activity blocked
Flags:            

Membership information
----------------------
    Nodeid      Votes Name
         1          1 one (local)
";

fn state(text: &str) -> Standing {
    parse(text).map_or(Standing::Unknown, |quorum| worst(&quorum.subjects()))
}

#[test]
fn a_report_is_read_whole() {
    let quorum = parse(GOOD).unwrap();
    let member = |node_id, name: &str| QuorumMember {
        node_id,
        votes: 1,
        qdevice: if node_id == 0 { Vec::new() } else { ["A", "V", "NMW"].map(str::to_owned).to_vec() },
        name: name.to_owned(),
        local: node_id == 1,
    };
    let expected = Quorum {
        cluster: Some("lab".to_owned()),
        quorate: Some(true),
        blocked: false,
        nodes: Some(2),
        expected_votes: Some(3),
        highest_expected: Some(3),
        total_votes: Some(3),
        quorum_votes: Some(2),
        margin: Some(1),
        two_node: false,
        has_qdevice: true,
        qdevice_votes: Some(1),
        flags: Some(vec!["Quorate".to_owned(), "Qdevice".to_owned()]),
        members: vec![member(1, "192.0.2.1"), member(11, "192.0.2.2"), member(0, "Qdevice")],
    };
    assert_eq!(quorum, expected);
    assert_eq!(state(GOOD), Standing::Ok);
}

#[test]
fn a_lost_quorum_is_failed() {
    let quorum = parse(LOST).unwrap();
    assert_eq!((quorum.quorate, quorum.blocked, quorum.margin), (Some(false), true, Some(-1)));
    assert_eq!((quorum.flags, quorum.qdevice_votes), (Some(Vec::new()), None));
    assert_eq!(state(LOST), Standing::Failed);
}

#[test]
fn words_decide() {
    for (from, to, expected) in [
        ("0x0000000b          1    A,V,NMW", "0x0000000b          1    A,NV,NMW", Standing::Degraded),
        ("0x0000000b          1    A,V,NMW", "0x0000000b          1         NR", Standing::Degraded),
        ("0x0000000b          1    A,V,NMW", "0x0000000b          1    NA,NV,NMW", Standing::Degraded),
        ("A,V,NMW 192.0.2.2", "A,V,ODD 192.0.2.2", Standing::Unknown),
        ("0x0000000b          1    A,V,NMW 192.0.2.2\n", "", Standing::Unknown),
        ("Flags:            Quorate Qdevice\n", "", Standing::Unknown),
        ("Flags:            Quorate Qdevice", "Flags:            Quorate Qdevice Odd", Standing::Unknown),
        ("Flags:            Quorate Qdevice", "Flags:            2Node Quorate WaitForAll Qdevice", Standing::Ok),
        ("Quorate:          Yes", "Quorate:          No", Standing::Failed),
        ("Quorate:          Yes\n", "", Standing::Ok),
        ("Expected votes:   3\n", "", Standing::Unknown),
        ("Expected votes:   3", "Expected votes:   4", Standing::Degraded),
        ("Nodes:            2", "Nodes:            3", Standing::Unknown),
    ] {
        assert!(GOOD.contains(from), "{from}");
        assert_eq!(state(&GOOD.replace(from, to)), expected, "{from} -> {to}");
    }
    let silent = GOOD
        .replace("0x00000000          1            Qdevice", "0x00000000          0            Qdevice (votes 1)")
        .replace("Total votes:      3", "Total votes:      2");
    assert_eq!(state(&silent), Standing::Degraded);
    assert_eq!(parse(&silent).unwrap().qdevice_votes, Some(0));
}

#[test]
fn a_report_that_breaks_off_is_not_ok() {
    // The name of the last row carries nothing: its votes are what counts.
    let last_vote = GOOD.rfind("Qdevice").unwrap() + 1;
    for end in 0..last_vote {
        assert_ne!(state(&GOOD[..end]), Standing::Ok, "cut at {end}: {:?}", &GOOD[..end]);
    }
    assert_eq!(state(GOOD.trim_end()), Standing::Ok);
}

#[test]
fn broken_output_says_what_is_wrong() {
    let why = |text: &str| parse(text).unwrap_err().to_string();
    for (text, expected) in [
        ("", "no votes in it; is this the output of corosync-quorumtool -s?"),
        ("    Nodeid      Votes Name\n 1 1 a\n", "no votes in it; is this the output of corosync-quorumtool -s?"),
        ("Cannot initialize QUORUM service\n", "it says: Cannot initialize QUORUM service"),
        ("Quorate: Ye\u{7}s!\n", "line 1: Quorate is neither Yes nor No but \"Yes!\""),
        ("Quorate: Yes\nQuorate: Yes\n", "line 2: a second Quorate"),
        ("Total votes: -1\n", "line 1: \"-1\" is not a number"),
        ("Total votes: +1\n", "line 1: \"+1\" is not a number"),
        ("Expected votes: 99999999999999999999\n", "line 1: \"99999999999999999999\" is not a number"),
        ("Quorum: 2 Activity odd\n", "line 1: \"Activity odd\" behind the votes that are needed"),
        ("Nodeid Votes Name\n1 x a\n", "line 2: \"1 x a\" is not a row of a member"),
        ("Nodeid Votes Name\n1 1\n", "line 2: \"1 1\" is not a row of a member"),
        ("Nodeid Votes Name\nNodeid Votes Name\n", "line 2: a second list of members"),
    ] {
        assert_eq!(why(text), format!("parsing corosync-quorumtool -s: {expected}"), "{text}");
    }
    let crowd = format!("Nodeid Votes Name\n{}", "1 1 a\n".repeat(1025));
    assert_eq!(why(&crowd), "parsing corosync-quorumtool -s: line 1026: more than 1024 members");
    feed_damaged(GOOD, |text| drop(parse(text).map(|quorum| quorum.subjects())));
}

/// Captures that may lie beside the checkout; they are not ours to ship.
#[test]
fn samples_are_read() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/interfaces/samples/pve-cluster");
    for (name, expected) in [
        ("quorumtool-2node-flag.txt", Standing::Ok),
        ("quorumtool-qdevice-one-node-up.txt", Standing::Degraded),
        ("pvecm-status-qdevice-2node-docs-excerpt.txt", Standing::Ok),
        ("pvecm-nodes-4node-docs.txt", Standing::Unknown),
    ] {
        match std::fs::read_to_string(format!("{dir}/{name}")) {
            Ok(text) => assert_eq!(state(&text), expected, "{name}"),
            Err(_) => eprintln!("no sample {name} in {dir}; only our own texts were read"),
        }
    }
}

/// What two nodes and a device said in the lab, judged as the agent judges it.
#[test]
fn what_the_lab_saw_is_judged() {
    use hardstand_core::observed::{Corosync, CorosyncConfig, CorosyncDevice, Moment, Observed, Role};
    use hardstand_core::{Gate, History, Sample, Settings, Severity, judge};
    let read = |name: &str| {
        let path = format!("{}/tests/fixtures/lab/quorum/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let well = |check| (check, Severity::Ok, Gate::None);
    let told = |check| (check, Severity::Warn, Gate::Warns);
    let (quorum, margin, device) = ("corosync.quorum", "corosync.margin", "corosync.qdevice");
    let no_margin = (margin, Severity::Warn, Gate::Blocks);
    for (votes, links, expected) in [
        ("well", "well", vec![well(quorum), well(margin), well(device), well("corosync.link")]),
        ("one-link", "one-link", vec![well(quorum), well(margin), well(device), told("corosync.link")]),
        ("no-device", "well", vec![well(quorum), no_margin, told(device), well("corosync.link")]),
        ("no-daemon", "well", vec![well(quorum), no_margin, told(device), well("corosync.link")]),
        ("node-lost", "node-lost", vec![well(quorum), no_margin, well(device), told("corosync.node")]),
        ("no-quorum", "node-lost", vec![(quorum, Severity::Crit, Gate::Blocks), told("corosync.node"), told(device)]),
    ] {
        let (report, links) = (read(&format!("{votes}-quorum")), read(&format!("{links}-links")));
        let (quorum, links) = (parse(&report).unwrap(), links::parse(&links).into());
        let mut seen = Observed::nothing(Moment::default(), "one", Role::Proxmox, "not looked at");
        let device = Some(CorosyncDevice::default());
        let config = Some(CorosyncConfig { device, ..CorosyncConfig::default() });
        seen.corosync = Sample::fresh(Some(Corosync { quorum, links, config }), 0.0);
        let health = judge(&seen, &Settings::default(), &mut History::default());
        let found = |check: &str| health.findings.iter().find(|finding| finding.check == check);
        for (check, severity, gate) in expected {
            let is = found(check).map(|finding| (finding.severity, finding.gate));
            assert_eq!(is, Some((severity, gate)), "{votes} {check}");
        }
        feed_damaged(&report, |text| drop(parse(text)));
    }
}
