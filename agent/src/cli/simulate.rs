//! `hardstand simulate`: what a rollout would be like on a fleet, played by the very rules that will run it.
//!
//! It must never touch a store or a host: it reads one file, and plays seeds.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use clap::builder::PossibleValuesParser;
use hardstand_core::fleet::Policy;
use hardstand_core::planner;
use hardstand_core::sim::{Fault, Outcome, Scenario, Variant, play};
use serde::Serialize;

use super::desk::show;
use super::rollout_watch::clock;
use crate::config::fleet::load;
use crate::report::table::{Cell, Fit, Row, draw};
use crate::report::terminal::{self, Style};

/// `hardstand simulate`
#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// The policy file.
    file: PathBuf,
    /// How many rollouts to play of each kind: without faults, and with each fault.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Only this fault; may be given more than once. Without it, every fault there is.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Fault::ALL.map(Fault::word)))]
    fault: Vec<String>,
    /// Tell the story of this one rollout instead, with the faults given, or with any.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const SCHEMA: &str = "hardstand.simulation/1";
/// A fleet is played second by second and node by node: a larger one takes minutes for each rollout.
const MOST_NODES: usize = 24;
/// How many of the things waited for are shown.
const WAITS_SHOWN: usize = 8;

/// `hardstand.simulation/1`
#[derive(Debug, Serialize)]
struct Simulation {
    fleet: String,
    order: Vec<String>,
    seeds: u64,
    /// Without any fault.
    calm: Played,
    /// Out of service in one rollout without faults, by node.
    out_of_service: Vec<(String, Times)>,
    /// What nodes wait for in such a rollout, longest first, in seconds on average.
    waits: Vec<(String, u64)>,
    faults: Vec<Weather>,
}

/// What one fault does.
#[derive(Debug, Serialize)]
struct Weather {
    fault: &'static str,
    #[serde(flatten)]
    played: Played,
}

/// Some rollouts of one kind.
#[derive(Debug, Serialize)]
struct Played {
    took: Times,
    /// How many halted at least once, and waited for a person.
    halted: u64,
    /// The halt seen most often.
    halt: Option<String>,
    /// The first that broke an invariant, and which: a bug of this program.
    broken: Option<String>,
}

/// In seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Times {
    median: u64,
    worst: u64,
}

/// Plays, and tells. The exit status is 2 when a rollout broke an invariant.
pub(super) fn run(args: &SimulateArgs) -> anyhow::Result<u8> {
    let policy = load(&args.file)?;
    let count = policy.nodes().count();
    anyhow::ensure!(
        count <= MOST_NODES,
        "{count} nodes are too many to play, {MOST_NODES} at most: simulate the groups one by one, each in a file of its own"
    );
    let chosen: Vec<Fault> = match args.fault.as_slice() {
        [] => Fault::ALL.to_vec(),
        words => words.iter().filter_map(|word| Fault::of(word)).collect(),
    };
    if let Some(seed) = args.seed {
        return story(policy, &chosen, seed);
    }
    let simulation = simulate(&policy, &chosen, args.seeds)?;
    let style = Style::of_stdout();
    show(args.json, SCHEMA, &simulation, &draw_all(&simulation, &policy, style))?;
    let broken = simulation.faults.iter().map(|weather| &weather.played).chain([&simulation.calm]);
    Ok(if broken.into_iter().any(|played| played.broken.is_some()) { 2 } else { 0 })
}

fn story(policy: Policy, faults: &[Fault], seed: u64) -> anyhow::Result<u8> {
    let outcome = play(&Scenario::of(policy, faults, Variant::Shipped), seed, true);
    let mut text = String::new();
    for line in &outcome.story {
        // "   12345 what happened": virtual milliseconds first.
        let (ms, what) = line.trim_start().split_once(' ').unwrap_or(("", line));
        let at = ms.parse::<u64>().map_or_else(|_| ms.to_owned(), |ms| clock(ms / 1_000));
        writeln!(text, "{at:>8}  {what}")?;
    }
    writeln!(text, "it took {}; halts: {}", clock(outcome.seconds), outcome.halts.len())?;
    terminal::print(&text)?;
    Ok(if outcome.violation.is_some() { 2 } else { 0 })
}

