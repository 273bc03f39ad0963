//! Tables over whole passes: one thing made wrong at a time, and what is said of it.

use std::collections::BTreeMap;

use super::{Gate, Health, Severity, judge};
use crate::observed::{
    Clock, Cpu, CpuTimes, Disk, DiskId, Filesystem, HalfConfigured, HardwareErrors, Kernel, Memory, Moment, Nic,
    NvmeSmart, Observed, OperState, Packages, PendingPackage, PowerState, Pressure, RebootReason, Role, Smart,
    SmartDetail, Space, Transport, Unit, Units,
};
use crate::{History, Reading, Sample, Settings};

const GIB: u64 = 1 << 30;

fn disk(name: &str, serial: &str) -> Disk {
    Disk {
        id: DiskId { wwn: None, serial: Some(serial.to_owned()), name: name.to_owned() },
        model: Some("EMULATED".to_owned()),
        vendor: None,
        firmware: None,
        size_bytes: 8 * GIB,
        transport: Transport::Nvme,
        rotational: false,
        removable: false,
        read_only: false,
        device_state: Some("live".to_owned()),
        io_errors: None,
        io: [0; 5],
    }
}

fn nvme(media_errors: u64) -> Smart {
    Smart {
        power: PowerState::Active,
        detail: Reading::Known(SmartDetail {
            passed: Some(true),
            temperature_celsius: Some(40.0),
            power_on_hours: Some(1),
            error_log_count: None,
            ata: None,
            nvme: Some(NvmeSmart {
                available_spare_percent: 100,
                available_spare_threshold_percent: 10,
                media_errors,
                ..NvmeSmart::default()
            }),
            scsi: None,
        }),
    }
}

fn unit(name: &str, active: &str) -> Unit {
    Unit {
        name: name.to_owned(),
        description: "a unit".to_owned(),
        load: "loaded".to_owned(),
        active: active.to_owned(),
        sub: active.to_owned(),
    }
}

