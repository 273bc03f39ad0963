//! A TrueNAS that is well, and with each thing wrong that is judged.

use super::super::tests::well;
use super::super::{Health, judge as judge_pass};
use crate::observed::{
    NasAlert, NasEnvironment, NasJob, NasPool, NasScan, NasSession, NasTask, NasUpdate, Observed, PoolStatus, TrueNas,
    ZfsPool, ZpoolReport,
};
use crate::settings::Expected;
use crate::{History, Reading, Sample, Settings};

fn text(word: &str) -> Option<String> {
    Some(word.to_owned())
}

fn pool(name: &str) -> NasPool {
    NasPool {
        name: name.to_owned(),
        status: text("ONLINE"),
        healthy: Some(true),
        warning: Some(false),
        ..NasPool::default()
    }
}

fn task(name: &str, state: &str) -> NasTask {
    let age_seconds = Some(3_600.0);
    NasTask {
        name: name.to_owned(),
        enabled: Some(true),
        auto: Some(true),
        state: text(state),
        age_seconds,
        ..NasTask::default()
    }
}

fn environment(name: &str, [active, activated, keep]: [bool; 3]) -> NasEnvironment {
    let [active, activated, keep] = [active, activated, keep].map(Some);
    NasEnvironment { name: name.to_owned(), active, activated, keep, can_activate: Some(true) }
}

/// A box that is well.
fn nas() -> TrueNas {
    let replication = task("to-backup", "FINISHED");
    let snapshots = task("tank/vm", "FINISHED");
    TrueNas {
        is_local: false,
        api: "v25.10.0".to_owned(),
        version: Reading::Known("25.10.1".to_owned()),
        state: Reading::Known("READY".to_owned()),
        pools: Reading::Known(vec![pool("tank")]),
        boot_pool: Reading::Known(pool("boot-pool")),
        alerts: Reading::Known(Vec::new()),
        sessions: Reading::Known(Vec::new()),
        replications: Reading::Known(vec![replication]),
        snapshot_tasks: Reading::Known(vec![snapshots]),
        jobs: Reading::Known(Vec::new()),
        environments: Reading::Known(vec![environment("25.10.1", [true, true, false])]),
        reboot_reasons: Reading::Known(Vec::new()),
        update: Some(Reading::Known(NasUpdate { code: "NORMAL".to_owned(), ..NasUpdate::default() })),
        snapshots: Some(Reading::Known(7)),
        asked_before_seconds: 60.0,
    }
}

fn seen(nas: TrueNas) -> Observed {
    let mut seen = well(0.0);
    seen.truenas = Sample::fresh(Some(nas), 0.0);
    seen
}

fn judge(seen: &Observed) -> Health {
    judge_pass(seen, &Settings::default(), &mut History::default())
}

/// `check subject severity gate` of all that is not ok.
fn said(health: &Health) -> Vec<String> {
    let loud = health.findings.iter().filter(|finding| finding.severity > crate::Severity::Ok);
    loud.map(|found| format!("{} {} {:?} {:?}", found.check, found.subject, found.severity, found.gate)).collect()
}

fn alert(klass: &str, level: &str) -> NasAlert {
    let uuid = format!("{klass:x<8}-{level}");
    let text = format!("<b>{klass}</b> of<br>\n tank <5 % free");
    NasAlert { uuid, klass: klass.to_owned(), level: level.to_owned(), text, dismissed: false, controller: None }
}

fn known<T>(reading: &mut Reading<T>) -> &mut T {
    match reading {
        Reading::Known(value) => value,
        Reading::Unknown { why } => panic!("{why}"),
    }
}

fn scan(function: &str, state: &str) -> Option<NasScan> {
    Some(NasScan { function: text(function), state: text(state), percent: Some(40.0) })
}

#[test]
fn a_box_that_is_well_is_well() {
    let health = judge(&seen(nas()));
    assert_eq!(said(&health), [""; 0]);
    let groups = health.findings.iter().filter(|found| found.check.starts_with("truenas."));
    assert_eq!(groups.count(), 10, "each part says that it is well");
    assert!(judge(&well(0.0)).findings.iter().all(|found| !found.check.starts_with("truenas.")));
}

