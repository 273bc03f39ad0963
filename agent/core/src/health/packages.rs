//! Is dpkg whole, and how far behind is the node?

use super::{Court, Gate, Severity, names, span};
use crate::observed::{Packages, PendingPackage, Role};
use crate::reading::Reading;

const DAY_SECONDS: f64 = 86_400.0;

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(packages) = seen.packages.reading.known() else { return };
    whole(court, packages);
    // A live image is replaced, not patched: it has no lists, and needs none.
    if court.seen.role == Role::Live {
        return;
    }
    held(court, packages);
    pending(court, packages);
    lists(court, packages);
}

fn whole(court: &mut Court<'_>, packages: &Packages) {
    let name = ("packages.half_configured", "dpkg");
    if !packages.half_configured.is_empty() {
        let broken: Vec<String> =
            packages.half_configured.iter().map(|package| format!("{} ({})", package.name, package.state)).collect();
        let evidence = format!("{} not fully installed; finish it: dpkg --configure -a", broken.join(", "));
        let summary =
            format!("{} half-configured", names(packages.half_configured.iter().map(|package| package.name.as_str())));
        court.find(name, Severity::Crit, Gate::Blocks, summary, evidence);
    } else if packages.dpkg_interrupted {
        let evidence = "dpkg's journal is not empty: it runs now, or was cut off; if nothing runs: dpkg --configure -a";
        court.find(name, Severity::Warn, Gate::Blocks, "dpkg is in the middle of something", evidence);
    } else {
        court.ok(name, format!("{} packages installed, all whole", packages.installed));
    }
}

fn held(court: &mut Court<'_>, packages: &Packages) {
    if packages.held.is_empty() {
        return court.ok(("packages.held", "apt"), "nothing on hold");
    }
    let evidence = format!("on hold: {}; they get no updates until: apt-mark unhold", packages.held.join(", "));
    let summary = format!("{} on hold", names(packages.held.iter().map(String::as_str)));
    court.find(("packages.held", "apt"), Severity::Info, Gate::None, summary, evidence);
}

fn pending(court: &mut Court<'_>, packages: &Packages) {
    let pending = match &packages.pending {
        Reading::Known(pending) => pending,
        Reading::Unknown { why } => {
            for check in ["packages.pending", "packages.security"] {
                court.find((check, "apt"), Severity::Unknown, Gate::None, "unknown what is to be updated", why.clone());
            }
            return;
        }
    };
    if pending.is_empty() {
        court.ok(("packages.pending", "apt"), "nothing to update");
    } else {
        let summary = format!("{} updates pending", pending.len());
        let evidence =
            format!("{}; the next rollout installs them", names(pending.iter().map(|package| package.name.as_str())));
        court.find(("packages.pending", "apt"), Severity::Info, Gate::None, summary, evidence);
    }
    security(court, pending);
}

fn security(court: &mut Court<'_>, pending: &[PendingPackage]) {
    let name = ("packages.security", "apt");
    let security: Vec<&str> =
        pending.iter().filter(|package| package.security).map(|package| package.name.as_str()).collect();
    // From first sight, not from the archive's date: no two clocks are compared (S16).
    let held = court.history.held_for("security pending", !security.is_empty());
    let Some(held) = held else { return court.ok(name, "no security update pending") };
    let summary = format!("{} security updates pending", security.len());
    let evidence = format!("{} pending for {}", names(security), span(held));
    let late = held > court.limits.security_pending_warn_days * DAY_SECONDS;
    let severity = if late { Severity::Warn } else { Severity::Info };
    court.find(name, severity, Gate::None, summary, evidence);
}

fn lists(court: &mut Court<'_>, packages: &Packages) {
    let name = ("packages.lists_age", "apt");
    let refreshed = match &packages.lists_refreshed_unix_seconds {
        Reading::Known(refreshed) => *refreshed,
        Reading::Unknown { why } => {
            return court.find(name, Severity::Unknown, Gate::None, "package lists missing", why.clone());
        }
    };
    let age = court.seen.at.unix_seconds.saturating_sub(refreshed) as f64;
    let evidence = format!("refreshed {} ago", span(age));
    if age > court.limits.lists_age_crit_days * DAY_SECONDS {
        let evidence = format!(
            "{evidence}: what is pending is not known; check the timer: systemctl status apt-daily.timer, or run: apt-get update"
        );
        court.find(name, Severity::Crit, Gate::None, format!("package lists {} old", span(age)), evidence);
    } else {
        court.ok(name, evidence);
    }
}
