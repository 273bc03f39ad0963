//! What the lab's package repository serves: packages made for the lab in several versions, a newer kernel from the
//! archive, a kernel that does not boot, and a next version of the agent's own package. Made before any machine is
//! switched on, because only then the archive can be reached.
//!
//! It must never take a package from anywhere but the machine's own package sources, signatures checked by apt.

mod index;
mod kernel;
mod packages;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::house::House;
use crate::images;

/// The version of the agent's package in [`Version::Two`]; the program inside is the same.
pub(crate) const AGENT_TWO: &str = "0.1.0+lab2";
/// The release name of the kernel that does not boot.
pub(crate) const DEAD_KERNEL: &str = "9.9.9-lab-cloud-amd64";

/// One state of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// What the image has: nothing to do.
    One,
    /// Everything: the lab's packages, a newer kernel, the agent.
    Two,
    /// The lab's packages only: an update without a reboot.
    Small,
    /// `lab-tool`, whose installation fails.
    FailsToInstall,
    /// `lab-service`, which stays down after it.
    ServiceStaysDown,
    /// A kernel that is installed without a word and never finds its root.
    KernelDoesNotBoot,
}

impl Version {
    /// Every state.
    pub(crate) const ALL: [Self; 6] =
        [Self::One, Self::Two, Self::Small, Self::FailsToInstall, Self::ServiceStaysDown, Self::KernelDoesNotBoot];

    fn dir(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Two => "two",
            Self::Small => "small",
            Self::FailsToInstall => "fails-to-install",
            Self::ServiceStaysDown => "service-stays-down",
            Self::KernelDoesNotBoot => "kernel-does-not-boot",
        }
    }
}

/// Every package of every state, each named by its hash.
pub(crate) fn pool(updates: &Path) -> PathBuf {
    updates.join("pool")
}

/// The signed lists of one state.
pub(crate) fn index(updates: &Path, version: Version) -> PathBuf {
    updates.join("sets").join(version.dir())
}

/// The public key they are signed with.
pub(crate) fn key(updates: &Path) -> PathBuf {
    updates.join("key.asc")
}

/// Packages the fleet's image is built with, in their first version.
pub(crate) fn baked(house: &House) -> Vec<PathBuf> {
    packages::BAKED.map(|name| updates(house).join("made").join(format!("{name}_1.0_all.deb"))).into()
}

/// Where all of it is kept.
pub(crate) fn updates(house: &House) -> PathBuf {
    house.out.join("updates")
}

/// Makes everything. Needs the agent's release binary and the lock of the fleet's image.
pub(crate) async fn make(house: &House) -> Result<()> {
    let updates = updates(house);
    let made = updates.join("made");
    std::fs::create_dir_all(&made).with_context(|| format!("creating {}", made.display()))?;
    let first = packages::first(&made).await?;
    let second = packages::second(&made).await?;
    let agent = images::package_version(house, AGENT_TWO, &made).await?;
    let newer = kernel::newer(house, &updates).await?;
    let dead = kernel::dead(&newer, &made).await?;
    for file in &newer {
        println!("  {}", file.file_name().unwrap_or_default().display());
    }
    let sets = |version| -> Vec<PathBuf> {
        match version {
            Version::One => first.clone(),
            Version::Two => [&second[..], &newer, std::slice::from_ref(&agent)].concat(),
            Version::Small => second.clone(),
            Version::FailsToInstall => vec![made.join("lab-tool_2.0+fails_all.deb")],
            Version::ServiceStaysDown => vec![made.join("lab-service_2.0+down_all.deb")],
            Version::KernelDoesNotBoot => dead.clone(),
        }
    };
    packages::bad(&made).await?;
    let signer = index::Signer::new().await?;
    for version in Version::ALL {
        index::write(&sets(version), &pool(&updates), &index(&updates, version), &signer).await?;
    }
    signer.end(&key(&updates)).await
}
