//! Pods on the nodes that go down with this host: those that a drain would lose, strand or wait for.
//!
//! It must never say one thing for each pod: there may be hundreds.

use std::collections::BTreeSet;

use super::super::{Court, Gate, Severity, names, span};
use super::not_listed;
use crate::Reading;
use crate::observed::{KubeClaim, KubePod, KubernetesCluster};

/// A pod that should have been gone for longer than this does not end by itself. Its own time to end is over by then.
const STUCK_SECONDS: f64 = 300.0;

/// Whether a drain evicts it. What a DaemonSet or the kubelet itself runs stays on the node.
pub(super) fn is_evicted(pod: &KubePod) -> bool {
    let is_over = matches!(pod.phase.as_deref(), Some("Succeeded" | "Failed"));
    !is_over && !pod.is_mirror && pod.controller.as_deref() != Some("DaemonSet")
}

pub(super) fn subject(pod: &KubePod) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

pub(super) fn judge(court: &mut Court<'_>, cluster: &KubernetesCluster) {
    let settings = court.settings;
    if settings.kubernetes.nodes.is_empty() {
        return;
    }
    let pods = match &cluster.pods {
        Reading::Known(pods) => pods,
        Reading::Unknown { why } => return not_listed(court, ("kubernetes.pods", "all"), "pods", why),
    };
    if let Reading::Unknown { why } = &cluster.local_claims {
        court.find(("kubernetes.volumes", "all"), Severity::Unknown, Gate::Warns, "volumes cannot be listed", why);
    }
    for node in &settings.kubernetes.nodes {
        let here: Vec<&KubePod> = pods.iter().filter(|pod| pod.node == *node).collect();
        kept(court, node, &here);
        if let Some(claims) = cluster.local_claims.known() {
            volumes(court, node, &here, claims);
        }
        stuck(court, node, &here);
    }
}

/// Nobody makes a pod anew that no controller has made.
fn kept(court: &mut Court<'_>, node: &str, here: &[&KubePod]) {
    let name = ("kubernetes.pods", node);
    let moved: Vec<&&KubePod> = here.iter().filter(|pod| is_evicted(pod)).collect();
    let phases = ["Pending", "Running", "Succeeded", "Failed", "Unknown"];
    let odd: BTreeSet<&str> =
        here.iter().map(|pod| pod.phase.as_deref().unwrap_or("none")).filter(|phase| !phases.contains(phase)).collect();
    if !odd.is_empty() {
        let why = format!("pods are in phases that are not known here: {}", names(odd));
        let look = format!("{why}; see: kubectl get pods --all-namespaces --field-selector spec.nodeName={node}");
        return court.find(name, Severity::Unknown, Gate::Warns, format!("{node}: {why}"), look);
    }
    let alone: Vec<String> = moved.iter().filter(|pod| pod.controller.is_none()).map(|pod| subject(pod)).collect();
    if alone.is_empty() {
        return court.ok(name, format!("{} pods, {} of them would move", here.len(), moved.len()));
    }
    let listed = names(alone.iter().map(String::as_str));
    let evidence = format!(
        "no controller makes {listed} anew: a drain would lose them; run each by a Deployment, a StatefulSet or a Job"
    );
    let summary = format!("{node}: a drain would lose {} pods ({listed})", alone.len());
    court.find(name, Severity::Warn, Gate::Warns, summary, evidence);
}

/// A volume on the node's own disk keeps its pod from starting elsewhere; scratch space is given up, as it is meant to be.
fn volumes(court: &mut Court<'_>, node: &str, here: &[&KubePod], claims: &[KubeClaim]) {
    let name = ("kubernetes.volumes", node);
    let local: BTreeSet<(&str, &str)> =
        claims.iter().map(|claim| (claim.namespace.as_str(), claim.name.as_str())).collect();
    let is_bound = |pod: &&&KubePod| pod.claims.iter().any(|claim| local.contains(&(pod.namespace.as_str(), claim)));
    let moved = || here.iter().filter(|pod| is_evicted(pod));
    let bound: Vec<String> = moved().filter(is_bound).map(|pod| subject(pod)).collect();
    let scratch: Vec<String> = moved().filter(|pod| pod.has_scratch).map(|pod| subject(pod)).collect();
    let given_up = match scratch.len() {
        0 => "no pod gives up scratch space (emptyDir)".to_owned(),
        count => format!("{count} give up scratch space (emptyDir): {}", names(scratch.iter().map(String::as_str))),
    };
    if !bound.is_empty() {
        let listed = names(bound.iter().map(String::as_str));
        let summary = format!("{node}: {} pods are bound to it by their volumes ({listed})", bound.len());
        let evidence = format!(
            "what they keep lies on the node's own disk (local-path, hostPath), so they wait until it is back; {given_up}; \
             see: kubectl get persistentvolumes"
        );
        return court.find(name, Severity::Warn, Gate::Warns, summary, evidence);
    }
    if scratch.is_empty() {
        return court.ok(name, given_up);
    }
    court.find(name, Severity::Info, Gate::None, format!("{node}: {given_up}"), "a drain gives it up for good");
}

/// Pods that were told to end, and have not, long after their own time for it.
fn stuck(court: &mut Court<'_>, node: &str, here: &[&KubePod]) {
    let name = ("kubernetes.stuck", node);
    let overdue = |pod: &KubePod| pod.overdue_seconds.filter(|seconds| *seconds > STUCK_SECONDS);
    let pods: Vec<(&KubePod, f64)> = here.iter().filter_map(|pod| Some((*pod, overdue(pod)?))).collect();
    let Some(longest) = pods.iter().map(|(_, seconds)| *seconds).reduce(f64::max) else {
        return court.ok(name, format!("of {} pods none is stuck", here.len()));
    };
    let listed: Vec<String> = pods.iter().map(|(pod, _)| subject(pod)).collect();
    let listed = names(listed.iter().map(String::as_str));
    let summary = format!("{node}: {} pods do not end ({listed})", pods.len());
    let evidence = format!(
        "they should have been gone for up to {}; look at finalizers, at volumes that cannot be unmounted, and at the \
         kubelet; see: kubectl describe pod",
        span(longest)
    );
    court.find(name, Severity::Warn, Gate::Warns, summary, evidence);
}
