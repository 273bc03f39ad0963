//! The loop: probe, judge, report, wait for the next event. The only file that knows the order.
//!
//! It must never look inside a reading, and never decide what a finding means.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hardstand_core::{Health, History, Observed, Settings, judge};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::config;
use crate::helper::{self, Client};
use crate::host::Host;
use crate::member::{self, Pace, Standing};
use crate::probe::Probe;
use crate::report::doors::Doors;
use crate::report::finding_log::FindingLog;
use crate::report::notify::{Notifier, watchdog_interval};
use crate::report::published::Published;
use crate::report::sentence::status_sentence;
use crate::report::serve::{Shared, Wanted, Wish};
use crate::state::State;

/// What `hardstand agent` was told on its command line.
#[derive(Debug)]
pub(crate) struct AgentOptions {
    /// The one file to read instead of `/etc/hardstand/agent.toml` and its drop-ins.
    pub(crate) config: Option<PathBuf>,
    /// Where the memory of earlier passes lies; nowhere when absent.
    pub(crate) state: Option<PathBuf>,
    /// The socket operators ask.
    pub(crate) socket: PathBuf,
    /// The helper's socket.
    pub(crate) helper: PathBuf,
}

/// Requests that may wait while a pass is under way; more are refused by the server.
const REQUESTS: usize = 16;
/// Between two passes while a journey is under way: its gates and its end are seen in them.
const BUSY_INTERVAL: Duration = Duration::from_secs(1);
/// Between two passes while others may be let into maintenance on what this node says: with the report's own age it
/// stays evidence.
const ALERT_INTERVAL: Duration = Duration::from_secs(3);
/// How often to look when no service manager watches: never within a tick.
const NO_WATCHDOG: Duration = Duration::from_secs(24 * 3600);
/// Names that are looked up at once; more wait, up to the limits of those who ask.
const LOOKUP_THREADS: usize = 32;
/// After the end, how long threads that hang on a dead disk or mount are waited for.
const HUNG_THREADS: Duration = Duration::from_millis(100);

/// Why a turn of the loop begins.
#[derive(Debug)]
enum Wake {
    /// The interval has passed.
    Tick,
    /// The node's part in its fleet has something new to say.
    Member,
    /// SIGHUP: read the configuration again.
    Reload,
    /// An operator has taken a disk out on purpose.
    Wish(Wish),
    /// SIGTERM or SIGINT.
    Stop,
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// The configuration is refused, or the process lacks what it cannot do without.
pub(crate) fn agent(options: &AgentOptions) -> anyhow::Result<()> {
    let settings = config::load(options.config.as_deref())?.settings;
    let runtime = runtime()?;
    let result = runtime.block_on(turn_until_stopped(options, settings));
    runtime.shutdown_timeout(HUNG_THREADS);
    result
}

/// One pass without an agent: what a foreground user sees (`--local`).
///
/// # Errors
/// The process lacks what it cannot do without.
pub(crate) fn local_pass(settings: Settings) -> anyhow::Result<(Observed, Health)> {
    let settings = Arc::new(settings);
    let runtime = runtime()?;
    let seen = runtime.block_on(async {
        Probe::new(Arc::clone(&settings), Host::this(), Client::nearest(Path::new(helper::SOCKET))).pass(false).await
    });
    runtime.shutdown_timeout(HUNG_THREADS);
    let health = judge(&seen, &settings, &mut History::default());
    Ok((seen, health))
}

/// One thread runs everything that waits; collectors that may hang have threads of their own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    // Names are looked up on threads that nobody can end: a dead name server must not use up what the unit may start.
    builder.enable_all().max_blocking_threads(LOOKUP_THREADS).build().context("starting the event loop")
}

