//! Packages: refresh the lists, resolve the exact set, fetch it, install it, and prove it from dpkg.
//!
//! It must never install anything but the set that was staged, and never judge by a program's word: dpkg's own record
//! is the proof (S7, S17).

use std::path::Path;
use std::time::{Duration, SystemTime};

use hardstand_core::plan::{PackageSet, Updates};
use sha2::{Digest as _, Sha256};

use super::errand::{Deed, Digest, Errand, Permit, Release};
use super::ground::{Done, Ground, No};
use super::wire::{Answer, PackageProof, RunState};
use super::{meaning, snapshots, staged, unsettled};
use crate::host::apt::{self, Choice};
use crate::host::boot::{KernelFiles, loader};
use crate::host::packages;

/// Lists that are younger are fresh: they are not fetched again.
const REFRESH_EVERY: Duration = Duration::from_secs(10);
/// What fetching the lists may take; below the verb's own limit.
const REFRESH_LIMIT: Duration = Duration::from_secs(570);
/// What one run of the resolver may take.
const RESOLVE_LIMIT: Duration = Duration::from_secs(80);
/// What fetching packages may take before it is killed; the plan's own limit comes earlier.
const FETCH_LIMIT_SECONDS: u64 = 6 * 3600;
/// Left free on `/` beside what is unpacked.
const ROOT_MARGIN_BYTES: u64 = 64 << 20;
/// Unpacked, a package takes up to this many times its archive.
const UNPACKED: u64 = 4;
/// Left free where archives are kept.
const CACHE_MARGIN_BYTES: u64 = 32 << 20;

/// Fetches the package lists.
pub(super) async fn refresh(ground: &Ground) -> Done {
    let stamp = ground.rooms.state.join("refreshed");
    let changed = std::fs::metadata(&stamp).and_then(|file| file.modified());
    let age = changed.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    if age.is_some_and(|age| age < REFRESH_EVERY) {
        return Ok(Answer::Begun {});
    }
    ground.run("refresh", "fetching package lists", vec![apt::refresh()], REFRESH_LIMIT).await?;
    std::fs::write(&stamp, "").map_err(|error| No::Failed(format!("writing {}: {error}", stamp.display())))?;
    Ok(Answer::Begun {})
}

/// Resolves what would be installed now.
pub(super) async fn plan(ground: &Ground) -> Done {
    let settings = ground.settings()?;
    let set = resolve(ground, Choice::Free).await?;
    let download_bytes = download_bytes(ground, Choice::Free, &set).await?;
    let kernel = KernelFiles::default().probe(&ground.host)?;
    let (kernel, reboot) = meaning::of(&set, &kernel, &settings.patch);
    Ok(Answer::Updates(Updates {
        packages: set,
        reboot,
        kernel,
        on_offer_seconds: 0,
        answers: 0,
        download_bytes,
        failed: None,
    }))
}

/// Fetches a set, if it is still exactly what would be installed and there is room for it.
pub(super) async fn stage(ground: &Ground, errand: &Errand, set: &Digest, kernel: Option<&Release>) -> Done {
    ground.admit(Deed::Stage, "fetch", false, errand, None)?;
    let now = resolve(ground, Choice::Free).await?;
    if now.id() != set.as_str() {
        let count = now.changes().len();
        return Err(No::Refused(format!(
            "what would be installed now ({count} packages) is not what was planned; a new plan is needed"
        )));
    }
    let preferences = staged::write_preferences(&ground.rooms.state, &now).map_err(No::Failed)?;
    let choice = pinned(&preferences)?;
    let again = resolve(ground, choice).await?;
    if again.id() != now.id() {
        return Err(No::Refused(format!(
            "the set cannot be pinned: the resolver would then change {} packages, not {}; a new plan is needed",
            again.changes().len(),
            now.changes().len()
        )));
    }
    let bytes = download_bytes(ground, choice, &now).await?;
    let brings_kernel = apt::newest_kernel(&now).is_some();
    if brings_kernel && let Some(place) = loader::unmounted(&ground.host)? {
        return Err(No::Refused(format!(
            "{place} is to be mounted (/etc/fstab) and is not, and a kernel is to be installed; mount it: mount {place}"
        )));
    }
    check_room(ground, bytes, brings_kernel).map_err(No::Refused)?;
    let kept = staged::Staged { plan: errand.plan.clone(), set: now, kernel: kernel.cloned() };
    staged::write(&ground.rooms.state, &kept).map_err(No::Failed)?;
    let name = run_name(Deed::Stage, errand);
    let unit = ground.transient(&name, "fetching packages", vec![apt::fetch(choice)], Some(FETCH_LIMIT_SECONDS));
    ground.jobs.start_transient(&unit).await?;
    Ok(Answer::Begun {})
}

