//! The manifest: what an image is made of and what it consists of, to be read by people, `verify`, `diff` and the SBOM.
//! The same lock and inputs give the same manifest: it holds no time of building and no name of the builder.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::size;

/// The only schema there is so far.
pub const SCHEMA: &str = "hardstand.image/1";

/// The whole manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// Recipe name.
    pub recipe: String,
    /// The build's clock, seconds since 1970.
    pub clock: u64,
    /// SHA-256 of the lock file.
    pub lock_sha256: String,
    /// Kernel release.
    pub kernel: String,
    /// Kernel command line inside the UKI.
    pub cmdline: String,
    /// PCR 11 (SHA-256 bank) after the stub has measured the UKI, before any boot phase is measured.
    pub pcr11_sha256: String,
    /// Outputs.
    pub artefacts: Vec<Artefact>,
    /// Installed packages, sorted by name.
    pub packages: Vec<Package>,
    /// Every file of the root tree, sorted by path.
    pub tree: Vec<TreeFile>,
}

/// One output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artefact {
    /// Path inside the image directory.
    pub file: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 in hex.
    pub sha256: String,
    /// Other outputs whose bytes lie inside this one.
    #[serde(default)]
    pub contains: Vec<Part>,
}

/// Bytes of one output inside another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The output that is contained.
    pub file: String,
    /// Where it begins.
    pub offset: u64,
    /// How many bytes.
    pub size: u64,
}

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Binary package name.
    pub name: String,
    /// Version with epoch.
    pub version: String,
    /// Architecture.
    pub architecture: String,
    /// SHA-256 of the `.deb`.
    pub sha256: String,
    /// `archive`, or `local` for a file given on the command line.
    pub origin: String,
}

/// One path of the root tree that is not a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeFile {
    /// Path without leading slash.
    pub path: String,
    /// Permission bits in octal.
    pub mode: String,
    /// Size in bytes; 0 for links.
    pub size: u64,
    /// SHA-256 of the content, or `-> target` for a link.
    pub content: String,
}

/// What differs between two images, ready to print, one line each.
pub fn diff(old: &Manifest, new: &Manifest) -> Vec<String> {
    let mut lines = Vec::new();
    let mut note = |what: &str, old: &str, new: &str| {
        if old != new {
            lines.push(format!("{what}: {old} -> {new}"));
        }
    };
    note("recipe", &old.recipe, &new.recipe);
    note("kernel", &old.kernel, &new.kernel);
    note("cmdline", &old.cmdline, &new.cmdline);
    note("pcr 11", &old.pcr11_sha256, &new.pcr11_sha256);
    lines.extend(compare(
        "package",
        old.packages.iter().map(|package| (package.name.as_str(), package)),
        new.packages.iter().map(|package| (package.name.as_str(), package)),
        |package| package.version.clone(),
        |old, new| match old.version == new.version {
            true => format!("{} rebuilt", old.version),
            false => format!("{} -> {}", old.version, new.version),
        },
    ));
    lines.extend(compare(
        "file",
        old.tree.iter().map(|file| (file.path.as_str(), file)),
        new.tree.iter().map(|file| (file.path.as_str(), file)),
        |file| size::words(file.size),
        |old, new| match (old.content == new.content, old.size == new.size) {
            (true, _) => format!("mode {} -> {}", old.mode, new.mode),
            (false, true) => format!("content ({})", size::words(old.size)),
            (false, false) => format!("{} -> {}", size::words(old.size), size::words(new.size)),
        },
    ));
    lines.extend(compare(
        "artefact",
        old.artefacts.iter().map(|artefact| (artefact.file.as_str(), artefact)),
        new.artefacts.iter().map(|artefact| (artefact.file.as_str(), artefact)),
        |artefact| size::words(artefact.size),
        |old, new| format!("{} -> {} bytes", old.size, new.size),
    ));
    lines
}

fn compare<'a, T: PartialEq + 'a>(
    what: &str,
    old: impl Iterator<Item = (&'a str, &'a T)>,
    new: impl Iterator<Item = (&'a str, &'a T)>,
    show: impl Fn(&T) -> String,
    change: impl Fn(&T, &T) -> String,
) -> Vec<String> {
    let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) = (old.collect(), new.collect());
    let names: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    names
        .into_iter()
        .filter_map(|name| match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) if old != new => Some(format!("~ {what} {name}: {}", change(old, new))),
            (Some(old), None) => Some(format!("- {what} {name} ({})", show(old))),
            (None, Some(new)) => Some(format!("+ {what} {name} ({})", show(new))),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Artefact, Manifest, Package, SCHEMA, TreeFile, diff};

    pub(crate) fn manifest() -> Manifest {
        Manifest {
            schema: SCHEMA.to_owned(),
            recipe: "live".to_owned(),
            clock: 1_763_201_335,
            lock_sha256: "11".repeat(32),
            kernel: "6.12.107+deb13-amd64".to_owned(),
            cmdline: "console=ttyS0".to_owned(),
            pcr11_sha256: "22".repeat(32),
            artefacts: vec![Artefact {
                file: "uki.efi".to_owned(),
                size: 68_000_000,
                sha256: "33".repeat(32),
                contains: Vec::new(),
            }],
            packages: ["apt", "dbus"].map(package).to_vec(),
            tree: vec![file("etc/hosts", 20, "aa"), file("usr/bin/x", 9, "bb")],
        }
    }

    fn package(name: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: "1:2.0-1".to_owned(),
            architecture: "amd64".to_owned(),
            sha256: "44".repeat(32),
            origin: "archive".to_owned(),
        }
    }

    fn file(path: &str, size: u64, content: &str) -> TreeFile {
        TreeFile { path: path.to_owned(), mode: "0644".to_owned(), size, content: content.to_owned() }
    }

    #[test]
    fn a_diff_names_what_came_went_and_changed() {
        let old = manifest();
        assert_eq!(diff(&old, &old), Vec::<String>::new());
        let mut new = manifest();
        new.packages[1].version = "1:2.1-1".to_owned();
        new.packages[0] = package("vim");
        new.tree[0].size = 25;
        new.tree[0].content = "cc".to_owned();
        new.tree[1].mode = "0755".to_owned();
        new.artefacts[0].size += 1;
        assert_eq!(
            diff(&old, &new),
            [
                "- package apt (1:2.0-1)",
                "~ package dbus: 1:2.0-1 -> 1:2.1-1",
                "+ package vim (1:2.0-1)",
                "~ file etc/hosts: 20 B -> 25 B",
                "~ file usr/bin/x: mode 0644 -> 0755",
                "~ artefact uki.efi: 68000000 -> 68000001 bytes",
            ]
        );
    }
}
