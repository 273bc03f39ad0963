//! The world of one seed: virtual time, the store, nodes; events in their order.
//!
//! It must never let two things happen at once: every event is whole, and the invariants are checked after it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use super::agent::Agent;
use super::check::{Author, Ledger};
use super::fault::{self, Edge, Planned};
use super::host::{Host, Power};
use super::link::Pending;
use super::pace::Pace;
use super::people::People;
use super::random::Random;
use super::scenario::Cut;
use super::{Outcome, Scenario, Variant, Violation};
use crate::fleet::Policy;
use crate::journal::Journal;
use crate::store::{Answer, Key, Model, Op, Record, Revision, SessionId, Txn};

/// A session's least life without a sign, in milliseconds.
pub(super) const SESSION_MS: u64 = 10_000;
/// How long people and faults may draw a rollout out, in virtual milliseconds.
const LONGEST_MS: u64 = 900_000;
/// How often the store looks for ended sessions.
const STORE_TICK_MS: u64 = 500;
/// How many events a seed may take per node and virtual second; more is a loop.
const MOST_EVENTS_PER_SECOND: u64 = 200;
/// The stretch in which faults begin where things take the shortest time: what a rollout takes without any.
const FAULTS_MS: u64 = 60_000;
/// The largest voting set of the simulated fleet.
const VOTERS: usize = 3;

/// The store of the world. Records are shared between it, its history and its snapshots.
pub(super) type Store = Model<Key, Rc<Record>>;

/// One node: its host, its disk, its agent while it runs, and its way to the store.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) host: Host,
    pub(super) journal: Journal,
    pub(super) agent: Option<Agent>,
    /// Rises with each life of the agent: what was sent by an earlier one finds nobody.
    pub(super) life: u64,
    /// Its link is cut, from when until when.
    pub(super) cut_off_ms: (u64, u64),
    pub(super) paused_until_ms: u64,
    pub(super) lossy_until_ms: u64,
    pub(super) lag_ms: u64,
    pub(super) clock_offset: u64,
    /// Since when it could do its part: agent alive, link up, not paused.
    pub(super) well_since_ms: u64,
    /// Permits the helper has seen used (S11), by the life of the store that gave them.
    pub(super) used_permits: Vec<(u64, Revision)>,
    /// The store lost what this node knows of it, at this time.
    pub(super) bereft_ms: Option<u64>,
    /// A fault that waits for a moment of this node.
    pub(super) armed: Vec<Planned>,
}

impl Node {
    /// The number of the last audit record it has heard of in this life of the store.
    pub(super) fn known_seq(&self, life: &str) -> u64 {
        let agent = self.agent.as_ref().filter(|agent| agent.knows(life));
        agent.map_or(0, Agent::known_seq).max(self.recorded_seq(life))
    }

    /// The number of the last audit record on its disk, of this life of the store.
    pub(super) fn recorded_seq(&self, life: &str) -> u64 {
        let seen = self.journal.seen.as_ref().filter(|seen| seen.incarnation == life);
        seen.map_or(0, |seen| seen.head.seq)
    }
}

/// What happens at a time. `life` is that of the agent it is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    AgentEnd {
        node: usize,
        life: u64,
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
    pub(super) store: Store,
    pub(super) commits: usize,
    pub(super) sessions: Vec<(SessionId, usize, u64)>,
}

