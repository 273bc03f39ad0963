//! Starting and stopping units over D-Bus, transient ones too, and what became of them.
//!
//! It must never wait without a limit, and never take a job that was queued for one that is done.

use std::time::Duration;

use zbus::connection::Builder;
use zbus::{Connection, OwnedObjectPath};
use zbus::{OwnedVariant, Variant};

use super::{MANAGER, PATH, PROPERTIES, Row, SERVICE, bus, within};
use crate::host::HostError;

const SERVICE_UNIT: &str = "org.freedesktop.systemd1.Service";
const LOGIND: &str = "org.freedesktop.login1";
const LOGIND_PATH: &str = "/org/freedesktop/login1";
const LOGIND_MANAGER: &str = "org.freedesktop.login1.Manager";
/// What reaching the bus, and each answer, may take. While packages are installed PID 1 is replaced, reads all its units
/// again, and says nothing meanwhile: seconds on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at a unit that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What a finished transient unit may take to be gone before its name is used again.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// `SD_LOGIND_ROOT_CHECK_INHIBITORS`: root, too, is refused while somebody holds a block.
const CHECK_INHIBITORS: u64 = 1 << 0;
const KEXEC: u64 = 1 << 1;
const SOFT: u64 = 1 << 2;

/// The system bus, as one who may change things. A connection for each question: it is asked rarely.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jobs {
    /// The bus; the system bus when `None`.
    address: Option<String>,
}

/// A unit as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitNow {
    /// `loaded`, `not-found`, `masked`...
    pub(crate) load: String,
    /// `active`, `activating`, `inactive`, `failed`...
    pub(crate) active: String,
    /// `running`, `exited`, `dead`...
    pub(crate) sub: String,
    /// Whether a start or stop of it waits or is under way.
    pub(crate) has_job: bool,
    /// How its last run ended; `None` for what is no service, or is not loaded.
    pub(crate) end: Option<Ending>,
}

/// How a service's last run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// `success`, `exit-code`, `signal`, `timeout`...
    pub(crate) result: String,
    /// Exit status, or the signal's number.
    pub(crate) status: i32,
    /// What it said of itself last.
    pub(crate) text: String,
}

impl UnitNow {
    /// Whether something of it is under way or runs.
    pub(crate) fn is_running(&self) -> bool {
        self.has_job
            || matches!(self.active.as_str(), "activating" | "deactivating" | "reloading" | "refreshing")
            || (self.active == "active" && self.sub != "exited")
    }

    /// Whether nothing of it serves, nor will by itself.
    pub(crate) fn is_stopped(&self) -> bool {
        !self.has_job && matches!(self.active.as_str(), "inactive" | "failed")
    }

    /// Whether it is up, or has done what it is for.
    pub(crate) fn is_up(&self) -> bool {
        let did = self.active == "inactive" && self.end.as_ref().is_some_and(|end| end.result == "success");
        self.active == "active" || did
    }

    /// Whether it serves, or is meant to: a unit that restarts itself, or is just starting, does.
    pub(crate) fn is_wanted(&self) -> bool {
        matches!(self.active.as_str(), "active" | "activating" | "reloading" | "refreshing")
    }
}

/// A transient oneshot unit: what it runs, and where its output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transient {
    /// `hardstand-patch-….service`
    pub(crate) name: String,
    /// For people.
    pub(crate) description: String,
    /// Commands, one after the other; the first that fails ends it. Each begins with an absolute path; with `-` before it,
    /// as in a unit's file, it may fail.
    pub(crate) commands: Vec<Vec<String>>,
    /// `NAME=value`.
    pub(crate) environment: Vec<String>,
    /// The file that takes what it prints, written anew.
    pub(crate) output: String,
    /// What it may take, in seconds; `None`: it is never killed (a package run must not be).
    pub(crate) limit_seconds: Option<u64>,
}

/// Somebody who wants no shutdown now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inhibitor {
    /// Who.
    pub(crate) who: String,
    /// Why.
    pub(crate) why: String,
}

