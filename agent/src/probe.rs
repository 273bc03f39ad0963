//! Reads `host/*` into [`Observed`]: collectors side by side, each with its own deadline, interval
//! and last good value.
//!
//! It must never fail: what cannot be read is Unknown with its reason. A hung collector makes only itself stale.

mod each;
mod turn;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hardstand_core::observed::{
    BackupSeen, CephCluster, Clock, Corosync, Cpu, Disk, Filesystem, HardwareErrors, Inventory, Ipmi, IscsiSessions,
    IscsiTarget, Kernel, KubernetesCluster, MdArray, Memory, Moment, MultipathMap, Nic, Packages, PciDevice, Pressure,
    PveNode, Sensor, ServiceAnswer, Smart, TrueNas, Units, Watchdog, ZfsPool, ZpoolReport,
};
use hardstand_core::settings::{BackupKind, BackupSettings, ProxmoxSettings, ServiceSettings};
use hardstand_core::{Observed, Settings};
use tokio::runtime::Handle;

use crate::crew::{Crew, Timed};
use crate::helper::Client;
use crate::host::backups::files::probe_files;
use crate::host::backups::s3::{Keys, probe_bucket};
use crate::host::boot::KernelFiles;
use crate::host::ceph::ask::{LastAsked, probe_cluster};
use crate::host::certificates::{ENDPOINT_LIMIT, expiry_of_endpoint, expiry_of_file, watched};
use crate::host::clock::{boottime, probe_clock};
use crate::host::disks::KnownDisks;
use crate::host::filesystems::{Gauges, probe_filesystems};
use crate::host::hardware::probe_inventory;
use crate::host::hardware_errors::probe_errors;
use crate::host::https::{Authorities, late};
use crate::host::ipmi::{LastLog, probe_ipmi};
use crate::host::iscsi;
use crate::host::iscsi_target::probe_targets;
use crate::host::kubernetes::access::Access;
use crate::host::kubernetes::ask as kubernetes;
use crate::host::load::{CpuFiles, MemoryFiles, PressureFiles};
use crate::host::md::probe_arrays;
use crate::host::multipath;
use crate::host::nics::KnownNics;
use crate::host::packages::PackageFiles;
use crate::host::pci::KnownPci;
use crate::host::proxmox::ask as pve;
use crate::host::quorum;
use crate::host::sensors::probe_sensors;
use crate::host::services::{needs_authorities, probe_service};
use crate::host::smart::probe_smart;
use crate::host::systemd::ServiceManager;
use crate::host::truenas::ask::{LastLook, Manner, probe_box};
use crate::host::watchdog::probe_watchdogs;
use crate::host::zfs::{probe_pools, probe_report};
use crate::host::{Host, HostError};
use each::Each;
use turn::Turn;

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

