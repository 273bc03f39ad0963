//! How high availability stands.
//!
//! It must never be content with a report that breaks off: rows that belong together are missed when they are not there.

use super::super::{Fault, Names, Report, Standing, Subject};
use super::{of_ha_node, of_service};
use crate::observed::{PveHa, PveHaEntry};

/// Proxmox VE calls a master or local resource manager dead that has said nothing for longer than this.
const MOST_SILENT_SECS: u64 = 30;
const DEAD: &str = "old timestamp - dead?";

impl Report for PveHa {
    fn subjects(&self) -> Vec<Subject> {
        let mut names = Names::default();
        let mut subjects: Vec<Subject> = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let (kind, mut faults) = judged(entry);
            faults.extend(entry.unread.iter().map(|words| (Standing::Unknown, format!("{words:?} could not be read"))));
            let named = entry.name.clone().filter(|name| !name.is_empty());
            if named.is_none() && matches!(kind, "master" | "lrm" | "node" | "service") {
                faults.push((Standing::Unknown, "it has no name".to_owned()));
            }
            let name = names.unique(kind, named.unwrap_or_else(|| unnamed(kind, index)));
            subjects.push(Subject::judged(kind, name, &faults));
        }
        let missed = self.missed().into_iter();
        subjects.extend(missed.map(|(kind, why)| Subject::not_ok(kind, "cluster", Standing::Unknown, why)));
        subjects
    }
}

fn unnamed(kind: &str, index: usize) -> String {
    if matches!(kind, "quorum" | "fencing") { "cluster".to_owned() } else { format!("row {}", index + 1) }
}

impl PveHa {
    /// Rows that should be there, and why. A cluster without a master, nodes and services does not use high availability:
    /// then the quorum alone is told, which lines that have no end cannot tell from a report that is cut short. Where the
    /// fencing is told (it comes behind the master) they can.
    fn missed(&self) -> Vec<(&'static str, &'static str)> {
        let has = |kind: &str| self.entries.iter().any(|entry| entry.kind.as_deref() == Some(kind));
        let is_used = has("master") || has("lrm") || has("node") || has("service");
        let mut missed = Vec::new();
        if !has("quorum") {
            missed.push(("quorum", "the report does not tell whether there is quorum"));
        }
        if !has("master") && (is_used || !(self.tells_end || has("fencing"))) {
            missed.push(("master", "no master is told: high availability is not in use, or the report is cut short"));
        }
        if is_used && !has("lrm") {
            missed.push(("lrm", "no local resource manager is told; is the report cut short?"));
        }
        if !self.tells_end && !has("service") && self.entries.iter().any(works) {
            missed.push((
                "service",
                "no service is told, and a local resource manager has some; is the report cut short?",
            ));
        }
        missed
    }
}

/// Whether it is a master or a local resource manager with something to manage. Both go on for some minutes after the
/// last service is taken from them.
fn works(entry: &PveHaEntry) -> bool {
    let states = ["active", "wait_for_agent_lock", "lost_agent_lock"];
    matches!(entry.kind.as_deref(), Some("master" | "lrm"))
        && entry.state.as_deref().is_some_and(|state| states.contains(&state))
}

fn judged(entry: &PveHaEntry) -> (&'static str, Vec<Fault>) {
    match entry.kind.as_deref() {
        Some("quorum") => ("quorum", quorum(entry)),
        Some("master") => ("master", master(entry)),
        Some("lrm") => ("lrm", lrm(entry)),
        Some("node") => ("node", node(entry)),
        Some("service") => ("service", service(entry)),
        Some("fencing") => ("fencing", fencing(entry)),
        Some(kind) => ("entry", vec![(Standing::Unknown, format!("type {kind} is not known"))]),
        // A line that could not be read says so itself.
        None if !entry.unread.is_empty() => ("entry", Vec::new()),
        None => ("entry", vec![(Standing::Unknown, "its type is not told".to_owned())]),
    }
}

/// `None` when the word is the good one; a word that is not known, and none at all, are unknown.
fn word(what: &str, said: Option<&str>, standing: fn(&str) -> Standing) -> Option<Fault> {
    let Some(said) = said else { return Some((Standing::Unknown, "its state is not told".to_owned())) };
    match standing(said) {
        Standing::Ok => None,
        state => Some((state, format!("{what}{said}"))),
    }
}

fn quorum(entry: &PveHaEntry) -> Vec<Fault> {
    let mut faults = Vec::new();
    if entry.state.is_some() || entry.quorate.is_none() {
        faults.extend(word("", entry.state.as_deref(), of_quorum));
    }
    if entry.quorate == Some(false) {
        faults.push((Standing::Failed, "it is not quorate".to_owned()));
    }
    faults
}

