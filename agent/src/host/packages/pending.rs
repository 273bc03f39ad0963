//! What apt would upgrade: the candidate of each installed package, by apt's rules of priority.
//!
//! It must never offer an older version, and never one from an archive that must be asked for.

use std::collections::HashMap;

use hardstand_core::observed::PendingPackage;
use hardstand_core::version::compare;

use super::dpkg::Installed;
use super::lists::List;
use super::open;
use super::paragraphs::{ParagraphError, read_paragraphs};
use super::preferences::Preferences;
use crate::host::HostError;

/// apt's priority of the version that is installed, if no list has it.
const INSTALLED: i32 = 100;

/// A newer version in a list.
struct Offer {
    version: String,
    priority: i32,
    list: usize,
}

/// An installed package, and what the lists offer for it.
struct Wanted<'a> {
    installed: &'a Installed,
    own_priority: i32,
    offers: Vec<Offer>,
}

/// Packages with a newer candidate, sorted by name.
pub(super) fn pending(
    installed: &[Installed],
    lists: &[List],
    pins: &Preferences,
) -> Result<Vec<PendingPackage>, HostError> {
    // dpkg itself is always there, and always of the machine's own architecture.
    let native = installed.iter().find(|package| package.name == "dpkg").map_or("", |package| package.arch.as_str());
    let mut wanted: Vec<Wanted<'_>> = installed.iter().map(|installed| Wanted::new(installed, pins)).collect();
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::with_capacity(installed.len());
    for (index, package) in installed.iter().enumerate() {
        by_name.entry(&package.name).or_default().push(index);
    }
    for (index, list) in lists.iter().enumerate() {
        let path = &list.path;
        let read = for_each_version(open(path)?, |name, version, arch| {
            let found = by_name.get(name).map_or(&[][..], Vec::as_slice);
            for at in found {
                let wanted = &mut wanted[*at];
                if fits(arch, &wanted.installed.arch, native) {
                    let priority = pins.priority(name, version, Some(list)).unwrap_or(list.release.priority());
                    wanted.consider(version, priority, index);
                }
            }
        });
        read.map_err(|error| HostError::Parse { what: path.display().to_string(), why: error.to_string() })?;
    }
    let mut pending: Vec<PendingPackage> = wanted.iter().filter_map(|wanted| wanted.pending(lists)).collect();
    pending.sort_unstable();
    Ok(pending)
}

/// Reads a list of packages: name, version, architecture of each.
pub(super) fn for_each_version(
    reader: impl std::io::BufRead,
    mut each: impl FnMut(&str, &str, &str),
) -> Result<(), ParagraphError> {
    read_paragraphs(reader, ["Package", "Version", "Architecture"], |[name, version, arch]| {
        if name.is_empty() || version.is_empty() {
            return Err("the paragraph before has no Package or no Version".to_owned());
        }
        each(name, version, arch);
        Ok(true)
    })
}

/// A package may change between the machine's own architecture and `all`.
fn fits(offered: &str, installed: &str, native: &str) -> bool {
    offered == installed || (offered == "all" && installed == native) || (installed == "all" && offered == native)
}

impl<'a> Wanted<'a> {
    fn new(installed: &'a Installed, pins: &Preferences) -> Self {
        let pinned = pins.priority(&installed.name, &installed.version, None);
        Self { installed, own_priority: pinned.unwrap_or(INSTALLED).max(INSTALLED), offers: Vec::new() }
    }

    fn consider(&mut self, version: &str, priority: i32, list: usize) {
        match compare(version, &self.installed.version) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => self.own_priority = self.own_priority.max(priority),
            std::cmp::Ordering::Greater => self.offers.push(Offer { version: version.to_owned(), priority, list }),
        }
    }

    fn pending(&self, lists: &[List]) -> Option<PendingPackage> {
        let is_security = |offer: &&Offer| lists[offer.list].release.is_security();
        // What ranks below the installed version is never taken; all that is left is newer.
        let open = || self.offers.iter().filter(|offer| offer.priority >= self.own_priority);
        let best = open().max_by(|a, b| {
            let by_rank = a.priority.cmp(&b.priority).then_with(|| compare(&a.version, &b.version));
            by_rank.then_with(|| is_security(a).cmp(&is_security(b)))
        })?;
        Some(PendingPackage {
            name: self.installed.name.clone(),
            arch: self.installed.arch.clone(),
            installed: self.installed.version.clone(),
            candidate: best.version.clone(),
            origin: lists[best.list].release.title(),
            security: open().any(|offer| is_security(&offer)),
            held: self.installed.held,
        })
    }
}
