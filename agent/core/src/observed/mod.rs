//! What one pass over the node saw: facts, unjudged, each with its age.
//!
//! It must never hold an opinion: severities are made in `health`.

mod apt;
mod backup;
mod boot;
mod ceph;
mod clock;
mod disk;
mod filesystem;
mod hardware_errors;
mod inventory;
mod ipmi;
mod iscsi;
mod iscsi_target;
mod kubernetes;
mod load;
mod md;
mod multipath;
mod needrestart;
mod nic;
mod packages;
mod pci;
mod proxmox;
mod quorum;
mod service;
mod truenas;
mod units;
mod watchdog;
mod zfs;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use apt::{AptCount, AptSimulation};
pub use backup::{BackupCopy, BackupSeen};
pub use boot::{Kernel, KernelImage, RebootReason};
pub use ceph::{
    CephBucket, CephCheck, CephCluster, CephHealth, CephMds, CephMgr, CephMons, CephOkToStop, CephOsd, CephOsdCounts,
    CephOsdTree, CephPgState, CephPgs, CephScopedFlags, CephStatus, CephStop,
};
pub use clock::Clock;
pub use disk::{AtaSmart, Disk, DiskId, NvmeSmart, PowerState, ScsiSmart, Smart, SmartDetail, Transport};
pub use filesystem::{Filesystem, Space};
pub use hardware_errors::{ErrorOrigin, ErrorSeverity, HardwareError, HardwareErrors};
pub use inventory::{BootEntry, CpuInfo, Dimm, Dmi, FirmwareType, Inventory, NicInfo, Tpm};
pub use ipmi::{Ipmi, IpmiEvent, IpmiLog, IpmiSensor, IpmiState, IpmiTold};
pub use iscsi::{IscsiDevice, IscsiSession, IscsiSessions};
pub use iscsi_target::{IscsiTarget, TargetSession, TargetUnit};
pub use kubernetes::{
    DrainedNode, EvictionAnswer, Evictions, FluxObject, KubeBudget, KubeClaim, KubeCondition, KubeNode, KubePod,
    KubeServer, KubernetesCluster, LabelRequirement, LabelSelector,
};
pub use load::{Cpu, CpuTimes, Memory, Pressure, PressureLine, Sensor, SensorKind};
pub use md::MdArray;
pub use multipath::{MultipathMap, MultipathPath, PathGroup};
pub use needrestart::Needrestart;
pub use nic::{Nic, OperState};
pub use packages::{HalfConfigured, Packages, PendingPackage};
pub use pci::{AerCounts, PciDevice, PciErrors, PciLink};
pub use proxmox::{
    PveBackups, PveGuestConfig, PveHa, PveHaEntry, PveNode, PveReplication, PveResource, PveResources, PveStorage,
    PveTask, PveUncovered,
};
pub use quorum::{Corosync, CorosyncConfig, CorosyncDevice, CorosyncLink, CorosyncNode, Quorum, QuorumMember};
pub use service::ServiceAnswer;
pub use truenas::{NasAlert, NasEnvironment, NasJob, NasPool, NasScan, NasSession, NasTask, NasUpdate, TrueNas};
pub use units::{Unit, Units};
pub use watchdog::Watchdog;
pub use zfs::{PoolScan, PoolSpace, PoolStatus, ScanKind, ScanState, Vdev, ZfsPool, ZpoolReport};

use crate::reading::{CollectorState, Sample};

/// When something was seen. Durations come from `boottime_seconds` (CLOCK_BOOTTIME) alone; `unix_seconds` is for people (S16).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moment {
    /// Seconds since boot, suspend included.
    pub boottime_seconds: f64,
    /// Seconds since 1970 by this node's wall clock, which may be wrong.
    pub unix_seconds: u64,
}

/// Where a node stands in the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A Proxmox VE host.
    Proxmox,
    /// A TrueNAS box.
    Truenas,
    /// Any other Debian host.
    #[default]
    Debian,
    /// A machine running from the boot image.
    Live,
}

impl Role {
    /// The word used in configuration and output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Proxmox => "proxmox",
            Self::Truenas => "truenas",
            Self::Debian => "debian",
            Self::Live => "live",
        }
    }
}

