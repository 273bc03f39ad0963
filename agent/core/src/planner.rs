//! From what the nodes say of themselves to a plan: which nodes, in which order, with which packages and which reboot.
//!
//! It must never plan what a node has not said: a set that is not known is a blocker, not an empty one.

use crate::fleet::{Group, Policy};
use crate::plan::{NodePlan, PackageSet, Plan, Reboot, RebootKind, Updates};
use crate::status::Blocker;
use crate::view::View;

/// Fetching and checking room, for any set, in seconds. A guess, as all of these, until the node has done it once.
const STAGE_SECONDS: u64 = 60;
/// Draining and taking services back.
const DRAIN_SECONDS: u64 = 60;
/// Unpacking and configuring one package.
const PACKAGE_SECONDS: u64 = 5;
/// From the order to reboot to user space.
const REBOOT_SECONDS: u64 = 180;

/// What a person wants planned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// What the plan is called.
    pub name: String,
    /// Only these nodes; empty: all of the policy.
    pub nodes: Vec<String>,
    /// Whether packages are installed.
    pub packages: bool,
    /// At least this much of a restart, and why, whatever the packages need.
    pub reboot: Option<(RebootKind, String)>,
    /// Drains the nodes and leaves them so for this long at most, in seconds; 0: no.
    pub stay_seconds: u64,
    /// Who plans.
    pub by: String,
    /// When, by their clock; for people.
    pub made_unix_seconds: u64,
    /// The policy's SHA-256.
    pub policy: String,
}

