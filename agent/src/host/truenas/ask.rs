//! One look at a TrueNAS: over one connection, which is kept, all that is judged.
//!
//! It must never wait without a limit, call what changes anything, or make it look for updates at its vendor's each time.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hardstand_core::Reading;
use hardstand_core::observed::{NasEnvironment, NasUpdate, TrueNas};
use hardstand_core::settings::{NasEndpoint, TrueNasSettings};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::key::ApiKey;
use super::link::{Api, Generation, Way, log_in};
use super::rpc::{Call, Refusal, Rpc};
use super::{Why, answers};
use crate::host::clock::boottime;
use crate::host::https::{Authorities, late};
use crate::host::{Host, HostError};

/// What the whole may take.
const LIMIT: Duration = Duration::from_secs(10);
/// What is left of it to say which answers have not come.
const TO_TELL: Duration = Duration::from_secs(1);
/// After how long what is rarely asked is asked again: TrueNAS asks its vendor for updates each time it is asked, and
/// counts snapshots one by one.
const RARELY: Duration = Duration::from_secs(6 * 3600);
/// The same where one of the two was not answered.
const RARELY_AGAIN: Duration = Duration::from_secs(600);
/// Rows of one kind that are taken; the API gives no more.
const MOST_ROWS: u64 = 10_000;

/// What is kept from one look to the next.
#[derive(Default)]
pub(crate) struct LastLook(Mutex<Option<Kept>>);

struct Kept {
    /// The endpoint, user and key it belongs to.
    of: Identity,
    api: Api,
    rpc: Rpc,
    rare: Option<Rare>,
}

#[derive(PartialEq, Eq)]
struct Identity {
    endpoint: NasEndpoint,
    user: String,
    key: Option<ApiKey>,
}

/// What is rarely asked.
#[derive(Clone)]
struct Rare {
    /// CLOCK_BOOTTIME.
    at: Duration,
    /// What was to be booted next: another one means that an update was installed, or given up.
    next: Option<String>,
    update: Option<Reading<NasUpdate>>,
    snapshots: Option<Reading<u64>>,
}

/// What files say about how to ask.
pub(crate) struct Manner {
    endpoint: NasEndpoint,
    socket: PathBuf,
    key: Option<ApiKey>,
    authorities: Option<Authorities>,
}

impl Manner {
    /// `None` where there is no TrueNAS: neither its socket, nor a declared one.
    ///
    /// # Errors
    /// A file that is named cannot be used.
    pub(crate) fn read(host: &Host, settings: &TrueNasSettings) -> Result<Option<Self>, HostError> {
        let endpoint =
            NasEndpoint::parse(&settings.endpoint).map_err(|why| unanswered(format!("endpoint in [truenas] {why}")))?;
        let below = |path: &str| host.path(path.trim_start_matches('/'));
        let socket = below(&settings.endpoint);
        let is_absent = matches!(socket.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound);
        if settings.endpoint == TrueNasSettings::SOCKET && is_absent {
            return Ok(None);
        }
        let key = settings.api_key_file.as_deref().map(|path| ApiKey::read(&below(path))).transpose()?;
        if key.is_none() && !endpoint.is_local() {
            return Err(unanswered(format!("{} needs api_key_file in [truenas]", settings.endpoint)));
        }
        let authorities = match endpoint.is_local() {
            true => None,
            false => Some(Authorities::read(host, settings.ca_file.as_deref())?),
        };
        Ok(Some(Self { endpoint, socket, key, authorities }))
    }
}

/// The TrueNAS that is to be asked.
///
/// # Errors
/// It cannot be asked at all.
pub(crate) async fn probe_box(
    manner: Manner,
    settings: &TrueNasSettings,
    last: &LastLook,
) -> Result<TrueNas, HostError> {
    // Taken out, so that a look that fails or is ended leaves nothing behind that is half used.
    let kept = last.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let looked = tokio::time::timeout(LIMIT, look(&manner, settings, kept)).await;
    match looked.unwrap_or_else(|_| Err(late(LIMIT))) {
        Ok((nas, kept)) => {
            *last.0.lock().unwrap_or_else(PoisonError::into_inner) = kept;
            Ok(nas)
        }
        Err(why) => Err(unanswered(format!("{}: {why}", settings.endpoint))),
    }
}

