//! Asking a Ceph cluster with its own tool, under a name of ours that may only read.
//!
//! It must never wait without a limit, start a second tool while one hangs, read the key itself, or take a cluster that
//! does not answer for none.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hardstand_core::observed::{CephCluster, CephHealth, CephOsdTree, CephPgs, CephStatus, CephStop};
use hardstand_core::settings::CephSettings;
use hardstand_core::standing::{Report, Standing, worst};
use hardstand_exec::{ExecError, Finished, Run};

use super::{ERROR, health, nodes, status, stop, tree};
use crate::host::clock::boottime;
use crate::host::{Host, HostError, excerpt, hung_program};

const TOOL: &str = "usr/bin/ceph";
/// What one question may take: librados has no limit of its own once it is connected.
const EACH: Duration = Duration::from_secs(10);
/// What finding a monitor may take; less than all of it, so that Ceph can say that none answers.
const CONNECT: &str = "5";
/// After how long all is asked again although nothing has changed. What may be stopped depends on pools and weights too:
/// the number of the OSDs' map says that they are the same.
const ALL_AGAIN: Duration = Duration::from_secs(120);
/// The same while the cluster is not well: that alone keeps its nodes up, and what is asked beside it is for people.
const ILL_AGAIN: Duration = Duration::from_secs(30);
/// A status of a large cluster has some 100 kB, its tree a few MB.
const OUTPUT_LIMIT: usize = 8 << 20;
/// The programs whose stopping is asked about, by what they are called in a daemon's name.
const PROGRAMS: [(&str, &str); 4] =
    [("ceph-mds", "mds"), ("ceph-mgr", "mgr"), ("ceph-mon", "mon"), ("ceph-osd", "osd")];
/// Exit statuses that are answers: yes, EBUSY (no), EAGAIN (not known yet).
const ANSWERS: [Option<i32>; 3] = [Some(0), Some(16), Some(11)];
/// The least that works (tried with 16.2): less of the monitors, and the tool does not find the manager.
const CAPS: &str = r#"mon 'allow r' mgr 'allow command "osd ok-to-stop"'"#;

/// What was asked beside the status when all was asked last.
#[derive(Default)]
pub(crate) struct LastAsked(Mutex<Option<Asked>>);

struct Asked {
    /// The status it belongs to, without what changes all the time.
    about: CephStatus,
    /// CLOCK_BOOTTIME.
    at: Duration,
    /// Its checks with their details; `None` where it has none.
    health: Option<CephHealth>,
    local: Vec<String>,
    strangers: Vec<String>,
    mons_on: Vec<(String, String)>,
    tree: CephOsdTree,
    stops: Vec<CephStop>,
}

/// The cluster that this node is set up for; `None` where it is set up for none.
///
/// # Errors
/// There is one, and its monitors do not answer, or not what they should.
pub(crate) async fn probe_cluster(
    host: &Host,
    settings: &CephSettings,
    last: &LastAsked,
) -> Result<Option<CephCluster>, HostError> {
    let looked = host.clone();
    let running = tokio::task::spawn_blocking(move || running(&looked)).await;
    let running = running.map_err(|error| HostError::Broken(error.to_string()))?;
    let Some(tool) = Tool::here(host, settings, &running)? else { return Ok(None) };
    // Taken out, so that all is asked again after whatever fails on the way.
    let kept = last.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut status = status::parse(&tool.ask(&["status"]).await?)?;
    let about = settled(&status);
    let is_well = worst(&status.subjects()) == Standing::Ok;
    let again = if is_well { ALL_AGAIN } else { ILL_AGAIN };
    let asked = match kept {
        Some(kept) if kept.about == about && boottime().saturating_sub(kept.at) < again => kept,
        _ => tool.ask_all(about, &running).await?,
    };
    if let Some(health) = &asked.health {
        status.health = health.clone();
    }
    let cluster = CephCluster {
        status,
        local: asked.local.clone(),
        strangers: asked.strangers.clone(),
        mons_on: asked.mons_on.clone(),
        tree: asked.tree.clone(),
        stops: asked.stops.clone(),
        asked_before_seconds: boottime().saturating_sub(asked.at).as_secs_f64(),
    };
    *last.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
    Ok(Some(cluster))
}

