//! Is the Ceph cluster whole, and may the daemons of this host be stopped?
//!
//! It must never take an answer that is old, or about other daemons, for leave to stop those of this host.

use super::{Court, Gate, Severity, names, span};
use crate::observed::{CephCheck, CephCluster, CephMons, CephStatus, CephStop};
use crate::settings::Expected;
use crate::standing::{Report, Standing, Subject, worst};

const LOOK: &str = "see: ceph health detail";
/// The checks that name flags, which somebody has set.
const FLAGS: [&str; 2] = ["OSDMAP_FLAGS", "OSD_FLAGS"];
const SET: &str = "hardstand sets none: whoever did unsets it when their work is done (ceph osd unset FLAG, ceph osd \
                   unset-group FLAG PART); see: ceph osd dump, ceph health detail";
/// Critical from this share of the OSDs on (one of so many).
const DOWN_CRIT_ONE_OF: u64 = 10;
/// Older than this an answer is no leave to stop anything: it is asked for every two minutes, and whenever something
/// has changed.
const STOP_AGE_LIMIT_SECONDS: f64 = 300.0;
/// Lines of a check's details that are shown.
const DETAILS: usize = 3;

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(cluster) = seen.ceph.reading.known() else { return };
    let next = "see [ceph] in agent.toml: without /usr/bin/ceph or its conf there is nothing to ask";
    court.expected("ceph.expected", Expected::Ceph, "cluster", usize::from(cluster.is_some()), next);
    let Some(cluster) = cluster else { return };
    let status = &cluster.status;
    let subjects = status.subjects();
    let named = |kind: &'static str| subjects.iter().filter(move |subject| subject.kind == kind);
    for subject in named("cluster") {
        let said = status.health.status.as_deref().unwrap_or_default();
        let seen = format!("{said}, {}", subject.name);
        court.stands("ceph.health", &Subject { name: "cluster".to_owned(), ..subject.clone() }, seen, LOOK);
    }
    for (subject, check) in named("check").zip(status.health.checks.iter().flatten()) {
        judge_check(court, subject, check);
    }
    judge_mons(court, &status.mons, &subjects);
    for subject in named("mgr") {
        court.stands("ceph.mgr", subject, "available", "see: ceph mgr stat");
    }
    judge_osds(court, cluster, &subjects);
    judge_pgs(court, status, &subjects);
    for subject in named("mds") {
        court.stands("ceph.mds", subject, "active", "see: ceph fs status");
    }
    stops(court, cluster);
}

/// A check of Ceph's own by its name. One that is harmless is told, and has no bearing.
fn judge_check(court: &mut Court<'_>, subject: &Subject, check: &CephCheck) {
    if FLAGS.contains(&check.name.as_str()) {
        let subject = with_details(subject, check);
        return court.stands("ceph.flags", &subject, "", SET);
    }
    if subject.state == Standing::Ok {
        let said = check.message.as_deref().unwrap_or_default();
        let evidence = format!("{said}; it takes no redundancy; {LOOK}");
        let name = ("ceph.check", subject.name.as_str());
        return court.find(name, Severity::Info, Gate::None, format!("{}: {said}", subject.name), evidence);
    }
    court.stands("ceph.check", &with_details(subject, check), "", LOOK);
}

fn with_details(subject: &Subject, check: &CephCheck) -> Subject {
    let details = check.detail.iter().take(DETAILS).map(String::as_str);
    let why: Vec<&str> = subject.why.as_deref().into_iter().chain(details).collect();
    Subject { why: Some(why.join("; ")), ..subject.clone() }
}

/// Who can lose no other monitor is on the edge, as soon as one is lost already.
fn judge_mons(court: &mut Court<'_>, mons: &CephMons, subjects: &[Subject]) {
    let there = mons.in_quorum.as_ref().map_or(0, Vec::len) as u64;
    let total = mons.total.unwrap_or(0);
    let margin = there.saturating_sub(total / 2 + 1);
    for subject in subjects.iter().filter(|subject| subject.kind == "mons") {
        let mut subject = subject.clone();
        if subject.state == Standing::Degraded {
            let why = subject.why.take().unwrap_or_default();
            subject.why = Some(format!("{why}, {margin} more may be lost"));
            if margin == 0 {
                subject.state = Standing::Failed;
            }
        }
        let seen = format!("{there} of {total} in quorum, {margin} may be lost");
        court.stands("ceph.mons", &subject, seen, "see: ceph quorum_status");
    }
}

fn judge_osds(court: &mut Court<'_>, cluster: &CephCluster, subjects: &[Subject]) {
    let counts = &cluster.status.osds;
    let (total, up) = (counts.total.unwrap_or(0), counts.up.unwrap_or(0));
    let down = total.saturating_sub(up);
    for subject in subjects.iter().filter(|subject| subject.kind == "osds") {
        let mut subject = subject.clone();
        if subject.state == Standing::Degraded && down > 0 && down.saturating_mul(DOWN_CRIT_ONE_OF) >= total {
            subject.state = Standing::Failed;
        }
        let down = cluster.tree.osds.iter().filter(|osd| osd.status.as_deref() == Some("down"));
        let down = names(down.map(|osd| osd.name.as_str()));
        let next = if down.is_empty() { String::new() } else { format!("down: {down}; ") };
        court.stands("ceph.osds", &subject, format!("{up} of {total} up and in"), &format!("{next}see: ceph osd tree"));
    }
}

