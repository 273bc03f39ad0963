//! The protocol over many seeds.

use super::{Fault, Scenario, Variant, play};

/// Seeds of a test run; `qemu/lab bench protocol` plays a million.
const SEEDS: u64 = 20_000;
/// Plays seeds until one breaks an invariant, on as many threads as there are cores.
fn first_violation(scenario: &Scenario, seeds: u64) -> Option<super::Outcome> {
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get() as u64);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|first| {
                scope.spawn(move || {
                    (first..seeds)
                        .step_by(usize::try_from(threads).expect("a few threads"))
                        .map(|seed| play(scenario, seed, false))
                        .find(|outcome| outcome.violation.is_some())
                })
            })
            .collect();
        runs.into_iter().filter_map(|run| run.join().expect("no panic in a seed")).min_by_key(|outcome| outcome.seed)
    })
}

#[test]
fn l1_without_faults_a_rollout_ends_without_a_halt() {
    let scenario = Scenario::small(&[], Variant::Shipped);
    for seed in 0..50 {
        let outcome = play(&scenario, seed, false);
        assert_eq!((&outcome.violation, outcome.halts), (&None, Vec::new()), "seed {seed}");
        assert!(outcome.seconds < 120, "seed {seed} took {} s", outcome.seconds);
    }
}

#[test]
fn s1_to_s18_hold_over_all_seeds_under_all_faults() {
    let scenario = Scenario::small(&Fault::ALL, Variant::Shipped);
    if let Some(broken) = first_violation(&scenario, SEEDS) {
        let story = play(&scenario, broken.seed, true).story.join("\n");
        panic!("seed {} broke {:?}\n{story}", broken.seed, broken.violation);
    }
}

#[test]
fn a_seed_gives_the_same_story_every_time() {
    let scenario = Scenario::small(&Fault::ALL, Variant::Shipped);
    assert_eq!(play(&scenario, 7, true), play(&scenario, 7, true));
}