/// A node on which nothing is wrong, `seconds` after it was first seen.
pub(super) fn well(seconds: f64) -> Observed {
    let at = Moment { boottime_seconds: 1_000.0 + seconds, unix_seconds: 1_700_000_000 + seconds as u64 };
    let mut seen = Observed::nothing(at, "node", Role::Debian, "not read");
    let idle = CpuTimes { user: 10.0, idle: 990.0 + seconds, ..CpuTimes::default() };
    seen.cpu = Sample::fresh(Cpu { times: vec![(0, idle)], load: [0.1; 3], ..Cpu::default() }, 0.0);
    let fields = vec![("MemTotal".to_owned(), 8 * GIB), ("MemAvailable".to_owned(), 6 * GIB)];
    seen.memory = Sample::fresh(Memory { fields, ..Memory::default() }, 0.0);
    seen.pressure = Sample::fresh(Pressure::default(), 0.0);
    seen.sensors = Sample::fresh(Vec::new(), 0.0);
    seen.pci = Sample::fresh(Vec::new(), 0.0);
    seen.ipmi = Sample::fresh(None, 0.0);
    seen.watchdogs = Sample::fresh(Vec::new(), 0.0);
    seen.hardware_errors = Sample::fresh(HardwareErrors::default(), 0.0);
    let space = Space {
        size_bytes: 100 * GIB,
        free_bytes: 60 * GIB,
        available_bytes: 50 * GIB,
        inodes: 1_000,
        inodes_free: 900,
    };
    let root = Filesystem {
        mount_point: "/".to_owned(),
        device: "/dev/vda2".to_owned(),
        kind: "ext4".to_owned(),
        read_only: false,
        read_only_by_design: false,
        errors: Some(0),
        space: Reading::Known(space),
        stuck: false,
    };
    seen.filesystems = Sample::fresh(vec![root], 0.0);
    let nic = Nic {
        name: "eno1".to_owned(),
        mac: "52:54:00:00:00:01".to_owned(),
        physical: true,
        kind: None,
        admin_up: true,
        oper_state: OperState::Up,
        carrier: Some(true),
        carrier_changes: 1,
        speed_bytes_per_second: Some(125_000_000),
        mtu_bytes: 1_500,
        master: None,
        bond_active_of: None,
        receive: [0, 1_000, 0, 0],
        transmit: [0, 1_000, 0, 0],
    };
    seen.nics = Sample::fresh(vec![nic], 0.0);
    seen.zfs = Sample::fresh(None, 0.0);
    seen.zpool = Sample::fresh(None, 0.0);
    seen.iscsi_target = Sample::fresh(None, 0.0);
    seen.multipath = Sample::fresh(None, 0.0);
    seen.corosync = Sample::fresh(None, 0.0);
    seen.md = Sample::fresh(Vec::new(), 0.0);
    seen.services = Sample::fresh(Vec::new(), 0.0);
    seen.certificates = Sample::fresh(Vec::new(), 0.0);
    seen.backups = Sample::fresh(Vec::new(), 0.0);
    seen.ceph = Sample::fresh(None, 0.0);
    seen.proxmox = Sample::fresh(None, 0.0);
    seen.kubernetes = Sample::fresh(None, 0.0);
    seen.truenas = Sample::fresh(None, 0.0);
    seen.iscsi = Sample::fresh(None, 0.0);
    seen.disks = Sample::fresh(vec![disk("nvme0n1", "S1")], 0.0);
    seen.smart = Sample::fresh(BTreeMap::from([("S1".to_owned(), nvme(3))]), 0.0);
    let clock = Clock {
        synchronised: true,
        offset_seconds: 0.001,
        max_error_seconds: 0.02,
        estimated_error_seconds: 0.001,
        frequency_ratio: 1.0,
        source: Some("chrony.service".to_owned()),
    };
    seen.clock = Sample::fresh(clock, 0.0);
    let units = Units {
        system_state: "running".to_owned(),
        version: "257".to_owned(),
        failed: Vec::new(),
        declared: vec![unit("web.service", "active")],
    };
    seen.units = Sample::fresh(units, 0.0);
    let kernel = Kernel {
        boot_id: "b".to_owned(),
        release: "6.12.1".to_owned(),
        version: "#1".to_owned(),
        command_line: String::new(),
        booted_unix_seconds: 1,
        installed: Reading::Known(Vec::new()),
        reboot: Reading::Known(Vec::new()),
    };
    seen.kernel = Sample::fresh(kernel, 0.0);
    let packages = Packages {
        installed: 200,
        half_configured: Vec::new(),
        held: Vec::new(),
        pending: Reading::Known(Vec::new()),
        lists_refreshed_unix_seconds: Reading::Known(1_700_000_000),
        dpkg_interrupted: false,
    };
    seen.packages = Sample::fresh(packages, 0.0);
    // The inventory is judged in nothing but its microcode; a test of its own leaves it out.
    seen.inventory = Sample::fresh(inventory(&["0x1"]), 0.0);
    seen
}

fn inventory(microcode: &[&str]) -> crate::observed::Inventory {
    crate::observed::Inventory {
        machine_id: None,
        operating_system: "Debian".to_owned(),
        cpu: crate::observed::CpuInfo {
            microcode: microcode.iter().map(|&text| text.to_owned()).collect(),
            ..Default::default()
        },
        memory_bytes: 8 * GIB,
        dimms: Reading::Known(Vec::new()),
        dmi: Default::default(),
        firmware: crate::observed::FirmwareType::Uefi,
        secure_boot: Reading::Known(false),
        boot_entries: Reading::Known(Vec::new()),
        tpm: None,
        virtualisation: None,
        nics: Vec::new(),
        disks: Vec::new(),
    }
}

pub(super) fn value<T>(sample: &mut Sample<T>) -> &mut T {
    match &mut sample.reading {
        Reading::Known(value) => value,
        Reading::Unknown { why } => panic!("the well node lacks a value: {why}"),
    }
}

