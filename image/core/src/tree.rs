//! A file tree as a value: what is in the image, who owns it, where it came from. Overlays, trimming and layers are
//! operations on it. It must never touch a real file system; the edges read tars into it and write archives from it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::glob;

/// The bytes of one file: a shared buffer and a range of it, so that a tree of a whole tar costs the tar once.
#[derive(Clone)]
pub struct Bytes {
    whole: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Bytes {
    /// A range of a shared buffer; `None` when the range does not lie inside it.
    pub fn slice(whole: &Arc<Vec<u8>>, range: Range<usize>) -> Option<Self> {
        whole.get(range.clone())?;
        Some(Self { whole: Arc::clone(whole), range })
    }

    /// The bytes themselves.
    pub fn get(&self) -> &[u8] {
        &self.whole[self.range.clone()]
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { whole: Arc::new(bytes), range }
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.range.len())
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file; nodes with the same `link` are one inode with several names.
    File {
        /// The content.
        bytes: Bytes,
        /// Hard-link group.
        link: Option<u32>,
    },
    /// A symbolic link and its target.
    Symlink(String),
}

/// Who put a node into the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A package, or its maintainer script.
    Packages,
    /// An overlay, by name.
    Overlay(String),
    /// The build itself (module indexes, the image mark).
    Build,
}

/// One path of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Permission bits with setuid, setgid and sticky; no type bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970, never later than the build's clock.
    pub mtime: u64,
    /// Directory, file or link.
    pub kind: Kind,
    /// Who put it there.
    pub origin: Origin,
}

impl Node {
    /// A file of root's with mode 0644.
    pub fn file(bytes: impl Into<Bytes>, mtime: u64, origin: Origin) -> Self {
        Self { mode: 0o644, uid: 0, gid: 0, mtime, kind: Kind::File { bytes: bytes.into(), link: None }, origin }
    }

    /// A directory of root's with mode 0755.
    pub fn dir(mtime: u64, origin: Origin) -> Self {
        Self { mode: 0o755, uid: 0, gid: 0, mtime, kind: Kind::Dir, origin }
    }
}

/// Why an overlay cannot be laid over the tree.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OverlayError {
    /// A directory would replace a file or the other way round: almost always a typing error.
    #[error(
        "overlay {overlay}: {path} would replace {what} by {by}; rename it in the overlay, or remove the old one in the recipe (remove = [\"/{path}\"])"
    )]
    Type {
        /// The overlay.
        overlay: String,
        /// The path in the tree.
        path: String,
        /// What is there.
        what: &'static str,
        /// What would come.
        by: &'static str,
    },
}

