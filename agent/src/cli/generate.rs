//! `hardstand completions` and `hardstand man`: made from the command line's own description, so that they agree with it.
//!
//! It must never print half a page without an error.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::report::terminal;

/// `hardstand completions`
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// For which shell.
    shell: Shell,
}

/// `hardstand man`
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write one page per command into this directory, which is made where it is not there.
    directory: Option<PathBuf>,
}

/// Prints the completions.
pub(super) fn completions(args: CompletionsArgs, command: &mut Command) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, command, "hardstand", &mut text);
    terminal::print(&String::from_utf8(text).context("making the completions")?)?;
    Ok(())
}

/// Prints the manual page, or writes all of them.
pub(super) fn man(args: &ManArgs, command: Command) -> anyhow::Result<()> {
    let Some(directory) = &args.directory else {
        let mut text = Vec::new();
        clap_mangen::Man::new(command).render(&mut text).context("making the manual page")?;
        terminal::print(&String::from_utf8(text).context("making the manual page")?)?;
        return Ok(());
    };
    let writing = || format!("writing manual pages into {}", directory.display());
    std::fs::create_dir_all(directory).with_context(writing)?;
    clap_mangen::generate_to(command, directory).with_context(writing)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn there_is_a_page_for_every_command() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("man");
        man(&ManArgs { directory: Some(directory.clone()) }, Cli::command()).unwrap();
        for name in ["hardstand.1", "hardstand-health.1", "hardstand-config-check.1", "hardstand-forget-disk.1"] {
            let page = std::fs::read_to_string(directory.join(name)).unwrap();
            assert!(page.contains(".SH NAME"), "{name}");
        }
        let page = std::fs::read_to_string(directory.join("hardstand-health.1")).unwrap();
        assert!(page.contains("0 ok or info, 1 warn, 2 crit, 3 unknown"), "{page}");
    }
}