/// What is said that is not ok, as `check subject severity gate`.
fn said(health: &Health) -> Vec<String> {
    health
        .findings
        .iter()
        .filter(|finding| finding.severity != Severity::Ok)
        .map(|finding| format!("{} {} {} {:?}", finding.check, finding.subject, finding.severity.word(), finding.gate))
        .collect()
}

/// One pass on a well node, then one after `seconds` with something changed.
fn after(seconds: f64, settings: &Settings, change: impl FnOnce(&mut Observed)) -> (Health, History) {
    let mut history = History::default();
    judge(&well(0.0), settings, &mut history);
    let mut seen = well(seconds);
    change(&mut seen);
    (judge(&seen, settings, &mut history), history)
}

#[test]
fn a_well_node_is_ok_and_says_what_it_looked_at() {
    let health = judge(&well(0.0), &Settings::default(), &mut History::default());
    assert_eq!(said(&health), [""; 0]);
    assert_eq!(health.verdict, Severity::Ok);
    assert!(health.findings.len() >= 20, "{} findings", health.findings.len());
    assert!(health.findings.iter().all(|finding| finding.gate == Gate::None && !finding.evidence.is_empty()));
}

#[test]
fn nothing_seen_is_unknown_and_never_ok() {
    let seen = Observed::nothing(Moment::default(), "node", Role::Debian, "the pass has not run");
    let health = judge(&seen, &Settings::default(), &mut History::default());
    assert_eq!(health.verdict, Severity::Unknown);
    assert_eq!(health.findings.len(), health.collectors.len(), "one finding for each collector");
    assert!(health.findings.iter().all(|finding| finding.gate == Gate::Blocks));
}

type Change = fn(&mut Observed);

