//! Processors, load, memory, pressure and sensors as the kernel counts them.

use serde::{Deserialize, Serialize};

/// CPU time of one processor since boot, in seconds (`/proc/stat`).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the kernel's own names")]
pub struct CpuTimes {
    pub user: f64,
    pub nice: f64,
    pub system: f64,
    pub idle: f64,
    pub iowait: f64,
    pub irq: f64,
    pub softirq: f64,
    pub steal: f64,
}

impl CpuTimes {
    /// All of it, in seconds.
    pub fn total(&self) -> f64 {
        self.user + self.nice + self.system + self.idle + self.iowait + self.irq + self.softirq + self.steal
    }

    /// What was spent working, in seconds.
    pub fn busy(&self) -> f64 {
        self.total() - self.idle - self.iowait
    }
}

/// Processors and load (`/proc/stat`, `/proc/loadavg`, `/sys/devices/system/cpu`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Cpu {
    /// Per online processor, by its number.
    pub times: Vec<(u32, CpuTimes)>,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Times a package was throttled since boot, by package number; empty where the hardware does not count them.
    pub package_throttles: Vec<(u32, u64)>,
    /// Context switches since boot.
    pub context_switches: u64,
    /// Interrupts since boot.
    pub interrupts: u64,
    /// Processes created since boot.
    pub forks: u64,
    /// Processes that can run now.
    pub procs_running: u64,
    /// Processes waiting for I/O now.
    pub procs_blocked: u64,
    /// `/sys/devices/system/cpu/vulnerabilities`: name and the kernel's words.
    pub vulnerabilities: Vec<(String, String)>,
}

/// Memory (`/proc/meminfo`, `/proc/vmstat`, EDAC). Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Every line of `/proc/meminfo` that is a size, under the kernel's name (`MemTotal`, `HugePages_Total` is a count).
    pub fields: Vec<(String, u64)>,
    /// Processes ended by the kernel for want of memory since boot.
    pub oom_kills: u64,
    /// EDAC counters: controller, DIMM, label, corrected, uncorrected. Empty where there is no EDAC driver.
    pub dimm_errors: Vec<(String, String, String, u64, u64)>,
    /// Broken pages by memory node and by what became of them (`recovered`, `ignored`, `failed`, `delayed`; `total` is
    /// their sum). Empty on kernels before 6.3.
    #[serde(default)]
    pub bad_pages: Vec<(u32, String, u64)>,
}

impl Memory {
    /// One field of `/proc/meminfo` in bytes.
    pub fn field(&self, name: &str) -> Option<u64> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, bytes)| *bytes)
    }
}

/// One line of a pressure file.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct PressureLine {
    /// Share of the last 10 s, 60 s and 300 s, in percent.
    pub avg: [f64; 3],
    /// Seconds since boot.
    pub total_seconds: f64,
}

/// `/proc/pressure`: `some` tasks waited, `full` where all of them did. `None` where the kernel has no such line.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the kernel's own names")]
pub struct Pressure {
    pub cpu_some: Option<PressureLine>,
    pub io_some: Option<PressureLine>,
    pub io_full: Option<PressureLine>,
    pub memory_some: Option<PressureLine>,
    pub memory_full: Option<PressureLine>,
}

/// What a sensor measures, with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SensorKind {
    /// Degrees Celsius.
    Temperature,
    /// Revolutions per minute.
    Fan,
    /// Volts.
    Voltage,
}

/// One sensor of `/sys/class/hwmon`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    /// Chip, as node_exporter names it (device path or `name`).
    pub chip: String,
    /// Sensor, for example `temp1`.
    pub sensor: String,
    /// The chip's label, if it has one.
    pub label: Option<String>,
    /// What it measures.
    pub kind: SensorKind,
    /// The value, in the unit of `kind`.
    pub value: f64,
    /// Where the chip says it gets warm.
    pub max: Option<f64>,
    /// Where the chip says it gets dangerous.
    pub critical: Option<f64>,
    /// The chip's own alarm bit.
    pub alarm: bool,
}
