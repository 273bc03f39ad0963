//! The protocol over many seeds, cut at every moment between two instructions, and each broken variant over enough seeds
//! to be caught.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Cut, Fault, Outcome, Scenario, Variant, play};

/// Seeds of a test run of the fleet that the invariants are written for; `qemu/lab bench protocol` plays a million.
const SEEDS: u64 = 20_000;
/// Seeds of each other fleet.
const SEEDS_OF_OTHERS: u64 = 3_000;
/// Seeds of one fleet in which a broken variant must be caught.
const SEEDS_TO_CATCH: u64 = 5_000;
/// How long a cut lasts: shorter than a session, longer than one, in milliseconds.
const CUTS_MS: [u64; 2] = [2_000, 14_000];

fn fleet(name: &str, faults: &[Fault], variant: Variant) -> Scenario {
    Scenario::named(name, faults, variant).expect("a fleet of the list")
}

/// Plays seeds until one is as wanted, on as many threads as there are cores; the lowest such seed.
fn first(scenario: &Scenario, seeds: u64, wanted: impl Fn(&Outcome) -> bool + Sync) -> Option<Outcome> {
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get() as u64);
    let found = AtomicU64::new(u64::MAX);
    let (found, wanted) = (&found, &wanted);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|from| {
                scope.spawn(move || {
                    let seeds = (from..seeds).step_by(usize::try_from(threads).expect("a few threads"));
                    let open = seeds.take_while(|seed| *seed < found.load(Ordering::Relaxed));
                    let outcome = open.map(|seed| play(scenario, seed, false)).find(wanted)?;
                    found.fetch_min(outcome.seed, Ordering::Relaxed);
                    Some(outcome)
                })
            })
            .collect();
        runs.into_iter().filter_map(|run| run.join().expect("no panic in a seed")).min_by_key(|outcome| outcome.seed)
    })
}

/// The command that tells a seed's story again.
fn replay(name: &str, scenario: &Scenario, seed: u64) -> String {
    let mut words = format!(
        "cargo run --profile simulate -p hardstand-core --example simulate -- --fleet {name} --from {seed} --seeds 1 --variant {} --story",
        scenario.variant.word()
    );
    if scenario.faults.is_empty() {
        words += " --fault none";
    }
    if let Some(Cut { node, edge, fault, lasts_ms }) = scenario.cut {
        words += &format!(" --cut {node}:{edge}:{}:{lasts_ms}", fault.word());
    }
    words
}

fn tell(name: &str, scenario: &Scenario, seed: u64) -> String {
    let outcome = play(scenario, seed, true);
    let story = outcome.story.join("\n");
    format!("{story}\nseed {seed} of {name}: {:?}\n{}", outcome.violation, replay(name, scenario, seed))
}

fn hold(name: &str, seeds: u64) {
    let scenario = fleet(name, &Fault::ALL, Variant::Shipped);
    if let Some(broken) = first(&scenario, seeds, |outcome| outcome.violation.is_some()) {
        panic!("{}", tell(name, &scenario, broken.seed));
    }
}

#[test]
fn s1_to_s18_hold_over_all_seeds_under_all_faults() {
    hold("small", SEEDS);
}

#[test]
fn s1_to_s18_hold_with_five_nodes_of_which_two_may_be_down() {
    hold("wide", SEEDS_OF_OTHERS);
}

#[test]
fn s1_to_s18_hold_while_the_store_is_away_with_its_host() {
    hold("embedded", SEEDS_OF_OTHERS);
}

#[test]
fn s1_to_s18_hold_in_two_groups_and_a_host_of_the_store() {
    hold("groups", SEEDS_OF_OTHERS);
}

#[test]
fn l1_without_faults_every_fleet_ends_without_a_halt() {
    for name in Scenario::FLEETS {
        let scenario = fleet(name, &[], Variant::Shipped);
        for seed in 0..200 {
            let outcome = play(&scenario, seed, false);
            assert_eq!((&outcome.violation, &outcome.halts), (&None, &Vec::new()), "{}", replay(name, &scenario, seed));
            assert!(outcome.seconds < 120, "{} s: {}", outcome.seconds, replay(name, &scenario, seed));
        }
    }
}

