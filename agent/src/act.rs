//! Does one [`Step`] at a time, in the background, and says how far it is.
//!
//! It must never choose: what to do, and whether to do it, was decided. It must never begin on a permit that has grown
//! old, and never take a command's end for proof: `decide` looks at the host.

mod declared;
mod follow;
mod hook;

use std::sync::{Arc, Mutex, PoisonError};

use hardstand_core::journal::{Journal, Journey};
use hardstand_core::phase::Phase;
use hardstand_core::plan::RebootKind;
use hardstand_core::settings::HookSettings;
use hardstand_core::step::{ActState, PERMIT_MS, Step};
use hardstand_core::{Reading, Settings};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub(crate) use declared::Declared;

use self::follow::patiently;
use crate::helper::{AskError, Client, Deed, Digest, Errand, Permit, Point, Release, RunState};
use crate::host::Host;
use crate::host::clock::boottime;
use crate::host::systemd::jobs::Jobs;

/// A future that a trait object can give.
pub(crate) type Doing<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What takes a node's services away and gives them back. Implemented by what a node declares, and later by Proxmox VE,
/// TrueNAS and K3s, each with its own interlocks.
pub(crate) trait Platform: Send + Sync {
    /// Takes them away, to the end or to the first that does not leave.
    fn drain<'a>(&'a self, errand: &'a Errand, permit: &'a Permit) -> Doing<'a, Result<(), Failure>>;
    /// Gives back what was taken under this errand's lease.
    fn restore<'a>(&'a self, errand: &'a Errand) -> Doing<'a, Result<(), Failure>>;
    /// Whether nothing that is to be drained still serves.
    fn drained(&self) -> Doing<'_, Reading<bool>>;
    /// Whether everything that was drained under this errand's lease serves again.
    fn restored<'a>(&'a self, errand: &'a Errand) -> Doing<'a, Reading<bool>>;
}

/// Why a step did not end well, and what a person can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Why.
    pub(crate) why: String,
    /// What next.
    pub(crate) next_action: String,
    /// Whether nothing is wrong but that the permit grew old before anything was done: a slow machine asks anew.
    stale: bool,
}

impl Failure {
    /// A failure.
    pub(crate) fn new(why: impl Into<String>, next_action: impl Into<String>) -> Self {
        Self { why: why.into(), next_action: next_action.into(), stale: false }
    }

    fn of(error: &AskError, next_action: &str) -> Self {
        Self { stale: matches!(error, AskError::Stale { .. }), ..Self::new(error.to_string(), next_action) }
    }
}

/// How a step ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Everything was done.
    Done,
    /// Nothing is under way, and a fresh permit is needed to go on.
    Again,
}

/// The executor.
pub(crate) struct Act {
    hands: Hands,
    state: Arc<Mutex<ActState>>,
    ended: Arc<Notify>,
    task: Option<JoinHandle<()>>,
}

/// What a step is done with.
#[derive(Clone)]
struct Hands {
    helper: Client,
    jobs: Jobs,
    host: Host,
    hooks: HookSettings,
    platform: Arc<dyn Platform>,
    /// The order whose pre-reboot hooks have said go, by its uid.
    asked_before_reboot: Arc<Mutex<Option<String>>>,
}

impl Act {
    /// An executor that has begun nothing.
    pub(crate) fn new(helper: Client, settings: &Settings) -> Self {
        Self::with(helper, settings, Jobs::default(), Host::this())
    }

    fn with(helper: Client, settings: &Settings, jobs: Jobs, host: Host) -> Self {
        let platform = Declared::new(helper.clone(), jobs.clone(), &settings.drain);
        let hooks = settings.hooks.clone();
        let hands =
            Hands { helper, jobs, host, hooks, platform: Arc::new(platform), asked_before_reboot: Arc::default() };
        Self { hands, state: Arc::new(Mutex::new(ActState::None)), ended: Arc::default(), task: None }
    }

    /// Other settings from the next step on.
    pub(crate) fn set_settings(&mut self, settings: &Settings) {
        self.hands.hooks = settings.hooks.clone();
        self.hands.platform =
            Arc::new(Declared::new(self.hands.helper.clone(), self.hands.jobs.clone(), &settings.drain));
    }

    /// What takes services away and gives them back.
    pub(crate) fn platform(&self) -> Arc<dyn Platform> {
        Arc::clone(&self.hands.platform)
    }

    /// Begins a step. `permit_ms`: when the store's answer to its permit came, in milliseconds since this boot; `None`
    /// for the steps that need none. What was watched before is watched no longer.
    pub(crate) fn start(&mut self, step: Step, journey: &Journey, permit_ms: Option<u64>) {
        tracing::info!(step = step.word(), order = journey.order.uid, "step begins");
        let (hands, journey) = (self.hands.clone(), journey.clone());
        self.spawn(async move {
            let word = step.word();
            let ended = match hands.run(step, &journey, permit_ms).await {
                // How often is limited by what the plan gives the phase.
                Err(Failure { stale: true, why, .. }) => {
                    tracing::warn!(step = word, why, "the permit has grown old before the act; asking again");
                    Ok(End::Again)
                }
                ended => ended,
            };
            match &ended {
                Ok(end) => tracing::info!(step = word, ?end, "step ended"),
                Err(failure) => tracing::error!(step = word, why = failure.why, "step failed"),
            }
            state_of(ended)
        });
    }

