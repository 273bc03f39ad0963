//! TrueNAS as its own API tells it.
//!
//! It must never hold an opinion, nor what the API was not asked for: arguments of jobs and tasks may be secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{IscsiTarget, TargetSession};
use crate::Reading;

/// One TrueNAS. What it refused to tell, or did not tell in time, is unknown by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrueNas {
    /// Whether it is this node.
    pub is_local: bool,
    /// The version of its API that was spoken (`v25.10.0`, `current`).
    pub api: String,
    /// Its version.
    pub version: Reading<String>,
    /// `BOOTING`, `READY` or `SHUTTING_DOWN`.
    pub state: Reading<String>,
    /// Its pools, the one it boots from left out.
    pub pools: Reading<Vec<NasPool>>,
    /// The pool it boots from.
    pub boot_pool: Reading<NasPool>,
    /// Its alerts.
    pub alerts: Reading<Vec<NasAlert>>,
    /// Who is logged in at its iSCSI targets.
    pub sessions: Reading<Vec<NasSession>>,
    /// Its replications.
    pub replications: Reading<Vec<NasTask>>,
    /// Its periodic snapshots.
    pub snapshot_tasks: Reading<Vec<NasTask>>,
    /// What it is doing.
    pub jobs: Reading<Vec<NasJob>>,
    /// The systems it can boot.
    pub environments: Reading<Vec<NasEnvironment>>,
    /// Why it wants to be rebooted, by its own words.
    pub reboot_reasons: Reading<Vec<String>>,
    /// Whether there is an update; `None` where asking for it is not done, as before 25.10: each answer would be fetched
    /// from its vendor.
    pub update: Option<Reading<NasUpdate>>,
    /// How many snapshots it has; `None` where it has no way to count them.
    pub snapshots: Option<Reading<u64>>,
    /// How much older than the rest the last two are, in seconds.
    pub asked_before_seconds: f64,
}

impl TrueNas {
    /// What was asked for and not told: the method, and why.
    pub fn unanswered(&self) -> Vec<(&'static str, &str)> {
        let update = self.update.as_ref().and_then(Reading::why);
        let snapshots = self.snapshots.as_ref().and_then(Reading::why);
        let told = [
            ("system.info", self.version.why()),
            ("system.state", self.state.why()),
            ("pool.query", self.pools.why()),
            ("boot.get_state", self.boot_pool.why()),
            ("alert.list", self.alerts.why()),
            ("iscsi.global.sessions", self.sessions.why()),
            ("replication.query", self.replications.why()),
            ("pool.snapshottask.query", self.snapshot_tasks.why()),
            ("core.get_jobs", self.jobs.why()),
            ("boot.environment.query", self.environments.why()),
            ("system.reboot.info", self.reboot_reasons.why()),
            ("update.status", update),
            ("pool.snapshot.query", snapshots),
        ];
        told.into_iter().filter_map(|(method, why)| Some((method, why?))).collect()
    }

    /// Its targets with somebody at them, as far as its sessions tell.
    pub fn targets(&self) -> Vec<IscsiTarget> {
        let mut targets: BTreeMap<&str, Vec<TargetSession>> = BTreeMap::new();
        for session in self.sessions.known().into_iter().flatten() {
            let told = TargetSession { initiator: session.initiator.clone(), ..TargetSession::default() };
            targets.entry(&session.target).or_default().push(told);
        }
        let target = |(name, sessions): (&str, _)| IscsiTarget {
            name: name.to_owned(),
            // Whoever is logged in has been let in.
            enabled: Some(true),
            sessions,
            units: Vec::new(),
        };
        targets.into_iter().map(target).collect()
    }
}

/// One pool.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NasPool {
    /// Its name.
    pub name: String,
    /// Its state (`ONLINE`, `DEGRADED`, ...).
    pub status: Option<String>,
    /// Whether TrueNAS finds it healthy.
    pub healthy: Option<bool>,
    /// Whether TrueNAS finds something about it.
    pub warning: Option<bool>,
    /// What it finds.
    pub detail: Option<String>,
    /// What goes over it, or went last.
    pub scan: Option<NasScan>,
}

/// A scrub or a resilver.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NasScan {
    /// `SCRUB`, `RESILVER`, ...
    pub function: Option<String>,
    /// `SCANNING`, `FINISHED`, `CANCELED`, ...
    pub state: Option<String>,
    /// How far it is.
    pub percent: Option<f64>,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NasAlert {
    /// Its identity.
    pub uuid: String,
    /// What it is about (`ZpoolCapacityWarning`).
    pub klass: String,
    /// `INFO` to `EMERGENCY`.
    pub level: String,
    /// What it says.
    pub text: String,
    /// Whether a person has seen it and put it away.
    pub dismissed: bool,
    /// Which of two controllers it is of, where it tells.
    pub controller: Option<String>,
}

/// One iSCSI session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NasSession {
    /// Qualified name of the initiator.
    pub initiator: String,
    /// Where it comes from.
    pub address: Option<String>,
    /// Qualified name of the target.
    pub target: String,
}

/// A replication, or a periodic snapshot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NasTask {
    /// Its name, or the dataset it is of.
    pub name: String,
    /// Whether it is done at all.
    pub enabled: Option<bool>,
    /// Whether it runs by itself.
    pub auto: Option<bool>,
    /// `PENDING`, `WAITING`, `RUNNING`, `FINISHED`, `ERROR`, `HOLD`, ...
    pub state: Option<String>,
    /// When it came into this state, seconds since 1970 by the clock of TrueNAS.
    pub since_unix_seconds: Option<u64>,
    /// How long ago that was, by that same clock.
    pub age_seconds: Option<f64>,
    /// Why it failed or waits.
    pub why: Option<String>,
}

/// One job that runs or waits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NasJob {
    /// Its number.
    pub id: u64,
    /// What it does (`replication.run`).
    pub method: String,
    /// `WAITING` or `RUNNING`.
    pub state: String,
    /// How far it is.
    pub percent: Option<f64>,
    /// What it says of that.
    pub progress: Option<String>,
}

/// One system that can be booted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NasEnvironment {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub active: Option<bool>,
    /// Whether it is booted next.
    pub activated: Option<bool>,
    /// Whether an update leaves it alone when space is short.
    pub keep: Option<bool>,
    /// Whether it can be chosen.
    pub can_activate: Option<bool>,
}

/// What `update.status` says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NasUpdate {
    /// `NORMAL` or `ERROR`.
    pub code: String,
    /// What could be installed.
    pub new_version: Option<String>,
    /// Why there is no answer, by its word (`EREBOOTREQUIRED`: one is installed and waits for a reboot).
    pub error: Option<String>,
    /// The same in a sentence.
    pub reason: Option<String>,
}
