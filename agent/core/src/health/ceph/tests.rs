//! Tests of the judgement of a Ceph cluster.

use super::super::tests::well;
use super::super::{Finding, Health, judge};
use super::*;
use crate::observed::{
    CephHealth, CephMds, CephMgr, CephOkToStop, CephOsd, CephOsdCounts, CephOsdTree, CephPgState, CephPgs,
    CephScopedFlags,
};
use crate::{History, Reading, Sample, Settings};

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn check(name: &str, severity: &str, message: &str) -> CephCheck {
    CephCheck {
        name: name.to_owned(),
        severity: Some(severity.to_owned()),
        message: Some(message.to_owned()),
        ..CephCheck::default()
    }
}

fn yes(daemons: &[&str]) -> CephStop {
    let answer = CephOkToStop {
        daemons: texts(daemons),
        ok: Some(true),
        ok_pgs: Some(9),
        not_ok_pgs: Some(0),
        ..CephOkToStop::default()
    };
    CephStop { daemons: texts(daemons), answer: Reading::Known(answer) }
}

/// Ten OSDs, five monitors, and of them on this host two, one, and a manager.
fn good() -> CephCluster {
    let osd = |id: i64| CephOsd {
        id,
        name: format!("osd.{id}"),
        device_class: None,
        status: Some("up".to_owned()),
        exists: Some(true),
        crush_weight: Some(1.0),
        reweight: Some(1.0),
    };
    let mut mons = yes(&["mon.a"]);
    mons.answer = Reading::Known(CephOkToStop {
        daemons: texts(&["mon.a"]),
        ok: Some(true),
        mons_left: Some(texts(&["b", "c"])),
        ..CephOkToStop::default()
    });
    CephCluster {
        status: CephStatus {
            fsid: Some("c1".to_owned()),
            health: CephHealth {
                status: Some("HEALTH_OK".to_owned()),
                checks: Some(Vec::new()),
                flags: Some(Vec::new()),
                scoped_flags: Some(Vec::new()),
            },
            mons: CephMons {
                total: Some(5),
                in_quorum: Some(texts(&["a", "b", "c", "d", "e"])),
                ..CephMons::default()
            },
            mgr: Some(CephMgr { available: Some(true), active: None, standbys: Some(1) }),
            osds: CephOsdCounts {
                total: Some(11),
                up: Some(11),
                r#in: Some(11),
                remapped_pgs: 0,
                ..CephOsdCounts::default()
            },
            pgs: pgs(&[("active+clean", 9)]),
            mds_standbys: Some(0),
            ..CephStatus::default()
        },
        local: texts(&["mgr.x", "mon.a", "osd.0", "osd.1"]),
        strangers: Vec::new(),
        mons_on: Vec::new(),
        tree: CephOsdTree { osds: (0..11).map(osd).collect(), ..CephOsdTree::default() },
        stops: vec![yes(&["osd.0", "osd.1"]), mons],
        asked_before_seconds: 0.0,
    }
}

fn pgs(states: &[(&str, u64)]) -> CephPgs {
    let state = |(state, count): &(&str, u64)| CephPgState { state: (*state).to_owned(), count: *count };
    CephPgs { total: Some(9), states: Some(states.iter().map(state).collect()), ..CephPgs::default() }
}

fn judged(change: impl FnOnce(&mut CephCluster)) -> Health {
    let mut cluster = good();
    change(&mut cluster);
    let mut seen = well(0.0);
    seen.ceph = Sample::fresh(Some(cluster), 0.0);
    judge(&seen, &Settings::default(), &mut History::default())
}

fn of_ceph(health: &Health) -> impl Iterator<Item = &Finding> {
    health.findings.iter().filter(|found| found.check.starts_with("ceph."))
}

type Change = fn(&mut CephCluster);

