//! Replaces a file so that after a cut at any instruction either the old or the new one is there, whole.
//!
//! It must never write into the file that is there, and never report success before the disk has it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The steps of one replacement, in their order. What was done before a cut is what a test asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The new file is made beside the old one.
    Create,
    /// Its bytes are written.
    Write,
    /// They are on the disk.
    SyncFile,
    /// It takes the name of the old one.
    Rename,
    /// The name is on the disk.
    SyncDirectory,
}

/// Replaces `path` by a file with these bytes, readable by its owner alone.
///
/// # Errors
/// The system's answer; the old file, or its absence, is then as it was, or the new one is whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, bytes, |_stage| Ok(()))
}

/// As [`replace`]; `before` is asked before each stage, and its error cuts the replacement there.
pub(crate) fn replace_with(
    path: &Path,
    bytes: &[u8],
    mut before: impl FnMut(Stage) -> io::Result<()>,
) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let next = beside(path);
    before(Stage::Create)?;
    let mut file = create_private(&next)?;
    before(Stage::Write)?;
    file.write_all(bytes)?;
    before(Stage::SyncFile)?;
    file.sync_all()?;
    before(Stage::Rename)?;
    std::fs::rename(&next, path)?;
    before(Stage::SyncDirectory)?;
    File::open(directory)?.sync_all()
}

/// Where the new file grows. One left by a cut is written over by the next replacement.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".next");
    path.with_file_name(name)
}

fn create_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}
