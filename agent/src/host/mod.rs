//! One module per outside system: its paths, its argv, its parser, its types.
//!
//! It must never judge: these modules say what is there. Files are read below [`Host::root`], so that a tree
//! captured from a real machine can stand in for one.

pub(crate) mod apt;
pub(crate) mod backups;
#[cfg(test)]
pub(crate) mod big;
pub(crate) mod boot;
#[cfg(test)]
pub(crate) mod captured;
pub(crate) mod ceph;
pub(crate) mod certificates;
pub(crate) mod clock;
pub(crate) mod disks;
pub(crate) mod filesystems;
#[cfg(test)]
mod garbage;
pub(crate) mod hardware;
pub(crate) mod hardware_errors;
pub(crate) mod https;
pub(crate) mod ipmi;
pub(crate) mod iscsi;
pub(crate) mod iscsi_target;
mod kernel_dir;
pub(crate) mod kubernetes;
pub(crate) mod load;
pub(crate) mod md;
pub(crate) mod multipath;
pub(crate) mod needrestart;
pub(crate) mod nics;
pub(crate) mod os_release;
pub(crate) mod packages;
pub(crate) mod pci;
pub(crate) mod proxmox;
pub(crate) mod quorum;
pub(crate) mod sensors;
pub(crate) mod services;
pub(crate) mod smart;
pub(crate) mod stale;
pub(crate) mod systemd;
pub(crate) mod truenas;
pub(crate) mod watchdog;
pub(crate) mod zfs;

use std::path::{Path, PathBuf};

/// The machine that is looked at: `/`, or a captured tree.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    root: PathBuf,
}

/// Why something could not be read. Each variant names where.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    /// A file or directory could not be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file or an output is not of the form it should have.
    #[error("parsing {what}: {why}")]
    Parse {
        /// The file, or the program whose output it is.
        what: String,
        /// What is wrong, with the line where there is one.
        why: String,
    },
    /// A service on the system bus did not answer as it should.
    #[error("asking {service}: {why}")]
    Bus {
        /// The bus name.
        service: &'static str,
        /// What went wrong.
        why: String,
    },
    /// The root helper is needed and did not answer.
    #[error("asking the helper: {why}")]
    Helper {
        /// What went wrong and what to do.
        why: String,
    },
    /// The collector itself is broken.
    #[error("{0}")]
    Broken(String),
    /// A system call failed.
    #[error("calling {call}: {source}")]
    Call {
        /// The call.
        call: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// The beginning of a foreign line, for an error that is shown: without control characters.
fn excerpt(line: &str) -> String {
    const SHOWN: usize = 120;
    line.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// The process of a program in our own control group that sleeps in the kernel and cannot be ended.
pub(crate) fn hung_program(host: &Host, name: &str) -> Option<u32> {
    let groups = host.read("proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let processes = host.read(format!("sys/fs/cgroup/{group}/cgroup.procs")).ok()?;
    let hangs = format!("{name}) D ");
    processes.lines().filter_map(|pid| pid.parse().ok()).find(|pid: &u32| {
        let stat = host.read_lossy(format!("proc/{pid}/stat")).unwrap_or_default();
        stat.split_once(" (").is_some_and(|(_, rest)| rest.starts_with(&hangs))
    })
}

impl Host {
    /// This machine.
    pub(crate) fn this() -> Self {
        Self::at("/")
    }

    /// A machine captured below `root`.
    pub(crate) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A path of the machine, given without its leading slash.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// A program of this machine, if it is installed.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let places = ["usr/sbin", "sbin", "usr/bin", "bin"];
        places.iter().map(|dir| self.path(dir).join(name)).find(|path| path.is_file())
    }

    /// A text file, given without its leading slash.
    pub(crate) fn read(&self, relative: impl AsRef<Path>) -> Result<String, HostError> {
        let path = self.path(relative);
        std::fs::read_to_string(&path).map_err(|source| HostError::Read { path, source })
    }

    /// A text file whose names may be in any encoding; what is not UTF-8 is replaced.
    pub(crate) fn read_lossy(&self, relative: impl AsRef<Path>) -> Result<String, HostError> {
        let path = self.path(relative);
        let bytes = std::fs::read(&path).map_err(|source| HostError::Read { path, source })?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// A small file's trimmed text, or `None` when it is absent, unreadable or empty (for optional attributes of sysfs).
    pub(crate) fn attribute(&self, relative: impl AsRef<Path>) -> Option<String> {
        let text = std::fs::read_to_string(self.path(relative)).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The names in a directory, sorted; empty when it is absent.
    pub(crate) fn names(&self, relative: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(relative)) else { return Vec::new() };
        let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }
}

/// A made-up machine in a directory of its own, for tests; it goes away with the value.
#[cfg(test)]
pub(crate) struct Scratch {
    host: Host,
    _dir: tempfile::TempDir,
}

#[cfg(test)]
impl Scratch {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { host: Host::at(dir.path()), _dir: dir }
    }

    /// Writes a file, with the directories above it.
    pub(crate) fn write(&self, relative: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, contents).unwrap();
        path
    }
}

#[cfg(test)]
impl std::ops::Deref for Scratch {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

/// Feeds a parser with damaged copies of a good text: bytes changed, cut out, doubled. Always the same ones.
#[cfg(test)]
pub(crate) fn feed_damaged(good: &str, parse: impl Fn(&str)) {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % u64::try_from(below.max(1)).unwrap()).unwrap()
    };
    const SPITE: &[u8] = b"\0\n\n :-\\/,9~\xff";
    for _ in 0..2000 {
        let mut bytes = good.as_bytes().to_vec();
        for _ in 0..=random(8) {
            let (at, end) = (random(bytes.len()), random(bytes.len()));
            match random(3) {
                0 => bytes[at] = SPITE[random(SPITE.len())],
                1 if at < end && bytes.len() > end - at => drop(bytes.drain(at..end)),
                _ => bytes.insert(at, SPITE[random(SPITE.len())]),
            }
        }
        parse(&String::from_utf8_lossy(&bytes));
    }
}