#[test]
fn a_whole_cluster_is_in_nobodys_way() {
    let health = judged(|_| ());
    let bad: Vec<_> = of_ceph(&health).filter(|found| found.severity != Severity::Ok).collect();
    assert!(bad.is_empty(), "{bad:?}");
    let checks: Vec<String> = of_ceph(&health).map(|found| format!("{} {}", found.check, found.subject)).collect();
    let expected = [
        "ceph.health cluster",
        "ceph.mgr active",
        "ceph.mons quorum",
        "ceph.osds all",
        "ceph.pgs all",
        "ceph.stop mgr",
        "ceph.stop mon",
        "ceph.stop osd",
    ];
    assert_eq!(checks, expected);
}

#[test]
fn whatever_is_not_whole_blocks_and_says_what_it_is() {
    use Severity::{Crit, Unknown, Warn};
    let cases: [(&str, Severity, &str, Change); 24] = [
        ("ceph.health cluster", Crit, "HEALTH_ERR", |c| c.status.health.status = Some("HEALTH_ERR".to_owned())),
        ("ceph.health cluster", Warn, "HEALTH_WARN", |c| c.status.health.status = Some("HEALTH_WARN".to_owned())),
        ("ceph.health cluster", Unknown, "HEALTH_ODD", |c| c.status.health.status = Some("HEALTH_ODD".to_owned())),
        ("ceph.health cluster", Unknown, "does not tell", |c| c.status.health.status = None),
        ("ceph.check SLOW_OPS", Warn, "9 slow ops; on osd.1", |c| {
            let slow = CephCheck { detail: texts(&["on osd.1"]), ..check("SLOW_OPS", "HEALTH_WARN", "9 slow ops") };
            c.status.health.checks = Some(vec![slow]);
        }),
        ("ceph.check OSD_NEARFULL", Warn, "1 nearfull", |c| {
            c.status.health.checks = Some(vec![check("OSD_NEARFULL", "HEALTH_WARN", "1 nearfull")]);
        }),
        ("ceph.check OSD_FULL", Crit, "1 full", |c| {
            c.status.health.checks = Some(vec![check("OSD_FULL", "HEALTH_ERR", "1 full")]);
        }),
        ("ceph.check NEVER_SEEN", Unknown, "HEALTH_NEW is not known", |c| {
            c.status.health.checks = Some(vec![check("NEVER_SEEN", "HEALTH_NEW", "words")]);
        }),
        ("ceph.check OSD_DOWN", Warn, "(muted) 1 osds down", |c| {
            let muted = CephCheck { muted: true, ..check("OSD_DOWN", "HEALTH_WARN", "1 osds down") };
            c.status.health.checks = Some(vec![muted]);
        }),
        ("ceph.flags OSDMAP_FLAGS", Warn, "noout flag(s) set", |c| {
            c.status.health.checks = Some(vec![check("OSDMAP_FLAGS", "HEALTH_WARN", "noout flag(s) set")]);
            c.status.health.flags = Some(texts(&["noout"]));
        }),
        ("ceph.flags OSDMAP_FLAGS", Crit, "pausewr flag(s) set", |c| {
            c.status.health.checks = Some(vec![check("OSDMAP_FLAGS", "HEALTH_WARN", "pausewr flag(s) set")]);
            c.status.health.flags = Some(texts(&["pausewr"]));
        }),
        ("ceph.flags OSD_FLAGS", Warn, "host n2 has flags noout", |c| {
            let flags = check("OSD_FLAGS", "HEALTH_WARN", "1 OSDs have flags");
            c.status.health.checks = Some(vec![CephCheck { detail: texts(&["host n2 has flags noout"]), ..flags }]);
            c.status.health.scoped_flags =
                Some(vec![CephScopedFlags { part: "host n2".to_owned(), flags: texts(&["noout"]) }]);
        }),
        ("ceph.mons quorum", Warn, "4 of 5 monitors are in quorum, 1 more may be lost", |c| {
            c.status.mons.in_quorum = Some(texts(&["a", "b", "c", "d"]));
        }),
        ("ceph.mons quorum", Crit, "3 of 5 monitors are in quorum, 0 more may be lost", |c| {
            c.status.mons.in_quorum = Some(texts(&["a", "b", "c"]));
        }),
        ("ceph.mons quorum", Unknown, "does not tell", |c| c.status.mons.in_quorum = None),
        ("ceph.mgr active", Warn, "no manager", |c| c.status.mgr.as_mut().unwrap().available = Some(false)),
        ("ceph.mgr active", Unknown, "does not tell", |c| c.status.mgr = None),
        ("ceph.osds all", Warn, "10 of 11 are up; down: osd.4", |c| {
            c.status.osds.up = Some(10);
            c.tree.osds[4].status = Some("down".to_owned());
        }),
        ("ceph.osds all", Crit, "9 of 11 are up", |c| c.status.osds.up = Some(9)),
        ("ceph.osds all", Unknown, "does not tell", |c| c.status.osds.up = None),
        ("ceph.pgs all", Warn, "2 of 9 active+undersized+degraded", |c| {
            c.status.pgs = pgs(&[("active+clean", 7), ("active+undersized+degraded", 2)]);
        }),
        ("ceph.pgs all", Warn, "1 of 9 active+recovering", |c| {
            c.status.pgs = pgs(&[("active+clean", 8), ("active+recovering", 1)]);
        }),
        ("ceph.pgs all", Crit, "1 of 9 down", |c| c.status.pgs = pgs(&[("active+clean", 8), ("down", 1)])),
        ("ceph.pgs all", Unknown, "1 of 9 active+clean+new", |c| {
            c.status.pgs = pgs(&[("active+clean", 8), ("active+clean+new", 1)]);
        }),
    ];
    for (name, severity, words, change) in cases {
        let health = judged(change);
        let found = of_ceph(&health).find(|found| format!("{} {}", found.check, found.subject) == name);
        let found = found.unwrap_or_else(|| panic!("{name} is not found"));
        assert_eq!((found.severity, found.gate), (severity, Gate::Blocks), "{name} {words}: {}", found.evidence);
        assert!(found.evidence.contains(words), "{name}: {} has no {words}", found.evidence);
    }
}

