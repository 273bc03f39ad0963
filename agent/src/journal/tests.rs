//! The journal on the disk: cut at every stage of a write, torn, foreign, impossible, and on a full disk.

use hardstand_core::journal::{Denied, Journey};
use hardstand_core::lease::Token;
use hardstand_core::plan::{NodePlan, PackageSet, Reboot, RebootKind, Timeouts};
use hardstand_core::rollout::Order;

use super::*;
use crate::durable::Stage;

/// A journey of node `n1`, for tests of everything that is handed one.
pub(crate) fn journey() -> Journey {
    let token = Token { incarnation: "life-1".to_owned(), revision: 42 };
    let plan = "a".repeat(64);
    Journey {
        order: Order {
            uid: Order::uid(&plan, &token),
            node: "n1".to_owned(),
            plan,
            token,
            epoch: 7,
            rollout_modified: 9,
        },
        part: NodePlan {
            node: "n1".to_owned(),
            group: "lab".to_owned(),
            alone: false,
            packages: PackageSet::default(),
            reboot: Reboot { kind: RebootKind::Full, why: "a new kernel".to_owned() },
            drain: true,
            stay_seconds: 0,
            kernel: None,
            baseline: Vec::new(),
            estimate_seconds: 60,
        },
        timeouts: Timeouts::default(),
        streak_seconds: 1,
        slot: 0,
        deadline_seconds: 600,
        boot_id_before: "boot-1".to_owned(),
        undoing: false,
        reboots: 0,
        drained: Vec::new(),
        phase_since_ms: 0,
        phase_boot_id: "boot-1".to_owned(),
        spent: Vec::new(),
    }
}

/// A journal in this phase.
pub(crate) fn journal(phase: Phase) -> Journal {
    let journey = (phase != Phase::Idle).then(journey);
    let denied = vec![Denied { set: "b".repeat(64), why: "did not boot".to_owned() }];
    Journal { phase, journey, denied, plan_floor: 3, ..Journal::default() }
}

fn message(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), text).unwrap();
    let error = JournalFile::open(dir.path()).unwrap_err();
    assert_eq!(error.finding(5).gate, Gate::Blocks);
    assert!(dir.path().join(FILE).exists(), "it is a person's to move away");
    error.to_string().replace(&dir.path().display().to_string(), "")
}

#[test]
fn a_node_that_never_had_one_begins_idle_and_each_phase_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (file, first) = JournalFile::open(dir.path()).unwrap();
    assert_eq!(first, Journal::default());
    for phase in hardstand_core::phase::PHASES {
        file.write(&journal(phase)).unwrap();
        assert_eq!(JournalFile::open(dir.path()).unwrap().1, journal(phase));
    }
}

#[test]
fn a_cut_before_any_stage_leaves_the_old_or_the_new_one_whole() {
    let stages = [Stage::Create, Stage::Write, Stage::SyncFile, Stage::Rename, Stage::SyncDirectory];
    for cut in stages {
        let dir = tempfile::tempdir().unwrap();
        let (file, _) = JournalFile::open(dir.path()).unwrap();
        file.write(&journal(Phase::Drained)).unwrap();
        let cut_there = |stage| if stage == cut { Err(io::Error::other("power cut")) } else { Ok(()) };
        let error = file.write_with(&journal(Phase::Patching), cut_there).unwrap_err();
        assert!(matches!(error, JournalError::Write { .. }), "{cut:?}: the act must not begin");
        let (file, found) = JournalFile::open(dir.path()).unwrap();
        // Only the name not being on the disk yet can leave the new one to be seen.
        let expected = if cut == Stage::SyncDirectory { Phase::Patching } else { Phase::Drained };
        assert_eq!(found.phase, expected, "{cut:?}");
        file.write(&journal(Phase::Patching)).unwrap();
        assert_eq!(JournalFile::open(dir.path()).unwrap().1.phase, Phase::Patching, "{cut:?}");
    }
}

