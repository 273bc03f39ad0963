//! What the helper remembers of the errands it ran, on the disk before each act: the highest token, and each run (S11).
//!
//! It must never run an errand twice, nor one under an older token, nor one whose permit has grown old (S3); and never
//! take a torn memory for an empty one.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use hardstand_core::step::PERMIT_MS;
use serde::{Deserialize, Serialize};

use super::errand::{Deed, Digest, Errand, Permit};
use crate::durable;

/// The format of the memory.
const VERSION: u32 = 1;
const FILE: &str = "errands.json";
/// Tries at one step under one lease. The agent gives up far earlier; this stops one that has lost its mind.
const ATTEMPTS: u32 = 16;
/// Lives of the store that are remembered. It gets a new one when it is restored from a backup.
const INCARNATIONS: usize = 256;

/// What was run, and under which tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    version: u32,
    /// The highest revision seen per life of the store, oldest life first. Only the last one is obeyed.
    floors: Vec<Floor>,
    /// Runs under the highest token.
    runs: Vec<Run>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Floor {
    incarnation: String,
    revision: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    plan: Digest,
    step: Deed,
    attempt: u32,
    /// The parts of the step that were done in this attempt.
    parts: Vec<String>,
}

/// Why an errand is not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRun {
    /// The errand itself is not allowed.
    #[error("{0}")]
    Refused(String),
    /// Its permit has grown old on the way: with a fresh one it may be run.
    #[error("{0}")]
    Stale(String),
    /// The memory cannot be used.
    #[error("{what} {}: {why}; nothing is changed until it can be used: {way_out}", path.display())]
    Memory {
        /// `reading` or `writing`.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// What to do.
        way_out: &'static str,
    },
}

/// This boot, now.
#[derive(Debug, Clone)]
pub(crate) struct Now {
    /// The boot.
    pub(crate) boot_id: String,
    /// Milliseconds since then (CLOCK_BOOTTIME).
    pub(crate) boottime_ms: u64,
}

/// The memory's place.
#[derive(Debug, Clone)]
pub(crate) struct Errands {
    path: PathBuf,
}

impl Errands {
    /// The memory below the helper's own directory.
    pub(crate) fn below(dir: &Path) -> Self {
        Self { path: dir.join(FILE) }
    }

    /// Admits one part of a step, and has it on the disk when it returns. A step that needs a permit needs a fresh one
    /// for its first part in each attempt, and for every part that is `sharp`.
    ///
    /// # Errors
    /// [`NotRun`]: nothing may be done.
    pub(crate) fn admit(
        &self,
        step: Deed,
        part: &str,
        sharp: bool,
        errand: &Errand,
        permit: Option<&Permit>,
        now: &Now,
    ) -> Result<(), NotRun> {
        errand.check().map_err(NotRun::Refused)?;
        let mut memory = self.read()?;
        memory.raise(errand)?;
        let first = memory.begin(step, part, errand)?;
        if step.needs_permit() && (first || sharp) {
            check_permit(permit, now)?;
        }
        self.write(&memory)
    }

    /// How often a step was tried under this errand's lease.
    ///
    /// # Errors
    /// The memory cannot be used.
    pub(crate) fn attempts(&self, step: Deed, errand: &Errand) -> Result<u32, NotRun> {
        let memory = self.read()?;
        Ok(if memory.is_at(errand) { memory.last(step, &errand.plan) } else { 0 })
    }

    /// Whether a part was done under this errand's lease, in whatever attempt.
    ///
    /// # Errors
    /// The memory cannot be used.
    #[cfg(test)]
    pub(crate) fn has_done(&self, step: Deed, part: &str, errand: &Errand) -> Result<bool, NotRun> {
        let memory = self.read()?;
        let same = |run: &&Run| run.step == step && run.plan == errand.plan;
        Ok(memory.is_at(errand) && memory.runs.iter().filter(same).any(|run| run.parts.iter().any(|done| done == part)))
    }