pub(super) struct World {
    pub(super) now_ms: u64,
    pub(super) random: Random,
    pub(super) variant: Variant,
    pub(super) policy: Policy,
    pub(super) pace: Pace,
    pub(super) nodes: Vec<Node>,
    /// Nodes that vote, from the first.
    pub(super) voters: usize,
    /// The node that hosts the embedded store.
    pub(super) store_host: Option<usize>,
    pub(super) store: Store,
    /// When each revision was committed.
    pub(super) commit_times: Vec<(Revision, u64)>,
    /// Sessions: who, and when last heard.
    pub(super) sessions: Vec<(SessionId, usize, u64)>,
    pub(super) in_flight: Vec<(u64, Pending)>,
    pub(super) next_id: u64,
    pub(super) faults: Vec<Planned>,
    /// Whether a snapshot may be needed.
    pub(super) keeps_snapshots: bool,
    pub(super) cut: Option<Cut>,
    pub(super) edges: u32,
    pub(super) people: People,
    pub(super) ledger: Ledger,
    pub(super) store_full_until_ms: u64,
    pub(super) restores: u64,
    /// How often the store went back, whether or not anybody could tell.
    pub(super) states: u64,
    pub(super) last_restore_ms: Option<u64>,
    pub(super) snapshot: Option<Snapshot>,
    /// How many slots are taken, as a counter would have it.
    pub(super) count: i64,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    events: u64,
    longest_ms: u64,
    seed: u64,
    pub(super) waits: Option<Vec<(String, u64)>>,
    story: Option<Vec<String>>,
    pub(super) violation: Option<Violation>,
    pub(super) finished_ms: Option<u64>,
}

