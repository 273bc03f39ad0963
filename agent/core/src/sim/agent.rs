//! The executor of turns, as the agent's loop is one: it carries out what the rules say, in order, and decides again.
//!
//! It must never choose. What it may do between two events is what a process may do between two power cuts.

use super::check::Author;
use super::eyes::Reported;
use super::link::Then;
use super::variant::Variant;
use super::world::{Event, World};
use crate::audit::AuditHead;
use crate::leader::{self, Moment};
use crate::phase::Phase;
use crate::reading::Reading;
use crate::rollout::SessionRecord;
use crate::step::{self, ActState, Facts, Identity, Streak, Turn};
use crate::store::{Key, Record, Revision, SessionId, Txn};
use crate::view::View;
use crate::window::Opening;

/// How often a session is kept alive.
const KEEP_ALIVE_MS: u64 = 2_000;
/// How often an agent looks when nothing happens: limits pass, links come back.
const LOOK_MS: u64 = 1_000;

/// What an agent holds in memory: gone with its process.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) view: View,
    pub(super) connected: bool,
    pub(super) same_history: Reading<bool>,
    pub(super) act: ActState,
    pub(super) act_ends_ms: Option<u64>,
    pub(super) streak: Streak,
    session: Option<SessionId>,
    kept_alive_ms: u64,
    /// The end of the audit chain that its own last commit made.
    pub(super) own_head: Option<AuditHead>,
    /// The revision of its own last commit: it decides on nothing older.
    pub(super) own_revision: Revision,
    pub(super) waits_for: Option<u64>,
    pub(super) reported: Option<Reported>,
    next_look_ms: u64,
    pub(super) last_wait: String,
}

impl Agent {
    pub(super) fn new() -> Self {
        Self {
            view: View::default(),
            connected: false,
            same_history: Reading::unknown("not read yet"),
            act: ActState::None,
            act_ends_ms: None,
            streak: Streak::default(),
            session: None,
            kept_alive_ms: 0,
            own_head: None,
            own_revision: 0,
            waits_for: None,
            reported: None,
            next_look_ms: 0,
            last_wait: String::new(),
        }
    }

    /// The last audit record this process has heard of: of its own commits, or by its watch.
    fn known_head(&self) -> Option<&AuditHead> {
        let watched = self.view.audit.as_ref().map(|head| &head.value);
        [watched, self.own_head.as_ref()].into_iter().flatten().max_by_key(|head| head.seq)
    }

    /// Whether it has told that the store was restored.
    pub(super) fn misses_history(&self) -> bool {
        self.same_history == Reading::Known(false)
    }

    /// Whether it reads this life of the store.
    pub(super) fn knows(&self, life: &str) -> bool {
        self.view.incarnation.as_ref().is_some_and(|incarnation| incarnation.value == life)
    }

    pub(super) fn known_seq(&self) -> u64 {
        self.known_head().map_or(0, |head| head.seq)
    }
}

impl World {
    /// One turn of a node's loop.
    pub(super) fn wake(&mut self, node: usize) {
        let now_ms = self.now_ms;
        self.host_pass(node);
        if self.nodes[node].agent.is_none() {
            return;
        }
        if self.nodes[node].paused_until_ms > now_ms {
            self.nodes[node].well_since_ms = self.nodes[node].paused_until_ms;
            return;
        }
        self.listen(node);
        self.keep_alive(node);
        let busy = match &self.nodes[node].agent {
            Some(agent) => agent.waits_for.is_some() || agent.own_revision > agent.view.revision,
            None => return,
        };
        if !busy {
            self.end_act(node);
            self.take_turn(node);
        }
        if let Some(agent) = &mut self.nodes[node].agent
            && agent.next_look_ms <= now_ms
        {
            agent.next_look_ms = now_ms + LOOK_MS;
            self.after(LOOK_MS, Event::Wake { node });
        }
    }

