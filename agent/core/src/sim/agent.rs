//! The executor of turns, as the agent's loop is one: it carries out what the rules say, in order, and decides again.
//!
//! It must never choose. What it may do between two events is what a process may do between two power cuts.

use super::check::Author;
use super::host::{NEW_KERNEL, Unit};
use super::variant::Variant;
use super::world::{Event, World};
use crate::audit::AuditHead;
use crate::health::Severity;
use crate::journal::Journal;
use crate::leader::{self, Moment};
use crate::phase::Phase;
use crate::reading::Reading;
use crate::rollout::SessionRecord;
use crate::status::{Brief, Report, Votes};
use crate::step::{self, ActState, Facts, Identity, PERMIT_MS, PackageState, Step, Streak, Turn};
use crate::store::{Answer, Key, Op, Record, Revision, SessionId, Txn};
use crate::view::View;
use crate::window::{self, Civil};

/// How often a node reports while a rollout runs.
const REPORT_MS: u64 = 3_000;
/// How often a session is kept alive.
const KEEP_ALIVE_MS: u64 = 2_000;
/// How often an agent looks when nothing happens.
const LOOK_MS: u64 = 400;

/// What an agent holds in memory: gone with its process.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) view: View,
    pub(super) connected: bool,
    same_history: Reading<bool>,
    act: ActState,
    act_ends_ms: Option<u64>,
    streak: Streak,
    session: Option<SessionId>,
    kept_alive_ms: u64,
    /// The end of the audit chain that its own last commit made.
    own_head: Option<AuditHead>,
    /// The revision of its own last commit: it decides on nothing older.
    own_revision: Revision,
    pub(super) waits_for: Option<u64>,
    reported: Option<(Report, u64)>,
    next_wake_ms: u64,
    pub(super) last_wait: String,
}

/// What is done when a transaction is answered.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) txn: Txn<Key, Record>,
    pub(super) then: Then,
    answered_ms: u64,
    permit: Revision,
}

#[derive(Debug, Clone)]
pub(super) enum Then {
    /// A node's own transaction.
    Write(Journal),
    /// A permit.
    Act { journal: Journal, step: Step },
    /// A leader's.
    Lead,
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
            next_wake_ms: 0,
            last_wait: String::new(),
        }
    }
}

impl Agent {
    /// The last audit record this process has heard of: of its own commits, or by its watch.
    fn known_head(&self) -> Option<AuditHead> {
        let watched = self.view.audit.as_ref().map(|head| head.value.clone());
        [watched, self.own_head.clone()].into_iter().flatten().max_by_key(|head| head.seq)
    }

    /// Whether it has told that the store was restored.
    pub(super) fn misses_history(&self) -> bool {
        self.same_history == Reading::Known(false)
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
        self.wake_again(node);
    }

    fn wake_again(&mut self, node: usize) {
        let now_ms = self.now_ms;
        if let Some(agent) = &mut self.nodes[node].agent
            && agent.next_wake_ms <= now_ms
        {
            agent.next_wake_ms = now_ms + LOOK_MS;
            self.after(LOOK_MS, Event::Wake { node });
        }
    }

    fn host_pass(&mut self, node: usize) {
        let now_ms = self.now_ms;
        if self.nodes[node].host.is_up() && self.nodes[node].host.pass(now_ms, &mut self.random) {
            let power = self.nodes[node].host.power;
            self.lose_power(node, power);
        }
    }

