//! Carries a build plan out, in its order: tree, scrub, trim, kernel, overlays, gate, pack, seal. The output directory
//! appears whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use hardstand_recipe::identity;
use hardstand_recipe::layout::{self, DiskLayout, Guid, Wanted};
use hardstand_recipe::lock::Lock;
use hardstand_recipe::recipe::{Output, Recipe, Root};
use hardstand_recipe::size;
use hardstand_recipe::tree::{Node, Origin, Tree};

use crate::deb::{self, Deb};
use crate::files::{self, Scratch};
use crate::mmdebstrap::{self, Source};
use crate::problem::{Doing, Problem};
use crate::progress::say;
use crate::store::Store;
use crate::{disk, esp, ext4, kernel, load, pack, rootfs, uki};

/// Changes whenever the tree made from the same packages would change.
const TREE_RULES: &str = "tree/1";
/// Present in the tree only when all of it was unpacked: `/init` looks for it. Also says which image this is.
const MARK: &str = "usr/lib/hardstand-image";

/// What to build, from where, to where.
pub(crate) struct Request<'a> {
    pub(crate) recipe_path: &'a Path,
    pub(crate) recipe: &'a Recipe,
    pub(crate) lock: &'a Lock,
    pub(crate) local: &'a [PathBuf],
    pub(crate) out: &'a Path,
}

/// Everything that was decided before the first byte is written.
struct Inputs {
    debs: Vec<Deb>,
    sources: Vec<Source>,
    digest: [u8; 32],
}

/// Builds the image.
pub(crate) async fn build(store: &Store, request: &Request<'_>) -> Result<(), Problem> {
    let scratch = Scratch::new()?;
    let inputs = inputs(store, request).await?;
    let mut tree = tree(store, request, &inputs, scratch.path()).await?;
    let clock = request.lock.clock;
    identity::scrub(&mut tree, clock);
    let parts = uki::parts(&tree)?;
    let microcode = if request.recipe.microcode { Some(uki::microcode(&tree, clock)?) } else { None };
    kernel::prune(&mut tree, &parts.release, &request.recipe.modules, scratch.path(), clock).await?;
    let initrd_file = tree.file(&format!("boot/initrd.img-{}", parts.release)).map(<[u8]>::to_vec);
    if request.recipe.root == Root::Ram {
        // The running kernel is in the UKI; a second copy in memory serves nobody.
        tree.trim(&["/boot/**", "/vmlinuz*", "/initrd.img*"].map(str::to_owned), &[]);
    }
    tree.trim(&request.recipe.remove, &request.recipe.keep);
    let overlays = overlays(request, &tree)?;
    gate(&tree, &overlays)?;

    let out = Partial::new(request.out)?;
    let layout = disk_layout(request, &inputs);
    let cmdline = cmdline(request.recipe, &layout);
    let mut initrd = microcode.unwrap_or_default();
    match request.recipe.root {
        Root::Ram => initrd.extend(ram_initrd(store, request, tree.clone(), overlays.clone())?),
        Root::Disk => initrd.extend(initrd_file.ok_or_else(|| {
            Problem::Refused("the tree holds no initrd; add initramfs-tools to the packages".to_owned())
        })?),
    }
    let image = uki::assemble(&parts, &cmdline, &initrd)?;
    check_budget(request.recipe, image.len() as u64)?;
    files::write(&out.path("uki.efi"), &image)?;
    files::write(&out.path("vmlinuz"), &parts.kernel)?;
    files::write(&out.path("initrd"), &initrd)?;
    if request.recipe.outputs.contains(&Output::Netboot) {
        netboot(&out, &cmdline)?;
    }
    if request.recipe.outputs.contains(&Output::Disk) {
        let mut whole = tree;
        whole.lay_over(overlays);
        write_disk(request, &out, &whole, &inputs, image.len() as u64, scratch.path()).await?;
    }
    let _ = &inputs.debs;
    out.publish()?;
    say(&format!("{}: {} ({})", request.out.display(), request.recipe.name, size::words(image.len() as u64)));
    Ok(())
}

