//! Three nodes that are no machines: each an agent and a helper as they are shipped, in a network namespace of its own
//! behind one bridge and in a mount namespace with a boot id of its own, with a bus that the bench answers on. A reboot
//! ends both processes and starts them under another boot id.
//!
//! It must never start a program of a node outside its namespaces.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hardstand_exec::{Run, Started, find};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;

use super::bus::{self, Bus};
use super::read::{self, Memory};
use crate::fleet::Seed;
use crate::loopback::holder;
use crate::wait::until;

/// Where agents serve their metrics.
const METRICS_PORT: u16 = 9787;
/// Small programs of the system, and commands of ours.
const TOOL_LIMIT: Duration = Duration::from_secs(30);
/// One page of an agent on a machine that is busy.
const PAGE_LIMIT: Duration = Duration::from_secs(10);
/// An agent serves within a second; a loaded machine takes ten times that.
const UP_LIMIT: Duration = Duration::from_secs(60);

/// What all nodes share.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// The agent's program.
    pub(super) program: PathBuf,
    /// What answers on the nodes' buses.
    pub(super) bus: PathBuf,
    /// Where the nodes have their directories.
    pub(super) dir: PathBuf,
}

/// One node.
pub(super) struct Room {
    pub(super) seed: Seed,
    site: Site,
    dir: PathBuf,
    holder: Started,
    agent: Option<Started>,
    helper: Option<Started>,
    boots: u32,
    _bus: Bus,
}

impl Room {
    /// Makes the rooms of a node; nothing runs in them. `settings`: the agent's, from `[store]` on.
    pub(super) async fn make(
        site: &Site,
        seed: Seed,
        number: usize,
        settings: &str,
        reboots: UnboundedSender<usize>,
    ) -> Result<Self> {
        let dir = site.dir.join(&seed.name);
        for below in ["state", "helper"] {
            std::fs::create_dir_all(dir.join(below)).with_context(|| format!("making {}", dir.display()))?;
        }
        let bus = Bus::start(&dir, &site.bus, number, reboots).await?;
        let name = &seed.name;
        let text = format!(
            "[node]\nname = \"{name}\"\nrole = \"debian\"\n[metrics]\nlisten = \"0.0.0.0:{METRICS_PORT}\"\n{settings}"
        );
        std::fs::write(dir.join("agent.toml"), text).with_context(|| format!("configuring {name}"))?;
        let holder = holder(&dir).await?;
        let mut room = Self { seed, site: site.clone(), dir, holder, agent: None, helper: None, boots: 0, _bus: bus };
        room.furnish(number).await?;
        Ok(room)
    }

    /// A card on the bridge, and a boot id.
    async fn furnish(&mut self, number: usize) -> Result<()> {
        let pid = self.holder.pid().context("the node's namespaces are gone")?;
        let ip = find("ip").context("finding ip; install iproute2")?;
        let batch =
            format!("link add v{number} type veth peer name eth0 netns {pid}\nlink set v{number} master br0 up\n");
        Run::new(ip, TOOL_LIMIT).args(["-batch", "-"]).stdin(batch).success().await?;
        self.new_boot_id()?;
        let script = format!(
            "ip link set lo up && ip addr add {}/24 dev eth0 && ip link set eth0 up && \
             mount --bind {} /proc/sys/kernel/random/boot_id",
            self.seed.address(),
            self.dir.join("boot_id").display()
        );
        self.inside(TOOL_LIMIT, "/bin/sh")?.args(["-c", &script]).success().await.context("furnishing a node")?;
        Ok(())
    }

    /// The same file, so that the mount shows it.
    fn new_boot_id(&mut self) -> Result<()> {
        self.boots += 1;
        let text = format!("00000000-0000-4000-8000-{:06}{:06}\n", self.seed.last, self.boots);
        std::fs::write(self.dir.join("boot_id"), text).context("writing a boot id")
    }