/// What must be the same for an older answer to hold. Scrubs come and go, and data is written.
fn settled(status: &CephStatus) -> CephStatus {
    CephStatus { pgs: CephPgs { total: status.pgs.total, ..CephPgs::default() }, ..status.clone() }
}

/// The programs of Ceph's daemons that run on this host, in containers too.
fn running(host: &Host) -> BTreeSet<String> {
    let comm = |pid: &String| host.attribute(format!("proc/{pid}/comm"));
    let processes = host.names("proc").into_iter().filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
    processes.filter_map(|pid| comm(&pid)).filter(|name| PROGRAMS.iter().any(|(program, _)| program == name)).collect()
}

/// Ceph's own tool, and how it is called here.
struct Tool<'a> {
    host: &'a Host,
    program: PathBuf,
    conf: PathBuf,
    keyring: PathBuf,
    settings: &'a CephSettings,
}

impl<'a> Tool<'a> {
    /// `None` where there is no Ceph. The configuration may be a link into a file system that hangs or is gone, as on
    /// Proxmox VE: that it is there says enough, and it is not followed.
    fn here(host: &'a Host, settings: &'a CephSettings, running: &BTreeSet<String>) -> Result<Option<Self>, HostError> {
        let below = |path: &str| host.path(path.trim_start_matches('/'));
        let (program, conf, keyring) = (host.path(TOOL), below(&settings.conf), below(&settings.keyring));
        let tool = Self { host, program, conf, keyring, settings };
        let is_there =
            |path: &Path| !matches!(path.symlink_metadata(), Err(error) if error.kind() == ErrorKind::NotFound);
        if is_there(&tool.program) && is_there(&tool.conf) {
            return Ok(Some(tool));
        }
        let missing = if is_there(&tool.program) { &tool.conf } else { &tool.program };
        if let Some(program) = running.first() {
            let why = format!(
                "{program} runs on this host, and there is no {} to ask with; install ceph-common, and make what [ceph] \
                 in agent.toml names",
                missing.display()
            );
            return Err(unanswered(why));
        }
        // Who names another file than Ceph's own means that there is a cluster.
        if settings.conf != CephSettings::CONF && !is_there(&tool.conf) {
            return Err(unanswered(format!("[ceph] conf names {}, which is not there", tool.conf.display())));
        }
        Ok(None)
    }

    /// All but the status.
    async fn ask_all(&self, about: CephStatus, running: &BTreeSet<String>) -> Result<Asked, HostError> {
        let health = match &about.health.checks {
            Some(checks) if checks.is_empty() => None,
            _ => Some(health::parse(&self.ask(&["health", "detail"]).await?)?),
        };
        let name = self.host.attribute("proc/sys/kernel/hostname");
        let name = name.ok_or_else(|| unanswered("this host does not tell its name".to_owned()))?;
        let nodes = nodes::parse(&self.ask(&["node", "ls"]).await?)?;
        let (local, mons_on) = (nodes.on(&name), nodes.monitors());
        let tree = tree::parse(&self.ask(&["osd", "tree"]).await?)?;
        let of_kind = |kind: &str| local.iter().filter(|one| one.starts_with(kind)).cloned().collect::<Vec<_>>();
        let mut stops = Vec::new();
        // Together, as a reboot stops them: that each alone may be stopped says nothing of all.
        for (kind, ask) in [("osd.", "osd"), ("mon.", "mon")] {
            let daemons = of_kind(kind);
            if !daemons.is_empty() {
                let answer = self.ask_to_stop(ask, &daemons, &about).await;
                stops.push(CephStop { daemons, answer: answer.into() });
            }
        }
        let is_unknown = |kind: &str| !local.iter().any(|one| one.split('.').next() == Some(kind));
        let strangers = PROGRAMS.iter().filter(|(program, kind)| running.contains(*program) && is_unknown(kind));
        let strangers = strangers.map(|(program, _)| (*program).to_owned()).collect();
        Ok(Asked { about, at: boottime(), health, local, strangers, mons_on, tree, stops })
    }

