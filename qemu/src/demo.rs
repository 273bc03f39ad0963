//! `lab demo`: the main job in one sitting, as a person would do it and see it.
//!
//! It must never show anything that hardstand itself did not print.

mod live;
mod roll;

use std::path::PathBuf;

use anyhow::Result;

use crate::house::House;
use crate::scene::Scene;
use crate::{fleet, images};

/// Builds (unless `images` are given), boots and shows: a fleet that is patched, or one live node.
pub(crate) async fn run(house: &House, images: Option<PathBuf>, live: bool) -> Result<()> {
    let recipe = if live { live::RECIPE } else { fleet::RECIPE };
    let images = match images {
        Some(images) => images,
        None => {
            images::make(house, recipe).await?;
            house.out.join("images")
        }
    };
    let scene = Scene::enter(house, "demo", images).await?;
    let outcome = if live { live::show(&scene).await } else { roll::show(&scene).await };
    if outcome.is_err() {
        print!("{}", scene.last_words());
    }
    outcome
}
