//! The crash table of design §6: what a node does next in each phase, whatever it was cut between.
//!
//! For each step: cut before the journal was written, after it and before the act, and after the act; by a restart, which
//! forgets what was begun, or by power, which gives another boot.

use super::*;
use crate::fixture::{Fleet, NEW_KERNEL, NOW_MS, finding, person};
use crate::health::Severity;
use crate::operator;

const ME: &str = "pve1";

/// A node in the middle of something.
struct Scene {
    fleet: Fleet,
    journal: Journal,
    facts: Facts,
}

/// What it is expected to do next.
#[derive(Debug, PartialEq)]
enum Next {
    /// Waits, for something with these words in it.
    Waits(&'static str),
    /// Writes its journal in this phase.
    Writes(Phase),
    /// Stands still, for a reason with these words in it.
    Holds(&'static str),
    /// Commits, and is in this phase then.
    Commits(Phase),
    /// Acts in this phase under a permit that commits.
    Permitted(Step, Phase),
    /// Acts in this phase without one: nothing is taken away by it.
    Free(Step, Phase),
}

impl Scene {
    /// The order is there, and nothing is done yet.
    fn ordered() -> Self {
        let mut fleet = Fleet::under_way();
        assert_eq!(fleet.lead(), ["granting pve1", "ordering pve1"]);
        let facts = Facts {
            now_ms: NOW_MS,
            unix_seconds: 0,
            boot_id: "boot-1".to_owned(),
            kernel: Reading::Known("7.3.0".to_owned()),
            boot_complete: Reading::Known(true),
            userspace_since_ms: Reading::Known(0),
            findings: Vec::new(),
            gates_good_since_ms: Some(NOW_MS),
            act: ActState::None,
            drained: Reading::Known(false),
            restored: Reading::Known(true),
            packages: Reading::Known(PackageState { installed: false, whole: true, boot_entry: false }),
            same_history: Reading::Known(true),
        };
        Self { fleet, journal: Journal::default(), facts }
    }

    /// As it is when it has just come into a phase, with nothing gone wrong.
    fn in_phase(phase: Phase) -> Self {
        let mut scene = Self::ordered();
        for _ in 0..40 {
            if scene.journal.phase == phase {
                return scene;
            }
            scene.turn();
        }
        panic!("{phase} is not reached: {:?}", scene.decide());
    }

    fn decide(&self) -> Turn {
        decide(&self.journal, &self.fleet.view, &self.facts, &Identity { node: ME.to_owned() })
    }

    /// Does what is next, and lets the host do it well.
    fn turn(&mut self) {
        match self.decide() {
            Turn::Wait(why) => match self.journal.phase {
                Phase::Verifying => self.facts.gates_good_since_ms = Some(0),
                phase => panic!("{phase} waits: {why}"),
            },
            Turn::Write(then) => self.write(then),
            Turn::Commit { txn, then } => {
                self.fleet.write(txn);
                self.write(then);
            }
            Turn::Act { permit, journal, step } => {
                permit.into_iter().for_each(|permit| self.fleet.write(permit));
                self.write(journal);
                self.done(&step);
            }
        }
    }

    fn write(&mut self, then: Journal) {
        if then.phase != self.journal.phase {
            self.facts.act = ActState::None;
        }
        self.journal = then;
    }

    /// The host has done a step, and the process that began it has seen its end.
    fn done(&mut self, step: &Step) {
        self.facts.act = ActState::Ended;
        match step {
            Step::Stage => {}
            Step::Drain => {
                self.facts.drained = Reading::Known(true);
                self.facts.restored = Reading::Known(false);
            }
            Step::Patch => {
                self.facts.packages = Reading::Known(PackageState { installed: true, whole: true, boot_entry: true });
            }
            Step::Reboot => self.boot("boot-2", NEW_KERNEL),
            Step::Restore => {
                self.facts.drained = Reading::Known(false);
                self.facts.restored = Reading::Known(true);
            }
        }
    }

    /// Another boot.
    fn boot(&mut self, boot_id: &str, kernel: &str) {
        self.facts.act = ActState::None;
        boot_id.clone_into(&mut self.facts.boot_id);
        self.facts.kernel = Reading::Known(kernel.to_owned());
        self.facts.now_ms = 50_000;
        self.facts.gates_good_since_ms = None;
        self.fleet.view.heard_ms = Some(50_000);
    }

    fn next(&mut self) -> Next {
        match self.decide() {
            Turn::Wait(why) => Next::Waits(Box::leak(why.into_boxed_str())),
            Turn::Write(then) => match then.hold.filter(|hold| !hold.told) {
                Some(hold) => {
                    assert!(!hold.next_action.is_empty(), "L3: {}", hold.reason);
                    Next::Holds(Box::leak(hold.reason.into_boxed_str()))
                }
                None => Next::Writes(then.phase),
            },
            Turn::Commit { txn, then } => {
                assert!(self.fleet.commit(&txn), "it commits: {txn:?}");
                Next::Commits(then.phase)
            }
            Turn::Act { permit: None, journal, step } => Next::Free(step, journal.phase),
            Turn::Act { permit: Some(permit), journal, step } => {
                assert!(self.fleet.commit(&permit), "it is permitted: {permit:?}");
                Next::Permitted(step, journal.phase)
            }
        }
    }

    fn journey(&mut self) -> &mut Journey {
        self.journal.journey.as_mut().expect("one is under way")
    }

    /// The lease is gone: a person has taken it.
    fn lose_lease(&mut self) {
        let held = self.fleet.view.lease_of(ME).expect("it has one").clone();
        let txn = operator::force_release(&self.fleet.view, &person(), &held, "it hangs", "it is off");
        self.fleet.write(txn);
    }

    fn packages(&mut self, installed: bool, whole: bool, boot_entry: bool) {
        self.facts.packages = Reading::Known(PackageState { installed, whole, boot_entry });
    }
}

/// What happened to a node in this phase, and what it does next.
type Row = (&'static str, Phase, fn(&mut Scene), Next);

fn run(rows: &[Row]) {
    for (what, phase, happen, expected) in rows {
        let mut scene = Scene::in_phase(*phase);
        happen(&mut scene);
        let next = scene.next();
        let same = match (&next, expected) {
            (Next::Waits(why), Next::Waits(words)) | (Next::Holds(why), Next::Holds(words)) => why.contains(words),
            (next, expected) => next == expected,
        };
        assert!(same, "{phase}, {what}: {next:?}, and not {expected:?}");
    }
}

/// Nothing happens but the cut itself: the process is gone.
fn restarted(scene: &mut Scene) {
    scene.facts.act = ActState::None;
}

/// Power was cut; nothing else happened on the host.
fn power_cut(scene: &mut Scene) {
    let kernel = scene.facts.kernel.known().cloned().unwrap_or_default();
    scene.boot("boot-9", &kernel);
}

#[test]
fn s7_before_anything_was_taken_away() {
    run(&[
        ("an order", Phase::Idle, |_| {}, Next::Writes(Phase::Gated)),
        ("cut before the journal is written", Phase::Idle, power_cut, Next::Writes(Phase::Gated)),
        ("cut after it", Phase::Gated, power_cut, Next::Writes(Phase::Leased)),
        ("cut before staging began", Phase::Leased, restarted, Next::Free(Step::Stage, Phase::Leased)),
        ("cut while it staged", Phase::Leased, power_cut, Next::Free(Step::Stage, Phase::Leased)),
        ("staged", Phase::Leased, |scene| scene.done(&Step::Stage), Next::Writes(Phase::Staged)),
        ("the lease is taken back", Phase::Gated, Scene::lose_lease, Next::Writes(Phase::Released)),
        ("the lease is taken back", Phase::Leased, Scene::lose_lease, Next::Writes(Phase::Released)),
        ("the lease is taken back", Phase::Staged, Scene::lose_lease, Next::Writes(Phase::Released)),
        (
            "a gate turned bad since the grant",
            Phase::Staged,
            |scene| scene.facts.findings = vec![finding("zfs.resilver", Severity::Warn)],
            Next::Waits("gate before draining"),
        ),
    ]);
}

#[test]
fn s7_the_drain_cut_everywhere() {
    run(&[
        ("cut before the permit", Phase::Staged, power_cut, Next::Permitted(Step::Drain, Phase::Draining)),
        (
            "cut after the permit, before the journal",
            Phase::Staged,
            |scene| {
                let Turn::Act { permit: Some(permit), .. } = scene.decide() else { panic!("it asks for a permit") };
                scene.fleet.write(permit);
            },
            Next::Permitted(Step::Drain, Phase::Draining),
        ),
        (
            "cut after the journal, before the act",
            Phase::Draining,
            |scene| {
                restarted(scene);
                scene.facts.drained = Reading::Known(false);
            },
            Next::Permitted(Step::Drain, Phase::Draining),
        ),
        (
            "S13: the same, and a pool resilvers meanwhile",
            Phase::Draining,
            |scene| {
                restarted(scene);
                (scene.facts.drained, scene.facts.restored) = (Reading::Known(false), Reading::Known(true));
                scene.facts.findings = vec![finding("zfs.resilver", Severity::Warn)];
            },
            Next::Waits("gate before draining"),
        ),
        (
            "S6: a probe cannot tell, nor whether anything has left",
            Phase::Draining,
            |scene| {
                restarted(scene);
                (scene.facts.drained, scene.facts.restored) = (Reading::unknown("blind"), Reading::unknown("blind"));
                scene.facts.findings = vec![finding("probe", Severity::Unknown)];
            },
            Next::Waits("gate before draining"),
        ),
        (
            "a gate turned bad, and something has left",
            Phase::Draining,
            |scene| {
                restarted(scene);
                (scene.facts.drained, scene.facts.restored) = (Reading::Known(false), Reading::Known(false));
                scene.facts.findings = vec![finding("zfs.resilver", Severity::Warn)];
            },
            Next::Permitted(Step::Drain, Phase::Draining),
        ),
        (
            "nothing has left, and a pool resilvers for too long",
            Phase::Draining,
            |scene| {
                restarted(scene);
                (scene.facts.drained, scene.facts.restored) = (Reading::Known(false), Reading::Known(true));
                scene.facts.findings = vec![finding("zfs.resilver", Severity::Warn)];
                scene.journey().phase_since_ms = 0;
            },
            Next::Commits(Phase::Restoring),
        ),
        ("cut after the act", Phase::Draining, restarted, Next::Permitted(Step::Drain, Phase::Draining)),
        ("power cut while it drains", Phase::Draining, power_cut, Next::Permitted(Step::Drain, Phase::Draining)),
        ("drained, and seen", Phase::Draining, |_| {}, Next::Writes(Phase::Drained)),
        (
            "its end was told, and something still serves",
            Phase::Draining,
            |scene| scene.facts.drained = Reading::Known(false),
            Next::Waits("services are leaving"),
        ),
        (
            "not known whether it still serves, and late",
            Phase::Draining,
            |scene| {
                scene.facts.drained = Reading::unknown("systemd does not answer");
                scene.journey().phase_since_ms = 0;
            },
            Next::Commits(Phase::Restoring),
        ),
        (
            "failed",
            Phase::Draining,
            |scene| {
                scene.facts.act = ActState::Failed { why: "a hook".to_owned(), next_action: "look".to_owned() };
            },
            Next::Commits(Phase::Restoring),
        ),
        ("the lease is taken", Phase::Draining, Scene::lose_lease, Next::Writes(Phase::Restoring)),
        ("the lease is taken", Phase::Drained, Scene::lose_lease, Next::Writes(Phase::Restoring)),
    ]);
}

#[test]
fn s7_s17_the_package_run_cut_everywhere() {
    run(&[
        ("cut before the permit", Phase::Drained, power_cut, Next::Permitted(Step::Patch, Phase::Patching)),
        (
            "cut after the journal, before the act",
            Phase::Patching,
            |scene| {
                restarted(scene);
                scene.packages(false, true, false);
            },
            Next::Permitted(Step::Patch, Phase::Patching),
        ),
        (
            "restarted while the unit runs",
            Phase::Patching,
            |scene| {
                scene.facts.act = ActState::Running;
                scene.packages(false, false, false);
            },
            Next::Waits("packages are being installed"),
        ),
        (
            "power cut half-way",
            Phase::Patching,
            |scene| {
                power_cut(scene);
                scene.packages(false, false, false);
            },
            Next::Permitted(Step::Patch, Phase::Patching),
        ),
        ("cut after it ended: proof, not memory", Phase::Patching, restarted, Next::Writes(Phase::Patched)),
        (
            "it ended, and packages are half-configured",
            Phase::Patching,
            |scene| scene.packages(true, false, true),
            Next::Holds("half-configured"),
        ),
        (
            "it ended, and the kernel has no boot entry",
            Phase::Patching,
            |scene| scene.packages(true, true, false),
            Next::Holds("no boot entry"),
        ),
        (
            "it ended, and nothing is installed",
            Phase::Patching,
            |scene| scene.packages(false, true, true),
            Next::Holds("not installed"),
        ),
        (
            "S6: dpkg cannot tell",
            Phase::Patching,
            |scene| scene.facts.packages = Reading::unknown("locked"),
            Next::Waits("locked"),
        ),
        (
            "the lease was taken half-way: never undone blindly",
            Phase::Patching,
            |scene| {
                power_cut(scene);
                scene.packages(false, false, false);
                scene.lose_lease();
                scene.fleet.view.heard_ms = Some(scene.facts.now_ms);
            },
            Next::Holds("half installed"),
        ),
        ("the lease was taken afterwards", Phase::Patched, Scene::lose_lease, Next::Writes(Phase::Verifying)),
    ]);
}

#[test]
fn s7_s8_the_reboot_cut_everywhere() {
    run(&[
        ("cut before the permit", Phase::Patched, power_cut, Next::Permitted(Step::Reboot, Phase::RebootArmed)),
        (
            "S17: half-configured meanwhile",
            Phase::Patched,
            |scene| scene.packages(true, false, true),
            Next::Holds("not whole"),
        ),
        (
            "same boot: a restart, not a reboot",
            Phase::RebootArmed,
            same_boot,
            Next::Permitted(Step::Reboot, Phase::RebootArmed),
        ),
        (
            "same boot after two orders",
            Phase::RebootArmed,
            |scene| {
                same_boot(scene);
                scene.journey().reboots = REBOOT_ATTEMPTS;
            },
            Next::Holds("still the same boot"),
        ),
        (
            "same boot, and the lease was taken",
            Phase::RebootArmed,
            |scene| {
                same_boot(scene);
                scene.lose_lease();
            },
            Next::Writes(Phase::Verifying),
        ),
        ("another boot, the planned kernel", Phase::RebootArmed, |_| {}, Next::Writes(Phase::Returned)),
        (
            "S8: another boot that is not complete",
            Phase::RebootArmed,
            |scene| scene.facts.boot_complete = Reading::Known(false),
            Next::Waits("not complete"),
        ),
        (
            "S6: another boot of which nothing is known",
            Phase::RebootArmed,
            |scene| scene.facts.kernel = Reading::unknown("no /proc"),
            Next::Waits("no /proc"),
        ),
        (
            "S8: another boot, another kernel",
            Phase::RebootArmed,
            |scene| scene.boot("boot-2", "7.3.0"),
            Next::Holds("7.3.0"),
        ),
        (
            "S4: the store is silent: it serves and waits",
            Phase::Returned,
            |scene| scene.fleet.view.heard_ms = None,
            Next::Waits("serving"),
        ),
        ("the store answers", Phase::Returned, |_| {}, Next::Writes(Phase::Verifying)),
        ("the lease was taken", Phase::Returned, Scene::lose_lease, Next::Writes(Phase::Verifying)),
    ]);
}

/// The order to reboot came to nothing: the agent restarted, in the boot it was in.
fn same_boot(scene: &mut Scene) {
    scene.boot("boot-1", "7.3.0");
    scene.facts.now_ms = NOW_MS;
    scene.fleet.view.heard_ms = Some(NOW_MS);
}

#[test]
fn s8_another_kernel_is_not_tried_again() {
    let mut scene = Scene::in_phase(Phase::RebootArmed);
    scene.boot("boot-2", "7.3.0");
    let Turn::Write(then) = scene.decide() else { panic!("it holds") };
    let set = scene.journey().part.packages.id();
    assert!(then.denial(&set).is_some(), "the set is on the deny list");
    scene.journal = Journal { phase: Phase::Idle, journey: None, hold: None, ..then };
    assert!(matches!(scene.next(), Next::Holds(why) if why.contains("failed here before")));
}

/// A person ends the rollout and lifts the halt over a kernel that did not boot.
fn given_up(scene: &mut Scene) {
    let Turn::Write(then) = scene.decide() else { panic!("it holds") };
    scene.journal = Journal { hold: None, ..then };
    let person = person();
    let aborted = operator::set_state(&scene.fleet.view, &person, RolloutState::Aborted, "a bad kernel").unwrap();
    scene.fleet.write(aborted);
}

#[test]
fn s8_a_node_goes_back_with_the_kernel_it_runs_once_a_person_has_ended_the_rollout() {
    let mut scene = Scene::in_phase(Phase::RebootArmed);
    scene.boot("boot-2", "7.3.0");
    given_up(&mut scene);
    assert_eq!(scene.next(), Next::Writes(Phase::Verifying));
    for _ in 0..10 {
        if scene.journal.phase == Phase::Idle {
            break;
        }
        scene.turn();
    }
    assert_eq!((scene.journal.phase, scene.journal.denied.len()), (Phase::Idle, 1), "the set stays denied");
    assert!(scene.fleet.view.leases.is_empty(), "the lease was given back");

    // The same on the last steps, where a crash has brought up another kernel than the one that was proved.
    let mut scene = Scene::in_phase(Phase::Released);
    scene.boot("boot-3", "7.3.0");
    given_up(&mut scene);
    scene.turn();
    assert!(scene.journey().undoing);
    scene.turn();
    assert_eq!((scene.journal.phase, scene.journal.denied.len()), (Phase::Idle, 1));
}

#[test]
fn s5_s7_from_verifying_to_the_end() {
    run(&[
        (
            "gates hold for less than the streak",
            Phase::Verifying,
            |scene| scene.facts.gates_good_since_ms = Some(scene.facts.now_ms - 19_999),
            Next::Waits("streak"),
        ),
        (
            "gates hold for the streak",
            Phase::Verifying,
            |scene| {
                scene.facts.now_ms = 60_000;
                scene.facts.gates_good_since_ms = Some(40_000);
            },
            Next::Free(Step::Restore, Phase::Restoring),
        ),
        (
            "S5: worse than before, past the limit",
            Phase::Verifying,
            |scene| {
                scene.facts.now_ms = 10_000_000;
                scene.facts.findings = vec![finding("ceph", Severity::Crit)];
            },
            Next::Holds("ceph"),
        ),
        (
            "S5: a service stays down after its update, past the limit",
            Phase::Verifying,
            |scene| {
                scene.facts.now_ms = 10_000_000;
                let down = Brief { blocks: false, ..finding("systemd.failed_unit", Severity::Warn) };
                scene.facts.findings = vec![down];
            },
            Next::Holds("systemd.failed_unit"),
        ),
        (
            "a run of ours failed, a person mended it and lifted the halt",
            Phase::Verifying,
            |scene| {
                let run = Brief {
                    subject: "hardstand-patch-0badcafe-7-1.service".to_owned(),
                    blocks: false,
                    ..finding("systemd.failed_unit", Severity::Warn)
                };
                scene.facts.findings = vec![run];
                let journey = scene.journal.journey.as_ref().expect("one is under way");
                let bad = bad_gates(&scene.facts.findings, Some(&journey.part.baseline), &[]);
                assert!(bad.is_empty(), "{bad:?}");
                scene.facts.now_ms = 60_000;
                scene.facts.gates_good_since_ms = Some(40_000);
            },
            Next::Free(Step::Restore, Phase::Restoring),
        ),
        ("cut before services came back", Phase::Restoring, restarted, Next::Free(Step::Restore, Phase::Restoring)),
        ("power cut while they come back", Phase::Restoring, power_cut, Next::Free(Step::Restore, Phase::Restoring)),
        ("they are back", Phase::Restoring, |_| {}, Next::Writes(Phase::Released)),
        (
            "they did not come back",
            Phase::Restoring,
            |scene| scene.facts.act = ActState::Failed { why: "oom".to_owned(), next_action: "look".to_owned() },
            Next::Holds("oom"),
        ),
        ("cut before the lease is given back", Phase::Released, power_cut, Next::Commits(Phase::Idle)),
        ("the lease was taken before", Phase::Released, Scene::lose_lease, Next::Writes(Phase::Idle)),
        (
            "S4: the store is silent",
            Phase::Released,
            |scene| scene.fleet.view.heard_ms = None,
            Next::Waits("out of reach"),
        ),
        (
            "S8: the last cut brought up another kernel",
            Phase::Released,
            |scene| scene.boot("boot-9", "7.3.0"),
            Next::Holds("7.3.0"),
        ),
    ]);
}

#[test]
fn s11_what_was_given_back_is_over() {
    let mut scene = Scene::in_phase(Phase::Released);
    let order = scene.fleet.view.orders[ME].clone();
    let Turn::Commit { txn, then } = scene.decide() else { panic!("it gives the lease back") };
    scene.fleet.write(txn.clone());
    assert_eq!(scene.fleet.view.lease_of(ME), None);
    assert!(scene.fleet.view.done(crate::fixture::PLAN, ME).is_some());
    assert!(!scene.fleet.commit(&txn), "once");
    // Cut after the commit, before the journal: it finds its lease gone, and ends.
    assert_eq!(scene.next(), Next::Writes(Phase::Idle));
    // The same order once more is a replay.
    scene.journal = then;
    scene.fleet.view.orders.insert(ME.to_owned(), order);
    assert!(matches!(scene.next(), Next::Waits(why) if why.contains("done")));
}

#[test]
fn s3_s4_s5_s9_no_act_begins_without_all_that_permits_it() {
    /// What takes the permit away, and the words the node waits with.
    type Lack = (&'static str, fn(&mut Scene), &'static str);
    let lacks: [Lack; 6] = [
        ("S4: the store is silent", |scene| scene.fleet.view.heard_ms = None, "out of reach"),
        (
            "S4: silent for longer than evidence may be old",
            |scene| scene.fleet.view.heard_ms = Some(scene.facts.now_ms - crate::view::FRESH_MS - 1),
            "out of reach",
        ),
        ("the store was restored", |scene| scene.facts.same_history = Reading::Known(false), "out of reach"),
        (
            "S5: halted",
            |scene| {
                let halt = operator::halt(&scene.fleet.view, &person(), "smoke").expect("not halted");
                scene.fleet.write(halt);
            },
            "halted",
        ),
        ("S9: another leader", |scene| scene.fleet.view.leader.as_mut().expect("one leads").created += 1, "leader"),
        (
            "paused",
            |scene| {
                let state = RolloutState::Paused;
                let pause = operator::set_state(&scene.fleet.view, &person(), state, "wait").expect("it runs");
                scene.fleet.write(pause);
            },
            "paused",
        ),
    ];
    for phase in [Phase::Staged, Phase::Drained, Phase::Patched] {
        for (what, lack, words) in lacks {
            let mut scene = Scene::in_phase(phase);
            lack(&mut scene);
            let next = scene.next();
            assert!(matches!(next, Next::Waits(why) if why.contains(words)), "{phase}, {what}: {next:?}");
        }
    }
}

#[test]
fn s3_a_permit_does_not_commit_when_what_it_rests_on_has_changed() {
    type Happening = (&'static str, fn(&mut Scene));
    let happenings: [Happening; 5] = [
        ("a halt", |scene| {
            let halt = operator::halt(&scene.fleet.view, &person(), "smoke").expect("not halted");
            scene.fleet.write(halt);
        }),
        ("the lease is taken", Scene::lose_lease),
        ("the leader is gone", |scene| scene.fleet.write(Txn::new().delete(Key::Leader))),
        ("the store has a new life", |scene| {
            let adopt = operator::adopt(&scene.fleet.view, &person(), "life-2".to_owned(), "restored");
            scene.fleet.write(adopt);
        }),
        ("the rollout is aborted", |scene| {
            let state = RolloutState::Aborted;
            let abort = operator::set_state(&scene.fleet.view, &person(), state, "no").expect("it runs");
            scene.fleet.write(abort);
        }),
    ];
    for phase in [Phase::Staged, Phase::Drained, Phase::Patched] {
        for (what, happen) in happenings {
            let mut scene = Scene::in_phase(phase);
            let Turn::Act { permit: Some(permit), .. } = scene.decide() else { panic!("{phase} asks for a permit") };
            happen(&mut scene);
            assert!(!scene.fleet.commit(&permit), "{phase}, {what}");
        }
    }
}

#[test]
fn s5_a_hold_halts_the_fleet_once_and_ends_when_it_is_lifted() {
    let mut scene = Scene::in_phase(Phase::Patching);
    scene.packages(true, false, true);
    scene.turn();
    assert!(scene.journal.hold.is_some() && scene.fleet.view.halt.is_none());
    assert_eq!(scene.next(), Next::Commits(Phase::Patching), "it tells");
    let halt = scene.fleet.view.halt.clone().expect("the fleet is halted");
    assert!(!halt.value.reason.is_empty() && !halt.value.next_action.is_empty(), "L3");
    // Cut after the commit, before the journal: the halt is there already.
    let Turn::Write(then) = scene.decide() else { panic!("it knows that it was told") };
    assert!(then.hold.as_ref().is_some_and(|hold| hold.told));
    scene.journal = then;
    assert!(matches!(scene.next(), Next::Waits(why) if why.contains("held")));
    let lift = operator::lift(&scene.fleet.view, &person(), "dpkg --configure -a").expect("halted");
    scene.fleet.write(lift);
    scene.packages(true, true, true);
    let Turn::Write(then) = scene.decide() else { panic!("it goes on") };
    assert_eq!((then.hold, then.phase), (None, Phase::Patching));
}

#[test]
fn s12_an_order_whose_lease_was_entered_by_somebody_else_s_memory_is_not_begun() {
    let mut scene = Scene::in_phase(Phase::Draining);
    // The disk was lost with the journal.
    scene.journal = Journal::default();
    assert!(matches!(scene.next(), Next::Waits(why) if why.contains("entered before")));
}

#[test]
fn s10_a_plan_older_than_one_obeyed_is_refused() {
    let mut scene = Scene::ordered();
    scene.journal.plan_floor = 2;
    assert!(matches!(scene.next(), Next::Waits(why) if why.contains("older")));
    scene.journal.plan_floor = 1;
    assert_eq!(scene.next(), Next::Writes(Phase::Gated));
}
