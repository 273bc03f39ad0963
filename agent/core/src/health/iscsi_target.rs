//! Are those logged in that should be, at the targets that this node serves?
//!
//! It must never block for sessions that are there: such a gate would be shut every day and stop the whole group. That this
//! node itself does not restart under them (S14) is the leader's rule, in `safety`.

use std::collections::BTreeSet;

use super::{Court, Gate, Severity};
use crate::history::Thing;
use crate::observed::IscsiTarget;
use crate::settings::Expected;

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(targets) = seen.iscsi_targets() else { return };
    let targets = targets.as_ref();
    let next = "see: targetcli ls, or on TrueNAS its iSCSI service";
    court.expected("iscsi_target.expected", Expected::IscsiTarget, "iSCSI targets", targets.len(), next);
    for target in targets {
        judge_target(court, target);
    }
    initiators(court, targets);
}

fn judge_target(court: &mut Court<'_>, target: &IscsiTarget) {
    let name = ("iscsi_target.target", target.name.as_str());
    let units = target.units.iter().map(|unit| format!("{} {}", unit.lun, unit.backing.as_deref().unwrap_or("?")));
    let units: Vec<String> = units.collect();
    let serves = format!("serves {}", super::names(units.iter().map(String::as_str)));
    match target.enabled {
        Some(true) => court.ok(name, serves),
        Some(false) => {
            let evidence = format!("it takes no logins; it {serves}");
            court.find(name, Severity::Warn, Gate::Warns, format!("target {} is not enabled", target.name), evidence);
        }
        None => {
            let evidence = "it does not tell whether it takes logins";
            court.find(name, Severity::Unknown, Gate::Blocks, format!("target {} is not known", target.name), evidence);
        }
    }
    let name = ("iscsi_target.sessions", target.name.as_str());
    let initiators = target.initiators();
    if initiators.is_empty() {
        return court.ok(name, "nobody is logged in");
    }
    let busy: u64 = target.sessions.iter().filter_map(|session| session.active_commands).sum();
    let busy = if busy == 0 { String::new() } else { format!(", {busy} commands are under way") };
    let summary = format!("{} logged in at {}", initiators.len(), target.name);
    let evidence = format!(
        "{} in {} sessions{busy}; they lose these disks while this node is away: quiesce them first",
        super::names(initiators.iter().copied()),
        target.sessions.len()
    );
    court.find(name, Severity::Info, Gate::Warns, summary, evidence);
}

/// Those that were logged in before and those that are declared.
fn initiators(court: &mut Court<'_>, targets: &[IscsiTarget]) {
    let settings = court.settings;
    let pairs = targets
        .iter()
        .flat_map(|target| target.initiators().into_iter().map(|initiator| format!("{} {initiator}", target.name)));
    let present: BTreeSet<String> = pairs.collect();
    for gone in court.history.missing(Thing::Initiator, &present) {
        let evidence = format!(
            "it was logged in and is not any more; see there: iscsiadm -m session, or if it was ended on purpose: hardstand \
             forget initiator '{gone}'"
        );
        let (target, initiator) = gone.split_once(' ').unwrap_or(("", &gone));
        let summary = format!("{initiator} is not logged in at {target}");
        court.find(("iscsi_target.initiator", &gone), Severity::Warn, Gate::Warns, summary, evidence);
    }
    for name in &settings.iscsi_target.initiators {
        if targets.iter().any(|target| target.initiators().contains(name.as_str())) {
            court.ok(("iscsi_target.initiator", name), "logged in");
        } else {
            let evidence = "it is declared in [iscsi_target] initiators; see there: iscsiadm -m session";
            let summary = format!("{name} is not logged in");
            court.find(("iscsi_target.initiator", name), Severity::Warn, Gate::Warns, summary, evidence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::well;
    use super::super::{Health, judge};
    use super::*;
    use crate::observed::{Observed, TargetSession};
    use crate::{History, Sample, Settings};

    fn seen(initiators: &[&str], enabled: Option<bool>) -> Observed {
        let session = |name: &&str| TargetSession { initiator: (*name).to_owned(), ..TargetSession::default() };
        let sessions = initiators.iter().map(session).collect();
        let target = IscsiTarget { name: "iqn.t".to_owned(), enabled, sessions, units: Vec::new() };
        let mut seen = well(0.0);
        seen.iscsi_target = Sample::fresh(Some(vec![target]), 0.0);
        seen
    }

    fn stands(health: &Health, check: &str) -> Vec<(Severity, Gate)> {
        let of_check = health.findings.iter().filter(|finding| finding.check == check);
        of_check.map(|finding| (finding.severity, finding.gate)).collect()
    }

    const TOLD: (Severity, Gate) = (Severity::Warn, Gate::Warns);
    const WELL: (Severity, Gate) = (Severity::Ok, Gate::None);

    #[test]
    fn who_is_logged_in_is_told_and_who_is_not_any_more_is_missed() {
        let mut history = History::default();
        let mut judged = |initiators: &[&str]| judge(&seen(initiators, Some(true)), &Settings::default(), &mut history);
        let both = judged(&["iqn.a", "iqn.a", "iqn.b"]);
        assert_eq!(stands(&both, "iscsi_target.sessions"), [(Severity::Info, Gate::Warns)]);
        assert_eq!(both.verdict, Severity::Info, "a day like any other");
        assert_eq!(stands(&both, "iscsi_target.initiator"), []);
        let one = judged(&["iqn.a"]);
        assert_eq!(stands(&one, "iscsi_target.initiator"), [TOLD]);
        assert_eq!(stands(&judged(&[]), "iscsi_target.sessions"), [WELL]);
        assert!(history.forget(Thing::Initiator, "iqn.t iqn.b"));
        let health = judge(&seen(&["iqn.a"], Some(true)), &Settings::default(), &mut history);
        assert_eq!(stands(&health, "iscsi_target.initiator"), []);
    }

    #[test]
    fn what_is_declared_is_missed_from_the_first_look_on() {
        let mut settings = Settings::default();
        settings.iscsi_target.initiators = vec!["iqn.a".to_owned()];
        settings.node.expect = vec![Expected::IscsiTarget];
        let judged = |seen: &Observed| judge(seen, &settings, &mut History::default());
        assert_eq!(stands(&judged(&seen(&[], Some(true))), "iscsi_target.initiator"), [TOLD]);
        assert_eq!(stands(&judged(&seen(&["iqn.a"], Some(true))), "iscsi_target.initiator"), [WELL]);
        assert_eq!(stands(&judged(&well(0.0)), "iscsi_target.expected"), [(Severity::Crit, Gate::Blocks)]);
    }

    #[test]
    fn a_target_that_takes_no_logins_is_told() {
        let judged = |enabled| judge(&seen(&[], enabled), &Settings::default(), &mut History::default());
        assert_eq!(stands(&judged(Some(true)), "iscsi_target.target"), [WELL]);
        assert_eq!(stands(&judged(Some(false)), "iscsi_target.target"), [TOLD]);
        assert_eq!(stands(&judged(None), "iscsi_target.target"), [(Severity::Unknown, Gate::Blocks)]);
    }
}
