//! Does high availability stand, and what does it do with guests just now?
//!
//! It must never hold a node back because it is in maintenance itself: that is how it is emptied.

use super::{Court, Gate, Severity};
use crate::observed::{PveHaEntry, PveNode};
use crate::standing::{Report, Standing, Subject};

const LOOK: &str = "see: ha-manager status --verbose, journalctl -u pve-ha-crm -u pve-ha-lrm";

pub(super) fn judge(court: &mut Court<'_>, node: &PveNode) {
    states_of_nodes(court, node);
    let Some(ha) = node.ha.known() else { return };
    // Behind the entries' own come those that are missed.
    let entries = ha.entries.iter().map(Some).chain(std::iter::repeat(None));
    for (subject, entry) in ha.subjects().iter().zip(entries) {
        match subject.kind {
            // Whether there is quorum says corosync; here it matters that the report is whole.
            "quorum" if entry.is_some() => {}
            "lrm" => local_manager(court, node, subject, entry),
            "service" => service(court, subject, entry),
            kind => {
                let subject = Subject { name: format!("{kind} {}", subject.name), ..subject.clone() };
                court.stands("pve.ha", &subject, "as it should be", LOOK);
            }
        }
    }
}

/// What the list of resources has that the status has not: a node that is fenced.
fn states_of_nodes(court: &mut Court<'_>, node: &PveNode) {
    for row in node.resources.resources.iter().filter(|row| row.kind.as_deref() == Some("node")) {
        let (Some(name), Some(state)) = (row.node.as_deref(), row.ha_state.as_deref()) else { continue };
        let subject = format!("node {name}");
        let found = ("pve.ha", subject.as_str());
        match state {
            "online" => court.ok(found, "online"),
            "maintenance" => maintenance(court, node, name, &subject),
            "fence" | "gone" => {
                let evidence = format!("the HA manager says {state} of it; {LOOK}");
                court.find(found, Severity::Crit, Gate::Blocks, format!("{name}: {state}"), evidence);
            }
            // It may still run, and keeps guests from being recovered meanwhile. The words of a newer release are here too.
            other => {
                let gate = if other == "unknown" { Gate::Warns } else { Gate::Blocks };
                let evidence = format!("the HA manager says {other} of it; {LOOK}");
                court.find(found, Severity::Unknown, gate, format!("{name}: {other}"), evidence);
            }
        }
    }
}

/// Services are sent away from a node in maintenance, and come back when it ends.
fn maintenance(court: &mut Court<'_>, node: &PveNode, name: &str, subject: &str) {
    let is_this = name == node.name;
    // One node less for the services of this one; and whoever set it may be about to take that node down.
    let (severity, gate) = if is_this { (Severity::Info, Gate::None) } else { (Severity::Warn, Gate::Blocks) };
    let evidence =
        format!("its services are elsewhere until it ends: ha-manager crm-command node-maintenance disable {name}");
    court.find(("pve.ha", subject), severity, gate, format!("{name} is in maintenance"), evidence);
}

fn local_manager(court: &mut Court<'_>, node: &PveNode, subject: &Subject, entry: Option<&PveHaEntry>) {
    let name = format!("lrm {}", subject.name);
    let words = entry.map(|entry| [entry.state.as_deref(), entry.mode.as_deref()]).unwrap_or_default();
    if words.into_iter().flatten().any(|word| word == "maintenance mode" || word == "maintenance") {
        return maintenance(court, node, &subject.name, &name);
    }
    let is_away = entry.is_some() && subject.name != node.name && !node.is_online(&subject.name);
    if is_away && subject.state != Standing::Ok {
        let why = subject.why.as_deref().unwrap_or_default();
        let evidence = format!("{why}; its node is not online; {LOOK}");
        return court.find(("pve.ha", &name), Severity::Warn, Gate::Warns, format!("{name}: {why}"), evidence);
    }
    court.stands("pve.ha", &Subject { name, ..subject.clone() }, "as it should be", LOOK);
}

fn service(court: &mut Court<'_>, subject: &Subject, entry: Option<&PveHaEntry>) {
    let state = entry.and_then(|entry| entry.crm_state.as_deref().or(entry.state.as_deref())).unwrap_or_default();
    let on = entry.and_then(|entry| entry.node.as_deref()).unwrap_or("a node that is not told");
    let next = match state {
        "error" => format!(
            "on {on}; find out why, then: ha-manager set {name} --state disabled, and --state started; {LOOK}",
            name = subject.name
        ),
        "fence" => format!("{on} is being fenced, and it waits for that; {LOOK}"),
        _ => format!("on {on}; {LOOK}"),
    };
    court.stands("pve.ha", subject, format!("{state} on {on}"), &next);
}
