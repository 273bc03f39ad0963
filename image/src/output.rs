//! The output directory: made under a temporary name, given its own when everything in it is done. A build that ends
//! early leaves nothing a later one would take for an image.

use std::fs;
use std::path::{Path, PathBuf};

use crate::problem::{Doing, Problem};
use crate::scratch::Scratch;

/// In every image directory, so that a build only ever replaces a directory it could have made itself.
const MARK: &str = "uki.efi";

/// An output directory under a temporary name; removed unless published.
#[derive(Debug)]
pub(crate) struct Partial {
    work: Scratch,
    target: PathBuf,
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
        Ok(Self { work: Scratch::beside(target)?, target: target.to_owned() })
    }

    /// The directory while it is being made.
    pub(crate) fn dir(&self) -> &Path {
        self.work.path()
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Gives it its name, in place of an older image.
    pub(crate) fn publish(self) -> Result<(), Problem> {
        if self.target.exists() {
            // The older image goes into a work directory of its own, so that a kill between the two leaves one of them.
            let old = Scratch::beside(&self.target)?;
            let doing = || format!("moving the older image {} out of the way", self.target.display());
            fs::rename(&self.target, old.path().join("old")).doing(doing)?;
            return self.work.rename(&self.target);
        }
        self.work.rename(&self.target)
    }
}