    async fn ask_to_stop(
        &self,
        kind: &str,
        daemons: &[String],
        status: &CephStatus,
    ) -> Result<hardstand_core::observed::CephOkToStop, HostError> {
        // The manager counts the placement groups, and without one the question hangs.
        if kind == "osd" && status.mgr.as_ref().and_then(|mgr| mgr.available) != Some(true) {
            return Err(unanswered("no manager is available to answer".to_owned()));
        }
        let ids = daemons.iter().filter_map(|daemon| Some(daemon.split_once('.')?.1));
        let question: Vec<&str> = [kind, "ok-to-stop"].into_iter().chain(ids).collect();
        let finished = self.run(&question).await?;
        if !ANSWERS.contains(&finished.code) {
            return Err(self.failed(&question, finished).await);
        }
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        let remarks = finished.stderr.lines().filter(|line| !is_log(line));
        stop::parse(&remarks.fold(text, |text, line| format!("{text}\n{line}")))
    }

    /// One question, as JSON; an exit status other than 0 is no answer.
    async fn ask(&self, question: &[&str]) -> Result<String, HostError> {
        let finished = self.run(question).await?;
        if finished.code != Some(0) {
            return Err(self.failed(question, finished).await);
        }
        Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
    }

    async fn run(&self, question: &[&str]) -> Result<Finished, HostError> {
        if let Some(pid) = hung_program(self.host, "ceph") {
            let why = format!("ceph (process {pid}) hangs in the kernel since an earlier question; see: dmesg");
            return Err(unanswered(why));
        }
        let run = Run::new(&self.program, EACH)
            .arg("--conf")
            .arg(&self.conf)
            .args(["--name", &format!("client.{}", self.settings.client)])
            .arg("--keyring")
            .arg(&self.keyring)
            .args(["--connect-timeout", CONNECT, "--format", "json"])
            .args(question)
            .stdout_limit(OUTPUT_LIMIT);
        run.output().await.map_err(|error| {
            let why = match &error {
                ExecError::Start { source, .. } => format!("{error}: {source}"),
                ExecError::Deadline { .. } => {
                    format!("ceph {} gave no answer within {} s; see: ceph -s", question.join(" "), EACH.as_secs())
                }
                _ => error.to_string(),
            };
            unanswered(why)
        })
    }

    /// What Ceph said, and what can be done about it.
    async fn failed(&self, question: &[&str], finished: Finished) -> HostError {
        let (conf, keyring) = (self.conf.clone(), self.keyring.clone());
        // On a thread of its own: the configuration may lie in a file system that hangs, and this turn then hangs with it.
        let opened = tokio::task::spawn_blocking(move || [File::open(conf).err(), File::open(keyring).err()]).await;
        let [conf, keyring] = opened.unwrap_or_default();
        let said = finished.stderr.lines().rfind(|line| !line.trim().is_empty() && !is_log(line));
        let said = format!("{}: {}", finished.status, excerpt(said.unwrap_or("nothing").trim()));
        let client = &self.settings.client;
        let path = self.keyring.display();
        let new_key = format!(
            "as Ceph's administrator: ceph auth get-or-create client.{client} {CAPS} -o {path} && chown root:hardstand \
             {path} && chmod 640 {path}"
        );
        let next = match (conf, keyring) {
            (Some(error), _) => format!(
                "{} cannot be read ({error}); as Ceph's administrator: ceph config generate-minimal-conf > \
                 /etc/ceph/hardstand.conf, and name that file as conf in [ceph] of agent.toml",
                self.conf.display()
            ),
            (None, Some(error)) => format!("its key {path} cannot be read ({error}); {new_key}"),
            (None, None) if said.contains("errno 13") => {
                format!("the cluster does not know the key in {path}; {new_key}")
            }
            (None, None) if finished.code == Some(13) => {
                format!("its key may not ask this; as Ceph's administrator: ceph auth caps client.{client} {CAPS}")
            }
            (None, None) => "see: ceph -s, systemctl status ceph.target".to_owned(),
        };
        unanswered(format!("ceph {} ended with {said}; {next}", question.join(" ")))
    }
}

/// A line that librados writes for itself: `2026-11-26T11:29:19.970+0000 7f5d -1 monclient(hunting): ...`.
fn is_log(line: &str) -> bool {
    !line.starts_with(ERROR) && line.bytes().take(5).map(|b| b.is_ascii_digit()).eq([true, true, true, true, false])
}

fn unanswered(why: String) -> HostError {
    HostError::Bus { service: "ceph", why }
}

#[cfg(test)]
mod tests;
