//! Whether a kernel has what it needs to boot: its files below `/boot`, and an entry of the boot loader that names them.
//!
//! It must never take an entry for good whose files are not there.

use std::path::Path;

use hardstand_core::observed::KernelImage;

use super::{Host, installed};
use crate::host::HostError;
use crate::host::filesystems::mountinfo::parse_mountinfo;

/// Where an EFI system partition is mounted, the likeliest first.
const ESPS: [&str; 3] = ["efi", "boot/efi", "boot"];
/// Entries of systemd-boot (the Boot Loader Specification, type 1).
const ENTRIES: &str = "loader/entries";
const GRUB: &str = "boot/grub/grub.cfg";
/// A kernel with its initrd, where there is none to measure.
const KERNEL_BYTES: u64 = 96 << 20;

/// What boots a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// systemd-boot, by this entry. A count of tries left is no part of its id.
    SystemdBoot {
        /// As `bootctl` names it, with `.conf`.
        id: String,
    },
    /// GRUB's menu names it.
    Grub,
}

/// The entry that boots this kernel.
///
/// # Errors
/// What is missing, in a sentence.
pub(crate) fn entry(host: &Host, release: &str) -> Result<Entry, String> {
    let kernels = installed(host).map_err(|error| error.to_string())?;
    let image = kernels.iter().find(|kernel| kernel.release == release);
    match image {
        None => return Err(format!("there is no /boot/vmlinuz-{release}")),
        Some(image) if !image.bootable => {
            return Err(format!("kernel {release} lacks its initrd or its modules; update-initramfs -c -k {release}"));
        }
        Some(_) => {}
    }
    if let Some(found) = ESPS.iter().find_map(|esp| systemd_boot(host, esp, release)) {
        return found;
    }
    match host.read_lossy(GRUB) {
        Ok(menu) if grub_names(&menu, release) => Ok(Entry::Grub),
        Ok(_) => Err(format!("GRUB's menu does not name kernel {release}; run update-grub")),
        Err(_) => Err("no boot loader is known here: neither entries of systemd-boot nor a menu of GRUB".to_owned()),
    }
}

/// The newest kernel that could boot, which is what the boot loaders take by themselves.
pub(crate) fn newest(host: &Host) -> Option<String> {
    let kernels: Vec<KernelImage> = installed(host).ok()?;
    super::boots_next(host, &kernels)
}

/// Where the EFI system partition is mounted, if one is.
pub(crate) fn esp(host: &Host) -> Option<&'static str> {
    let is_one = |esp: &&&str| host.path(**esp).join("EFI").is_dir() || host.path(**esp).join(ENTRIES).is_dir();
    ESPS.iter().find(is_one).copied()
}

/// A place of boot files that fstab(5) wants mounted and that is not: a kernel installed now would be written below it,
/// where no boot loader looks, or the hook that makes the entry fails.
///
/// # Errors
/// The kernel's list of mounts cannot be read.
pub(crate) fn unmounted(host: &Host) -> Result<Option<String>, HostError> {
    let fstab = host.read_lossy("etc/fstab").unwrap_or_default();
    let mounts = parse_mountinfo(&host.read_lossy("proc/self/mountinfo")?)?;
    let wanted = fstab.lines().map(str::trim).filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (place, options) = (words.next()?, words.nth(1).unwrap_or_default());
        (!options.split(',').any(|option| option == "noauto")).then_some(place)
    });
    let is_of_boot = |place: &&str| ESPS.iter().any(|esp| place.strip_prefix('/') == Some(esp));
    let is_mounted = |place: &str| mounts.iter().any(|mount| mount.mount_point == place);
    Ok(wanted.filter(is_of_boot).find(|place| !is_mounted(place)).map(ToOwned::to_owned))
}

/// What the newest kernel and its initrd take, in bytes.
pub(crate) fn kernel_bytes(host: &Host) -> u64 {
    let Some(release) = newest(host) else { return KERNEL_BYTES };
    let size = |name: String| std::fs::metadata(host.path("boot").join(name)).map_or(0, |file| file.len());
    match size(format!("vmlinuz-{release}")) + size(format!("initrd.img-{release}")) {
        0 => KERNEL_BYTES,
        bytes => bytes,
    }
}

