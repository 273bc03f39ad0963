//! What TrueNAS answers, as far as it is looked at.
//!
//! It must never take an entry that it cannot read for none, nor read a field that may hold a secret.

use std::time::{Duration, UNIX_EPOCH};

use hardstand_core::observed::{NasAlert, NasEnvironment, NasJob, NasPool, NasScan, NasSession, NasTask, NasUpdate};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Why;
use crate::host::excerpt;

/// Fields of the rows that are asked for: the rest is not sent.
pub(super) const POOL_FIELDS: [&str; 6] = ["name", "status", "healthy", "warning", "status_detail", "scan"];
pub(super) const REPLICATION_FIELDS: [&str; 4] = ["name", "enabled", "auto", "state"];
pub(super) const SNAPSHOT_TASK_FIELDS: [&str; 3] = ["dataset", "enabled", "state"];
pub(super) const JOB_FIELDS: [&str; 4] = ["id", "method", "state", "progress"];

/// Reads an answer into one of the forms below.
///
/// # Errors
/// It is of another form, with what is wrong.
fn form<T: DeserializeOwned>(answer: Value) -> Result<T, Why> {
    serde_json::from_value(answer)
        .map_err(|error| format!("its answer is not what it should be: {}", excerpt(&error.to_string())))
}

#[derive(Deserialize)]
struct Info {
    version: String,
    datetime: Option<Value>,
}

/// The version, and what its clock says.
pub(crate) fn info(answer: Value) -> Result<(String, Option<u64>), Why> {
    let info: Info = form(answer)?;
    let at = info.datetime.as_ref().and_then(unix_seconds);
    Ok((excerpt(&info.version), at))
}

/// `READY`
pub(crate) fn word(answer: Value) -> Result<String, Why> {
    form::<String>(answer).map(|word| excerpt(&word))
}

#[derive(Deserialize)]
struct Pool {
    name: String,
    status: Option<String>,
    healthy: Option<bool>,
    warning: Option<bool>,
    status_detail: Option<String>,
    scan: Option<Scan>,
}

#[derive(Deserialize)]
struct Scan {
    function: Option<String>,
    state: Option<String>,
    percentage: Option<f64>,
}

impl From<Pool> for NasPool {
    fn from(pool: Pool) -> Self {
        let scan = |scan: Scan| NasScan { function: scan.function, state: scan.state, percent: scan.percentage };
        Self {
            name: pool.name,
            status: pool.status,
            healthy: pool.healthy,
            warning: pool.warning,
            detail: pool.status_detail.map(|detail| excerpt(&detail)),
            // A pool that was never scanned has one without a word in it.
            scan: pool.scan.map(scan).filter(|scan| scan.function.is_some() || scan.state.is_some()),
        }
    }
}

pub(crate) fn pools(answer: Value) -> Result<Vec<NasPool>, Why> {
    Ok(form::<Vec<Pool>>(answer)?.into_iter().map(NasPool::from).collect())
}

pub(crate) fn pool(answer: Value) -> Result<NasPool, Why> {
    form::<Pool>(answer).map(NasPool::from)
}

#[derive(Deserialize)]
struct Alert {
    uuid: String,
    klass: String,
    level: String,
    text: Option<String>,
    formatted: Option<String>,
    dismissed: bool,
    node: Option<String>,
}

pub(crate) fn alerts(answer: Value) -> Result<Vec<NasAlert>, Why> {
    let alert = |alert: Alert| NasAlert {
        uuid: alert.uuid,
        klass: excerpt(&alert.klass),
        level: excerpt(&alert.level),
        // `text` has places for words that `formatted` has filled.
        text: alert.formatted.or(alert.text).unwrap_or_default(),
        dismissed: alert.dismissed,
        controller: alert.node.filter(|node| !matches!(node.as_str(), "" | "Controller A")),
    };
    Ok(form::<Vec<Alert>>(answer)?.into_iter().map(alert).collect())
}

#[derive(Deserialize)]
struct Session {
    initiator: String,
    initiator_addr: Option<String>,
    target: String,
}

pub(crate) fn sessions(answer: Value) -> Result<Vec<NasSession>, Why> {
    let session = |session: Session| NasSession {
        initiator: excerpt(&session.initiator),
        address: session.initiator_addr,
        target: excerpt(&session.target),
    };
    Ok(form::<Vec<Session>>(answer)?.into_iter().map(session).collect())
}

#[derive(Deserialize)]
struct Task {
    #[serde(alias = "dataset")]
    name: String,
    enabled: Option<bool>,
    auto: Option<bool>,
    state: Option<TaskState>,
}

#[derive(Deserialize)]
struct TaskState {
    state: Option<String>,
    datetime: Option<Value>,
    error: Option<String>,
    reason: Option<String>,
}

