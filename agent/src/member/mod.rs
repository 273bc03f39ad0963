//! The node as a member of its fleet: one loop that hears the store and the node's own passes, decides, and carries out
//! what was decided. [`turn`] is the executor, [`link`] the way to the store, [`lead`] the leader's part.
//!
//! It must never choose: what to do comes from `core::step` and `core::leader`. It must never begin an act on a permit
//! that it cannot prove, and never go on when the journal cannot be written.

mod guests;
mod lead;
mod link;
mod probe;
mod tell;
mod troubles;
mod turn;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hardstand_core::journal::Journal;
use hardstand_core::leader::Waiting;
use hardstand_core::phase::Phase;
use hardstand_core::reading::Reading;
use hardstand_core::rollout::RolloutState;
use hardstand_core::settings::StoreSettings;
use hardstand_core::step::{self, ActState, Facts, Identity, Streak};
use hardstand_core::view::View;
use hardstand_core::{Finding, Settings, status::Brief};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::act::Act;
use crate::facts::{self, Known, Sources};
use crate::fleetlock::{Asked, Door};
use crate::helper::Client;
use crate::host::clock::boottime;
use crate::host::systemd::jobs::Jobs;
use crate::journal::{JournalError, JournalFile};
use crate::report::published::Published;

use link::Link;
use probe::Prober;
use tell::Teller;
use troubles::Troubles;
use turn::Progress;

/// How often the member looks when nothing is told to it: facts such as a stopped unit come without an event.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The same with nothing under way.
const IDLE_LOOK_EVERY: Duration = Duration::from_secs(1);

/// How much hangs on what the node sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Nothing but its own page.
    #[default]
    Idle,
    /// Somebody of the fleet may be let into maintenance on it: what is seen must be evidence (F of the invariants).
    Alert,
    /// Its own journey.
    Busy,
}

/// What the rest of the agent knows of the member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// How close together passes come.
    pub(crate) pace: Pace,
    /// One line for the status: `verifying: gates must hold for the streak`; empty while there is nothing to say.
    pub(crate) sentence: String,
    /// What is wrong with the node's part in its fleet.
    pub(crate) findings: Vec<Finding>,
    /// Where its journey is.
    pub(crate) phase: Phase,
    /// Whether it stands still until a person has looked.
    pub(crate) held: bool,
    /// What the store shows; `None` while it cannot be read.
    pub(crate) fleet: Option<FleetStanding>,
}

/// The fleet, for the metrics page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FleetStanding {
    /// Whether this node leads.
    pub(crate) leads: bool,
    /// Whether a halt is in force.
    pub(crate) halted: bool,
    /// Leases that are taken.
    pub(crate) leases: u32,
    /// Nodes that wait, and the checks they wait for, as the leader sees it; `None`: this node does not lead.
    pub(crate) waiting: Option<Vec<(String, String)>>,
    /// The rollout under way, or the last one.
    pub(crate) rollout: Option<RolloutStanding>,
}

/// A rollout, for the metrics page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RolloutStanding {
    /// What people call it.
    pub(crate) name: String,
    /// Its state.
    pub(crate) state: RolloutState,
    /// Nodes that are done.
    pub(crate) done: u32,
    /// All its nodes.
    pub(crate) nodes: u32,
}

/// What a member is made of.
pub(crate) struct Parts {
    /// The node's settings.
    pub(crate) settings: Arc<Settings>,
    /// The node's name.
    pub(crate) node: String,
    /// Where the journal lies.
    pub(crate) state: PathBuf,
    /// The root side.
    pub(crate) helper: Client,
    /// Passes, as they are judged.
    pub(crate) passes: watch::Receiver<Arc<Published>>,
    /// Where the standing is told.
    pub(crate) standing: watch::Sender<Standing>,
}

/// Runs until it is dropped.
pub(crate) async fn run(parts: Parts) {
    let standing = parts.standing.clone();
    let error = match JournalFile::open(&parts.state) {
        Ok((file, journal)) => Member::new(parts, file, journal).run().await,
        Err(error) => error,
    };
    tracing::error!(%error, "the journal cannot be used; nothing is begun or ended");
    standing.send_replace(Standing {
        sentence: "stopped: the journal cannot be used".to_owned(),
        findings: vec![error.finding(unix_seconds())],
        held: true,
        ..Standing::default()
    });
    std::future::pending::<()>().await;
}

struct Member {
    me: Identity,
    settings: Arc<Settings>,
    file: JournalFile,
    journal: Journal,
    helper: Client,
    jobs: Jobs,
    act: Act,
    link: Link,
    door: Door,
    prober: Prober,
    streak: Streak,
    teller: Teller,
    passes: watch::Receiver<Arc<Published>>,
    standing: watch::Sender<Standing>,
    /// The last reason to wait, so that each is logged once.
    waited_for: String,
    troubles: Troubles,
}

impl Member {
    fn new(parts: Parts, file: JournalFile, journal: Journal) -> Self {
        let mut act = Act::new(parts.helper.clone(), &parts.settings);
        act.adopt(&journal);
        tracing::info!(phase = journal.phase.word(), "the journal was read");
        Self {
            me: Identity { node: parts.node.clone() },
            link: Link::new(parts.settings.store.clone(), parts.node),
            settings: parts.settings,
            file,
            journal,
            teller: Teller::new(parts.helper.clone()),
            helper: parts.helper,
            jobs: Jobs::default(),
            act,
            door: Door::new(),
            prober: Prober::default(),
            streak: Streak::default(),
            passes: parts.passes,
            standing: parts.standing,
            waited_for: String::new(),
            troubles: Troubles::default(),
        }
    }

