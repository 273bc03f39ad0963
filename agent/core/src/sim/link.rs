//! A node's way to the store and back, and from its permit to its act: each instruction apart, so that a cut fits between.
//!
//! It must never make up an answer: what is lost is lost, and what was committed stays committed.

use super::agent::Agent;
use super::check::Author;
use super::fault::Edge;
use super::variant::Variant;
use super::world::{Event, World};
use crate::journal::Journal;
use crate::step::{ActState, PERMIT_MS, Step};
use crate::store::{Answer, Key, Op, Record, Revision, Txn};

/// How long an agent waits for an answer.
const ANSWER_LIMIT_MS: u64 = 2_000;

/// What is done when a transaction is answered.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    /// Gone when it has reached the store.
    txn: Option<Txn<Key, Record>>,
    /// Gone when the journal is written.
    then: Then,
    head: Option<crate::audit::AuditHead>,
    /// A permit counts from here: what it rests on was seen then.
    asked_ms: u64,
    permit: Revision,
    /// Which state of the store took it: restores up to then.
    state: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Then {
    /// A node's own transaction.
    Write(Box<Journal>),
    /// A permit.
    Act { journal: Box<Journal>, step: Step },
    /// A leader's.
    Lead,
}

impl World {
    /// Sends a transaction over the node's link.
    pub(super) fn send(&mut self, node: usize, txn: Txn<Key, Record>, then: Then) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let life = self.nodes[node].life;
        let head = txn.ops.iter().find_map(|op| match op {
            Op::Put { value: Record::AuditHead(head), .. } => Some(head.clone()),
            _ => None,
        });
        let pending = Pending { txn: Some(txn), then, head, asked_ms: self.now_ms, permit: 0, state: self.states };
        if let Some(agent) = &mut self.nodes[node].agent {
            agent.waits_for = Some(id);
        }
        self.in_flight.push((id, pending));
        self.edge(node, Edge::BeforeSend);
        if self.nodes[node].life != life {
            return id;
        }
        if let Some(way) = self.way(node) {
            self.after(way, Event::Arrive { node, life, id });
        }
        self.after(ANSWER_LIMIT_MS, Event::GiveUp { node, life, id });
        id
    }

    /// How long a message takes; `None`: it is lost.
    fn way(&mut self, node: usize) -> Option<u64> {
        let now_ms = self.now_ms;
        let lossy = now_ms < self.nodes[node].lossy_until_ms;
        if self.is_cut_off(node) || self.store_is_away() || (lossy && self.random.percent(30)) {
            return None;
        }
        // On a bad link some messages come seconds late, after others sent later.
        let late = if lossy && self.random.percent(20) { self.random.between(500, 5_000) } else { 0 };
        // What a paused process was about to send leaves when it goes on.
        let paused = self.nodes[node].paused_until_ms.saturating_sub(now_ms);
        Some(paused + self.nodes[node].lag_ms / 2 + self.random.between(0, 20) + late)
    }

    pub(super) fn is_cut_off(&self, node: usize) -> bool {
        self.now_ms < self.nodes[node].cut_off_ms.1
    }

    /// A transaction reaches the store.
    pub(super) fn arrive(&mut self, node: usize, life: u64, id: u64) {
        let Some(at) = self.in_flight.iter().position(|(known, _)| *known == id) else { return };
        if self.nodes[node].life == life {
            self.edge(node, Edge::BeforeCommit);
        }
        let pending = &mut self.in_flight[at].1;
        let author = match pending.then {
            Then::Lead => Author::Leader(node),
            Then::Write(_) | Then::Act { .. } => Author::Node(node),
        };
        let Some(txn) = pending.txn.take() else { return };
        pending.state = self.states;
        let answer = self.commit(author, txn);
        if self.nodes[node].life != life {
            // Nobody is left who waits for it.
            self.in_flight.retain(|(known, _)| *known != id);
            return;
        }
        let Some(answer) = answer else { return };
        self.edge(node, Edge::AfterCommit);
        let (revision, committed) = match answer {
            Answer::Committed { revision } => (revision, true),
            Answer::Conflict { revision } => (revision, false),
        };
        if let Some(way) = self.way(node) {
            self.after(way, Event::Reply { node, life, id, revision, committed });
        }
    }

    pub(super) fn reply(&mut self, node: usize, life: u64, id: u64, revision: Revision, committed: bool) {
        if self.is_waiting(node, life, id) {
            self.edge(node, Edge::BeforeReply);
        }
        if !self.is_waiting(node, life, id) || self.put_off(node, Event::Reply { node, life, id, revision, committed })
        {
            return;
        }
        let Some((_, pending)) = self.in_flight.iter_mut().find(|(known, _)| *known == id) else { return };
        pending.permit = revision;
        let head = pending.head.take();
        let acts = matches!(pending.then, Then::Act { .. });
        let of_now = pending.state == self.states;
        if let Some(agent) = &mut self.nodes[node].agent {
            agent.answered(revision, head.filter(|_| committed));
            // An answer of the store before it went back comes by a connection that has broken since.
            agent.connected &= of_now;
        }
        if acts && committed {
            if self.variant != Variant::NoFencing {
                let in_ms = self.random.between(1, 40);
                self.after(in_ms, Event::Begin { node, life, id });
            }
            return;
        }
        let Some(pending) = self.settle(node, id) else { return };
        if let Then::Write(journal) = pending.then
            && committed
        {
            self.write(node, *journal);
        }
        self.after(1, Event::Wake { node });
    }

    /// Nothing came back: what became of it is seen in the store, later.
    pub(super) fn give_up(&mut self, node: usize, life: u64, id: u64) {
        // An answer that came and waits for its act is no silence.
        let answered = self.in_flight.iter().any(|(known, pending)| *known == id && pending.permit > 0);
        if !self.is_waiting(node, life, id) || answered || self.put_off(node, Event::GiveUp { node, life, id }) {
            return;
        }
        if let Some(agent) = &mut self.nodes[node].agent {
            agent.waits_for = None;
            agent.connected = false;
        }
        self.after(1, Event::Wake { node });
    }

    pub(super) fn begin(&mut self, node: usize, life: u64, id: u64) {
        if self.nodes[node].life != life || self.put_off(node, Event::Begin { node, life, id }) {
            return;
        }
        let Some((_, pending)) = self.in_flight.iter_mut().find(|(known, _)| *known == id) else { return };
        let Then::Act { journal, .. } = &mut pending.then else { return };
        if self.now_ms - pending.asked_ms > PERMIT_MS {
            self.settle(node, id);
            self.after(1, Event::Wake { node });
            return;
        }
        let journal = std::mem::take(journal.as_mut());
        self.write(node, journal);
        let in_ms = self.random.between(0, 5);
        self.after(in_ms, Event::Start { node, life, id });
    }

    pub(super) fn start(&mut self, node: usize, life: u64, id: u64) {
        if self.nodes[node].life == life {
            self.edge(node, Edge::BeforeAct);
        }
        if self.nodes[node].life != life || self.put_off(node, Event::Start { node, life, id }) {
            return;
        }
        // Without fencing the transaction may still be on its way.
        let on_its_way = self.in_flight.iter().find(|(known, pending)| *known == id && pending.txn.is_some()).cloned();
        let Some(pending) = self.settle(node, id) else { return };
        self.in_flight.extend(on_its_way);
        let Then::Act { step, .. } = pending.then else { return };
        // The helper looks again: an old permit, or one that was used, begins nothing (S3, S11).
        let fresh = self.now_ms - pending.asked_ms <= PERMIT_MS;
        let permit = (self.restores, pending.permit);
        let used = self.nodes[node].used_permits.contains(&permit);
        if self.variant == Variant::NoFencing || (fresh && !used) {
            self.nodes[node].used_permits.push(permit);
            self.check_start(node, &step, pending.asked_ms);
            self.begin_step(node, &step);
        }
        self.after(1, Event::Wake { node });
    }

    /// A paused process does nothing; what came for it waits.
    fn put_off(&mut self, node: usize, event: Event) -> bool {
        let until_ms = self.nodes[node].paused_until_ms;
        let paused = until_ms > self.now_ms;
        if paused {
            self.after(until_ms - self.now_ms, event);
        }
        paused
    }

    fn is_waiting(&self, node: usize, life: u64, id: u64) -> bool {
        let this = &self.nodes[node];
        this.life == life && this.agent.as_ref().is_some_and(|agent| agent.waits_for == Some(id))
    }

    fn settle(&mut self, node: usize, id: u64) -> Option<Pending> {
        if let Some(agent) = &mut self.nodes[node].agent
            && agent.waits_for == Some(id)
        {
            agent.waits_for = None;
        }
        let at = self.in_flight.iter().position(|(known, _)| *known == id)?;
        Some(self.in_flight.swap_remove(at).1)
    }

    /// Writes the journal; a new phase, or the end of a hold, begins with no act.
    pub(super) fn write(&mut self, node: usize, journal: Journal) {
        let life = self.nodes[node].life;
        self.edge(node, Edge::BeforeWrite);
        if self.nodes[node].life != life {
            return;
        }
        let old = &self.nodes[node].journal;
        let fresh = old.phase != journal.phase || (old.hold.is_some() && journal.hold.is_none());
        if old.phase != journal.phase {
            let (from, to) = (old.phase, journal.phase);
            self.tell(|world| format!("{} {from} -> {to}", world.nodes[node].name));
            self.check_phase(node, from, to);
        } else if old.hold != journal.hold {
            self.tell(|world| match &journal.hold {
                Some(hold) => format!("{} holds: {} (told: {})", world.nodes[node].name, hold.reason, hold.told),
                None => format!("{} goes on", world.nodes[node].name),
            });
        }
        self.nodes[node].journal = journal;
        if fresh && let Some(agent) = &mut self.nodes[node].agent {
            agent.act = ActState::None;
            agent.act_ends_ms = None;
        }
        self.edge(node, Edge::AfterWrite);
    }

    pub(super) fn begin_step(&mut self, node: usize, step: &Step) {
        let now_ms = self.now_ms;
        let lasts_ms = match step {
            Step::Stage => self.random.time(self.pace.stage),
            Step::Drain => self.random.time(self.pace.drain),
            Step::Restore => self.random.time(self.pace.restore),
            Step::Patch | Step::Reboot => self.random.between(300, 2_500),
        };
        self.tell(|world| format!("{} begins to {}", world.nodes[node].name, step.word()));
        let life = self.nodes[node].life;
        let this = &mut self.nodes[node];
        let host = &mut this.host;
        let Some(agent) = &mut this.agent else { return };
        agent.act = ActState::Running;
        agent.act_ends_ms = Some(now_ms + lasts_ms);
        let mut ticks = None;
        match step {
            Step::Stage | Step::Restore => {}
            Step::Drain => {
                host.drained = true;
                host.serving = false;
                host.note_service(now_ms);
            }
            Step::Patch => {
                host.begin_apt(now_ms, &mut self.random);
                if let super::host::Unit::Running { until_ms } = host.apt {
                    let upgraded = std::mem::take(&mut host.curses.agent_upgrade);
                    ticks = Some(until_ms - now_ms);
                    if upgraded {
                        self.after((until_ms - now_ms) / 2, Event::AgentEnd { node, life });
                    }
                }
            }
            Step::Reboot if !host.curses.reboot_ignored => {
                let in_ms = self.random.time(self.pace.down);
                host.going_down_ms = Some(now_ms + in_ms);
                ticks = Some(in_ms);
            }
            Step::Reboot => {}
        }
        if let Some(in_ms) = ticks {
            self.after(in_ms, Event::HostTick { node });
            self.after(in_ms, Event::Wake { node });
        }
        self.after(lasts_ms, Event::Wake { node });
        self.edge(node, Edge::AfterAct);
    }

    /// An act without a permit: the journal first, in any case.
    pub(super) fn act_freely(&mut self, node: usize, journal: Journal, step: &Step) {
        let life = self.nodes[node].life;
        self.write(node, journal);
        if self.nodes[node].life == life && self.nodes[node].paused_until_ms <= self.now_ms {
            self.begin_step(node, step);
        }
    }

    /// The broken rule "an act does not wait for its permit's answer".
    pub(super) fn begin_at_once(&mut self, node: usize, id: u64) {
        let life = self.nodes[node].life;
        self.after(1, Event::Begin { node, life, id });
    }
}

impl Agent {
    fn answered(&mut self, revision: Revision, head: Option<crate::audit::AuditHead>) {
        self.own_revision = self.own_revision.max(revision);
        if head.is_some() {
            self.own_head = head;
        }
    }
}
