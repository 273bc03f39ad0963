//! Whole steps through the real helper on a real socket, with a systemd and a logind that run nothing.

use std::time::Duration;

use hardstand_core::observed::{Moment, Role};
use hardstand_core::plan::PackageSet;
use hardstand_core::{Health, Observed, Severity};

use super::*;
use crate::facts;
use crate::helper::Digest;
use crate::helper::bench::Bench;
use crate::host::apt::parse_simulation;
use crate::journal::tests::{journal, journey};

/// Longest any step of these may take.
const SOON: Duration = Duration::from_secs(60);
const SIMULATION: &str = include_str!("../../tests/fixtures/apt/simulate-trixie.txt");
const FILES: &str = include_str!("../../tests/fixtures/apt/files-trixie.txt");

fn now_ms() -> u64 {
    u64::try_from(boottime().as_millis()).unwrap()
}

fn act(bench: &Bench) -> Act {
    let settings = crate::config::load(Some(&bench.config())).unwrap().settings;
    Act::with(bench.client(), &settings, bench.bus.jobs(), bench.host.clone())
}

async fn ended(act: &Act) -> ActState {
    let wait = async {
        while act.state() == ActState::Running {
            act.ended().await;
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("the step ends, and says so");
    act.state()
}

fn nothing_seen() -> Observed {
    Observed::nothing(Moment::default(), "n1", Role::Debian, "not yet")
}

fn well() -> Health {
    Health {
        node: "n1".to_owned(),
        verdict: Severity::Ok,
        findings: Vec::new(),
        collectors: Vec::new(),
        services: Vec::new(),
        errors: Vec::new(),
    }
}

fn known() -> facts::Known {
    facts::Known { now_ms: 1, gates_good_since_ms: None, act: ActState::None, same_history: Reading::Known(true) }
}

fn with_packages() -> Journey {
    let mut journey = journey();
    journey.part.packages = parse_simulation(SIMULATION).unwrap();
    journey.part.kernel = Some("6.12.2-lab-amd64".to_owned());
    journey
}

fn prints(bench: &Bench) {
    bench.bus.with(|world| {
        world.prints = vec![("--print-uris", FILES.to_owned()), (" -s ", SIMULATION.to_owned())];
    });
}

#[tokio::test]
async fn a_drain_asks_hooks_stops_what_runs_and_a_restore_gives_back_just_that() {
    let bench = Bench::start(
        "[drain]\nunits = [\"web.service\", \"idle.service\"]\n\
         [hooks]\npre_drain = [\"hook-a.service\"]\npost_drain = [\"hook-b.service\"]\npause_secs = 1\n",
    )
    .await;
    bench.bus.with(|world| {
        for (name, active) in [("web.service", "active"), ("idle.service", "inactive")] {
            world.units.insert(name.to_owned(), active.to_owned());
        }
        for hook in ["hook-a.service", "hook-b.service"] {
            world.units.insert(hook.to_owned(), "inactive".to_owned());
        }
        // Not yet, then go.
        world.statuses.insert("hook-a.service".to_owned(), vec![75, 0]);
    });
    let mut act = act(&bench);
    act.start(Step::Drain, &journey(), Some(now_ms()));
    assert_eq!(ended(&act).await, ActState::Ended);
    let did = ["start hook-a.service", "start hook-a.service", "stop web.service", "start hook-b.service"];
    assert_eq!(bench.bus.log(), did);
    assert_eq!(act.platform().drained().await, Reading::Known(true));
    let errand = errand_of(&journey(), 1).unwrap();
    assert_eq!(act.platform().restored(&errand).await, Reading::Known(false));
    act.start(Step::Restore, &journey(), None);
    assert_eq!(ended(&act).await, ActState::Ended);
    assert_eq!(bench.bus.log(), ["start web.service"]);
    assert_eq!(act.platform().restored(&errand).await, Reading::Known(true));
}

/// A helper that answers late is no reason to halt, whatever the step begins with.
#[tokio::test]
async fn a_permit_that_grew_old_on_the_way_is_asked_for_anew() {
    for config in ["[drain]\nunits = [\"web.service\"]\n", "[hooks]\npre_drain = [\"web.service\"]\n"] {
        let bench = Bench::start(config).await;
        bench.bus.with(|world| world.units.insert("web.service".to_owned(), "active".to_owned()));
        let mut act = act(&bench);
        bench.go_away();
        act.start(Step::Drain, &journey(), Some(now_ms() - PERMIT_MS + 500));
        tokio::time::sleep(Duration::from_millis(700)).await;
        bench.come_back();
        assert_eq!(ended(&act).await, ActState::None, "{config}");
        assert!(bench.bus.log().is_empty(), "nothing is done on an old permit");
    }
}

/// Before a drain is asked again, gates are looked at unless something has left: so the facts must say which it is.
#[tokio::test]
async fn facts_of_a_drain_that_was_cut_off_tell_whether_anything_has_left() {
    let bench = Bench::start("[drain]\nunits = [\"web.service\"]\n").await;
    bench.bus.with(|world| world.units.insert("web.service".to_owned(), "active".to_owned()));
    let mut act = act(&bench);
    let (helper, jobs, platform) = (bench.client(), bench.bus.jobs(), act.platform());
    let sources = facts::Sources { helper: &helper, jobs: &jobs, platform: platform.as_ref() };
    let mut under_way = journal(Phase::Draining);
    under_way.journey = Some(journey());
    let facts = facts::read(&nothing_seen(), &well(), &under_way, &sources, known()).await;
    assert_eq!((facts.drained, facts.restored), (Reading::Known(false), Reading::Known(true)));
    act.start(Step::Drain, &journey(), Some(now_ms()));
    assert_eq!(ended(&act).await, ActState::Ended);
    let facts = facts::read(&nothing_seen(), &well(), &under_way, &sources, known()).await;
    assert_eq!((facts.drained, facts.restored), (Reading::Known(true), Reading::Known(false)));
}

#[tokio::test]
async fn a_drain_again_after_a_crash_still_knows_what_ran_before() {
    let bench = Bench::start("[drain]\nunits = [\"web.service\"]\n").await;
    bench.bus.with(|world| world.units.insert("web.service".to_owned(), "active".to_owned()));
    let mut first = act(&bench);
    first.start(Step::Drain, &journey(), Some(now_ms()));
    assert_eq!(ended(&first).await, ActState::Ended);
    drop(first);
    let mut second = act(&bench);
    second.start(Step::Drain, &journey(), Some(now_ms()));
    assert_eq!(ended(&second).await, ActState::Ended);
    second.start(Step::Restore, &journey(), None);
    assert_eq!(ended(&second).await, ActState::Ended);
    assert_eq!(bench.bus.log(), ["stop web.service", "start web.service"]);
}

#[tokio::test]
async fn a_hook_that_says_no_stops_the_drain_before_anything_is_stopped() {
    let bench = Bench::start("[drain]\nunits = [\"web.service\"]\n[hooks]\npre_drain = [\"hook-a.service\"]\n").await;
    bench.bus.with(|world| {
        world.units.insert("web.service".to_owned(), "active".to_owned());
        world.units.insert("hook-a.service".to_owned(), "inactive".to_owned());
        world.statuses.insert("hook-a.service".to_owned(), vec![3]);
    });
    let mut act = act(&bench);
    act.start(Step::Drain, &journey(), Some(now_ms()));
    let ActState::Failed { why, next_action } = ended(&act).await else { panic!("it says no") };
    assert!(why.starts_with("pre-drain hook hook-a.service says no (exit-code 3): "), "{why}");
    assert_eq!(next_action, "see: systemctl status hook-a.service; when it is solved, lift the halt");
    assert_eq!(bench.bus.log(), ["start hook-a.service"]);
    act.forget();
    assert_eq!(act.state(), ActState::None);
}

#[tokio::test]
async fn a_permit_that_grows_old_on_the_way_to_the_helper_is_no_failure() {
    let bench = Bench::start("").await;
    let errand = errand_of(&journey(), 1).unwrap();
    let old = Permit { boot_id: "boot-1".to_owned(), answered_ms: now_ms() - PERMIT_MS - 1 };
    let error = bench.client().open(Deed::Patch, &errand, old).await.unwrap_err();
    assert!(Failure::of(&error, "").stale, "{error}");
    let of_another_boot = Permit { boot_id: "boot-0".to_owned(), answered_ms: now_ms() };
    let error = bench.client().open(Deed::Patch, &errand, of_another_boot).await.unwrap_err();
    assert!(!Failure::of(&error, "").stale, "{error}");
    assert_eq!(bench.client().attempts(Deed::Patch, &errand).await.unwrap(), 0, "neither was a try");
}

#[tokio::test]
async fn an_old_permit_begins_nothing() {
    let bench = Bench::start("[drain]\nunits = [\"web.service\"]\n").await;
    for step in [Step::Drain, Step::Patch, Step::Reboot] {
        let mut act = act(&bench);
        act.start(step.clone(), &journey(), None);
        assert!(matches!(ended(&act).await, ActState::Failed { .. }));
        // One that has grown old is no failure: it is asked for anew.
        act.start(step, &journey(), Some(now_ms() - PERMIT_MS - 1));
        assert_eq!(ended(&act).await, ActState::None);
    }
    assert!(bench.bus.log().is_empty());
}

#[tokio::test]
async fn a_set_is_staged_as_planned_and_installed_pinned() {
    let bench = Bench::start("").await;
    prints(&bench);
    let mut act = act(&bench);
    let journey = with_packages();
    act.start(Step::Stage, &journey, None);
    assert_eq!(ended(&act).await, ActState::Ended);
    bench.bus.log();
    act.start(Step::Patch, &journey, Some(now_ms()));
    assert_eq!(ended(&act).await, ActState::Ended);
    let log = bench.bus.log().join("\n").replace(&bench.host.path("").display().to_string(), "/");
    let inhibit =
        "/usr/bin/systemd-inhibit --what=shutdown --mode=block --who=hardstand --why=packages are being installed";
    let expected = format!(
        "run hardstand-patch-aaaaaaaa-42-{}.service: {inhibit} /usr/bin/dpkg --force-confdef --force-confold --configure -a \
         && {inhibit} /usr/bin/apt-get -y -q -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
         -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o APT::Get::AutomaticRemove=false \
         -o Dir::Etc::Preferences=/state/preferences -o Dir::Etc::PreferencesParts=/dev/null dist-upgrade \
         && /usr/bin/sync -f / /boot && /usr/bin/rm -f /state/unsettled",
        log.split('-').nth(4).and_then(|rest| rest.split('.').next()).unwrap_or_default()
    );
    assert_eq!(log, expected);
    let preferences = std::fs::read_to_string(bench.host.path("state/preferences")).unwrap();
    assert!(preferences.contains("Package: lab-app:amd64\nPin: version 2\n"), "{preferences}");
}

#[tokio::test]
async fn a_root_on_zfs_is_kept_before_anything_is_installed_and_ours_alone_are_pruned() {
    let bench = Bench::start("[snapshots]\nkeep = 2\n").await;
    prints(&bench);
    let root = "1 0 0:1 / / rw - zfs rpool/ROOT/pve-1 rw\n";
    std::fs::write(bench.host.path("proc/self/mountinfo"), root).unwrap();
    let mut act = act(&bench);
    let journey = with_packages();
    act.start(Step::Stage, &journey, None);
    assert_eq!(ended(&act).await, ActState::Ended);
    bench.bus.log();
    act.start(Step::Patch, &journey, Some(now_ms()));
    let ActState::Failed { why, .. } = ended(&act).await else { panic!("without zfs nothing is installed") };
    assert!(why.contains("zfs is not installed"), "{why}");
    assert!(bench.bus.log().is_empty());

    let snapshot = |name: &str, created: u32, made: &str, source: &str| {
        let name = format!("rpool/ROOT/pve-1@{name}");
        format!(
            "{name}\tcreation\t{created}\t-\n{name}\tuserrefs\t0\t-\n{name}\tclones\t\t-\n\
             {name}\thardstand:made\t{made}\t{source}\n"
        )
    };
    let listed = [
        snapshot("hardstand-a", 1, "hardstand-a", "local"),
        snapshot("hardstand-b", 2, "hardstand-a", "inherited from rpool"),
        snapshot("hardstand-c", 3, "hardstand-c", "local"),
        snapshot("autosnap", 4, "-", "-"),
    ];
    // A stand-in that prints what the real one would.
    let program = bench.host.path("usr/sbin/zfs");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    std::fs::write(bench.host.path("listed"), listed.concat()).unwrap();
    std::fs::write(&program, format!("#!/bin/sh\nexec cat {}\n", bench.host.path("listed").display())).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut act = self::act(&bench);
    act.start(Step::Patch, &journey, Some(now_ms()));
    assert_eq!(ended(&act).await, ActState::Ended);
    let log = bench.bus.log().join("\n").replace(&bench.host.path("").display().to_string(), "/");
    let (unit, commands) = log.strip_prefix("run hardstand-").and_then(|log| log.split_once(".service: ")).unwrap();
    let commands: Vec<&str> = commands.split(" && ").collect();
    let short = format!("hardstand-{unit}");
    let made = format!("/usr/sbin/zfs snapshot -o hardstand:made={short} rpool/ROOT/pve-1@{short}");
    assert_eq!(commands.first(), Some(&made.as_str()));
    assert!(commands[1].contains(" --configure -a") && commands[2].contains("dist-upgrade"), "{log}");
    assert_eq!(commands.last(), Some(&"-/usr/sbin/zfs destroy rpool/ROOT/pve-1@hardstand-a"), "{log}");
    assert_eq!(log.matches("destroy").count(), 1, "{log}");
}

#[tokio::test]
async fn a_run_that_was_cut_is_run_again_and_makes_the_kernels_files_anew() {
    let bench = Bench::start("").await;
    prints(&bench);
    let mut act = act(&bench);
    let journey = with_packages();
    let set = journey.part.packages.clone();
    let id = Digest::try_from(set.id()).unwrap();
    act.start(Step::Stage, &journey, None);
    assert_eq!(ended(&act).await, ActState::Ended);
    act.start(Step::Patch, &journey, Some(now_ms()));
    assert_eq!(ended(&act).await, ActState::Ended);
    let note = bench.host.path("state/unsettled");
    assert!(std::fs::read_to_string(&note).unwrap().ends_with(" boot-1\n"), "the made-up bus runs no rm");
    bench.install(&set);
    let installed = async || bench.client().package_state(id.clone(), false, None).await.unwrap().installed;
    assert!(installed().await, "in the same boot dpkg's word is enough");
    std::fs::write(bench.host.path("proc/sys/kernel/random/boot_id"), "boot-2\n").unwrap();
    std::fs::create_dir_all(bench.host.path("usr/sbin")).unwrap();
    std::fs::write(bench.host.path("usr/sbin/update-initramfs"), "").unwrap();
    assert!(!installed().await, "after a cut it is not");
    bench.bus.log();
    let mut act = self::act(&bench);
    act.start(Step::Patch, &journey, Some(now_ms()));
    assert_eq!(ended(&act).await, ActState::Ended);
    let log = bench.bus.log().join("\n");
    let (_, after) = log.split_once(" dist-upgrade && ").unwrap_or_else(|| panic!("{log}"));
    let commands: Vec<&str> = after.split(" && ").map(|one| one.rsplit("installed ").next().unwrap()).collect();
    let release = journey.part.kernel.as_deref().unwrap();
    let depmod = format!("/usr/sbin/depmod {release}");
    let initramfs = format!("/usr/sbin/update-initramfs -c -k {release}");
    assert_eq!(commands[..3], [&*depmod, &*initramfs, "/usr/bin/sync -f / /boot"], "{log}");
    assert!(!installed().await, "in this boot too, until the run that mends it has come to its end");
    // Cut while a package was unpacked: dpkg wants it unpacked again, and an upgrade does not do that.
    let record = bench.host.path("var/lib/dpkg/status");
    let whole = std::fs::read_to_string(&record).unwrap();
    std::fs::write(&record, whole.replacen("install ok installed", "install reinstreq unpacked", 1)).unwrap();
    let mut act = self::act(&bench);
    act.start(Step::Patch, &journey, Some(now_ms()));
    assert_eq!(ended(&act).await, ActState::Ended);
    let log = bench.bus.log().join("\n");
    let (before, after) = log.split_once(" --configure -a && ").unwrap_or_else(|| panic!("{log}"));
    assert!(before.contains(": -/usr/bin/systemd-inhibit "), "{log}");
    let again = after.split(" && ").next().and_then(|one| one.split_once(" --reinstall install ")).unwrap().1;
    let first = set.changes().iter().find(|change| change.to.is_some()).unwrap();
    assert_eq!(again, format!("{}:{}", first.name, first.architecture), "{log}");
    std::fs::write(&record, whole).unwrap();
    std::fs::remove_file(&note).unwrap();
    assert!(installed().await, "it has come to its end");
    std::fs::write(&note, "torn").unwrap();
    assert!(!installed().await);
}

#[tokio::test]
async fn another_set_than_planned_asks_for_a_new_plan() {
    let bench = Bench::start("").await;
    bench.bus.with(|world| world.prints = vec![(" -s ", SIMULATION.replace("lab-data [1] (2", "lab-data [1] (3"))]);
    let mut act = act(&bench);
    act.start(Step::Stage, &with_packages(), None);
    let ActState::Failed { why, .. } = ended(&act).await else { panic!("it must be refused") };
    let expected =
        "stage was refused: what would be installed now (6 packages) is not what was planned; a new plan is needed";
    assert_eq!(why, expected);
    act.start(Step::Patch, &with_packages(), Some(now_ms()));
    let ActState::Failed { why, .. } = ended(&act).await else { panic!("nothing is staged") };
    assert!(why.contains("stage the set again, or plan anew"), "{why}");
    assert!(!bench.bus.log().join("\n").contains("dpkg"));
}

/// A package run that is under way, and an agent that has just been started beside it.
async fn amid_a_run(bench: &Bench) -> (Act, Journal) {
    prints(bench);
    let mut first = act(bench);
    let journey = with_packages();
    first.start(Step::Stage, &journey, None);
    assert_eq!(ended(&first).await, ActState::Ended);
    bench.bus.with(|world| world.hold = true);
    first.start(Step::Patch, &journey, Some(now_ms()));
    let begun = async {
        while !bench.bus.with(|world| world.log.iter().any(|line| line.contains("--configure"))) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, begun).await.expect("it begins");
    bench.bus.log();
    let mut under_way = journal(Phase::Patching);
    under_way.journey = Some(journey);
    (act(bench), under_way)
}

/// The run fails now, and whoever follows it says so.
async fn is_followed_to_its_end(bench: &Bench, follower: &Act) {
    bench.bus.with(|world| {
        world.hold = false;
        let patch = world.units.keys().find(|name| name.contains("-patch-")).cloned().unwrap();
        world.statuses.insert(patch.clone(), vec![100]);
        world.ended.insert(patch.clone(), 100);
        world.units.insert(patch, "failed".to_owned());
    });
    let ActState::Failed { why, .. } = ended(follower).await else { panic!("it failed") };
    assert!(why.starts_with("exit-code 100: "), "{why}");
    assert!(bench.bus.log().is_empty(), "it was followed, not begun again");
}

#[tokio::test]
async fn a_package_run_is_found_again_by_a_new_agent_and_not_begun_twice() {
    let bench = Bench::start("").await;
    let (mut second, under_way) = amid_a_run(&bench).await;
    second.adopt(&under_way);
    assert_eq!(second.state(), ActState::Running);
    second.start(Step::Patch, &with_packages(), Some(now_ms()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(second.state(), ActState::Running);
    is_followed_to_its_end(&bench, &second).await;
}

/// The agent and its helper are among the packages: one may be back before the other.
#[tokio::test]
async fn a_package_run_that_replaces_the_helper_is_followed_all_the_same() {
    let bench = Bench::start("").await;
    let (mut second, under_way) = amid_a_run(&bench).await;
    for adopts in [true, false] {
        bench.go_away();
        if adopts {
            second.adopt(&under_way);
        } else {
            second.start(Step::Patch, &with_packages(), Some(now_ms()));
        }
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert_eq!(second.state(), ActState::Running, "what cannot be asked is not over");
        bench.come_back();
        // Until it has asked again.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
    }
    is_followed_to_its_end(&bench, &second).await;
}

#[tokio::test]
async fn a_reboot_goes_through_logind_and_a_block_refuses_it() {
    let bench = Bench::start("").await;
    let mut act = act(&bench);
    let text = str::to_owned;
    bench.bus.with(|world| {
        let held = (text("sleep:shutdown"), text("backup"), text("tape 3 of 4"), text("block"), 0, 1);
        world.inhibitors = vec![held, (text("shutdown"), text("x"), text("y"), text("delay"), 0, 2)];
    });
    act.start(Step::Reboot, &journey(), Some(now_ms()));
    let ActState::Failed { why, .. } = ended(&act).await else { panic!("it must be refused") };
    let held = "reboot was refused: a shutdown is held off by backup (tape 3 of 4); see: systemd-inhibit --list";
    assert_eq!(why, held);
    assert!(bench.bus.log().is_empty());
    bench.bus.with(|world| world.inhibitors.clear());
    act.start(Step::Reboot, &journey(), Some(now_ms()));
    assert_eq!(ended(&act).await, ActState::Ended);
    assert_eq!(bench.bus.log(), ["reboot 1"], "with the flag that obeys inhibitors");
}

#[tokio::test]
async fn a_half_configured_package_or_a_missing_entry_refuses_the_reboot() {
    let bench = Bench::start("").await;
    let mut act = act(&bench);
    let mut with_kernel = journey();
    with_kernel.part.kernel = Some("6.12.2-lab-amd64".to_owned());
    act.start(Step::Reboot, &with_kernel, Some(now_ms()));
    let ActState::Failed { why, .. } = ended(&act).await else { panic!("it must be refused") };
    assert_eq!(
        why,
        "reboot was refused: kernel 6.12.2-lab-amd64 could not boot: there is no /boot/vmlinuz-6.12.2-lab-amd64"
    );
    let half = "Package: a\nStatus: install ok half-configured\nVersion: 1\nArchitecture: amd64\n";
    std::fs::write(bench.host.path("var/lib/dpkg/status"), half).unwrap();
    act.start(Step::Reboot, &journey(), Some(now_ms()));
    let ActState::Failed { why, .. } = ended(&act).await else { panic!("it must be refused") };
    assert!(why.contains("packages are half-configured"), "{why}");
    assert!(bench.bus.log().is_empty());
}

#[tokio::test]
async fn fresh_lists_are_not_fetched_again_and_a_plan_names_set_kernel_and_restart() {
    let bench = Bench::start("[patch]\nkexec = true\n").await;
    prints(&bench);
    for (file, text) in [
        ("sys/kernel/osrelease", "6.12.1-lab-amd64\n"),
        ("sys/kernel/version", "#1\n"),
        ("cmdline", "rw\n"),
        ("stat", "btime 1\n"),
    ] {
        std::fs::write(bench.host.path("proc").join(file), text).unwrap();
    }
    bench.client().refresh().await.unwrap();
    bench.client().refresh().await.unwrap();
    assert_eq!(bench.bus.log().len(), 1, "lists of a moment ago are fresh");
    let stamp = bench.host.path("state/refreshed");
    let aged = std::time::SystemTime::now() - Duration::from_secs(11);
    std::fs::File::options().write(true).open(stamp).unwrap().set_modified(aged).unwrap();
    bench.client().refresh().await.unwrap();
    assert_eq!(bench.bus.log().len(), 2, "older ones are not");
    let updates = bench.client().plan().await.unwrap();
    assert_eq!(updates.packages, parse_simulation(SIMULATION).unwrap());
    assert_eq!(updates.kernel.as_deref(), Some("6.12.2-lab-amd64"));
    assert_eq!((updates.reboot.kind, updates.download_bytes), (RebootKind::Kexec, 3768));
    let failing = |world: &mut crate::host::systemd::fake::World| {
        world.statuses.insert("hardstand-resolve.service".to_owned(), vec![100]);
    };
    bench.bus.with(failing);
    let failed = bench.client().plan().await.unwrap_err().to_string();
    assert!(failed.starts_with("plan failed: resolving packages ended with exit-code 100: "), "{failed}");
}

#[tokio::test]
async fn facts_are_asked_for_in_their_phase_and_proved_from_dpkg() {
    let bench = Bench::start("").await;
    prints(&bench);
    let mut act = act(&bench);
    let journey = with_packages();
    act.start(Step::Stage, &journey, None);
    assert_eq!(ended(&act).await, ActState::Ended);
    let (seen, health) = (nothing_seen(), well());
    let (helper, jobs, platform) = (bench.client(), bench.bus.jobs(), act.platform());
    let sources = facts::Sources { helper: &helper, jobs: &jobs, platform: platform.as_ref() };
    let mut under_way = journal(Phase::Patching);
    under_way.journey = Some(journey);
    let facts = facts::read(&seen, &health, &under_way, &sources, known()).await;
    let state = facts.packages.known().unwrap();
    assert_eq!((state.installed, state.whole, state.boot_entry), (false, true, false));
    assert_eq!(facts.kernel.why(), Some("not yet"));
    assert!(facts.drained.why().is_some() && facts.boot_complete.why().is_some());
    bench.install(&parse_simulation(SIMULATION).unwrap());
    let facts = facts::read(&seen, &health, &under_way, &sources, known()).await;
    assert!(facts.packages.known().unwrap().installed);
    // Another set than was staged proves nothing.
    under_way.journey.as_mut().unwrap().part.packages = PackageSet::default();
    let facts = facts::read(&seen, &health, &under_way, &sources, known()).await;
    assert!(facts.packages.known().unwrap().installed, "an empty set is always installed");
    assert_eq!(jobs.userspace_since_ms().await.unwrap(), 7_000);
}
