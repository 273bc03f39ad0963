//! Processors, memory, pressure, sensors and network interfaces, under node_exporter's names.
//!
//! It must never compute a rate: counters are given as the kernel counts them.

use hardstand_core::Observed;
use hardstand_core::observed::{Cpu, Memory, Nic, OperState, Pressure, PressureLine, Sensor, SensorKind};

use super::page::{Kind, Page};

pub(super) fn write(page: &mut Page, observed: &Observed) {
    let cpu = observed.cpu.shown();
    write_cpu(page, cpu);
    write_vulnerabilities(page, cpu);
    write_memory(page, observed.memory.shown());
    write_bad_pages(page, observed.memory.shown());
    write_pressure(page, observed.pressure.shown());
    write_sensors(page, observed.sensors.shown().map_or(&[], Vec::as_slice));
    write_nics(page, observed.nics.shown().map_or(&[], Vec::as_slice));
}

fn write_cpu(page: &mut Page, cpu: Option<&Cpu>) {
    let mut seconds = page.family("node_cpu_seconds_total", Kind::Counter, "Seconds a processor spent in each mode.");
    for (number, times) in cpu.iter().flat_map(|cpu| &cpu.times) {
        let number = number.to_string();
        let modes = [
            ("idle", times.idle),
            ("iowait", times.iowait),
            ("irq", times.irq),
            ("nice", times.nice),
            ("softirq", times.softirq),
            ("steal", times.steal),
            ("system", times.system),
            ("user", times.user),
        ];
        for (mode, value) in modes {
            seconds.sample(&[("cpu", &number), ("mode", mode)], value);
        }
    }
    let loads =
        [("node_load1", "1m load average."), ("node_load5", "5m load average."), ("node_load15", "15m load average.")];
    for (index, (name, help)) in loads.into_iter().enumerate() {
        page.family(name, Kind::Gauge, help).optional(&[], cpu.map(|cpu| cpu.load[index]));
    }
    let mut throttles = page.family(
        "node_cpu_package_throttles_total",
        Kind::Counter,
        "Times a processor package was throttled for heat.",
    );
    for (package, count) in cpu.iter().flat_map(|cpu| &cpu.package_throttles) {
        throttles.sample(&[("package", &package.to_string())], *count as f64);
    }
    type Pick = fn(&Cpu) -> u64;
    let rows: [(&str, Kind, &str, Pick); 5] = [
        ("node_context_switches_total", Kind::Counter, "Context switches.", |cpu| cpu.context_switches),
        ("node_intr_total", Kind::Counter, "Interrupts serviced.", |cpu| cpu.interrupts),
        ("node_forks_total", Kind::Counter, "Processes created.", |cpu| cpu.forks),
        ("node_procs_running", Kind::Gauge, "Processes that can run.", |cpu| cpu.procs_running),
        ("node_procs_blocked", Kind::Gauge, "Processes waiting for I/O.", |cpu| cpu.procs_blocked),
    ];
    for (name, kind, help, pick) in rows {
        page.family(name, kind, help).optional(&[], cpu.map(|cpu| pick(cpu) as f64));
    }
}

/// The kernel's words for a vulnerability begin with one of three; anything else is unknown.
fn write_vulnerabilities(page: &mut Page, cpu: Option<&Cpu>) {
    const STATES: [&str; 4] = ["not_affected", "mitigated", "vulnerable", "unknown"];
    let mut family =
        page.family("hardstand_cpu_vulnerability", Kind::Gauge, "State of each known processor vulnerability.");
    for (name, words) in cpu.iter().flat_map(|cpu| &cpu.vulnerabilities) {
        let present = match words {
            words if words.starts_with("Not affected") => "not_affected",
            words if words.starts_with("Mitigation") => "mitigated",
            words if words.starts_with("Vulnerable") || words.contains("VMX: vulnerable") => "vulnerable",
            _ => "unknown",
        };
        family.states(&[("name", name)], "state", &STATES, present);
    }
}

fn write_memory(page: &mut Page, memory: Option<&Memory>) {
    for (field, value) in memory.iter().flat_map(|memory| &memory.fields) {
        if let Some(name) = memory_name(field) {
            page.family(name, Kind::Gauge, "A line of /proc/meminfo.").sample(&[], *value as f64);
        }
    }
    page.family("node_vmstat_oom_kill", Kind::Unknown, "Processes ended by the kernel for want of memory.")
        .optional(&[], memory.map(|memory| memory.oom_kills as f64));
    let mut family = page.family(
        "hardstand_edac_dimm_errors_total",
        Kind::Counter,
        "Memory errors by DIMM: corrected and uncorrected.",
    );
    for (controller, dimm, label, corrected, uncorrected) in memory.iter().flat_map(|memory| &memory.dimm_errors) {
        for (kind, count) in [("ce", corrected), ("ue", uncorrected)] {
            let labels = [("controller", &**controller), ("dimm", dimm), ("label", label), ("type", kind)];
            family.sample(&labels, *count as f64);
        }
    }
}

