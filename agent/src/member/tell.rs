//! What the node tells the fleet: its report, on every change and often enough to be fresh; and what it would install.
//!
//! It must never say more than was seen.

use std::time::Duration;

use hardstand_core::health::Severity;
use hardstand_core::leader::Waiting;
use hardstand_core::plan::{PackageSet, Reboot, RebootKind, Updates};
use hardstand_core::rollout::RolloutState;
use hardstand_core::status::{Report, Votes};
use hardstand_core::step::Facts;
use hardstand_core::store::{Key, Record, Txn};
use hardstand_core::view::View;
use hardstand_core::voting;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Member;
use crate::helper::Client;

/// How often a node reports while leases may be granted: less than the freshness that grants ask for.
const REPORT_EVERY_MS: u64 = 3_000;
/// The same with no rollout under way and no guests that may ask: for people.
const IDLE_REPORT_EVERY_MS: u64 = 60_000;
/// How often it is resolved what would be installed when nobody asks.
const RESOLVE_EVERY: Duration = Duration::from_secs(3600);

/// What was told last.
pub(super) struct Teller {
    helper: Client,
    reported: Option<(Report, u64)>,
    resolving: Option<JoinHandle<Updates>>,
    resolved: Option<(PackageSet, Instant)>,
    next_resolve: Instant,
    answered: u64,
    waiting: Vec<Waiting>,
}

impl Teller {
    pub(super) fn new(helper: Client) -> Self {
        let now = Instant::now();
        Self {
            helper,
            reported: None,
            resolving: None,
            resolved: None,
            next_resolve: now,
            answered: 0,
            waiting: Vec::new(),
        }
    }

    /// Logs who waits for what, once for each change.
    pub(super) fn note_waiting(&mut self, waiting: &[Waiting]) {
        if self.waiting == waiting {
            return;
        }
        for one in waiting {
            for blocker in &one.blockers {
                tracing::info!(
                    node = one.node,
                    check = blocker.check,
                    why = blocker.why,
                    way_out = blocker.way_out,
                    "blocked"
                );
            }
        }
        self.waiting = waiting.to_vec();
    }

    /// Who waited for what when this node decided as the leader last.
    pub(super) fn waiting(&self) -> &[Waiting] {
        &self.waiting
    }
}

impl Member {
    /// Reports, and resolves what would be installed.
    pub(super) async fn tell(&mut self, facts: &Facts) {
        if !self.link.is_connected() {
            return;
        }
        self.report(facts).await;
        self.resolve(facts).await;
    }

    async fn report(&mut self, facts: &Facts) {
        let mut report = self.report_of(facts);
        let every = report_every_ms(&self.link.view, self.journal.journey.is_some());
        if let Some((last, at_ms)) = &self.teller.reported {
            report.sequence = last.sequence;
            let is_for_people = every == IDLE_REPORT_EVERY_MS;
            if says_the_same(last, &report, is_for_people) && facts.now_ms.saturating_sub(*at_ms) < every {
                return;
            }
            report.sequence += 1;
        } else if let Some(seen) = self.link.view.reports.get(&self.me.node) {
            report.sequence = seen.value.sequence + 1;
        }
        let key = Key::Report(self.me.node.clone());
        let txn = Txn::new().put(key, Record::Report(Box::new(report.clone())));
        if self.link.commit(&txn).await.is_ok() {
            self.teller.reported = Some((report, facts.now_ms));
        }
    }

    fn report_of(&self, facts: &Facts) -> Report {
        let pass = self.passes.borrow();
        let (seen, health) = pass.parts();
        let mut votes: Vec<Votes> = self.votes_of_the_store().into_iter().collect();
        votes.extend(voting::of_corosync(&seen.corosync, self.settings.corosync.device_on.as_deref()));
        votes.extend(voting::of_ceph(&seen.ceph));
        Report {
            node: self.me.node.clone(),
            role: format!("{:?}", self.settings.node.role).to_lowercase(),
            boot_id: facts.boot_id.clone(),
            kernel: facts.kernel.known().cloned().unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            phase: self.journal.phase,
            waits_for: self.journal.journey.is_some().then(|| self.waited_for.clone()),
            hold: self.journal.hold.clone(),
            verdict: if health.findings.is_empty() { Severity::Unknown } else { health.verdict },
            findings: facts.findings.clone(),
            votes,
            plan_floor: self.journal.plan_floor,
            ran: self.journal.ran.as_ref().map(|ran| {
                let hours = facts.unix_seconds.saturating_sub(ran.at_unix_seconds) / 3_600;
                (ran.plan.clone(), hours)
            }),
            sequence: 0,
        }
    }

    /// The members of the etcd cluster that have a session now.
    fn votes_of_the_store(&self) -> Option<Votes> {
        let voters = self.settings.store.voters.clone();
        let up = voters.iter().filter(|voter| self.link.view.sessions.contains_key(*voter)).cloned().collect();
        let set = "store".to_owned();
        (!voters.is_empty()).then(|| Votes { set, voters, weights: Vec::new(), needed: None, up: Some(up), age_ms: 0 })
    }