    /// Takes in what the watch has brought, or reads anew after a broken connection.
    fn listen(&mut self, node: usize) {
        let now_ms = self.now_ms;
        let host_ms = self.host_ms(node);
        if now_ms < self.nodes[node].cut_off_until_ms {
            self.nodes[node].well_since_ms = self.nodes[node].cut_off_until_ms;
            if let Some(agent) = &mut self.nodes[node].agent {
                agent.connected = false;
            }
            return;
        }
        let lag_ms = self.nodes[node].lag_ms;
        let seen = self.nodes[node].journal.seen.clone();
        let forgiving = self.variant == Variant::TokenWithoutIncarnation;
        let Some(agent) = &mut self.nodes[node].agent else { return };
        if agent.connected {
            let last = self.commit_times.partition_point(|(_, at)| at + lag_ms <= now_ms);
            let until = last.checked_sub(1).map_or(0, |at| self.commit_times[at].0);
            if let Some(changes) = self.store.changes_after(agent.view.revision) {
                for change in changes.iter().take_while(|change| change.revision <= until) {
                    agent.view.apply(change, host_ms);
                }
            }
            agent.view.heard_ms = Some(host_ms.saturating_sub(lag_ms));
            return;
        }
        // What this process remembers of the store, or what its disk does: the later of the two.
        let remembered = agent
            .known_head()
            .zip(agent.view.incarnation.as_ref())
            .map(|(head, incarnation)| crate::journal::KnownStore { incarnation: incarnation.value.clone(), head });
        let known = match (remembered, seen) {
            (Some(a), Some(b)) if a.head.seq < b.head.seq => Some(b),
            (Some(a), _) => Some(a),
            (None, b) => b,
        };
        let incarnation = match self.store.get(&Key::Incarnation).map(|entry| &entry.value) {
            Some(Record::Incarnation(text)) => text.clone(),
            _ => String::new(),
        };
        let same = known.is_none_or(|known| {
            let hash = match self.store.get(&Key::Audit(known.head.seq)).map(|entry| &entry.value) {
                Some(Record::Audit(record)) => Some(record.hash.clone()),
                _ => None,
            };
            known.is_still(&incarnation, hash.as_deref())
        });
        if same || forgiving {
            agent.view.reload(self.store.all(), self.store.revision(), host_ms);
            agent.own_revision = 0;
            agent.own_head = None;
            agent.connected = true;
            agent.same_history = Reading::Known(true);
        } else {
            agent.same_history = Reading::Known(false);
        }
    }

    fn keep_alive(&mut self, node: usize) {
        let now_ms = self.now_ms;
        let Some(agent) = &self.nodes[node].agent else { return };
        if !agent.connected || now_ms < self.nodes[node].cut_off_until_ms || now_ms < self.store_full_until_ms {
            return;
        }
        if agent.session.is_some() && now_ms - agent.kept_alive_ms < KEEP_ALIVE_MS {
            return;
        }
        let known = agent.session.filter(|id| self.store.has_session(*id));
        let id = match known {
            Some(id) => id,
            None => {
                let id = self.store.begin_session();
                self.sessions.push((id, node, now_ms));
                let name = self.nodes[node].name.clone();
                let boot_id = self.nodes[node].host.boot_id(node);
                let record = Record::Session(SessionRecord { boot_id, version: "sim".to_owned() });
                self.commit(Author::Node(node), &Txn::new().put_in_session(Key::Session(name), record, id));
                id
            }
        };
        for session in self.sessions.iter_mut().filter(|(known, _, _)| *known == id) {
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
            step::decide(&this.journal, &agent.view, &facts, &me)
        };
        match turn {
            Turn::Wait(why) => {
                let told = self.nodes[node].agent.as_ref().is_some_and(|agent| agent.last_wait == why);
                if !told {
                    self.tell(|world| format!("{} {}: waits: {why}", me.node, world.nodes[node].journal.phase));
                }
                if let Some(agent) = &mut self.nodes[node].agent {
                    agent.last_wait = why;
                }
                self.lead(node, &facts);
            }
            Turn::Write(journal) => {
                self.write(node, journal);
                self.after(1, Event::Wake { node });
            }
            Turn::Commit { txn, then } => {
                let txn = self.variant.of_node(txn);
                self.send(node, Pending { txn, then: Then::Write(then), answered_ms: 0, permit: 0 });
            }
            Turn::Act { permit: Some(txn), journal, step } => {
                let txn = self.variant.of_node(txn);
                let pending = Pending { txn, then: Then::Act { journal, step }, answered_ms: self.now_ms, permit: 0 };
                if self.variant == Variant::NoFencing {
                    let id = self.next_id;
                    self.next_id += 1;
                    self.commit(Author::Node(node), &pending.txn);
                    self.in_flight.push((id, pending));
                    let life = self.nodes[node].life;
                    self.after(1, Event::Begin { node, life, id });
                } else {
                    self.send(node, pending);
                }
            }
            Turn::Act { permit: None, journal, step } => {
                self.write(node, journal);
                self.begin_step(node, &step);
            }
        }
    }

