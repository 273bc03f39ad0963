//! dpkg's own record of what is installed (`/var/lib/dpkg/status`).
//!
//! It must never take dpkg's lock.

use std::io::BufRead;

use serde::Serialize;

use super::paragraphs::{ParagraphError, read_paragraphs};

/// One package that is at least partly there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Installed {
    /// Name.
    pub(crate) name: String,
    /// Architecture, `all` for one that fits every machine.
    pub(crate) arch: String,
    /// Version.
    pub(crate) version: String,
    /// dpkg's word for its state: `installed`, `half-configured`, ...
    pub(crate) state: String,
    /// Whether dpkg was cut off while it unpacked it, and wants it unpacked again: nothing else makes it whole.
    pub(crate) torn: bool,
    /// Whether the operator keeps it at its version.
    pub(crate) held: bool,
}

impl Installed {
    /// Installed and usable; a trigger may still have to run.
    pub(super) fn is_whole(&self) -> bool {
        !self.torn && matches!(self.state.as_str(), "installed" | "triggers-awaited" | "triggers-pending")
    }

    /// In a state that dpkg passes through, and leaves only when it was cut off or a script failed.
    pub(super) fn is_half_way(&self) -> bool {
        self.torn || self.state != "installed"
    }
}

/// Reads the record; packages of which only configuration files are left are not in the result.
pub(super) fn read_status(reader: impl BufRead) -> Result<Vec<Installed>, ParagraphError> {
    let mut packages = Vec::new();
    read_paragraphs(reader, ["Package", "Status", "Version", "Architecture"], |[name, status, version, arch]| {
        packages.extend(package(name, status, version, arch)?);
        Ok(true)
    })?;
    Ok(packages)
}

fn package(name: &str, status: &str, version: &str, arch: &str) -> Result<Option<Installed>, String> {
    if name.is_empty() {
        return Err("the paragraph before has no Package".to_owned());
    }
    let words: Vec<&str> = status.split_whitespace().collect();
    let [want, error, state] = words[..] else {
        return Err(format!("the Status of {name} is not three words: {status:?}"));
    };
    if matches!(state, "not-installed" | "config-files") {
        return Ok(None);
    }
    if version.is_empty() && state != "half-installed" {
        return Err(format!("{name} is {state} and has no Version"));
    }
    let (name, arch, version, state) = (name.to_owned(), arch.to_owned(), version.to_owned(), state.to_owned());
    Ok(Some(Installed { name, arch, version, state, torn: error == "reinstreq", held: want == "hold" }))
}
