//! `hardstand parse`: every parser of a foreign output, for tests and for reports of bugs.
//!
//! It must never look at the host: it reads the text it is given.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use hardstand_core::standing::{Report, Standing, Subject, worst};
use serde::Serialize;

use crate::host::filesystems::mountinfo;
use crate::host::hardware::{cpu, efi, smbios};
use crate::host::{
    HostError, apt, ceph, iscsi, kubernetes, load, multipath, needrestart, nics, os_release, packages, proxmox, quorum,
    smart, zfs,
};
use crate::report::terminal;

/// Nothing a parser is meant for is larger: the lists of a whole Debian archive are about 60 MB.
const TEXT_LIMIT_BYTES: u64 = 256 * 1024 * 1024;

type Parser = fn(&[u8]) -> Result<String, HostError>;

/// Name and parser of every kind. First the reports of foreign systems, which say themselves how things stand; then
/// files of the kernel and of dpkg; the last ones read bytes, the others text.
const KINDS: [(&str, Parser); 31] = [
    ("zpool-status-json", |bytes| report(zfs::parse_status_json(text(bytes)?))),
    ("zpool-status", |bytes| report(zfs::parse_status_text(text(bytes)?))),
    ("zpool-list", |bytes| report(zfs::parse_list(text(bytes)?))),
    ("smartctl", |bytes| report(smart::parse(text(bytes)?))),
    ("iscsi-sessions", |bytes| report(iscsi::parse(text(bytes)?))),
    ("multipath-maps", |bytes| report(multipath::parse(text(bytes)?))),
    ("multipath-ll", |bytes| report(multipath::list::parse(text(bytes)?))),
    ("quorumtool", |bytes| report(quorum::parse(text(bytes)?))),
    ("ceph-status", |bytes| report(ceph::status::parse(text(bytes)?))),
    ("ceph-health", |bytes| report(ceph::health::parse(text(bytes)?))),
    ("ceph-ok-to-stop", |bytes| report(ceph::stop::parse(text(bytes)?))),
    ("ceph-osd-tree", |bytes| report(ceph::tree::parse(text(bytes)?))),
    ("needrestart", |bytes| report(needrestart::parse(text(bytes)?))),
    ("apt-simulate", |bytes| report(apt::simulation::parse(text(bytes)?))),
    ("pve-resources", |bytes| report(proxmox::resources::parse(text(bytes)?))),
    ("pve-ha-status", |bytes| report(proxmox::ha::parse(text(bytes)?))),
    ("kube-eviction", |bytes| report(kubernetes::parse(text(bytes)?))),
    ("stat", |bytes| json(load::parse_stat(text(bytes)?))),
    ("loadavg", |bytes| json(load::parse_loadavg(text(bytes)?))),
    ("meminfo", |bytes| json(load::parse_meminfo(text(bytes)?))),
    ("vmstat", |bytes| json(load::parse_vmstat(text(bytes)?))),
    ("pressure", |bytes| json(load::parse_pressure(text(bytes)?))),
    ("net-dev", |bytes| json(nics::parse_net_dev(text(bytes)?))),
    ("cpuinfo", |bytes| json(cpu::parse_cpuinfo(text(bytes)?))),
    ("mountinfo", |bytes| json(mountinfo::parse_mountinfo(text(bytes)?))),
    ("os-release", |bytes| json(os_release::parse_os_release(text(bytes)?))),
    ("dpkg-status", |bytes| json(packages::parse_dpkg_status(text(bytes)?))),
    ("apt-packages", |bytes| json(packages::parse_apt_packages(text(bytes)?))),
    ("apt-release", |bytes| json(packages::parse_apt_release(text(bytes)?))),
    ("dmi-table", |bytes| json(smbios::parse_dimms(bytes))),
    ("efi-boot-entry", |bytes| json(boot_entry(bytes))),
];

/// `hardstand parse`
#[derive(Debug, Args)]
pub(super) struct ParseArgs {
    /// What the input is.
    #[arg(value_parser = PossibleValuesParser::new(KINDS.map(|(name, _)| name)))]
    kind: String,
    /// The file to read; standard input without it.
    file: Option<PathBuf>,
}

/// A report as it is printed: how things stand by its own words, about what, and everything that was read.
#[derive(Debug, Serialize)]
struct Told<T> {
    /// The worst of the subjects.
    state: Standing,
    /// Why it is not ok: the worst subjects' own reasons. Absent when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    subjects: Vec<Subject>,
    facts: T,
}

/// What is printed of an input that cannot be trusted.
#[derive(Debug, Serialize)]
struct NotTold {
    state: Standing,
    why: String,
    subjects: [Subject; 0],
}

