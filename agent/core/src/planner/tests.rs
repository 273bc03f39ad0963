//! Orders, parts and refusals, as tables.

use super::*;
use crate::fixture::{self, report, seen};
use crate::health::Severity;
use crate::lease::Token;
use crate::phase::Phase;
use crate::plan::PackageChange;
use crate::rollout::{Ask, Done, Ending};
use crate::safety;
use crate::status::Brief;
use crate::window::Opening;

fn group(name: &str, nodes: &[&str]) -> Group {
    Group {
        name: name.to_owned(),
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        max_down: 1,
        order: Vec::new(),
        alone: Vec::new(),
        store_hosts: Vec::new(),
    }
}

fn policy(groups: Vec<Group>) -> Policy {
    Policy { groups, ..fixture::policy() }
}

fn set(names: &[&str]) -> PackageSet {
    let change = |name: &&str| PackageChange {
        name: (*name).to_owned(),
        architecture: "amd64".to_owned(),
        from: Some("1".to_owned()),
        to: Some("2".to_owned()),
        security: false,
    };
    PackageSet::new(names.iter().map(change).collect())
}

fn updates(names: &[&str], kind: RebootKind) -> Updates {
    Updates {
        packages: set(names),
        reboot: Reboot { kind, why: "a new kernel".to_owned() },
        kernel: (kind == RebootKind::Full).then(|| "7.3".to_owned()),
        on_offer_seconds: 0,
        answers: 0,
        download_bytes: 1,
        failed: None,
    }
}

/// Three nodes with an update that reboots.
fn fleet() -> View {
    let mut view = View { policy: Some(seen(policy(vec![group("all", &["pve1", "pve2", "nas"])]))), ..View::default() };
    for node in ["pve1", "pve2", "nas"] {
        view.reports.insert(node.to_owned(), seen(report(node)));
        view.updates.insert(node.to_owned(), seen(updates(&["linux", "curl"], RebootKind::Full)));
    }
    view
}

fn wish() -> Wish {
    Wish { name: "2026-12".to_owned(), packages: true, by: "operator:anna".to_owned(), ..Wish::default() }
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.nodes.iter().map(|part| part.node.as_str()).collect()
}

