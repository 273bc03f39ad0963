//! The one set that is staged: what the plan asked for, as this node's own resolver gave it, kept until another is staged.
//!
//! It must never be made of a caller's words: a caller only names the set by its hash.

use std::path::{Path, PathBuf};

use hardstand_core::plan::PackageSet;
use serde::{Deserialize, Serialize};

use super::errand::{Digest, Release};
use crate::durable;

const FILE: &str = "staged.json";
const PREFERENCES: &str = "preferences";

/// A set, and the kernel expected of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Staged {
    /// The plan.
    pub(super) plan: Digest,
    /// The set.
    pub(super) set: PackageSet,
    /// The kernel that is expected to run afterwards, if another than now.
    pub(super) kernel: Option<Release>,
}

/// The set staged last.
///
/// # Errors
/// None was, or it cannot be read, or it is another than the one asked for.
pub(super) fn read(dir: &Path, set: &Digest) -> Result<Staged, String> {
    let path = dir.join(FILE);
    let bytes = std::fs::read(&path)
        .map_err(|error| format!("reading {}: {error}; stage the set again, or plan anew", path.display()))?;
    let staged: Staged = serde_json::from_slice(&bytes)
        .map_err(|error| format!("{} is torn: {error}; stage the set again, or plan anew", path.display()))?;
    if staged.set.id() == set.as_str() {
        Ok(staged)
    } else {
        Err("another set was staged last; stage this one again, or plan anew".to_owned())
    }
}

/// Keeps a set. It survives a power cut when this returns.
///
/// # Errors
/// The disk did not take it.
pub(super) fn write(dir: &Path, staged: &Staged) -> Result<(), String> {
    let path = dir.join(FILE);
    let bytes = serde_json::to_vec(staged).map_err(|error| error.to_string())?;
    durable::replace(&path, &bytes).map_err(|error| format!("writing {}: {error}; free some space", path.display()))
}

/// Writes the preferences that pin a set, and says where they lie.
///
/// # Errors
/// The disk did not take them.
pub(super) fn write_preferences(dir: &Path, set: &PackageSet) -> Result<PathBuf, String> {
    let path = dir.join(PREFERENCES);
    durable::replace(&path, crate::host::apt::preferences(set).as_bytes())
        .map_err(|error| format!("writing {}: {error}; free some space", path.display()))?;
    Ok(path)
}