    fn read(&self) -> Result<Memory, NotRun> {
        let failed = |why: String| NotRun::Memory {
            what: "reading",
            path: self.path.clone(),
            why,
            way_out: "with no rollout under way, move it away",
        };
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Memory::new()),
            Err(error) => return Err(failed(error.to_string())),
        };
        let memory: Memory = serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        if memory.version != VERSION {
            return Err(failed(format!("version {} is not {VERSION}", memory.version)));
        }
        Ok(memory)
    }

    fn write(&self, memory: &Memory) -> Result<(), NotRun> {
        let written =
            serde_json::to_vec(memory).map_err(io::Error::from).and_then(|bytes| durable::replace(&self.path, &bytes));
        written.map_err(|error| NotRun::Memory {
            what: "writing",
            path: self.path.clone(),
            why: error.to_string(),
            way_out: "free some space",
        })
    }
}

impl Memory {
    fn new() -> Self {
        Self { version: VERSION, floors: Vec::new(), runs: Vec::new() }
    }

    fn is_at(&self, errand: &Errand) -> bool {
        self.floors.last().is_some_and(|floor| {
            floor.incarnation == errand.token.incarnation && floor.revision == errand.token.revision
        })
    }

    fn last(&self, step: Deed, plan: &Digest) -> u32 {
        let same = |run: &&Run| run.step == step && run.plan == *plan;
        self.runs.iter().filter(same).map(|run| run.attempt).max().unwrap_or(0)
    }

    /// Takes a token that is not older than any seen before.
    fn raise(&mut self, errand: &Errand) -> Result<(), NotRun> {
        let refused = |why: String| Err(NotRun::Refused(why));
        let token = &errand.token;
        let known = self.floors.iter().position(|floor| floor.incarnation == token.incarnation);
        match known {
            Some(at) if at + 1 < self.floors.len() => {
                refused(format!("token {token} is of an earlier life of the store; ask the store that is there now"))
            }
            Some(at) if self.floors[at].revision > token.revision => {
                let seen = self.floors[at].revision;
                refused(format!("token {token} is older than one seen before ({seen}); its lease is no longer ours"))
            }
            Some(at) => {
                if self.floors[at].revision < token.revision {
                    self.floors[at].revision = token.revision;
                    self.runs.clear();
                }
                Ok(())
            }
            None => {
                self.floors.push(Floor { incarnation: token.incarnation.clone(), revision: token.revision });
                let over = self.floors.len().saturating_sub(INCARNATIONS);
                self.floors.drain(..over);
                self.runs.clear();
                Ok(())
            }
        }
    }

    /// Notes a part of an attempt; whether it is the attempt's first.
    fn begin(&mut self, step: Deed, part: &str, errand: &Errand) -> Result<bool, NotRun> {
        let (word, attempt) = (step.word(), errand.attempt);
        let refused = |why: String| Err(NotRun::Refused(why));
        let last = self.last(step, &errand.plan);
        if attempt > ATTEMPTS {
            return refused(format!("{word} was tried {ATTEMPTS} times under this lease; a person must look"));
        }
        if attempt < last {
            return refused(format!("{word}, attempt {attempt}, is a replay: attempt {last} was run already"));
        }
        if attempt > last + 1 {
            return refused(format!("{word}, attempt {attempt}, comes before attempt {}", last + 1));
        }
        if attempt == last + 1 {
            self.runs.push(Run { plan: errand.plan.clone(), step, attempt, parts: vec![part.to_owned()] });
            return Ok(true);
        }
        let same = |run: &&mut Run| run.step == step && run.plan == errand.plan && run.attempt == attempt;
        let run = self.runs.iter_mut().find(same).expect("the last attempt was found among the runs");
        if run.parts.iter().any(|done| done == part) {
            return refused(format!("{word}, attempt {attempt}, is a replay: {part} was run already"));
        }
        run.parts.push(part.to_owned());
        Ok(false)
    }
}

/// Whether the store's answer is so young that the lease behind it can be believed (S3).
fn check_permit(permit: Option<&Permit>, now: &Now) -> Result<(), NotRun> {
    let limit = PERMIT_MS / 1_000;
    let refused = |why: &str| Err(NotRun::Refused(format!("{why}; fence again")));
    let Some(permit) = permit else { return refused("it comes without a permit") };
    if permit.boot_id != now.boot_id {
        return refused("its permit is of another boot");
    }
    match now.boottime_ms.checked_sub(permit.answered_ms) {
        None => refused("its permit is from the future"),
        Some(age) if age > PERMIT_MS => {
            Err(NotRun::Stale(format!("its permit is {age} ms old, at most {limit} s; fence again")))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