/// Replications or periodic snapshots. `now` is what the box's own clock says.
pub(crate) fn tasks(answer: Value, now: Option<u64>) -> Result<Vec<NasTask>, Why> {
    let task = |task: Task| {
        let state = task.state;
        let since = state.as_ref().and_then(|state| unix_seconds(state.datetime.as_ref()?));
        let age = now.zip(since).map(|(now, since)| now.saturating_sub(since) as f64);
        let why = state.as_ref().and_then(|state| state.error.as_ref().or(state.reason.as_ref()));
        NasTask {
            name: excerpt(&task.name),
            enabled: task.enabled,
            auto: task.auto,
            why: why.map(|why| excerpt(why)),
            since_unix_seconds: since,
            age_seconds: age,
            state: state.and_then(|state| state.state).map(|word| excerpt(&word)),
        }
    };
    Ok(form::<Vec<Task>>(answer)?.into_iter().map(task).collect())
}

#[derive(Deserialize)]
struct Job {
    id: u64,
    method: String,
    state: String,
    progress: Option<Progress>,
}

#[derive(Deserialize)]
struct Progress {
    percent: Option<f64>,
    description: Option<String>,
}

pub(crate) fn jobs(answer: Value) -> Result<Vec<NasJob>, Why> {
    let job = |job: Job| {
        let (percent, said) = job.progress.map_or((None, None), |told| (told.percent, told.description));
        NasJob {
            id: job.id,
            method: excerpt(&job.method),
            state: excerpt(&job.state),
            percent,
            progress: said.filter(|said| !said.is_empty()).map(|said| excerpt(&said)),
        }
    };
    Ok(form::<Vec<Job>>(answer)?.into_iter().map(job).collect())
}

#[derive(Deserialize)]
struct Environment {
    id: String,
    active: Option<bool>,
    activated: Option<bool>,
    keep: Option<bool>,
    can_activate: Option<bool>,
}

pub(crate) fn environments(answer: Value) -> Result<Vec<NasEnvironment>, Why> {
    let environment = |one: Environment| NasEnvironment {
        name: excerpt(&one.id),
        active: one.active,
        activated: one.activated,
        keep: one.keep,
        can_activate: one.can_activate,
    };
    Ok(form::<Vec<Environment>>(answer)?.into_iter().map(environment).collect())
}

#[derive(Deserialize)]
struct RebootInfo {
    reboot_required_reasons: Vec<RebootReason>,
}

#[derive(Deserialize)]
struct RebootReason {
    code: String,
    reason: Option<String>,
}

pub(crate) fn reboot_reasons(answer: Value) -> Result<Vec<String>, Why> {
    let info: RebootInfo = form(answer)?;
    let sentence = |told: RebootReason| excerpt(&told.reason.unwrap_or(told.code));
    Ok(info.reboot_required_reasons.into_iter().map(sentence).collect())
}

#[derive(Deserialize)]
struct Update {
    code: String,
    status: Option<UpdateStatus>,
    error: Option<UpdateError>,
}

#[derive(Deserialize)]
struct UpdateStatus {
    new_version: Option<NewVersion>,
}

#[derive(Deserialize)]
struct NewVersion {
    version: String,
}

#[derive(Deserialize)]
struct UpdateError {
    errname: Option<String>,
    reason: Option<String>,
}

pub(crate) fn update(answer: Value) -> Result<NasUpdate, Why> {
    let update: Update = form(answer)?;
    let (error, reason) = update.error.map_or((None, None), |told| (told.errname, told.reason));
    if update.code == "NORMAL" && update.status.is_none() {
        return Err("its answer is NORMAL, and has no status in it".to_owned());
    }
    Ok(NasUpdate {
        code: excerpt(&update.code),
        new_version: update.status.and_then(|status| status.new_version).map(|new| excerpt(&new.version)),
        error: error.map(|word| excerpt(&word)),
        reason: reason.map(|reason| excerpt(&reason)),
    })
}

/// A number, or numbers by dataset.
pub(crate) fn count(answer: Value) -> Result<u64, Why> {
    match answer {
        Value::Object(by_dataset) => {
            by_dataset.into_iter().try_fold(0_u64, |sum, (_, count)| Ok(sum.saturating_add(form::<u64>(count)?)))
        }
        number => form(number),
    }
}

/// A time as TrueNAS writes it: `{"$date": MILLISECONDS}`; or as text.
fn unix_seconds(told: &Value) -> Option<u64> {
    if let Some(text) = told.as_str() {
        let at = humantime::parse_rfc3339_weak(text.trim_end_matches("+00:00")).ok()?;
        return at.duration_since(UNIX_EPOCH).ok().as_ref().map(Duration::as_secs);
    }
    Some(told.get("$date")?.as_u64()? / 1_000)
}

#[cfg(test)]
mod tests;