    /// Takes in what the watch has brought, or reads anew after a broken connection.
    fn listen(&mut self, node: usize) {
        let now_ms = self.now_ms;
        if self.is_cut_off(node) || self.store_is_away() {
            self.nodes[node].well_since_ms = self.nodes[node].cut_off_ms.1.max(now_ms);
            if let Some(agent) = &mut self.nodes[node].agent {
                agent.connected = false;
            }
            return;
        }
        let host_ms = self.host_ms(node);
        let lag_ms = self.nodes[node].lag_ms;
        let Some(agent) = &mut self.nodes[node].agent else { return };
        if !agent.connected {
            self.connect(node);
            return;
        }
        let last = self.commit_times.partition_point(|(_, at)| at + lag_ms <= now_ms);
        let until = last.checked_sub(1).map_or(0, |at| self.commit_times[at].0);
        if until > agent.view.revision
            && let Some(changes) = self.store.changes_after(agent.view.revision)
        {
            for change in changes.iter().take_while(|change| change.revision <= until) {
                agent.view.apply(change, host_ms);
            }
        }
        agent.view.heard_ms = Some(host_ms.saturating_sub(lag_ms));
    }

    /// Reads all anew, if it is the store that this node knows.
    fn connect(&mut self, node: usize) {
        let host_ms = self.host_ms(node);
        let incarnation = match self.store.get(&Key::Incarnation).map(|entry| entry.value.as_ref()) {
            Some(Record::Incarnation(text)) => text.clone(),
            _ => String::new(),
        };
        let seen = self.nodes[node].journal.seen.clone();
        let forgiving = self.variant == Variant::TokenWithoutIncarnation;
        let Some(agent) = &mut self.nodes[node].agent else { return };
        // What this process remembers of the store, or what its disk does: the later of the two.
        let remembered = agent.known_head().zip(agent.view.incarnation.as_ref()).map(|(head, incarnation)| {
            crate::journal::KnownStore { incarnation: incarnation.value.clone(), head: head.clone() }
        });
        let known = match (remembered, seen) {
            (Some(a), Some(b)) if a.head.seq < b.head.seq => Some(b),
            (Some(a), _) => Some(a),
            (None, b) => b,
        };
        let same = known.is_none_or(|known| {
            let record = self.store.get(&Key::Audit(known.head.seq)).map(|entry| entry.value.as_ref());
            let hash = match record {
                Some(Record::Audit(record)) => Some(record.hash.as_str()),
                _ => None,
            };
            known.is_still(&incarnation, hash)
        });
        agent.same_history = Reading::Known(same || forgiving);
        if same || forgiving {
            let all = self.store.all().filter(|(key, _)| !matches!(key, Key::Audit(_)));
            agent.view.reload(all, self.store.revision(), host_ms);
            agent.own_revision = 0;
            agent.own_head = None;
            agent.connected = true;
        }
    }

    fn keep_alive(&mut self, node: usize) {
        let now_ms = self.now_ms;
        let Some(agent) = &self.nodes[node].agent else { return };
        let alive = agent.session.filter(|id| self.store.has_session(*id));
        if !agent.connected || self.is_cut_off(node) || self.store_is_shut() {
            return;
        }
        if alive.is_some() && now_ms - agent.kept_alive_ms < KEEP_ALIVE_MS {
            return;
        }
        let id = match alive {
            Some(id) => id,
            None => {
                let id = self.store.begin_session();
                self.sessions.push((id, node, now_ms));
                let name = self.nodes[node].name.clone();
                let boot_id = self.nodes[node].host.boot_id.clone();
                let record = Record::Session(SessionRecord { boot_id, version: String::new() });
                self.commit(Author::Node(node), Txn::new().put_in_session(Key::Session(name), record, id));
                id
            }
        };
        if let Some(session) = self.sessions.iter_mut().find(|(known, _, _)| *known == id) {
            session.2 = now_ms;
        }
        if let Some(agent) = &mut self.nodes[node].agent {
            agent.session = Some(id);
            agent.kept_alive_ms = now_ms;
        }
    }

