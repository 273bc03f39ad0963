//! What must hold before a node is let into maintenance: every "no" with its blockers (S1, S2, S5, S6, S13, S14).
//!
//! It must never take silence for consent: a node without a fresh report counts as down.

use std::collections::{BTreeMap, BTreeSet};

use crate::fleet::{Group, Policy};
use crate::lease::Lease;
use crate::plan::{NodePlan, PackageChange, RebootKind};
use crate::rollout::RolloutState;
use crate::status::{Blocker, Brief, Report, Votes};
use crate::step::{bad_gates, is_tolerated};
use crate::view::{FRESH_MS, Seen, View};
use crate::window::Opening;

mod services;
#[cfg(test)]
mod tests;

/// Why a node may not go down now; empty: it may. `opening` is where the policy's windows stand.
pub fn blockers(view: &View, part: &NodePlan, opening: &Opening, now_ms: u64) -> Vec<Blocker> {
    let group = view.policy.as_ref().and_then(|policy| policy.value.group(&part.group));
    blockers_in(view, group, part, opening, now_ms)
}

/// The same, with the applied policy's group of that name, if it has one.
pub(crate) fn blockers_in(
    view: &View,
    group: Option<&Group>,
    part: &NodePlan,
    opening: &Opening,
    now_ms: u64,
) -> Vec<Blocker> {
    let mut blockers = permission(view, opening, now_ms);
    let Some(policy) = view.policy.as_ref().map(|policy| &policy.value) else {
        blockers.push(no_policy());
        return blockers;
    };
    let Some(group) = group.filter(|group| group.nodes.contains(&part.node)) else {
        let why = format!("{} is not in group {} of the applied policy", part.node, part.group);
        blockers.push(Blocker::new("fleet", &part.node, why, "plan anew: hardstand rollout plan"));
        return blockers;
    };
    let sights = sights(view, group, now_ms);
    blockers.extend(slots_of(view, group, &sights, &part.node, part.alone));
    blockers.extend(own_state(view, part, policy, now_ms));
    blockers.extend(group_gates(view, &sights, policy, &part.node, now_ms));
    blockers.extend(quorum(view, group, &sights, &part.node, now_ms));
    blockers.extend(store_last(view, policy, group, &part.node));
    blockers.extend(ripe(view, policy, part));
    blockers.extend(services::blockers(view, policy, now_ms));
    blockers
}

/// Why a node may not go down now, whatever is planned for it: the halt, the node itself, and what its going would take
/// from the others. Approval, windows and what it would install are a rollout's matter and left out.
pub fn gates(view: &View, node: &str, now_ms: u64) -> Vec<Blocker> {
    let Some(policy) = view.policy.as_ref().map(|policy| &policy.value) else { return vec![no_policy()] };
    let Some(group) = policy.groups.iter().find(|group| group.nodes.iter().any(|name| name == node)) else {
        let why = format!("{node} is in no group of the applied policy");
        return vec![Blocker::new("fleet", node, why, "hardstand fleet show; then hardstand fleet apply fleet.toml")];
    };
    let sights = sights(view, group, now_ms);
    let mut blockers: Vec<Blocker> = halted(view).into_iter().collect();
    blockers.extend(slots_of(view, group, &sights, node, false));
    blockers.extend(itself(view, node, None, policy, now_ms));
    blockers.extend(served(view, node, policy));
    blockers.extend(group_gates(view, &sights, policy, node, now_ms));
    blockers.extend(quorum(view, group, &sights, node, now_ms));
    blockers
}

fn no_policy() -> Blocker {
    Blocker::new("fleet", "fleet", "no policy is applied", "hardstand fleet apply fleet.toml")
}

fn halted(view: &View) -> Option<Blocker> {
    let halt = &view.halt.as_ref()?.value;
    Some(Blocker::new("halt", "fleet", &halt.reason, &halt.next_action))
}

