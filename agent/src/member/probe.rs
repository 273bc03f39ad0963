//! The services that the policy declares, asked by the leader as long as a rollout runs: what the rollout cost their users.
//!
//! It must never stand in the way: a service that does not answer costs the time of its own task.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hardstand_core::fleet::Service;
use hardstand_core::rollout::{ProbeFailure, Probed, RolloutState};
use hardstand_core::step::Facts;
use hardstand_core::store::{Key, Record, Txn};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::Member;
use crate::host::https::{causes, late};

/// How often each service is asked, and what an answer may take: a probe ends before the next, so that the share of
/// good probes is a share of time.
const EVERY: Duration = Duration::from_secs(2);
/// How often what was found is told to the fleet; that a service has come or gone is told at once. What a leader that
/// dies has not told is lost.
const TELL_EVERY_MS: u64 = 10_000;

type Rows = Arc<Mutex<Vec<Probed>>>;

/// The probes of this node.
#[derive(Default)]
pub(super) struct Prober {
    running: Option<Probes>,
}

/// The probes of one rollout; dropped, they end.
struct Probes {
    plan: String,
    services: Vec<Service>,
    rows: Rows,
    told_ms: u64,
    /// Which services failed when it was told last; `None`: not asked by these probes yet.
    told: Vec<Option<bool>>,
    asked_before: Vec<u64>,
    _tasks: JoinSet<()>,
}

impl Member {
    /// Probes while this node leads a rollout that runs; what was found is told from time to time and at the end.
    pub(super) async fn probe(&mut self, facts: &Facts) {
        let wanted = self.to_probe();
        let is_same = |probes: &mut Probes| wanted.as_ref() == Some(&(probes.plan.clone(), probes.services.clone()));
        if let Some(ended) = self.prober.running.take_if(|probes| !is_same(probes)) {
            self.tell_probes(&ended).await;
        }
        let Some((plan, services)) = wanted else { return };
        match self.prober.running.take() {
            None => {
                let before = self.link.view.probes.get(&(plan.clone(), self.me.node.clone()));
                let before = before.map(|seen| seen.value.clone()).unwrap_or_default();
                self.prober.running = Some(Probes::start(plan, services, before, EVERY, facts.now_ms));
            }
            Some(mut probes) => {
                let failing = probes.failing();
                if facts.now_ms.saturating_sub(probes.told_ms) >= TELL_EVERY_MS || failing != probes.told {
                    (probes.told_ms, probes.told) = (facts.now_ms, failing);
                    self.tell_probes(&probes).await;
                }
                self.prober.running = Some(probes);
            }
        }
    }

    fn to_probe(&self) -> Option<(String, Vec<Service>)> {
        let view = &self.link.view;
        let leads = view.leader.as_ref().is_some_and(|leader| leader.value.node == self.me.node);
        let rollout = view.rollout.as_ref().filter(|rollout| rollout.value.state == RolloutState::Running)?;
        let services = view.policy.as_ref().map(|policy| policy.value.services.clone())?;
        (leads && self.link.is_connected() && !services.is_empty()).then(|| (rollout.value.plan.clone(), services))
    }

    async fn tell_probes(&mut self, probes: &Probes) {
        let key = Key::Probes { plan: probes.plan.clone(), node: self.me.node.clone() };
        if let Err(error) = self.link.commit(&Txn::new().put(key, Record::Probes(probes.rows()))).await {
            tracing::warn!(%error, "what the probes of services found could not be told");
        }
    }
}

impl Probes {
    /// Begins to ask; counts go on from `before`.
    fn start(plan: String, services: Vec<Service>, before: Vec<Probed>, every: Duration, now_ms: u64) -> Self {
        let row = |service: &Service| {
            let known = before.iter().find(|row| row.service == service.name);
            known.cloned().unwrap_or_else(|| Probed::of(&service.name))
        };
        let rows: Rows = Arc::new(Mutex::new(services.iter().map(row).collect()));
        let mut tasks = JoinSet::new();
        for (place, service) in services.iter().enumerate() {
            tasks.spawn(ask_on(service.url.clone(), place, Arc::clone(&rows), every));
        }
        let asked_before = rows.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|row| row.asked).collect();
        let told = vec![None; services.len()];
        Self { plan, services, rows, told_ms: now_ms, told, asked_before, _tasks: tasks }
    }

    /// Which services failed at their last probe; `None`: not asked by these probes yet.
    fn failing(&self) -> Vec<Option<bool>> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().zip(&self.asked_before).map(|(row, before)| (row.asked > *before).then_some(row.failing)).collect()
    }

    fn rows(&self) -> Vec<Probed> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Asks one service for as long as it is let.