fn simulate(policy: &Policy, faults: &[Fault], seeds: u64) -> anyhow::Result<Simulation> {
    let calm = play_all(policy, &[], seeds)?;
    let each = |fault: &Fault| {
        let played = play_all(policy, std::slice::from_ref(fault), seeds)?;
        Ok(Weather { fault: fault.word(), played: sum(&played) })
    };
    let weather = faults.iter().map(each).collect::<anyhow::Result<Vec<_>>>()?;
    let order = planner::order(policy).into_iter().map(|(_, node)| node.to_owned()).collect::<Vec<_>>();
    let away = |node: &String| {
        let mine = calm.iter().flat_map(|outcome| &outcome.out_of_service).filter(|(name, _)| name == node);
        (node.clone(), times(mine.map(|(_, seconds)| *seconds).collect()))
    };
    Ok(Simulation {
        fleet: policy.fleet.name.clone(),
        seeds,
        out_of_service: order.iter().map(away).collect(),
        waits: waits(&calm),
        order,
        calm: sum(&calm),
        faults: weather,
    })
}

/// Plays the seeds on every core.
fn play_all(policy: &Policy, faults: &[Fault], seeds: u64) -> anyhow::Result<Vec<Outcome>> {
    let scenario = Scenario::of(policy.clone(), faults, Variant::Shipped);
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64).min(seeds);
    let part = |first: u64| {
        let step = usize::try_from(threads).unwrap_or(1);
        // Who waits for whom is told without faults only: it makes a play slower.
        (first..seeds).step_by(step).map(|seed| play(&scenario, seed, faults.is_empty())).collect::<Vec<_>>()
    };
    let part = &part;
    let parts = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
        runs.into_iter().map(|run| run.join().ok()).collect::<Option<Vec<_>>>()
    });
    let mut outcomes: Vec<Outcome> =
        parts.context("a simulated rollout ended in a panic; report it with the policy file")?.concat();
    outcomes.sort_by_key(|outcome| outcome.seed);
    Ok(outcomes)
}

fn sum(outcomes: &[Outcome]) -> Played {
    let halts = outcomes.iter().flat_map(|outcome| outcome.halts.iter().map(String::as_str));
    let mut counted: Vec<(usize, &str)> = Vec::new();
    for halt in halts {
        match counted.iter_mut().find(|(_, known)| *known == halt) {
            Some((count, _)) => *count += 1,
            None => counted.push((1, halt)),
        }
    }
    let most = counted.iter().rev().max_by_key(|(count, _)| *count);
    let broken = outcomes.iter().find_map(|outcome| {
        let violation = outcome.violation.as_ref()?;
        Some(format!("seed {}: {} {}", outcome.seed, violation.invariant, violation.what))
    });
    Played {
        took: times(outcomes.iter().map(|outcome| outcome.seconds).collect()),
        halted: outcomes.iter().filter(|outcome| !outcome.halts.is_empty()).count() as u64,
        halt: most.map(|(_, halt)| (*halt).to_owned()),
        broken,
    }
}

fn times(mut seconds: Vec<u64>) -> Times {
    seconds.sort_unstable();
    Times { median: seconds.get(seconds.len() / 2).copied().unwrap_or(0), worst: seconds.last().copied().unwrap_or(0) }
}

/// What was waited for, and for how long on average; the longest first.
fn waits(outcomes: &[Outcome]) -> Vec<(String, u64)> {
    let mut waits: Vec<(String, u64)> = Vec::new();
    for (what, seconds) in outcomes.iter().flat_map(|outcome| &outcome.waits) {
        match waits.iter_mut().find(|(known, _)| known == what) {
            Some((_, sum)) => *sum += seconds,
            None => waits.push((what.clone(), *seconds)),
        }
    }
    let count = (outcomes.len() as u64).max(1);
    for (_, sum) in &mut waits {
        *sum /= count;
    }
    waits.retain(|(_, seconds)| *seconds > 0);
    waits.sort_by(|(a, a_seconds), (b, b_seconds)| b_seconds.cmp(a_seconds).then(a.cmp(b)));
    waits
}

