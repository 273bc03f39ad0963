//! Rooms for real daemons that need no machine: each a network and a mount namespace of its own, joined by bridges in the
//! harness's namespace. All of it is gone when the harness is.
//!
//! It must never start a daemon outside its room, nor write where the host's own daemons look.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hardstand_exec::{Run, Started, find};

use crate::wait::until;

/// Small programs of the system.
const TOOL_LIMIT: Duration = Duration::from_secs(30);

/// One room.
pub(crate) struct Room {
    /// Where its logs and its directories are kept.
    pub(crate) dir: PathBuf,
    holder: Started,
}

impl Room {
    /// Makes an empty room whose directory is `dir`, with a card on each of these bridges: `(bridge, address/length)`. Its
    /// cards are `eth0`, `eth1`, ...; the other ends are called `NAME.0`, `NAME.1`, ...
    pub(crate) async fn make(dir: PathBuf, name: &str, cards: &[(&str, String)]) -> Result<Self> {
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        let room = Self { holder: holder(&dir).await?, dir };
        let (mut outside, mut inside) = (String::new(), String::from("link set lo up\n"));
        for (number, (bridge, address)) in cards.iter().enumerate() {
            let pid = room.pid()?;
            writeln!(outside, "link add {name}.{number} type veth peer name eth{number} netns {pid}")?;
            writeln!(outside, "link set {name}.{number} master {bridge} up")?;
            writeln!(inside, "addr add {address} dev eth{number}\nlink set eth{number} up")?;
        }
        ip(&outside).await?;
        let program = find("ip").context("finding ip; install iproute2, or start through qemu/lab")?;
        room.inside(TOOL_LIMIT, program)?.args(["-batch", "-"]).stdin(inside).success().await?;
        Ok(room)
    }

    /// A program in the room.
    pub(crate) fn inside(&self, limit: Duration, program: impl AsRef<Path>) -> Result<Run> {
        let nsenter = find("nsenter").context("finding nsenter; install util-linux")?;
        let pid = self.pid()?.to_string();
        Ok(Run::new(nsenter, limit).args(["-t", &pid, "-n", "-m", "--"]).arg(program.as_ref()))
    }

    /// A program of the system in the room.
    pub(crate) fn tool(&self, limit: Duration, name: &str) -> Result<Run> {
        let program =
            find(name).with_context(|| format!("finding {name}; start through qemu/lab, which installs it"))?;
        self.inside(limit, program)
    }

    /// A line for the shell in the room.
    pub(crate) async fn shell(&self, line: &str) -> Result<()> {
        let run = self.inside(TOOL_LIMIT, "/bin/sh")?.args(["-ec", line]);
        run.success().await.with_context(|| format!("running {line}"))?;
        Ok(())
    }

    /// Starts a daemon of the system that stays in the foreground. Its words are added to `NAME.log`.
    pub(crate) fn daemon(&self, name: &str, words: &[&str]) -> Result<Started> {
        let path = self.dir.join(format!("{name}.log"));
        let log = std::fs::File::options().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("opening {}", path.display()))?;
        Ok(self.tool(Duration::ZERO, name)?.args(words).start(log)?)
    }

    fn pid(&self) -> Result<u32> {
        self.holder.pid().context("the room's namespaces are gone")
    }
}

/// Bridges in the harness's namespace, each with an address of the harness.
pub(crate) async fn bridges(bridges: &[(&str, String)]) -> Result<()> {
    let mut batch = String::from("link set lo up\n");
    for (name, address) in bridges {
        writeln!(
            batch,
            "link add {name} type bridge forward_delay 0\naddr add {address} dev {name}\nlink set {name} up"
        )?;
    }
    ip(&batch).await
}

/// What `ip` is to do in the harness's namespace.
pub(crate) async fn ip(batch: &str) -> Result<()> {
    let ip = find("ip").context("finding ip; install iproute2, or start through qemu/lab")?;
    Run::new(ip, TOOL_LIMIT).args(["-batch", "-"]).stdin(batch).success().await?;
    Ok(())
}

/// A process that keeps a network and a mount namespace.
pub(crate) async fn holder(dir: &Path) -> Result<Started> {
    let log = std::fs::File::create(dir.join("holder.log")).context("making a log")?;
    let unshare = find("unshare").context("finding unshare; install util-linux")?;
    let words = ["--net", "--mount", "--propagation", "private", "/bin/sleep", "infinity"];
    let holder = Run::new(unshare, Duration::ZERO).args(words).start(log)?;
    let pid = holder.pid().context("the namespaces ended at once")?;
    let ours = std::fs::read_link("/proc/thread-self/ns/net").context("finding our own namespace")?;
    until("the namespaces of a room", TOOL_LIMIT, async || {
        let there = std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|theirs| theirs != ours)
            && std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sleep");
        Ok(there.then_some(()))
    })
    .await?;
    Ok(holder)
}
