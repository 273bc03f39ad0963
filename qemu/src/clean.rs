//! `lab clean`: takes away what the lab left. Namespaces and taps need no cleaning: they have no name and end with
//! the harness; machines die with it. What can be left is `out/` and, after a power cut of the host, sockets.
//!
//! It must never end a process nor remove a file that is not the lab's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::house::House;
use crate::machine;

/// The image program looks at each entry of its store once.
const PRUNE_LIMIT: Duration = Duration::from_secs(60);

/// Removes `out/`, stray machines with their sockets, what nobody has used for long from the image store, and on request
/// the caches.
pub(crate) async fn clean(house: &House, cache: bool) -> Result<()> {
    for pid in stray_machines(&house.out) {
        println!("ending stray machine {pid}");
        kill(Pid::from_raw(pid), Signal::SIGKILL).with_context(|| format!("ending process {pid}"))?;
    }
    for room in machine::abandoned_rooms() {
        remove(&room)?;
    }
    remove(&house.out)?;
    if cache {
        return remove(&house.cache);
    }
    prune(house).await
}

/// The store is the image program's: only it knows what is in use. A checkout that never built it has put nothing there.
async fn prune(house: &House) -> Result<()> {
    let programs = ["release", "debug"].map(|profile| house.built(profile, "hardstand-image"));
    let Some(program) = programs.into_iter().find(|program| program.is_file()) else {
        println!("store: left alone, hardstand-image is not built here");
        return Ok(());
    };
    let said =
        house.build_run(program, PRUNE_LIMIT).arg("clean").success().await.context("cleaning the image store")?;
    print!("{}", String::from_utf8_lossy(&said.stdout));
    Ok(())
}

fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        println!("removing {}", dir.display());
        std::fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    Ok(())
}

/// Machines that were started with their console under `out` and whose harness is gone: init has adopted them.
fn stray_machines(out: &Path) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| is_stray_machine(*id, out)).collect()
}

fn is_stray_machine(id: i32, out: &Path) -> bool {
    let read = |file: &str| std::fs::read(PathBuf::from(format!("/proc/{id}/{file}"))).unwrap_or_default();
    let command = String::from_utf8_lossy(&read("cmdline")).into_owned();
    let mut words = command.split('\0');
    let qemu = words.next().is_some_and(|program| program.ends_with("/qemu-system-x86_64"));
    let ours = format!("logfile={}", out.display());
    let adopted = String::from_utf8_lossy(&read("status")).lines().any(|line| line == "PPid:\t1");
    qemu && adopted && words.any(|word| word.contains(&ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_no_machine_of_ours_is_left_alone() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(!is_stray_machine(own, Path::new("/")));
        assert!(!is_stray_machine(1, Path::new("/")));
    }
}
