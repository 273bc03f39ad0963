//! Small files of procfs and sysfs, read cheaply: a directory is held open and its files are opened below it, each
//! with one open, one read and no allocation beyond the value. Where the same files are read in every pass they stay
//! open ([`KernelDir::keeping`], [`ProcFile`]) and are read again from their beginning, which makes the kernel write
//! them anew. A file of sysfs that was open when its device went away answers ENODEV for ever, also when another
//! device has come under the same name; so an open file never tells of another device than the one it was opened for.
//!
//! It must never hold a value between two passes, and never turn what cannot be read into a default.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::{Mode, fstatat};
use nix::sys::uio::pread;

use super::{Host, HostError};

/// sysfs never gives more than a page per attribute.
const PAGE: usize = 4096;
/// How the buffer of a file of procfs grows; `/proc/stat` of a large machine needs more than one such step.
const PROC_FILE: usize = 16 << 10;
/// Most that is read of a file of procfs. The longest (`/proc/stat` with thousands of interrupts) stays below 1 MiB.
const PROC_LIMIT: u64 = 8 << 20;

/// A directory below [`Host`], held open for reading the files in it.
#[derive(Debug)]
pub(crate) struct KernelDir {
    fd: OwnedFd,
    path: PathBuf,
    /// Files that stay open, by name, where they do.
    kept: Option<RefCell<Vec<(String, OwnedFd)>>>,
}

/// A file of procfs that stays open between passes. It must be one that tells of the whole machine, not of a process
/// or a device that may go away.
#[derive(Debug)]
pub(crate) struct ProcFile {
    relative: &'static str,
    open: Option<File>,
    bytes: Vec<u8>,
}

/// What tells a directory of sysfs from any other, also from a later one of the same name: its number, which the
/// kernel does not use twice between boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(u64, u64);

impl KernelDir {
    /// Opens a directory of the machine, given without its leading slash.
    pub(crate) fn open(host: &Host, relative: impl AsRef<Path>) -> Result<Self, HostError> {
        Self::at(host.path(relative))
    }

    /// As [`KernelDir::open`], but `None` where the kernel has no such directory.
    pub(crate) fn open_if_there(host: &Host, relative: impl AsRef<Path>) -> Result<Option<Self>, HostError> {
        match Self::open(host, relative) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn at(path: PathBuf) -> Result<Self, HostError> {
        count_opening();
        match open(&path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path, kept: None }),
            Err(errno) => Err(HostError::Read { path, source: errno.into() }),
        }
    }

    /// A directory in this one; `None` when it is not there (any more).
    pub(crate) fn below(&self, name: &str) -> Option<Self> {
        count_opening();
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::empty()).ok()?;
        Some(Self { fd, path: self.path.join(name), kept: None })
    }

    /// The same directory, whose files stay open once they have been read. For one that is kept between passes.
    pub(crate) fn keeping(self) -> Self {
        Self { kept: Some(RefCell::default()), ..self }
    }

    /// Which directory a name in this one leads to now; `None` when to none.
    pub(crate) fn identity_of(&self, name: &str) -> Option<Identity> {
        let stat = fstatat(&self.fd, name, nix::fcntl::AtFlags::empty()).ok()?;
        Some(Identity(stat.st_dev, stat.st_ino))
    }

    /// The names in it, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>, HostError> {
        let failed = |source| HostError::Read { path: self.path.clone(), source };
        let mut names = Vec::new();
        count_opening();
        for entry in std::fs::read_dir(&self.path).map_err(failed)? {
            // The kernel's names are ASCII; another name cannot be one of those we look for.
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Whether it has such an entry.
    pub(crate) fn has(&self, name: &str) -> bool {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        openat(&self.fd, name, flags, Mode::empty()).is_ok()
    }

    /// Bytes of a small file, handed to `use_bytes`.
    fn page<T>(&self, name: &str, use_bytes: impl FnOnce(&[u8]) -> T) -> Result<T, Errno> {
        let mut page = [0; PAGE];
        if let Some(kept) = &self.kept
            && let Some(read) = read_kept(&mut kept.borrow_mut(), name, &mut page)
        {
            return Ok(use_bytes(&page[..read]));
        }
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        count_opening();
        let file = openat(&self.fd, name, flags, Mode::empty())?;
        let read = nix::unistd::read(&file, &mut page)?;
        if let Some(kept) = &self.kept {
            kept.borrow_mut().push((name.to_owned(), file));
        }
        Ok(use_bytes(&page[..read]))
    }

    /// As [`KernelDir::page`], trimmed of blanks and NULs at both ends.
    fn with<T>(&self, name: &str, use_bytes: impl FnOnce(&[u8]) -> T) -> Result<T, Errno> {
        self.page(name, |bytes| use_bytes(trimmed(bytes)))
    }

    /// The trimmed text of an optional file; `None` when it is absent, cannot be read or is empty.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let text = self.with(name, |bytes| String::from_utf8_lossy(bytes).into_owned()).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// The bytes of an optional binary file (a page at most); `None` when it is absent or cannot be read.
    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.page(name, <[u8]>::to_vec).ok()
    }

    /// A number in an optional file; `None` when it is absent, cannot be read or is no number.
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.with(name, parse_bytes).ok().flatten()
    }

    /// Whether an optional file holds `1`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.with(name, |bytes| bytes == b"1").unwrap_or(false)
    }

    /// A number that must be there. Errors name the file and what it holds.
    pub(crate) fn required<T: FromStr>(&self, name: &str) -> Result<T, HostError> {
        self.required_as(name, "a number", parse_bytes)
    }

    /// A value that must be there, in a form of its own; `form` names the form in the error.
    pub(crate) fn required_as<T>(
        &self,
        name: &str,
        form: &str,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, HostError> {
        self.with(name, |bytes| {
            parse(bytes).ok_or_else(|| HostError::Parse {
                what: self.path.join(name).display().to_string(),
                why: format!("{:?} is not {form}", shortened(bytes)),
            })
        })
        .map_err(|errno| HostError::Read { path: self.path.join(name), source: errno.into() })?
    }

    /// Where a symbolic link points, as written in it.
    pub(crate) fn link(&self, name: &str) -> Option<String> {
        readlinkat(&self.fd, name).ok()?.into_string().ok()
    }

    /// The last part of where a symbolic link points.
    pub(crate) fn link_name(&self, name: &str) -> Option<String> {
        let target = self.link(name)?;
        target.rsplit('/').find(|part| !part.is_empty()).map(str::to_owned)
    }
}

