//! The people: they found the fleet, start the rollout, mend what is broken, lift halts, and sometimes use force.
//!
//! It must never do what an operator could not: they act through the store, and with their hands on the hosts.

use super::agent::Agent;
use super::check::Author;
use super::host::{NEW_KERNEL, Power};
use super::world::{Event, Snapshot, World};
use crate::fleet::Group;
use crate::operator::{self, Person};
use crate::phase::Phase;
use crate::plan::{NodePlan, PackageChange, PackageSet, Plan, Reboot, RebootKind};
use crate::planner;
use crate::rollout::RolloutState;
use crate::store::{Answer, Key, Record};
use crate::view::View;

/// How often somebody looks.
const LOOK_MS: u64 = 4_000;
/// How long a person takes from seeing to doing.
const SLOW_MS: u64 = 8_000;
/// A restored store is taken in use again after every session and permit of its former life is over.
const ADOPT_MS: u64 = 25_000;
/// How often a snapshot is taken.
const SNAPSHOT_LOOKS: u64 = 3;

#[derive(Debug, Clone, Default)]
pub(super) struct People {
    /// Somebody will use force on this node's lease.
    pub(super) wants_force: Option<usize>,
    /// Two act at once.
    pub(super) two: bool,
    /// Somebody stops the rollout for good, and plans anew.
    pub(super) wants_abort: bool,
    plans: u64,
    /// When the store was restored, until it is adopted.
    pub(super) restored_ms: Option<u64>,
    looks: u64,
    halted_since_ms: Option<u64>,
    stuck_since_ms: Option<u64>,
}

impl World {
    /// A store with a policy and a rollout under way.
    pub(super) fn found_fleet(&mut self) {
        let person = self.person("anna");
        let txn = operator::adopt(&self.read(), &person, "life-0".to_owned(), "founded");
        self.commit(Author::Person, txn);
        if let Ok(txn) = operator::apply_policy(&self.read(), &person, self.policy.clone(), "first") {
            self.commit(Author::Person, txn);
        }
        if self.plan_anew().is_none() {
            self.violate("L1", "the rollout cannot start".to_owned());
        }
    }

    /// Plans, approves, starts.
    fn plan_anew(&mut self) -> Option<()> {
        let person = self.person("anna");
        let serial = self.people.plans + 1;
        let plan = self.plan(serial);
        let id = format!("plan-{serial}");
        let txn = operator::keep_plan(&self.read(), &person, &id, plan);
        self.commit(Author::Person, txn)?;
        self.people.plans = serial;
        let view = self.read();
        let txn = operator::approve(&view, &person, view.plans.get(&id)?, &id, "tested");
        self.commit(Author::Person, txn)?;
        let txn = operator::start(&self.read(), &person, &id, "the month's updates").ok()?;
        self.tell(|_| format!("people start {id}"));
        self.commit(Author::Person, txn).map(drop)
    }

    fn plan(&self, serial: u64) -> Plan {
        let change = PackageChange {
            name: "linux-image".to_owned(),
            architecture: "amd64".to_owned(),
            from: Some("1".to_owned()),
            to: Some("2".to_owned()),
            security: true,
        };
        let part = |group: &Group, node: &str| NodePlan {
            node: node.to_owned(),
            group: group.name.clone(),
            alone: group.alone.iter().chain(&group.store_hosts).any(|listed| listed == node),
            packages: PackageSet::new(vec![change.clone()]),
            reboot: Reboot { kind: RebootKind::Full, why: "a new kernel".to_owned() },
            drain: true,
            stay_seconds: 0,
            kernel: Some(NEW_KERNEL.to_owned()),
            baseline: Vec::new(),
            estimate_seconds: 30,
        };
        Plan {
            name: "sim".to_owned(),
            serial,
            policy: "sim".to_owned(),
            nodes: planner::order(&self.policy).into_iter().map(|(group, node)| part(group, node)).collect(),
            timeouts: self.policy.timeouts,
            streak_seconds: self.policy.gates.streak_seconds,
            by: "operator:anna".to_owned(),
            made_unix_seconds: 0,
        }
    }