#[test]
fn one_thing_made_wrong_at_a_time() {
    type Change = fn(&mut TrueNas);
    let table: [(&str, Change); 46] = [
        ("truenas.state system Warn Blocks", |nas| nas.state = Reading::Known("BOOTING".into())),
        ("truenas.state system Warn Blocks", |nas| nas.state = Reading::Known("SHUTTING_DOWN".into())),
        ("truenas.state system Unknown Blocks", |nas| nas.state = Reading::Known("DREAMING".into())),
        ("truenas.answer system.state Unknown Blocks", |nas| nas.state = Reading::unknown("it may not be asked")),
        ("truenas.answer pool.query Unknown Blocks", |nas| nas.pools = Reading::unknown("late")),
        ("truenas.answer boot.get_state Unknown Blocks", |nas| nas.boot_pool = Reading::unknown("late")),
        ("truenas.answer alert.list Unknown Blocks", |nas| nas.alerts = Reading::unknown("late")),
        ("truenas.answer iscsi.global.sessions Unknown Blocks", |nas| nas.sessions = Reading::unknown("late")),
        ("truenas.answer core.get_jobs Unknown Blocks", |nas| nas.jobs = Reading::unknown("late")),
        ("truenas.answer update.status Unknown None", |nas| nas.update = Some(Reading::unknown("late"))),
        ("truenas.answer pool.snapshot.query Unknown None", |nas| nas.snapshots = Some(Reading::unknown("late"))),
        ("truenas.pool tank Crit Blocks", |nas| known(&mut nas.pools)[0].status = text("DEGRADED")),
        ("truenas.pool tank Crit Blocks", |nas| known(&mut nas.pools)[0].status = text("OFFLINE")),
        ("truenas.pool tank Unknown Blocks", |nas| known(&mut nas.pools)[0].status = text("MOLTEN")),
        ("truenas.pool tank Unknown Blocks", |nas| known(&mut nas.pools)[0].status = None),
        ("truenas.pool tank Crit Blocks", |nas| known(&mut nas.pools)[0].healthy = Some(false)),
        ("truenas.pool tank Unknown Blocks", |nas| known(&mut nas.pools)[0].healthy = None),
        ("truenas.pool tank Warn Warns", |nas| known(&mut nas.pools)[0].warning = Some(true)),
        ("truenas.pool tank Warn Blocks", |nas| known(&mut nas.pools)[0].scan = scan("RESILVER", "SCANNING")),
        ("truenas.pool tank Unknown Blocks", |nas| known(&mut nas.pools)[0].scan = scan("ERASE", "SCANNING")),
        ("truenas.boot boot-pool Crit Blocks", |nas| known(&mut nas.boot_pool).status = text("FAULTED")),
        ("truenas.alert Smart Crit Blocks", |nas| known(&mut nas.alerts).push(alert("Smart", "CRITICAL"))),
        ("truenas.alert Smart Crit Blocks", |nas| known(&mut nas.alerts).push(alert("Smart", "ALERT"))),
        ("truenas.alert Smart Crit Blocks", |nas| known(&mut nas.alerts).push(alert("Smart", "EMERGENCY"))),
        ("truenas.alert Smart Warn Warns", |nas| known(&mut nas.alerts).push(alert("Smart", "ERROR"))),
        ("truenas.alert Smart Warn Warns", |nas| known(&mut nas.alerts).push(alert("Smart", "WARNING"))),
        ("truenas.alert Smart Info None", |nas| known(&mut nas.alerts).push(alert("Smart", "NOTICE"))),
        ("truenas.alert Smart Unknown Blocks", |nas| known(&mut nas.alerts).push(alert("Smart", "DOOM"))),
        ("truenas.alert dismissed Info None", |nas| {
            known(&mut nas.alerts).push(NasAlert { dismissed: true, ..alert("Smart", "CRITICAL") });
        }),
        ("truenas.replication to-backup Info Blocks", |nas| known(&mut nas.replications)[0].state = text("RUNNING")),
        ("truenas.replication to-backup Info Blocks", |nas| known(&mut nas.replications)[0].state = text("WAITING")),
        ("truenas.replication to-backup Warn Warns", |nas| known(&mut nas.replications)[0].state = text("ERROR")),
        ("truenas.replication to-backup Warn Warns", |nas| known(&mut nas.replications)[0].state = text("HOLD")),
        ("truenas.replication to-backup Unknown Blocks", |nas| known(&mut nas.replications)[0].state = text("ODD")),
        ("truenas.replication to-backup Unknown Blocks", |nas| known(&mut nas.replications)[0].state = None),
        ("truenas.replication to-backup Warn Warns", |nas| known(&mut nas.replications)[0].age_seconds = Some(8e5)),
        ("truenas.snapshot_task tank/vm Warn Warns", |nas| known(&mut nas.snapshot_tasks)[0].state = text("ERROR")),
        ("truenas.snapshot_task tank/vm Unknown Warns", |nas| known(&mut nas.snapshot_tasks)[0].state = text("ODD")),
        ("truenas.job cloudsync.sync Info Blocks", |nas| {
            known(&mut nas.jobs).extend([job("cloudsync.sync"), job("cloudsync.sync")])
        }),
        ("truenas.job not.known Info Blocks", |nas| known(&mut nas.jobs).push(job("not.known"))),
        ("truenas.job pool.scrub.scrub Info Warns", |nas| {
            known(&mut nas.jobs).push(job("pool.scrub.scrub"));
            known(&mut nas.pools)[0].scan = scan("SCRUB", "SCANNING");
        }),
        ("truenas.environment boot Warn Blocks", |nas| known(&mut nas.environments)[0].activated = Some(false)),
        ("truenas.environment boot Warn Blocks", |nas| known(&mut nas.environments)[0].can_activate = Some(false)),
        ("truenas.reboot system Warn None", |nas| nas.reboot_reasons = Reading::Known(vec!["FIPS was changed".into()])),
        ("truenas.update system Info None", |nas| *update(nas) = Some("25.10.2".into())),
        ("truenas.update system Warn None", |nas| {
            let error = NasUpdate { code: "ERROR".into(), error: text("ENONET"), ..NasUpdate::default() };
            nas.update = Some(Reading::Known(error));
        }),
    ];
    for (expected, change) in table {
        let mut nas = nas();
        change(&mut nas);
        assert_eq!(said(&judge(&seen(nas))), [expected]);
    }
}

