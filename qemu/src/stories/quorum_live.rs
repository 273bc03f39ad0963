//! `quorum-live`: two nodes and a quorum device lose each other in every way that counts; `hardstand health` on the first
//! says so each time, and whether the node may go. The daemons are real, in rooms of their own; nothing is booted.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hardstand_exec::Started;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::guest::Said;
use crate::health::{Finding, Health};
use crate::loopback::{self, Room};
use crate::scene::Scene;
use crate::wait::until;

/// The harness, the quorum device's host, and the two nodes on each bridge.
const HARNESS: u8 = 250;
const DEVICE: u8 = 9;
const NODES: [(&str, u8); 2] = [("one", 1), ("two", 2)];
const BRIDGES: [&str; 2] = ["ring0", "ring1"];
/// One look takes a second or two; a loaded machine takes ten times that.
const LOOK_LIMIT: Duration = Duration::from_secs(60);
/// A device that went is tried again every 8 s, a node that went is missed after 2 s.
const SEEN_LIMIT: Duration = Duration::from_secs(90);
/// A page comes from the last pass.
const PAGE_LIMIT: Duration = Duration::from_secs(1);
/// A user without any rights, as the agent's is.
const NOBODY: &str = "65534";
const PERMISSION: &str = include_str!("../../../agent/debian/corosync-uidgid");

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let mut site = Site::make(scene).await?;
    link(&site).await?;
    device(&mut site).await?;
    node(&mut site).await?;
    daemons(&mut site).await?;
    permission(&site).await?;
    hung(&mut site).await?;
    stopped(&mut site).await
}

/// All is there; a link is lost and comes back.
async fn link(site: &Site<'_>) -> Result<()> {
    site.finds(
        "corosync.margin",
        ("ok", "none"),
        "3 of 3 votes are there, 2 are needed; without this node's 1 there are 2",
    )
    .await?;
    site.finds("corosync.link", ("ok", "none"), "2 connected").await?;
    site.gate_is_open().await?;
    site.keep("well").await?;

    loopback::ip("link set two.1 down\n").await?;
    site.finds("corosync.link", ("warn", "warns"), "link 1 is disconnected").await?;
    site.keep("one-link").await?;
    loopback::ip("link set two.1 up\n").await?;
    site.finds("corosync.link", ("ok", "none"), "2 connected").await
}

/// The device's host is lost and comes back: without it this node is needed.
async fn device(site: &mut Site<'_>) -> Result<()> {
    site.device.kill().await?;
    site.finds("corosync.qdevice", ("warn", "warns"), "the quorum device does not vote for it (NV)").await?;
    site.finds(
        "corosync.margin",
        ("warn", "blocks"),
        "2 of 3 votes are there, 2 are needed; without this node's 1 there are 1",
    )
    .await?;
    site.keep("no-device").await?;
    site.device = site.start_device()?;
    site.finds("corosync.margin", ("ok", "none"), "without this node's 1 there are 2").await?;
    site.gate_is_open().await
}

/// The other node is lost, then the device as well, and both come back.
async fn node(site: &mut Site<'_>) -> Result<()> {
    loopback::ip("link set two.0 down\nlink set two.1 down\n").await?;
    site.finds("corosync.node", ("warn", "warns"), "0 disconnected, 1 disconnected").await?;
    site.finds("corosync.margin", ("warn", "blocks"), "2 of 3 votes are there").await?;
    site.finds("corosync.quorum", ("ok", "none"), "quorate").await?;
    site.keep("node-lost").await?;
    site.device.kill().await?;
    site.finds("corosync.quorum", ("crit", "blocks"), "1 votes are there, 2 are needed").await?;
    site.keep("no-quorum").await?;
    site.device = site.start_device()?;
    loopback::ip("link set two.0 up\nlink set two.1 up\n").await?;
    site.finds("corosync.margin", ("ok", "none"), "3 of 3 votes are there").await
}

