//! Whether a run of the package manager was cut by a lost power. dpkg's own record is synced as it goes; what the scripts of
//! packages write anew is not: a kernel's list of modules may be empty after a cut, with its package well installed. (What
//! takes the place of an older file by its name, ext4 flushes itself.)
//!
//! It must never take a run for whole that has not come to its end and to the disk.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::errand::{Digest, Release};
use super::ground::Ground;
use crate::durable;
use crate::host::boot::loader;

/// Names the set and the boot in which its run began; gone when the run has ended and is on the disk.
const FILE: &str = "unsettled";

/// Notes that a run begins. It survives a power cut when this returns.
///
/// # Errors
/// The disk did not take it.
pub(super) fn begin(ground: &Ground, set: &Digest) -> Result<(), String> {
    let path = path(ground);
    durable::replace(&path, format!("{} {}\n", set.as_str(), ground.boot_id()?).as_bytes())
        .map_err(|error| format!("writing {}: {error}; free some space", path.display()))
}

/// What makes anew what a new kernel's packages have made of it. Nothing is unpacked again.
pub(super) fn renew(ground: &Ground, kernel: Option<&Release>) -> Vec<Vec<String>> {
    const INITRAMFS: &str = "usr/sbin/update-initramfs";
    let Some(kernel) = kernel else { return Vec::new() };
    let mut commands = vec![["/usr/sbin/depmod", kernel.as_str()].map(str::to_owned).to_vec()];
    if ground.host.path(INITRAMFS).exists() {
        commands.push(["/usr/sbin/update-initramfs", "-c", "-k", kernel.as_str()].map(str::to_owned).to_vec());
    }
    commands
}

/// What a run does last: everything to the disk, then the note away. A note that comes back with the next cut costs one run
/// more.
pub(super) fn settle(ground: &Ground) -> [Vec<String>; 2] {
    let mut sync = ["/usr/bin/sync", "-f", "/", "/boot"].map(str::to_owned).to_vec();
    sync.extend(loader::esp(&ground.host).map(|esp| format!("/{esp}")));
    let forget = ["/usr/bin/rm", "-f"].map(str::to_owned).into_iter().chain([path(ground).display().to_string()]);
    [sync, forget.collect()]
}

/// Whether a run of this set began in an earlier boot and did not come to its end.
///
/// # Errors
/// The note cannot be read, or this boot cannot be told.
pub(super) fn was_cut(ground: &Ground, set: &Digest) -> Result<bool, String> {
    let path = path(ground);
    let note = match std::fs::read_to_string(&path) {
        Ok(note) => note,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(format!("reading {}: {error}; remove it", path.display())),
    };
    let Some((of, boot)) = note.trim().split_once(' ') else { return Ok(true) };
    Ok(of == set.as_str() && boot != ground.boot_id()?)
}

fn path(ground: &Ground) -> PathBuf {
    ground.rooms.state.join(FILE)
}
