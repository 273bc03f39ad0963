//! Processors from `/proc/cpuinfo`.
//!
//! It must never count: what runs now is in `load`, this is what is built in.

use std::collections::BTreeSet;

use hardstand_core::observed::CpuInfo;
use sysinfo::{CpuRefreshKind, RefreshKind, System};

use crate::host::{Host, HostError};

/// Reads the processors. Where the kernel does not name them (ARM), `sysinfo` does, which knows the makers' numbers.
pub(crate) fn cpu_info(host: &Host) -> Result<CpuInfo, HostError> {
    let mut info = parse_cpuinfo(&host.read("proc/cpuinfo")?)?;
    let this_machine = host.path("") == std::path::Path::new("/");
    if this_machine && (info.model.is_empty() || info.cores == 0) {
        let refresh = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
        if let Ok(system) = System::new_with_specifics(refresh)
            && let Some(cpu) = system.cpus().first()
        {
            info.model = cpu.brand().trim().to_owned();
            info.vendor = cpu.vendor_id().trim().to_owned();
        }
        info.cores = System::physical_core_count().ok().and_then(|cores| u32::try_from(cores).ok()).unwrap_or(0);
    }
    info.cores = if info.cores == 0 { info.threads } else { info.cores };
    info.sockets = info.sockets.max(1);
    Ok(info)
}

/// Parses `/proc/cpuinfo`. Sockets and cores are 0 and the names empty where it does not tell.
pub(crate) fn parse_cpuinfo(text: &str) -> Result<CpuInfo, HostError> {
    let mut info = CpuInfo::default();
    let (mut sockets, mut cores, mut microcode) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for block in text.split("\n\n") {
        let mut package = None;
        for (key, value) in block.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match key.trim() {
                "processor" if value.parse::<u32>().is_ok() => info.threads += 1,
                "model name" if info.model.is_empty() => value.clone_into(&mut info.model),
                "vendor_id" if info.vendor.is_empty() => value.clone_into(&mut info.vendor),
                "microcode" => drop(microcode.insert(value.to_owned())),
                "physical id" => {
                    package = Some(value);
                    sockets.insert(value);
                }
                "core id" => drop(cores.insert((package, value))),
                _ => {}
            }
        }
    }
    if info.threads == 0 {
        let why = "no line `processor`".to_owned();
        return Err(HostError::Parse { what: "/proc/cpuinfo".to_owned(), why });
    }
    info.sockets = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
    info.cores = u32::try_from(cores.len()).unwrap_or(u32::MAX);
    info.microcode = microcode.into_iter().collect();
    Ok(info)
}
