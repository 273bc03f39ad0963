//! Leaving service and coming back: the units that root's configuration declares.
//!
//! It must never stop a unit before it is on the disk that it ran, and never start one that did not run.

use std::path::PathBuf;

use hardstand_core::lease::Token;
use serde::{Deserialize, Serialize};

use super::errand::{Deed, Errand, Permit};
use super::ground::{Done, Ground, No};
use super::wire::Answer;
use crate::durable;

const FILE: &str = "drained.json";

/// What ran before the drain: what the restore gives back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drained {
    token: Token,
    /// In the order they are stopped.
    units: Vec<String>,
}

/// Notes what of the declared units runs, and queues their stop. Those noted before under the same lease stay noted.
pub(super) async fn drain(ground: &Ground, errand: &Errand, permit: Option<&Permit>) -> Done {
    ground.admit(Deed::Drain, "units", false, errand, permit)?;
    let declared = ground.settings()?.drain.units;
    let before = read(ground)?.filter(|drained| drained.token == errand.token).map(|drained| drained.units);
    let before = before.unwrap_or_default();
    let now = ground.jobs.units(&declared).await?;
    let runs = declared.iter().zip(&now).filter(|(name, unit)| unit.is_wanted() || before.contains(name));
    let units: Vec<String> = runs.map(|(name, _)| name.clone()).collect();
    write(ground, &Drained { token: errand.token.clone(), units: units.clone() })?;
    for (name, _) in declared.iter().zip(&now).filter(|(_, unit)| !unit.is_stopped()) {
        ground.jobs.stop(name).await?;
    }
    Ok(Answer::Units(units))
}

/// Queues the start of what the drain under this lease stopped, the last first.
pub(super) async fn restore(ground: &Ground, errand: &Errand) -> Done {
    ground.admit(Deed::Restore, "units", false, errand, None)?;
    let units = noted(ground, errand)?;
    let now = ground.jobs.units(&units).await?;
    for (name, _) in units.iter().zip(&now).rev().filter(|(_, unit)| unit.active != "active") {
        ground.jobs.forget_failure(name).await?;
        ground.jobs.start(name).await?;
    }
    Ok(Answer::Units(units))
}

/// What was noted under this lease.
pub(super) fn drained(ground: &Ground, errand: &Errand) -> Done {
    errand.check().map_err(No::Refused)?;
    Ok(Answer::Units(noted(ground, errand)?))
}

fn noted(ground: &Ground, errand: &Errand) -> Result<Vec<String>, No> {
    let drained = read(ground)?.filter(|drained| drained.token == errand.token);
    Ok(drained.map(|drained| drained.units).unwrap_or_default())
}

fn path(ground: &Ground) -> PathBuf {
    ground.rooms.state.join(FILE)
}

fn read(ground: &Ground) -> Result<Option<Drained>, No> {
    let path = path(ground);
    let failed = |why: String| {
        let start = "start by hand what should run, then move the file away";
        No::Failed(format!("reading {}: {why}; {start}", path.display()))
    };
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn write(ground: &Ground, drained: &Drained) -> Result<(), No> {
    let path = path(ground);
    let bytes = serde_json::to_vec(drained).map_err(|error| No::Failed(error.to_string()))?;
    durable::replace(&path, &bytes)
        .map_err(|error| No::Failed(format!("writing {}: {error}; free some space", path.display())))
}