/// Everything one pass saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// When the pass was put together.
    pub at: Moment,
    /// The node's name.
    pub node: String,
    /// The node's role.
    pub role: Role,
    /// What the machine is made of.
    pub inventory: Sample<Inventory>,
    /// Processors and load.
    pub cpu: Sample<Cpu>,
    /// Memory.
    pub memory: Sample<Memory>,
    /// Pressure stall information.
    pub pressure: Sample<Pressure>,
    /// Temperatures, fans, voltages.
    pub sensors: Sample<Vec<Sensor>>,
    /// PCI Express devices: links and errors.
    pub pci: Sample<Vec<PciDevice>>,
    /// Errors of the hardware that the kernel's log tells of.
    pub hardware_errors: Sample<HardwareErrors>,
    /// What the board's controller tells; nothing where the board has none.
    pub ipmi: Sample<Option<Ipmi>>,
    /// Watchdogs.
    pub watchdogs: Sample<Vec<Watchdog>>,
    /// Mounted filesystems that store something.
    pub filesystems: Sample<Vec<Filesystem>>,
    /// Network interfaces.
    pub nics: Sample<Vec<Nic>>,
    /// Imported ZFS pools; nothing where the kernel has no ZFS.
    pub zfs: Sample<Option<Vec<ZfsPool>>>,
    /// What ZFS's own tool reports of the pools; nothing where none is imported.
    pub zpool: Sample<Option<ZpoolReport>>,
    /// iSCSI sessions as an initiator; nothing where the kernel has no iSCSI.
    pub iscsi: Sample<Option<IscsiSessions>>,
    /// iSCSI targets that this node serves; nothing where it has no system for that.
    pub iscsi_target: Sample<Option<Vec<IscsiTarget>>>,
    /// Multipath maps; nothing where the kernel has none.
    pub multipath: Sample<Option<Vec<MultipathMap>>>,
    /// Arrays of software RAID.
    pub md: Sample<Vec<MdArray>>,
    /// Corosync; nothing where it is not configured.
    pub corosync: Sample<Option<Corosync>>,
    /// The Ceph cluster that this node is set up for; nothing where it is set up for none.
    pub ceph: Sample<Option<CephCluster>>,
    /// What Proxmox VE says of this node; nothing where it is none of its hosts.
    pub proxmox: Sample<Option<PveNode>>,
    /// The Kubernetes cluster that is declared; nothing where none is.
    pub kubernetes: Sample<Option<KubernetesCluster>>,
    /// The TrueNAS that this node is, or that is declared; nothing where there is neither.
    pub truenas: Sample<Option<TrueNas>>,
    /// Whole disks, as the kernel lists them now.
    pub disks: Sample<Vec<Disk>>,
    /// SMART and NVMe health by disk key ([`DiskId::key`]); absent where a disk has no such thing.
    pub smart: Sample<std::collections::BTreeMap<String, Smart>>,
    /// The clock and what disciplines it.
    pub clock: Sample<Clock>,
    /// systemd's state and its failed units.
    pub units: Sample<Units>,
    /// Kernel, boot, and reasons to reboot.
    pub kernel: Sample<Kernel>,
    /// dpkg and apt.
    pub packages: Sample<Packages>,
    /// Declared services, each by its name with what it answered last.
    pub services: Sample<Vec<(String, Sample<ServiceAnswer>)>>,
    /// Certificates by file or `HOST:PORT`, with when each expires, seconds since 1970.
    pub certificates: Sample<Vec<(String, Sample<u64>)>>,
    /// Declared backups and drills, each by its name.
    pub backups: Sample<Vec<(String, Sample<BackupSeen>)>>,
}

/// One collector's row: name, state, age, duration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Collector {
    /// Its name, as in the metrics and the JSON.
    pub name: String,
    /// Whether its value is current.
    pub state: CollectorState,
    /// Age of the value shown, in seconds.
    pub age_seconds: f64,
    /// How long its last finished turn took, in seconds.
    pub duration_seconds: f64,
}

