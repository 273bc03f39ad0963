//! The fleet's policy file (`fleet.toml`): its form, read strictly into the core's [`Policy`], and written back.
//!
//! It must never let an unknown key pass, nor touch anything but the file it is given. Every problem comes with file,
//! line and column.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use hardstand_core::fleet::Policy;
use hardstand_core::status::Blocker;
use hardstand_core::window::{Approves, Calendar, span};
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::{ConfigError, Place, Problem, fragment};

/// How alike (Jaro-Winkler) a known key must be to be offered instead.
const ALIKE: f64 = 0.8;

/// What stands behind a key.
#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    Texts,
    /// A whole number.
    Count,
    /// A number from 0 to 100.
    Percent,
    /// `2m`, `4h`: becomes seconds.
    Span,
    /// The same, kept as text.
    SpanText,
    Calendar,
    Approves,
    /// `[table]`
    Table(&'static [Known]),
    /// `[[table]]`, any number of times.
    Tables(&'static [Known]),
    /// `[table.NAME]`
    Named(&'static [Known]),
}

/// One key of the file.
#[derive(Debug, Clone, Copy)]
struct Known {
    key: &'static str,
    form: Form,
    /// What the policy calls it.
    field: &'static str,
    needed: bool,
}

const fn may(key: &'static str, form: Form) -> Known {
    Known { key, form, field: key, needed: false }
}

const fn must(key: &'static str, form: Form) -> Known {
    Known { key, form, field: key, needed: true }
}

const fn seconds(key: &'static str, field: &'static str) -> Known {
    Known { key, form: Form::Span, field, needed: false }
}

/// The whole file.
const FILE: &[Known] = &[
    must("fleet", Form::Table(&[must("name", Form::Text), may("time_zone", Form::Text)])),
    must(
        "group",
        Form::Tables(&[
            must("name", Form::Text),
            must("nodes", Form::Texts),
            may("max_down", Form::Count),
            may("order", Form::Texts),
            may("alone", Form::Texts),
            may("store_hosts", Form::Texts),
        ]),
    ),
    may(
        "window",
        Form::Named(&[
            must("calendar", Form::Calendar),
            must("duration", Form::SpanText),
            may("approves", Form::Approves),
        ]),
    ),
    may("gates", Form::Table(&[seconds("streak", "streak_seconds"), may("tolerate", Form::Texts)])),
    may(
        "timeouts",
        Form::Table(&[
            seconds("grant", "grant_seconds"),
            seconds("stage", "stage_seconds"),
            seconds("drain", "drain_seconds"),
            seconds("patch", "patch_seconds"),
            seconds("reboot", "reboot_seconds"),
            seconds("verify", "verify_seconds"),
            seconds("restore", "restore_seconds"),
        ]),
    ),
    may(
        "updates",
        Form::Table(&[may("cool_hours", Form::Count), may("canary", Form::Text), may("canary_hours", Form::Count)]),
    ),
    may(
        "service",
        Form::Tables(&[must("name", Form::Text), must("url", Form::Text), may("slo_percent", Form::Percent)]),
    ),
    may(
        "fleetlock",
        Form::Table(&[must("listen", Form::Text), may("ids", Form::Texts), seconds("deadline", "deadline_seconds")]),
    ),
];

/// Reads and checks a policy file.
///
/// # Errors
/// Every problem of the file.
pub(crate) fn load(path: &Path) -> Result<Policy, ConfigError> {
    let read = fragment::read_file(path).map_err(|problem| vec![problem])?;
    Ok(parse(path, &read.text)?)
}

/// Reads and checks a policy's text; `path` is for the messages.
///
/// # Errors
/// Every problem of the text.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Policy, Vec<Problem>> {
    let mut walk = Walk { path, text, problems: Vec::new(), places: BTreeMap::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        walk.tell(&error.span().unwrap_or(0..0), format!("not TOML: {}", error.message()));
    }
    if !errors.is_empty() {
        return Err(walk.problems);
    }
    let tree = walk.table(table.get_ref(), FILE, "", &(0..0));
    if walk.problems.is_empty() {
        match serde_json::from_value::<Policy>(Value::Object(tree)) {
            Ok(policy) => {
                walk.judge(&policy);
                if walk.problems.is_empty() {
                    return Ok(policy);
                }
            }
            // Each value was of its form, so this is a rule of the policy itself.
            Err(error) => walk.tell(&(0..0), error.to_string()),
        }
    }
    walk.problems.sort_by_key(|problem| match problem {
        Problem::At { place, .. } => (place.line, place.column),
        Problem::Read { .. } | Problem::TooLarge { .. } => (0, 0),
    });
    Err(walk.problems)
}

struct Walk<'a> {
    path: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
    /// Where a text or a name stands last, for problems that the policy finds by their subject.
    places: BTreeMap<String, Range<usize>>,
}

