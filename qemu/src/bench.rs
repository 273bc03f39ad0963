//! `lab bench`: the figures that exist so far, each beside the peer measured in the same run, and what it must reach.
//!
//! It must never leave a figure out because it is bad.

mod images;
mod peers;
mod protocol;
mod ready;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

pub(crate) use protocol::{Alone, measure as protocol};

use crate::house::House;
use crate::images::make;
use crate::scene::{Scene, TAP};

/// What is measured.
const RECIPES: [&str; 2] = ["live", "lab-node"];

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
    let scene = Scene::enter(house, "bench", images).await?;
    let outcome = measure(&scene, house).await;
    if outcome.is_err() {
        print!("{}", scene.last_words());
    }
    rows.splice(0..0, outcome?);
    let table = table(&rows);
    print!("{table}");
    let file = house.out.join("bench.md");
    std::fs::write(&file, table).with_context(|| format!("writing {}", file.display()))
}

async fn measure(scene: &Scene, house: &House) -> Result<Vec<Row>> {
    let _network = scene.network(&[TAP]).await?;
    let mut rows = peers::measure(scene, house).await?;
    rows.extend(ready::measure(scene).await?);
    Ok(rows)
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| figure | ours | peer, same run | must reach | reached |\n|---|---|---|---|---|\n");
    for row in rows {
        let reached = match row.reached {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        text += &format!("| {} | {} | {} | {} | {reached} |\n", row.figure, row.ours, row.peer, row.target);
    }
    text
}