#[cfg(test)]
thread_local! {
    static OPENED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How many times something was opened on this thread.
#[cfg(test)]
pub(crate) fn opened() -> u64 {
    OPENED.get()
}

/// For tests of what a pass costs; nothing in the product.
fn count_opening() {
    #[cfg(test)]
    OPENED.set(OPENED.get() + 1);
}

/// Reads a file that is open; `None` when none is or it gives an error. Then it is closed, to be opened anew: the
/// attribute may be another one by now.
fn read_kept(kept: &mut Vec<(String, OwnedFd)>, name: &str, page: &mut [u8]) -> Option<usize> {
    let place = kept.iter().position(|(kept, _)| kept == name)?;
    let read = pread(&kept[place].1, page, 0).ok();
    if read.is_none() {
        kept.swap_remove(place);
    }
    read
}

impl ProcFile {
    /// A file given without its leading slash, not open yet.
    pub(crate) const fn new(relative: &'static str) -> Self {
        Self { relative, open: None, bytes: Vec::new() }
    }

    /// The whole file as it is now. Errors name it.
    pub(crate) fn read(&mut self, host: &Host) -> Result<&str, HostError> {
        let failed = |source| HostError::Read { path: host.path(self.relative), source };
        let reread = self.open.as_ref().and_then(|file| read_from_start(file, &mut self.bytes).ok());
        let length = match reread {
            Some(length) => length,
            None => {
                self.open = None;
                count_opening();
                let file = File::open(host.path(self.relative)).map_err(failed)?;
                let length = read_from_start(&file, &mut self.bytes).map_err(failed)?;
                self.open = Some(file);
                length
            }
        };
        std::str::from_utf8(&self.bytes[..length]).map_err(|_error| HostError::Parse {
            what: host.path(self.relative).display().to_string(),
            why: "it is not UTF-8 text".to_owned(),
        })
    }
}

/// Reads until the kernel says that this is the end: a short read is not one. Gives the length.
fn read_from_start(file: &File, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut length = 0;
    loop {
        if bytes.len() < length + PAGE {
            bytes.resize(length + PROC_FILE, 0);
        }
        match file.read_at(&mut bytes[length..], length as u64)? {
            0 => break,
            read => length += read,
        }
        if length as u64 >= PROC_LIMIT {
            break;
        }
    }
    Ok(length)
}

/// Whether the error says that the thing is not there (any more), as when a device is pulled while it is read.
pub(crate) fn is_gone(error: &HostError) -> bool {
    let HostError::Read { source, .. } = error else { return false };
    matches!(
        source.raw_os_error().map(Errno::from_raw),
        Some(Errno::ENOENT | Errno::ENODEV | Errno::ENXIO | Errno::ENOTDIR)
    )
}

/// The text of bytes as an error shows them: not more than a line of it.
pub(crate) fn shortened(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned()
}

fn parse_bytes<T: FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn trimmed(mut bytes: &[u8]) -> &[u8] {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    while let [rest @ .., last] = bytes
        && blank(last)
    {
        bytes = rest;
    }
    while let [first, rest @ ..] = bytes
        && blank(first)
    {
        bytes = rest;
    }
    bytes
}
