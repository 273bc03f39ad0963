//! Tests of the kernel's files and of the three parsers: every form, cut short, damaged, and samples that may lie beside.

use std::path::{Path, PathBuf};

use hardstand_core::observed::{PoolSpace, PoolStatus, ScanKind, ScanState};
use hardstand_core::standing::{Report, Standing, worst};

use super::*;
use crate::host::{Scratch, feed_damaged};

const TEXT: &str = "  pool: lake
 state: ONLINE
status: Some supported features are not enabled on the pool.
\tIt can still be used.
  scan: scrub repaired 0B in 01:02:03 with 0 errors on Sun Nov  8 00:25:01 2026
config:

\tNAME        STATE     READ WRITE CKSUM
\tlake        ONLINE       0     0     0
\t  mirror-0  ONLINE       0     0     0
\t    sda     ONLINE       0     0     0
\t    sdb     ONLINE       0     0     0
\tlogs
\t  nvme0n1   ONLINE       0     0     0
\tspares
\t  sdc       AVAIL

errors: No known data errors
";

const JSON: &str = r#"{"output_version": {"command": "zpool status", "vers_major": 0, "vers_minor": 1}, "pools": {"lake": {
  "name": "lake", "state": "ONLINE", "pool_guid": 18446744073709551615, "txg": 9, "status": "Some features\n\tare off.\n",
  "scan_stats": {"function": "SCRUB", "state": "FINISHED", "start_time": 1794100000, "end_time": 1794100500,
    "to_examine": 4096, "examined": 4096, "skipped": 0, "issued": 4096, "errors": 0, "scrub_pause": 0},
  "vdevs": {"lake": {"name": "lake", "vdev_type": "root", "guid": 1, "state": "ONLINE", "read_errors": 0,
    "write_errors": 0, "checksum_errors": 0, "vdevs": {"mirror-0": {"name": "mirror-0", "guid": 2, "state": "ONLINE",
      "read_errors": 0, "write_errors": 0, "checksum_errors": 0, "vdevs": {
        "sdb": {"name": "sdb", "guid": 4, "state": "ONLINE", "read_errors": 0, "write_errors": 0, "checksum_errors": 0},
        "sda": {"name": "sda", "guid": 3, "state": "ONLINE", "read_errors": 0, "write_errors": 0, "checksum_errors": 0}
      }}}}},
  "spares": {"sdc": {"name": "sdc", "guid": 5, "class": "spare", "state": "AVAIL"}},
  "error_count": 0}}}"#;

const LIST: &str = "lake\t3985729650688\t996432412672\t2989297238016\t-\t-\t7\t25\t1.00\tONLINE\t-\n";

fn told(host: &Host) -> Vec<(String, Option<String>)> {
    probe_pools(host).unwrap().unwrap().into_iter().map(|pool| (pool.name, pool.state)).collect()
}

#[test]
fn pools_are_the_directories_and_a_state_that_is_not_there_is_not_good() {
    let scratch = Scratch::new();
    assert_eq!(probe_pools(&scratch).unwrap(), None);
    scratch.write("proc/spl/kstat/zfs/arcstats", "9 1 0x01 147 39984 1 2\n");
    assert_eq!(told(&scratch), []);
    scratch.write("proc/spl/kstat/zfs/tank/state", "ONLINE\n");
    scratch.write("proc/spl/kstat/zfs/dark/guid", "7\n");
    scratch.write("proc/spl/kstat/zfs/empty/state", "");
    let known = |name: &str, state: Option<&str>| (name.to_owned(), state.map(str::to_owned));
    assert_eq!(told(&scratch), [known("dark", None), known("empty", None), known("tank", Some("ONLINE"))]);
}

#[test]
fn a_directory_that_cannot_be_listed_is_an_error() {
    let scratch = Scratch::new();
    scratch.write("proc/spl/kstat/zfs", "not a directory");
    assert!(probe_pools(&scratch).unwrap_err().to_string().contains("proc/spl/kstat/zfs"));
}

fn stands(parsed: Result<Vec<PoolStatus>, HostError>) -> Standing {
    parsed.map_or(Standing::Unknown, |pools| worst(&pools.subjects()))
}

fn of_text(text: &str) -> Standing {
    stands(parse_status_text(text))
}

fn of_json(text: &str) -> Standing {
    stands(parse_status_json(text))
}

fn of_list(text: &str) -> Standing {
    parse_list(text).map_or(Standing::Unknown, |pools| worst(&pools.subjects()))
}