/// How far down a restart goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    /// Through firmware.
    Full,
    /// The loaded kernel, without firmware.
    Kexec,
    /// User space alone.
    Soft,
}

impl Jobs {
    /// The bus at this address.
    #[cfg(test)]
    pub(crate) fn at(address: &str) -> Self {
        Self { address: Some(address.to_owned()) }
    }

    /// Units as they are now, in the order of their names given.
    ///
    /// # Errors
    /// The bus or systemd does not answer.
    pub(crate) async fn units(&self, names: &[String]) -> Result<Vec<UnitNow>, HostError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let connection = self.connect().await?;
        let rows: Vec<Row> = self.ask(&connection, "ListUnitsByNames", &(names,)).await?;
        let mut units = Vec::new();
        for name in names {
            let row = rows.iter().find(|row| row.0 == *name);
            let row = row.ok_or_else(|| bus(format!("ListUnitsByNames: nothing of {name}")))?;
            let end =
                if name.ends_with(".service") && row.2 == "loaded" { ending(&connection, &row.6).await? } else { None };
            units.push(UnitNow {
                load: row.2.clone(),
                active: row.3.clone(),
                sub: row.4.clone(),
                has_job: row.7 != 0,
                end,
            });
        }
        Ok(units)
    }

    /// One unit as it is now.
    ///
    /// # Errors
    /// As [`Jobs::units`].
    pub(crate) async fn unit(&self, name: &str) -> Result<UnitNow, HostError> {
        let mut units = self.units(&[name.to_owned()]).await?;
        units.pop().ok_or_else(|| bus(format!("ListUnitsByNames: nothing of {name}")))
    }

    /// Queues the start of a unit.
    ///
    /// # Errors
    /// systemd refuses, or does not answer.
    pub(crate) async fn start(&self, name: &str) -> Result<(), HostError> {
        self.queue("StartUnit", name).await
    }

    /// Queues the stop of a unit.
    ///
    /// # Errors
    /// As [`Jobs::start`].
    pub(crate) async fn stop(&self, name: &str) -> Result<(), HostError> {
        self.queue("StopUnit", name).await
    }

    /// Queues the restart of a unit that runs.
    ///
    /// # Errors
    /// As [`Jobs::start`].
    pub(crate) async fn restart(&self, name: &str) -> Result<(), HostError> {
        self.queue("TryRestartUnit", name).await
    }

    /// Starts a transient unit. One of its name that still runs is left alone; one that ended is replaced.
    ///
    /// # Errors
    /// systemd refuses, or does not answer.
    pub(crate) async fn start_transient(&self, unit: &Transient) -> Result<(), HostError> {
        let now = self.unit(&unit.name).await?;
        if now.is_running() {
            return Ok(());
        }
        self.clear(&unit.name, &now).await?;
        let connection = self.connect().await?;
        let auxiliary: Vec<(String, Vec<(String, Variant<'_>)>)> = Vec::new();
        let body = (unit.name.as_str(), "fail", properties(unit), auxiliary);
        self.ask::<_, OwnedObjectPath>(&connection, "StartTransientUnit", &body).await.map(drop)
    }

    /// Waits until a unit has run to its end, at most `limit`.
    ///
    /// # Errors
    /// It has not ended by then, or systemd does not answer.
    pub(crate) async fn ended(&self, name: &str, limit: Duration) -> Result<UnitNow, HostError> {
        self.until(name, limit, |unit| !unit.is_running()).await
    }

    /// Waits until no start or stop of a unit is under way, at most `limit`.
    ///
    /// # Errors
    /// As [`Jobs::ended`].
    pub(crate) async fn settled(&self, name: &str, limit: Duration) -> Result<UnitNow, HostError> {
        let moves = ["activating", "deactivating", "reloading", "refreshing"];
        self.until(name, limit, |unit| !unit.has_job && !moves.contains(&unit.active.as_str())).await
    }

    async fn until(
        &self,
        name: &str,
        limit: Duration,
        wanted: impl Fn(&UnitNow) -> bool,
    ) -> Result<UnitNow, HostError> {
        let wait = async {
            loop {
                let now = self.unit(name).await?;
                if wanted(&now) {
                    return Ok(now);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let late = |_| bus(format!("{name} has not ended within {} s; see: systemctl status {name}", limit.as_secs()));
        tokio::time::timeout(limit, wait).await.map_err(late)?
    }

    /// Forgets a unit that failed, so that it can be started again.
    ///
    /// # Errors
    /// systemd does not answer. A unit it does not know is forgotten already.
    pub(crate) async fn forget_failure(&self, name: &str) -> Result<(), HostError> {
        let connection = self.connect().await?;
        match self.ask::<_, ()>(&connection, "ResetFailedUnit", &(name,)).await {
            Err(HostError::Bus { why, .. }) if why.contains("not loaded") || why.contains("NoSuchUnit") => Ok(()),
            answer => answer,
        }
    }

    /// When user space started, in milliseconds since boot; a soft reboot moves it.
    ///
    /// # Errors
    /// systemd does not answer.
    pub(crate) async fn userspace_since_ms(&self) -> Result<u64, HostError> {
        let connection = self.connect().await?;
        let path = OwnedObjectPath::try_from(PATH).map_err(|error| bus(error.to_string()))?;
        let usec: u64 = property(&connection, &path, MANAGER, "UserspaceTimestampMonotonic").await?;
        Ok(usec / 1_000)
    }

    /// Everyone who holds a shutdown off for as long as they like.
    ///
    /// # Errors
    /// logind does not answer.
    pub(crate) async fn inhibitors(&self) -> Result<Vec<Inhibitor>, HostError> {
        type Held = Vec<(String, String, String, String, u32, u32)>;
        let connection = self.connect().await?;
        let held: Held = logind(&connection, "ListInhibitors", &()).await?;
        let blocks = held.into_iter().filter(|(what, _, _, mode, ..)| {
            what.split(':').any(|one| one == "shutdown") && matches!(mode.as_str(), "block" | "block-weak")
        });
        Ok(blocks.map(|(_, who, why, ..)| Inhibitor { who, why }).collect())
    }

    /// Orders a restart. Inhibitors are obeyed.
    ///
    /// # Errors
    /// logind refuses, or does not answer.
    pub(crate) async fn reboot(&self, restart: Restart) -> Result<(), HostError> {
        let more = match restart {
            Restart::Full => 0,
            Restart::Kexec => KEXEC,
            Restart::Soft => SOFT,
        };
        let connection = self.connect().await?;
        logind(&connection, "RebootWithFlags", &(CHECK_INHIBITORS | more,)).await
    }

    /// Makes the name of an ended transient unit free again.
    async fn clear(&self, name: &str, now: &UnitNow) -> Result<(), HostError> {
        match now.active.as_str() {
            "failed" => self.forget_failure(name).await?,
            "active" => self.stop(name).await?,
            _ => return Ok(()),
        }
        let gone = async {
            loop {
                if self.unit(name).await?.active == "inactive" {
                    return Ok(());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let late = |_| bus(format!("{name} does not go away; see: systemctl status {name}"));
        tokio::time::timeout(GONE_WITHIN, gone).await.map_err(late)?
    }

    async fn queue(&self, method: &str, name: &str) -> Result<(), HostError> {
        let connection = self.connect().await?;
        self.ask::<_, OwnedObjectPath>(&connection, method, &(name, "fail")).await.map(drop)
    }

    async fn connect(&self) -> Result<Connection, HostError> {
        let builder = match &self.address {
            Some(address) => Builder::address(address.as_str()),
            None => Builder::system(),
        };
        let built = within(ANSWER_LIMIT, builder.build()).await?;
        built.map_err(|error| {
            bus(format!("no connection to the system bus: {error}; is dbus.service running, and is systemd PID 1?"))
        })
    }

    async fn ask<B, T>(&self, connection: &Connection, method: &str, body: &B) -> Result<T, HostError>
    where
        B: serde::Serialize + zbus::DynamicType + Sync,
        T: serde::de::DeserializeOwned + zbus::Type,
    {
        within(ANSWER_LIMIT, super::call(connection, MANAGER, method, body)).await?
    }
}

/// A program, its words with its own name before them, and whether it may fail.
fn as_command(words: &[String]) -> Option<(&str, Vec<&str>, bool)> {
    let (first, rest) = words.split_first()?;
    let program = first.trim_start_matches('-');
    Some((program, std::iter::once(program).chain(rest.iter().map(String::as_str)).collect(), first.starts_with('-')))
}

/// What systemd is told of a transient unit. Its output is a file, not the journal: that is where its tail is read from.
fn properties(unit: &Transient) -> Vec<(&'static str, Variant<'_>)> {
    let commands: Vec<(&str, Vec<&str>, bool)> = unit.commands.iter().filter_map(|words| as_command(words)).collect();
    let mut properties = vec![
        ("Description", Variant::from(unit.description.as_str())),
        ("Type", Variant::from("oneshot")),
        ("RemainAfterExit", Variant::from(true)),
        ("ExecStart", Variant::from(commands)),
        ("Environment", Variant::from(&unit.environment)),
        ("StandardInput", Variant::from("null")),
        ("StandardOutputFileToTruncate", Variant::from(unit.output.as_str())),
        ("StandardErrorFileToAppend", Variant::from(unit.output.as_str())),
        // A shutdown that somebody orders meanwhile must not cut it off: no Conflicts=shutdown.target.
        ("DefaultDependencies", Variant::from(false)),
        ("KillMode", Variant::from("process")),
        ("OOMScoreAdjust", Variant::from(-900_i32)),
    ];
    match unit.limit_seconds {
        Some(seconds) => properties.push(("TimeoutStartUSec", Variant::from(seconds.saturating_mul(1_000_000)))),
        None => properties.extend([
            ("TimeoutStartUSec", Variant::from(u64::MAX)),
            ("TimeoutStopUSec", Variant::from(u64::MAX)),
            ("SendSIGKILL", Variant::from(false)),
        ]),
    }
    properties
}

async fn ending(connection: &Connection, path: &OwnedObjectPath) -> Result<Option<Ending>, HostError> {
    let result: String = property(connection, path, SERVICE_UNIT, "Result").await?;
    let status: i32 = property(connection, path, SERVICE_UNIT, "ExecMainStatus").await?;
    let text: String = property(connection, path, SERVICE_UNIT, "StatusText").await?;
    Ok(Some(Ending { result, status, text }))
}

async fn property<T>(connection: &Connection, path: &OwnedObjectPath, of: &str, name: &str) -> Result<T, HostError>
where
    T: TryFrom<OwnedVariant>,
    T::Error: std::fmt::Display,
{
    let body = (of, name);
    let asked = connection.call_method(Some(SERVICE), path.as_str(), Some(PROPERTIES), "Get", &body);
    let answer = within(ANSWER_LIMIT, asked).await?.map_err(|error| bus(format!("property {name}: {error}")))?;
    let value: OwnedVariant =
        answer.body().deserialize().map_err(|error| bus(format!("property {name} is of another form: {error}")))?;
    T::try_from(value).map_err(|error| bus(format!("property {name} is of another form: {error}")))
}

async fn logind<B, T>(connection: &Connection, method: &str, body: &B) -> Result<T, HostError>
where
    B: serde::Serialize + zbus::DynamicType + Sync,
    T: serde::de::DeserializeOwned + zbus::Type,
{
    let failed = |why: String| HostError::Bus { service: LOGIND, why };
    let asked = connection.call_method(Some(LOGIND), LOGIND_PATH, Some(LOGIND_MANAGER), method, body);
    let answer = within(ANSWER_LIMIT, asked).await?.map_err(|error| failed(format!("{method}: {error}")))?;
    answer.body().deserialize().map_err(|error| failed(format!("{method}: the answer is of another form: {error}")))
}
