//! Commands inside a guest, over its second serial port: what was printed and how it ended, each with a limit.
//!
//! The images carry nothing for this. The control port is a unit handed to PID 1 as an SMBIOS credential, so what
//! boots is byte for byte what we ship.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;

use crate::args::Credential;
use crate::qmp;
use crate::wait::until;

/// The script that answers inside the guest.
const CONTROL: &str = include_str!("guest/control.sh");
/// The unit that runs it.
const UNIT: &str = include_str!("guest/control.service");
/// Makes the unit wanted.
const WANTED: &str = "[Unit]\nWants=hardstand-lab-control.service\n";
/// Lets a person in on the console of a machine that was started for that.
const CONSOLE_LOGIN: &str = include_str!("guest/console-login.conf");
/// The guest ends a command at its own limit; the answer then still has to come over a slow serial line.
const ANSWER_SLACK: Duration = Duration::from_secs(20);

/// How a command inside ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// Exit status; 124 when the guest ended it at its limit.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

#[derive(Default)]
struct Shared {
    boots: u32,
    waiting: HashMap<u64, oneshot::Sender<Said>>,
    last_id: u64,
    last_name: u64,
}

/// The control port of one guest.
pub(crate) struct Guest {
    write: tokio::sync::Mutex<OwnedWriteHalf>,
    shared: Arc<Mutex<Shared>>,
}

/// The credentials that open the control port in a guest.
pub(crate) fn credentials() -> Vec<Credential> {
    let credential = |name: &str, text: &str| Credential { name: name.to_owned(), text: text.to_owned() };
    vec![
        credential("hardstand-lab.control", CONTROL),
        credential("systemd.extra-unit.hardstand-lab-control.service", UNIT),
        credential("systemd.unit-dropin.multi-user.target~hardstand-lab", WANTED),
    ]
}

/// The credential that logs root in on the console, for a machine a person attaches to.
pub(crate) fn console_login() -> Credential {
    Credential {
        name: "systemd.unit-dropin.serial-getty@ttyS0.service~hardstand-lab".to_owned(),
        text: CONSOLE_LOGIN.to_owned(),
    }
}

impl Guest {
    /// Connects to the port's socket; the guest answers later.
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        let (read, write) = qmp::connect(socket).await?.into_split();
        let shared = Arc::new(Mutex::new(Shared::default()));
        tokio::spawn(listen(read, Arc::clone(&shared)));
        Ok(Self { write: tokio::sync::Mutex::new(write), shared })
    }

    /// Whether the port inside has said that it listens.
    pub(crate) fn is_ready(&self) -> bool {
        self.boots() > 0
    }

    /// How often the port inside has come up: once per boot of the guest since its power-on.
    pub(crate) fn boots(&self) -> u32 {
        locked(&self.shared).boots
    }

    /// A number no other call gets: for the names of what a story leaves inside.
    pub(crate) fn next_name(&self) -> u64 {
        let mut shared = locked(&self.shared);
        shared.last_name += 1;
        shared.last_name
    }

    /// Runs a shell command inside, at most `limit`.
    pub(crate) async fn run(&self, command: &str, limit: Duration) -> Result<Said> {
        let (sender, receiver) = oneshot::channel();
        let id = {
            let mut shared = locked(&self.shared);
            shared.last_id += 1;
            let id = shared.last_id;
            shared.waiting.insert(id, sender);
            id
        };
        let line = format!("{id} {} {}\n", limit.as_secs().max(1), BASE64.encode(command));
        self.write.lock().await.write_all(line.as_bytes()).await.context("writing to the control port")?;
        let Ok(said) = tokio::time::timeout(limit + ANSWER_SLACK, receiver).await else {
            bail!("the guest did not answer within {} s to: {command}", (limit + ANSWER_SLACK).as_secs());
        };
        said.with_context(|| format!("the control port was closed during: {command}"))
    }

    /// Runs a command that must succeed and returns what it printed.
    pub(crate) async fn ok(&self, command: &str, limit: Duration) -> Result<String> {
        let said = self.run(command, limit).await?;
        if said.status != 0 {
            bail!("in the guest, {command}: status {}, {}{}", said.status, said.stderr.trim(), said.stdout.trim());
        }
        Ok(said.stdout)
    }

    /// Repeats a command until `seen` finds in its outcome what it looks for.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        command: &str,
        seen: impl Fn(&Said) -> Option<T>,
    ) -> Result<T> {
        let mut last = None;
        let found = until(what, limit, async || {
            let said = self.run(command, limit).await?;
            let found = seen(&said);
            last = Some(said);
            Ok(found)
        })
        .await;
        found.with_context(|| match last {
            Some(said) => format!("last answer of {command}: {}{}", said.stdout.trim(), said.stderr.trim()),
            None => format!("no answer to {command}"),
        })
    }
}

async fn listen(read: OwnedReadHalf, shared: Arc<Mutex<Shared>>) {
    let mut lines = BufReader::new(read).split(b'\n');
    // The end of the socket is the end of the machine; who waits sees its sender go.
    while let Ok(Some(line)) = lines.next_segment().await {
        match frame(&String::from_utf8_lossy(&line)) {
            Some(Frame::Ready) => {
                let mut shared = locked(&shared);
                shared.boots += 1;
                // What was asked before a reboot is never answered; who waits sees its sender go.
                shared.waiting.clear();
            }
            Some(Frame::Said(id, said)) => {
                if let Some(sender) = locked(&shared).waiting.remove(&id) {
                    let _ = sender.send(said);
                }
            }
            // Firmware and boot loaders may write here before the control port owns the line.
            None => {}
        }
    }
    locked(&shared).waiting.clear();
}

#[derive(Debug, PartialEq, Eq)]
enum Frame {
    Ready,
    Said(u64, Said),
}

/// `@ready`, or `@ID STATUS .OUT .ERR` with both texts in base64.
fn frame(line: &str) -> Option<Frame> {
    let body = line.trim_end().split_once('@')?.1;
    if body == "ready" {
        return Some(Frame::Ready);
    }
    let mut words = body.split(' ');
    let id = words.next()?.parse().ok()?;
    let status = words.next()?.parse().ok()?;
    let mut text = || {
        let bytes = BASE64.decode(words.next()?.strip_prefix('.')?).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    Some(Frame::Said(id, Said { status, stdout: text()?, stderr: text()? }))
}

fn locked(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().expect("no holder of this lock can panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_from_noise() {
        assert_eq!(frame("BdsDxe: starting"), None);
        assert_eq!(frame("@ready\r"), Some(Frame::Ready));
        let said = Said { status: 3, stdout: "no".to_owned(), stderr: String::new() };
        assert_eq!(frame("@7 3 .bm8= ."), Some(Frame::Said(7, said)));
        assert_eq!(frame("@7 3 .bm8="), None);
    }
}
