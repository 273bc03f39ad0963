//! The screens and documents against what a person has read and what the schema says.

use hardstand_core::observed::{Dimm, Role, Tpm};
use hardstand_core::{History, Observed, Reading, Settings, Severity, judge};
use serde_json::{Value, json};

use super::document::{HealthDocument, InventoryDocument};
use super::golden::{assert_fits, assert_golden};
use super::health_screen::health_screen;
use super::inventory_screen::inventory_screen;
use super::samples::{NOW, healthy, observed, sick};
use super::sentence::document_sentence;
use super::status_screen::status_screen;
use super::terminal::Style;

const PLAIN: Style = Style { width: 80, colour: false };

#[test]
fn the_health_table_fits_80_columns_and_reads_well() {
    let document = HealthDocument::from(&sick());
    let shown = health_screen(&document, PLAIN, false, NOW);
    assert_fits(&shown, 80);
    assert_golden("health-sick.txt", &shown);
    assert_golden("health-sick-all.txt", &health_screen(&document, PLAIN, true, NOW));
    assert_golden("health-healthy.txt", &health_screen(&HealthDocument::from(&healthy()), PLAIN, false, NOW));
}

#[test]
fn what_the_rules_say_fits_too() {
    let judged = judge(&observed(), &Settings::default(), &mut History::default());
    let shown = health_screen(&HealthDocument::from(&judged), PLAIN, false, NOW);
    assert_fits(&shown, 80);
    assert!(shown.starts_with("pve1  crit: "), "{shown}");
}

#[test]
fn a_narrow_or_wide_terminal_is_filled_and_never_overrun() {
    let document = HealthDocument::from(&sick());
    for width in 60..=140 {
        assert_fits(&health_screen(&document, Style { width, colour: false }, true, NOW), width);
    }
}

#[test]
fn the_status_is_one_screen() {
    let seen = observed();
    let sick = HealthDocument::from(&sick());
    let shown = status_screen(&seen, &sick, PLAIN, NOW);
    assert_golden("status.txt", &shown);
    for width in 60..=140 {
        assert_fits(&status_screen(&seen, &sick, Style { width, colour: false }, NOW), width);
    }
}

#[test]
fn the_inventory_fits_and_names_what_it_does_not_know() {
    let document = InventoryDocument::from(&observed());
    assert_golden("inventory.txt", &inventory_screen(&document, PLAIN));
    for width in 60..=140 {
        assert_fits(&inventory_screen(&document, Style { width, colour: false }), width);
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    let document = HealthDocument::from(&sick());
    let coloured = health_screen(&document, Style { width: 80, colour: true }, true, NOW);
    assert!(coloured.contains("\x1b[1;31mcrit\x1b[0m"), "{coloured}");
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_eq!(plain, health_screen(&document, PLAIN, true, NOW));
}

#[test]
fn the_health_document_keeps_its_committed_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../schema/health-1.json")).unwrap();
    let judged = judge(&observed(), &Settings::default(), &mut History::default());
    assert!(judged.findings.len() > 20, "{judged:?}");
    for health in [sick(), healthy(), judged] {
        let document = serde_json::to_value(HealthDocument::from(&health)).unwrap();
        assert_eq!(faults(&schema, &document, "$"), Vec::<String>::new());
    }
}

#[test]
fn the_inventory_document_keeps_its_committed_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../schema/inventory-1.json")).unwrap();
    let mut seen = observed();
    let nothing = Observed::nothing(seen.at, "pve1", Role::Live, "not yet");
    let mut rows = vec![InventoryDocument::from(&seen), InventoryDocument::from(&nothing)];
    if let Reading::Known(inventory) = &mut seen.inventory.reading {
        inventory.tpm = Some(Tpm { version: "2.0".into(), description: None });
        inventory.dimms = Reading::Known(vec![dimm()]);
    }
    rows.push(InventoryDocument::from(&seen));
    for document in rows {
        let mut value = serde_json::to_value(document).unwrap();
        assert_eq!(faults(&schema, &value, "$"), Vec::<String>::new());
        value["inventory"]["known"] = json!({});
        assert_ne!(faults(&schema, &value, "$"), Vec::<String>::new());
    }
}

fn dimm() -> Dimm {
    Dimm {
        locator: "DIMM_A1".into(),
        bank: "BANK 0".into(),
        size_bytes: 32 << 30,
        kind: "DDR4".into(),
        speed_mts: Some(3200),
        manufacturer: None,
        part_number: Some("M471A4G43AB1-CWE".into()),
        serial: None,
    }
}

