//! Is the Kubernetes cluster whole, and what becomes of it when the nodes that run on this host go down with it?
//!
//! It must never take a cluster that does not answer for one that is drained, nor a word that it does not know for a good
//! one.

mod budgets;
mod flux;
mod nodes;
mod pods;

use super::{Court, Gate, Severity, certificate};
use crate::observed::KubernetesCluster;
use crate::settings::Expected;

/// Findings of one check that are told each for itself. Of more, it is said how many there are.
const SHOWN: usize = 20;

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(cluster) = seen.kubernetes.reading.known() else { return };
    let next = "set `endpoints` below [kubernetes] in agent.toml";
    court.expected("kubernetes.expected", Expected::Kubernetes, "cluster", usize::from(cluster.is_some()), next);
    let Some(cluster) = cluster else { return };
    servers(court, cluster);
    if let Some(until) = cluster.certificate_until_unix_seconds {
        let look = "the client certificate in the file that `kubeconfig` below [kubernetes] in agent.toml names";
        certificate::expiry(court, ("kubernetes.certificate", "agent"), until, look);
    }
    nodes::judge(court, &cluster.nodes);
    budgets::judge(court, cluster);
    pods::judge(court, cluster);
    flux::judge(court, cluster);
}

/// One that is not ready is told, whatever it is not: another one has answered.
fn servers(court: &mut Court<'_>, cluster: &KubernetesCluster) {
    for server in &cluster.servers {
        let name = ("kubernetes.api", server.endpoint.as_str());
        match &server.fault {
            None => court.ok(name, "ready"),
            Some(why) => {
                let evidence = format!("{why}; {} answers; see on its node: systemctl status k3s", cluster.asked);
                let summary = format!("API server {}: {why}", server.endpoint);
                court.find(name, Severity::Warn, Gate::Warns, summary, evidence);
            }
        }
    }
}

/// One thing that is found, before it is told.
struct Found {
    subject: String,
    severity: Severity,
    gate: Gate,
    why: String,
    next: String,
}

/// Tells the worst of what was found of one check, and of the rest how much it is: a cluster may have any number of
/// things, and all of them fall ill together. `all` is said where there is nothing to tell.
fn tell(court: &mut Court<'_>, check: &str, mut found: Vec<Found>, all: String) {
    if found.is_empty() {
        return court.ok((check, "all"), all);
    }
    // What blocks must not be among those that are only counted.
    found.sort_by_key(|one| (one.gate != Gate::Blocks, std::cmp::Reverse(one.severity)));
    let rest = found.split_off(found.len().min(SHOWN));
    for one in found {
        let summary = format!("{}: {}", one.subject, one.why);
        let evidence = format!("{}; {}", one.why, one.next);
        court.find((check, &one.subject), one.severity, one.gate, summary, evidence);
    }
    if let Some(worst) = rest.first() {
        let summary = format!("{} more of {check}", rest.len());
        let severity = rest.iter().map(|one| one.severity).max().unwrap_or(worst.severity);
        court.find((check, "others"), severity, worst.gate, summary, worst.next.clone());
    }
}

/// Tells that something could not be listed.
fn not_listed(court: &mut Court<'_>, (check, subject): (&str, &str), what: &str, why: &str) {
    let summary = format!("{what} cannot be listed");
    court.find((check, subject), Severity::Unknown, Gate::Blocks, summary, why);
}

#[cfg(test)]
mod tests;
