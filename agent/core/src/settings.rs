//! Everything that can be set, already checked. The file format and its errors are in the agent's `config`.
//!
//! It must never hold a secret: those come as credentials, by file.

mod declared;
mod snapshots;
mod thresholds;
mod truenas;

pub use declared::{BackupKind, BackupSettings, CertificateSettings, DatedBy, Method, ServiceSettings, statuses};
use serde::{Deserialize, Serialize};
pub use snapshots::{PruneSettings, SnapshotSettings};
pub use thresholds::Thresholds;
pub use truenas::{NasEndpoint, TrueNasSettings};

use crate::observed::Role;

/// The whole configuration of one node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Who the node is.
    pub node: NodeSettings,
    /// How often and how long.
    pub probe: ProbeSettings,
    /// The metrics page.
    pub metrics: MetricsSettings,
    /// Where judgement changes.
    pub thresholds: Thresholds,
    /// Processors.
    pub cpu: CpuSettings,
    /// Units that must run.
    pub units: UnitSettings,
    /// Interfaces that must have a link.
    pub nics: NicSettings,
    /// iSCSI targets that this node serves.
    pub iscsi_target: IscsiTargetSettings,
    /// Filesystems to leave out or that gate.
    pub filesystems: FilesystemSettings,
    /// What leaves service when the node goes into maintenance.
    pub drain: DrainSettings,
    /// Units that are asked on the way, and may say no.
    pub hooks: HookSettings,
    /// How packages are installed and the node restarts.
    pub patch: PatchSettings,
    /// ZFS snapshots before packages are installed.
    pub snapshots: SnapshotSettings,
    /// How a Ceph cluster is asked.
    pub ceph: CephSettings,
    /// What corosync does not tell of itself.
    pub corosync: CorosyncSettings,
    /// How Proxmox VE is asked.
    pub proxmox: ProxmoxSettings,
    /// How a Kubernetes cluster is asked.
    pub kubernetes: KubernetesSettings,
    /// Which TrueNAS is asked.
    pub truenas: TrueNasSettings,
    /// Where the fleet's shared state is.
    pub store: StoreSettings,
    /// Services that people use.
    pub service: Vec<ServiceSettings>,
    /// Certificates to be renewed in time.
    pub certificates: CertificateSettings,
    /// Backups and restore drills.
    pub backup: Vec<BackupSettings>,
    /// What stays of datasets' snapshots.
    pub prune: Vec<PruneSettings>,
}

impl Settings {
    /// The defaults, with one of each thing that may be declared any number of times: what keys there are.
    pub fn with_one_of_each() -> Self {
        Self {
            service: vec![ServiceSettings::default()],
            backup: vec![BackupSettings::default()],
            prune: vec![PruneSettings::default()],
            ..Self::default()
        }
    }
}

/// `[ceph]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CephSettings {
    /// Ceph's own configuration, which says where its monitors are.
    pub conf: String,
    /// The name to ask under, without `client.` before it.
    pub client: String,
    /// The file with that name's key. Ceph's own tool reads it, nobody else.
    pub keyring: String,
    /// Between two questions, in seconds.
    pub interval_secs: u64,
}

impl CephSettings {
    /// Where Ceph itself looks for its configuration.
    pub const CONF: &str = "/etc/ceph/ceph.conf";
}

impl Default for CephSettings {
    fn default() -> Self {
        Self {
            conf: Self::CONF.to_owned(),
            client: "hardstand".to_owned(),
            keyring: "/etc/ceph/ceph.client.hardstand.keyring".to_owned(),
            interval_secs: 30,
        }
    }
}

/// `[corosync]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorosyncSettings {
    /// The node of the fleet that the quorum device runs on: while that one is in maintenance, its votes do not count (S2).
    /// Without it the host that corosync is told of, which is that node where it is written by its name.
    pub device_on: Option<String>,
}

