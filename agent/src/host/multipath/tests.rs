//! Tests of both parsers of multipath: every form, cut short, damaged, and samples that may lie beside.

use hardstand_core::standing::{Report, Standing, worst};

use super::*;
use crate::host::feed_damaged;

const TREE: &str = "\
lab-one (3600000000000000000000000000000a1) dm-3 MAKER   ,BOX
size=1.0T features='1 queue_if_no_path' hwhandler='1 alua' wp=rw
|-+- policy='service-time 0' prio=50 status=active
| |- 6:0:0:1 sdb 8:16  active ready running
| `- 7:0:0:1 sdc 8:32  active ready running
`-+- policy='service-time 0' prio=10 status=enabled
  |- 8:0:0:1 sdd 8:48  active ready running
  `- 9:0:0:1 sde 65:64 active ghost running
3600000000000000000000000000000a2 dm-4 MAKER,BOX
size=2.0G features='0' hwhandler='0' wp=rw
`-+- policy='round-robin 0' prio=1 status=active
  `- 6:0:0:2 sdf 8:80 active ready running
";

const JSON: &str = r#"{"major_version": 0, "minor_version": 1, "maps": [{
  "name": "lab-one", "uuid": "3600a1", "sysfs": "dm-3", "failback": "immediate", "queueing": "5 chk", "paths": 2,
  "write_prot": "rw", "dm_st": "active", "features": "0", "hwhandler": "1 alua", "action": "", "path_faults": 4,
  "path_groups": [{"selector": "service-time 0", "pri": 50, "dm_st": "active", "marginal_st": "normal", "group": 1,
    "paths": [
      {"dev": "sdb", "dev_t": "8:16", "dm_st": "active", "dev_st": "running", "chk_st": "ready", "marginal_st": "normal"},
      {"dev": "sdc", "dev_t": "8:32", "dm_st": "active", "dev_st": "running", "chk_st": "ready"}]}]}]}
"#;

fn of_tree(text: &str) -> Standing {
    list::parse(text).map_or(Standing::Unknown, |maps| worst(&maps.subjects()))
}

fn of_json(text: &str) -> Standing {
    parse(text).map_or(Standing::Unknown, |maps| worst(&maps.subjects()))
}

#[test]
fn a_tree_is_read_whole() {
    let maps = list::parse(TREE).unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(maps.len(), 2);
    let one = &maps[0];
    assert_eq!((one.name.as_str(), one.uuid.as_deref()), ("lab-one", Some("3600000000000000000000000000000a1")));
    assert_eq!((&one.sysfs, &one.size, &one.queueing), (&text("dm-3"), &text("1.0T"), &text("1 queue_if_no_path")));
    assert_eq!((one.whole, one.paths, one.active_paths), (true, 4, 4));
    let groups: Vec<_> = one.groups.iter().map(|group| (group.priority, group.paths.len())).collect();
    assert_eq!(groups, [(Some(50), 2), (Some(10), 2)]);
    let path = MultipathPath {
        device: text("sde"),
        address: text("9:0:0:1"),
        numbers: text("65:64"),
        dm_state: text("active"),
        checker_state: text("ghost"),
        device_state: text("running"),
        marginal_state: None,
    };
    assert_eq!(one.groups[1].paths[1], path);
    assert_eq!((maps[1].uuid.as_deref(), maps[1].sysfs.as_deref(), maps[1].paths), (None, Some("dm-4"), 1));
    assert_eq!(of_tree(TREE), Standing::Ok);
}

#[test]
fn words_of_a_tree_decide() {
    let with = |row: &str| of_tree(&TREE.replace("7:0:0:1 sdc 8:32  active ready running", row));
    for (row, expected) in [
        ("7:0:0:1 sdc 8:32 active ghost running", Standing::Ok),
        ("7:0:0:1 sdc 8:32 failed faulty running", Standing::Degraded),
        ("7:0:0:1 sdc 8:32 active shaky running", Standing::Degraded),
        ("7:0:0:1 sdc 8:32 active i/o pending running", Standing::Degraded),
        ("7:0:0:1 sdc 8:32 failed i/o timeout offline", Standing::Degraded),
        ("#:#:#:# sdc 8:32 failed undef unknown", Standing::Degraded),
        ("#:#:#:# - #:# failed faulty offline", Standing::Degraded),
        ("#:#:#:# - #:# active undef running", Standing::Unknown),
        ("7:0:0:1 sdc 8:32 active odd running", Standing::Unknown),
        ("7:0:0:1 sdc 8:32 active ready", Standing::Unknown),
    ] {
        assert_eq!(with(row), expected, "{row}");
    }
    let gone = list::parse(&TREE.replace("7:0:0:1 sdc 8:32 ", "#:#:#:# - #:# ")).unwrap();
    assert_eq!(gone[0].groups[0].paths[1].device, None);
    assert_eq!(gone.subjects()[2].name, "lab-one/#2");
    assert_eq!(
        of_tree(&TREE.replace("6:0:0:2 sdf 8:80 active ready", "6:0:0:2 sdf 8:80 failed faulty")),
        Standing::Failed
    );
    assert_eq!(of_tree(&TREE.replace("wp=rw", "wp=ro")), Standing::Degraded);
}

#[test]
fn other_forms_of_a_tree_are_read() {
    let logged = format!("Oct 05 21:10:11 | sdz: cannot find a thing\n1234.567 | more\n{TREE}");
    assert_eq!(of_tree(&logged), Standing::Ok);
    assert_eq!(of_tree(&format!("reload: {TREE}")), Standing::Ok);
    let pathless = "lab-two (3600a3) dm-5 ##,##\nsize=1.0G features='1 queue_if_no_path' hwhandler='0' wp=rw\n";
    assert_eq!(of_tree(pathless), Standing::Failed);
    assert_eq!(of_tree(&format!("{pathless}{TREE}")), Standing::Failed);
    let native = "\
nqn.2020-01.lab:box [nvme]:nvme0n1 NVMe,Disk,1.0
size=20971520 features='n/a' hwhandler='ANA' wp=rw
|-+- policy='n/a' prio=50 status=optimized
| `- 0:1:1 nvme0c0n1 0:0 n/a optimized    live
`-+- policy='n/a' prio=10 status=non-optimized
  `- 0:2:1 nvme0c1n1 0:0 n/a non-optimized live
