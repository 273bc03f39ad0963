//! Backups and restore drills, by what they leave behind.
//!
//! It must never hold an opinion.

use serde::{Deserialize, Serialize};

/// What was found where a backup or the record of a drill should be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BackupSeen {
    /// The newest; absent where there is none at all.
    pub newest: Option<BackupCopy>,
    /// How many there are.
    pub count: u64,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupCopy {
    /// Its file name, or its key in the bucket.
    pub name: String,
    /// When it was made, seconds since 1970.
    pub unix_seconds: u64,
}
