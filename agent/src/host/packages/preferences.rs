//! The operator's pins (`/etc/apt/preferences`, `/etc/apt/preferences.d/*`; apt_preferences(5)).
//!
//! It must never pass over a pin it does not understand: then nothing can be said of what would be installed.

use std::io::BufRead;

use super::lists::List;
use super::open;
use super::paragraphs::{ParagraphError, read_paragraphs};
use crate::host::{Host, HostError};

const FILE: &str = "etc/apt/preferences";
pub(super) const FOLDER: &str = "etc/apt/preferences.d";

/// The pins, in the order in which apt reads them.
#[derive(Debug, Default)]
pub(super) struct Preferences(Vec<Pin>);

/// One pin.
#[derive(Debug)]
pub(super) struct Pin {
    /// Names or globs; `None` for every package.
    packages: Option<Vec<String>>,
    target: Target,
    priority: i32,
}

#[derive(Debug)]
enum Target {
    /// Pairs of apt's letter and a glob; all must fit.
    Release(Vec<(char, String)>),
    Site(String),
    Version(String),
}

impl Preferences {
    /// Reads the pins.
    ///
    /// # Errors
    /// A file cannot be read, or holds a form that is not known here.
    pub(super) fn read(host: &Host) -> Result<Self, HostError> {
        let mut files = vec![FILE.to_owned()];
        let fragments = host.names(FOLDER).into_iter().filter(|name| is_read_by_apt(name));
        files.extend(fragments.map(|name| format!("{FOLDER}/{name}")));
        let mut pins = Vec::new();
        for file in files {
            let path = host.path(&file);
            if !path.exists() {
                continue;
            }
            let read = read_pins(open(&path)?, &mut pins);
            read.map_err(|error| HostError::Parse { what: path.display().to_string(), why: error.to_string() })?;
        }
        Ok(Self(pins))
    }

    /// The priority that the pins give to a version in a list (`None`: as installed), if any does: the first one that
    /// names the package, or else the first general one.
    pub(super) fn priority(&self, package: &str, version: &str, list: Option<&List>) -> Option<i32> {
        let fits = |pin: &&Pin| pin.target.fits(version, list);
        let named = self.0.iter().filter(|pin| pin.names(package)).find(fits);
        let general = || self.0.iter().filter(|pin| pin.packages.is_none()).find(fits);
        named.or_else(general).map(|pin| pin.priority)
    }
}

/// Reads one file's pins.
pub(super) fn read_pins(reader: impl BufRead, pins: &mut Vec<Pin>) -> Result<(), ParagraphError> {
    read_paragraphs(reader, ["Package", "Pin", "Pin-Priority"], |[packages, pin, priority]| {
        // A paragraph of explanations alone is allowed.
        if !(packages.is_empty() && pin.is_empty() && priority.is_empty()) {
            pins.push(Pin::parse(packages, pin, priority)?);
        }
        Ok(true)
    })
}

impl Pin {
    fn parse(packages: &str, pin: &str, priority: &str) -> Result<Self, String> {
        let unknown = |what: &str| {
            Err(format!("the pin {what:?} has a form not known here; see: apt-cache policy, and man 5 apt_preferences"))
        };
        let names: Vec<String> = packages.split_whitespace().map(str::to_owned).collect();
        if names.is_empty() || names.iter().any(|name| name.contains(['/', '[', ':'])) {
            return unknown(&format!("Package: {packages}"));
        }
        let (kind, value) = pin.split_once(char::is_whitespace).unwrap_or((pin, ""));
        let value = value.trim();
        if value.contains('[') {
            return unknown(&format!("Pin: {pin}"));
        }
        let target = match kind {
            "origin" => Target::Site(value.trim_matches('"').to_owned()),
            "version" => Target::Version(value.to_owned()),
            "release" => match value.split(',').map(|part| release_part(part.trim())).collect() {
                Some(parts) => Target::Release(parts),
                None => return unknown(&format!("Pin: {pin}")),
            },
            _ => return unknown(&format!("Pin: {pin}")),
        };
        let Ok(priority) = priority.parse() else { return unknown(&format!("Pin-Priority: {priority}")) };
        let packages = (names != ["*"]).then_some(names);
        Ok(Self { packages, target, priority })
    }

    fn names(&self, package: &str) -> bool {
        self.packages.as_ref().is_some_and(|names| names.iter().any(|name| is_like(package, name)))
    }
}

fn release_part(part: &str) -> Option<(char, String)> {
    let (letter, value) = part.split_once('=')?;
    let letter = letter.trim().chars().next().filter(|first| letter.trim().len() == 1 && "anolcv".contains(*first))?;
    Some((letter, value.trim().trim_matches('"').to_owned()))
}

impl Target {
    fn fits(&self, version: &str, list: Option<&List>) -> bool {
        match (self, list) {
            (Self::Version(glob), _) => is_like(version, glob),
            (Self::Site(site), Some(list)) => list.release.site == *site,
            (Self::Release(parts), Some(list)) => parts.iter().all(|(letter, glob)| {
                let release = &list.release;
                let text = match letter {
                    'a' => &release.suite,
                    'n' => &release.codename,
                    'o' => &release.origin,
                    'l' => &release.label,
                    'v' => &release.version,
                    _ => &list.component,
                };
                is_like(text, glob)
            }),
            (Self::Site(_) | Self::Release(_), None) => false,
        }
    }
}

/// The names of preferences.d that apt reads: without an extension or with `.pref`, of plain characters.
fn is_read_by_apt(name: &str) -> bool {
    let stem = name.strip_suffix(".pref").unwrap_or(name);
    !stem.is_empty()
        && !stem.contains('.')
        && stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Whether a text is like a glob of `*` and `?`.
fn is_like(text: &str, glob: &str) -> bool {
    let (text, glob) = (text.as_bytes(), glob.as_bytes());
    let (mut at, mut in_glob) = (0, 0);
    // Where to try again after the last `*`: it then takes one byte more.
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        match glob.get(in_glob) {
            Some(b'*') => {
                retry = Some((at, in_glob + 1));
                in_glob += 1;
            }
            Some(sign) if *sign == b'?' || *sign == text[at] => (at, in_glob) = (at + 1, in_glob + 1),
            _ => match retry {
                Some((from, behind)) => {
                    (at, in_glob) = (from + 1, behind);
                    retry = Some((from + 1, behind));
                }
                None => return false,
            },
        }
    }
    glob[in_glob..].iter().all(|sign| *sign == b'*')
}
