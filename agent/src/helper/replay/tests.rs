//! Replays, older tokens and old permits are refused, and nothing is forgotten over a restart (S3, S11).

use hardstand_core::lease::Token;
use tempfile::TempDir;

use super::*;

const NOW: u64 = 100_000;

struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// As a helper that has just started: nothing is kept but what lies on the disk.
    fn admit(&self, step: Deed, part: &str, sharp: bool, errand: &Errand, age_ms: u64) -> Result<(), String> {
        let now = Now { boot_id: "boot-1".to_owned(), boottime_ms: NOW };
        let permit = Permit { boot_id: "boot-1".to_owned(), answered_ms: NOW - age_ms };
        let errands = Errands::below(self.dir.path());
        errands.admit(step, part, sharp, errand, Some(&permit), &now).map_err(|error| error.to_string())
    }
}

fn errand(incarnation: &str, revision: u64, attempt: u32) -> Errand {
    let plan = Digest::try_from("a".repeat(64)).unwrap();
    Errand { plan, token: Token { incarnation: incarnation.to_owned(), revision }, attempt }
}

#[test]
fn the_same_errand_is_run_once() {
    let bench = Bench::new();
    bench.admit(Deed::Patch, "apply", true, &errand("life", 5, 1), 0).unwrap();
    let again = bench.admit(Deed::Patch, "apply", true, &errand("life", 5, 1), 0).unwrap_err();
    assert_eq!(again, "patch, attempt 1, is a replay: apply was run already");
    bench.admit(Deed::Patch, "apply", true, &errand("life", 5, 2), 0).unwrap();
    let again = bench.admit(Deed::Patch, "apply", true, &errand("life", 5, 1), 0).unwrap_err();
    assert_eq!(again, "patch, attempt 1, is a replay: attempt 2 was run already");
    let ahead = bench.admit(Deed::Patch, "apply", true, &errand("life", 5, 4), 0).unwrap_err();
    assert_eq!(ahead, "patch, attempt 4, comes before attempt 3");
    // Another step under the same lease has attempts of its own.
    bench.admit(Deed::Reboot, "restart", true, &errand("life", 5, 1), 0).unwrap();
}

#[test]
fn an_older_token_is_refused_whatever_it_asks() {
    let bench = Bench::new();
    bench.admit(Deed::Stage, "fetch", false, &errand("life", 9, 1), 0).unwrap();
    for step in [Deed::Stage, Deed::Drain, Deed::Patch, Deed::Reboot, Deed::Restore] {
        let refused = bench.admit(step, "x", false, &errand("life", 8, 1), 0).unwrap_err();
        assert_eq!(refused, "token life:8 is older than one seen before (9); its lease is no longer ours");
    }
    bench.admit(Deed::Stage, "fetch", false, &errand("life", 10, 1), 0).unwrap();
    assert!(bench.admit(Deed::Stage, "fetch", false, &errand("life", 9, 2), 0).is_err());
}

#[test]
fn a_restored_store_has_another_life_and_the_former_one_is_over() {
    let bench = Bench::new();
    bench.admit(Deed::Stage, "fetch", false, &errand("life-1", 90, 1), 0).unwrap();
    // Revisions rewind with a restore: lower, and obeyed.
    bench.admit(Deed::Stage, "fetch", false, &errand("life-2", 3, 1), 0).unwrap();
    let refused = bench.admit(Deed::Stage, "fetch", false, &errand("life-1", 91, 1), 0).unwrap_err();
    assert_eq!(refused, "token life-1:91 is of an earlier life of the store; ask the store that is there now");
}

