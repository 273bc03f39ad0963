//! What a verb that changes the host must carry: whose errand it is, and when it was permitted.
//!
//! It must never take a word that could name a file, a unit or a program: everything here is a checked number or name.

use hardstand_core::lease::Token;
use serde::{Deserialize, Serialize};

/// A plan's or a package set's name: a SHA-256 in lowercase hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Digest(String);

impl Digest {
    /// Its text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(hex) {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is not a SHA-256 in lowercase hex"))
        }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

/// A kernel's release, as `uname -r` says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Release(String);

impl Release {
    /// The kernel's own limit (`__NEW_UTS_LEN`).
    const LONGEST: usize = 64;

    /// Its text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Release {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_' | '~');
        let starts_well = text.starts_with(|c: char| c.is_ascii_digit());
        if starts_well && text.len() <= Self::LONGEST && text.chars().all(good) {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is not a kernel release (6.12.57+deb13-amd64)"))
        }
    }
}

impl From<Release> for String {
    fn from(release: Release) -> Self {
        release.0
    }
}

/// A step that changes the host, as the helper remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Deed {
    /// Fetching packages. Changes nothing that runs, and needs no permit.
    Stage,
    /// Leaving service.
    Drain,
    /// Installing packages.
    Patch,
    /// Restarting.
    Reboot,
    /// Coming back into service. It gives back what was taken and needs no permit.
    Restore,
}

impl Deed {
    /// The word used everywhere.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Drain => "drain",
            Self::Patch => "patch",
            Self::Reboot => "reboot",
            Self::Restore => "restore",
        }
    }

    /// Whether its begin must be permitted by the store just before (S3).
    pub(crate) fn needs_permit(self) -> bool {
        matches!(self, Self::Drain | Self::Patch | Self::Reboot)
    }
}

/// One try at one step of one plan under one lease. The same errand is run once (S11).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Errand {
    /// The plan.
    pub(crate) plan: Digest,
    /// The lease.
    pub(crate) token: Token,
    /// Counted from 1. Another try is another errand, and has a permit of its own.
    pub(crate) attempt: u32,
}

impl Errand {
    /// Checks the token's form: it becomes a part of names.
    pub(crate) fn check(&self) -> Result<(), String> {
        /// Incarnations are UUIDs or as long.
        const LONGEST: usize = 64;
        let text = &self.token.incarnation;
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if text.is_empty() || text.len() > LONGEST || !text.chars().all(good) {
            return Err(format!("{text:?} is not an incarnation of a store"));
        }
        if self.attempt == 0 {
            return Err("attempts count from 1".to_owned());
        }
        Ok(())
    }
}

/// When the store's answer to the permitting transaction came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Permit {
    /// In this boot.
    pub(crate) boot_id: String,
    /// Milliseconds since that boot (CLOCK_BOOTTIME).
    pub(crate) answered_ms: u64,
}

/// A point of the journey at which hooks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Point {
    /// Before anything is stopped.
    PreDrain,
    /// When everything declared has stopped.
    PostDrain,
    /// Before the order to reboot.
    PreReboot,
    /// After a reboot whose gates held.
    PostBoot,
    /// Before the lease is given back.
    PreRelease,
}

impl Point {
    /// The word used everywhere.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::PreDrain => "pre-drain",
            Self::PostDrain => "post-drain",
            Self::PreReboot => "pre-reboot",
            Self::PostBoot => "post-boot",
            Self::PreRelease => "pre-release",
        }
    }

    /// The step it belongs to.
    pub(crate) fn deed(self) -> Deed {
        match self {
            Self::PreDrain | Self::PostDrain => Deed::Drain,
            Self::PreReboot => Deed::Patch,
            Self::PostBoot | Self::PreRelease => Deed::Restore,
        }
    }

    /// The units declared for it.
    pub(crate) fn units(self, hooks: &hardstand_core::settings::HookSettings) -> &[String] {
        match self {
            Self::PreDrain => &hooks.pre_drain,
            Self::PostDrain => &hooks.post_drain,
            Self::PreReboot => &hooks.pre_reboot,
            Self::PostBoot => &hooks.post_boot,
            Self::PreRelease => &hooks.pre_release,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_and_releases_are_taken_and_nothing_else() {
        assert!(Digest::try_from("a".repeat(64)).is_ok());
        for text in [String::new(), "A".repeat(64), "a".repeat(63), format!("{}/", "a".repeat(63))] {
            assert!(Digest::try_from(text).is_err());
        }
        for text in ["6.12.57+deb13-amd64", "6.8.12-4-pve", "6.1.0~rc3"] {
            assert!(Release::try_from(text.to_owned()).is_ok(), "{text}");
        }
        for text in ["", "../6", "6/1", "6 1", "vmlinuz", "-6", "6\n"] {
            assert!(Release::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
