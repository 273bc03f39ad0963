//! The parser of `zpool status` as it is written for people: all that OpenZFS before 2.3 has.
//!
//! It must never take a report for whole that breaks off: every pool ends with its line of errors.

use hardstand_core::observed::{PoolScan, PoolStatus, ScanKind, ScanState, Vdev};
use hardstand_core::window::Civil;

use super::human;
use crate::host::{HostError, excerpt};

/// Headings of devices that hold no data of their own, at the root's own depth.
const CLASSES: [&str; 5] = ["logs", "cache", "spares", "special", "dedup"];
/// What says that there is none; also of JSON's and of the list's sibling.
pub(super) const NO_POOLS: &str = "no pools available";

/// Parses the text of `zpool status`, with or without `-p`, `-P`, `-s`, `-v`. No pool is an empty list. Dates are taken
/// for UTC, in which we ask for them.
///
/// # Errors
/// The text tells of no pool; the tool's own words are in the error.
pub(crate) fn parse(text: &str) -> Result<Vec<PoolStatus>, HostError> {
    if text.trim() == NO_POOLS {
        return Ok(Vec::new());
    }
    let mut pools: Vec<Block<'_>> = Vec::new();
    for line in text.lines() {
        match (key(line), pools.last_mut()) {
            (Some(("pool", name)), _) => pools.push(Block::new(name)),
            (Some((key, value)), Some(pool)) => pool.begin(key, value),
            (None, Some(pool)) => pool.go_on(line),
            // What is printed before the first pool says nothing of one.
            (_, None) => {}
        }
    }
    if pools.is_empty() {
        let why = match text.lines().map(str::trim).find(|line| !line.is_empty()) {
            Some(line) => format!("no line `pool:` in it; it says: {}", excerpt(line)),
            None => "it is empty".to_owned(),
        };
        return Err(HostError::Parse { what: "zpool status".to_owned(), why });
    }
    Ok(pools.into_iter().map(Block::into_core).collect())
}

/// `  scan: words` as `("scan", "words")`. Continued lines begin with a tab, or with more blanks than a key has.
fn key(line: &str) -> Option<(&str, &str)> {
    const MOST_BLANKS: usize = 6;
    let bare = line.trim_start_matches(' ');
    let (key, value) = bare.split_once(':')?;
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b' ');
    (line.len() - bare.len() <= MOST_BLANKS && is_key).then_some((key, value.trim()))
}

/// One pool while it is read.
struct Block<'a> {
    status: PoolStatus,
    key: &'a str,
    scan: Vec<&'a str>,
    /// Blanks before the root's row.
    margin: Option<usize>,
    /// Whether the rows have a column of slow requests behind the counters.
    has_slow: bool,
    class: Option<&'a str>,
}

impl<'a> Block<'a> {
    fn new(name: &str) -> Self {
        let status = PoolStatus { name: name.to_owned(), ..PoolStatus::default() };
        Self { status, key: "pool", scan: Vec::new(), margin: None, has_slow: false, class: None }
    }

    fn begin(&mut self, key: &'a str, value: &'a str) {
        self.key = key;
        match key {
            "state" => self.status.state = Some(value.to_owned()),
            "status" => self.status.remark = Some(value.to_owned()),
            // Before 2010 it was called after the only scan there was.
            "scan" | "scrub" => {
                self.end_scan();
                self.scan = vec![value];
            }
            "errors" => self.errors(value),
            _ => {}
        }
    }

    fn go_on(&mut self, line: &'a str) {
        let words = line.trim();
        match self.key {
            _ if words.is_empty() => {}
            "status" => {
                if let Some(remark) = &mut self.status.remark {
                    remark.push(' ');
                    remark.push_str(words);
                }
            }
            "scan" | "scrub" => self.scan.push(words),
            "config" => self.row(line),
            _ => {}
        }
    }

    /// Takes over the scan that was read. A pool may have two: what was resilvered last, and a scrub.
    fn end_scan(&mut self) {
        let read = scan(&std::mem::take(&mut self.scan));
        if read.is_some() && !self.status.scan.as_ref().is_some_and(PoolScan::resilvers) {
            self.status.scan = read;
        }
    }

