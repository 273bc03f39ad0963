//! Tests of the judgement of a Kubernetes cluster.

use std::collections::BTreeMap;

use super::super::tests::well;
use super::super::{Finding, Health, judge};
use super::*;
use crate::observed::{
    FluxObject, KubeBudget, KubeClaim, KubeCondition, KubeNode, KubePod, KubeServer, LabelRequirement, LabelSelector,
};
use crate::{History, Reading, Sample, Settings};

fn condition(kind: &str, status: &str) -> KubeCondition {
    let (reason, message) = (Some(format!("{kind}Reason")), Some("the message".to_owned()));
    KubeCondition { kind: kind.to_owned(), status: status.to_owned(), reason, message }
}

fn node(name: &str, etcd: bool) -> KubeNode {
    let conditions = vec![condition("MemoryPressure", "False"), condition("Ready", "True")];
    KubeNode { name: name.to_owned(), control_plane: etcd, etcd, conditions, ..KubeNode::default() }
}

fn labels(app: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("app".to_owned(), app.to_owned())])
}

fn pod(name: &str, app: &str) -> KubePod {
    KubePod {
        namespace: "home".to_owned(),
        name: name.to_owned(),
        node: "a".to_owned(),
        phase: Some("Running".to_owned()),
        labels: labels(app),
        controller: Some("ReplicaSet".to_owned()),
        ..KubePod::default()
    }
}

/// Of three replicas two must stay.
fn budget(name: &str, app: &str) -> KubeBudget {
    KubeBudget {
        namespace: "home".to_owned(),
        name: name.to_owned(),
        selector: Some(LabelSelector { labels: labels(app), requirements: Vec::new() }),
        is_current: true,
        allowed: Some(1),
        healthy: Some(3),
        desired: Some(2),
        expected: Some(3),
        fault: None,
    }
}

fn flux(name: &str, ready: &str, reason: &str) -> FluxObject {
    let ready = KubeCondition { reason: Some(reason.to_owned()), ..condition("Ready", ready) };
    FluxObject {
        namespace: "flux-system".to_owned(),
        name: name.to_owned(),
        suspended: false,
        is_current: true,
        ready: Some(ready),
    }
}

/// Three servers with etcd and a worker, of which a server is on this host.
fn good() -> KubernetesCluster {
    KubernetesCluster {
        servers: vec![KubeServer { endpoint: "https://a:6443".to_owned(), fault: None }],
        asked: "https://a:6443".to_owned(),
        certificate_until_unix_seconds: None,
        nodes: vec![node("a", true), node("b", true), node("c", true), node("w", false)],
        budgets: Reading::Known(vec![budget("web", "web")]),
        pods: Reading::Known(vec![pod("web-1", "web")]),
        local_claims: Reading::Known(Vec::new()),
        kustomizations: Reading::Known(Some(vec![flux("apps", "True", "ReconciliationSucceeded")])),
        helm_releases: Reading::Known(Some(Vec::new())),
    }
}

fn settings(nodes: &[&str]) -> Settings {
    let mut settings = Settings::default();
    settings.kubernetes.nodes = nodes.iter().map(|name| (*name).to_owned()).collect();
    settings
}

fn judged_with(cluster: Option<KubernetesCluster>, settings: &Settings) -> Health {
    let mut seen = well(0.0);
    seen.kubernetes = Sample::fresh(cluster, 0.1);
    judge(&seen, settings, &mut History::default())
}

fn bad(health: &Health) -> Vec<&Finding> {
    let ours = health.findings.iter().filter(|found| found.check.starts_with("kubernetes."));
    ours.filter(|found| found.severity != Severity::Ok).collect()
}

/// What is found of a cluster with one thing changed: check, subject, severity, gate; and what is said.
fn judged(change: impl FnOnce(&mut KubernetesCluster)) -> Vec<(String, Severity, Gate, String)> {
    let mut cluster = good();
    change(&mut cluster);
    let health = judged_with(Some(cluster), &settings(&["a"]));
    let told = |found: &&Finding| {
        let name = format!("{} {}", found.check.trim_start_matches("kubernetes."), found.subject);
        (name, found.severity, found.gate, format!("{}; {}", found.summary, found.evidence))
    };
    bad(&health).iter().map(told).collect()
}

