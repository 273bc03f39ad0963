//! The node's journal on disk: [`Journal`] as one JSON file, replaced whole and on the disk before each act.
//!
//! It must never take a torn, foreign or impossible file for an absent one: that is an error that stops all acts until
//! a person has looked, while the agent goes on reporting.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use hardstand_core::health::{Finding, Gate, Severity};
use hardstand_core::journal::{Journal, VERSION};
use hardstand_core::phase::Phase;

use crate::durable;

/// The journal's name in the state directory.
const FILE: &str = "journal.json";
/// Longest journal read, in bytes. A plan's part with a thousand packages takes 200 kB.
const LIMIT_BYTES: u64 = 16 << 20;
/// The check under which a journal that cannot be used is reported.
const CHECK: &str = "agent.journal";

/// Why the journal cannot be used. Each is for a person: nothing is begun or ended until it is solved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// It is there and cannot be read.
    #[error("reading {}: {source}; see what is wrong with the disk, then restart hardstand-agent", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is not a journal, or only a part of one.
    #[error(
        "{} is torn or not a journal: {why}; see where the node stands (hardstand status), finish or undo by hand, then \
         move the file away and restart hardstand-agent", path.display()
    )]
    Torn {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another release wrote it.
    #[error("{} has version {version}, this agent reads {VERSION}; install the release that wrote it", path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// It says what cannot be.
    #[error(
        "{} says what cannot be: {why}; see where the node stands (hardstand status), finish or undo by hand, then move \
         the file away and restart hardstand-agent", path.display()
    )]
    Impossible {
        /// Where.
        path: PathBuf,
        /// What.
        why: &'static str,
    },
    /// It could not be written; nothing may be begun.
    #[error("writing {}: {source}; free some space or check its owner; nothing is begun until it can be", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Where the journal lies. After a failed write the disk may hold the old or the new one; the next write settles it.
#[derive(Debug)]
pub(crate) struct JournalFile {
    path: PathBuf,
}

impl JournalFile {
    /// Reads the journal below `dir`; a node that never had one begins idle.
    ///
    /// # Errors
    /// [`JournalError`]: there is one, and it cannot be used.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Journal), JournalError> {
        let path = dir.join(FILE);
        let journal = match read_limited(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Journal::default(),
            Err(source) => return Err(JournalError::Read { path, source }),
            Ok(bytes) => parse(&path, &bytes)?,
        };
        Ok((Self { path }, journal))
    }

    /// Writes the journal. When this returns, it survives a power cut.
    ///
    /// # Errors
    /// The disk did not take it, or it must not be written: the act it was for must not begin.
    pub(crate) fn write(&self, journal: &Journal) -> Result<(), JournalError> {
        self.write_with(journal, |_stage| Ok(()))
    }

    fn write_with(
        &self,
        journal: &Journal,
        before: impl FnMut(durable::Stage) -> io::Result<()>,
    ) -> Result<(), JournalError> {
        if let Some(why) = impossible(journal) {
            return Err(JournalError::Impossible { path: self.path.clone(), why });
        }
        let failed = |source| JournalError::Write { path: self.path.clone(), source };
        let bytes = serde_json::to_vec(journal).map_err(|error| failed(error.into()))?;
        durable::replace_with(&self.path, &bytes, before).map_err(failed)
    }
}

impl JournalError {
    /// The finding that tells of it. It blocks: a node that does not know where it stands is not taken down.
    pub(crate) fn finding(&self, since_unix_seconds: u64) -> Finding {
        Finding {
            check: CHECK.to_owned(),
            subject: "agent".to_owned(),
            severity: Severity::Crit,
            gate: Gate::Blocks,
            summary: "the journal cannot be used".to_owned(),
            evidence: self.to_string(),
            since_unix_seconds,
            acknowledged: None,
        }
    }
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)?.take(LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > LIMIT_BYTES {
        return Err(io::Error::other(format!("larger than {LIMIT_BYTES} bytes")));
    }
    Ok(bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Journal, JournalError> {
    let path = || path.to_owned();
    let torn = |why: String| JournalError::Torn { path: path(), why };
    // The version first: what else is wrong with another release's journal is of no use.
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| torn(error.to_string()))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => return Err(JournalError::Foreign { path: path(), version }),
        None => return Err(torn("it has no version".to_owned())),
    }
    let journal: Journal = serde_json::from_value(value).map_err(|error| torn(error.to_string()))?;
    match impossible(&journal) {
        Some(why) => Err(JournalError::Impossible { path: path(), why }),
        None => Ok(journal),
    }
}

/// What no decision ever leaves behind.
fn impossible(journal: &Journal) -> Option<&'static str> {
    match (journal.phase, &journal.journey) {
        _ if journal.version != VERSION => Some("it has another version"),
        (Phase::Idle, Some(_)) => Some("it is idle and has a journey"),
        (Phase::Idle, None) => None,
        (_, None) => Some("it is under way and has no journey"),
        (_, Some(journey)) if journey.part.node != journey.order.node => Some("its order and its part name two nodes"),
        (_, Some(journey)) if journey.boot_id_before.is_empty() || journey.phase_boot_id.is_empty() => {
            Some("its journey is of no boot")
        }
        (_, Some(_)) => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
