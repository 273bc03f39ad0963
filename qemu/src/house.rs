//! Where things are: the checkout, its `out/`, the caches outside it, and the programs of the Rust toolchain.
//!
//! It must never write into the checkout but under `out/` and cargo's target directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hardstand_exec::Run;

/// What the toolchain and the package sources need of the caller's environment; nothing else is handed on.
const HANDED_ON: [&str; 15] = [
    "HOME",
    "PATH",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUSTUP_AUTO_INSTALL",
    "CARGO_TARGET_DIR",
    "CARGO_NET_OFFLINE",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// The places of one checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct House {
    /// The checkout.
    pub root: PathBuf,
    /// What the lab makes: images, packages, evidence. Ignored by git, removed by `clean`.
    pub out: PathBuf,
    /// What speeds the next run up and is never needed.
    pub cache: PathBuf,
}

impl House {
    /// The checkout this harness was built from.
    pub(crate) fn here() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = root.parent().context("finding the checkout above qemu/")?.to_owned();
        let cache = match std::env::var_os("XDG_CACHE_HOME") {
            Some(dir) => PathBuf::from(dir),
            None => PathBuf::from(std::env::var_os("HOME").context("finding HOME for the cache")?).join(".cache"),
        };
        Ok(Self { out: root.join("out"), root, cache: cache.join("hardstand") })
    }

    /// Where a recipe's image is built to.
    pub(crate) fn image(&self, recipe: &str) -> PathBuf {
        self.out.join("images").join(recipe)
    }

    /// A recipe's lock as the lab resolves it.
    pub(crate) fn lock(&self, recipe: &str) -> PathBuf {
        self.out.join("locks").join(format!("{recipe}.lock"))
    }

    /// The directory of one kind of evidence, made empty.
    pub(crate) fn evidence(&self, kind: &str, name: &str) -> Result<PathBuf> {
        let dir = self.out.join(kind).join(name);
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| format!("emptying {}", dir.display()))?;
        }
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        Ok(dir)
    }

    /// A program run in the checkout with what a build needs of the caller's environment.
    pub(crate) fn build_run(&self, program: impl Into<PathBuf>, limit: Duration) -> Run {
        let mut run = Run::new(program, limit).dir(&self.root);
        for name in HANDED_ON {
            if let Some(value) = std::env::var_os(name) {
                run = run.env(name, value);
            }
        }
        run
    }

    /// Cargo in the checkout.
    pub(crate) fn cargo(&self, limit: Duration) -> Result<Run> {
        Ok(self.build_run(cargo()?, limit))
    }

    /// A program cargo has built with `profile` (`debug` or `release`).
    pub(crate) fn built(&self, profile: &str, program: &str) -> PathBuf {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from);
        target.join(profile).join(program)
    }
}

/// `cargo run` names itself in `CARGO`; else it is looked for as a shell would.
fn cargo() -> Result<PathBuf> {
    if let Some(cargo) = std::env::var_os("CARGO") {
        return Ok(PathBuf::from(cargo));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join("cargo"))
        .find(|program| program.is_absolute() && program.is_file())
        .context("finding cargo in PATH; install Rust, or start through qemu/lab")
}
