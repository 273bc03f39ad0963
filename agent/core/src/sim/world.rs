//! The world of one seed: virtual time, the store, links, nodes; events in their order.
//!
//! It must never let two things happen at once: every event is whole, and the invariants are checked after it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::agent::{Agent, Pending};
use super::check::{Author, Ledger};
use super::fault::{self, Fault, Planned};
use super::host::{Host, Power};
use super::people::People;
use super::random::Random;
use super::{Outcome, Scenario, Variant, Violation};
use crate::fleet::{Fleet, Gates, Group, Policy, UpdatePolicy};
use crate::journal::Journal;
use crate::plan::{RebootKind, Timeouts};
use crate::store::{Answer, Key, Model, Record, Revision, SessionId, Txn};

/// A session's least life without a sign, in milliseconds.
pub(super) const SESSION_MS: u64 = 10_000;
/// How long a rollout may take at most, faults and people's repairs included, in virtual milliseconds.
const LONGEST_MS: u64 = 900_000;
/// How often the store looks for ended sessions.
const STORE_TICK_MS: u64 = 500;
/// How many events a seed may take; more is a loop.
const MOST_EVENTS: u64 = 400_000;

/// One node: its host, its disk, its agent while it runs, and its way to the store.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) host: Host,
    pub(super) journal: Journal,
    pub(super) agent: Option<Agent>,
    /// Rises with each life of the agent: what was sent by an earlier one finds nobody.
    pub(super) life: u64,
    pub(super) cut_off_until_ms: u64,
    pub(super) paused_until_ms: u64,
    pub(super) lossy_until_ms: u64,
    pub(super) lag_ms: u64,
    pub(super) clock_offset: u64,
    /// Since when it could do its part: agent alive, link up, not paused.
    pub(super) well_since_ms: u64,
    /// Permits the helper has seen used (S11).
    pub(super) used_permits: Vec<Revision>,
}

impl Node {
    /// The number of the last audit record it has heard of.
    fn known_seq(&self) -> u64 {
        let on_disk = self.journal.seen.as_ref().map_or(0, |seen| seen.head.seq);
        self.agent.as_ref().map_or(0, Agent::known_seq).max(on_disk)
    }
}

/// What happens at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Wake {
        node: usize,
    },
    /// A transaction reaches the store.
    Arrive {
        node: usize,
        life: u64,
        id: u64,
    },
    /// Its answer reaches the node.
    Reply {
        node: usize,
        life: u64,
        id: u64,
        revision: Revision,
        committed: bool,
    },
    /// Nothing came back in time.
    GiveUp {
        node: usize,
        life: u64,
        id: u64,
    },
    /// The journal is to be written for an act.
    Begin {
        node: usize,
        life: u64,
        id: u64,
    },
    /// The act begins.
    Start {
        node: usize,
        life: u64,
        id: u64,
    },
    HostTick {
        node: usize,
    },
    AgentStart {
        node: usize,
        life: u64,
    },
    Fault {
        at: usize,
    },
    StoreTick,
    People,
}

/// What a restore brings back.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) store: Model<Key, Record>,
    pub(super) commits: usize,
    pub(super) sessions: Vec<(SessionId, usize, u64)>,
}

pub(super) struct World {
    pub(super) now_ms: u64,
    pub(super) random: Random,
    pub(super) variant: Variant,
    pub(super) policy: Policy,
    pub(super) nodes: Vec<Node>,
    pub(super) store: Model<Key, Record>,
    /// When each revision was committed.
    pub(super) commit_times: Vec<(Revision, u64)>,
    /// Sessions: who, and when last heard.
    pub(super) sessions: Vec<(SessionId, usize, u64)>,
    pub(super) in_flight: Vec<(u64, Pending)>,
    pub(super) next_id: u64,
    pub(super) faults: Vec<Planned>,
    pub(super) people: People,
    pub(super) ledger: Ledger,
    pub(super) store_full_until_ms: u64,
    pub(super) restores: u64,
    pub(super) last_restore_ms: Option<u64>,
    pub(super) snapshot: Option<Snapshot>,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    events: u64,
    seed: u64,
    story: Option<Vec<String>>,
    pub(super) violation: Option<Violation>,
    pub(super) finished_ms: Option<u64>,
}