/// A node that hosts the embedded store goes when every other node of the plan is done, whatever its group (S15).
fn store_last(view: &View, policy: &Policy, group: &Group, node: &str) -> Option<Blocker> {
    if !group.store_hosts.iter().any(|host| host == node) {
        return None;
    }
    let hosts_store = |node: &str| policy.groups.iter().any(|group| group.store_hosts.iter().any(|host| host == node));
    let (rollout, plan) = view.plan()?;
    let before = plan.value.nodes.iter().filter(|other| other.node != node && !hosts_store(&other.node));
    let open = before.map(|other| &other.node).find(|other| view.done(&rollout.value.plan, other).is_none())?;
    let why = format!("{node} hosts the store, so it goes last, and {open} is not done");
    Some(Blocker::new("store.last", node, why, format!("wait for {open}: hardstand rollout watch")))
}

/// A package set is old enough on offer, or the canary has run all of it for long enough.
fn ripe(view: &View, policy: &Policy, part: &NodePlan) -> Option<Blocker> {
    let rules = &policy.updates;
    let node = part.node.as_str();
    if part.packages.is_empty() || rules.canary.as_deref() == Some(node) {
        return None;
    }
    let proven = rules.canary.as_deref().map(|canary| canary_ran(view, canary, part, rules.canary_hours));
    let updates = view.updates.get(node).map(|updates| &updates.value);
    let offered_hours = updates.map_or(0, |updates| updates.on_offer_seconds / 3_600);
    let cooled = rules.cool_hours > 0 && offered_hours >= rules.cool_hours;
    match proven {
        Some(Ok(())) => None,
        _ if cooled => None,
        None if rules.cool_hours == 0 => None,
        None => {
            let why = format!("its packages are on offer for {offered_hours} of {} h", rules.cool_hours);
            Some(Blocker::new("updates.cool", node, why, "wait, or change [updates] cool_hours of the policy"))
        }
        Some(Err(why)) => {
            let way_out = "wait for the canary, or change [updates] canary of the policy";
            Some(Blocker::new("updates.canary", node, why, way_out))
        }
    }
}

/// Whether the canary has run every version of this part that it has packages of, for this long.
fn canary_ran(view: &View, canary: &str, part: &NodePlan, hours: u64) -> Result<(), String> {
    let ran = view.reports.get(canary).and_then(|report| report.value.ran.as_ref());
    let (plan, for_hours) = ran.ok_or_else(|| format!("the canary {canary} has run no plan yet"))?;
    let ran = view.plans.get(plan).and_then(|plan| plan.value.of(canary));
    let ran = ran.ok_or_else(|| format!("the plan that the canary {canary} ran last is no longer in the store"))?;
    let known = |change: &PackageChange| {
        ran.packages.changes().iter().any(|other| (&other.name, &other.to) == (&change.name, &change.to))
    };
    if let Some(new) = part.packages.changes().iter().find(|change| !known(change)) {
        return Err(format!(
            "the canary {canary} has not run {} {}",
            new.name,
            new.to.as_deref().unwrap_or("(removed)")
        ));
    }
    if *for_hours < hours {
        return Err(format!("the canary {canary} has run them for {for_hours} of {hours} h"));
    }
    Ok(())
}

/// Halt, rollout, window and the store itself.
fn permission(view: &View, opening: &Opening, now_ms: u64) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    if !view.is_in_touch(now_ms) {
        let why = "the store is out of reach";
        blockers.push(Blocker::new("store", "store", why, "see its hosts: hardstand health"));
    }
    blockers.extend(halted(view));
    match view.rollout.as_ref().map(|rollout| rollout.value.state) {
        Some(RolloutState::Running) => {}
        Some(state) => {
            let why = format!("the rollout is {}", state.word());
            blockers.push(Blocker::new("rollout", "fleet", why, "hardstand rollout resume"));
        }
        None => blockers.push(Blocker::new("rollout", "fleet", "no rollout is started", "hardstand rollout start")),
    }
    if let Opening::Closed { next } = opening {
        let way_out = match next {
            Some((name, when)) => format!("window {name} opens {when}"),
            None => "no window opens within a year; change the policy".to_owned(),
        };
        blockers.push(Blocker::new("window", "fleet", "no window is open", way_out));
    }
    blockers
}

/// Room in the group: those in maintenance and those down or unknown without a permit, together (S1).
pub fn slots(view: &View, group: &Group, node: &str, alone: bool, now_ms: u64) -> Vec<Blocker> {
    slots_of(view, group, &sights(view, group, now_ms), node, alone)
}