fn draw_all(simulation: &Simulation, policy: &Policy, style: Style) -> String {
    let Simulation { fleet, order, seeds, calm, .. } = simulation;
    let mut out = format!(
        "fleet {fleet}   {} nodes   without faults {}, at worst {}, of {seeds} rollouts\n",
        order.len(),
        clock(calm.took.median),
        clock(calm.took.worst)
    );
    out += "as a guess: a minute to drain, 1m to 4m to patch, 1m to 4m to reboot; windows open, packages ripe;\n";
    out += "somebody answers a halt within seconds, and mends what is broken\n\n";
    out += &nodes(simulation, policy, style);
    if !simulation.waits.is_empty() {
        out += "\nwho waits, on average\n";
        for (what, seconds) in simulation.waits.iter().take(WAITS_SHOWN) {
            out += &format!("  {:>6}  {}\n", clock(*seconds), terminal::one_line(what));
        }
    }
    out += "\n";
    out += &weather(simulation, style);
    let all = std::iter::once(calm).chain(simulation.faults.iter().map(|weather| &weather.played));
    for broken in all.filter_map(|played| played.broken.as_ref()) {
        out += &format!("\nBROKEN {broken}\n  this is a bug of hardstand; report it with the policy file\n");
    }
    out
}

fn nodes(simulation: &Simulation, policy: &Policy, style: Style) -> String {
    let headings =
        [("ORDER", Fit::Whole), ("GROUP", Fit::Cut), ("OUT OF SERVICE", Fit::Whole), ("AT WORST", Fit::Whole)];
    let rows = simulation.out_of_service.iter().map(|(node, away)| Row {
        cells: vec![
            Cell::new(node),
            Cell::new(policy.group_of(node).map_or("", |group| group.name.as_str())),
            Cell::new(clock(away.median)),
            Cell::new(clock(away.worst)),
        ],
        below: String::new(),
    });
    draw(style, &headings, &rows.collect::<Vec<_>>(), 2)
}

fn weather(simulation: &Simulation, style: Style) -> String {
    let headings = [
        ("FAULT", Fit::Whole),
        ("MEDIAN", Fit::Whole),
        ("AT WORST", Fit::Whole),
        ("HALTS", Fit::Whole),
        ("MOSTLY BECAUSE", Fit::Wrap),
    ];
    let rows = simulation.faults.iter().map(|Weather { fault, played }| Row {
        cells: vec![
            Cell::new(fault),
            Cell::new(clock(played.took.median)),
            Cell::new(clock(played.took.worst)),
            Cell::new(if played.halted == 0 { "-".to_owned() } else { played.halted.to_string() }),
            Cell::new(played.halt.as_deref().unwrap_or("")),
        ],
        below: String::new(),
    });
    draw(style, &headings, &rows.collect::<Vec<_>>(), 2)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::fleet::parse;

    const FLEET: &str = r#"
[fleet]
name = "home"
[[group]]
name = "cluster"
nodes = ["pve1", "pve2", "nas"]
order = ["pve2", "pve1", "nas"]
alone = ["nas"]
[window.monthly]
calendar = "Sun *-*-1..7 02:00"
duration = "4h"
"#;

    fn policy() -> Policy {
        parse(Path::new("fleet.toml"), FLEET).expect("a good file")
    }

    #[test]
    fn a_fleet_is_played_in_its_order_and_waits_for_its_nodes() {
        let simulation = simulate(&policy(), &[Fault::OldKernel, Fault::Pause], 6).expect("it plays");
        assert_eq!(simulation.order, ["pve2", "pve1", "nas"]);
        assert_eq!((simulation.calm.halted, &simulation.calm.broken), (0, &None));
        assert!(simulation.calm.took.median >= 3 * 120, "three streaks of two minutes: {:?}", simulation.calm.took);
        assert!(simulation.calm.took.worst >= simulation.calm.took.median);
        assert!(simulation.out_of_service.iter().all(|(_, away)| away.median > 0));
        let waits: Vec<&str> = simulation.waits.iter().map(|(what, _)| what.as_str()).collect();
        assert!(waits.iter().any(|what| what.starts_with("pve1 waits: pve2 ")), "{waits:?}");
        let [kernel, pause] = &simulation.faults[..] else { panic!("two faults") };
        assert!(kernel.played.halted > 0 && kernel.played.halt.as_deref().is_some_and(|why| why.contains("kernel")));
        assert_eq!(pause.played.broken, None);
    }

    #[test]
    fn what_is_drawn_names_nodes_waits_and_faults() {
        let simulation = simulate(&policy(), &[Fault::OldKernel], 4).expect("it plays");
        let text = draw_all(&simulation, &policy(), Style { width: 100, colour: false });
        for word in ["fleet home", "ORDER", "pve2", "who waits", "old-kernel", "it came back with kernel"] {
            assert!(text.contains(word), "{word} in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
    }
}