fn job(method: &str) -> NasJob {
    NasJob { id: 7, method: method.to_owned(), state: "RUNNING".to_owned(), ..NasJob::default() }
}

fn update(nas: &mut TrueNas) -> &mut Option<String> {
    &mut known(nas.update.as_mut().unwrap()).new_version
}

#[test]
fn an_update_that_is_installed_wants_a_reboot_and_its_way_back_kept() {
    let mut nas = nas();
    let error = NasUpdate {
        code: "ERROR".into(),
        error: text("EREBOOTREQUIRED"),
        reason: text("applied"),
        ..NasUpdate::default()
    };
    nas.update = Some(Reading::Known(error));
    let told = ["truenas.reboot system Warn None", "truenas.update system Info None"];
    assert_eq!(said(&judge(&seen(nas.clone()))), told, "by the update's own word");
    let others = vec![environment("25.10.1", [true, false, false]), environment("25.10.2", [false, true, false])];
    nas.environments = Reading::Known(others);
    let health = judge(&seen(nas.clone()));
    let told =
        ["truenas.environment boot Warn Warns", "truenas.reboot system Warn None", "truenas.update system Info None"];
    assert_eq!(said(&health), told);
    let reboot = health.findings.iter().find(|found| found.check == "truenas.reboot").unwrap();
    assert_eq!(reboot.summary, "reboot needed: 25.10.2 would boot, and does not run yet");
    known(&mut nas.environments)[0].keep = Some(true);
    assert_eq!(said(&judge(&seen(nas))), ["truenas.reboot system Warn None", "truenas.update system Info None"]);
}

#[test]
fn a_job_that_is_a_replication_is_told_of_once() {
    let mut nas = nas();
    known(&mut nas.jobs).push(job("replication.run"));
    assert_eq!(said(&judge(&seen(nas.clone()))), ["truenas.job replication.run Info Blocks"]);
    known(&mut nas.replications)[0].state = text("RUNNING");
    assert_eq!(said(&judge(&seen(nas))), ["truenas.replication to-backup Info Blocks"]);
}

