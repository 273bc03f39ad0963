//! dpkg and apt state from their own files: what is installed, what is half-way, what is newer in the local lists.
//!
//! It must never touch the network, take the lock of dpkg or apt, or hold a list in memory: lists are 50 MB and more,
//! so they are read line by line, and only when something has changed.

mod dpkg;
mod lists;
mod paragraphs;
mod pending;
mod preferences;
#[cfg(test)]
mod tests;

use std::fs::{File, Metadata};
use std::io::BufReader;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hardstand_core::Reading;
use hardstand_core::observed::{HalfConfigured, Packages, PendingPackage};
use hardstand_core::plan::PackageSet;
use serde::Serialize;

use super::{Host, HostError};
pub(crate) use dpkg::Installed;
use lists::LISTS;
pub(crate) use lists::Release;
use preferences::Preferences;

const STATUS: &str = "var/lib/dpkg/status";
/// dpkg's journal. Its files are numbers; another name is one it has not begun to use.
const UPDATES: &str = "var/lib/dpkg/updates";
/// Touched after a complete refresh, where a hook does that.
const SUCCESS_STAMP: &str = "var/lib/apt/periodic/update-success-stamp";
/// Names below the lists that say nothing of them: `partial` changes when a refresh fails, too.
const NOT_LISTS: [&str; 3] = ["auxfiles", "lock", "partial"];
/// Read at once from a file. Lists are read rarely and whole.
const BUFFER_BYTES: usize = 32 << 10;

/// The package system's files, with the result that is good until one of them changes.
#[derive(Debug, Default)]
pub(crate) struct PackageFiles {
    seen: Option<(Vec<Stamp>, Packages)>,
}

/// What tells one state of a file from another: seconds and nanoseconds of its last change, size, inode.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    changed: Option<(i64, i64, u64, u64)>,
}

/// One version in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Offered {
    /// Name.
    pub(crate) name: String,
    /// Version.
    pub(crate) version: String,
    /// Architecture.
    pub(crate) arch: String,
}

impl PackageFiles {
    /// What is installed and what is pending. Costs a few dozen calls of stat(2) unless something has changed.
    ///
    /// # Errors
    /// dpkg's status cannot be read. What cannot be told of the lists is Unknown for itself.
    pub(crate) fn probe(&mut self, host: &Host) -> Result<Packages, HostError> {
        // Taken before reading: what changes meanwhile is seen by the next pass.
        let stamps = stamps(host);
        if let Some((_, packages)) = self.seen.as_ref().filter(|(seen, _)| *seen == stamps) {
            return Ok(packages.clone());
        }
        let packages = read(host)?;
        self.seen = Some((stamps, packages.clone()));
        Ok(packages)
    }
}

/// dpkg's record, as far as a set of packages is proved from it.
#[derive(Debug)]
pub(crate) struct Record {
    installed: Vec<Installed>,
    interrupted: bool,
}

impl Record {
    /// Whether nothing is half-configured, half-installed, unpacked or waiting for triggers, and no run was cut off.
    pub(crate) fn is_whole(&self) -> bool {
        !self.interrupted && !self.installed.iter().any(Installed::is_half_way)
    }

    /// The packages of this set, `name:arch`, that dpkg wants unpacked again before it does anything else with them.
    pub(crate) fn torn<'a>(&'a self, set: &'a PackageSet) -> impl Iterator<Item = String> + 'a {
        let torn = self.installed.iter().filter(|package| package.torn);
        let of_set = |package: &&Installed| {
            set.changes().iter().any(|change| change.name == package.name && change.to.is_some())
        };
        torn.filter(of_set).map(|package| format!("{}:{}", package.name, package.arch))
    }

    /// Whether every planned version is the installed one, and what was to go is gone.
    pub(crate) fn holds(&self, set: &PackageSet) -> bool {
        set.changes().iter().all(|change| {
            let fits = |package: &&Installed| {
                let any = change.architecture.is_empty() || change.architecture == "all" || package.arch == "all";
                package.name == change.name && (any || package.arch == change.architecture)
            };
            let found = self.installed.iter().find(fits);
            match &change.to {
                Some(version) => found.is_some_and(|package| package.is_whole() && package.version == *version),
                None => found.is_none(),
            }
        })
    }
}

/// Reads dpkg's record, anew each time: it is a proof.
///
/// # Errors
/// It cannot be read.
pub(crate) fn record(host: &Host) -> Result<Record, HostError> {
    Ok(Record { installed: installed(host)?, interrupted: is_interrupted(host) })
}

