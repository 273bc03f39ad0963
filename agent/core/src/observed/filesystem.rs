//! Mounted filesystems.

use serde::{Deserialize, Serialize};

use crate::reading::Reading;

/// Space and inodes of one filesystem (`statvfs`). Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// Size.
    pub size_bytes: u64,
    /// Free, including what is reserved for root.
    pub free_bytes: u64,
    /// Free for everybody.
    pub available_bytes: u64,
    /// Inodes; 0 where the filesystem has no fixed number.
    pub inodes: u64,
    /// Free inodes.
    pub inodes_free: u64,
}

/// One mount that stores something (pseudo filesystems are left out).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// Where it is mounted.
    pub mount_point: String,
    /// What is mounted.
    pub device: String,
    /// Its type, as the kernel names it.
    pub kind: String,
    /// Whether it is mounted read-only (by mount option or by the superblock).
    pub read_only: bool,
    /// Read-only because it was mounted so by design (squashfs, iso9660, erofs, or `ro` in fstab).
    pub read_only_by_design: bool,
    /// Errors the filesystem itself has counted (`/sys/fs/ext4/*/errors_count`), where it counts them.
    pub errors: Option<u64>,
    /// Space; unknown when `statvfs` failed or hangs (the mount is then stuck).
    pub space: Reading<Space>,
    /// `statvfs` did not come back in time.
    pub stuck: bool,
}