/// What speaks with the device is stopped on both nodes, and started.
async fn daemons(site: &mut Site<'_>) -> Result<()> {
    for node in &mut site.nodes {
        signal(&node.qdevice, Signal::SIGTERM)?;
        node.qdevice.wait(LOOK_LIMIT).await?;
    }
    site.finds("corosync.qdevice", ("warn", "warns"), "is configured, and nobody speaks with it").await?;
    site.finds("corosync.margin", ("warn", "blocks"), "without this node's 1 there are 1").await?;
    site.keep("no-daemon").await?;
    for node in &mut site.nodes {
        node.qdevice = node.room.daemon("corosync-qdevice", &["-f"])?;
    }
    site.finds("corosync.margin", ("ok", "none"), "3 of 3 votes are there").await?;
    site.gate_is_open().await
}

/// The agent is not root: what it is told of, and with the file of the package it may ask.
async fn permission(site: &Site<'_>) -> Result<()> {
    let as_nobody = site.finds_as(
        Some(NOBODY),
        "collector",
        ("unknown", "blocks"),
        "it takes no questions from this user; allow it: install",
    );
    as_nobody.await?;
    let file = PERMISSION.replace("uid: hardstand", &format!("uid: {NOBODY}"));
    ensure!(file != PERMISSION, "the permission names no user hardstand");
    let path = site.nodes[0].room.dir.join("etc/uidgid.d/hardstand");
    std::fs::write(&path, file).with_context(|| format!("writing {}", path.display()))?;
    site.nodes[0].room.shell("corosync-cfgtool -R").await?;
    site.finds_as(Some(NOBODY), "corosync.margin", ("ok", "none"), "3 of 3 votes are there").await
}

/// A corosync that hangs: the page of a running agent stays quick, and says that nothing is known.
async fn hung(site: &mut Site<'_>) -> Result<()> {
    let dir = site.nodes[0].room.dir.clone();
    let config = dir.join("agent.toml");
    let text = "[probe]\ninterval_secs = 1\ndeadline_secs = 1\n[metrics]\nlisten = \"0.0.0.0:9787\"\n";
    std::fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
    let log = std::fs::File::create(dir.join("agent.log")).context("making the agent's log")?;
    let agent = site.nodes[0].room.inside(Duration::ZERO, &site.scene.program)?.arg("agent");
    let agent = agent.arg("--config").arg(&config).arg("--state").arg(dir.join("state"));
    let agent = agent.arg("--socket").arg(dir.join("agent.sock")).arg("--helper").arg(dir.join("helper.sock"));
    std::fs::create_dir_all(dir.join("state")).context("making the agent's state")?;
    let mut agent = agent.start(log)?;
    site.pages("hardstand_pve_quorate 1").await?;
    signal(&site.nodes[0].corosync, Signal::SIGSTOP)?;
    let begin = Instant::now();
    let slowest = site.pages("hardstand_collector_success{collector=\"corosync\"} 0").await?;
    let after = begin.elapsed().as_secs_f64();
    site.scene.say(&format!(
        "corosync hangs: not known after {after:.1} s, the slowest page took {} ms",
        slowest.as_millis()
    ));
    site.finds("collector", ("unknown", "blocks"), "no answer to corosync-quorumtool -si within 4 s").await?;
    signal(&site.nodes[0].corosync, Signal::SIGCONT)?;
    site.pages("hardstand_pve_quorate 1").await?;
    agent.kill().await?;
    Ok(())
}

async fn stopped(site: &mut Site<'_>) -> Result<()> {
    site.nodes[0].corosync.kill().await?;
    site.finds("collector", ("unknown", "blocks"), "it is configured and does not run").await?;
    let config = site.nodes[0].room.dir.join("etc/corosync.conf");
    std::fs::remove_file(&config).with_context(|| format!("removing {}", config.display()))?;
    let health = site.look(None).await?;
    ensure!(of_corosync(&health).next().is_none(), "without corosync nothing should be said of it");
    site.scene.say("not configured: nothing is said of it");
    Ok(())
}

/// A node: corosync and what speaks with the device.
struct Node {
    room: Room,
    corosync: Started,
    qdevice: Started,
}

struct Site<'a> {
    scene: &'a Scene,
    nodes: Vec<Node>,
    host: Room,
    device: Started,
}