    /// Asks the package manager in the background: when it starts, when somebody asks, when a journey has ended, and
    /// from time to time. Never while a journey is under way.
    async fn resolve(&mut self, facts: &Facts) {
        let asked = self.link.view.ask.as_ref().map_or(0, |ask| ask.value.refresh);
        if let Some(task) = self.teller.resolving.take_if(|task| task.is_finished()) {
            match task.await {
                Ok(updates) => self.publish(updates).await,
                Err(error) => tracing::error!(%error, "resolving updates ended"),
            }
        }
        if self.journal.journey.is_some() {
            self.teller.next_resolve = Instant::now();
            return;
        }
        let due = asked > self.teller.answered || self.teller.next_resolve <= Instant::now();
        if self.teller.resolving.is_some() || !due || facts.boot_complete != hardstand_core::Reading::Known(true) {
            return;
        }
        let refresh = asked > self.teller.answered;
        self.teller.answered = asked;
        self.teller.next_resolve = Instant::now() + RESOLVE_EVERY;
        let helper = self.teller.helper.clone();
        self.teller.resolving = Some(tokio::spawn(async move { resolved(&helper, refresh, asked).await }));
    }

    async fn publish(&mut self, mut updates: Updates) {
        let now = Instant::now();
        let since = match &self.teller.resolved {
            Some((set, since)) if *set == updates.packages => *since,
            _ => now,
        };
        self.teller.resolved = Some((updates.packages.clone(), since));
        updates.on_offer_seconds = now.duration_since(since).as_secs();
        let key = Key::Updates(self.me.node.clone());
        if let Err(error) = self.link.commit(&Txn::new().put(key, Record::Updates(updates))).await {
            tracing::warn!(%error, "what would be installed could not be told; it is tried again");
            self.teller.next_resolve = now;
        }
    }
}

/// Whether leases may be granted on what this node says: a guest asks when it likes, and a node that has not reported
/// freshly counts as down.
pub(super) fn is_evidence(view: &View) -> bool {
    let runs = view.rollout.as_ref().is_some_and(|rollout| rollout.value.state == RolloutState::Running);
    let hears_guests = view.policy.as_ref().is_some_and(|policy| policy.value.fleetlock.is_some());
    runs || hears_guests || !view.leases.is_empty()
}

/// Whether nothing is new but the age of a sight. That it is too old to decide on is news, where anybody decides.
fn says_the_same(last: &Report, report: &Report, is_for_people: bool) -> bool {
    let mut last = last.clone();
    for (then, now) in last.votes.iter_mut().zip(&report.votes) {
        if is_for_people || then.is_evidence() == now.is_evidence() {
            then.age_ms = now.age_ms;
        }
    }
    last == *report
}

fn report_every_ms(view: &View, travels: bool) -> u64 {
    if travels || is_evidence(view) { REPORT_EVERY_MS } else { IDLE_REPORT_EVERY_MS }
}

async fn resolved(helper: &Client, refresh: bool, answers: u64) -> Updates {
    let failed = |why: String| Updates {
        packages: PackageSet::default(),
        reboot: Reboot { kind: RebootKind::None, why: "not known".to_owned() },
        kernel: None,
        on_offer_seconds: 0,
        answers,
        download_bytes: 0,
        failed: Some(why),
    };
    if refresh && let Err(error) = helper.refresh().await {
        return failed(format!("refreshing the package lists: {error}"));
    }
    match helper.plan().await {
        Ok(updates) => Updates { answers, ..updates },
        Err(error) => failed(format!("resolving: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use hardstand_core::view::{FRESH_MS, Seen};

    use super::*;

    #[test]
    fn a_guest_is_never_refused_for_the_silence_of_nodes_that_have_nothing_to_do() {
        let seen = |policy: &str| {
            let value = serde_json::from_str(policy).unwrap();
            Some(Seen { value, created: 1, modified: 1, first_seen_ms: 0, changed_ms: 0, watched: true })
        };
        let idle = View { policy: seen(r#"{"fleet": {"name": "lab"}}"#), ..View::default() };
        assert_eq!(report_every_ms(&idle, false), IDLE_REPORT_EVERY_MS);
        let policy = r#"{"fleet": {"name": "lab"}, "fleetlock": {"listen": "192.0.2.7:9786"}}"#;
        let with_guests = View { policy: seen(policy), ..View::default() };
        assert!(2 * report_every_ms(&with_guests, false) < FRESH_MS, "one report may be late");
        assert!(2 * report_every_ms(&idle, true) < FRESH_MS, "it holds a lease");
    }

    #[test]
    fn the_age_of_a_sight_is_news_only_to_who_decides_and_only_when_it_grows_too_old() {
        let report = |age_ms: u64, up: &str| -> Report {
            let votes = serde_json::json!([{ "set": "corosync lab", "voters": ["one"], "up": [up], "age_ms": age_ms }]);
            serde_json::from_value(serde_json::json!({
                "node": "one", "role": "debian", "boot_id": "b", "kernel": "k", "version": "0", "phase": "idle",
                "verdict": "ok", "findings": [], "votes": votes, "plan_floor": 0, "sequence": 1
            }))
            .unwrap()
        };
        let last = report(0, "one");
        for (age_ms, up, is_for_people, is_the_same) in [
            (1, "one", false, true),
            (FRESH_MS, "one", false, true),
            (FRESH_MS + 1, "one", false, false),
            (FRESH_MS + 1, "one", true, true),
            (1, "other", true, false),
        ] {
            let now = report(age_ms, up);
            assert_eq!(says_the_same(&last, &now, is_for_people), is_the_same, "{age_ms} {up} {is_for_people}");
        }
    }
}