#[test]
fn each_thing_that_goes_wrong_is_said_once_with_its_severity_and_gate() {
    let table: &[(&str, Change)] = &[
        ("cpu.load cpu warn Warns", |seen| value(&mut seen.cpu).load = [9.0; 3]),
        ("cpu.vulnerability cpu warn None", |seen| {
            value(&mut seen.cpu).vulnerabilities = vec![("mds".to_owned(), "Vulnerable; SMT off".to_owned())];
        }),
        ("cpu.microcode cpu warn Warns", |seen| seen.inventory = Sample::fresh(inventory(&["0x1", "0x2"]), 0.0)),
        ("memory.oom memory warn Warns", |seen| value(&mut seen.memory).oom_kills = 1),
        ("memory.available memory unknown Warns", |seen| value(&mut seen.memory).fields.clear()),
        ("memory.ecc A1 crit Blocks", |seen| {
            value(&mut seen.memory).dimm_errors = vec![("mc0".to_owned(), "dimm0".to_owned(), "A1".to_owned(), 0, 1)];
        }),
        ("filesystem.space / crit Blocks", |seen| space(seen).available_bytes = 2 * GIB),
        ("filesystem.space / warn Blocks", |seen| space(seen).available_bytes = 4 * GIB),
        ("filesystem.inodes / crit Blocks", |seen| space(seen).inodes_free = 1),
        ("filesystem.readonly / crit Blocks", |seen| value(&mut seen.filesystems)[0].read_only = true),
        ("filesystem.errors / crit Blocks", |seen| value(&mut seen.filesystems)[0].errors = Some(1)),
        ("nic.link eno1 warn Warns", |seen| value(&mut seen.nics)[0].carrier = Some(false)),
        ("nic.speed eno1 warn Warns", |seen| value(&mut seen.nics)[0].speed_bytes_per_second = Some(12_500_000)),
        ("nic.errors eno1 warn Warns", |seen| {
            value(&mut seen.nics)[0].receive = [0, 2_000, 100, 0];
        }),
        ("disk.present nvme0n1 S1 crit Blocks", |seen| value(&mut seen.disks).clear()),
        ("disk.state nvme0n1 S1 crit Blocks", |seen| {
            value(&mut seen.disks)[0].device_state = Some("dead".to_owned());
        }),
        ("disk.smart nvme0n1 S1 warn Warns", |seen| {
            value(&mut seen.smart).insert("S1".to_owned(), nvme(4));
        }),
        ("disk.smart nvme0n1 S1 unknown Warns", |seen| {
            let silent = Smart { power: PowerState::Active, detail: Reading::unknown("no helper") };
            value(&mut seen.smart).insert("S1".to_owned(), silent);
        }),
        ("disk.temperature nvme0n1 S1 crit Blocks", |seen| detail(seen).temperature_celsius = Some(80.0)),
        ("disk.smart nvme0n1 S1 crit Blocks", |seen| detail(seen).passed = Some(false)),
        ("clock.sync clock warn Blocks", |seen| value(&mut seen.clock).synchronised = false),
        ("clock.sync clock warn Warns", |seen| value(&mut seen.clock).source = None),
        ("clock.sync clock crit Blocks", |seen| {
            value(&mut seen.clock).synchronised = false;
            value(&mut seen.clock).max_error_seconds = 16.0;
        }),
        ("systemd.failed_unit a.service warn Warns", |seen| {
            value(&mut seen.units).failed = vec![unit("a.service", "failed")];
        }),
        ("systemd.required_unit web.service crit Blocks", |seen| {
            value(&mut seen.units).declared = vec![unit("web.service", "inactive")];
        }),
        ("systemd.state systemd unknown Blocks", |seen| value(&mut seen.units).system_state = "dreaming".to_owned()),
        ("kernel.reboot_needed kernel warn None", |seen| {
            let reason = RebootReason::NewerKernel { running: "1".to_owned(), newest: "2".to_owned() };
            value(&mut seen.kernel).reboot = Reading::Known(vec![reason]);
        }),
        ("kernel.reboot_needed kernel unknown None", |seen| {
            value(&mut seen.kernel).reboot = Reading::unknown("/boot cannot be read");
        }),
        ("packages.half_configured dpkg crit Blocks", |seen| {
            let half = HalfConfigured { name: "x".to_owned(), state: "half-configured".to_owned() };
            value(&mut seen.packages).half_configured = vec![half];
        }),
        ("packages.half_configured dpkg warn Blocks", |seen| value(&mut seen.packages).dpkg_interrupted = true),
        ("packages.held apt info None", |seen| value(&mut seen.packages).held = vec!["x".to_owned()]),
        ("packages.lists_age apt crit None", |seen| {
            value(&mut seen.packages).lists_refreshed_unix_seconds = Reading::Known(1_600_000_000);
        }),
        ("collector smart unknown Blocks", |seen| seen.smart.reading = Reading::unknown("hangs")),
    ];
    for (expected, change) in table {
        let (health, _) = after(60.0, &Settings::default(), change);
        assert_eq!(said(&health), [expected.to_string()]);
        assert_eq!(health.findings[0].severity, health.verdict, "the worst comes first");
        // And it goes away again.
        let (_, mut history) = after(60.0, &Settings::default(), change);
        // Twice, for a counter that falls back counts as a device that was replaced.
        judge(&well(100_000.0), &Settings::default(), &mut history);
        let day_later = judge(&well(200_000.0), &Settings::default(), &mut history);
        assert_eq!(said(&day_later), [""; 0], "after {expected}");
    }
}

fn space(seen: &mut Observed) -> &mut Space {
    match &mut value(&mut seen.filesystems)[0].space {
        Reading::Known(space) => space,
        Reading::Unknown { why } => panic!("{why}"),
    }
}

fn detail(seen: &mut Observed) -> &mut SmartDetail {
    match &mut value(&mut seen.smart).get_mut("S1").expect("the disk is there").detail {
        Reading::Known(detail) => detail,
        Reading::Unknown { why } => panic!("{why}"),
    }
}

