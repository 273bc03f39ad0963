//! `hardstand parse`: every parser of a foreign output, for tests and for reports of bugs.
//!
//! It must never look at the host: it reads the text it is given.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use crate::host::{HostError, hardware, load, nics, smart};
use crate::report::terminal;

/// Nothing a parser is meant for is larger: the lists of a whole Debian archive are about 60 MB.
const TEXT_LIMIT_BYTES: u64 = 256 * 1024 * 1024;

type Parser = fn(&str) -> Result<String, HostError>;

/// Name and parser of every kind.
const KINDS: [(&str, Parser); 8] = [
    ("smartctl", |text| json(smart::parse(text))),
    ("stat", |text| json(load::parse_stat(text))),
    ("loadavg", |text| json(load::parse_loadavg(text))),
    ("meminfo", |text| json(load::parse_meminfo(text))),
    ("vmstat", |text| json(load::parse_vmstat(text))),
    ("pressure", |text| json(load::parse_pressure(text))),
    ("net-dev", |text| json(nics::parse_net_dev(text))),
    ("cpuinfo", |text| json(hardware::cpu::parse_cpuinfo(text))),
];

/// `hardstand parse`
#[derive(Debug, Args)]
pub(super) struct ParseArgs {
    /// What the text is.
    #[arg(value_parser = PossibleValuesParser::new(KINDS.map(|(name, _)| name)))]
    kind: String,
    /// The file with the text; standard input without it.
    file: Option<PathBuf>,
}

/// Prints what the parser makes of the text.
pub(super) fn run(args: &ParseArgs) -> anyhow::Result<()> {
    let text = read(args.file.as_deref())?;
    let (_, parser) =
        KINDS.iter().find(|(name, _)| *name == args.kind).expect("the command line takes none but these kinds");
    terminal::print(&parser(&text)?)?;
    Ok(())
}

fn read(file: Option<&Path>) -> anyhow::Result<String> {
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
    String::from_utf8(bytes).with_context(|| format!("{what}: it is not text"))
}

fn json<T: Serialize>(parsed: Result<T, HostError>) -> Result<String, HostError> {
    let parsed = parsed?;
    let text = serde_json::to_string_pretty(&parsed)
        .map_err(|error| HostError::Parse { what: "the parsed value".to_owned(), why: error.to_string() })?;
    Ok(text + "\n")
}
