//! Lists: field selectors, pages, and what of a query is refused.
//!
//! As the real one, it reads as many objects as the limit says and then leaves out those that are not selected, so that a
//! page may be empty and not be the last. It must never take a query that the real one refuses.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Answer, Body, State};

/// A kind, and the fields by which it can be selected.
pub(super) struct Kind {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    list: &'static str,
    fields: &'static [&'static str],
}

const NAMES: &[&str] = &["metadata.name", "metadata.namespace"];
const OF_PODS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "spec.hostNetwork",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.nominatedNodeName",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

const fn kind([group, version, plural, list]: [&'static str; 4], fields: &'static [&'static str]) -> Kind {
    Kind { group, version, plural, list, fields }
}

pub(super) const KINDS: [Kind; 6] = [
    kind(["", "v1", "nodes", "NodeList"], &["metadata.name", "spec.unschedulable"]),
    kind(["", "v1", "pods", "PodList"], OF_PODS),
    kind(["", "v1", "persistentvolumes", "PersistentVolumeList"], &["metadata.name"]),
    kind(["policy", "v1", "poddisruptionbudgets", "PodDisruptionBudgetList"], NAMES),
    kind(["kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "KustomizationList"], NAMES),
    kind(["helm.toolkit.fluxcd.io", "v2", "helmreleases", "HelmReleaseList"], NAMES),
];

/// What a query asks for.
#[derive(Default)]
struct Query {
    limit: Option<usize>,
    /// The place to go on from.
    start: usize,
    /// Fields and values that must be equal.
    selected: Vec<(String, String)>,
}

/// Answers with a page.
pub(super) fn answer(state: &mut State, kind: &Kind, query: &str) -> Answer {
    let query = match Query::read(kind, query) {
        Ok(query) => query,
        Err(message) => return Answer::status(400, "BadRequest", message),
    };
    if query.start > 0 && state.forgets > 0 {
        state.forgets -= 1;
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a \
                       new list without the continue parameter.";
        return Answer::status(410, "Expired", message);
    }
    let all = state.objects.get(kind.plural).map_or(&[][..], Vec::as_slice);
    let end = query.limit.map_or(all.len(), |limit| all.len().min(query.start.saturating_add(limit)));
    let read = all.get(query.start..end).unwrap_or_default();
    let items: Vec<Value> = read.iter().filter(|object| query.selects(object)).cloned().collect();
    let slash = if kind.group.is_empty() { "" } else { "/" };
    let version = format!("{}{slash}{}", kind.group, kind.version);
    let mut metadata = json!({"resourceVersion": "1000"});
    if end < all.len() {
        metadata["continue"] = json!(token(end));
    }
    let list = json!({"kind": kind.list, "apiVersion": version, "metadata": metadata, "items": items});
    Answer { code: 200, body: Body::Json(list) }
}

fn token(start: usize) -> String {
    URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": 1000, "start": start.to_string()}).to_string())
}

fn place(token: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let told: Value = serde_json::from_slice(&bytes).ok()?;
    let is_ours = told["v"] == "meta.k8s.io/v1" && told["rv"] == 1000;
    told["start"].as_str()?.parse().ok().filter(|_| is_ours)
}

impl Query {
    fn read(kind: &Kind, text: &str) -> Result<Self, String> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value).ok_or_else(|| format!("invalid URL escape in {name}"))?;
            match name {
                "limit" => {
                    let odd = |_| format!("strconv.ParseInt: parsing {value:?}: invalid syntax");
                    let limit: i64 = value.parse().map_err(odd)?;
                    query.limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
                }
                "continue" => {
                    let start = place(&value).filter(|start| *start > 0);
                    query.start = start.ok_or("continue key is not valid: encoded start key is not valid")?;
                }
                "fieldSelector" => query.selected = selectors(kind, &value)?,
                other => return Err(format!("unknown query parameter {other:?} (the real one ignores it)")),
            }
        }
        Ok(query)
    }

    fn selects(&self, object: &Value) -> bool {
        self.selected.iter().all(|(field, value)| {
            let found = field.split('.').try_fold(object, |inner, part| inner.get(part));
            found.and_then(Value::as_str).unwrap_or_default() == value
        })
    }
}

fn selectors(kind: &Kind, text: &str) -> Result<Vec<(String, String)>, String> {
    let mut selected = Vec::new();
    for term in text.split(',').filter(|term| !term.is_empty()) {
        let invalid = || format!("invalid selector: {text:?}; can't understand {term:?}");
        let (field, value) = term.split_once('=').ok_or_else(invalid)?;
        let value = value.strip_prefix('=').unwrap_or(value);
        if field.ends_with('!') {
            return Err(format!("{field}= is not simulated"));
        }
        if !kind.fields.contains(&field) {
            let what = kind.plural;
            return Err(format!(
                "Unable to find {what:?} that match label selector \"\", field selector {text:?}: field label not \
                 supported: {field}"
            ));
        }
        selected.push((field.to_owned(), value.to_owned()));
    }
    Ok(selected)
}

fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}
