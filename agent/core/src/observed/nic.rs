//! Network interfaces as the kernel counts them.

use serde::{Deserialize, Serialize};

/// `operstate` of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperState {
    /// Can carry packets.
    Up,
    /// Cannot.
    Down,
    /// The layer below is down.
    LowerLayerDown,
    /// Waiting for something (802.1X).
    Dormant,
    /// The driver does not say (loopback, some tunnels).
    Unknown,
    /// Another word of a newer kernel.
    Other,
}

/// One interface (`/sys/class/net`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Its name now.
    pub name: String,
    /// Its MAC address, lower case with colons.
    pub mac: String,
    /// A device of its own (PCI, USB, virtio), not a bridge, bond, tap or veth.
    pub physical: bool,
    /// Kind of a virtual interface: `bond`, `bridge`, `vlan`..., where the kernel says.
    pub kind: Option<String>,
    /// Set up by an administrator (`IFF_UP`).
    pub admin_up: bool,
    /// What the driver says.
    pub oper_state: OperState,
    /// Whether a carrier is seen; `None` while the interface is administratively down.
    pub carrier: Option<bool>,
    /// Times the carrier changed since the driver came up.
    pub carrier_changes: u64,
    /// Speed in bytes per second, where the driver knows it.
    pub speed_bytes_per_second: Option<u64>,
    /// Largest packet in bytes.
    pub mtu_bytes: u64,
    /// The bond or bridge this interface belongs to.
    pub master: Option<String>,
    /// For a bond: members that are up, and members in all.
    pub bond_active_of: Option<(u64, u64)>,
    /// Bytes, packets, errors, drops received since the driver came up.
    pub receive: [u64; 4],
    /// Bytes, packets, errors, drops sent since the driver came up.
    pub transmit: [u64; 4],
}