fn slots_of(view: &View, group: &Group, sights: &[Sight<'_>], node: &str, alone: bool) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    let mut away: BTreeMap<&str, String> = BTreeMap::new();
    for (slot, lease) in leases_of(view, group) {
        let holder = lease.value.node.as_str();
        if holder == node {
            blockers.push(Blocker::new("lease", node, "it holds a lease already", "hardstand lease list"));
        }
        away.insert(holder, format!("holds slot {slot} ({})", lease.value.phase));
    }
    for other in sights.iter().filter(|other| other.node != node) {
        if let Some(why) = &other.down {
            away.entry(other.node).or_insert_with(|| why.clone());
        }
    }
    away.remove(node);
    let goes_alone = |name: &str| group.alone.iter().chain(&group.store_hosts).any(|listed| listed == name);
    let limit = if alone || goes_alone(node) || away.keys().any(|name| goes_alone(name)) { 1 } else { group.max_down };
    if away.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
        blockers.extend(away.iter().map(|(name, why)| {
            let way_out = format!("wait for {name}, or see it: hardstand fleet show");
            Blocker::new("group.max_down", *name, format!("{name} {why}, and {limit} may be down"), way_out)
        }));
    }
    blockers
}

/// The leases of a group, by slot.
fn leases_of<'a>(view: &'a View, group: &Group) -> impl Iterator<Item = (u32, &'a Seen<Lease>)> {
    let slots = (group.name.clone(), 0)..=(group.name.clone(), u32::MAX);
    view.leases.range(slots).map(|((_, slot), lease)| (*slot, lease))
}

/// What is known of a node: looked up once for all that asks for it.
struct Sight<'a> {
    node: &'a str,
    /// Why it counts as down.
    down: Option<String>,
    /// What it says of itself now.
    report: Option<&'a Report>,
    /// What it said last, however long ago.
    last: Option<&'a Seen<Report>>,
}

fn sights<'a>(view: &'a View, group: &'a Group, now_ms: u64) -> Vec<Sight<'a>> {
    group.nodes.iter().map(|node| sight(view, Some(group), node, now_ms)).collect()
}

/// A node's lease lies with its group, where the group is known: all leases of a large fleet are not looked through.
fn holds_lease(view: &View, group: Option<&Group>, node: &str) -> bool {
    group.is_some_and(|group| leases_of(view, group).any(|(_, lease)| lease.value.node == node))
        || view.lease_of(node).is_some()
}

fn sight<'a>(view: &'a View, group: Option<&Group>, node: &'a str, now_ms: u64) -> Sight<'a> {
    let last = view.reports.get(node);
    let (report, silent) = match fresh(last, now_ms) {
        Ok(report) => (Some(report), None),
        Err(why) => (None, Some(why)),
    };
    let down = if view.outcasts.contains_key(node) {
        Some("lost its lease to a person and has not proved itself since".to_owned())
    } else if !view.sessions.contains_key(node) {
        Some("is not heard of (its agent has no session)".to_owned())
    } else {
        let unpermitted = report.filter(|report| report.phase.is_disruptive() && !holds_lease(view, group, node));
        silent.or_else(|| unpermitted.map(|report| format!("is {} without a lease", report.phase)))
    };
    Sight { node, down, report, last }
}

/// Why a node counts as down or unknown without our permit; `None`: it is known to be up (D of the invariants).
pub fn down(view: &View, node: &str, now_ms: u64) -> Option<String> {
    sight(view, None, node, now_ms).down
}

/// What a node says of itself now; or why that is not known.
fn fresh(last: Option<&Seen<Report>>, now_ms: u64) -> Result<&Report, String> {
    let report = last.ok_or("has never reported")?;
    if !report.watched {
        return Err("has not reported since this leader looks".to_owned());
    }
    let age_ms = now_ms.saturating_sub(report.changed_ms);
    if age_ms > FRESH_MS {
        return Err(format!("last reported {} s ago", age_ms / 1_000));
    }
    Ok(&report.value)
}

