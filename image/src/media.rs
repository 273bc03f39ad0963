//! The media a machine boots from: `netboot/` for servers, `disk.img` for disks and sticks. Made from the boot files
//! that are already there.

use std::fs;
use std::path::Path;

use hardstand_recipe::layout::DiskLayout;
use hardstand_recipe::plan::Plan;
use hardstand_recipe::tree::Tree;

use crate::output::Partial;
use crate::problem::{Doing, Problem};
use crate::{disk, esp, ext4, files};

/// Writes what the plan asks for; returns the layout of the disk if one was made.
pub(crate) async fn write(
    plan: &Plan,
    out: &Partial,
    tree: &Tree,
    uki_bytes: u64,
    scratch: &Path,
) -> Result<Option<DiskLayout>, Problem> {
    if plan.netboot {
        netboot(out, &plan.cmdline)?;
    }
    let Some(disk_plan) = &plan.disk else { return Ok(None) };
    let layout = disk_plan.layout(uki_bytes);
    let esp_file = scratch.join("esp.img");
    let volume = u32::from_le_bytes(std::array::from_fn(|at| layout.id.0[at]));
    let mut contents = vec![esp_file.as_path()];
    let root_file = scratch.join("root.img");
    for partition in &layout.partitions {
        match (&disk_plan.root, partition.wanted.name) {
            (Some((id, bytes, label)), "root") => {
                let names = ext4::Names { label, id: *id };
                ext4::make(&root_file, *bytes, &names, tree, scratch, plan.clock).await?;
                contents.push(&root_file);
            }
            _ => esp::make(&esp_file, partition.bytes, volume, &out.path("uki.efi"), plan.clock).await?,
        }
    }
    disk::assemble(&out.path("disk.img"), &layout, &contents)?;
    Ok(Some(layout))
}

/// What a DHCP, TFTP and HTTP server serves: the UKI for UEFI firmware, kernel and initrd with an iPXE script for the rest.
fn netboot(out: &Partial, cmdline: &str) -> Result<(), Problem> {
    let dir = out.path("netboot");
    files::make_dir(&dir)?;
    for name in ["uki.efi", "vmlinuz", "initrd"] {
        fs::hard_link(out.path(name), dir.join(name)).doing(|| format!("linking {name} into netboot"))?;
    }
    // iPXE resolves relative names against the address the script came from.
    let script = format!(
        "#!ipxe\n# Serve this directory over HTTP and chain to this file.\nkernel vmlinuz initrd=initrd {cmdline}\ninitrd initrd\nboot\n"
    );
    files::write(&dir.join("boot.ipxe"), script.as_bytes())
}
