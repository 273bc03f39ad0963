//! Processors, load, memory and pressure from procfs and sysfs.
//!
//! It must never read more than it gives: these files are read on every pass.

use hardstand_core::observed::{Cpu, CpuTimes, Memory, Pressure, PressureLine};
use serde::Serialize;

use super::kernel_dir::{KernelDir, ProcFile, is_gone};
use super::{Host, HostError};

/// Ticks a second in `/proc/stat`. The kernel's `USER_HZ`, 100 on every architecture Debian has.
const TICKS_PER_SECOND: f64 = 100.0;

/// `/proc/stat`: times in seconds since boot, by processor; the rest counts since boot.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Stat {
    pub(crate) times: Vec<(u32, CpuTimes)>,
    pub(crate) context_switches: u64,
    pub(crate) interrupts: u64,
    pub(crate) forks: u64,
    pub(crate) procs_running: u64,
    pub(crate) procs_blocked: u64,
}

/// `/proc/loadavg`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct LoadAverage {
    /// Over 1, 5 and 15 minutes.
    pub(crate) load: [f64; 3],
}

/// What is used of `/proc/vmstat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct VmStat {
    /// Processes ended for want of memory since boot.
    pub(crate) oom_kill: u64,
}

/// One file of `/proc/pressure`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct PressureFile {
    pub(crate) some: Option<PressureLine>,
    pub(crate) full: Option<PressureLine>,
}

/// The files of processors and load, open between passes.
#[derive(Debug)]
pub(crate) struct CpuFiles {
    stat: ProcFile,
    loadavg: ProcFile,
    /// The directory with its names, which are those of the running kernel.
    vulnerabilities: Option<(KernelDir, Vec<String>)>,
}

impl Default for CpuFiles {
    fn default() -> Self {
        let (stat, loadavg) = (ProcFile::new("proc/stat"), ProcFile::new("proc/loadavg"));
        Self { stat, loadavg, vulnerabilities: None }
    }
}

impl CpuFiles {
    /// Reads processors and load.
    ///
    /// # Errors
    /// `/proc/stat` or `/proc/loadavg` cannot be read or is not of its form. What only some hardware has is left empty.
    pub(crate) fn probe(&mut self, host: &Host) -> Result<Cpu, HostError> {
        let stat = parse_stat(self.stat.read(host)?)?;
        let load = parse_loadavg(self.loadavg.read(host)?)?.load;
        Ok(Cpu {
            package_throttles: package_throttles(host, &stat.times)?,
            times: stat.times,
            load,
            context_switches: stat.context_switches,
            interrupts: stat.interrupts,
            forks: stat.forks,
            procs_running: stat.procs_running,
            procs_blocked: stat.procs_blocked,
            vulnerabilities: self.vulnerabilities(host)?,
        })
    }

    fn vulnerabilities(&mut self, host: &Host) -> Result<Vec<(String, String)>, HostError> {
        if self.vulnerabilities.is_none()
            && let Some(dir) = KernelDir::open_if_there(host, "sys/devices/system/cpu/vulnerabilities")?
        {
            let names = dir.names()?;
            self.vulnerabilities = Some((dir.keeping(), names));
        }
        let Some((dir, names)) = &self.vulnerabilities else { return Ok(Vec::new()) };
        Ok(names.iter().filter_map(|name| dir.text(name).map(|words| (name.clone(), words))).collect())
    }
}

/// The files of memory, open between passes.
#[derive(Debug)]
pub(crate) struct MemoryFiles {
    meminfo: ProcFile,
    vmstat: ProcFile,
}

impl Default for MemoryFiles {
    fn default() -> Self {
        Self { meminfo: ProcFile::new("proc/meminfo"), vmstat: ProcFile::new("proc/vmstat") }
    }
}

impl MemoryFiles {
    /// Reads memory, OOM kills and the error counters of each DIMM.
    ///
    /// # Errors
    /// `/proc/meminfo` or `/proc/vmstat` cannot be read or is not of its form; an EDAC counter is not a number.
    pub(crate) fn probe(&mut self, host: &Host) -> Result<Memory, HostError> {
        Ok(Memory {
            fields: parse_meminfo(self.meminfo.read(host)?)?,
            oom_kills: parse_vmstat(self.vmstat.read(host)?)?.oom_kill,
            dimm_errors: dimm_errors(host)?,
            bad_pages: bad_pages(host)?,
        })
    }
}

