//! What is wrong with a pool that the kernel calls ONLINE, and what is not told.

use super::super::tests::well;
use super::super::{Health, judge};
use super::*;
use crate::observed::{Observed, PoolScan};
use crate::{Finding, History, Sample, Settings};

const GIB: u64 = 1 << 30;

fn device(name: &str, depth: u32, has_children: bool) -> Vdev {
    Vdev {
        name: name.to_owned(),
        depth,
        has_children,
        state: Some("ONLINE".to_owned()),
        read_errors: Some(0),
        write_errors: Some(0),
        checksum_errors: Some(0),
        ..Vdev::default()
    }
}

fn scan(kind: ScanKind, state: ScanState, ended_unix_seconds: Option<u64>) -> Option<PoolScan> {
    Some(PoolScan { kind, state, progress: Some(0.25), ended_unix_seconds, errors: Some(0) })
}

/// A mirror of two, changed.
fn seen(seconds: f64, change: impl FnOnce(&mut PoolStatus, &mut PoolSpace)) -> Observed {
    let mut seen = well(seconds);
    let mut pool = PoolStatus {
        name: "tank".to_owned(),
        state: Some("ONLINE".to_owned()),
        scan: scan(ScanKind::Scrub, ScanState::Finished, Some(seen.at.unix_seconds)),
        data_errors: Some(0),
        whole: true,
        devices: vec![
            device("tank", 0, true),
            device("mirror-0", 1, true),
            device("sda", 2, false),
            device("sdb", 2, false),
        ],
        ..PoolStatus::default()
    };
    let mut space = PoolSpace {
        name: "tank".to_owned(),
        size_bytes: Some(100 * GIB),
        allocated_bytes: Some(10 * GIB),
        ..PoolSpace::default()
    };
    change(&mut pool, &mut space);
    seen.zfs = Sample::fresh(Some(vec![ZfsPool { name: "tank".to_owned(), state: Some("ONLINE".to_owned()) }]), 0.0);
    seen.zpool = Sample::fresh(Some(ZpoolReport { pools: vec![pool], space: vec![space] }), 0.0);
    seen
}

fn judged(seen: &Observed) -> Health {
    judge(seen, &Settings::default(), &mut History::default())
}

fn named<'a>(health: &'a Health, check: &str, subject: &str) -> Option<&'a Finding> {
    health.findings.iter().find(|finding| finding.check == check && finding.subject == subject)
}

#[test]
fn a_pool_that_is_well_is_ok_and_each_of_its_disks_is_told() {
    let health = judged(&seen(0.0, |_, _| {}));
    assert_eq!(health.verdict, Severity::Ok, "{:?}", health.findings.first());
    let mut rows: Vec<String> = health.findings.iter().map(|row| format!("{} {}", row.check, row.subject)).collect();
    rows.retain(|row| row.starts_with("zfs."));
    rows.sort();
    assert_eq!(
        rows,
        [
            "zfs.device tank/sda",
            "zfs.device tank/sdb",
            "zfs.errors tank",
            "zfs.errors tank/sda",
            "zfs.errors tank/sdb",
            "zfs.pool tank",
            "zfs.scrub tank",
            "zfs.space tank",
            "zfs.status tank"
        ]
    );
}

#[test]
fn an_online_pool_that_is_not_well_blocks() {
    type Change = fn(&mut PoolStatus);
    let cases: [(&str, Change, Severity); 8] = [
        ("data errors", |pool| pool.data_errors = Some(2), Severity::Crit),
        ("data errors not told", |pool| pool.data_errors = None, Severity::Unknown),
        ("broken off", |pool| pool.whole = false, Severity::Unknown),
        ("resilver", |pool| pool.scan = scan(ScanKind::Resilver, ScanState::Running, None), Severity::Warn),
        ("rebuilt", |pool| pool.scan = scan(ScanKind::Resilver, ScanState::Finished, Some(1)), Severity::Ok),
        ("scrub", |pool| pool.scan = scan(ScanKind::Scrub, ScanState::Running, None), Severity::Ok),
        ("new words", |pool| pool.scan = scan(ScanKind::Unknown, ScanState::Running, None), Severity::Unknown),
        ("another state", |pool| pool.state = Some("DEGRADED".to_owned()), Severity::Unknown),
    ];
    for (what, change, severity) in cases {
        let health = judged(&seen(0.0, |pool, _| change(pool)));
        let found = named(&health, "zfs.status", "tank").unwrap();
        let gate = if severity == Severity::Ok { Gate::None } else { Gate::Blocks };
        assert_eq!((found.severity, found.gate), (severity, gate), "{what}: {}", found.evidence);
    }
}

