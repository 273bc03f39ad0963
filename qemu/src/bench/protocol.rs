//! `lab bench protocol`: the protocol of a rollout over many seeds, and how long a leader decides. No machine is started.
//!
//! It must never stop at a broken rule without the seed that broke it and the command that tells its story.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Row;
use crate::house::House;

/// A cold build of the simulator takes a minute on two idle cores.
const BUILD_LIMIT: Duration = Duration::from_secs(15 * 60);
/// What a decision takes, times 51, at three sizes.
const DECIDE_LIMIT: Duration = Duration::from_secs(5 * 60);
/// A seed takes 1 to 4 ms of one core; a machine that is shared makes that ten times as much.
const SEED_LIMIT: Duration = Duration::from_millis(20);
/// The fleets, and what share of the seeds each gets.
const FLEETS: [(&str, u64); 4] = [("small", 1), ("wide", 10), ("embedded", 10), ("groups", 10)];
/// The sizes a decision is measured at, and their rows.
const SIZES: [(&str, &str); 3] = [
    ("3 nodes: ", "leader decision, 3 nodes"),
    ("300 nodes: ", "leader decision, 300 nodes"),
    ("10000 nodes: ", "leader decision, 10,000 nodes"),
];
/// How many milliseconds a decision may take at the largest.
const MOST_MS: f64 = 10.0;
/// How many times as long the largest may take as the middle one, whose share of the nodes it is 33 times: linear, and half
/// as much again for caches that are too small.
const MOST_TIMES: f64 = 50.0;

/// Plays and measures. False: a rule broke, or a decision took longer than it may.
pub(super) async fn measure(house: &House, seeds: u64) -> Result<(Vec<Row>, bool)> {
    build(house, "simulate").await?;
    let mut broken = Vec::new();
    let mut played = Vec::new();
    for (fleet, share) in FLEETS {
        let seeds = (seeds / share).max(1);
        let limit = BUILD_LIMIT + SEED_LIMIT * u32::try_from(seeds).unwrap_or(u32::MAX);
        let run = house.build_run(house.built("simulate", "examples/simulate"), limit);
        let said = run.args(["--fleet", fleet, "--seeds", &seeds.to_string(), "--story", "--on"]).output().await?;
        print!("{}", String::from_utf8_lossy(&said.stdout));
        played.push(format!("{fleet} {seeds}"));
        if said.code != Some(0) {
            println!(
                "again: cargo run --profile simulate -p hardstand-core --example simulate -- --fleet {fleet} --from SEED --seeds 1 --story"
            );
            broken.push(fleet);
        }
    }
    let decisions = decide(house).await?;
    let held = broken.is_empty() && decisions.iter().all(|row| row.reached != Some(false));
    Ok((std::iter::once(seeds_row(seeds, &played, &broken)).chain(decisions).collect(), held))
}

/// Measures a decision of the leader alone.
pub(super) async fn decide(house: &House) -> Result<Vec<Row>> {
    build(house, "decide").await?;
    let decide = house.build_run(house.built("simulate", "examples/decide"), DECIDE_LIMIT);
    let said = decide.success().await.context("measuring a decision")?;
    let said = String::from_utf8_lossy(&said.stdout);
    print!("one decision of the leader, median of 51\n{said}");
    decisions(&said)
}

async fn build(house: &House, example: &str) -> Result<()> {
    let words = "build --locked --profile simulate --package hardstand-core --example".split(' ');
    let built = house.cargo(BUILD_LIMIT)?.args(words).arg(example).success().await;
    built.with_context(|| format!("building the example {example}")).map(drop)
}

fn seeds_row(seeds: u64, played: &[String], broken: &[&str]) -> Row {
    let played = played.join(", ");
    Row {
        figure: "protocol seeds without a violation",
        ours: match broken {
            [] => played,
            broken => format!("BROKEN on {}; played: {played}", broken.join(", ")),
        },
        peer: "144 fixed scenarios (pve-ha-manager)".to_owned(),
        target: "1,000,000",
        reached: Some(broken.is_empty() && seeds >= 1_000_000),
    }
}

/// The rows of a decision's time at each size.
fn decisions(said: &str) -> Result<Vec<Row>> {
    let mut times = Vec::new();
    for (start, _) in SIZES {
        let line = said.lines().find_map(|line| line.strip_prefix(start));
        let line = line.with_context(|| format!("no line for {start}"))?;
        let ms: f64 = line.trim_end_matches(" ms").parse().with_context(|| format!("{line} is no time"))?;
        ensure!(ms.is_finite() && ms >= 0.0, "{line} is no time");
        times.push(ms);
    }
    let [_, middle, most] = times[..] else { anyhow::bail!("three sizes were asked for") };
    let growth = most / middle;
    let row = |(figure, ms): (&'static str, f64), target, reached| Row {
        figure,
        ours: format!("{ms:.3} ms"),
        peer: String::new(),
        target,
        reached,
    };
    let sizes = SIZES.map(|(_, figure)| figure).into_iter().zip(times.iter().copied());
    let mut rows: Vec<Row> = sizes.map(|size| row(size, "", None)).collect();
    if let Some(last) = rows.last_mut() {
        last.ours += &format!(", {growth:.0} times as long as 300");
        last.target = "< 10 ms, linear";
        last.reached = Some(most < MOST_MS && growth <= MOST_TIMES);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(said: &str) -> Result<Vec<Option<bool>>> {
        Ok(decisions(said)?.iter().map(|row| row.reached).collect())
    }

    #[test]
    fn the_largest_fleet_is_held_against_the_bound_and_the_middle_one() {
        let said = |middle, most| format!("3 nodes: 0.003 ms\n300 nodes: {middle} ms\n10000 nodes: {most} ms\n");
        assert_eq!(reached(&said("0.200", "9.900")).expect("times"), [None, None, Some(true)]);
        assert_eq!(reached(&said("0.300", "10.000")).expect("times"), [None, None, Some(false)]);
        assert_eq!(reached(&said("0.100", "9.900")).expect("times"), [None, None, Some(false)], "not linear");
        assert!(reached("300 nodes: 1.000 ms\n").is_err());
        assert!(reached(&said("0.100", "soon")).is_err());
    }

    #[test]
    fn fewer_seeds_than_a_release_needs_are_no_proof() {
        let row = |seeds, broken: &[&str]| seeds_row(seeds, &["small 5".to_owned()], broken).reached;
        assert_eq!(
            (row(1_000_000, &[]), row(999_999, &[]), row(1_000_000, &["wide"])),
            (Some(true), Some(false), Some(false))
        );
    }
}
