//! The published schema of the API, where it lies beside the checkout, and whether something fits it.
//!
//! It must never take what it does not know of the schema for a fit.

use serde_json::Value;

/// The published schema with what came after it; `None` where it is not there.
pub(super) fn paths() -> Option<serde_json::Map<String, Value>> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/interfaces/samples");
    let read = |name: &str| std::fs::read_to_string(format!("{dir}/{name}")).ok();
    let mut whole: Value = serde_json::from_str(&read("pve-api-schema.json")?).unwrap();
    let more: Value = serde_json::from_str(&read("pve-api-additions.json")?).unwrap();
    let mut paths = std::mem::take(whole["paths"].as_object_mut().unwrap());
    for endpoint in more["endpoints"].as_array().unwrap() {
        let (path, method) = (endpoint["path"].as_str().unwrap(), endpoint["method"].as_str().unwrap());
        let entry = paths.entry(path).or_insert_with(|| Value::Object(serde_json::Map::new()));
        entry[method] = endpoint.clone();
    }
    Some(paths)
}

/// What of a value is not as the schema has it, each with its place.
pub(super) fn misfits(value: &Value, schema: &Value, place: &str) -> Vec<String> {
    let mut misfits = Vec::new();
    let said = |why: String| vec![format!("{place}: {why}")];
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return said(format!("{value} is not one of {words:?}"));
    }
    match schema["type"].as_str() {
        Some("array") => {
            let Some(items) = value.as_array() else { return said(format!("{value} is no list")) };
            for (number, item) in items.iter().enumerate() {
                misfits.extend(self::misfits(item, &schema["items"], &format!("{place}[{number}]")));
            }
        }
        Some("object") => {
            let Some(object) = value.as_object() else { return said(format!("{value} is no object")) };
            misfits.extend(of_object(object, schema, place));
        }
        // Perl makes no difference where a number stands in text, but a list is neither.
        Some("string") if !(value.is_string() || value.is_number()) => return said(format!("{value} is no text")),
        Some("integer") if !value.is_i64() && !value.is_u64() => return said(format!("{value} is no integer")),
        Some("number") if !value.is_number() => return said(format!("{value} is no number")),
        Some("boolean") if !(value.is_boolean() || *value == 0 || *value == 1) => {
            return said(format!("{value} is neither 0 nor 1"));
        }
        Some("string" | "integer" | "number" | "boolean") => {}
        // A type is left out where words decide.
        None if schema["enum"].is_array() => {}
        other => return said(format!("the schema's type {other:?} is not known here")),
    }
    let number = value.as_f64().unwrap_or_default();
    let limit = |name: &str| schema[name].as_f64();
    if limit("minimum").is_some_and(|least| number < least) || limit("maximum").is_some_and(|most| number > most) {
        misfits.push(format!("{place}: {value} is out of range"));
    }
    misfits
}

fn of_object(object: &serde_json::Map<String, Value>, schema: &Value, place: &str) -> Vec<String> {
    let mut misfits = Vec::new();
    let empty = serde_json::Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    for (name, value) in object {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        match properties.get(name).or_else(|| properties.get(&format!("{stem}[n]"))) {
            Some(schema) => misfits.extend(self::misfits(value, schema, &format!("{place}.{name}"))),
            None if schema["additionalProperties"] == 0 => misfits.push(format!("{place}.{name}: no such property")),
            None => {}
        }
    }
    let needed = properties.iter().filter(|(name, schema)| schema["optional"] != 1 && !name.ends_with("[n]"));
    misfits
        .extend(needed.filter(|(name, _)| !object.contains_key(*name)).map(|(name, _)| format!("{place}: no {name}")));
    misfits
}
