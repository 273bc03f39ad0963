//! The verdict, the findings and the collectors.
//!
//! It must never show a severity other than the one judged.

use hardstand_core::{CollectorState, Gate, Health, Observed, Severity};

use super::page::{Kind, Page};

const SEVERITIES: [Severity; 5] = [Severity::Ok, Severity::Info, Severity::Warn, Severity::Unknown, Severity::Crit];

pub(super) fn write(page: &mut Page, observed: &Observed, health: &Health) {
    page.family("hardstand_build_info", Kind::Info, "The agent.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    page.family("hardstand_node_info", Kind::Info, "The node and its role.")
        .sample(&[("node", &observed.node), ("role", observed.role.word())], 1.0);
    page.family("hardstand_health", Kind::Gauge, "The node's verdict: 1 for the present one.").states(
        &[],
        "verdict",
        &SEVERITIES.map(Severity::word),
        health.verdict.word(),
    );
    let mut counts = page.family("hardstand_findings", Kind::Gauge, "Findings by severity.");
    for severity in SEVERITIES {
        let count = health.findings.iter().filter(|finding| finding.severity == severity).count();
        counts.sample(&[("severity", severity.word())], count as f64);
    }
    let mut gates = page.family("hardstand_gate_findings", Kind::Gauge, "Findings that bear on taking the node down.");
    for (gate, word) in [(Gate::Blocks, "blocks"), (Gate::Warns, "warns")] {
        let count = health.findings.iter().filter(|finding| finding.gate == gate).count();
        gates.sample(&[("gate", word)], count as f64);
    }
    let mut findings = page.family("hardstand_finding", Kind::Gauge, "One finding at its present severity.");
    for row in &health.findings {
        let labels = [("check", &*row.check), ("subject", &*row.subject), ("severity", row.severity.word())];
        findings.sample(&labels, 1.0);
    }
    let mut known = page.family("hardstand_finding_acknowledged", Kind::Gauge, "A finding that a person acknowledged.");
    for row in health.findings.iter().filter(|row| row.acknowledged.is_some()) {
        known.sample(&[("check", &*row.check), ("subject", &*row.subject)], 1.0);
    }
    let mut success =
        page.family("hardstand_collector_success", Kind::Gauge, "Whether a collector's last turn gave a value.");
    for row in &health.collectors {
        success.flag(&[("collector", &row.name)], row.state == CollectorState::Ok);
    }
    let mut durations = page.family(
        "hardstand_collector_duration_seconds",
        Kind::Gauge,
        "How long a collector's last finished turn took.",
    );
    for row in &health.collectors {
        durations.sample(&[("collector", &row.name)], row.duration_seconds);
    }
}
