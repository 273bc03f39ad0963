//! Judged facts: findings, the verdict over them, and the one sentence.
//!
//! It must never take an unknown for healthy, and never read anything but its arguments.

mod backup;
mod ceph;
mod certificate;
mod checks;
mod clock;
mod corosync;
mod cpu;
mod disks;
mod filesystems;
mod hardware_errors;
mod ipmi;
mod iscsi;
mod iscsi_target;
mod kernel;
mod kubernetes;
mod md;
mod memory;
mod multipath;
mod nics;
mod packages;
mod pci;
mod proxmox;
mod sensors;
mod service;
mod truenas;
mod units;
mod watchdog;
mod zfs;
mod zpool;

#[cfg(test)]
mod tests;

pub use checks::{CHECKS, Check};
pub use hardware_errors::ErrorRow;
use serde::{Deserialize, Serialize};
pub use service::{ServiceRow, ServiceWindow};

use crate::history::Acknowledgement;
use crate::observed::{Collector, Observed};
use crate::settings::{Expected, Thresholds};
use crate::standing::{Standing, Subject};
use crate::window::Civil;
use crate::{History, Settings};

/// How bad a finding is. The order is the order of the verdict: what cannot be known is worse than a warning,
/// because it may hide anything, and not as bad as what is known to be critical.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Info,
    /// Wants attention.
    Warn,
    /// Not known, for a stated reason. Never healthy (S6).
    Unknown,
    /// Wants attention now.
    Crit,
}

impl Severity {
    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Crit => "crit",
        }
    }
}

/// What a finding means for taking the node down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// No grant, and a running rollout halts.
    Blocks,
    /// Shown in the plan.
    Warns,
    /// No bearing.
    None,
}

/// One judged fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at, for example `filesystem.space`.
    pub check: String,
    /// Of what: a mount point, a disk, a unit.
    pub subject: String,
    /// How bad.
    pub severity: Severity,
    /// What it means for taking the node down, now. A check that is ok has no bearing.
    pub gate: Gate,
    /// A few words for the table and the status line, subject included.
    pub summary: String,
    /// What was seen, and what an operator can do, in a sentence.
    pub evidence: String,
    /// Since when it has been as bad as it is, seconds since 1970 by this node's clock.
    pub since_unix_seconds: u64,
    /// What a person said of it. Its severity is no worse than info then; its gate stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
}

/// All findings of one pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The node.
    pub node: String,
    /// The worst severity of all findings; unknown when there are none.
    pub verdict: Severity,
    /// Worst first, then by check and subject.
    pub findings: Vec<Finding>,
    /// One row per collector.
    pub collectors: Vec<Collector>,
    /// One row per declared service.
    pub services: Vec<ServiceRow>,
    /// Errors of the hardware since boot, one row per part and severity.
    #[serde(default)]
    pub errors: Vec<ErrorRow>,
}

impl Health {
    /// How many findings have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Adds findings that no collector has seen: those of the agent about itself. The verdict follows.
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
        self.order();
    }

    fn order(&mut self) {
        self.findings.sort_by(|a, b| {
            b.severity.cmp(&a.severity).then_with(|| a.check.cmp(&b.check)).then_with(|| a.subject.cmp(&b.subject))
        });
        self.verdict = self.findings.first().map_or(Severity::Unknown, |worst| worst.severity);
    }
}

/// Judges one pass. `history` is what earlier passes left, and is brought up to date.
pub fn judge(seen: &Observed, settings: &Settings, history: &mut History) -> Health {
    history.begin(seen.at, seen.kernel.shown().map(|kernel| kernel.boot_id.as_str()));
    let mut court = Court { seen, settings, limits: &settings.thresholds, history, findings: Vec::new() };
    cpu::judge(&mut court);
    memory::judge(&mut court);
    sensors::judge(&mut court);
    pci::judge(&mut court);
    let errors = hardware_errors::judge(&mut court);
    ipmi::judge(&mut court);
    watchdog::judge(&mut court);
    filesystems::judge(&mut court);
    nics::judge(&mut court);
    disks::judge(&mut court);
    zfs::judge(&mut court);
    zpool::judge(&mut court);
    iscsi::judge(&mut court);
    iscsi_target::judge(&mut court);
    multipath::judge(&mut court);
    md::judge(&mut court);
    corosync::judge(&mut court);
    ceph::judge(&mut court);
    proxmox::judge(&mut court);
    kubernetes::judge(&mut court);
    truenas::judge(&mut court);
    clock::judge(&mut court);
    units::judge(&mut court);
    kernel::judge(&mut court);
    packages::judge(&mut court);
    let services = service::judge(&mut court);
    certificate::judge(&mut court);
    backup::judge(&mut court);
    for (name, why) in seen.unknown_collectors() {
        court.find(
            ("collector", name),
            Severity::Unknown,
            Gate::Blocks,
            format!("{name} cannot be read"),
            format!("{why}; until it can, nothing is known of it"),
        );
    }
    if let Some(why) = court.history.why_lost().map(str::to_owned) {
        let evidence = format!("{why}; what vanished or rose before this start cannot be told");
        court.find(("agent.history", "agent"), Severity::Warn, Gate::Warns, "memory of earlier passes lost", evidence);
    }
    let findings = court.findings;
    history.end();
    let collectors = seen.collectors();
    let node = seen.node.clone();
    let mut health = Health { node, verdict: Severity::Unknown, findings, collectors, services, errors };
    health.order();
    health
}