async fn turn_until_stopped(options: &AgentOptions, settings: Settings) -> anyhow::Result<()> {
    let mut wakes = Wakes::listen()?;
    let mut settings = Arc::new(settings);
    let mut probe = Probe::new(Arc::clone(&settings), Host::this(), Client::nearest(&options.helper));
    let (mut state, mut history) = match &options.state {
        Some(dir) => {
            let (state, history) = State::read(dir);
            (Some(state), history)
        }
        None => (None, History::default()),
    };
    let notify = Notifier::from_environment();
    let mut log = FindingLog::default();
    let mut doors: Option<(Doors, watch::Sender<Arc<Published>>)> = None;
    let mut member: Option<Membership> = None;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "agent started");
    loop {
        let pace = member.as_ref().map_or(Pace::Idle, |member| member.standing.borrow().pace);
        let idle = Duration::from_secs(settings.probe.interval_secs);
        let next = Instant::now()
            + match pace {
                Pace::Idle => idle,
                Pace::Alert => idle.min(ALERT_INTERVAL),
                Pace::Busy => idle.min(BUSY_INTERVAL),
            };
        let seen = tokio::select! {
            seen = probe.pass(pace != Pace::Idle) => seen,
            () = wakes.stop() => break,
        };
        let mut health = judge(&seen, &settings, &mut history);
        if let Some(member) = &member {
            health.add(member.standing.borrow().findings.iter().cloned());
        }
        log.changes(&health);
        let mut sentence = status_sentence(&health);
        if let Some(member) = &mut member {
            member.add_to(&mut sentence);
        }
        keep(state.as_mut(), &history, seen.at.boottime_seconds, false);
        let standing = member.as_ref().map(|member| member.standing.borrow().clone());
        let pass = Arc::new(Published::new(seen, health, standing));
        match &doors {
            Some((_, publish)) => {
                publish.send_replace(pass);
                notify.status(&sentence);
            }
            // Nothing is shown and nobody is told before the first full pass is judged.
            None => {
                let (publish, published) = watch::channel(pass);
                let shared = Shared { published, wishes: wakes.wish_sender() };
                doors = Some((Doors::open(&settings.metrics.listen, &options.socket, shared).await, publish));
                member = Membership::begin(options, &settings, &doors);
                notify.ready(&sentence);
            }
        }
        let wake = wakes.next(next, &notify, member.as_mut()).await;
        tracing::debug!(?wake, "woke");
        match wake {
            Wake::Tick | Wake::Member => {}
            Wake::Reload => {
                notify.reloading();
                match config::load(options.config.as_deref()) {
                    Ok(loaded) => {
                        settings = Arc::new(loaded.settings);
                        probe.set_settings(Arc::clone(&settings));
                        if let Some((doors, _)) = &mut doors {
                            doors.listen_on(&settings.metrics.listen).await;
                        }
                        // As after a restart: the journal says where it stood. The old one's store is closed first.
                        if let Some(old) = member.take() {
                            old.end().await;
                        }
                        member = Membership::begin(options, &settings, &doors);
                        tracing::info!("configuration read again");
                    }
                    Err(error) => tracing::error!(%error, "configuration refused, the old one stays in force"),
                }
                notify.ready(&sentence);
            }
            Wake::Wish(Wish { wanted, answer }) => {
                let known = grant(&mut history, &wanted);
                keep(state.as_mut(), &history, 0.0, true);
                // Who asked may have gone away; that undoes nothing.
                let _ = answer.send(known);
            }
            Wake::Stop => break,
        }
    }
    notify.stopping();
    keep(state.as_mut(), &history, 0.0, true);
    tracing::info!("agent stopped");
    Ok(())
}

/// Does what a person wants of the memory; says whether it knew what that is about.
fn grant(history: &mut History, wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Forget { kind, name } => {
            let known = history.forget(*kind, name);
            tracing::info!(kind = kind.word(), name, known, "forgetting as asked");
            known
        }
        Wanted::Acknowledge { check, subject, reason, seconds } => {
            let known = history.acknowledge(check, subject, reason, *seconds);
            tracing::info!(check, subject, reason, seconds, known, "acknowledging as asked");
            known
        }
    }
}