/// Paths (no leading slash, parents before children) and their nodes. The root directory itself is not listed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// All nodes in order of their path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Nodes whose path starts with `prefix`.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        self.nodes
            .range(prefix.to_owned()..)
            .take_while(move |(path, _)| path.starts_with(prefix))
            .map(|(path, node)| (path.as_str(), node))
    }

    /// One node.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The content of a regular file at exactly this path.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        match &self.nodes.get(path)?.kind {
            Kind::File { bytes, .. } => Some(bytes.get()),
            Kind::Dir | Kind::Symlink(_) => None,
        }
    }

    /// Puts a node in place of whatever was there; missing parent directories are made with the node's mtime and origin.
    pub fn insert(&mut self, path: &str, node: Node) {
        for (at, _) in path.match_indices('/') {
            if !self.nodes.contains_key(&path[..at]) {
                self.nodes.insert(path[..at].to_owned(), Node::dir(node.mtime, node.origin.clone()));
            }
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// Takes a node out, with everything below it.
    pub fn remove(&mut self, path: &str) {
        let inside = format!("{path}/");
        self.nodes.remove(path);
        self.nodes.retain(|name, _| !name.starts_with(&inside));
    }

    /// Removes what a pattern of `remove` matches and none of `keep` does. A directory that still holds something stays.
    /// Returns how many nodes went.
    pub fn trim(&mut self, remove: &[String], keep: &[String]) -> usize {
        let hit = |patterns: &[String], path: &str| patterns.iter().any(|pattern| glob::matches(pattern, path));
        let doomed: BTreeSet<String> =
            self.nodes.keys().filter(|path| hit(remove, path) && !hit(keep, path)).cloned().collect();
        let mut needed = BTreeSet::new();
        for path in self.nodes.keys().filter(|path| !doomed.contains(*path)) {
            needed.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
        }
        let before = self.nodes.len();
        self.nodes.retain(|path, _| !doomed.contains(path) || needed.contains(path));
        before - self.nodes.len()
    }

    /// Splits off the nodes a predicate takes. Parent directories stay where they are.
    pub fn split(&mut self, take: impl Fn(&str, &Node) -> bool) -> Tree {
        let (taken, kept) = std::mem::take(&mut self.nodes).into_iter().partition(|(path, node)| take(path, node));
        self.nodes = kept;
        Tree { nodes: taken }
    }

    /// Checks that `upper` can be laid over this tree without turning a directory into a file or back.
    pub fn check_overlay(&self, name: &str, upper: &Tree) -> Result<(), OverlayError> {
        for (path, node) in upper.iter() {
            let Some(old) = self.nodes.get(path) else { continue };
            if (old.kind == Kind::Dir) != (node.kind == Kind::Dir) {
                return Err(OverlayError::Type {
                    overlay: name.to_owned(),
                    path: path.to_owned(),
                    what: word(&old.kind),
                    by: word(&node.kind),
                });
            }
        }
        Ok(())
    }

    /// Lays `upper` over this tree. A directory that exists keeps its owner and mode: overlays own files, packages own
    /// directories (`/root` must not become 0755 because a checkout cannot say otherwise).
    pub fn lay_over(&mut self, upper: Tree) {
        for (path, node) in upper.nodes {
            if node.kind == Kind::Dir && self.nodes.contains_key(&path) {
                continue;
            }
            self.nodes.insert(path, node);
        }
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Bytes of all files, hard links counted once.
    pub fn file_bytes(&self) -> u64 {
        let mut seen = BTreeSet::new();
        self.nodes
            .values()
            .filter_map(|node| match &node.kind {
                Kind::File { link: Some(group), .. } if !seen.insert(*group) => None,
                Kind::File { bytes, .. } => Some(bytes.get().len() as u64),
                Kind::Dir | Kind::Symlink(_) => None,
            })
            .sum()
    }
}

impl FromIterator<(String, Node)> for Tree {
    fn from_iter<I: IntoIterator<Item = (String, Node)>>(nodes: I) -> Self {
        Self { nodes: nodes.into_iter().collect() }
    }
}

fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Dir => "a directory",
        Kind::File { .. } => "a file",
        Kind::Symlink(_) => "a link",
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Node, Origin, OverlayError, Tree};

    fn tree(files: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for path in files {
            tree.insert(path, Node::file(path.as_bytes().to_vec(), 7, Origin::Packages));
        }
        tree
    }

    fn paths(tree: &Tree) -> Vec<&str> {
        tree.iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn trimming_keeps_directories_that_still_hold_something() {
        let mut tree = tree(&["usr/share/doc/a/copyright", "usr/share/doc/a/news", "usr/share/doc/b/news"]);
        tree.trim(&["/usr/share/doc/**".to_owned()], &["/usr/share/doc/*/copyright".to_owned()]);
        assert_eq!(paths(&tree), ["usr", "usr/share", "usr/share/doc", "usr/share/doc/a", "usr/share/doc/a/copyright"]);
    }

    #[test]
    fn an_overlay_replaces_files_and_leaves_directories_as_they_are() {
        let mut lower = tree(&["root/.profile"]);
        lower.insert("root", Node { mode: 0o700, ..Node::dir(7, Origin::Packages) });
        let mut upper = Tree::default();
        upper.insert("root/.profile", Node::file(b"new".to_vec(), 9, Origin::Overlay("x".to_owned())));
        assert_eq!(lower.check_overlay("x", &upper), Ok(()));
        lower.lay_over(upper);
        assert_eq!(lower.get("root").unwrap().mode, 0o700);
        assert_eq!(lower.file("root/.profile").unwrap(), b"new");
    }

    #[test]
    fn an_overlay_may_not_turn_a_file_into_a_directory() {
        let lower = tree(&["etc/hosts"]);
        let upper = tree(&["etc/hosts/oops"]);
        let error = lower.check_overlay("site", &upper).unwrap_err();
        assert_eq!(
            error.to_string(),
            "overlay site: etc/hosts would replace a file by a directory; rename it in the overlay, or remove the old one in the recipe (remove = [\"/etc/hosts\"])"
        );
        assert!(matches!(error, OverlayError::Type { .. }));
    }

    #[test]
    fn hard_links_are_counted_once() {
        let mut tree = tree(&["a"]);
        let link = |bytes: &[u8]| Node {
            kind: Kind::File { bytes: bytes.to_vec().into(), link: Some(1) },
            ..Node::file(Vec::new(), 0, Origin::Packages)
        };
        tree.insert("b", link(b"1234"));
        tree.insert("c", link(b"1234"));
        assert_eq!(tree.file_bytes(), 5);
    }
}
