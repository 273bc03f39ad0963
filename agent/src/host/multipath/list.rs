//! The parser of `multipath -ll`, a tree drawn in text.
//!
//! It must never take a tree for whole whose last branches were not drawn: the drawing itself says which branch is last.

use hardstand_core::observed::{MultipathMap, MultipathPath, PathGroup};

use super::super::{HostError, excerpt};
use super::names_a_device;

/// Parses the output of `multipath -ll`.
///
/// # Errors
/// A line is of none of the forms multipath prints, or there is none.
pub(crate) fn parse(text: &str) -> Result<Vec<MultipathMap>, HostError> {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let unread = || bad(format!("line {}: {:?} is not what multipath -ll prints", index + 1, excerpt(line)));
        reader.line(line).ok_or_else(unread)?;
    }
    reader.close(true);
    match reader.maps.is_empty() {
        true => Err(bad("no map in it".to_owned())),
        false => Ok(reader.maps),
    }
}

fn bad(why: String) -> HostError {
    HostError::Parse { what: "multipath -ll".to_owned(), why }
}

/// A map that is being read, and how much of its drawing has been seen.
struct Open {
    map: MultipathMap,
    /// Whether the line with its size has come.
    has_size: bool,
    /// multipath draws `##,##` where it has no path left to ask for the maker.
    has_no_maker: bool,
    last_group_is_drawn: bool,
    last_path_is_drawn: bool,
}

#[derive(Default)]
struct Reader {
    maps: Vec<MultipathMap>,
    open: Option<Open>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Option<()> {
        if is_log(line) {
            return Some(());
        }
        // The branches: groups hang from `|-+-` and the last one from `` `-+- ``; paths from `|-` and `` `- ``.
        let content = line.trim_start_matches([' ', '|', '`', '-', '+', '\\', '_']);
        let branch = line.get(..line.len() - content.len())?;
        if branch.is_empty() {
            return match content.starts_with("size=") {
                true => self.size(content),
                false => self.head(content),
            };
        }
        let is_last = branch.contains('`');
        if content.starts_with("policy=") {
            return self.group(content, is_last);
        }
        // The line of the group above a path may itself be the last one, and is drawn as a space then.
        self.path(content, is_last)
    }

    fn head(&mut self, line: &str) -> Option<()> {
        let map = head(line)?;
        self.close(false);
        self.open = Some(Open {
            map,
            has_size: false,
            has_no_maker: line.trim_end().ends_with("##,##"),
            last_group_is_drawn: false,
            last_path_is_drawn: false,
        });
        Some(())
    }

    fn size(&mut self, line: &str) -> Option<()> {
        let open = self.open.as_mut().filter(|open| !open.has_size)?;
        open.has_size = true;
        open.map.size = Some(value(line, "size")?.to_owned());
        open.map.queueing = Some(value(line, "features")?.to_owned());
        open.map.write_protection = Some(value(line, "wp")?.to_owned());
        Some(())
    }

    fn group(&mut self, line: &str, is_last: bool) -> Option<()> {
        let open = self.open.as_mut().filter(|open| open.has_size && !open.last_group_is_drawn)?;
        // The group before this one must have come to its last path.
        if !open.map.groups.is_empty() && !open.last_path_is_drawn {
            return None;
        }
        open.map.groups.push(PathGroup {
            policy: Some(value(line, "policy")?.to_owned()),
            priority: value(line, "prio")?.parse().ok(),
            state: Some(value(line, "status")?.to_owned()),
            paths: Vec::new(),
        });
        (open.last_group_is_drawn, open.last_path_is_drawn) = (is_last, false);
        Some(())
    }

    fn path(&mut self, line: &str, is_last: bool) -> Option<()> {
        let open = self.open.as_mut().filter(|open| !open.last_path_is_drawn)?;
        open.map.groups.last_mut()?.paths.push(path(line)?);
        open.last_path_is_drawn = is_last;
        Some(())
    }

    /// Ends the map that is being read. One without any group has none where something follows it, or where its maker
    /// is not known either; at the end of the text it may as well be cut short.
    fn close(&mut self, at_end: bool) {
        let Some(mut open) = self.open.take() else { return };
        let has_none = open.map.groups.is_empty() && open.has_size && (!at_end || open.has_no_maker);
        open.map.whole = has_none || (open.last_group_is_drawn && open.last_path_is_drawn);
        self.maps.push(open.map.counted());
    }
}

/// `mpatha (3600...) dm-3 VENDOR,PRODUCT`, the same without an alias (`3600... dm-3 ...`), with what would be done to it
/// before it (`reload: mpatha ...`), or NVMe's own multipath (`nqn... [nvme]:nvme0n1 ...`).
fn head(line: &str) -> Option<MultipathMap> {
    let mut words = line.split_whitespace().peekable();
    let first = words.next()?;
    let name = if first.ends_with(':') { words.next()? } else { first };
    let uuid = words.next_if(|word| word.starts_with('(')).and_then(|word| word.strip_prefix('(')?.strip_suffix(')'));
    let device = words.next()?;
    let sysfs = match device.strip_prefix("[nvme]:") {
        Some(namespace) => namespace,
        None => device.strip_prefix("dm-").filter(|number| number.parse::<u32>().is_ok()).map(|_| device)?,
    };
    Some(MultipathMap {
        name: name.to_owned(),
        uuid: uuid.map(str::to_owned),
        sysfs: Some(sysfs.to_owned()),
        ..MultipathMap::default()
    })
}

/// `29:0:1:1 sde 8:64 active ready running`. The word of the checker may be two (`i/o pending`).
fn path(line: &str) -> Option<MultipathPath> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [address, device, numbers, dm, checker @ .., online] = words.as_slice() else { return None };
    let is_address = |text: &str| text.contains(':') && text.chars().all(|c| c.is_ascii_digit() || "#:".contains(c));
    if checker.is_empty() || !is_address(address) || !is_address(numbers) {
        return None;
    }
    Some(MultipathPath {
        device: names_a_device(device).then(|| (*device).to_owned()),
        address: (!address.contains('#')).then(|| (*address).to_owned()),
        numbers: (!numbers.contains('#')).then(|| (*numbers).to_owned()),
        dm_state: Some((*dm).to_owned()),
        checker_state: Some(checker.join(" ")),
        device_state: Some((*online).to_owned()),
        marginal_state: None,
    })
}

/// The value of `key=value` or `key='value'` in a line of such.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let is_start = |at: &usize| *at == 0 || line.as_bytes().get(at - 1) == Some(&b' ');
    let at = line
        .match_indices(key)
        .map(|(at, _)| at)
        .find(|at| is_start(at) && line.get(at + key.len()..).is_some_and(|rest| rest.starts_with('=')))?;
    let rest = line.get(at + key.len() + 1..)?;
    let value = match rest.strip_prefix('\'') {
        Some(quoted) => quoted.split_once('\'')?.0,
        None => rest.split_whitespace().next()?,
    };
    (!value.is_empty()).then_some(value)
}

/// What multipath logs on stderr: a time, and words behind a bar (`Oct 05 21:10:11 | sdb: ...`).
fn is_log(line: &str) -> bool {
    line.split_once(" | ").is_some_and(|(time, _words)| {
        let is_time = |c: char| c.is_ascii_alphanumeric() || " :.".contains(c);
        time.contains([':', '.']) && time.chars().all(is_time) && time.ends_with(|c: char| c.is_ascii_digit())
    })
}
