//! `hardstand config check`: is a configuration good, before an agent reads it?
//!
//! It must never touch the host: it reads the files it is given and nothing else.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Subcommand;

use crate::config::{self, Loaded, MAIN_FILE};
use crate::report::terminal;

/// `hardstand config`
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check a file, or the files of this machine, and name everything that is wrong.
    Check {
        /// The file; it is read alone. Without it: /etc/hardstand/agent.toml and its drop-ins.
        file: Option<PathBuf>,
        /// Print the settings that result, with every default.
        #[arg(long)]
        show: bool,
    },
}

/// Checks, and says what was read.
pub(super) fn run(command: &ConfigCommand) -> anyhow::Result<()> {
    let ConfigCommand::Check { file, show } = command;
    let loaded = config::load(file.as_deref())?;
    terminal::print(&said(&loaded, *show)?)?;
    Ok(())
}

fn said(loaded: &Loaded, show: bool) -> anyhow::Result<String> {
    let mut out = String::new();
    for file in &loaded.files {
        writeln!(out, "{}: ok", file.display())?;
    }
    if loaded.files.is_empty() {
        writeln!(out, "{MAIN_FILE} is not there: every setting has its default")?;
    }
    if show {
        writeln!(out, "\n{}", toml::to_string(&loaded.settings)?.trim_end())?;
    }
    Ok(out)
}
