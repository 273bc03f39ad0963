//! The output directory: made under a temporary name, given its own when everything in it is done. A build that ends
//! early leaves nothing a later one would take for an image.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files;
use crate::problem::{Doing, Problem};

/// In every image directory, so that a build only ever replaces a directory it could have made itself.
const MARK: &str = "uki.efi";

/// An output directory under a temporary name; removed unless published.
#[derive(Debug)]
pub(crate) struct Partial {
    temporary: PathBuf,
    target: PathBuf,
    published: bool,
}

impl Partial {
    /// Prepares to make `target`; refuses to replace a directory that holds something else.
    pub(crate) fn new(target: &Path) -> Result<Self, Problem> {
        let doing = || format!("reading {}", target.display());
        let foreign =
            target.exists() && !target.join(MARK).is_file() && fs::read_dir(target).doing(doing)?.next().is_some();
        if foreign {
            return Err(Problem::Refused(format!(
                "{} exists and is no image directory; name another with --out, or remove it",
                target.display()
            )));
        }
        let temporary = files::temporary_beside(target);
        files::make_dir(&temporary)?;
        Ok(Self { temporary, target: target.to_owned(), published: false })
    }

    /// The directory while it is being made.
    pub(crate) fn dir(&self) -> &Path {
        &self.temporary
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temporary.join(name)
    }

    /// Gives it its name, in place of an older image.
    pub(crate) fn publish(mut self) -> Result<(), Problem> {
        let doing = || format!("moving the finished image to {}", self.target.display());
        let old = files::temporary_beside(&self.target);
        if self.target.exists() {
            fs::rename(&self.target, &old).doing(doing)?;
        }
        fs::rename(&self.temporary, &self.target).doing(doing)?;
        self.published = true;
        if old.exists() {
            fs::remove_dir_all(&old).doing(|| format!("removing the replaced image {}", old.display()))?;
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_dir_all(&self.temporary);
        }
    }
}
