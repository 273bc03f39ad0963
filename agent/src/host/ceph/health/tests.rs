//! Tests of the parser of Ceph's health.

use hardstand_core::standing::Standing;

use super::super::tests::{never_ok_when_cut, state};
use super::*;
use crate::host::feed_damaged;

const GOOD: &str = r#"{"status":"HEALTH_OK","checks":{},"mutes":[]}"#;

const WARNS: &str = r#"
{
  "status": "HEALTH_WARN",
  "checks": {
    "OSDMAP_FLAGS": {
      "severity": "HEALTH_WARN",
      "summary": {"message": "noout,nodeep-scrub flag(s) set", "count": 2},
      "detail": [],
      "muted": false
    },
    "OSD_FLAGS": {
      "severity": "HEALTH_WARN",
      "summary": {"message": "3 OSDs or CRUSH {nodes, device-classes} have {NOUP,NODOWN,NOIN,NOOUT} flags set", "count": 3},
      "detail": [
        {"message": "osd.4 has flags noout"},
        {"message": "host lab1 has flags nodown,noout"},
        {"message": "device class 'ssd' has flags noin"}
      ],
      "muted": true
    }
  },
  "mutes": [{"code": "OSD_FLAGS", "sticky": false, "summary": "3 OSDs ...", "count": 3}]
}
"#;

fn replaced(from: &str, to: &str) -> String {
    assert!(WARNS.contains(from), "{from}");
    WARNS.replace(from, to)
}

#[test]
fn health_is_read_with_its_flags() {
    let health = parse(WARNS).unwrap();
    assert_eq!(health.status.as_deref(), Some("HEALTH_WARN"));
    let check = CephCheck {
        name: "OSDMAP_FLAGS".to_owned(),
        severity: Some("HEALTH_WARN".to_owned()),
        message: Some("noout,nodeep-scrub flag(s) set".to_owned()),
        muted: false,
        detail: Vec::new(),
    };
    assert_eq!(health.check("OSDMAP_FLAGS"), Some(&check));
    let muted = health.check("OSD_FLAGS").unwrap();
    assert_eq!((muted.muted, muted.detail.len()), (true, 3));
    assert_eq!(health.flags.unwrap(), ["noout", "nodeep-scrub"]);
    let scoped = |part: &str, flags: &[&str]| CephScopedFlags {
        part: part.to_owned(),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
    };
    let expected = [
        scoped("osd.4", &["noout"]),
        scoped("host lab1", &["nodown", "noout"]),
        scoped("device class 'ssd'", &["noin"]),
    ];
    assert_eq!(health.scoped_flags.unwrap(), expected);
    let good = parse(GOOD).unwrap();
    assert_eq!((good.checks, good.flags, good.scoped_flags), (Some(vec![]), Some(vec![]), Some(vec![])));
}

#[test]
fn flags_that_cannot_be_read_are_not_told() {
    for message in ["flags", "noout,, flag(s) set", " flag(s) set", "no out flag(s) set", "{noout} flag(s) set"] {
        let text = replaced("noout,nodeep-scrub flag(s) set", message);
        assert_eq!(parse(&text).unwrap().flags, None, "{message}");
        assert_eq!(state(parse(&text)), Standing::Unknown, "{message}");
    }
    let without_message = replaced(r#"{"message": "noout,nodeep-scrub flag(s) set", "count": 2}"#, "{}");
    assert_eq!(parse(&without_message).unwrap().flags, None);
    assert_eq!(parse(&replaced("osd.4 has flags noout", "osd.4 has noout")).unwrap().scoped_flags, None);
    let without_detail = r#"{"status":"HEALTH_WARN","checks":{"OSD_FLAGS":{"severity":"HEALTH_WARN",
        "summary":{"message":"1 OSDs or CRUSH {nodes, device-classes} have {NOUP,NODOWN,NOIN,NOOUT} flags set"}}}}"#;
    let health = parse(without_detail).unwrap();
    assert_eq!((health.flags, health.scoped_flags), (Some(Vec::new()), None));
    let without_checks = parse(r#"{"status":"HEALTH_OK"}"#).unwrap();
    assert_eq!((without_checks.checks, without_checks.flags, without_checks.scoped_flags), (None, None, None));
}

#[test]
fn words_decide() {
    let checks = |status: &str, name: &str, severity: &str, message: &str, muted: bool| {
        format!(
            r#"{{"status":"{status}","checks":{{"{name}":{{"severity":"{severity}","summary":{{"message":"{message}",
            "count":1}},"detail":[{{"message":"more of it"}}],"muted":{muted}}}}},"mutes":[]}}"#
        )
    };
    let warns = |name: &str, message: &str| checks("HEALTH_WARN", name, "HEALTH_WARN", message, false);
    for (text, expected) in [
        (GOOD.to_owned(), Standing::Ok),
        (GOOD.replace("HEALTH_OK", "HEALTH_WARN"), Standing::Degraded),
        (GOOD.replace("HEALTH_OK", "HEALTH_ERR"), Standing::Failed),
        (GOOD.replace("HEALTH_OK", "HEALTH_UNSEEN"), Standing::Unknown),
        (GOOD.replace(r#""checks":{},"#, ""), Standing::Unknown),
        (WARNS.to_owned(), Standing::Degraded),
        (replaced("noout,nodeep-scrub", "pauserd,pausewr"), Standing::Failed),
        (replaced("HEALTH_WARN\",\n  \"checks", "HEALTH_OK\",\n  \"checks"), Standing::Unknown),
        (warns("MON_DOWN", "1/3 mons down, quorum a,b"), Standing::Degraded),
        (warns("PG_AVAILABILITY", "Reduced data availability: 2 pgs inactive"), Standing::Failed),
        (warns("TELEMETRY_CHANGED", "Telemetry requires re-opt-in"), Standing::Ok),
        (warns("POOL_NO_REDUNDANCY", "1 pool(s) have no replicas configured"), Standing::Degraded),
        (checks("HEALTH_ERR", "OSD_FULL", "HEALTH_ERR", "1 full osd(s)", false), Standing::Failed),
        (checks("HEALTH_OK", "OSD_DOWN", "HEALTH_WARN", "1 osds down", true), Standing::Degraded),
        (checks("HEALTH_OK", "OSD_DOWN", "HEALTH_WARN", "1 osds down", false), Standing::Unknown),
        (checks("HEALTH_WARN", "RECENT_CRASH", "HEALTH_ODD", "odd", false), Standing::Unknown),
    ] {
        assert_eq!(state(parse(&text)), expected, "{text}");
    }
}

#[test]
fn broken_output_says_what_is_wrong() {
    for (text, expected) in [
        ("{}", "no `status` in it; is this the output of that command?"),
        (r#"{"health":{"status":"HEALTH_OK","checks":{}}}"#, "no `status` in it; is this the output of that command?"),
        (r#"{"status":null,"checks":{}}"#, "no `status` in it; is this the output of that command?"),
        (r#"{"status":1}"#, "invalid type: integer `1`, expected a string at line 1 column 11"),
        (r#"{"status":"HEALTH_OK","checks":[]}"#, "invalid type: sequence, expected a map at line 1 column 31"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), format!("parsing {WHAT}: {expected}"), "{text}");
    }
    never_ok_when_cut(GOOD, parse);
    feed_damaged(WARNS, |text| {
        state(parse(text));
    });
}
