//! A person with the programs as built, on a machine of the same network, who knows the fleet only by its store.
//!
//! It must never do what an operator could not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hardstand_exec::{Finished, Run};
use serde::Deserialize;

use super::chain::Chain;
use super::trust::{Engine, Trust, store_settings};
use super::{Seed, Topology};

/// One command: a reading of the store and a transaction.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// What is read of `hardstand store show --json`.
#[derive(Debug, Deserialize)]
struct Shown {
    leader: Option<String>,
}

/// A person.
#[derive(Debug)]
pub(crate) struct Operator {
    program: PathBuf,
    config: PathBuf,
    dir: PathBuf,
}

impl Operator {
    /// Gives a person of this name certificates, and a configuration that names the store.
    pub(crate) async fn new(
        name: &str,
        trust: &Trust,
        topology: &Topology,
        engine: Engine,
        program: &Path,
    ) -> Result<Self> {
        let dir = trust.operator(name).await?;
        let settings = store_settings(engine, &Seed::new(name, 1), &topology.seeds);
        let config = dir.join("agent.toml");
        let text = format!("{settings}credentials = \"{}\"\n", dir.display());
        std::fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        Ok(Self { program: program.to_owned(), config, dir })
    }

    /// Writes a file of the person's, and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// Runs a command, whatever it ends with.
    pub(crate) async fn run(&self, words: &[&str]) -> Result<Finished> {
        Ok(self.command(words, COMMAND_LIMIT).output().await?)
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub(crate) async fn ok(&self, words: &[&str]) -> Result<String> {
        let said = self.run(words).await?;
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        ensure!(
            said.code == Some(0),
            "hardstand {} ended with {}: {text}{}",
            words.join(" "),
            said.status,
            said.stderr
        );
        Ok(text)
    }

    /// Everything that was decided so far.
    pub(crate) async fn chain(&self) -> Result<Chain> {
        Chain::read(&self.ok(&["audit", "export"]).await?)
    }

    /// The node that leads, if one does.
    pub(crate) async fn leader(&self) -> Result<Option<String>> {
        let shown: Shown = serde_json::from_str(&self.ok(&["store", "show", "--json"]).await?)
            .context("reading what the store shows")?;
        Ok(shown.leader)
    }

    /// The command, to be run as the caller likes.
    pub(crate) fn command(&self, words: &[&str], limit: Duration) -> Run {
        Run::new(&self.program, limit).args(words).arg("--config").arg(&self.config)
    }
}