/// By memory node and by what became of them; the kernel's own sum is left out, it would count them twice.
fn write_bad_pages(page: &mut Page, memory: Option<&Memory>) {
    let mut pages = page.family("hardstand_memory_failure_pages", Kind::Gauge, "Broken pages of memory since boot.");
    let rows = memory.iter().flat_map(|memory| &memory.bad_pages).filter(|(_, result, _)| result != "total");
    for (node, result, count) in rows {
        pages.sample(&[("node", &node.to_string()), ("result", result)], *count as f64);
    }
}

/// node_exporter's name of a field that is worth its line. The others are in `/v1/observed`.
fn memory_name(field: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 29] = [
        ("MemTotal", "node_memory_MemTotal_bytes"),
        ("MemFree", "node_memory_MemFree_bytes"),
        ("MemAvailable", "node_memory_MemAvailable_bytes"),
        ("Buffers", "node_memory_Buffers_bytes"),
        ("Cached", "node_memory_Cached_bytes"),
        ("SwapCached", "node_memory_SwapCached_bytes"),
        ("Active", "node_memory_Active_bytes"),
        ("Inactive", "node_memory_Inactive_bytes"),
        ("Active(anon)", "node_memory_Active_anon_bytes"),
        ("Inactive(anon)", "node_memory_Inactive_anon_bytes"),
        ("Active(file)", "node_memory_Active_file_bytes"),
        ("Inactive(file)", "node_memory_Inactive_file_bytes"),
        ("SwapTotal", "node_memory_SwapTotal_bytes"),
        ("SwapFree", "node_memory_SwapFree_bytes"),
        ("Dirty", "node_memory_Dirty_bytes"),
        ("Writeback", "node_memory_Writeback_bytes"),
        ("AnonPages", "node_memory_AnonPages_bytes"),
        ("Mapped", "node_memory_Mapped_bytes"),
        ("Shmem", "node_memory_Shmem_bytes"),
        ("Slab", "node_memory_Slab_bytes"),
        ("SReclaimable", "node_memory_SReclaimable_bytes"),
        ("SUnreclaim", "node_memory_SUnreclaim_bytes"),
        ("KernelStack", "node_memory_KernelStack_bytes"),
        ("PageTables", "node_memory_PageTables_bytes"),
        ("CommitLimit", "node_memory_CommitLimit_bytes"),
        ("Committed_AS", "node_memory_Committed_AS_bytes"),
        ("HugePages_Total", "node_memory_HugePages_Total"),
        ("HugePages_Free", "node_memory_HugePages_Free"),
        ("HardwareCorrupted", "node_memory_HardwareCorrupted_bytes"),
    ];
    NAMES.iter().find(|(kernel, _)| *kernel == field).map(|(_, name)| *name)
}

fn write_pressure(page: &mut Page, pressure: Option<&Pressure>) {
    type Pick = fn(&Pressure) -> Option<PressureLine>;
    let rows: [(&str, &str, Pick); 5] = [
        ("node_pressure_cpu_waiting_seconds_total", "Seconds some task waited for a processor.", |p| p.cpu_some),
        ("node_pressure_io_waiting_seconds_total", "Seconds some task waited for I/O.", |p| p.io_some),
        ("node_pressure_io_stalled_seconds_total", "Seconds every task waited for I/O.", |p| p.io_full),
        ("node_pressure_memory_waiting_seconds_total", "Seconds some task waited for memory.", |p| p.memory_some),
        ("node_pressure_memory_stalled_seconds_total", "Seconds every task waited for memory.", |p| p.memory_full),
    ];
    for (name, help, pick) in rows {
        page.family(name, Kind::Counter, help).optional(&[], pressure.and_then(pick).map(|line| line.total_seconds));
    }
}

