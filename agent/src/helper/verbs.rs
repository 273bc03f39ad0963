//! What each verb that reads does, and which room a verb that changes belongs to, with the rights of whoever runs it.
//!
//! It must never do more than its verb names, and never pass a caller's words to a program: a disk's name is checked by
//! its type and looked up in `/sys/block` before it becomes a path.

use std::path::PathBuf;

use hardstand_exec::Run;

use super::ground::{Done, Ground, No, Rooms, outcome};
use super::wire::{Answer, DiskName, DmiSerials, OUTPUT_LIMIT, Outcome, SmartAnswer, Verb};
use super::{drain, hooks, ipmi, kernel_log, patch, reboot, zpool};
use crate::host::hardware::{efi, machine, smbios};
use crate::host::systemd::jobs::Jobs;
use crate::host::{Host, HostError, smart};

/// Runs verbs on one machine.
#[derive(Debug, Clone)]
pub(super) struct Verbs {
    host: Host,
    /// Where the programs that are run to read are, in tests; else in the system's directories.
    programs: Option<PathBuf>,
    ground: Ground,
}

impl Verbs {
    /// Verbs for this machine, with what is remembered in these rooms.
    pub(super) fn for_this_machine(rooms: Rooms) -> Self {
        let host = Host::this();
        Self { ground: Ground::new(host.clone(), rooms, Jobs::default(), None), host, programs: None }
    }

    /// Verbs for a captured machine and a directory of programs that stand in for the installed ones.
    #[cfg(test)]
    pub(super) fn captured(host: Host, programs: PathBuf) -> Self {
        let rooms = Rooms { state: host.path("state"), logs: host.path("logs") };
        Self { ground: Ground::new(host.clone(), rooms, Jobs::default(), None), host, programs: Some(programs) }
    }

    /// Verbs that change this machine.
    #[cfg(test)]
    pub(super) fn on(ground: Ground) -> Self {
        Self { host: ground.host.clone(), programs: None, ground }
    }

