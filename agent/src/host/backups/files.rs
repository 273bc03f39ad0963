//! Backups that are files, and the records of drills.
//!
//! It must never count an empty file: a backup that failed at once leaves one.

use std::io::Read as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use hardstand_core::observed::{BackupCopy, BackupSeen};
use hardstand_core::settings::{BackupSettings, DatedBy};
use hardstand_core::window::Civil;

use crate::host::{Host, HostError};

/// More files than this in one directory are not looked through in each round.
const FILES: usize = 20_000;
/// What is read of a drill's record.
const TEXT_BYTES: u64 = 64 << 10;
/// Endings of what is not finished.
const UNFINISHED: [&str; 5] = [".tmp", ".part", ".partial", ".dat", ".swp"];

/// The newest of the files that a backup or a drill leaves.
///
/// # Errors
/// When the place cannot be read, or is too large.
pub(crate) fn probe_files(host: &Host, backup: &BackupSettings) -> Result<BackupSeen, HostError> {
    let place = backup.path.as_deref().unwrap_or_default();
    let path = host.path(place.trim_start_matches('/'));
    let read = |source| {
        let next = "see whether it is mounted, and whether the user hardstand may read it";
        HostError::Broken(format!("reading {place}: {source}; {next}"))
    };
    let mut seen = BackupSeen::default();
    if !std::fs::metadata(&path).map_err(read)?.is_dir() {
        count(&mut seen, &path, backup)?;
        return Ok(seen);
    }
    for (place, entry) in std::fs::read_dir(&path).map_err(read)?.enumerate() {
        if place == FILES {
            let why = format!("more than {FILES} files; name a directory that holds fewer");
            return Err(HostError::Parse { what: path.display().to_string(), why });
        }
        count(&mut seen, &entry.map_err(read)?.path(), backup)?;
    }
    Ok(seen)
}

/// Takes a file in, where it counts.
fn count(seen: &mut BackupSeen, path: &Path, backup: &BackupSettings) -> Result<(), HostError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = name.starts_with('.') || UNFINISHED.iter().any(|ending| name.ends_with(ending));
    if unfinished || !name.ends_with(&backup.suffix) {
        return Ok(());
    }
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        // Taken away meanwhile: the job tidies up.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(HostError::Read { path: path.to_owned(), source }),
    };
    if !found.is_file() || found.len() == 0 {
        return Ok(());
    }
    let unix_seconds = match backup.dated_by() {
        DatedBy::Mtime => found.modified().ok().and_then(|at| Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs())),
        DatedBy::Name => dates(&name).next_back(),
        DatedBy::Text => {
            let read = |source| HostError::Read { path: path.to_owned(), source };
            let mut text = Vec::new();
            let file = std::fs::File::open(path).map_err(read)?;
            file.take(TEXT_BYTES).read_to_end(&mut text).map_err(read)?;
            dates(&String::from_utf8_lossy(&text)).max()
        }
    };
    // Without a date it tells nothing.
    let Some(unix_seconds) = unix_seconds else { return Ok(()) };
    seen.count += 1;
    if seen.newest.as_ref().is_none_or(|newest| newest.unix_seconds < unix_seconds) {
        seen.newest = Some(BackupCopy { name: name.into_owned(), unix_seconds });
    }
    Ok(())
}

/// The dates in a text, taken as UTC: `2026-11-23`, `20261123`, `2026_11_23`, each with a time after it or without
/// (then the day's beginning: no younger than it is).
fn dates(text: &str) -> impl DoubleEndedIterator<Item = u64> {
    let groups: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).collect();
    let mut found = Vec::new();
    let mut place = 0;
    while place < groups.len() {
        let digits: String = groups[place..].iter().take(6).copied().collect();
        let lengths: Vec<usize> = groups[place..].iter().take(6).map(|group| group.len()).collect();
        let (date, used) = match lengths[..] {
            [4, 2, 2, ..] => (8, 3),
            [8, ..] => (8, 1),
            [12 | 14, ..] => (lengths[0], 1),
            _ => (0, 1),
        };
        let time = match lengths[used.min(lengths.len())..] {
            _ if date != 8 => 0,
            [2, 2, 2, ..] => 6,
            [2, 2, ..] | [4, ..] => 4,
            [6, ..] => 6,
            _ => 0,
        };
        let dated = |length: usize| digits.get(..length).and_then(seconds);
        match (date > 0).then(|| dated(date + time).or_else(|| dated(date))).flatten() {
            Some(at) => {
                found.push(at);
                place += used;
            }
            None => place += 1,
        }
    }
    found.into_iter()
}

