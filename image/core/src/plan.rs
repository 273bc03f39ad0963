//! The build plan: everything a build will do, decided before the first byte is written. A value that can be printed and
//! compared; it leaves no choice to what executes it. Hashing is an argument: the edge hashes [`inputs`].

use std::fmt::{self, Display};

use crate::identity;
use crate::layout::{self, DiskLayout, Guid, Wanted};
use crate::lock::{self, Lock};
use crate::recipe::{Output, Recipe, Root};
use crate::size;
use crate::zfs::{self, ModuleBuild};

/// Changes whenever the same packages would give another tree; old trees in the store are then left alone.
const TREE_RULES: &str = "tree/1";

/// Why no plan could be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// A package file nobody asked for.
    #[error(
        "{file} is package {name}, which the recipe does not name; add it to local_packages or leave --package out"
    )]
    NotNamed {
        /// The file.
        file: String,
        /// The package in it.
        name: String,
    },
    /// A local package without its file.
    #[error("the recipe names local package {name}; give its file with --package {name}_VERSION_amd64.deb")]
    NotGiven {
        /// The package.
        name: String,
    },
    /// A local package that needs something the lock does not hold.
    #[error(
        "local package {name} needs `{needs}`, which the lock does not hold; add it to the packages of the recipe and run `hardstand-image lock` again"
    )]
    Needs {
        /// The local package.
        name: String,
        /// The alternatives of one dependency, as the package writes them.
        needs: String,
    },
}

/// A package file given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The file, for errors.
    pub file: String,
    /// Package name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture.
    pub architecture: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Its size.
    pub size: u64,
    /// Its `Pre-Depends` and `Depends`, as written.
    pub depends: String,
}

/// One package to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// Package name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture.
    pub architecture: String,
    /// SHA-256 of the `.deb`.
    pub sha256: String,
    /// Bytes of the `.deb`.
    pub size: u64,
    /// The file, for a local package; `None` for one in the store.
    pub file: Option<String>,
}

impl Install {
    /// A package of the lock.
    pub fn locked(package: &lock::Package) -> Self {
        Self {
            name: package.name.clone(),
            version: package.version.clone(),
            architecture: package.architecture.clone(),
            sha256: package.sha256.clone(),
            size: package.size,
            file: None,
        }
    }
}

/// Where the initrd comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Initrd {
    /// The whole tree, in layers; `early` is unpacked first.
    Layers {
        /// Path patterns.
        early: Vec<String>,
        /// zstd level.
        level: i32,
    },
    /// The one the tree's own initramfs-tools made.
    FromTree,
}

/// The disk image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskPlan {
    /// GUID of the disk.
    pub id: Guid,
    /// GUID of the EFI system partition.
    pub esp_id: Guid,
    /// Its least size.
    pub esp_bytes: u64,
    /// Root partition: GUID, size, label.
    pub root: Option<(Guid, u64, String)>,
}

impl DiskPlan {
    /// The layout for a UKI of this size.
    pub fn layout(&self, uki_bytes: u64) -> DiskLayout {
        let esp = layout::esp_bytes(uki_bytes, self.esp_bytes);
        let mut wanted = vec![Wanted { name: "esp", kind: layout::ESP_TYPE, id: self.esp_id, bytes: esp }];
        if let Some((id, bytes, _)) = &self.root {
            wanted.push(Wanted { name: "root", kind: layout::ROOT_TYPE, id: *id, bytes: *bytes });
        }
        layout::place(self.id, wanted)
    }
}

