//! What a set of packages means for the node: which kernel runs afterwards, and how much of a restart is enough.
//!
//! It must never take the lesser restart where it is not known to be enough.

use std::cmp::Ordering;

use hardstand_core::observed::Kernel;
use hardstand_core::plan::{PackageSet, Reboot, RebootKind};
use hardstand_core::settings::PatchSettings;
use hardstand_core::version::compare;

use crate::host::apt::{kernel_of, newest_kernel};

/// Packages whose new code only a new boot runs: firmware of the processor is loaded by the kernel at its start.
const NEEDS_KERNEL: [&str; 3] = ["amd64-microcode", "firmware-", "intel-microcode"];
/// Packages that PID 1 or everything else holds: a restart of user space is enough.
const NEEDS_USERSPACE: [&str; 9] = [
    "dbus",
    "dbus-broker",
    "dbus-daemon",
    "libc6",
    "libssl3",
    "libssl3t64",
    "libsystemd-shared",
    "systemd",
    "systemd-sysv",
];

/// The kernel that runs afterwards, if another than now; and the restart.
pub(super) fn of(set: &PackageSet, kernel: &Kernel, patch: &PatchSettings) -> (Option<String>, Reboot) {
    let next = next_kernel(set, kernel);
    let other = next.filter(|next| *next != kernel.release);
    let reboot = restart(set, kernel, other.as_deref(), patch);
    (other, reboot)
}

/// The newest kernel that could boot afterwards, never an older one than runs.
fn next_kernel(set: &PackageSet, kernel: &Kernel) -> Option<String> {
    let there = kernel.installed.known().into_iter().flatten().filter(|image| image.bootable);
    let removed = |release: &str| {
        set.changes().iter().any(|change| change.to.is_none() && kernel_of(&change.name) == Some(release))
    };
    let there = there.map(|image| image.release.as_str()).filter(|release| !removed(release));
    let all = there.chain(newest_kernel(set)).chain([kernel.release.as_str()]);
    all.reduce(|best, next| if compare(next, best) == Ordering::Greater { next } else { best }).map(str::to_owned)
}

fn restart(set: &PackageSet, kernel: &Kernel, other: Option<&str>, patch: &PatchSettings) -> Reboot {
    let boot = |why: String| Reboot { kind: RebootKind::Full, why };
    if let Some(other) = other {
        let why = format!("kernel {} is followed by {other}", kernel.release);
        return if patch.kexec { Reboot { kind: RebootKind::Kexec, why } } else { boot(why) };
    }
    let changed = |wanted: &dyn Fn(&str) -> bool| {
        set.changes().iter().find(|change| wanted(&change.name)).map(|change| change.name.clone())
    };
    if let Some(name) = changed(&|name| kernel_of(name) == Some(kernel.release.as_str())) {
        return boot(format!("{name} replaces the running kernel by another build of the same release"));
    }
    if let Some(name) = changed(&|name| NEEDS_KERNEL.iter().any(|held| name.starts_with(held))) {
        return boot(format!("{name} is loaded when the kernel starts"));
    }
    if let Some(name) = changed(&|name| NEEDS_USERSPACE.contains(&name)) {
        let why = format!("{name} stays in use by everything that runs");
        return if patch.soft_reboot { Reboot { kind: RebootKind::SoftReboot, why } } else { boot(why) };
    }
    if let Some(reasons) = kernel.reboot.known().filter(|reasons| !reasons.is_empty()) {
        let labels: Vec<&str> = reasons.iter().map(hardstand_core::observed::RebootReason::label).collect();
        return boot(format!("a reboot is due already: {}", labels.join(", ")));
    }
    if set.is_empty() {
        return Reboot { kind: RebootKind::None, why: "nothing changes".to_owned() };
    }
    Reboot { kind: RebootKind::Services, why: "only services can still use what is replaced".to_owned() }
}

#[cfg(test)]
mod tests;
