//! Ceph: asking it, and the parsers of what `ceph ... -f json` prints, in the shapes of releases 14 to 20.
//!
//! It must never take an error that Ceph prints, or a second document, for a remark behind the first one.

use serde::de::DeserializeOwned;

use super::{HostError, excerpt};

pub(crate) mod ask;
pub(crate) mod health;
mod nodes;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod tree;

/// How Ceph begins what it says of a command that it refused or could not carry out.
const ERROR: &str = "Error ";

/// The one document in an output of the command `what`. Ceph puts remarks behind some (`dumped monmap epoch 3`, `ok`).
///
/// # Errors
/// The text does not begin with a document of that form, or what is behind it is no remark.
fn document<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, HostError> {
    let bad = |why: String| bad(what, why);
    let text = text.trim();
    if !text.starts_with('{') {
        return Err(bad(match text.lines().next() {
            None => "it is empty".to_owned(),
            Some(line) => format!("no JSON in it; it says: {}", excerpt(line)),
        }));
    }
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<T>();
    let first = documents.next().transpose().map_err(|error| bad(excerpt(&error.to_string())))?;
    let behind = text.get(documents.byte_offset()..).unwrap_or_default();
    if let Some(line) = behind.lines().map(str::trim).find(|line| !line.is_empty() && !is_remark(line)) {
        return Err(bad(format!("behind the JSON it says: {}", excerpt(line))));
    }
    first.ok_or_else(|| bad("it is empty".to_owned()))
}

fn is_remark(line: &str) -> bool {
    line.starts_with(|c: char| c.is_ascii_alphabetic()) && !line.starts_with("Error") && !line.contains("errno")
}

fn bad(what: &'static str, why: String) -> HostError {
    HostError::Parse { what: what.to_owned(), why }
}

#[cfg(test)]
mod tests;
