//! Flux: is what is declared in git brought about?
//!
//! It must never take an object that nobody has judged yet for a ready one.

use super::super::{Court, Gate, Severity};
use super::{Found, not_listed, tell};
use crate::Reading;
use crate::observed::{FluxObject, KubernetesCluster};

const CHECK: &str = "kubernetes.flux";
/// Reasons of an object that is on its way and has not failed on it.
const PROGRESSING: [&str; 1] = ["Progressing"];

pub(super) fn judge(court: &mut Court<'_>, cluster: &KubernetesCluster) {
    let kinds = [("kustomization", &cluster.kustomizations), ("helmrelease", &cluster.helm_releases)];
    let mut objects: Vec<(&str, &FluxObject)> = Vec::new();
    for (kind, listed) in kinds {
        match listed {
            Reading::Unknown { why } => not_listed(court, (CHECK, kind), &format!("Flux's {kind}s"), why),
            Reading::Known(Some(all)) => objects.extend(all.iter().map(|one| (kind, one))),
            Reading::Known(None) if court.settings.kubernetes.require_flux => missing(court, kind),
            Reading::Known(None) => {}
        }
    }
    if kinds.iter().any(|(_, listed)| listed.known().is_some_and(Option::is_some)) {
        let found = objects.iter().filter_map(|(kind, object)| fault(kind, object)).collect();
        tell(court, CHECK, found, format!("{} objects, all ready", objects.len()));
    }
}

fn missing(court: &mut Court<'_>, kind: &str) {
    let summary = format!("the cluster knows no {kind} of Flux");
    let evidence = "`require_flux` is set below [kubernetes], so it should be there; see: flux check";
    court.find((CHECK, kind), Severity::Crit, Gate::Blocks, summary, evidence);
}

fn fault(kind: &str, object: &FluxObject) -> Option<Found> {
    let found = |severity, gate, why: String| {
        let FluxObject { namespace, name, .. } = object;
        let subject = format!("{kind} {namespace}/{name}");
        let next = format!("see: kubectl --namespace {namespace} describe {kind} {name}");
        Some(Found { subject, severity, gate, why, next })
    };
    if object.suspended {
        let why = "it is suspended: Flux leaves it as it is until it is resumed";
        return found(Severity::Info, Gate::None, why.to_owned());
    }
    let Some(ready) = &object.ready else {
        return found(Severity::Unknown, Gate::Warns, "whether it is ready is not told yet".to_owned());
    };
    let reason = ready.reason.as_deref().unwrap_or_default();
    let told = format!("{reason}: {}", ready.message.as_deref().unwrap_or_default());
    match ready.status.as_str() {
        "True" if object.is_current => None,
        "True" => found(Severity::Info, Gate::None, "Flux has not taken up its last change yet".to_owned()),
        "False" => found(Severity::Warn, Gate::Warns, format!("it is not ready ({told})")),
        "Unknown" if PROGRESSING.contains(&reason) => {
            found(Severity::Info, Gate::None, format!("it is on its way ({told})"))
        }
        "Unknown" => found(Severity::Unknown, Gate::Warns, format!("whether it is ready is not known ({told})")),
        odd => found(Severity::Unknown, Gate::Warns, format!("whether it is ready is told as {odd:?}")),
    }
}