#[test]
fn alerts_of_one_class_are_told_apart_and_the_rest_is_counted() {
    let mut nas = nas();
    for number in 0..40 {
        let level = if number == 0 { "CRITICAL" } else { "WARNING" };
        known(&mut nas.alerts).push(NasAlert { uuid: format!("{number:08}"), ..alert("Smart", level) });
    }
    let health = judge(&seen(nas));
    let said = said(&health);
    assert_eq!((said.len(), said[0].as_str()), (31, "truenas.alert Smart 00000000 Crit Blocks"));
    let more = health.findings.iter().find(|found| found.subject == "more").unwrap();
    assert_eq!((more.summary.as_str(), more.severity), ("10 more alerts", crate::Severity::Warn));
    let first = &health.findings[0];
    assert_eq!(first.summary, "Smart 00000000: Smart of tank <5 % free", "without markup");
}

#[test]
fn a_pool_that_the_kernel_tells_of_is_told_of_once() {
    let local = |kernel: &str, change: fn(&mut NasPool)| {
        let mut nas = TrueNas { is_local: true, ..nas() };
        change(&mut known(&mut nas.pools)[0]);
        let mut seen = seen(nas);
        seen.zfs = Sample::fresh(Some(vec![ZfsPool { name: "tank".into(), state: text(kernel) }]), 0.0);
        let status = PoolStatus { name: "tank".into(), state: text(kernel), ..PoolStatus::default() };
        seen.zpool = Sample::fresh(Some(ZpoolReport { pools: vec![status], ..ZpoolReport::default() }), 0.0);
        let health = judge(&seen);
        let of_pools = |check: &str| check == "truenas.pool" || check == "zfs.pool";
        let found = health.findings.iter().filter(|found| of_pools(&found.check));
        found.map(|found| format!("{} {:?}", found.check, found.severity)).collect::<Vec<String>>()
    };
    assert_eq!(local("ONLINE", |_| {}), ["zfs.pool Ok"]);
    assert_eq!(local("DEGRADED", |pool| pool.status = text("DEGRADED")), ["zfs.pool Crit"]);
    assert_eq!(local("ONLINE", |pool| pool.healthy = Some(false)), ["truenas.pool Crit", "zfs.pool Ok"]);
    assert_eq!(local("ONLINE", |pool| pool.status = text("DEGRADED")), ["truenas.pool Crit", "zfs.pool Ok"]);
    assert_eq!(local("DEGRADED", |_| {}), ["zfs.pool Crit", "truenas.pool Unknown"], "they do not agree");
}

#[test]
fn who_is_logged_in_is_told_where_the_kernel_tells_of_nobody() {
    let session = NasSession { initiator: "iqn.a".into(), address: None, target: "iqn.t:vm".into() };
    let local = |is_local| {
        let mut nas = TrueNas { is_local, ..nas() };
        known(&mut nas.sessions).push(session.clone());
        nas
    };
    let told = |seen: &Observed| {
        let health = judge(seen);
        let found = health.findings.into_iter().filter(|found| found.check == "iscsi_target.sessions");
        found.map(|found| format!("{} {:?} {:?}", found.subject, found.severity, found.gate)).collect::<Vec<String>>()
    };
    assert_eq!(told(&seen(local(true))), ["iqn.t:vm Info Warns"]);
    assert_eq!(told(&seen(local(false))), [""; 0], "another box's sessions do not hold this node");
    let mut both = seen(local(true));
    both.iscsi_target = Sample::fresh(Some(Vec::new()), 0.0);
    assert_eq!(told(&both), [""; 0], "the kernel's word, where it has one");
    let mut history = History::default();
    judge_pass(&seen(local(true)), &Settings::default(), &mut history);
    let silent = TrueNas { sessions: Reading::unknown("late"), ..local(true) };
    let health = judge_pass(&seen(silent), &Settings::default(), &mut history);
    assert!(health.findings.iter().all(|found| found.check != "iscsi_target.initiator"), "nobody is missed unseen");
}

#[test]
fn declared_and_not_there_is_critical() {
    let mut settings = Settings::default();
    settings.node.expect = vec![Expected::Truenas];
    let judged = |seen: &Observed| said(&judge_pass(seen, &settings, &mut History::default()));
    assert_eq!(judged(&well(0.0)), ["truenas.expected truenas Crit Blocks"]);
    assert_eq!(judged(&seen(nas())), [""; 0]);
}