#[test]
fn nodes_go_in_the_policy_s_order_and_store_hosts_last() {
    let ordered = |change: fn(&mut Policy)| {
        let mut policy = policy(vec![group("a", &["a1", "a2", "a3"]), group("b", &["b1", "b2"])]);
        change(&mut policy);
        order(&policy).into_iter().map(|(_, node)| node.to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ordered(|_| {}), "a1 a2 a3 b1 b2");
    assert_eq!(ordered(|policy| policy.groups[0].order = vec!["a3".to_owned()]), "a3 a1 a2 b1 b2");
    assert_eq!(ordered(|policy| policy.groups[0].store_hosts = vec!["a1".to_owned()]), "a2 a3 b1 b2 a1");
    assert_eq!(ordered(|policy| policy.groups[0].alone = vec!["a2".to_owned()]), "a1 a3 b1 b2 a2");
    assert_eq!(ordered(|policy| policy.updates.canary = Some("b2".to_owned())), "b2 a1 a2 a3 b1");
}

#[test]
fn a_plan_holds_what_each_node_has_said() {
    let mut view = fleet();
    let warning = Brief {
        check: "clock.sync".to_owned(),
        subject: "clock".to_owned(),
        severity: Severity::Warn,
        blocks: false,
        summary: "late".to_owned(),
    };
    view.reports.get_mut("pve2").unwrap().value.findings = vec![warning.clone()];
    view.reports.get_mut("nas").unwrap().value.plan_floor = 6;
    view.updates.insert("pve1".to_owned(), seen(updates(&["curl"], RebootKind::None)));
    let plan = plan(&view, &wish()).unwrap();
    assert_eq!(names(&plan), ["pve1", "pve2", "nas"]);
    assert_eq!(plan.serial, 7, "higher than what a node has obeyed");
    let [pve1, pve2, _] = &plan.nodes[..] else { panic!("three") };
    assert_eq!((pve1.drain, &pve1.kernel, pve1.packages.changes().len()), (false, &None, 1));
    assert_eq!((pve2.drain, pve2.kernel.as_deref()), (true, Some("7.3")));
    assert_eq!(pve2.baseline, [warning]);
    assert!(pve2.estimate_seconds > pve1.estimate_seconds);
}

#[test]
fn what_is_not_known_is_refused_with_a_way_out() {
    type Break = fn(&mut View);
    let cases: [(Break, &str); 6] = [
        (|view| view.policy = None, "no policy is applied"),
        (|view| drop(view.reports.remove("pve2")), "pve2 has never reported"),
        (|view| drop(view.updates.remove("pve2")), "pve2 has not said yet"),
        (|view| view.updates.get_mut("nas").unwrap().value.failed = Some("dpkg".to_owned()), "nas cannot tell"),
        (|view| view.ask = Some(seen(Ask { refresh: 1 })), "pve1 still refreshes"),
        (
            |view| {
                for said in view.updates.values_mut() {
                    said.value = updates(&[], RebootKind::None);
                }
            },
            "no node has anything",
        ),
    ];
    for (spoil, wanted) in cases {
        let mut view = fleet();
        spoil(&mut view);
        let wrong = plan(&view, &wish()).unwrap_err();
        assert!(wrong.iter().any(|one| one.why.contains(wanted)), "{wanted}: {wrong:?}");
        assert!(wrong.iter().all(|one| !one.way_out.is_empty()));
    }
    let wrong = plan(&fleet(), &Wish { nodes: vec!["pve9".to_owned()], ..wish() }).unwrap_err();
    assert_eq!(wrong[0].why, "pve9 is in no group");
}

#[test]
fn a_reboot_alone_is_a_plan_and_never_lessens_what_packages_need() {
    let reboot = |kind| Some((kind, "firmware is staged".to_owned()));
    let alone = Wish { packages: false, reboot: reboot(RebootKind::Full), ..wish() };
    let made = plan(&fleet(), &alone).unwrap();
    assert!(made.nodes.iter().all(|part| part.packages.is_empty() && part.drain && part.kernel.is_none()));
    assert_eq!(made.nodes[0].reboot.why, "firmware is staged");
    let both = plan(&fleet(), &Wish { reboot: reboot(RebootKind::SoftReboot), ..wish() }).unwrap();
    assert_eq!(both.nodes[0].reboot.kind, RebootKind::Full);
}

#[test]
fn what_a_node_took_last_time_is_the_estimate() {
    let mut view = fleet();
    let old = plan(&view, &wish()).unwrap();
    view.plans.insert("old".to_owned(), seen(old));
    let done = Done {
        node: "pve1".to_owned(),
        ending: Ending::Verified,
        token: Token { incarnation: "i".to_owned(), revision: 1 },
        boot_id: "b".to_owned(),
        kernel: "7.3".to_owned(),
        spent: vec![(Phase::Staged, 100), (Phase::Patching, 23)],
    };
    view.done.insert(("old".to_owned(), "pve1".to_owned()), seen(done));
    let made = plan(&view, &wish()).unwrap();
    assert_eq!(made.nodes[0].estimate_seconds, 123);
    assert_ne!(made.nodes[1].estimate_seconds, 123);
    assert_eq!(made.serial, 2);
}

/// What of the updates' age and of the store's host is in the way of `node`.
fn in_the_way(view: &View, node: &str) -> Vec<String> {
    let (_, plan) = view.plan().unwrap();
    let part = plan.value.of(node).unwrap();
    let blockers = safety::blockers(view, part, &Opening::Always, 0);
    blockers
        .into_iter()
        .map(|one| one.check)
        .filter(|check| check.contains("updates") || check.contains("store."))
        .collect()
}

/// The fleet with a plan under way.
fn under_way(change: fn(&mut Policy)) -> View {
    let mut view = fleet();
    change(&mut view.policy.as_mut().unwrap().value);
    let made = plan(&view, &wish()).unwrap();
    view.plans.insert("new".to_owned(), seen(made));
    view.rollout = Some(seen(crate::rollout::Rollout {
        plan: "new".to_owned(),
        name: "2026-12".to_owned(),
        serial: 1,
        state: crate::rollout::RolloutState::Running,
        by: "operator:anna".to_owned(),
        reason: String::new(),
        started_unix_seconds: 0,
    }));
    view
}

#[test]
fn a_set_waits_until_it_is_old_enough_or_the_canary_has_run_it() {
    let mut view = under_way(|policy| policy.updates.cool_hours = 24);
    assert_eq!(in_the_way(&view, "pve1"), ["updates.cool"]);
    view.updates.get_mut("pve1").unwrap().value.on_offer_seconds = 24 * 3_600;
    assert_eq!(in_the_way(&view, "pve1"), [""; 0]);

    let mut view = under_way(|policy| {
        policy.updates.canary = Some("pve2".to_owned());
        policy.updates.canary_hours = 5;
    });
    assert_eq!(in_the_way(&view, "pve2"), [""; 0], "the canary goes first");
    assert_eq!(in_the_way(&view, "pve1"), ["updates.canary"]);
    let mut ran = |hours| view.reports.get_mut("pve2").unwrap().value.ran = Some(("new".to_owned(), hours));
    ran(4);
    assert_eq!(in_the_way(&view, "pve1"), ["updates.canary"], "not long enough");
    view.reports.get_mut("pve2").unwrap().value.ran = Some(("new".to_owned(), 5));
    assert_eq!(in_the_way(&view, "pve1"), [""; 0]);
    let part = view.plans.get_mut("new").unwrap().value.nodes.iter_mut().find(|part| part.node == "nas").unwrap();
    part.packages = set(&["curl", "zfsutils"]);
    assert_eq!(in_the_way(&view, "nas"), ["updates.canary"], "the canary has no zfsutils");
}

#[test]
fn the_store_s_host_waits_for_every_other_node() {
    let mut view = under_way(|policy| {
        policy.groups = vec![group("a", &["pve1", "pve2"]), group("b", &["nas"])];
        policy.groups[1].store_hosts = vec!["nas".to_owned()];
    });
    assert_eq!(in_the_way(&view, "pve1"), [""; 0]);
    assert_eq!(in_the_way(&view, "nas"), ["store.last"]);
    for node in ["pve1", "pve2"] {
        let done = Done {
            node: node.to_owned(),
            ending: Ending::Verified,
            token: Token { incarnation: "i".to_owned(), revision: 1 },
            boot_id: "b".to_owned(),
            kernel: "7.3".to_owned(),
            spent: Vec::new(),
        };
        view.done.insert(("new".to_owned(), node.to_owned()), seen(done));
    }
    assert_eq!(in_the_way(&view, "nas"), [""; 0]);
}