/// The files of `/proc/pressure`, open between passes.
#[derive(Debug)]
pub(crate) struct PressureFiles {
    cpu: ProcFile,
    io: ProcFile,
    memory: ProcFile,
}

impl Default for PressureFiles {
    fn default() -> Self {
        let [cpu, io, memory] = ["proc/pressure/cpu", "proc/pressure/io", "proc/pressure/memory"].map(ProcFile::new);
        Self { cpu, io, memory }
    }
}

impl PressureFiles {
    /// Reads pressure stall information; all `None` on a kernel that keeps none (`CONFIG_PSI` off or `psi=0`).
    ///
    /// # Errors
    /// A file that is there cannot be read or is not of its form.
    pub(crate) fn probe(&mut self, host: &Host) -> Result<Pressure, HostError> {
        let file = |file: &mut ProcFile| match file.read(host) {
            Ok(text) => parse_pressure(text),
            Err(error) if is_gone(&error) || is_switched_off(&error) => Ok(PressureFile::default()),
            Err(error) => Err(error),
        };
        let (cpu, io, memory) = (file(&mut self.cpu)?, file(&mut self.io)?, file(&mut self.memory)?);
        Ok(Pressure {
            cpu_some: cpu.some,
            io_some: io.some,
            io_full: io.full,
            memory_some: memory.some,
            memory_full: memory.full,
        })
    }
}

/// Parses `/proc/stat`.
pub(crate) fn parse_stat(text: &str) -> Result<Stat, HostError> {
    let bad = |why: String| HostError::Parse { what: "/proc/stat".to_owned(), why };
    let mut stat = Stat::default();
    let mut found = [false; 5];
    for (index, line) in text.lines().enumerate() {
        let mut words = line.split_ascii_whitespace();
        let Some(key) = words.next() else { continue };
        let counts = ["ctxt", "intr", "processes", "procs_running", "procs_blocked"];
        if let Some(place) = counts.iter().position(|name| *name == key) {
            let count = words.next().and_then(|word| word.parse().ok());
            let count = count.ok_or_else(|| bad(format!("line {}: `{key}` has no count", index + 1)))?;
            let slots = [
                &mut stat.context_switches,
                &mut stat.interrupts,
                &mut stat.forks,
                &mut stat.procs_running,
                &mut stat.procs_blocked,
            ];
            *slots[place] = count;
            found[place] = true;
        } else if let Some(number) = key.strip_prefix("cpu").filter(|number| !number.is_empty()) {
            let number = number.parse().map_err(|_error| bad(format!("line {}: no processor `{key}`", index + 1)))?;
            let times = cpu_times(words).ok_or_else(|| bad(format!("line {}: not 8 tick counts", index + 1)))?;
            stat.times.push((number, times));
        }
    }
    if stat.times.is_empty() {
        return Err(bad("no processor in it".to_owned()));
    }
    match ["ctxt", "intr", "processes", "procs_running", "procs_blocked"].iter().zip(found).find(|(_, found)| !found) {
        Some((name, _)) => Err(bad(format!("no line `{name}`"))),
        None => Ok(stat),
    }
}

fn cpu_times<'a>(words: impl Iterator<Item = &'a str>) -> Option<CpuTimes> {
    let mut seconds = [0.0; 8];
    let mut words = words;
    for slot in &mut seconds {
        let ticks: u64 = words.next()?.parse().ok()?;
        *slot = ticks as f64 / TICKS_PER_SECOND;
    }
    let [user, nice, system, idle, iowait, irq, softirq, steal] = seconds;
    Some(CpuTimes { user, nice, system, idle, iowait, irq, softirq, steal })
}

/// Parses `/proc/loadavg`.
pub(crate) fn parse_loadavg(text: &str) -> Result<LoadAverage, HostError> {
    let mut words = text.split_ascii_whitespace();
    let mut load = [0.0; 3];
    for slot in &mut load {
        *slot = words.next().and_then(finite).ok_or_else(|| HostError::Parse {
            what: "/proc/loadavg".to_owned(),
            why: format!(
                "{:?} does not start with three numbers",
                super::kernel_dir::shortened(text.trim().as_bytes())
            ),
        })?;
    }
    Ok(LoadAverage { load })
}

