//! The recipe: what an operator writes to say what an image holds. Strict: an unknown key is refused with the file, the
//! line and the nearest known key. It must never guess: a value that could mean two things is an error.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::{size, zfs};

/// Every key a recipe knows, for the "did you mean" of an error.
const KEYS: [&str; 23] = [
    "extends",
    "description",
    "suite",
    "components",
    "packages",
    "local_packages",
    "overlays",
    "cmdline",
    "kernel",
    "modules",
    "firmware",
    "microcode",
    "zfs",
    "remove",
    "keep",
    "early",
    "root",
    "outputs",
    "compression",
    "size_budget",
    "disk",
    "esp",
    "label",
];

/// The keys of a recipe, for `hardstand-image check --help`.
pub const HELP: &str = "\
A recipe is a TOML file. Lists are appended to those of the recipe it extends, single values replace them.
  extends         name of a recipe beside this one, without .toml
  description     one line for people
  suite           codename of the Debian release, \"trixie\"
  components      more components of the archive than \"main\"
  packages        packages by name; what they need comes along
  local_packages  packages that come as files: build --package FILE.deb
  overlays        directories laid over the tree: NAME is ../overlays/NAME, a name with a slash is a path
  cmdline         words of the kernel command line
  kernel          \"cloud\" or \"metal\"
  modules         patterns of kernel modules to keep, each with what it needs; none keeps all
  firmware        true adds the firmware packages; with patterns in modules, only files those modules ask for stay
  microcode       true adds processor microcode, loaded before anything else
  zfs             true adds the ZFS tools and modules, compiled here once per lock (minutes); ZFS is under the CDDL
  remove, keep    patterns of paths taken out of the tree, and of those that stay all the same
  early           patterns of paths unpacked first (root = \"ram\")
  root            \"ram\" (the tree is the initrd) or \"disk\" (an ext4 partition)
  outputs         \"uki\", \"netboot\", \"disk\"
  compression     zstd level of the initrd, 1 to 19
  size_budget     most bytes of uki.efi, \"80 MB\"
  [disk]          esp and root: sizes; label: of the root file system
In patterns, * stays inside one part of a path and ** crosses parts.";

/// Why a recipe is refused. The text names the file, the line where there is one, and the way out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecipeError {
    /// Not TOML, or a key or value that is not known.
    #[error("{file}:{line}: {problem}")]
    Text {
        /// The recipe file.
        file: String,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A recipe that is complete as TOML and still says nothing buildable.
    #[error("{file}: {problem}")]
    Meaning {
        /// The recipe file.
        file: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// Where the root tree lives once the machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Root {
    /// The whole tree is the initrd: nothing on disk is touched.
    Ram,
    /// An ext4 partition; the initrd is the one the tree's own tools made.
    Disk,
}

/// Kernel flavour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// The small flavour for virtual machines.
    Cloud,
    /// The full one, for real machines.
    Metal,
}

impl Kernel {
    /// The archive's package that always depends on the newest kernel of this flavour.
    pub fn package(self) -> &'static str {
        match self {
            Self::Cloud => "linux-image-cloud-amd64",
            Self::Metal => "linux-image-amd64",
        }
    }
}

/// One kind of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// `uki.efi`, `vmlinuz`, `initrd`. Always made, listed or not: everything else is made from them.
    Uki,
    /// `netboot/`: what a DHCP, TFTP and HTTP server serves.
    Netboot,
    /// `disk.img`: GPT, ESP and, for `root = "disk"`, the root partition.
    Disk,
}

/// The `[disk]` table as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskFile {
    esp: Option<String>,
    root: Option<String>,
    label: Option<String>,
}

/// One recipe file as written, before its ancestors are merged in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeFile {
    /// Recipe to build upon: the name of a file beside this one, without `.toml`.
    pub extends: Option<String>,
    description: Option<String>,
    suite: Option<String>,
    #[serde(default)]
    components: Vec<String>,
    #[serde(default)]
    packages: Vec<String>,
    #[serde(default)]
    local_packages: Vec<String>,
    #[serde(default)]
    overlays: Vec<String>,
    #[serde(default)]
    cmdline: Vec<String>,
    kernel: Option<Kernel>,
    #[serde(default)]
    modules: Vec<String>,
    firmware: Option<bool>,
    microcode: Option<bool>,
    zfs: Option<bool>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    keep: Vec<String>,
    #[serde(default)]
    early: Vec<String>,
    root: Option<Root>,
    #[serde(default)]
    outputs: Vec<Output>,
    compression: Option<i32>,
    size_budget: Option<String>,
    disk: Option<DiskFile>,
}

