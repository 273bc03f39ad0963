//! The running kernel, installed kernels, and why a reboot is due.
//!
//! It must never guess: a kernel that lacks its initrd or its modules is listed, and not expected to boot next.

use std::cmp::Ordering;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hardstand_core::Reading;
use hardstand_core::observed::{Kernel, KernelImage, RebootReason};
use hardstand_core::version::compare;

use super::kernel_dir::ProcFile;
use super::{Host, HostError};

pub(crate) mod loader;

#[cfg(test)]
mod tests;

/// Where the boot loaders find kernels.
const BOOT: &str = "boot";
const MODULES: &str = "usr/lib/modules";
/// The pins of `proxmox-boot-tool kernel pin`: the one for the next boot alone comes first.
const PINS: [&str; 2] = ["etc/kernel/next-boot-pin", "etc/kernel/proxmox-boot-pin"];
/// Packages whose old files stay in use until a reboot, because PID 1, the bus or the processor holds them.
const HELD_UNTIL_REBOOT: [&str; 9] = [
    "amd64-microcode",
    "dbus",
    "dbus-broker",
    "dbus-daemon",
    "intel-microcode",
    "libc6",
    "libssl3",
    "libssl3t64",
    "systemd",
];
/// Where dpkg keeps the list of a package's files, which it writes anew whenever it unpacks the package.
const INFO: &str = "var/lib/dpkg/info";
/// Suffixes of that list: of a package that can be there for several architectures, and of one that cannot.
const LISTS: [&str; 3] = [".list", ":amd64.list", ":arm64.list"];

