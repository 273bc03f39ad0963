//! Watching what runs in a unit of its own, through restarts of the helper.
//!
//! It must never take one question that failed for the unit's end.

use std::time::Duration;

use super::{Failure, Hands};
use crate::helper::{AskError, Deed, Errand, RunState};

/// Between two looks: an upgrade takes minutes, and each look is a request to the helper.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks in a row that may fail: an upgrade may replace the helper, the bus and PID 1 itself.
const FAILED_LOOKS: u32 = 120;
/// Looks in a row that may find no unit: one that was just started is there at once.
const ABSENT_LOOKS: u32 = 3;

impl Hands {
    /// Where the unit of a step is.
    pub(super) async fn look(&self, step: Deed, errand: &Errand) -> Result<RunState, AskError> {
        self.helper.run_state(step, errand).await
    }

    /// The same, asked until somebody can tell.
    pub(super) async fn see(&self, step: Deed, errand: &Errand) -> Result<RunState, Failure> {
        let seen = patiently(|| self.look(step, errand)).await;
        seen.map_err(|error| unwell(step, format!("where it is cannot be told: {error}")))
    }

    /// Waits for the end of the unit of a step. The limit is the phase's, which `decide` keeps.
    pub(super) async fn follow(&self, step: Deed, errand: &Errand) -> Result<(), Failure> {
        let (mut failed, mut absent) = (0, 0);
        loop {
            match self.look(step, errand).await {
                Ok(RunState::Ended {}) => return Ok(()),
                Ok(RunState::Failed { why }) => return Err(unwell(step, why)),
                Ok(RunState::Running {}) => (failed, absent) = (0, 0),
                Ok(RunState::Absent {}) => {
                    absent += 1;
                    if absent >= ABSENT_LOOKS {
                        return Err(unwell(step, "its unit is gone, and with it how it ended".to_owned()));
                    }
                }
                Err(error) => {
                    failed += 1;
                    if failed >= FAILED_LOOKS {
                        return Err(unwell(step, format!("how it goes cannot be told any more: {error}")));
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Asks again what changes nothing until the helper answers, or looks have failed as often as they may.
pub(super) async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, AskError>
where
    F: Future<Output = Result<T, AskError>>,
{
    for _ in 1..FAILED_LOOKS {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => tracing::info!(%error, "asking the helper again"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    ask().await
}

fn unwell(step: Deed, why: String) -> Failure {
    let next_action = match step {
        Deed::Stage => "see why it cannot be fetched: apt-get update; then lift the halt, or plan anew",
        Deed::Patch => "finish by hand: dpkg --configure -a && apt-get -f install; then lift the halt",
        _ => "see: systemctl --failed; start by hand what should run; then lift the halt",
    };
    Failure::new(why, next_action)
}
