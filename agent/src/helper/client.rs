//! The agent's side of the helper: one connection per request, each with a deadline.
//!
//! It must never wait without a limit, and never take silence for an answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hardstand_core::observed::{BootEntry, Dimm};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

use super::ground::Rooms;
use super::verbs::Verbs;
use super::wire::{
    Answer, DiskName, DmiSerials, IpmiAnswer, KernelLog, Outcome, REPLY_LIMIT, SmartAnswer, Verb, ZpoolAnswer,
    read_reply, write_request,
};
use crate::host::HostError;

/// Requests under way at once: a shelf of disks is asked in a few rounds, not in one burst of processes.
const AT_ONCE: usize = 16;
/// What connecting, starting a socket-activated helper and passing the reply may take beyond the verb itself.
const MARGIN: Duration = Duration::from_secs(5);

/// Asks the helper, or does the same in this process.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    way: Way,
    turns: Arc<Semaphore>,
}

#[derive(Debug, Clone)]
enum Way {
    Socket(PathBuf),
    Local(Verbs),
}

/// Why the helper gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    /// Nobody listens.
    #[error(
        "no helper at {}; start it with: systemctl start hardstand-helper.socket, or run as root with --local",
        socket.display()
    )]
    Absent {
        /// Where it was looked for.
        socket: PathBuf,
    },
    /// The socket is there and talking failed.
    #[error("talking to {}: {why}", socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// No reply in time.
    #[error("no reply to {verb} within {} s", limit.as_secs())]
    Silent {
        /// What was asked.
        verb: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The helper does not do this for us.
    #[error("{verb} was refused: {why}")]
    Refused {
        /// What was asked.
        verb: &'static str,
        /// The helper's reason.
        why: String,
    },
    /// The permit has grown old on the way; nothing was done.
    #[error("{verb} came too late: {why}")]
    Stale {
        /// What was asked.
        verb: &'static str,
        /// The helper's reason.
        why: String,
    },
    /// A program is not installed.
    #[error("{why}")]
    Missing {
        /// Which, and what to do.
        why: String,
    },
    /// It was tried and failed.
    #[error("{verb} failed: {why}")]
    Failed {
        /// What was asked.
        verb: &'static str,
        /// The helper's reason.
        why: String,
    },
}

impl AskError {
    /// Whether nobody knows what the helper made of it: it was not reached, or its answer was not.
    pub(crate) fn is_of_the_way(&self) -> bool {
        matches!(self, Self::Absent { .. } | Self::Broken { .. } | Self::Silent { .. })
    }

    /// Whether another request may well be answered: this one failed for a reason of its own.
    pub(crate) fn is_about_one_request(&self) -> bool {
        matches!(self, Self::Silent { .. } | Self::Refused { .. } | Self::Failed { .. })
    }
}

impl From<AskError> for HostError {
    fn from(error: AskError) -> Self {
        Self::Helper { why: error.to_string() }
    }
}

impl Client {
    /// Asks the helper behind a socket.
    pub(crate) fn new(socket: impl Into<PathBuf>) -> Self {
        Self::by(Way::Socket(socket.into()))
    }

    /// Does the verbs in this process, with its rights.
    pub(crate) fn local() -> Self {
        Self::by(Way::Local(Verbs::for_this_machine(Rooms::of_this_machine())))
    }

    /// The helper where it listens; else, for root, this process.
    pub(crate) fn nearest(socket: &Path) -> Self {
        if !socket.exists() && nix::unistd::geteuid().is_root() { Self::local() } else { Self::new(socket) }
    }

    /// Runs these verbs in this process.
    #[cfg(test)]
    pub(super) fn with_verbs(verbs: Verbs) -> Self {
        Self::by(Way::Local(verbs))
    }

