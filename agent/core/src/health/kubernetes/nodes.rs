//! Nodes: ready, schedulable, and enough of them left to keep etcd and the API when those of this host leave.
//!
//! It must never count on a server that is not ready, nor on one that goes down with this host.

use super::super::{Court, Gate, Severity, names};
use super::{Found, tell};
use crate::observed::KubeNode;

const LOOK: &str = "see: kubectl describe node";
/// Conditions of Kubernetes' own that are bad when they hold. Others are not known to be good or bad.
const BAD: [&str; 4] = ["DiskPressure", "MemoryPressure", "NetworkUnavailable", "PIDPressure"];
/// K3s says with it whether a member of etcd votes; one that is learning does not.
const VOTER: &str = "EtcdIsVoter";

pub(super) fn judge(court: &mut Court<'_>, nodes: &[KubeNode]) {
    let ours = court.settings.kubernetes.nodes.as_slice();
    let is_ours = |node: &KubeNode| ours.contains(&node.name);
    let mut found: Vec<Found> = nodes.iter().filter_map(|node| fault(node, is_ours(node))).collect();
    for name in ours.iter().filter(|name| nodes.iter().all(|node| node.name != **name)) {
        found.push(Found {
            subject: name.clone(),
            severity: Severity::Crit,
            gate: Gate::Blocks,
            why: "the cluster has no such node".to_owned(),
            next: "correct `nodes` below [kubernetes] in agent.toml; see: kubectl get nodes".to_owned(),
        });
    }
    let cordoned = nodes.iter().filter(|node| node.unschedulable).map(|node| Found {
        subject: node.name.clone(),
        severity: Severity::Warn,
        gate: Gate::Warns,
        why: "it takes no pods".to_owned(),
        next: format!(
            "somebody has cordoned it (hardstand cordons none); when their work is done: kubectl uncordon {}",
            node.name
        ),
    });
    let cordoned = cordoned.collect();
    tell(court, "kubernetes.node", found, format!("{} nodes, all ready", nodes.len()));
    tell(court, "kubernetes.schedulable", cordoned, format!("{} nodes, all take pods", nodes.len()));
    quorum(court, nodes);
}

/// What is wrong with a node. One of ours that is down does not keep this host up, for a restart may mend it; after
/// one it does, for it was not down before. Another one that is down leaves no room for ours to go as well.
fn fault(node: &KubeNode, is_ours: bool) -> Option<Found> {
    let down = if is_ours { Gate::Warns } else { Gate::Blocks };
    let found = |severity, gate, why: String| {
        let next = format!("{LOOK} {}", node.name);
        Some(Found { subject: node.name.clone(), severity, gate, why, next })
    };
    let Some(ready) = node.condition("Ready") else {
        return found(Severity::Unknown, Gate::Blocks, "it does not tell whether it is ready".to_owned());
    };
    let told: Vec<&str> = [&ready.reason, &ready.message].into_iter().flatten().map(String::as_str).collect();
    let told = told.join(": ");
    match ready.status.as_str() {
        "True" => {}
        "False" => return found(Severity::Crit, down, format!("it is not ready ({told})")),
        "Unknown" => return found(Severity::Crit, down, format!("it is not heard from ({told})")),
        odd => return found(Severity::Unknown, Gate::Blocks, format!("whether it is ready is told as {odd:?}")),
    }
    let known = node.conditions.iter().filter(|condition| BAD.contains(&condition.kind.as_str()));
    for condition in known {
        match condition.status.as_str() {
            "False" => {}
            "True" => {
                let why = condition.message.as_deref().unwrap_or_default();
                return found(Severity::Warn, Gate::Warns, format!("{}: {why}", condition.kind));
            }
            odd => return found(Severity::Unknown, Gate::Warns, format!("{} is told as {odd:?}", condition.kind)),
        }
    }
    None
}

/// The servers, by where they are: what keeps the API, or etcd under it, and how much of it must stay.
struct Servers<'a> {
    here: Vec<&'a KubeNode>,
    elsewhere: Vec<&'a KubeNode>,
    kind: &'static str,
    needed: usize,
}

impl<'a> Servers<'a> {
    fn of(nodes: &'a [KubeNode], ours: &[String]) -> Self {
        let learns = |node: &KubeNode| node.condition(VOTER).is_some_and(|voter| voter.status == "False");
        let members: Vec<&KubeNode> = nodes.iter().filter(|node| node.etcd && !learns(node)).collect();
        let has_etcd = !members.is_empty();
        // Without a label of etcd, what the API keeps its objects in is not in these nodes, or in the only one.
        let all = if has_etcd { members } else { nodes.iter().filter(|node| node.control_plane).collect() };
        let needed = if has_etcd { all.len() / 2 + 1 } else { 1 };
        let (here, elsewhere) = all.into_iter().partition(|node| ours.contains(&node.name));
        Self { here, elsewhere, kind: if has_etcd { "servers with etcd" } else { "servers" }, needed }
    }

    fn left(&self) -> usize {
        self.elsewhere.iter().filter(|node| node.is_ready()).count()
    }

    fn total(&self) -> usize {
        self.here.len() + self.elsewhere.len()
    }

    fn sum(&self) -> String {
        let (total, kind, left, needed) = (self.total(), self.kind, self.left(), self.needed);
        format!("of {total} {kind}, {left} are ready elsewhere, {needed} are needed")
    }
}

/// Whether etcd keeps its quorum, and the cluster its API, without the servers that run here.
fn quorum(court: &mut Court<'_>, nodes: &[KubeNode]) {
    let servers = Servers::of(nodes, &court.settings.kubernetes.nodes);
    let name = ("kubernetes.quorum", "servers");
    match servers.total() {
        0 => {
            let evidence = "no node is labelled node-role.kubernetes.io/control-plane: whether the API goes with this host \
                            is not known";
            court.find(name, Severity::Info, Gate::None, "no server is told", evidence);
        }
        total if servers.here.is_empty() => court.ok(name, format!("none of {total} {} runs here", servers.kind)),
        _ if servers.left() >= servers.needed => court.ok(name, servers.sum()),
        total => too_few(court, name, &servers, total),
    }
}

/// One server, or two, cannot do without this host, and people know; of three or more, one at a time can be done without.
fn too_few(court: &mut Court<'_>, name: (&str, &str), servers: &Servers<'_>, total: usize) {
    let (sum, here) = (servers.sum(), names(servers.here.iter().map(|node| node.name.as_str())));
    if total < 3 {
        let (severity, gate) = if total == 1 { (Severity::Info, Gate::None) } else { (Severity::Warn, Gate::Warns) };
        let evidence = format!(
            "{sum}; pods elsewhere run on, and nothing starts, moves or is renewed meanwhile; three servers on three hosts \
             would keep it"
        );
        let summary = format!("the API of Kubernetes goes down with this host ({here})");
        return court.find(name, severity, gate, summary, evidence);
    }
    let next = if servers.elsewhere.len() < servers.needed {
        "there are too few elsewhere: move one of them to another host, and take it out of `nodes` below [kubernetes]"
    } else {
        "bring back those that are not ready"
    };
    let summary =
        format!("no quorum of Kubernetes without this host: {} of {} servers", servers.left(), servers.needed);
    let evidence = format!("{sum}; {here} would leave; {next}; see: kubectl get nodes");
    court.find(name, Severity::Warn, Gate::Blocks, summary, evidence);
}
