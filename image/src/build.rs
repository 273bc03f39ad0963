//! Carries a build plan out, in its order: tree, scrub, modules, trim, overlays, gate, pack, seal. It makes no choices:
//! what differs from recipe to recipe stands in the plan.

use std::path::Path;

use hardstand_recipe::glob;
use hardstand_recipe::identity;
use hardstand_recipe::plan::{Initrd, Plan};
use hardstand_recipe::size;
use hardstand_recipe::tree::{Kind, Node, Origin, Tree};

use crate::files;
use crate::media;
use crate::mmdebstrap;
use crate::output::Partial;
use crate::problem::Problem;
use crate::progress::say;
use crate::scratch::Scratch;
use crate::seal::{self, Facts};
use crate::store::Store;
use crate::uki::{self, Parts};
use crate::{kernel, load, pack, rootfs, zfs};

/// Unpacked last: `/init` looks for it to know that all of the tree is there. Also says which image this is.
const MARK: &str = "usr/lib/hardstand-image";

/// A plan and where it applies.
pub(crate) struct Job<'a> {
    pub(crate) plan: &'a Plan,
    /// The recipe's file: overlays are found from it.
    pub(crate) recipe: &'a Path,
    pub(crate) lock_sha256: &'a str,
    pub(crate) out: &'a Path,
}

/// Builds the image.
pub(crate) async fn build(store: &Store, job: &Job<'_>) -> Result<(), Problem> {
    let scratch = Scratch::new()?;
    let plan = &with_modules(store, job.plan, scratch.path()).await?;
    let mut tree = installed(store, plan, scratch.path()).await?;
    identity::scrub(&mut tree, plan.clock);
    let parts = uki::parts(&tree)?;
    let mut initrd = if plan.microcode { uki::microcode(&tree, plan.clock)? } else { Vec::new() };
    let from_tree = tree.file(&format!("boot/initrd.img-{}", parts.release)).map(<[u8]>::to_vec);
    kernel::prune(&mut tree, &parts.release, &plan.modules, scratch.path(), plan.clock).await?;
    if plan.trim_firmware {
        kernel::trim_firmware(&mut tree, &parts.release, scratch.path()).await?;
    }
    if plan.drop_boot {
        // The running kernel is in the UKI; a second copy in memory serves nobody.
        tree.trim(&["/boot/**", "/vmlinuz*", "/initrd.img*"].map(str::to_owned), &[]);
    }
    tree.trim(&plan.remove, &plan.keep);
    let overlays = overlays(job, &tree)?;
    let mut whole = tree.clone();
    whole.lay_over(overlays.clone());
    gate(&whole)?;

    let out = Partial::new(job.out)?;
    match &plan.initrd {
        Initrd::Layers { early, level } => initrd.extend(layers(store, plan, tree, overlays, early, *level)?),
        Initrd::FromTree => initrd.extend(from_tree.ok_or_else(|| {
            Problem::Refused("the tree holds no initrd; add initramfs-tools to the packages of the recipe".to_owned())
        })?),
    }
    let uki = write_boot_files(plan, &out, &parts, &initrd)?;
    let layout = media::write(plan, &out, &whole, uki, scratch.path()).await?;
    let facts = Facts {
        plan,
        lock_sha256: job.lock_sha256.to_owned(),
        kernel: &parts.release,
        tree: &whole,
        layout: layout.as_ref(),
    };
    seal::seal(out.dir(), &facts)?;
    out.publish()?;
    say(&format!("{}: {}, uki.efi {}, kernel {}", job.out.display(), plan.recipe, size::words(uki), parts.release));
    Ok(())
}