    pub(super) fn people_look(&mut self) {
        self.after(LOOK_MS, Event::People);
        self.people.looks += 1;
        self.power_on();
        if self.store_is_away() {
            return;
        }
        if self.keeps_snapshots && self.people.looks.is_multiple_of(SNAPSHOT_LOOKS) {
            self.snapshot = Some(Snapshot {
                store: self.store.clone(),
                commits: self.commit_times.len(),
                sessions: self.sessions.clone(),
            });
        }
        // A node says that the store has forgotten what it had heard of.
        let now_ms = self.now_ms;
        let well =
            self.nodes.iter().filter(|node| node.well_since_ms + 2_000 < now_ms && node.paused_until_ms <= now_ms);
        let told = well.filter_map(|node| node.agent.as_ref()).any(Agent::misses_history);
        if told && self.people.restored_ms.is_none() {
            self.restores += 1;
            self.people.restored_ms = Some(self.now_ms);
        }
        if let Some(at) = self.people.restored_ms {
            if self.now_ms - at > ADOPT_MS {
                self.adopt();
            }
            return;
        }
        self.force();
        self.mend_and_lift();
        if self.people.two {
            self.meddle();
        }
        self.abort();
    }

    /// After a restore: a new life, and what the old one left is taken away by hand.
    fn adopt(&mut self) {
        let person = self.person("anna");
        let incarnation = format!("life-{}", self.restores);
        let txn = operator::adopt(&self.read(), &person, incarnation.clone(), "restored from a snapshot");
        if self.commit(Author::Person, txn).is_none() {
            return;
        }
        self.people.restored_ms = None;
        self.snapshot = None;
        self.ledger.adopt();
        for node in &mut self.nodes {
            node.bereft_ms = None;
        }
        self.tell(|_| "people adopt the restored store".to_owned());
        loop {
            let view = self.read();
            let old = view.leases.values().find(|lease| lease.value.incarnation != incarnation).cloned();
            let Some(old) = old else { break };
            let txn = operator::force_release(&view, &person, &old, "of the former life", "looked at the node");
            if self.commit(Author::Person, txn).is_none() {
                break;
            }
        }
    }

