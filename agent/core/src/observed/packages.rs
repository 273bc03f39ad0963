//! dpkg and apt, read from their own files.

use serde::{Deserialize, Serialize};

use crate::reading::Reading;

/// A package with a newer version in the lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PendingPackage {
    /// Name.
    pub name: String,
    /// Architecture of the installed one.
    pub arch: String,
    /// Installed version.
    pub installed: String,
    /// Version in the lists.
    pub candidate: String,
    /// `Origin/Suite` of the list it comes from, for example `Debian/stable-security`.
    pub origin: String,
    /// From a security list.
    pub security: bool,
    /// Held back by the operator.
    pub held: bool,
}

/// A package that dpkg left in the middle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalfConfigured {
    /// Name.
    pub name: String,
    /// dpkg's word: `half-installed`, `unpacked`, `half-configured`, `triggers-awaited`, `triggers-pending`.
    pub state: String,
}

/// The package system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Packages {
    /// How many are installed.
    pub installed: u64,
    /// Packages that dpkg left in the middle.
    pub half_configured: Vec<HalfConfigured>,
    /// Names on hold.
    pub held: Vec<String>,
    /// Newer versions in the local lists; unknown where there are no lists.
    pub pending: Reading<Vec<PendingPackage>>,
    /// When the lists were last refreshed, seconds since 1970; unknown where there are none.
    pub lists_refreshed_unix_seconds: Reading<u64>,
    /// dpkg's journal (`/var/lib/dpkg/updates`) is not empty: an operation was cut off or is under way.
    pub dpkg_interrupted: bool,
}