#[test]
fn a_text_is_read_whole() {
    let pools = parse_status_text(TEXT).unwrap();
    let [pool] = pools.as_slice() else { panic!("{pools:?}") };
    assert_eq!((pool.name.as_str(), pool.state.as_deref(), pool.whole), ("lake", Some("ONLINE"), true));
    let remark = "Some supported features are not enabled on the pool. It can still be used.";
    assert_eq!((pool.remark.as_deref(), pool.data_errors), (Some(remark), Some(0)));
    let scan = pool.scan.as_ref().unwrap();
    assert_eq!((scan.kind, scan.state, scan.errors), (ScanKind::Scrub, ScanState::Finished, Some(0)));
    assert_eq!(scan.ended_unix_seconds, Some(1_794_097_501));
    let rows: Vec<_> = pool.devices.iter().map(|row| (row.name.as_str(), row.depth, row.has_children)).collect();
    assert_eq!(
        rows,
        [
            ("lake", 0, true),
            ("mirror-0", 1, true),
            ("sda", 2, false),
            ("sdb", 2, false),
            ("nvme0n1", 1, false),
            ("sdc", 1, false)
        ]
    );
    let classes: Vec<_> = pool.devices[4..].iter().map(|row| row.class.as_deref()).collect();
    assert_eq!(classes, [Some("logs"), Some("spares")]);
    assert_eq!(of_text(TEXT), Standing::Ok);
}

#[test]
fn json_is_read_whole_and_in_its_order() {
    let pools = parse_status_json(JSON).unwrap();
    let [pool] = pools.as_slice() else { panic!("{pools:?}") };
    assert_eq!((pool.guid, pool.remark.as_deref()), (Some(u64::MAX), Some("Some features are off.")));
    let scan = pool.scan.as_ref().unwrap();
    assert_eq!((scan.state, scan.ended_unix_seconds), (ScanState::Finished, Some(1_794_100_500)));
    let rows: Vec<_> = pool.devices.iter().map(|row| (row.name.as_str(), row.depth, row.guid)).collect();
    assert_eq!(
        rows,
        [("lake", 0, Some(1)), ("mirror-0", 1, Some(2)), ("sdb", 2, Some(4)), ("sda", 2, Some(3)), ("sdc", 0, Some(5))]
    );
    assert_eq!(of_json(JSON), Standing::Ok);
}

#[test]
fn flat_json_has_its_root_first_and_knows_its_parents() {
    let flat = r#"{"output_version": {"command": "zpool status"}, "pools": {"lake": {"name": "lake", "state": "ONLINE",
        "vdevs": {
          "sda": {"name": "sda", "state": "OFFLINE", "parent": "lake", "read_errors": "0", "write_errors": "1.5K",
                  "checksum_errors": "0"},
          "lake": {"name": "lake", "state": "ONLINE", "read_errors": "0", "write_errors": "0", "checksum_errors": "0"}},
        "error_count": "0"}}}"#;
    let pools = parse_status_json(flat).unwrap();
    let rows: Vec<_> = pools[0].devices.iter().map(|row| (row.name.as_str(), row.has_children)).collect();
    assert_eq!(rows, [("lake", true), ("sda", false)]);
    assert_eq!(pools[0].devices[1].write_errors, Some(1536));
    assert_eq!(of_json(flat), Standing::Degraded);
}

