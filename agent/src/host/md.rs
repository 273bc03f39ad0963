//! Software RAID by `/sys/block/md*/md` (the kernel's `Documentation/admin-guide/md.rst`).
//!
//! It must never take an attribute that it cannot read for a good one: it stays `None`.

use hardstand_core::observed::MdArray;

use super::kernel_dir::KernelDir;
use super::{Host, HostError};

const BLOCK: &str = "sys/block";
/// What the kernel writes where nothing is under way.
const NOTHING: &str = "none";

/// The arrays of this node, by name.
///
/// # Errors
/// `/sys/block` cannot be listed.
pub(crate) fn probe_arrays(host: &Host) -> Result<Vec<MdArray>, HostError> {
    let block = KernelDir::open(host, BLOCK)?;
    let names = block.names()?.into_iter().filter(|name| name.starts_with("md"));
    // One that is stopped meanwhile is gone.
    Ok(names.filter_map(|name| Some(array(&block.below(&name)?.below("md")?, name))).collect())
}

fn array(md: &KernelDir, name: String) -> MdArray {
    let files = md.names().unwrap_or_default();
    let device = |file: &String| {
        let device = file.strip_prefix("dev-")?.to_owned();
        Some((device, md.below(file).and_then(|dir| dir.text("state"))))
    };
    MdArray {
        name,
        level: md.text("level"),
        state: md.text("array_state"),
        raid_disks: md.text("raid_disks").and_then(|text| count(&text)),
        degraded: md.number("degraded"),
        action: md.text("sync_action"),
        progress: md.text("sync_completed").and_then(|text| progress(&text)),
        devices: files.iter().filter_map(device).collect(),
    }
}

/// `3`, or `3 (2)` while it is reshaped.
fn count(text: &str) -> Option<u64> {
    text.split(' ').next()?.parse().ok()
}

/// `1024 / 4096` in sectors, or `none`.
fn progress(text: &str) -> Option<f64> {
    if text == NOTHING {
        return None;
    }
    let (done, all) = text.split_once(" / ")?;
    let (done, all): (u64, u64) = (done.parse().ok()?, all.parse().ok()?);
    (all > 0).then(|| (done as f64 / all as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Scratch;

    #[test]
    fn arrays_are_read_with_their_devices() {
        let scratch = Scratch::new();
        let write = |file: &str, text: &str| drop(scratch.write(&format!("sys/block/md0/md/{file}"), text));
        scratch.write("sys/block/sda/size", "1\n");
        assert_eq!(probe_arrays(&scratch).unwrap(), []);
        for (file, text) in [
            ("level", "raid1\n"),
            ("array_state", "active\n"),
            ("raid_disks", "3 (2)\n"),
            ("degraded", "1\n"),
            ("sync_action", "recover\n"),
            ("sync_completed", "1024 / 4096\n"),
            ("dev-sda1/state", "in_sync\n"),
            ("dev-sdb1/state", "spare\n"),
        ] {
            write(file, text);
        }
        std::fs::create_dir_all(scratch.path("sys/block/md0/md/dev-sdc1")).unwrap();
        std::fs::create_dir_all(scratch.path("sys/block/md1/md")).unwrap();
        let text = |text: &str| Some(text.to_owned());
        let whole = MdArray {
            name: "md0".to_owned(),
            level: text("raid1"),
            state: text("active"),
            raid_disks: Some(3),
            degraded: Some(1),
            action: text("recover"),
            progress: Some(0.25),
            devices: vec![
                ("sda1".to_owned(), text("in_sync")),
                ("sdb1".to_owned(), text("spare")),
                ("sdc1".to_owned(), None),
            ],
        };
        let bare = MdArray { name: "md1".to_owned(), ..MdArray::default() };
        assert_eq!(probe_arrays(&scratch).unwrap(), [whole, bare]);
        write("sync_completed", "none\n");
        assert_eq!(probe_arrays(&scratch).unwrap()[0].progress, None);
    }
}
