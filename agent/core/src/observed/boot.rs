//! The running kernel, the newest one that could boot, and why a reboot is due.

use serde::{Deserialize, Serialize};

use crate::reading::Reading;

/// One kernel that could boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelImage {
    /// Release, as `uname -r` would say.
    pub release: String,
    /// Where it lies.
    pub path: String,
    /// Whether everything it needs to boot is there (its initrd, its modules).
    pub bootable: bool,
}

/// Why a reboot is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum RebootReason {
    /// A newer kernel would boot next.
    NewerKernel {
        /// Release that runs.
        running: String,
        /// Release that would boot.
        newest: String,
    },
    /// `/run/reboot-required` (or `/var/run`) exists; the packages it names.
    Requested {
        /// Packages named in `reboot-required.pkgs`.
        packages: Vec<String>,
    },
    /// A library or program that PID 1 or another long-lived process holds was replaced after boot.
    Replaced {
        /// What was replaced (`libc6`, `dbus`, `systemd`, `intel-microcode`).
        what: String,
    },
}

impl RebootReason {
    /// The label used in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NewerKernel { .. } => "kernel",
            Self::Requested { .. } => "requested",
            Self::Replaced { .. } => "replaced",
        }
    }
}

/// Kernel and boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Running release.
    pub release: String,
    /// Running version string.
    pub version: String,
    /// Kernel command line.
    pub command_line: String,
    /// When it was booted, seconds since 1970 by this node's clock.
    pub booted_unix_seconds: u64,
    /// Kernels on this machine, newest first; unknown where they cannot be listed.
    pub installed: Reading<Vec<KernelImage>>,
    /// Why a reboot is due; empty when none is. Unknown where it cannot be told.
    pub reboot: Reading<Vec<RebootReason>>,
}