async fn look(manner: &Manner, settings: &TrueNasSettings, kept: Option<Kept>) -> Result<(TrueNas, Option<Kept>), Why> {
    let until = Instant::now() + LIMIT - TO_TELL;
    let of = Identity { endpoint: manner.endpoint.clone(), user: settings.user.clone(), key: manner.key.clone() };
    let mut rare = None;
    if let Some(kept) = kept.filter(|kept| kept.of == of) {
        let (api, mut rpc) = (kept.api, kept.rpc);
        rare = kept.rare;
        // TrueNAS may have been restarted since, or have dropped who said nothing for long.
        if let Ok(answers) = rpc.call_all(&questions(), until).await {
            return tell(answers, Kept { of, api, rpc, rare }, until).await;
        }
    }
    let way = Way { endpoint: &manner.endpoint, socket: &manner.socket, authorities: manner.authorities.as_ref() };
    let api = way.choose().await?;
    let mut rpc = way.open(&api).await?;
    if let Some(key) = &manner.key {
        log_in(&mut rpc, &settings.user, key, until).await?;
    }
    let answers = rpc.call_all(&questions(), until).await?;
    tell(answers, Kept { of, api, rpc, rare }, until).await
}

/// What is asked each time, in the order in which [`tell`] takes the answers.
fn questions() -> [Call; 11] {
    let select = |fields: &[&str]| json!([[], {"select": fields, "limit": MOST_ROWS}]);
    let under_way = json!([["state", "in", ["WAITING", "RUNNING"]]]);
    [
        ("system.state", json!([])),
        ("system.info", json!([])),
        ("pool.query", select(&answers::POOL_FIELDS)),
        ("boot.get_state", json!([])),
        ("alert.list", json!([])),
        ("iscsi.global.sessions", json!([])),
        ("replication.query", select(&answers::REPLICATION_FIELDS)),
        ("pool.snapshottask.query", select(&answers::SNAPSHOT_TASK_FIELDS)),
        ("core.get_jobs", json!([under_way, {"select": answers::JOB_FIELDS, "limit": MOST_ROWS}])),
        ("boot.environment.query", json!([])),
        ("system.reboot.info", json!([])),
    ]
}

/// What is asked rarely.
fn rare_questions(generation: Generation) -> (Option<Call>, Call) {
    let update = (generation >= Generation::Goldeye).then(|| ("update.status", json!([])));
    let snapshots = match generation {
        Generation::TwentySix => ("zfs.resource.snapshot.count", json!([])),
        _ => ("pool.snapshot.query", json!([[], {"count": true}])),
    };
    (update, snapshots)
}

type Answer = Result<Value, Refusal>;

/// One answer after the other.
struct Answers(std::vec::IntoIter<Answer>);

impl Answers {
    fn next<T>(&mut self, read: impl FnOnce(Value) -> Result<T, Why>) -> Reading<T> {
        let answer = self.0.next().unwrap_or(Err(Refusal::NoMethod));
        answer.map_err(|refusal| refusal.sentence()).and_then(read).into()
    }
}

