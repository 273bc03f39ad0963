//! Which collector begins when, and what each may take.
//!
//! It must never ask somebody in a hurry where nothing is decided, nor decide on what is older than a lease allows.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hardstand_core::settings::{BackupSettings, ServiceSettings};
use tokio::runtime::Handle;

use super::Probe;
use super::asked::{ask_backup, ask_certificate, ask_kubernetes, ask_proxmox, ask_service, ask_truenas};
use crate::crew::{Crew, Timed};
use crate::host::boot::KernelFiles;
use crate::host::ceph::ask::probe_cluster;
use crate::host::certificates::{ENDPOINT_LIMIT, watched};
use crate::host::clock::probe_clock;
use crate::host::disks::KnownDisks;
use crate::host::filesystems::probe_filesystems;
use crate::host::hardware::probe_inventory;
use crate::host::hardware_errors::probe_errors;
use crate::host::ipmi::probe_ipmi;
use crate::host::iscsi_target::probe_targets;
use crate::host::kubernetes::ask as kubernetes;
use crate::host::load::{CpuFiles, MemoryFiles, PressureFiles};
use crate::host::md::probe_arrays;
use crate::host::nics::KnownNics;
use crate::host::packages::PackageFiles;
use crate::host::pci::KnownPci;
use crate::host::proxmox::ask as pve;
use crate::host::sensors::probe_sensors;
use crate::host::smart::probe_smart;
use crate::host::watchdog::probe_watchdogs;
use crate::host::zfs::{probe_pools, probe_report};
use crate::host::{Host, HostError, iscsi, multipath, quorum};

/// A collector that runs in each pass.
const EACH_PASS: Duration = Duration::ZERO;
/// What reading the package lists may take: 60 MB of text on a slow and busy disk.
const PACKAGES_DEADLINE: Duration = Duration::from_secs(20);

/// What asking all disks for their health may take. They are asked side by side and the helper gives each one 20 s or
/// less; a disk that answers later is told as Unknown by the helper itself.
const SMART_DEADLINE: Duration = Duration::from_secs(30);
/// Between two questions about the pools: a resilver that begins while all states stay the same is seen after this.
const ZPOOL_INTERVAL: Duration = Duration::from_secs(30);
/// The same while leases may be granted: with the report's own age, what is seen stays evidence (F of the invariants,
/// 10 s). Just below what lies between two passes then, so that each of them asks.
const HURRIED_INTERVAL: Duration = Duration::from_millis(2_500);
/// What asking about the pools may take: the helper ends a program that hangs before this.
const ZPOOL_DEADLINE: Duration = Duration::from_secs(30);
/// Between two questions to corosync, two programs each time.
const COROSYNC_INTERVAL: Duration = Duration::from_secs(15);
/// What asking corosync may take: each of the two programs is ended before the half of this.
const COROSYNC_DEADLINE: Duration = Duration::from_secs(9);
/// Between two looks at the kernel's log: longer than the helper stays for, so that it is not kept by them.
const HARDWARE_ERRORS_INTERVAL: Duration = Duration::from_secs(120);
/// What that may take: the helper gives up before, and says why.
const HARDWARE_ERRORS_DEADLINE: Duration = Duration::from_secs(30);
/// Between two questions to the board's controller, which is slow and has other things to do.
const IPMI_INTERVAL: Duration = Duration::from_secs(120);
/// What asking it may take: a few seconds as a rule, some more the first time. The helper gives up later, and until then what
/// it said last is shown as old.
const IPMI_DEADLINE: Duration = Duration::from_secs(30);
/// Between two looks at PCI devices: some hundred files on a large host, and links and cards do not change by the second.
const PCI_INTERVAL: Duration = Duration::from_secs(60);
/// Between two looks at a certificate: one that was renewed is seen after this.
const CERTIFICATES_INTERVAL: Duration = Duration::from_secs(300);
/// What is given beyond a limit of its own to what ends itself.
const GRACE: Duration = Duration::from_secs(1);
/// What asking Ceph may take: each of its questions has a limit of its own, and as a rule it is one question.
const CEPH_DEADLINE: Duration = Duration::from_secs(30);
/// What asking TrueNAS may take: it ends itself after 10 s.
const TRUENAS_DEADLINE: Duration = Duration::from_secs(12);
/// What the inventory may take: hundreds of small files, and two questions to the helper.
const INVENTORY_DEADLINE: Duration = Duration::from_secs(20);
/// What one mount may take of the filesystems' deadline, so that a stuck one leaves time to say so.
const SHARE_OF_ONE_MOUNT: f64 = 0.8;

impl Probe {
    /// How often a system is asked whose answers leases are granted on.
    fn every(&self, idle: Duration) -> Duration {
        if self.hurried { idle.min(HURRIED_INTERVAL) } else { idle }
    }