    /// `No known data errors`, `3 data errors, use '-v' for a list`, or the head of the list itself.
    fn errors(&mut self, value: &str) {
        let count = value.split_once(" data error").and_then(|(count, _)| count.parse().ok());
        let (known, whole) = match value {
            "No known data errors" => (Some(0), true),
            _ if value.starts_with("Permanent errors") => (Some(1), true),
            _ if value.starts_with("List of errors unavailable") => (None, true),
            _ => (count, count.is_some()),
        };
        self.status.data_errors = self.status.data_errors.max(known);
        self.status.whole |= whole;
    }

    fn row(&mut self, line: &'a str) {
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { return };
        let rest: Vec<&str> = words.collect();
        if name == "NAME" && rest.first() == Some(&"STATE") {
            self.has_slow = rest.contains(&"SLOW");
            return;
        }
        let blanks = line.len() - line.trim_start().len();
        let margin = *self.margin.get_or_insert(blanks);
        let steps = blanks.saturating_sub(margin) / 2;
        if steps == 0 && rest.is_empty() && CLASSES.contains(&name) {
            self.class = Some(name);
            return;
        }
        let depth = u32::try_from(steps).unwrap_or(u32::MAX);
        if let Some(above) = self.status.devices.last_mut() {
            above.has_children = depth > above.depth && above.class.as_deref() == self.class;
        }
        self.status.devices.push(self.device(name, depth, &rest));
    }

    fn device(&self, name: &str, depth: u32, rest: &[&str]) -> Vdev {
        let counters = rest.get(1..4).map(|words| words.iter().map(|word| human(word)).collect::<Vec<_>>());
        // A spare has none, and may have a remark in their place.
        let counters = counters.filter(|counters| counters.iter().any(Option::is_some));
        let count = |index: usize| counters.as_ref().and_then(|counters| *counters.get(index)?);
        let columns = match &counters {
            Some(_) => 4 + usize::from(self.has_slow),
            None => 1,
        };
        let note = rest.get(columns..).unwrap_or_default().join(" ");
        Vdev {
            name: name.to_owned(),
            guid: None,
            depth,
            class: self.class.map(str::to_owned),
            has_children: false,
            state: rest.first().map(|&state| state.to_owned()),
            read_errors: count(0),
            write_errors: count(1),
            checksum_errors: count(2),
            note: (!note.is_empty()).then_some(note),
        }
    }

    fn into_core(mut self) -> PoolStatus {
        self.end_scan();
        self.status
    }
}

fn scan(lines: &[&str]) -> Option<PoolScan> {
    let (first, more) = lines.split_first()?;
    if *first == "none requested" {
        return None;
    }
    let kind = match first.split_whitespace().next() {
        Some("resilver" | "resilvered") => ScanKind::Resilver,
        Some("scrub" | "error") => ScanKind::Scrub,
        _ => ScanKind::Unknown,
    };
    let state = if first.contains(" in progress") {
        ScanState::Running
    } else if first.contains(" paused") {
        ScanState::Paused
    } else if first.contains(" canceled") {
        ScanState::Canceled
    } else if first.contains(" repaired ") || first.starts_with("resilvered ") {
        ScanState::Finished
    } else {
        ScanState::Unknown
    };
    let percent = more.iter().find_map(|line| line.split_once("% done")?.0.rsplit([' ', ',']).next()?.parse().ok());
    let errors = first.split_once(" with ").and_then(|(_, rest)| rest.split_once(" errors")?.0.parse().ok());
    Some(PoolScan {
        kind,
        state,
        progress: percent.map(|percent: f64| (percent / 100.0).clamp(0.0, 1.0)),
        ended_unix_seconds: first.rsplit_once(" on ").and_then(|(_, date)| seconds(date)),
        errors,
    })
}

/// `Sun Nov  3 15:24:53 2024`, with or without the name of a zone before the year, in seconds since 1970.
fn seconds(date: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = date.split_whitespace().collect();
    let [_, month, day, time, .., year] = words.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| name == month)? + 1;
    let civil: Civil = format!("{year}-{month}-{day} {time}").parse().ok()?;
    u64::try_from(civil.seconds()).ok()
}
