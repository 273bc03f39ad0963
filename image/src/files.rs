//! Files: read whole, write once and atomically, hash. No decision about content.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};

use crate::problem::{Doing, Problem};

/// Reads a file whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).doing(|| format!("reading {}", path.display()))
}

/// Reads a text file whole.
pub(crate) fn read_text(path: &Path) -> Result<String, Problem> {
    fs::read_to_string(path).doing(|| format!("reading {}", path.display()))
}

/// Makes a directory and its parents.
pub(crate) fn make_dir(path: &Path) -> Result<(), Problem> {
    fs::create_dir_all(path).doing(|| format!("making directory {}", path.display()))
}

/// Writes a file in place. For files inside a directory that nobody trusts before it is renamed as a whole.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    fs::write(path, bytes).doing(|| format!("writing {}", path.display()))
}

/// Writes a file so that a reader sees the old one or the whole new one: temporary name, fsync, rename.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Problem> {
    let doing = || format!("writing {}", path.display());
    let temporary = temporary_beside(path);
    let result = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result.doing(doing)
}

/// A name beside `path` that no other process uses.
pub(crate) fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}", unique()))
}

/// SHA-256 of bytes.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 of bytes, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&digest(bytes))
}

/// SHA-256 and size of a file, read in pieces.
pub(crate) fn sha256_file(path: &Path) -> Result<(String, u64), Problem> {
    let doing = || format!("reading {}", path.display());
    let mut file = fs::File::open(path).doing(doing)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let read = file.read(&mut piece).doing(doing)?;
        if read == 0 {
            return Ok((hex(&hash.finalize()), size));
        }
        hash.update(&piece[..read]);
        size += read as u64;
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A word no other call and no other process on this machine uses.
pub(crate) fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