/// Installs the staged set in a unit of its own. Nothing slow stands between the permit and the start.
pub(super) async fn apply(ground: &Ground, errand: &Errand, permit: &Permit, set: &Digest) -> Done {
    let name = run_name(Deed::Patch, errand);
    // Pools may take their time to answer, so they are asked first.
    let snapshots = snapshots::around(ground, &ground.settings()?.snapshots, &name).await?;
    ground.admit(Deed::Patch, "apply", true, errand, Some(permit))?;
    let staged = staged::read(&ground.rooms.state, set).map_err(No::Refused)?;
    let preferences = staged::write_preferences(&ground.rooms.state, &staged.set).map_err(No::Failed)?;
    let removes = staged.set.changes().iter().any(|change| change.to.is_none());
    let choice = pinned(&preferences)?;
    let guarded = |mut command: Vec<String>| {
        if !removes {
            command.insert(1, "--no-remove".to_owned());
        }
        under_inhibitor(command)
    };
    let mut commands = snapshots.before;
    let mut finish = under_inhibitor(apt::finish());
    let torn: Vec<String> = packages::record(&ground.host)?.torn(&staged.set).collect();
    if torn.is_empty() {
        commands.push(finish);
    } else {
        // It finishes what it can, and fails over these.
        finish[0].insert(0, '-');
        commands.extend([finish, guarded(apt::reinstall(choice, &torn))]);
    }
    commands.push(guarded(apt::install(choice)));
    if unsettled::was_cut(ground, set).map_err(No::Failed)? {
        // The note stays: should this run fail before it gets here, the next one must do it.
        commands.extend(unsettled::renew(ground, staged.kernel.as_ref()).into_iter().map(under_inhibitor));
    } else {
        unsettled::begin(ground, set).map_err(No::Failed)?;
    }
    commands.extend(unsettled::settle(ground));
    commands.extend(snapshots.after);
    let unit = ground.transient(&name, "installing packages", commands, None);
    ground.jobs.start_transient(&unit).await?;
    Ok(Answer::Begun {})
}

/// Where the unit is that fetches or installs.
pub(super) async fn run_state(ground: &Ground, step: Deed, errand: &Errand) -> Done {
    errand.check().map_err(No::Refused)?;
    if !matches!(step, Deed::Stage | Deed::Patch | Deed::Reboot) {
        return Err(No::Refused(format!("{} runs in no unit of its own", step.word())));
    }
    let name = format!("hardstand-{}.service", run_name(step, errand));
    let now = ground.jobs.unit(&name).await?;
    let state = match (&now.end, now.active.as_str()) {
        _ if now.is_running() => RunState::Running {},
        (Some(_), "active") => RunState::Ended {},
        (Some(end), "failed") => {
            RunState::Failed { why: format!("{} {}: {}", end.result, end.status, ground.tail(&name)) }
        }
        _ => RunState::Absent {},
    };
    Ok(Answer::Run(state))
}

