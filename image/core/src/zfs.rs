//! The ZFS modules of an image: what is asked of the archive, and what a build of them is made from. They are compiled
//! once per lock in a tree of their own, whose packages must never reach the image.

use crate::lock::{self, Lock};
use crate::plan::Install;

/// What `zfs = true` adds to the packages of the image.
pub const TOOLS: [&str; 2] = ["zfs-zed", "zfsutils-linux"];
/// The modules' names; what keeps modules keeps these.
pub const MODULES: [&str; 2] = ["spl", "zfs"];
/// The package with the modules' source.
pub const SOURCE: &str = "zfs-dkms";
/// What packages that need the modules ask for.
pub const PROVIDES: &str = "zfs-modules";

/// One build of the modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleBuild {
    /// The kernel, as in `uname -r`.
    pub release: String,
    /// The build's clock.
    pub clock: u64,
    /// The packages of the throw-away tree, [`SOURCE`] among them.
    pub packages: Vec<Install>,
}

impl ModuleBuild {
    /// The build a lock names; `None` for a lock without one.
    pub fn of(lock: &Lock) -> Option<Self> {
        let release = lock::kernel_release(&lock.packages).filter(|_| !lock.build.is_empty())?;
        let packages = lock.build.iter().map(Install::locked).collect();
        Some(Self { release: release.to_owned(), clock: lock.clock, packages })
    }

    /// What the modules are made from, as text to be hashed.
    pub fn inputs(&self) -> String {
        let mut text = format!("{}\n{}\n", self.release, self.clock);
        for package in &self.packages {
            text.push_str(&format!("{} {}\n", package.name, package.sha256));
        }
        text
    }

    /// The package the modules are put into.
    pub fn package(&self) -> String {
        format!("{PROVIDES}-{}", self.release)
    }
}

/// What to ask the archive for: the source of the tools' own version, the headers of the image's own kernel, a compiler.
/// `None` when the packages of the image hold no kernel, or several, or no tools.
pub fn build_packages(image: &[lock::Package]) -> Option<Vec<String>> {
    let release = lock::kernel_release(image)?;
    let tools = image.iter().find(|package| package.name == TOOLS[1])?;
    // dkms only recommends a compiler, and recommendations are left out.
    Some(vec!["gcc".to_owned(), format!("linux-headers-{release}"), format!("{SOURCE}={}", tools.version)])
}

#[cfg(test)]
mod tests {
    use super::{ModuleBuild, build_packages};
    use crate::lock::{Lock, Package, SCHEMA};

    fn package(name: &str, version: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            size: 1,
            sha256: "ab".repeat(32),
            archive: "main".to_owned(),
            path: format!("pool/{name}.deb"),
        }
    }

    fn image() -> Vec<Package> {
        vec![
            package("linux-image-6.12.107+deb13-cloud-amd64", "6.12.107-1"),
            package("linux-image-cloud-amd64", "6.12.107-1"),
            package("zfsutils-linux", "2.3.9-0+deb13u1"),
        ]
    }

    #[test]
    fn the_source_fits_the_tools_and_the_headers_fit_the_kernel() {
        let wanted = build_packages(&image()).unwrap();
        assert_eq!(wanted, ["gcc", "linux-headers-6.12.107+deb13-cloud-amd64", "zfs-dkms=2.3.9-0+deb13u1"]);
        let mut two = image();
        two.push(package("linux-image-6.12.95+deb13-amd64", "6.12.95-1"));
        assert_eq!(build_packages(&two), None);
        assert_eq!(build_packages(&image()[..2]), None);
    }

    #[test]
    fn whatever_changes_the_modules_changes_their_inputs() {
        let lock = |clock, build: Vec<Package>| Lock {
            schema: SCHEMA.to_owned(),
            recipe: "x".to_owned(),
            clock,
            suite: "trixie".to_owned(),
            components: Vec::new(),
            asked: Vec::new(),
            archives: Vec::new(),
            packages: image(),
            build,
        };
        assert_eq!(ModuleBuild::of(&lock(7, Vec::new())), None);
        let gcc = package("gcc", "14");
        let base = ModuleBuild::of(&lock(7, vec![gcc.clone()])).unwrap();
        assert_eq!(base.package(), "zfs-modules-6.12.107+deb13-cloud-amd64");
        let newer = Package { sha256: "cd".repeat(32), ..gcc.clone() };
        for other in [lock(8, vec![gcc.clone()]), lock(7, vec![newer]), lock(7, vec![gcc, package("make", "4")])] {
            assert_ne!(ModuleBuild::of(&other).unwrap().inputs(), base.inputs());
        }
    }
}
