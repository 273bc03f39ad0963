//! Answers of TrueNAS, good ones and each that is not, of the releases that differ.

use serde_json::json;

use super::*;

fn text(word: &str) -> Option<String> {
    Some(word.to_owned())
}

#[test]
fn a_pool_is_read_with_what_goes_over_it() {
    let answer = json!([
        {"id": 1, "name": "tank", "guid": "9", "status": "ONLINE", "healthy": true, "warning": false, "status_code": "OK",
         "status_detail": null, "scan": {"function": "SCRUB", "state": "SCANNING", "start_time": {"$date": 1_795_395_600_000_u64},
         "percentage": 40.5, "errors": 0}},
        {"name": "old", "status": "OFFLINE", "healthy": false, "warning": false, "status_detail": "gone\nfor long",
         "scan": {"function": null, "state": null}},
        {"name": "new"},
    ]);
    let pools = pools(answer).unwrap();
    let scan = NasScan { function: text("SCRUB"), state: text("SCANNING"), percent: Some(40.5) };
    assert_eq!(
        (pools[0].status.as_deref(), pools[0].healthy, &pools[0].scan),
        (Some("ONLINE"), Some(true), &Some(scan))
    );
    assert_eq!((pools[1].detail.as_deref(), &pools[1].scan), (Some("gonefor long"), &None));
    assert_eq!((pools[2].healthy, pools[2].status.as_deref()), (None, None), "what is not told is not made up");
}

#[test]
fn tasks_have_an_age_by_the_clock_of_the_box() {
    let now = info(json!({"version": "25.10.1", "datetime": {"$date": 1_795_399_200_500_u64}})).unwrap();
    assert_eq!(now, ("25.10.1".to_owned(), Some(1_795_399_200)));
    let answer = json!([
        {"name": "a", "enabled": true, "auto": true,
         "state": {"state": "FINISHED", "datetime": {"$date": 1_795_395_600_000_u64}, "last_snapshot": "x"}},
        {"dataset": "tank/vm", "enabled": true, "state": {"state": "ERROR", "datetime": "2026-11-23T01:00:00", "error": "no space"}},
        {"name": "c", "state": {"state": "HOLD", "reason": "asked to"}},
        {"name": "d", "state": null},
    ]);
    let told = tasks(answer, now.1).unwrap();
    let ages: Vec<Option<f64>> = told.iter().map(|task| task.age_seconds).collect();
    assert_eq!(ages, [Some(3_600.0), Some(3_600.0), None, None]);
    let why: Vec<Option<&str>> = told.iter().map(|task| task.why.as_deref()).collect();
    assert_eq!(why, [None, Some("no space"), Some("asked to"), None]);
    assert_eq!(told[1].name, "tank/vm");
    assert_eq!(tasks(json!([{"name": "a", "state": {"datetime": 7}}]), None).unwrap()[0].age_seconds, None);
}

#[test]
fn alerts_jobs_sessions_and_environments_are_read() {
    let alert = json!([{"uuid": "u", "source": "s", "klass": "Smart", "args": {"a": 1}, "node": "Controller A", "key": "k",
        "datetime": {"$date": 1}, "last_occurrence": {"$date": 1}, "dismissed": false, "mail": null, "text": "%(a)s",
        "id": "u", "level": "NEW", "formatted": "one", "one_shot": false}]);
    let alert = alerts(alert).unwrap().remove(0);
    assert_eq!((alert.text.as_str(), alert.level.as_str(), alert.controller), ("one", "NEW", None));
    let job = json!([{"id": 7, "method": "a.b", "state": "RUNNING", "arguments": ["geheim"],
        "progress": {"percent": 3, "description": "", "extra": null}}, {"id": 8, "method": "c", "state": "WAITING"}]);
    let told = jobs(job).unwrap();
    assert_eq!((told[0].percent, told[0].progress.as_deref(), told[1].percent), (Some(3.0), None, None));
    assert!(!format!("{told:?}").contains("geheim"));
    let session = json!([{"initiator": "iqn.a", "initiator_addr": "192.0.2.1", "target": "iqn.t:vm", "iser": false}]);
    assert_eq!(sessions(session).unwrap()[0].target, "iqn.t:vm");
    let environment =
        json!([{"id": "25.10.1", "active": true, "activated": false, "keep": true, "can_activate": true}]);
    assert_eq!(environments(environment).unwrap()[0].activated, Some(false));
    let reboot = json!({"boot_id": "b", "reboot_required_reasons": [{"code": "FIPS", "reason": "FIPS was changed"}]});
    assert_eq!(reboot_reasons(reboot).unwrap(), ["FIPS was changed"]);
    assert_eq!(count(json!(7)).unwrap(), 7);
    assert_eq!(count(json!({"tank": 3, "tank/a": 4})).unwrap(), 7);
}

#[test]
fn what_is_of_another_form_is_refused() {
    for bad in [json!(null), json!({}), json!([{}]), json!([7]), json!("x")] {
        assert!(pools(bad.clone()).is_err(), "{bad}");
        assert!(alerts(bad.clone()).is_err(), "{bad}");
        assert!(sessions(bad.clone()).is_err(), "{bad}");
        assert!(jobs(bad.clone()).is_err(), "{bad}");
        assert!(environments(bad.clone()).is_err(), "{bad}");
        assert!(tasks(bad.clone(), None).is_err(), "{bad}");
        assert!(reboot_reasons(bad.clone()).is_err(), "{bad}");
        assert!(update(bad.clone()).is_err(), "{bad}");
        assert!(info(bad).is_err());
    }
    assert!(word(json!(7)).is_err() && pool(json!([])).is_err());
    assert!(count(json!(-1)).is_err() && count(json!({"a": "b"})).is_err() && count(json!(null)).is_err());
    assert!(
        update(json!({"code": "NORMAL", "status": null, "error": null})).is_err(),
        "well, and nothing to show for it"
    );
}

/// The vendor's own expectations, where they are at hand.
#[test]
fn the_vendors_update_states_are_read() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/interfaces/samples/truenas/update.status-25.10-testcases.json"
    );
    let Ok(samples) = std::fs::read_to_string(path) else { return println!("skipped: {path} is not there") };
    let samples: Value = serde_json::from_str(&samples).unwrap();
    let read = |name: &str| update(samples[name].clone()).unwrap();
    assert_eq!(read("new_version").new_version.as_deref(), Some("25.04.2"));
    assert_eq!((read("latest").code.as_str(), read("latest").new_version), ("NORMAL", None));
    assert_eq!(read("removed").error.as_deref(), Some("ENOPKG"));
}

#[test]
fn damaged_answers_never_panic() {
    let good = r#"[{"uuid":"u","klass":"k","level":"l","dismissed":true,"name":"n","status":"ONLINE","id":"7","method":"m",
        "state":{"state":"ERROR","datetime":{"$date":1795395600000},"error":"e"},"scan":{"function":"SCRUB","percentage":3}}]"#;
    crate::host::feed_damaged(good, |text| {
        let Ok(value) = serde_json::from_str::<Value>(text) else { return };
        drop((pools(value.clone()), alerts(value.clone()), tasks(value.clone(), Some(7)), jobs(value.clone())));
        drop((environments(value.clone()), update(value.clone()), count(value.clone()), info(value)));
    });
}