/// The collectors, and what they remember between passes.
pub(crate) struct Probe {
    settings: Arc<Settings>,
    host: Host,
    helper: Client,
    hurried: bool,
    crew: Arc<Crew>,
    manager: Arc<ServiceManager>,
    gauges: Arc<Gauges>,
    cpu_files: Arc<Mutex<CpuFiles>>,
    memory_files: Arc<Mutex<MemoryFiles>>,
    pressure_files: Arc<Mutex<PressureFiles>>,
    kernel_files: Arc<Mutex<KernelFiles>>,
    known_nics: Arc<Mutex<KnownNics>>,
    known_pci: Arc<Mutex<KnownPci>>,
    known_disks: Arc<Mutex<KnownDisks>>,
    package_files: Arc<Mutex<PackageFiles>>,
    inventory: Turn<Inventory>,
    smart: Turn<BTreeMap<String, Smart>>,
    /// Keys of the disks that were asked last, so that a new one is not left unasked until the next time.
    asked_disks: Vec<String>,
    cpu: Turn<Cpu>,
    memory: Turn<Memory>,
    pressure: Turn<Pressure>,
    sensors: Turn<Vec<Sensor>>,
    pci: Turn<Vec<PciDevice>>,
    hardware_errors: Turn<HardwareErrors>,
    ipmi: Turn<Option<Ipmi>>,
    last_ipmi_log: Arc<LastLog>,
    watchdogs: Turn<Vec<Watchdog>>,
    filesystems: Turn<Vec<Filesystem>>,
    nics: Turn<Vec<Nic>>,
    zfs: Turn<Option<Vec<ZfsPool>>>,
    zpool: Turn<Option<ZpoolReport>>,
    /// The pools as they were when they were asked about last.
    asked_pools: Option<Vec<ZfsPool>>,
    iscsi: Turn<Option<IscsiSessions>>,
    iscsi_target: Turn<Option<Vec<IscsiTarget>>>,
    multipath: Turn<Option<Vec<MultipathMap>>>,
    md: Turn<Vec<MdArray>>,
    corosync: Turn<Option<Corosync>>,
    ceph: Turn<Option<CephCluster>>,
    last_asked_ceph: Arc<LastAsked>,
    proxmox: Turn<Option<PveNode>>,
    last_asked_proxmox: Arc<pve::Memory>,
    kubernetes: Turn<Option<KubernetesCluster>>,
    truenas: Turn<Option<TrueNas>>,
    last_look: Arc<LastLook>,
    disks: Turn<Vec<Disk>>,
    clock: Turn<Clock>,
    units: Turn<Units>,
    kernel: Turn<Kernel>,
    packages: Turn<Packages>,
    services: Each<ServiceSettings, ServiceAnswer>,
    certificates: Each<String, u64>,
    backups: Each<BackupSettings, BackupSeen>,
}

impl Probe {
    /// Collectors that have not run yet.
    pub(crate) fn new(settings: Arc<Settings>, host: Host, helper: Client) -> Self {
        let crew = Arc::new(Crew::new());
        Self {
            gauges: Arc::new(Gauges::new(host.clone(), Arc::clone(&crew))),
            manager: Arc::default(),
            cpu_files: Arc::default(),
            memory_files: Arc::default(),
            pressure_files: Arc::default(),
            kernel_files: Arc::default(),
            known_nics: Arc::default(),
            known_pci: Arc::default(),
            known_disks: Arc::default(),
            package_files: Arc::default(),
            inventory: Turn::default(),
            smart: Turn::default(),
            asked_disks: Vec::new(),
            cpu: Turn::default(),
            memory: Turn::default(),
            pressure: Turn::default(),
            sensors: Turn::default(),
            pci: Turn::default(),
            hardware_errors: Turn::default(),
            ipmi: Turn::default(),
            last_ipmi_log: Arc::default(),
            watchdogs: Turn::default(),
            filesystems: Turn::default(),
            nics: Turn::default(),
            zfs: Turn::default(),
            zpool: Turn::default(),
            asked_pools: None,
            iscsi: Turn::default(),
            iscsi_target: Turn::default(),
            multipath: Turn::default(),
            md: Turn::default(),
            corosync: Turn::default(),
            ceph: Turn::default(),
            last_asked_ceph: Arc::default(),
            proxmox: Turn::default(),
            last_asked_proxmox: Arc::default(),
            kubernetes: Turn::default(),
            truenas: Turn::default(),
            last_look: Arc::default(),
            disks: Turn::default(),
            clock: Turn::default(),
            units: Turn::default(),
            kernel: Turn::default(),
            packages: Turn::default(),
            services: Each::default(),
            certificates: Each::default(),
            backups: Each::default(),
            settings,
            host,
            helper,
            hurried: false,
            crew,
        }
    }

    /// Other settings from the next pass on. What was read, and what hangs, stays known.
    pub(crate) fn set_settings(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
    }

