//! apt's lists (`/var/lib/apt/lists`): which archives they come from, and the versions they offer.
//!
//! It must never fetch anything, and never take apt's lock.

use std::io::BufRead;
use std::path::PathBuf;

use serde::Serialize;

use super::open;
use crate::host::{Host, HostError};

pub(super) const LISTS: &str = "var/lib/apt/lists";
/// Most that is read of a Release file, in bytes: what is wanted stands before the checksums.
const RELEASE_LIMIT: u64 = 64 << 10;
/// Fields after which only checksums follow.
const CHECKSUMS: [&str; 4] = ["MD5Sum", "SHA1", "SHA256", "SHA512"];
/// apt's own suffixes for lists it keeps compressed, which are not read here.
const COMPRESSED: [&str; 6] = [".lz4", ".gz", ".xz", ".bz2", ".lzma", ".zst"];

/// What an archive says of itself (`Release`, `InRelease`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Release {
    /// Who made it: `Debian`, `Proxmox`.
    pub(crate) origin: String,
    /// What it is called: `Debian-Security`.
    pub(crate) label: String,
    /// Its moving name: `stable-security`.
    pub(crate) suite: String,
    /// Its fixed name: `trixie-security`.
    pub(crate) codename: String,
    /// Its version, where it has one.
    pub(crate) version: String,
    /// Nothing is installed from it unless asked for (backports, experimental).
    pub(crate) not_automatic: bool,
    /// What was installed from it is upgraded from it (backports).
    pub(crate) but_automatic_upgrades: bool,
    /// Host name of the server, empty for a local archive.
    pub(crate) site: String,
}

impl Release {
    /// apt's priority without any pins.
    pub(super) fn priority(&self) -> i32 {
        match (self.not_automatic, self.but_automatic_upgrades) {
            (false, _) => 500,
            (true, true) => 100,
            (true, false) => 1,
        }
    }

    /// Made for security updates.
    pub(super) fn is_security(&self) -> bool {
        let named = [&self.suite, &self.codename].iter().any(|name| name.ends_with("-security"));
        named || self.label == "Debian-Security"
    }

    /// `Origin/Suite`, with the next best name where one is missing.
    pub(super) fn title(&self) -> String {
        let first = |names: [&String; 2]| {
            let found = names.into_iter().find(|name| !name.is_empty());
            found.map_or("unknown", String::as_str).to_owned()
        };
        format!("{}/{}", first([&self.origin, &self.site]), first([&self.suite, &self.codename]))
    }
}

/// One list of packages, and where it comes from.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) path: PathBuf,
    pub(super) release: Release,
    /// `main`, `contrib`, ...; empty for a flat archive.
    pub(super) component: String,
}

/// The lists that are there.
///
/// # Errors
/// There are none, one is compressed, or an archive's own words cannot be read.
pub(super) fn lists(host: &Host) -> Result<Vec<List>, HostError> {
    let names = host.names(LISTS);
    let plain = names.iter().filter(|name| name.ends_with("_Packages"));
    if let Some(name) = names.iter().find(|name| COMPRESSED.iter().any(|suffix| is_compressed(name, suffix))) {
        let why = "kept compressed, which is not read here; turn Acquire::GzipIndexes off and run: apt-get update";
        return Err(HostError::Parse { what: format!("/{LISTS}/{name}"), why: why.to_owned() });
    }
    let releases = names.iter().filter_map(|name| Some((name, archive_of(name)?)));
    let releases = releases.map(|(name, archive)| Ok((archive, read_own_words(host, name)?)));
    let releases: Vec<(&str, Release)> = releases.collect::<Result<_, HostError>>()?;
    let lists = plain.map(|name| {
        let found = releases.iter().filter(|(archive, _)| name.starts_with(archive));
        let found = found.max_by_key(|(archive, _)| archive.len());
        let rest = found.map_or("", |(archive, _)| &name[archive.len()..]);
        List {
            path: host.path(LISTS).join(name),
            release: found.map(|(_, release)| release.clone()).unwrap_or_default(),
            component: rest.split_once("_binary-").map_or("", |(component, _)| component).to_owned(),
        }
    });
    let lists: Vec<List> = lists.collect();
    if lists.is_empty() {
        let why = "there are no package lists; run: apt-get update";
        return Err(HostError::Parse { what: format!("/{LISTS}"), why: why.to_owned() });
    }
    Ok(lists)
}

/// The common beginning of the names of an archive's files, from the name of its Release file.
fn archive_of(name: &str) -> Option<&str> {
    let archive = name.strip_suffix("InRelease").or_else(|| name.strip_suffix("Release"))?;
    archive.ends_with('_').then_some(archive)
}

fn is_compressed(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|name| name.ends_with("_Packages"))
}

fn read_own_words(host: &Host, name: &str) -> Result<Release, HostError> {
    let path = host.path(LISTS).join(name);
    let release = read_release(open(&path)?);
    let mut release = release.map_err(|why| HostError::Parse { what: path.display().to_string(), why })?;
    // The name begins with the server's; a local archive's begins with the path, so with `_`.
    release.site = name.split('_').next().unwrap_or_default().to_owned();
    Ok(release)
}

/// Reads what an archive says of itself, up to its checksums. The error says the line.
pub(super) fn read_release(reader: impl BufRead) -> Result<Release, String> {
    let mut release = Release::default();
    let mut in_signature = false;
    for (index, line) in reader.take(RELEASE_LIMIT).split(b'\n').enumerate() {
        let line = line.map_err(|error| format!("line {}: {error}", index + 1))?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        // A signed file begins with a paragraph about the signature.
        in_signature = if line.starts_with("-----BEGIN PGP SIGNED") { true } else { in_signature && !line.is_empty() };
        if in_signature || line.is_empty() || line.starts_with([' ', '\t']) {
            continue;
        }
        let shown = || line.chars().take(60).collect::<String>();
        let named = line.split_once(':').ok_or_else(|| format!("line {}: no `Name: value`: {:?}", index + 1, shown()));
        let (name, value) = named?;
        if CHECKSUMS.contains(&name) {
            break;
        }
        release.set(name, value.trim());
    }
    if release.origin.is_empty() && release.suite.is_empty() && release.codename.is_empty() {
        return Err("neither Origin nor Suite nor Codename before the checksums".to_owned());
    }
    Ok(release)
}

impl Release {
    fn set(&mut self, name: &str, value: &str) {
        match name {
            "Origin" => value.clone_into(&mut self.origin),
            "Label" => value.clone_into(&mut self.label),
            "Suite" => value.clone_into(&mut self.suite),
            "Codename" => value.clone_into(&mut self.codename),
            "Version" => value.clone_into(&mut self.version),
            "NotAutomatic" => self.not_automatic = value == "yes",
            "ButAutomaticUpgrades" => self.but_automatic_upgrades = value == "yes",
            _ => {}
        }
    }
}
