//! What goes over the socket: one line of JSON as request, one as reply, both with a version.
//!
//! It must never accept what it does not know: an unknown verb, field or version is refused, with the reason.

use std::time::Duration;

use hardstand_core::observed::{BootEntry, Dimm};
use hardstand_core::plan::{RebootKind, Updates};
use serde::{Deserialize, Serialize};

use super::errand::{Deed, Digest, Errand, Permit, Point, Release};
use super::{ipmi, zpool};

/// The version both sides must speak.
pub(super) const VERSION: u32 = 1;
/// Longest request in bytes. The longest verb of today takes about 60.
pub(super) const REQUEST_LIMIT: usize = 4 << 10;
/// Longest reply in bytes: smartctl's output (at most [`OUTPUT_LIMIT`]), its quotes escaped.
pub(super) const REPLY_LIMIT: usize = 4 * OUTPUT_LIMIT;
/// Most that is taken from smartctl. The largest disk seen printed 18 kB for what we ask.
pub(super) const OUTPUT_LIMIT: usize = 1 << 20;

/// Everything the helper can be asked. What changes the host carries an [`Errand`]; what it stops, starts and runs is
/// named in root's own configuration and in the set that was staged, never by the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Verb {
    /// Ask a disk for its health.
    Smart { disk: DiskName },
    /// Read the EFI boot entries.
    BootEntries {},
    /// Read the memory slots.
    Dimms {},
    /// Read the serial numbers of the machine.
    DmiSerials {},
    /// Ask ZFS for the state of all pools.
    Zpool {},
    /// Read what the kernel's log tells of errors of the hardware.
    KernelLog {},
    /// Ask the board's controller for its sensors, and how full its log is.
    Ipmi {},
    /// Read entries of the controller's log: those after this one, or else the newest.
    IpmiEvents { after: Option<u16> },
    /// Refresh the package lists. Not more often than once a minute.
    Refresh {},
    /// Resolve what would be installed now, and what it means.
    Plan {},
    /// How often a step was tried under this errand's lease.
    Attempts { step: Deed, errand: Errand },
    /// Take up a step again that runs by itself: the permit for what follows it.
    Open { step: Deed, errand: Errand, permit: Permit },
    /// Fetch the exact set, if that is still what would be installed.
    Stage { errand: Errand, set: Digest, kernel: Option<Release> },
    /// Install the staged set.
    Apply { errand: Errand, permit: Permit, set: Digest },
    /// Where the unit that stages or applies is.
    RunState { step: Deed, errand: Errand },
    /// What the package database says of the set.
    PackageState { set: Digest, empty: bool, kernel: Option<Release> },
    /// Stop what is declared, having noted what of it ran.
    Drain { errand: Errand, permit: Option<Permit> },
    /// Start what the drain stopped.
    Restore { errand: Errand },
    /// What the drain noted.
    Drained { errand: Errand },
    /// Start a hook.
    Hook { errand: Errand, point: Point, index: u32, permit: Option<Permit>, again: u32 },
    /// The last lines a hook printed.
    HookLines { point: Point, index: u32 },
    /// Set the next boot entry and restart.
    Reboot { errand: Errand, permit: Permit, kind: RebootKind, kernel: Option<Release> },
}

impl Verb {
    /// How long it may take. A disk may be spinning up for somebody else, and then takes up to 15 s to answer.
    pub(super) fn deadline(&self) -> Duration {
        match self {
            Self::Smart { .. } => Duration::from_secs(20),
            // Record by record, while a machine boots and everybody asks at once.
            Self::KernelLog {} => Duration::from_secs(20),
            Self::BootEntries {} | Self::Dimms {} | Self::DmiSerials {} => Duration::from_secs(5),
            Self::Zpool {} => zpool::DEADLINE,
            Self::Ipmi {} | Self::IpmiEvents { .. } => ipmi::DEADLINE,
            // The lists of three archives over a slow line, retried twice.
            Self::Refresh {} => Duration::from_secs(600),
            // Two runs of the resolver; on an emulated machine one takes 20 s.
            Self::Plan {} | Self::Stage { .. } | Self::Apply { .. } => Duration::from_secs(180),
            Self::Drain { .. } | Self::Restore { .. } | Self::Reboot { .. } => Duration::from_secs(60),
            Self::Hook { .. } | Self::HookLines { .. } | Self::PackageState { .. } => Duration::from_secs(20),
            Self::Attempts { .. } | Self::Open { .. } | Self::RunState { .. } | Self::Drained { .. } => {
                Duration::from_secs(20)
            }
        }
    }

