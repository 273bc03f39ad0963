//! Corosync's quorum: the parser of `corosync-quorumtool -s` and of `pvecm status`, which puts a section before it.
//!
//! It must never take a number for another: a value that cannot be read, or comes twice, is an error.

mod ask;
mod config;
mod links;

pub(crate) use ask::probe;

use hardstand_core::observed::{Quorum, QuorumMember};

use super::{HostError, excerpt};

/// Rows of members at most: corosync carries a few dozen nodes, and every row is compared with those before it.
const MOST_MEMBERS: usize = 1024;

/// Parses the output of `corosync-quorumtool -s` or `pvecm status`.
///
/// # Errors
/// The text has no section of votes (the tool's own words are in the error where it said why), or a value or a row of it
/// cannot be read.
pub(crate) fn parse(text: &str) -> Result<Quorum, HostError> {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        reader.line(line.trim()).map_err(|why| bad(format!("line {}: {why}", index + 1)))?;
    }
    let quorum = reader.finish();
    if quorum.quorate.is_none() && quorum.expected_votes.is_none() && quorum.flags.is_none() {
        let said = text.lines().map(str::trim).find(|line| line.starts_with("Cannot ") || line.starts_with("Error"));
        return Err(bad(match said {
            Some(said) => format!("it says: {}", excerpt(said)),
            None => "no votes in it; is this the output of corosync-quorumtool -s?".to_owned(),
        }));
    }
    Ok(quorum)
}

fn bad(why: String) -> HostError {
    HostError::Parse { what: "corosync-quorumtool -s".to_owned(), why }
}

#[derive(Default)]
struct Reader {
    quorum: Quorum,
    /// Whether the rows of members have begun, and whether they have the column of the quorum device.
    rows: Option<bool>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.chars().all(|c| c == '-') {
            return Ok(());
        }
        if line.starts_with("Nodeid") {
            return once("list of members", &mut self.rows, line.split_whitespace().any(|word| word == "Qdevice"));
        }
        if let Some(has_qdevice) = self.rows {
            let row = row(line, has_qdevice).ok_or_else(|| format!("{:?} is not a row of a member", excerpt(line)))?;
            if self.quorum.members.len() == MOST_MEMBERS {
                return Err(format!("more than {MOST_MEMBERS} members"));
            }
            self.quorum.members.push(row);
            return Ok(());
        }
        match line.split_once(':') {
            Some((key, value)) => self.pair(key, value.trim()),
            None => Ok(()),
        }
    }

    fn pair(&mut self, key: &str, value: &str) -> Result<(), String> {
        let quorum = &mut self.quorum;
        match key {
            "Name" => quorum.cluster = Some(value.to_owned()),
            "Nodes" => once(key, &mut quorum.nodes, number(value)?)?,
            "Quorate" => {
                let said = match value {
                    "Yes" => true,
                    "No" => false,
                    other => return Err(format!("Quorate is neither Yes nor No but {:?}", excerpt(other))),
                };
                once(key, &mut quorum.quorate, said)?;
            }
            "Expected votes" => once(key, &mut quorum.expected_votes, number(value)?)?,
            "Highest expected" => once(key, &mut quorum.highest_expected, number(value)?)?,
            "Total votes" => once(key, &mut quorum.total_votes, number(value)?)?,
            "Quorum" => {
                let (needed, words) = value.split_once(' ').unwrap_or((value, ""));
                once(key, &mut quorum.quorum_votes, number(needed)?)?;
                match words.trim() {
                    "" => {}
                    "Activity blocked" => quorum.blocked = true,
                    other => return Err(format!("{:?} behind the votes that are needed", excerpt(other))),
                }
            }
            "Flags" => once(key, &mut quorum.flags, value.split_whitespace().map(excerpt).collect())?,
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Quorum {
        let mut quorum = self.quorum;
        let has = |flag: &str| quorum.flags.iter().flatten().any(|one| one == flag);
        (quorum.two_node, quorum.has_qdevice) = (has("2Node"), has("Qdevice"));
        // An excerpt without the first section says it by its flag; that the flag is missing may be the excerpt's doing.
        quorum.quorate = quorum.quorate.or(has("Quorate").then_some(true));
        quorum.qdevice_votes = quorum.members.iter().find(|member| member.is_qdevice()).map(|device| device.votes);
        quorum.margin = quorum
            .total_votes
            .zip(quorum.quorum_votes)
            .and_then(|(total, needed)| i64::try_from(total).ok()?.checked_sub(i64::try_from(needed).ok()?));
        quorum
    }
}

fn once<T>(what: &str, slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("a second {what}")),
    }
}

/// `1 1 A,V,NMW 192.0.2.1 (local)`; the column of the device is there when the heading has it, and empty in the device's
/// own row (`0 1 Qdevice`, or `0 0 Qdevice (votes 1)` while it casts none).
fn row(line: &str, has_qdevice: bool) -> Option<QuorumMember> {
    let mut words = line.split_whitespace();
    let (node_id, votes) = (number(words.next()?).ok()?, number(words.next()?).ok()?);
    let qdevice = match has_qdevice && node_id != 0 {
        true => words.next()?.split(',').map(excerpt).collect(),
        false => Vec::new(),
    };
    let name = words.next()?.to_owned();
    let rest: Vec<&str> = words.collect();
    Some(QuorumMember { node_id, votes, qdevice, name, local: rest.contains(&"(local)") })
}

/// Decimal, or hexadecimal as `-H` prints node numbers.
fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None if text.starts_with('+') => None,
        None => text.parse().ok(),
    };
    parsed.ok_or_else(|| format!("{:?} is not a number", excerpt(text)))
}

#[cfg(test)]
mod tests;
