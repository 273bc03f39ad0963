//! A Kubernetes cluster, under kube-state-metrics' names where the meaning is the same.
//!
//! It must never have a series for each thing of a cluster: those of this node's, and counts of the rest.

use hardstand_core::observed::{FluxObject, KubeBudget, KubeNode, KubernetesCluster};
use hardstand_core::{Observed, Reading};

use super::page::{Kind, Page};

/// Budgets that have series of their own; which are told first, the ones without room.
const BUDGETS: usize = 50;

pub(super) fn write(page: &mut Page, observed: &Observed) {
    let cluster = observed.kubernetes.shown().and_then(Option::as_ref);
    let mut api = page.family("hardstand_kubernetes_api_up", Kind::Gauge, "Whether an API server says it is ready.");
    for server in cluster.iter().flat_map(|cluster| &cluster.servers) {
        api.flag(&[("endpoint", &server.endpoint)], server.fault.is_none());
    }
    nodes(page, cluster);
    budgets(page, cluster);
    pods(page, cluster);
    flux(page, cluster);
}

fn nodes(page: &mut Page, cluster: Option<&KubernetesCluster>) {
    let nodes = || cluster.iter().flat_map(|cluster| &cluster.nodes);
    let status = |node: &KubeNode| match node.condition("Ready").map(|one| &*one.status) {
        Some("True") => "true",
        Some("False") => "false",
        _ => "unknown",
    };
    let help = "Nodes of the cluster by whether they are ready.";
    let mut counts = page.family("hardstand_kubernetes_nodes", Kind::Gauge, help);
    for ready in ["true", "false", "unknown"] {
        let count = nodes().filter(|node| status(node) == ready).count();
        counts.optional(&[("ready", ready)], cluster.map(|_| count as f64));
    }
    let help = "Nodes of the cluster that somebody has cordoned.";
    let cordoned = nodes().filter(|node| node.unschedulable).count();
    page.family("hardstand_kubernetes_nodes_unschedulable", Kind::Gauge, help)
        .optional(&[], cluster.map(|_| cordoned as f64));
}

fn budgets(page: &mut Page, cluster: Option<&KubernetesCluster>) {
    let mut budgets: Vec<&KubeBudget> =
        cluster.and_then(|cluster| cluster.budgets.known()).into_iter().flatten().collect();
    let count = cluster.and_then(|cluster| cluster.budgets.known()).map(Vec::len);
    page.family("hardstand_kubernetes_budgets", Kind::Gauge, "Disruption budgets of the cluster.")
        .optional(&[], count.map(|count| count as f64));
    budgets.sort_by_key(|budget| (budget.allowed, &budget.namespace, &budget.name));
    budgets.truncate(BUDGETS);
    type Number = fn(&KubeBudget) -> Option<i64>;
    let families: [(&str, &str, Number); 3] = [
        (
            "kube_poddisruptionbudget_status_pod_disruptions_allowed",
            "Pods of a disruption budget that may go now.",
            |budget| budget.allowed,
        ),
        ("kube_poddisruptionbudget_status_current_healthy", "Healthy pods of a disruption budget.", |budget| {
            budget.healthy
        }),
        (
            "kube_poddisruptionbudget_status_desired_healthy",
            "Pods of a disruption budget that must be healthy.",
            |budget| budget.desired,
        ),
    ];
    for (name, help, number) in families {
        let mut family = page.family(name, Kind::Gauge, help);
        for budget in &budgets {
            let labels = [("namespace", &*budget.namespace), ("poddisruptionbudget", &*budget.name)];
            family.optional(&labels, number(budget).map(|number| number as f64));
        }
    }
}

fn pods(page: &mut Page, cluster: Option<&KubernetesCluster>) {
    let pods = cluster.and_then(|cluster| cluster.pods.known());
    let help = "Pods on the cluster's nodes that run on this host.";
    page.family("hardstand_kubernetes_pods", Kind::Gauge, help).optional(&[], pods.map(|pods| pods.len() as f64));
}

fn flux(page: &mut Page, cluster: Option<&KubernetesCluster>) {
    let help = "Objects of Flux by what they say of themselves.";
    let mut family = page.family("hardstand_kubernetes_flux_objects", Kind::Gauge, help);
    let Some(cluster) = cluster else { return };
    for (kind, listed) in [("kustomization", &cluster.kustomizations), ("helmrelease", &cluster.helm_releases)] {
        let Reading::Known(Some(objects)) = listed else { continue };
        for state in ["ready", "failed", "suspended", "unknown"] {
            let count = objects.iter().filter(|object| state_of(object) == state).count();
            family.sample(&[("kind", kind), ("state", state)], count as f64);
        }
    }
}

fn state_of(object: &FluxObject) -> &'static str {
    match object.ready.as_ref().map(|ready| ready.status.as_str()) {
        _ if object.suspended => "suspended",
        Some("True") => "ready",
        Some("False") => "failed",
        _ => "unknown",
    }
}