/// Holds that one thing is found, and nothing else.
#[track_caller]
fn only(found: &[(String, Severity, Gate, String)], name: &str, severity: Severity, gate: Gate, words: &str) {
    let [one] = found else { panic!("one finding, not {found:#?}") };
    assert_eq!((one.0.as_str(), one.1, one.2), (name, severity, gate), "{one:?}");
    assert!(one.3.contains(words), "{words:?} in {one:?}");
}

#[test]
fn a_cluster_that_is_well_is_told_to_be_and_none_is_no_finding() {
    assert_eq!(judged(|_| {}), []);
    let health = judged_with(Some(good()), &settings(&["a"]));
    let checks: Vec<&str> = health.findings.iter().map(|found| found.check.as_str()).collect();
    for check in ["api", "budget", "flux", "node", "pods", "quorum", "schedulable", "stuck", "volumes"] {
        assert!(checks.contains(&format!("kubernetes.{check}").as_str()), "{check} is told");
    }
    let none = judged_with(None, &Settings::default());
    assert!(none.findings.iter().all(|found| !found.check.starts_with("kubernetes")));
    let mut expecting = Settings::default();
    expecting.node.expect = vec![Expected::Kubernetes];
    let none = judged_with(None, &expecting);
    assert_eq!((bad(&none)[0].check.as_str(), bad(&none)[0].gate), ("kubernetes.expected", Gate::Blocks));
}

#[test]
fn an_api_that_does_not_answer_is_unknown_and_keeps_the_node_up() {
    let mut seen = well(0.0);
    seen.kubernetes = Sample { kept: Some(Some(good())), ..Sample::never("no API server answers") };
    let health = judge(&seen, &settings(&["a"]), &mut History::default());
    assert!(health.findings.iter().all(|found| !found.check.starts_with("kubernetes")), "what is kept is not judged");
    let found = health.findings.iter().find(|found| (&*found.check, &*found.subject) == ("collector", "kubernetes"));
    assert_eq!(found.map(|found| (found.severity, found.gate)), Some((Severity::Unknown, Gate::Blocks)));
    let found = judged(|cluster| {
        let fault = Some("connection refused".to_owned());
        cluster.servers.insert(0, KubeServer { endpoint: "https://b:6443".to_owned(), fault });
    });
    only(&found, "api https://b:6443", Severity::Warn, Gate::Warns, "refused; https://a:6443 answers");
}

#[test]
fn nodes_are_judged_by_what_they_say_and_by_whose_they_are() {
    let (crit, unknown, warn) = (Severity::Crit, Severity::Unknown, Severity::Warn);
    for (place, kind, status, severity, gate, words) in [
        // The worker is somebody else's, the first server is ours.
        (3, "Ready", "False", crit, Gate::Blocks, "it is not ready (ReadyReason: the message)"),
        (3, "Ready", "Unknown", crit, Gate::Blocks, "it is not heard from"),
        (3, "Ready", "Perhaps", unknown, Gate::Blocks, "told as \"Perhaps\""),
        (0, "Ready", "False", crit, Gate::Warns, "kubectl describe node a"),
        (0, "Ready", "Unknown", crit, Gate::Warns, "it is not heard from"),
        (0, "Ready", "Perhaps", unknown, Gate::Blocks, "told as \"Perhaps\""),
        (3, "MemoryPressure", "True", warn, Gate::Warns, "MemoryPressure: the message"),
        (3, "MemoryPressure", "Perhaps", unknown, Gate::Warns, "MemoryPressure is told as \"Perhaps\""),
        (3, "MemoryPressure", "Unknown", unknown, Gate::Warns, "MemoryPressure is told as \"Unknown\""),
    ] {
        let mut name = String::new();
        let found = judged(|cluster| {
            let node = &mut cluster.nodes[place];
            name = format!("node {}", node.name);
            node.conditions.retain(|condition| condition.kind != kind);
            node.conditions.push(condition(kind, status));
        });
        only(&found, &name, severity, gate, words);
    }
    let found = judged(|cluster| cluster.nodes[3].conditions.clear());
    only(&found, "node w", unknown, Gate::Blocks, "does not tell whether it is ready");
    let found = judged(|cluster| cluster.nodes[3].conditions.push(condition("Whatever", "True")));
    assert_eq!(found, [], "what a condition of somebody else's means is not known");
    let found = judged(|cluster| cluster.nodes[3].unschedulable = true);
    only(&found, "schedulable w", warn, Gate::Warns, "kubectl uncordon w");
    let gone = judged_with(Some(good()), &settings(&["a", "x"]));
    assert_eq!((bad(&gone)[0].subject.as_str(), bad(&gone)[0].gate), ("x", Gate::Blocks));
}

