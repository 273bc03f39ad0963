//! Snapshots before packages are installed: the root where it is ZFS, and the datasets that root's configuration names.
//!
//! It must never let packages be installed where a snapshot that is asked for cannot be made.

use std::path::PathBuf;
use std::time::Duration;

use hardstand_core::settings::SnapshotSettings;
use hardstand_core::snapshot::{Keep, MARK, PREFIX, Snapshot, Whose, superfluous};
use hardstand_exec::Run;

use super::ground::{Ground, No};
use super::verbs::chain;
use crate::host::{Host, hung_program, zfs};

/// What listing the snapshots of one dataset may take.
const LIST_LIMIT: Duration = Duration::from_secs(20);

/// What a package run does before it begins and after it has ended well, for snapshots.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Around {
    /// Makes those that are not there yet: a run that is repeated keeps the one from before its first try.
    pub(super) before: Vec<Vec<String>>,
    /// Takes away those of ours that have served. One that cannot go is left, and does not spoil the run.
    pub(super) after: Vec<Vec<String>>,
}

/// What is to be done around the run of this name.
pub(super) async fn around(ground: &Ground, settings: &SnapshotSettings, run: &str) -> Result<Around, No> {
    let mut datasets = settings.datasets.clone();
    if settings.root {
        datasets.extend(zfs::root_dataset(&ground.host)?.filter(|root| !settings.datasets.contains(root)));
    }
    let mut around = Around::default();
    if datasets.is_empty() {
        return Ok(around);
    }
    let program = ground.host.program("zfs").ok_or_else(|| {
        No::Refused(format!(
            "a snapshot of {} is to be made first, and zfs is not installed; install zfsutils-linux, or change \
             [snapshots] of the configuration",
            datasets.join(" and ")
        ))
    })?;
    let short = format!("{PREFIX}{run}");
    let keep = Keep { last: usize::try_from(settings.keep).unwrap_or(usize::MAX), ..Keep::default() };
    for dataset in datasets {
        let mut there = list(&ground.host, &program, &dataset).await?;
        let name = format!("{dataset}@{short}");
        if there.iter().all(|snapshot| snapshot.name != name) {
            let mark = format!("{MARK}={short}");
            around.before.push(command(&program, &["snapshot", "-o", &mark, &name]));
            let made = Snapshot { name, created: u64::MAX, marked: true, holds: 0, cloned: false };
            there.push(made);
        }
        for gone in superfluous(&there, Whose::Ours, keep) {
            let mut words = command(&program, &["destroy", gone]);
            // As in a unit's file: whatever it ends with.
            words[0].insert(0, '-');
            around.after.push(words);
        }
    }
    Ok(around)
}

async fn list(host: &Host, program: &PathBuf, dataset: &str) -> Result<Vec<Snapshot>, No> {
    let run = Run::new(program, LIST_LIMIT).args(zfs::snapshot_arguments(dataset));
    let failed = |why: String| {
        No::Refused(format!(
            "the snapshots of {dataset} cannot be listed: {why}; see: zfs list {dataset}, or change [snapshots] of the configuration"
        ))
    };
    if let Some(pid) = hung_program(host, "zfs") {
        return Err(failed(format!(
            "zfs (process {pid}) has hung in the kernel since an earlier question; see: dmesg"
        )));
    }
    let said = run.success().await.map_err(|error| failed(chain(&error)))?;
    zfs::parse_snapshots(&String::from_utf8_lossy(&said.stdout)).map_err(|error| failed(error.to_string()))
}

fn command(program: &std::path::Path, words: &[&str]) -> Vec<String> {
    std::iter::once(program.display().to_string()).chain(words.iter().map(|&word| word.to_owned())).collect()
}