#[test]
fn a_device_that_is_not_online_blocks() {
    for (state, severity) in
        [("ONLINE", Severity::Ok), ("OFFLINE", Severity::Warn), ("FAULTED", Severity::Warn), ("ODD", Severity::Unknown)]
    {
        let health = judged(&seen(0.0, |pool, _| pool.devices[2].state = Some(state.to_owned())));
        let found = named(&health, "zfs.device", "tank/sda").unwrap();
        assert_eq!((found.severity, found.gate == Gate::Blocks), (severity, severity != Severity::Ok), "{state}");
    }
    let health = judged(&seen(0.0, |pool, _| pool.devices[1].state = Some("DEGRADED".to_owned())));
    assert_eq!(named(&health, "zfs.device", "tank/mirror-0"), None, "its disks tell");
    let health = judged(&seen(0.0, |pool, _| pool.devices[1].state = Some("ODD".to_owned())));
    assert_eq!(named(&health, "zfs.device", "tank/mirror-0").map(|found| found.severity), Some(Severity::Unknown));
}

#[test]
fn errors_are_judged_by_growth_also_over_a_reboot() {
    let mut history = History::default();
    let mut severity = |seconds: f64, boot: &str, errors: Option<u64>| {
        let mut seen = seen(seconds, |pool, _| pool.devices[3].checksum_errors = errors);
        boot.clone_into(&mut super::super::tests::value(&mut seen.kernel).boot_id);
        let health = judge(&seen, &Settings::default(), &mut history);
        named(&health, "zfs.errors", "tank/sdb").unwrap().severity
    };
    assert_eq!(severity(0.0, "one", Some(7)), Severity::Info, "they were there before us");
    assert_eq!(severity(10.0, "one", Some(8)), Severity::Warn);
    assert_eq!(severity(20.0, "two", Some(0)), Severity::Warn, "the kernel forgot, and we did not");
    assert_eq!(severity(90_000.0, "two", Some(0)), Severity::Ok);
    assert_eq!(severity(90_010.0, "two", Some(1)), Severity::Warn);
    assert_eq!(severity(90_020.0, "two", None), Severity::Unknown);
}

#[test]
fn a_scrub_is_missed_after_its_time_by_our_own_memory() {
    let mut history = History::default();
    let mut severity = |days: u64, scan: Option<PoolScan>| {
        let mut seen = seen(0.0, |pool, _| pool.scan = scan);
        seen.at.unix_seconds = 1_800_000_000 + days * 86_400;
        let health = judge(&seen, &Settings::default(), &mut history);
        named(&health, "zfs.scrub", "tank").unwrap().severity
    };
    let scrubbed = |days: u64| scan(ScanKind::Scrub, ScanState::Finished, Some(1_800_000_000 + days * 86_400));
    assert_eq!(severity(0, None), Severity::Ok, "never scrubbed, and only looked at since now");
    assert_eq!(severity(36, None), Severity::Warn);
    assert_eq!(severity(37, scan(ScanKind::Scrub, ScanState::Running, None)), Severity::Ok);
    assert_eq!(severity(38, scrubbed(38)), Severity::Ok);
    let resilvered = scan(ScanKind::Resilver, ScanState::Finished, Some(1_800_000_000 + 50 * 86_400));
    assert_eq!(severity(60, resilvered.clone()), Severity::Ok, "the record of the scrub is gone, its date is not");
    assert_eq!(severity(74, resilvered), Severity::Warn);
    assert_eq!(severity(75, scan(ScanKind::Scrub, ScanState::Canceled, Some(1_900_000_000))), Severity::Warn);
}

#[test]
fn a_full_pool_warns_and_one_whose_space_is_not_told_is_unknown() {
    for (used, severity) in
        [(Some(80), Severity::Ok), (Some(81), Severity::Warn), (Some(91), Severity::Crit), (None, Severity::Unknown)]
    {
        let health = judged(&seen(0.0, |_, space| space.allocated_bytes = used.map(|used: u64| used * GIB)));
        let found = named(&health, "zfs.space", "tank").unwrap();
        let gate = if severity == Severity::Ok { Gate::None } else { Gate::Warns };
        assert_eq!((found.severity, found.gate), (severity, gate), "{used:?}");
    }
}

#[test]
fn a_pool_that_zpool_does_not_tell_of_is_unknown() {
    let mut not_told = seen(0.0, |_, _| {});
    for report in [None, Some(ZpoolReport::default())] {
        not_told.zpool = Sample::fresh(report, 0.0);
        let health = judged(&not_told);
        let found = named(&health, "zfs.status", "tank").unwrap();
        assert_eq!((found.severity, found.gate), (Severity::Unknown, Gate::Blocks));
        assert_eq!(named(&health, "zfs.space", "tank").unwrap().severity, Severity::Unknown);
    }
}