#[test]
fn a_stuck_mount_is_crit_and_unmeasured() {
    let (health, _) = after(60.0, &Settings::default(), |seen| {
        let root = &mut value(&mut seen.filesystems)[0];
        root.stuck = true;
        root.space = Reading::unknown("statvfs hangs");
    });
    assert_eq!(said(&health), ["filesystem.stuck / crit Blocks", "filesystem.space / unknown Blocks"]);
}

#[test]
fn a_required_interface_without_link_is_crit() {
    let mut settings = Settings::default();
    settings.nics.required = vec!["eno1".to_owned(), "eno2".to_owned()];
    let (health, _) = after(60.0, &settings, |seen| value(&mut seen.nics)[0].admin_up = false);
    assert_eq!(said(&health), ["nic.link eno2 crit Blocks"], "the carrier is what counts");
    let (health, _) = after(60.0, &settings, |seen| value(&mut seen.nics)[0].carrier = None);
    assert_eq!(said(&health), ["nic.link eno1 crit Blocks", "nic.link eno2 crit Blocks"]);
}

#[test]
fn an_interface_that_never_had_a_link_is_not_in_use() {
    let mut seen = well(0.0);
    value(&mut seen.nics)[0].carrier = Some(false);
    let health = judge(&seen, &Settings::default(), &mut History::default());
    assert_eq!(said(&health), [""; 0]);
}

#[test]
fn a_bond_is_judged_by_its_members_unless_it_is_not_in_use() {
    for (members, admin_up, expected) in [
        ((2, 2), true, vec![]),
        ((1, 2), true, vec!["nic.bond eno1 crit Blocks".to_owned()]),
        ((0, 0), true, vec!["nic.bond eno1 crit Blocks".to_owned()]),
        ((0, 0), false, vec![]),
    ] {
        let (health, _) = after(60.0, &Settings::default(), |seen| {
            value(&mut seen.nics)[0].bond_active_of = Some(members);
            value(&mut seen.nics)[0].admin_up = admin_up;
        });
        assert_eq!(said(&health), expected, "{members:?}");
    }
}

#[test]
fn saturation_counts_only_when_it_lasts() {
    let settings = Settings::default();
    let low = |seen: &mut Observed| value(&mut seen.memory).fields[1].1 = GIB / 4;
    let mut history = History::default();
    for (seconds, expected) in
        [(0.0, vec![]), (600.0, vec![]), (900.0, vec!["memory.available memory warn Warns".to_owned()])]
    {
        let mut seen = well(seconds);
        low(&mut seen);
        assert_eq!(said(&judge(&seen, &settings, &mut history)), expected, "after {seconds} s");
    }
}

#[test]
fn a_busy_processor_is_worth_knowing_after_a_quarter_of_an_hour() {
    let mut history = History::default();
    for minute in 0..=20 {
        let mut seen = well(0.0);
        seen.at.boottime_seconds += f64::from(minute) * 60.0;
        value(&mut seen.cpu).times[0].1.user += f64::from(minute) * 60.0;
        let health = judge(&seen, &Settings::default(), &mut history);
        let expected = if minute < 15 { vec![] } else { vec!["cpu.busy cpu info Warns".to_owned()] };
        assert_eq!(said(&health), expected, "minute {minute}");
    }
}

#[test]
fn a_filesystem_that_fills_is_said_before_it_is_full() {
    let settings = Settings::default();
    let mut history = History::default();
    let mut last = Vec::new();
    for step in 0..=12u32 {
        let mut seen = well(f64::from(step) * 300.0);
        space(&mut seen).available_bytes = (19 - u64::from(step)) * GIB;
        last = said(&judge(&seen, &settings, &mut history));
        if step < 12 {
            assert_eq!(last, [""; 0], "step {step}: an hour has not passed");
        }
    }
    assert_eq!(last, ["filesystem.space / crit Blocks"]);
}