    /// After a start of the agent: finds the package run that an earlier one began, and watches it to its end. It runs
    /// as long as that is not known.
    pub(crate) fn adopt(&mut self, journal: &Journal) {
        let Some(journey) = journal.journey.clone().filter(|_| journal.phase == Phase::Patching) else { return };
        let hands = self.hands.clone();
        self.spawn(async move {
            let Ok(errand) = errand_of(&journey, 1) else { return ActState::None };
            let followed = match hands.see(Deed::Patch, &errand).await {
                Ok(RunState::Running {}) => hands.follow(Deed::Patch, &errand).await,
                seen => seen.map(drop),
            };
            // Judged from dpkg, not from here.
            followed.map_or_else(|failure| state_of(Err(failure)), |()| ActState::None)
        });
    }

    /// Where the step is.
    pub(crate) fn state(&self) -> ActState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a step has ended (cancel safe). It may have been forgotten since: look at the state.
    pub(crate) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Forgets the step: the phase has changed, or a person has lifted the halt. What runs in a unit of its own goes on.
    pub(crate) fn forget(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        // A task that was ended can no longer write into this one.
        self.state = Arc::new(Mutex::new(ActState::None));
    }

    fn spawn(&mut self, doing: impl Future<Output = ActState> + Send + 'static) {
        self.forget();
        self.state = Arc::new(Mutex::new(ActState::Running));
        let (state, told) = (Arc::clone(&self.state), Arc::clone(&self.ended));
        self.task = Some(tokio::spawn(async move {
            let ended = doing.await;
            *state.lock().unwrap_or_else(PoisonError::into_inner) = ended;
            told.notify_one();
        }));
    }
}

impl Drop for Act {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Hands {
    async fn run(&self, step: Step, journey: &Journey, permit_ms: Option<u64>) -> Result<End, Failure> {
        let permit = permit_ms.map(|answered_ms| self.permit(answered_ms)).transpose()?;
        match step {
            Step::Stage => self.stage(journey).await,
            Step::Drain => self.drain(journey, &needed(permit)?).await,
            Step::Patch => self.patch(journey, &needed(permit)?).await,
            Step::Reboot => self.reboot(journey, &needed(permit)?).await,
            Step::Restore => self.restore(journey).await,
        }
    }

    async fn stage(&self, journey: &Journey) -> Result<End, Failure> {
        const NEXT: &str = "see: journalctl -u hardstand-helper; when it is solved, lift the halt; else plan anew";
        if journey.part.packages.is_empty() {
            return Ok(End::Done);
        }
        let errand = self.errand(Deed::Stage, journey, NEXT).await?;
        let (set, kernel) = (set_of(journey)?, kernel_of(journey)?);
        if self.see(Deed::Stage, &errand).await? != (RunState::Running {}) {
            self.helper.stage(&errand, set, kernel).await.map_err(|error| Failure::of(&error, NEXT))?;
        }
        self.follow(Deed::Stage, &errand).await?;
        Ok(End::Done)
    }

    async fn drain(&self, journey: &Journey, permit: &Permit) -> Result<End, Failure> {
        let errand = self.errand(Deed::Drain, journey, "see: systemctl status hardstand-helper").await?;
        self.ask_hooks(&errand, Point::PreDrain, Some(permit)).await?;
        self.platform.drain(&errand, permit).await?;
        self.ask_hooks(&errand, Point::PostDrain, None).await?;
        Ok(End::Done)
    }

    async fn patch(&self, journey: &Journey, permit: &Permit) -> Result<End, Failure> {
        const NEXT: &str =
            "see what it says; finish by hand: dpkg --configure -a && apt-get -f install; then lift the halt";
        let errand = self.errand(Deed::Patch, journey, NEXT).await?;
        let mut first = Some(permit);
        if !journey.part.packages.is_empty() {
            if self.see(Deed::Patch, &errand).await? == (RunState::Running {}) {
                match self.helper.open(Deed::Patch, &errand, permit.clone()).await {
                    Ok(()) => {}
                    // The run goes on, and may be replacing the helper just now.
                    Err(error) if error.is_of_the_way() => return Ok(End::Again),
                    Err(error) => return Err(Failure::of(&error, NEXT)),
                }
            } else {
                self.apply(journey, &errand, permit).await?;
            }
            first = None;
            self.follow(Deed::Patch, &errand).await?;
        }
        if journey.part.reboot.kind != RebootKind::None {
            self.ask_hooks(&errand, Point::PreReboot, first).await?;
            self.note_asked(journey);
        }
        Ok(End::Done)
    }

