//! A Ceph cluster on loopback: Debian's own daemons, in memory, with keys, each in the foreground as our child.
//!
//! It must never leave a daemon behind: they end with this value, and with the harness however it ends.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hardstand_exec::{Run, Started, find};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stories::ceph::{FSID, SETTINGS, keys};
use crate::wait::until;

/// What a host is called: this one, as the kernel says, and two others.
pub(super) const THIS: &str = "this";
/// The host of the daemons that fail.
pub(super) const OTHER: &str = "other";

const MONITORS: [(&str, u16, &str); 3] = [("a", 3300, THIS), ("b", 3301, "third"), ("c", 3302, OTHER)];
const MANAGERS: [(&str, &str); 2] = [("x", THIS), ("y", "third")];
const OSDS: [(&str, &str); 3] = [("0", THIS), ("1", OTHER), ("2", "third")];
/// What makes losses seen within seconds.
const QUICK: [&str; 7] = [
    "mon lease = 2",
    "mon election timeout = 2",
    "mon osd min down reporters = 1",
    "mgr stats period = 1",
    "osd mgr stats report interval = 1",
    "osd heartbeat interval = 2",
    "osd heartbeat grace = 6",
];
/// Small programs that make files.
const MAKE_LIMIT: Duration = Duration::from_secs(60);
/// Everything elects, peers and reports; 20 s on a busy machine.
const UP_LIMIT: Duration = Duration::from_secs(120);
/// An OSD writes down what it has in memory.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The cluster while it runs.
pub(crate) struct Cluster {
    dir: PathBuf,
    host: String,
    daemons: BTreeMap<String, Started>,
}