/// The node itself: known, idle, and sound.
fn itself(view: &View, node: &str, baseline: Option<&[Brief]>, policy: &Policy, now_ms: u64) -> Vec<Blocker> {
    if let Some(why) = down(view, node, now_ms) {
        let way_out = format!("see it on {node}: systemctl status hardstand-agent");
        return vec![Blocker::new("node", node, format!("{node} {why}"), way_out)];
    }
    let Some(report) = view.reports.get(node).map(|report| &report.value) else { return Vec::new() };
    let mut blockers = gates_of(report, baseline, policy);
    if let Some(hold) = &report.hold {
        blockers.push(Blocker::new("hold", node, &hold.reason, &hold.next_action));
    }
    if report.phase != crate::phase::Phase::Idle {
        let why = format!("its step machine is in {}", report.phase);
        blockers.push(Blocker::new("phase", node, why, format!("see it: hardstand node show {node}")));
    }
    blockers
}

/// Findings about those who use this node: no fault of anything, so nobody else is stopped by them, but it does not leave
/// before they have.
const SERVES: [&str; 1] = ["iscsi_target.sessions"];

/// Who would lose what this node serves while it is away (S14). The policy may tolerate it, where they ride it out.
fn served(view: &View, node: &str, policy: &Policy) -> Vec<Blocker> {
    let Some(report) = view.reports.get(node).map(|report| &report.value) else { return Vec::new() };
    let users = report.findings.iter().filter(|brief| SERVES.contains(&brief.check.as_str()));
    let bad = users.filter(|brief| !is_tolerated(brief, &policy.gates.tolerate));
    let blocker = |brief: &Brief| {
        let way_out = format!(
            "quiesce them, and see it on {node}: hardstand health --all; where they ride it out: tolerate = [\"{}\"] below \
             [gates] of the policy",
            brief.check
        );
        Blocker::new(brief.check.clone(), node, format!("{node}: {}", brief.summary), way_out)
    };
    bad.map(blocker).collect()
}

/// The node itself, offering exactly what was planned.
fn own_state(view: &View, part: &NodePlan, policy: &Policy, now_ms: u64) -> Vec<Blocker> {
    let node = part.node.as_str();
    let mut blockers = itself(view, node, Some(&part.baseline), policy, now_ms);
    if part.reboot.kind != RebootKind::None {
        blockers.extend(served(view, node, policy));
    }
    if down(view, node, now_ms).is_some() {
        return blockers;
    }
    let Some(report) = view.reports.get(node).map(|report| &report.value) else { return blockers };
    if let Some((_, plan)) = view.plan()
        && plan.value.serial < report.plan_floor
    {
        let why = format!("{node} has obeyed plan {}, and this is plan {}", report.plan_floor, plan.value.serial);
        blockers.push(Blocker::new(
            "plan",
            node,
            why,
            "hardstand rollout abort, then plan anew: hardstand rollout plan",
        ));
    }
    if let Some(updates) = view.updates.get(node).map(|updates| &updates.value)
        && !part.packages.is_empty()
        && updates.failed.is_none()
        && updates.packages != part.packages
    {
        let why = "what it would install is no longer what was planned";
        blockers.push(Blocker::new("packages", node, why, "plan anew: hardstand rollout plan"));
    }
    blockers
}

/// Every other node of the group must be well, in maintenance, cast out or neither: the next one would take its place, and
/// one that came back sick from its own part is the reason to stop (S5, S6, S13). What a node said last stays said: to fall
/// silent mends nothing, and the room that the group has for one that is down is not for one that was sick. Nor is it for
/// one that could not speak: the store took nothing for a while, or this leader has just begun to look.
fn group_gates(view: &View, sights: &[Sight<'_>], policy: &Policy, node: &str, now_ms: u64) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    for other in sights.iter().filter(|other| other.node != node) {
        let Some(last) = other.last else { continue };
        let mut gates = gates_of(&last.value, None, policy);
        if other.report.is_none() {
            let silent = format!("; it has said nothing for {} s", now_ms.saturating_sub(last.changed_ms) / 1_000);
            gates.iter_mut().for_each(|gate| gate.why.push_str(&silent));
            if gates.is_empty() && !view.flow.is_steady(now_ms) {
                let why = format!("{} has not had the time to report, since reports come in again", other.node);
                gates.push(Blocker::new("node", other.node, why, "wait some seconds: hardstand rollout watch"));
            }
        }
        blockers.append(&mut gates);
    }
    blockers
}

