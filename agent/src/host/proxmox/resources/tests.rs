//! Tests of the parser of resources: both forms, Perl's scalars, broken answers, damage, and samples beside.

use hardstand_core::standing::{Report, Standing, worst};
use serde_json::Value;

use super::*;
use crate::host::feed_damaged;

const GOOD: &str = r#"{"data":[
  {"id":"node/one","type":"node","node":"one","status":"online","level":"","cpu":0.01,"maxcpu":8,"mem":500,"maxmem":1000,
   "disk":10,"maxdisk":40,"uptime":3600,"cgroup-mode":2},
  {"id":"qemu/100","type":"qemu","vmid":100,"node":"one","name":"web","status":"running","template":0,"hastate":"started",
   "pool":"lab","tags":"a;b","disk":0,"maxdisk":1000,"mem":5,"maxmem":10,"uptime":60},
  {"id":"lxc/101","type":"lxc","vmid":101,"node":"one","name":"db","status":"stopped","template":0},
  {"id":"storage/one/fast","type":"storage","storage":"fast","node":"one","status":"available","plugintype":"zfspool",
   "shared":0,"content":"images","disk":999,"maxdisk":1000},
  {"id":"/pool/lab","type":"pool","pool":"lab"},
  {"id":"sdn/one/localnetwork","type":"sdn","sdn":"localnetwork","node":"one","status":"ok"},
  {"id":"network/one/zone/z1","type":"network","network":"z1","network-type":"zone","node":"one","status":"available"}
]}
"#;

fn state(text: &str) -> Standing {
    parse(text).map_or(Standing::Unknown, |resources| worst(&resources.subjects()))
}

#[test]
fn a_list_is_read_whole() {
    let rows = parse(GOOD).unwrap().resources;
    let text = |text: &str| Some(text.to_owned());
    let guest = PveResource {
        kind: text("qemu"),
        id: text("qemu/100"),
        node: text("one"),
        name: text("web"),
        status: text("running"),
        ha_state: text("started"),
        template: Some(false),
        tags: text("a;b"),
        pool: text("lab"),
        used_bytes: Some(0),
        size_bytes: Some(1000),
        used_percent: Some(0),
        memory_used_bytes: Some(5),
        memory_bytes: Some(10),
        uptime_seconds: Some(60),
        ..PveResource::default()
    };
    assert_eq!(rows.len(), 7);
    assert_eq!(rows[1], guest);
    assert_eq!((&rows[3].name, &rows[3].subtype, rows[3].shared), (&text("fast"), &text("zfspool"), Some(false)));
    assert_eq!((rows[3].used_bytes, rows[3].size_bytes, rows[3].used_percent), (Some(999), Some(1000), Some(99)));
    assert_eq!((&rows[4].name, &rows[4].pool), (&text("lab"), &None));
    assert_eq!((&rows[5].name, &rows[6].name, &rows[6].subtype), (&text("localnetwork"), &text("z1"), &text("zone")));
    assert_eq!(state(GOOD), Standing::Ok, "a storage that is nearly full is a fact and no opinion");
    let bare = GOOD.trim().strip_prefix("{\"data\":").unwrap().strip_suffix('}').unwrap();
    assert_eq!(parse(bare).unwrap(), parse(GOOD).unwrap());
}