#[test]
fn a_harmless_check_is_told_and_blocks_nothing() {
    let health = judged(|cluster| {
        cluster.status.health.status = Some("HEALTH_WARN".to_owned());
        cluster.status.health.checks = Some(vec![check("RECENT_CRASH", "HEALTH_WARN", "1 daemons have crashed")]);
    });
    let loud: Vec<_> = of_ceph(&health).filter(|found| found.severity > Severity::Info).collect();
    assert!(loud.is_empty(), "{loud:?}");
    let found = of_ceph(&health).find(|found| found.check == "ceph.check").unwrap();
    assert_eq!((found.severity, found.gate), (Severity::Info, Gate::None));
}

#[test]
fn daemons_of_this_host_may_be_stopped_by_a_fresh_yes_about_all_of_them_only() {
    use Severity::{Crit, Ok, Unknown};
    fn answer(cluster: &mut CephCluster) -> &mut CephOkToStop {
        match &mut cluster.stops[0].answer {
            Reading::Known(answer) => answer,
            Reading::Unknown { .. } => unreachable!("it is known in a good one"),
        }
    }
    let cases: [(&str, Severity, &str, Change); 15] = [
        ("osd", Ok, "osd.0, osd.1; asked 0 s ago", |_| ()),
        ("osd", Ok, "asked 2 min ago", |c| c.asked_before_seconds = 120.0),
        ("osd", Unknown, "osd.0, osd.1: the last answer is too old", |c| c.asked_before_seconds = 301.0),
        ("osd", Unknown, "not about all of them", |c| c.stops[0].daemons.push("osd.9".to_owned())),
        ("osd", Unknown, "no manager", |c| c.stops[0].answer = Reading::unknown("no manager is available to answer")),
        (
            "osd",
            Crit,
            "osd.0, osd.1: 9 placement groups are or would become inactive; asked 0 s ago; see: ceph osd ok-to-stop osd.0 osd.1",
            |c| {
                (answer(c).ok, answer(c).not_ok_pgs) = (Some(false), Some(9));
            },
        ),
        ("osd", Crit, "osd.0, osd.1: unsafe to stop", |c| {
            let words = Some("unsafe to stop osd(s) at this time (9 PGs)".to_owned());
            *answer(c) = CephOkToStop { ok: Some(false), words, ..CephOkToStop::default() };
        }),
        ("osd", Unknown, "in a state that it does not know", |c| {
            (answer(c).ok, answer(c).unknown_pgs) = (Some(false), 3);
        }),
        ("mon", Crit, "mon.a: not enough; asked 0 s ago; see: ceph mon ok-to-stop a", |c| {
            let (words, mons_left) = (Some("not enough".to_owned()), Some(texts(&["b"])));
            let no = CephOkToStop {
                daemons: texts(&["mon.a"]),
                ok: Some(false),
                mons_left,
                words,
                ..CephOkToStop::default()
            };
            c.stops[1].answer = Reading::Known(no);
        }),
        ("mgr", Crit, "mgr.x: no standby elsewhere", |c| c.status.mgr.as_mut().unwrap().standbys = Some(0)),
        ("mgr", Crit, "mgr.x, mgr.y: no standby elsewhere", |c| c.local.push("mgr.y".to_owned())),
        ("mgr", Unknown, "standbys are not told", |c| c.status.mgr.as_mut().unwrap().standbys = None),
        ("mds", Crit, "mds.m: no standby elsewhere", |c| served(c, 0)),
        ("mds", Ok, "mds.m", |c| served(c, 1)),
        ("ceph-mds", Unknown, "the cluster knows none here", |c| c.strangers = texts(&["ceph-mds"])),
    ];
    fn served(cluster: &mut CephCluster, standbys: u64) {
        cluster.local.push("mds.m".to_owned());
        let state = Some("up:active".to_owned());
        cluster.status.mds = vec![CephMds { name: "m".to_owned(), rank: Some(0), filesystem: Some(1), state }];
        cluster.status.mds_standbys = Some(standbys);
    }
    for (subject, severity, words, change) in cases {
        let health = judged(change);
        let found = of_ceph(&health).find(|found| found.check == "ceph.stop" && found.subject == subject);
        let found = found.unwrap_or_else(|| panic!("{subject} is not found"));
        assert_eq!((found.severity, found.gate == Gate::None), (severity, severity == Ok), "{}", found.evidence);
        assert!(found.evidence.contains(words), "{} has no {words}", found.evidence);
    }
}

