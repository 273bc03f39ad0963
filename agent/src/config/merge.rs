//! Several files become one [`Settings`]: later files win, key by key; a list is replaced as a whole. Tables of which
//! there may be several (`[[service]]`) add up, so that each may have a file of its own.
//!
//! It must never hold a list of keys: what is known is read off the settings' defaults, so that a key added to them is
//! at once known here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use hardstand_core::Settings;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fragment::Fragment;
use super::{Place, Problem};

/// How alike (Jaro-Winkler) a known key must be to be offered instead.
const ALIKE: f64 = 0.87;
/// What a key of the same table has over one of another table.
const ALIKE_HERE: f64 = 0.1;

/// The settings, and where each value that was set comes from.
#[derive(Debug)]
pub(super) struct Merged {
    /// Well typed, not yet checked.
    pub(super) settings: Settings,
    /// The same as a tree.
    pub(super) tree: Value,
    /// Dotted key to the place that set it last.
    pub(super) origins: BTreeMap<String, Place>,
}

/// Merges the fragments in their order.
pub(super) fn merge(fragments: &[Fragment]) -> Result<Merged, Vec<Problem>> {
    let plain = |settings| serde_json::to_value(settings).expect("settings are plain data, which JSON can hold");
    let (tree, defaults) = (plain(Settings::default()), plain(Settings::with_one_of_each()));
    let mut walk = Walk { tree, defaults, origins: BTreeMap::new(), problems: Vec::new() };
    for fragment in fragments {
        walk.fragment(fragment);
    }
    if !walk.problems.is_empty() {
        return Err(walk.problems);
    }
    let settings =
        serde_json::from_value(walk.tree.clone()).expect("each value was tried in its place before it was set");
    Ok(Merged { settings, tree: walk.tree, origins: walk.origins })
}

struct Walk {
    /// Every key with its default; a list of tables has one.
    defaults: Value,
    tree: Value,
    origins: BTreeMap<String, Place>,
    problems: Vec<Problem>,
}

/// One file being walked.
#[derive(Clone, Copy)]
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn place(self, span: &Range<usize>) -> Place {
        let before = &self.text[..self.text.floor_char_boundary(span.start)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl Walk {
    fn fragment(&mut self, fragment: &Fragment) {
        let source = Source { path: &fragment.path, text: &fragment.text };
        let (table, errors) = DeTable::parse_recoverable(&fragment.text);
        let first = self.problems.len();
        for error in &errors {
            let place = source.place(&error.span().unwrap_or(0..0));
            self.problems.push(Problem::At { place, message: format!("not TOML: {}", error.message()) });
        }
        // What a broken file seems to say is a guess: its keys are not judged.
        if errors.is_empty() {
            self.table(source, table.get_ref(), &mut Vec::new());
        }
        self.problems[first..].sort_by_key(|problem| match problem {
            Problem::At { place, .. } => (place.line, place.column),
            Problem::Read { .. } | Problem::TooLarge { .. } => (0, 0),
        });
    }

    fn table(&mut self, source: Source<'_>, table: &DeTable<'_>, path: &mut Vec<String>) {
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            let known = at(&self.defaults, path).cloned();
            match (known, value.get_ref()) {
                (Some(Value::Array(one)), DeValue::Array(rows)) if one.first().is_some_and(Value::is_object) => {
                    rows.iter().for_each(|row| self.row(source, &one[0], row, path));
                }
                (None, _) => {
                    let message = self.unknown(path);
                    self.problems.push(Problem::At { place: source.place(&key.span()), message });
                }
                (Some(Value::Object(_)), DeValue::Table(inner)) => self.table(source, inner, path),
                (Some(known), value_found) => match self.leaf(path, &known, value_found) {
                    Ok(json) => {
                        *at_mut(&mut self.tree, path) = json;
                        self.origins.insert(path.join("."), source.place(&key.span()));
                    }
                    Err(message) => self.problems.push(Problem::At { place: source.place(&value.span()), message }),
                },
            }
            path.pop();
        }
    }

    /// One more of the tables of which there may be several.
    fn row(&mut self, source: Source<'_>, default: &Value, row: &Spanned<DeValue<'_>>, path: &mut Vec<String>) {
        let place = source.place(&row.span());
        let DeValue::Table(table) = row.get_ref() else {
            let message = format!("`{}` must be a table, not {}", shown(path), kind(row.get_ref()));
            return self.problems.push(Problem::At { place, message });
        };
        let rows =
            at_mut(&mut self.tree, path).as_array_mut().expect("where the defaults have a list, so has the tree");
        path.push(rows.len().to_string());
        rows.push(default.clone());
        self.origins.insert(path.join("."), place);
        self.table(source, table, path);
        path.pop();
    }

    /// The value as JSON, once the settings have taken it in its place.
    fn leaf(&self, path: &[String], known: &Value, found: &DeValue<'_>) -> Result<Value, String> {
        let dotted = shown(path);
        if let Some(wanted) = wanted(known)
            && !fits(known, found)
        {
            return Err(format!("`{dotted}` must be {wanted}, not {}", kind(found)));
        }
        let json = json_of(found).ok_or_else(|| format!("`{dotted}` is out of range"))?;
        let mut trial = self.defaults.clone();
        *at_mut(&mut trial, path) = json.clone();
        match serde_json::from_value::<Settings>(trial) {
            Ok(_) => Ok(json),
            Err(error) => Err(format!("`{dotted}`: {error}")),
        }
    }

    /// The message for a key nobody knows, with the nearest known one.
    fn unknown(&self, path: &[String]) -> String {
        let dotted = shown(path);
        let (last, parents) = path.split_last().expect("a key has a name");
        let siblings = at(&self.defaults, parents).and_then(Value::as_object);
        let names: Vec<&str> = siblings.into_iter().flat_map(Map::keys).map(String::as_str).collect();
        let mut all: Vec<String> = names
            .iter()
            .map(|name| shown(&parents.iter().cloned().chain([(*name).to_owned()]).collect::<Vec<_>>()))
            .collect();
        let here = all.len();
        leaves(&self.defaults, "", &mut all);
        let likeness = |(index, full): (usize, &String)| {
            let name = full.rsplit_once('.').map_or(full.as_str(), |(_, name)| name);
            strsim::jaro_winkler(name, last) + if index < here { ALIKE_HERE } else { 0.0 }
        };
        let near = all.iter().enumerate().map(|row| (likeness(row), row.1)).max_by(|a, b| a.0.total_cmp(&b.0));
        match near {
            Some((score, full)) if score >= ALIKE => {
                format!("unknown key `{dotted}`; did you mean `{full}`?")
            }
            _ if parents.is_empty() => format!("unknown key `{dotted}`; known here: {}", names.join(", ")),
            _ => format!("unknown key `{dotted}`; known in [{}]: {}", shown(parents), names.join(", ")),
        }
    }
}

fn leaves(tree: &Value, prefix: &str, into: &mut Vec<String>) {
    let Some(object) = tree.as_object() else {
        into.push(prefix.to_owned());
        return;
    };
    for (key, value) in object {
        leaves(value, &if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") }, into);
    }
}

fn at<'a>(tree: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(tree, |node, key| match node {
        // All of them have the keys of the one that is known.
        Value::Array(one) => one.first(),
        _ => node.as_object()?.get(key),
    })
}

