//! The one sentence: `systemctl status`, the first line of every screen.
//!
//! It must be true, one line, and short: it counts and quotes, it never judges.

use hardstand_core::{Health, Severity};

use super::document::HealthDocument;
use super::terminal::{ellipsize, one_line};

/// The longest sentence, in columns: what `systemctl status` shows on a usual terminal.
const LIMIT: usize = 120;

/// The sentence for what the agent judged.
pub(crate) fn status_sentence(health: &Health) -> String {
    sentence(health.verdict, health.findings.iter().map(|finding| (finding.severity, finding.summary.as_str())))
}

/// The same for a health document.
pub(crate) fn document_sentence(health: &HealthDocument) -> String {
    sentence(health.verdict, health.findings.iter().map(|row| (row.severity, row.summary.as_str())))
}

fn sentence<'a>(verdict: Severity, findings: impl Iterator<Item = (Severity, &'a str)>) -> String {
    let (mut ok, mut info, mut worse, mut worst) = (0_usize, 0_usize, 0_usize, None);
    for (severity, summary) in findings {
        match severity {
            Severity::Ok => ok += 1,
            Severity::Info => info += 1,
            Severity::Warn | Severity::Unknown | Severity::Crit => {
                worse += 1;
                if severity == verdict && worst.is_none() {
                    worst = Some(summary);
                }
            }
        }
    }
    if worse == 0 && matches!(verdict, Severity::Ok | Severity::Info) {
        let checks = if ok == 1 { "check" } else { "checks" };
        return if info == 0 {
            format!("healthy: {ok} {checks} ok")
        } else {
            format!("healthy: {ok} {checks} ok, {info} info")
        };
    }
    let Some(summary) = worst else {
        return format!("{}: nothing has been judged yet", verdict.word());
    };
    let more = if worse > 1 { format!(" (+{} more)", worse - 1) } else { String::new() };
    let room = LIMIT - verdict.word().len() - ": ".len() - more.len();
    format!("{}: {}{more}", verdict.word(), ellipsize(&one_line(summary), room))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(verdict: Severity, findings: &[(Severity, &str)]) -> String {
        sentence(verdict, findings.iter().copied())
    }

    #[test]
    fn a_healthy_node_counts_its_checks() {
        assert_eq!(said(Severity::Ok, &[(Severity::Ok, "a")]), "healthy: 1 check ok");
        let mut findings = vec![(Severity::Ok, "a"); 41];
        findings.extend([(Severity::Info, "b"); 2]);
        assert_eq!(said(Severity::Info, &findings), "healthy: 41 checks ok, 2 info");
    }

    #[test]
    fn a_sick_node_names_the_worst_and_counts_the_rest() {
        let findings = [
            (Severity::Crit, "pool tank DEGRADED"),
            (Severity::Unknown, "smart not read"),
            (Severity::Info, "new kernel"),
            (Severity::Ok, "fine"),
        ];
        assert_eq!(said(Severity::Crit, &findings), "crit: pool tank DEGRADED (+1 more)");
        assert_eq!(said(Severity::Unknown, &findings[1..]), "unknown: smart not read");
        assert_eq!(said(Severity::Warn, &[(Severity::Warn, "2 updates")]), "warn: 2 updates");
    }

    #[test]
    fn nothing_judged_is_not_healthy() {
        assert_eq!(said(Severity::Unknown, &[]), "unknown: nothing has been judged yet");
    }

    #[test]
    fn the_sentence_is_one_short_line_whatever_the_summary_holds() {
        let long = format!("unit \"a\nb\u{1b}[31m\" failed {}", "x".repeat(200));
        let said = said(Severity::Crit, &[(Severity::Crit, &long), (Severity::Warn, "b")]);
        assert_eq!(said.chars().count(), LIMIT);
        assert!(said.starts_with("crit: unit \"a b?[31m\" failed xxx"), "{said}");
        assert!(said.ends_with("xxx… (+1 more)"), "{said}");
    }
}
