//! What TrueNAS does by itself: replications, snapshots, and jobs that a reboot would cut off.
//!
//! It must never take a job for harmless because it is not known.

use super::super::{Court, Gate, Severity, span};
use crate::observed::{NasJob, NasTask, TrueNas};

const DAY_SECONDS: f64 = 86_400.0;
/// What goes on after a boot where it was: a scrub, and a disk's test of itself is only begun again.
const RESUMED: [&str; 4] = ["pool.scrub.", "zpool.scrub.", "smart.test.", "disk.smart_test"];
/// The job that a replication runs as.
const REPLICATION: &str = "replication.run";

pub(super) fn judge(court: &mut Court<'_>, nas: &TrueNas) {
    let replications = nas.replications.known().map(Vec::as_slice).unwrap_or_default();
    for task in replications {
        judge_replication(court, task);
    }
    for task in nas.snapshot_tasks.known().into_iter().flatten() {
        judge_snapshots(court, task);
    }
    if let Some(jobs) = nas.jobs.known() {
        // A replication that is told of by its name is not told of by its job as well.
        let is_told = |job: &&NasJob| job.method == REPLICATION && replications.iter().any(is_running);
        judge_jobs(court, &jobs.iter().filter(|job| !is_told(job)).collect::<Vec<_>>());
    }
}

fn is_running(task: &NasTask) -> bool {
    matches!(task.state.as_deref(), Some("RUNNING" | "WAITING"))
}

fn judge_replication(court: &mut Court<'_>, task: &NasTask) {
    let name = ("truenas.replication", task.name.as_str());
    let why = task.why.as_deref().unwrap_or("without a reason");
    let since = task.age_seconds.map_or_else(String::new, |age| format!(" for {}", span(age)));
    let state = task.state.as_deref().unwrap_or("without a state");
    let is_late = is_late(court, task);
    let mut find = |severity, gate, said: &str, evidence: String| {
        court.find(name, severity, gate, format!("replication {} {said}", task.name), evidence);
    };
    match state {
        "RUNNING" | "WAITING" => {
            find(Severity::Info, Gate::Blocks, "runs", format!("{state}{since}; wait until it is done"))
        }
        "ERROR" => find(Severity::Warn, Gate::Warns, "failed", format!("{why}; see its log, and run it again")),
        "HOLD" => find(Severity::Warn, Gate::Warns, "is held", format!("{why}; held{since}")),
        "FINISHED" if is_late => {
            let days = court.settings.truenas.replication_age_warn_days;
            let evidence = format!("it ended well{}, and should every {days} days ([truenas])", ago(task));
            let summary = format!("replication {} is old", task.name);
            court.find(name, Severity::Warn, Gate::Warns, summary, evidence);
        }
        "FINISHED" => court.ok(name, format!("ended well{}", ago(task))),
        "PENDING" if task.enabled == Some(false) => court.ok(name, "it is switched off"),
        "PENDING" => court.ok(name, "it has not run since TrueNAS was started"),
        other => find(Severity::Unknown, Gate::Blocks, "is in a state that is not known here", other.to_owned()),
    }
}

fn ago(task: &NasTask) -> String {
    task.age_seconds.map_or_else(String::new, |age| format!(" {} ago", span(age)))
}

fn is_late(court: &Court<'_>, task: &NasTask) -> bool {
    let limit = court.settings.truenas.replication_age_warn_days * DAY_SECONDS;
    let runs_by_itself = task.auto != Some(false) && task.enabled != Some(false);
    runs_by_itself && task.age_seconds.is_some_and(|age| age > limit)
}

fn judge_snapshots(court: &mut Court<'_>, task: &NasTask) {
    let name = ("truenas.snapshot_task", task.name.as_str());
    let why = task.why.as_deref().unwrap_or("without a reason");
    match task.state.as_deref() {
        Some("ERROR") => {
            let summary = format!("snapshots of {} fail", task.name);
            court.find(name, Severity::Warn, Gate::Warns, summary, format!("{why}; see its periodic snapshot tasks"));
        }
        Some("HOLD") => {
            let summary = format!("snapshots of {} are held", task.name);
            court.find(name, Severity::Warn, Gate::Warns, summary, why);
        }
        Some(state @ ("PENDING" | "WAITING" | "RUNNING" | "FINISHED")) => court.ok(name, state),
        other => {
            let evidence = format!("{}, which is not known here", other.unwrap_or("without a state"));
            let summary = format!("snapshots of {} are not known of", task.name);
            court.find(name, Severity::Unknown, Gate::Warns, summary, evidence);
        }
    }
}

/// One finding for all jobs of a kind: a list may have hundreds of them.
fn judge_jobs(court: &mut Court<'_>, jobs: &[&NasJob]) {
    if jobs.is_empty() {
        return court.ok(("truenas.job", "jobs"), "none that a reboot would cut off");
    }
    let mut methods: Vec<&str> = jobs.iter().map(|job| job.method.as_str()).collect();
    methods.sort_unstable();
    methods.dedup();
    for method in methods {
        let of_kind: Vec<&&NasJob> = jobs.iter().filter(|job| job.method == method).collect();
        let told = |job: &NasJob| {
            let percent = job.percent.map_or_else(String::new, |percent| format!(", {percent:.0} %"));
            let progress = job.progress.as_deref().map_or_else(String::new, |said| format!(", {said}"));
            format!("{} (job {}{percent}{progress})", job.state, job.id)
        };
        let first = of_kind.first().map(|job| told(job)).unwrap_or_default();
        let count = if of_kind.len() > 1 { format!(", {} of them", of_kind.len()) } else { String::new() };
        let resumes = RESUMED.iter().any(|known| method.starts_with(known));
        let (severity, gate, next) = match resumes {
            true => (Severity::Info, Gate::Warns, "it is taken up again after a reboot"),
            false => (Severity::Info, Gate::Blocks, "a reboot would cut it off: wait until it is done"),
        };
        let summary = format!("{method} is under way");
        court.find(("truenas.job", method), severity, gate, summary, format!("{first}{count}; {next}"));
    }
}