/// Sizes of the disk image, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// EFI system partition; grown when the UKI does not fit.
    pub esp_bytes: u64,
    /// Root partition; only for `root = "disk"`.
    pub root_bytes: u64,
    /// Label of the root file system, at most 16 characters.
    pub label: String,
}

/// A whole recipe: ancestors merged, defaults in place, every value checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Name of the file without `.toml`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// The archive's suite, by codename.
    pub suite: String,
    /// The archive's components.
    pub components: Vec<String>,
    /// Packages asked for by name, sorted; the resolver adds what they need. The kernel is among them.
    pub packages: Vec<String>,
    /// Packages that come as files on the command line of `build`.
    pub local_packages: Vec<String>,
    /// Overlay directories in the order they are laid over the tree.
    pub overlays: Vec<String>,
    /// Kernel command line.
    pub cmdline: String,
    /// Kernel flavour.
    pub kernel: Kernel,
    /// Patterns of kernel modules to keep, each with what it depends on; empty keeps all.
    pub modules: Vec<String>,
    /// Whether the firmware packages were asked for.
    pub firmware: bool,
    /// Whether early microcode is put in front of the initrd.
    pub microcode: bool,
    /// Whether the ZFS modules are compiled for the kernel of the lock.
    pub zfs: bool,
    /// Path patterns to remove after the packages are installed.
    pub remove: Vec<String>,
    /// Path patterns exempt from `remove`.
    pub keep: Vec<String>,
    /// Path patterns unpacked first, so that `/init` can speak when memory does not suffice for the rest.
    pub early: Vec<String>,
    /// Where the root tree lives.
    pub root: Root,
    /// What is made.
    pub outputs: BTreeSet<Output>,
    /// zstd level of the initrd.
    pub compression: i32,
    /// Most bytes `uki.efi` may have.
    pub size_budget: Option<u64>,
    /// Disk image sizes.
    pub disk: Disk,
}

/// Parses one recipe file. `file` is only used in errors.
pub fn parse(file: &str, text: &str) -> Result<RecipeFile, RecipeError> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        RecipeError::Text { file: file.to_owned(), line, problem: explain(error.message()) }
    })
}

/// Merges a chain of files, the oldest ancestor first: lists are appended, single values are replaced. Then fills in
/// defaults and checks the whole. `file` is the youngest one, for errors.
pub fn resolve(name: &str, file: &str, chain: Vec<RecipeFile>) -> Result<Recipe, RecipeError> {
    let merged = chain.into_iter().fold(RecipeFile::default(), merge);
    let refuse = |problem: String| RecipeError::Meaning { file: file.to_owned(), problem };
    let Some(kernel) = merged.kernel else {
        return Err(refuse("no kernel; say kernel = \"cloud\" or kernel = \"metal\"".to_owned()));
    };
    let suite = merged.suite.clone().ok_or_else(|| refuse("no suite; say suite = \"trixie\"".to_owned()))?;
    let compression = merged.compression.unwrap_or(19);
    if !(1..=19).contains(&compression) {
        return Err(refuse(format!("compression = {compression} is not a zstd level the kernel unpacks; use 1 to 19")));
    }
    let disk = merged.disk.clone().unwrap_or_default();
    let bytes = |key: &str, text: Option<&String>, default: u64| {
        text.map_or(Ok(default), |text| size::parse(text)).map_err(|why| refuse(format!("{key}: {why}")))
    };
    let label = disk.label.clone().unwrap_or_else(|| "hardstand".to_owned());
    if label.is_empty() || label.len() > 16 || !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(refuse(format!("disk.label: `{label}` must be 1 to 16 letters, digits or dashes")));
    }
    let mut outputs: BTreeSet<Output> = merged.outputs.iter().copied().collect();
    outputs.insert(Output::Uki);
    Ok(Recipe {
        name: name.to_owned(),
        description: merged.description.clone().unwrap_or_default(),
        suite,
        components: with_components(&merged),
        packages: with_switches(&merged, kernel),
        local_packages: unique(&merged.local_packages),
        overlays: in_order(&merged.overlays),
        cmdline: merged.cmdline.join(" "),
        kernel,
        modules: unique(&merged.modules),
        firmware: merged.firmware == Some(true),
        microcode: merged.microcode == Some(true),
        zfs: merged.zfs == Some(true),
        remove: merged.remove.clone(),
        keep: merged.keep.clone(),
        early: merged.early.clone(),
        root: merged.root.unwrap_or(Root::Ram),
        outputs,
        compression,
        size_budget: merged
            .size_budget
            .as_ref()
            .map(|text| size::parse(text))
            .transpose()
            .map_err(|why| refuse(format!("size_budget: {why}")))?,
        disk: Disk {
            esp_bytes: bytes("disk.esp", disk.esp.as_ref(), 64 << 20)?,
            root_bytes: bytes("disk.root", disk.root.as_ref(), 2 << 30)?,
            label,
        },
    })
}