#[test]
fn a_standby_of_this_host_takes_over_from_nobody_here() {
    let health = judged(|cluster| {
        cluster.local.extend(texts(&["mds.m", "mds.n"]));
        let state = Some("up:active".to_owned());
        cluster.status.mds = vec![CephMds { name: "m".to_owned(), rank: Some(0), filesystem: Some(1), state }];
        cluster.status.mds_standbys = Some(1);
    });
    let found = of_ceph(&health).find(|found| found.subject == "mds").unwrap();
    assert_eq!((found.severity, found.gate), (Severity::Crit, Gate::Blocks), "{}", found.evidence);
}

#[test]
fn no_ceph_is_nothing_unless_it_is_declared_and_one_that_does_not_answer_blocks() {
    let severity = |ceph: Sample<Option<CephCluster>>, expect: &[Expected], check: &str| {
        let mut settings = Settings::default();
        settings.node.expect = expect.to_vec();
        let mut seen = well(0.0);
        seen.ceph = ceph;
        let health = judge(&seen, &settings, &mut History::default());
        let mut found =
            health.findings.iter().filter(|found| format!("{} {}", found.check, found.subject).contains(check));
        found.next().map(|found| (found.severity, found.gate))
    };
    assert_eq!(severity(Sample::fresh(None, 0.0), &[], "ceph"), None);
    let missed = severity(Sample::fresh(None, 0.0), &[Expected::Ceph], "ceph.expected");
    assert_eq!(missed, Some((Severity::Crit, Gate::Blocks)));
    let there = severity(Sample::fresh(Some(good()), 0.0), &[Expected::Ceph], "ceph.expected");
    assert_eq!(there, Some((Severity::Ok, Gate::None)));
    let mut silent = Sample::never("no answer");
    silent.kept = Some(Some(good()));
    assert_eq!(severity(silent.clone(), &[], "collector ceph"), Some((Severity::Unknown, Gate::Blocks)));
    assert_eq!(severity(silent, &[], "ceph.stop"), None, "what was true is not judged");
}