    /// What waits for somebody else's answer goes first.
    pub(super) fn start_asking(&mut self) {
        let deadline = Duration::from_secs(self.settings.probe.deadline_secs);
        let (manager, settings) = (Arc::clone(&self.manager), Arc::clone(&self.settings));
        self.units.start(EACH_PASS, deadline, || async move { manager.probe_units(&settings.units.required).await });
        let host = self.host.clone();
        self.corosync.start(
            self.every(COROSYNC_INTERVAL),
            COROSYNC_DEADLINE,
            || async move { quorum::probe(&host).await },
        );
        let (gauges, settings) = (Arc::clone(&self.gauges), Arc::clone(&self.settings));
        let for_one_mount = deadline.mul_f64(SHARE_OF_ONE_MOUNT);
        self.filesystems.start(EACH_PASS, deadline, || async move {
            probe_filesystems(&gauges, &settings.filesystems.ignore, for_one_mount).await
        });
    }

    /// Services, certificates and backups. All files are read by the crew: what they lie on may hang.
    pub(super) async fn start_declared(&mut self) {
        let (settings, crew, host) = (Arc::clone(&self.settings), Arc::clone(&self.crew), self.host.clone());
        let times = |service: &ServiceSettings| {
            (Duration::from_secs(service.interval_secs), Duration::from_secs(service.timeout_secs) + GRACE)
        };
        let ask = |service: &ServiceSettings| ask_service(Arc::clone(&crew), host.clone(), service.clone());
        self.services.start(&settings.service, times, ask).await;
        let times = |_: &String| (CERTIFICATES_INTERVAL, ENDPOINT_LIMIT + GRACE);
        let ask = |place: &String| ask_certificate(Arc::clone(&crew), host.clone(), place.clone());
        self.certificates.start(&watched(&settings, &self.node()), times, ask).await;
        let times = |backup: &BackupSettings| {
            (Duration::from_secs(backup.interval_secs), Duration::from_secs(backup.timeout_secs) + GRACE)
        };
        let ask = |backup: &BackupSettings| ask_backup(Arc::clone(&crew), host.clone(), backup.clone());
        self.backups.start(&settings.backup, times, ask).await;
    }

    /// Asks the disks that were there last, when it is time or when there are others than last time.
    pub(super) fn start_smart(&mut self) {
        let Some(disks) = self.disks.last_good() else {
            return self.smart.cannot_start("the disks to ask are not known; see the collector disks");
        };
        let keys: Vec<String> = disks.iter().map(|disk| disk.id.key().into_owned()).collect();
        if keys != self.asked_disks {
            self.smart.hasten();
        }
        let every = Duration::from_secs(self.settings.probe.smart_interval_secs);
        let (disks, helper) = (disks.clone(), self.helper.clone());
        let started = self.smart.start(every, SMART_DEADLINE, || async move { probe_smart(&disks, &helper).await });
        if started {
            self.asked_disks = keys;
        }
    }

    /// Asks about the pools when it is time, or when the kernel tells another thing of them than last time.
    pub(super) fn start_zpool(&mut self) {
        let Some(pools) = self.zfs.last_good() else {
            return self.zpool.cannot_start("the pools to ask about are not known; see the collector zfs");
        };
        if *pools != self.asked_pools {
            self.zpool.hasten();
        }
        let (pools, helper) = (pools.clone(), self.helper.clone());
        let asked = pools.clone();
        if self
            .zpool
            .start(self.every(ZPOOL_INTERVAL), ZPOOL_DEADLINE, || async move { probe_report(&pools, &helper).await })
        {
            self.asked_pools = asked;
        }
    }

    /// What the helper reads of the hardware. Other than disks and pools, there is nothing to hasten it.
    pub(super) fn start_hardware(&mut self) {
        let (host, helper) = (self.host.clone(), self.helper.clone());
        self.hardware_errors.start(HARDWARE_ERRORS_INTERVAL, HARDWARE_ERRORS_DEADLINE, || async move {
            probe_errors(&host, &helper).await
        });
        let (host, helper, last) = (self.host.clone(), self.helper.clone(), Arc::clone(&self.last_ipmi_log));
        self.ipmi.start(IPMI_INTERVAL, IPMI_DEADLINE, || async move { probe_ipmi(&host, &helper, &last).await });
    }

    /// Ceph's tool needs a second of a processor for its start alone, so it runs beside nothing that is in a hurry.
    pub(super) fn start_ceph(&mut self) {
        let (host, settings) = (self.host.clone(), Arc::clone(&self.settings));
        let last = Arc::clone(&self.last_asked_ceph);
        let every = self.every(Duration::from_secs(settings.ceph.interval_secs));
        self.ceph.start(every, CEPH_DEADLINE, || async move { probe_cluster(&host, &settings.ceph, &last).await });
    }

    pub(super) fn start_proxmox(&mut self) {
        let (crew, host, settings) = (Arc::clone(&self.crew), self.host.clone(), self.settings.proxmox.clone());
        let memory = Arc::clone(&self.last_asked_proxmox);
        let every = self.every(Duration::from_secs(settings.interval_secs));
        self.proxmox.start(every, pve::LIMIT + GRACE, || ask_proxmox(crew, host, settings, memory));
    }