fn merge(mut parent: RecipeFile, child: RecipeFile) -> RecipeFile {
    parent.components.extend(child.components);
    parent.packages.extend(child.packages);
    parent.local_packages.extend(child.local_packages);
    parent.overlays.extend(child.overlays);
    parent.cmdline.extend(child.cmdline);
    parent.modules.extend(child.modules);
    parent.remove.extend(child.remove);
    parent.keep.extend(child.keep);
    parent.early.extend(child.early);
    parent.outputs.extend(child.outputs);
    let disk = match (parent.disk, child.disk) {
        (Some(old), Some(new)) => {
            Some(DiskFile { esp: new.esp.or(old.esp), root: new.root.or(old.root), label: new.label.or(old.label) })
        }
        (old, new) => new.or(old),
    };
    RecipeFile {
        extends: None,
        description: child.description.or(parent.description),
        suite: child.suite.or(parent.suite),
        kernel: child.kernel.or(parent.kernel),
        firmware: child.firmware.or(parent.firmware),
        microcode: child.microcode.or(parent.microcode),
        zfs: child.zfs.or(parent.zfs),
        root: child.root.or(parent.root),
        compression: child.compression.or(parent.compression),
        size_budget: child.size_budget.or(parent.size_budget),
        disk,
        ..parent
    }
}

fn with_components(file: &RecipeFile) -> Vec<String> {
    let mut components = vec!["main".to_owned()];
    components.extend(file.components.iter().cloned());
    if file.zfs == Some(true) {
        components.push("contrib".to_owned());
    }
    if file.firmware == Some(true) || file.microcode == Some(true) {
        components.push("non-free-firmware".to_owned());
    }
    in_order(&components)
}

fn with_switches(file: &RecipeFile, kernel: Kernel) -> Vec<String> {
    let mut packages = file.packages.clone();
    packages.extend([kernel.package().to_owned(), "systemd-boot-efi".to_owned()]);
    if file.firmware == Some(true) {
        packages.extend(["firmware-linux", "firmware-bnx2", "firmware-bnx2x", "firmware-realtek"].map(str::to_owned));
    }
    if file.microcode == Some(true) {
        packages.extend(["amd64-microcode", "intel-microcode"].map(str::to_owned));
    }
    if file.zfs == Some(true) {
        packages.extend(zfs::TOOLS.map(str::to_owned));
    }
    unique(&packages)
}

fn unique(list: &[String]) -> Vec<String> {
    list.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

fn in_order(list: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    list.iter().filter(|item| seen.insert((*item).clone())).cloned().collect()
}

/// Puts the nearest known key behind an "unknown field" of the parser.
fn explain(message: &str) -> String {
    let message = message.lines().next().unwrap_or(message);
    let Some(rest) = message.strip_prefix("unknown field `") else { return message.to_owned() };
    let Some((key, _)) = rest.split_once('`') else { return message.to_owned() };
    match nearest(key, &KEYS) {
        Some(known) => format!("unknown key `{key}`; did you mean `{known}`?"),
        None => format!("unknown key `{key}`; see `hardstand-image check --help` for the keys"),
    }
}

/// The known word nearest to a mistyped one, if any is near enough to be meant.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests;
