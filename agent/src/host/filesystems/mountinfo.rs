//! The kernel's table of mounts (`/proc/PID/mountinfo`), and which of them a path really leads to.
//!
//! It must never touch a mount: it only reads the table.

use std::collections::HashMap;

use serde::Serialize;

use crate::host::HostError;

/// One line of the table, escapes undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Mount {
    /// The kernel's number of this mount.
    pub(crate) id: u64,
    /// The mount it is mounted on.
    pub(crate) parent: u64,
    /// Device number of the superblock, `major:minor`.
    pub(crate) device_number: String,
    /// What part of the filesystem is mounted; `/` unless it is a bind mount or a subvolume.
    pub(crate) root: String,
    /// Where.
    pub(crate) mount_point: String,
    /// Options of this mount alone, comma separated.
    pub(crate) options: String,
    /// Filesystem type.
    pub(crate) kind: String,
    /// What is mounted, as mount(8) was told.
    pub(crate) device: String,
    /// Options of the superblock, shared by all its mounts.
    pub(crate) super_options: String,
}

impl Mount {
    /// Read-only by this mount's own option.
    pub(crate) fn is_read_only_here(&self) -> bool {
        has_option(&self.options, "ro")
    }

    /// Nothing can be written to the filesystem, through whatever mount. Newer kernels leave `rw` in place when ext4
    /// gives up after an error, and say `emergency_ro` or `shutdown` instead.
    pub(crate) fn is_superblock_read_only(&self) -> bool {
        ["ro", "emergency_ro", "shutdown"].iter().any(|option| has_option(&self.super_options, option))
    }
}

/// Whether a comma separated list has an option.
pub(super) fn has_option(options: &str, wanted: &str) -> bool {
    options.split(',').any(|option| option == wanted)
}

/// Reads the whole table. One line that is not of the known form makes all of it untrustworthy.
pub(crate) fn parse_mountinfo(text: &str) -> Result<Vec<Mount>, HostError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(index, line)| {
            parse_line(line).map_err(|why| HostError::Parse {
                what: "mountinfo".to_owned(),
                why: format!("line {}: {why}: {line:?}", index + 1),
            })
        })
        .collect()
}

fn parse_line(line: &str) -> Result<Mount, &'static str> {
    let (left, right) = line.split_once(" - ").ok_or("no ` - ` before the filesystem type")?;
    let mut left = left.split(' ');
    let mut next = || left.next().ok_or("fewer than six fields before ` - `");
    let id = next()?.parse().map_err(|_| "the mount's number is not a number")?;
    let parent = next()?.parse().map_err(|_| "the parent's number is not a number")?;
    let device_number = next()?;
    if device_number.split_once(':').is_none_or(|(a, b)| a.parse::<u32>().is_err() || b.parse::<u32>().is_err()) {
        return Err("the device is not of the form major:minor");
    }
    let (root, mount_point, options) = (next()?, next()?, next()?);
    let mut right = right.splitn(3, ' ');
    let kind = right.next().filter(|kind| !kind.is_empty()).ok_or("no filesystem type")?;
    let device = right.next().ok_or("no source")?;
    Ok(Mount {
        id,
        parent,
        device_number: device_number.to_owned(),
        root: unescape(root),
        mount_point: unescape(mount_point),
        options: options.to_owned(),
        kind: unescape(kind),
        device: unescape(device),
        super_options: right.next().unwrap_or_default().to_owned(),
    })
}

/// Undoes `\040` and its like (the kernel escapes blanks, tabs, newlines, `#` and backslashes).
pub(super) fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octal = bytes.get(at + 1..at + 4).filter(|_| byte == b'\\').and_then(octal);
        out.push(octal.unwrap_or(byte));
        at += if octal.is_some() { 4 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn octal(digits: &[u8]) -> Option<u8> {
    let value = digits.iter().try_fold(0_u32, |value, digit| Some(value * 8 + char::from(*digit).to_digit(8)?))?;
    u8::try_from(value).ok()
}

/// A table with the means to tell which mounts lie under others.
pub(super) struct Table<'a> {
    mounts: &'a [Mount],
    by_id: HashMap<u64, usize>,
}

impl<'a> Table<'a> {
    pub(super) fn new(mounts: &'a [Mount]) -> Self {
        Self { mounts, by_id: mounts.iter().enumerate().map(|(index, mount)| (mount.id, index)).collect() }
    }

    pub(super) fn mounts(&self) -> &'a [Mount] {
        self.mounts
    }

    /// The mount that hides this one: walking its mount point from the root leads into that other mount instead.
    pub(super) fn cover_of(&self, mount: &Mount) -> Option<&'a Mount> {
        // From the mount up to the root, each with the place where the next lower one leaves it.
        let mut chain: Vec<(&Mount, &str)> = vec![(mount, &mount.mount_point)];
        let mut below = mount;
        while let Some(&index) = self.by_id.get(&below.parent) {
            let above = &self.mounts[index];
            if chain.iter().any(|(seen, _)| seen.id == above.id) {
                break;
            }
            chain.push((above, &below.mount_point));
            below = above;
        }
        self.mounts.iter().find(|other| {
            // The way goes from `parent` to `leaves`; another mount on the way there catches it.
            let on_the_way = chain.iter().find(|(parent, _)| parent.id == other.parent && parent.id != other.id);
            on_the_way.is_some_and(|(_, leaves)| {
                chain.iter().all(|(link, _)| link.id != other.id) && lies_below(leaves, &other.mount_point)
            })
        })
    }

    /// Whether a path leads to a filesystem: some mount of it there is not hidden.
    pub(super) fn leads_to(&self, mount_point: &str, device_number: &str) -> bool {
        let there = |mount: &&Mount| mount.mount_point == mount_point && mount.device_number == device_number;
        self.mounts.iter().filter(there).any(|mount| self.cover_of(mount).is_none())
    }
}

/// Whether a path is another one or lies below it.
pub(super) fn lies_below(path: &str, top: &str) -> bool {
    top == "/" || path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