/// The plan with the package of the modules that were compiled for it, if any are.
async fn with_modules(store: &Store, plan: &Plan, scratch: &Path) -> Result<Plan, Problem> {
    let mut plan = plan.clone();
    if let Some(build) = &plan.zfs {
        plan.install.push(zfs::modules(store, build, scratch).await?);
        plan.install.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(plan)
}

/// The tree as the packages make it: from the store, or installed now.
async fn installed(store: &Store, plan: &Plan, scratch: &Path) -> Result<Tree, Problem> {
    if let Some(packed) = store.derived("tree", &plan.tree_key)? {
        return rootfs::from_tar(pack::decompress("unpacking the stored tree", &packed)?, plan.clock);
    }
    let sources =
        plan.install.iter().map(|install| mmdebstrap::source(store, install)).collect::<Result<Vec<_>, _>>()?;
    let tar = mmdebstrap::bootstrap(scratch, &sources, plan.clock, plan.make_initrd).await?;
    store.keep_derived("tree", &plan.tree_key, &pack::compress("keeping the tree", &tar, 1)?)?;
    rootfs::from_tar(tar, plan.clock)
}

fn overlays(job: &Job<'_>, tree: &Tree) -> Result<Tree, Problem> {
    let mut all = Tree::default();
    for name in &job.plan.overlays {
        let overlay = load::overlay(job.recipe, name, job.plan.clock)?;
        tree.check_overlay(name, &overlay)?;
        all.check_overlay(name, &overlay)?;
        all.lay_over(overlay);
    }
    // A directory the packages made keeps its owner and mode also in the layer the kernel unpacks last.
    let shared: Vec<String> =
        all.iter().filter(|(_, node)| node.kind == Kind::Dir).map(|(path, _)| path.to_owned()).collect();
    for path in shared {
        if let Some(node) = tree.get(&path) {
            all.insert(&path, node.clone());
        }
    }
    Ok(all)
}

fn gate(tree: &Tree) -> Result<(), Problem> {
    let leaks: Vec<_> = identity::judge(tree).iter().map(|leak| format!("\n  {leak}")).collect();
    if leaks.is_empty() {
        return Ok(());
    }
    Err(Problem::Refused(format!("the image would carry the identity of one host:{}", leaks.concat())))
}

/// The tree as an initrd: what `/init` needs to speak, the packages, the modules, the overlays, the mark.
fn layers(
    store: &Store,
    plan: &Plan,
    mut tree: Tree,
    mut overlays: Tree,
    early: &[String],
    level: i32,
) -> Result<Vec<u8>, Problem> {
    let wanted = |path: &str, _: &Node| early.iter().any(|pattern| glob::matches(pattern, path));
    let mut first = tree.split(wanted);
    first.lay_over(overlays.split(wanted));
    let modules = tree.split(|path, _| path.starts_with(kernel::MODULES));
    let mut mark = Tree::default();
    let text = format!("recipe = \"{}\"\nclock = {}\n", plan.recipe, plan.clock);
    mark.insert(MARK, Node::file(text.into_bytes(), plan.clock, Origin::Build));
    let layers = [
        ("what runs first", &first),
        ("the tree", &tree),
        ("kernel modules", &modules),
        ("overlays", &overlays),
        ("the mark", &mark),
    ];
    let mut initrd = Vec::new();
    for (label, layer) in layers.into_iter().filter(|(_, layer)| !layer.is_empty()) {
        initrd.extend(pack::layer(store, label, layer, level)?);
    }
    Ok(initrd)
}

/// `uki.efi`, `vmlinuz`, `initrd`; returns the size of the UKI.
fn write_boot_files(plan: &Plan, out: &Partial, parts: &Parts, initrd: &[u8]) -> Result<u64, Problem> {
    let image = uki::assemble(parts, &plan.cmdline, initrd)?;
    let bytes = image.len() as u64;
    if let Some(budget) = plan.budget.filter(|budget| bytes > *budget) {
        return Err(Problem::Refused(format!(
            "uki.efi has {} ({bytes} bytes), the recipe allows {}; leave packages or modules out, or raise size_budget",
            size::words(bytes),
            size::words(budget)
        )));
    }
    files::write(&out.path("uki.efi"), &image)?;
    files::write(&out.path("vmlinuz"), &parts.kernel)?;
    files::write(&out.path("initrd"), initrd)?;
    Ok(bytes)
}