#[test]
fn etcd_keeps_its_quorum_or_the_host_stays() {
    let down = |node: &mut KubeNode| node.conditions = vec![condition("Ready", "Unknown")];
    // Servers with etcd; of them not ready; here; what is found of the quorum.
    for (total, not_ready, here, expected) in [
        (3, &[][..], &["a"][..], None),
        (3, &["b"], &["a"], Some((Severity::Warn, Gate::Blocks, "bring back those"))),
        (3, &["a"], &["a"], None),
        (3, &[], &["a", "b"], Some((Severity::Warn, Gate::Blocks, "move one of them to another host"))),
        (3, &["b"], &[], None),
        (3, &["b"], &["w"], None),
        (5, &["b"], &["a"], None),
        (5, &["b", "c"], &["a"], Some((Severity::Warn, Gate::Blocks, "2 of 3 servers"))),
        (2, &[], &["a"], Some((Severity::Warn, Gate::Warns, "goes down with this host (a)"))),
        (1, &[], &["a"], Some((Severity::Info, Gate::None, "goes down with this host (a)"))),
        (1, &[], &["w"], None),
    ] {
        let mut cluster = good();
        cluster.nodes = ["a", "b", "c", "d", "e"][..total].iter().map(|name| node(name, true)).collect();
        cluster.nodes.push(node("w", false));
        cluster.nodes.iter_mut().filter(|node| not_ready.contains(&node.name.as_str())).for_each(down);
        let health = judged_with(Some(cluster), &settings(here));
        let found = bad(&health).into_iter().find(|found| found.check == "kubernetes.quorum");
        let told = found.map(|found| (found.severity, found.gate, format!("{}; {}", found.summary, found.evidence)));
        let case = format!("{total} servers without {not_ready:?}, {here:?} here: {told:?}");
        assert_eq!(told.as_ref().map(|told| (told.0, told.1)), expected.map(|told| (told.0, told.1)), "{case}");
        assert!(told.is_none_or(|told| told.2.contains(expected.unwrap().2)), "{case}");
    }
}

#[test]
fn a_member_of_etcd_that_learns_has_no_vote_and_without_etcd_one_server_is_enough() {
    let found = judged(|cluster| cluster.nodes[1].conditions.push(condition("EtcdIsVoter", "False")));
    only(&found, "quorum servers", Severity::Warn, Gate::Warns, "of 2 servers with etcd, 1 are ready elsewhere, 2 are");
    let found = judged(|cluster| cluster.nodes.iter_mut().for_each(|node| node.etcd = false));
    assert_eq!(found, [], "two more servers run the API");
    let found = judged(|cluster| {
        cluster.nodes.iter_mut().for_each(|node| (node.etcd, node.control_plane) = (false, node.name == "a"));
    });
    only(&found, "quorum servers", Severity::Info, Gate::None, "the API of Kubernetes goes down with this host (a)");
    let found = judged(|cluster| {
        cluster.nodes.iter_mut().for_each(|node| (node.etcd, node.control_plane) = (false, false));
    });
    only(&found, "quorum servers", Severity::Info, Gate::None, "no node is labelled");
}

