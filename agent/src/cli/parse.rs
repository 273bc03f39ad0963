//! `hardstand parse`: every parser of a foreign output, for tests and for reports of bugs.
//!
//! It must never look at the host: it reads the text it is given.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use crate::host::filesystems::mountinfo;
use crate::host::hardware::{cpu, efi, smbios};
use crate::host::{HostError, load, nics, os_release, packages, smart};
use crate::report::terminal;

/// Nothing a parser is meant for is larger: the lists of a whole Debian archive are about 60 MB.
const TEXT_LIMIT_BYTES: u64 = 256 * 1024 * 1024;

type Parser = fn(&[u8]) -> Result<String, HostError>;

/// Name and parser of every kind. The last ones read bytes, the others text.
const KINDS: [(&str, Parser); 15] = [
    ("smartctl", |bytes| json(smart::parse(text(bytes)?))),
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

/// Prints what the parser makes of the text.
pub(super) fn run(args: &ParseArgs) -> anyhow::Result<()> {
    let bytes = read(args.file.as_deref())?;
    let (_, parser) =
        KINDS.iter().find(|(name, _)| *name == args.kind).expect("the command line takes none but these kinds");
    terminal::print(&parser(&bytes)?)?;
    Ok(())
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
}
