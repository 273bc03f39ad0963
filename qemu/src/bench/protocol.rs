//! `lab bench protocol`: the protocol of a rollout over many seeds, and how long a leader decides. No machine is started.
//!
//! It must never stop at a broken rule without the seed that broke it and the command that tells its story.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;

use crate::house::House;

/// What can be measured alone.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Alone {
    /// Play the protocol's simulator under every fault; measure a decision at 3, 300 and 10,000 nodes
    Protocol {
        /// Rollouts of the fleet of three; each other fleet is played a tenth as often
        #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
    },
}

/// A cold build of the simulator takes a minute on two idle cores.
const BUILD_LIMIT: Duration = Duration::from_secs(15 * 60);
/// What a decision takes, times 51, at three sizes.
const DECIDE_LIMIT: Duration = Duration::from_secs(5 * 60);
/// A seed takes 1 to 4 ms of one core; a machine that is shared makes that ten times as much.
const SEED_LIMIT: Duration = Duration::from_millis(20);
/// The fleets, and what share of the seeds each gets.
const FLEETS: [(&str, u64); 4] = [("small", 1), ("wide", 10), ("embedded", 10), ("groups", 10)];
/// How the line of the largest fleet begins, and how many milliseconds a decision may take there.
const ANCHOR: (&str, f64) = ("10000 nodes: ", 10.0);

/// Plays, measures and prints. False: a rule broke, or a decision took longer than it may.
pub(crate) async fn measure(house: &House, seeds: u64) -> Result<bool> {
    let words = "build --locked --profile simulate --package hardstand-core --example simulate --example decide";
    house.cargo(BUILD_LIMIT)?.args(words.split(' ')).success().await.context("building the simulator")?;
    let mut held = true;
    for (fleet, share) in FLEETS {
        let seeds = (seeds / share).max(1);
        let limit = BUILD_LIMIT + SEED_LIMIT * u32::try_from(seeds).unwrap_or(u32::MAX);
        let run = house.build_run(house.built("simulate", "examples/simulate"), limit);
        let said = run.args(["--fleet", fleet, "--seeds", &seeds.to_string(), "--story"]).output().await?;
        print!("{}", String::from_utf8_lossy(&said.stdout));
        if said.code != Some(0) {
            println!(
                "again: cargo run --profile simulate -p hardstand-core --example simulate -- --fleet {fleet} --from SEED --seeds 1 --story"
            );
            held = false;
        }
    }
    let decide = house.build_run(house.built("simulate", "examples/decide"), DECIDE_LIMIT);
    let said = decide.success().await.context("measuring a decision")?;
    let said = String::from_utf8_lossy(&said.stdout);
    print!("one decision of the leader, median of 51\n{said}");
    Ok(held && is_quick(&said)?)
}

/// Whether the largest fleet is decided on within the anchor.
fn is_quick(said: &str) -> Result<bool> {
    let (start, most_ms) = ANCHOR;
    let line = said.lines().find_map(|line| line.strip_prefix(start)).context("no line for 10,000 nodes")?;
    let ms: f64 = line.trim_end_matches(" ms").parse().with_context(|| format!("{line} is no time"))?;
    ensure!(ms.is_finite() && ms >= 0.0, "{line} is no time");
    println!("at 10,000 nodes it may take {most_ms} ms: {}", if ms < most_ms { "reached" } else { "NOT reached" });
    Ok(ms < most_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_anchor_is_read_from_the_last_line() {
        assert!(is_quick("3 nodes: 0.003 ms\n10000 nodes: 9.900 ms\n").expect("a time"));
        assert!(!is_quick("10000 nodes: 10.000 ms\n").expect("a time"));
        assert!(is_quick("300 nodes: 1.000 ms\n").is_err());
        assert!(is_quick("10000 nodes: soon\n").is_err());
    }
}
