//! Mounted filesystems: the table of mounts, and statvfs on threads that may hang.
//!
//! Which mounts are looked at: those that store something. Left out are the kernel's own filesystems ([`PSEUDO`]);
//! automounts that nobody has used (statvfs would trigger them); overlays and ramfs other than `/`; tmpfs below
//! [`PRIVATE`]; further mounts of a filesystem already listed; mounts hidden under others; filesystems without a size
//! (except `/`, which on a ramfs has none). So `/`, `/tmp`, `/run` stay where they are tmpfs, `/dev/shm` and
//! `/run/credentials/*` go.
//!
//! The agent runs in a mount namespace of its own, where its sandbox makes everything read-only. So the table is PID
//! 1's, which every user may read. Where it is hidden (`hidepid=`, `ProtectProc=`) our own table serves, and only the
//! superblock's word counts: that is what changes when a filesystem gives up, or on `mount -o remount,ro`.
//!
//! It must never wait for a mount that hangs, nor probe one again before the first probe has come back.

mod measure;
pub(crate) mod mountinfo;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::Duration;

use hardstand_core::Reading;
use hardstand_core::observed::Filesystem;

pub(crate) use measure::Gauges;
use measure::Measured;
pub(crate) use mountinfo::{Mount, parse_mountinfo};
use mountinfo::{Table, has_option, lies_below, unescape};

use super::{Host, HostError};

/// Filesystems that store nothing, or only what the kernel shows.
const PSEUDO: [&str; 30] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "pipefs",
    "proc",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sockfs",
    "sysfs",
    "tracefs",
    "xenfs",
];
/// Places whose tmpfs belong to one program, or to one login.
const PRIVATE: [&str; 8] = [
    "/dev",
    "/proc",
    "/run/",
    "/sys",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet",
];
/// Filesystems that cannot be written to.
const READ_ONLY_KINDS: [&str; 6] = ["cramfs", "erofs", "iso9660", "romfs", "squashfs", "udf"];
/// Served by the kernel's ext4, which counts errors.
const EXT_KINDS: [&str; 3] = ["ext2", "ext3", "ext4"];

/// What the table says of one filesystem that is looked at.
struct Listed {
    mount: Mount,
    read_only: bool,
    read_only_by_design: bool,
    errors: Option<u64>,
    /// Why our own namespace does not lead there, if it does not.
    hidden: Option<String>,
}

/// Lists and measures. Source: `/proc/1/mountinfo` (or `/proc/self/mountinfo`), `/etc/fstab`,
/// `/sys/fs/ext4/*/errors_count`, statvfs(2). A mount that does not answer within `for_one_mount` is `stuck`; the others
/// are still measured.
pub(crate) async fn probe_filesystems(
    gauges: &Gauges,
    ignore: &[String],
    for_one_mount: Duration,
) -> Result<Vec<Filesystem>, HostError> {
    let (host, ignore) = (gauges.host().clone(), ignore.to_vec());
    let mut job = gauges.crew().give(move || list(&host, &ignore));
    let listed = job.answer().await.map_err(HostError::Broken)??;
    let measured = gauges.measure(&listed, for_one_mount).await;
    let rows = listed.into_iter().zip(measured).filter_map(|(listed, measured)| row(listed, measured));
    Ok(rows.collect())
}

/// One row, or none for a filesystem without a size.
fn row(listed: Listed, measured: Measured) -> Option<Filesystem> {
    let (space, stuck) = match measured {
        Measured::Space(space) if space.size_bytes == 0 && listed.mount.mount_point != "/" => return None,
        Measured::Space(space) => (Reading::Known(space), false),
        Measured::Failed(why) => (Reading::unknown(why), false),
        Measured::Stuck(why) => (Reading::unknown(why), true),
    };
    let Listed { mount: Mount { mount_point, device, kind, .. }, read_only, read_only_by_design, errors, .. } = listed;
    Some(Filesystem { mount_point, device, kind, read_only, read_only_by_design, errors, space, stuck })
}

fn list(host: &Host, ignore: &[String]) -> Result<Vec<Listed>, HostError> {
    let own = host.read_lossy("proc/self/mountinfo");
    let (text, is_the_hosts) = match host.read_lossy("proc/1/mountinfo") {
        Ok(text) => (text, true),
        Err(error) => (own.as_ref().map_err(|_| error)?.clone(), false),
    };
    let mounts = parse_mountinfo(&text)?;
    // Our own namespace is another one only when its table differs.
    let own_mounts = match own {
        Ok(own) if is_the_hosts && own != text => Some(parse_mountinfo(&own)?),
        Ok(_) | Err(_) => None,
    };
    let fixed = fstab_read_only(&host.read_lossy("etc/fstab").unwrap_or_default());
    let own_table = own_mounts.as_deref().map(Table::new);
    let listed = chosen(&Table::new(&mounts), ignore).into_iter().map(|mount| Listed {
        read_only: mount.is_superblock_read_only() || (is_the_hosts && mount.is_read_only_here()),
        read_only_by_design: READ_ONLY_KINDS.contains(&mount.kind.as_str()) || fixed.contains(&mount.mount_point),
        errors: EXT_KINDS.contains(&mount.kind.as_str()).then(|| ext_errors(host, &mount.device_number)).flatten(),
        hidden: hidden(own_table.as_ref(), mount),
        mount: mount.clone(),
    });
    Ok(listed.collect())
}

/// The mounts that are looked at, in the table's order.
fn chosen<'a>(table: &Table<'a>, ignore: &[String]) -> Vec<&'a Mount> {
    let mut seen = HashSet::new();
    let wanted = table.mounts().iter().filter(|mount| {
        stores(mount) && !ignore.contains(&mount.mount_point) && !mount.mount_point.ends_with("//deleted")
    });
    let visible = wanted.filter(|mount| table.cover_of(mount).is_none());
    visible.filter(|mount| seen.insert(&mount.device_number)).collect()
}

/// Whether a mount stores something, by its type and its place.
fn stores(mount: &Mount) -> bool {
    let (kind, place) = (mount.kind.as_str(), mount.mount_point.as_str());
    match kind {
        "overlay" | "ramfs" => place == "/",
        "tmpfs" => !PRIVATE.iter().any(|private| match private.strip_suffix('/') {
            Some(inside) => place != inside && lies_below(place, inside),
            None => lies_below(place, private),
        }),
        _ => !PSEUDO.contains(&kind),
    }
}

/// Why the path does not lead to this filesystem for us, though it does for PID 1.
fn hidden(own: Option<&Table<'_>>, mount: &Mount) -> Option<String> {
    let leads = own.is_none_or(|own| own.leads_to(&mount.mount_point, &mount.device_number));
    (!leads).then(|| {
        "hidden from this process by its unit's sandbox; loosen ProtectHome=, PrivateTmp= or \
         InaccessiblePaths= there, or list the mount point in [filesystems] ignore"
            .to_owned()
    })
}

/// Mount points that fstab(5) wants read-only.
fn fstab_read_only(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        (fields.next(), fields.nth(1))
    });
    let fixed = rows.filter_map(|(point, options)| {
        Some(unescape(point?)).filter(|_| has_option(options.unwrap_or_default(), "ro"))
    });
    fixed.collect()
}

/// Errors ext4 has counted in this filesystem since it was last checked.
fn ext_errors(host: &Host, device_number: &str) -> Option<u64> {
    let device = std::fs::read_link(host.path(Path::new("sys/dev/block").join(device_number))).ok()?;
    let count = Path::new("sys/fs/ext4").join(device.file_name()?).join("errors_count");
    host.attribute(count)?.parse().ok()
}
