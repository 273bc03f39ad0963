//! The verbs that ask the board's controller, with FreeIPMI's tools.
//!
//! It must never start one while one of ours hangs in the kernel, and never write to the controller: no tool is called
//! with an argument that changes anything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hardstand_exec::{Finished, Run};

use super::verbs::chain;
use super::wire::{Answer, IpmiAnswer, OUTPUT_LIMIT, Outcome};
use crate::host::{Host, hung_program, ipmi};

/// What the sensors may take. The first time their descriptions are read, a few hundred on a large board, and kept.
const SENSORS: Duration = Duration::from_secs(90);
/// What the log may take.
const LOG: Duration = Duration::from_secs(30);
/// Both.
pub(super) const DEADLINE: Duration = Duration::from_secs(125);
/// Below the helper's own directory.
const CACHE: &str = "ipmi";

/// A tool that is installed, and where it may keep the sensors' descriptions.
struct Tool {
    program: PathBuf,
    cache: PathBuf,
}

/// Why no tool is called.
enum No {
    Missing(String),
    Failed(String),
}

impl No {
    fn outcome(self) -> Outcome {
        match self {
            Self::Missing(why) => Outcome::Missing { why },
            Self::Failed(why) => Outcome::Failed { why },
        }
    }
}

impl Tool {
    fn find(host: &Host, rooms: &Path, name: &str, program: Option<PathBuf>) -> Result<Self, No> {
        if let Some(pid) = hung_program(host, name) {
            let why = format!(
                "{name} (process {pid}) has hung in the kernel since an earlier question, so it is not asked again; the \
                 controller may want to be reset: bmc-device --cold-reset"
            );
            return Err(No::Failed(why));
        }
        let Some(program) = program else {
            let why =
                format!("the board has a controller (/dev/ipmi0) and {name} is not installed; install freeipmi-tools");
            return Err(No::Missing(why));
        };
        let cache = rooms.join(CACHE);
        if let Err(error) = std::fs::create_dir_all(&cache) {
            return Err(No::Failed(format!("making {}: {error}", cache.display())));
        }
        Ok(Self { program, cache })
    }

    async fn ask(&self, arguments: &[&str], deadline: Duration) -> Result<String, String> {
        let run = Run::new(&self.program, deadline).args(ipmi::COMMON).arg("--sdr-cache-directory").arg(&self.cache);
        let finished = run.args(arguments).stdout_limit(OUTPUT_LIMIT).output().await;
        text(finished.map_err(|error| chain(&error))?, &self.program)
    }
}

fn text(finished: Finished, program: &Path) -> Result<String, String> {
    if finished.code == Some(0) {
        return Ok(String::from_utf8_lossy(&finished.stdout).into_owned());
    }
    Err(format!("{} ended with {}: {}", program.display(), finished.status, finished.stderr.trim()))
}

/// Sensors, and how full the log is.
pub(super) async fn told(host: &Host, rooms: &Path, find: impl Fn(&str) -> Option<PathBuf>) -> Outcome {
    let tool = |name: &str| Tool::find(host, rooms, name, find(name));
    let (sensors, log) = match (tool(ipmi::SENSORS), tool(ipmi::LOG)) {
        (Ok(sensors), Ok(log)) => (sensors, log),
        (Err(no), _) | (_, Err(no)) => return no.outcome(),
    };
    let asked = async {
        let sensors = sensors.ask(&ipmi::SENSORS_ARGUMENTS, SENSORS).await?;
        Ok(IpmiAnswer { sensors, log: log.ask(&ipmi::LOG_ARGUMENTS, LOG).await? })
    };
    match asked.await {
        Ok(answer) => Outcome::Done(Answer::Ipmi(answer)),
        Err(why) => Outcome::Failed { why },
    }
}

/// Entries of the log after this one; without one, the newest.
pub(super) async fn events(host: &Host, rooms: &Path, program: Option<PathBuf>, after: Option<u16>) -> Outcome {
    let tool = match Tool::find(host, rooms, ipmi::LOG, program) {
        Ok(tool) => tool,
        Err(no) => return no.outcome(),
    };
    let which = ipmi::which_events(after);
    let arguments: Vec<&str> = ipmi::EVENTS_ARGUMENTS.into_iter().chain([which.as_str()]).collect();
    match tool.ask(&arguments, LOG).await {
        Ok(text) => Outcome::Done(Answer::Lines(text)),
        Err(why) => Outcome::Failed { why },
    }
}
