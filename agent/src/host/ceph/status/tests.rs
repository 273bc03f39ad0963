//! Tests of the parser of Ceph's status, in the shapes of several releases.

use hardstand_core::standing::Standing;

use super::super::tests::{never_ok_when_cut, state};
use super::*;
use crate::host::feed_damaged;

/// As Octopus and later print it; with two file systems, each of which has its `id`, `up`, `in` and `max`.
const GOOD: &str = r#"{"fsid":"lab-1","health":{"status":"HEALTH_OK","checks":{},"mutes":[]},"election_epoch":8,
"quorum":[0,1,2],"quorum_names":["n1","n2","n3"],"quorum_age":70,
"monmap":{"epoch":2,"min_mon_release_name":"tentacle","num_mons":3},
"osdmap":{"epoch":90,"num_osds":4,"num_up_osds":4,"osd_up_since":17,"num_in_osds":4,"osd_in_since":16,"num_remapped_pgs":0},
"pgmap":{"pgs_by_state":[{"state_name":"active+clean","count":95},{"state_name":"active+clean+scrubbing+deep","count":2}],
"num_pgs":97,"num_pools":3,"num_objects":5,"data_bytes":60,"bytes_used":70,"bytes_avail":80,"bytes_total":150,
"read_bytes_sec":3,"write_bytes_sec":4},
"fsmap":{"epoch":5,"id":1,"up":1,"in":1,"max":1,"id":2,"up":1,"in":1,"max":1,"by_rank":[
{"filesystem_id":1,"rank":0,"name":"m1","status":"up:active","gid":4},
{"filesystem_id":2,"rank":0,"name":"m2","status":"up:active","gid":5}],"up:standby":1},
"mgrmap":{"available":true,"num_standbys":1,"modules":["iostat"],"services":{}},
"servicemap":{"epoch":3,"modified":"2026-01-01T00:00:00.000000+0000","services":{}},"progress_events":{}}
"#;

/// As the API of Proxmox VE answers, with the whole maps of monitors and managers.
const PVE: &str = r#"{"data":{"fsid":"lab-2","health":{"status":"HEALTH_OK","checks":{},"mutes":[]},
"quorum":[0,1],"quorum_names":["n1","n2"],
"monmap":{"min_mon_release":18,"min_mon_release_name":"reef","quorum":[0,1],"mons":[{"rank":0,"name":"n1"},{"rank":1,"name":"n2"}]},
"osdmap":{"num_osds":2,"num_up_osds":2,"num_in_osds":2},
"pgmap":{"num_pgs":8,"pgs_by_state":[{"count":8,"state_name":"active+clean"}]},
"mgrmap":{"active_name":"n1","available":true,"standbys":[{"gid":1,"name":"n2"}]}}}"#;

fn replaced(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replace(from, to)
}

fn texts(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| (*text).to_owned()).collect())
}