    /// As the leader, or standing for it.
    fn lead(&mut self, node: usize, facts: &Facts) {
        let name = self.nodes[node].name.clone();
        let Some(agent) = &self.nodes[node].agent else { return };
        if facts.same_history != Reading::Known(true) || !agent.view.is_in_touch(facts.now_ms) {
            return;
        }
        if agent.view.leader.is_none() {
            let Some(session) = agent.session else { return };
            if let Some(txn) = leader::stand(&agent.view, &name, None, session, facts.unix_seconds) {
                self.send(node, Pending { txn, then: Then::Lead, answered_ms: 0, permit: 0 });
            }
            return;
        }
        let local = Civil::from_seconds(i64::try_from(facts.unix_seconds).unwrap_or(0));
        let moment = Moment {
            now_ms: facts.now_ms,
            unix_seconds: facts.unix_seconds,
            opening: window::opening(&self.policy.windows, local),
            same_history: facts.same_history.clone(),
        };
        let act = if self.variant == Variant::TimedRelease {
            self.timed_release(node, &name).or_else(|| leader::decide(&agent.view, &name, &moment).act)
        } else if self.variant == Variant::UnknownIsOk {
            leader::decide(&self.hopeful(node), &name, &moment).act
        } else {
            leader::decide(&agent.view, &name, &moment).act
        };
        if let Some((what, txn)) = act {
            self.tell(|_| format!("{name} leads: {what}"));
            let txn = self.variant.of_leader(txn);
            self.send(node, Pending { txn, then: Then::Lead, answered_ms: 0, permit: 0 });
        }
    }

    /// The broken rule "unknown counts as good": what was ever reported is taken for now.
    fn hopeful(&self, node: usize) -> View {
        let mut view = self.nodes[node].agent.as_ref().map(|agent| agent.view.clone()).unwrap_or_default();
        let host_ms = self.host_ms(node);
        for report in view.reports.values_mut() {
            report.changed_ms = host_ms;
            report.watched = true;
            report.value.findings.retain(|finding| finding.severity != Severity::Unknown);
        }
        for other in &self.nodes {
            if let Some(seen) = view.reports.get(&other.name) {
                let session = crate::view::Seen {
                    value: SessionRecord { boot_id: String::new(), version: String::new() },
                    created: seen.created,
                    modified: seen.modified,
                    first_seen_ms: host_ms,
                    changed_ms: host_ms,
                    watched: true,
                };
                view.sessions.entry(other.name.clone()).or_insert(session);
            }
        }
        view
    }

    /// The broken rule "an entered lease is free when its time is over".
    fn timed_release(&self, node: usize, name: &str) -> Option<(String, Txn<Key, Record>)> {
        let agent = self.nodes[node].agent.as_ref()?;
        let leader = agent.view.leader.as_ref().filter(|leader| leader.value.node == name)?;
        let host_ms = self.host_ms(node);
        let late = agent.view.leases.values().find(|lease| host_ms.saturating_sub(lease.changed_ms) > 8_000)?;
        let txn = Txn::new()
            .if_created(Key::Leader, leader.created)
            .if_modified(late.value.key(), late.modified)
            .delete(late.value.key());
        Some(("freeing a lease by time".to_owned(), txn))
    }

    /// A transaction reaches the store.
    pub(super) fn arrive(&mut self, node: usize, life: u64, id: u64) {
        let Some((_, pending)) = self.in_flight.iter().find(|(known, _)| *known == id).cloned() else { return };
        let author = match pending.then {
            Then::Lead => Author::Leader(node),
            Then::Write(_) | Then::Act { .. } => Author::Node(node),
        };
        let Some(answer) = self.commit(author, &pending.txn) else { return };
        let (revision, committed) = match answer {
            Answer::Committed { revision } => (revision, true),
            Answer::Conflict { revision } => (revision, false),
        };
        if let Some(way) = self.way(node) {
            self.after(way, Event::Reply { node, life, id, revision, committed });
        }
    }

    pub(super) fn reply(&mut self, node: usize, life: u64, id: u64, revision: Revision, committed: bool) {
        if !self.is_waiting(node, life, id) {
            return;
        }
        if self.put_off(node, Event::Reply { node, life, id, revision, committed }) {
            return;
        }
        let now_ms = self.now_ms;
        let Some((_, pending)) = self.in_flight.iter_mut().find(|(known, _)| *known == id) else { return };
        pending.answered_ms = now_ms;
        pending.permit = revision;
        let then = pending.then.clone();
        let head = pending.txn.ops.iter().find_map(|op| match op {
            Op::Put { value: Record::AuditHead(head), .. } => Some(head.clone()),
            _ => None,
        });
        if let Some(agent) = &mut self.nodes[node].agent {
            agent.own_revision = agent.own_revision.max(revision);
            if committed {
                agent.own_head = head.or(agent.own_head.take());
            }
        }
        match then {
            Then::Act { .. } if committed => {
                let in_ms = self.random.between(1, 40);
                self.after(in_ms, Event::Begin { node, life, id });
                return;
            }
            Then::Write(journal) if committed => self.write(node, journal),
            Then::Act { .. } | Then::Write(_) | Then::Lead => {}
        }
        self.settle(node, id);
        self.after(1, Event::Wake { node });
    }