impl World {
    pub(super) fn new(scenario: &Scenario, seed: u64, telling: bool) -> Self {
        let mut random = Random::new(seed);
        let names: Vec<String> = scenario.policy.nodes().map(ToOwned::to_owned).collect();
        let nodes: Vec<Node> = names
            .iter()
            .map(|name| Node {
                name: name.clone(),
                host: Host::new(),
                journal: Journal::default(),
                agent: None,
                life: 0,
                cut_off_until_ms: 0,
                paused_until_ms: 0,
                lossy_until_ms: 0,
                lag_ms: random.between(5, 150),
                clock_offset: random.between(0, 1_000_000),
                well_since_ms: 0,
                used_permits: Vec::new(),
            })
            .collect();
        let faults = fault::plan(&mut random, &scenario.faults, nodes.len());
        let mut world = Self {
            now_ms: 0,
            random,
            variant: scenario.variant,
            policy: scenario.policy.clone(),
            nodes,
            store: Model::default(),
            commit_times: Vec::new(),
            sessions: Vec::new(),
            in_flight: Vec::new(),
            next_id: 1,
            faults,
            people: People::default(),
            ledger: Ledger::default(),
            store_full_until_ms: 0,
            restores: 0,
            last_restore_ms: None,
            snapshot: None,
            queue: BinaryHeap::new(),
            sequence: 0,
            events: 0,
            seed,
            story: telling.then(Vec::new),
            violation: None,
            finished_ms: None,
        };
        world.found_fleet();
        for node in 0..world.nodes.len() {
            world.after(0, Event::AgentStart { node, life: 1 });
            world.nodes[node].life = 1;
        }
        for at in 0..world.faults.len() {
            let when = world.faults[at].at_ms;
            world.after(when, Event::Fault { at });
        }
        world.after(STORE_TICK_MS, Event::StoreTick);
        world.after(1_000, Event::People);
        world
    }

    pub(super) fn play(mut self) -> Outcome {
        while self.violation.is_none() && self.finished_ms.is_none() {
            let Some(Reverse((at_ms, _, event))) = self.queue.pop() else { break };
            self.now_ms = at_ms;
            self.events += 1;
            if at_ms > LONGEST_MS || self.events > MOST_EVENTS {
                self.stuck();
                break;
            }
            self.happen(event);
            self.check_now();
        }
        let end_ms = self.finished_ms.unwrap_or(self.now_ms);
        for node in &mut self.nodes {
            if let Some(since) = node.host.away_since_ms {
                node.host.away_ms += end_ms - since.min(end_ms);
            }
        }
        Outcome {
            seed: self.seed,
            violation: self.violation,
            seconds: end_ms / 1_000,
            out_of_service: self.nodes.iter().map(|node| (node.name.clone(), node.host.away_ms / 1_000)).collect(),
            halts: self.ledger.halts,
            events: self.events,
            story: self.story.unwrap_or_default(),
        }
    }

