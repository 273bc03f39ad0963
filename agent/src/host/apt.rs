//! apt: the arguments it is called with, what a simulation prints, and what an exact set means for the node.
//!
//! It must never run apt (the helper does, in a unit of its own), and never guess: a line that cannot be read is an error.

use std::cmp::Ordering;
use std::fmt::Write as _;

use hardstand_core::plan::{PackageChange, PackageSet};
use hardstand_core::version::compare;

use super::{HostError, excerpt};

pub(crate) mod simulation;

/// apt itself.
pub(crate) const APT: &str = "/usr/bin/apt-get";
/// dpkg itself.
pub(crate) const DPKG: &str = "/usr/bin/dpkg";

/// What dpkg does with a changed configuration file: the maintainer's default where there is one, else the operator's
/// file stays. The new one lies beside it as `.dpkg-dist`.
const CONFFILES: [&str; 2] = ["--force-confdef", "--force-confold"];

/// No question, no pager, no restart behind our back, no list of changes to be read. needrestart only lists: which
/// units restart, and when, is a step of its own.
pub(crate) const ENVIRONMENT: [&str; 9] = [
    "LC_ALL=C",
    "HOME=/root",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND=noninteractive",
    "DEBIAN_PRIORITY=critical",
    "NEEDRESTART_MODE=l",
    "NEEDRESTART_SUSPEND=1",
    "APT_LISTCHANGES_FRONTEND=none",
    "APT_LISTBUGS_FRONTEND=none",
];

/// Seconds apt waits for somebody else's lock: a timer of the distribution may hold it.
const LOCK_WAIT_SECONDS: u32 = 300;

/// Which candidates apt may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice<'a> {
    /// What the machine's own sources and preferences give.
    Free,
    /// Exactly those of the preferences in this file.
    Pinned(&'a str),
}

/// Lines of a failed run that a person is told at most: what a script said, what dpkg made of it, and a little more.
const GIST_LINES: usize = 3;

/// Why a run failed, in one line: from the line before the first error on, which is what the failing script said. Without
/// an error line, the last lines.
pub(crate) fn gist(printed: &str) -> String {
    let lines: Vec<&str> = printed.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_error = |line: &&str| line.starts_with("dpkg: error") || line.starts_with("E: ");
    let from = match lines.iter().position(is_error) {
        Some(error) => error.saturating_sub(1),
        None => lines.len().saturating_sub(GIST_LINES),
    };
    lines[from..].iter().take(GIST_LINES).copied().collect::<Vec<_>>().join("; ")
}

/// Refreshes the package lists.
pub(crate) fn refresh() -> Vec<String> {
    // A source that fails is an error, not a warning: a plan from half the lists would be another plan.
    words(&[APT, "-q", "-o", "APT::Update::Error-Mode=any", "-o", "Acquire::Retries=2", "update"])
}

/// Says what would be done. Takes no lock and writes nothing.
pub(crate) fn simulate(choice: Choice<'_>) -> Vec<String> {
    upgrade(&["-s", "-q"], choice)
}

/// Says what would be fetched.
pub(crate) fn list_files(choice: Choice<'_>) -> Vec<String> {
    upgrade(&["--print-uris", "-qq"], choice)
}

/// Fetches and does no more.
pub(crate) fn fetch(choice: Choice<'_>) -> Vec<String> {
    upgrade(&["-y", "-q", "--download-only", "-o", "Acquire::Retries=2"], choice)
}

/// Installs.
pub(crate) fn install(choice: Choice<'_>) -> Vec<String> {
    write(choice, &["dist-upgrade"])
}

/// Unpacks packages again that were cut off while they were unpacked, and configures them. An upgrade does not: dpkg calls
/// such a package unpacked, and refuses to configure it.
pub(crate) fn reinstall(choice: Choice<'_>, packages: &[String]) -> Vec<String> {
    let what: Vec<&str> = ["--reinstall", "install"].into_iter().chain(packages.iter().map(String::as_str)).collect();
    write(choice, &what)
}

fn write(choice: Choice<'_>, what: &[&str]) -> Vec<String> {
    let mut before = vec!["-y", "-q"];
    let conffiles = CONFFILES.map(|option| format!("Dpkg::Options::={option}"));
    for option in &conffiles {
        before.extend(["-o", option]);
    }
    apt(&before, choice, what)
}

/// Finishes what an earlier run left in the middle.
pub(crate) fn finish() -> Vec<String> {
    words(&[DPKG, CONFFILES[0], CONFFILES[1], "--configure", "-a"])
}

fn upgrade(before: &[&str], choice: Choice<'_>) -> Vec<String> {
    apt(before, choice, &["dist-upgrade"])
}