#[test]
fn a_status_is_read_whole() {
    let status = parse(GOOD).unwrap();
    assert_eq!((status.fsid.as_deref(), status.release.as_deref()), (Some("lab-1"), Some("tentacle")));
    let mons =
        CephMons { total: Some(3), names: None, in_quorum: texts(&["n1", "n2", "n3"]), ranks: Some(vec![0, 1, 2]) };
    assert_eq!(status.mons, mons);
    assert_eq!(status.mgr, Some(CephMgr { available: Some(true), active: None, standbys: Some(1) }));
    assert_eq!(
        status.osds,
        CephOsdCounts { epoch: Some(90), total: Some(4), up: Some(4), r#in: Some(4), remapped_pgs: 0 }
    );
    let state = |state: &str, count| CephPgState { state: state.to_owned(), count };
    let pgs = CephPgs {
        total: Some(97),
        states: Some(vec![state("active+clean", 95), state("active+clean+scrubbing+deep", 2)]),
        used_bytes: Some(70),
        available_bytes: Some(80),
        total_bytes: Some(150),
        ..CephPgs::default()
    };
    assert_eq!(status.pgs, pgs);
    let mds = |name: &str, filesystem| CephMds {
        name: name.to_owned(),
        rank: Some(0),
        filesystem: Some(filesystem),
        state: Some("up:active".to_owned()),
    };
    assert_eq!(status.mds, [mds("m1", 1), mds("m2", 2)]);
}

#[test]
fn the_answer_of_proxmox_is_read_with_and_without_its_envelope() {
    let status = parse(PVE).unwrap();
    assert_eq!(status.mons.names, texts(&["n1", "n2"]));
    assert_eq!(status.mons.total, Some(2));
    let mgr = CephMgr { available: Some(true), active: Some("n1".to_owned()), standbys: Some(1) };
    assert_eq!(status.mgr, Some(mgr));
    let bare = PVE.strip_prefix(r#"{"data":"#).and_then(|text| text.strip_suffix('}')).unwrap();
    assert_eq!(parse(bare).unwrap(), status);
    assert_eq!(state(parse(bare)), Standing::Ok);
    let lost = PVE.replace(r#""quorum":[0,1],"quorum_names":["n1","n2"]"#, r#""quorum":[0],"quorum_names":["n1"]"#);
    assert_eq!(state(parse(&lost)), Standing::Failed);
}

#[test]
fn the_shape_before_octopus_is_read() {
    let nested = replaced("\"osdmap\":{", "\"osdmap\":{\"osdmap\":{")
        .replace("\"num_remapped_pgs\":0}", "\"num_remapped_pgs\":0}}");
    assert_eq!(parse(&nested).unwrap(), parse(GOOD).unwrap());
    assert_eq!(state(parse(&nested.replace("\"num_up_osds\":4", "\"num_up_osds\":3"))), Standing::Degraded);
}

#[test]
fn words_and_numbers_decide() {
    use Standing::{Degraded, Failed, Ok, Unknown};
    let crash = r#""HEALTH_WARN","checks":{"RECENT_CRASH":{"severity":"HEALTH_WARN","summary":{"message":"1 daemons have recently crashed","count":1},"muted":false}}"#;
    let muted = r#""HEALTH_OK","checks":{"OSD_DOWN":{"severity":"HEALTH_WARN","summary":{"message":"1 osds down","count":1},"muted":true}}"#;
    let fine = r#""HEALTH_OK","checks":{}"#;
    for (from, to, expected) in [
        ("lab-1", "lab-1", Ok),
        ("HEALTH_OK", "HEALTH_WARN", Degraded),
        ("HEALTH_OK", "HEALTH_ERR", Failed),
        ("HEALTH_OK", "HEALTH_NEW", Unknown),
        (fine, crash, Ok),
        (fine, muted, Degraded),
        (r#""checks":{},"#, "", Unknown),
        (r#"[0,1,2],"quorum_names":["n1","n2","n3"]"#, r#"[0,2],"quorum_names":["n1","n3"]"#, Degraded),
        (r#"[0,1,2],"quorum_names":["n1","n2","n3"]"#, r#"[2],"quorum_names":["n3"]"#, Failed),
        ("\"quorum\":[0,1,2],", "", Ok),
        ("\"num_mons\":3", "\"num_mons\":4", Degraded),
        (",\"num_mons\":3", "", Unknown),
        ("\"num_up_osds\":4", "\"num_up_osds\":3", Degraded),
        ("\"num_up_osds\":4", "\"num_up_osds\":0", Failed),
        ("\"num_up_osds\":4,", "", Unknown),
        ("\"num_in_osds\":4", "\"num_in_osds\":3", Degraded),
        ("\"num_in_osds\":4,", "", Unknown),
        ("\"num_osds\":4,", "", Unknown),
        ("\"num_osds\":4,", "\"num_osds\":null,", Unknown),
        ("\"num_remapped_pgs\":0", "\"num_remapped_pgs\":9", Degraded),
        ("active+clean\"", "active+undersized+degraded\"", Degraded),
        ("active+clean\"", "down+remapped\"", Failed),
        ("active+clean\"", "odd\"", Unknown),
        ("\"count\":95", "\"count\":94", Unknown),
        ("\"num_pgs\":97,", "", Unknown),
        ("\"pgs_by_state\":", "\"pgs_by_estate\":", Unknown),
        ("\"num_objects\":5", "\"num_objects\":5,\"misplaced_objects\":3", Degraded),
        ("\"num_objects\":5", "\"num_objects\":5,\"degraded_objects\":3", Degraded),
        ("\"num_objects\":5", "\"num_objects\":5,\"unfound_objects\":3", Failed),
        ("\"available\":true", "\"available\":false", Degraded),
        ("\"available\":true,", "", Unknown),
        ("\"mgrmap\"", "\"mgrmop\"", Unknown),
        ("up:active", "up:replay", Degraded),
        ("\"up:standby\":1", "\"up:standby\":0,\"failed\":1", Failed),
        ("\"up:standby\":1", "\"up:standby\":0,\"damaged\":1", Failed),
        ("\"fsmap\"", "\"fsmop\"", Ok),
    ] {
        assert_eq!(state(parse(&replaced(from, to))), expected, "{from} -> {to}");
    }
}

#[test]
fn broken_output_says_what_is_wrong() {
    let no_health = "no `health` in it; is this the output of that command?";
    for (text, expected) in [
        ("{}".to_owned(), no_health),
        (r#"{"status":"HEALTH_OK","checks":{}}"#.to_owned(), no_health),
        (r#"{"data":{}}"#.to_owned(), no_health),
        (r#"{"data":{"data":{"health":{}}}}"#.to_owned(), no_health),
        (replaced("\"count\":95", "\"count\":null"), "a state of placement groups without a name or a count"),
        (replaced("+scrubbing+deep", ""), "a state of placement groups comes twice"),
        (replaced("\"name\":\"m1\",", ""), "a metadata server without a name"),
        (PVE.replace(",\"name\":\"n1\"", ""), "a monitor without a name"),
    ] {
        assert_eq!(parse(&text).unwrap_err().to_string(), format!("parsing {WHAT}: {expected}"), "{text}");
    }
    assert!(parse(&"{\"data\":".repeat(100_000)).is_err(), "an envelope without end");
    let negative = parse(&replaced("\"num_up_osds\":4", "\"num_up_osds\":-4")).unwrap_err().to_string();
    assert!(
        negative.starts_with("parsing ceph status -f json: invalid value: integer `-4`, expected u64"),
        "{negative}"
    );
    never_ok_when_cut(GOOD, parse);
    never_ok_when_cut(PVE, parse);
    feed_damaged(GOOD, |text| {
        state(parse(text));
    });
}
