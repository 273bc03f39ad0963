//! The whole of what `apt-get -s` prints: what would change ([`parse_simulation`]), and what apt says about it.
//!
//! It must never pass over an error of apt's, nor read a count that apt did not print.

use std::collections::BTreeSet;

use hardstand_core::observed::{AptCount, AptSimulation};

use super::super::excerpt;
use super::{HostError, parse_simulation};

/// Parses the output of `apt-get -s upgrade`, `dist-upgrade` or `install`, with what it says on stderr or without.
///
/// # Errors
/// Nothing of it is what apt prints, or a line that decides cannot be read.
pub(crate) fn parse(text: &str) -> Result<AptSimulation, HostError> {
    let mut reader = Reader {
        told: AptSimulation { changes: parse_simulation(text)?, ..AptSimulation::default() },
        ..Reader::default()
    };
    for (index, line) in text.lines().enumerate() {
        reader.line(line.trim_end()).map_err(|why| bad(format!("line {}: {why}", index + 1)))?;
    }
    let Reader { mut told, has_begun, installed, configured, .. } = reader;
    if !has_begun && told.count.is_none() && told.errors.is_empty() && installed.is_empty() && told.removals == 0 {
        return Err(bad("nothing in it that apt prints; is this the output of apt-get -s?".to_owned()));
    }
    told.unconfigured = installed.difference(&configured).map(|name| (*name).to_owned()).collect();
    Ok(told)
}

fn bad(why: String) -> HostError {
    HostError::Parse { what: "apt-get -s".to_owned(), why }
}

/// A list under a heading that decides something.
#[derive(Default, Clone, Copy)]
enum List {
    #[default]
    Other,
    KeptBack,
    Unmet,
}

#[derive(Default)]
struct Reader<'a> {
    told: AptSimulation,
    has_begun: bool,
    list: List,
    installed: BTreeSet<&'a str>,
    configured: BTreeSet<&'a str>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Result<(), String> {
        if let Some(count) = count(line)? {
            self.list = List::Other;
            return match self.told.count.replace(count) {
                None => Ok(()),
                Some(_) => Err("a second count".to_owned()),
            };
        }
        if line.starts_with(' ') {
            self.item(line.trim());
            return Ok(());
        }
        self.list = List::Other;
        if let Some(words) = words_behind(line, &["E: ", "Error: "]) {
            self.told.errors.push(words);
            return Ok(());
        }
        if let Some(words) = words_behind(line, &["W: ", "Warning: ", "WARNING: "]) {
            // Which apt prints always, if it is not apt-get that was asked.
            if !words.contains("stable CLI interface") {
                self.told.warnings.push(words);
            }
            return Ok(());
        }
        if let Some(number) = line.strip_suffix(" not fully installed or removed.") {
            self.told.unfinished = parsed(number)?;
            return Ok(());
        }
        self.step(line);
        Ok(())
    }

    /// A step of the plan, or a heading.
    fn step(&mut self, line: &'a str) {
        let mut words = line.split(' ');
        match (words.next(), words.next()) {
            (Some("Inst"), Some(name)) => {
                self.told.installs += 1;
                self.installed.insert(name);
            }
            // A line that breaks off configures nothing.
            (Some("Conf"), Some(name)) if line.contains(')') => {
                self.configured.insert(name);
            }
            (Some("Remv" | "Purg"), Some(_)) => self.told.removals += 1,
            (Some("Reading" | "Building" | "Calculating"), _) => self.has_begun = true,
            _ if line.ends_with(':') => self.list = list(line),
            _ => {}
        }
    }

    /// A line of a list: names, or one name with its versions (`-V`), or what cannot be met.
    fn item(&mut self, line: &str) {
        match self.list {
            List::Other => {}
            List::Unmet => self.told.unmet.push(excerpt(line)),
            List::KeptBack => {
                let names = line.split_whitespace().take(if line.contains('(') { 1 } else { usize::MAX });
                self.told.kept_back.extend(names.map(excerpt));
            }
        }
    }
}

/// Headings of apt-get, and those that apt 3 prints by itself.
fn list(heading: &str) -> List {
    let heading = heading.to_ascii_lowercase();
    let is_kept = heading.contains("kept back") || heading.contains("due to phasing") || heading == "not upgrading:";
    match heading.contains("unmet dependencies") {
        true => List::Unmet,
        false if is_kept => List::KeptBack,
        false => List::Other,
    }
}