/// The entry below one ESP; `None` where systemd-boot has no entries there.
fn systemd_boot(host: &Host, esp: &str, release: &str) -> Option<Result<Entry, String>> {
    let names = host.names(Path::new(esp).join(ENTRIES));
    let names: Vec<&String> = names.iter().filter(|name| name.ends_with(".conf")).collect();
    if names.is_empty() {
        return None;
    }
    let named = names.into_iter().find_map(|name| {
        let text = host.read_lossy(Path::new(esp).join(ENTRIES).join(name)).ok()?;
        (value(&text, "version") == Some(release)).then_some((name, text))
    });
    Some(match named {
        None => {
            Err(format!("no entry of systemd-boot below /{esp} names kernel {release}; run kernel-install or its hook"))
        }
        Some((name, text)) => match missing_file(host, esp, &text) {
            Some(missing) => Err(format!("the boot entry {name} names {missing}, which is not there")),
            None if tries_left(name) == Some(0) && !runs(host, release) => Err(format!(
                "the boot loader has given kernel {release} up, its tries failed; see why: journalctl -b -1, then renew \
                 what it boots: update-initramfs -u -k {release}"
            )),
            None => Ok(Entry::SystemdBoot { id: without_tries(name) }),
        },
    })
}

/// The first file an entry names that is absent or empty.
fn missing_file(host: &Host, esp: &str, entry: &str) -> Option<String> {
    let Some(_linux) = value(entry, "linux") else { return Some("no kernel".to_owned()) };
    let files = entry.lines().filter_map(|line| {
        let (key, file) = line.trim().split_once(char::is_whitespace)?;
        matches!(key, "linux" | "initrd").then(|| file.trim())
    });
    let mut files = files.map(|file| file.trim_start_matches('/'));
    let absent = files.find(|file| {
        let leaves = Path::new(file).components().any(|part| !matches!(part, std::path::Component::Normal(_)));
        leaves || !super::has_bytes(&host.path(esp).join(file))
    });
    absent.map(str::to_owned)
}

fn value<'a>(entry: &'a str, wanted: &str) -> Option<&'a str> {
    entry.lines().find_map(|line| {
        let (key, value) = line.trim().split_once(char::is_whitespace)?;
        (key == wanted).then(|| value.trim())
    })
}

/// Whether this is the kernel that runs: a last try that succeeded is not blessed yet.
fn runs(host: &Host, release: &str) -> bool {
    host.attribute("proc/sys/kernel/osrelease").as_deref() == Some(release)
}

/// `hardstand-6.12+2-1.conf` is the entry `hardstand-6.12.conf`, with two tries left.
fn without_tries(name: &str) -> String {
    let stem = name.trim_end_matches(".conf");
    format!("{}.conf", counted(stem).map_or(stem, |(before, _)| before))
}

/// The tries an entry has left; `None` where they are not counted.
fn tries_left(name: &str) -> Option<u32> {
    let (_, tries) = counted(name.trim_end_matches(".conf"))?;
    tries.split('-').next()?.parse().ok()
}

/// What stands before the count of tries, and the count: those left, and after a dash those that failed.
fn counted(stem: &str) -> Option<(&str, &str)> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (before, tries) = stem.rsplit_once('+')?;
    (tries.split('-').all(digits) && tries.split('-').count() <= 2).then_some((before, tries))
}

/// Whether a menu loads this very kernel, not one whose name merely begins so.
fn grub_names(menu: &str, release: &str) -> bool {
    let kernel = format!("vmlinuz-{release}");
    menu.lines()
        .filter(|line| line.trim_start().starts_with("linux"))
        .any(|line| line.split_whitespace().any(|word| word.rsplit('/').next() == Some(kernel.as_str())))
}

#[cfg(test)]
mod tests;
