//! High availability: the API's list (`GET /cluster/ha/status/current`), the manager's own JSON
//! (`GET /cluster/ha/status/manager_status`, `/etc/pve/ha/manager_status`), and the lines of `ha-manager status`.
//!
//! It must never take a row that breaks off, or that has words behind its state, for one that was read.

use std::fmt;

use hardstand_core::observed::{PveHa, PveHaEntry};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::super::HostError;
use super::{count, refusal, truth, word};
use manager_status::WireManager;

mod lines;
mod manager_status;

/// Either form of the JSON.
enum Told {
    Rows(Vec<WireRow>),
    /// The manager's own, or what the API wraps its answers in.
    Manager(Box<WireManager>),
}

#[derive(Deserialize)]
#[serde(expecting = "a row")]
struct WireRow {
    #[serde(default, rename = "type", deserialize_with = "word")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "word")]
    node: Option<String>,
    #[serde(default, deserialize_with = "word")]
    sid: Option<String>,
    #[serde(default, deserialize_with = "word")]
    status: Option<String>,
    #[serde(default, deserialize_with = "word")]
    state: Option<String>,
    #[serde(default, deserialize_with = "word")]
    crm_state: Option<String>,
    #[serde(default, deserialize_with = "word")]
    request_state: Option<String>,
    #[serde(default, rename = "armed-state", deserialize_with = "word")]
    armed_state: Option<String>,
    #[serde(default, alias = "resource-mode", deserialize_with = "word")]
    resource_mode: Option<String>,
    quorate: Option<Value>,
    #[serde(default, deserialize_with = "count")]
    timestamp: Option<u64>,
}

/// Parses any of the three forms, the JSON bare or as the API's `data`.
///
/// # Errors
/// The text is none of them, or it is the API's answer that it has none (its own words are in the error).
pub(crate) fn parse(text: &str) -> Result<PveHa, HostError> {
    let bad = |why: String| HostError::Parse { what: "the HA status".to_owned(), why };
    let text = text.trim();
    match text.bytes().next() {
        None => Err(bad("it is empty".to_owned())),
        Some(b'[' | b'{') => json(text).map(|entries| PveHa { tells_end: true, entries }).map_err(bad),
        Some(_) => lines::parse(text).map_err(bad),
    }
}

fn json(text: &str) -> Result<Vec<PveHaEntry>, String> {
    let mut told: Told = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if let Told::Manager(root) = &mut told {
        if let Some(why) = refusal(root.message.as_ref().or(root.errors.as_ref())) {
            return Err(why);
        }
        if let Some(data) = root.data.take() {
            told = *data;
        }
    }
    match told {
        Told::Rows(rows) => Ok(rows.into_iter().map(WireRow::into_core).collect()),
        Told::Manager(manager) => manager.into_core(),
    }
}

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Told;

            fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
                text.write_str("a list of rows or the manager's status")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, rows: A) -> Result<Told, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(rows)).map(Told::Rows)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Told, A::Error> {
                WireManager::deserialize(MapAccessDeserializer::new(map)).map(|told| Told::Manager(Box::new(told)))
            }
        }

        from.deserialize_any(Reader)
    }
}

impl WireRow {
    fn into_core(self) -> PveHaEntry {
        let node = self.node.clone();
        let mut entry = PveHaEntry {
            name: self.sid.or(self.node),
            crm_state: self.crm_state,
            request_state: self.request_state,
            mode: self.resource_mode,
            quorate: self.quorate.as_ref().and_then(truth),
            at_unix_seconds: self.timestamp,
            kind: self.kind,
            ..PveHaEntry::default()
        };
        if let Some(quorate) = self.quorate.filter(|quorate| truth(quorate).is_none()) {
            entry.unread.push(format!("quorate {quorate}"));
        }
        if let Some(status) = &self.status {
            read_status(&mut entry, status);
            // The name of the node alone is not its state.
            if entry.state.is_none() && entry.unread.is_empty() && Some(status) != node.as_ref() {
                entry.state = Some(status.clone());
            }
        }
        entry.node = node.or(entry.node);
        // They have fields of their own, and the status is a line made of them.
        entry.state = self.state.or(self.armed_state).or(entry.state);
        entry
    }
}

/// Reads `NAME (STATE, watchdog active, Thu Nov  5 21:10:11 2026)` into a row; a service has its node before its state,
/// the fencing its state in the name's place. What is in no such form leaves the state untold; the quorum is all state.
fn read_status(entry: &mut PveHaEntry, status: &str) {
    let kind = entry.kind.clone().unwrap_or_default();
    if kind == "quorum" {
        entry.state = Some(status.to_owned());
        return;
    }
    let (head, rest) = match status.split_once(" (") {
        Some((head, rest)) => (head, Some(rest)),
        None => (status, None),
    };
    if kind == "fencing" {
        let mut phrases = head.split(", ");
        entry.state = phrases.next().map(str::to_owned);
        phrases.for_each(|phrase| read_phrase(entry, phrase));
    } else {
        entry.name.get_or_insert_with(|| head.to_owned());
    }
    let Some(rest) = rest else { return };
    let Some((inside, behind)) = rest.split_once(')') else {
        entry.unread.push(status.to_owned());
        return;
    };
    let mut phrases = inside.split(", ");
    match kind.as_str() {
        "fencing" => {}
        "service" => (entry.node, entry.state) = (phrases.next().map(str::to_owned), phrases.next().map(str::to_owned)),
        _ => (entry.node, entry.state) = (Some(head.to_owned()), phrases.next().map(str::to_owned)),
    }
    phrases.for_each(|phrase| read_phrase(entry, phrase));
    match behind.strip_prefix(" - ").filter(|_| kind == "master") {
        Some(behind) => behind.split(" - ").for_each(|phrase| read_master_phrase(entry, phrase)),
        None if behind.is_empty() => {}
        None => entry.unread.push(behind.trim().to_owned()),
    }
}

fn read_phrase(entry: &mut PveHaEntry, phrase: &str) {
    if let Some(watchdog) = phrase.strip_prefix("CRM ").unwrap_or(phrase).strip_prefix("watchdog ") {
        entry.watchdog = Some(watchdog.to_owned());
    } else if let Some(mode) = phrase.strip_prefix("resource mode: ") {
        entry.mode.get_or_insert_with(|| mode.to_owned());
    } else if !is_time(phrase) {
        entry.unread.push(phrase.to_owned());
    }
}

/// `disarmed, resource mode: freeze`, or how the master spreads services: `dynamic load CRS (load imbalance: 2.9%)`.
fn read_master_phrase(entry: &mut PveHaEntry, phrase: &str) {
    match phrase.split_once(", resource mode: ") {
        Some((armed, _)) => entry.mode = Some(armed.to_owned()),
        None if phrase.contains(" load CRS") => {}
        None => entry.unread.push(phrase.to_owned()),
    }
}

/// `Thu Nov  5 21:10:11 2026`, as Perl prints it in every locale.
fn is_time(phrase: &str) -> bool {
    let words: Vec<&str> = phrase.split_whitespace().collect();
    matches!(words.as_slice(), [_, _, day, clock, year] if is_digits(day) && clock.contains(':') && is_digits(year))
}

fn is_digits(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