    /// A program in the node's namespaces.
    pub(super) fn inside(&self, limit: Duration, program: impl AsRef<Path>) -> Result<Run> {
        let pid = self.holder.pid().context("the node's namespaces are gone")?.to_string();
        let nsenter = find("nsenter").context("finding nsenter; install util-linux")?;
        let run = Run::new(nsenter, limit).args(["-t", &pid, "-n", "-m", "--"]).arg(program.as_ref());
        Ok(run.env("DBUS_SYSTEM_BUS_ADDRESS", bus::address(&self.dir)))
    }

    /// A command of ours, as a person on the node.
    pub(super) fn command(&self, words: &[&str]) -> Result<Run> {
        let run = self.inside(TOOL_LIMIT, &self.site.program)?;
        Ok(run.args(words).arg("--config").arg(self.dir.join("agent.toml")))
    }

    /// Starts helper and agent.
    pub(super) fn start(&mut self) -> Result<()> {
        let path = |below: &str| self.dir.join(below);
        let helper = self.inside(Duration::ZERO, &self.site.program)?.arg("helper").arg("--socket");
        let helper = helper.arg(path("helper.sock")).arg("--state").arg(path("helper"));
        let agent = self.inside(Duration::ZERO, &self.site.program)?.arg("agent").arg("--config");
        let agent = agent.arg(path("agent.toml")).arg("--state").arg(path("state"));
        let agent = agent.arg("--socket").arg(path("agent.sock")).arg("--helper").arg(path("helper.sock"));
        let log = |name: &str| {
            let file = std::fs::File::options().create(true).append(true).open(path(name));
            file.with_context(|| format!("opening {name} of {}", self.seed.name))
        };
        self.helper = Some(helper.start(log("helper.log")?)?);
        self.agent = Some(agent.start(log("agent.log")?)?);
        Ok(())
    }

    /// Ends both at once.
    pub(super) async fn kill(&mut self) -> Result<()> {
        for mut program in [self.agent.take(), self.helper.take()].into_iter().flatten() {
            program.kill().await?;
        }
        Ok(())
    }

    /// Ends both, and starts them in another boot.
    pub(super) async fn reboot(&mut self) -> Result<()> {
        self.kill().await?;
        self.new_boot_id()?;
        self.start()
    }

    /// Waits until the agent serves its page.
    pub(super) async fn serves(&mut self) -> Result<()> {
        until(&format!("the agent of {} to serve", self.seed.name), UP_LIMIT, async || {
            if let Some(status) = self.agent.as_mut().context("no agent was started")?.ended()? {
                bail!("the agent of {} ended with {status}; see {}", self.seed.name, self.dir.display());
            }
            Ok(self.page().await.ok().map(drop))
        })
        .await
    }

    /// The agent's metrics page.
    pub(super) async fn page(&self) -> Result<String> {
        let request = "GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
        let (status, page) = tokio::time::timeout(PAGE_LIMIT, self.ask(METRICS_PORT, request)).await??;
        ensure!(status == 200, "the page of {} is {status}", self.seed.name);
        Ok(page)
    }

    /// One request to a port of the node: status and body.
    pub(super) async fn ask(&self, port: u16, request: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect((self.seed.address(), port)).await.context("connecting to a node")?;
        stream.write_all(request.as_bytes()).await.context("asking a node")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.context("reading a node's answer")?;
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status.with_context(|| format!("no status in {answer}"))?, body.to_owned()))
    }

    /// Resident memory of the agent; `None` while it does not run.
    pub(super) fn memory(&self) -> Option<Memory> {
        let pid = self.agent.as_ref()?.pid()?;
        read::resident(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?).ok()
    }

    /// Bytes that passed the node's card, both ways.
    pub(super) fn traffic(&self) -> Result<u64> {
        let path = format!("/proc/{}/net/dev", self.holder.pid().context("the node's namespaces are gone")?);
        read::passed(&std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?, "eth0")
    }
}
