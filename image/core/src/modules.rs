//! Which kernel modules stay: the patterns of the recipe and everything those modules need, by `modules.dep`.
//! A pattern that matches nothing is an error, so that a renamed module is noticed before a machine lacks it.

use std::collections::{BTreeMap, BTreeSet};

use crate::glob;

/// Why no list of modules could be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ModulesError {
    /// Some keep patterns match no module of this kernel.
    #[error(
        "modules: {} match nothing in kernel {release}; correct them or take them out of the recipe",
        patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
    )]
    NoMatch {
        /// The patterns.
        patterns: Vec<String>,
        /// The kernel.
        release: String,
    },
}

/// Paths (as in `modules.dep`, relative to the module directory) that the patterns keep. A pattern is matched against
/// the path without its `.ko`, `.ko.xz` or `.ko.zst`; one without a slash against the last part of it, where `-` and
/// `_` are the same. No pattern at all keeps everything.
pub fn kept(
    release: &str,
    modules_dep: &str,
    builtin: &str,
    patterns: &[String],
) -> Result<BTreeSet<String>, ModulesError> {
    let needs = parse(modules_dep);
    if patterns.is_empty() {
        return Ok(needs.keys().map(|path| (*path).to_owned()).collect());
    }
    let mut todo: Vec<&str> = Vec::new();
    let mut misses = Vec::new();
    for pattern in patterns {
        let before = todo.len();
        todo.extend(needs.keys().filter(|path| hits(pattern, path)));
        if todo.len() == before && !builtin.lines().any(|path| hits(pattern, path)) {
            misses.push(pattern.clone());
        }
    }
    if !misses.is_empty() {
        return Err(ModulesError::NoMatch { patterns: misses, release: release.to_owned() });
    }
    let mut kept = BTreeSet::new();
    while let Some(path) = todo.pop() {
        if kept.insert(path.to_owned()) {
            todo.extend(needs.get(path).into_iter().flatten());
        }
    }
    Ok(kept)
}

fn parse(modules_dep: &str) -> BTreeMap<&str, Vec<&str>> {
    modules_dep
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, needs)| (path.trim(), needs.split_whitespace().collect()))
        .collect()
}

fn hits(pattern: &str, path: &str) -> bool {
    let stem = path.split(".ko").next().unwrap_or(path);
    if pattern.contains('/') {
        return glob::matches(pattern, stem);
    }
    let name = stem.rsplit('/').next().unwrap_or(stem);
    glob::matches(&pattern.replace('-', "_"), &name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::kept;

    const DEP: &str = "\
kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/net/net_failover.ko.xz kernel/net/core/failover.ko.xz
kernel/drivers/net/net_failover.ko.xz: kernel/net/core/failover.ko.xz
kernel/net/core/failover.ko.xz:
kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz
kernel/lib/crc16.ko.xz:
kernel/drivers/usb/storage/usb-storage.ko.xz:
";

    #[test]
    fn a_module_comes_with_what_it_needs() {
        let kept = kept("6.12", DEP, "", &["virtio_net".to_owned(), "usb_storage".to_owned()]).unwrap();
        assert_eq!(
            kept.into_iter().collect::<Vec<_>>(),
            [
                "kernel/drivers/net/net_failover.ko.xz",
                "kernel/drivers/net/virtio_net.ko.xz",
                "kernel/drivers/usb/storage/usb-storage.ko.xz",
                "kernel/net/core/failover.ko.xz",
            ]
        );
    }

    #[test]
    fn directories_and_built_in_modules_are_patterns_too() {
        let patterns = ["kernel/fs/**".to_owned(), "efivarfs".to_owned()];
        let kept = kept("6.12", DEP, "kernel/fs/efivarfs/efivarfs.ko\n", &patterns).unwrap();
        assert_eq!(kept.into_iter().collect::<Vec<_>>(), ["kernel/fs/ext4/ext4.ko.xz", "kernel/lib/crc16.ko.xz"]);
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_an_error() {
        let error = kept("6.12", DEP, "", &["ahcj".to_owned(), "ext4".to_owned(), "b".to_owned()]).unwrap_err();
        assert!(error.to_string().starts_with("modules: `ahcj`, `b` match nothing in kernel 6.12; "), "{error}");
    }
}
