//! The cpio "newc" archive the kernel unpacks: sorted by path, inodes renumbered, owners and times from the tree.
//! The same tree gives the same bytes. Format: the kernel's `Documentation/driver-api/early-userspace/buffer-format`.

use std::collections::BTreeMap;

use crate::tree::{Kind, Node, Tree};

const DIR: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const TRAILER: &str = "TRAILER!!!";

/// Writes the tree as one archive with its trailer, padded to 4 bytes so that archives can follow each other.
pub fn archive(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::with_capacity(usize::try_from(tree.file_bytes()).unwrap_or(0) + tree.len() * 160);
    let mut names: BTreeMap<u32, u32> = BTreeMap::new();
    for (_, node) in tree.iter() {
        if let Kind::File { link: Some(group), .. } = node.kind {
            *names.entry(group).or_default() += 1;
        }
    }
    let mut first: BTreeMap<u32, u32> = BTreeMap::new();
    for (number, (path, node)) in (1_u32..).zip(tree.iter()) {
        match &node.kind {
            Kind::Dir => entry(&mut out, path, node, number, DIR, 2, b""),
            Kind::Symlink(target) => entry(&mut out, path, node, number, LINK, 1, target.as_bytes()),
            Kind::File { bytes, link: None } => entry(&mut out, path, node, number, FILE, 1, bytes.get()),
            Kind::File { bytes, link: Some(group) } => {
                // The kernel makes further names of an inode it has seen into links; the content travels once.
                let count = names.get(group).copied().unwrap_or(1);
                let inode = *first.entry(*group).or_insert(number);
                let body = if inode == number { bytes.get() } else { b"" };
                entry(&mut out, path, node, inode, FILE, count, body);
            }
        }
    }
    header(&mut out, &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, TRAILER.len() as u32 + 1, 0], TRAILER);
    out
}

fn entry(out: &mut Vec<u8>, path: &str, node: &Node, inode: u32, kind: u32, links: u32, body: &[u8]) {
    let mtime = u32::try_from(node.mtime).unwrap_or(u32::MAX);
    let size = u32::try_from(body.len()).expect("the edges refuse files of 4 GiB and more");
    let name = path.len() as u32 + 1;
    header(out, &[inode, kind | node.mode, node.uid, node.gid, links, mtime, size, 0, 0, 0, 0, name, 0], path);
    out.extend_from_slice(body);
    pad(out);
}

fn header(out: &mut Vec<u8>, fields: &[u32; 13], name: &str) {
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::archive;
    use crate::tree::{Kind, Node, Origin, Tree};

    #[test]
    fn an_archive_is_what_the_kernel_reads() {
        let mut tree = Tree::default();
        tree.insert("d/hi", Node { uid: 42, ..Node::file(b"hello".to_vec(), 0x65, Origin::Packages) });
        let bytes = archive(&tree);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with(
            "07070100000001000041ED00000000000000000000000200000065000000000000000000000000000000000000000000000002\
             00000000d\0"
        ));
        assert!(text.contains(
            "07070100000002000081A40000002A00000000000000010000006500000005000000000000000000000000000000000000000500000000d/hi\0"
        ));
        assert!(text.contains("hello\0\0\0"));
        assert!(text.ends_with("TRAILER!!!\0\0\0\0"));
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn hard_links_share_an_inode_and_carry_the_content_once() {
        let mut tree = Tree::default();
        for name in ["a", "b"] {
            let kind = Kind::File { bytes: b"once".to_vec().into(), link: Some(3) };
            tree.insert(name, Node { kind, ..Node::file(Vec::new(), 0, Origin::Packages) });
        }
        let bytes = archive(&tree);
        assert_eq!(bytes.windows(4).filter(|window| window == b"once").count(), 1);
        assert_eq!(String::from_utf8_lossy(&bytes).matches("07070100000001").count(), 2);
    }
}