#[test]
fn words_decide() {
    for (from, to, expected) in [
        (r#""status":"online""#, r#""status":"offline""#, Standing::Failed),
        (r#""status":"online""#, r#""status":"unknown""#, Standing::Unknown),
        (r#""status":"online","#, "", Standing::Unknown),
        (r#""status":"online""#, r#""status":null"#, Standing::Unknown),
        (r#""status":"online""#, r#""status":1"#, Standing::Unknown),
        (r#""status":"running""#, r#""status":"io-error""#, Standing::Failed),
        (r#""status":"running""#, r#""status":"running","lock":"backup""#, Standing::Degraded),
        (r#""hastate":"started""#, r#""hastate":"fence""#, Standing::Failed),
        (r#""status":"stopped""#, r#""status":"unknown""#, Standing::Unknown),
        (r#""status":"available","plug"#, r#""status":"inactive","plug"#, Standing::Degraded),
        (r#""status":"ok""#, r#""status":"pending""#, Standing::Degraded),
        (r#""type":"lxc""#, r#""type":"jail""#, Standing::Unknown),
        (r#""type":"lxc","#, "", Standing::Unknown),
        (r#""type":"pool""#, r#""type":"crowd""#, Standing::Ok),
    ] {
        assert!(GOOD.contains(from), "{from}");
        assert_eq!(state(&GOOD.replacen(from, to, 1)), expected, "{from} -> {to}");
    }
    assert_eq!(state(r#"{"data":[]}"#), Standing::Unknown);
    assert_eq!(state("[]"), Standing::Unknown);
}

#[test]
fn numbers_are_read_as_perl_writes_them() {
    let row = |disk: &str, maxdisk: &str| {
        let text =
            format!(r#"[{{"type":"storage","id":"storage/a/b","disk":{disk},"maxdisk":{maxdisk},"shared":"1"}}]"#);
        let row = parse(&text).unwrap().resources.remove(0);
        (row.used_bytes, row.size_bytes, row.used_percent, row.shared)
    };
    assert_eq!(row("\"50\"", "2e2"), (Some(50), Some(200), Some(25), Some(true)));
    assert_eq!(row("-1", "\"many\""), (None, None, None, Some(true)));
    assert_eq!(row("18446744073709551615", "0"), (Some(u64::MAX), Some(0), None, Some(true)));
    assert_eq!(row("18446744073709551615", "1").2, Some(u64::MAX));
    assert_eq!(row("1e300", "null"), (Some(u64::MAX), None, None, Some(true)));
}

#[test]
fn broken_answers_say_what_is_wrong() {
    let why = |text: &str| parse(text).unwrap_err().to_string();
    for (text, expected) in [
        ("", "it is empty"),
        (" \n", "it is empty"),
        (
            "ipcc_send_rec[1] failed: Connection\u{7} refused\nmore",
            "no JSON in it; it says: ipcc_send_rec[1] failed: Connection refused",
        ),
        ("{}", "no `data` in it"),
        (r#"{"data":null}"#, "no `data` in it"),
        (r#"{"data":null,"message":"Permission check failed (/)\n"}"#, "the API says: Permission check failed (/)"),
        (r#"{"data":null,"errors":{"type":"odd"}}"#, r#"the API says: {"type":"odd"}"#),
        (r#"{"data":[],"message":"partly"}"#, "the API says: partly"),
        (r#"[{"type":["node"]}]"#, "a list where a word should be at line 1 column 18"),
        (r#"[{"status":"offline","status":"online"}]"#, "duplicate field `status` at line 1 column 29"),
        ("[1]", "invalid type: integer `1`, expected a resource at line 1 column 2"),
        ("[] []", "trailing characters at line 1 column 4"),
        ("[{}", "EOF while parsing a list at line 1 column 3"),
    ] {
        assert_eq!(why(text), format!("parsing GET /cluster/resources: {expected}"), "{text}");
    }
    assert!(why(&format!("[{{\"type\":{}", "[".repeat(100_000))).contains("recursion limit exceeded"));
    for end in 0..GOOD.trim_end().len() {
        assert!(parse(&GOOD[..end]).is_err(), "cut at {end}");
    }
    feed_damaged(GOOD, |text| drop(parse(text).map(|resources| resources.subjects())));
}

/// Bodies that may lie beside the checkout; they are not ours to ship.
#[test]
fn samples_are_read() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/interfaces/samples/pve-api");
    for name in ["go-proxmox-pve7.json", "go-proxmox-pve8.json", "go-proxmox-pve9.json"] {
        let Ok(text) = std::fs::read_to_string(format!("{dir}/{name}")) else {
            eprintln!("no sample {name} in {dir}; only our own texts were read");
            continue;
        };
        let root: Value = serde_json::from_str(&text).unwrap();
        let responses = root["responses"].as_array().unwrap().iter();
        let bodies = responses.filter(|response| response["path"] == "^/cluster/resources$");
        let states: Vec<_> = bodies.map(|response| state(&response["body"].to_string())).collect();
        // The first is a node written by hand that has no status.
        assert_eq!(states, [Standing::Unknown, Standing::Ok], "{name}");
    }
}