impl Walk<'_> {
    fn tell(&mut self, span: &Range<usize>, message: String) {
        let before = &self.text[..self.text.floor_char_boundary(span.start)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let place = Place {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        };
        self.problems.push(Problem::At { place, message });
    }

    fn judge(&mut self, policy: &Policy) {
        for Blocker { subject, why, way_out, .. } in policy.check() {
            let span = self.places.get(&subject).cloned().unwrap_or(0..0);
            self.tell(&span, format!("{why}; {way_out}"));
        }
        if let Err(error) = crate::host::clock::local_seconds(0, &policy.fleet.time_zone) {
            let span = self.places.get(&policy.fleet.time_zone).cloned().unwrap_or(0..0);
            self.tell(&span, format!("`fleet.time_zone`: {error}; write one as in Europe/Berlin"));
        }
    }

    fn table(&mut self, table: &DeTable<'_>, known: &[Known], path: &str, at: &Range<usize>) -> Map<String, Value> {
        let mut out = Map::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let dotted = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let Some(found) = known.iter().find(|known| known.key == name) else {
                self.tell(&key.span(), unknown(&dotted, name, path, known));
                continue;
            };
            if let Some(json) = self.value(value.get_ref(), &value.span(), found.form, &dotted) {
                out.insert(found.field.to_owned(), json);
            }
        }
        for missing in known.iter().filter(|known| known.needed) {
            if !table.keys().any(|key| key.get_ref().as_ref() == missing.key) {
                let wanted = if path.is_empty() {
                    format!("there is no [{}]", missing.key)
                } else {
                    format!("`{}` is missing in [{path}]", missing.key)
                };
                self.tell(at, wanted);
            }
        }
        out
    }

    fn value(&mut self, found: &DeValue<'_>, span: &Range<usize>, form: Form, dotted: &str) -> Option<Value> {
        match (form, found) {
            (Form::Table(known), DeValue::Table(table)) => Some(Value::Object(self.table(table, known, dotted, span))),
            (Form::Named(known), DeValue::Table(table)) => {
                let mut out = Map::new();
                for (name, value) in table {
                    let dotted = format!("{dotted}.{}", name.get_ref());
                    self.places.insert(name.get_ref().to_string(), name.span());
                    let json = self.value(value.get_ref(), &value.span(), Form::Table(known), &dotted)?;
                    out.insert(name.get_ref().to_string(), json);
                }
                Some(Value::Object(out))
            }
            (Form::Tables(known), DeValue::Array(tables)) => {
                let each = tables.iter().map(|one| self.value(one.get_ref(), &one.span(), Form::Table(known), dotted));
                each.collect::<Option<Vec<_>>>().map(Value::Array)
            }
            (Form::Texts, DeValue::Array(texts)) => {
                let each = texts.iter().map(|one| self.value(one.get_ref(), &one.span(), Form::Text, dotted));
                each.collect::<Option<Vec<_>>>().map(Value::Array)
            }
            _ => match leaf(found, form) {
                Ok(json) => {
                    if let Value::String(text) = &json {
                        self.places.insert(text.clone(), span.clone());
                    }
                    Some(json)
                }
                Err(why) => {
                    self.tell(span, format!("`{dotted}` {why}"));
                    None
                }
            },
        }
    }
}

