//! A command in a guest that goes on by itself, and what it prints meanwhile.
//!
//! It is a transient unit, so it lives through the loss of the control port; its words are a file on the guest's disk.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::guest::Guest;
use crate::stories::claims::COMMAND_LIMIT;
use crate::wait::until;

/// A command that was started.
pub(crate) struct Followed {
    guest: Arc<Guest>,
    id: u64,
    read: usize,
    text: String,
}

impl Followed {
    pub(super) async fn start(guest: Arc<Guest>, command: &str) -> Result<Self> {
        let id = guest.next_name();
        let script = BASE64.encode(command);
        let start = format!(
            "mkdir -p /var/tmp/lab && cd /var/tmp/lab && rm -f {id}.* && base64 -d <<<{script} >{id}.script && \
             systemd-run --quiet --collect --unit=lab-command-{id} --setenv=HOME=/root --setenv=LC_ALL=C \
             --property=KillMode=process /bin/bash -c \
             '/bin/bash /var/tmp/lab/{id}.script >/var/tmp/lab/{id}.out 2>&1 </dev/null; \
             echo $? >/var/tmp/lab/{id}.new; mv /var/tmp/lab/{id}.new /var/tmp/lab/{id}.status'"
        );
        guest.ok(&start, COMMAND_LIMIT).await.with_context(|| format!("starting {command}"))?;
        Ok(Self { guest, id, read: 0, text: String::new() })
    }

    /// What it has printed since the last call, both streams.
    pub(crate) async fn more(&mut self) -> Result<String> {
        let show = format!("tail -c +{} /var/tmp/lab/{}.out 2>/dev/null || true", self.read + 1, self.id);
        let more = self.guest.ok(&show, COMMAND_LIMIT).await?;
        self.read += more.len();
        self.text += &more;
        Ok(more)
    }

    /// All that was read of it so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Its exit status, once it has ended.
    pub(crate) async fn status(&self) -> Result<Option<i32>> {
        let show = format!("cat /var/tmp/lab/{}.status 2>/dev/null || true", self.id);
        let said = self.guest.ok(&show, COMMAND_LIMIT).await?;
        let said = said.trim();
        if said.is_empty() { Ok(None) } else { said.parse().map(Some).with_context(|| format!("reading {said:?}")) }
    }

    /// Waits until it has ended, showing each piece to `on_more`, and returns its exit status.
    pub(crate) async fn end(&mut self, limit: Duration, mut on_more: impl FnMut(&str)) -> Result<i32> {
        until("a command in a guest to end", limit, async || {
            // Looked at before the words, so that the last of them are read too.
            let status = self.status().await?;
            on_more(&self.more().await?);
            Ok(status)
        })
        .await
        .with_context(|| format!("it has said: {}", self.text))
    }
}
