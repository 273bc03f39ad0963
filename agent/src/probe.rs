//! Reads `host/*` into [`Observed`]: collectors side by side, each with its own deadline, interval
//! and last good value.
//!
//! It must never fail: what cannot be read is Unknown with its reason. A hung collector makes only itself stale.

mod asked;
mod each;
mod start;
mod turn;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use hardstand_core::observed::{
    BackupSeen, CephCluster, Clock, Corosync, Cpu, Disk, Filesystem, HardwareErrors, Inventory, Ipmi, IscsiSessions,
    IscsiTarget, Kernel, KubernetesCluster, MdArray, Memory, Moment, MultipathMap, Nic, Packages, PciDevice, Pressure,
    PveNode, Sensor, ServiceAnswer, Smart, TrueNas, Units, Watchdog, ZfsPool, ZpoolReport,
};
use hardstand_core::settings::{BackupSettings, ServiceSettings};
use hardstand_core::{Observed, Settings};

use crate::crew::Crew;
use crate::helper::Client;
use crate::host::Host;
use crate::host::boot::KernelFiles;
use crate::host::ceph::ask::LastAsked;
use crate::host::clock::boottime;
use crate::host::disks::KnownDisks;
use crate::host::filesystems::Gauges;
use crate::host::ipmi::LastLog;
use crate::host::load::{CpuFiles, MemoryFiles, PressureFiles};
use crate::host::nics::KnownNics;
use crate::host::packages::PackageFiles;
use crate::host::pci::KnownPci;
use crate::host::proxmox::ask as pve;
use crate::host::systemd::ServiceManager;
use crate::host::truenas::ask::LastLook;
use each::Each;
use turn::Turn;

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
