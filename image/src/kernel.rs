//! The kernel of a tree: its release, its image, and the modules the recipe keeps, with their indexes made anew by depmod.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hardstand_exec::{Run, find};
use hardstand_recipe::tree::{Kind, Node, Origin, Tree};
use hardstand_recipe::{firmware, modules};

use crate::files;
use crate::problem::{Doing, Problem};
use crate::progress::say;

/// depmod over some thousand modules takes seconds.
const DEPMOD_LIMIT: Duration = Duration::from_secs(300);
/// Reading one list out of some thousand modules takes seconds.
const MODINFO_LIMIT: Duration = Duration::from_secs(300);
/// Where the modules of all kernels lie.
pub(crate) const MODULES: &str = "usr/lib/modules/";

/// The release of the one kernel in the tree, as in `uname -r`.
pub(crate) fn release(tree: &Tree) -> Result<String, Problem> {
    let releases: BTreeSet<&str> = tree
        .below(MODULES)
        .filter_map(|(path, _)| path[MODULES.len()..].split('/').next())
        .filter(|name| tree.get(&format!("boot/vmlinuz-{name}")).is_some())
        .collect();
    match releases.into_iter().collect::<Vec<_>>()[..] {
        [release] => Ok(release.to_owned()),
        [] => Err(Problem::Refused("the tree holds no kernel with its modules; name a kernel package".to_owned())),
        ref many => Err(Problem::Refused(format!(
            "the tree holds {} kernels ({}); keep one in `packages`",
            many.len(),
            many.join(", ")
        ))),
    }
}

/// The kernel's own file.
pub(crate) fn image<'a>(tree: &'a Tree, release: &str) -> Result<&'a [u8], Problem> {
    tree.file(&format!("boot/vmlinuz-{release}"))
        .ok_or_else(|| Problem::Refused(format!("the tree holds no boot/vmlinuz-{release}")))
}

/// Keeps the modules the patterns name and what they need; writes the indexes modprobe reads.
pub(crate) async fn prune(
    tree: &mut Tree,
    release: &str,
    patterns: &[String],
    scratch: &Path,
    clock: u64,
) -> Result<(), Problem> {
    if patterns.is_empty() {
        return Ok(());
    }
    let dir = format!("{MODULES}{release}/");
    let text = |name: &str| tree.file(&format!("{dir}{name}")).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let dep = text("modules.dep").ok_or_else(|| Problem::Refused(format!("the tree holds no {dir}modules.dep")))?;
    let kept = modules::kept(release, &dep, &text("modules.builtin").unwrap_or_default(), patterns)?;
    let inside = tree.split(|path, _| path.starts_with(&dir));
    let root = scratch.join("modules");
    for (path, node) in inside.iter() {
        let name = &path[dir.len()..];
        let Kind::File { bytes, .. } = &node.kind else { continue };
        // Only the lists that come with the kernel; the indexes are depmod's.
        let list = ["modules.builtin", "modules.order", "modules.builtin.modinfo"].contains(&name);
        if !list && !kept.contains(name) {
            continue;
        }
        let target = root.join(path);
        files::make_dir(target.parent().unwrap_or(&root))?;
        files::write(&target, bytes.get())?;
        tree.insert(path, node.clone());
    }
    // depmod looks below lib/modules or usr/lib/modules, depending on how it was built; both lead to the same place.
    let link = root.join("lib");
    std::os::unix::fs::symlink("usr/lib", &link).doing(|| format!("making link {}", link.display()))?;
    let depmod = find("depmod").ok_or_else(|| Problem::Refused("depmod is missing; install kmod".to_owned()))?;
    Run::new(depmod, DEPMOD_LIMIT)
        .arg("--basedir")
        .arg(&root)
        .arg(release)
        .success()
        .await
        .doing(|| "making the module indexes with depmod".to_owned())?;
    let made = root.join(dir.trim_end_matches('/'));
    let doing = || format!("listing {}", made.display());
    for entry in std::fs::read_dir(&made).doing(doing)? {
        let entry = entry.doing(doing)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().doing(doing)?.is_file() {
            let node = Node::file(files::read(&entry.path())?, clock, Origin::Build);
            tree.insert(&format!("{dir}{name}"), node);
        }
    }
    Ok(())
}

/// Takes out the firmware that neither a kept module nor the kernel itself asks for. The modules lie below `scratch`,
/// where [`prune`] put them.
pub(crate) async fn trim_firmware(tree: &mut Tree, release: &str, scratch: &Path) -> Result<(), Problem> {
    let dir = format!("{MODULES}{release}/");
    let root = scratch.join("modules");
    let modules = tree.below(&dir).filter(|(path, _)| path.contains(".ko")).map(|(path, _)| root.join(path));
    let modules: Vec<_> = modules.collect();
    let builtin = tree.file(&format!("{dir}modules.builtin.modinfo")).unwrap_or_default();
    let mut asked = firmware::of_builtin(builtin);
    let modinfo = find("modinfo").ok_or_else(|| Problem::Refused("modinfo is missing; install kmod".to_owned()))?;
    if !modules.is_empty() {
        let run = Run::new(modinfo, MODINFO_LIMIT).args(["-F", "firmware"]).args(modules);
        let said = run.success().await.doing(|| "asking the modules for their firmware".to_owned())?;
        asked.extend(String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned));
    }
    let gone: BTreeSet<String> = firmware::unneeded(tree, &asked).into_iter().collect();
    let _ = tree.split(|path, _| gone.contains(path));
    let empty = ["usr/lib/firmware/**".to_owned()];
    let kept: Vec<String> =
        tree.below(firmware::DIR).filter(|(_, node)| node.kind != Kind::Dir).map(|(path, _)| path.to_owned()).collect();
    tree.trim(&empty, &kept);
    say(&format!("firmware: {} files that no kept module asks for are left out", gone.len()));
    Ok(())
}
