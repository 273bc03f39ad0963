//! The agent's program in the foreground on this machine, in the network of a story that boots nothing, and how an
//! operator asks it.
//!
//! It must never leave the agent behind: it ends with this value.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hardstand_exec::{Run, Started};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::guest::Said;
use crate::health::{Finding, Health};
use crate::scene::Scene;
use crate::wait::until;

/// Where it serves its page.
pub(crate) const PAGE: &str = "127.0.0.1:9787";
/// The first pass waits for the first answer of each collector.
const FIRST_LIMIT: Duration = Duration::from_secs(90);
const COMMAND_LIMIT: Duration = Duration::from_secs(20);
/// The page is made beforehand; on a busy machine it takes some milliseconds.
const PAGE_LIMIT: Duration = Duration::from_secs(1);

/// What a story looks at: the rest is of the machine that the lab runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ours {
    /// The group of checks.
    pub group: &'static str,
    /// The collector behind them.
    pub collector: &'static str,
    /// How long what has happened may take to be seen.
    pub seen_limit: Duration,
}

/// A running agent.
pub(crate) struct AgentHere<'a> {
    /// Where the story is told.
    pub(crate) scene: &'a Scene,
    ours: Ours,
    _program: Started,
}

impl<'a> AgentHere<'a> {
    /// Starts it with the sections of a configuration, besides its page and a pass each second.
    pub(crate) async fn start(scene: &'a Scene, sections: &str, ours: Ours) -> Result<Self> {
        let config = scene.dir.join("agent.toml");
        let text =
            format!("{sections}\n[probe]\ninterval_secs = 1\ndeadline_secs = 1\n[metrics]\nlisten = \"{PAGE}\"\n");
        std::fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        let log = std::fs::File::create(scene.dir.join("agent.log")).context("creating agent.log")?;
        let run = Run::new(&scene.program, Duration::ZERO).arg("agent").arg("--config").arg(config);
        let run = run.arg("--socket").arg(scene.dir.join("agent.sock")).arg("--state").arg(scene.dir.join("state"));
        let mut program = run.start(log)?;
        until("the agent to serve its page", FIRST_LIMIT, async || {
            let ended = program.ended()?;
            ensure!(ended.is_none(), "the agent ended with {ended:?}; see agent.log");
            Ok(page().await.ok())
        })
        .await?;
        Ok(Self { scene, ours, _program: program })
    }

    async fn said(&self, words: &[&str]) -> Result<Said> {
        let run = Run::new(&self.scene.program, COMMAND_LIMIT).args(words);
        let finished = run.arg("--socket").arg(self.scene.dir.join("agent.sock")).output().await?;
        let stdout = String::from_utf8_lossy(&finished.stdout).into_owned();
        Ok(Said { status: finished.code.unwrap_or(-1), stdout, stderr: finished.stderr })
    }

    async fn health(&self) -> Result<Health> {
        Health::read(&self.said(&["health", "--json", "--all"]).await?)
    }

    /// It finds of a subject what it should, with these words, once it has looked again.
    pub(crate) async fn finds(&self, found: (&str, &str, &str), words: &str) -> Result<()> {
        let said = self.sees(found, words).await?;
        let (check, subject, severity) = found;
        self.scene.say(&format!("{check} of {subject} is {severity}: {said}"));
        Ok(())
    }

    /// As [`AgentHere::finds`], without a word; what it says of it.
    pub(crate) async fn sees(&self, (check, subject, severity): (&str, &str, &str), words: &str) -> Result<String> {
        let what = format!("the agent to find {check} of {subject} {severity}, {words}");
        let mut last = None;
        let said = until(&what, self.ours.seen_limit, async || {
            let health = self.health().await?;
            let found = health.findings.iter().find(|row| row.check == check && row.subject == subject);
            let said = found.map(|found| format!("{}; {}", found.summary, found.evidence));
            last = found.map(|found| found.severity.clone()).zip(said.clone());
            let fits = found.is_some_and(|found| found.severity == severity);
            Ok(said.filter(|said| fits && said.contains(words)))
        });
        said.await.with_context(|| format!("it said last: {last:?}"))
    }