impl World {
    pub(super) fn new(scenario: &Scenario, seed: u64, telling: bool) -> Self {
        let mut random = Random::new(seed);
        let mut clocks = Random::new(seed ^ scenario.clocks);
        let names = scenario.policy.nodes().map(ToOwned::to_owned).enumerate();
        let nodes: Vec<Node> =
            names.map(|(at, name)| new_node(at, name, scenario.pace, &mut random, &mut clocks)).collect();
        let stretch = scenario.pace.longest_ms() * nodes.len() as u64;
        let faults = fault::plan(&mut random, &scenario.faults, nodes.len(), stretch.max(FAULTS_MS));
        let hosts = scenario.policy.groups.iter().flat_map(|group| &group.store_hosts);
        let store_host = hosts.filter_map(|host| nodes.iter().position(|node| node.name == *host)).next();
        let mut policy = scenario.policy.clone();
        policy.windows.clear();
        policy.updates = crate::fleet::UpdatePolicy::default();
        let limit_ms = scenario.policy.timeouts.whole_seconds() * 1_000 * nodes.len() as u64;
        let mut world = Self {
            now_ms: 0,
            random,
            variant: scenario.variant,
            policy,
            pace: scenario.pace,
            // Fewer than three cannot lose one and keep a majority: then nobody votes but the first.
            voters: if nodes.len() < VOTERS { 1 } else { VOTERS },
            nodes,
            store_host,
            store: Model::default(),
            commit_times: Vec::new(),
            sessions: Vec::new(),
            in_flight: Vec::new(),
            next_id: 1,
            keeps_snapshots: faults.iter().any(|planned| planned.fault == fault::Fault::StoreRestore),
            faults,
            cut: scenario.cut,
            edges: 0,
            people: People::default(),
            ledger: Ledger::default(),
            store_full_until_ms: 0,
            restores: 0,
            states: 0,
            last_restore_ms: None,
            snapshot: None,
            count: 0,
            queue: BinaryHeap::new(),
            sequence: 0,
            events: 0,
            longest_ms: LONGEST_MS + limit_ms,
            seed,
            waits: telling.then(Vec::new),
            story: telling.then(Vec::new),
            violation: None,
            finished_ms: None,
        };
        world.found_fleet();
        for node in 0..world.nodes.len() {
            world.after(0, Event::AgentStart { node, life: 1 });
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
        let most = MOST_EVENTS_PER_SECOND * self.nodes.len() as u64;
        while self.violation.is_none() && self.finished_ms.is_none() {
            let Some(Reverse((at_ms, _, event))) = self.queue.pop() else { break };
            self.now_ms = at_ms;
            self.events += 1;
            if at_ms > self.longest_ms || self.events > most * (1 + at_ms / 1_000) {
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
        let mut waits = self.waits.unwrap_or_default();
        waits.sort_by(|(a, a_ms), (b, b_ms)| b_ms.cmp(a_ms).then(a.cmp(b)));
        Outcome {
            seed: self.seed,
            violation: self.violation,
            seconds: end_ms / 1_000,
            out_of_service: self.nodes.iter().map(|node| (node.name.clone(), node.host.away_ms / 1_000)).collect(),
            waits: waits.into_iter().map(|(what, ms)| (what, ms / 1_000)).collect(),
            halts: self.ledger.halts,
            events: self.events,
            edges: self.edges,
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
            Event::AgentEnd { node, life } => {
                if self.nodes[node].life == life {
                    self.restart_agent(node);
                }
            }
            Event::AgentStart { node, life } => self.agent_start(node, life),
            Event::Fault { at } => self.strike_or_arm(at),
            Event::StoreTick => self.store_tick(),
            Event::People => self.people_look(),
        }
    }

    /// Whether the store is reachable at all: an embedded one is away with its host.
    pub(super) fn store_is_away(&self) -> bool {
        self.store_host.is_some_and(|host| !self.nodes[host].host.is_up())
    }

    /// Whether the store takes no writes now.
    pub(super) fn store_is_shut(&self) -> bool {
        self.now_ms < self.store_full_until_ms || self.store_is_away()
    }

    /// Commits at once, with everything that must hold of it checked. `None`: the store takes no writes now.
    pub(super) fn commit(&mut self, author: Author, txn: Txn<Key, Record>) -> Option<Answer> {
        if self.store_is_shut() {
            return None;
        }
        let quiet = is_quiet(&txn);
        let scene = if quiet { None } else { Some(self.scene(&txn)) };
        let txn = shared(txn);
        let answer = self.store.commit(&txn)?;
        if let Answer::Committed { revision } = answer {
            self.commit_times.push((revision, self.now_ms));
            if let Some(scene) = scene {
                self.check_commit(author, &txn, revision, &scene);
                self.watchers_wake();
            }
        }
        Some(answer)
    }

    /// What was committed is seen by every watch, a little later.
    pub(super) fn watchers_wake(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].agent.as_ref().is_some_and(|agent| agent.connected) {
                let lag_ms = self.nodes[node].lag_ms;
                self.after(lag_ms, Event::Wake { node });
            }
        }
    }

    /// The power of a node goes, and its agent with it.
    pub(super) fn lose_power(&mut self, node: usize, power: Power) {
        let now_ms = self.now_ms;
        self.nodes[node].host.cut(power, now_ms);
        self.end_agent(node);
        if let Power::Off { until_ms } = power {
            self.after(until_ms - now_ms, Event::HostTick { node });
        }
        if self.store_host == Some(node) {
            for other in &mut self.nodes {
                if let Some(agent) = &mut other.agent {
                    agent.connected = false;
                }
            }
        }
    }

    pub(super) fn end_agent(&mut self, node: usize) {
        self.nodes[node].agent = None;
        self.nodes[node].life += 1;
    }

    /// The agent ends, and is started again. What it started goes on.
    pub(super) fn restart_agent(&mut self, node: usize) {
        const PAUSE_MS: u64 = 500;
        self.tell(|world| format!("the agent of {} restarts", world.nodes[node].name));
        self.end_agent(node);
        let life = self.nodes[node].life;
        self.after(PAUSE_MS, Event::AgentStart { node, life });
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
            let in_ms = self.random.time(self.pace.agent);
            self.after(in_ms, Event::AgentStart { node, life });
            let complete_ms = self.nodes[node].host.complete_ms;
            self.after(complete_ms - now_ms, Event::Wake { node });
            if self.store_host == Some(node) {
                self.store_returns();
            }
            return;
        }
        self.host_pass(node);
    }

