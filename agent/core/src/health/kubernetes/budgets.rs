//! Disruption budgets: met, and with room for the pods on this host.
//!
//! It must never take a budget whose numbers are old, or not told, for one that lets pods go.

use super::super::{Court, Gate, Severity, names};
use super::{Found, not_listed, pods, tell};
use crate::observed::{KubeBudget, KubePod, KubernetesCluster};

const LOOK: &str = "see: kubectl describe poddisruptionbudget --namespace";

pub(super) fn judge(court: &mut Court<'_>, cluster: &KubernetesCluster) {
    let check = "kubernetes.budget";
    let budgets = match &cluster.budgets {
        crate::Reading::Known(budgets) => budgets,
        crate::Reading::Unknown { why } => return not_listed(court, (check, "all"), "disruption budgets", why),
    };
    let evicted = |pod: &&KubePod| pods::is_evicted(pod);
    let here: Vec<&KubePod> = cluster.pods.known().into_iter().flatten().filter(evicted).collect();
    let mut found: Vec<Found> = budgets.iter().filter_map(|budget| fault(budget, &here)).collect();
    found.extend(twice(budgets, &here));
    tell(court, check, found, format!("{}, all met, none in the way", budgets.len()));
}

/// The pods here that a budget is about; `None` where its selector cannot be made out.
fn selected<'a>(budget: &KubeBudget, here: &[&'a KubePod]) -> Option<Vec<&'a KubePod>> {
    let Some(selector) = &budget.selector else { return Some(Vec::new()) };
    let mut chosen = Vec::new();
    for pod in here.iter().filter(|pod| pod.namespace == budget.namespace) {
        if selector.selects(&pod.labels)? {
            chosen.push(*pod);
        }
    }
    Some(chosen)
}

fn fault(budget: &KubeBudget, here: &[&KubePod]) -> Option<Found> {
    let found = |severity, gate, why: String, next: &str| {
        let next = format!("{next}{LOOK} {} {}", budget.namespace, budget.name);
        Some(Found { subject: subject(budget), severity, gate, why, next })
    };
    if let Some(fault) = &budget.fault {
        let why = format!("no pod that it selects can be evicted ({fault})");
        return found(Severity::Warn, Gate::Warns, why, "");
    }
    let numbers = (budget.healthy, budget.desired, budget.expected, budget.allowed);
    let (Some(healthy), Some(desired), Some(expected), Some(allowed)) = numbers else {
        return found(Severity::Unknown, Gate::Blocks, "its numbers are not told".to_owned(), "");
    };
    if !budget.is_current {
        let why = "its numbers are of before it was changed";
        return found(Severity::Unknown, Gate::Blocks, why.to_owned(), "");
    }
    if expected == 0 {
        // Nothing of it runs, which may be meant: it cannot be told from here.
        let why = "it guards nothing, for it selects no pod";
        return (desired > 0).then(|| found(Severity::Info, Gate::None, why.to_owned(), ""))?;
    }
    if healthy < desired {
        let why = format!("{healthy} of {desired} pods that must be healthy are");
        return found(Severity::Warn, Gate::Blocks, why, "mend them first; ");
    }
    if allowed > 0 {
        return None;
    }
    let Some(chosen) = selected(budget, here) else {
        let why = "it lets nothing go, and which pods it selects is not known: its selector has an unknown operator";
        return found(Severity::Unknown, Gate::Warns, why.to_owned(), "");
    };
    if chosen.is_empty() {
        return None;
    }
    let pods = names(chosen.iter().map(|pod| pod.name.as_str()));
    let (why, next) = if desired >= expected {
        let why = format!("it never lets {pods} go: {desired} of {expected} pods must stay");
        (why, "a drain would wait for ever; run one pod more, or ask for one less; ")
    } else {
        let why = format!("it lets {pods} not go now: {healthy} healthy of {expected}, {desired} must stay");
        (why, "a drain would wait until more are healthy; ")
    };
    found(Severity::Warn, Gate::Warns, why, next)
}

/// Pods that several budgets select: Kubernetes refuses to evict them, however much room each has.
fn twice(budgets: &[KubeBudget], here: &[&KubePod]) -> Option<Found> {
    let count = |pod: &&&KubePod| {
        let about = |budget: &&KubeBudget| selected(budget, &[**pod]).is_some_and(|chosen| !chosen.is_empty());
        budgets.iter().filter(about).count()
    };
    let pods: Vec<String> = here.iter().filter(|pod| count(pod) > 1).map(|pod| pods::subject(pod)).collect();
    (!pods.is_empty()).then(|| Found {
        subject: "twice".to_owned(),
        severity: Severity::Warn,
        gate: Gate::Warns,
        why: format!("{} can never be evicted: two budgets select each", names(pods.iter().map(String::as_str))),
        next: "take one of the budgets away; see: kubectl get poddisruptionbudgets --all-namespaces".to_owned(),
    })
}

fn subject(budget: &KubeBudget) -> String {
    format!("{}/{}", budget.namespace, budget.name)
}
