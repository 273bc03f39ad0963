//! Tests of the parsers of high availability: the three forms, cut short, damaged, and samples beside.

use hardstand_core::standing::{Report, Standing, worst};
use serde_json::Value;

use super::*;
use crate::host::feed_damaged;

const LINES: &str = "\
quorum OK
master one (active, Mon Oct  5 21:10:11 2026)
fencing armed (CRM watchdog active)
lrm one (active, watchdog active, Mon Oct  5 21:10:12 2026)
lrm two (idle, watchdog standby, Mon Oct  5 21:10:13 2026)
service vm:100 (one, started)
";

const ROWS: &str = r#"{"data":[
  {"id":"quorum","type":"quorum","node":"one","status":"OK","quorate":1},
  {"id":"master","type":"master","node":"one","status":"one (active, Mon Oct  5 21:10:11 2026) - static load CRS","timestamp":1789510630},
  {"id":"fencing","type":"fencing","armed-state":"armed","status":"armed (CRM watchdog active)"},
  {"id":"lrm:one","type":"lrm","node":"one","status":"one (active, Mon Oct  5 21:10:12 2026)","timestamp":1789510631},
  {"id":"service:vm:100","type":"service","sid":"vm:100","node":"one","state":"started","crm_state":"started",
   "request_state":"started","max_restart":1,"max_relocate":1,"status":"vm:100 (one, started)"}
]}
"#;

const MANAGER: &str = r#"{"data":{
  "quorum":{"node":"one","quorate":"1"},
  "manager_status":{"master_node":"one","timestamp":1789510630,"node_status":{"one":"online","two":"online"},
    "service_status":{"vm:100":{"node":"one","state":"started","uid":"abc","running":1}}},
  "lrm_status":{"one":{"mode":"active","state":"active","timestamp":1789510634,"results":{"x":{"sid":"vm:100"}}},
    "two":{"mode":"active","state":"wait_for_agent_lock","timestamp":1789510631,"results":{}}}}}
"#;

fn state(text: &str) -> Standing {
    parse(text).map_or(Standing::Unknown, |ha| worst(&ha.subjects()))
}

