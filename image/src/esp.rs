//! The EFI system partition as a file: mkfs.vfat and mtools, no mount, no loop device. Same input, same bytes.

use std::path::Path;
use std::time::Duration;

use hardstand_exec::{Run, find};

use crate::problem::{Doing, Problem};

/// Copying a UKI into an image file is a matter of the disk's speed.
const LIMIT: Duration = Duration::from_secs(300);
/// Where every firmware looks when nothing else is set up. Source: UEFI 2.10, 3.5.1.1.
pub(crate) const REMOVABLE_PATH: &str = "EFI/BOOT/BOOTX64.EFI";

/// Makes a FAT32 file system of `bytes` in `image` that holds `uki` as the removable-media loader.
pub(crate) async fn make(image: &Path, bytes: u64, volume_id: u32, uki: &Path, clock: u64) -> Result<(), Problem> {
    let doing = || format!("making {}", image.display());
    let file = std::fs::File::create(image).doing(doing)?;
    file.set_len(bytes).doing(doing)?;
    drop(file);
    let tool = |name: &str, package: &str| {
        find(name)
            .map(|path| Run::new(path, LIMIT).env("SOURCE_DATE_EPOCH", clock.to_string()).env("TZ", "UTC"))
            .ok_or_else(|| Problem::Refused(format!("{name} is missing; install {package}")))
    };
    tool("mkfs.vfat", "dosfstools")?
        .args(["--invariant", "-F", "32", "-n", "HARDSTAND", "-i", &format!("{volume_id:08x}")])
        .arg(image)
        .success()
        .await
        .doing(doing)?;
    tool("mmd", "mtools")?.arg("-i").arg(image).args(["::/EFI", "::/EFI/BOOT"]).success().await.doing(doing)?;
    tool("mcopy", "mtools")?
        .arg("-i")
        .arg(image)
        .arg(uki)
        .arg(format!("::/{REMOVABLE_PATH}"))
        .success()
        .await
        .doing(doing)?;
    Ok(())
}