    fn by(way: Way) -> Self {
        Self { way, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Asks a disk for its health.
    ///
    /// # Errors
    /// [`AskError`]; see [`AskError::is_about_one_request`].
    pub(crate) async fn smart(&self, disk: DiskName) -> Result<SmartAnswer, AskError> {
        match self.ask(Verb::Smart { disk }).await? {
            Answer::Smart(answer) => Ok(answer),
            other => Err(mismatch("smart", &other)),
        }
    }

    /// Reads the EFI boot entries.
    ///
    /// # Errors
    /// The helper does not answer, or the variables cannot be read.
    pub(crate) async fn boot_entries(&self) -> Result<Vec<BootEntry>, HostError> {
        match self.ask(Verb::BootEntries {}).await? {
            Answer::BootEntries(entries) => Ok(entries),
            other => Err(mismatch("boot_entries", &other).into()),
        }
    }

    /// Reads the memory slots.
    ///
    /// # Errors
    /// The helper does not answer, or the firmware's table cannot be read.
    pub(crate) async fn dimms(&self) -> Result<Vec<Dimm>, HostError> {
        match self.ask(Verb::Dimms {}).await? {
            Answer::Dimms(dimms) => Ok(dimms),
            other => Err(mismatch("dimms", &other).into()),
        }
    }

    /// Reads the machine's serial numbers.
    ///
    /// # Errors
    /// The helper does not answer.
    pub(crate) async fn dmi_serials(&self) -> Result<DmiSerials, HostError> {
        match self.ask(Verb::DmiSerials {}).await? {
            Answer::DmiSerials(serials) => Ok(serials),
            other => Err(mismatch("dmi_serials", &other).into()),
        }
    }

    /// Asks for the state of all ZFS pools.
    ///
    /// # Errors
    /// The helper does not answer, or `zpool` does not answer it.
    pub(crate) async fn zpool(&self) -> Result<ZpoolAnswer, HostError> {
        match self.ask(Verb::Zpool {}).await? {
            Answer::Zpool(answer) => Ok(answer),
            other => Err(mismatch("zpool", &other).into()),
        }
    }

    /// Reads what the kernel's log tells of errors of the hardware.
    ///
    /// # Errors
    /// The helper does not answer, or may not read the log.
    pub(crate) async fn kernel_log(&self) -> Result<KernelLog, HostError> {
        match self.ask(Verb::KernelLog {}).await? {
            Answer::KernelLog(log) => Ok(log),
            other => Err(mismatch("kernel_log", &other).into()),
        }
    }

    /// Asks the board's controller for its sensors, and how full its log is.
    ///
    /// # Errors
    /// [`AskError::Missing`] where the tools are not installed; the others where it does not answer.
    pub(crate) async fn ipmi(&self) -> Result<IpmiAnswer, AskError> {
        match self.ask(Verb::Ipmi {}).await? {
            Answer::Ipmi(answer) => Ok(answer),
            other => Err(mismatch("ipmi", &other)),
        }
    }

    /// Reads entries of the controller's log: those after this one, or else the newest.
    ///
    /// # Errors
    /// The helper does not answer, or the controller does not answer it.
    pub(crate) async fn ipmi_events(&self, after: Option<u16>) -> Result<String, HostError> {
        match self.ask(Verb::IpmiEvents { after }).await? {
            Answer::Lines(text) => Ok(text),
            other => Err(mismatch("ipmi_events", &other).into()),
        }
    }

    pub(super) async fn ask(&self, verb: Verb) -> Result<Answer, AskError> {
        let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
        let name = verb.name();
        let outcome = match &self.way {
            Way::Local(verbs) => verbs.run(verb).await,
            Way::Socket(socket) => {
                let limit = verb.deadline() + MARGIN;
                let exchange = tokio::time::timeout(limit, exchange(socket, &verb)).await;
                exchange.unwrap_or(Err(AskError::Silent { verb: name, limit }))?
            }
        };
        match outcome {
            Outcome::Done(answer) => Ok(answer),
            Outcome::Refused { why } => Err(AskError::Refused { verb: name, why }),
            Outcome::Stale { why } => Err(AskError::Stale { verb: name, why }),
            Outcome::Missing { why } => Err(AskError::Missing { why }),
            Outcome::Failed { why } => Err(AskError::Failed { verb: name, why }),
        }
    }
}

async fn exchange(socket: &Path, verb: &Verb) -> Result<Outcome, AskError> {
    let broken = |why: String| AskError::Broken { socket: socket.to_owned(), why };
    let mut stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
            AskError::Absent { socket: socket.to_owned() }
        }
        std::io::ErrorKind::PermissionDenied => {
            broken("permission denied; it is open to root and the user hardstand".to_owned())
        }
        _ => broken(error.to_string()),
    })?;
    // A helper that refuses us hangs up without reading; its reason is there to be read all the same.
    let sent = stream.write_all(&write_request(verb)).await;
    let mut line = Vec::new();
    let limit = u64::try_from(REPLY_LIMIT).unwrap_or(u64::MAX);
    let mut reader = BufReader::new(stream).take(limit);
    let received = reader.read_until(b'\n', &mut line).await;
    if let (true, Err(error)) = (line.is_empty(), sent.and(received.map(drop))) {
        return Err(broken(error.to_string()));
    }
    if line.last() != Some(&b'\n') {
        let why = if line.is_empty() { "it hung up without a reply" } else { "its reply has no end" };
        return Err(broken(why.to_owned()));
    }
    read_reply(&line).map_err(broken)
}

pub(super) fn mismatch(verb: &'static str, answer: &Answer) -> AskError {
    let kind = answer.name();
    AskError::Failed { verb, why: format!("the helper answered {kind}; install agent and helper of one release") }
}