/// Runs `$do!(name, sample)` for every collector of an [`Observed`], so that no list of them is written twice.
macro_rules! for_each_sample {
    ($observed:expr, |$name:ident, $sample:ident| $body:expr) => {{
        let observed = $observed;
        {
            let ($name, $sample) = ("inventory", &observed.inventory);
            $body
        }
        {
            let ($name, $sample) = ("cpu", &observed.cpu);
            $body
        }
        {
            let ($name, $sample) = ("memory", &observed.memory);
            $body
        }
        {
            let ($name, $sample) = ("pressure", &observed.pressure);
            $body
        }
        {
            let ($name, $sample) = ("sensors", &observed.sensors);
            $body
        }
        {
            let ($name, $sample) = ("pci", &observed.pci);
            $body
        }
        {
            let ($name, $sample) = ("hardware_errors", &observed.hardware_errors);
            $body
        }
        {
            let ($name, $sample) = ("ipmi", &observed.ipmi);
            $body
        }
        {
            let ($name, $sample) = ("watchdogs", &observed.watchdogs);
            $body
        }
        {
            let ($name, $sample) = ("filesystems", &observed.filesystems);
            $body
        }
        {
            let ($name, $sample) = ("nics", &observed.nics);
            $body
        }
        {
            let ($name, $sample) = ("zfs", &observed.zfs);
            $body
        }
        {
            let ($name, $sample) = ("zpool", &observed.zpool);
            $body
        }
        {
            let ($name, $sample) = ("iscsi", &observed.iscsi);
            $body
        }
        {
            let ($name, $sample) = ("iscsi_target", &observed.iscsi_target);
            $body
        }
        {
            let ($name, $sample) = ("multipath", &observed.multipath);
            $body
        }
        {
            let ($name, $sample) = ("md", &observed.md);
            $body
        }
        {
            let ($name, $sample) = ("corosync", &observed.corosync);
            $body
        }
        {
            let ($name, $sample) = ("ceph", &observed.ceph);
            $body
        }
        {
            let ($name, $sample) = ("proxmox", &observed.proxmox);
            $body
        }
        {
            let ($name, $sample) = ("kubernetes", &observed.kubernetes);
            $body
        }
        {
            let ($name, $sample) = ("truenas", &observed.truenas);
            $body
        }
        {
            let ($name, $sample) = ("disks", &observed.disks);
            $body
        }
        {
            let ($name, $sample) = ("smart", &observed.smart);
            $body
        }
        {
            let ($name, $sample) = ("clock", &observed.clock);
            $body
        }
        {
            let ($name, $sample) = ("units", &observed.units);
            $body
        }
        {
            let ($name, $sample) = ("kernel", &observed.kernel);
            $body
        }
        {
            let ($name, $sample) = ("packages", &observed.packages);
            $body
        }
        {
            let ($name, $sample) = ("services", &observed.services);
            $body
        }
        {
            let ($name, $sample) = ("certificates", &observed.certificates);
            $body
        }
        {
            let ($name, $sample) = ("backups", &observed.backups);
            $body
        }
    }};
}

impl Observed {
    /// A pass in which nothing has been read yet: every collector unknown with the same reason.
    pub fn nothing(at: Moment, node: impl Into<String>, role: Role, why: &str) -> Self {
        Self {
            at,
            node: node.into(),
            role,
            inventory: Sample::never(why),
            cpu: Sample::never(why),
            memory: Sample::never(why),
            pressure: Sample::never(why),
            sensors: Sample::never(why),
            pci: Sample::never(why),
            hardware_errors: Sample::never(why),
            ipmi: Sample::never(why),
            watchdogs: Sample::never(why),
            filesystems: Sample::never(why),
            nics: Sample::never(why),
            zfs: Sample::never(why),
            zpool: Sample::never(why),
            iscsi: Sample::never(why),
            iscsi_target: Sample::never(why),
            multipath: Sample::never(why),
            md: Sample::never(why),
            corosync: Sample::never(why),
            ceph: Sample::never(why),
            proxmox: Sample::never(why),
            kubernetes: Sample::never(why),
            truenas: Sample::never(why),
            disks: Sample::never(why),
            smart: Sample::never(why),
            clock: Sample::never(why),
            units: Sample::never(why),
            kernel: Sample::never(why),
            packages: Sample::never(why),
            services: Sample::never(why),
            certificates: Sample::never(why),
            backups: Sample::never(why),
        }
    }

    /// The iSCSI targets that this node serves: the kernel's where it has any system for them, else those that TrueNAS
    /// tells of when it is this node. Never both: they are the same ones. `None` where that is not known.
    pub fn iscsi_targets(&self) -> Option<Cow<'_, [IscsiTarget]>> {
        let kernel = self.iscsi_target.reading.known();
        if let Some(Some(targets)) = kernel {
            return Some(Cow::Borrowed(targets));
        }
        match self.truenas.reading.known()?.as_ref().filter(|nas| nas.is_local) {
            Some(nas) => nas.sessions.known().map(|_| Cow::Owned(nas.targets())),
            None => kernel.map(|_| Cow::Borrowed(&[] as &[IscsiTarget])),
        }
    }

    /// One row per collector, in a fixed order.
    pub fn collectors(&self) -> Vec<Collector> {
        let mut rows = Vec::new();
        for_each_sample!(self, |name, sample| rows.push(Collector {
            name: name.to_owned(),
            state: sample.state(),
            age_seconds: sample.age_seconds,
            duration_seconds: sample.duration_seconds,
        }));
        rows
    }

    /// Name and reason of every collector whose last turn is unknown.
    #[allow(clippy::cognitive_complexity, reason = "one branch for each collector, all alike")]
    pub fn unknown_collectors(&self) -> Vec<(&'static str, &str)> {
        let mut rows = Vec::new();
        for_each_sample!(self, |name, sample| rows.extend(sample.reading.why().map(|why| (name, why))));
        rows
    }
}