fn words(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn lines_are_read_whole() {
    let ha = parse(LINES).unwrap();
    let quorum = PveHaEntry { kind: words("quorum"), state: words("OK"), ..PveHaEntry::default() };
    let lrm = PveHaEntry {
        kind: words("lrm"),
        name: words("one"),
        node: words("one"),
        state: words("active"),
        watchdog: words("active"),
        ..PveHaEntry::default()
    };
    let service = PveHaEntry {
        kind: words("service"),
        name: words("vm:100"),
        node: words("one"),
        state: words("started"),
        ..PveHaEntry::default()
    };
    let fencing = PveHaEntry {
        kind: words("fencing"),
        state: words("armed"),
        watchdog: words("active"),
        ..PveHaEntry::default()
    };
    assert_eq!((ha.tells_end, ha.entries.len()), (false, 6));
    let told = [&ha.entries[0], &ha.entries[2], &ha.entries[3], &ha.entries[5]];
    assert_eq!(told, [&quorum, &fencing, &lrm, &service]);
    assert_eq!(state(LINES), Standing::Ok);
}

#[test]
fn words_of_lines_decide() {
    for (from, to, expected) in [
        ("quorum OK", "quorum No quorum on node 'one'!", Standing::Failed),
        ("quorum OK\n", "", Standing::Unknown),
        ("one (active, Mon Oct  5 21:10:11 2026)", "one", Standing::Unknown),
        ("one (active, Mon Oct  5 21:10:11 2026)", "one (idle, Mon Oct  5 21:10:11 2026)", Standing::Ok),
        ("21:10:11 2026)", "21:10:11 2026) - dynamic load CRS", Standing::Ok),
        ("21:10:11 2026)", "21:10:11 2026) - trouble", Standing::Unknown),
        ("master one (active", "master one (old timestamp - dead?", Standing::Failed),
        ("lrm two (idle", "lrm two (old timestamp - dead?", Standing::Failed),
        ("lrm two (idle", "lrm two (maintenance mode", Standing::Degraded),
        ("lrm two (idle", "lrm two (wait_for_agent_lock", Standing::Degraded),
        ("lrm two (idle", "lrm two (detected time drift!", Standing::Unknown),
        ("lrm two (idle", "lrm two (idle, out of order", Standing::Unknown),
        ("(idle, watchdog standby, Mon Oct  5 21:10:13 2026)", "(unable to read lrm status)", Standing::Unknown),
        ("(idle, watchdog standby, Mon Oct  5 21:10:13 2026)", "(idle, watchdog standby)", Standing::Ok),
        ("watchdog standby", "watchdog barks", Standing::Unknown),
        ("(one, started)", "(one, error)", Standing::Failed),
        ("(one, started)", "(one, clearing error flag)", Standing::Failed),
        ("(one, started)", "(---, queued)", Standing::Degraded),
        ("(one, started)", "(one, started, twice)", Standing::Unknown),
        ("(one, started)", "(one)", Standing::Unknown),
        ("21:10:11 2026)", "21:10:11 2026) - dynamic load CRS (load imbalance: 2.9%)", Standing::Ok),
        ("21:10:11 2026)", "21:10:11 2026) - disarming, resource mode: freeze", Standing::Degraded),
        ("21:10:11 2026)", "21:10:11 2026) - disarmed, resource mode: ignore - static load CRS", Standing::Degraded),
        ("21:10:11 2026)", "21:10:11 2026) - rearmed, resource mode: ignore", Standing::Unknown),
        ("fencing armed (CRM watchdog active)\n", "", Standing::Ok),
        ("fencing armed", "fencing standby", Standing::Ok),
        ("fencing armed", "fencing disarming, resource mode: freeze", Standing::Degraded),
        ("armed (CRM watchdog active)", "disarmed, resource mode: freeze (CRM watchdog released)", Standing::Degraded),
        ("CRM watchdog active", "CRM watchdog barks", Standing::Unknown),
        ("CRM watchdog active", "CRM gone", Standing::Unknown),
        ("(CRM watchdog active)", "(CRM watchdog active", Standing::Unknown),
        ("(idle, watchdog standby", "(disarm mode, watchdog released", Standing::Degraded),
        ("(one, started)", "(one, ignore)", Standing::Degraded),
        ("(one, started)", "(---, not found)", Standing::Failed),
        ("quorum OK\n", "quorum OK\nbalance fine\n", Standing::Unknown),
        ("quorum OK\n", "Use of uninitialized value\nquorum OK\n", Standing::Unknown),
    ] {
        assert!(LINES.contains(from), "{from}");
        assert_eq!(state(&LINES.replacen(from, to, 1)), expected, "{from} -> {to}");
    }
}

#[test]
fn lines_that_break_off_are_not_ok() {
    let old = LINES.replace("fencing armed (CRM watchdog active)\n", "");
    let turned = LINES.replace("lrm one (active, watchdog active", "lrm one (idle, watchdog standby");
    for lines in [LINES, &old, &turned] {
        assert_eq!(state(lines), Standing::Ok);
        for end in 0..lines.trim_end().len() {
            assert_ne!(state(&lines[..end]), Standing::Ok, "cut at {end}: {:?}", &lines[..end]);
        }
    }
    // Between two services nothing says that another follows.
    assert_eq!(state(&format!("{LINES}service ct:1 (two, stopped)\n")), Standing::Ok);
    let scheduled = LINES.replace("21:10:11 2026)", "21:10:11 2026) - static load CRS");
    assert_eq!(state(&scheduled), Standing::Ok);
    let unused = "quorum OK\nmaster one (idle, Mon Oct  5 21:10:11 2026)\nlrm one (idle, Mon Oct  5 21:10:12 2026)\n";
    assert_eq!(state(unused), Standing::Ok);
    assert_eq!(state("quorum OK\n"), Standing::Unknown);
    let fenced = "quorum OK\nfencing standby (CRM watchdog standby)\n";
    assert_eq!(state(fenced), Standing::Ok, "a master would have come before");
    assert_eq!(state(&format!("{fenced}service ct:1 (one, queued)\n")), Standing::Unknown);
}

#[test]
fn verbose_lines_tell_the_nodes_as_well() {
    let json = MANAGER.trim().strip_prefix("{\"data\":").unwrap().strip_suffix('}').unwrap();
    let verbose = format!("{LINES}full cluster state:\n{json}");
    assert_eq!(state(&verbose), Standing::Ok);
    let ha = parse(&verbose).unwrap();
    assert_eq!((ha.tells_end, ha.entries.len(), ha.entries[7].name.as_deref()), (true, 8, Some("two")));
    assert_eq!(state(&verbose.replace(r#""two":"online""#, r#""two":"fence""#)), Standing::Failed);
    // Cut right before the JSON it is what is printed without `--verbose`.
    let first = verbose.find("full").unwrap() + 1;
    for end in first..verbose.len() {
        assert_ne!(state(&verbose[..end]), Standing::Ok, "cut at {end}");
    }
}

#[test]
fn rows_are_read_whole() {
    let ha = parse(ROWS).unwrap();
    let master = PveHaEntry {
        kind: words("master"),
        name: words("one"),
        node: words("one"),
        state: words("active"),
        at_unix_seconds: Some(1_789_510_630),
        ..PveHaEntry::default()
    };
    let service = PveHaEntry {
        kind: words("service"),
        name: words("vm:100"),
        node: words("one"),
        state: words("started"),
        crm_state: words("started"),
        request_state: words("started"),
        ..PveHaEntry::default()
    };
    assert_eq!((ha.tells_end, ha.entries.len()), (true, 5));
    assert_eq!([&ha.entries[1], &ha.entries[4]], [&master, &service]);
    assert_eq!((&ha.entries[0].quorate, &ha.entries[2].state), (&Some(true), &words("armed")));
    assert_eq!(state(ROWS), Standing::Ok);
    let bare = ROWS.trim().strip_prefix("{\"data\":").unwrap().strip_suffix('}').unwrap();
    assert_eq!(parse(bare).unwrap(), ha);
    assert_eq!(state(r#"[{"type":"quorum","node":"one","status":"OK","quorate":1}]"#), Standing::Ok);
    assert_eq!(state("[]"), Standing::Unknown);
}

#[test]
fn words_of_rows_decide() {
    for (from, to, expected) in [
        (r#""quorate":1"#, r#""quorate":0"#, Standing::Failed),
        (r#""quorate":1"#, r#""quorate":"""#, Standing::Failed),
        (r#""quorate":1"#, r#""votes":1"#, Standing::Ok),
        (r#""status":"OK","quorate":1"#, r#""quorate":true"#, Standing::Ok),
        (r#""status":"OK","quorate":1"#, r#""quorate":"many""#, Standing::Unknown),
        (r#""armed-state":"armed""#, r#""armed-state":"disarmed","resource_mode":"freeze""#, Standing::Degraded),
        (r#""armed-state":"armed","#, "", Standing::Ok),
        (r#""quorate":1"#, r#""quorate":"no""#, Standing::Unknown),
        (r#""quorate":1"#, r#""quorate":null"#, Standing::Ok),
        (r#""armed-state":"armed","status":"armed (CRM watchdog active)""#, r#""x":1"#, Standing::Unknown),
        (r#""status":"one (active, Mon Oct  5 21:10:12 2026)""#, r#""status":"active""#, Standing::Ok),
        (r#""status":"one (active, Mon Oct  5 21:10:12 2026)""#, r#""status":"one""#, Standing::Unknown),
        (r#""status":"one (active, Mon Oct  5 21:10:12 2026)""#, r#""status":"one (active""#, Standing::Unknown),
        (r#""status":"one (active, Mon Oct  5 21:10:12 2026)""#, r#""x":1"#, Standing::Unknown),
        (r#""one (active, Mon Oct  5 21:10:12 2026)""#, r#""one (lost_agent_lock, x)""#, Standing::Failed),
        (r#""state":"started","crm"#, r#""state":"stopping","crm"#, Standing::Degraded),
        (r#""state":"started","crm"#, r#""crm"#, Standing::Ok),
        (r#""crm_state":"started""#, r#""crm_state":"fence""#, Standing::Failed),
        (r#""request_state":"started""#, r#""request_state":"stopped""#, Standing::Ok),
        (r#""request_state":"started""#, r#""request_state":"odd""#, Standing::Unknown),
        (r#""type":"fencing""#, r#""type":"shielding""#, Standing::Unknown),
        (r#""type":"fencing","#, "", Standing::Unknown),
        (r#""type":"quorum""#, r#""type":"majority""#, Standing::Unknown),
    ] {
        assert!(ROWS.contains(from), "{from}");
        assert_eq!(state(&ROWS.replacen(from, to, 1)), expected, "{from} -> {to}");
    }
}

#[test]
fn the_managers_own_json_is_read_whole() {
    let ha = parse(MANAGER).unwrap();
    let kinds: Vec<_> = ha.entries.iter().filter_map(|entry| entry.kind.as_deref()).collect();
    assert_eq!(kinds, ["quorum", "master", "node", "node", "lrm", "lrm", "service"]);
    let idle = PveHaEntry {
        kind: words("lrm"),
        name: words("two"),
        node: words("two"),
        state: words("idle"),
        mode: words("active"),
        at_unix_seconds: Some(1_789_510_631),
        behind_seconds: Some(3),
        ..PveHaEntry::default()
    };
    assert_eq!(ha.entries[5], idle);
    assert_eq!((ha.entries[1].behind_seconds, ha.entries[6].running), (Some(4), Some(true)));
    assert_eq!(state(MANAGER), Standing::Ok);
    assert_eq!(state(r#"{"manager_status":{},"quorum":{"node":"one","quorate":1}}"#), Standing::Ok);
    let file = r#"{"master_node":"one","timestamp":5,"node_status":{"one":"online"},"service_status":{}}"#;
    assert_eq!(state(file), Standing::Unknown, "the file tells neither quorum nor local resource managers");
}

#[test]
fn words_of_the_managers_own_json_decide() {
    for (from, to, expected) in [
        (r#""quorate":"1""#, r#""quorate":0"#, Standing::Failed),
        (r#""quorate":"1""#, r#""quorate":null"#, Standing::Unknown),
        (r#""two":"online""#, r#""two":"maintenance""#, Standing::Degraded),
        (r#""two":"online""#, r#""two":"unknown""#, Standing::Unknown),
        (r#""two":"online""#, r#""two":"fence""#, Standing::Failed),
        (r#""two":"online""#, r#""one":"fence""#, Standing::Failed),
        (r#""two":"online""#, r#""three":"online""#, Standing::Unknown),
        (r#""two":"online""#, r#""two":null"#, Standing::Unknown),
        (r#""timestamp":1789510630"#, r#""timestamp":1789510600"#, Standing::Failed),
        (r#""timestamp":1789510630"#, r#""x":1"#, Standing::Unknown),
        (r#""timestamp":1789510631"#, r#""timestamp":1789510603"#, Standing::Failed),
        (r#""timestamp":1789510631"#, r#""x":1"#, Standing::Unknown),
        (r#""master_node":"one","#, "", Standing::Unknown),
        (
            r#""timestamp":1789510630"#,
            r#""timestamp":1789510630,"disarm":{"mode":"freeze","state":"disarmed"}"#,
            Standing::Degraded,
        ),
        (r#""timestamp":1789510630"#, r#""timestamp":1789510630,"disarm":{}"#, Standing::Unknown),
        (r#""node_status""#, r#""node_request":{"one":{},"two":{"maintenance":0}},"node_status""#, Standing::Ok),
        (r#""node_status""#, r#""node_request":{"two":{"maintenance":1}},"node_status""#, Standing::Degraded),
        (r#""node_status""#, r#""node_request":{"two":{"sleep":"deep"}},"node_status""#, Standing::Unknown),
        (r#""node_status""#, r#""node_request":{"three":{"maintenance":1}},"node_status""#, Standing::Unknown),
        (r#""running":1"#, r#""running":0"#, Standing::Degraded),
        (r#","running":1"#, "", Standing::Degraded),
        (r#""state":"started""#, r#""state":"recovery""#, Standing::Failed),
        (r#""node":"one","state":"started""#, r#""node":"two","state":"started""#, Standing::Degraded),
        (r#""mode":"active","state":"wait"#, r#""mode":"maintenance","state":"wait"#, Standing::Degraded),
        (r#""mode":"active","state":"wait"#, r#""mode":"odd","state":"wait"#, Standing::Unknown),
        (r#""state":"active""#, r#""state":"lost_agent_lock""#, Standing::Failed),
    ] {
        assert!(MANAGER.contains(from), "{from}");
        assert_eq!(state(&MANAGER.replacen(from, to, 1)), expected, "{from} -> {to}");
    }
    let sleeping = MANAGER
        .replace(r#"{"vm:100":{"node":"one","state":"started","uid":"abc","running":1}}"#, "{}")
        .replace("1789510630", "1789500000")
        .replace(r#""state":"active""#, r#""state":"wait_for_agent_lock""#);
    assert_eq!(state(&sleeping), Standing::Ok, "a master without services may sleep");
}

#[test]
fn broken_output_says_what_is_wrong() {
    let why = |text: &str| parse(text).unwrap_err().to_string();
    let empty = "neither a list of rows nor a manager's status in it";
    for (text, expected) in [
        ("", "it is empty"),
        ("\u{1}rubbish {", "no line of `ha-manager status` and no JSON in it; it says: rubbish {"),
        ("{}", empty),
        (r#"{"data":null}"#, empty),
        (r#"{"data":{"data":[]}}"#, empty),
        (r#"{"data":null,"message":"no such method\n"}"#, "the API says: no such method"),
        (
            r#"{"data":7}"#,
            "invalid type: integer `7`, expected a list of rows or the manager's status at line 1 column 9",
        ),
        (r#"{"quorum":{"quorate":0,"quorate":1}}"#, "duplicate field `quorate` at line 1 column 32"),
        ("[{}", "EOF while parsing a list at line 1 column 3"),
        ("quorum OK\nfull cluster state:\n{", "EOF while parsing an object at line 1 column 1"),
        ("quorum OK\nfull cluster state:\n", "EOF while parsing a value at line 1 column 0"),
    ] {
        assert_eq!(why(text), format!("parsing the HA status: {expected}"), "{text}");
    }
    assert!(why(&"{\"data\":".repeat(100_000)).contains("recursion limit exceeded"));
    for good in [ROWS, MANAGER] {
        for end in 0..good.trim_end().len() {
            assert!(parse(&good[..end]).is_err(), "cut at {end}");
        }
    }
    for good in [LINES, ROWS, MANAGER] {
        feed_damaged(good, |text| drop(parse(text).map(|ha| ha.subjects())));
    }
}

/// Captures and bodies that may lie beside the checkout; they are not ours to ship.
#[test]
fn samples_are_read() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/interfaces/samples");
    let read = |name: &str| {
        let text = std::fs::read_to_string(format!("{dir}/{name}")).ok();
        if text.is_none() {
            eprintln!("no sample {name} in {dir}; only our own texts were read");
        }
        text
    };
    for (name, expected) in [
        ("pve-cluster/ha-manager-status-after-failover.real.txt", Standing::Failed),
        ("pve-ha-sim/test-basic1/manager_status", Standing::Unknown),
        ("pve-ha-sim/test-basic2/manager_status", Standing::Failed),
        ("pve-ha-sim/test-crm-exiting-idle2/manager_status", Standing::Unknown),
    ] {
        let told = read(name).map(|text| state(&text));
        assert!(told.is_none_or(|told| told == expected), "{name}: {told:?}");
    }
    if let Some(text) = read("pve-cluster/ha-status-two-node-testcases.json") {
        let root: Value = serde_json::from_str(&text).unwrap();
        for name in ["error", "no_quorum", "manager_status"] {
            assert_eq!(state(&root[name].to_string()), Standing::Failed, "{name}");
        }
    }
    for name in ["pve-api/go-proxmox-pve8.json", "pve-api/go-proxmox-pve9.json"] {
        let Some(text) = read(name) else { continue };
        let root: Value = serde_json::from_str(&text).unwrap();
        let responses = root["responses"].as_array().unwrap().iter();
        let paths = ["^/cluster/ha/status/current$", "^/cluster/ha/status/manager_status$"];
        let bodies = responses.filter(|response| paths.iter().any(|path| response["path"] == *path));
        let states: Vec<_> = bodies.map(|response| state(&response["body"].to_string())).collect();
        // Written by hand: without quorum, and without time stamps.
        assert_eq!(states, [Standing::Unknown; 2], "{name}");
    }
}