    /// Reads everything that is due. Takes as long as the slowest collector, and no longer than the longest deadline
    /// (in the first pass: and the inventory's); a collector that hangs is waited for in the pass in which it began, and
    /// in no later one.
    ///
    /// `hurried`: what is seen must be fresh enough to decide on, so those with an interval of their own are asked more
    /// often.
    pub(crate) async fn pass(&mut self, hurried: bool) -> Observed {
        self.hurried = hurried;
        self.start_asking();
        self.start_truenas();
        self.start_declared().await;
        // Lets them ask before this pass's files are read.
        tokio::task::yield_now().await;
        self.start_reading();
        self.disks.settle().await;
        self.start_smart();
        self.zfs.settle().await;
        self.start_zpool();
        self.settle().await;
        // Last and alone: it reads hundreds of files, and on a slow machine that is booting it would make others late.
        self.start_inventory();
        self.start_hardware();
        self.start_ceph();
        self.start_proxmox();
        self.start_kubernetes();
        self.inventory.settle_in_background().await;
        self.smart.settle_in_background().await;
        self.zpool.settle_in_background().await;
        self.hardware_errors.settle_in_background().await;
        self.ipmi.settle_in_background().await;
        self.services.settle().await;
        self.certificates.settle().await;
        self.backups.settle().await;
        self.ceph.settle_in_background().await;
        self.proxmox.settle_in_background().await;
        self.kubernetes.settle_in_background().await;
        self.truenas.settle_in_background().await;
        self.observed()
    }

    /// How often a system is asked whose answers leases are granted on.
    fn every(&self, idle: Duration) -> Duration {
        if self.hurried { idle.min(HURRIED_INTERVAL) } else { idle }
    }

