//! Proxmox VE: asking its API, and parsers of what that, `pvesh` and `ha-manager` print.
//!
//! It must never take an answer of the API that is an error for a list with nothing in it.

pub(crate) mod ask;
pub(crate) mod ha;
mod node;
pub(crate) mod resources;

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::excerpt;

/// What the API wraps its answers in, and `pvesh` does not.
#[derive(Deserialize)]
struct Envelope<T> {
    data: Option<T>,
    /// Which parameters were wrong.
    errors: Option<Value>,
    /// Why there is no data, in newer releases.
    message: Option<Value>,
}

/// The data of an API body.
fn data<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let envelope: Envelope<T> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match refusal(envelope.message.as_ref().or(envelope.errors.as_ref())) {
        Some(why) => Err(why),
        None => envelope.data.ok_or_else(|| "no `data` in it".to_owned()),
    }
}

/// Why the API gives no data, in its words.
fn refusal(said: Option<&Value>) -> Option<String> {
    let said = match said? {
        Value::Null => return None,
        Value::String(text) => excerpt(text.trim_end()),
        other => excerpt(&other.to_string()),
    };
    Some(format!("the API says: {said}"))
}

/// Text, also where Perl made a number of it.
fn word<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(truth) => Ok(Some(truth.to_string())),
        Value::Array(_) | Value::Object(_) => Err(serde::de::Error::custom("a list where a word should be")),
    }
}

/// A count, also where Perl made text or a float of it; `None` for what is no count.
fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64().filter(|float| float.is_finite() && *float >= 0.0)?;
            // Saturates, which is what a number of bytes should do here.
            Some(float as u64)
        }),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    })
}

/// Perl's truth: see [`truth`].
fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    Ok(truth(&Value::deserialize(from)?))
}

/// Perl's truth: 1 or nothing, as number, text or boolean; `None` for what is neither.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) if number.as_u64() == Some(1) => Some(true),
        Value::Number(number) if number.as_u64() == Some(0) => Some(false),
        Value::String(text) if text == "1" => Some(true),
        Value::String(text) if text == "0" || text.is_empty() => Some(false),
        _ => None,
    }
}

/// A JSON object whose names are data: in its order, and with all of them where one comes twice.
struct Pairs<T>(Vec<(String, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Pairs<T>;

            fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
                text.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        from.deserialize_map(Reader(PhantomData))
    }
}
