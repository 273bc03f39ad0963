//! The package repository the fleet's apt reads: one of the sets of [`crate::updates`] at a time.
//!
//! What is published changes by one rename, so that a question sees the old set or the new one and nothing between.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::scene::Scene;
use crate::updates::{self, Version};

/// The repository of one story.
pub(crate) struct Repository {
    dir: PathBuf,
    updates: PathBuf,
    key: String,
}

impl Repository {
    /// Makes the served directory of this story, at version one.
    pub(super) fn open(scene: &Scene) -> Result<Self> {
        let updates = scene.updates.clone();
        let dir = scene.dir.join("repository");
        ensure!(
            updates::pool(&updates).is_dir(),
            "{} is missing; make it first: qemu/lab updates",
            updates::pool(&updates).display()
        );
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        link(&updates::pool(&updates), &dir.join("pool"))?;
        let key_file = updates::key(&updates);
        let key = std::fs::read_to_string(&key_file).with_context(|| format!("reading {}", key_file.display()))?;
        let repository = Self { dir, updates, key };
        repository.publish(Version::One)?;
        Ok(repository)
    }

    /// What apt sees from now on.
    pub(crate) fn publish(&self, version: Version) -> Result<()> {
        link(&updates::index(&self.updates, version), &self.dir.join("dists"))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The public key its lists are signed with.
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

/// A symlink that is replaced in one step.
fn link(to: &Path, link: &Path) -> Result<()> {
    let new = link.with_extension("new");
    std::os::unix::fs::symlink(to, &new).with_context(|| format!("linking {}", new.display()))?;
    std::fs::rename(&new, link).with_context(|| format!("publishing {}", link.display()))
}
