//! The platform of a node that has none of its own: the units it declares.
//!
//! It must never take a unit for stopped while a start of it waits, and never wait without the phase's limit above it.

use std::time::Duration;

use hardstand_core::Reading;
use hardstand_core::settings::DrainSettings;

use super::{Doing, Failure, Platform};
use crate::helper::{Client, Errand, Permit};
use crate::host::HostError;
use crate::host::systemd::jobs::{Jobs, UnitNow};

/// Between two looks at units that stop or start.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks in a row that systemd may leave unanswered.
const FAILED_LOOKS: u32 = 60;

/// Units stopped and started over systemd.
#[derive(Debug)]
pub(crate) struct Declared {
    helper: Client,
    jobs: Jobs,
    units: Vec<String>,
}

impl Declared {
    /// What the configuration declares.
    pub(crate) fn new(helper: Client, jobs: Jobs, settings: &DrainSettings) -> Self {
        Self { helper, jobs, units: settings.units.clone() }
    }

    /// Waits until all units are as wanted, or one of them never will be.
    async fn wait(&self, units: &[String], wanted: impl Fn(&UnitNow) -> Result<bool, String>) -> Result<(), String> {
        let mut failed = 0;
        loop {
            match self.jobs.units(units).await {
                Ok(now) => {
                    failed = 0;
                    let mut all = true;
                    for (name, unit) in units.iter().zip(&now) {
                        all &= wanted(unit).map_err(|why| format!("{name} {why}"))?;
                    }
                    if all {
                        return Ok(());
                    }
                }
                Err(error) => {
                    failed += 1;
                    if failed >= FAILED_LOOKS {
                        return Err(error.to_string());
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn all(&self, units: &[String], wanted: impl Fn(&UnitNow) -> bool) -> Reading<bool> {
        let now: Result<Vec<UnitNow>, HostError> = self.jobs.units(units).await;
        now.map(|now| now.iter().all(wanted)).into()
    }
}

impl Platform for Declared {
    fn drain<'a>(&'a self, errand: &'a Errand, permit: &'a Permit) -> Doing<'a, Result<(), Failure>> {
        Box::pin(async move {
            const NEXT: &str = "see what does not stop: systemctl list-jobs; then lift the halt";
            let stopped = self.helper.drain(errand, Some(permit.clone())).await;
            stopped.map_err(|error| Failure::of(&error, NEXT))?;
            let ended = self.wait(&self.units, |unit| Ok(unit.is_stopped())).await;
            ended.map_err(|why| Failure::new(why, NEXT))
        })
    }

    fn restore<'a>(&'a self, errand: &'a Errand) -> Doing<'a, Result<(), Failure>> {
        Box::pin(async move {
            const NEXT: &str = "see why it does not start: systemctl status; start it by hand; then lift the halt";
            let started = self.helper.restore(errand).await;
            let units = started.map_err(|error| Failure::of(&error, NEXT))?;
            let ended = self.wait(&units, |unit| match unit.active.as_str() {
                "active" => Ok(true),
                "failed" if !unit.has_job => Err("failed to start".to_owned()),
                _ => Ok(false),
            });
            ended.await.map_err(|why| Failure::new(why, NEXT))
        })
    }

    fn drained(&self) -> Doing<'_, Reading<bool>> {
        Box::pin(self.all(&self.units, UnitNow::is_stopped))
    }

    fn restored<'a>(&'a self, errand: &'a Errand) -> Doing<'a, Reading<bool>> {
        Box::pin(async move {
            match self.helper.drained(errand).await {
                Ok(units) => self.all(&units, |unit| unit.active == "active").await,
                Err(error) => Reading::unknown(error.to_string()),
            }
        })
    }
}
