//! Files of keys and certificates: made once, synced, never replaced by accident.
//!
//! It must never overwrite a key, nor let one be read by others for a moment.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::TrustError;

/// Only its owner reads a key.
pub(super) const SECRET: u32 = 0o600;
/// Certificates and lists are for everybody.
pub(super) const PUBLIC: u32 = 0o644;

/// Writes a file that is not there yet.
pub(super) fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), TrustError> {
    let failed = |source| TrustError::File { doing: "making", path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    sync_room(path)
}

/// Makes a directory that only its owner enters, where there is none.
pub(super) fn make_room(dir: &Path) -> Result<(), TrustError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| TrustError::File { doing: "making", path: dir.to_owned(), source })
}

/// Replaces a file as a whole.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), TrustError> {
    let next = path.with_extension("next");
    let failed = |source| TrustError::File { doing: "writing", path: path.to_owned(), source };
    // A rest of a run that was cut off; the name is ours alone.
    match std::fs::remove_file(&next) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    write_new(&next, text, PUBLIC)?;
    std::fs::rename(&next, path).map_err(failed)?;
    sync_room(path)
}

/// Reads a file of ours.
pub(super) fn read(path: &Path) -> Result<String, TrustError> {
    std::fs::read_to_string(path).map_err(|source| TrustError::File { doing: "reading", path: path.to_owned(), source })
}

fn sync_room(path: &Path) -> Result<(), TrustError> {
    let room = path.parent().filter(|room| !room.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(room).and_then(|room| room.sync_all());
    synced.map_err(|source| TrustError::File { doing: "syncing", path: room.to_owned(), source })
}
