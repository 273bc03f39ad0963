//! TrueNAS itself: whether it is ready, what it would boot, and whether it wants to.
//!
//! It must never take an update that waits for its reboot for a failure.

use super::super::{Court, Gate, Severity, names, span};
use crate::observed::{NasEnvironment, NasUpdate, TrueNas};

/// What TrueNAS calls an update that is installed and not booted.
const INSTALLED: &str = "EREBOOTREQUIRED";
/// What is installed is newer than all that is on offer: nothing to mend.
const NEWER: &str = "ENOPKG";

pub(super) fn judge(court: &mut Court<'_>, nas: &TrueNas) {
    if let Some(state) = nas.state.known() {
        judge_state(court, nas, state);
    }
    if let Some(environments) = nas.environments.known() {
        judge_environments(court, environments);
    }
    judge_reboot(court, nas);
    if let Some(update) = nas.update.as_ref().and_then(|update| update.known()) {
        judge_update(court, nas, update);
    }
}

fn judge_state(court: &mut Court<'_>, nas: &TrueNas, state: &str) {
    let name = ("truenas.state", "system");
    let version = nas.version.known().map_or("an unknown version", String::as_str);
    match state {
        "READY" => court.ok(name, format!("READY, {version}, API {}", nas.api)),
        "BOOTING" | "SHUTTING_DOWN" => {
            let evidence = format!("it says {state}; wait until it is READY");
            court.find(name, Severity::Warn, Gate::Blocks, format!("TrueNAS is {state}"), evidence);
        }
        other => {
            let evidence = format!("it says {other}, which is not known here");
            court.find(name, Severity::Unknown, Gate::Blocks, format!("TrueNAS is {other}"), evidence);
        }
    }
}

/// The system that runs is what one goes back to when the next one does not boot.
fn judge_environments(court: &mut Court<'_>, environments: &[NasEnvironment]) {
    let name = ("truenas.environment", "boot");
    let mut find =
        |severity, gate, summary: String, evidence: String| court.find(name, severity, gate, summary, evidence);
    let Some(next) = environments.iter().find(|one| one.activated == Some(true)) else {
        let summary = "no system is chosen for the next boot".to_owned();
        let evidence = "choose one: boot.environment.activate, or in its web pages below Boot".to_owned();
        return find(Severity::Warn, Gate::Blocks, summary, evidence);
    };
    if next.can_activate == Some(false) {
        let summary = format!("{} is booted next, and cannot be", next.name);
        return find(Severity::Warn, Gate::Blocks, summary, "choose another one: boot.environment.activate".to_owned());
    }
    let Some(running) = environments.iter().find(|one| one.active == Some(true)) else {
        let evidence = format!("{} is booted next, and none is said to run; is this the live image?", next.name);
        return find(Severity::Unknown, Gate::Warns, "which system runs is not told".to_owned(), evidence);
    };
    if running.name != next.name && running.keep != Some(true) {
        let evidence = format!(
            "{} is booted next, and {} is what there is to go back to; an update that lacks space would take it: \
             boot.environment.keep",
            next.name, running.name
        );
        let summary = format!("{} is not kept", running.name);
        return find(Severity::Warn, Gate::Warns, summary, evidence);
    }
    let others = environments.iter().filter(|one| one.name != running.name).map(|one| one.name.as_str());
    let others = names(others);
    let others = if others.is_empty() { String::new() } else { format!("; to go back to: {others}") };
    court.ok(name, format!("{} runs, {} is booted next{others}", running.name, next.name));
}

/// An update that is installed shows in the environments at once, whatever else is asked.
fn judge_reboot(court: &mut Court<'_>, nas: &TrueNas) {
    let name = ("truenas.reboot", "system");
    let (Some(reasons), Some(environments)) = (nas.reboot_reasons.known(), nas.environments.known()) else { return };
    let mut why: Vec<String> = reasons.clone();
    let chosen = environments.iter().find(|one| one.activated == Some(true) && one.active == Some(false));
    why.extend(chosen.map(|next| format!("{} would boot, and does not run yet", next.name)));
    let update = nas.update.as_ref().and_then(|update| update.known());
    if chosen.is_none() && update.and_then(|update| update.error.as_deref()) == Some(INSTALLED) {
        why.push("an update is installed".to_owned());
    }
    let Some(first) = why.first() else { return court.ok(name, "nothing waits for a boot") };
    let evidence = format!("{}; reboot it when it suits: system.reboot", why.join("; "));
    court.find(name, Severity::Warn, Gate::None, format!("reboot needed: {first}"), evidence);
}

fn judge_update(court: &mut Court<'_>, nas: &TrueNas, update: &NasUpdate) {
    let name = ("truenas.update", "system");
    let asked = format!("asked {} ago", span(court.seen.truenas.age_seconds + nas.asked_before_seconds));
    let reason = update.reason.as_deref().unwrap_or("without a reason");
    let told = match (update.code.as_str(), &update.new_version, update.error.as_deref()) {
        ("NORMAL", None, _) => return court.ok(name, format!("nothing newer; {asked}")),
        ("NORMAL", Some(version), _) => {
            let runs = nas.environments.known().into_iter().flatten().find(|one| one.active == Some(true));
            let keep = runs.filter(|one| one.keep != Some(true));
            let keep =
                keep.map_or_else(String::new, |one| format!("keep {} before it: boot.environment.keep; ", one.name));
            (Severity::Info, format!("update {version} is on offer"), keep)
        }
        ("ERROR", _, Some(INSTALLED)) => (Severity::Info, "an update is installed".to_owned(), format!("{reason}; ")),
        ("ERROR", _, Some(NEWER)) => (Severity::Info, "no update fits".to_owned(), format!("{reason}; ")),
        ("ERROR", _, word) => {
            let word = word.unwrap_or("an error without a name");
            (Severity::Warn, "TrueNAS cannot look for updates".to_owned(), format!("{word}: {reason}; "))
        }
        (other, ..) => {
            let why = format!("it says {other}, which is not known here; ");
            (Severity::Unknown, "whether there is an update is not known".to_owned(), why)
        }
    };
    let (severity, summary, why) = told;
    court.find(name, severity, Gate::None, summary, format!("{why}{asked}; see its update page"));
}