fn leaf(found: &DeValue<'_>, form: Form) -> Result<Value, String> {
    let not = |wanted: &str| Err(format!("must be {wanted}"));
    let number = match found {
        DeValue::Integer(number) => number.as_str().replace('_', "").parse::<f64>().ok(),
        DeValue::Float(number) => number.as_str().replace('_', "").parse::<f64>().ok(),
        _ => None,
    };
    match (form, found.as_str()) {
        (Form::Text, Some(text)) => Ok(Value::from(text)),
        (Form::Text, None) => not("a string"),
        (Form::Texts, _) => not("a list of strings"),
        (Form::Span, Some(text)) => span::parse(text).map(Value::from),
        (Form::SpanText, Some(text)) => span::parse(text).map(|seconds| Value::from(format!("{seconds}s"))),
        (Form::Span | Form::SpanText, None) => not("a duration in quotes, as in \"2m\" or \"4h\""),
        (Form::Calendar, Some(text)) => {
            let read: Result<Calendar, _> = text.parse();
            read.map(|_| Value::from(text)).map_err(|error| format!("is no calendar: {error}"))
        }
        (Form::Calendar, None) => not("a calendar in quotes, as in \"Sun *-*-1..7 02:00\""),
        (Form::Approves, text) => match text.map(|text| serde_json::from_value::<Approves>(Value::from(text))) {
            Some(Ok(_)) => Ok(Value::from(text)),
            _ => not("\"nothing\", \"security\" or \"all\""),
        },
        (Form::Count, _) => match found.as_integer().map(|integer| integer.as_str().replace('_', "").parse::<u32>()) {
            Some(Ok(count)) => Ok(Value::from(count)),
            _ => not("a whole number, not negative"),
        },
        (Form::Percent, _) => match number.filter(|percent| (0.0..=100.0).contains(percent)) {
            Some(percent) => Ok(Value::from(percent)),
            None => not("a number from 0 to 100"),
        },
        (Form::Table(_) | Form::Named(_), _) => not("a table"),
        (Form::Tables(_), _) => not("a table in double brackets, as in [[group]]"),
    }
}

/// The message for a key nobody knows, with the nearest known one.
fn unknown(dotted: &str, name: &str, path: &str, known: &[Known]) -> String {
    let alike = known.iter().map(|known| (strsim::jaro_winkler(known.key, name), known.key));
    match alike.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((score, near)) if score >= ALIKE && path.is_empty() => {
            format!("unknown key `{dotted}`; did you mean `{near}`?")
        }
        Some((score, near)) if score >= ALIKE => format!("unknown key `{dotted}`; did you mean `{path}.{near}`?"),
        _ => {
            let names: Vec<&str> = known.iter().map(|known| known.key).collect();
            format!("unknown key `{dotted}`; known here: {}", names.join(", "))
        }
    }
}

/// The policy as a file that reads back to it, with every default.
pub(crate) fn text(policy: &Policy) -> String {
    let tree = serde_json::to_value(policy).expect("a policy is plain data, which JSON can hold");
    let mut out = String::new();
    for known in FILE {
        let Some(value) = tree.get(known.field) else { continue };
        match (known.form, value) {
            (Form::Table(keys), Value::Object(_)) => section(&mut out, &format!("[{}]", known.key), keys, value),
            (Form::Tables(keys), Value::Array(each)) => {
                each.iter().for_each(|one| section(&mut out, &format!("[[{}]]", known.key), keys, one));
            }
            (Form::Named(keys), Value::Object(each)) => {
                each.iter().for_each(|(name, one)| {
                    section(&mut out, &format!("[{}.{}]", known.key, quoted_key(name)), keys, one);
                });
            }
            _ => {}
        }
    }
    out
}

fn section(out: &mut String, head: &str, keys: &[Known], value: &Value) {
    let gap = if out.is_empty() { "" } else { "\n" };
    writeln!(out, "{gap}{head}").expect("writing to a string never fails");
    for (key, shown) in rows(keys, value) {
        writeln!(out, "{key} = {shown}").expect("writing to a string never fails");
    }
}

/// Key and value of a section as TOML. What is not set is left out.
fn rows(keys: &[Known], value: &Value) -> Vec<(&'static str, String)> {
    let shown = |known: &Known| {
        let found = value.get(known.field)?;
        Some(match (known.form, found) {
            (_, Value::Null) => return None,
            (_, Value::Array(list)) if list.is_empty() => return None,
            (Form::Span, Value::Number(seconds)) => format!("\"{seconds}s\""),
            // JSON's strings and lists of strings are TOML's, too.
            (_, other) => other.to_string().replace("\",\"", "\", \""),
        })
    };
    keys.iter().filter_map(|known| Some((known.key, shown(known)?))).collect()
}

fn quoted_key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if bare { name.to_owned() } else { Value::from(name).to_string() }
}

