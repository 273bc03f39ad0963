//! The JSON other programs read: `hardstand.health/1` and `hardstand.inventory/1`.
//!
//! It must never change the meaning of a field under the same schema name: a change that a reader could trip over gets
//! a new number. The committed schemas lie in `agent/schema`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hardstand_core::health::ServiceRow;
use hardstand_core::observed::{Collector, Inventory};
use hardstand_core::{Gate, Health, Observed, Reading, Sample, Severity};
use serde::{Deserialize, Serialize};

use super::terminal::age;

/// Name and version of the health document.
pub(crate) const HEALTH_SCHEMA: &str = "hardstand.health/1";
/// Name and version of the inventory document.
pub(crate) const INVENTORY_SCHEMA: &str = "hardstand.inventory/1";

/// One finding as others read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FindingRow {
    /// What was looked at.
    pub(crate) check: String,
    /// Of what.
    pub(crate) subject: String,
    /// How bad.
    pub(crate) severity: Severity,
    /// What it means for taking the node down.
    pub(crate) gate: Gate,
    /// A few words.
    pub(crate) summary: String,
    /// A sentence.
    pub(crate) evidence: String,
    /// RFC 3339, UTC, whole seconds.
    pub(crate) since: String,
    /// What a person said of it, if they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) acknowledged: Option<AcknowledgedRow>,
}

/// What a person said of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AcknowledgedRow {
    /// Why, in their words.
    pub(crate) reason: String,
    /// Until when: RFC 3339, UTC, whole seconds.
    pub(crate) until: String,
}

impl FindingRow {
    /// How long it has had this severity, in seconds; 0 when the clock was set back since.
    pub(crate) fn age_seconds(&self, now_unix_seconds: u64) -> Option<u64> {
        let since = humantime::parse_rfc3339(&self.since).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(now_unix_seconds.saturating_sub(since.as_secs()))
    }
}

/// `hardstand.health/1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HealthDocument {
    /// [`HEALTH_SCHEMA`].
    pub(crate) schema: String,
    /// The node.
    pub(crate) node: String,
    /// The worst severity.
    pub(crate) verdict: Severity,
    /// Worst first.
    pub(crate) findings: Vec<FindingRow>,
    /// One row per collector.
    pub(crate) collectors: Vec<Collector>,
    /// One row per declared service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) services: Vec<ServiceRow>,
}

impl From<&Health> for HealthDocument {
    fn from(health: &Health) -> Self {
        let findings = health.findings.iter().map(|finding| FindingRow {
            check: finding.check.clone(),
            subject: finding.subject.clone(),
            severity: finding.severity,
            gate: finding.gate,
            summary: finding.summary.clone(),
            evidence: finding.evidence.clone(),
            since: rfc3339(finding.since_unix_seconds),
            acknowledged: finding
                .acknowledged
                .as_ref()
                .map(|said| AcknowledgedRow { reason: said.reason.clone(), until: rfc3339(said.until_unix_seconds) }),
        });
        Self {
            schema: HEALTH_SCHEMA.to_owned(),
            node: health.node.clone(),
            verdict: health.verdict,
            findings: findings.collect(),
            collectors: health.collectors.clone(),
            services: health.services.clone(),
        }
    }
}

/// The loop looks at least once a minute and no collector may take longer than one (the limits of the settings): a pass
/// older than this means that the loop hangs.
const PASS_LIMIT_SECONDS: f64 = 150.0;

impl HealthDocument {
    /// The document as it is true `pass_age_seconds` after its pass: the collectors' ages have grown, and what a hung
    /// loop judged long ago is not known any more (S6).
    pub(crate) fn aged(mut self, pass_age_seconds: f64, pass_unix_seconds: u64) -> Self {
        for collector in &mut self.collectors {
            collector.age_seconds += pass_age_seconds;
        }
        if pass_age_seconds > PASS_LIMIT_SECONDS {
            let stale = FindingRow {
                check: "agent.pass".to_owned(),
                subject: "agent".to_owned(),
                severity: Severity::Unknown,
                gate: Gate::Blocks,
                summary: format!("the agent has not looked for {}", age(pass_age_seconds as u64)),
                evidence: "what is shown is of its last pass; see why: journalctl -u hardstand-agent, then: \
                           systemctl restart hardstand-agent"
                    .to_owned(),
                since: rfc3339(pass_unix_seconds),
                acknowledged: None,
            };
            let place = self.findings.partition_point(|row| row.severity > Severity::Unknown);
            self.findings.insert(place, stale);
            self.verdict = self.verdict.max(Severity::Unknown);
        }
        self
    }
}

/// `hardstand.inventory/1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct InventoryDocument {
    /// [`INVENTORY_SCHEMA`].
    pub(crate) schema: String,
    /// The node.
    pub(crate) node: String,
    /// Age of the inventory in seconds.
    pub(crate) age_seconds: f64,
    /// The machine, or why it is not known.
    pub(crate) inventory: Reading<Inventory>,
}

impl From<&Observed> for InventoryDocument {
    fn from(observed: &Observed) -> Self {
        Self {
            schema: INVENTORY_SCHEMA.to_owned(),
            node: observed.node.clone(),
            age_seconds: observed.inventory.age_seconds,
            inventory: shown(&observed.inventory),
        }
    }
}

fn shown<T: Clone>(sample: &Sample<T>) -> Reading<T> {
    sample.shown().map_or_else(|| sample.reading.clone(), |value| Reading::Known(value.clone()))
}

/// A time as RFC 3339 in UTC, whole seconds.
pub(crate) fn rfc3339(unix_seconds: u64) -> String {
    // The last second of the year 9999, beyond which the format ends; a clock that says more is wrong anyway.
    const LAST: u64 = 253_402_300_799;
    let time: SystemTime = UNIX_EPOCH + Duration::from_secs(unix_seconds.min(LAST));
    humantime::format_rfc3339_seconds(time).to_string()
}