    /// Sessions live a whole TTL from the store's return on, and nobody could do anything before it.
    pub(super) fn store_returns(&mut self) {
        let now_ms = self.now_ms;
        for session in &mut self.sessions {
            session.2 = now_ms;
        }
        for node in &mut self.nodes {
            node.well_since_ms = now_ms;
        }
    }

    /// Time passes on a host: an upgrade ends, a reboot takes the power.
    pub(super) fn host_pass(&mut self, node: usize) {
        let now_ms = self.now_ms;
        if self.nodes[node].host.is_up() && self.nodes[node].host.pass(now_ms, &mut self.random) {
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
        self.after(STORE_TICK_MS, Event::StoreTick);
        if self.store_is_away() {
            return;
        }
        let now_ms = self.now_ms;
        let silent = |heard_ms: u64| now_ms.saturating_sub(heard_ms);
        // A TTL is a minimum: some sessions live on.
        let lazy = |id: SessionId| !(now_ms / STORE_TICK_MS + id).is_multiple_of(7);
        while let Some((id, node, _)) = self.sessions.iter().copied().find(|(id, _, heard_ms)| {
            silent(*heard_ms) > SESSION_MS && (silent(*heard_ms) > 2 * SESSION_MS || !lazy(*id))
        }) {
            self.end_session(id, node);
        }
    }

    pub(super) fn end_session(&mut self, id: SessionId, node: usize) {
        self.sessions.retain(|(known, _, _)| *known != id);
        self.store.end_session(id);
        self.commit_times.push((self.store.revision(), self.now_ms));
        self.tell(|world| format!("the store ends the session of {}", world.nodes[node].name));
        self.watchers_wake();
        if self.variant == Variant::LeasedPermit {
            self.free_with_session(node);
        }
    }

    /// The node's moment between two instructions: a fault may have waited for it.
    pub(super) fn edge(&mut self, node: usize, edge: Edge) {
        if self.cut.is_none() && self.nodes[node].armed.is_empty() {
            return;
        }
        if let Some(cut) = self.cut.filter(|cut| cut.node == node) {
            if self.edges == cut.edge {
                self.tell(|_| format!("at edge {}: {}", cut.edge, edge.word()));
                let planned = Planned { at_ms: 0, fault: cut.fault, node, lasts_ms: cut.lasts_ms, edge: None };
                self.strike(planned);
            }
            self.edges += 1;
        }
        let waiting = self.nodes[node].armed.iter().position(|planned| planned.edge == Some(edge));
        if let Some(at) = waiting {
            let planned = self.nodes[node].armed.remove(at);
            self.tell(|_| edge.word().to_owned());
            self.strike(planned);
        }
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

fn new_node(at: usize, name: String, pace: Pace, random: &mut Random, clocks: &mut Random) -> Node {
    Node {
        name,
        host: Host::new(at, pace),
        journal: Journal::default(),
        agent: None,
        life: 1,
        cut_off_ms: (0, 0),
        paused_until_ms: 0,
        lossy_until_ms: 0,
        lag_ms: random.between(5, 150),
        clock_offset: clocks.between(0, 1_000_000),
        well_since_ms: 0,
        used_permits: Vec::new(),
        bereft_ms: None,
        armed: Vec::new(),
    }
}

/// Whether a transaction only says that somebody is there: no rule is woken by it, and none can be broken by it.
fn is_quiet(txn: &Txn<Key, Record>) -> bool {
    txn.ops.iter().all(|op| matches!(op, Op::Put { key: Key::Report(_), .. }))
}

/// The same transaction with records that can be shared.
fn shared(txn: Txn<Key, Record>) -> Txn<Key, Rc<Record>> {
    let share = |op| match op {
        Op::Put { key, value } => Op::Put { key, value: Rc::new(value) },
        Op::PutInSession { key, value, session } => Op::PutInSession { key, value: Rc::new(value), session },
        Op::Delete { key } => Op::Delete { key },
    };
    Txn { compares: txn.compares, ops: txn.ops.into_iter().map(share).collect() }
}