/// Makes the plan. Nodes that have nothing to do are left out.
///
/// # Errors
/// Everything that is not known or does not fit, each with a way out; or that there is nothing to do.
pub fn plan(view: &View, wish: &Wish) -> Result<Plan, Vec<Blocker>> {
    let Some(policy) = view.policy.as_ref().map(|policy| &policy.value) else {
        return Err(vec![Blocker::new("fleet", "fleet", "no policy is applied", "hardstand fleet apply fleet.toml")]);
    };
    let mut wrong: Vec<Blocker> = wish
        .nodes
        .iter()
        .filter(|node| policy.group_of(node).is_none())
        .map(|node| Blocker::new("fleet", node, format!("{node} is in no group"), "see them: hardstand fleet show"))
        .collect();
    let mut nodes = Vec::new();
    for (group, node) in order(policy) {
        if !wish.nodes.is_empty() && !wish.nodes.iter().any(|wanted| wanted == node) {
            continue;
        }
        match part(view, wish, group, node) {
            Ok(part) => nodes.extend(part),
            Err(blocker) => wrong.push(blocker),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    if nodes.is_empty() {
        let way_out = "nothing needs to be done; look for more: hardstand rollout plan --refresh";
        return Err(vec![Blocker::new("plan", "fleet", "no node has anything to install or to restart", way_out)]);
    }
    for part in &mut nodes {
        part.estimate_seconds = estimate(view, part, policy.gates.streak_seconds);
    }
    let serial = view.plans.values().map(|plan| plan.value.serial);
    let started = view.rollout.as_ref().map(|rollout| rollout.value.serial);
    let floors = view.reports.values().map(|report| report.value.plan_floor);
    Ok(Plan {
        name: wish.name.clone(),
        serial: serial.chain(started).chain(floors).max().unwrap_or(0) + 1,
        policy: wish.policy.clone(),
        nodes,
        timeouts: policy.timeouts,
        streak_seconds: policy.gates.streak_seconds,
        by: wish.by.clone(),
        made_unix_seconds: wish.made_unix_seconds,
    })
}

/// All nodes in the order they go: groups as listed, in each its own order, the canary before the others, those that go
/// alone after them, and hosts of the store at the very end (S15).
pub fn order(policy: &Policy) -> Vec<(&Group, &str)> {
    let mut nodes: Vec<(u8, &Group, &str)> = Vec::new();
    for group in &policy.groups {
        let rest = group.nodes.iter().filter(|node| !group.order.contains(node));
        for node in group.order.iter().chain(rest) {
            let rank = if group.store_hosts.contains(node) {
                3
            } else if group.alone.contains(node) {
                2
            } else {
                u8::from(policy.updates.canary.as_ref() != Some(node))
            };
            nodes.push((rank, group, node));
        }
    }
    // Stable: within a rank the order of the policy stays.
    nodes.sort_by_key(|(rank, _, _)| *rank);
    nodes.into_iter().map(|(_, group, node)| (group, node)).collect()
}

fn part(view: &View, wish: &Wish, group: &Group, node: &str) -> Result<Option<NodePlan>, Blocker> {
    let see = format!("see it on {node}: systemctl status hardstand-agent");
    let Some(report) = view.reports.get(node).map(|report| &report.value) else {
        return Err(Blocker::new("node", node, format!("{node} has never reported"), see));
    };
    let nothing = Reboot { kind: RebootKind::None, why: "nothing needs it".to_owned() };
    let (packages, mut reboot, kernel) = if wish.packages {
        let updates = known(view, node)?;
        (updates.packages.clone(), updates.reboot.clone(), updates.kernel.clone())
    } else {
        (PackageSet::default(), nothing, None)
    };
    if let Some((kind, why)) = wish.reboot.as_ref().filter(|(kind, _)| *kind > reboot.kind) {
        reboot = Reboot { kind: *kind, why: why.clone() };
    }
    if packages.is_empty() && reboot.kind == RebootKind::None && wish.stay_seconds == 0 {
        return Ok(None);
    }
    Ok(Some(NodePlan {
        node: node.to_owned(),
        group: group.name.clone(),
        alone: group.alone.iter().chain(&group.store_hosts).any(|alone| alone == node),
        drain: reboot.kind >= RebootKind::Services || wish.stay_seconds > 0,
        stay_seconds: wish.stay_seconds,
        kernel: kernel.filter(|_| reboot.kind.changes_boot_id()),
        packages,
        reboot,
        baseline: report.findings.clone(),
        estimate_seconds: 0,
    }))
}

/// What the node would install, if it knows and knows it of the last refresh that was asked for.
fn known<'a>(view: &'a View, node: &str) -> Result<&'a Updates, Blocker> {
    let again = "look again: hardstand rollout plan --refresh";
    let Some(updates) = view.updates.get(node).map(|updates| &updates.value) else {
        let why = format!("{node} has not said yet what it would install");
        return Err(Blocker::new("packages", node, why, "wait a minute, and plan again"));
    };
    if let Some(why) = &updates.failed {
        let why = format!("{node} cannot tell what it would install: {why}");
        return Err(Blocker::new("packages", node, why, again));
    }
    let asked = view.ask.as_ref().map_or(0, |ask| ask.value.refresh);
    if updates.answers < asked {
        let why = format!("{node} still refreshes its package lists");
        return Err(Blocker::new("packages", node, why, "wait a minute, and plan again"));
    }
    Ok(updates)
}

/// What the node took the last time, if it has rebooted as often; else the sum of guesses.
fn estimate(view: &View, part: &NodePlan, streak_seconds: u64) -> u64 {
    let restarts = part.reboot.kind.changes_boot_id();
    let as_long = |(plan, node): &(String, String)| {
        let before = view.plans.get(plan).and_then(|plan| plan.value.of(node));
        *node == part.node && before.is_some_and(|before| before.reboot.kind.changes_boot_id() == restarts)
    };
    let last = view.done.iter().filter(|(key, _)| as_long(key)).max_by_key(|(_, done)| done.created);
    if let Some((_, done)) = last {
        return done.value.spent.iter().map(|(_, seconds)| seconds).sum();
    }
    let packages = PACKAGE_SECONDS * part.packages.changes().len() as u64;
    let drain = if part.drain { DRAIN_SECONDS } else { 0 };
    let reboot = if restarts { REBOOT_SECONDS } else { 0 };
    STAGE_SECONDS + drain + packages + reboot + streak_seconds
}

#[cfg(test)]
mod tests;
