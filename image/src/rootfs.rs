//! Reads the tar of a root tree into a [`Tree`]. Device nodes are left out (the kernel makes them); times are clamped.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;

use hardstand_recipe::tree::{Bytes, Kind, Node, Origin, Tree};
use tar::{Archive, EntryType};

use crate::problem::{Doing, Problem};
use crate::progress::say;

/// Turns a tar into a tree whose files point into the tar's bytes.
pub(crate) fn from_tar(tar: Vec<u8>, clock: u64) -> Result<Tree, Problem> {
    let whole = Arc::new(tar);
    let doing = || "reading the tar of the root tree".to_owned();
    let mut tree = Tree::default();
    let mut groups: HashMap<String, u32> = HashMap::new();
    let mut archive = Archive::new(Cursor::new(whole.as_slice()));
    for entry in archive.entries().doing(doing)? {
        let mut entry = entry.doing(doing)?;
        let path = plain(&String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| {
            Problem::Refused("a package ships a file whose name is not UTF-8; leave that package out".to_owned())
        })?);
        let kind = match entry.header().entry_type() {
            EntryType::Directory => Kind::Dir,
            EntryType::Symlink => Kind::Symlink(target(&entry)?),
            EntryType::Regular | EntryType::Continuous => {
                let start = usize::try_from(entry.raw_file_position()).unwrap_or(usize::MAX);
                let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
                let bytes = Bytes::slice(&whole, start..start.saturating_add(size))
                    .ok_or_else(|| Problem::Refused(format!("the tar of the root tree ends inside {path}")))?;
                Kind::File { bytes, link: None }
            }
            EntryType::Link => {
                let first = plain(&target(&entry)?);
                let next = u32::try_from(groups.len()).unwrap_or(u32::MAX);
                let group = *groups.entry(first.clone()).or_insert(next);
                linked(&mut tree, &first, group)?
            }
            _ => continue,
        };
        if path.is_empty() {
            continue;
        }
        if has_capability(&mut entry) {
            say(&format!("/{path} loses its file capability: neither an initrd nor our disk image carries it"));
        }
        let header = entry.header();
        let node = Node {
            mode: header.mode().doing(doing)? & 0o7777,
            uid: u32::try_from(header.uid().doing(doing)?).unwrap_or(0),
            gid: u32::try_from(header.gid().doing(doing)?).unwrap_or(0),
            mtime: header.mtime().doing(doing)?.min(clock),
            kind,
            origin: Origin::Packages,
        };
        tree.insert(&path, node);
    }
    Ok(tree)
}

/// Whether the tar records a file capability, as `ping` has one.
fn has_capability<R: std::io::Read>(entry: &mut tar::Entry<'_, R>) -> bool {
    let Ok(Some(extensions)) = entry.pax_extensions() else { return false };
    extensions.flatten().any(|extension| extension.key_bytes() == b"SCHILY.xattr.security.capability")
}

fn plain(path: &str) -> String {
    path.trim_start_matches("./").trim_matches('/').to_owned()
}

fn target<R: std::io::Read>(entry: &tar::Entry<'_, R>) -> Result<String, Problem> {
    let bytes = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
    String::from_utf8(bytes).map_err(|_| {
        Problem::Refused("a package ships a link whose target is not UTF-8; leave that package out".to_owned())
    })
}

/// Marks the first name of a hard link as member of the group and returns the same for the next name.
fn linked(tree: &mut Tree, first: &str, group: u32) -> Result<Kind, Problem> {
    let node = tree.get(first).cloned();
    let Some(Node { kind: Kind::File { bytes, .. }, .. }) = &node else {
        return Err(Problem::Refused(format!("the tar of the root tree links to {first}, which is not in it")));
    };
    let kind = Kind::File { bytes: bytes.clone(), link: Some(group) };
    if let Some(node) = node.clone() {
        tree.insert(first, Node { kind: kind.clone(), ..node });
    }
    Ok(kind)
}
