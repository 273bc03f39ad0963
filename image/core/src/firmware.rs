//! Which firmware files an image needs: those its kernel's modules ask for, and what these are links to. Vendors ship
//! hundreds of megabytes for devices that no kept module drives.

use std::collections::BTreeSet;

use crate::glob;
use crate::tree::{Kind, Tree};

/// Where the packages put firmware.
pub const DIR: &str = "usr/lib/firmware/";
/// Links that lead on to links: more than this is a circle.
const MOST_LINKS: usize = 8;

/// Paths below [`DIR`] that no module asks for. `asked` is what modules say (`modinfo -F firmware`): names below the
/// directory, where `*` stands for a part of a name. The kernel also finds a name with `.xz` or `.zst` behind it.
pub fn unneeded(tree: &Tree, asked: &BTreeSet<String>) -> Vec<String> {
    let mut wanted = asked.clone();
    for (path, node) in tree.below(DIR) {
        let Kind::Symlink(target) = &node.kind else { continue };
        let (link, target) = (format!("{}/", &path[DIR.len()..]), resolve(path, target));
        let Some(target) = target.strip_prefix(DIR) else { continue };
        let through = asked.iter().filter_map(|name| name.strip_prefix(&link));
        wanted.extend(through.map(|rest| format!("{target}/{rest}")));
    }
    let (plain, patterns): (BTreeSet<&str>, BTreeSet<&str>) =
        wanted.iter().map(String::as_str).partition(|name| !name.contains(['*', '?']));
    let is_asked = |path: &str| {
        let name = &path[DIR.len()..];
        let name = name.strip_suffix(".xz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
        plain.contains(name) || patterns.iter().any(|pattern| glob::matches(pattern, name))
    };
    let mut kept = BTreeSet::new();
    for (path, node) in tree.below(DIR) {
        let leads_to_dir = matches!(&node.kind, Kind::Symlink(target)
            if tree.get(&resolve(path, target)).is_some_and(|node| node.kind == Kind::Dir));
        if !leads_to_dir && !is_asked(path) {
            continue;
        }
        let mut next = path.to_owned();
        for _ in 0..MOST_LINKS {
            kept.insert(next.clone());
            let Some(Kind::Symlink(target)) = tree.get(&next).map(|node| &node.kind) else { break };
            next = resolve(&next, target);
        }
    }
    let files = tree.below(DIR).filter(|(_, node)| node.kind != Kind::Dir);
    files.map(|(path, _)| path.to_owned()).filter(|path| !kept.contains(path)).collect()
}

/// What the drivers inside the kernel ask for, from `modules.builtin.modinfo`: `driver.firmware=NAME`, NUL between them.
pub fn of_builtin(modinfo: &[u8]) -> BTreeSet<String> {
    let entries = modinfo.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    entries.filter_map(|entry| Some(entry.split_once(".firmware=")?.1.to_owned())).collect()
}

/// Where a link leads, as a path of the tree.
fn resolve(link: &str, target: &str) -> String {
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { link.split('/').collect() };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::{of_builtin, unneeded};
    use crate::tree::{Kind, Node, Origin, Tree};
    use std::collections::BTreeSet;

    #[test]
    fn what_a_module_asks_for_stays_with_what_it_is_a_link_to() {
        let mut tree = Tree::default();
        for name in
            ["bnx2/a.fw", "bnx2/b.fw", "gpu/huge.bin", "qat/v2.bin.xz", "fam/one.bin", "fam/two.txt", "new/c.fw"]
        {
            tree.insert(&format!("usr/lib/firmware/{name}"), Node::file(Vec::new(), 0, Origin::Packages));
        }
        for (name, target) in [("a-latest.fw", "bnx2/b.fw"), ("old", "new"), ("huge-latest", "gpu/huge.bin")] {
            let link = Node { kind: Kind::Symlink(target.to_owned()), ..Node::dir(0, Origin::Packages) };
            tree.insert(&format!("usr/lib/firmware/{name}"), link);
        }
        let mut asked: BTreeSet<String> =
            ["bnx2/a.fw", "a-latest.fw", "qat/v2.bin", "fam/*.bin", "not/there.fw"].map(str::to_owned).into();
        asked.extend(of_builtin(b"e100.license=GPL\0e100.firmware=old/c.fw\0"));
        let gone = unneeded(&tree, &asked);
        assert_eq!(
            gone,
            ["usr/lib/firmware/fam/two.txt", "usr/lib/firmware/gpu/huge.bin", "usr/lib/firmware/huge-latest"]
        );
    }
}
