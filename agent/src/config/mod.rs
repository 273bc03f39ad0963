//! From files to [`Settings`]: fragments, then one merge, then a check of the values.
//!
//! It must never touch the host beyond the files it is given: `hardstand config check FILE` reads that file and nothing
//! else. It must never let an unknown key pass. All errors of one run are listed, each with its place and a way out.

mod check;
pub(crate) mod fleet;
mod fragment;
mod merge;

use std::path::{Path, PathBuf};

use hardstand_core::Settings;

/// The main file. It may be absent: then the defaults hold.
pub(crate) const MAIN_FILE: &str = "/etc/hardstand/agent.toml";

/// Where in which file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The file.
    pub(crate) path: PathBuf,
    /// Line, counted from 1.
    pub(crate) line: usize,
    /// Column in characters, counted from 1.
    pub(crate) column: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// A file or a drop-in directory could not be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is larger than a configuration can be.
    #[error("reading {}: larger than {limit} bytes; this is not a configuration file", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// Something in a file is not as it should be.
    #[error("{place}: {message}")]
    At {
        /// Where.
        place: Place,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// Everything that is wrong, one line each.
#[derive(Debug)]
pub(crate) struct ConfigError {
    /// Never empty.
    problems: Vec<Problem>,
}

impl std::error::Error for ConfigError {}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl From<Vec<Problem>> for ConfigError {
    fn from(problems: Vec<Problem>) -> Self {
        Self { problems }
    }
}

/// What was read, and from where.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The checked settings.
    pub(crate) settings: Settings,
    /// The files that made them, in the order they were applied.
    pub(crate) files: Vec<PathBuf>,
}

/// Reads the configuration: `file` alone where one is named, else the main file and the drop-ins of this machine.
///
/// # Errors
/// Every problem of every file, in the order of the files.
pub(crate) fn load(file: Option<&Path>) -> Result<Loaded, ConfigError> {
    let fragments = match file {
        Some(path) => fragment::read_file(path).map(|one| vec![one]).map_err(|problem| vec![problem])?,
        None => fragment::read_system(Path::new("/"))?,
    };
    settings_of(fragments)
}

fn settings_of(fragments: Vec<fragment::Fragment>) -> Result<Loaded, ConfigError> {
    let merged = merge::merge(&fragments)?;
    let problems = check::check(&merged);
    if !problems.is_empty() {
        return Err(problems.into());
    }
    Ok(Loaded { settings: merged.settings, files: fragments.into_iter().map(|fragment| fragment.path).collect() })
}

#[cfg(test)]
mod tests;
