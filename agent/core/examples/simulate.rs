//! Plays seeds of the protocol's simulator and says what they broke and how fast it went:
//! `cargo run --release -p hardstand-core --example simulate -- [--seeds N] [--from N] [--fleet NAME] [--variant NAME] [--story]`

use std::process::ExitCode;
use std::time::Instant;

use hardstand_core::sim::{Fault, Outcome, Scenario, Variant, play};

struct Wish {
    from: u64,
    seeds: u64,
    fleet: String,
    variant: Variant,
    story: bool,
}

fn wish() -> Result<Wish, String> {
    let mut wish = Wish { from: 0, seeds: 20_000, fleet: "small".to_owned(), variant: Variant::Shipped, story: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--story" {
            wish.story = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = || value.parse().map_err(|_| format!("{word} {value} is no number"));
        match word.as_str() {
            "--seeds" => wish.seeds = number()?,
            "--from" => wish.from = number()?,
            "--fleet" => wish.fleet = value,
            "--variant" => {
                wish.variant = Variant::of(&value).ok_or_else(|| format!("no variant is called {value}"))?;
            }
            _ => return Err(format!("unknown word {word}")),
        }
    }
    Ok(wish)
}

fn scenario(wish: &Wish) -> Result<Scenario, String> {
    let make = match wish.fleet.as_str() {
        "small" => Scenario::small,
        "wide" => Scenario::wide,
        "embedded" => Scenario::embedded,
        "groups" => Scenario::groups,
        other => return Err(format!("no fleet is called {other}; there are small, wide, embedded, groups")),
    };
    Ok(make(&Fault::ALL, wish.variant))
}

/// Plays all seeds on every core; the first that broke something, events and virtual seconds.
fn play_all(scenario: &Scenario, wish: &Wish) -> (Option<Outcome>, u64, u64) {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let part = |first: u64| {
        let (mut broken, mut events, mut seconds): (Option<Outcome>, u64, u64) = (None, 0, 0);
        let mut seed = wish.from + first;
        while seed < wish.from + wish.seeds {
            let outcome = play(scenario, seed, false);
            (events, seconds) = (events + outcome.events, seconds + outcome.seconds);
            if outcome.violation.is_some() {
                broken = Some(outcome);
                break;
            }
            seed += threads;
        }
        (broken, events, seconds)
    };
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
        let parts = runs.into_iter().map(|run| run.join().expect("no seed panics"));
        parts.fold((None::<Outcome>, 0, 0), |(broken, events, seconds), part| {
            let first = [broken, part.0].into_iter().flatten().min_by_key(|outcome| outcome.seed);
            (first, events + part.1, seconds + part.2)
        })
    })
}

fn main() -> ExitCode {
    let (wish, scenario) = match wish().and_then(|wish| scenario(&wish).map(|scenario| (wish, scenario))) {
        Ok(both) => both,
        Err(why) => {
            eprintln!("simulate: {why}");
            return ExitCode::from(2);
        }
    };
    let begin = Instant::now();
    let (broken, events, seconds) = play_all(&scenario, &wish);
    let took = begin.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let (rate, each) = (wish.seeds as f64 / took, events as f64 / wish.seeds as f64);
    println!(
        "{} seeds of {} under {} faults, {}: {rate:.0}/s, {each:.0} events a seed, {seconds} virtual seconds",
        wish.seeds,
        wish.fleet,
        scenario.faults.len(),
        wish.variant.word()
    );
    match broken {
        None => ExitCode::SUCCESS,
        Some(outcome) => {
            println!("seed {} broke {:?}", outcome.seed, outcome.violation);
            if wish.story {
                println!("{}", play(&scenario, outcome.seed, true).story.join("\n"));
            }
            ExitCode::FAILURE
        }
    }
}
