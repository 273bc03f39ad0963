//! Has the cluster quorum, and does it keep it when this node leaves?
//!
//! It must never count on a vote that may leave with this node, nor on what the report does not say.

use std::collections::{BTreeMap, BTreeSet};

use super::{Court, Gate, Severity};
use crate::history::Thing;
use crate::observed::{Corosync, CorosyncLink, Quorum, QuorumMember};
use crate::settings::Expected;
use crate::standing::{Report, Standing, Subject};

const LOOK: &str = "see: corosync-quorumtool -s";
/// How a cluster is named that does not tell its name here.
const CLUSTER: &str = "cluster";
/// Flags under which corosync may keep quorum with fewer votes than are counted on here: for whom, or when, is not told.
const MAY_KEEP: [&str; 3] = ["AutoTieBreaker", "AllowDownscale", "LastManStanding"];

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(corosync) = seen.corosync.reading.known() else { return };
    let count = usize::from(corosync.is_some());
    let next = "see: systemctl status corosync";
    court.expected("corosync.expected", Expected::Corosync, "corosync cluster", count, next);
    gone(court, corosync.as_ref());
    let Some(corosync) = corosync else { return };
    let subjects = corosync.quorum.subjects();
    quorate(court, &corosync.quorum, &subjects);
    margin(court, corosync);
    device(court, corosync, &subjects);
    links(court, corosync);
}

/// Nodes that are configured, or were here before, and are no members.
fn gone(court: &mut Court<'_>, corosync: Option<&Corosync>) {
    let members: BTreeSet<String> =
        corosync.map(others).into_iter().flatten().map(|one| one.node_id.to_string()).collect();
    let configured = corosync.map(by_node).unwrap_or_default();
    let mut gone: BTreeSet<String> = court.history.missing(Thing::Node, &members).into_iter().collect();
    gone.extend(configured.keys().map(u64::to_string).filter(|id| !members.contains(id)));
    // A node that goes takes its vote along, and whether that is too many is asked elsewhere. A cluster that goes is lost.
    let (severity, gate) =
        if corosync.is_some() { (Severity::Warn, Gate::Warns) } else { (Severity::Crit, Gate::Blocks) };
    for id in gone {
        let links = id.parse().ok().and_then(|id: u64| configured.get(&id));
        let evidence = match links {
            Some(links) => format!(
                "it is configured and no member; from here its links are: {}; see there: systemctl status corosync",
                links.iter().map(|link| format!("{} {}", link.link, link.state)).collect::<Vec<_>>().join(", ")
            ),
            None => format!(
                "it was a member and is not any more; {LOOK}, or if it was taken out on purpose: hardstand forget node {id}"
            ),
        };
        court.find(("corosync.node", &id), severity, gate, format!("node {id} of the cluster is gone"), evidence);
    }
}

fn quorate(court: &mut Court<'_>, quorum: &Quorum, subjects: &[Subject]) {
    let name = ("corosync.quorum", CLUSTER);
    let counted = counted(quorum);
    let standing = subjects.iter().find(|subject| subject.kind == "quorum");
    let (severity, why) = match standing.map(|subject| (subject.state, subject.why.as_deref())) {
        // Which votes are missing is told by those they belong to.
        Some((Standing::Ok | Standing::Degraded, _)) => return court.ok(name, format!("quorate; {counted}")),
        Some((Standing::Failed, why)) => (Severity::Crit, why.unwrap_or("it has no quorum")),
        Some((Standing::Unknown, why)) => (Severity::Unknown, why.unwrap_or("it is not told")),
        None => (Severity::Unknown, "it is not told"),
    };
    let evidence = format!(
        "{why} ({counted}); bring the other nodes or the quorum device back; {LOOK}. Lower the expected votes by hand only \
         when the others are known to be off"
    );
    court.find(name, severity, Gate::Blocks, format!("quorum: {why}"), evidence);
}

fn counted(quorum: &Quorum) -> String {
    let told = |votes: Option<u64>| votes.map_or_else(|| "?".to_owned(), |votes| votes.to_string());
    let (total, expected) = (told(quorum.total_votes), told(quorum.expected_votes.max(quorum.highest_expected)));
    format!("{total} of {expected} votes are there, {} are needed", told(quorum.quorum_votes))
}

