//! The kernels of the repository: a newer one from the archive's backports, and one that does not boot.
//!
//! Debian's stable archive has one newest kernel, and that is what the image is built with; the backports of the same
//! release always have a newer one. It must never be installed here: apt only fetches.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hardstand_exec::{Run, find};
use hardstand_recipe::lock::Lock;
use hardstand_recipe::sources::{self, Source};

use super::DEAD_KERNEL;
use super::packages::Parts;
use crate::fleet::RECIPE;
use crate::house::House;

/// Package lists and some 40 MB of kernel from a slow mirror.
const APT_LIMIT: Duration = Duration::from_secs(15 * 60);
/// Unpacks one kernel.
const UNPACK_LIMIT: Duration = Duration::from_secs(60);
/// The package that always depends on the newest kernel.
const META: &str = "linux-image-cloud-amd64";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Runs what a kernel package runs.
const DEAD_POSTINST: &str = "#!/bin/sh\nset -e\n[ \"$1\" = configure ] || exit 0\ndepmod RELEASE\n\
                             DEB_MAINT_PARAMS=\"$*\" run-parts --exit-on-error --arg=RELEASE \
                             --arg=/boot/vmlinuz-RELEASE /etc/kernel/postinst.d\n";

/// Fetches the newest kernel of the backports with what it needs beyond the image. Kept in the cache between runs.
pub(super) async fn newer(house: &House, updates: &Path) -> Result<Vec<PathBuf>> {
    let lock_file = house.lock(RECIPE);
    let text = std::fs::read_to_string(&lock_file)
        .with_context(|| format!("reading {}; lock the recipe first", lock_file.display()))?;
    let lock = Lock::parse(&lock_file.to_string_lossy(), &text)?;
    let room = updates.join("apt");
    let archives = house.cache.join("updates");
    let config = prepare(&room, &archives, &lock)?;
    let apt_get = find("apt-get").context("finding apt-get; install apt")?;
    let apt = || Run::new(&apt_get, APT_LIMIT).env("APT_CONFIG", &config);
    apt().args(["--error-on=any", "update"]).success().await.context("fetching the package lists of the backports")?;
    let backports = format!("{}-backports", lock.suite);
    let install = ["--yes", "--no-install-recommends", "--target-release", backports.as_str()];
    let plan = apt().args(install).args(["--simulate", "install", META]).success().await;
    let plan = plan.context("resolving the newest kernel")?;
    let fetch = apt().args(install).args(["--download-only", "install", META]).success().await;
    fetch.context("fetching the newest kernel")?;
    let files: Vec<PathBuf> =
        String::from_utf8_lossy(&plan.stdout).lines().filter_map(planned).map(|name| archives.join(name)).collect();
    ensure!(!files.is_empty(), "apt knows no newer kernel than the image's, so there is nothing to upgrade to");
    Ok(files)
}

/// `Inst NAME [OLD] (VERSION Debian Backports:... [amd64])` as the file apt keeps it in.
fn planned(line: &str) -> Option<String> {
    let rest = line.strip_prefix("Inst ")?;
    let name = rest.split(' ').next()?;
    let (_, inside) = rest.split_once('(')?;
    let version = inside.split(' ').next()?.replace(':', "%3a");
    let architecture = inside.rsplit_once('[')?.1.split(']').next()?;
    Some(format!("{name}_{version}_{architecture}.deb"))
}

/// A kernel that is installed like any other and finds no root: the newer one without a single module.
pub(super) async fn dead(newer: &[PathBuf], dir: &Path) -> Result<Vec<PathBuf>> {
    let tree = dir.join("kernel.tree");
    let tool = find("dpkg-deb").context("finding dpkg-deb; install dpkg")?;
    let mut found = None;
    for file in newer {
        if tree.exists() {
            std::fs::remove_dir_all(&tree).with_context(|| format!("emptying {}", tree.display()))?;
        }
        let unpack = Run::new(&tool, UNPACK_LIMIT).arg("--extract").arg(file).arg(&tree);
        unpack.success().await.with_context(|| format!("unpacking {}", file.display()))?;
        if let Some(kernel) = kernel_below(&tree)? {
            found = Some(std::fs::read(&kernel).with_context(|| format!("reading {}", kernel.display()))?);
            break;
        }
    }
    std::fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))?;
    let kernel = found.context("finding a kernel in the packages that were fetched")?;
    let modules = |name: &str| (format!("usr/lib/modules/{DEAD_KERNEL}/{name}"), 0o644, Vec::new());
    let config = b"CONFIG_RD_ZSTD=y\nCONFIG_RD_GZIP=y\n".to_vec();
    let image = Parts {
        name: &format!("linux-image-{DEAD_KERNEL}"),
        version: "9.9.9-1",
        architecture: "amd64",
        control: String::new(),
        files: vec![
            (format!("boot/vmlinuz-{DEAD_KERNEL}"), 0o644, kernel),
            (format!("boot/config-{DEAD_KERNEL}"), 0o644, config),
            modules("modules.builtin"),
            modules("modules.order"),
        ],
        scripts: vec![("postinst", 0o755, DEAD_POSTINST.replace("RELEASE", DEAD_KERNEL))],
    };
    let meta = Parts {
        name: META,
        version: "9.9.9-1",
        architecture: "amd64",
        control: format!("Depends: linux-image-{DEAD_KERNEL} (= 9.9.9-1)\n"),
        files: Vec::new(),
        scripts: Vec::new(),
    };
    Ok(vec![image.pack(dir).await?, meta.pack(dir).await?])
}

