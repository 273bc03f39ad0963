//! The verb that asks for the state of all ZFS pools.
//!
//! It must never start a `zpool` while one of ours hangs in the kernel: each would hang behind the one before.

use std::path::PathBuf;
use std::time::Duration;

use hardstand_exec::{Finished, Run};

use super::verbs::chain;
use super::wire::{Answer, OUTPUT_LIMIT, Outcome, ZpoolAnswer};
use crate::host::{Host, hung_program, zfs};

/// What each of the two programs may take. A pool that has lost its devices holds them up for ever.
const EACH: Duration = Duration::from_secs(7);
/// Both, and a try without JSON.
pub(super) const DEADLINE: Duration = Duration::from_secs(22);

/// Asks `zpool`, as JSON where it knows that (OpenZFS 2.3).
pub(super) async fn report(host: &Host, zpool: Option<PathBuf>) -> Outcome {
    if let Some(pid) = hung_program(host, "zpool") {
        let why = format!(
            "zpool (process {pid}) has hung in the kernel since an earlier question, so it is not asked again; see: \
             cat /proc/spl/kstat/zfs/*/state, dmesg"
        );
        return Outcome::Failed { why };
    }
    let Some(zpool) = zpool else {
        return Outcome::Missing { why: "zpool is not installed; install zfsutils-linux".to_owned() };
    };
    let run = async |arguments: &[&str]| {
        let run = Run::new(&zpool, EACH).args(arguments).env("TZ", "UTC").stdout_limit(OUTPUT_LIMIT);
        run.output().await.map_err(|error| chain(&error))
    };
    let asked = async {
        let json = run(&zfs::STATUS_JSON).await?;
        let is_json = !zfs::knows_no_json(&json.stderr);
        let status = text(if is_json { json } else { run(&zfs::STATUS_TEXT).await? }, "status")?;
        let list = text(run(&zfs::LIST).await?, "list")?;
        Ok(ZpoolAnswer { status, is_json, list })
    };
    match asked.await {
        Ok(answer) => Outcome::Done(Answer::Zpool(answer)),
        Err(why) => Outcome::Failed { why },
    }
}

fn text(finished: Finished, what: &str) -> Result<String, String> {
    if finished.code == Some(0) {
        return Ok(String::from_utf8_lossy(&finished.stdout).into_owned());
    }
    Err(format!("zpool {what} ended with {}: {}", finished.status, finished.stderr.trim()))
}