/// What is left when this node is away (S2).
fn margin(court: &mut Court<'_>, corosync: &Corosync) {
    let name = ("corosync.margin", CLUSTER);
    let quorum = &corosync.quorum;
    if quorum.quorate != Some(true) {
        return;
    }
    let own = quorum.members.iter().find(|member| member.local);
    let (Some(own), Some(needed)) = (own, quorum.quorum_votes) else {
        let why = "this node's row, or how many votes are needed, is not in the report";
        let summary = "whether quorum would stay is not known";
        return court.find(name, Severity::Unknown, Gate::Blocks, summary, format!("{why}; {LOOK}"));
    };
    let expected = quorum.expected_votes.max(quorum.highest_expected).unwrap_or(u64::MAX);
    if others(corosync).next().is_none() && by_node(corosync).is_empty() && expected <= own.votes {
        return court.ok(name, "it is the only node of its cluster");
    }
    let (device, not_counted) = device_without_us(corosync);
    let left = others(corosync).fold(device, |sum, member| sum.saturating_add(member.votes));
    let sum = format!("{}; without this node's {} there are {left}{not_counted}", counted(quorum), own.votes,);
    if left >= needed {
        return court.ok(name, sum);
    }
    let flags = quorum.flags.iter().flatten().map(String::as_str).filter(|flag| MAY_KEEP.contains(flag));
    let flags = super::names(flags);
    let flags = if flags.is_empty() { flags } else { format!("; {flags} may keep it, which is not counted on") };
    let evidence = format!("{sum}{flags}; bring back what is missing, or add a vote (a quorum device); {LOOK}");
    let summary = format!("no quorum without this node: {left} of {needed} votes");
    court.find(name, Severity::Warn, Gate::Blocks, summary, evidence);
}

/// The votes of the quorum device that stay when this node leaves, and why they are not counted where they are not. Each
/// node has its own connection to it: the vote stays where every other node has it.
fn device_without_us(corosync: &Corosync) -> (u64, String) {
    let votes = corosync.quorum.qdevice_votes.unwrap_or(0);
    if votes == 0 {
        return (0, String::new());
    }
    match others(corosync).find(|member| !member.has_device_vote()) {
        None => (votes, String::new()),
        Some(without) => (
            0,
            format!(
                " (the quorum device's {votes} not counted: node {} has {} with it)",
                without.node_id,
                if without.qdevice.is_empty() { "nothing".to_owned() } else { without.qdevice.join(",") }
            ),
        ),
    }
}

fn device(court: &mut Court<'_>, corosync: &Corosync, subjects: &[Subject]) {
    let name = ("corosync.qdevice", "qdevice");
    let row = corosync.quorum.members.iter().find(|member| member.is_qdevice());
    let Some(row) = row else {
        if corosync.config.as_ref().is_some_and(|config| config.device.is_some()) {
            let why = "a quorum device is configured, and nobody speaks with it";
            let evidence = format!("{why}; see here and on the other nodes: systemctl status corosync-qdevice");
            court.find(name, Severity::Warn, Gate::Warns, "the quorum device casts no vote", evidence);
        }
        return;
    };
    let ill = || subjects.iter().filter(|subject| subject.kind == "vote" && subject.state != Standing::Ok);
    let Some(worst) = ill().map(|subject| subject.state).max() else {
        return court.ok(name, format!("it casts {}", row.votes));
    };
    let (severity, gate) = match worst {
        Standing::Degraded => (Severity::Warn, Gate::Warns),
        _ => (Severity::Unknown, Gate::Blocks),
    };
    let said = ill().map(|subject| format!("{}: {}", subject.name, subject.why.as_deref().unwrap_or("not ok")));
    let summary =
        if row.votes == 0 { "the quorum device casts no vote" } else { "the quorum device does not serve every node" };
    let evidence = format!(
        "{}; see: corosync-qdevice-tool -s, and on the device's host: systemctl status corosync-qnetd",
        said.collect::<Vec<_>>().join("; ")
    );
    court.find(name, severity, gate, summary, evidence);
}

/// Of a node that is gone, all links are down: that it is gone says so.
fn links(court: &mut Court<'_>, corosync: &Corosync) {
    if let Some(why) = corosync.links.why() {
        let summary = "the links to the other nodes are not known";
        let evidence = format!("{why}; see: corosync-cfgtool -s");
        return court.find(("corosync.link", "links"), Severity::Unknown, Gate::Blocks, summary, evidence);
    }
    let members: BTreeSet<u64> = others(corosync).map(|member| member.node_id).collect();
    for (node, links) in by_node(corosync).into_iter().filter(|(node, _)| members.contains(node)) {
        let subject = format!("node {node}");
        let down = || links.iter().filter(|link| !link.is_connected());
        if down().next().is_none() {
            court.ok(("corosync.link", &subject), format!("{} connected", links.len()));
            continue;
        }
        let said = down().map(|link| format!("link {} is {}", link.link, link.state)).collect::<Vec<_>>().join(", ");
        let summary = format!("{} of {} links to node {node} are down", down().count(), links.len());
        let evidence = format!("{said}; check its cable, switch and address here and there; see: corosync-cfgtool -n");
        court.find(("corosync.link", &subject), Severity::Warn, Gate::Warns, summary, evidence);
    }
}

/// The members but this node.
fn others(corosync: &Corosync) -> impl Iterator<Item = &QuorumMember> {
    corosync.quorum.members.iter().filter(|member| !member.is_qdevice() && !member.local)
}

fn by_node(corosync: &Corosync) -> BTreeMap<u64, Vec<&CorosyncLink>> {
    let mut nodes: BTreeMap<u64, Vec<&CorosyncLink>> = BTreeMap::new();
    for link in corosync.links.known().into_iter().flatten() {
        nodes.entry(link.node_id).or_default().push(link);
    }
    nodes
}

#[cfg(test)]
mod tests;
