//! The node's part in its fleet: its phase, what holds it, the store, and the rollout under way.
//!
//! It must never show a store's last words as current: without a connection nothing of the fleet has a sample.

use hardstand_core::phase::{PHASES, Phase};

use super::page::{Kind, Page};
use crate::member::Standing;

pub(super) fn write(page: &mut Page, standing: Option<&Standing>) {
    let mut phases =
        page.family("hardstand_phase", Kind::Gauge, "The node's phase in a rollout: 1 for the present one.");
    if let Some(standing) = standing {
        phases.states(&[], "phase", &PHASES.map(Phase::word), standing.phase.word());
    }
    let flag = |page: &mut Page, name, help, value: Option<bool>| {
        let mut family = page.family(name, Kind::Gauge, help);
        if let Some(value) = value {
            family.flag(&[], value);
        }
    };
    let held = standing.map(|standing| standing.held);
    flag(page, "hardstand_held", "Whether the node stands still until a person has looked.", held);
    let reached = standing.map(|standing| standing.fleet.is_some());
    flag(page, "hardstand_store_up", "Whether the fleet's store is read and watched.", reached);
    let fleet = standing.and_then(|standing| standing.fleet.as_ref());
    flag(page, "hardstand_leader", "Whether this node leads.", fleet.map(|fleet| fleet.leads));
    flag(page, "hardstand_halt", "Whether the fleet is halted.", fleet.map(|fleet| fleet.halted));
    let mut leases = page.family("hardstand_leases", Kind::Gauge, "Leases that are taken.");
    if let Some(fleet) = fleet {
        leases.sample(&[], f64::from(fleet.leases));
    }
    let waiting = fleet.and_then(|fleet| fleet.waiting.as_ref());
    let mut counted =
        page.family("hardstand_rollout_blockers", Kind::Gauge, "What nodes wait for; told by the leader.");
    if let Some(waiting) = waiting {
        counted.sample(&[], waiting.len() as f64);
    }
    let mut blockers =
        page.family("hardstand_rollout_blocked", Kind::Gauge, "A node that waits, and the check it waits for.");
    for (node, check) in waiting.into_iter().flatten() {
        blockers.sample(&[("node", node), ("check", check)], 1.0);
    }
    let rollout = fleet.and_then(|fleet| fleet.rollout.as_ref());
    let mut states =
        page.family("hardstand_rollout", Kind::Gauge, "The rollout under way, or the last one, in its state.");
    if let Some(rollout) = rollout {
        states.sample(&[("name", &rollout.name), ("state", rollout.state.word())], 1.0);
    }
    let mut nodes =
        page.family("hardstand_rollout_nodes", Kind::Gauge, "Nodes of that rollout: done, and all of them.");
    if let Some(rollout) = rollout {
        nodes.sample(&[("name", &rollout.name), ("of", "done")], f64::from(rollout.done));
        nodes.sample(&[("name", &rollout.name), ("of", "all")], f64::from(rollout.nodes));
    }
}
