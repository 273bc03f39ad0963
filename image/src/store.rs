//! The content-addressed store: packages by their SHA-256, and derived things (trees, packed layers) by the hash of
//! what they were made from. An entry is trusted only after its bytes were hashed again; it is never needed, only faster.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::files;
use crate::problem::{Doing, Problem};

/// A derived thing that no run has used for this long is removed: a recipe that is still built is built more often than
/// once a month, and whatever goes can be made again. Packages stay: an archive forgets old versions, a lock does not.
const UNUSED_LIMIT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Locked by every run that uses the store, shared; alone by whoever removes things from it.
const LOCK: &str = ".lock";

/// What a removal has freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Freed {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// The store on disk.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    packages: PathBuf,
    derived: PathBuf,
    logs: PathBuf,
    /// Holds off removals while this run is alive. The copies of one store share it.
    _lease: Arc<File>,
}

impl Store {
    /// Opens (and makes) the store, after what nobody has used for long has left it; see [`place`] for where it is.
    pub(crate) fn open(given: Option<&Path>) -> Result<Self, Problem> {
        let root = place(given)?;
        prune(Some(&root), SystemTime::now())?;
        files::make_dir(&root)?;
        let lease = lock_file(&root)?;
        lease.lock_shared().doing(|| format!("waiting for the store {}", root.display()))?;
        let store = Self {
            packages: root.join("packages"),
            derived: root.join("derived"),
            logs: root.join("logs"),
            _lease: Arc::new(lease),
        };
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
            // Used now: what the limit counts from. A store that cannot be written to still serves.
            let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
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

/// Removes what no run has used for a long time, of the store at `given` (as in [`Store::open`]). `None` when another run
/// uses the store: then nothing is touched.
pub(crate) fn prune(given: Option<&Path>, now: SystemTime) -> Result<Option<Freed>, Problem> {
    let root = place(given)?;
    let mut freed = Freed::default();
    if !root.is_dir() {
        return Ok(Some(freed));
    }
    let lock = lock_file(&root)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error).doing(|| format!("locking the store {}", root.display())),
    }
    for dir in ["derived", "logs"].map(|name| root.join(name)).into_iter().filter(|dir| dir.is_dir()) {
        let doing = || format!("removing what is unused from {}", dir.display());
        for entry in fs::read_dir(&dir).doing(doing)? {
            let entry = entry.doing(doing)?;
            let meta = entry.metadata().doing(doing)?;
            // A time in the future is a clock that was wrong: counted as used now.
            let unused = now.duration_since(meta.modified().doing(doing)?).unwrap_or_default();
            if meta.is_file() && unused > UNUSED_LIMIT {
                fs::remove_file(entry.path()).doing(doing)?;
                freed.entries += 1;
                freed.bytes += meta.len();
            }
        }
    }
    Ok(Some(freed))
}

/// The store's directory: `given`, or `$XDG_CACHE_HOME/hardstand/store`, or `~/.cache/hardstand/store`. Absolute, because
/// programs run in directories of their own: what they are given must not depend on ours.
fn place(given: Option<&Path>) -> Result<PathBuf, Problem> {
    let root = match given {
        Some(path) => path.to_owned(),
        None => user_dir("XDG_CACHE_HOME", ".cache")?.join("store"),
    };
    std::path::absolute(&root).doing(|| format!("finding {}", root.display()))
}

fn lock_file(root: &Path) -> Result<File, Problem> {
    let path = root.join(LOCK);
    let options = File::options().read(true).append(true).create(true).open(&path);
    options.doing(|| format!("opening {}", path.display()))
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

#[cfg(test)]
mod tests {
    use super::{Freed, Store, UNUSED_LIMIT, prune};
    use crate::scratch::Scratch;
    use std::time::{Duration, SystemTime};

    const SHORT: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_not_used_goes_and_what_is_used_or_fetched_stays() {
        let scratch = Scratch::new().unwrap();
        let root = scratch.path().join("store");
        let store = Store::open(Some(&root)).unwrap();
        store.keep_derived("zfs", "used", b"modules").unwrap();
        store.keep_derived("tree", "unused", b"a tree").unwrap();
        std::fs::write(store.log("old.log").unwrap(), b"words").unwrap();
        std::fs::write(store.package_path("ab"), b"package").unwrap();
        let long_ago = SystemTime::now() - UNUSED_LIMIT - SHORT;
        for dir in ["derived", "logs", "packages"] {
            for entry in std::fs::read_dir(root.join(dir)).unwrap() {
                let file = std::fs::File::options().append(true).open(entry.unwrap().path()).unwrap();
                file.set_modified(long_ago).unwrap();
            }
        }
        assert_eq!(store.derived("zfs", "used").unwrap().unwrap(), b"modules");
        assert_eq!(prune(Some(&root), SystemTime::now()).unwrap(), None, "a store in use is left alone");
        drop(store);
        let freed = prune(Some(&root), SystemTime::now()).unwrap();
        assert_eq!(freed, Some(Freed { entries: 2, bytes: 11 }));
        let store = Store::open(Some(&root)).unwrap();
        assert!(store.derived("zfs", "used").unwrap().is_some());
        assert!(store.derived("tree", "unused").unwrap().is_none());
        assert!(store.package_path("ab").is_file());
    }

    #[test]
    fn a_damaged_thing_is_noticed_and_made_again() {
        let scratch = Scratch::new().unwrap();
        let store = Store::open(Some(&scratch.path().join("store"))).unwrap();
        store.keep_derived("zfs", "key", b"modules").unwrap();
        let entry = std::fs::read_dir(&store.derived).unwrap().next().unwrap().unwrap().path();
        std::fs::write(&entry, b"modulez").unwrap();
        assert_eq!(store.derived("zfs", "key").unwrap(), None);
        assert!(!entry.exists());
        store.keep_derived("zfs", "key", b"modules").unwrap();
        assert_eq!(store.derived("zfs", "key").unwrap().unwrap(), b"modules");
    }
}