/// A master without services may go to sleep: it is `idle` then.
fn master(entry: &PveHaEntry) -> Vec<Fault> {
    let mut faults = Vec::new();
    if entry.state.is_some() || entry.behind_seconds.is_none() {
        faults.extend(word("", entry.state.as_deref(), of_master));
    }
    if entry.state.as_deref() != Some("idle") {
        faults.extend(silent(entry));
    }
    if let Some(mode) = &entry.mode {
        faults.extend(word("high availability is ", Some(mode), of_fencing));
    }
    faults
}

fn fencing(entry: &PveHaEntry) -> Vec<Fault> {
    let mut faults: Vec<Fault> = word("", entry.state.as_deref(), of_fencing).into_iter().collect();
    if let Some(watchdog) = &entry.watchdog {
        faults.extend(word("watchdog ", Some(watchdog), of_watchdog));
    }
    faults
}

/// A local resource manager in maintenance, or disarmed, is on purpose not there, and may be silent.
fn lrm(entry: &PveHaEntry) -> Vec<Fault> {
    let mut faults: Vec<Fault> = word("", entry.state.as_deref(), of_lrm).into_iter().collect();
    if let Some(mode) = &entry.mode {
        faults.extend(word("mode ", Some(mode), of_mode));
    }
    if let Some(watchdog) = &entry.watchdog {
        faults.extend(word("watchdog ", Some(watchdog), of_watchdog));
    }
    if !matches!(entry.mode.as_deref(), Some("maintenance" | "disarm")) {
        faults.extend(silent(entry));
    }
    faults
}

fn silent(entry: &PveHaEntry) -> Option<Fault> {
    let behind = entry.behind_seconds.filter(|behind| *behind > MOST_SILENT_SECS)?;
    Some((Standing::Failed, format!("it has said nothing for {behind} s when the report was made")))
}

fn node(entry: &PveHaEntry) -> Vec<Fault> {
    let mut faults: Vec<Fault> = word("", entry.state.as_deref(), of_ha_node).into_iter().collect();
    match entry.request_state.as_deref() {
        None => {}
        Some("maintenance") => faults.push((Standing::Degraded, "maintenance is requested".to_owned())),
        Some(other) => faults.push((Standing::Unknown, format!("{other} is requested"))),
    }
    faults
}

fn service(entry: &PveHaEntry) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    if entry.state.is_some() || entry.crm_state.is_none() {
        faults.extend(word("", entry.state.as_deref(), of_service));
    }
    if let Some(state) = &entry.crm_state
        && entry.crm_state != entry.state
    {
        faults.extend(word("to the master ", Some(state), of_service));
    }
    if let Some(request) = &entry.request_state {
        faults.extend(word("requested state ", Some(request), of_request));
    }
    if entry.running == Some(false) && entry.state.as_deref() == Some("started") {
        faults.push((Standing::Degraded, "to be started, and not said to run yet".to_owned()));
    }
    faults
}

fn of_quorum(said: &str) -> Standing {
    match said {
        "OK" => Standing::Ok,
        _ if said.starts_with("No quorum") => Standing::Failed,
        _ => Standing::Unknown,
    }
}

fn of_master(said: &str) -> Standing {
    match said {
        "active" | "idle" => Standing::Ok,
        DEAD => Standing::Failed,
        // `detected time drift!`: the clocks differ, so its time stamp does not tell whether it lives.
        _ => Standing::Unknown,
    }
}

fn of_lrm(said: &str) -> Standing {
    match said {
        "active" | "idle" => Standing::Ok,
        "wait_for_agent_lock" | "maintenance" => Standing::Degraded,
        // Its watchdog runs out soon, and resets the node.
        "lost_agent_lock" | DEAD => Standing::Failed,
        _ => match said.strip_suffix(" mode") {
            Some(mode) => of_mode(mode),
            // `unknown`, `unable to read lrm status`, and a drift of clocks.
            None => Standing::Unknown,
        },
    }
}

/// In every mode but `active` the services are sent away, stopped or frozen.
fn of_mode(said: &str) -> Standing {
    match said {
        "active" => Standing::Ok,
        "maintenance" | "restart" | "shutdown" | "disarm" => Standing::Degraded,
        _ => Standing::Unknown,
    }
}

fn of_watchdog(said: &str) -> Standing {
    match said {
        "active" | "standby" | "released" => Standing::Ok,
        _ => Standing::Unknown,
    }
}

/// On `standby` there is no service that a watchdog would have to guard; disarmed, a loss of quorum fences nobody.
fn of_fencing(said: &str) -> Standing {
    match said {
        "armed" | "standby" => Standing::Ok,
        "disarming" | "disarmed" => Standing::Degraded,
        _ => Standing::Unknown,
    }
}

/// Whatever is asked of a service is lawful.
fn of_request(said: &str) -> Standing {
    match said {
        "started" | "stopped" | "enabled" | "disabled" | "ignored" => Standing::Ok,
        _ => Standing::Unknown,
    }
}

#[cfg(test)]
mod tests;
