//! `lab bench`: the figures that exist so far, each beside the peer measured in the same run, and what it must reach.
//!
//! It must never leave a figure out because it is bad.

mod fleet;
mod images;
mod pass;
mod peers;
mod protocol;
mod ready;
mod together;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use hardstand_exec::Run;

use crate::house::House;
use crate::images::{make, release};
use crate::network;
use crate::scene::{Scene, TAP};

/// What is measured.
const RECIPES: [&str; 2] = ["live", "lab-node"];

/// What can be measured alone.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Alone {
    /// Play the protocol's simulator under every fault; measure a decision at 3, 300 and 10,000 nodes
    Protocol {
        /// Rollouts of the fleet of three; each other fleet is played a tenth as often
        #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
    },
    /// Run the agent beside prometheus-node-exporter: memory, processor time, size
    Agent,
    /// Roll, halt and lead a fleet of three agents that run as processes of this machine; measure the store's engines
    Fleet,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// What was measured.
    pub figure: &'static str,
    /// What ours is, with its unit.
    pub ours: String,
    /// What the peer's is, and who that is; empty where there is none here.
    pub peer: String,
    /// What it must reach.
    pub target: &'static str,
    /// Whether it does; `None` where there is nothing to reach.
    pub reached: Option<bool>,
}

/// Builds what is measured (unless `images` are given), measures, prints the table and keeps it as `out/bench.md`.
pub(crate) async fn run(house: &House, images: Option<PathBuf>) -> Result<()> {
    let images = match images {
        Some(images) => images,
        None => {
            for recipe in RECIPES {
                make(house, recipe).await?;
            }
            house.out.join("images")
        }
    };
    let mut rows = images::measure(house, &images).await?;
    rows.extend(pass::measure(house).await?);
    rows.extend(fleet::measure(house).await?);
    let scene = Scene::enter(house, "bench", images).await?;
    let outcome = measure(&scene, house).await;
    if outcome.is_err() {
        print!("{}", scene.last_words());
    }
    rows.splice(0..0, outcome?);
    keep(house, &rows)
}

/// Measures one thing without machines. False: something that must hold did not.
pub(crate) async fn alone(house: &House, what: &Alone) -> Result<bool> {
    let (rows, held) = match what {
        Alone::Protocol { seeds } => protocol::measure(house, *seeds).await?,
        Alone::Agent => (agent(house).await?, true),
        Alone::Fleet => (fleet::measure(house).await?, true),
    };
    keep(house, &rows)?;
    Ok(held)
}

async fn agent(house: &House) -> Result<Vec<Row>> {
    println!("building the agent (release)");
    release_agent(house)?.attached().await?;
    let mut rows = pass::measure(house).await?;
    network::enter()?;
    network::bridge::<&str>(&[]).await?;
    let dir = house.evidence("bench-agent", "")?;
    rows.splice(0..0, together::measure(&dir, house).await?);
    rows.splice(0..0, peers::measure(&dir, house).await?);
    Ok(rows)
}

/// The agent is built first, by itself.
fn release_agent(house: &House) -> Result<Run> {
    release(house)?.into_iter().next().context("the agent is built first")
}

/// Prints the rows, and puts them into the kept table in place of those of the same figure.
fn keep(house: &House, rows: &[Row]) -> Result<()> {
    print!("{}{}", HEAD, lines(rows).concat());
    let file = house.out.join("bench.md");
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    std::fs::create_dir_all(&house.out).with_context(|| format!("making {}", house.out.display()))?;
    std::fs::write(&file, merged(&kept, rows)).with_context(|| format!("writing {}", file.display()))
}

async fn measure(scene: &Scene, house: &House) -> Result<Vec<Row>> {
    let _network = scene.network(&[TAP]).await?;
    let mut rows = peers::measure(&scene.dir, house).await?;
    rows.extend(together::measure(&scene.dir, house).await?);
    rows.extend(ready::measure(scene).await?);
    Ok(rows)
}

/// How the table begins.
const HEAD: &str = "| figure | ours | peer, same run | must reach | reached |\n|---|---|---|---|---|\n";

fn lines(rows: &[Row]) -> Vec<String> {
    let line = |row: &Row| {
        let reached = match row.reached {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        format!("| {} | {} | {} | {} | {reached} |\n", row.figure, row.ours, row.peer, row.target)
    };
    rows.iter().map(line).collect()
}

/// The kept table with these rows in place of those of the same figure; others stay as they were measured.
fn merged(kept: &str, rows: &[Row]) -> String {
    let mut table: Vec<String> = kept.lines().skip(2).map(|line| format!("{line}\n")).collect();
    for (row, line) in rows.iter().zip(lines(rows)) {
        let start = format!("| {} |", row.figure);
        match table.iter_mut().find(|old| old.starts_with(&start)) {
            Some(old) => *old = line,
            None => table.push(line),
        }
    }
    format!("{HEAD}{}", table.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(figure: &'static str, ours: &str) -> Row {
        Row { figure, ours: ours.to_owned(), peer: String::new(), target: "", reached: None }
    }

    #[test]
    fn a_figure_that_is_measured_again_takes_its_old_place() {
        let first = merged("", &[row("a", "1"), row("ab", "2")]);
        assert_eq!(first, format!("{HEAD}| a | 1 |  |  |  |\n| ab | 2 |  |  |  |\n"));
        let again = merged(&first, &[row("c", "3"), Row { reached: Some(false), ..row("a", "4") }]);
        assert_eq!(again, format!("{HEAD}| a | 4 |  |  | NO |\n| ab | 2 |  |  |  |\n| c | 3 |  |  |  |\n"));
    }
}