#[test]
fn the_schema_refuses_what_is_not_a_health_document() {
    let schema: Value = serde_json::from_str(include_str!("../../schema/health-1.json")).unwrap();
    let good = serde_json::to_value(HealthDocument::from(&sick())).unwrap();
    let broken = |path: &str, value: Value| {
        let mut document = good.clone();
        *document.pointer_mut(path).unwrap() = value;
        faults(&schema, &document, "$")
    };
    assert_eq!(broken("/schema", json!("hardstand.health/2")), ["$.schema is not \"hardstand.health/1\""]);
    assert_eq!(broken("/verdict", json!("fine")), ["$.verdict is none of its words"]);
    assert_eq!(broken("/findings/0/since", json!(12)), ["$.findings.0.since is not of type string"]);
    assert_eq!(broken("/findings/0/since", json!("yesterday")), ["$.findings.0.since is not of its pattern"]);
    assert_eq!(broken("/collectors/1/age_seconds", json!(-1.0)), ["$.collectors.1.age_seconds is below 0"]);
    assert_eq!(
        broken("/collectors/0", json!({"name": "x", "state": "ok", "age_seconds": 0, "extra": 1})),
        ["$.collectors.0 lacks duration_seconds", "$.collectors.0.extra is not known"]
    );
}

#[test]
fn what_a_hung_loop_judged_long_ago_is_not_healthy() {
    let fresh = HealthDocument::from(&healthy());
    let soon = fresh.clone().aged(20.0, NOW);
    assert_eq!((soon.verdict, &soon.findings), (Severity::Info, &fresh.findings));
    assert_eq!(soon.collectors[0].age_seconds, fresh.collectors[0].age_seconds + 20.0);
    let late = fresh.aged(200.0, NOW);
    assert_eq!(late.verdict, Severity::Unknown);
    assert_eq!(document_sentence(&late), "unknown: the agent has not looked for 3m");
    let sick = HealthDocument::from(&sick()).aged(200.0, NOW);
    assert_eq!((sick.verdict, sick.findings[1].check.as_str()), (Severity::Crit, "agent.pass"));
}

#[test]
fn times_are_rfc_3339_in_utc() {
    let document = serde_json::to_value(HealthDocument::from(&sick())).unwrap();
    assert_eq!(document["findings"][0]["since"], "2026-11-23T00:48:00Z");
}

#[test]
fn the_inventory_document_round_trips_and_names_its_schema() {
    let document = InventoryDocument::from(&observed());
    let json = serde_json::to_value(&document).unwrap();
    assert_eq!((&json["schema"], &json["node"]), (&json!("hardstand.inventory/1"), &json!("pve1")));
    assert_eq!(serde_json::from_value::<InventoryDocument>(json).unwrap(), document);
}

/// What of `schema` does `value` break? Knows the words the committed schemas use, and fails on any other.
fn faults(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (word, rule) in schema.as_object().expect("a schema is an object") {
        match word.as_str() {
            "$schema" | "$id" | "title" | "description" => {}
            "type" => {
                let words: Vec<&str> = match rule {
                    Value::Array(words) => words.iter().map(|word| word.as_str().unwrap()).collect(),
                    word => vec![word.as_str().unwrap()],
                };
                if !words.iter().any(|word| is_of_type(value, word)) {
                    out.push(format!("{path} is not of type {}", words.join(" or ")));
                    return out;
                }
            }
            "const" if value != rule => out.push(format!("{path} is not {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => out.push(format!("{path} is none of its words")),
            "minLength" if value.as_str().is_some_and(|text| text.is_empty()) => out.push(format!("{path} is empty")),
            "minimum" if value.is_number() && value.as_f64() < rule.as_f64() => {
                out.push(format!("{path} is below {rule}"))
            }
            "pattern" if value.as_str().is_some_and(|text| !is_utc_time(text)) => {
                out.push(format!("{path} is not of its pattern"));
            }
            "required" if value.is_null() => {}
            "required" => {
                let lacks = rule.as_array().unwrap().iter().filter(|name| value.get(name.as_str().unwrap()).is_none());
                out.extend(lacks.map(|name| format!("{path} lacks {}", name.as_str().unwrap())));
            }
            "properties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    match rule.get(name) {
                        Some(rule) => out.extend(faults(rule, inner, &format!("{path}.{name}"))),
                        None => out.push(format!("{path}.{name} is not known")),
                    }
                }
            }
            "additionalProperties" => assert_eq!(rule, &json!(false), "only closed objects are known here"),
            "items" => {
                for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
                    out.extend(faults(rule, inner, &format!("{path}.{index}")));
                }
            }
            "minProperties" if value.as_object().is_some_and(|object| object.is_empty()) => {
                out.push(format!("{path} is empty"));
            }
            "maxProperties" if value.as_object().is_some_and(|object| object.len() > 1) => {
                out.push(format!("{path} is two things at once"));
            }
            "minProperties" | "maxProperties" => assert_eq!(rule, &json!(1), "only single ones are known here"),
            "const" | "enum" | "minLength" | "minimum" | "pattern" => {}
            other => panic!("the schema says {other:?}, which this test does not know"),
        }
    }
    out.sort();
    out
}

fn is_of_type(value: &Value, word: &str) -> bool {
    match word {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("type {other} is not known here"),
    }
}

/// The one pattern of the schemas.
fn is_utc_time(text: &str) -> bool {
    let shape = "dddd-dd-ddTdd:dd:ddZ";
    text.len() == shape.len()
        && std::iter::zip(text.chars(), shape.chars()).all(|(c, s)| if s == 'd' { c.is_ascii_digit() } else { c == s })
}
