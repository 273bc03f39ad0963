//! What `lab test` checks, and what each check needs.
//!
//! It must never hide a check behind a condition of the host: what cannot run here has failed.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use hardstand_exec::{Run, find};

use crate::checks::Check;
use crate::house::House;
use crate::stories::{Part, Story};
use crate::{fleet, images};

/// A cold build of the whole workspace takes about 4 minutes on two cores; a loaded machine doubles that twice.
const CARGO_LIMIT: Duration = Duration::from_secs(20 * 60);
/// lintian reads one small package.
const LINTIAN_LIMIT: Duration = Duration::from_secs(2 * 60);
/// The longest story (nine faults) takes about 3 minutes under emulation beside another one.
const STORY_LIMIT: Duration = Duration::from_secs(15 * 60);
/// Three machines that boot, upgrade with a new kernel and boot again: 6 minutes on two idle cores, four times that
/// beside other work.
const FLEET_LIMIT: Duration = Duration::from_secs(25 * 60);
/// Counting commits takes milliseconds.
const GIT_LIMIT: Duration = Duration::from_secs(20);
/// The recipe that is built twice. The smaller one: the property does not depend on the size.
const BUILT_TWICE: &str = "lab-node";

/// What a run takes of the stories that not every run can afford.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Of the stories that take turns, this one.
    pub(crate) story: Story,
    /// Of the power cuts, these, when it is theirs.
    pub(crate) cuts: Part,
}

/// Whose turn it is: the same for the same commit, another one for the next.
pub(crate) async fn turn(house: &House) -> Turn {
    let git = find("git").map(|git| house.build_run(git, GIT_LIMIT).args(["rev-list", "--count", "HEAD"]));
    let count = match git {
        Some(run) => {
            run.success().await.ok().and_then(|said| String::from_utf8_lossy(&said.stdout).trim().parse().ok())
        }
        None => None,
    };
    // Without a history (an unpacked archive) the first has its turn.
    let count = count.unwrap_or(0_usize);
    let stories = Story::IN_TURN.len();
    Turn { story: Story::IN_TURN[count % stories], cuts: Part::in_turn(count / stories) }
}

/// Every check, the longest ways to the end first. Of what takes turns only `turn` is told.
pub(crate) fn checks(house: &House, turn: Turn) -> Result<Vec<Check>> {
    let cargo = |words: &str| Ok::<_, anyhow::Error>(vec![house.cargo(CARGO_LIMIT)?.args(words.split(' '))]);
    let mut checks = vec![
        Check::new("fmt", cargo("fmt --all --check")?),
        Check::new("release", images::release(house)?),
        Check::new("clippy", cargo("clippy --locked --workspace --all-targets --quiet -- -D warnings")?),
        Check::new("package", vec![ourselves(house, CARGO_LIMIT)?.arg("package")]).needs("release"),
    ];
    let updates = Check::new("updates", vec![ourselves(house, CARGO_LIMIT)?.arg("updates")]);
    checks.push(updates.needs("package").needs(format!("lock-{}", fleet::RECIPE)));
    checks.extend(image_checks(house));
    // Cargo locks a profile's directory, so two that build the same would only wait for each other. Beside them the release
    // links on one processor. The packaging tests package what ships, not a build of their own.
    let tests = |more: &[&str]| {
        let run = house.cargo(CARGO_LIMIT)?.args(["test", "--locked", "--workspace", "--quiet"]).args(more);
        Ok::<_, anyhow::Error>(vec![run.env("HARDSTAND_BINARY", house.built("release", "hardstand"))])
    };
    checks.push(Check::new("test-build", tests(&["--no-run"])?).after("clippy"));
    checks.push(Check::new("cargo-test", tests(&[])?).needs("test-build").needs("release"));
    checks.push(Check::new("lintian", vec![lintian(house)?]).needs("package"));
    let told = Story::value_variants().iter().filter(|story| {
        let waits_for_its_turn = Story::IN_TURN.contains(story) && **story != turn.story;
        !Story::ON_DEMAND.contains(story) && !waits_for_its_turn
    });
    let (fleets, others): (Vec<Story>, Vec<Story>) = told.partition(|story| story.is_of_a_fleet());
    for story in others {
        checks.push(story_check(house, story, turn)?);
    }
    // Three machines are more than two processors carry: one fleet at a time, when nothing else is left to begin. Beside
    // other machines a service answers late that nobody took away.
    let mut before: Option<String> = None;
    for story in fleets {
        let mut check = story_check(house, story, turn)?;
        check.after.extend(before.replace(check.name.clone()));
        checks.push(check);
    }
    Ok(checks)
}

fn story_check(house: &House, story: Story, turn: Turn) -> Result<Check> {
    let limit = if story.is_of_a_fleet() { FLEET_LIMIT } else { STORY_LIMIT };
    let run = ourselves(house, limit)?.args(["story", &story.name()]);
    let run = match story {
        Story::RollCrash => run.args(["--part", &turn.cuts.to_string()]),
        _ => run,
    };
    let made_of = story.recipe().map_or_else(|| "release".to_owned(), image_check);
    Ok(Check::new(format!("story-{}", story.name()), vec![run]).needs(made_of))
}

fn image_checks(house: &House) -> Vec<Check> {
    let mut checks = Vec::new();
    for recipe in images::RECIPES {
        let lock = format!("lock-{recipe}");
        checks.push(Check::new(&lock, vec![images::lock(house, recipe)]).needs("release"));
        let build = images::build(house, recipe);
        let build = if recipe == BUILT_TWICE { build.arg("--twice") } else { build };
        let mut image = Check::new(image_check(recipe), vec![build]).needs(lock).needs("package");
        if fleet::can_be(recipe) {
            image = image.needs("updates");
        }
        checks.push(image);
        let verify = Check::new(format!("verify-{recipe}"), vec![images::verify(house, recipe)]);
        checks.push(verify.needs(image_check(recipe)));
    }
    checks
}

fn image_check(recipe: &str) -> String {
    format!("image-{recipe}")
}

/// This program again: a story needs a network namespace of its own.
fn ourselves(house: &House, limit: Duration) -> Result<Run> {
    let program = std::env::current_exe().context("finding this program")?;
    let run = house.build_run(program, limit);
    Ok(match std::env::var_os("CARGO") {
        Some(cargo) => run.env("CARGO", cargo),
        None => run,
    })
}

fn lintian(house: &House) -> Result<Run> {
    let lintian = find("lintian").context("finding lintian; install it, or start through qemu/lab")?;
    let run = house.build_run(lintian, LINTIAN_LIMIT).args(["--fail-on", "error", "--allow-root"]);
    Ok(run.arg(images::package_file(house)))
}