/// `YYYYMMDD`, `YYYYMMDDhhmm` or `YYYYMMDDhhmmss`.
fn seconds(digits: &str) -> Option<u64> {
    let whole = format!("{digits:0<14}");
    let part = |from: usize| &whole[from..from + 2];
    let civil = format!("{}-{}-{} {}:{}:{}", &whole[..4], part(4), part(6), part(8), part(10), part(12));
    // Other numbers look like dates; backups are of this time.
    const SINCE: u64 = 946_684_800;
    u64::try_from(civil.parse::<Civil>().ok()?.seconds()).ok().filter(|seconds| *seconds >= SINCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Scratch;

    fn at(text: &str) -> u64 {
        u64::try_from(text.parse::<Civil>().unwrap().seconds()).unwrap()
    }

    #[test]
    fn dates_are_found_in_what_jobs_write() {
        for (text, date) in [
            ("vzdump-qemu-100-2026_11_23-01_00_07.vma.zst", Some("2026-11-23 01:00:07")),
            ("wiki-20261123-0100.sql.gz", Some("2026-11-23 01:00:00")),
            ("immich-20261123T013005Z.tar", Some("2026-11-23 01:30:05")),
            ("ha_2026-11-23T01:30:05Z", Some("2026-11-23 01:30:05")),
            ("vault-202611230130.db", Some("2026-11-23 01:30:00")),
            ("restored wiki on 2026-11-23, took 12 minutes", Some("2026-11-23 00:00:00")),
            ("backup-20261323.tar", None),
            ("backup-99.tar", None),
            ("", None),
            ("ü-2026-11-23", Some("2026-11-23 00:00:00")),
        ] {
            assert_eq!(dates(text).next_back(), date.map(at), "{text}");
        }
        crate::host::feed_damaged("2026-11-23T01:30:05Z 20261123", |text| drop(dates(text)));
    }

    #[test]
    fn what_is_unfinished_empty_or_of_another_kind_does_not_count() {
        let scratch = Scratch::new();
        let backup = BackupSettings {
            path: Some("/dump".to_owned()),
            suffix: ".zst".to_owned(),
            dated_by: Some(DatedBy::Name),
            ..BackupSettings::default()
        };
        assert!(probe_files(&scratch, &backup).unwrap_err().to_string().contains("see whether it is mounted"));
        scratch.write("dump/a-20261120.log", "failed");
        assert_eq!(probe_files(&scratch, &backup).unwrap(), BackupSeen::default());
        for (name, text) in [
            ("a-20261121.zst", "whole"),
            ("a-20261120.zst", "whole"),
            ("a-20261122.zst", ""),
            (".a-20261123.zst", "x"),
            ("a-20261124.zst.tmp", "x"),
            ("without.zst", "x"),
        ] {
            scratch.write(&format!("dump/{name}"), text);
        }
        let newest = BackupCopy { name: "a-20261121.zst".to_owned(), unix_seconds: at("2026-11-21 00:00:00") };
        assert_eq!(probe_files(&scratch, &backup).unwrap(), BackupSeen { newest: Some(newest), count: 2 });
        let by_time = BackupSettings { dated_by: None, ..backup };
        let newest = probe_files(&scratch, &by_time).unwrap();
        assert_eq!(newest.count, 3);
        assert!(newest.newest.unwrap().unix_seconds > at("2026-01-01 00:00:00"));
    }

    #[test]
    fn a_drill_is_as_old_as_the_last_date_in_its_record() {
        let scratch = Scratch::new();
        scratch.write("drills.md", "2026-11-01 wiki: good\n2026-08-01 photos: good\n");
        let backup = BackupSettings {
            kind: hardstand_core::settings::BackupKind::Drill,
            path: Some("/drills.md".to_owned()),
            ..BackupSettings::default()
        };
        let newest = probe_files(&scratch, &backup).unwrap().newest.unwrap();
        assert_eq!(newest.unix_seconds, at("2026-11-01 00:00:00"));
    }
}
