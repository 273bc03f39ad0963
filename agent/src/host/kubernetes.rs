//! Kubernetes: what its API tells of a cluster; and the parser of what it answers to the eviction of a pod, one `Status`
//! or many.
//!
//! It must never take an object that is no answer (a pod, an eviction) for a success.

use hardstand_core::observed::{EvictionAnswer, Evictions};
use serde::Deserialize;
use serde_json::Value;

use super::{HostError, excerpt};

pub(crate) mod access;
pub(crate) mod ask;
mod drain;
pub(crate) mod lists;
mod yaml;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object of Kubernetes")]
struct WireObject {
    kind: Option<String>,
    items: Option<Vec<WireObject>>,
    /// A word of a `Status`, and something else of other kinds.
    status: Option<Value>,
    code: Option<u64>,
    reason: Option<String>,
    message: Option<String>,
    details: Option<WireDetails>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "details")]
struct WireDetails {
    name: Option<String>,
    kind: Option<String>,
    causes: Option<Vec<WireCause>>,
    retry_after_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(expecting = "a cause")]
struct WireCause {
    reason: Option<String>,
    message: Option<String>,
}

/// Parses answers: one JSON object or more, one behind the other, in an array or in a list of Kubernetes; or what
/// `kubectl drain` prints of them.
///
/// # Errors
/// The text is none of them, or an object is no `Status`.
pub(crate) fn parse(text: &str) -> Result<Evictions, HostError> {
    let bad = |why: String| HostError::Parse { what: "the answer to an eviction".to_owned(), why };
    let text = text.trim();
    let objects: Result<Vec<WireObject>, _> = match text.bytes().next() {
        None => return Err(bad("it is empty".to_owned())),
        Some(b'[') => serde_json::from_str(text),
        Some(b'{') => serde_json::Deserializer::from_str(text).into_iter().collect(),
        Some(_) => return drain::parse(text).map_err(bad),
    };
    let mut answers = Vec::new();
    for mut object in objects.map_err(|error| bad(error.to_string()))? {
        match object.items.take() {
            None => answers.push(object.into_core().map_err(bad)?),
            Some(items) => {
                for item in items {
                    answers.push(item.into_core().map_err(bad)?);
                }
            }
        }
    }
    Ok(Evictions { answers, ..Evictions::default() })
}

impl WireObject {
    fn into_core(self) -> Result<EvictionAnswer, String> {
        match self.kind.as_deref() {
            Some("Status") => {}
            Some(kind) => return Err(format!("an object of kind {:?} where a Status should be", excerpt(kind))),
            None => return Err("an object without a kind where a Status should be".to_owned()),
        }
        let status = match self.status {
            None => None,
            Some(Value::String(word)) => Some(word),
            Some(_) => return Err("the status of a Status is no word".to_owned()),
        };
        let mut answer = EvictionAnswer {
            status,
            code: self.code,
            reason: self.reason,
            message: self.message,
            ..EvictionAnswer::default()
        };
        if let Some(details) = self.details {
            answer.about = details.kind;
            answer.pod = details.name.filter(|_| answer.about.as_deref() == Some("pods"));
            answer.retry_after_seconds = details.retry_after_seconds;
            let causes = details.causes.unwrap_or_default().into_iter();
            answer.causes = causes.filter_map(|cause| cause.message.or(cause.reason)).collect();
        }
        answer.budget = answer.causes.iter().find_map(|cause| budget(cause));
        Ok(answer)
    }
}

/// `https://HOST:PORT`, with nothing behind it: what stands before an `@` is a secret, and a token goes to no other scheme.
pub(crate) fn is_endpoint(url: &str) -> bool {
    url.parse::<hyper::Uri>().is_ok_and(|uri| {
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !url.contains('@');
        uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty()) && is_bare
    })
}

/// `The disruption budget NAME needs 2 healthy pods and has 2 currently`.
fn budget(cause: &str) -> Option<String> {
    let name = cause.strip_prefix("The disruption budget ")?.split_whitespace().next()?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests;
