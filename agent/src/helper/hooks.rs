//! Hooks: units that root's configuration names for a point of the journey, started here and judged by who asked.
//!
//! It must never start a unit that the configuration does not name for that point.

use std::time::Duration;

use hardstand_exec::Run;

use super::errand::{Errand, Permit, Point};
use super::ground::{Done, Ground, No};
use super::wire::Answer;

/// Lines of a hook's output that are shown.
const LINES: &str = "20";
/// What reading them may take.
const LINES_LIMIT: Duration = Duration::from_secs(10);

/// Starts a hook. Asked again after a "not yet", it is another part of the same errand.
pub(super) async fn start(
    ground: &Ground,
    errand: &Errand,
    (point, index): (Point, u32),
    permit: Option<&Permit>,
    again: u32,
) -> Done {
    let unit = unit(ground, point, index)?;
    ground.admit(point.deed(), &format!("{} {index} try {again}", point.word()), false, errand, permit)?;
    ground.jobs.forget_failure(&unit).await?;
    ground.jobs.start(&unit).await?;
    Ok(Answer::Units(vec![unit]))
}

/// The last lines a hook left in the journal.
pub(super) async fn lines(ground: &Ground, point: Point, index: u32) -> Done {
    let unit = unit(ground, point, index)?;
    let journalctl =
        hardstand_exec::find("journalctl").ok_or_else(|| No::Failed("journalctl is missing".to_owned()))?;
    let run = Run::new(journalctl, LINES_LIMIT);
    let run = run.args(["--boot", "--no-pager", "--quiet", "--output=cat", "--lines", LINES, "--unit"]).arg(unit);
    let finished = run.success().await.map_err(|error| No::Failed(error.to_string()))?;
    Ok(Answer::Lines(String::from_utf8_lossy(&finished.stdout).trim().to_owned()))
}

fn unit(ground: &Ground, point: Point, index: u32) -> Result<String, No> {
    let settings = ground.settings()?;
    let units = point.units(&settings.hooks);
    let unit = usize::try_from(index).ok().and_then(|index| units.get(index)).cloned();
    unit.ok_or_else(|| No::Refused(format!("there is no hook {index} at {}", point.word())))
}