/// Prints what the parser makes of the input; the exit status is 0, or 3 when it could make nothing of it.
pub(super) fn run(args: &ParseArgs) -> anyhow::Result<u8> {
    let bytes = read(args.file.as_deref())?;
    let (_, parser) =
        KINDS.iter().find(|(name, _)| *name == args.kind).expect("the command line takes none but these kinds");
    match parser(&bytes) {
        Ok(told) => {
            terminal::print(&told)?;
            Ok(0)
        }
        Err(error) => {
            let why = terminal::one_line(&error.to_string());
            terminal::print_error(&format!("hardstand: {why}\n"));
            let unknown = NotTold { state: Standing::Unknown, why, subjects: [] };
            terminal::print(&json::<_>(Ok(unknown))?)?;
            Ok(super::EXIT_UNKNOWN)
        }
    }
}

fn read(file: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let what = match file {
        Some(path) => {
            let what = format!("reading {}", path.display());
            let file = std::fs::File::open(path).with_context(|| what.clone())?;
            file.take(TEXT_LIMIT_BYTES + 1).read_to_end(&mut bytes).with_context(|| what.clone())?;
            what
        }
        None => {
            let what = "reading standard input".to_owned();
            std::io::stdin().take(TEXT_LIMIT_BYTES + 1).read_to_end(&mut bytes).with_context(|| what.clone())?;
            what
        }
    };
    anyhow::ensure!(bytes.len() as u64 <= TEXT_LIMIT_BYTES, "{what}: larger than {TEXT_LIMIT_BYTES} bytes");
    Ok(bytes)
}

fn text(bytes: &[u8]) -> Result<&str, HostError> {
    let input = || "the input".to_owned();
    std::str::from_utf8(bytes)
        .map_err(|error| HostError::Parse { what: input(), why: format!("it is not text: {error}") })
}

/// The value of a `Boot####` variable (without the four bytes of attributes that efivarfs puts before it).
fn boot_entry(bytes: &[u8]) -> Result<serde_json::Value, HostError> {
    let (description, active) =
        efi::parse_load_option(bytes).map_err(|why| HostError::Parse { what: "an EFI boot entry".to_owned(), why })?;
    Ok(serde_json::json!({ "description": description, "active": active }))
}

/// A report with its verdict.
fn report<T: Serialize + Report>(parsed: Result<T, HostError>) -> Result<String, HostError> {
    let facts = parsed?;
    let subjects = facts.subjects();
    let state = worst(&subjects);
    let why = match state {
        Standing::Ok => None,
        _ if subjects.is_empty() => {
            Some("it lists nothing, and cannot say whether something should be there".to_owned())
        }
        _ => Some(
            subjects
                .iter()
                .filter(|subject| subject.state == state)
                .filter_map(|subject| Some(format!("{} {}: {}", subject.kind, subject.name, subject.why.as_deref()?)))
                .collect::<Vec<_>>()
                .join("; "),
        ),
    };
    json(Ok(Told { state, why, subjects, facts }))
}