    /// Its name, for the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Smart { .. } => "smart",
            Self::BootEntries {} => "boot_entries",
            Self::Dimms {} => "dimms",
            Self::DmiSerials {} => "dmi_serials",
            Self::Zpool {} => "zpool",
            Self::KernelLog {} => "kernel_log",
            Self::Ipmi {} => "ipmi",
            Self::IpmiEvents { .. } => "ipmi_events",
            Self::Refresh {} => "refresh",
            Self::Plan {} => "plan",
            Self::Attempts { .. } => "attempts",
            Self::Open { .. } => "open",
            Self::Stage { .. } => "stage",
            Self::Apply { .. } => "apply",
            Self::RunState { .. } => "run_state",
            Self::PackageState { .. } => "package_state",
            Self::Drain { .. } => "drain",
            Self::Restore { .. } => "restore",
            Self::Drained { .. } => "drained",
            Self::Hook { .. } => "hook",
            Self::HookLines { .. } => "hook_lines",
            Self::Reboot { .. } => "reboot",
        }
    }

    /// Whether it changes the host: such a one is logged whatever became of it.
    pub(super) fn changes(&self) -> bool {
        matches!(
            self,
            Self::Refresh {}
                | Self::Open { .. }
                | Self::Stage { .. }
                | Self::Apply { .. }
                | Self::Drain { .. }
                | Self::Restore { .. }
                | Self::Hook { .. }
                | Self::Reboot { .. }
        )
    }
}

/// What a verb found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Smart(SmartAnswer),
    BootEntries(Vec<BootEntry>),
    Dimms(Vec<Dimm>),
    DmiSerials(DmiSerials),
    Zpool(ZpoolAnswer),
    KernelLog(KernelLog),
    Ipmi(IpmiAnswer),
    /// Begun, or ended, as asked.
    Begun {},
    Updates(Updates),
    Attempts(u32),
    Run(RunState),
    Packages(PackageProof),
    /// Units: stopped, started, or noted to have run.
    Units(Vec<String>),
    Lines(String),
}

impl Answer {
    /// Its name, for an error.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Smart(_) => "smart",
            Self::BootEntries(_) => "boot_entries",
            Self::Dimms(_) => "dimms",
            Self::DmiSerials(_) => "dmi_serials",
            Self::Zpool(_) => "zpool",
            Self::KernelLog(_) => "kernel_log",
            Self::Ipmi(_) => "ipmi",
            Self::Begun {} => "begun",
            Self::Updates(_) => "updates",
            Self::Attempts(_) => "attempts",
            Self::Run(_) => "run",
            Self::Packages(_) => "packages",
            Self::Units(_) => "units",
            Self::Lines(_) => "lines",
        }
    }
}

/// What dpkg and the boot loader say of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackageProof {
    pub(crate) installed: bool,
    pub(crate) whole: bool,
    pub(crate) boot_entry: bool,
}

/// Where a transient unit is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunState {
    /// There is none of that name in this boot.
    Absent {},
    /// Under way.
    Running {},
    /// Ended with exit status 0.
    Ended {},
    /// Ended otherwise.
    Failed {
        /// How, and the last lines it printed.
        why: String,
    },
}

/// What smartctl said of a disk. It is parsed by the caller, who has no privileges to lose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SmartAnswer {
    /// The kernel has suspended the disk; opening it would wake it, so smartctl was not started.
    Asleep {},
    /// smartctl's output, whatever its exit status.
    Output { json: String },
}

