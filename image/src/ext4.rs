//! The root file system of an installed image: mke2fs fills it from an unpacked tree, debugfs sets owners and times.
//! No mount, no root, no loop device; same tree, same bytes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use hardstand_exec::{Run, find};
use hardstand_recipe::layout::Guid;
use hardstand_recipe::tree::{Kind, Node, Tree};

use crate::files;
use crate::problem::{Doing, Problem};

/// Filling a file system of some hundred megabytes, on a slow disk.
const LIMIT: Duration = Duration::from_secs(900);

/// What the file system is called.
pub(crate) struct Names<'a> {
    pub(crate) label: &'a str,
    pub(crate) id: Guid,
}

/// Makes an ext4 file system of `bytes` in `image` that holds the tree.
pub(crate) async fn make(
    image: &Path,
    bytes: u64,
    names: &Names<'_>,
    tree: &Tree,
    scratch: &Path,
    clock: u64,
) -> Result<(), Problem> {
    let needed = tree.file_bytes() + tree.file_bytes() / 10 + (64 << 20);
    if bytes < needed {
        return Err(Problem::Refused(format!(
            "the root partition of {} cannot hold the tree, which needs about {}; raise root in [disk] of the recipe",
            hardstand_recipe::size::words(bytes),
            hardstand_recipe::size::words(needed)
        )));
    }
    let root = scratch.join("root");
    unpack(&root, tree)?;
    let doing = || format!("making the root file system {}", image.display());
    let file = fs::File::create(image).doing(doing)?;
    file.set_len(bytes).doing(doing)?;
    drop(file);
    let tool = |name: &str| {
        find(name)
            .map(|path| Run::new(path, LIMIT).env("E2FSPROGS_FAKE_TIME", clock.to_string()).env("TZ", "UTC"))
            .ok_or_else(|| Problem::Refused(format!("{name} is missing; install e2fsprogs")))
    };
    tool("mke2fs")?
        .args(["-q", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "1"])
        .args(["-L", names.label, "-U", &names.id.to_string()])
        .args([
            "-E",
            &format!("hash_seed={},root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1,nodiscard", names.id),
        ])
        .arg("-d")
        .arg(&root)
        .arg(image)
        .success()
        .await
        .doing(doing)?;
    let commands = scratch.join("debugfs.commands");
    files::write(&commands, owners_and_times(tree, clock)?.as_bytes())?;
    let done = tool("debugfs")?
        .arg("-w")
        .arg("-f")
        .arg(&commands)
        .arg(image)
        .stdout_limit(256 << 20)
        .success()
        .await
        .doing(doing)?;
    // debugfs ends with 0 whatever happens and complains on stderr, after its banner.
    let complaint = done.stderr.lines().find(|line| !line.starts_with("debugfs ") && !line.trim().is_empty());
    if let Some(line) = complaint {
        return Err(Problem::Refused(format!(
            "debugfs could not set owners and times in the root file system: {line}"
        )));
    }
    let _ = fs::remove_dir_all(&root);
    Ok(())
}

/// Writes the tree's files where mke2fs can read them. Owners come later: only root could set them here.
fn unpack(root: &Path, tree: &Tree) -> Result<(), Problem> {
    files::make_dir(root)?;
    let mut first: HashMap<u32, &str> = HashMap::new();
    for (path, node) in tree.iter() {
        let target = root.join(path);
        let doing = || format!("writing {}", target.display());
        match &node.kind {
            Kind::Dir => fs::create_dir(&target).doing(doing)?,
            Kind::Symlink(to) => std::os::unix::fs::symlink(to, &target).doing(doing)?,
            Kind::File { link: Some(group), .. } if first.contains_key(group) => {
                fs::hard_link(root.join(first[group]), &target).doing(doing)?;
            }
            Kind::File { bytes, link } => {
                fs::write(&target, bytes.get()).doing(doing)?;
                // Readable for ourselves until mke2fs has read it; the real mode is set in the image.
                fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).doing(doing)?;
                if let Some(group) = link {
                    first.insert(*group, path);
                }
            }
        }
    }
    Ok(())
}

fn owners_and_times(tree: &Tree, clock: u64) -> Result<String, Problem> {
    let mut text = String::new();
    let root = Node::dir(clock, hardstand_recipe::tree::Origin::Build);
    let lost = Node { mode: 0o700, ..root.clone() };
    let mut all: BTreeMap<&str, &Node> = tree.iter().collect();
    all.insert("", &root);
    all.insert("lost+found", &lost);
    for (path, node) in all {
        if path.contains(['"', '\n']) {
            return Err(Problem::Refused(format!("{path:?} has a quote or a line break in its name; leave it out")));
        }
        let kind: u32 = match node.kind {
            Kind::Dir => 0o040_000,
            Kind::File { .. } => 0o100_000,
            Kind::Symlink(_) => 0o120_000,
        };
        let mut set = |field: &str, value: &str| {
            let _ = writeln!(text, "set_inode_field \"/{path}\" {field} {value}");
        };
        set("mode", &format!("0{:o}", kind | node.mode));
        set("uid", &node.uid.to_string());
        set("gid", &node.gid.to_string());
        for (field, time) in [("mtime", node.mtime), ("atime", node.mtime), ("ctime", clock), ("crtime", clock)] {
            set(field, &format!("@{time}"));
            set(&format!("{field}_extra"), "0");
        }
    }
    Ok(text)
}
