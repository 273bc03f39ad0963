//! Listens for requests: who may ask, how large, how many at once, for how long; and ends when idle.
//!
//! It must never serve a peer it has not identified, and never let one request delay another.

use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::ground::Rooms;
use super::verbs::Verbs;
use super::wire::{Outcome, REQUEST_LIMIT, read_request, write_reply};

/// The user the agent runs as.
const AGENT_USER: &str = "hardstand";
/// Connections served at once; more wait in the listener's queue. The agent opens at most 16.
const MAX_CONNECTIONS: usize = 64;
/// What sending a request, or taking a reply, may take: both fit into the socket's buffer.
const TALK_LIMIT: Duration = Duration::from_secs(5);
/// Threads that read files for verbs, at most: the unit's `TasksMax=` must also hold 16 smartctl.
const READERS: usize = 8;
/// The first descriptor that systemd passes (`sd_listen_fds(3)`).
const FIRST_PASSED: i32 = 3;

/// How the helper is started.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Listen here, in the foreground; otherwise on the socket that systemd passes.
    pub(crate) socket: Option<PathBuf>,
    /// Users served besides root and `hardstand` (for tests without root).
    pub(crate) allow_uids: Vec<u32>,
    /// End after this long without a request, when started by systemd.
    pub(crate) idle: Duration,
    /// Where it remembers what it ran.
    pub(crate) rooms: Rooms,
}

impl Default for Options {
    /// Started by systemd; ends after a minute, well below the five between two readings of SMART.
    fn default() -> Self {
        Self { socket: None, allow_uids: Vec::new(), idle: Duration::from_secs(60), rooms: Rooms::of_this_machine() }
    }
}

/// Serves until it is told to stop or, started by systemd, until it is idle.
///
/// # Errors
/// There is no socket to listen on.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().max_blocking_threads(READERS);
    let runtime = runtime.build().context("starting the runtime")?;
    runtime.block_on(async {
        let own_socket = options.socket.clone();
        let (listener, idle) = match &own_socket {
            Some(path) => (listen(path)?, None),
            None => (passed()?, Some(options.idle)),
        };
        listener.set_nonblocking(true).context("setting up the socket")?;
        let listener = UnixListener::from_std(listener).context("setting up the socket")?;
        let served = Server {
            verbs: Verbs::for_this_machine(options.rooms.clone()),
            allowed: allowed(&options.allow_uids),
            idle,
        };
        let ended = served.serve(listener).await;
        if let Some(path) = own_socket {
            // Best effort: the next start replaces a socket nobody listens on.
            let _ = std::fs::remove_file(path);
        }
        ended
    })
}

/// The socket systemd passes, checked to be for us.
fn passed() -> anyhow::Result<StdListener> {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let is_ours = variable("LISTEN_PID") == Some(std::process::id());
    match variable("LISTEN_FDS") {
        Some(1) if is_ours => {}
        _ => bail!(
            "no socket was passed; the helper is started by hardstand-helper.socket (systemctl start hardstand-helper.socket), \
             or in the foreground with --socket PATH"
        ),
    }
    // SAFETY: systemd passes this descriptor to us alone (LISTEN_PID is ours), and nothing else in this process owns it.
    #[allow(unsafe_code)]
    let fd = unsafe { OwnedFd::from_raw_fd(FIRST_PASSED) };
    nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))
        .context("taking the socket that systemd passed")?;
    Ok(StdListener::from(fd))
}

/// Binds a socket of our own, over one that a killed helper left behind.
fn listen(path: &Path) -> anyhow::Result<StdListener> {
    match StdListener::bind(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                bail!("listening on {}: another helper listens there", path.display());
            }
            std::fs::remove_file(path).with_context(|| format!("removing the stale socket {}", path.display()))?;
            StdListener::bind(path).with_context(|| format!("listening on {}", path.display()))
        }
        bound => bound.with_context(|| format!("listening on {}", path.display())),
    }
}

/// Root, the agent's user where there is one, and whom the command line names. A user database that cannot be read
/// only narrows this.
fn allowed(more: &[u32]) -> Vec<u32> {
    let agent = nix::unistd::User::from_name(AGENT_USER).unwrap_or_else(|errno| {
        tracing::warn!(%errno, user = AGENT_USER, "looking up the agent's user failed, only root is served");
        None
    });
    [0].into_iter().chain(agent.map(|user| user.uid.as_raw())).chain(more.iter().copied()).collect()
}

pub(super) struct Server {
    pub(super) verbs: Verbs,
    pub(super) allowed: Vec<u32>,
    /// End after this long without a connection.
    pub(super) idle: Option<Duration>,
}

impl Server {
    pub(super) async fn serve(self, listener: UnixListener) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("listening for signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listening for signals")?;
        let mut connections = JoinSet::new();
        loop {
            let idle = self.idle.unwrap_or(Duration::MAX);
            tokio::select! {
                accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(answer(stream, self.verbs.clone(), self.allowed.clone()));
                    }
                    Err(error) => bail!("accepting a connection: {error}"),
                },
                Some(_ended) = connections.join_next() => {}
                () = tokio::time::sleep(idle), if self.idle.is_some() && connections.is_empty() => {
                    tracing::debug!("idle, ending; the socket starts the helper again");
                    return Ok(());
                }
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        }
    }
}

async fn answer(mut stream: UnixStream, verbs: Verbs, allowed: Vec<u32>) {
    let outcome = match check_peer(&stream, &allowed) {
        Ok(()) => serve_one(&mut stream, &verbs).await,
        Err(why) => Err(why),
    };
    let outcome = outcome.unwrap_or_else(|why| {
        tracing::warn!(why, "request refused");
        Outcome::Refused { why }
    });
    // A peer that has gone, or does not read, loses its answer; nothing else does.
    let _ = tokio::time::timeout(TALK_LIMIT, stream.write_all(&write_reply(outcome))).await;
}

async fn serve_one(stream: &mut UnixStream, verbs: &Verbs) -> Result<Outcome, String> {
    let verb = read_request(&request(stream).await?)?;
    let (name, changes) = (verb.name(), verb.changes());
    let outcome = verbs.run(verb).await;
    let done = matches!(outcome, Outcome::Done(_));
    if changes {
        tracing::info!(verb = name, ?outcome, "request to change the host served");
    } else {
        tracing::debug!(verb = name, done, "request served");
    }
    Ok(outcome)
}

fn check_peer(stream: &UnixStream, allowed: &[u32]) -> Result<(), String> {
    let peer = stream.peer_cred().map_err(|error| format!("the peer could not be identified: {error}"))?;
    if allowed.contains(&peer.uid()) {
        return Ok(());
    }
    Err(format!("uid {} is not served; only root and the user {AGENT_USER} are", peer.uid()))
}

async fn request(stream: &mut UnixStream) -> Result<Vec<u8>, String> {
    let mut line = Vec::new();
    let limit = u64::try_from(REQUEST_LIMIT).unwrap_or(u64::MAX);
    let mut reader = BufReader::new(stream).take(limit);
    match tokio::time::timeout(TALK_LIMIT, reader.read_until(b'\n', &mut line)).await {
        Err(_elapsed) => Err(format!("no request came within {} s", TALK_LIMIT.as_secs())),
        Ok(Err(error)) => Err(format!("the request cannot be read: {error}")),
        Ok(Ok(_)) if line.last() == Some(&b'\n') => Ok(line),
        Ok(Ok(_)) if line.len() >= REQUEST_LIMIT => Err(format!("the request is longer than {REQUEST_LIMIT} bytes")),
        Ok(Ok(_)) => Err("the request has no end of line".to_owned()),
    }
}
