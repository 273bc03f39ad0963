//! The agent's side of the verbs that change the host, and of those that tell how that goes.
//!
//! It must never ask again by itself: another try is another errand with a permit of its own.

use hardstand_core::plan::{RebootKind, Updates};
use hardstand_core::step::PackageState;

use super::client::{AskError, Client};
use super::errand::{Deed, Digest, Errand, Permit, Point, Release};
use super::wire::{Answer, PackageProof, RunState, Verb};

/// Asks one verb and takes one kind of answer. Every error is an [`AskError`].
macro_rules! asked {
    ($client:expr, $verb:expr, $kind:pat => $value:expr) => {{
        let verb = $verb;
        let name = verb.name();
        match $client.ask(verb).await? {
            $kind => Ok($value),
            other => Err(super::client::mismatch(name, &other)),
        }
    }};
}

impl Client {
    /// Refreshes the package lists.
    pub(crate) async fn refresh(&self) -> Result<(), AskError> {
        asked!(self, Verb::Refresh {}, Answer::Begun {} => ())
    }

    /// Resolves what would be installed now. How long it has been on offer is not known to the helper.
    pub(crate) async fn plan(&self) -> Result<Updates, AskError> {
        asked!(self, Verb::Plan {}, Answer::Updates(updates) => updates)
    }

    /// How often a step was tried under this errand's lease.
    pub(crate) async fn attempts(&self, step: Deed, errand: &Errand) -> Result<u32, AskError> {
        asked!(self, Verb::Attempts { step, errand: errand.clone() }, Answer::Attempts(attempts) => attempts)
    }

    /// Takes up a step again that runs by itself.
    pub(crate) async fn open(&self, step: Deed, errand: &Errand, permit: Permit) -> Result<(), AskError> {
        asked!(self, Verb::Open { step, errand: errand.clone(), permit }, Answer::Begun {} => ())
    }

    /// Fetches the exact set.
    pub(crate) async fn stage(&self, errand: &Errand, set: Digest, kernel: Option<Release>) -> Result<(), AskError> {
        asked!(self, Verb::Stage { errand: errand.clone(), set, kernel }, Answer::Begun {} => ())
    }

    /// Installs the staged set.
    pub(crate) async fn apply(&self, errand: &Errand, permit: Permit, set: Digest) -> Result<(), AskError> {
        asked!(self, Verb::Apply { errand: errand.clone(), permit, set }, Answer::Begun {} => ())
    }

    /// Where the unit is that runs a step under this errand's lease.
    pub(crate) async fn run_state(&self, step: Deed, errand: &Errand) -> Result<RunState, AskError> {
        asked!(self, Verb::RunState { step, errand: errand.clone() }, Answer::Run(state) => state)
    }

    /// What dpkg and the boot loader say of a set.
    pub(crate) async fn package_state(
        &self,
        set: Digest,
        empty: bool,
        kernel: Option<Release>,
    ) -> Result<PackageState, AskError> {
        let proof = asked!(self, Verb::PackageState { set, empty, kernel }, Answer::Packages(proof) => proof)?;
        let PackageProof { installed, whole, boot_entry } = proof;
        Ok(PackageState { installed, whole, boot_entry })
    }

    /// Stops what is declared; gives what of it ran.
    pub(crate) async fn drain(&self, errand: &Errand, permit: Option<Permit>) -> Result<Vec<String>, AskError> {
        asked!(self, Verb::Drain { errand: errand.clone(), permit }, Answer::Units(units) => units)
    }

    /// Starts what the drain stopped; gives what that is.
    pub(crate) async fn restore(&self, errand: &Errand) -> Result<Vec<String>, AskError> {
        asked!(self, Verb::Restore { errand: errand.clone() }, Answer::Units(units) => units)
    }

    /// What the drain noted under this errand's lease.
    pub(crate) async fn drained(&self, errand: &Errand) -> Result<Vec<String>, AskError> {
        asked!(self, Verb::Drained { errand: errand.clone() }, Answer::Units(units) => units)
    }

    /// Starts a hook; gives its unit.
    pub(crate) async fn hook(
        &self,
        errand: &Errand,
        (point, index): (Point, u32),
        permit: Option<Permit>,
        again: u32,
    ) -> Result<String, AskError> {
        let units = asked!(
            self,
            Verb::Hook { errand: errand.clone(), point, index, permit, again },
            Answer::Units(units) => units
        )?;
        let none = AskError::Failed { verb: "hook", why: "the helper named no unit".to_owned() };
        units.into_iter().next().ok_or(none)
    }

    /// The last lines a hook printed.
    pub(crate) async fn hook_lines(&self, point: Point, index: u32) -> Result<String, AskError> {
        asked!(self, Verb::HookLines { point, index }, Answer::Lines(lines) => lines)
    }

    /// Restarts as planned.
    pub(crate) async fn reboot(
        &self,
        errand: &Errand,
        permit: Permit,
        kind: RebootKind,
        kernel: Option<Release>,
    ) -> Result<(), AskError> {
        asked!(self, Verb::Reboot { errand: errand.clone(), permit, kind, kernel }, Answer::Begun {} => ())
    }
}
