//! A small fleet on a store in memory, for the tests of rules: three nodes, a plan, a rollout under way.
//!
//! It must never write around the store: what a test sees was committed, with its conditions.

use crate::fleet::{Fleet as Name, Gates, Group, Policy, UpdatePolicy};
use crate::health::Severity;
use crate::leader::{self, LeaderTurn, Moment};
use crate::operator::{self, Person};
use crate::phase::Phase;
use crate::plan::{NodePlan, PackageChange, PackageSet, Plan, Reboot, RebootKind, Timeouts};
use crate::reading::Reading;
use crate::rollout::SessionRecord;
use crate::status::{Brief, Report, Votes};
use crate::store::{Answer, Key, Model, Record, Txn};
use crate::view::{Flow, Seen, View};
use crate::window::Opening;

/// The nodes; the first leads.
pub(crate) const NODES: [&str; 3] = ["pve1", "pve2", "nas"];
/// The kernel that the plan brings.
pub(crate) const NEW_KERNEL: &str = "7.3.1";
/// When everything is looked at, in milliseconds of the looker's boot.
pub(crate) const NOW_MS: u64 = 100_000_000;
/// The plan under way.
pub(crate) const PLAN: &str = "plan-1";

pub(crate) struct Fleet {
    pub(crate) store: Model<Key, Record>,
    /// What a test changes of what was read.
    pub(crate) view: View,
}

impl Fleet {
    /// Founded, planned, approved and started; `pve1` leads; every node has a session and a fresh report.
    pub(crate) fn under_way() -> Self {
        Self::with(policy(), |_| {})
    }

    /// The same, under this policy, with a plan changed by `change`.
    pub(crate) fn with(policy: Policy, change: impl FnOnce(&mut Plan)) -> Self {
        let mut fleet = Self { store: Model::default(), view: View::default() };
        let anna = person();
        let mut plan = plan(&policy);
        change(&mut plan);
        fleet.write(operator::adopt(&fleet.view, &anna, "life-1".to_owned(), "founded"));
        let applied = operator::apply_policy(&fleet.view, &anna, policy, "first").expect("a good policy");
        fleet.write(applied);
        fleet.write(operator::keep_plan(&fleet.view, &anna, PLAN, plan));
        let approval = operator::approve(&fleet.view, &anna, &fleet.view.plans[PLAN], PLAN, "tested");
        fleet.write(approval);
        fleet.write(operator::start(&fleet.view, &anna, PLAN, "updates").expect("it can start"));
        for node in NODES {
            let session = fleet.store.begin_session();
            let record = Record::Session(SessionRecord { boot_id: "boot-1".to_owned(), version: String::new() });
            fleet.write(Txn::new().put_in_session(Key::Session(node.to_owned()), record, session));
            if node == NODES[0] {
                fleet.write(leader::stand(&fleet.view, node, session, 0).expect("the throne is empty"));
            }
            fleet.report(report(node));
        }
        fleet
    }

    /// Commits what must commit, and reads anew.
    pub(crate) fn write(&mut self, txn: Txn<Key, Record>) {
        assert!(self.commit(&txn), "it commits: {txn:?}");
    }

    /// Commits, and reads anew. False: a condition did not hold.
    pub(crate) fn commit(&mut self, txn: &Txn<Key, Record>) -> bool {
        let committed = matches!(self.store.commit(txn), Some(Answer::Committed { .. }));
        self.view.reload(self.store.all(), self.store.revision(), NOW_MS);
        for report in self.view.reports.values_mut() {
            report.watched = true;
        }
        self.view.flow = Flow::steady(NOW_MS);
        committed
    }

    pub(crate) fn report(&mut self, report: Report) {
        self.write(Txn::new().put(Key::Report(report.node.clone()), Record::Report(Box::new(report))));
    }

    /// What the leader does and who waits.
    pub(crate) fn decide(&self) -> LeaderTurn {
        leader::decide(&self.view, NODES[0], &moment())
    }

