//! What verbs that change the host stand on: the machine, the helper's own directory, the bus, root's configuration.
//!
//! It must never run a program itself: what changes the host runs in a unit of its own, outside this sandbox.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hardstand_core::Settings;
use tokio::sync::{Mutex, MutexGuard};

use super::errand::{Deed, Errand, Permit};
use super::replay::{Errands, NotRun, Now};
use super::wire::{Answer, Outcome};
use crate::config;
use crate::host::Host;
use crate::host::clock::boottime;
use crate::host::systemd::jobs::{Jobs, Transient};

/// Where the helper may write, as systemd made it for the unit.
#[derive(Debug, Clone)]
pub(crate) struct Rooms {
    /// Its memory.
    pub(crate) state: PathBuf,
    /// What programs print.
    pub(crate) logs: PathBuf,
}

impl Rooms {
    /// The rooms of the shipped unit.
    pub(crate) fn of_this_machine() -> Self {
        Self { state: PathBuf::from("/var/lib/hardstand-helper"), logs: PathBuf::from("/var/log/hardstand") }
    }
}

/// Last bytes of an output that are shown.
const TAIL_BYTES: u64 = 2_000;
/// Most that is read of a program's output. A simulation of a thousand packages prints 200 kB.
const OUTPUT_LIMIT: u64 = 8 << 20;

/// One machine that is changed.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) host: Host,
    pub(super) rooms: Rooms,
    pub(super) jobs: Jobs,
    /// The configuration's one file, in tests.
    pub(super) config: Option<PathBuf>,
    /// One change at a time.
    turn: Arc<Mutex<()>>,
}

/// Why nothing came of a verb.
#[derive(Debug)]
pub(super) enum No {
    /// It is not allowed, or not now.
    Refused(String),
    /// It was allowed, and comes too late.
    Stale(String),
    /// It was tried.
    Failed(String),
}

/// What came of a verb.
pub(super) type Done = Result<Answer, No>;

impl From<NotRun> for No {
    fn from(not_run: NotRun) -> Self {
        match not_run {
            NotRun::Refused(why) => Self::Refused(why),
            NotRun::Stale(why) => Self::Stale(why),
            NotRun::Memory { .. } => Self::Failed(not_run.to_string()),
        }
    }
}

impl From<crate::host::HostError> for No {
    fn from(error: crate::host::HostError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A verb's end as it goes over the wire.
pub(super) fn outcome(done: Done) -> Outcome {
    match done {
        Ok(answer) => Outcome::Done(answer),
        Err(No::Refused(why)) => Outcome::Refused { why },
        Err(No::Stale(why)) => Outcome::Stale { why },
        Err(No::Failed(why)) => Outcome::Failed { why },
    }
}

impl Ground {
    pub(super) fn new(host: Host, rooms: Rooms, jobs: Jobs, config: Option<PathBuf>) -> Self {
        Self { host, rooms, jobs, config, turn: Arc::default() }
    }

    /// Waits until no other change is under way in this helper.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Admits a part of a step; it is on the disk when this returns.
    pub(super) fn admit(
        &self,
        step: Deed,
        part: &str,
        sharp: bool,
        errand: &Errand,
        permit: Option<&Permit>,
    ) -> Result<(), No> {
        let now = self.now().map_err(No::Failed)?;
        Ok(self.errands().admit(step, part, sharp, errand, permit, &now)?)
    }

    pub(super) fn errands(&self) -> Errands {
        Errands::below(&self.rooms.state)
    }

    /// Root's own configuration, as it is now.
    pub(super) fn settings(&self) -> Result<Settings, No> {
        let loaded = config::load(self.config.as_deref());
        loaded
            .map(|loaded| loaded.settings)
            .map_err(|error| No::Refused(format!("the configuration is refused, see: hardstand config check: {error}")))
    }

    /// This boot.
    pub(super) fn boot_id(&self) -> Result<String, String> {
        let boot_id = self.host.attribute("proc/sys/kernel/random/boot_id");
        boot_id.ok_or_else(|| "the boot id cannot be read".to_owned())
    }

    fn now(&self) -> Result<Now, String> {
        let boot_id = self.boot_id()?;
        Ok(Now { boot_id, boottime_ms: u64::try_from(boottime().as_millis()).unwrap_or(u64::MAX) })
    }

    /// Runs commands in a transient unit to their end, and returns what they printed.
    pub(super) async fn run(
        &self,
        name: &str,
        description: &str,
        commands: Vec<Vec<String>>,
        limit: Duration,
    ) -> Result<String, No> {
        let unit = self.transient(name, description, commands, Some(limit.as_secs()));
        self.jobs.start_transient(&unit).await?;
        let now = self.jobs.ended(&unit.name, limit).await?;
        let end = now.end.ok_or_else(|| No::Failed(format!("{} left no result", unit.name)))?;
        if end.result != "success" {
            let tail = self.tail(&unit.name);
            return Err(No::Failed(format!("{description} ended with {} {}: {tail}", end.result, end.status)));
        }
        self.output(&unit.name).map_err(No::Failed)
    }

    /// A transient unit that prints into a file of its own.
    pub(super) fn transient(
        &self,
        name: &str,
        description: &str,
        commands: Vec<Vec<String>>,
        limit_seconds: Option<u64>,
    ) -> Transient {
        Transient {
            name: format!("hardstand-{name}.service"),
            description: format!("hardstand: {description}"),
            commands,
            environment: crate::host::apt::ENVIRONMENT.map(str::to_owned).to_vec(),
            output: self.log_of(&format!("hardstand-{name}.service")).display().to_string(),
            limit_seconds,
        }
    }

    /// Why a transient unit failed, by what it printed.
    pub(super) fn tail(&self, unit: &str) -> String {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let path = self.log_of(unit);
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&path).and_then(|mut file| {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
            file.take(TAIL_BYTES).read_to_end(&mut bytes)
        });
        match read {
            Ok(_length) => {
                let gist = crate::host::apt::gist(&String::from_utf8_lossy(&bytes));
                format!("{gist} (whole in {})", path.display())
            }
            Err(error) => format!("what it printed cannot be read: {}: {error}", path.display()),
        }
    }

    fn output(&self, unit: &str) -> Result<String, String> {
        use std::io::Read as _;
        let path = self.log_of(unit);
        let failed = |why: String| format!("reading {}: {why}", path.display());
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).map_err(|error| failed(error.to_string()))?;
        let read = file.take(OUTPUT_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
        if read as u64 > OUTPUT_LIMIT {
            return Err(failed(format!("more than {OUTPUT_LIMIT} bytes")));
        }
        String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
    }

    fn log_of(&self, unit: &str) -> PathBuf {
        self.rooms.logs.join(format!("{}.log", unit.trim_end_matches(".service")))
    }
}
