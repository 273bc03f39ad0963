//! The inventory: what the machine is made of, from sysfs, procfs, SMBIOS and the EFI variables.
//!
//! It must never fail for one part that cannot be read: that part is Unknown, or absent where the machine has none.

pub(crate) mod cpu;
pub(crate) mod efi;
pub(crate) mod machine;
pub(crate) mod ports;
pub(crate) mod smbios;

use hardstand_core::Reading;
use hardstand_core::observed::{Dimm, Dmi, FirmwareType, Inventory};

use super::load::parse_meminfo;
use super::{Host, HostError, disks};
use crate::helper::Client;

/// Takes the inventory; asks the helper for what only root may read.
///
/// # Errors
/// `/proc/meminfo`, `/proc/cpuinfo` or the list of disks cannot be read or is not of its form.
pub(crate) async fn probe_inventory(host: &Host, helper: &Client) -> Result<Inventory, HostError> {
    let firmware = machine::firmware(host);
    let memory = parse_meminfo(&host.read("proc/meminfo")?)?;
    let cpu = cpu::cpu_info(host)?;
    let dmi = machine::dmi(host);
    let virtualisation = machine::virtualisation(host, &dmi)?;
    let boot_entries = match firmware {
        FirmwareType::Bios => Reading::Known(Vec::new()),
        FirmwareType::Uefi => helper.boot_entries().await.into(),
    };
    Ok(Inventory {
        machine_id: host.attribute("etc/machine-id"),
        operating_system: machine::operating_system(host),
        cpu,
        memory_bytes: memory.iter().find(|(name, _)| name == "MemTotal").map_or(0, |(_, bytes)| *bytes),
        dimms: dimms(host, helper).await,
        dmi: with_serials(dmi, host, helper).await,
        firmware,
        secure_boot: efi::secure_boot(host, firmware),
        boot_entries,
        tpm: machine::tpm(host),
        virtualisation,
        nics: ports::nic_infos(host)?,
        disks: disks::probe_disks(host)?,
    })
}

async fn dimms(host: &Host, helper: &Client) -> Reading<Vec<Dimm>> {
    if !host.path("sys/firmware/dmi").exists() {
        return Reading::unknown(
            "this machine has no SMBIOS table (/sys/firmware/dmi), so its memory slots are not known",
        );
    }
    helper.dimms().await.into()
}

/// Serial numbers are root's alone; without the helper they stay absent.
async fn with_serials(mut dmi: Dmi, host: &Host, helper: &Client) -> Dmi {
    if host.path("sys/class/dmi/id").exists()
        && (dmi.product_serial.is_none() || dmi.product_uuid.is_none())
        && let Ok(serials) = helper.dmi_serials().await
    {
        dmi.product_serial = dmi.product_serial.or(serials.product_serial);
        dmi.product_uuid = dmi.product_uuid.or(serials.product_uuid);
    }
    dmi
}

#[cfg(test)]
mod tests;
