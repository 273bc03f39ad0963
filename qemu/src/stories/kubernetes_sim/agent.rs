//! The shipped program as an agent in the foreground, and how an operator asks it.
//!
//! It must never look at anything an operator could not see.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hardstand_exec::{Run, Started};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::guest::Said;
use crate::health::Health;
use crate::scene::Scene;
use crate::wait::until;

/// One question is due every two seconds, a pass every second.
const SEEN_LIMIT: Duration = Duration::from_secs(40);
/// The first pass waits for the first answer of each collector.
const FIRST_LIMIT: Duration = Duration::from_secs(90);
const COMMAND_LIMIT: Duration = Duration::from_secs(40);
const PAGE: &str = "127.0.0.1:9787";

pub(super) struct Agent<'a> {
    pub(super) scene: &'a Scene,
    dir: PathBuf,
    _program: Started,
}

impl<'a> Agent<'a> {
    pub(super) async fn start(scene: &'a Scene, dir: &Path, kubernetes: &str) -> Result<Self> {
        let config = dir.join("agent.toml");
        let text = format!(
            "[node]\nname = \"this\"\nexpect = [\"kubernetes\"]\n[probe]\ninterval_secs = 1\ndeadline_secs = 1\n\
             [metrics]\nlisten = \"{PAGE}\"\n{kubernetes}"
        );
        std::fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        let check = Run::new(&scene.program, COMMAND_LIMIT).args(["config", "check"]).arg(&config);
        check.success().await.context("checking the configuration")?;
        std::fs::create_dir_all(dir.join("state")).context("making the agent's directory")?;
        let log = std::fs::File::create(dir.join("agent.log")).context("creating agent.log")?;
        let run = Run::new(&scene.program, Duration::ZERO).arg("agent").arg("--config").arg(config);
        let run = run.arg("--socket").arg(dir.join("agent.sock")).arg("--state").arg(dir.join("state"));
        let mut program = run.start(log)?;
        until("the agent to serve its page", FIRST_LIMIT, async || {
            let ended = program.ended()?;
            ensure!(ended.is_none(), "the agent ended with {ended:?}; see agent.log");
            Ok(page().await.ok())
        })
        .await?;
        Ok(Self { scene, dir: dir.to_owned(), _program: program })
    }

    async fn said(&self, words: &[&str]) -> Result<Said> {
        let run = Run::new(&self.scene.program, COMMAND_LIMIT).args(words);
        let finished = run.arg("--socket").arg(self.dir.join("agent.sock")).output().await?;
        let stdout = String::from_utf8_lossy(&finished.stdout).into_owned();
        Ok(Said { status: finished.code.unwrap_or(-1), stdout, stderr: finished.stderr })
    }

    pub(super) async fn health(&self) -> Result<Health> {
        Health::read(&self.said(&["health", "--json", "--all"]).await?)
    }

    /// The agent finds of a subject what it should, with these words, once it has looked again.
    pub(super) async fn finds(&self, (check, subject, severity): (&str, &str, &str), words: &str) -> Result<()> {
        self.sees((check, subject, severity), words).await?;
        self.scene.say(&format!("{check} {subject}: {severity}, {words}"));
        Ok(())
    }

    /// As [`Agent::finds`], without a word.
    pub(super) async fn sees(&self, (check, subject, severity): (&str, &str, &str), words: &str) -> Result<()> {
        let what = format!("the agent to find {check} of {subject} {severity}, {words}");
        let mut last = None;
        let found = until(&what, SEEN_LIMIT, async || {
            let health = self.health().await?;
            let found = health.worst(check, subject);
            last = found.map(|found| format!("{}: {}; {}", found.severity, found.summary, found.evidence));
            let said = last.as_ref().is_some_and(|said| said.contains(words));
            Ok(found.filter(|found| said && found.severity == severity).map(|_| ()))
        });
        found.await.with_context(|| format!("it said last: {last:?}"))
    }

    /// What of Kubernetes is in the way of taking the node down. The rest is of the machine the lab runs on.
    pub(super) async fn gate(&self) -> Result<Vec<String>> {
        let said = self.said(&["gate", "--here"]).await?.stdout;
        let lines = said.lines().map(str::trim);
        let ours = |line: &&str| line.starts_with("kubernetes.") || line.starts_with("collector kubernetes");
        Ok(lines.filter(ours).map(str::to_owned).collect())
    }

    pub(super) async fn blocked(&self, by: &str) -> Result<()> {
        let gate = self.gate().await?;
        let line = gate.iter().find(|line| line.starts_with(by));
        let line = line.with_context(|| format!("finding {by} in what the gate says: {gate:?}"))?;
        self.scene.say(&format!("the gate says: {line}"));
        Ok(())
    }

    pub(super) async fn open(&self) -> Result<()> {
        let gate = self.gate().await?;
        ensure!(gate.is_empty(), "the gate is shut by {gate:?}");
        Ok(())
    }

    pub(super) async fn shows(&self, line: &str) -> Result<()> {
        let what = format!("the page to show {line}");
        until(&what, SEEN_LIMIT, async || Ok(page().await?.lines().any(|one| one == line).then_some(()))).await
    }
}

pub(super) async fn page() -> Result<String> {
    let whole = async {
        let mut stream = TcpStream::connect(PAGE).await?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await.map(|_| page)
    };
    let page = tokio::time::timeout(COMMAND_LIMIT, whole).await.context("waiting for the page")?;
    let page = page.context("asking for the page")?;
    ensure!(page.starts_with("HTTP/1") && page.contains(" 200 "), "the page is {page}");
    Ok(page)
}