fn gates_of(report: &Report, baseline: Option<&[Brief]>, policy: &Policy) -> Vec<Blocker> {
    let bad = bad_gates(&report.findings, baseline, &policy.gates.tolerate);
    let blocker = |brief: &Brief| {
        let why = format!("{}: {}", report.node, brief.summary);
        let way_out = format!("see it on {}: hardstand health", report.node);
        Blocker::new(brief.check.clone(), report.node.clone(), why, way_out)
    };
    bad.into_iter().map(blocker).collect()
}

/// For every voting set that the node has a voice in, or tells of: votes up without it, at least the floor and one more
/// (S2). Who tells of a set need not be the node itself: the host of a quorum device knows nothing of the cluster.
fn quorum(view: &View, group: &Group, sights: &[Sight<'_>], node: &str, now_ms: u64) -> Vec<Blocker> {
    let own = view.reports.get(node).into_iter().flat_map(|own| &own.value.votes);
    // What a node said that has left the fleet is no longer true of those that stayed.
    let is_ours = |teller: &str| view.policy.as_ref().is_some_and(|policy| policy.value.group_of(teller).is_some());
    let told = view.sets_of(node).filter(|(teller, _)| is_ours(teller)).map(|(_, votes)| votes);
    let mut blockers: BTreeMap<&str, Blocker> = BTreeMap::new();
    for votes in own.chain(told) {
        let is_up = |voter: &str| voter != node && is_up(view, group, sights, votes, voter, now_ms);
        let voters: BTreeSet<&str> = votes.voters.iter().map(String::as_str).collect();
        // Alone in its set, it stops the set while it is away: that is what going last and alone is for (S15).
        if voters.len() < 2 {
            continue;
        }
        let up =
            voters.iter().filter(|voter| is_up(voter)).fold(0_u64, |sum, name| sum.saturating_add(votes.weight(name)));
        if up < votes.floor() {
            let missing: Vec<&str> = voters.iter().copied().filter(|voter| *voter != node && !is_up(voter)).collect();
            let missing = if missing.is_empty() { String::new() } else { format!(" (not up: {})", missing.join(", ")) };
            let (total, needed) = (votes.total(), votes.floor());
            let why = format!("{} has {up} of {total} votes without {node}, and needs {needed}{missing}", votes.set);
            let way_out = "bring the missing voters back first: hardstand fleet show";
            blockers.entry(&votes.set).or_insert_with(|| Blocker::new("quorum", node, why, way_out));
        }
    }
    blockers.into_values().collect()
}

/// Whether a voter can be counted on: a node of the fleet reports freshly and is in no maintenance, and nobody that tells
/// of the set now misses it. One that is no node of the fleet is none of ours to take down: that it is seen is enough.
fn is_up(view: &View, group: &Group, sights: &[Sight<'_>], votes: &Votes, voter: &str, now_ms: u64) -> bool {
    let known = sights.iter().find(|sight| sight.node == voter);
    let is_fresh = |teller: &str| match sights.iter().find(|sight| sight.node == teller) {
        Some(sight) => sight.down.is_none(),
        None => down(view, teller, now_ms).is_none(),
    };
    let is_missed = || {
        let tellers = view.sets_of(voter).filter(|(_, other)| other.set == votes.set);
        let told =
            tellers.filter(|(teller, _)| is_fresh(teller)).map(|(_, other)| other.is_evidence() && other.sees(voter));
        let mut told = told.peekable();
        told.peek().is_none() || told.any(|sees| !sees)
    };
    let is_ours = known.is_some() || view.policy.as_ref().is_some_and(|policy| policy.value.group_of(voter).is_some());
    // A node's lease lies with its group; only a voter of another one is looked for everywhere.
    let is_leased = || match known {
        Some(_) => leases_of(view, group).any(|(_, lease)| lease.value.node == voter),
        None => view.lease_of(voter).is_some(),
    };
    (!is_ours || (is_fresh(voter) && !is_leased())) && !is_missed()
}