";
    assert_eq!(of_tree(native), Standing::Ok);
    assert_eq!(of_tree(&native.replace("optimized    live", "optimized connecting")), Standing::Unknown);
}

#[test]
fn a_tree_that_breaks_off_is_not_ok() {
    let second = TREE.find("3600000000000000000000000000000a2 dm").unwrap();
    for end in 0..TREE.trim_end().len() {
        // Between two maps nothing says that another follows.
        if end != second && end != second - 1 {
            assert_ne!(of_tree(&TREE[..end]), Standing::Ok, "cut at {end}: {:?}", &TREE[..end]);
        }
    }
    for line in TREE.lines().filter(|line| line.starts_with([' ', '|', '`'])) {
        let without: String = TREE.lines().filter(|other| *other != line).map(|line| format!("{line}\n")).collect();
        let is_last = line.contains('`');
        assert!(!is_last || of_tree(&without) != Standing::Ok, "without {line:?}");
    }
}

#[test]
fn json_is_read_whole() {
    let maps = parse(JSON).unwrap();
    let one = &maps[0];
    assert_eq!((one.whole, one.paths, one.active_paths, one.counted_paths), (true, 2, 2, Some(2)));
    assert_eq!(
        (one.dm_state.as_deref(), one.queueing.as_deref(), one.path_faults),
        (Some("active"), Some("5 chk"), Some(4))
    );
    assert_eq!(one.groups[0].paths[0].marginal_state.as_deref(), Some("normal"));
    assert_eq!(of_json(JSON), Standing::Ok);
    let single = JSON.replace("\"maps\": [{", "\"map\": {").replace("}]}]}]}", "}]}]}}");
    assert_eq!(parse(&single).unwrap(), maps);
    assert_eq!(of_json(&format!("multipathd> {JSON}multipathd> ")), Standing::Ok);
    assert!(parse(r#"{"major_version":0,"minor_version":1,"maps":[]}"#).unwrap().is_empty());
}

#[test]
fn words_of_json_decide() {
    for (from, to, expected) in [
        (r#""chk_st": "ready"}"#, r#""chk_st": "faulty"}"#, Standing::Degraded),
        (r#""chk_st": "ready"}"#, r#""chk_st": "brand new"}"#, Standing::Unknown),
        (r#""chk_st": "ready"}"#, r#""checker": "tur"}"#, Standing::Unknown),
        (r#""chk_st": "ready""#, r#""chk_st": "faulty""#, Standing::Failed),
        (r#""dev_st": "running""#, r#""dev_st": "offline""#, Standing::Failed),
        (r#""write_prot": "rw", "dm_st": "active""#, r#""write_prot": "rw", "dm_st": "suspend""#, Standing::Failed),
        (r#""write_prot": "rw", "dm_st": "active""#, r#""write_prot": "rw""#, Standing::Unknown),
        (r#""path_groups""#, r#""groups""#, Standing::Unknown),
        (r#""paths": ["#, r#""lost": ["#, Standing::Unknown),
        (r#""dm_st": "active", "marginal_st""#, r#""marginal_st""#, Standing::Unknown),
        (r#""paths": 2"#, r#""paths": 0"#, Standing::Unknown),
        (r#""write_prot": "rw""#, r#""write_prot": "ro""#, Standing::Degraded),
    ] {
        assert!(JSON.contains(from), "{from}");
        assert_eq!(of_json(&JSON.replace(from, to)), expected, "{from} -> {to}");
    }
}

#[test]
fn broken_output_says_what_is_wrong() {
    let why = |text: &str| parse(text).unwrap_err().to_string();
    for (text, expected) in [
        ("", "it is empty"),
        ("multipathd> ", "it is empty"),
        ("error -1 receiving packet\n", "no JSON in it; it says: error -1 receiving packet"),
        ("{}", "neither `maps` nor `map` in it"),
        (r#"{"maps":[{"uuid":"1"}]}"#, "a map without a name"),
        ("{\"maps\":[]} ti\u{7}meout", "behind the JSON it says: timeout"),
        (r#"{"maps":["#, "EOF while parsing a list at line 1 column 9"),
    ] {
        assert_eq!(why(text), format!("parsing multipathd show maps json: {expected}"), "{text}");
    }
    assert!(why(&format!("{{\"maps\":{}", "[".repeat(100_000))).contains("line 1"));
    let why = |text: &str| list::parse(text).unwrap_err().to_string();
    for (text, expected) in [
        ("", "no map in it"),
        ("rubbish\n", "line 1: \"rubbish\" is not what multipath -ll prints"),
        ("a (1) dm-1 A,B\na\u{7} b c\n", "line 2: \"a b c\" is not what multipath -ll prints"),
        (
            "`- 6:0:0:2 sdf 8:80 active ready running\n",
            "line 1: \"`- 6:0:0:2 sdf 8:80 active ready running\" is not what multipath -ll prints",
        ),
        ("size=1 features='0' wp=rw\n", "line 1: \"size=1 features='0' wp=rw\" is not what multipath -ll prints"),
    ] {
        assert_eq!(why(text), format!("parsing multipath -ll: {expected}"), "{text}");
    }
    feed_damaged(TREE, |text| drop(list::parse(text).map(|maps| maps.subjects())));
    feed_damaged(JSON, |text| drop(parse(text).map(|maps| maps.subjects())));
    for end in 0..JSON.trim_end().len() {
        assert!(parse(&JSON[..end]).is_err(), "cut at {end}");
    }
}

/// Captures that may lie beside the checkout; they are not ours to ship.
#[test]
fn samples_are_read() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/interfaces/samples/iscsi");
    for (name, expected) in [
        ("multipath-ll-healthy.txt", Standing::Ok),
        ("multipathd-show-map-NAME-json.json", Standing::Failed),
        ("multipathd-show-maps-json-all-paths-failed.json", Standing::Failed),
    ] {
        let judge = if name.ends_with(".json") { of_json } else { of_tree };
        match std::fs::read_to_string(format!("{dir}/{name}")) {
            Ok(text) => assert_eq!(judge(&text), expected, "{name}"),
            Err(_) => eprintln!("no sample {name} in {dir}; only our own texts were read"),
        }
    }
}
