//! What is wrong with the node's part in its fleet, as findings among the others.
//!
//! It must never gate: a hold is lifted through the store, and a store out of reach stops what is new by itself.

use hardstand_core::health::CHECKS;
use hardstand_core::status::Hold;
use hardstand_core::{Finding, Gate, Severity};

use super::unix_seconds;

/// Since when which trouble is there.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    hold: Option<u64>,
    store: Option<u64>,
}

impl Troubles {
    /// The findings of now.
    pub(super) fn note(&mut self, hold: Option<&Hold>, store: Option<&str>) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.hold = hold.map(|hold| {
            let since = self.hold.unwrap_or_else(unix_seconds);
            let evidence = format!("{}; {}", hold.reason, hold.next_action);
            findings.push(finding("fleet.hold", Severity::Crit, "this node holds the rollout", evidence, since));
            since
        });
        self.store = store.map(|why| {
            let since = self.store.unwrap_or_else(unix_seconds);
            let summary = "the fleet's store cannot be used; nothing new is begun";
            findings.push(finding("fleet.store", Severity::Warn, summary, why.to_owned(), since));
            since
        });
        findings
    }
}

fn finding(check: &str, severity: Severity, summary: &str, evidence: String, since_unix_seconds: u64) -> Finding {
    debug_assert!(CHECKS.iter().any(|known| known.name == check), "{check} is not in the table of checks");
    Finding {
        check: check.to_owned(),
        subject: "agent".to_owned(),
        severity,
        gate: Gate::None,
        summary: summary.to_owned(),
        evidence,
        since_unix_seconds,
        acknowledged: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_keeps_its_beginning_and_goes_with_its_cause() {
        let mut troubles = Troubles::default();
        let hold = Hold { reason: "r".to_owned(), next_action: "n".to_owned(), told: true };
        let first = troubles.note(Some(&hold), Some("no answer"));
        assert_eq!(first.iter().map(|one| one.check.as_str()).collect::<Vec<_>>(), ["fleet.hold", "fleet.store"]);
        troubles.store = Some(7);
        let second = troubles.note(None, Some("no answer"));
        assert_eq!(second.len(), 1);
        assert_eq!((second[0].since_unix_seconds, second[0].severity), (7, Severity::Warn));
        assert_eq!(troubles.note(None, None), []);
        assert!(troubles.store.is_none());
    }
}