#[test]
fn stages_come_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let (file, _) = JournalFile::open(dir.path()).unwrap();
    let mut seen = Vec::new();
    let note = |stage| {
        seen.push(stage);
        Ok(())
    };
    file.write_with(&journal(Phase::Idle), note).unwrap();
    assert_eq!(seen, [Stage::Create, Stage::Write, Stage::SyncFile, Stage::Rename, Stage::SyncDirectory]);
}

#[test]
fn every_torn_length_is_an_error_never_an_absence() {
    let dir = tempfile::tempdir().unwrap();
    let (file, _) = JournalFile::open(dir.path()).unwrap();
    file.write(&journal(Phase::Patching)).unwrap();
    let whole = std::fs::read(dir.path().join(FILE)).unwrap();
    for length in 0..whole.len() {
        std::fs::write(dir.path().join(FILE), &whole[..length]).unwrap();
        assert!(matches!(JournalFile::open(dir.path()), Err(JournalError::Torn { .. })), "{length}");
    }
    // Blocks that were allotted and never written read as zeros.
    std::fs::write(dir.path().join(FILE), vec![0; whole.len()]).unwrap();
    assert!(matches!(JournalFile::open(dir.path()), Err(JournalError::Torn { .. })));
}

#[test]
fn foreign_and_impossible_ones_say_what_to_do() {
    assert_eq!(
        message(r#"{"version":2,"phase":"flying"}"#),
        "/journal.json has version 2, this agent reads 1; install the release that wrote it"
    );
    let mut idle = serde_json::to_value(journal(Phase::Patching)).unwrap();
    idle["phase"] = "idle".into();
    let way_out = "see where the node stands (hardstand status), finish or undo by hand, then move the file away and \
                   restart hardstand-agent";
    let expected = format!("/journal.json says what cannot be: it is idle and has a journey; {way_out}");
    assert_eq!(message(&idle.to_string()), expected);
    let mut lost = serde_json::to_value(journal(Phase::Patching)).unwrap();
    lost["journey"] = serde_json::Value::Null;
    let expected = format!("/journal.json says what cannot be: it is under way and has no journey; {way_out}");
    assert_eq!(message(&lost.to_string()), expected);
    let mut two = serde_json::to_value(journal(Phase::Patching)).unwrap();
    two["journey"]["part"]["node"] = "n2".into();
    assert!(message(&two.to_string()).contains("its order and its part name two nodes"));
    let mut more = serde_json::to_value(journal(Phase::Patching)).unwrap();
    more["mood"] = "good".into();
    assert!(message(&more.to_string()).starts_with("/journal.json is torn or not a journal: unknown field `mood`"));
    assert!(message("[]").contains("it has no version"));
}

#[test]
fn an_impossible_one_is_never_written() {
    let dir = tempfile::tempdir().unwrap();
    let (file, _) = JournalFile::open(dir.path()).unwrap();
    let wrong = Journal { journey: Some(journey()), ..Journal::default() };
    assert!(matches!(file.write(&wrong), Err(JournalError::Impossible { .. })));
    assert!(!dir.path().join(FILE).exists());
}

#[test]
fn a_full_disk_refuses_the_write_and_keeps_the_old_one() {
    // A directory whose entries cannot grow: the new file's name is taken by a directory.
    let dir = tempfile::tempdir().unwrap();
    let (file, _) = JournalFile::open(dir.path()).unwrap();
    file.write(&journal(Phase::Drained)).unwrap();
    let full = |stage| if stage == Stage::SyncFile { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) };
    let error = file.write_with(&journal(Phase::Patching), full).unwrap_err().to_string();
    assert!(error.contains("No space left on device") && error.contains("nothing is begun"), "{error}");
    assert_eq!(JournalFile::open(dir.path()).unwrap().1.phase, Phase::Drained);
    std::fs::remove_file(dir.path().join(".journal.json.next")).unwrap();
    std::fs::create_dir(dir.path().join(".journal.json.next")).unwrap();
    assert!(matches!(file.write(&journal(Phase::Patching)), Err(JournalError::Write { .. })));
    assert_eq!(JournalFile::open(dir.path()).unwrap().1.phase, Phase::Drained);
}

#[test]
fn it_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (file, _) = JournalFile::open(dir.path()).unwrap();
    file.write(&journal(Phase::Idle)).unwrap();
    let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