#[test]
fn security_updates_warn_only_when_they_wait_for_too_long() {
    let settings = Settings::default();
    let mut history = History::default();
    let pending = PendingPackage {
        name: "openssl".to_owned(),
        arch: "amd64".to_owned(),
        installed: "1".to_owned(),
        candidate: "2".to_owned(),
        origin: "Debian/stable-security".to_owned(),
        security: true,
        held: false,
    };
    for (day, expected) in [(0.0, "info"), (6.9, "info"), (7.1, "warn")] {
        let mut seen = well(day * 86_400.0);
        value(&mut seen.packages).pending = Reading::Known(vec![pending.clone()]);
        value(&mut seen.packages).lists_refreshed_unix_seconds = Reading::Known(seen.at.unix_seconds);
        let health = judge(&seen, &settings, &mut history);
        let found = health.findings.iter().find(|finding| finding.check == "packages.security").unwrap();
        assert_eq!(found.severity.word(), expected, "day {day}");
    }
}

#[test]
fn a_usb_stick_may_go_and_a_disk_may_be_forgotten() {
    let settings = Settings::default();
    let mut history = History::default();
    let mut seen = well(0.0);
    let mut stick = disk("sdb", "STICK");
    stick.transport = Transport::Usb;
    value(&mut seen.disks).push(stick);
    judge(&seen, &settings, &mut history);
    assert_eq!(said(&judge(&well(10.0), &settings, &mut history)), ["disk.present sdb STICK info None"]);
    assert!(history.forget(crate::Thing::Disk, "STICK"));
    assert!(!history.forget(crate::Thing::Disk, "STICK"));
    assert_eq!(said(&judge(&well(20.0), &settings, &mut history)), [""; 0]);
}

#[test]
fn since_is_when_the_severity_changed_and_not_when_it_was_last_seen() {
    let settings = Settings::default();
    let mut history = History::default();
    for seconds in [0.0, 10.0, 20.0, 30.0] {
        let mut seen = well(seconds);
        value(&mut seen.cpu).load = if seconds >= 10.0 { [9.0; 3] } else { [0.0; 3] };
        let health = judge(&seen, &settings, &mut history);
        let load = health.findings.iter().find(|finding| finding.check == "cpu.load").unwrap();
        let expected = if seconds >= 10.0 { 1_700_000_010 } else { 1_700_000_000 };
        assert_eq!(load.since_unix_seconds, expected);
    }
}

#[test]
fn a_memory_that_was_lost_is_said() {
    let mut history = History::lost("history.json is torn at line 1");
    assert_eq!(said(&judge(&well(0.0), &Settings::default(), &mut history)), ["agent.history agent warn Warns"]);
}

#[test]
fn what_is_acknowledged_is_told_as_known_and_keeps_its_gate() {
    let mut history = History::default();
    let mut seen = well(0.0);
    let pool = |state: &str| crate::observed::ZfsPool { name: "tank".to_owned(), state: Some(state.to_owned()) };
    seen.zfs = Sample::fresh(Some(vec![pool("DEGRADED")]), 0.0);
    judge(&seen, &Settings::default(), &mut history);
    assert!(history.acknowledge("zfs.pool", "tank", "a disk is on its way", 3_600));
    let health = judge(&seen, &Settings::default(), &mut history);
    let found = health.findings.iter().find(|finding| finding.check == "zfs.pool").unwrap();
    assert_eq!((found.severity, found.gate), (Severity::Info, Gate::Blocks));
    assert_eq!(found.summary, "(acknowledged) pool tank DEGRADED");
    let words = "crit that is acknowledged until ";
    assert!(found.evidence.starts_with(words) && found.evidence.contains(" UTC: a disk is on its way; "), "{found:?}");
    assert_eq!(found.acknowledged.as_ref().unwrap().reason, "a disk is on its way");
    history.acknowledge("zfs.pool", "tank", "", 0);
    let health = judge(&seen, &Settings::default(), &mut history);
    let found = health.findings.iter().find(|finding| finding.check == "zfs.pool").unwrap();
    assert_eq!((found.severity, &found.acknowledged), (Severity::Crit, &None));
}