    /// The leader acts, as long as it has something to do; what it did.
    pub(crate) fn lead(&mut self) -> Vec<String> {
        let mut did = Vec::new();
        while let Some((what, txn)) = self.decide().act {
            self.write(txn);
            did.push(what);
            assert!(did.len() < 20, "the leader comes to an end: {did:?}");
        }
        did
    }
}

/// A record as it is read, for what a test puts into a view by itself.
pub(crate) fn seen<T>(value: T) -> Seen<T> {
    Seen { value, created: 1, modified: 1, first_seen_ms: 0, changed_ms: 0, watched: true }
}

pub(crate) fn moment() -> Moment {
    Moment { now_ms: NOW_MS, unix_seconds: 0, opening: Opening::Always, same_history: Reading::Known(true) }
}

pub(crate) fn person() -> Person {
    Person { name: "anna".to_owned(), unix_seconds: 0 }
}

/// One group of all nodes; one may be down; the storage box goes alone.
pub(crate) fn policy() -> Policy {
    let group = Group {
        name: "cluster".to_owned(),
        nodes: NODES.map(ToOwned::to_owned).to_vec(),
        max_down: 1,
        order: Vec::new(),
        alone: vec!["nas".to_owned()],
        store_hosts: Vec::new(),
    };
    Policy {
        fleet: Name { name: "home".to_owned(), time_zone: "UTC".to_owned() },
        groups: vec![group],
        windows: std::collections::BTreeMap::new(),
        gates: Gates { streak_seconds: 20, tolerate: Vec::new() },
        timeouts: Timeouts::default(),
        updates: UpdatePolicy::default(),
        services: Vec::new(),
        fleetlock: None,
    }
}

fn plan(policy: &Policy) -> Plan {
    let change = PackageChange {
        name: "linux-image".to_owned(),
        architecture: "amd64".to_owned(),
        from: Some("1".to_owned()),
        to: Some("2".to_owned()),
        security: true,
    };
    let part = |node: &str| NodePlan {
        node: node.to_owned(),
        group: "cluster".to_owned(),
        alone: policy.groups.iter().any(|group| group.alone.iter().chain(&group.store_hosts).any(|name| name == node)),
        packages: PackageSet::new(vec![change.clone()]),
        reboot: Reboot { kind: RebootKind::Full, why: "a new kernel".to_owned() },
        drain: true,
        stay_seconds: 0,
        kernel: Some(NEW_KERNEL.to_owned()),
        baseline: Vec::new(),
        estimate_seconds: 60,
    };
    Plan {
        name: "2026-12".to_owned(),
        serial: 1,
        policy: String::new(),
        nodes: NODES.map(part).to_vec(),
        timeouts: policy.timeouts,
        streak_seconds: policy.gates.streak_seconds,
        by: "operator:anna".to_owned(),
        made_unix_seconds: 0,
    }
}

/// A sound, idle node that sees every voter.
pub(crate) fn report(node: &str) -> Report {
    let all = || NODES.map(ToOwned::to_owned).to_vec();
    Report {
        node: node.to_owned(),
        role: "proxmox".to_owned(),
        boot_id: "boot-1".to_owned(),
        kernel: "7.3.0".to_owned(),
        version: "0.1.0".to_owned(),
        phase: Phase::Idle,
        waits_for: None,
        hold: None,
        verdict: Severity::Ok,
        findings: Vec::new(),
        votes: vec![Votes {
            set: "corosync".to_owned(),
            voters: all(),
            weights: Vec::new(),
            needed: None,
            up: Some(all()),
            age_ms: 0,
        }],
        plan_floor: 0,
        ran: None,
        sequence: 1,
    }
}

pub(crate) fn finding(check: &str, severity: Severity) -> Brief {
    Brief {
        check: check.to_owned(),
        subject: "tank".to_owned(),
        severity,
        blocks: true,
        summary: format!("{check} is {severity:?}"),
    }
}