/// The whole plan, in the order it is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Recipe name.
    pub recipe: String,
    /// The build's clock.
    pub clock: u64,
    /// Key of the tree these packages make.
    pub tree_key: String,
    /// Packages, sorted by name.
    pub install: Vec<Install>,
    /// The ZFS modules, built before the tree and installed into it as one more package.
    pub zfs: Option<ModuleBuild>,
    /// Whether the maintainer scripts may make an initrd.
    pub make_initrd: bool,
    /// Module patterns; empty keeps all.
    pub modules: Vec<String>,
    /// Whether `/boot` leaves the tree once the kernel is in the UKI.
    pub drop_boot: bool,
    /// Patterns removed, and those kept all the same.
    pub remove: Vec<String>,
    /// Patterns exempt from removal.
    pub keep: Vec<String>,
    /// Overlays, in order.
    pub overlays: Vec<String>,
    /// Whether firmware that no kept module asks for leaves the tree.
    pub trim_firmware: bool,
    /// Whether early microcode goes in front of the initrd.
    pub microcode: bool,
    /// The initrd.
    pub initrd: Initrd,
    /// Whole kernel command line.
    pub cmdline: String,
    /// Most bytes of `uki.efi`.
    pub budget: Option<u64>,
    /// Whether `netboot/` is made.
    pub netboot: bool,
    /// The disk image, if one is made.
    pub disk: Option<DiskPlan>,
}

/// What the tree is made from, as text to be hashed: two builds with the same text make the same tree.
pub fn inputs(recipe: &Recipe, lock: &Lock, local: &[Local]) -> String {
    let initrd = if recipe.root == Root::Disk { "initrd" } else { "no initrd" };
    let mut text = format!("{TREE_RULES}\n{}\n{initrd}\n", lock.clock);
    for package in installs(lock, local) {
        text.push_str(&format!("{} {}\n", package.name, package.sha256));
    }
    if let Some(build) = ModuleBuild::of(lock) {
        text.push_str(&format!("{} {}", zfs::PROVIDES, build.inputs()));
    }
    text
}

/// Makes the plan. `digest` is the SHA-256 of [`inputs`]; `provided` are the virtual packages that packages of the lock
/// provide, as far as the caller has looked: leaving it empty can only refuse too much.
pub fn make(
    recipe: &Recipe,
    lock: &Lock,
    local: &[Local],
    provided: &[String],
    digest: &[u8; 32],
) -> Result<Plan, PlanError> {
    check_local(recipe, lock, local, provided)?;
    let disk = recipe.outputs.contains(&Output::Disk).then(|| disk(recipe, digest));
    let root = disk.as_ref().and_then(|disk| disk.root.as_ref());
    Ok(Plan {
        recipe: recipe.name.clone(),
        clock: lock.clock,
        tree_key: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        install: installs(lock, local),
        zfs: ModuleBuild::of(lock),
        make_initrd: recipe.root == Root::Disk,
        modules: modules(recipe),
        drop_boot: recipe.root == Root::Ram,
        remove: recipe.remove.clone(),
        keep: recipe.keep.clone(),
        overlays: recipe.overlays.clone(),
        trim_firmware: recipe.firmware && !recipe.modules.is_empty(),
        microcode: recipe.microcode,
        initrd: match recipe.root {
            Root::Ram => Initrd::Layers { early: recipe.early.clone(), level: recipe.compression },
            Root::Disk => Initrd::FromTree,
        },
        cmdline: match root {
            Some((id, _, _)) => format!("root=PARTUUID={id} {}", recipe.cmdline),
            None => recipe.cmdline.clone(),
        },
        budget: recipe.size_budget,
        netboot: recipe.outputs.contains(&Output::Netboot),
        disk,
    })
}