fn keep(state: Option<&mut State>, history: &History, boottime_seconds: f64, must: bool) {
    let Some(state) = state else { return };
    if let Err(error) = state.keep(history, boottime_seconds, must) {
        tracing::error!(%error, "memory of earlier passes not written");
    }
}

/// The node's part in its fleet, running beside the passes.
struct Membership {
    task: tokio::task::JoinHandle<()>,
    standing: watch::Receiver<Standing>,
}

impl Membership {
    /// Begins it where the settings name a store and the node keeps a memory.
    fn begin(
        options: &AgentOptions,
        settings: &Arc<Settings>,
        doors: &Option<(Doors, watch::Sender<Arc<Published>>)>,
    ) -> Option<Self> {
        let (state, (_, publish)) = (options.state.as_ref()?, doors.as_ref()?);
        if !member::is_member(&settings.store) {
            return None;
        }
        let (told, standing) = watch::channel(Standing::default());
        let passes = publish.subscribe();
        let node = passes.borrow().parts().1.node.clone();
        let parts = member::Parts {
            settings: Arc::clone(settings),
            node,
            state: state.clone(),
            helper: Client::nearest(&options.helper),
            passes,
            standing: told,
        };
        Some(Self { task: tokio::spawn(member::run(parts)), standing })
    }

    /// Ends it, and waits until it has let go of what it held.
    async fn end(mut self) {
        self.task.abort();
        // Ended by being told to, or by itself: over in both cases.
        let _ = (&mut self.task).await;
    }

    /// Adds what the member has to say to the status sentence.
    fn add_to(&mut self, sentence: &mut String) {
        let standing = self.standing.borrow_and_update();
        if !standing.sentence.is_empty() {
            sentence.push_str("; ");
            sentence.push_str(&standing.sentence);
        }
    }

    async fn changed(&mut self) {
        if self.standing.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Everything that can begin a turn.
struct Wakes {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    wishes: mpsc::Receiver<Wish>,
    /// Kept, so that the channel stays open while no door is.
    wish_sender: mpsc::Sender<Wish>,
}

impl Wakes {
    fn listen() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("listening for signals");
        let (wish_sender, wishes) = mpsc::channel(REQUESTS);
        Ok(Self {
            hangup: on(SignalKind::hangup())?,
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            wishes,
            wish_sender,
        })
    }

    fn wish_sender(&self) -> mpsc::Sender<Wish> {
        self.wish_sender.clone()
    }

    /// SIGTERM or SIGINT.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The next event, at the latest a tick at `next`. Meanwhile the service manager's watchdog is fed: a judged pass
    /// lies behind, and one that never ends lies ahead of no further feeding.
    async fn next(&mut self, next: Instant, notify: &Notifier, mut member: Option<&mut Membership>) -> Wake {
        let feed_every = watchdog_interval().map_or(NO_WATCHDOG, |whole| whole / 2);
        loop {
            notify.watchdog();
            let feed = Instant::now() + feed_every;
            if let Some(wake) = self.next_until(next, feed, member.as_deref_mut()).await {
                return wake;
            }
        }
    }

    async fn next_until(&mut self, next: Instant, feed: Instant, member: Option<&mut Membership>) -> Option<Wake> {
        let news = async {
            match member {
                Some(member) => member.changed().await,
                None => std::future::pending().await,
            }
        };
        Some(tokio::select! {
            biased;
            _ = self.terminate.recv() => Wake::Stop,
            _ = self.interrupt.recv() => Wake::Stop,
            _ = self.hangup.recv() => Wake::Reload,
            Some(wish) = self.wishes.recv() => Wake::Wish(wish),
            () = news => Wake::Member,
            () = sleep_until(next) => Wake::Tick,
            () = sleep_until(feed) => return None,
        })
    }
}