fn write_sensors(page: &mut Page, sensors: &[Sensor]) {
    type Pick = fn(&Sensor) -> Option<f64>;
    let rows: [(&str, SensorKind, &str, Pick); 5] = [
        ("node_hwmon_temp_celsius", SensorKind::Temperature, "Temperature.", |sensor| Some(sensor.value)),
        ("node_hwmon_temp_max_celsius", SensorKind::Temperature, "Where the chip says it gets warm.", |sensor| {
            sensor.max
        }),
        ("node_hwmon_temp_crit_celsius", SensorKind::Temperature, "Where the chip says it gets dangerous.", |sensor| {
            sensor.critical
        }),
        ("node_hwmon_fan_rpm", SensorKind::Fan, "Revolutions per minute.", |sensor| Some(sensor.value)),
        ("node_hwmon_in_volts", SensorKind::Voltage, "Voltage.", |sensor| Some(sensor.value)),
    ];
    for (name, kind, help, pick) in rows {
        let mut family = page.family(name, Kind::Gauge, help);
        for sensor in sensors.iter().filter(|sensor| sensor.kind == kind) {
            family.optional(&[("chip", &sensor.chip), ("sensor", &sensor.sensor)], pick(sensor));
        }
    }
    let mut labels = page.family("node_hwmon_sensor_label", Kind::Gauge, "The chip's label of a sensor.");
    for sensor in sensors {
        if let Some(label) = &sensor.label {
            labels.sample(&[("chip", &sensor.chip), ("label", label), ("sensor", &sensor.sensor)], 1.0);
        }
    }
    let mut alarms = page.family("hardstand_hwmon_alarm", Kind::Gauge, "The chip's own alarm.");
    for sensor in sensors {
        alarms.flag(&[("chip", &sensor.chip), ("sensor", &sensor.sensor)], sensor.alarm);
    }
}

fn write_nics(page: &mut Page, nics: &[Nic]) {
    type Pick = fn(&Nic) -> Option<f64>;
    let rows: [(&str, Kind, &str, Pick); 14] = [
        ("node_network_up", Kind::Gauge, "1 when operstate is up.", |nic| flag(nic.oper_state == OperState::Up)),
        ("node_network_carrier", Kind::Gauge, "1 when a carrier is seen.", |nic| flag(nic.carrier?)),
        ("node_network_carrier_changes_total", Kind::Counter, "Times the carrier changed.", |nic| {
            Some(nic.carrier_changes as f64)
        }),
        ("node_network_speed_bytes", Kind::Gauge, "Speed in bytes per second.", |nic| {
            nic.speed_bytes_per_second.map(|speed| speed as f64)
        }),
        ("node_network_mtu_bytes", Kind::Gauge, "Largest packet.", |nic| Some(nic.mtu_bytes as f64)),
        ("node_network_receive_bytes_total", Kind::Counter, "Bytes received.", |nic| Some(nic.receive[0] as f64)),
        ("node_network_receive_packets_total", Kind::Counter, "Packets received.", |nic| Some(nic.receive[1] as f64)),
        ("node_network_receive_errs_total", Kind::Counter, "Packets received with errors.", |nic| {
            Some(nic.receive[2] as f64)
        }),
        ("node_network_receive_drop_total", Kind::Counter, "Packets dropped on receipt.", |nic| {
            Some(nic.receive[3] as f64)
        }),
        ("node_network_transmit_bytes_total", Kind::Counter, "Bytes sent.", |nic| Some(nic.transmit[0] as f64)),
        ("node_network_transmit_packets_total", Kind::Counter, "Packets sent.", |nic| Some(nic.transmit[1] as f64)),
        ("node_network_transmit_errs_total", Kind::Counter, "Packets sent with errors.", |nic| {
            Some(nic.transmit[2] as f64)
        }),
        ("node_network_transmit_drop_total", Kind::Counter, "Packets dropped on sending.", |nic| {
            Some(nic.transmit[3] as f64)
        }),
        ("hardstand_network_admin_up", Kind::Gauge, "1 when an administrator set the interface up.", |nic| {
            flag(nic.admin_up)
        }),
    ];
    for (name, kind, help, pick) in rows {
        let mut family = page.family(name, kind, help);
        for nic in nics {
            family.optional(&[("device", &nic.name)], pick(nic));
        }
    }
    for (name, help, member) in
        [("node_bonding_active", "Members of a bond that are up.", 0), ("node_bonding_slaves", "Members of a bond.", 1)]
    {
        let mut family = page.family(name, Kind::Gauge, help);
        for nic in nics {
            let of = nic.bond_active_of.map(|(active, all)| if member == 0 { active } else { all });
            family.optional(&[("master", &nic.name)], of.map(|count| count as f64));
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape the tables above want")]
fn flag(yes: bool) -> Option<f64> {
    Some(f64::from(u8::from(yes)))
}
