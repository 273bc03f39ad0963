//! Asking hooks: one after the other, each to its end, each with a verdict.
//!
//! It must never go on past a hook that did not say go, and never ask one for ever.

use std::time::Duration;

use super::{Failure, Hands};
use crate::helper::{Errand, Permit, Point};
use crate::host::systemd::jobs::UnitNow;

/// "Not yet, ask again" (`EX_TEMPFAIL` of `sysexits.h`).
const NOT_YET: i32 = 75;

/// What a hook said.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Go,
    NotYet,
    Halt(String),
}

impl Hands {
    /// Asks every hook of a point, in the order of the configuration. The permit is for the first of them.
    pub(super) async fn ask_hooks(
        &self,
        errand: &Errand,
        point: Point,
        permit: Option<&Permit>,
    ) -> Result<(), Failure> {
        for (index, unit) in (0_u32..).zip(point.units(&self.hooks)) {
            self.ask_hook(errand, (point, index), unit, permit).await?;
        }
        Ok(())
    }

    async fn ask_hook(
        &self,
        errand: &Errand,
        (point, index): (Point, u32),
        unit: &str,
        permit: Option<&Permit>,
    ) -> Result<(), Failure> {
        let tries = u32::try_from(self.hooks.tries).unwrap_or(u32::MAX);
        let deadline = Duration::from_secs(self.hooks.deadline_secs);
        let word = point.word();
        let next_action = format!("see: systemctl status {unit}; when it is solved, lift the halt");
        let failure = |why: String| Failure::new(format!("{word} hook {unit} {why}"), next_action.clone());
        for again in 1..=tries {
            let asked = self.helper.hook(errand, (point, index), permit.cloned(), again).await;
            asked.map_err(|error| Failure {
                why: format!("{word} hook {unit} was not asked: {error}"),
                ..Failure::of(&error, &next_action)
            })?;
            let ended =
                self.jobs.ended(unit, deadline).await.map_err(|error| failure(format!("gave no answer: {error}")))?;
            match verdict(&ended) {
                Verdict::Go => return Ok(()),
                Verdict::NotYet => tracing::info!(hook = unit, again, "hook says: not yet"),
                Verdict::Halt(why) => {
                    let lines = self.helper.hook_lines(point, index).await.unwrap_or_else(|error| error.to_string());
                    return Err(failure(format!("says no ({why}): {lines}")));
                }
            }
            if again < tries {
                tokio::time::sleep(Duration::from_secs(self.hooks.pause_secs)).await;
            }
        }
        Err(failure(format!("still says \"not yet\" after {tries} tries")))
    }
}

/// What a unit that has nothing under way says by how it ended.
fn verdict(unit: &UnitNow) -> Verdict {
    let Some(end) = &unit.end else { return Verdict::Halt(format!("it is {}", unit.load)) };
    match (end.result.as_str(), end.status) {
        ("success", _) => Verdict::Go,
        ("exit-code", NOT_YET) => Verdict::NotYet,
        (result, status) if end.text.is_empty() => Verdict::Halt(format!("{result} {status}")),
        (result, status) => Verdict::Halt(format!("{result} {status}, {:?}", end.text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::systemd::jobs::Ending;

    fn ended(result: &str, status: i32, text: &str) -> UnitNow {
        let end = Some(Ending { result: result.to_owned(), status, text: text.to_owned() });
        let (load, active, sub) = ("loaded".to_owned(), "inactive".to_owned(), "dead".to_owned());
        UnitNow { load, active, sub, has_job: false, end }
    }

    #[test]
    fn only_success_is_go_and_only_75_is_not_yet() {
        assert_eq!(verdict(&ended("success", 0, "")), Verdict::Go);
        assert_eq!(verdict(&ended("exit-code", 75, "")), Verdict::NotYet);
        assert_eq!(verdict(&ended("exit-code", 1, "")), Verdict::Halt("exit-code 1".to_owned()));
        assert_eq!(verdict(&ended("signal", 75, "")), Verdict::Halt("signal 75".to_owned()));
        let told = Verdict::Halt("timeout 15, \"waits for vip\"".to_owned());
        assert_eq!(verdict(&ended("timeout", 15, "waits for vip")), told);
        let gone = UnitNow { load: "not-found".to_owned(), end: None, ..ended("", 0, "") };
        assert_eq!(verdict(&gone), Verdict::Halt("it is not-found".to_owned()));
    }
}
