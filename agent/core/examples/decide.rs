//! How long one decision of the leader takes, on the view it would have of fleets of 3, 300 and 10,000 nodes:
//! `cargo run --profile simulate -p hardstand-core --example decide`
//!
//! The view is the committed one, in the middle of a rollout: half of the groups have a node in maintenance, so their next
//! nodes wait, and the rest are blocked by a report, so that every group is judged to its end and nothing is granted.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use hardstand_core::fleet::{Fleet, Gates, Group, Policy, UpdatePolicy};
use hardstand_core::health::Severity;
use hardstand_core::leader::{Moment, decide};
use hardstand_core::lease::{Lease, LeaseState, Purpose};
use hardstand_core::phase::Phase;
use hardstand_core::plan::{NodePlan, PackageSet, Plan, Reboot, RebootKind, Timeouts};
use hardstand_core::reading::Reading;
use hardstand_core::rollout::{LeaderRecord, Rollout, RolloutState, SessionRecord};
use hardstand_core::status::{Brief, Report, Votes};
use hardstand_core::view::{Seen, View};
use hardstand_core::window::Opening;

const SIZES: [usize; 3] = [3, 300, 10_000];
/// Nodes of a group; each votes in the set of its group's first three.
const GROUP: usize = 10;
/// The median of so many decisions is told.
const TIMES: usize = 51;

fn main() {
    for nodes in SIZES {
        let view = view(nodes);
        let moment =
            Moment { now_ms: 1_000, unix_seconds: 0, opening: Opening::Always, same_history: Reading::Known(true) };
        let mut took: Vec<Duration> = (0..TIMES)
            .map(|_| {
                let begin = Instant::now();
                let turn = black_box(decide(black_box(&view), &name(0), &moment));
                let took = begin.elapsed();
                assert!(turn.act.is_none(), "nothing is granted, so all is judged: {:?}", turn.act);
                assert!(turn.waiting.len() >= nodes.div_ceil(GROUP) / 2, "groups wait");
                took
            })
            .collect();
        took.sort();
        println!("{nodes} nodes: {:.3} ms", took[TIMES / 2].as_secs_f64() * 1_000.0);
    }
}

fn name(at: usize) -> String {
    format!("node{at:05}.example")
}

fn seen<T>(value: T) -> Seen<T> {
    Seen { value, created: 1, modified: 1, first_seen_ms: 0, changed_ms: 0, watched: true }
}

fn view(nodes: usize) -> View {
    let groups = groups(nodes);
    let mut view = View { revision: 1, heard_ms: Some(0), ..View::default() };
    view.incarnation = Some(seen("life".to_owned()));
    view.leader = Some(seen(LeaderRecord { node: name(0) }));
    view.plans.insert("plan".to_owned(), seen(plan(&groups)));
    view.rollout = Some(seen(Rollout {
        plan: "plan".to_owned(),
        name: "2026-12".to_owned(),
        serial: 1,
        state: RolloutState::Running,
        by: String::new(),
        reason: String::new(),
        started_unix_seconds: 0,
    }));
    for (at, group) in groups.iter().enumerate() {
        let busy = at % 2 == 0;
        if busy {
            view.leases.insert((group.name.clone(), 0), seen(lease(group)));
        }
        for (place, node) in group.nodes.iter().enumerate() {
            let session = SessionRecord { boot_id: "boot".to_owned(), version: String::new() };
            view.sessions.insert(node.clone(), seen(session));
            view.reports.insert(node.clone(), seen(report(node, group, place == 0, busy)));
        }
    }
    for (node, lease) in view.leases.values().map(|lease| (lease.value.node.clone(), lease.clone())) {
        let token = lease.value.token(lease.created);
        let order = hardstand_core::rollout::Order {
            uid: hardstand_core::rollout::Order::uid("plan", &token),
            node: node.clone(),
            plan: "plan".to_owned(),
            token,
            epoch: 1,
            rollout_modified: 1,
        };
        view.orders.insert(node, seen(order));
    }
    view.policy = Some(seen(policy(groups)));
    view
}

fn groups(nodes: usize) -> Vec<Group> {
    let names: Vec<String> = (0..nodes).map(name).collect();
    let group = |(at, nodes): (usize, &[String])| Group {
        name: format!("group{at}"),
        nodes: nodes.to_vec(),
        max_down: 1,
        order: Vec::new(),
        alone: Vec::new(),
        store_hosts: Vec::new(),
    };
    names.chunks(GROUP).enumerate().map(group).collect()
}

fn policy(groups: Vec<Group>) -> Policy {
    Policy {
        fleet: Fleet { name: "large".to_owned(), time_zone: "UTC".to_owned() },
        groups,
        windows: BTreeMap::new(),
        gates: Gates::default(),
        timeouts: Timeouts::default(),
        updates: UpdatePolicy::default(),
        services: Vec::new(),
        fleetlock: None,
    }
}

fn plan(groups: &[Group]) -> Plan {
    let part = |group: &Group, node: &String| NodePlan {
        node: node.clone(),
        group: group.name.clone(),
        alone: false,
        packages: PackageSet::default(),
        reboot: Reboot { kind: RebootKind::Full, why: String::new() },
        drain: true,
        stay_seconds: 0,
        kernel: None,
        baseline: Vec::new(),
        estimate_seconds: 0,
    };
    Plan {
        name: "2026-12".to_owned(),
        serial: 1,
        policy: String::new(),
        nodes: groups.iter().flat_map(|group| group.nodes.iter().map(move |node| part(group, node))).collect(),
        timeouts: Timeouts::default(),
        streak_seconds: 120,
        by: String::new(),
        made_unix_seconds: 0,
    }
}

fn lease(group: &Group) -> Lease {
    Lease {
        node: group.nodes[0].clone(),
        group: group.name.clone(),
        slot: 0,
        purpose: Purpose::Plan("plan".to_owned()),
        state: LeaseState::Entered,
        phase: Phase::Patching,
        incarnation: "life".to_owned(),
        epoch: 1,
        deadline_seconds: 3_600,
        boot_id_before: None,
    }
}

fn report(node: &str, group: &Group, first: bool, busy: bool) -> Report {
    let voters: Vec<String> = group.nodes.iter().take(3).cloned().collect();
    let bad = Brief {
        check: "zfs.pool".to_owned(),
        subject: "tank".to_owned(),
        severity: Severity::Warn,
        blocks: true,
        summary: "pool tank resilvers".to_owned(),
    };
    Report {
        node: node.to_owned(),
        role: "debian".to_owned(),
        boot_id: "boot".to_owned(),
        kernel: "6.12.1".to_owned(),
        version: "0.1.0".to_owned(),
        phase: if first && busy { Phase::Patching } else { Phase::Idle },
        waits_for: None,
        hold: None,
        verdict: Severity::Ok,
        findings: if first && !busy { vec![bad] } else { Vec::new() },
        votes: vec![Votes {
            set: "corosync".to_owned(),
            voters: voters.clone(),
            weights: Vec::new(),
            needed: None,
            up: Some(voters),
            age_ms: 0,
        }],
        plan_floor: 0,
        ran: None,
        sequence: 1,
    }
}