async fn inputs(store: &Store, request: &Request<'_>) -> Result<Inputs, Problem> {
    use sha2::{Digest, Sha256};
    let mut debs = Vec::new();
    let mut sources = Vec::new();
    for file in request.local {
        let found = deb::read(file).await?;
        if !request.recipe.local_packages.contains(&found.name) {
            return Err(Problem::Refused(format!(
                "{} is package {}, which the recipe does not name; add it to local_packages or leave --package out",
                file.display(),
                found.name
            )));
        }
        let file = fs::canonicalize(file).doing(|| format!("reading {}", file.display()))?;
        sources.push(Source { name: found.name.clone(), sha256: found.sha256.clone(), size: found.size, file });
        debs.push(found);
    }
    if let Some(missing) = request.recipe.local_packages.iter().find(|name| !debs.iter().any(|deb| deb.name == **name))
    {
        return Err(Problem::Refused(format!(
            "the recipe names local package {missing}; give its file with --package {missing}_VERSION_amd64.deb"
        )));
    }
    for package in &request.lock.packages {
        let file = store.package(&package.sha256, package.size)?.ok_or_else(|| {
            Problem::Refused(format!(
                "{} {} is not in the store, or was damaged there; run `hardstand-image lock {} --locked` to fetch what the lock names",
                package.name,
                package.version,
                request.recipe_path.display()
            ))
        })?;
        let (name, sha256) = (package.name.clone(), package.sha256.clone());
        sources.push(Source { name, sha256, size: package.size, file });
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    let mut hash = Sha256::new();
    for part in [TREE_RULES, &request.lock.clock.to_string(), if request.recipe.root == Root::Disk { "i" } else { "" }]
    {
        hash.update(part);
        hash.update([0]);
    }
    for source in &sources {
        hash.update(format!("{} {}\n", source.name, source.sha256));
    }
    Ok(Inputs { debs, sources, digest: hash.finalize().into() })
}

/// The tree as the packages make it: from the store, or installed now.
async fn tree(store: &Store, request: &Request<'_>, inputs: &Inputs, scratch: &Path) -> Result<Tree, Problem> {
    let key = files::hex(&inputs.digest);
    let clock = request.lock.clock;
    if let Some(packed) = store.derived("tree", &key)? {
        return rootfs::from_tar(pack::decompress("unpacking the stored tree", &packed)?, clock);
    }
    let tar = mmdebstrap::bootstrap(scratch, &inputs.sources, clock, request.recipe.root == Root::Disk).await?;
    store.keep_derived("tree", &key, &pack::compress("keeping the tree", &tar, 1)?)?;
    let mut tree = rootfs::from_tar(tar, clock)?;
    tree.trim(&["/dev/**".to_owned()], &[]);
    Ok(tree)
}

fn overlays(request: &Request<'_>, tree: &Tree) -> Result<Tree, Problem> {
    let mut all = Tree::default();
    for name in &request.recipe.overlays {
        let overlay = load::overlay(request.recipe_path, name, request.lock.clock)?;
        tree.check_overlay(name, &overlay)?;
        all.check_overlay(name, &overlay)?;
        all.lay_over(overlay);
    }
    // A directory the packages made keeps its owner and mode also in the layer the kernel unpacks last.
    for (path, node) in tree.iter() {
        if all.get(path).is_some_and(|upper| upper.kind == hardstand_recipe::tree::Kind::Dir) {
            all.insert(path, node.clone());
        }
    }
    Ok(all)
}

fn gate(tree: &Tree, overlays: &Tree) -> Result<(), Problem> {
    let mut whole = tree.clone();
    whole.lay_over(overlays.clone());
    let leaks: Vec<_> = identity::judge(&whole).iter().map(|leak| format!("\n  {leak}")).collect();
    if leaks.is_empty() {
        return Ok(());
    }
    Err(Problem::Refused(format!("the image would carry the identity of one host:{}", leaks.concat())))
}

fn ram_initrd(store: &Store, request: &Request<'_>, mut tree: Tree, mut overlays: Tree) -> Result<Vec<u8>, Problem> {
    let clock = request.lock.clock;
    let level = request.recipe.compression;
    let matches =
        |path: &str| request.recipe.early.iter().any(|pattern| hardstand_recipe::glob::matches(pattern, path));
    let mut early = Tree::default();
    for from in [tree.split(|path, _| matches(path)), overlays.split(|path, _| matches(path))] {
        for (path, node) in from.iter() {
            early.insert(path, node.clone());
        }
    }
    let modules = tree.split(|path, _| path.starts_with("usr/lib/modules/"));
    let mut mark = Tree::default();
    let text = format!("recipe = \"{}\"\nclock = {clock}\n", request.recipe.name);
    mark.insert(MARK, Node::file(text.into_bytes(), clock, Origin::Build));
    let mut initrd = Vec::new();
    for (label, layer) in [
        ("what runs first", &early),
        ("the tree", &tree),
        ("kernel modules", &modules),
        ("overlays", &overlays),
        ("the mark", &mark),
    ] {
        if !layer.is_empty() {
            initrd.extend(pack::layer(store, label, layer, level)?);
        }
    }
    Ok(initrd)
}

fn cmdline(recipe: &Recipe, layout: &DiskLayout) -> String {
    let root = layout.partitions.iter().find(|partition| partition.wanted.name == "root");
    match root {
        Some(root) => format!("root=PARTUUID={} {}", root.wanted.id, recipe.cmdline),
        None => recipe.cmdline.clone(),
    }
}

fn disk_layout(request: &Request<'_>, inputs: &Inputs) -> DiskLayout {
    layout_for(request, inputs, 0)
}

fn layout_for(request: &Request<'_>, inputs: &Inputs, uki_bytes: u64) -> DiskLayout {
    let id = |index: u8| {
        use sha2::{Digest, Sha256};
        let digest = Sha256::new().chain_update(inputs.digest).chain_update([index]).finalize();
        Guid::from_digest(&std::array::from_fn(|at| digest[at]))
    };
    let esp = layout::esp_bytes(uki_bytes, request.recipe.disk.esp_bytes);
    let mut wanted = vec![Wanted { name: "esp", kind: layout::ESP_TYPE, id: id(1), bytes: esp }];
    if request.recipe.root == Root::Disk {
        let bytes = request.recipe.disk.root_bytes;
        wanted.push(Wanted { name: "root", kind: layout::ROOT_TYPE, id: id(2), bytes });
    }
    layout::place(id(0), wanted)
}

fn check_budget(recipe: &Recipe, bytes: u64) -> Result<(), Problem> {
    match recipe.size_budget {
        Some(budget) if bytes > budget => Err(Problem::Refused(format!(
            "uki.efi has {} ({bytes} bytes), the recipe allows {}; leave packages or modules out, or raise size_budget",
            size::words(bytes),
            size::words(budget)
        ))),
        _ => Ok(()),
    }
}

fn netboot(out: &Partial, cmdline: &str) -> Result<(), Problem> {
    let dir = out.path("netboot");
    files::make_dir(&dir)?;
    for name in ["uki.efi", "vmlinuz", "initrd"] {
        fs::hard_link(out.path(name), dir.join(name)).doing(|| format!("linking {name} into netboot"))?;
    }
    // Relative names: iPXE resolves them against the address the script came from.
    let script = format!(
        "#!ipxe\n# Serve this directory over HTTP and chain to this file.\nkernel vmlinuz initrd=initrd {cmdline}\ninitrd initrd\nboot\n"
    );
    files::write(&dir.join("boot.ipxe"), script.as_bytes())
}

async fn write_disk(
    request: &Request<'_>,
    out: &Partial,
    tree: &Tree,
    inputs: &Inputs,
    uki_bytes: u64,
    scratch: &Path,
) -> Result<(), Problem> {
    let layout = layout_for(request, inputs, uki_bytes);
    let clock = request.lock.clock;
    let esp_file = scratch.join("esp.img");
    let volume = u32::from_le_bytes(std::array::from_fn(|at| layout.id.0[at]));
    esp::make(&esp_file, layout.partitions[0].bytes, volume, &out.path("uki.efi"), clock).await?;
    let root_file = scratch.join("root.img");
    let mut contents = vec![esp_file.as_path()];
    if let Some(root) = layout.partitions.get(1) {
        let names = ext4::Names { label: &request.recipe.disk.label, id: root.wanted.id };
        ext4::make(&root_file, root.bytes, &names, tree, scratch, clock).await?;
        contents.push(&root_file);
    }
    disk::assemble(&out.path("disk.img"), &layout, &contents)
}

/// An output directory under a temporary name; removed unless published.
struct Partial {
    temporary: PathBuf,
    target: PathBuf,
    published: bool,
}

impl Partial {
    fn new(target: &Path) -> Result<Self, Problem> {
        let doing = || format!("reading {}", target.display());
        let foreign =
            target.exists() && !target.join("uki.efi").is_file() && fs::read_dir(target).doing(doing)?.next().is_some();
        if foreign {
            return Err(Problem::Refused(format!(
                "{} exists and is no image directory; name another with --out, or remove it",
                target.display()
            )));
        }
        let temporary = files::temporary_beside(target);
        files::make_dir(&temporary)?;
        Ok(Self { temporary, target: target.to_owned(), published: false })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temporary.join(name)
    }

    fn publish(mut self) -> Result<(), Problem> {
        let doing = || format!("moving the finished image to {}", self.target.display());
        let old = files::temporary_beside(&self.target);
        if self.target.exists() {
            fs::rename(&self.target, &old).doing(doing)?;
        }
        fs::rename(&self.temporary, &self.target).doing(doing)?;
        if old.exists() {
            fs::remove_dir_all(&old).doing(|| format!("removing the replaced image {}", old.display()))?;
        }
        self.published = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_dir_all(&self.temporary);
        }
    }
}