/// A directory that changed this recently may change again without showing it: a filesystem's clock ticks coarsely.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// The files of the running kernel, open between passes, and what stays true of dpkg's lists until one is replaced.
#[derive(Debug)]
pub(crate) struct KernelFiles {
    release: ProcFile,
    version: ProcFile,
    boot_id: ProcFile,
    command_line: ProcFile,
    stat: ProcFile,
    /// Times of the lists of [`HELD_UNTIL_REBOOT`], as they were when their directory was last changed. dpkg replaces a
    /// list by renaming, which changes the directory.
    lists: Option<(Duration, Vec<(&'static str, Duration)>)>,
}

impl Default for KernelFiles {
    fn default() -> Self {
        Self {
            release: ProcFile::new("proc/sys/kernel/osrelease"),
            version: ProcFile::new("proc/sys/kernel/version"),
            boot_id: ProcFile::new("proc/sys/kernel/random/boot_id"),
            command_line: ProcFile::new("proc/cmdline"),
            stat: ProcFile::new("proc/stat"),
            lists: None,
        }
    }
}

impl KernelFiles {
    /// Reads the running kernel, those that could boot, and why a reboot is due.
    ///
    /// Source: `/proc/sys/kernel`, `/proc/cmdline`, `/proc/stat`, `/boot`, `/usr/lib/modules`, `/etc/kernel/*-pin`,
    /// `/run/reboot-required`, `/var/lib/dpkg/info`.
    ///
    /// # Errors
    /// The running kernel itself cannot be told.
    pub(crate) fn probe(&mut self, host: &Host) -> Result<Kernel, HostError> {
        let line = |file: &mut ProcFile| file.read(host).map(|text| text.trim().to_owned());
        let release = line(&mut self.release)?;
        let booted_unix_seconds = boot_time(self.stat.read(host)?)?;
        let installed: Reading<Vec<KernelImage>> = installed(host).into();
        let reboot = match &installed {
            Reading::Known(installed) => {
                Reading::Known(reasons(host, installed, &release, self.lists(host), booted_unix_seconds))
            }
            Reading::Unknown { why } => Reading::unknown(why.clone()),
        };
        Ok(Kernel {
            boot_id: line(&mut self.boot_id)?,
            version: line(&mut self.version)?,
            command_line: line(&mut self.command_line)?,
            release,
            booted_unix_seconds,
            installed,
            reboot,
        })
    }

    /// Packages of [`HELD_UNTIL_REBOOT`] that are there, with the times of their lists.
    fn lists(&mut self, host: &Host) -> Vec<(&'static str, Duration)> {
        // Taken before reading: what changes meanwhile is seen by the next pass.
        let changed = changed_at(&host.path(INFO));
        if let Some((_, times)) = self.lists.as_ref().filter(|(seen, _)| Some(*seen) == changed) {
            return times.clone();
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let times: Vec<(&str, Duration)> =
            HELD_UNTIL_REBOOT.iter().flat_map(|package| list_times(host, package)).collect();
        let settled = changed.filter(|changed| now.checked_sub(*changed).is_some_and(|age| age > SETTLED_AFTER));
        self.lists = settled.map(|changed| (changed, times.clone()));
        times
    }
}

fn list_times(host: &Host, package: &'static str) -> impl Iterator<Item = (&'static str, Duration)> {
    LISTS
        .iter()
        .filter_map(move |suffix| Some((package, changed_at(&host.path(INFO).join(format!("{package}{suffix}")))?)))
}

fn boot_time(stat: &str) -> Result<u64, HostError> {
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    seconds.ok_or_else(|| HostError::Parse { what: "/proc/stat".to_owned(), why: "no line `btime SECONDS`".to_owned() })
}

/// Kernels below `/boot`, newest first. None where there is no `/boot` or no kernel in it, as on the boot image.
fn installed(host: &Host) -> Result<Vec<KernelImage>, HostError> {
    let boot = host.path(BOOT);
    let names = match std::fs::read_dir(&boot) {
        Ok(entries) => entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(HostError::Read { path: boot, source }),
    };
    let has_initrds = names.iter().any(|name| name.starts_with("initrd.img-"));
    // A sandbox with ProtectKernelModules= hides the modules; then the initrd, which is made from them, must do.
    let sees_modules = std::fs::read_dir(host.path(MODULES)).is_ok();
    let releases =
        names.iter().filter_map(|name| name.strip_prefix("vmlinuz-")).filter(|release| !is_leftover(release));
    let mut kernels: Vec<KernelImage> = releases
        .map(|release| {
            let has_modules = !sees_modules || host.path(MODULES).join(release).is_dir();
            let has_initrd = !has_initrds || has_bytes(&boot.join(format!("initrd.img-{release}")));
            let path = boot.join(format!("vmlinuz-{release}"));
            let bootable = has_bytes(&path) && has_modules && has_initrd;
            KernelImage { release: release.to_owned(), path: path.display().to_string(), bootable }
        })
        .collect();
    kernels
        .sort_unstable_by(|a, b| compare_kernels(&b.release, &a.release).then_with(|| compare(&b.release, &a.release)));
    Ok(kernels)
}

/// What dpkg and update-initramfs leave beside a kernel.
fn is_leftover(release: &str) -> bool {
    [".old", ".bak", ".dpkg-new", ".dpkg-tmp", ".dpkg-bak", ".new"].iter().any(|suffix| release.ends_with(suffix))
}

fn has_bytes(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0)
}

fn reasons(
    host: &Host,
    installed: &[KernelImage],
    running: &str,
    lists: Vec<(&'static str, Duration)>,
    booted: u64,
) -> Vec<RebootReason> {
    let mut reasons = Vec::new();
    if let Some(newest) = boots_next(host, installed).filter(|next| compare_kernels(next, running).is_gt()) {
        reasons.push(RebootReason::NewerKernel { running: running.to_owned(), newest });
    }
    if host.path("run/reboot-required").exists() {
        let packages = host.read("run/reboot-required.pkgs").unwrap_or_default();
        let mut packages: Vec<String> = packages.split_whitespace().map(str::to_owned).collect();
        packages.sort_unstable();
        packages.dedup();
        reasons.push(RebootReason::Requested { packages });
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // A time to come was written by a clock that was wrong, or is read by one; it proves nothing.
    let replaced = lists.into_iter().filter(|(_, time)| time.as_secs() > booted && *time <= now);
    let mut replaced: Vec<&str> = replaced.map(|(package, _)| package).collect();
    replaced.dedup();
    reasons.extend(replaced.into_iter().map(|package| RebootReason::Replaced { what: package.to_owned() }));
    reasons
}

/// The pinned kernel if it is there, or else the newest that can boot, which is what the boot loaders choose.
fn boots_next(host: &Host, installed: &[KernelImage]) -> Option<String> {
    let bootable = || installed.iter().filter(|kernel| kernel.bootable).map(|kernel| kernel.release.as_str());
    let pinned = PINS.iter().filter_map(|pin| host.attribute(pin)).find(|pin| bootable().any(|release| release == pin));
    let newest = || bootable().reduce(|best, next| if compare_kernels(next, best).is_gt() { next } else { best });
    pinned.or_else(|| newest().map(str::to_owned))
}

/// Compares kernels by what is older and newer, not by flavour: `6.12.57+deb13-cloud-amd64` is no newer than
/// `6.12.57+deb13-amd64`.
fn compare_kernels(one: &str, other: &str) -> Ordering {
    compare(&without_flavour(one), &without_flavour(other))
}

/// A release up to its flavour, with a candidate's mark (`-rc3`) before the final one.
fn without_flavour(release: &str) -> String {
    let mut parts = release.split('-');
    let mut version = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if part.starts_with(|first: char| first.is_ascii_digit()) {
            version.push('-');
            version.push_str(part);
        } else if part.strip_prefix("rc").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit())) {
            version.push('~');
            version.push_str(part);
        } else {
            break;
        }
    }
    version
}

/// When a file's contents were last changed, since 1970.
fn changed_at(path: &Path) -> Option<Duration> {
    std::fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()
}