/// What each broken variant must break: the invariant that the rule it lacks is there for, and a fleet in which it shows.
/// A counter needs room that quorum does not close: with three voters it is the second rule that refuses.
const CAUGHT: [(Variant, &str, &[&str]); 10] = [
    (Variant::LeasedPermit, "small", &["S12"]),
    (Variant::NoFencing, "small", &["S3"]),
    (Variant::NaiveUnlock, "small", &["S12"]),
    (Variant::NoHealthGate, "small", &["S5"]),
    (Variant::UnknownIsOk, "small", &["S1", "S6"]),
    (Variant::NoBootIdProof, "small", &["S8"]),
    (Variant::TokenWithoutIncarnation, "small", &["S3"]),
    (Variant::Counter, "wide", &["S1"]),
    (Variant::LeaderWithoutEpoch, "small", &["S9"]),
    (Variant::TimedRelease, "small", &["S12"]),
];

#[test]
fn every_broken_variant_is_caught() {
    for variant in Variant::BROKEN {
        let (_, name, numbers) = CAUGHT.iter().find(|(listed, ..)| *listed == variant).expect("each has its row");
        let scenario = fleet(name, &Fault::ALL, variant);
        let breaks = |outcome: &Outcome| outcome.violation.as_ref().is_some_and(|v| numbers.contains(&v.invariant));
        let caught = first(&scenario, SEEDS_TO_CATCH, breaks);
        let Some(caught) = caught else {
            panic!("{} broke none of {numbers:?} in {SEEDS_TO_CATCH} seeds of {name}", variant.word());
        };
        let shipped = play(&fleet(name, &Fault::ALL, Variant::Shipped), caught.seed, false);
        assert_eq!(shipped.violation, None, "the rules as shipped survive what {} does not", variant.word());
        let violation = caught.violation.as_ref().map(|violation| (violation.invariant, &violation.what));
        println!("{}: {violation:?}\n  {}", variant.word(), replay(name, &scenario, caught.seed));
    }
}

#[test]
fn s7_a_node_can_be_cut_between_any_two_instructions() {
    let sharp = [Fault::PowerCut, Fault::AgentRestart, Fault::Partition, Fault::Pause];
    for name in ["small", "embedded"] {
        let quiet = fleet(name, &[], Variant::Shipped);
        let cuts = (0..quiet.policy.nodes().count()).flat_map(|node| {
            let cut = move |edge, fault, lasts_ms| Cut { node, edge, fault, lasts_ms };
            let whole = Scenario { cut: Some(cut(u32::MAX, Fault::Pause, 0)), ..quiet.clone() };
            let edges = play(&whole, 1, false).edges;
            assert!(edges > 40, "a journey of {name} has only {edges} moments");
            let moments = (0..edges).flat_map(move |edge| sharp.map(|fault| (edge, fault)));
            moments.flat_map(move |(edge, fault)| CUTS_MS.map(|lasts_ms| cut(edge, fault, lasts_ms)))
        });
        for cut in cuts {
            let scenario = Scenario { cut: Some(cut), ..quiet.clone() };
            let outcome = play(&scenario, 1, false);
            assert!(outcome.violation.is_none(), "{}", tell(name, &scenario, 1));
            assert!(outcome.edges > cut.edge, "the cut came: {}", replay(name, &scenario, 1));
        }
    }
}

#[test]
fn s16_other_wall_clocks_change_nothing() {
    let scenario = fleet("small", &Fault::ALL, Variant::Shipped);
    let elsewhere = Scenario { clocks: 0x5EED, ..scenario.clone() };
    for seed in 0..300 {
        assert_eq!(play(&scenario, seed, true), play(&elsewhere, seed, true), "seed {seed}");
    }
}

#[test]
fn a_seed_gives_the_same_story_every_time() {
    for name in Scenario::FLEETS {
        let scenario = fleet(name, &Fault::ALL, Variant::Shipped);
        assert_eq!(play(&scenario, 7, true), play(&scenario, 7, true));
    }
}

#[test]
fn every_fault_strikes_in_some_seed() {
    for fault in Fault::ALL {
        let scenario = fleet("small", &[fault], Variant::Shipped);
        let struck = |seed| play(&scenario, seed, true).story.iter().any(|line| line.contains("FAULT"));
        assert!((0..20).any(struck), "{}", fault.word());
    }
}