impl<'a> Site<'a> {
    async fn make(scene: &'a Scene) -> Result<Self> {
        let address = |ring: usize, last: u8| format!("10.90.{ring}.{last}/24");
        let bridges: Vec<_> = BRIDGES.iter().enumerate().map(|(ring, name)| (*name, address(ring, HARNESS))).collect();
        loopback::bridges(&bridges).await?;
        let cards =
            |last| BRIDGES.iter().enumerate().map(move |(ring, name)| (*name, address(ring, last))).collect::<Vec<_>>();
        let host = Room::make(scene.dir.join("device"), "device", &cards(DEVICE)).await?;
        furnish(&host, "/run/corosync-qnetd").await?;
        let device = qnetd(&host)?;
        let mut nodes = Vec::new();
        for (name, last) in NODES {
            let room = Room::make(scene.dir.join(name), name, &cards(last)).await?;
            for below in ["etc/uidgid.d", "lib"] {
                std::fs::create_dir_all(room.dir.join(below)).context("making a node's directories")?;
            }
            std::fs::write(room.dir.join("etc/corosync.conf"), config()).context("configuring corosync")?;
            furnish(&room, "/run/corosync /run/corosync-qdevice").await?;
            bind(&room, "etc", "/etc/corosync").await?;
            bind(&room, "lib", "/var/lib/corosync").await?;
            let corosync = room.daemon("corosync", &["-f"])?;
            nodes.push((room, corosync));
        }
        // The device's daemon ends where corosync does not answer yet.
        for (room, _) in &nodes {
            until("corosync to answer", SEEN_LIMIT, async || {
                let said = room.tool(LOOK_LIMIT, "corosync-quorumtool")?.arg("-s").output().await?;
                Ok((said.code != Some(1)).then_some(()))
            })
            .await?;
        }
        let with_device = |(room, corosync): (Room, Started)| {
            let qdevice = room.daemon("corosync-qdevice", &["-f"])?;
            Ok(Node { room, corosync, qdevice })
        };
        let nodes = nodes.into_iter().map(with_device).collect::<Result<Vec<_>>>()?;
        scene.say("two nodes and the host of a quorum device run");
        Ok(Self { scene, nodes, host, device })
    }

    fn start_device(&self) -> Result<Started> {
        qnetd(&self.host)
    }

    /// Waits until the first node's health has a finding of this check, this bad and with these words in its evidence.
    async fn finds(&self, check: &str, stands: (&str, &str), words: &str) -> Result<()> {
        self.finds_as(None, check, stands, words).await
    }

    async fn finds_as(&self, user: Option<&str>, check: &str, stands: (&str, &str), words: &str) -> Result<()> {
        let (severity, gate) = stands;
        let mut last = String::new();
        let what = format!("{check} to be {severity}: {words}");
        let found = until(&what, SEEN_LIMIT, async || {
            let health = self.look(user).await?;
            last =
                of_corosync(&health).map(|one| format!("{} {}: {}\n", one.severity, one.check, one.evidence)).collect();
            let mut of_check = of_corosync(&health).filter(|finding| finding.check == check);
            let fits = |one: &&Finding| one.severity == severity && one.gate == gate && one.evidence.contains(words);
            Ok(of_check.find(fits).map(|finding| finding.summary.clone()))
        });
        let summary = found.await.with_context(|| format!("the last look at corosync found:\n{last}"))?;
        let user = user.map_or_else(String::new, |user| format!(" (as user {user})"));
        self.scene.say(&format!("{check} {severity}, {gate}{user}: {summary} ({words})"));
        Ok(())
    }

    /// Nothing about the cluster keeps the first node up.
    async fn gate_is_open(&self) -> Result<()> {
        let health = self.look(None).await?;
        let blocks: Vec<_> = of_corosync(&health).filter(|one| one.gate == "blocks").map(|one| &one.summary).collect();
        ensure!(blocks.is_empty(), "the gate should be open, and these block: {blocks:?}");
        self.scene.say("the gate is open");
        Ok(())
    }

