//! QEMU's control protocol: one JSON object a line over a unix socket.
//!
//! It must never be left without an answer for longer than its limit: a QEMU that does not answer is a broken machine.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::wait::until;

/// QEMU opens its sockets before the guest runs; under a loaded host that has taken up to 3 s.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// Every command used here only starts something, so its answer comes at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// A connection that has been greeted.
pub(crate) struct Qmp {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
    events: Vec<Value>,
}

impl Qmp {
    /// Connects and leaves negotiation mode.
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        let stream = connect(socket).await?;
        let (read, write) = stream.into_split();
        let mut qmp = Self { lines: BufReader::new(read).lines(), write, events: Vec::new() };
        let greeting = qmp.next(ANSWER_LIMIT).await?;
        if greeting.get("QMP").is_none() {
            bail!("{} did not greet as QMP but with {greeting}", socket.display());
        }
        qmp.execute("qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// Runs one command and returns what it returned.
    pub(crate) async fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        self.write.write_all(line.as_bytes()).await.with_context(|| format!("asking QEMU for {command}"))?;
        loop {
            let mut answer = self.next(ANSWER_LIMIT).await.with_context(|| format!("asking QEMU for {command}"))?;
            if answer.get("event").is_some() {
                self.events.push(answer);
            } else if let Some(error) = answer.get("error") {
                bail!("QEMU refused {command}: {error}");
            } else {
                return Ok(answer["return"].take());
            }
        }
    }

    /// Waits for an event that `matches`, also one that came before.
    pub(crate) async fn event(&mut self, what: &str, limit: Duration, matches: impl Fn(&Value) -> bool) -> Result<()> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            if let Some(place) = self.events.iter().position(&matches) {
                self.events.remove(place);
                return Ok(());
            }
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let event = self.next(left).await.with_context(|| format!("waiting for {what}"))?;
            self.events.push(event);
        }
    }

    async fn next(&mut self, limit: Duration) -> Result<Value> {
        let Ok(line) = tokio::time::timeout(limit, self.lines.next_line()).await else {
            bail!("QEMU said nothing for {} s", limit.as_secs());
        };
        let line = line.context("reading from QEMU")?.context("QEMU closed its control socket")?;
        serde_json::from_str(&line).with_context(|| format!("QEMU said something that is not JSON: {line}"))
    }
}

/// Connects to a socket of QEMU as soon as it is there.
pub(crate) async fn connect(socket: &Path) -> Result<UnixStream> {
    until(&format!("QEMU to open {}", socket.display()), CONNECT_LIMIT, async || {
        Ok(UnixStream::connect(socket).await.ok())
    })
    .await
}