#[test]
fn every_change_of_a_good_report_shows() {
    use Standing::{Degraded, Failed, Ok, Unknown};
    for (from, to, expected) in [
        (" state: ONLINE", " state: DEGRADED", Degraded),
        (" state: ONLINE", " state: SUSPENDED", Failed),
        (" state: ONLINE", " state: NEW", Unknown),
        (" state: ONLINE\n", "", Unknown),
        ("No known data errors", "3 data errors, use '-v' for a list", Failed),
        ("No known data errors", "List of errors unavailable: permission denied", Unknown),
        ("No known data errors", "Permanent errors have been detected in the following files:\n\n\t/lake/a", Failed),
        ("No known data errors", "other words", Unknown),
        ("with 0 errors", "with 2 errors", Degraded),
        ("scrub repaired 0B in 01:02:03 with 0 errors on Sun Nov  8 00:25:01 2026", "none requested", Ok),
        ("scrub repaired 0B in 01:02:03 with 0 errors on", "scrub canceled on", Ok),
        ("scrub repaired 0B in 01:02:03 with 0 errors on", "scrub paused since", Ok),
        ("scrub repaired 0B in 01:02:03 with 0 errors on", "scrub in progress since", Ok),
        ("scrub repaired 0B in 01:02:03 with 0 errors on", "resilver in progress since", Degraded),
        ("scrub repaired 0B in 01:02:03 with 0 errors on", "resilver (mirror-0) in progress since", Degraded),
        ("scrub repaired 0B in 01:02:03", "resilvered 21K in 00:00:01", Ok),
        ("scrub repaired 0B in 01:02:03", "resilvered (mirror-0) 21K in 00:00:01", Ok),
        ("scrub repaired 0B in 01:02:03", "something else 0B in 01:02:03", Unknown),
        ("sda     ONLINE       0", "sda     ONLINE       1", Degraded),
        ("sda     ONLINE       0", "sda     ONLINE    1.2K", Degraded),
        ("sda     ONLINE       0", "sda     ONLINE       x", Unknown),
        ("sda     ONLINE ", "sda     UNAVAIL", Degraded),
        ("sda     ONLINE ", "sda     OFFLINE", Degraded),
        ("sda     ONLINE ", "sda     NEW    ", Unknown),
        ("sda     ONLINE       0     0     0", "sda", Unknown),
        ("sda     ONLINE       0     0     0", "sda     ONLINE       0     0     0  (resilvering)", Degraded),
        ("sda     ONLINE       0     0     0", "sda     ONLINE       0     0     0  (repairing)", Ok),
        ("sda     ONLINE       0     0     0", "sda     ONLINE       0     0     0  block size: 512B configured", Ok),
        ("sdc       AVAIL", "sdc       INUSE     currently in use", Degraded),
        ("sdc       AVAIL", "sdc       FAULTED   corrupted data", Degraded),
    ] {
        let changed = TEXT.replacen(from, to, 1);
        assert_ne!(changed, TEXT, "{from}");
        assert_eq!(of_text(&changed), expected, "{to}");
    }
    for (from, to, expected) in [
        (r#""state": "ONLINE", "pool_guid""#, r#""state": "DEGRADED", "pool_guid""#, Degraded),
        (r#""state": "ONLINE", "pool_guid""#, r#""pool_guid""#, Unknown),
        (r#""error_count": 0"#, r#""error_count": 1"#, Failed),
        (r#""error_count": 0"#, r#""errors": 0"#, Unknown),
        (r#""error_count": 0"#, r#""error_count": -1"#, Unknown),
        (r#""error_count": 0"#, r#""error_count": "many""#, Unknown),
        (r#""guid": 4, "state": "ONLINE""#, r#""guid": 4, "state": "CANT_OPEN", "aux": "OPEN_FAILED""#, Degraded),
        (r#""guid": 4, "state": "ONLINE""#, r#""guid": 4, "state": "NEW""#, Unknown),
        (r#""guid": 4, "state": "ONLINE""#, r#""guid": 4, "resilver_deferred": 1, "state": "ONLINE""#, Degraded),
        (r#""guid": 4, "state": "ONLINE", "read_errors": 0"#, r#""guid": 4, "state": "ONLINE""#, Unknown),
        (
            r#""guid": 4, "state": "ONLINE", "read_errors": 0"#,
            r#""guid": 4, "state": "ONLINE", "read_errors": 7"#,
            Degraded,
        ),
        (r#""function": "SCRUB", "state": "FINISHED""#, r#""function": "SCRUB", "state": "SCANNING""#, Ok),
        (r#""function": "SCRUB", "state": "FINISHED""#, r#""function": "RESILVER", "state": "SCANNING""#, Degraded),
        (r#""function": "SCRUB""#, r#""function": "NEW""#, Unknown),
        (r#""scrub_pause": 0"#, r#""rebuild_stats": {"mirror-0": {"state": "ACTIVE"}}"#, Degraded),
        (r#""scrub_pause": 0"#, r#""rebuild_stats": {"mirror-0": {"state": "COMPLETE"}}"#, Ok),
        (r#""sdc", "guid": 5, "class": "spare", "state": "AVAIL""#, r#""sdc", "state": "INUSE""#, Degraded),
    ] {
        let changed = JSON.replacen(from, to, 1);
        assert_ne!(changed, JSON, "{from}");
        assert_eq!(of_json(&changed), expected, "{to}");
    }
}

#[test]
fn a_scan_under_way_tells_how_far_it_is() {
    let running = JSON
        .replace(r#""state": "FINISHED""#, r#""state": "SCANNING""#)
        .replace(r#""issued": 4096"#, r#""issued": 1024"#)
        .replace(r#""end_time": 1794100500"#, r#""end_time": 0"#);
    let scan = parse_status_json(&running).unwrap()[0].scan.clone().unwrap();
    assert_eq!((scan.state, scan.progress, scan.ended_unix_seconds), (ScanState::Running, Some(0.25), None));
    let paused = running.replace(r#""scrub_pause": 0"#, r#""scrub_pause": 1794100400"#);
    assert_eq!(parse_status_json(&paused).unwrap()[0].scan.as_ref().unwrap().state, ScanState::Paused);
    let text = TEXT.replace(
        "scrub repaired 0B in 01:02:03 with 0 errors on Sun Nov  8 00:25:01 2026",
        "resilver in progress since Sun Nov  8 00:25:01 2026\n\t1G / 4G scanned, 1G / 4G issued at 9M/s\n\t1G \
         resilvered, 25.00% done, 00:05:00 to go",
    );
    let scan = parse_status_text(&text).unwrap()[0].scan.clone().unwrap();
    assert_eq!((scan.kind, scan.progress, scan.ended_unix_seconds), (ScanKind::Resilver, Some(0.25), None));
}

#[test]
fn a_list_is_read_in_its_three_forms() {
    let known = PoolSpace {
        name: "lake".to_owned(),
        health: Some("ONLINE".to_owned()),
        size_bytes: Some(3_985_729_650_688),
        allocated_bytes: Some(996_432_412_672),
        free_bytes: Some(2_989_297_238_016),
        fragmentation_percent: Some(7),
        capacity_percent: Some(25),
    };
    assert_eq!(parse_list(LIST).unwrap(), std::slice::from_ref(&known));
    let old = LIST.replacen("\t-", "", 1);
    assert_eq!(parse_list(&old).unwrap(), std::slice::from_ref(&known));
    assert_eq!(parse_list(&format!("{LIST}\tmirror-0\t3985729650688\n")).unwrap(), std::slice::from_ref(&known));
    let people = "NAME   SIZE  ALLOC   FREE  CKPOINT  EXPANDSZ   FRAG    CAP  DEDUP    HEALTH  ALTROOT\n\
                  lake  3.62T   928G  2.72T        -         -     7%    25%  1.00x  DEGRADED  -\n";
    let [read] = parse_list(people).unwrap().try_into().unwrap();
    assert_eq!((read.health.as_deref(), read.fragmentation_percent), (Some("DEGRADED"), Some(7)));
    assert_eq!(read.size_bytes, Some(3_980_232_092_549));
    assert_eq!(of_list(people), Standing::Degraded);
    let json = r#"{"output_version": {"command": "zpool list"}, "pools": {"lake": {"name": "lake", "state": "ONLINE",
        "properties": {"size": {"value": 3985729650688}, "allocated": {"value": "996432412672"},
        "free": {"value": "2989297238016"}, "fragmentation": {"value": "7%"}, "capacity": {"value": 25},
        "health": {"value": "ONLINE"}}}}}"#;
    assert_eq!(parse_list(json).unwrap(), [known]);
    assert_eq!(of_list(&json.replace(r#""size""#, r#""other""#)), Standing::Unknown);
}

#[test]
fn what_is_no_report_is_refused_with_a_sentence() {
    let said = |parsed: Result<Vec<PoolStatus>, HostError>| parsed.unwrap_err().to_string();
    assert_eq!(said(parse_status_text("")), "parsing zpool status: it is empty");
    assert_eq!(
        said(parse_status_text("cannot open 'lake': no such pool\n")),
        "parsing zpool status: no line `pool:` in it; it says: cannot open 'lake': no such pool"
    );
    assert_eq!(
        said(parse_status_json(&JSON.replace("zpool status", "zpool list"))),
        "parsing zpool status -j: it is the output of zpool list, not of zpool status"
    );
    assert_eq!(
        said(parse_status_json("{}")),
        "parsing zpool status -j: no `output_version.command`; is this the output of zpool status -j?"
    );
    assert_eq!(
        said(parse_status_json(r#"{"output_version": {"command": "zpool status"}}"#)),
        "parsing zpool status -j: no `pools` in it"
    );
    assert!(parse_status_json(&"[".repeat(100_000)).is_err());
    let deep =
        format!("{}{}", JSON.split_once(r#"{"mirror-0""#).unwrap().0, r#"{"a":{"name":"a","vdevs":"#.repeat(5_000));
    assert!(parse_status_json(&deep).is_err());
    assert_eq!(
        parse_list("lake ONLINE\n").unwrap_err().to_string(),
        "parsing zpool list: no row of zpool list: lake ONLINE"
    );
    for parsed in [
        parse_status_text("no pools available\n"),
        parse_status_json(r#"{"output_version": {"command": "zpool status"}, "pools": {}}"#),
    ] {
        assert_eq!(parsed.unwrap(), []);
    }
    assert_eq!(parse_list("no pools available\n").unwrap(), []);
}

#[test]
fn no_cut_report_is_ok() {
    for end in 0..TEXT.trim_end().len() {
        assert_ne!(of_text(&TEXT[..end]), Standing::Ok, "{end}: {}", &TEXT[..end]);
    }
    for end in 0..JSON.len() {
        assert_ne!(of_json(&JSON[..end]), Standing::Ok, "{end}");
    }
    // What is cut from the last column, where the pool is mounted, carries nothing.
    let before_last = LIST.trim_end().len() - 1;
    for end in 0..before_last {
        assert_ne!(of_list(&LIST[..end]), Standing::Ok, "{end}");
    }
    feed_damaged(TEXT, |text| _ = of_text(text));
    feed_damaged(JSON, |text| _ = of_json(text));
    feed_damaged(LIST, |text| _ = of_list(text));
}

#[test]
fn numbers_for_people_are_read_and_nothing_else() {
    for (text, number) in [
        ("0", Some(0)),
        ("464G", Some(464 << 30)),
        ("9.5K", Some(9_728)),
        ("18446744073709551615", Some(u64::MAX)),
        ("99999999999999999999E", Some(u64::MAX)),
        ("", None),
        ("-", None),
        ("-1", None),
        ("K", None),
        ("1.2.3K", None),
        ("infK", None),
        ("1 K", None),
        ("é", None),
    ] {
        assert_eq!(human(text), number, "{text:?}");
    }
}

fn samples() -> Option<PathBuf> {
    let samples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/interfaces/samples/zfs"));
    if !samples.is_dir() {
        eprintln!("the samples are not here");
    }
    samples.is_dir().then(|| samples.to_owned())
}

#[test]
fn a_tree_of_a_machine_with_four_pools_is_read() {
    let Some(samples) = samples() else { return };
    let scratch = Scratch::new();
    for pool in ["pool1", "pool2", "pool3", "poolz1"] {
        let state = std::fs::read_to_string(samples.join("kstat").join(pool).join("state")).unwrap();
        scratch.write(&format!("proc/spl/kstat/zfs/{pool}/state"), &state);
    }
    assert_eq!(told(&scratch).len(), 4);
}

#[test]
fn every_sample_is_read_as_what_it_is() {
    use Standing::{Degraded, Failed, Ok, Unknown};
    let Some(samples) = samples() else { return };
    for (name, expected) in [
        ("bitranox-zpool-status-json-int.trimmed.json", Ok),
        ("bitranox-zpool_status_degraded.handmade.json", Degraded),
        ("bitranox-zpool_status_with_errors.handmade.json", Degraded),
        ("manpage-zpool-status-0.zfs-2.3.9.json", Ok),
        ("derived/degraded-mirror-missing-label.json", Degraded),
        ("derived/degraded-mirror-missing-label.p-strings.json", Degraded),
        ("derived/faulted-member-spare-inuse-pool-degraded.json", Degraded),
        ("derived/online-but-data-errors.json", Failed),
        ("derived/resilvering-replace.json", Degraded),
        ("derived/scrub-in-progress.json", Ok),
        ("derived/suspended.json", Failed),
        // Broken off before its end.
        ("danjl1100-input-01-corrupted.txt", Unknown),
        ("danjl1100-input-02-online-data-corruption.txt", Failed),
        ("danjl1100-input-04-scrub-progress.txt", Ok),
        ("danjl1100-input-05-features.txt", Ok),
        ("danjl1100-input-07-unavail.txt", Degraded),
        ("danjl1100-input-08-features-alt.txt", Ok),
        ("danjl1100-input-10-new-pool.txt", Ok),
        ("danjl1100-input-11-degraded-no-scan.txt", Degraded),
        ("jc-zpool-status-spares.txt", Ok),
        ("jc-zpool-status-v.txt", Ok),
        ("jc-zpool-status-v2.txt", Degraded),
        ("jc-zpool-status-v4.txt", Ok),
        ("bitranox-pve-zpool-list-j.real.json", Ok),
        ("manpage-zpool-list-0.zfs-2.3.9.json", Ok),
        // Of another command.
        ("jc-zpool-iostat.txt", Unknown),
        ("jc-zpool-iostat-v.txt", Unknown),
        ("manpage-zfs-list-0.zfs-2.3.9.json", Unknown),
    ] {
        let text = std::fs::read_to_string(samples.join(name)).unwrap();
        let read = match name {
            _ if name.contains("zpool-list") => of_list(&text),
            _ if name.ends_with(".json") => of_json(&text),
            _ => of_text(&text),
        };
        assert_eq!(read, expected, "{name}");
    }
}