fn installed(host: &Host) -> Result<Vec<Installed>, HostError> {
    let path = host.path(STATUS);
    dpkg::read_status(open(&path)?)
        .map_err(|error| HostError::Parse { what: path.display().to_string(), why: error.to_string() })
}

fn is_interrupted(host: &Host) -> bool {
    host.names(UPDATES).iter().any(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

fn read(host: &Host) -> Result<Packages, HostError> {
    let installed = installed(host)?;
    let half_way = installed.iter().filter(|package| package.is_half_way());
    let half_configured =
        half_way.map(|package| HalfConfigured { name: package.name.clone(), state: package.state.clone() });
    let held = installed.iter().filter(|package| package.held).map(|package| package.name.clone());
    Ok(Packages {
        installed: installed.iter().filter(|package| package.is_whole()).count() as u64,
        half_configured: half_configured.collect(),
        held: held.collect(),
        pending: pending_of(host, &installed).into(),
        lists_refreshed_unix_seconds: lists_refreshed(host),
        dpkg_interrupted: is_interrupted(host),
    })
}

fn pending_of(host: &Host, installed: &[Installed]) -> Result<Vec<PendingPackage>, HostError> {
    pending::pending(installed, &lists::lists(host)?, &Preferences::read(host)?)
}

/// When the lists last became what they are: a refresh that finds nothing new leaves no trace but its hook's stamp.
/// Archives are signed anew at least weekly, so lists that are refreshed do not look old.
fn lists_refreshed(host: &Host) -> Reading<u64> {
    let names: Vec<String> = list_names(host).collect();
    if names.is_empty() {
        return Reading::unknown("there are no package lists; run: apt-get update");
    }
    let lists = names.iter().map(|name| host.path(LISTS).join(name));
    let times = lists.chain([host.path(LISTS), host.path(SUCCESS_STAMP)]).filter_map(|path| {
        let seconds = std::fs::metadata(path).ok()?.mtime();
        u64::try_from(seconds).ok()
    });
    times.max().map_or_else(|| Reading::unknown("the package lists went away while they were read"), Reading::Known)
}

fn list_names(host: &Host) -> impl Iterator<Item = String> {
    host.names(LISTS).into_iter().filter(|name| !NOT_LISTS.contains(&name.as_str()))
}

fn stamps(host: &Host) -> Vec<Stamp> {
    let fixed = [STATUS, UPDATES, SUCCESS_STAMP, LISTS, "etc/apt/preferences", preferences::FOLDER];
    let mut paths: Vec<PathBuf> = fixed.iter().map(|path| host.path(path)).collect();
    paths.extend(list_names(host).map(|name| host.path(LISTS).join(name)));
    paths.extend(host.names(preferences::FOLDER).into_iter().map(|name| host.path(preferences::FOLDER).join(name)));
    let changed = |file: Metadata| (file.mtime(), file.mtime_nsec(), file.size(), file.ino());
    let stamps = paths.into_iter().map(|path| Stamp { changed: std::fs::metadata(&path).ok().map(changed), path });
    stamps.collect()
}

fn open(path: &Path) -> Result<BufReader<File>, HostError> {
    let file = File::open(path).map_err(|source| HostError::Read { path: path.to_owned(), source })?;
    Ok(BufReader::with_capacity(BUFFER_BYTES, file))
}

/// Parses dpkg's status, for `hardstand parse`.
pub(crate) fn parse_dpkg_status(text: &str) -> Result<Vec<Installed>, HostError> {
    let parsed = dpkg::read_status(text.as_bytes());
    parsed.map_err(|error| HostError::Parse { what: "dpkg status".to_owned(), why: error.to_string() })
}

/// Parses a list of packages, for `hardstand parse`.
pub(crate) fn parse_apt_packages(text: &str) -> Result<Vec<Offered>, HostError> {
    let mut offered = Vec::new();
    let parsed = pending::for_each_version(text.as_bytes(), |name, version, arch| {
        offered.push(Offered { name: name.to_owned(), version: version.to_owned(), arch: arch.to_owned() });
    });
    parsed.map_err(|error| HostError::Parse { what: "apt packages".to_owned(), why: error.to_string() })?;
    Ok(offered)
}

/// Parses what an archive says of itself, for `hardstand parse`.
pub(crate) fn parse_apt_release(text: &str) -> Result<Release, HostError> {
    lists::read_release(text.as_bytes()).map_err(|why| HostError::Parse { what: "apt release".to_owned(), why })
}
