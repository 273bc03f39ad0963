//! Alerts of TrueNAS, each by its own level.
//!
//! It must never leave one out that is as bad as those that are told.

use std::collections::BTreeMap;

use super::super::{Court, Gate, Severity, names};
use crate::observed::NasAlert;

/// So many are told one by one; of the rest it is told how many there are.
const TOLD: usize = 30;
/// What is shown of one text.
const SHOWN: usize = 300;
const NEXT: &str = "see its alerts; one that is known and bearable is dismissed there";

pub(super) fn judge(court: &mut Court<'_>, alerts: &[NasAlert]) {
    let mut raised: Vec<(&NasAlert, Severity, Gate)> = alerts
        .iter()
        .filter_map(|alert| {
            let (severity, gate) = weigh(alert);
            (!alert.dismissed).then_some((alert, severity, gate))
        })
        .collect();
    raised.sort_by(|(one, severity, _), (other, than, _)| {
        than.cmp(severity).then_with(|| (&one.klass, &one.uuid).cmp(&(&other.klass, &other.uuid)))
    });
    let mut of_class: BTreeMap<&str, usize> = BTreeMap::new();
    for (alert, ..) in &raised {
        *of_class.entry(&alert.klass).or_default() += 1;
    }
    for (alert, severity, gate) in raised.iter().take(TOLD) {
        // One alone of its class keeps its subject when it goes and comes again.
        let subject = match of_class[alert.klass.as_str()] {
            1 => alert.klass.clone(),
            _ => format!("{} {}", alert.klass, alert.uuid.chars().take(8).collect::<String>()),
        };
        let text = plain(alert);
        let controller = alert.controller.as_deref().map_or_else(String::new, |of| format!(" (controller {of})"));
        let evidence = format!("{} by TrueNAS{controller}: {text}; {NEXT}", alert.level);
        court.find(("truenas.alert", &subject), *severity, *gate, format!("{subject}: {text}"), evidence);
    }
    if let Some((_, severity, _)) = raised.get(TOLD) {
        let rest = &raised[TOLD..];
        let gate = rest.iter().map(|(.., gate)| *gate).find(|gate| *gate == Gate::Blocks).unwrap_or(Gate::Warns);
        let classes: std::collections::BTreeSet<&str> = rest.iter().map(|(alert, ..)| alert.klass.as_str()).collect();
        let summary = format!("{} more alerts", rest.len());
        court.find(("truenas.alert", "more"), *severity, gate, summary, format!("of {}; {NEXT}", names(classes)));
    }
    let dismissed = alerts.len() - raised.len();
    if dismissed > 0 {
        let of = names(alerts.iter().filter(|alert| alert.dismissed).map(|alert| alert.klass.as_str()));
        let summary = format!("{dismissed} alerts are dismissed");
        court.find(("truenas.alert", "dismissed"), Severity::Info, Gate::None, summary, format!("{of}; {NEXT}"));
    }
    if alerts.is_empty() {
        court.ok(("truenas.alert", "alerts"), "none");
    }
}

fn weigh(alert: &NasAlert) -> (Severity, Gate) {
    match alert.level.as_str() {
        "INFO" | "NOTICE" => (Severity::Info, Gate::None),
        "WARNING" | "ERROR" => (Severity::Warn, Gate::Warns),
        "CRITICAL" | "ALERT" | "EMERGENCY" => (Severity::Crit, Gate::Blocks),
        _ => (Severity::Unknown, Gate::Blocks),
    }
}

/// A text without its markup, in one line.
fn plain(alert: &NasAlert) -> String {
    let (mut text, mut rest) = (String::new(), alert.text.as_str());
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let is_tag = after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
        match after.split_once('>').filter(|_| is_tag) {
            Some((_, behind)) => {
                text.push(' ');
                rest = behind;
            }
            None => {
                text.push('<');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    let plain = text.replace(|c: char| c.is_control(), " ");
    plain.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect()
}