/// `3 upgraded, 2 newly installed, 1 to remove and 0 not upgraded.`, or apt 3's
/// `Upgrading: 3, Installing: 2, Removing: 1, Not Upgrading: 0`. `None` when the line is neither.
fn count(line: &str) -> Result<Option<AptCount>, String> {
    let line = line.trim();
    let of_get =
        line.strip_suffix(" not upgraded.").map(|rest| format!("{} not upgraded", rest.replace(" and ", ", ")));
    let is_of_apt = line.starts_with("Upgrading: ") && line.contains(", Not Upgrading: ");
    let line = match of_get {
        Some(rest) => rest,
        None if is_of_apt => line.to_owned(),
        None => return Ok(None),
    };
    let mut count = AptCount::default();
    let mut seen = BTreeSet::new();
    for part in line.split(", ") {
        let (number, what) = match part.split_once(": ") {
            Some((what, number)) => (number, what),
            None => part.split_once(' ').ok_or_else(|| format!("{:?} is no part of a count", excerpt(part)))?,
        };
        let slot = match what {
            "upgraded" | "Upgrading" => &mut count.upgraded,
            "newly installed" | "Installing" => &mut count.newly_installed,
            "reinstalled" | "Reinstalling" => &mut count.reinstalled,
            "downgraded" | "Downgrading" => &mut count.downgraded,
            "to remove" | "Removing" => &mut count.removed,
            "not upgraded" | "Not Upgrading" => &mut count.not_upgraded,
            other => return Err(format!("apt's count has {:?}, which is not known", excerpt(other))),
        };
        *slot = parsed(number)?;
        seen.insert(what);
    }
    // What is always there; the two others only when they are not 0.
    let optional = ["reinstalled", "Reinstalling", "downgraded", "Downgrading"];
    match seen.iter().filter(|what| !optional.contains(what)).count() {
        4 => Ok(Some(count)),
        _ => Err(format!("{:?} is no whole count", excerpt(&line))),
    }
}

fn parsed(number: &str) -> Result<u64, String> {
    let is_number = number.chars().all(|c| c.is_ascii_digit());
    number.parse().ok().filter(|_| is_number).ok_or_else(|| format!("{:?} is not a number", excerpt(number)))
}

fn words_behind(line: &str, prefixes: &[&str]) -> Option<String> {
    prefixes.iter().find_map(|prefix| line.strip_prefix(prefix)).map(excerpt)
}

#[cfg(test)]
mod tests {
    use hardstand_core::standing::{Report, Standing, worst};

    use super::*;
    use crate::host::feed_damaged;

    const CAPTURED: &str = include_str!("../../../tests/fixtures/apt/simulate-trixie.txt");

    const GOOD: &str = "\
Reading package lists...
Building dependency tree...
Calculating upgrade...
The following packages will be upgraded:
  lab-app libone
1 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.
Inst libone (2 Lab:1/lab [amd64])
Inst lab-app [1] (2 Lab:1/lab [amd64])
Conf libone (2 Lab:1/lab [amd64])
Conf lab-app (2 Lab:1/lab [amd64])
";

    fn state(text: &str) -> Standing {
        parse(text).map_or(Standing::Unknown, |told| worst(&told.subjects()))
    }

    #[test]
    fn a_captured_simulation_is_read_whole() {
        let told = parse(CAPTURED).unwrap();
        let count = AptCount { upgraded: 3, newly_installed: 2, removed: 1, ..AptCount::default() };
        assert_eq!((told.count, told.installs, told.removals), (Some(count), 5, 1));
        assert_eq!(told.changes, parse_simulation(CAPTURED).unwrap());
        assert_eq!((told.unconfigured.len(), told.kept_back.len(), told.errors.len()), (0, 0, 0));
        let subjects = told.subjects();
        assert_eq!((subjects[0].state, worst(&subjects)), (Standing::Ok, Standing::Degraded));
        assert_eq!(subjects[1].name, "lab-old");
        assert_eq!(state(GOOD), Standing::Ok);
        assert_eq!(
            state("Reading package lists...\n0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n"),
            Standing::Ok
        );
    }

