//! A dashboard for Grafana, made from the one table of checks.
//!
//! It must never name a metric that the page does not have.

use hardstand_core::health::CHECKS;
use serde_json::{Value, json};

/// Columns of Grafana's grid.
const WIDTH: u64 = 24;
/// The words of a verdict, and the colours they have there.
const COLOURS: [(&str, &str); 5] =
    [("ok", "green"), ("info", "blue"), ("warn", "orange"), ("unknown", "purple"), ("crit", "red")];

/// The dashboard, to be imported as it is; it asks for the data source.
pub(crate) fn dashboard() -> Value {
    let mut panels = vec![
        panel("Verdict of each node", "stat", "hardstand_health == 1", "{{instance}}: {{verdict}}", (0, 0, 8, 6)),
        panel(
            "Not as it should be",
            "table",
            "hardstand_finding{severity=~\"warn|unknown|crit\"} == 1",
            "",
            (8, 0, 16, 12),
        ),
        panel(
            "In the way of going down",
            "stat",
            "hardstand_gate_findings{gate=\"blocks\"}",
            "{{instance}}",
            (0, 6, 8, 6),
        ),
        panel("Phase", "state-timeline", "hardstand_phase == 1", "{{instance}}: {{phase}}", (0, 12, 12, 7)),
        panel("Who waits for what", "table", "hardstand_rollout_blocked", "", (12, 12, 12, 7)),
    ];
    let mut groups: Vec<&str> = CHECKS.iter().map(hardstand_core::health::Check::group).collect();
    groups.dedup();
    const EACH: u64 = 6;
    for (place, group) in (0..).zip(groups) {
        let across = place % (WIDTH / EACH);
        let at = (across * EACH, 19 + place / (WIDTH / EACH) * 6, EACH, 6);
        let expr = format!(
            "sum by (instance, severity) (hardstand_finding{{check=~\"{group}(\\\\..+)?\",severity=~\"warn|unknown|crit\"}})"
        );
        panels.push(panel(group, "timeseries", &expr, "{{instance}} {{severity}}", at));
    }
    json!({
        "title": "hardstand",
        "uid": "hardstand",
        "schemaVersion": 39,
        "editable": true,
        "refresh": "30s",
        "time": { "from": "now-24h", "to": "now" },
        "templating": { "list": [{ "name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus" }] },
        "panels": panels,
    })
}

fn panel(title: &str, kind: &str, expr: &str, legend: &str, (x, y, w, h): (u64, u64, u64, u64)) -> Value {
    let mappings: serde_json::Map<String, Value> =
        COLOURS.iter().map(|(word, colour)| ((*word).to_owned(), json!({ "color": colour, "text": word }))).collect();
    let is_table = kind == "table";
    json!({
        "title": title,
        "type": kind,
        "gridPos": { "x": x, "y": y, "w": w, "h": h },
        "datasource": { "type": "prometheus", "uid": "${source}" },
        "fieldConfig": { "defaults": { "mappings": [{ "type": "value", "options": mappings }] }, "overrides": [] },
        "targets": [{
            "refId": "A",
            "expr": expr,
            "legendFormat": legend,
            "instant": is_table,
            "format": if is_table { "table" } else { "time_series" },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page as a person has read it.
    const PAGE: &str = include_str!("../../goldens/metrics.txt");

    #[test]
    fn every_group_has_a_panel_and_no_two_overlap() {
        let dashboard = dashboard();
        let panels = dashboard["panels"].as_array().unwrap();
        for check in CHECKS {
            let group = check.group();
            assert!(panels.iter().any(|panel| panel["title"] == group), "{group}");
        }
        let mut taken = std::collections::BTreeSet::new();
        for panel in panels {
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= WIDTH);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{} covers another", panel["title"]);
                }
            }
        }
    }

    #[test]
    fn every_metric_it_asks_for_is_on_the_page() {
        for panel in dashboard()["panels"].as_array().unwrap() {
            let expr = panel["targets"][0]["expr"].as_str().unwrap();
            let start = expr.find("hardstand_").unwrap();
            let end =
                expr[start..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(expr.len() - start);
            let name = &expr[start..start + end];
            assert!(PAGE.contains(&format!("# TYPE {name} ")), "{name}");
        }
    }
}