    /// An act of this process comes to its end.
    fn end_act(&mut self, node: usize) {
        let now_ms = self.now_ms;
        let Some(agent) = &mut self.nodes[node].agent else { return };
        if agent.act == ActState::Running && agent.act_ends_ms.is_some_and(|at| at <= now_ms) {
            agent.act_ends_ms = None;
            agent.act = ActState::Ended;
            let phase = self.nodes[node].journal.phase;
            let host = &mut self.nodes[node].host;
            if phase == Phase::Restoring {
                host.drained = false;
                host.serving = true;
                host.note_service(now_ms);
            }
        }
    }

    fn take_turn(&mut self, node: usize) {
        let facts = self.facts(node);
        self.report(node, &facts);
        let me = Identity { node: self.nodes[node].name.clone() };
        let turn = {
            let this = &self.nodes[node];
            let Some(agent) = &this.agent else { return };
            match self.variant.of_inputs(&this.journal, &agent.view) {
                Some((journal, view)) => step::decide(&journal, &view, &facts, &me),
                None => step::decide(&this.journal, &agent.view, &facts, &me),
            }
        };
        match self.of_turn(node, turn) {
            Turn::Wait(why) => {
                let told = self.nodes[node].agent.as_ref().is_some_and(|agent| agent.last_wait == why);
                if !told {
                    self.tell(|world| format!("{} {}: waits: {why}", me.node, world.nodes[node].journal.phase));
                    if let Some(agent) = &mut self.nodes[node].agent {
                        agent.last_wait = why;
                    }
                }
                self.lead(node, &facts, &me.node);
            }
            Turn::Write(journal) => {
                self.write(node, journal);
                self.after(1, Event::Wake { node });
            }
            Turn::Commit { txn, then } => {
                let txn = self.variant.of_node(txn);
                self.send(node, txn, Then::Write(Box::new(then)));
            }
            Turn::Act { permit: Some(txn), journal, step } => {
                let txn = self.variant.of_node(txn);
                let id = self.send(node, txn, Then::Act { journal: Box::new(journal), step });
                if self.variant == Variant::NoFencing {
                    self.begin_at_once(node, id);
                }
            }
            Turn::Act { permit: None, journal, step } => self.act_freely(node, journal, &step),
        }
    }

    /// As the leader, or standing for it.
    fn lead(&mut self, node: usize, facts: &Facts, name: &str) {
        let Some(agent) = &self.nodes[node].agent else { return };
        if facts.same_history != Reading::Known(true) || !agent.view.is_in_touch(facts.now_ms) {
            return;
        }
        let Some(leader) = &agent.view.leader else {
            let Some(session) = agent.session else { return };
            if let Some(txn) = leader::stand(&agent.view, name, session, facts.unix_seconds) {
                self.send(node, txn, Then::Lead);
            }
            return;
        };
        if leader.value.node != name {
            return;
        }
        let moment = Moment {
            now_ms: facts.now_ms,
            unix_seconds: facts.unix_seconds,
            opening: Opening::Always,
            same_history: facts.same_history.clone(),
        };
        let turn = match self.of_throne(node, name) {
            Some(Ok(act)) => leader::LeaderTurn { act: Some(act), waiting: Vec::new() },
            Some(Err(view)) => leader::decide(&view, name, &moment),
            None => leader::decide(&agent.view, name, &moment),
        };
        self.note_waiting(&turn);
        if let Some((what, txn)) = turn.act {
            self.tell(|_| format!("{name} leads: {what}"));
            let txn = self.variant.of_leader(txn);
            self.send(node, txn, Then::Lead);
        }
    }

    /// Who waits for what: each reason is counted for as long as the leader's looks are apart.
    fn note_waiting(&mut self, turn: &leader::LeaderTurn) {
        let now_ms = self.now_ms;
        let since_ms = now_ms - std::mem::replace(&mut self.ledger.led_ms, now_ms);
        let Some(waits) = &mut self.waits else { return };
        for waiting in &turn.waiting {
            for blocker in &waiting.blockers {
                let what = format!("{} waits: {}", waiting.node, blocker.why);
                match waits.iter_mut().find(|(known, _)| *known == what) {
                    Some((_, ms)) => *ms += since_ms,
                    None => waits.push((what, since_ms)),
                }
            }
        }
    }
}