impl Cluster {
    /// Makes one below `dir` and waits until it is whole.
    pub(super) async fn up(dir: &Path) -> Result<Self> {
        let dir = dir.join("ceph");
        std::fs::create_dir_all(dir.join("run")).with_context(|| format!("creating {}", dir.display()))?;
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").context("reading this host's name")?;
        let mut cluster = Self { dir, host: host.trim().to_owned(), daemons: BTreeMap::new() };
        std::fs::write(cluster.conf(), cluster.conf_text()).context("writing ceph.conf")?;
        cluster.shell("ip link set lo up").await?;
        cluster.make().await.context("making the cluster")?;
        for (name, _, host) in MONITORS {
            cluster.start(&format!("mon.{name}"), host)?;
        }
        cluster.tell("status").await.context("asking the first time")?;
        for (name, host) in MANAGERS {
            cluster.start(&format!("mgr.{name}"), host)?;
        }
        for (number, host) in OSDS {
            let make = format!(
                "uuid=$(cat /proc/sys/kernel/random/uuid) && {ceph} osd new $uuid {number} && ceph-osd --conf {conf} \
                 --mkfs --id {number} --osd-uuid $uuid",
                ceph = cluster.ceph(),
                conf = cluster.conf().display(),
            );
            cluster.shell(&make).await?;
            cluster.start(&format!("osd.{number}"), host)?;
        }
        cluster.tell("osd pool create data 8 8").await?;
        cluster.tell("osd pool application enable data rbd").await?;
        // Without an object nothing is degraded.
        cluster.shell(&format!("rados --conf {c} --pool data put object {c}", c = cluster.conf().display())).await?;
        until("all placement groups to be clean", UP_LIMIT, async || {
            let status = cluster.ask("status").await?;
            let is_up = status.contains(r#""num_up_osds":3"#) && status.contains(r#""num_standbys":1"#);
            let is_clean = status.contains(r#""pgs_by_state":[{"state_name":"active+clean","count":9}]"#);
            Ok((is_up && is_clean).then_some(()))
        })
        .await?;
        Ok(cluster)
    }

    pub(super) fn conf(&self) -> PathBuf {
        self.dir.join("ceph.conf")
    }

    /// Ceph's tool as its administrator calls it, for a shell.
    pub(super) fn ceph(&self) -> String {
        format!("ceph --conf {} --connect-timeout 30", self.conf().display())
    }

    /// Nothing is written anywhere else; a host's disk says nothing of the cluster.
    fn conf_text(&self) -> String {
        let dir = self.dir.display();
        let mons: Vec<String> = MONITORS.iter().map(|(_, port, _)| format!("v2:127.0.0.1:{port}")).collect();
        let mut text = format!(
            "[global]\nfsid = {FSID}\nmon host = {mons}\nkeyring = {dir}/keyring\nrun dir = {dir}/run\n\
             admin socket =\nlog file = {dir}/$name.log\nlog to stderr = false\ncrash dir = {dir}\n\
             mon data = {dir}/$name\nmgr data = {dir}/$name\nosd data = {dir}/$name\n",
            mons = mons.join(",")
        );
        for setting in SETTINGS.iter().chain(&QUICK) {
            let _ = writeln!(text, "{setting}");
        }
        text
    }

    /// Keys and empty stores.
    async fn make(&self) -> Result<()> {
        let keyring = self.dir.join("keyring");
        let mut script = keys(&keyring, &MANAGERS.map(|(name, _)| name), &OSDS.map(|(number, _)| number));
        let _ = writeln!(script, "cd {}; k={}", self.dir.display(), keyring.display());
        let mons: Vec<String> =
            MONITORS.iter().map(|(name, port, _)| format!("--addv {name} '[v2:127.0.0.1:{port}]'")).collect();
        let _ = writeln!(script, "monmaptool --create --fsid {FSID} {} monmap", mons.join(" "));
        let _ = writeln!(script, "mkdir {}", MANAGERS.map(|(name, _)| format!("mgr.{name}")).join(" "));
        let _ = writeln!(script, "mkdir {}", OSDS.map(|(number, _)| format!("osd.{number}")).join(" "));
        for (name, ..) in MONITORS {
            let _ = writeln!(script, "ceph-mon --conf ceph.conf --mkfs --id {name} --monmap monmap --keyring $k");
        }
        self.shell(&script).await.map(drop)
    }

    /// Starts a daemon as one of a host. What a container is told of its host is what the daemon reports.
    pub(super) fn start(&mut self, daemon: &str, host: &str) -> Result<()> {
        let (kind, id) = daemon.split_once('.').context("naming a daemon")?;
        let program = find(&format!("ceph-{kind}"));
        let program = program.with_context(|| format!("finding ceph-{kind}; install it, or start through qemu/lab"))?;
        let name = if host == THIS { self.host.as_str() } else { host };
        let run = Run::new(program, Duration::ZERO).env("CONTAINER_NAME", daemon).env("NODE_NAME", name);
        let mut run = run.arg("--conf").arg(self.conf()).args(["-f", "--id", id]);
        if kind == "osd" {
            run = run.args(["--crush-location", &format!("root=default host={host}")]);
        }
        let path = self.dir.join(format!("{daemon}.out"));
        let log = std::fs::File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        self.daemons.insert(daemon.to_owned(), run.start(log)?);
        Ok(())
    }

    /// Ends a daemon by a signal.
    pub(super) async fn stop(&mut self, daemon: &str, signal: Signal) -> Result<()> {
        let mut started = self.daemons.remove(daemon).with_context(|| format!("{daemon} does not run"))?;
        send(&started, signal)?;
        started.wait(STOP_LIMIT).await.with_context(|| format!("ending {daemon}"))?;
        Ok(())
    }

    /// Sends a signal to all monitors.
    pub(super) fn signal_monitors(&self, signal: Signal) -> Result<()> {
        self.daemons.iter().filter(|(name, _)| name.starts_with("mon.")).try_for_each(|(_, mon)| send(mon, signal))
    }

    /// Has the administrator do something.
    pub(super) async fn tell(&self, command: &str) -> Result<()> {
        self.shell(&format!("{} {command}", self.ceph())).await.map(drop)
    }

    /// What Ceph answers in JSON, with what it says beside it and whatever its exit status: a no is an answer too.
    pub(super) async fn ask(&self, question: &str) -> Result<String> {
        self.shell(&format!("{} --format json {question} 2>&1 || test $? = 16", self.ceph())).await
    }

    /// Runs a command of a shell to its good end.
    pub(super) async fn shell(&self, command: &str) -> Result<String> {
        let finished = Run::new("/bin/sh", MAKE_LIMIT).args(["-c", command]).output().await?;
        let said = String::from_utf8_lossy(&finished.stdout).into_owned();
        ensure!(finished.code == Some(0), "{command}: {}: {said}{}", finished.status, finished.stderr);
        Ok(said)
    }
}

fn send(daemon: &Started, signal: Signal) -> Result<()> {
    let pid = daemon.pid().context("it has ended by itself")?;
    kill(Pid::from_raw(i32::try_from(pid).context("reading a process id")?), signal).context("sending it a signal")
}
