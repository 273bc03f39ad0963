//! How the lab gets what it boots: the agent's package, each recipe's lock, each recipe's image.
//!
//! It must never build in another way than a user would: every step is a program they can run themselves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hardstand_exec::Run;

use crate::house::House;
use crate::{fleet, updates};

/// Recipes the lab boots, the longest way to the end first.
pub(crate) const RECIPES: [&str; 4] = ["lab-storage", "live", "lab-node", fleet::RECIPE];
/// A release build with nothing cached takes about 5 minutes on two busy cores.
const RELEASE_LIMIT: Duration = Duration::from_secs(20 * 60);
/// debhelper and a compressor.
const PACKAGE_LIMIT: Duration = Duration::from_secs(5 * 60);
/// About 200 packages from a slow mirror.
const LOCK_LIMIT: Duration = Duration::from_secs(15 * 60);
/// One build takes 1 to 2 minutes, and the one that first compiles ZFS about 6; `--twice` doubles it, a loaded machine
/// doubles that twice.
const IMAGE_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Builds what is shipped, as it is shipped: one by one, because cargo gives packages built together the features of
/// each other, and the agent must not depend on that.
pub(crate) fn release(house: &House) -> Result<Vec<Run>> {
    let build = |package| Ok(house.cargo(RELEASE_LIMIT)?.args(["build", "--release", "--locked", "-p", package]));
    ["hardstand", "hardstand-image"].map(build).into_iter().collect()
}

/// Where the agent's package is put, under a name that does not change with its version.
pub(crate) fn package_file(house: &House) -> PathBuf {
    house.out.join("package/hardstand.deb")
}

/// Builds the agent's package from the release binary and puts it where [`package_file`] says.
pub(crate) async fn package(house: &House) -> Result<PathBuf> {
    let dir = house.evidence("package", "")?;
    let built = house
        .build_run(house.root.join("agent/debian/build-deb"), PACKAGE_LIMIT)
        .arg("--binary")
        .arg(house.built("release", "hardstand"))
        .arg(&dir)
        .success()
        .await
        .context("building the agent's package")?;
    let said = String::from_utf8_lossy(&built.stdout);
    let made = PathBuf::from(said.lines().last().context("build-deb must print the package's path last")?);
    let file = package_file(house);
    std::fs::hard_link(&made, &file).with_context(|| format!("linking {} to {}", made.display(), file.display()))?;
    Ok(made)
}

/// Builds the agent's package under another version from the same binary; for upgrades.
pub(crate) async fn package_version(house: &House, version: &str, dir: &Path) -> Result<PathBuf> {
    let run = house.build_run(house.root.join("agent/debian/build-deb"), PACKAGE_LIMIT).arg("--binary");
    let run = run.arg(house.built("release", "hardstand")).args(["--version", version]).arg(dir);
    let built = run.success().await.with_context(|| format!("building the agent's package as {version}"))?;
    let said = String::from_utf8_lossy(&built.stdout);
    Ok(PathBuf::from(said.lines().last().context("build-deb must print the package's path last")?))
}

/// Resolves a recipe's packages and fetches them.
pub(crate) fn lock(house: &House, recipe: &str) -> Run {
    house
        .build_run(house.built("release", "hardstand-image"), LOCK_LIMIT)
        .arg("lock")
        .arg(recipe_file(house, recipe))
        .arg("--lock")
        .arg(house.lock(recipe))
}

/// Builds a recipe's image from its lock.
pub(crate) fn build(house: &House, recipe: &str) -> Run {
    let build = house
        .build_run(house.built("release", "hardstand-image"), IMAGE_LIMIT)
        .arg("build")
        .arg(recipe_file(house, recipe))
        .arg("--lock")
        .arg(house.lock(recipe))
        .arg("--out")
        .arg(house.image(recipe))
        .arg("--package")
        .arg(package_file(house));
    if !fleet::can_be(recipe) {
        return build;
    }
    updates::baked(house).into_iter().fold(build, |build, file| build.arg("--package").arg(file))
}

/// Checks every byte of a built image against its manifest.
pub(crate) fn verify(house: &House, recipe: &str) -> Run {
    house.build_run(house.built("release", "hardstand-image"), IMAGE_LIMIT).arg("verify").arg(house.image(recipe))
}

/// Makes a recipe's image from whatever is there, with the programs' own progress on the caller's terminal.
pub(crate) async fn make(house: &House, recipe: &str) -> Result<()> {
    println!("building the programs (release)");
    for run in release(house)? {
        run.attached().await?;
    }
    println!("building the agent's package");
    let package = package(house).await?;
    println!("  {}", package.display());
    if !is_locked(house, recipe) {
        println!("locking the packages of {recipe}");
        lock(house, recipe).attached().await?;
    }
    if fleet::can_be(recipe) {
        // What it serves is made of the packages of the fleet's own lock.
        if !is_locked(house, fleet::RECIPE) {
            println!("locking the packages of {}", fleet::RECIPE);
            lock(house, fleet::RECIPE).attached().await?;
        }
        println!("making what the fleet's package repository serves");
        updates::make(house).await?;
    }
    println!("building the image of {recipe}");
    build(house, recipe).attached().await?;
    Ok(())
}

/// Whether the lab's lock is there, and was made after the recipe was last touched.
fn is_locked(house: &House, recipe: &str) -> bool {
    let when = |path: PathBuf| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    when(house.lock(recipe)).is_some_and(|locked| when(recipe_file(house, recipe)) <= Some(locked))
}

fn recipe_file(house: &House, recipe: &str) -> PathBuf {
    house.root.join("recipes").join(format!("{recipe}.toml"))
}