    pub(super) fn start_kubernetes(&mut self) {
        let (settings, crew, host) = (Arc::clone(&self.settings), Arc::clone(&self.crew), self.host.clone());
        let every = self.every(Duration::from_secs(settings.kubernetes.interval_secs));
        let ask = || ask_kubernetes(crew, host, settings);
        self.kubernetes.start(every, kubernetes::LIMIT + GRACE, ask);
    }

    pub(super) fn start_truenas(&mut self) {
        let (host, crew, settings) = (self.host.clone(), Arc::clone(&self.crew), Arc::clone(&self.settings));
        let last = Arc::clone(&self.last_look);
        let every = self.every(Duration::from_secs(settings.truenas.interval_secs));
        self.truenas.start(every, TRUENAS_DEADLINE, || async move { ask_truenas(crew, host, settings, &last).await });
    }

    /// What only reads files.
    pub(super) fn start_reading(&mut self) {
        let deadline = Duration::from_secs(self.settings.probe.deadline_secs);
        let (crew, host) = (&self.crew, &self.host);
        self.cpu.start_job(EACH_PASS, deadline, || on_crew_with(crew, host, &self.cpu_files, CpuFiles::probe));
        self.memory.start_job(EACH_PASS, deadline, || on_crew_with(crew, host, &self.memory_files, MemoryFiles::probe));
        self.pressure
            .start_job(EACH_PASS, deadline, || on_crew_with(crew, host, &self.pressure_files, PressureFiles::probe));
        self.sensors.start_job(EACH_PASS, deadline, || on_crew(crew, host, probe_sensors));
        self.watchdogs.start_job(EACH_PASS, deadline, || on_crew(crew, host, probe_watchdogs));
        let known = &self.known_pci;
        self.pci.start_job(PCI_INTERVAL, deadline, || on_crew_with(crew, host, known, KnownPci::probe));
        self.zfs.start_job(EACH_PASS, deadline, || on_crew(crew, host, probe_pools));
        self.iscsi.start_job(EACH_PASS, deadline, || on_crew(crew, host, iscsi::sysfs::probe_sessions));
        self.iscsi_target.start_job(EACH_PASS, deadline, || on_crew(crew, host, probe_targets));
        self.md.start_job(EACH_PASS, deadline, || on_crew(crew, host, probe_arrays));
        self.multipath.start_job(EACH_PASS, deadline, || on_crew(crew, host, multipath::socket::probe_maps));
        self.nics.start_job(EACH_PASS, deadline, || on_crew_with(crew, host, &self.known_nics, KnownNics::probe));
        self.clock.start_job(EACH_PASS, deadline, || on_crew(crew, host, probe_clock));
        self.kernel.start_job(EACH_PASS, deadline, || on_crew_with(crew, host, &self.kernel_files, KernelFiles::probe));
        let known = &self.known_disks;
        self.disks.start_job(EACH_PASS, deadline, || on_crew_with(crew, host, known, KnownDisks::probe));
        let files = &self.package_files;
        let deadline = deadline.max(PACKAGES_DEADLINE);
        self.packages.start_job(EACH_PASS, deadline, || on_crew_with(crew, host, files, PackageFiles::probe));
    }

    pub(super) fn start_inventory(&mut self) {
        let (crew, host) = (&self.crew, &self.host);
        let every = Duration::from_secs(self.settings.probe.inventory_interval_secs);
        let (helper, runtime) = (self.helper.clone(), Handle::current());
        self.inventory.start_job(every, INVENTORY_DEADLINE, || {
            // It mixes files with questions to the helper, so it runs on a thread of the crew, and waits there.
            let host = host.clone();
            let mut job = crew.give(move || runtime.block_on(probe_inventory(&host, &helper)));
            async move { job.timed().await }
        });
    }
}

/// A collector that reads files, as a job of the crew.
fn on_crew<T: Send + 'static>(
    crew: &Crew,
    host: &Host,
    read: fn(&Host) -> Result<T, HostError>,
) -> impl Future<Output = Timed<Result<T, HostError>>> + use<T> {
    let host = host.clone();
    let mut job = crew.give(move || read(&host));
    async move { job.timed().await }
}

/// A collector that remembers something between its turns.
fn on_crew_with<S: Send + 'static, T: Send + 'static>(
    crew: &Crew,
    host: &Host,
    memory: &Arc<Mutex<S>>,
    read: fn(&mut S, &Host) -> Result<T, HostError>,
) -> impl Future<Output = Timed<Result<T, HostError>>> + use<S, T> {
    let (host, memory) = (host.clone(), Arc::clone(memory));
    // Each memory belongs to one collector, whose turns never overlap; a panic leaves it as the last turn did.
    let mut job = crew.give(move || read(&mut memory.lock().unwrap_or_else(PoisonError::into_inner), &host));
    async move { job.timed().await }
}