fn installs(lock: &Lock, local: &[Local]) -> Vec<Install> {
    let from_lock = lock.packages.iter().map(Install::locked);
    let from_files = local.iter().map(|local| Install {
        name: local.name.clone(),
        version: local.version.clone(),
        architecture: local.architecture.clone(),
        sha256: local.sha256.clone(),
        size: local.size,
        file: Some(local.file.clone()),
    });
    let mut all: Vec<_> = from_lock.chain(from_files).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Patterns of modules to keep. None keeps all; some must not cost an image its ZFS.
fn modules(recipe: &Recipe) -> Vec<String> {
    let mut patterns = recipe.modules.clone();
    if recipe.zfs && !patterns.is_empty() {
        patterns.extend(zfs::MODULES.map(str::to_owned));
    }
    patterns
}

fn check_local(recipe: &Recipe, lock: &Lock, local: &[Local], provided: &[String]) -> Result<(), PlanError> {
    if let Some(extra) = local.iter().find(|local| !recipe.local_packages.contains(&local.name)) {
        return Err(PlanError::NotNamed { file: extra.file.clone(), name: extra.name.clone() });
    }
    if let Some(name) = recipe.local_packages.iter().find(|name| !local.iter().any(|local| local.name == **name)) {
        return Err(PlanError::NotGiven { name: name.clone() });
    }
    let here = |name: &str| {
        lock.packages.iter().any(|package| package.name == name)
            || local.iter().any(|local| local.name == name)
            || provided.iter().any(|virtual_name| virtual_name == name)
    };
    for package in local {
        for needs in package.depends.split(',').map(str::trim).filter(|needs| !needs.is_empty()) {
            let name = |one: &str| one.trim().split([' ', '(', ':', '[']).next().unwrap_or("").to_owned();
            if !needs.split('|').any(|one| here(&name(one))) {
                return Err(PlanError::Needs { name: package.name.clone(), needs: needs.to_owned() });
            }
        }
    }
    Ok(())
}

fn disk(recipe: &Recipe, digest: &[u8; 32]) -> DiskPlan {
    // Three names from one digest: bytes that overlap would make related GUIDs, so each takes its own window.
    let id = |at: usize| Guid::from_digest(&std::array::from_fn(|index| digest[(at + index) % 32]));
    DiskPlan {
        id: id(0),
        esp_id: id(11),
        esp_bytes: recipe.disk.esp_bytes,
        root: (recipe.root == Root::Disk).then(|| (id(21), recipe.disk.root_bytes, recipe.disk.label.clone())),
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: u64 = self.install.iter().map(|package| package.size).sum();
        writeln!(f, "plan for {} at clock {}", self.recipe, self.clock)?;
        writeln!(
            f,
            "  install   {} packages, {}; tree {}",
            self.install.len(),
            size::words(bytes),
            &self.tree_key[..12]
        )?;
        for package in self.install.iter().filter(|package| package.file.is_some()) {
            writeln!(f, "            {} {} from a file", package.name, package.version)?;
        }
        if let Some(build) = &self.zfs {
            let bytes = build.packages.iter().map(|package| package.size).sum();
            writeln!(
                f,
                "  zfs       modules for kernel {}, built by {} packages, {}, that stay outside",
                build.release,
                build.packages.len(),
                size::words(bytes)
            )?;
        }
        writeln!(f, "  scrub     {} and the content of /etc/machine-id", identity::SCRUBBED.join(" "))?;
        match self.modules.len() {
            0 => writeln!(f, "  modules   all")?,
            count => writeln!(f, "  modules   {count} patterns and what they need")?,
        }
        if self.trim_firmware {
            writeln!(f, "  firmware  what the kept modules ask for")?;
        }
        let boot = if self.drop_boot { ", /boot" } else { "" };
        writeln!(f, "  remove    {} patterns, keeping {}{boot}", self.remove.len(), self.keep.len())?;
        writeln!(f, "  overlays  {}", self.overlays.join(", "))?;
        writeln!(f, "  gate      no host identity may be left")?;
        let microcode = if self.microcode { "microcode, then " } else { "" };
        match &self.initrd {
            Initrd::Layers { early, level } => {
                writeln!(f, "  initrd    {microcode}the tree in layers, zstd {level}, {} patterns first", early.len())?;
            }
            Initrd::FromTree => writeln!(f, "  initrd    {microcode}the one the tree made")?,
        }
        writeln!(f, "  uki       {}", self.cmdline)?;
        if let Some(budget) = self.budget {
            writeln!(f, "            at most {}", size::words(budget))?;
        }
        if self.netboot {
            writeln!(f, "  netboot   uki.efi, vmlinuz, initrd, boot.ipxe")?;
        }
        if let Some(disk) = &self.disk {
            writeln!(f, "  disk      {}", disk.id)?;
            writeln!(f, "            esp {} of at least {}", disk.esp_id, size::words(disk.esp_bytes))?;
            if let Some((id, bytes, label)) = &disk.root {
                writeln!(f, "            root {id} of {}, label {label}", size::words(*bytes))?;
            }
        }
        writeln!(f, "  seal      manifest, SBOM, checksums, signature")
    }
}

#[cfg(test)]
mod tests;
