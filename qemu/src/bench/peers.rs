//! The agent beside prometheus-node-exporter from Debian: memory, processor time, size. Both run on this machine as
//! the same user in the same network namespace, with their defaults.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hardstand_exec::{Run, Started, find};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Row;
use crate::house::House;
use crate::wait::until;

/// Both serve within a second; a first pass on a loaded machine takes a few.
const UP_LIMIT: Duration = Duration::from_secs(60);
/// How long collections of the agent are watched, one a second.
const COLLECT_WINDOW: Duration = Duration::from_secs(40);
/// How long both are watched while idle: six passes and six scrapes.
const IDLE_WINDOW: Duration = Duration::from_secs(60);
/// Between two scrapes, and between two passes of the agent by default.
const IDLE_PERIOD: Duration = Duration::from_secs(10);
/// Pages asked for when a page is measured.
const PAGES: u32 = 300;
/// The longest interval the agent takes; the pages are served within a second, so hardly a pass falls in between.
const SELDOM_SECS: u64 = 60;
/// One page of either is under 200 kB.
const PAGE_LIMIT: Duration = Duration::from_secs(30);
/// Where the agent under measurement serves.
const AGENT_PORT: u16 = 9787;
/// Where node_exporter serves by default.
const EXPORTER_PORT: u16 = 9100;

/// What one of them used.
struct Used {
    resident_bytes: u64,
    page: Duration,
    collection: Duration,
    idle_percent: f64,
    binary_bytes: u64,
}

/// Measures both. `dir` keeps what they say.
pub(super) async fn measure(dir: &Path, house: &House) -> Result<Vec<Row>> {
    println!("measuring prometheus-node-exporter");
    let peer = exporter(dir).await?;
    println!("measuring the agent");
    let ours = agent(dir, &house.built("release", "hardstand")).await?;
    Ok(rows(&ours, &peer))
}

fn rows(ours: &Used, peer: &Used) -> Vec<Row> {
    let who = "node_exporter";
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let row = |figure, ours: String, peer: String, target, reached| Row {
        figure,
        ours,
        peer: format!("{who} {peer}"),
        target,
        reached: Some(reached),
    };
    let third = ours.collection.as_secs_f64() <= peer.collection.as_secs_f64() / 3.0;
    vec![
        row(
            "agent memory (RSS)",
            mb(ours.resident_bytes),
            mb(peer.resident_bytes),
            "<= 10 MB",
            ours.resident_bytes <= 10_000_000,
        ),
        row("CPU per collection", ms(ours.collection), ms(peer.collection), "<= 1.8 ms, ratio <= 1/3", third),
        row("CPU per served page", ms(ours.page), ms(peer.page), "<= 0.15 ms", ours.page <= Duration::from_micros(150)),
        row(
            "idle CPU at 10 s",
            format!("{:.3} %", ours.idle_percent),
            format!("{:.3} % (scraped every 10 s)", peer.idle_percent),
            "<= 0.05 % of a core",
            ours.idle_percent <= 0.05,
        ),
        row("binary", mb(ours.binary_bytes), mb(peer.binary_bytes), "<= 8 MB", ours.binary_bytes <= 8_000_000),
    ]
}

async fn exporter(dir: &Path) -> Result<Used> {
    let program = find("prometheus-node-exporter")
        .context("finding prometheus-node-exporter; install it, or start through qemu/lab")?;
    let server = Server::start(Run::new(&program, Duration::ZERO), dir, "node-exporter", EXPORTER_PORT).await?;
    let page = server.page_cost().await?;
    let idle_percent = server.idle(true).await?;
    // It collects when it is asked for a page, and only then.
    Ok(Used { resident_bytes: server.resident()?, page, collection: page, idle_percent, binary_bytes: size(&program)? })
}

async fn agent(dir: &Path, program: &Path) -> Result<Used> {
    let each_second = Server::agent(dir, program, "agent-1s", 1, "").await?;
    let before = each_second.cpu()?;
    let start = Instant::now();
    tokio::time::sleep(COLLECT_WINDOW).await;
    let collection = (each_second.cpu()? - before).div_f64(start.elapsed().as_secs_f64());
    drop(each_second);
    let seldom = Server::agent(dir, program, "agent-60s", SELDOM_SECS, "").await?;
    let page = seldom.page_cost().await?;
    drop(seldom);
    let by_default = Server::agent(dir, program, "agent-10s", IDLE_PERIOD.as_secs(), "").await?;
    let idle_percent = by_default.idle(false).await?;
    let resident_bytes = by_default.resident()?;
    Ok(Used { resident_bytes, page, collection, idle_percent, binary_bytes: size(program)? })
}