/// One pass under judgement: the facts, the limits, the memory, and the findings so far.
struct Court<'a> {
    seen: &'a Observed,
    settings: &'a Settings,
    limits: &'a Thresholds,
    history: &'a mut History,
    findings: Vec<Finding>,
}

impl Court<'_> {
    /// Records one finding under `(check, subject)`.
    fn find(
        &mut self,
        (check, subject): (&str, &str),
        severity: Severity,
        gate: Gate,
        summary: impl Into<String>,
        evidence: impl Into<String>,
    ) {
        debug_assert!(CHECKS.iter().any(|known| known.name == check), "{check} is not in the table of checks");
        let since_unix_seconds = self.history.since(check, subject, severity);
        let acknowledged = self.history.acknowledgement(check, subject, severity).cloned();
        let (mut summary, mut evidence) = (summary.into(), evidence.into());
        let severity = match &acknowledged {
            None => severity,
            Some(Acknowledgement { reason, until_unix_seconds }) => {
                let until = Civil::from_seconds(i64::try_from(*until_unix_seconds).unwrap_or(i64::MAX));
                summary = format!("(acknowledged) {summary}");
                evidence = format!("{} that is acknowledged until {until} UTC: {reason}; {evidence}", severity.word());
                Severity::Info
            }
        };
        self.findings.push(Finding {
            check: check.to_owned(),
            subject: subject.to_owned(),
            severity,
            gate,
            summary,
            evidence,
            since_unix_seconds,
            acknowledged,
        });
    }

    /// Records whether a system that is declared is there, by how many of its things are.
    fn expected(&mut self, check: &str, expected: Expected, things: &str, count: usize, next: &str) {
        if !self.settings.node.expect.contains(&expected) {
            return;
        }
        let name = (check, expected.word());
        if count > 0 {
            return self.ok(name, format!("{count} {things}"));
        }
        let evidence = format!("it is declared in [node] expect, and there is none; {next}");
        self.find(name, Severity::Crit, Gate::Blocks, format!("no {things}"), evidence);
    }

    /// Records how something stands by a report's own words. Whatever is not ok keeps the node up: less redundancy than it
    /// should have is a warning, and no time to take the rest away.
    fn stands(&mut self, check: &str, subject: &Subject, seen: impl Into<String>, next: &str) {
        let name = (check, subject.name.as_str());
        let severity = match subject.state {
            Standing::Ok => return self.ok(name, seen),
            Standing::Degraded => Severity::Warn,
            Standing::Unknown => Severity::Unknown,
            Standing::Failed => Severity::Crit,
        };
        let why = subject.why.as_deref().unwrap_or(severity.word());
        self.find(name, severity, Gate::Blocks, format!("{}: {why}", subject.name), format!("{why}; {next}"));
    }

    /// Records that something is as it should be, with what was seen.
    fn ok(&mut self, name: (&str, &str), evidence: impl Into<String>) {
        self.find(name, Severity::Ok, Gate::None, format!("{} ok", name.1), evidence);
    }
}

/// A size for people: three digits and a binary unit.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A duration for people, in its largest fitting unit.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// A share in percent; 100 of nothing.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 100.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// A share for people: two digits of what is not whole.
fn percent_of(ratio: f64) -> String {
    let text = format!("{:.2}", ratio * 100.0);
    format!("{} %", text.strip_suffix(".00").unwrap_or(&text))
}

/// A list for people: at most three names, then how many more.
fn names<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    let all: Vec<&str> = all.into_iter().collect();
    match all.split_at_checked(3) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
        _ => all.join(", "),
    }
}