fn json<T: Serialize>(parsed: Result<T, HostError>) -> Result<String, HostError> {
    let parsed = parsed?;
    let text = serde_json::to_string_pretty(&parsed)
        .map_err(|error| HostError::Parse { what: "the parsed value".to_owned(), why: error.to_string() })?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(kind: &str, bytes: &[u8]) -> Result<String, String> {
        let (_, parser) = KINDS.iter().find(|(name, _)| *name == kind).unwrap();
        parser(bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn a_parser_gives_typed_json() {
        assert_eq!(
            parsed("loadavg", b"0.50 1.25 2.00 3/456 7890\n").unwrap(),
            "{\n  \"load\": [\n    0.5,\n    1.25,\n    2.0\n  ]\n}\n"
        );
    }

    #[test]
    fn no_parser_takes_rubbish_for_its_input_and_none_falls_over_it() {
        for (kind, _) in KINDS {
            let error = parsed(kind, b"\x01rubbish {").expect_err(kind);
            assert!(error.starts_with("parsing "), "{kind}: {error}");
            assert!(!error.contains('\n'), "{kind}: {error}");
        }
        assert_eq!(
            parsed("stat", b"cpu \xff").unwrap_err(),
            "parsing the input: it is not text: invalid utf-8 sequence of 1 bytes from index 4"
        );
    }

    #[test]
    fn what_the_lab_s_real_systems_said_is_read_as_what_they_were() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lab");
        for (file, kind, state) in [
            ("zpool/well.json", "zpool-status-json", "ok"),
            ("zpool/degraded.json", "zpool-status-json", "degraded"),
            ("zpool/resilvering.json", "zpool-status-json", "degraded"),
            ("zpool/scrubbed-with-errors.json", "zpool-status-json", "degraded"),
            ("zpool/suspended.json", "zpool-status-json", "failed"),
            ("zpool/well.txt", "zpool-status", "ok"),
            ("zpool/degraded.txt", "zpool-status", "degraded"),
            ("zpool/resilvering.txt", "zpool-status", "degraded"),
            ("zpool/scrubbed-with-errors.txt", "zpool-status", "degraded"),
            ("zpool/suspended.txt", "zpool-status", "failed"),
            ("iscsi/well-sessions.txt", "iscsi-sessions", "ok"),
            ("iscsi/one-path-sessions.txt", "iscsi-sessions", "failed"),
            ("iscsi/no-path-sessions.txt", "iscsi-sessions", "failed"),
            ("iscsi/well-maps.json", "multipath-maps", "ok"),
            ("iscsi/one-path-maps.json", "multipath-maps", "degraded"),
            ("iscsi/no-path-maps.json", "multipath-maps", "failed"),
            ("iscsi/well-ll.txt", "multipath-ll", "ok"),
            ("iscsi/one-path-ll.txt", "multipath-ll", "degraded"),
            ("iscsi/no-path-ll.txt", "multipath-ll", "failed"),
        ] {
            let text = parsed(kind, &std::fs::read(dir.join(file)).unwrap()).unwrap();
            let told: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(told["state"], state, "{file}: {text}");
        }
    }

    /// How often each kind is fed with what nobody meant; more on demand: `HARDSTAND_FUZZ=1000000`.
    fn rounds() -> u64 {
        std::env::var("HARDSTAND_FUZZ").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2_000)
    }

    /// Pieces of all that is parsed here, and of what is not.
    const PIECES: [&[u8]; 48] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"\"",
        b"\\",
        b"\n",
        b"\r\n",
        b"\t",
        b" ",
        b"  ",
        b"\0",
        b"\xff\xfe",
        b"-",
        b"0",
        b"18446744073709551616",
        b"-1",
        b"1e999",
        b"null",
        b"true",
        b"\"pools\":{",
        b"\"state\":\"ONLINE\"",
        b"\"name\":\"a\"",
        b"\"output_version\":{\"command\":\"zpool status\"}",
        b"\"health\":{\"status\":\"HEALTH_OK\"}",
        b"\"checks\":{}",
        b"\"maps\":[",
        b"\"data\":[",
        b"\"kind\":\"Status\"",
        b"\"status\":\"Success\"",
        b"\"smartctl\":{\"exit_status\":0}",
        b"\"ok_to_stop\":true",
        b"\"nodes\":[",
        b"  pool: a\n",
        b" state: ONLINE\n",
        b"config:\n\n",
        b"\tNAME STATE READ WRITE CKSUM\n",
        b"\ta ONLINE 0 0 0\n",
        b"errors: No known data errors\n",
        b"quorum OK\n",
        b"Target: iqn.a:b (non-flash)\n",
        b"\t\tiSCSI Session State: LOGGED_IN\n",
        b"NEEDRESTART-KSTA: 1\n",
        b"Inst a [1] (2 b [amd64])\n",
        b"Votequorum information\n",
        b"a (36001) dm-0 A,B\n",
    ];

    #[test]
    fn whatever_is_fed_to_a_parser_it_answers_and_never_falls_over() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut roll = |sides: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % u64::try_from(sides).unwrap()).unwrap()
        };
        let mut told = 0_u64;
        for (kind, parser) in KINDS {
            for _ in 0..rounds() {
                let bytes: Vec<u8> = (0..roll(40)).flat_map(|_| PIECES[roll(PIECES.len())].iter().copied()).collect();
                match parser(&bytes) {
                    Err(error) => assert!(!terminal::one_line(&error.to_string()).contains('\n'), "{kind}"),
                    Ok(text) => {
                        told += 1;
                        let _whole: serde_json::Value = serde_json::from_str(&text).unwrap();
                    }
                }
            }
        }
        assert!(told > 0, "the pieces make something now and then");
    }

    #[test]
    fn nothing_deep_huge_or_empty_is_ok() {
        let deep = "{\"pools\":".repeat(50_000);
        let huge = "x".repeat(4 << 20);
        let lines = "\n".repeat(1 << 20);
        let small: [&[u8]; 6] = [b"", b"\0", b"\xff\xff\xff", b"null", b"{}", b"[]"];
        let inputs = [deep.as_bytes(), huge.as_bytes(), lines.as_bytes()].into_iter().chain(small);
        for (input, (kind, parser)) in inputs.flat_map(|input| KINDS.map(|kind| (input, kind))) {
            let Ok(text) = parser(input) else { continue };
            let told: serde_json::Value = serde_json::from_str(&text).unwrap();
            // Files of the kernel and of dpkg have no state of their own.
            let state = told.get("state").and_then(serde_json::Value::as_str);
            let begin = &input[..input.len().min(20)];
            assert!(matches!(state, None | Some("unknown")), "{kind} of {begin:?}: {text}");
        }
    }
}
