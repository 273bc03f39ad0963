//! Plans: which nodes, in which order, with exactly which packages and which kind of reboot. A value, never changed.
//!
//! It must never leave a choice to what executes it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::audit::hex;
use crate::status::Brief;

/// One package that changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// Its architecture (`amd64`, `all`).
    pub architecture: String,
    /// The version it has; `None`: it is new.
    pub from: Option<String>,
    /// The version it gets; `None`: it is removed.
    pub to: Option<String>,
    /// Whether the new version comes from a security archive.
    pub security: bool,
}

/// Everything that one upgrade of a node changes. Sorted by name; empty: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PackageSet(Vec<PackageChange>);

impl PackageSet {
    /// A set in its one order.
    pub fn new(mut changes: Vec<PackageChange>) -> Self {
        changes.sort();
        changes.dedup();
        Self(changes)
    }

    /// The changes, by name.
    pub fn changes(&self) -> &[PackageChange] {
        &self.0
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every change is a security update.
    pub fn is_all_security(&self) -> bool {
        self.0.iter().all(|change| change.security)
    }

    /// SHA-256 in hex over names, architectures and versions: what the deny list and canaries know a set by.
    pub fn id(&self) -> String {
        let mut hasher = Sha256::new();
        for change in &self.0 {
            for text in [&change.name, &change.architecture, change.from.as_ref().unwrap_or(&String::new())] {
                hasher.update((text.len() as u64).to_be_bytes());
                hasher.update(text.as_bytes());
            }
            let to = change.to.as_deref().unwrap_or("-");
            hasher.update((to.len() as u64).to_be_bytes());
            hasher.update(to.as_bytes());
        }
        hex(&hasher.finalize())
    }
}

/// What a node would install now, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updates {
    /// The exact set, resolved by the node's own package manager.
    pub packages: PackageSet,
    /// What a reboot would be needed for afterwards.
    pub reboot: Reboot,
    /// The newest bootable kernel afterwards; `None`: it stays.
    pub kernel: Option<String>,
    /// How long this very set has been on offer here, in seconds of this node's own time.
    pub on_offer_seconds: u64,
    /// The last refresh that operators asked for and that this answers ([`crate::rollout::Ask`]).
    pub answers: u64,
    /// Bytes to fetch.
    pub download_bytes: u64,
    /// Why the set could not be resolved; then the rest says nothing.
    pub failed: Option<String>,
}

/// How much of a restart it takes. The least that is enough is planned, with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RebootKind {
    /// Nothing restarts.
    None,
    /// Services that still run the old code restart.
    Services,
    /// User space restarts, the kernel stays.
    SoftReboot,
    /// The new kernel starts without firmware; only where the node declares it.
    Kexec,
    /// Through firmware.
    Full,
}

impl RebootKind {
    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Services => "services",
            Self::SoftReboot => "soft-reboot",
            Self::Kexec => "kexec",
            Self::Full => "full",
        }
    }

    /// Whether a new boot id proves it (S8). A soft reboot keeps the kernel and its boot id.
    pub fn changes_boot_id(self) -> bool {
        matches!(self, Self::Kexec | Self::Full)
    }
}

/// A kind of reboot and why it is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reboot {
    /// The kind.
    pub kind: RebootKind,
    /// Why this one and no lesser one.
    pub why: String,
}

/// One node's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePlan {
    /// The node.
    pub node: String,
    /// Its group.
    pub group: String,
    /// Whether it goes alone in its group, whatever `max_down` allows (S14, S15).
    pub alone: bool,
    /// What is installed. Empty: nothing, for a reboot alone.
    pub packages: PackageSet,
    /// What is rebooted.
    pub reboot: Reboot,
    /// Whether the node's services are drained first.
    pub drain: bool,
    /// For how long at most it stays drained, in seconds, until a person sends it back; 0: it goes on.
    #[serde(default)]
    pub stay_seconds: u64,
    /// The kernel that must run afterwards; `None`: the one that runs now.
    pub kernel: Option<String>,
    /// Findings that stood before the rollout: afterwards it may be no worse.
    pub baseline: Vec<Brief>,
    /// What it is expected to take.
    pub estimate_seconds: u64,
}

/// Limits of one node's journey, in seconds. The sum is the lease's deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// From grant to entry. A lease not entered by then is taken back.
    pub grant_seconds: u64,
    /// Fetching packages.
    pub stage_seconds: u64,
    /// Draining.
    pub drain_seconds: u64,
    /// Installing packages.
    pub patch_seconds: u64,
    /// From the order to reboot to the new boot.
    pub reboot_seconds: u64,
    /// From the new boot to gates that held for the streak.
    pub verify_seconds: u64,
    /// Taking services back.
    pub restore_seconds: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            grant_seconds: 300,
            stage_seconds: 1_800,
            drain_seconds: 1_800,
            patch_seconds: 3_600,
            reboot_seconds: 1_200,
            verify_seconds: 1_800,
            restore_seconds: 600,
        }
    }
}

impl Timeouts {
    /// From grant to release at the latest.
    pub fn whole_seconds(&self) -> u64 {
        self.grant_seconds
            + self.stage_seconds
            + self.drain_seconds
            + self.patch_seconds
            + self.reboot_seconds
            + self.verify_seconds
            + self.restore_seconds
    }
}

/// The whole, named by the SHA-256 of its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What people call it: `2026-12`.
    pub name: String,
    /// Higher than that of every plan before it; a node refuses a lower one than it has seen (S10).
    pub serial: u64,
    /// The policy it was made under, by its hash.
    pub policy: String,
    /// The nodes in their order.
    pub nodes: Vec<NodePlan>,
    /// Limits.
    pub timeouts: Timeouts,
    /// How long gates must hold after a reboot.
    pub streak_seconds: u64,
    /// Who made it.
    pub by: String,
    /// Seconds since 1970 by the maker's clock; for people.
    pub made_unix_seconds: u64,
}

impl Plan {
    /// One node's part.
    pub fn of(&self, node: &str) -> Option<&NodePlan> {
        self.nodes.iter().find(|part| part.node == node)
    }
}