/// What dpkg and the boot loader say of a set.
pub(super) fn package_state(ground: &Ground, set: &Digest, empty: bool, kernel: Option<&Release>) -> Done {
    let record = packages::record(&ground.host)?;
    let installed = if empty {
        true
    } else {
        let staged = staged::read(&ground.rooms.state, set).map_err(No::Failed)?;
        // What the scripts of a run that was cut have written may be lost, whatever dpkg remembers of them.
        record.holds(&staged.set) && !unsettled::was_cut(ground, set).map_err(No::Failed)?
    };
    let boot_entry = kernel.is_none_or(|kernel| loader::entry(&ground.host, kernel.as_str()).is_ok());
    Ok(Answer::Packages(PackageProof { installed, whole: record.is_whole(), boot_entry }))
}

/// The name of the unit that runs a step under a lease: the same after a restart of the agent or the helper.
pub(super) fn run_name(step: Deed, errand: &Errand) -> String {
    let mut hasher = Sha256::new();
    hasher.update(errand.plan.as_str());
    hasher.update(errand.token.to_string());
    let hash: String = hasher.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let plan: String = errand.plan.as_str().chars().take(8).collect();
    format!("{}-{plan}-{}-{hash}", step.word(), errand.token.revision)
}

async fn resolve(ground: &Ground, choice: Choice<'_>) -> Result<PackageSet, No> {
    let printed = ground.run("resolve", "resolving packages", vec![apt::simulate(choice)], RESOLVE_LIMIT).await?;
    Ok(apt::parse_simulation(&printed)?)
}

async fn download_bytes(ground: &Ground, choice: Choice<'_>, set: &PackageSet) -> Result<u64, No> {
    if set.is_empty() {
        return Ok(0);
    }
    let printed = ground.run("files", "listing package files", vec![apt::list_files(choice)], RESOLVE_LIMIT).await?;
    Ok(apt::parse_file_list(&printed)?)
}

fn pinned(preferences: &Path) -> Result<Choice<'_>, No> {
    preferences.to_str().map(Choice::Pinned).ok_or_else(|| No::Failed("the state directory is not UTF-8".to_owned()))
}

/// A shutdown that somebody orders meanwhile is refused or asked about.
fn under_inhibitor(command: Vec<String>) -> Vec<String> {
    let before = [
        "/usr/bin/systemd-inhibit",
        "--what=shutdown",
        "--mode=block",
        "--who=hardstand",
        "--why=packages are being installed",
    ];
    before.into_iter().map(str::to_owned).chain(command).collect()
}

/// Room for archives, for what they unpack to, and for another kernel beside the present one.
fn check_room(ground: &Ground, bytes: u64, kernel: bool) -> Result<(), String> {
    let mut wanted = vec![
        ("var/cache/apt/archives", bytes.saturating_add(CACHE_MARGIN_BYTES)),
        ("usr", bytes.saturating_mul(UNPACKED).saturating_add(ROOT_MARGIN_BYTES)),
        ("var/lib/dpkg", ROOT_MARGIN_BYTES),
    ];
    if kernel {
        let one = loader::kernel_bytes(&ground.host);
        // The initrd is written beside the old one before it takes its place.
        wanted.push(("boot", one.saturating_mul(2)));
        wanted.extend(loader::esp(&ground.host).map(|esp| (esp, one)));
    }
    for (place, bytes) in wanted {
        let path = ground.host.path(place);
        // apt makes its directory when it needs it; until then its room is that of what it lies in.
        let there = path.ancestors().find(|dir| dir.exists()).unwrap_or(&path);
        let free = nix::sys::statvfs::statvfs(there)
            .map(|found| found.blocks_available().saturating_mul(found.fragment_size()))
            .map_err(|errno| format!("how much is free on {} cannot be told: {errno}", path.display()))?;
        if free < bytes {
            let (free, bytes) = (free >> 20, (bytes >> 20) + 1);
            return Err(format!("{} has {free} MiB free, {bytes} MiB are needed; free some space", path.display()));
        }
    }
    Ok(())
}
