//! The lock: every package of an image with version, size and SHA-256, and the archive's date as the build's clock.
//! It must never hold a mirror's address: the hash decides, whoever serves the file.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::recipe::Recipe;

/// The only schema there is so far.
pub const SCHEMA: &str = "hardstand.lock/1";

/// Why a lock cannot be used. Each text says which command helps.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LockError {
    /// Not a lock.
    #[error("{file}: {problem}; run `hardstand-image lock` again")]
    Text {
        /// The lock file.
        file: String,
        /// The parser's words.
        problem: String,
    },
    /// The recipe asks for something the lock was not made for.
    #[error("{file} was not made for this recipe ({difference}); run `hardstand-image lock` again")]
    Stale {
        /// The lock file.
        file: String,
        /// What differs.
        difference: String,
    },
}

/// One package of the lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Binary package name.
    pub name: String,
    /// Version as the archive writes it, epoch included.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// Bytes of the `.deb`.
    pub size: u64,
    /// SHA-256 of the `.deb`, in hex.
    pub sha256: String,
    /// Which archive of `archives` it comes from.
    pub archive: String,
    /// Path below that archive's address.
    pub path: String,
}

/// One archive the packages were resolved against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// `main` or `security`.
    pub name: String,
    /// Suite, as in `trixie-security`.
    pub suite: String,
    /// Date of its Release file, seconds since 1970.
    pub date: u64,
}

/// The whole lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// [`SCHEMA`].
    pub schema: String,
    /// Recipe it was made for.
    pub recipe: String,
    /// The build's clock: the newest date of the archives, seconds since 1970.
    pub clock: u64,
    /// Suite of the recipe.
    pub suite: String,
    /// Components of the recipe.
    pub components: Vec<String>,
    /// Packages the recipe asked for by name.
    pub asked: Vec<String>,
    /// Archives, with their dates.
    #[serde(default)]
    pub archives: Vec<Archive>,
    /// Packages, sorted by name.
    #[serde(default)]
    pub packages: Vec<Package>,
    /// Packages that only build the ZFS modules, sorted by name; none of them reaches the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build: Vec<Package>,
}

impl Lock {
    /// Reads a lock.
    pub fn parse(file: &str, text: &str) -> Result<Self, LockError> {
        let refuse = |problem: String| LockError::Text { file: file.to_owned(), problem };
        let lock: Self = toml::from_str(text).map_err(|error| refuse(error.message().to_owned()))?;
        if lock.schema != SCHEMA {
            return Err(refuse(format!("schema is `{}`, this program reads `{SCHEMA}`", lock.schema)));
        }
        if let Some(bad) = lock.packages.iter().chain(&lock.build).find(|package| !is_sha256(&package.sha256)) {
            return Err(refuse(format!("package {} has no valid sha256", bad.name)));
        }
        Ok(lock)
    }

    /// The lock as it is written to disk.
    pub fn text(&self) -> String {
        let body = toml::to_string(self).expect("a lock holds only strings, numbers and tables of them");
        format!("# Made by `hardstand-image lock`. Do not edit; run it again to move on.\n{body}")
    }

    /// Every file the lock names, each once: what is installed and what only builds share many.
    pub fn files(&self) -> Vec<Package> {
        self.packages.iter().chain(&self.build).cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Refuses a lock that was made for another recipe or an older state of this one.
    pub fn check(&self, file: &str, recipe: &Recipe) -> Result<(), LockError> {
        let stale = |difference: String| Err(LockError::Stale { file: file.to_owned(), difference });
        if self.suite != recipe.suite {
            return stale(format!("it is for suite {}, the recipe wants {}", self.suite, recipe.suite));
        }
        if self.components != recipe.components {
            return stale(format!("its components are {}", self.components.join(", ")));
        }
        let ours: BTreeSet<_> = recipe.packages.iter().collect();
        let theirs: BTreeSet<_> = self.asked.iter().collect();
        if let Some(missing) = ours.difference(&theirs).next() {
            return stale(format!("the recipe now asks for {missing}"));
        }
        if let Some(extra) = theirs.difference(&ours).next() {
            return stale(format!("the recipe no longer asks for {extra}"));
        }
        if self.build.is_empty() == recipe.zfs {
            let now = if recipe.zfs { "now" } else { "no longer" };
            return stale(format!("the recipe {now} says zfs = true"));
        }
        Ok(())
    }
}

/// The release (as in `uname -r`) of the one kernel among these packages.
pub fn kernel_release(packages: &[Package]) -> Option<&str> {
    let mut releases = packages
        .iter()
        .filter_map(|package| package.name.strip_prefix("linux-image-"))
        .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    releases.next().filter(|_| releases.next().is_none())
}

/// Whether this is 64 lower-case hex digits.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::{Archive, Lock, Package, SCHEMA};
    use crate::recipe::{parse, resolve};

    fn lock() -> Lock {
        Lock {
            schema: SCHEMA.to_owned(),
            recipe: "x".to_owned(),
            clock: 1_763_000_000,
            suite: "trixie".to_owned(),
            components: vec!["main".to_owned()],
            asked: vec!["dbus".to_owned(), "linux-image-cloud-amd64".to_owned(), "systemd-boot-efi".to_owned()],
            archives: vec![Archive { name: "main".to_owned(), suite: "trixie".to_owned(), date: 1_763_000_000 }],
            packages: vec![Package {
                name: "dbus".to_owned(),
                version: "1:1.16.2-2".to_owned(),
                architecture: "amd64".to_owned(),
                size: 71_000,
                sha256: "ab".repeat(32),
                archive: "main".to_owned(),
                path: "pool/main/d/dbus/dbus_1.16.2-2_amd64.deb".to_owned(),
            }],
            build: Vec::new(),
        }
    }

    #[test]
    fn a_lock_reads_back_what_it_wrote() {
        assert_eq!(Lock::parse("x.lock", &lock().text()), Ok(lock()));
    }

    #[test]
    fn a_torn_lock_is_an_error_not_an_empty_one() {
        let text = lock().text();
        let error = Lock::parse("x.lock", &text[..text.len() - 60]).unwrap_err().to_string();
        assert!(error.starts_with("x.lock: ") && error.ends_with("; run `hardstand-image lock` again"), "{error}");
        let error = Lock::parse("x.lock", &text.replace("abab", "xyxy")).unwrap_err().to_string();
        assert_eq!(error, "x.lock: package dbus has no valid sha256; run `hardstand-image lock` again");
    }

    #[test]
    fn a_lock_of_another_recipe_is_refused() {
        let recipe = |packages: &str| {
            let text = format!("suite = \"trixie\"\nkernel = \"cloud\"\npackages = [{packages}]");
            resolve("x", "x.toml", vec![parse("x.toml", &text).unwrap()]).unwrap()
        };
        assert_eq!(lock().check("x.lock", &recipe("\"dbus\"")), Ok(()));
        assert_eq!(
            lock().check("x.lock", &recipe("\"dbus\", \"vim\"")).unwrap_err().to_string(),
            "x.lock was not made for this recipe (the recipe now asks for vim); run `hardstand-image lock` again"
        );
        assert_eq!(
            lock().check("x.lock", &recipe("")).unwrap_err().to_string(),
            "x.lock was not made for this recipe (the recipe no longer asks for dbus); run `hardstand-image lock` again"
        );
    }
}
