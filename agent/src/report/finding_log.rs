//! Findings as log lines: one line when a finding changes, none while it stays.
//!
//! It must never log a finding that nothing happened to: a journal full of repeats is read by nobody.

use std::collections::BTreeMap;

use hardstand_core::{Finding, Health, Severity};

/// What was last said of each finding.
#[derive(Debug, Default)]
pub(crate) struct FindingLog {
    said: BTreeMap<(String, String), Severity>,
}

impl FindingLog {
    /// Logs each finding whose severity is another than in the last pass, and those that are gone.
    pub(crate) fn changes(&mut self, health: &Health) {
        let mut now = BTreeMap::new();
        for finding in &health.findings {
            let name = (finding.check.clone(), finding.subject.clone());
            let before = self.said.remove(&name).unwrap_or(Severity::Ok);
            if before != finding.severity {
                log(finding);
            }
            now.insert(name, finding.severity);
        }
        for ((check, subject), before) in std::mem::replace(&mut self.said, now) {
            if before != Severity::Ok {
                tracing::info!(check, subject, severity = "ok", "finding is gone");
            }
        }
    }
}

fn log(finding: &Finding) {
    let Finding { check, subject, summary, evidence, .. } = finding;
    let severity = finding.severity.word();
    match finding.severity {
        Severity::Ok | Severity::Info => tracing::info!(check, subject, severity, evidence, "{summary}"),
        Severity::Warn | Severity::Unknown => tracing::warn!(check, subject, severity, evidence, "{summary}"),
        Severity::Crit => tracing::error!(check, subject, severity, evidence, "{summary}"),
    }
}