    /// A request whose answer was lost may have been obeyed: the unit tells.
    async fn apply(&self, journey: &Journey, errand: &Errand, permit: &Permit) -> Result<(), Failure> {
        const NEXT: &str = "see what it says (journalctl -u hardstand-helper); then lift the halt, or plan anew";
        match self.helper.apply(errand, permit.clone(), set_of(journey)?).await {
            Ok(()) => Ok(()),
            Err(error @ (AskError::Refused { .. } | AskError::Stale { .. })) => Err(Failure::of(&error, NEXT)),
            Err(error) => match self.see(Deed::Patch, errand).await? {
                RunState::Running {} => Ok(()),
                _ => Err(Failure::of(&error, NEXT)),
            },
        }
    }

    async fn reboot(&self, journey: &Journey, permit: &Permit) -> Result<End, Failure> {
        const NEXT: &str = "see what it says; when it is solved, lift the halt";
        if !self.was_asked(journey) {
            let errand = self.errand(Deed::Patch, journey, NEXT).await?;
            self.ask_hooks(&errand, Point::PreReboot, Some(permit)).await?;
            self.note_asked(journey);
            if self.is_old(permit) {
                return Ok(End::Again);
            }
        }
        let errand = self.errand(Deed::Reboot, journey, NEXT).await?;
        let (kind, kernel) = (journey.part.reboot.kind, kernel_of(journey)?);
        let ordered = self.helper.reboot(&errand, permit.clone(), kind, kernel).await;
        ordered.map_err(|error| Failure::of(&error, NEXT))?;
        if kind == RebootKind::Services {
            self.follow(Deed::Reboot, &errand).await?;
        }
        Ok(End::Done)
    }

    async fn restore(&self, journey: &Journey) -> Result<End, Failure> {
        let errand = self.errand(Deed::Restore, journey, "see: systemctl status hardstand-helper").await?;
        if journey.reboots > 0 {
            self.ask_hooks(&errand, Point::PostBoot, None).await?;
        }
        self.platform.restore(&errand).await?;
        self.ask_hooks(&errand, Point::PreRelease, None).await?;
        Ok(End::Done)
    }

    /// The next try at a step.
    async fn errand(&self, step: Deed, journey: &Journey, next_action: &str) -> Result<Errand, Failure> {
        let first = errand_of(journey, 1)?;
        let attempts = patiently(|| self.helper.attempts(step, &first)).await;
        let attempt = attempts.map_err(|error| Failure::of(&error, next_action))? + 1;
        Ok(Errand { attempt, ..first })
    }

    fn permit(&self, answered_ms: u64) -> Result<Permit, Failure> {
        let boot_id = self.host.attribute("proc/sys/kernel/random/boot_id");
        let boot_id = boot_id.ok_or_else(|| Failure::new("the boot id cannot be read", "see: mount | grep proc"))?;
        let permit = Permit { boot_id, answered_ms };
        if self.is_old(&permit) {
            let failure = Failure::new("it had grown old before the step began", "lift the halt: it is asked for anew");
            return Err(Failure { stale: true, ..failure });
        }
        Ok(permit)
    }

    /// Here, and again in the helper (S3).
    fn is_old(&self, permit: &Permit) -> bool {
        let now_ms = u64::try_from(boottime().as_millis()).unwrap_or(u64::MAX);
        now_ms.saturating_sub(permit.answered_ms) > PERMIT_MS
    }

    fn note_asked(&self, journey: &Journey) {
        let mut asked = self.asked_before_reboot.lock().unwrap_or_else(PoisonError::into_inner);
        *asked = Some(journey.order.uid.clone());
    }

    fn was_asked(&self, journey: &Journey) -> bool {
        let asked = self.asked_before_reboot.lock().unwrap_or_else(PoisonError::into_inner);
        self.hooks.pre_reboot.is_empty() || asked.as_deref() == Some(journey.order.uid.as_str())
    }
}

fn state_of(ended: Result<End, Failure>) -> ActState {
    match ended {
        Ok(End::Done) => ActState::Ended,
        Ok(End::Again) => ActState::None,
        Err(Failure { why, next_action, .. }) => ActState::Failed { why, next_action },
    }
}

/// The errand of a journey.
pub(crate) fn errand_of(journey: &Journey, attempt: u32) -> Result<Errand, Failure> {
    let plan = Digest::try_from(journey.order.plan.clone()).map_err(nameless)?;
    Ok(Errand { plan, token: journey.order.token.clone(), attempt })
}

/// The name of a journey's package set.
pub(crate) fn set_of(journey: &Journey) -> Result<Digest, Failure> {
    Digest::try_from(journey.part.packages.id()).map_err(nameless)
}

/// The kernel a journey ends with, if another than it began with.
pub(crate) fn kernel_of(journey: &Journey) -> Result<Option<Release>, Failure> {
    journey.part.kernel.clone().map(Release::try_from).transpose().map_err(nameless)
}

fn nameless(why: String) -> Failure {
    Failure::new(format!("the plan names something oddly: {why}"), "plan anew")
}

fn needed(permit: Option<Permit>) -> Result<Permit, Failure> {
    permit.ok_or_else(|| Failure::new("it comes without a permit", "this is a fault of the program; report it"))
}

#[cfg(test)]
mod tests;
