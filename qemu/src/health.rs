//! The agent's answer as any consumer reads it: `hardstand health --json`, schema `hardstand.health/1`.
//!
//! Types of its own on purpose: the lab must notice when the agent's JSON changes.

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::guest::Said;

/// The schema this reader knows.
const SCHEMA: &str = "hardstand.health/1";

/// One pass, judged.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Health {
    schema: String,
    /// The worst severity of all findings.
    pub verdict: String,
    /// What was judged.
    pub findings: Vec<Finding>,
    /// What looked.
    pub collectors: Vec<Collector>,
}

/// One judged fact.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub check: String,
    /// Of what.
    pub subject: String,
    /// `ok`, `info`, `warn`, `crit` or `unknown`.
    pub severity: String,
    /// `blocks`, `warns` or `none`.
    pub gate: String,
    /// A few words.
    pub summary: String,
    /// What was seen and what can be done.
    pub evidence: String,
}

/// One collector's row.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Collector {
    /// Its name.
    pub name: String,
    /// `ok`, or `stale` when its value is not of the last pass.
    pub state: String,
    /// Age of the value shown.
    pub age_seconds: f64,
}

impl Health {
    /// Reads what the command printed. The exit status must be the verdict's.
    pub(crate) fn read(said: &Said) -> Result<Self> {
        let health: Self = serde_json::from_str(&said.stdout).with_context(|| {
            format!("reading hardstand health --json: {}{}", said.stdout.trim(), said.stderr.trim())
        })?;
        ensure!(health.schema == SCHEMA, "the schema is {}, this lab knows {SCHEMA}", health.schema);
        let expected = match health.verdict.as_str() {
            "ok" | "info" => 0,
            "warn" => 1,
            "crit" => 2,
            _ => 3,
        };
        ensure!(said.status == expected, "verdict {} must exit with {expected}, not {}", health.verdict, said.status);
        Ok(health)
    }

    /// The worst finding of `check` whose subject contains `subject`.
    pub(crate) fn worst(&self, check: &str, subject: &str) -> Option<&Finding> {
        let fits = |finding: &&Finding| finding.check == check && finding.subject.contains(subject);
        self.findings.iter().filter(fits).max_by_key(|finding| rank(&finding.severity))
    }

    /// Everything that is neither ok nor info, for people.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let loud = self.findings.iter().filter(|finding| rank(&finding.severity) > rank("info"));
        loud.map(|finding| format!("{} {}: {}", finding.severity, finding.check, finding.summary)).collect()
    }

    /// One collector by its name.
    pub(crate) fn collector(&self, name: &str) -> Option<&Collector> {
        self.collectors.iter().find(|collector| collector.name == name)
    }
}

/// Where a severity stands among the others; a word that is not known is the worst.
pub(crate) fn rank(severity: &str) -> usize {
    const WORDS: [&str; 5] = ["ok", "info", "warn", "unknown", "crit"];
    WORDS.iter().position(|word| *word == severity).unwrap_or(WORDS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"schema":"hardstand.health/1","node":"n","verdict":"crit","findings":[
        {"check":"filesystem.space","subject":"/srv/full","severity":"crit","gate":"warns","summary":"s","evidence":"e","since":1},
        {"check":"filesystem.space","subject":"/","severity":"ok","gate":"none","summary":"s","evidence":"e","since":1}],
        "collectors":[{"name":"cpu","state":"ok","age_seconds":0.5,"duration_seconds":0.01}]}"#;

    fn said(status: i32) -> Said {
        Said { status, stdout: TEXT.to_owned(), stderr: String::new() }
    }

    #[test]
    fn the_exit_status_must_be_the_verdicts() {
        assert!(Health::read(&said(2)).is_ok());
        let error = Health::read(&said(0)).unwrap_err();
        assert_eq!(error.to_string(), "verdict crit must exit with 2, not 0");
    }

    #[test]
    fn the_worst_finding_of_a_subject_is_found() {
        let health = Health::read(&said(2)).unwrap();
        assert_eq!(health.worst("filesystem.space", "/srv/full").unwrap().severity, "crit");
        assert_eq!(health.worst("disk.present", ""), None);
        assert_eq!(health.complaints(), ["crit filesystem.space: s"]);
    }
}