    /// Machines that stay off are switched on.
    fn power_on(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].host.power == Power::Dead && self.random.percent(30) {
                self.nodes[node].host.mend();
                let now_ms = self.now_ms;
                self.nodes[node].host.power = Power::Off { until_ms: now_ms };
                self.after(0, Event::HostTick { node });
            }
        }
    }

    /// Takes a lease, whether or not that is wise.
    fn force(&mut self) {
        let Some(node) = self.people.wants_force else { return };
        if self.leases().next().is_none() {
            return;
        }
        let view = self.read();
        let name = self.nodes[node].name.clone();
        let Some(held) = view.lease_of(&name) else { return };
        self.people.wants_force = None;
        let person = self.person("otto");
        let txn = operator::force_release(&view, &person, held, "it hangs", "I think it is off");
        self.tell(|_| format!("people force the lease of {name}"));
        self.commit(Author::Person, txn);
    }

    /// Looks at the cause, mends it, and lets it go on.
    fn mend_and_lift(&mut self) {
        let now_ms = self.now_ms;
        if self.store.get(&Key::Halt).is_none() {
            self.people.halted_since_ms = None;
            self.resume();
            self.mend_the_stuck();
            return;
        }
        let since = *self.people.halted_since_ms.get_or_insert(now_ms);
        if now_ms - since < SLOW_MS {
            return;
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].host.mend();
            // hardstand node allow
            if self.nodes[node].journal.phase == Phase::Idle {
                self.nodes[node].journal.denied.clear();
            }
            let half_done =
                self.nodes[node].journal.hold.is_some() && self.nodes[node].journal.phase == Phase::Patching;
            if half_done && self.nodes[node].host.is_up() {
                self.nodes[node].host.finish_by_hand();
            }
            let stranded = self.nodes[node].host.is_up()
                && self.nodes[node].host.kernel != self.nodes[node].host.default_kernel
                && self.nodes[node].journal.hold.is_some()
                && matches!(self.nodes[node].journal.phase, Phase::RebootArmed | Phase::Released);
            if stranded {
                self.lose_power(node, Power::Off { until_ms: now_ms + 2_000 });
            }
        }
        let person = self.person("anna");
        if let Some(txn) = operator::lift(&self.read(), &person, "mended") {
            self.tell(|_| "people mend and lift the halt".to_owned());
            self.commit(Author::Person, txn);
            self.people.halted_since_ms = None;
        }
    }

    /// A rollout that nobody halted and that does not move: somebody looks after the hosts.
    fn mend_the_stuck(&mut self) {
        let now_ms = self.now_ms;
        let sick = self.nodes.iter().any(|node| node.host.sick_since_ms.is_some());
        if !sick {
            self.people.stuck_since_ms = None;
            return;
        }
        if now_ms - *self.people.stuck_since_ms.get_or_insert(now_ms) > 60_000 {
            for node in &mut self.nodes {
                node.host.mend();
            }
        }
    }

    /// Two people act at once, on the same sight of the fleet: exactly one of them finds it as it was (S18).
    fn meddle(&mut self) {
        let view = self.read();
        if self.rollout_state() != Some(RolloutState::Running) || self.store_is_shut() {
            return;
        }
        self.people.two = false;
        let (anna, otto) = (self.person("anna"), self.person("otto"));
        let pause = operator::set_state(&view, &otto, RolloutState::Paused, "I was not told").ok();
        let halt = operator::halt(&view, &anna, "me neither").or_else(|| operator::lift(&view, &anna, "mended"));
        let (Some(pause), Some(halt)) = (pause, halt) else { return };
        self.tell(|_| "two people act at once".to_owned());
        let both = if self.random.percent(50) { [pause, halt] } else { [halt, pause] };
        let answers = both.map(|txn| self.commit(Author::Person, txn));
        let committed = answers.iter().filter(|answer| matches!(answer, Some(Answer::Committed { .. }))).count();
        if committed != 1 {
            self.violate("S18", format!("{committed} of two people who acted at once were told yes"));
        }
    }

    fn rollout_state(&self) -> Option<RolloutState> {
        match self.store.get(&Key::Rollout).map(|entry| entry.value.as_ref()) {
            Some(Record::Rollout(rollout)) => Some(rollout.state),
            _ => None,
        }
    }

    fn resume(&mut self) {
        if self.rollout_state() != Some(RolloutState::Paused) {
            return;
        }
        if let Ok(txn) = operator::set_state(&self.read(), &self.person("anna"), RolloutState::Running, "go on") {
            self.commit(Author::Person, txn);
        }
    }

    /// Stops the rollout for good; when nobody is in maintenance any more, plans anew.
    fn abort(&mut self) {
        // A store that went back may be at a plan that nodes have left behind: they refuse it (S10).
        let serial = match self.store.get(&Key::Rollout).map(|entry| entry.value.as_ref()) {
            Some(Record::Rollout(rollout)) => rollout.serial,
            _ => 0,
        };
        self.people.wants_abort |= self.nodes.iter().any(|node| node.journal.plan_floor > serial);
        if self.people.wants_abort {
            let txn = operator::set_state(&self.read(), &self.person("otto"), RolloutState::Aborted, "wrong month");
            if let Ok(txn) = txn {
                self.tell(|_| "people abort the rollout".to_owned());
                self.people.wants_abort = self.commit(Author::Person, txn).is_none();
            }
        }
        let over = self.rollout_state() == Some(RolloutState::Aborted);
        if over && self.leases().next().is_none() && self.store.get(&Key::Halt).is_none() {
            self.plan_anew();
        }
    }

    fn read(&self) -> View {
        let mut view = View::default();
        view.reload(
            self.store.all().filter(|(key, _)| !matches!(key, Key::Audit(_))),
            self.store.revision(),
            self.now_ms,
        );
        view
    }

    fn person(&self, name: &str) -> Person {
        Person { name: name.to_owned(), unix_seconds: self.now_ms / 1_000 }
    }
}