#[test]
fn a_permit_must_be_young_of_this_boot_and_of_the_past() {
    let bench = Bench::new();
    let refused = bench.admit(Deed::Drain, "units", false, &errand("life", 5, 1), 5_001).unwrap_err();
    assert_eq!(refused, "its permit is 5001 ms old, at most 5 s; fence again");
    // A refused errand was not run: it may come again with a fresh permit.
    bench.admit(Deed::Drain, "units", false, &errand("life", 5, 1), 5_000).unwrap();
    let now = Now { boot_id: "boot-1".to_owned(), boottime_ms: NOW };
    let errands = Errands::below(bench.dir.path());
    let ask = |permit: Option<Permit>| {
        errands
            .admit(Deed::Reboot, "restart", true, &errand("life", 5, 1), permit.as_ref(), &now)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(ask(None), "it comes without a permit; fence again");
    let other = Permit { boot_id: "boot-0".to_owned(), answered_ms: NOW };
    assert_eq!(ask(Some(other)), "its permit is of another boot; fence again");
    let future = Permit { boot_id: "boot-1".to_owned(), answered_ms: NOW + 1 };
    assert_eq!(ask(Some(future)), "its permit is from the future; fence again");
}

#[test]
fn later_parts_of_a_drain_live_on_its_permit_and_sharp_ones_never_do() {
    let bench = Bench::new();
    bench.admit(Deed::Drain, "pre-drain 0 try 1", false, &errand("life", 5, 1), 0).unwrap();
    bench.admit(Deed::Drain, "units", false, &errand("life", 5, 1), 60_000).unwrap();
    bench.admit(Deed::Patch, "open", true, &errand("life", 5, 1), 0).unwrap();
    assert!(bench.admit(Deed::Patch, "apply", true, &errand("life", 5, 1), 60_000).is_err());
    // What gives back needs none.
    bench.admit(Deed::Restore, "units", false, &errand("life", 5, 1), 60_000).unwrap();
}

#[test]
fn attempts_are_told_and_end_somewhere() {
    let bench = Bench::new();
    let errands = Errands::below(bench.dir.path());
    for attempt in 1..=ATTEMPTS {
        assert_eq!(errands.attempts(Deed::Reboot, &errand("life", 5, 1)).unwrap(), attempt - 1);
        bench.admit(Deed::Reboot, "restart", true, &errand("life", 5, attempt), 0).unwrap();
    }
    let refused = bench.admit(Deed::Reboot, "restart", true, &errand("life", 5, ATTEMPTS + 1), 0).unwrap_err();
    assert_eq!(refused, "reboot was tried 16 times under this lease; a person must look");
    assert_eq!(errands.attempts(Deed::Reboot, &errand("life", 6, 1)).unwrap(), 0);
    assert!(errands.has_done(Deed::Reboot, "restart", &errand("life", 5, 1)).unwrap());
    assert!(!errands.has_done(Deed::Patch, "apply", &errand("life", 5, 1)).unwrap());
}

#[test]
fn a_torn_memory_stops_everything_and_a_full_disk_too() {
    let bench = Bench::new();
    bench.admit(Deed::Stage, "fetch", false, &errand("life", 5, 1), 0).unwrap();
    let path = bench.dir.path().join(FILE);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let refused = bench.admit(Deed::Stage, "fetch", false, &errand("life", 6, 1), 0).unwrap_err();
        assert!(refused.ends_with("with no rollout under way, move it away"), "{length}: {refused}");
    }
    std::fs::write(&path, &whole).unwrap();
    std::fs::create_dir(bench.dir.path().join(".errands.json.next")).unwrap();
    let refused = bench.admit(Deed::Stage, "fetch", false, &errand("life", 6, 1), 0).unwrap_err();
    assert!(refused.contains("nothing is changed until it can be used: free some space"), "{refused}");
}

#[test]
fn tokens_that_could_be_a_path_are_refused() {
    let bench = Bench::new();
    for incarnation in ["", "../x", "a b", &"x".repeat(65)] {
        assert!(bench.admit(Deed::Stage, "fetch", false, &errand(incarnation, 5, 1), 0).is_err(), "{incarnation}");
    }
    assert!(bench.admit(Deed::Stage, "fetch", false, &errand("life", 5, 0), 0).is_err());
}