/// Older releases put it below `boot`, newer ones beside the modules.
fn kernel_below(tree: &Path) -> Result<Option<PathBuf>> {
    let mut waiting = vec![tree.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(&dir).with_context(|| format!("listing {}", dir.display()))? {
            let entry = entry.with_context(|| format!("listing {}", dir.display()))?;
            let kind = entry.file_type().with_context(|| format!("looking at {}", entry.path().display()))?;
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if kind.is_file() && entry.file_name().to_string_lossy().starts_with("vmlinuz") {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}

/// apt in directories of its own, for a machine that has what the image has.
fn prepare(room: &Path, archives: &Path, lock: &Lock) -> Result<PathBuf> {
    for dir in [room.join("state/lists/partial"), room.join("etc"), room.join("log"), archives.join("partial")] {
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    }
    let mut status = String::new();
    for package in &lock.packages {
        let _ = write!(
            status,
            "Package: {}\nStatus: install ok installed\nVersion: {}\nArchitecture: {}\nMaintainer: lab\nDescription: x\n\n",
            package.name, package.version, package.architecture
        );
    }
    let write = |name: &str, text: &str| {
        let path = room.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display())).map(|()| path)
    };
    let status = write("state/status", &status)?;
    let mirror = mirror()?;
    let suite = &lock.suite;
    write(
        "etc/sources.list",
        &format!(
            "deb [signed-by={KEYRING}] {mirror} {suite} main\ndeb [signed-by={KEYRING}] {mirror} {suite}-backports main\n"
        ),
    )?;
    let (root, status, archives) = (room.display(), status.display(), archives.display());
    write(
        "apt.conf",
        &format!(
            "Dir \"{root}\";\nDir::State \"state\";\nDir::State::status \"{status}\";\nDir::Cache \"cache\";\n\
             Dir::Cache::archives \"{archives}\";\nDir::Log \"log\";\nDir::Etc \"etc\";\nDir::Etc::sourceparts \"-\";\n\
             Dir::Etc::trustedparts \"-\";\nDir::Etc::preferencesparts \"-\";\nAPT::Architecture \"amd64\";\n\
             APT::Architectures {{ \"amd64\"; }};\nAPT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\n"
        ),
    )
}

/// The Debian mirror of this machine's own package sources.
fn mirror() -> Result<String> {
    let mut all: Vec<Source> = Vec::new();
    let mut read = |path: &Path| -> Result<()> {
        let text = || std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("list") => all.extend(sources::parse_list(&text()?)),
            Some("sources") => all.extend(sources::parse_deb822(&text()?)),
            _ => {}
        }
        Ok(())
    };
    let list = Path::new("/etc/apt/sources.list");
    if list.is_file() {
        read(list)?;
    }
    let mut parts: Vec<PathBuf> =
        std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|one| one.path()).collect();
    parts.sort();
    for part in &parts {
        read(part)?;
    }
    Ok(sources::choose(&all).context("no Debian mirror in this machine's package sources")?.main)
}

#[cfg(test)]
mod tests {
    use super::planned;

    #[test]
    fn a_planned_package_is_found_where_apt_keeps_it() {
        let line = "Inst linux-base [4.12.1] (1:4.17~bpo13+1 Debian Backports:trixie-backports [all])";
        assert_eq!(planned(line).as_deref(), Some("linux-base_1%3a4.17~bpo13+1_all.deb"));
        assert_eq!(planned("Conf linux-base (4.17 Debian [all])"), None);
    }
}