    /// Runs one verb within its deadline.
    pub(super) async fn run(&self, verb: Verb) -> Outcome {
        let deadline = verb.deadline();
        let done = async {
            match verb {
                Verb::Smart { disk } => self.smart(&disk).await,
                Verb::BootEntries {} => self.read(|host| efi::boot_entries(host).map(Answer::BootEntries)).await,
                Verb::Dimms {} => self.read(|host| smbios::dimms(host).map(Answer::Dimms)).await,
                Verb::DmiSerials {} => self.read(|host| Ok(Answer::DmiSerials(dmi_serials(host)))).await,
                Verb::KernelLog {} => self.kernel_log().await,
                Verb::Ipmi {} => ipmi::told(&self.host, &self.ground.rooms.state, |name| self.program(name)).await,
                Verb::IpmiEvents { after } => {
                    let program = self.program(crate::host::ipmi::LOG);
                    ipmi::events(&self.host, &self.ground.rooms.state, program, after).await
                }
                Verb::Zpool {} => zpool::report(&self.host, self.program("zpool")).await,
                other => outcome(self.change(other).await),
            }
        };
        match tokio::time::timeout(deadline, done).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Outcome::Failed { why: format!("it did not end within {} s", deadline.as_secs()) },
        }
    }

    /// One change at a time; what only tells how one goes does not wait for its turn.
    async fn change(&self, verb: Verb) -> Done {
        let ground = &self.ground;
        let _turn = if verb.changes() || verb == (Verb::Plan {}) { Some(ground.turn().await) } else { None };
        match verb {
            Verb::Refresh {} => patch::refresh(ground).await,
            Verb::Plan {} => patch::plan(ground).await,
            Verb::Attempts { step, errand } => {
                errand.check().map_err(No::Refused)?;
                Ok(Answer::Attempts(ground.errands().attempts(step, &errand)?))
            }
            Verb::Open { step, errand, permit } => {
                ground.admit(step, "open", true, &errand, Some(&permit))?;
                Ok(Answer::Begun {})
            }
            Verb::Stage { errand, set, kernel } => patch::stage(ground, &errand, &set, kernel.as_ref()).await,
            Verb::Apply { errand, permit, set } => patch::apply(ground, &errand, &permit, &set).await,
            Verb::RunState { step, errand } => patch::run_state(ground, step, &errand).await,
            Verb::PackageState { set, empty, kernel } => patch::package_state(ground, &set, empty, kernel.as_ref()),
            Verb::Drain { errand, permit } => drain::drain(ground, &errand, permit.as_ref()).await,
            Verb::Restore { errand } => drain::restore(ground, &errand).await,
            Verb::Drained { errand } => drain::drained(ground, &errand),
            Verb::Hook { errand, point, index, permit, again } => {
                hooks::start(ground, &errand, (point, index), permit.as_ref(), again).await
            }
            Verb::HookLines { point, index } => hooks::lines(ground, point, index).await,
            Verb::Reboot { errand, permit, kind, kernel } => {
                reboot::reboot(ground, &errand, &permit, kind, kernel.as_ref()).await
            }
            Verb::Smart { .. }
            | Verb::BootEntries {}
            | Verb::Dimms {}
            | Verb::DmiSerials {}
            | Verb::KernelLog {}
            | Verb::Ipmi {}
            | Verb::IpmiEvents { .. }
            | Verb::Zpool {} => Err(No::Failed("this verb changes nothing".to_owned())),
        }
    }

    /// Reads files away from the loop: firmware may take its time.
    async fn read(&self, read: impl FnOnce(&Host) -> Result<Answer, HostError> + Send + 'static) -> Outcome {
        let host = self.host.clone();
        match tokio::task::spawn_blocking(move || read(&host)).await {
            Ok(Ok(answer)) => Outcome::Done(answer),
            Ok(Err(error)) => Outcome::Failed { why: error.to_string() },
            Err(error) => Outcome::Failed { why: format!("reading ended early: {error}") },
        }
    }

    async fn kernel_log(&self) -> Outcome {
        match self.read(|host| kernel_log::read(host).map(Answer::KernelLog)).await {
            Outcome::Failed { why } => {
                let next = "the helper needs CAP_SYSLOG and /dev/kmsg for it, as its shipped unit gives: systemctl cat \
                            hardstand-helper";
                Outcome::Failed { why: format!("{why}; {next}") }
            }
            read => read,
        }
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        match &self.programs {
            Some(programs) => Some(programs.join(name)).filter(|path| path.is_file()),
            None => hardstand_exec::find(name),
        }
    }

    async fn smart(&self, disk: &DiskName) -> Outcome {
        let name = disk.as_str();
        if !self.host.path(format!("sys/block/{name}")).exists() {
            return Outcome::Refused { why: format!("there is no disk {name} in /sys/block") };
        }
        // smartctl would wake it before it asks whether it sleeps (seen with 7.3 and a runtime-suspended SATA disk).
        if self.host.attribute(format!("sys/block/{name}/device/power/runtime_status")).as_deref() == Some("suspended")
        {
            return Outcome::Done(Answer::Smart(SmartAnswer::Asleep {}));
        }
        let Some(smartctl) = self.program("smartctl") else {
            return Outcome::Missing { why: "smartctl is not installed; install smartmontools".to_owned() };
        };
        let deadline = Verb::Smart { disk: disk.clone() }.deadline();
        let run = Run::new(smartctl, deadline).args(smart::ARGUMENTS).arg(format!("/dev/{name}"));
        match run.stdout_limit(OUTPUT_LIMIT).output().await {
            // Its exit status is a bit field that is in its output too; only silence is a failure.
            Ok(finished) if finished.stdout.is_empty() => {
                let why = format!("smartctl ended with {} and no output: {}", finished.status, finished.stderr.trim());
                Outcome::Failed { why }
            }
            Ok(finished) => {
                let json = String::from_utf8_lossy(&finished.stdout).into_owned();
                Outcome::Done(Answer::Smart(SmartAnswer::Output { json }))
            }
            Err(error) => Outcome::Failed { why: chain(&error) },
        }
    }
}

/// An error with everything that caused it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        words = format!("{words}: {source}");
        cause = source.source();
    }
    words
}

fn dmi_serials(host: &Host) -> DmiSerials {
    let dmi = machine::dmi(host);
    DmiSerials { product_serial: dmi.product_serial, product_uuid: dmi.product_uuid }
}