/// `[proxmox]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxmoxSettings {
    /// Where its API is served; the host's name or address is what its certificate must be for.
    pub endpoint: String,
    /// `ADDRESS` or `ADDRESS:PORT` to connect to instead of the endpoint's host.
    pub connect_to: Option<String>,
    /// This node's name in its cluster; the host name up to the first dot when absent.
    pub node: Option<String>,
    /// The file with the API token.
    pub token_file: String,
    /// The authorities that its certificate is taken from.
    pub ca_file: String,
    /// Between two questions, in seconds.
    pub interval_secs: u64,
    /// Guests with one of these tags need no backup.
    pub no_backup_tags: Vec<String>,
    /// Whether a guest without a new backup keeps the node up.
    pub backups_required: bool,
}

impl ProxmoxSettings {
    /// Where every host of Proxmox VE serves its API.
    pub const ENDPOINT: &str = "https://127.0.0.1:8006";
    /// The authority of its cluster, which signs for that address too.
    pub const CA_FILE: &str = "/etc/pve/pve-root-ca.pem";
}

impl Default for ProxmoxSettings {
    fn default() -> Self {
        Self {
            endpoint: Self::ENDPOINT.to_owned(),
            connect_to: None,
            node: None,
            token_file: "/etc/hardstand/credentials/pve-token".to_owned(),
            ca_file: Self::CA_FILE.to_owned(),
            interval_secs: 30,
            no_backup_tags: Vec::new(),
            backups_required: false,
        }
    }
}

/// `[kubernetes]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KubernetesSettings {
    /// `https://HOST:PORT` of the API servers, the preferred one first. None, and no kubeconfig: there is no cluster.
    pub endpoints: Vec<String>,
    /// The cluster's nodes that run on this host and go down with it, by their names there.
    pub nodes: Vec<String>,
    /// The file with a service account's token.
    pub token_file: Option<String>,
    /// The authorities that sign for the API servers; the system's when absent.
    pub ca_file: Option<String>,
    /// A kubeconfig, instead of both.
    pub kubeconfig: Option<String>,
    /// Whether Flux must be there.
    pub require_flux: bool,
    /// Between two questions, in seconds.
    pub interval_secs: u64,
}

impl KubernetesSettings {
    /// Whether a cluster is declared.
    pub fn is_declared(&self) -> bool {
        !self.endpoints.is_empty() || self.kubeconfig.is_some()
    }
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            nodes: Vec::new(),
            token_file: None,
            ca_file: None,
            kubeconfig: None,
            require_flux: false,
            interval_secs: 30,
        }
    }
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// Which engine; `none`: this node only reports, to itself.
    pub engine: Engine,
    /// `https://HOST:PORT` of the store's host, or of each etcd member, the preferred one first.
    pub endpoints: Vec<String>,
    /// `ADDRESS:PORT` where the host of the embedded store serves it.
    pub listen: String,
    /// Where the host of the embedded store keeps it.
    pub file: String,
    /// Directory of `ca.crt`, `crl.pem` and this node's certificate and key (`node-NAME.crt`, `node-NAME.key`).
    pub credentials: String,
    /// Nodes that hold a vote in the store (members of the etcd cluster), by name. Quorum is kept among them (S2).
    pub voters: Vec<String>,
}

/// What the store runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// No fleet.
    #[default]
    None,
    /// In this node's agent, served to the others.
    Embedded,
    /// In another node's agent.
    Remote,
    /// An etcd cluster.
    Etcd,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            engine: Engine::None,
            endpoints: Vec::new(),
            listen: "0.0.0.0:9788".to_owned(),
            file: "/var/lib/hardstand/store.redb".to_owned(),
            credentials: "/etc/hardstand/credentials".to_owned(),
            voters: Vec::new(),
        }
    }
}

/// `[node]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeSettings {
    /// Name; the host name when absent.
    pub name: Option<String>,
    /// Role.
    pub role: Role,
    /// Systems that must be there: one that is not is critical and blocks. Others are looked at where they are.
    pub expect: Vec<Expected>,
}