#[test]
fn budgets_are_held_against_the_pods_on_this_host() {
    let with = |change: fn(&mut KubeBudget)| {
        judged(|cluster| {
            let mut budget = budget("web", "web");
            change(&mut budget);
            cluster.budgets = Reading::Known(vec![budget]);
        })
    };
    let numbers = |budget: &mut KubeBudget, allowed, healthy, desired, expected| {
        budget.allowed = Some(allowed);
        (budget.healthy, budget.desired, budget.expected) = (Some(healthy), Some(desired), Some(expected));
    };
    let (name, warn) = ("budget home/web", Severity::Warn);
    let found = judged(|cluster| {
        let Reading::Known(budgets) = &mut cluster.budgets else { panic!("they are known") };
        numbers(&mut budgets[0], 0, 1, 2, 3);
    });
    only(&found, name, warn, Gate::Blocks, "1 of 2 pods that must be healthy are");
    for (healthy, desired, expected, words) in
        [(2, 2, 3, "lets web-1 not go now: 2 healthy of 3, 2 must stay"), (1, 1, 1, "never lets web-1 go: 1 of 1")]
    {
        let found = judged(|cluster| {
            let Reading::Known(budgets) = &mut cluster.budgets else { panic!("they are known") };
            numbers(&mut budgets[0], 0, healthy, desired, expected);
        });
        only(&found, name, warn, Gate::Warns, words);
    }
    only(&with(|budget| budget.is_current = false), name, Severity::Unknown, Gate::Blocks, "before it was changed");
    only(&with(|budget| budget.desired = None), name, Severity::Unknown, Gate::Blocks, "are not told");
    only(&with(|budget| budget.fault = Some("no owner".into())), name, warn, Gate::Warns, "be evicted (no owner)");
    let nothing = with(|budget| (budget.expected, budget.healthy, budget.allowed) = (Some(0), Some(0), Some(0)));
    only(&nothing, name, Severity::Info, Gate::None, "it selects no pod");
    // What it does not select here, it does not keep here.
    assert_eq!(with(|budget| (budget.allowed, budget.selector) = (Some(0), None)), []);
    let other = |budget: &mut KubeBudget| {
        (budget.allowed, budget.healthy, budget.namespace) = (Some(0), Some(2), "other".to_owned());
    };
    assert_eq!(with(other), []);
    let odd = with(|budget| {
        let gt = LabelRequirement { key: "app".into(), operator: "Gt".into(), values: vec!["3".into()] };
        (budget.allowed, budget.healthy) = (Some(0), Some(2));
        budget.selector = Some(LabelSelector { requirements: vec![gt], ..LabelSelector::default() });
    });
    only(&odd, name, Severity::Unknown, Gate::Warns, "unknown operator");
    let twice = judged(|cluster| {
        let all = KubeBudget { selector: Some(LabelSelector::default()), ..budget("all", "") };
        cluster.budgets = Reading::Known(vec![budget("web", "web"), all]);
    });
    only(&twice, "budget twice", warn, Gate::Warns, "home/web-1 can never be evicted: two budgets select each");
}

#[test]
fn of_many_findings_the_blocking_ones_are_told_and_the_rest_is_counted() {
    let found = judged(|cluster| {
        let budgets = (0..30).map(|number| KubeBudget {
            desired: (number >= 28).then_some(4),
            allowed: Some(0),
            ..budget(&format!("web{number:02}"), "none")
        });
        cluster.budgets = Reading::Known(budgets.collect());
    });
    assert_eq!(found.len(), SHOWN + 1, "{found:#?}");
    assert!(found.iter().any(|one| one.0 == "budget others" && one.2 == Gate::Blocks && one.3.contains("10 more")));
}

