//! Snapshots of a dataset, by `zfs get`, and the dataset the system itself lies on.
//!
//! It must never take a property that a snapshot has from elsewhere for one that was set on it.

use std::collections::BTreeMap;

use hardstand_core::snapshot::{MARK, Snapshot};

use crate::host::filesystems::parse_mountinfo;
use crate::host::{Host, HostError};

/// What is asked of every snapshot.
const PROPERTIES: &str = "creation,userrefs,clones,hardstand:made";

/// The arguments of `zfs` that list the snapshots of one dataset, and not those of the datasets below it.
pub(crate) fn arguments(dataset: &str) -> [&str; 10] {
    ["get", "-Hp", "-t", "snapshot", "-d", "1", "-o", "name,property,value,source", PROPERTIES, dataset]
}

/// Parses what they print: a line for each property of each snapshot.
///
/// # Errors
/// A line is not of that form, or one of the properties is missing: a snapshot of which not all is known is not judged.
pub(crate) fn parse(text: &str) -> Result<Vec<Snapshot>, HostError> {
    let bad = |why: String| HostError::Parse { what: "zfs get".to_owned(), why };
    let mut told: BTreeMap<&str, BTreeMap<&str, (&str, &str)>> = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let [name, property, value, source] = cells[..] else {
            return Err(bad(format!("not four columns: {line:?}")));
        };
        if !name.contains('@') {
            return Err(bad(format!("{name:?} is no snapshot")));
        }
        told.entry(name).or_default().insert(property, (value, source));
    }
    let snapshot = |(name, told): (&str, BTreeMap<&str, (&str, &str)>)| {
        let of = |property: &str| told.get(property).ok_or_else(|| bad(format!("{name} does not tell {property}")));
        let number = |property: &str| {
            let (value, _) = of(property)?;
            value.parse().map_err(|_error| bad(format!("{property} of {name} is {value:?}, not a number")))
        };
        let (made, source) = *of(MARK)?;
        let (clones, _) = *of("clones")?;
        let short = name.split_once('@').map_or("", |(_, short)| short);
        Ok(Snapshot {
            created: number("creation")?,
            holds: number("userrefs")?,
            cloned: !matches!(clones, "" | "-"),
            marked: source == "local" && made == short,
            name: name.to_owned(),
        })
    };
    told.into_iter().map(snapshot).collect()
}

/// The dataset that is mounted as `/`; `None` where it is no ZFS.
///
/// # Errors
/// The table of mounts cannot be read.
pub(crate) fn root_dataset(host: &Host) -> Result<Option<String>, HostError> {
    let path = host.path("proc/self/mountinfo");
    let text = std::fs::read_to_string(&path).map_err(|source| HostError::Read { path, source })?;
    // The last one is what is seen.
    let root = parse_mountinfo(&text)?.into_iter().rfind(|mount| mount.mount_point == "/");
    Ok(root.filter(|mount| mount.kind == "zfs").map(|mount| mount.device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Scratch;

    fn rows(name: &str, mark: &str, source: &str, clones: &str) -> String {
        format!(
            "{name}\tcreation\t1700000000\t-\n{name}\tuserrefs\t0\t-\n{name}\tclones\t{clones}\t-\n{name}\t{MARK}\t{mark}\t{source}\n"
        )
    }

    #[test]
    fn a_mark_counts_where_it_was_set_on_the_snapshot_itself() {
        let cases = [
            ("hardstand-1", "local", true),
            ("hardstand-1", "received", false),
            ("hardstand-1", "inherited from tank", false),
            ("hardstand-2", "local", false),
            ("-", "-", false),
        ];
        for (mark, source, marked) in cases {
            let parsed = parse(&rows("tank@hardstand-1", mark, source, "")).unwrap();
            assert_eq!(parsed[0].marked, marked, "{mark} {source}");
        }
        assert!(parse(&rows("tank@a", "-", "-", "tank/clone")).unwrap()[0].cloned);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn half_a_snapshot_is_no_snapshot() {
        let whole = rows("tank@a", "-", "-", "-");
        for (index, _) in whole.lines().enumerate() {
            let half: String =
                whole.lines().enumerate().filter(|(at, _)| *at != index).map(|(_, line)| format!("{line}\n")).collect();
            let error = parse(&half).unwrap_err().to_string();
            assert!(error.contains("does not tell"), "{error}");
        }
        for bad in ["tank\tcreation\t1\t-\n", "tank@a\tcreation\n", "cannot open 'tank': dataset does not exist\n"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&whole.replace("1700000000", "yesterday")).is_err());
    }

    #[test]
    fn the_root_is_a_dataset_only_where_it_is_zfs() {
        let scratch = Scratch::new();
        let table = |kind: &str, device: &str| {
            scratch.write("proc/self/mountinfo", format!("1 0 0:1 / / rw - {kind} {device} rw\n"));
            root_dataset(&scratch).unwrap()
        };
        assert_eq!(table("zfs", "rpool/ROOT/pve-1").as_deref(), Some("rpool/ROOT/pve-1"));
        assert_eq!(table("ext4", "/dev/vda2"), None);
    }
}