/// A system that is not there by nature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// A Ceph cluster that this node is set up for.
    Ceph,
    /// A corosync cluster.
    Corosync,
    /// iSCSI sessions of this node.
    IscsiInitiator,
    /// An iSCSI target that this node serves.
    IscsiTarget,
    /// A Kubernetes cluster whose API is asked.
    Kubernetes,
    /// A multipath map.
    Multipath,
    /// A host of Proxmox VE.
    Proxmox,
    /// A watchdog that somebody feeds.
    Watchdog,
    /// A TrueNAS: this node, or one that is declared.
    Truenas,
    /// An imported ZFS pool.
    Zfs,
}

impl Expected {
    /// The word used in configuration and output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ceph => "ceph",
            Self::Corosync => "corosync",
            Self::IscsiInitiator => "iscsi-initiator",
            Self::IscsiTarget => "iscsi-target",
            Self::Kubernetes => "kubernetes",
            Self::Multipath => "multipath",
            Self::Proxmox => "proxmox",
            Self::Watchdog => "watchdog",
            Self::Truenas => "truenas",
            Self::Zfs => "zfs",
        }
    }
}

/// `[probe]`, in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeSettings {
    /// Between two passes.
    pub interval_secs: u64,
    /// What one collector may take before it counts as hung.
    pub deadline_secs: u64,
    /// Between two SMART readings of a disk.
    pub smart_interval_secs: u64,
    /// Between two inventories.
    pub inventory_interval_secs: u64,
}

/// `[metrics]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// `ADDRESS:PORT`, or `off`.
    pub listen: String,
}

/// `[cpu]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CpuSettings {
    /// Processor vulnerabilities that are known and accepted, by the kernel's names (`spectre_v2`).
    pub accepted_vulnerabilities: Vec<String>,
}

/// `[units]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnitSettings {
    /// Units that must be active: one that is not is critical and blocks.
    pub required: Vec<String>,
    /// Units whose failure is known and accepted.
    pub ignore: Vec<String>,
}

/// `[nics]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NicSettings {
    /// Interfaces that must have a link: one that has not is critical and blocks.
    pub required: Vec<String>,
    /// Interfaces not looked at.
    pub ignore: Vec<String>,
}

/// `[iscsi_target]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IscsiTargetSettings {
    /// Initiators that must be logged in, by their qualified names. Others are missed once they were.
    pub initiators: Vec<String>,
}

/// `[filesystems]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilesystemSettings {
    /// Mount points not looked at.
    pub ignore: Vec<String>,
}

/// `[drain]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrainSettings {
    /// Units stopped when the node is drained, in this order, and started in the opposite one. Only those that ran
    /// before are started again.
    pub units: Vec<String>,
}

/// `[hooks]`: units of type oneshot, run to their end at a point of the journey. Exit status 0: go on; 75: not yet, try
/// again; anything else: halt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HookSettings {
    /// Before anything is stopped.
    pub pre_drain: Vec<String>,
    /// When everything declared has stopped.
    pub post_drain: Vec<String>,
    /// Before the order to reboot.
    pub pre_reboot: Vec<String>,
    /// After a reboot whose gates held, before services come back.
    pub post_boot: Vec<String>,
    /// When services are back, before the lease is given back.
    pub pre_release: Vec<String>,
    /// What one run of a unit may take, in seconds.
    pub deadline_secs: u64,
    /// How often a unit that says "not yet" is asked in all.
    pub tries: u64,
    /// Between two tries, in seconds.
    pub pause_secs: u64,
}

/// `[patch]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PatchSettings {
    /// Whether a restart of user space alone may stand in for a reboot where the kernel stays (systemd 254 or newer).
    pub soft_reboot: bool,
    /// Whether a new kernel may be started without firmware.
    pub kexec: bool,
    /// Units that are not restarted when what they use was replaced.
    pub keep_running: Vec<String>,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        Self { interval_secs: 10, deadline_secs: 5, smart_interval_secs: 300, inventory_interval_secs: 3600 }
    }
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9787".to_owned() }
    }
}

impl Default for HookSettings {
    fn default() -> Self {
        Self {
            pre_drain: Vec::new(),
            post_drain: Vec::new(),
            pre_reboot: Vec::new(),
            post_boot: Vec::new(),
            pre_release: Vec::new(),
            deadline_secs: 300,
            tries: 10,
            pause_secs: 30,
        }
    }
}
