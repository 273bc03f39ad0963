//! Directories for work in progress. Nothing in one is ever trusted by a later run; what a killed run left behind is
//! removed by the next. It must never remove anything on another file system: a bootstrap mounts things inside.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::files;
use crate::problem::{Doing, Problem};

const PREFIX: &str = "hardstand-image-";
/// Held locked while the directory is in use, so that a sweep knows the living from the dead.
const LOCK: &str = ".lock";

/// A directory for work in progress, removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Below `TMPDIR`, or `/var/tmp`: trees are too big for a `/tmp` in memory. Readable for all, because the bootstrap
    /// of an unprivileged build reads it as another user.
    pub(crate) fn new() -> Result<Self, Problem> {
        let base = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
        sweep(&base, PREFIX);
        Self::make(base.join(format!("{PREFIX}{}", files::unique())), 0o755)
    }

    /// Beside a directory that is to be made, under a hidden name of its own; left-overs of it are swept.
    pub(crate) fn beside(target: &Path) -> Result<Self, Problem> {
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        files::make_dir(parent)?;
        let prefix = format!(".{name}.partial-");
        sweep(parent, &prefix);
        Self::make(parent.join(format!("{prefix}{}", files::unique())), 0o755)
    }

    fn make(given: PathBuf, mode: u32) -> Result<Self, Problem> {
        let doing =
            || format!("making the work directory {} (TMPDIR names another place for scratch)", given.display());
        let path = std::path::absolute(&given).doing(doing)?;
        fs::DirBuilder::new().mode(mode).create(&path).doing(doing)?;
        let lock = File::create_new(path.join(LOCK)).doing(doing)?;
        lock.try_lock().map_err(std::io::Error::from).doing(doing)?;
        Ok(Self { path, _lock: lock })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the directory its final name; what was there under that name must be gone already.
    pub(crate) fn rename(&self, target: &Path) -> Result<(), Problem> {
        let doing = || format!("moving the finished work to {}", target.display());
        fs::remove_file(self.path.join(LOCK)).doing(doing)?;
        fs::rename(&self.path, target).doing(doing)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // After a rename there is nothing left under this name.
        remove(&self.path);
    }
}

/// Removes directories that ended runs left behind: ours, and not locked by anyone.
fn sweep(base: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        // No lock file means a run that has not come that far yet, or not our directory: left alone.
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            remove(&entry.path());
        }
    }
}

/// Removes a tree without leaving its file system. Errors are left for the next sweep: this runs where nobody can act.
fn remove(path: &Path) {
    if let Ok(meta) = fs::symlink_metadata(path) {
        remove_below(path, meta.dev());
        let _ = fs::remove_dir(path);
    }
}

fn remove_below(dir: &Path, device: u64) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() && meta.dev() == device {
            remove_below(&entry.path(), device);
            let _ = fs::remove_dir(entry.path());
        } else if !meta.is_dir() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scratch;

    #[test]
    fn what_a_killed_run_left_is_swept_and_the_living_are_spared() {
        let base = Scratch::new().unwrap();
        let target = base.path().join("image");
        let alive = Scratch::beside(&target).unwrap();
        let dead = base.path().join(".image.partial-1-1");
        std::fs::create_dir_all(dead.join("netboot")).unwrap();
        std::fs::write(dead.join(".lock"), b"").unwrap();
        std::fs::write(dead.join("uki.efi"), b"half").unwrap();
        let foreign = base.path().join(".image.partial-notes");
        std::fs::create_dir(&foreign).unwrap();
        let next = Scratch::beside(&target).unwrap();
        assert!(!dead.exists() && foreign.exists() && alive.path().exists() && next.path().exists());
    }
}
