//! Plays seeds of the protocol's simulator and says what they broke and how fast it went:
//! `cargo run --profile simulate -p hardstand-core --example simulate -- [--seeds N] [--from N] [--fleet NAME|all] [--variant NAME] [--fault NAME]... [--cut NODE:EDGE:FAULT:MS] [--story] [--on]`
//!
//! `--on` plays on after a broken invariant and counts what broke; `--story` tells the first broken seed. `--fault none` is
//! weather without any; `--cut` is one more fault at exactly one moment between two instructions of a node.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use hardstand_core::sim::{Cut, Fault, Scenario, Variant, play};

struct Wish {
    from: u64,
    seeds: u64,
    fleet: String,
    variant: Variant,
    faults: Option<Vec<Fault>>,
    cut: Option<Cut>,
    story: bool,
    on: bool,
}

/// What one thread has seen.
#[derive(Default)]
struct Tally {
    /// How many it played: without `--on` a thread stops at its first broken seed.
    seeds: u64,
    events: u64,
    seconds: u64,
    /// By invariant: how often, and the first seed.
    broken: BTreeMap<&'static str, (u64, u64)>,
}

fn main() -> ExitCode {
    let wish = match wish() {
        Ok(wish) => wish,
        Err(why) => {
            eprintln!("simulate: {why}");
            return ExitCode::from(2);
        }
    };
    let wanted = |name: &&str| wish.fleet == "all" || wish.fleet == *name;
    let mut code = ExitCode::SUCCESS;
    for name in Scenario::FLEETS.into_iter().filter(wanted) {
        let faults = wish.faults.as_deref().unwrap_or(&Fault::ALL);
        let scenario = Scenario::named(name, faults, wish.variant);
        let Some(scenario) = scenario.map(|scenario| Scenario { cut: wish.cut, ..scenario }) else { continue };
        if !report(name, &scenario, &wish) {
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn wish() -> Result<Wish, String> {
    let fleet = "small".to_owned();
    let variant = Variant::Shipped;
    let mut wish = Wish { from: 0, seeds: 20_000, fleet, variant, faults: None, cut: None, story: false, on: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--story" => wish.story = true,
            "--on" => wish.on = true,
            _ => {
                let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
                take(&mut wish, &word, value)?;
            }
        }
    }
    Ok(wish)
}

fn take(wish: &mut Wish, word: &str, value: String) -> Result<(), String> {
    let number = || value.parse().map_err(|_| format!("{word} {value} is no number"));
    match word {
        "--seeds" => wish.seeds = number()?,
        "--from" => wish.from = number()?,
        "--fleet" if value == "all" || Scenario::FLEETS.contains(&value.as_str()) => wish.fleet = value,
        "--fleet" => {
            return Err(format!("no fleet is called {value}; there are {} and all", Scenario::FLEETS.join(", ")));
        }
        "--variant" => {
            wish.variant = Variant::of(&value).ok_or_else(|| format!("no variant is called {value}"))?;
        }
        "--fault" if value == "none" => wish.faults = Some(Vec::new()),
        "--fault" => wish.faults.get_or_insert_default().push(fault(&value)?),
        "--cut" => wish.cut = Some(cut(&value)?),
        _ => return Err(format!("unknown word {word}")),
    }
    Ok(())
}

fn fault(word: &str) -> Result<Fault, String> {
    let words: Vec<&str> = Fault::ALL.iter().map(|fault| fault.word()).collect();
    Fault::of(word).ok_or_else(|| format!("no fault is called {word}; there are {}", words.join(", ")))
}

fn cut(text: &str) -> Result<Cut, String> {
    let wrong = || format!("--cut {text} is not NODE:EDGE:FAULT:MS");
    let mut parts = text.split(':');
    let number =
        |parts: &mut std::str::Split<char>| parts.next().and_then(|part| part.parse::<u32>().ok()).ok_or_else(wrong);
    let (node, edge) = (number(&mut parts)?, number(&mut parts)?);
    let fault = fault(parts.next().ok_or_else(wrong)?)?;
    let lasts_ms = u64::from(number(&mut parts)?);
    Ok(Cut { node: node as usize, edge, fault, lasts_ms })
}

/// Plays a fleet, and says how it went; true when nothing broke.
fn report(name: &str, scenario: &Scenario, wish: &Wish) -> bool {
    let begin = Instant::now();
    let tally = play_all(scenario, wish);
    let took = begin.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let (rate, each) = (tally.seeds as f64 / took, tally.events as f64 / tally.seeds as f64);
    println!(
        "{} seeds of {name} under {} faults, {}: {took:.1} s, {rate:.0} seeds/s, {each:.0} events a seed, {} virtual s",
        tally.seeds,
        scenario.faults.len(),
        wish.variant.word(),
        tally.seconds
    );
    for (invariant, (count, first)) in &tally.broken {
        println!("  {invariant}: {count} seeds, the first is {first}");
    }
    let first = tally.broken.values().map(|(_, first)| *first).min();
    if let Some(seed) = first {
        let outcome = play(scenario, seed, wish.story);
        println!("  seed {seed} broke {:?}", outcome.violation);
        println!("{}", outcome.story.join("\n"));
    }
    first.is_none()
}

/// Plays all seeds on every core.
fn play_all(scenario: &Scenario, wish: &Wish) -> Tally {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..threads).map(|first| scope.spawn(move || part(scenario, wish, first, threads))).collect();
        runs.into_iter().map(|run| run.join().expect("no seed panics")).fold(Tally::default(), |mut all, tally| {
            all.seeds += tally.seeds;
            all.events += tally.events;
            all.seconds += tally.seconds;
            for (invariant, (count, first)) in tally.broken {
                let known = all.broken.entry(invariant).or_insert((0, first));
                *known = (known.0 + count, known.1.min(first));
            }
            all
        })
    })
}

fn part(scenario: &Scenario, wish: &Wish, first: u64, threads: u64) -> Tally {
    let mut tally = Tally::default();
    let mut seed = wish.from + first;
    while seed < wish.from + wish.seeds {
        let outcome = play(scenario, seed, false);
        tally.seeds += 1;
        tally.events += outcome.events;
        tally.seconds += outcome.seconds;
        if let Some(violation) = outcome.violation {
            tally.broken.entry(violation.invariant).or_insert((0, seed)).0 += 1;
            if !wish.on {
                break;
            }
        }
        seed += threads;
    }
    tally
}