    /// Nothing of ours is worse than worth knowing, once it has looked again.
    pub(crate) async fn is_content(&self) -> Result<()> {
        let mut last = Vec::new();
        let content = until("the agent to be content", self.ours.seen_limit, async || {
            let is_loud =
                |row: &&Finding| self.is_ours(&row.check, &row.subject) && !["ok", "info"].contains(&&*row.severity);
            last = self.health().await?.findings.iter().filter(is_loud).map(|row| format!("{row:?}")).collect();
            Ok(last.is_empty().then_some(()))
        });
        content.await.with_context(|| format!("it said last: {last:#?}"))
    }

    fn is_ours(&self, check: &str, subject: &str) -> bool {
        check.split('.').next() == Some(self.ours.group) || check == "collector" && subject == self.ours.collector
    }

    /// What of ours is in the way of taking the node down.
    async fn gate(&self) -> Result<Vec<String>> {
        let said = self.said(&["gate", "--here"]).await?.stdout;
        let starts = [format!("{}.", self.ours.group), format!("collector {}", self.ours.collector)];
        let lines = said.lines().map(str::trim).filter(|line| starts.iter().any(|start| line.starts_with(start)));
        Ok(lines.map(str::to_owned).collect())
    }

    /// This alone of ours is in the way; the gate is asked after the finding was seen, so it knows.
    pub(crate) async fn is_blocked_by(&self, by: &str) -> Result<()> {
        let gate = self.gate().await?;
        ensure!(gate.len() == 1 && gate[0].starts_with(by), "the gate says {gate:?}, not {by} alone");
        self.scene.say(&format!("the gate says: {}", gate[0]));
        Ok(())
    }

    /// This of ours is in the way, whatever else is.
    pub(crate) async fn is_also_blocked_by(&self, by: &str) -> Result<()> {
        let gate = self.gate().await?;
        let line = gate.iter().find(|line| line.starts_with(by));
        let line = line.with_context(|| format!("finding {by} in what the gate says: {gate:?}"))?;
        self.scene.say(&format!("the gate says: {line}"));
        Ok(())
    }

    /// Nothing of ours is in the way.
    pub(crate) async fn is_free(&self) -> Result<()> {
        let gate = self.gate().await?;
        ensure!(gate.is_empty(), "the gate is shut by {gate:?}");
        Ok(())
    }

    /// The page has this line, once it has looked again.
    pub(crate) async fn shows(&self, line: &str) -> Result<()> {
        let what = format!("the page to show {line}");
        until(&what, self.ours.seen_limit, async || Ok(page().await?.lines().any(|one| one == line).then_some(())))
            .await?;
        self.scene.say(&format!("the page shows {line}"));
        Ok(())
    }

    /// Within `limit` nothing is known of ours any more, for this reason, and the page is not later meanwhile.
    pub(crate) async fn knows_nothing(&self, limit: Duration, why: &str) -> Result<()> {
        let since = Instant::now();
        let (mut slowest, mut last) = (Duration::ZERO, None);
        let waited = until("the agent to know nothing", limit, async || {
            let asked = Instant::now();
            page().await?;
            slowest = slowest.max(asked.elapsed());
            let health = self.health().await?;
            let found = health.worst("collector", self.ours.collector).filter(|found| found.severity == "unknown");
            last = found.map(|found| found.evidence.clone());
            Ok(last.clone().filter(|evidence| evidence.contains(why)))
        });
        let evidence = waited.await.with_context(|| format!("it said last: {last:?}"))?;
        let took = since.elapsed().as_secs_f64();
        ensure!(slowest < PAGE_LIMIT, "the page took {} s meanwhile", slowest.as_secs_f64());
        let slowest = slowest.as_secs_f64() * 1e3;
        let step = format!("unknown after {took:.1} s, the page within {slowest:.0} ms meanwhile: {evidence}");
        self.scene.say(&step);
        self.is_blocked_by(&format!("collector {}", self.ours.collector)).await
    }
}

/// Its metrics page.
async fn page() -> Result<String> {
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