fn apt(before: &[&str], choice: Choice<'_>, what: &[&str]) -> Vec<String> {
    let mut all = words(&[APT]);
    all.extend(words(before));
    // Nothing is written but what is asked for; held packages stay; nothing is removed that the set does not name.
    all.extend(["-o".to_owned(), format!("DPkg::Lock::Timeout={LOCK_WAIT_SECONDS}")]);
    all.extend(words(&["-o", "Dpkg::Use-Pty=0", "-o", "APT::Get::AutomaticRemove=false"]));
    if let Choice::Pinned(file) = choice {
        all.extend(["-o".to_owned(), format!("Dir::Etc::Preferences={file}")]);
        // No other preference has a say.
        all.extend(words(&["-o", "Dir::Etc::PreferencesParts=/dev/null"]));
    }
    all.extend(words(what));
    all
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Preferences under which exactly this set is what an upgrade does: its packages at its versions, and nothing else moves.
pub(crate) fn preferences(set: &PackageSet) -> String {
    let mut text = String::from("Explanation: the exact set of a plan of hardstand; written anew for each\n");
    text.push_str("Package: *\nPin: release *\nPin-Priority: -1\n");
    for change in set.changes() {
        let name = &change.name;
        // `all` is no architecture a pin knows; of what goes apt says none.
        let arch = match change.architecture.as_str() {
            "" | "all" => String::new(),
            arch => format!(":{arch}"),
        };
        // More than 1000 wins over everything; a removed package has no candidate at all.
        let (pin, priority) = match &change.to {
            Some(version) => (format!("version {version}"), 1001),
            None => ("release *".to_owned(), -1),
        };
        write!(text, "\nPackage: {name}{arch}\nPin: {pin}\nPin-Priority: {priority}\n")
            .expect("a String takes every write");
    }
    text
}

/// What a simulation would change.
///
/// # Errors
/// A line about a package is not of the form apt prints.
pub(crate) fn parse_simulation(text: &str) -> Result<PackageSet, HostError> {
    let mut changes = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let parsed = match line.split_once(' ') {
            Some(("Inst", rest)) => installed(rest),
            Some(("Remv" | "Purg", rest)) => removed(rest),
            _ => continue,
        };
        let parsed = parsed.ok_or_else(|| HostError::Parse {
            what: format!("apt-get -s, line {}", index + 1),
            why: format!("{:?} is not `Inst NAME [OLD] (NEW ORIGIN [ARCH])`", excerpt(line)),
        });
        changes.push(parsed?);
    }
    Ok(PackageSet::new(changes))
}

/// `NAME [OLD] (NEW ORIGIN:SUITE, ... [ARCH])`, with brackets about other packages behind it.
fn installed(rest: &str) -> Option<PackageChange> {
    let (name, rest) = rest.split_once(' ')?;
    let (from, rest) = bracketed(rest);
    let inside = rest.trim_start().strip_prefix('(')?;
    let (inside, _about_others) = inside.split_once(')')?;
    let (to, origins) = inside.split_once(' ')?;
    let (origins, architecture) = origins.rsplit_once(" [")?;
    let architecture = architecture.strip_suffix(']')?;
    let name = name.strip_suffix(&format!(":{architecture}")).unwrap_or(name);
    good(name, architecture, [Some(to), from])?;
    Some(PackageChange {
        name: name.to_owned(),
        architecture: architecture.to_owned(),
        from: from.map(str::to_owned),
        to: Some(to.to_owned()),
        security: origins.split(", ").any(is_security),
    })
}

/// `NAME [OLD]`. apt says no architecture but of foreign packages (`NAME:i386`).
fn removed(rest: &str) -> Option<PackageChange> {
    let (name, rest) = rest.split_once(' ')?;
    let (name, architecture) = name.split_once(':').unwrap_or((name, ""));
    let (from, _rest) = bracketed(rest);
    good(name, architecture, [from, None])?;
    Some(PackageChange {
        name: name.to_owned(),
        architecture: architecture.to_owned(),
        from: Some(from?.to_owned()),
        to: None,
        security: false,
    })
}

fn bracketed(rest: &str) -> (Option<&str>, &str) {
    match rest.trim_start().strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        Some((inside, behind)) => (Some(inside), behind),
        None => (None, rest),
    }
}

/// Whether these are names and versions as Debian's policy has them: they go into a file that apt reads.
fn good(name: &str, architecture: &str, versions: [Option<&str>; 2]) -> Option<()> {
    let is = |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
    let fine = !name.is_empty()
        && is(name, "+-.")
        && is(architecture, "-")
        && versions.into_iter().flatten().all(|version| !version.is_empty() && is(version, ".+-~:"));
    fine.then_some(())
}

/// `Debian-Security:13/stable-security`, `Debian:13.1/stable`, `Ubuntu:24.04/noble-security`.
fn is_security(origin: &str) -> bool {
    let (label, rest) = origin.split_once(':').unwrap_or((origin, ""));
    label.ends_with("-Security") || rest.rsplit('/').next().is_some_and(|suite| suite.ends_with("-security"))
}

/// Bytes that are to be fetched, from `'URI' FILE SIZE HASH` lines.
///
/// # Errors
/// A line that begins with a quote is not of that form.
pub(crate) fn parse_file_list(text: &str) -> Result<u64, HostError> {
    let mut bytes = 0_u64;
    for (index, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with('\'')) {
        let size = line.rsplit_once("' ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<u64>().ok());
        let size = size.ok_or_else(|| HostError::Parse {
            what: format!("apt-get --print-uris, line {}", index + 1),
            why: format!("{:?} is not `'URI' FILE SIZE HASH`", excerpt(line)),
        })?;
        bytes = bytes.saturating_add(size);
    }
    Ok(bytes)
}

/// The newest kernel among what a set installs.
pub(crate) fn newest_kernel(set: &PackageSet) -> Option<&str> {
    let kernels =
        set.changes().iter().filter(|change| change.to.is_some()).filter_map(|change| kernel_of(&change.name));
    kernels.reduce(|best, next| if compare(next, best) == Ordering::Greater { next } else { best })
}

/// The release a package brings, if it is a kernel's image.
pub(crate) fn kernel_of(package: &str) -> Option<&str> {
    let prefixes = ["linux-image-", "proxmox-kernel-", "pve-kernel-"];
    let release = prefixes.iter().find_map(|prefix| package.strip_prefix(prefix))?;
    let release = release.strip_suffix("-signed").or(release.strip_suffix("-unsigned")).unwrap_or(release);
    let release = release.strip_suffix("-dbg").map_or(Some(release), |_debug_symbols| None)?;
    // `linux-image-amd64` and `proxmox-kernel-6.8` only point at one.
    (release.starts_with(|first: char| first.is_ascii_digit()) && release.contains('-')).then_some(release)
}

#[cfg(test)]
mod tests;