/// All of them in one finding: they go through their states too quickly to be told apart.
fn judge_pgs(court: &mut Court<'_>, status: &CephStatus, subjects: &[Subject]) {
    let faults: Vec<(Standing, String)> = subjects
        .iter()
        .filter(|subject| subject.kind == "pgs" && subject.state != Standing::Ok)
        .map(|subject| {
            let why = subject.why.as_deref().unwrap_or_default();
            let is_of_all = subject.name == "all";
            (subject.state, if is_of_all { why.to_owned() } else { format!("{why} {}", subject.name) })
        })
        .collect();
    let seen = format!("{}, all active and clean", status.pgs.total.unwrap_or(0));
    court.stands("ceph.pgs", &Subject::judged("pgs", "all", &faults), seen, "see: ceph pg dump_stuck");
}

/// Whether what runs here may go: asked of Ceph for OSDs and monitors, and counted for the rest, which it cannot be asked
/// for.
fn stops(court: &mut Court<'_>, cluster: &CephCluster) {
    for stop in &cluster.stops {
        judge_stop(court, stop, court.seen.ceph.age_seconds + cluster.asked_before_seconds);
    }
    for daemon in &cluster.strangers {
        let why =
            format!("{daemon} runs on this host, and the cluster knows none here: whether it may stop is not known");
        let subject = Subject::not_ok("stop", daemon, Standing::Unknown, why);
        court.stands("ceph.stop", &subject, "", "see: ceph node ls, hostname");
    }
    let of_kind = |kind: &str| cluster.local.iter().filter(|daemon| daemon.starts_with(kind)).collect::<Vec<_>>();
    let managers = of_kind("mgr.");
    let spare = cluster.status.mgr.as_ref().and_then(|mgr| mgr.standbys);
    others_take_over(court, &managers, spare, managers.len() as u64);
    let servers = of_kind("mds.");
    let holds = |daemon: &&&String| cluster.status.mds.iter().any(|mds| daemon.strip_prefix("mds.") == Some(&mds.name));
    let holding = servers.iter().filter(holds).count();
    // Those that wait here go with this host.
    let spare = cluster.status.mds_standbys.map(|all| all.saturating_sub((servers.len() - holding) as u64));
    others_take_over(court, &servers, spare, holding as u64);
}

fn judge_stop(court: &mut Court<'_>, stop: &CephStop, age_seconds: f64) {
    let daemons: Vec<&str> = stop.daemons.iter().map(String::as_str).collect();
    let group = if stop.daemons.iter().all(|daemon| daemon.starts_with("osd.")) { "osd" } else { "mon" };
    let unknown = |why: String| vec![(Standing::Unknown, why)];
    let faults = match stop.answer.known() {
        None => unknown(stop.answer.why().unwrap_or("not asked").to_owned()),
        Some(_) if age_seconds > STOP_AGE_LIMIT_SECONDS => unknown("the last answer is too old".to_owned()),
        Some(answer) => {
            let subjects = answer.subjects();
            match worst(&subjects) {
                Standing::Ok if answer.allows(&daemons) => Vec::new(),
                Standing::Ok => unknown("Ceph's answer is not about all of them".to_owned()),
                state => subjects.into_iter().take(1).map(|one| (state, one.why.unwrap_or_default())).collect(),
            }
        }
    };
    let faults: Vec<_> =
        faults.into_iter().map(|(state, why)| (state, format!("{}: {why}", names(daemons.clone())))).collect();
    let asked = format!("asked {} ago", span(age_seconds));
    let next = format!("{asked}; see: ceph {} ok-to-stop {}", group, daemons.join(" ").replace("mon.", ""));
    court.stands("ceph.stop", &Subject::judged("stop", group, &faults), format!("{}; {asked}", names(daemons)), &next);
}

/// Daemons of which another one takes over: `needed` of them, by those that wait elsewhere.
fn others_take_over(court: &mut Court<'_>, local: &[&String], spare: Option<u64>, needed: u64) {
    let Some(first) = local.first() else { return };
    let kind = first.split('.').next().unwrap_or_default();
    let listed = names(local.iter().map(|daemon| daemon.as_str()));
    let subject = match spare {
        Some(spare) if spare >= needed => Subject::ok("stop", kind),
        Some(_) => {
            Subject::not_ok("stop", kind, Standing::Failed, format!("{listed}: no standby elsewhere takes over"))
        }
        None => Subject::not_ok("stop", kind, Standing::Unknown, format!("{listed}: standbys are not told")),
    };
    court.stands("ceph.stop", &subject, listed, "start another one on another host; see: ceph status");
}

#[cfg(test)]
mod tests;