/// Parses `/proc/meminfo` into the lines that are sizes, in bytes, under the kernel's names. Counts
/// (`HugePages_Total`) are left out.
pub(crate) fn parse_meminfo(text: &str) -> Result<Vec<(String, u64)>, HostError> {
    let bad = |why: String| HostError::Parse { what: "/proc/meminfo".to_owned(), why };
    let mut fields = Vec::with_capacity(64);
    for (index, line) in text.lines().enumerate() {
        let not_a_size = || bad(format!("line {}: `{line}` is not `NAME: NUMBER kB`", index + 1));
        let (name, value) = line.split_once(':').ok_or_else(not_a_size)?;
        let mut words = value.split_ascii_whitespace();
        let number: u64 = words.next().and_then(|word| word.parse().ok()).ok_or_else(not_a_size)?;
        match words.next() {
            Some("kB") => fields.push((name.to_owned(), number.checked_mul(1024).ok_or_else(not_a_size)?)),
            Some(_) => return Err(not_a_size()),
            None => {}
        }
    }
    if !fields.iter().any(|(name, _)| name == "MemTotal") {
        return Err(bad("no line `MemTotal`".to_owned()));
    }
    Ok(fields)
}

/// Parses `/proc/vmstat`.
pub(crate) fn parse_vmstat(text: &str) -> Result<VmStat, HostError> {
    let bad = |why: &str| HostError::Parse { what: "/proc/vmstat".to_owned(), why: why.to_owned() };
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .ok_or_else(|| bad("no line `oom_kill` (kernels before 4.13 have none)"))?;
    Ok(VmStat { oom_kill: count.trim().parse().map_err(|_error| bad("`oom_kill` has no count"))? })
}

/// Parses one file of `/proc/pressure`. Lines of a newer kernel are passed over.
pub(crate) fn parse_pressure(text: &str) -> Result<PressureFile, HostError> {
    let mut file = PressureFile::default();
    for (index, line) in text.lines().enumerate() {
        let slot = match line.split_ascii_whitespace().next() {
            Some("some") => &mut file.some,
            Some("full") => &mut file.full,
            _ => continue,
        };
        *slot = Some(pressure_line(line).ok_or_else(|| HostError::Parse {
            what: "/proc/pressure".to_owned(),
            why: format!("line {}: `{line}` is not `some|full avg10=N avg60=N avg300=N total=N`", index + 1),
        })?);
    }
    if file.some.is_none() {
        return Err(HostError::Parse { what: "/proc/pressure".to_owned(), why: "no line `some`".to_owned() });
    }
    Ok(file)
}

fn pressure_line(line: &str) -> Option<PressureLine> {
    let value = |name: &str| {
        line.split_ascii_whitespace().filter_map(|word| word.split_once('=')).find(|(key, _)| *key == name)
    };
    let microseconds: u64 = value("total")?.1.parse().ok()?;
    Some(PressureLine {
        avg: [finite(value("avg10")?.1)?, finite(value("avg60")?.1)?, finite(value("avg300")?.1)?],
        total_seconds: microseconds as f64 / 1e6,
    })
}

fn finite(word: &str) -> Option<f64> {
    word.parse().ok().filter(|number: &f64| number.is_finite())
}

fn is_switched_off(error: &HostError) -> bool {
    matches!(error, HostError::Read { source, .. } if source.raw_os_error() == Some(nix::libc::EOPNOTSUPP))
}

/// One counter per package, taken from its first online processor: the package's interrupt reaches them all, and
/// asking each of 256 processors on every pass would cost more than everything else here.
fn package_throttles(host: &Host, online: &[(u32, CpuTimes)]) -> Result<Vec<(u32, u64)>, HostError> {
    let mut throttles = Vec::new();
    let mut covered: Vec<std::ops::RangeInclusive<u32>> = Vec::new();
    for (number, _) in online {
        if covered.iter().any(|range| range.contains(number)) {
            continue;
        }
        let Some(cpu) = KernelDir::open_if_there(host, format!("sys/devices/system/cpu/cpu{number}"))? else {
            continue;
        };
        let Some(count) = cpu.number("thermal_throttle/package_throttle_count") else { break };
        let package = cpu.required("topology/physical_package_id")?;
        throttles.push((package, count));
        let siblings = cpu.text("topology/package_cpus_list").or_else(|| cpu.text("topology/core_siblings_list"));
        covered.extend(siblings.as_deref().unwrap_or_default().split(',').filter_map(cpu_range));
    }
    Ok(throttles)
}