/// The policy as `key = value`, one row each, to compare two of them.
pub(crate) fn flat(policy: &Policy) -> BTreeMap<String, String> {
    let tree = serde_json::to_value(policy).expect("a policy is plain data, which JSON can hold");
    let mut out = BTreeMap::new();
    let mut add = |head: String, keys: &[Known], value: &Value| {
        out.extend(rows(keys, value).into_iter().map(|(key, shown)| (format!("{head}.{key}"), shown)));
    };
    for known in FILE {
        let Some(value) = tree.get(known.field) else { continue };
        match (known.form, value) {
            (Form::Table(keys), Value::Object(_)) => add(known.key.to_owned(), keys, value),
            (Form::Tables(keys), Value::Array(each)) => {
                for one in each {
                    let name = one.get("name").and_then(Value::as_str).unwrap_or("?");
                    add(format!("{}.{name}", known.key), keys, one);
                }
            }
            (Form::Named(keys), Value::Object(each)) => {
                each.iter().for_each(|(name, one)| add(format!("{}.{name}", known.key), keys, one));
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
pub(crate) const SAMPLE: &str = r#"
[fleet]
name = "home"
time_zone = "Europe/Berlin"

[[group]]
name = "cluster"
nodes = ["pve1", "pve2", "nas"]
max_down = 1
order = ["pve2", "pve1", "nas"]

[window.monthly]
calendar = "Sun *-*-1..7 02:00"
duration = "4h"
approves = "security"

[gates]
streak = "2m"

[[service]]
name = "home-assistant"
url = "https://ha.home.example/"
slo_percent = 99.5
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Policy, String> {
        parse(Path::new("fleet.toml"), text)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn the_sketch_of_the_design_is_read() {
        let policy = read(SAMPLE).unwrap();
        assert_eq!(policy.gates.streak_seconds, 120);
        assert_eq!(policy.windows["monthly"].duration, 14_400);
        assert_eq!(policy.windows["monthly"].approves, Approves::Security);
        assert_eq!(policy.groups[0].order, ["pve2", "pve1", "nas"]);
        assert_eq!(policy.services[0].slo_percent.map(f64::from), Some(99.5));
    }

    #[test]
    fn what_is_written_reads_back_to_the_same() {
        let text_of_all = format!(
            "{SAMPLE}\n[timeouts]\ndrain = \"1h 30m\"\n[updates]\ncool_hours = 24\ncanary = \"pve2\"\n\
             [fleetlock]\nlisten = \"192.0.2.7:9786\"\nids = [\"a\"]\ndeadline = \"10m\"\n"
        );
        let policy = read(&text_of_all).unwrap();
        assert_eq!(policy.timeouts.drain_seconds, 5_400);
        assert_eq!(read(&text(&policy)).unwrap(), policy, "{}", text(&policy));
    }

    #[test]
    fn every_problem_has_its_place_and_a_way_out() {
        for (broken, told) in [
            ("streak = \"2m\"", "fleet.toml:18:1: unknown key `gates.streek`; did you mean `gates.streak`?"),
            ("max_down = 1", "fleet.toml:9:12: `group.max_down` must be a whole number, not negative"),
            (
                "duration = \"4h\"",
                "fleet.toml:14:12: `window.monthly.duration` \"four\" is no duration; write 4h, 1h 30m or 90s",
            ),
            (
                "\"security\"",
                "fleet.toml:15:12: `window.monthly.approves` must be \"nothing\", \"security\" or \"all\"",
            ),
            ("slo_percent = 99.5", "fleet.toml:23:15: `service.slo_percent` must be a number from 0 to 100"),
            ("[gates]", "fleet.toml:17:2: unknown key `gatez`; did you mean `gates`?"),
            ("url = \"https://ha.home.example/\"\n", "fleet.toml:20:1: `url` is missing in [service]"),
            ("Europe/Berlin", "fleet.toml:4:13: `fleet.time_zone`: "),
            ("\"pve1\", \"nas\"]\n\n", "fleet.toml:10:"),
        ] {
            let with = match broken {
                "streak = \"2m\"" => "streek = \"2m\"",
                "max_down = 1" => "max_down = -1",
                "duration = \"4h\"" => "duration = \"four\"",
                "\"security\"" => "\"safety\"",
                "slo_percent = 99.5" => "slo_percent = 101",
                "[gates]" => "[gatez]",
                "Europe/Berlin" => "Europe/Bielefeld",
                "\"pve1\", \"nas\"]\n\n" => "\"pve1\", \"nass\"]\n\n",
                _ => "",
            };
            assert!(SAMPLE.contains(broken), "{broken}");
            let error = read(&SAMPLE.replace(broken, with)).unwrap_err();
            assert!(error.contains(told), "{broken}: {error}");
        }
        let nothing = read("").unwrap_err();
        assert_eq!(nothing, "fleet.toml:1:1: there is no [fleet]\nfleet.toml:1:1: there is no [group]");
        assert!(read("[fleet").unwrap_err().starts_with("fleet.toml:1:"), "broken TOML");
    }
}