#[test]
fn pods_that_would_be_lost_bound_or_stuck_are_told_by_their_node() {
    let with = |change: fn(&mut KubePod)| {
        judged(|cluster| {
            let mut changed = pod("db-0", "db");
            change(&mut changed);
            cluster.pods = Reading::Known(vec![pod("web-1", "web"), changed]);
            let claim = KubeClaim { namespace: "home".to_owned(), name: "data".to_owned() };
            cluster.local_claims = Reading::Known(vec![claim]);
        })
    };
    let warn = Severity::Warn;
    let lost = with(|pod| pod.controller = None);
    only(&lost, "pods a", warn, Gate::Warns, "a: a drain would lose 1 pods (home/db-0)");
    let bound = with(|pod| pod.claims = vec!["data".to_owned()]);
    only(&bound, "volumes a", warn, Gate::Warns, "1 pods are bound to it by their volumes (home/db-0)");
    let scratch = with(|pod| pod.has_scratch = true);
    only(&scratch, "volumes a", Severity::Info, Gate::None, "1 give up scratch space (emptyDir): home/db-0");
    let stuck = with(|pod| pod.overdue_seconds = Some(301.0));
    only(&stuck, "stuck a", warn, Gate::Warns, "gone for up to 5 min");
    let odd = with(|pod| pod.phase = Some("Dreaming".to_owned()));
    only(&odd, "pods a", Severity::Unknown, Gate::Warns, "phases that are not known here: Dreaming");
    for harmless in [
        |pod: &mut KubePod| pod.overdue_seconds = Some(-20.0),
        |pod: &mut KubePod| pod.claims = vec!["shared".to_owned()],
        |pod: &mut KubePod| (pod.namespace, pod.claims) = ("other".to_owned(), vec!["data".to_owned()]),
        |pod: &mut KubePod| (pod.controller, pod.is_mirror) = (None, true),
        |pod: &mut KubePod| (pod.controller, pod.phase) = (None, Some("Succeeded".to_owned())),
        |pod: &mut KubePod| (pod.controller, pod.has_scratch) = (Some("DaemonSet".to_owned()), true),
        |pod: &mut KubePod| (pod.controller, pod.node) = (None, "b".to_owned()),
    ] {
        assert_eq!(with(harmless), []);
    }
}

#[test]
fn flux_is_told_where_it_is_not_ready() {
    let with = |object: FluxObject| judged(|cluster| cluster.helm_releases = Reading::Known(Some(vec![object])));
    let name = "flux helmrelease flux-system/wiki";
    let found = with(flux("wiki", "False", "InstallFailed"));
    only(&found, name, Severity::Warn, Gate::Warns, "it is not ready (InstallFailed: the message)");
    let suspended = FluxObject { suspended: true, ..flux("wiki", "False", "InstallFailed") };
    only(&with(suspended), name, Severity::Info, Gate::None, "it is suspended");
    only(&with(flux("wiki", "Unknown", "Progressing")), name, Severity::Info, Gate::None, "on its way");
    only(&with(flux("wiki", "Unknown", "Odd")), name, Severity::Unknown, Gate::Warns, "is not known (Odd");
    only(&with(flux("wiki", "Perhaps", "Odd")), name, Severity::Unknown, Gate::Warns, "told as \"Perhaps\"");
    let old = FluxObject { is_current: false, ..flux("wiki", "True", "InstallSucceeded") };
    only(&with(old), name, Severity::Info, Gate::None, "not taken up its last change");
    let untold = FluxObject { ready: None, ..flux("wiki", "True", "") };
    only(&with(untold), name, Severity::Unknown, Gate::Warns, "not told yet");
    // A cluster without Flux is no finding, but where it must be there.
    let mut cluster = good();
    (cluster.kustomizations, cluster.helm_releases) = (Reading::Known(None), Reading::Known(None));
    let mut settings = settings(&["a"]);
    assert!(bad(&judged_with(Some(cluster.clone()), &settings)).is_empty());
    settings.kubernetes.require_flux = true;
    let health = judged_with(Some(cluster), &settings);
    assert_eq!((bad(&health)[0].severity, bad(&health)[0].gate), (Severity::Crit, Gate::Blocks));
}

#[test]
fn what_cannot_be_listed_is_unknown_alone() {
    const WHY: &str = "it may not list them";
    let blocks = Gate::Blocks;
    only(&judged(|c| c.budgets = Reading::unknown(WHY)), "budget all", Severity::Unknown, blocks, WHY);
    only(&judged(|c| c.pods = Reading::unknown(WHY)), "pods all", Severity::Unknown, blocks, WHY);
    only(&judged(|c| c.local_claims = Reading::unknown("no")), "volumes all", Severity::Unknown, Gate::Warns, "no");
    let flux = judged(|c| c.kustomizations = Reading::unknown("no"));
    only(&flux, "flux kustomization", Severity::Unknown, blocks, "Flux's kustomizations cannot be listed");
}

#[test]
fn our_certificate_is_told_before_it_expires() {
    let now = well(0.0).at.unix_seconds;
    let found = judged(|cluster| cluster.certificate_until_unix_seconds = Some(now + 86_400 * 10));
    only(&found, "certificate agent", Severity::Warn, Gate::Warns, "certificate of agent expires in 10 days");
}