    /// What waits for somebody else's answer goes first.
    fn start_asking(&mut self) {
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
    async fn start_declared(&mut self) {
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
    fn start_smart(&mut self) {
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
    fn start_zpool(&mut self) {
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
    fn start_hardware(&mut self) {
        let (host, helper) = (self.host.clone(), self.helper.clone());
        self.hardware_errors.start(HARDWARE_ERRORS_INTERVAL, HARDWARE_ERRORS_DEADLINE, || async move {
            probe_errors(&host, &helper).await
        });
        let (host, helper, last) = (self.host.clone(), self.helper.clone(), Arc::clone(&self.last_ipmi_log));
        self.ipmi.start(IPMI_INTERVAL, IPMI_DEADLINE, || async move { probe_ipmi(&host, &helper, &last).await });
    }

    /// Ceph's tool needs a second of a processor for its start alone, so it runs beside nothing that is in a hurry.
    fn start_ceph(&mut self) {
        let (host, settings) = (self.host.clone(), Arc::clone(&self.settings));
        let last = Arc::clone(&self.last_asked_ceph);
        let every = self.every(Duration::from_secs(settings.ceph.interval_secs));
        self.ceph.start(every, CEPH_DEADLINE, || async move { probe_cluster(&host, &settings.ceph, &last).await });
    }

    fn start_proxmox(&mut self) {
        let (crew, host, settings) = (Arc::clone(&self.crew), self.host.clone(), self.settings.proxmox.clone());
        let memory = Arc::clone(&self.last_asked_proxmox);
        let every = self.every(Duration::from_secs(settings.interval_secs));
        self.proxmox.start(every, pve::LIMIT + GRACE, || ask_proxmox(crew, host, settings, memory));
    }

    fn start_kubernetes(&mut self) {
        let (settings, crew, host) = (Arc::clone(&self.settings), Arc::clone(&self.crew), self.host.clone());
        let every = self.every(Duration::from_secs(settings.kubernetes.interval_secs));
        let ask = || ask_kubernetes(crew, host, settings);
        self.kubernetes.start(every, kubernetes::LIMIT + GRACE, ask);
    }

    fn start_truenas(&mut self) {
        let (host, crew, settings) = (self.host.clone(), Arc::clone(&self.crew), Arc::clone(&self.settings));
        let last = Arc::clone(&self.last_look);
        let every = self.every(Duration::from_secs(settings.truenas.interval_secs));
        self.truenas.start(every, TRUENAS_DEADLINE, || async move { ask_truenas(crew, host, settings, &last).await });
    }

    /// What only reads files.
    fn start_reading(&mut self) {
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

    fn start_inventory(&mut self) {
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

    /// All run side by side, each with its own deadline, so they may be waited for one after the other.
    async fn settle(&mut self) {
        self.cpu.settle().await;
        self.memory.settle().await;
        self.pressure.settle().await;
        self.sensors.settle().await;
        self.pci.settle().await;
        self.watchdogs.settle().await;
        self.iscsi.settle().await;
        self.iscsi_target.settle().await;
        self.multipath.settle().await;
        self.md.settle().await;
        self.corosync.settle().await;
        self.nics.settle().await;
        self.clock.settle().await;
        self.kernel.settle().await;
        self.packages.settle().await;
        self.filesystems.settle().await;
        self.units.settle().await;
    }

    fn observed(&self) -> Observed {
        Observed {
            at: now(),
            node: self.node(),
            role: self.settings.node.role,
            inventory: self.inventory.sample(),
            cpu: self.cpu.sample(),
            memory: self.memory.sample(),
            pressure: self.pressure.sample(),
            sensors: self.sensors.sample(),
            pci: self.pci.sample(),
            hardware_errors: self.hardware_errors.sample(),
            ipmi: self.ipmi.sample(),
            watchdogs: self.watchdogs.sample(),
            filesystems: self.filesystems.sample(),
            nics: self.nics.sample(),
            zfs: self.zfs.sample(),
            zpool: self.zpool.sample(),
            iscsi: self.iscsi.sample(),
            iscsi_target: self.iscsi_target.sample(),
            multipath: self.multipath.sample(),
            md: self.md.sample(),
            corosync: self.corosync.sample(),
            ceph: self.ceph.sample(),
            proxmox: self.proxmox.sample(),
            kubernetes: self.kubernetes.sample(),
            truenas: self.truenas.sample(),
            disks: self.disks.sample(),
            smart: self.smart.sample(),
            clock: self.clock.sample(),
            units: self.units.sample(),
            kernel: self.kernel.sample(),
            packages: self.packages.sample(),
            services: self.services.sample(|service| &service.name),
            certificates: self.certificates.sample(|place| place),
            backups: self.backups.sample(|backup| &backup.name),
        }
    }

    /// The configured name, or else the host's.
    fn node(&self) -> String {
        let named = self.settings.node.name.clone();
        named.or_else(|| self.host.attribute("proc/sys/kernel/hostname")).unwrap_or_else(|| "localhost".to_owned())
    }
}

/// The moment, for ages by the boot clock and for people by the wall clock.
fn now() -> Moment {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment { boottime_seconds: boottime().as_secs_f64(), unix_seconds: unix.as_secs() }
}

/// Reads files on a thread that may hang.
async fn read_on<T: Send + 'static>(
    crew: &Crew,
    read: impl FnOnce() -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    crew.give(read).answer().await.map_err(HostError::Broken).flatten()
}

async fn authorities(crew: &Crew, host: &Host, file: Option<String>) -> Result<Authorities, HostError> {
    let host = host.clone();
    read_on(crew, move || Authorities::read(&host, file.as_deref())).await
}

async fn ask_service(crew: Arc<Crew>, host: Host, service: ServiceSettings) -> Result<ServiceAnswer, HostError> {
    let authorities = match needs_authorities(&service) {
        true => Some(authorities(&crew, &host, service.ca_file.clone()).await?),
        false => None,
    };
    Ok(probe_service(&service, authorities.as_ref()).await)
}

async fn ask_certificate(crew: Arc<Crew>, host: Host, place: String) -> Result<u64, HostError> {
    match place.starts_with('/') {
        true => read_on(&crew, move || expiry_of_file(&host, &place)).await,
        false => expiry_of_endpoint(&place).await,
    }
}

async fn ask_backup(crew: Arc<Crew>, host: Host, backup: BackupSettings) -> Result<BackupSeen, HostError> {
    if backup.kind != BackupKind::S3 {
        return read_on(&crew, move || probe_files(&host, &backup)).await;
    }
    let credentials = host.path(backup.credentials.as_deref().unwrap_or_default().trim_start_matches('/'));
    let keys = read_on(&crew, move || Keys::read(&credentials)).await?;
    let is_tls = backup.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("https:"));
    let authorities = match is_tls {
        true => Some(authorities(&crew, &host, backup.ca_file.clone()).await?),
        false => None,
    };
    probe_bucket(&backup, &keys, authorities.as_ref()).await
}

/// Its authority may lie in `/etc/pve`, which hangs when the cluster does: it is read by the crew, in this turn alone.
async fn ask_proxmox(
    crew: Arc<Crew>,
    host: Host,
    settings: ProxmoxSettings,
    memory: Arc<pve::Memory>,
) -> Result<Option<PveNode>, HostError> {
    let wanted = settings.clone();
    let access = read_on(&crew, move || pve::Access::find(&host, &wanted)).await?;
    match access {
        Some(access) => pve::probe_node(&access, &settings, &memory).await.map(Some),
        None => Ok(None),
    }
}

async fn ask_truenas(
    crew: Arc<Crew>,
    host: Host,
    settings: Arc<Settings>,
    last: &LastLook,
) -> Result<Option<TrueNas>, HostError> {
    let read = Arc::clone(&settings);
    let manner = read_on(&crew, move || Manner::read(&host, &read.truenas)).await?;
    match manner {
        Some(manner) => probe_box(manner, &settings.truenas, last).await.map(Some),
        None => Ok(None),
    }
}

async fn ask_kubernetes(
    crew: Arc<Crew>,
    host: Host,
    settings: Arc<Settings>,
) -> Result<Option<KubernetesCluster>, HostError> {
    if !settings.kubernetes.is_declared() {
        return Ok(None);
    }
    let about = Arc::clone(&settings);
    let access = read_on(&crew, move || Access::read(&host, &about.kubernetes)).await?;
    let asking = kubernetes::probe_cluster(access, &settings.kubernetes.nodes, kubernetes::LIMITS);
    let asked = tokio::time::timeout(kubernetes::LIMIT, asking);
    asked.await.unwrap_or_else(|_| Err(HostError::Broken(late(kubernetes::LIMIT)))).map(Some)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Scratch;

    fn pass_twice(probe: &mut Probe) -> [Observed; 2] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { [probe.pass(false).await, probe.pass(false).await] })
    }

    #[test]
    fn a_machine_with_nothing_to_read_gives_a_pass_of_unknowns_with_reasons() {
        let host = Scratch::new();
        let helper = Client::new(host.path("helper.sock"));
        let mut probe = Probe::new(Arc::default(), host.clone(), helper);
        for seen in pass_twice(&mut probe) {
            let unknown = seen.unknown_collectors();
            for name in ["inventory", "cpu", "memory", "filesystems", "disks", "smart", "kernel", "packages"] {
                let why = unknown.iter().find(|(collector, _)| *collector == name).map(|(_, why)| *why);
                assert!(why.is_some_and(|why| why != "not read yet"), "{name}: {why:?}");
            }
            assert_eq!(seen.smart.reading.why(), Some("the disks to ask are not known; see the collector disks"));
            assert_eq!(seen.node, "localhost");
        }
    }

    #[test]
    fn this_machine_is_read_in_the_first_pass() {
        let helper = Client::new("/nonexistent/helper.sock");
        let mut probe = Probe::new(Arc::default(), Host::this(), helper);
        for seen in pass_twice(&mut probe) {
            let unknown = seen.unknown_collectors();
            // The bus, the helper and the package lists are another matter on a build machine.
            for name in ["inventory", "cpu", "memory", "filesystems", "nics", "disks", "clock", "kernel"] {
                assert!(unknown.iter().all(|(collector, _)| *collector != name), "{unknown:?}");
            }
            let root = seen.filesystems.shown().unwrap().iter().find(|row| row.mount_point == "/");
            assert!(root.is_some_and(|root| root.space.known().is_some_and(|space| space.size_bytes > 0)));
        }
    }
}