async fn tell(answers: Vec<Answer>, mut kept: Kept, until: Instant) -> Result<(TrueNas, Option<Kept>), Why> {
    if answers.contains(&Err(Refusal::NotLoggedIn)) {
        return Err(no_login(&kept.of));
    }
    let is_late = |answer: &Answer| matches!(answer, Err(Refusal::Late(_)));
    if let Some(Err(refusal)) = answers.first().filter(|_| answers.iter().all(is_late)) {
        return Err(refusal.sentence());
    }
    // What has not answered still works on it: a new connection next time leaves that behind.
    let mut is_usable = !answers.iter().any(is_late);
    let mut answers = Answers(answers.into_iter());
    let state = answers.next(answers::word);
    let info = answers.next(answers::info);
    let now = info.known().and_then(|(_, now)| *now);
    let mut nas = TrueNas {
        is_local: kept.of.endpoint.is_local(),
        api: kept.api.name.clone(),
        state,
        version: match info {
            Reading::Known((version, _)) => Reading::Known(version),
            Reading::Unknown { why } => Reading::Unknown { why },
        },
        pools: answers.next(answers::pools),
        boot_pool: answers.next(answers::pool),
        alerts: answers.next(answers::alerts),
        sessions: answers.next(answers::sessions),
        replications: answers.next(|answer| answers::tasks(answer, now)),
        snapshot_tasks: answers.next(|answer| answers::tasks(answer, now)),
        jobs: answers.next(answers::jobs),
        environments: answers.next(answers::environments),
        reboot_reasons: answers.next(answers::reboot_reasons),
        update: None,
        snapshots: None,
        asked_before_seconds: 0.0,
    };
    let next = nas.environments.known().and_then(|all| booted_next(all));
    let rare = match kept.rare.take().filter(|rare| !rare.is_due(next.as_deref())) {
        Some(rare) => rare,
        None => match ask_rarely(&mut kept, next, until).await {
            Ok((rare, in_time)) => {
                is_usable &= in_time;
                rare
            }
            Err(why) => return Err(why),
        },
    };
    nas.asked_before_seconds = boottime().saturating_sub(rare.at).as_secs_f64();
    (nas.update, nas.snapshots) = (rare.update.clone(), rare.snapshots.clone());
    kept.rare = Some(rare);
    Ok((nas, is_usable.then_some(kept)))
}

fn booted_next(environments: &[NasEnvironment]) -> Option<String> {
    environments.iter().find(|one| one.activated == Some(true)).map(|one| one.name.clone())
}

impl Rare {
    fn is_due(&self, next: Option<&str>) -> bool {
        let is_known = |why: Option<&str>| why.is_none();
        let update = self.update.as_ref().and_then(Reading::why);
        let snapshots = self.snapshots.as_ref().and_then(Reading::why);
        let after = if is_known(update) && is_known(snapshots) { RARELY } else { RARELY_AGAIN };
        self.next.as_deref() != next || boottime().saturating_sub(self.at) >= after
    }
}

/// Asks, and says whether both were answered in time.
async fn ask_rarely(kept: &mut Kept, next: Option<String>, until: Instant) -> Result<(Rare, bool), Why> {
    let (update, snapshots) = rare_questions(kept.api.generation);
    let asks_for_update = update.is_some();
    let calls: Vec<Call> = update.into_iter().chain([snapshots]).collect();
    let answers = kept.rpc.call_all(&calls, until).await?;
    let in_time = !answers.iter().any(|answer| matches!(answer, Err(Refusal::Late(_))));
    let mut answers = Answers(answers.into_iter());
    let update = asks_for_update.then(|| answers.next(answers::update));
    let snapshots = Some(answers.next(answers::count));
    Ok((Rare { at: boottime(), next, update, snapshots }, in_time))
}

fn no_login(of: &Identity) -> Why {
    let user = &of.user;
    match &of.key {
        Some(_) => format!("it took the key of the user {user}, and tells it nothing: give it the role READONLY_ADMIN"),
        None => format!(
            "without a login it tells only root anything, which this agent is not: make a user {user} with the role \
             READONLY_ADMIN and a key there, and name the file with the key as api_key_file in [truenas]"
        ),
    }
}

fn unanswered(why: Why) -> HostError {
    HostError::Bus { service: "TrueNAS", why }
}

#[cfg(test)]
mod tests;
