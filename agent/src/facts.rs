//! Everything a decision looks at, put together: one pass, its findings, and what is asked while a journey is under way.
//!
//! It must never fail: what cannot be told is Unknown with its reason. It must never decide.

use hardstand_core::journal::{Journal, Journey};
use hardstand_core::observed::Units;
use hardstand_core::status::Brief;
use hardstand_core::step::{ActState, Facts, PackageState, Questions};
use hardstand_core::{Health, Observed, Reading};

use crate::act::{Failure, Platform, errand_of, kernel_of, set_of};
use crate::helper::Client;
use crate::host::systemd::jobs::Jobs;

/// What the loop knows besides.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Milliseconds since this boot (CLOCK_BOOTTIME), now.
    pub(crate) now_ms: u64,
    /// Since when the gates are good.
    pub(crate) gates_good_since_ms: Option<u64>,
    /// The step under way.
    pub(crate) act: ActState,
    /// Whether the store still has the last audit record this node saw.
    pub(crate) same_history: Reading<bool>,
}

/// Whom to ask.
pub(crate) struct Sources<'a> {
    /// The root side.
    pub(crate) helper: &'a Client,
    /// systemd.
    pub(crate) jobs: &'a Jobs,
    /// What drains and restores.
    pub(crate) platform: &'a dyn Platform,
}

/// Puts the facts together. Nothing is asked of the helper, nor more of systemd, while no journey is under way.
pub(crate) async fn read(
    seen: &Observed,
    health: &Health,
    journal: &Journal,
    sources: &Sources<'_>,
    known: Known,
) -> Facts {
    let nobody_asked = || "it is not asked for in this phase".to_owned();
    let mut facts = Facts {
        now_ms: known.now_ms,
        unix_seconds: seen.at.unix_seconds,
        boot_id: boot_id(seen),
        kernel: of(&seen.kernel.reading, |kernel| kernel.release.clone()),
        boot_complete: of(&seen.units.reading, is_complete),
        userspace_since_ms: Reading::unknown(nobody_asked()),
        findings: health.findings.iter().filter_map(Brief::of).collect(),
        gates_good_since_ms: known.gates_good_since_ms,
        act: known.act,
        drained: Reading::unknown(nobody_asked()),
        restored: Reading::unknown(nobody_asked()),
        packages: Reading::unknown(nobody_asked()),
        same_history: known.same_history,
    };
    let Some(journey) = &journal.journey else { return facts };
    let asked = Questions::of(journal, &facts.act);
    if asked.drained {
        facts.drained = sources.platform.drained().await;
    }
    if asked.restored {
        facts.restored = restored(journey, sources).await;
    }
    if asked.packages {
        facts.packages = packages(journey, sources).await;
    }
    if asked.userspace {
        facts.userspace_since_ms = sources.jobs.userspace_since_ms().await.into();
    }
    facts
}

/// Whether everything that should start has started: systemd's first transaction is over (`running`, or `degraded` with
/// failed units, which are findings of their own), and no unit that is required here is still on its way.
fn is_complete(units: &Units) -> bool {
    let over = matches!(units.system_state.as_str(), "running" | "degraded");
    over && !units.declared.iter().any(|unit| unit.active == "activating")
}

/// The boot that runs. The kernel's own file is read where the pass could not: a decision needs it.
fn boot_id(seen: &Observed) -> String {
    seen.kernel.shown().map(|kernel| kernel.boot_id.clone()).unwrap_or_default()
}

async fn packages(journey: &Journey, sources: &Sources<'_>) -> Reading<PackageState> {
    let asked = async {
        let (set, kernel) = (set_of(journey)?, kernel_of(journey)?);
        let empty = journey.part.packages.is_empty();
        let state = sources.helper.package_state(set, empty, kernel).await;
        state.map_err(|error| Failure::new(error.to_string(), ""))
    };
    asked.await.map_err(|failure| failure.why).into()
}

async fn restored(journey: &Journey, sources: &Sources<'_>) -> Reading<bool> {
    match errand_of(journey, 1) {
        Ok(errand) => sources.platform.restored(&errand).await,
        Err(failure) => Reading::unknown(failure.why),
    }
}

fn of<T, U>(reading: &Reading<T>, give: impl FnOnce(&T) -> U) -> Reading<U> {
    match reading {
        Reading::Known(value) => Reading::Known(give(value)),
        Reading::Unknown { why } => Reading::unknown(why.clone()),
    }
}
