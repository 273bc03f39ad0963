//! `hardstand health` as a person reads it.
//!
//! It must never show a node as better than its verdict: what is left out is counted.

use hardstand_core::{CollectorState, Gate, Severity};

use super::document::{FindingRow, HealthDocument};
use super::sentence::document_sentence;
use super::table::{Cell, Fit, Row, draw};
use super::terminal::{Style, age, one_line, wrap};

/// Draws the document. `all` shows what is as it should be, too.
pub(crate) fn health_screen(health: &HealthDocument, style: Style, all: bool, now_unix_seconds: u64) -> String {
    let mut out = format!("{}  {}\n", style.bold(&one_line(&health.node)), coloured_sentence(health, style));
    let shown: Vec<&FindingRow> = health.findings.iter().filter(|row| all || row.severity != Severity::Ok).collect();
    if !shown.is_empty() {
        out.push('\n');
        out.push_str(&findings_table(&shown, style, now_unix_seconds));
    }
    let stale = not_read(health, style);
    let hidden = health.findings.len() - shown.len();
    if hidden > 0 || !stale.is_empty() {
        out.push('\n');
    }
    out.push_str(&stale);
    if hidden > 0 {
        let checks = if hidden == 1 { "check" } else { "checks" };
        out.push_str(&style.dim(&format!("{hidden} {checks} ok (hardstand health --all shows them)")));
        out.push('\n');
    }
    out
}

/// The sentence in the colour of the verdict.
pub(crate) fn coloured_sentence(health: &HealthDocument, style: Style) -> String {
    style.severity(health.verdict, &document_sentence(health))
}

/// The collectors whose values are not current, or nothing.
pub(super) fn not_read(health: &HealthDocument, style: Style) -> String {
    let stale: Vec<String> = health.collectors.iter().filter_map(stale_collector).collect();
    if stale.is_empty() {
        return String::new();
    }
    let lines = wrap(&format!("not read: {}", stale.join(", ")), style.width);
    lines.iter().map(|line| style.severity(Severity::Unknown, line) + "\n").collect()
}

/// The findings, worst first, with what was seen and what to do below each that is not well.
pub(crate) fn findings_table(findings: &[&FindingRow], style: Style, now_unix_seconds: u64) -> String {
    let rows: Vec<Row<'_>> = findings.iter().map(|row| finding_row(row, style, now_unix_seconds)).collect();
    let headings = [
        ("STATE", Fit::Whole),
        ("CHECK", Fit::CutLast),
        ("FINDING", Fit::Wrap),
        ("GATE", Fit::Whole),
        ("SINCE", Fit::Whole),
    ];
    draw(style, &headings, &rows, 0)
}

fn finding_row<'a>(row: &'a FindingRow, style: Style, now_unix_seconds: u64) -> Row<'a> {
    let severity = row.severity;
    let gate = match row.gate {
        Gate::Blocks => "blocks",
        Gate::Warns => "warns",
        Gate::None => "",
    };
    let since = row.age_seconds(now_unix_seconds).map_or_else(|| "?".to_owned(), age);
    Row {
        cells: vec![
            Cell::painted(severity.word(), move |text| style.severity(severity, text)),
            Cell::new(&row.check),
            Cell::new(told(row)),
            Cell::new(gate),
            Cell::new(since),
        ],
        below: if severity != Severity::Ok { row.evidence.clone() } else { String::new() },
    }
}

/// The finding with its subject. Of what is as it should be, what was seen says more than "ok".
fn told(row: &FindingRow) -> String {
    let text = if row.severity == Severity::Ok && !row.evidence.is_empty() { &row.evidence } else { &row.summary };
    if text.contains(&row.subject) { text.clone() } else { format!("{}: {text}", row.subject) }
}

fn stale_collector(row: &hardstand_core::observed::Collector) -> Option<String> {
    match row.state {
        CollectorState::Ok => None,
        CollectorState::Stale => Some(format!("{} (last value {} old)", row.name, age(row.age_seconds as u64))),
        CollectorState::Failed => Some(format!("{} (no value yet)", row.name)),
    }
}
