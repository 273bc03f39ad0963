//! The content-addressed store: packages by their SHA-256, and derived things (trees, packed layers) by the hash of
//! what they were made from. An entry is trusted only after its bytes were hashed again; it is never needed, only faster.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files;
use crate::problem::{Doing, Problem};

/// The store on disk.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    packages: PathBuf,
    derived: PathBuf,
    logs: PathBuf,
}

impl Store {
    /// Opens (and makes) the store: `given`, or `$XDG_CACHE_HOME/hardstand/store`, or `~/.cache/hardstand/store`.
    pub(crate) fn open(given: Option<&Path>) -> Result<Self, Problem> {
        let root = match given {
            Some(path) => path.to_owned(),
            None => user_dir("XDG_CACHE_HOME", ".cache")?.join("store"),
        };
        // Programs run in directories of their own: what they are given must not depend on ours.
        let root = std::path::absolute(&root).doing(|| format!("finding {}", root.display()))?;
        let store = Self { packages: root.join("packages"), derived: root.join("derived"), logs: root.join("logs") };
        files::make_dir(&store.packages)?;
        files::make_dir(&store.derived)?;
        Ok(store)
    }

    /// The same packages, with an empty directory for derived things: for a build that must repeat all work.
    pub(crate) fn without_derived(&self, empty: &Path) -> Result<Self, Problem> {
        files::make_dir(empty)?;
        Ok(Self { derived: empty.to_owned(), ..self.clone() })
    }

    /// Where the log of this name is written, for what takes long enough to be looked into afterwards.
    pub(crate) fn log(&self, name: &str) -> Result<PathBuf, Problem> {
        files::make_dir(&self.logs)?;
        Ok(self.logs.join(name))
    }

    /// Where a package of this hash lies, or would lie.
    pub(crate) fn package_path(&self, sha256: &str) -> PathBuf {
        self.packages.join(sha256)
    }

    /// The package's file if its bytes still have that hash. A damaged one is removed.
    pub(crate) fn package(&self, sha256: &str, size: u64) -> Result<Option<PathBuf>, Problem> {
        let path = self.package_path(sha256);
        if !path.is_file() {
            return Ok(None);
        }
        if files::sha256_file(&path)? == (sha256.to_owned(), size) {
            return Ok(Some(path));
        }
        fs::remove_file(&path).doing(|| format!("removing the damaged {}", path.display()))?;
        Ok(None)
    }

    /// Takes a file that was written beside (see [`files::temporary_beside`]) into the store if it has the right hash.
    pub(crate) fn adopt(&self, temporary: &Path, sha256: &str) -> Result<(), Problem> {
        let path = self.package_path(sha256);
        fs::rename(temporary, &path).doing(|| format!("moving a package to {}", path.display()))
    }

    /// A derived thing by the key of its inputs; `None` when it is absent or damaged.
    pub(crate) fn derived(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>, Problem> {
        let Some((path, sha256)) = self.find_derived(kind, key)? else { return Ok(None) };
        let bytes = files::read(&path)?;
        if files::sha256(&bytes) == sha256 {
            return Ok(Some(bytes));
        }
        fs::remove_file(&path).doing(|| format!("removing the damaged {}", path.display()))?;
        Ok(None)
    }

    /// Keeps a derived thing. Its own hash is part of its name, so a torn write is seen.
    pub(crate) fn keep_derived(&self, kind: &str, key: &str, bytes: &[u8]) -> Result<(), Problem> {
        let name = format!("{kind}-{key}-{}", files::sha256(bytes));
        files::replace(&self.derived.join(name), bytes, 0o644)
    }

    fn find_derived(&self, kind: &str, key: &str) -> Result<Option<(PathBuf, String)>, Problem> {
        let doing = || format!("listing {}", self.derived.display());
        let prefix = format!("{kind}-{key}-");
        for entry in fs::read_dir(&self.derived).doing(doing)? {
            let entry = entry.doing(doing)?;
            if let Some(sha256) = entry.file_name().to_string_lossy().strip_prefix(&prefix) {
                return Ok(Some((entry.path(), sha256.to_owned())));
            }
        }
        Ok(None)
    }
}

/// `$VARIABLE/hardstand`, or `~/FALLBACK/hardstand`.
pub(crate) fn user_dir(variable: &str, fallback: &str) -> Result<PathBuf, Problem> {
    if let Some(base) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(base).join("hardstand"));
    }
    match std::env::var_os("HOME") {
        Some(home) => Ok(PathBuf::from(home).join(fallback).join("hardstand")),
        None => Err(Problem::Refused(format!("neither {variable} nor HOME is set; set one of them"))),
    }
}
