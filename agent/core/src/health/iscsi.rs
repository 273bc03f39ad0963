//! Does every iSCSI session stand that stood before, with all its units?
//!
//! It must never let a session go unmissed: the kernel's list shows only those that are there.

use std::collections::BTreeSet;

use super::{Court, Gate, Severity};
use crate::history::Thing;
use crate::observed::{IscsiSession, IscsiSessions};
use crate::settings::Expected;

const LOOK: &str = "see: iscsiadm -m session -P 3";

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(initiator) = seen.iscsi.reading.known() else { return };
    let sessions = initiator.as_ref().map(IscsiSessions::named).unwrap_or_default();
    let next = "see: systemctl status iscsid open-iscsi";
    court.expected("iscsi.expected", Expected::IscsiInitiator, "iSCSI sessions", sessions.len(), next);
    missing(court, &sessions);
    if let Some(initiator) = initiator {
        for (name, session) in &sessions {
            judge_session(court, initiator, name, session);
        }
    }
}

fn missing(court: &mut Court<'_>, sessions: &[(String, &IscsiSession)]) {
    // Half a name is missed by nobody: the next look at that session knows the whole.
    let named = sessions.iter().filter(|(_, session)| session.is_named());
    let present: BTreeSet<String> = named.map(|(name, _)| name.clone()).collect();
    for gone in court.history.missing(Thing::Session, &present) {
        let target = gone.split(' ').next().unwrap_or(&gone);
        let evidence = format!(
            "it was logged in and is not any more; log in: iscsiadm -m node -T {target} --login, or if it was ended on \
             purpose: hardstand forget session '{gone}'"
        );
        let summary = format!("iSCSI session {gone} is gone");
        court.find(("iscsi.session", &gone), Severity::Crit, Gate::Blocks, summary, evidence);
    }
}

fn judge_session(court: &mut Court<'_>, initiator: &IscsiSessions, subject: &str, session: &IscsiSession) {
    court.stands("iscsi.session", &initiator.subject(session, subject), "logged in", LOOK);
    let disks = session.devices.iter().flatten().filter(|device| device.disk.is_some()).count();
    let most = court.history.best(&format!("iscsi disks {subject}"), disks as u64);
    let name = ("iscsi.disks", subject);
    if most > disks as u64 {
        let evidence = format!("{disks} of the {most} disks that it had since this boot; {LOOK}");
        let summary = format!("{subject} has {disks} of {most} disks");
        court.find(name, Severity::Crit, Gate::Blocks, summary, evidence);
    } else {
        court.ok(name, format!("{disks} disks"));
    }
}

#[cfg(test)]
mod tests;