    /// Nothing came back: what became of it is seen in the store, later.
    pub(super) fn give_up(&mut self, node: usize, life: u64, id: u64) {
        // An answer that came and waits for its act is no silence.
        let answered = self.in_flight.iter().any(|(known, pending)| *known == id && pending.permit > 0);
        if self.is_waiting(node, life, id) && !answered {
            if let Some(agent) = &mut self.nodes[node].agent {
                agent.waits_for = None;
                agent.connected = false;
            }
            self.after(1, Event::Wake { node });
        }
    }

    pub(super) fn begin(&mut self, node: usize, life: u64, id: u64) {
        if self.nodes[node].life != life || self.put_off(node, Event::Begin { node, life, id }) {
            return;
        }
        let Some((_, pending)) = self.in_flight.iter().find(|(known, _)| *known == id).cloned() else { return };
        let Then::Act { journal, .. } = pending.then else { return };
        if self.now_ms - pending.answered_ms > PERMIT_MS {
            self.settle(node, id);
            self.after(1, Event::Wake { node });
            return;
        }
        self.write(node, journal);
        let in_ms = self.random.between(0, 5);
        self.after(in_ms, Event::Start { node, life, id });
    }

    pub(super) fn start(&mut self, node: usize, life: u64, id: u64) {
        if self.nodes[node].life != life || self.put_off(node, Event::Start { node, life, id }) {
            return;
        }
        let Some((_, pending)) = self.in_flight.iter().find(|(known, _)| *known == id).cloned() else { return };
        self.settle(node, id);
        let Then::Act { step, .. } = pending.then else { return };
        // The helper looks again: an old permit, or one that was used, begins nothing (S3, S11).
        let fresh = self.now_ms - pending.answered_ms <= PERMIT_MS;
        let used = self.nodes[node].used_permits.contains(&pending.permit);
        if self.variant == Variant::NoFencing || (fresh && !used) {
            self.nodes[node].used_permits.push(pending.permit);
            self.check_start(node, &step, pending.answered_ms);
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

    fn settle(&mut self, node: usize, id: u64) {
        self.in_flight.retain(|(known, _)| *known != id);
        if let Some(agent) = &mut self.nodes[node].agent
            && agent.waits_for == Some(id)
        {
            agent.waits_for = None;
        }
    }

    /// Writes the journal; a new phase, or the end of a hold, begins with no act.
    fn write(&mut self, node: usize, journal: Journal) {
        let old = &self.nodes[node].journal;
        let fresh = old.phase != journal.phase || (old.hold.is_some() && journal.hold.is_none());
        if old.phase != journal.phase {
            let (from, to) = (old.phase, journal.phase);
            self.tell(|world| format!("{} {from} -> {to}", world.nodes[node].name));
        } else if old.hold != journal.hold {
            let hold = journal.hold.clone();
            self.tell(|world| format!("{} hold: {hold:?}", world.nodes[node].name));
        }
        self.nodes[node].journal = journal;
        if fresh && let Some(agent) = &mut self.nodes[node].agent {
            agent.act = ActState::None;
            agent.act_ends_ms = None;
        }
    }

    fn begin_step(&mut self, node: usize, step: &Step) {
        let now_ms = self.now_ms;
        let lasts_ms = self.random.between(300, 2_500);
        self.tell(|world| format!("{} begins to {}", world.nodes[node].name, step.word()));
        let random = &mut self.random;
        let this = &mut self.nodes[node];
        let host = &mut this.host;
        let Some(agent) = &mut this.agent else { return };
        agent.act = ActState::Running;
        agent.act_ends_ms = Some(now_ms + lasts_ms);
        match step {
            Step::Stage | Step::Restore => {}
            Step::Drain => {
                host.drained = true;
                host.serving = false;
                host.note_service(now_ms);
            }
            Step::Patch => host.begin_apt(now_ms, random),
            Step::Reboot => {
                if !host.curses.reboot_ignored {
                    let in_ms = random.between(50, 800);
                    host.going_down_ms = Some(now_ms + in_ms);
                    self.after(in_ms + 1, Event::HostTick { node });
                }
            }
        }
    }

    /// Milliseconds since the node's boot.
    pub(super) fn host_ms(&self, node: usize) -> u64 {
        self.now_ms.saturating_sub(self.nodes[node].host.booted_ms)
    }

    fn findings(&self, node: usize) -> Vec<Brief> {
        let host = &self.nodes[node].host;
        let mut findings = Vec::new();
        let brief = |check: &str, severity| Brief {
            check: check.to_owned(),
            subject: self.nodes[node].name.clone(),
            severity,
            blocks: true,
            summary: format!("{check} is {severity:?}"),
        };
        if host.sick_since_ms.is_some() && self.variant != Variant::NoHealthGate {
            findings.push(brief("service", Severity::Crit));
        }
        let blind = host.blind_until_ms > self.now_ms && self.variant != Variant::NoHealthGate;
        if blind && self.variant != Variant::UnknownIsOk {
            findings.push(brief("probe", Severity::Unknown));
        }
        findings
    }

    fn facts(&mut self, node: usize) -> Facts {
        let now_ms = self.host_ms(node);
        let findings = self.findings(node);
        let unix_seconds = self.nodes[node].clock_offset + self.now_ms / 1_000;
        let tolerate = self.policy.gates.tolerate.clone();
        let wishful = self.variant == Variant::NoBootIdProof;
        let this = &mut self.nodes[node];
        let host = &this.host;
        let phase = this.journal.phase;
        let baseline = this.journal.journey.as_ref().map(|journey| journey.part.baseline.clone());
        let good = step::bad_gates(&findings, baseline.as_deref(), &tolerate).is_empty();
        let blind = host.blind_until_ms > self.now_ms;
        let (mut act, gates_good_since_ms, same_history) = match &mut this.agent {
            Some(agent) => (agent.act.clone(), agent.streak.note(good, now_ms), agent.same_history.clone()),
            None => (ActState::None, None, Reading::unknown("no agent")),
        };
        if phase == Phase::Patching {
            act = match host.apt {
                Unit::None => ActState::None,
                Unit::Running { .. } => ActState::Running,
                Unit::Ended => ActState::Ended,
                Unit::Failed => ActState::Failed { why: "postinst".to_owned(), next_action: "mend it".to_owned() },
            };
        }
        let tell = |value: bool| if blind { Reading::unknown("blind") } else { Reading::Known(value) };
        let packages = PackageState {
            installed: host.installed,
            whole: host.whole,
            boot_entry: host.default_kernel == NEW_KERNEL,
        };
        let (mut boot_id, mut kernel) = (host.boot_id(node), host.kernel.to_owned());
        if wishful && phase == Phase::RebootArmed && act != ActState::None {
            (boot_id, kernel) = ("believed".to_owned(), NEW_KERNEL.to_owned());
        }
        Facts {
            now_ms,
            unix_seconds,
            boot_id,
            kernel: Reading::Known(kernel),
            boot_complete: Reading::Known(self.now_ms >= host.complete_ms),
            userspace_since_ms: Reading::Known(0),
            findings,
            gates_good_since_ms,
            act,
            drained: tell(host.drained && !host.serving),
            restored: tell(host.serving),
            packages: if blind { Reading::unknown("blind") } else { Reading::Known(packages) },
            same_history,
        }
    }

    /// Reports on every change, and often enough to be fresh.
    fn report(&mut self, node: usize, facts: &Facts) {
        let now_ms = self.now_ms;
        let names: Vec<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        let up = self.nodes.iter().filter(|node| node.host.is_up()).map(|node| node.name.clone()).collect();
        let this = &self.nodes[node];
        let Some(agent) = &this.agent else { return };
        if now_ms < this.cut_off_until_ms || now_ms < self.store_full_until_ms || !agent.connected {
            return;
        }
        let mut report = Report {
            node: this.name.clone(),
            role: "debian".to_owned(),
            boot_id: facts.boot_id.clone(),
            kernel: this.host.kernel.to_owned(),
            version: "sim".to_owned(),
            phase: this.journal.phase,
            waits_for: None,
            hold: this.journal.hold.clone(),
            verdict: facts.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok),
            findings: facts.findings.clone(),
            votes: vec![Votes { set: "store".to_owned(), voters: names, up: Some(up) }],
            plan_floor: this.journal.plan_floor,
            ran: None,
            sequence: 0,
        };
        if let Some((last, at_ms)) = &agent.reported {
            report.sequence = last.sequence;
            if *last == report && now_ms - at_ms < REPORT_MS {
                return;
            }
            report.sequence += 1;
        }
        if now_ms < this.lossy_until_ms && self.random.percent(30) {
            return;
        }
        let key = Key::Report(report.node.clone());
        self.commit(Author::Node(node), &Txn::new().put(key, Record::Report(Box::new(report.clone()))));
        if let Some(agent) = &mut self.nodes[node].agent {
            agent.reported = Some((report, now_ms));
        }
    }
}