/// A program that serves a metrics page.
pub(super) struct Server {
    program: Started,
    port: u16,
}

impl Server {
    /// The agent, with a pass so often, and more sections of its configuration.
    pub(super) async fn agent(dir: &Path, program: &Path, name: &str, interval_secs: u64, more: &str) -> Result<Self> {
        let (config, state) = (dir.join(format!("{name}.toml")), dir.join(name));
        // A collector may not take longer than a pass lasts; 5 s is the default.
        let deadline_secs = interval_secs.min(5);
        let text = format!(
            "[probe]\ninterval_secs = {interval_secs}\ndeadline_secs = {deadline_secs}\n\
             [metrics]\nlisten = \"127.0.0.1:{AGENT_PORT}\"\n{more}"
        );
        std::fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        std::fs::create_dir_all(&state).with_context(|| format!("creating {}", state.display()))?;
        let run = Run::new(program, Duration::ZERO)
            .arg("agent")
            .arg("--config")
            .arg(config)
            .arg("--socket")
            .arg(state.join("agent.sock"))
            .arg("--state")
            .arg(state);
        Self::start(run, dir, name, AGENT_PORT).await
    }

    async fn start(run: Run, dir: &Path, name: &str, port: u16) -> Result<Self> {
        let path = dir.join(format!("{name}.log"));
        let log = std::fs::File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        let mut server = Self { program: run.start(log)?, port };
        until(&format!("{name} to serve its page"), UP_LIMIT, async || {
            if let Some(status) = server.program.ended()? {
                bail!("{name} ended with {status}; its words are in {}", path.display());
            }
            Ok(server.page().await.ok())
        })
        .await?;
        Ok(server)
    }

    /// Asks for one page and reads it whole.
    pub(super) async fn page(&self) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.context("connecting to the page")?;
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.context("asking for the page")?;
        let mut page = Vec::new();
        let read = tokio::time::timeout(PAGE_LIMIT, stream.read_to_end(&mut page));
        read.await.context("waiting for the page")?.context("reading the page")?;
        ensure!(page.starts_with(b"HTTP/1.1 200 "), "the page is {}", String::from_utf8_lossy(&page));
        String::from_utf8(page).context("reading the page")
    }

    /// Processor time of one page.
    async fn page_cost(&self) -> Result<Duration> {
        let before = self.cpu()?;
        for _ in 0..PAGES {
            self.page().await?;
        }
        Ok((self.cpu()? - before) / PAGES)
    }

    /// Share of one core used while nothing happens but a pass or a scrape every ten seconds.
    pub(super) async fn idle(&self, scraped: bool) -> Result<f64> {
        let (before, start) = (self.cpu()?, Instant::now());
        while start.elapsed() < IDLE_WINDOW {
            tokio::time::sleep(IDLE_PERIOD).await;
            if scraped {
                self.page().await?;
            }
        }
        Ok((self.cpu()? - before).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0)
    }

    /// Processor time used so far by all threads, those that ended included.
    fn cpu(&self) -> Result<Duration> {
        let clock = clock_getcpuclockid(self.pid()?).context("finding the process's clock")?;
        Ok(Duration::from(clock_gettime(clock).context("reading the process's clock")?))
    }

    /// Processor time of all programs that it started and that have ended.
    pub(super) fn children(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.pid()?);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        // Behind the name in brackets: cutime and cstime are the 16th and 17th field, in hundredths of a second.
        let fields = text.rsplit_once(") ").context("finding the name")?.1.split(' ').skip(13).take(2);
        let ticks = fields.map(str::parse::<u64>).sum::<Result<u64, _>>().with_context(|| format!("reading {path}"))?;
        Ok(Duration::from_millis(ticks * 10))
    }

    pub(super) fn resident(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid()?);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("finding VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().with_context(|| format!("reading {line}"))?;
        Ok(kib * 1024)
    }

    fn pid(&self) -> Result<Pid> {
        let pid = self.program.pid().context("the server has ended")?;
        Ok(Pid::from_raw(i32::try_from(pid).context("reading a process id")?))
    }
}

fn size(program: &Path) -> Result<u64> {
    Ok(std::fs::metadata(program).with_context(|| format!("reading the size of {}", program.display()))?.len())
}