    /// `hardstand health` on the first node, whole.
    async fn look(&self, user: Option<&str>) -> Result<Health> {
        let (room, program) = (&self.nodes[0].room, &self.scene.program);
        let run = match user {
            None => room.inside(LOOK_LIMIT, program)?,
            Some(user) => {
                let run = room.tool(LOOK_LIMIT, "setpriv")?;
                run.args(["--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs"]).arg(program)
            }
        };
        let said = run.args(["health", "--local", "--json"]).output().await?;
        let status = said.code.context("hardstand health was killed")?;
        let stdout = String::from_utf8_lossy(&said.stdout).into_owned();
        Health::read(&Said { status, stdout, stderr: said.stderr })
    }

    /// Waits until the agent's page has this line; the longest that a page took.
    async fn pages(&self, line: &str) -> Result<Duration> {
        let mut slowest = Duration::ZERO;
        until(&format!("the page to say {line}"), SEEN_LIMIT, async || {
            let begin = Instant::now();
            // An agent that has just been started does not serve yet.
            let Ok(page) = page().await else { return Ok(None) };
            slowest = slowest.max(begin.elapsed());
            ensure!(slowest < PAGE_LIMIT, "a page took {} ms", slowest.as_millis());
            Ok(page.lines().any(|one| one == line).then_some(()))
        })
        .await?;
        Ok(slowest)
    }

    /// Keeps what the tools print now: such files are where our parsers' fixtures come from.
    async fn keep(&self, name: &str) -> Result<()> {
        for (what, tool, word) in [("quorum", "corosync-quorumtool", "-si"), ("links", "corosync-cfgtool", "-s")] {
            let said = self.nodes[0].room.tool(LOOK_LIMIT, tool)?.arg(word).output().await?;
            let path = self.scene.dir.join(format!("{name}-{what}.txt"));
            std::fs::write(&path, said.stdout).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

fn signal(daemon: &Started, signal: Signal) -> Result<()> {
    let pid = daemon.pid().context("the daemon has ended")?;
    kill(Pid::from_raw(i32::try_from(pid)?), signal).with_context(|| format!("sending {signal}"))
}

fn of_corosync(health: &Health) -> impl Iterator<Item = &Finding> {
    health.findings.iter().filter(|one| one.check.starts_with("corosync.") || one.subject == "corosync")
}

async fn page() -> Result<String> {
    let read = async {
        let mut stream = TcpStream::connect(("10.90.0.1", 9787)).await?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await?;
        Ok::<_, std::io::Error>(page)
    };
    tokio::time::timeout(LOOK_LIMIT, read).await.context("waiting for the page")?.context("reading the page")
}

fn qnetd(host: &Room) -> Result<Started> {
    host.daemon("corosync-qnetd", &["-f", "-4", "-s", "off"])
}

/// Directories of the room's own where corosync keeps what it shares and what it runs by.
async fn furnish(room: &Room, run: &str) -> Result<()> {
    room.shell(&format!("mount -t tmpfs none /dev/shm; mount -t tmpfs -o mode=755 none /run; mkdir {run}")).await
}

async fn bind(room: &Room, below: &str, over: &str) -> Result<()> {
    ensure!(Path::new(over).is_dir(), "{over} is missing; install corosync, or start through qemu/lab");
    let mount = room.tool(LOOK_LIMIT, "mount")?.arg("--bind").arg(room.dir.join(below)).arg(over);
    mount.success().await.with_context(|| format!("giving the room its own {over}"))?;
    Ok(())
}

/// Without cryptography: nobody else is on these bridges.
fn config() -> String {
    let node = |(name, last): (&str, u8)| {
        format!(
            "  node {{\n    ring0_addr: 10.90.0.{last}\n    ring1_addr: 10.90.1.{last}\n    name: {name}\n    nodeid: {last}\n  }}\n"
        )
    };
    let nodes: String = NODES.map(node).concat();
    format!(
        "totem {{\n  version: 2\n  cluster_name: lab\n  transport: knet\n  crypto_cipher: none\n  crypto_hash: none\n}}\n\
         logging {{\n  to_stderr: yes\n  to_syslog: no\n}}\n\
         nodelist {{\n{nodes}}}\n\
         quorum {{\n  provider: corosync_votequorum\n  device {{\n    model: net\n    votes: 1\n    net {{\n      \
         host: 10.90.0.{DEVICE}\n      algorithm: ffsplit\n      tls: off\n    }}\n  }}\n}}\n"
    )
}