    #[test]
    fn what_apt_says_decides() {
        let kept = "The following packages have been kept back:\n  lab-db lab-web\n";
        let text = format!("{kept}{}", GOOD.replace("0 not upgraded", "2 not upgraded"));
        assert_eq!(parse(&text).unwrap().kept_back, ["lab-db", "lab-web"]);
        assert_eq!(state(&text), Standing::Degraded);
        let long =
            "The following upgrades have been deferred due to phasing:\n   lab-db (1 => 2)\n   lab-web (1 => 3)\n";
        assert_eq!(parse(&format!("{long}{GOOD}")).unwrap().kept_back, ["lab-db", "lab-web"]);
        let unmet =
            "The following packages have unmet dependencies:\n lab-db : Depends: libtwo but it is not installable\n";
        assert_eq!(state(&format!("Reading package lists...\n{unmet}")), Standing::Failed);
        for (line, expected) in [
            ("E: Unable to correct problems, you have held broken packages.", Standing::Failed),
            ("Error: Unable to lock", Standing::Failed),
            ("W: Some index files failed to download.", Standing::Degraded),
            ("WARNING: The following essential packages will be removed.", Standing::Degraded),
            ("WARNING: apt does not have a stable CLI interface. Use with caution in scripts.", Standing::Ok),
            ("N: Ignoring a file", Standing::Ok),
            ("1 not fully installed or removed.", Standing::Degraded),
        ] {
            assert_eq!(state(&format!("{GOOD}{line}\n")), expected, "{line}");
        }
        assert_eq!(state("E: Could not get lock\n"), Standing::Failed);
    }

    #[test]
    fn other_counts_are_read() {
        let with = |line: &str| GOOD.replace("1 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.", line);
        for line in [
            "0 upgraded, 0 newly installed, 1 reinstalled, 1 downgraded, 0 to remove and 0 not upgraded.",
            "Summary:\n  Upgrading: 1, Installing: 1, Removing: 0, Not Upgrading: 0",
        ] {
            assert_eq!(state(&with(line)), Standing::Ok, "{line}");
        }
        assert_eq!(state(&with("2 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.")), Standing::Unknown);
        assert_eq!(
            state(&with("Summary:\n  Upgrading: 1, Installing: 1, Removing: 0, Not Upgrading: 4")),
            Standing::Degraded
        );
        let kept = "Not upgrading:\n  lab-db\n\n";
        assert_eq!(parse(&format!("{kept}{GOOD}")).unwrap().kept_back, ["lab-db"]);
    }

    #[test]
    fn a_text_that_breaks_off_is_not_ok() {
        for end in 0..GOOD.trim_end().len() {
            assert_ne!(state(&GOOD[..end]), Standing::Ok, "cut at {end}: {:?}", &GOOD[..end]);
        }
        for line in GOOD.lines().filter(|line| line.contains(" (2 ") || line.contains("upgraded,")) {
            assert_ne!(state(&GOOD.replace(&format!("{line}\n"), "")), Standing::Ok, "without {line}");
        }
    }

    #[test]
    fn broken_output_says_what_is_wrong() {
        let why = |text: &str| parse(text).unwrap_err().to_string();
        for (text, expected) in [
            ("", ": nothing in it that apt prints; is this the output of apt-get -s?"),
            ("{}\n", ": nothing in it that apt prints; is this the output of apt-get -s?"),
            ("Inst a 1\n", ", line 1: \"Inst a 1\" is not `Inst NAME [OLD] (NEW ORIGIN [ARCH])`"),
            ("1 upgraded, 2 od\u{7}d and 0 not upgraded.\n", ": line 1: apt's count has \"odd\", which is not known"),
            ("1 upgraded and 0 not upgraded.\n", ": line 1: \"1 upgraded, 0 not upgraded\" is no whole count"),
            ("-1 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n", ": line 1: \"-1\" is not a number"),
        ] {
            assert_eq!(why(text), format!("parsing apt-get -s{expected}"), "{text}");
        }
        assert!(why(&format!("{GOOD}{GOOD}")).ends_with("a second count"));
        feed_damaged(CAPTURED, |text| drop(parse(text).map(|told| told.subjects())));
    }
}