async fn ask_on(url: String, place: usize, rows: Rows, every: Duration) {
    // The one provider of this program; installed already when another client came first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        // Users come anew: a connection that still stands says nothing of the way to the service.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("hardstand/", env!("CARGO_PKG_VERSION")))
        .build();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut good_at = Instant::now();
    let mut failing = false;
    loop {
        ticks.tick().await;
        let answer = match &client {
            Ok(client) => timeout(every, ask(client, &url)).await.unwrap_or_else(|_| Err(late(every))),
            Err(error) => Err(causes(error)),
        };
        let now = Instant::now();
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        let row = &mut rows[place];
        row.asked += 1;
        if failing || answer.is_err() {
            let gap_ms = u64::try_from(now.duration_since(good_at).as_millis()).unwrap_or(u64::MAX);
            row.longest_gap_ms = row.longest_gap_ms.max(gap_ms);
        }
        failing = answer.is_err();
        row.failing = failing;
        match answer {
            Ok(()) => good_at = now,
            Err(why) => {
                row.failed += 1;
                let at_unix_seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
                row.last_failure = Some(ProbeFailure { at_unix_seconds, why });
            }
        }
    }
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<(), String> {
    let answer = client.get(url).send().await.map_err(|error| causes(&error.without_url()))?;
    let status = answer.status();
    if status.is_success() || status.is_redirection() { Ok(()) } else { Err(format!("it answered {status}")) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::sleep;

    use super::*;

    const FAST: Duration = Duration::from_millis(100);
    const GOOD: u8 = 0;
    const BROKEN: u8 = 1;
    const SILENT: u8 = 2;

    async fn serve(listener: TcpListener, mood: Arc<AtomicU8>) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mood = mood.load(Ordering::SeqCst);
            tokio::spawn(async move {
                let mut head = [0; 1024];
                let _ = stream.read(&mut head).await;
                let status = match mood {
                    GOOD => "204 No Content",
                    BROKEN => "503 Service Unavailable",
                    _ => return sleep(Duration::from_secs(3600)).await,
                };
                let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n").as_bytes()).await;
            });
        }
    }

    async fn until(probes: &Probes, holds: impl Fn(&Probed) -> bool) -> Probed {
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            let row = probes.rows().swap_remove(0);
            if holds(&row) {
                return row;
            }
            assert!(Instant::now() < limit, "{row:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn what_users_would_see_is_counted_and_the_last_failure_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let mood = Arc::new(AtomicU8::new(GOOD));
        tokio::spawn(serve(listener, Arc::clone(&mood)));
        let services = vec![Service { name: "wiki".to_owned(), url, slo_percent: None }];
        let before = vec![Probed { asked: 10, ..Probed::of("wiki") }, Probed { asked: 7, ..Probed::of("gone") }];
        let probes = Probes::start("plan".to_owned(), services, before, FAST, 0);
        assert_eq!(probes.failing(), [None], "what was asked before tells nothing of now");

        let good = until(&probes, |row| row.asked >= 13).await;
        assert_eq!((good.failed, good.longest_gap_ms, good.last_failure), (0, 0, None));
        assert_eq!(probes.failing(), [Some(false)]);
        mood.store(BROKEN, Ordering::SeqCst);
        let broken = until(&probes, |row| row.failed >= 2).await;
        assert_eq!(broken.last_failure.unwrap().why, "it answered 503 Service Unavailable");
        assert_eq!(probes.failing(), [Some(true)]);
        mood.store(SILENT, Ordering::SeqCst);
        let silent = until(&probes, |row| row.last_failure.as_ref().unwrap().why.starts_with("no answer")).await;
        assert!(silent.longest_gap_ms >= 200, "{silent:?}");
        mood.store(GOOD, Ordering::SeqCst);
        let seen = probes.rows()[0].asked;
        let again = until(&probes, |row| row.asked > seen + 3).await;
        assert!(again.failed < again.asked - 10, "it is good again: {again:?}");
        assert_eq!(probes.rows().len(), 1, "a service that is not declared any more is not asked");
    }
}