    /// Turns until the journal cannot be written; says why.
    async fn run(mut self) -> JournalError {
        loop {
            self.link.keep(self.journal.seen.as_ref()).await;
            let facts = self.facts().await;
            let turn = step::decide(&self.journal, &self.link.view, &facts, &self.me);
            match self.take(turn).await {
                Ok(Progress::Moved) => continue,
                Ok(Progress::Waits(why)) => self.note_wait(why),
                Err(error) => return error,
            }
            let led = self.lead(&facts).await;
            self.tell(&facts).await;
            self.probe(&facts).await;
            self.keep_door().await;
            if !led && let Some(asked) = self.wait().await {
                self.answer(asked, &facts).await;
            }
        }
    }

    async fn facts(&mut self) -> Facts {
        let pass = Arc::clone(&self.passes.borrow_and_update());
        let (seen, health) = pass.parts();
        let now_ms = now_ms();
        let findings: Vec<Brief> = health.findings.iter().filter_map(Brief::of).collect();
        let baseline = self.journal.journey.as_ref().map(|journey| journey.part.baseline.as_slice());
        let tolerate = self.link.view.policy.as_ref().map_or(&[][..], |policy| &policy.value.gates.tolerate);
        let good = step::bad_gates(&findings, baseline, tolerate).is_empty();
        let known = Known {
            now_ms,
            gates_good_since_ms: self.streak.note(good, now_ms),
            act: self.act.state(),
            same_history: self.link.same_history.clone(),
        };
        let platform = self.act.platform();
        let sources = Sources { helper: &self.helper, jobs: &self.jobs, platform: platform.as_ref() };
        facts::read(seen, health, &self.journal, &sources, known).await
    }

    fn pace(&self) -> Pace {
        match self.journal.journey {
            Some(_) => Pace::Busy,
            None if tell::is_evidence(&self.link.view) => Pace::Alert,
            None => Pace::Idle,
        }
    }

    fn note_wait(&mut self, why: String) {
        let phase = self.journal.phase;
        let idle = self.journal.journey.is_none() && self.journal.hold.is_none();
        let sentence = if idle && self.link.is_connected() { String::new() } else { format!("{phase}: {why}") };
        let findings = self.troubles.note(self.journal.hold.as_ref(), self.link.trouble());
        let told = Standing {
            pace: self.pace(),
            sentence,
            findings,
            phase,
            held: self.journal.hold.is_some(),
            fleet: self.link.is_connected().then(|| self.fleet_standing()),
        };
        self.standing.send_if_modified(|standing| {
            let changed = *standing != told;
            *standing = told;
            changed
        });
        if self.waited_for != why {
            tracing::info!(phase = phase.word(), why, "waits");
            self.waited_for = why;
        }
    }

    /// Until something changes: the store, a pass, an act, a guest asks, or some time has passed.
    async fn wait(&mut self) -> Option<Asked> {
        let busy = self.journal.journey.is_some() || self.act.state() == ActState::Running;
        let look = if busy { LOOK_EVERY } else { IDLE_LOOK_EVERY };
        tokio::select! {
            () = self.link.listen() => None,
            _ = self.passes.changed() => None,
            () = self.act.ended() => None,
            asked = self.door.next() => Some(asked),
            () = sleep(look) => None,
        }
    }
}

impl Member {
    fn fleet_standing(&self) -> FleetStanding {
        let mut standing = fleet_standing(&self.link.view, &self.me.node);
        standing.waiting = standing.leads.then(|| {
            let of = |one: &Waiting| -> Vec<(String, String)> {
                one.blockers.iter().map(|blocker| (one.node.clone(), blocker.check.clone())).collect()
            };
            let mut waiting: Vec<_> = self.teller.waiting().iter().flat_map(of).collect();
            waiting.sort();
            waiting.dedup();
            waiting
        });
        standing
    }
}

fn fleet_standing(view: &View, me: &str) -> FleetStanding {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let rollout = view.plan().map(|(rollout, plan)| {
        let done = plan.value.nodes.iter().filter(|part| view.done(&rollout.value.plan, &part.node).is_some()).count();
        RolloutStanding {
            name: rollout.value.name.clone(),
            state: rollout.value.state,
            done: count(done),
            nodes: count(plan.value.nodes.len()),
        }
    });
    FleetStanding {
        leads: view.leader.as_ref().is_some_and(|leader| leader.value.node == me),
        halted: view.halt.is_some(),
        leases: count(view.leases.len()),
        waiting: None,
        rollout,
    }
}

/// Milliseconds since this boot.
fn now_ms() -> u64 {
    u64::try_from(boottime().as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970, for people.
fn unix_seconds() -> u64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether this node is to be a member of a fleet.
pub(crate) fn is_member(settings: &StoreSettings) -> bool {
    settings.engine != hardstand_core::settings::Engine::None
}

/// What is known of a store's past before anything was read of it.
fn not_read() -> Reading<bool> {
    Reading::unknown("the store was not read yet")
}