    /// Puts an event `in_ms` ahead.
    pub(super) fn after(&mut self, in_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((self.now_ms + in_ms, self.sequence, event)));
    }

    /// Adds a line to the story, if one is told.
    pub(super) fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.story.is_none() {
            return;
        }
        let line = format!("{:>7} {}", self.now_ms, line(self));
        if let Some(story) = &mut self.story {
            story.push(line);
        }
    }

    pub(super) fn violate(&mut self, invariant: &'static str, what: String) {
        self.tell(|_| format!("VIOLATION {invariant}: {what}"));
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, what, at_ms: self.now_ms });
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { node } => self.wake(node),
            Event::Arrive { node, life, id } => self.arrive(node, life, id),
            Event::Reply { node, life, id, revision, committed } => self.reply(node, life, id, revision, committed),
            Event::GiveUp { node, life, id } => self.give_up(node, life, id),
            Event::Begin { node, life, id } => self.begin(node, life, id),
            Event::Start { node, life, id } => self.start(node, life, id),
            Event::HostTick { node } => self.host_tick(node),
            Event::AgentStart { node, life } => self.agent_start(node, life),
            Event::Fault { at } => self.strike(at),
            Event::StoreTick => self.store_tick(),
            Event::People => self.people_look(),
        }
    }

    /// Commits at once, with everything that must hold of it checked. `None`: the store takes no writes now.
    pub(super) fn commit(&mut self, author: Author, txn: &Txn<Key, Record>) -> Option<Answer> {
        if self.now_ms < self.store_full_until_ms {
            return None;
        }
        let before = self.leases_before(txn);
        let leader_before = self.store.get(&Key::Leader).cloned();
        let halted_before = self.store.get(&Key::Halt).is_some();
        let answer = self.store.commit(txn)?;
        if let Answer::Committed { revision } = answer {
            self.commit_times.push((revision, self.now_ms));
            self.check_commit(author, txn, revision, &before, leader_before.as_ref(), halted_before);
        }
        Some(answer)
    }

    /// Sends a transaction over the node's link.
    pub(super) fn send(&mut self, node: usize, pending: Pending) {
        const ANSWER_LIMIT_MS: u64 = 2_000;
        let id = self.next_id;
        self.next_id += 1;
        let life = self.nodes[node].life;
        if let Some(agent) = &mut self.nodes[node].agent {
            agent.waits_for = Some(id);
        }
        self.in_flight.push((id, pending));
        if let Some(way) = self.way(node) {
            self.after(way, Event::Arrive { node, life, id });
        }
        self.after(ANSWER_LIMIT_MS, Event::GiveUp { node, life, id });
    }

    /// How long a message takes; `None`: it is lost.
    pub(super) fn way(&mut self, node: usize) -> Option<u64> {
        let now_ms = self.now_ms;
        let Node { cut_off_until_ms, lossy_until_ms, lag_ms, .. } = self.nodes[node];
        if now_ms < cut_off_until_ms || (now_ms < lossy_until_ms && self.random.percent(30)) {
            return None;
        }
        // On a bad link some messages come seconds late, after others sent later.
        let late = if now_ms < lossy_until_ms && self.random.percent(20) { self.random.between(500, 5_000) } else { 0 };
        Some(lag_ms / 2 + self.random.between(0, 20) + late)
    }

    /// The power of a node goes, and its agent with it.
    pub(super) fn lose_power(&mut self, node: usize, power: Power) {
        let now_ms = self.now_ms;
        self.nodes[node].host.cut(power, now_ms);
        self.end_agent(node);
        if let Power::Off { until_ms } = power {
            self.after(until_ms - now_ms, Event::HostTick { node });
        }
    }

    pub(super) fn end_agent(&mut self, node: usize) {
        self.nodes[node].agent = None;
        self.nodes[node].life += 1;
    }

    fn host_tick(&mut self, node: usize) {
        let now_ms = self.now_ms;
        if let Power::Off { until_ms } = self.nodes[node].host.power {
            if until_ms > now_ms {
                return;
            }
            self.nodes[node].host.boot(now_ms, &mut self.random);
            self.nodes[node].life += 1;
            let life = self.nodes[node].life;
            self.tell(|world| format!("{} boots {}", world.nodes[node].name, world.nodes[node].host.kernel));
            let in_ms = self.random.between(300, 1_500);
            self.after(in_ms, Event::AgentStart { node, life });
            return;
        }
        if self.nodes[node].host.pass(now_ms, &mut self.random) {
            self.tell(|world| format!("{} goes down", world.nodes[node].name));
            let power = self.nodes[node].host.power;
            self.lose_power(node, power);
        }
    }

    fn agent_start(&mut self, node: usize, life: u64) {
        if self.nodes[node].life != life || !self.nodes[node].host.is_up() {
            return;
        }
        self.nodes[node].agent = Some(Agent::new());
        self.nodes[node].well_since_ms = self.now_ms;
        self.after(0, Event::Wake { node });
    }

    fn store_tick(&mut self) {
        let now_ms = self.now_ms;
        let mut ended = Vec::new();
        for (id, node, heard_ms) in &self.sessions {
            // A TTL is a minimum: some sessions live on.
            let silent = now_ms.saturating_sub(*heard_ms);
            if silent > SESSION_MS && (silent > 2 * SESSION_MS || (now_ms / STORE_TICK_MS + id).is_multiple_of(7)) {
                ended.push((*id, *node));
            }
        }
        for (id, node) in ended {
            self.sessions.retain(|(known, _, _)| *known != id);
            self.store.end_session(id);
            self.commit_times.push((self.store.revision(), now_ms));
            self.tell(|world| format!("the store ends the session of {}", world.nodes[node].name));
            if self.variant == Variant::LeasedPermit {
                self.free_with_session(node);
            }
        }
        self.after(STORE_TICK_MS, Event::StoreTick);
    }

    /// The broken rule "the permit dies with the session".
    fn free_with_session(&mut self, node: usize) {
        let name = self.nodes[node].name.clone();
        let keys: Vec<Key> = self
            .store
            .all()
            .filter(|(_, entry)| matches!(&entry.value, Record::Lease(lease) if lease.node == name))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.commit(Author::Store, &Txn::new().delete(key));
        }
    }

    fn strike(&mut self, at: usize) {
        let Planned { fault, node, lasts_ms, .. } = self.faults[at];
        let now_ms = self.now_ms;
        self.tell(|world| format!("FAULT {} at {} for {lasts_ms} ms", fault.word(), world.nodes[node].name));
        let host = &mut self.nodes[node].host;
        match fault {
            Fault::Pause => {
                self.nodes[node].paused_until_ms = now_ms + lasts_ms;
                self.after(lasts_ms, Event::Wake { node });
            }
            Fault::Partition => self.nodes[node].cut_off_until_ms = now_ms + lasts_ms,
            Fault::Loss | Fault::Reorder => self.nodes[node].lossy_until_ms = now_ms + lasts_ms,
            Fault::PowerCut if host.is_up() => {
                self.lose_power(node, Power::Off { until_ms: now_ms + lasts_ms });
            }
            Fault::AgentRestart if host.is_up() => {
                self.end_agent(node);
                let life = self.nodes[node].life;
                self.after(500, Event::AgentStart { node, life });
            }
            Fault::PowerCut | Fault::AgentRestart => {}
            Fault::SlowReboot => host.curses.slow_reboot = true,
            Fault::FailedReboot => host.curses.reboot_ignored = true,
            Fault::OldKernel => host.curses.old_kernel = true,
            Fault::BadPackage => host.curses.bad_package = true,
            Fault::SickAfterwards => host.curses.sick_afterwards = true,
            Fault::UnknownProbe => host.blind_until_ms = now_ms + lasts_ms,
            Fault::ClockJump => self.nodes[node].clock_offset = self.random.between(0, 1 << 40),
            Fault::StoreRestore => self.restore_store(),
            Fault::StoreFull => self.store_full_until_ms = now_ms + lasts_ms,
            Fault::ForceRelease => self.people.wants_force = Some(node),
            Fault::TwoOperators => self.people.two = true,
            Fault::NodeDies => self.lose_power(node, Power::Dead),
        }
    }

    /// The store goes back to what it was some seconds ago, and every connection breaks.
    fn restore_store(&mut self) {
        let Some(snapshot) = self.snapshot.clone() else { return };
        let restored_from = self.store.revision();
        // What was lost and nobody had heard of is as if it had never been.
        let kept = match snapshot.store.get(&Key::AuditHead).map(|entry| &entry.value) {
            Some(Record::AuditHead(head)) => head.seq,
            _ => 0,
        };
        let lost = self.nodes.iter().any(|node| node.known_seq() > kept);
        self.store.restore(snapshot.store);
        self.commit_times.truncate(snapshot.commits);
        self.sessions = snapshot.sessions;
        self.last_restore_ms = Some(self.now_ms);
        if lost {
            self.restores += 1;
            self.people.restored_ms = Some(self.now_ms);
        }
        let now_ms = self.now_ms;
        // Sessions of the snapshot live a whole TTL from here on.
        for session in &mut self.sessions {
            session.2 = now_ms;
        }
        for node in &mut self.nodes {
            if let Some(agent) = &mut node.agent {
                agent.connected = false;
            }
        }
        let revision = self.store.revision();
        self.tell(|_| format!("the store is restored from revision {restored_from} to {revision}"));
    }

    fn stuck(&mut self) {
        let states: Vec<String> = self
            .nodes
            .iter()
            .map(|node| {
                let waits = node.agent.as_ref().map_or("no agent", |agent| agent.last_wait.as_str());
                format!("{} {}: {waits}", node.name, node.journal.phase)
            })
            .collect();
        let halt = self.store.get(&Key::Halt).map(|_| "halted; ").unwrap_or_default();
        self.violate("L1", format!("the rollout did not end: {halt}{}", states.join("; ")));
    }
}

/// Two hosts and a storage box; short limits, so that a seed plays in a moment.
pub(super) fn small_fleet() -> Policy {
    let name = |text: &str| text.to_owned();
    let nodes = vec![name("pve1"), name("pve2"), name("nas")];
    Policy {
        fleet: Fleet { name: name("sim"), time_zone: name("UTC") },
        groups: vec![Group {
            name: name("cluster"),
            nodes: nodes.clone(),
            max_down: 1,
            order: Vec::new(),
            alone: vec![name("nas")],
            store_hosts: Vec::new(),
        }],
        windows: std::collections::BTreeMap::new(),
        gates: Gates { streak_seconds: 4, tolerate: Vec::new() },
        timeouts: Timeouts {
            grant_seconds: 20,
            stage_seconds: 20,
            drain_seconds: 15,
            patch_seconds: 25,
            reboot_seconds: 30,
            verify_seconds: 30,
            restore_seconds: 15,
        },
        updates: UpdatePolicy::default(),
        services: Vec::new(),
        fleetlock: None,
    }
}

/// The kind of reboot of the simulated plan.
pub(super) const REBOOT: RebootKind = RebootKind::Full;
