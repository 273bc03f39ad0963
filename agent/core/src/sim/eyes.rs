//! What an agent sees of its host, and what it reports of it.
//!
//! It must never see more than a real one: what a probe cannot tell is unknown, and a report is as old as it is.

use super::check::Author;
use super::host::{NEW_KERNEL, Unit};
use super::variant::Variant;
use super::world::World;
use crate::health::Severity;
use crate::phase::Phase;
use crate::reading::Reading;
use crate::status::{Brief, Report, Votes};
use crate::step::{self, ActState, Facts, PackageState, Questions};
use crate::store::{Key, Record, Txn};

/// How often a node reports while a rollout runs.
const REPORT_MS: u64 = 3_000;
/// The voting set of the simulated fleet.
const SET: &str = "store";

/// The last report, without its text.
#[derive(Debug, Clone)]
pub(super) struct Reported {
    at_ms: u64,
    sequence: u64,
    phase: Phase,
    holds: Option<bool>,
    boot: u64,
    findings: Vec<Brief>,
    up: u64,
}

/// What a probe says, if it is asked and not blind.
fn tell<T>(asked: bool, blind: bool, value: T) -> Reading<T> {
    match (asked, blind) {
        (false, _) => Reading::unknown("not asked"),
        (true, true) => Reading::unknown("blind"),
        (true, false) => Reading::Known(value),
    }
}

impl World {
    /// Milliseconds since the node's boot.
    pub(super) fn host_ms(&self, node: usize) -> u64 {
        self.now_ms.saturating_sub(self.nodes[node].host.booted_ms)
    }

    fn findings(&self, node: usize) -> Vec<Brief> {
        let host = &self.nodes[node].host;
        let mut findings = Vec::new();
        if self.variant == Variant::NoHealthGate {
            return findings;
        }
        let mut find = |check: &str, severity: Severity, summary: &str| {
            let subject = self.nodes[node].name.clone();
            let summary = summary.to_owned();
            findings.push(Brief { check: check.to_owned(), subject, severity, blocks: true, summary });
        };
        if host.sick_since_ms.is_some() {
            find("units.failed", Severity::Crit, "a service stays down");
        }
        if host.is_degraded(self.now_ms) {
            find("zfs.resilver", Severity::Warn, "a pool resilvers");
        }
        if host.is_blind(self.now_ms) && self.variant != Variant::UnknownIsOk {
            find("probe", Severity::Unknown, "a probe does not answer");
        }
        findings
    }

    pub(super) fn facts(&mut self, node: usize) -> Facts {
        let now_ms = self.host_ms(node);
        let findings = self.findings(node);
        let unix_seconds = self.nodes[node].clock_offset + self.now_ms / 1_000;
        let this = &mut self.nodes[node];
        let host = &this.host;
        let phase = this.journal.phase;
        let baseline = this.journal.journey.as_ref().map(|journey| journey.part.baseline.as_slice());
        let good = step::bad_gates(&findings, baseline, &self.policy.gates.tolerate).is_empty();
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
        let asked = Questions::of(&this.journal, &act);
        let blind = host.is_blind(self.now_ms);
        let packages = PackageState {
            installed: host.installed,
            whole: host.whole,
            boot_entry: host.default_kernel == NEW_KERNEL,
        };
        let (mut boot_id, mut kernel) = (host.boot_id.clone(), host.kernel);
        if self.variant == Variant::NoBootIdProof {
            if phase == Phase::RebootArmed && act != ActState::None {
                "believed".clone_into(&mut boot_id);
            }
            if phase >= Phase::RebootArmed {
                kernel = NEW_KERNEL;
            }
        }
        Facts {
            now_ms,
            unix_seconds,
            boot_id,
            kernel: Reading::Known(kernel.to_owned()),
            boot_complete: Reading::Known(self.now_ms >= host.complete_ms),
            userspace_since_ms: tell(asked.userspace, blind, 0),
            findings,
            gates_good_since_ms,
            act,
            drained: tell(asked.drained, blind, host.drained && !host.serving),
            restored: tell(asked.restored, blind, host.serving),
            packages: tell(asked.packages, blind, packages),
            same_history,
        }
    }

    /// Reports on every change, and often enough to be fresh.
    pub(super) fn report(&mut self, node: usize, facts: &Facts) {
        let now_ms = self.now_ms;
        let up = (0..self.voters).filter(|voter| self.nodes[*voter].host.is_up()).fold(0, |up, voter| up | 1 << voter);
        let shut = self.is_cut_off(node) || self.store_is_shut();
        let this = &self.nodes[node];
        let Some(agent) = &this.agent else { return };
        if shut || !agent.connected {
            return;
        }
        let mut told = Reported {
            at_ms: now_ms,
            sequence: 0,
            phase: this.journal.phase,
            holds: this.journal.hold.as_ref().map(|hold| hold.told),
            boot: this.host.boot,
            findings: Vec::new(),
            up,
        };
        let mut fresh = true;
        if let Some(last) = &agent.reported {
            told.sequence = last.sequence + 1;
            fresh = (last.phase, last.holds, last.boot, last.up) != (told.phase, told.holds, told.boot, told.up)
                || last.findings != facts.findings;
            if !fresh && now_ms - last.at_ms < REPORT_MS {
                return;
            }
        }
        if now_ms < this.lossy_until_ms && self.random.percent(30) {
            return;
        }
        told.findings.clone_from(&facts.findings);
        let report = self.written(node, facts, &told);
        let key = Key::Report(report.node.clone());
        self.commit(Author::Node(node), Txn::new().put(key, Record::Report(Box::new(report))));
        if let Some(agent) = &mut self.nodes[node].agent {
            agent.reported = Some(told);
        }
        if fresh {
            self.watchers_wake();
        }
    }

    fn written(&self, node: usize, facts: &Facts, told: &Reported) -> Report {
        let this = &self.nodes[node];
        let names = |mask: u64| {
            let listed = (0..self.voters).filter(|voter| mask & 1 << voter != 0);
            listed.map(|voter| self.nodes[voter].name.clone()).collect::<Vec<_>>()
        };
        let votes = || Votes {
            set: SET.to_owned(),
            voters: names(u64::MAX),
            weights: Vec::new(),
            needed: None,
            up: Some(names(told.up)),
            age_ms: 0,
        };
        Report {
            node: this.name.clone(),
            role: String::new(),
            boot_id: facts.boot_id.clone(),
            kernel: this.host.kernel.to_owned(),
            version: String::new(),
            phase: told.phase,
            waits_for: None,
            hold: this.journal.hold.clone(),
            verdict: facts.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok),
            findings: facts.findings.clone(),
            votes: if node < self.voters { vec![votes()] } else { Vec::new() },
            plan_floor: this.journal.plan_floor,
            ran: None,
            sequence: told.sequence,
        }
    }
}
