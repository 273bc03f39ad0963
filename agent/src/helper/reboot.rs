//! The restart: everything that must be true before it, the next boot entry, and the order.
//!
//! It must never override who holds a shutdown off, and never restart into what cannot boot (S17).

use std::time::Duration;

use hardstand_core::plan::RebootKind;

use super::errand::{Deed, Errand, Permit, Release};
use super::ground::{Done, Ground, No};
use super::patch::run_name;
use super::wire::Answer;
use crate::host::boot::loader::{self, Entry};
use crate::host::packages;
use crate::host::systemd::jobs::Restart;

/// What setting the next boot entry, or loading a kernel, may take.
const PREPARE_LIMIT: Duration = Duration::from_secs(20);
/// What restarting services may take before it is killed, in seconds.
const SERVICES_LIMIT_SECONDS: u64 = 900;

/// Restarts as planned.
pub(super) async fn reboot(
    ground: &Ground,
    errand: &Errand,
    permit: &Permit,
    kind: RebootKind,
    kernel: Option<&Release>,
) -> Done {
    ground.admit(Deed::Reboot, "restart", true, errand, Some(permit))?;
    if !packages::record(&ground.host)?.is_whole() {
        let way_out = "look at it: dpkg --audit; dpkg --configure -a";
        return Err(No::Refused(format!("packages are half-configured, or a run of dpkg was cut off; {way_out}")));
    }
    let restart = match kind {
        RebootKind::None => return Err(No::Refused("the plan asks for no restart".to_owned())),
        RebootKind::Services => return services(ground, errand).await,
        RebootKind::SoftReboot => Restart::Soft,
        RebootKind::Kexec => Restart::Kexec,
        RebootKind::Full => Restart::Full,
    };
    check_inhibitors(ground).await?;
    let settings = ground.settings()?.patch;
    match restart {
        Restart::Soft if !settings.soft_reboot => {
            return Err(No::Refused("a soft reboot is not declared here (patch.soft_reboot)".to_owned()));
        }
        Restart::Kexec if !settings.kexec => {
            return Err(No::Refused("kexec is not declared here (patch.kexec)".to_owned()));
        }
        Restart::Soft => {}
        Restart::Kexec => load(ground, kernel).await?,
        Restart::Full => set_next_boot(ground, kernel).await?,
    }
    ground.jobs.reboot(restart).await?;
    Ok(Answer::Begun {})
}

/// Those who hold a shutdown off are named, and nothing is ordered.
async fn check_inhibitors(ground: &Ground) -> Result<(), No> {
    let held = ground.jobs.inhibitors().await?;
    if held.is_empty() {
        return Ok(());
    }
    let who: Vec<String> = held.iter().map(|inhibitor| format!("{} ({})", inhibitor.who, inhibitor.why)).collect();
    Err(No::Refused(format!("a shutdown is held off by {}; see: systemd-inhibit --list", who.join(", "))))
}

/// Makes sure that the planned kernel is what boots next.
async fn set_next_boot(ground: &Ground, kernel: Option<&Release>) -> Result<(), No> {
    let Some(kernel) = kernel else { return Ok(()) };
    let release = kernel.as_str();
    let entry = loader::entry(&ground.host, release)
        .map_err(|why| No::Refused(format!("kernel {release} could not boot: {why}")))?;
    let newest = loader::newest(&ground.host);
    if newest.as_deref() == Some(release) {
        return Ok(());
    }
    match entry {
        Entry::SystemdBoot { id } => {
            let command = ["/usr/bin/bootctl", "set-oneshot", &id].map(str::to_owned).to_vec();
            ground.run("next-boot", "setting the next boot entry", vec![command], PREPARE_LIMIT).await.map(drop)
        }
        Entry::Grub => {
            let other = newest.unwrap_or_else(|| "none".to_owned());
            Err(No::Refused(format!("GRUB would boot {other}, not {release}; remove or pin one of them")))
        }
    }
}

/// Loads the kernel that starts without firmware.
async fn load(ground: &Ground, kernel: Option<&Release>) -> Result<(), No> {
    let running = || ground.host.attribute("proc/sys/kernel/osrelease");
    let release = kernel.map(|kernel| kernel.as_str().to_owned()).or_else(running);
    let release = release.ok_or_else(|| No::Failed("the running kernel cannot be told".to_owned()))?;
    loader::entry(&ground.host, &release)
        .map_err(|why| No::Refused(format!("kernel {release} could not boot: {why}")))?;
    let command = vec![
        "/usr/sbin/kexec".to_owned(),
        "--kexec-file-syscall".to_owned(),
        "--load".to_owned(),
        format!("/boot/vmlinuz-{release}"),
        format!("--initrd=/boot/initrd.img-{release}"),
        "--reuse-cmdline".to_owned(),
    ];
    ground.run("load-kernel", "loading the next kernel", vec![command], PREPARE_LIMIT).await.map(drop)
}

/// Restarts the services that still use replaced files, in a unit that sees every process.
async fn services(ground: &Ground, errand: &Errand) -> Done {
    let command = vec!["/usr/bin/hardstand".to_owned(), "restart-stale".to_owned()];
    let name = run_name(Deed::Reboot, errand);
    let unit = ground.transient(&name, "restarting services", vec![command], Some(SERVICES_LIMIT_SECONDS));
    ground.jobs.start_transient(&unit).await?;
    Ok(Answer::Begun {})
}