fn cpu_range(text: &str) -> Option<std::ops::RangeInclusive<u32>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

/// Controller, DIMM, label, corrected, uncorrected, as [`Memory::dimm_errors`] has them.
type DimmErrors = (String, String, String, u64, u64);

/// Per controller: its DIMMs (or, on old drivers, its channels), and what it could not place (`unplaced`).
fn dimm_errors(host: &Host) -> Result<Vec<DimmErrors>, HostError> {
    let mut rows = Vec::new();
    let Some(edac) = KernelDir::open_if_there(host, "sys/devices/system/edac/mc")? else { return Ok(rows) };
    for controller in edac.names()?.into_iter().filter(|name| is_numbered(name, "mc")) {
        let Some(dir) = edac.below(&controller) else { continue };
        let names = dir.names()?;
        let before = rows.len();
        for dimm in names.iter().filter(|name| is_numbered(name, "dimm") || is_numbered(name, "rank")) {
            let Some(counters) = dir.below(dimm) else { continue };
            let (corrected, uncorrected) = (counters.required("dimm_ce_count")?, counters.required("dimm_ue_count")?);
            let label = counters.text("dimm_label").unwrap_or_default();
            rows.push((controller.clone(), dimm.clone(), label, corrected, uncorrected));
        }
        if rows.len() == before {
            for row in names.iter().filter(|name| is_numbered(name, "csrow")) {
                let Some(counters) = dir.below(row) else { continue };
                rows.extend(row_errors(&counters, &controller, row)?);
            }
        }
        if let (Some(corrected), Some(uncorrected)) = (dir.number("ce_noinfo_count"), dir.number("ue_noinfo_count")) {
            rows.push((controller, "unplaced".to_owned(), String::new(), corrected, uncorrected));
        }
    }
    Ok(rows)
}

/// A row of chips on an old driver. Each of its channels is a DIMM, and counts what was corrected; what could not be was
/// on all of them at once, so it is the row's.
fn row_errors(counters: &KernelDir, controller: &str, row: &str) -> Result<Vec<DimmErrors>, HostError> {
    let names = counters.names()?;
    let channels =
        names.iter().filter_map(|name| name.strip_suffix("_ce_count").filter(|name| is_numbered(name, "ch")));
    let mut rows = Vec::new();
    for channel in channels {
        let label = counters.text(&format!("{channel}_dimm_label")).unwrap_or_default();
        let corrected = counters.required(&format!("{channel}_ce_count"))?;
        rows.push((controller.to_owned(), format!("{row}/{channel}"), label, corrected, 0));
    }
    let uncorrected = counters.required("ue_count")?;
    match rows.as_mut_slice() {
        [] => {
            let label = counters.text("ch0_dimm_label").unwrap_or_default();
            rows.push((controller.to_owned(), row.to_owned(), label, counters.required("ce_count")?, uncorrected));
        }
        [only] => only.4 = uncorrected,
        _ => rows.push((controller.to_owned(), row.to_owned(), String::new(), 0, uncorrected)),
    }
    Ok(rows)
}

/// Per memory node, as [`Memory::bad_pages`] has them.
fn bad_pages(host: &Host) -> Result<Vec<(u32, String, u64)>, HostError> {
    let mut rows = Vec::new();
    let Some(nodes) = KernelDir::open_if_there(host, "sys/devices/system/node")? else { return Ok(rows) };
    for name in nodes.names()?.into_iter().filter(|name| is_numbered(name, "node")) {
        let number = name.trim_start_matches("node").parse().ok();
        let (Some(number), Some(dir)) = (number, nodes.below(&format!("{name}/memory_failure"))) else { continue };
        for result in dir.names()? {
            let count = dir.required(&result)?;
            rows.push((number, result, count));
        }
    }
    Ok(rows)
}

fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
