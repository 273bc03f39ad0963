//! PCI Express: how wide and fast links are, and the errors that devices report (AER).
//!
//! It must never hold an opinion.

use serde::{Deserialize, Serialize};

/// A device that has a link of its own or counts errors. What has neither (most of a chipset) is not listed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PciDevice {
    /// `0000:01:00.0`.
    pub address: String,
    /// `VENDOR:DEVICE`, four hexadecimal digits each: another card in the same slot is another device.
    pub id: String,
    /// Class, subclass and interface, as three bytes.
    pub class: u32,
    /// The driver that is bound to it.
    pub driver: Option<String>,
    /// Its link; `None` where there is none, nothing is plugged in, or the device sleeps.
    pub link: Option<PciLink>,
    /// Errors since the kernel found it; `None` where it counts none.
    pub errors: Option<PciErrors>,
}

impl PciDevice {
    /// A bridge or port: its slot may well be wider than what is in it.
    pub fn is_bridge(&self) -> bool {
        self.class >> 8 == 0x0604
    }

    /// Storage or network: such a device does not lower its link's speed to save power.
    pub fn keeps_its_speed(&self) -> bool {
        matches!(self.class >> 16, 0x01 | 0x02)
    }
}

/// A link as it was negotiated, and as both ends of it say they could.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PciLink {
    /// Lanes in use.
    pub width: u64,
    /// Lanes the device has.
    pub max_width: u64,
    /// Speed in use, in millions of transfers per second and lane.
    pub megatransfers: u64,
    /// The device's highest.
    pub max_megatransfers: u64,
}

/// What a device reported.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PciErrors {
    /// Mended by the hardware.
    pub correctable: AerCounts,
    /// A transaction is lost, the link is not.
    pub nonfatal: AerCounts,
    /// The link cannot be relied on any more.
    pub fatal: AerCounts,
}

/// One severity.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AerCounts {
    /// All of them.
    pub total: u64,
    /// By the kernel's name of the kind; those that never happened are left out.
    pub kinds: Vec<(String, u64)>,
}
