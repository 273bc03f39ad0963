//! Declared backups and drills (`[[backup]]`): the newest of them, by file or by object.
//!
//! It must never take a file that is still being written for a backup, and never show a secret.

pub(crate) mod files;
pub(crate) mod s3;
mod sign;

pub(crate) use sign::encoded;