/// What zpool said. It is parsed by the caller, who has no privileges to lose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ZpoolAnswer {
    /// `zpool status`.
    pub(crate) status: String,
    /// Whether that is JSON.
    pub(crate) is_json: bool,
    /// `zpool list`, for scripts.
    pub(crate) list: String,
}

/// What FreeIPMI's tools said. It is parsed by the caller, who has no privileges to lose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IpmiAnswer {
    /// `ipmi-sensors`.
    pub(crate) sensors: String,
    /// `ipmi-sel --info`.
    pub(crate) log: String,
}

/// What the kernel's log holds. It is read by the caller, who has no privileges to lose.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct KernelLog {
    /// The number of the oldest line that is still there.
    pub(crate) first: u64,
    /// The number that the next line will have.
    pub(crate) next: u64,
    /// The lines that tell of hardware, each by its number.
    pub(crate) lines: Vec<(u64, String)>,
}

/// What `/sys/class/dmi/id` shows to root alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct DmiSerials {
    pub(crate) product_serial: Option<String>,
    pub(crate) product_uuid: Option<String>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Done as asked.
    Done(Answer),
    /// Not done: who asked, or what was asked, is not allowed.
    Refused { why: String },
    /// Not done: its permit has grown old on the way.
    Stale { why: String },
    /// Not done: a program the verb needs is not installed.
    Missing { why: String },
    /// Tried, and failed.
    Failed { why: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<T> {
    version: u32,
    verb: T,
}

#[derive(Debug, Serialize, Deserialize)]
struct Reply {
    version: u32,
    outcome: Outcome,
}

/// The kernel name of a whole SCSI, ATA or NVMe disk: `sda`, `sdaa`, `nvme0n1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct DiskName(String);

impl DiskName {
    /// Longest name taken; the kernel's own limit is 32.
    const LONGEST: usize = 31;

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn is_one(name: &str) -> bool {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let scsi = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase());
        let nvme = |rest: &str| rest.split_once('n').is_some_and(|(unit, space)| digits(unit) && digits(space));
        name.len() <= Self::LONGEST
            && (name.strip_prefix("sd").is_some_and(scsi) || name.strip_prefix("nvme").is_some_and(nvme))
    }
}

impl TryFrom<String> for DiskName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        if Self::is_one(&name) {
            Ok(Self(name))
        } else {
            Err(format!("{name:?} is not the name of a disk (sda, nvme0n1)"))
        }
    }
}

impl From<DiskName> for String {
    fn from(name: DiskName) -> Self {
        name.0
    }
}

/// A request as one line.
pub(super) fn write_request(verb: &Verb) -> Vec<u8> {
    line(&Envelope { version: VERSION, verb })
}

/// Reads a request; the error is for whoever asked.
pub(super) fn read_request(line: &[u8]) -> Result<Verb, String> {
    // The version first: what is wrong with the verb of another version is of no use to its sender.
    let envelope: Envelope<serde_json::Value> =
        serde_json::from_slice(line).map_err(|error| format!("the request cannot be read: {error}"))?;
    if envelope.version != VERSION {
        let theirs = envelope.version;
        return Err(format!(
            "version {theirs} was asked, {VERSION} is spoken here; install agent and helper of one release"
        ));
    }
    serde_json::from_value(envelope.verb).map_err(|error| format!("the verb cannot be read: {error}"))
}

/// A reply as one line.
pub(super) fn write_reply(outcome: Outcome) -> Vec<u8> {
    line(&Reply { version: VERSION, outcome })
}

/// Reads a reply; the error is for the agent's log.
pub(super) fn read_reply(line: &[u8]) -> Result<Outcome, String> {
    let reply: Reply = serde_json::from_slice(line).map_err(|error| format!("its reply cannot be read: {error}"))?;
    if reply.version == VERSION {
        Ok(reply.outcome)
    } else {
        Err(format!("it replied in version {}, {VERSION} is spoken here", reply.version))
    }
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("plain structs with string keys always serialise");
    bytes.push(b'\n');
    bytes
}