fn at_mut<'a>(tree: &'a mut Value, path: &[String]) -> &'a mut Value {
    path.iter().fold(tree, |node, key| match node {
        Value::Array(rows) => {
            let last = rows.len() - 1;
            &mut rows[key.parse().map_or(last, |place: usize| place.min(last))]
        }
        _ => &mut node[key],
    })
}

/// A path as people write it: without the number of a table among several.
pub(super) fn shown(path: &[String]) -> String {
    let named = path.iter().map(String::as_str).filter(|part| !part.bytes().all(|byte| byte.is_ascii_digit()));
    named.collect::<Vec<_>>().join(".")
}

/// What a key wants, by its default; `None` where the default does not show it (an optional one).
fn wanted(known: &Value) -> Option<&'static str> {
    match known {
        Value::Null => None,
        Value::Bool(_) => Some("true or false"),
        Value::Number(number) if number.is_f64() => Some("a number"),
        Value::Number(_) => Some("a whole number, not negative"),
        Value::String(_) => Some("a string"),
        Value::Array(_) => Some("a list of strings"),
        Value::Object(_) => Some("a table"),
    }
}

fn fits(known: &Value, found: &DeValue<'_>) -> bool {
    match known {
        Value::Null => true,
        Value::Bool(_) => found.is_bool(),
        Value::Number(number) if number.is_f64() => found.is_float() || found.is_integer(),
        Value::Number(_) => found.as_integer().is_some_and(|integer| !integer.as_str().starts_with('-')),
        Value::String(_) => found.is_str(),
        Value::Array(_) => found.as_array().is_some_and(|array| array.iter().all(|element| element.get_ref().is_str())),
        Value::Object(_) => false,
    }
}

fn kind(found: &DeValue<'_>) -> String {
    match found {
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::String(text) => format!("the string {text:?}"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(elements) => match elements.iter().find(|element| !element.get_ref().is_str()) {
            Some(element) => format!("a list with {}", kind(element.get_ref())),
            None => "a list".to_owned(),
        },
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn json_of(found: &DeValue<'_>) -> Option<Value> {
    Some(match found {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => Value::from(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => Value::Number(serde_json::Number::from_f64(number.as_str().parse().ok()?)?),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(date) => Value::from(date.to_string()),
        DeValue::Array(elements) => {
            Value::Array(elements.iter().map(|element| json_of(element.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(key, value)| Some((key.get_ref().to_string(), json_of(value.get_ref())?)))
                .collect::<Option<_>>()?,
        ),
    })
}
