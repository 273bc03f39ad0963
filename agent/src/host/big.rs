//! For tests: a big host, made by multiplying a recorded machine: 64 processors in two sockets, 36 SAS disks, memory under
//! both layouts of EDAC, 160 PCI devices, four chips of sensors, broken pages, a watchdog, a controller with 120 sensors.
//!
//! It must never be taken for a recording: what it has beyond the recorded machine has the kernel's form and made-up values.

use std::fmt::Write;

use super::captured::{Captured, Q35};
use super::disks::KnownDisks;
use super::hardware_errors;
use super::ipmi::parse_sensors;
use super::load::{CpuFiles, MemoryFiles, PressureFiles};
use super::nics::KnownNics;
use super::pci::KnownPci;
use super::sensors::probe_sensors;
use super::watchdog::probe_watchdogs;
use super::{HostError, kernel_dir, md};

pub(crate) const PROCESSORS: u32 = 64;
pub(crate) const DISKS: usize = 36;
pub(crate) const DIMMS: usize = 24;
pub(crate) const PCI_DEVICES: usize = 160;
/// Those of them that count errors, and those that have a link.
pub(crate) const PCI_COUNTING: usize = 96;
pub(crate) const PCI_LINKED: usize = 64;
pub(crate) const CHIPS: usize = 4;
pub(crate) const SENSORS_PER_CHIP: usize = 12;
pub(crate) const BOARD_SENSORS: usize = 120;

/// The whole tree.
pub(crate) fn big_host() -> Captured {
    let tree = Captured::unpack(Q35);
    processors(&tree);
    disks(&tree);
    memory(&tree);
    sensors(&tree);
    pci(&tree);
    write(&tree, "sys/class/watchdog/watchdog0", &[("identity", "iTCO_wdt"), ("state", "active"), ("timeout", "30")]);
    let array = [
        ("level", "raid6"),
        ("array_state", "clean"),
        ("raid_disks", "12"),
        ("degraded", "0"),
        ("sync_action", "idle"),
    ];
    write(&tree, "sys/block/md0/md", &array);
    tree
}

/// What `ipmi-sensors` says of such a board.
pub(crate) fn board_sensors() -> String {
    let line = |number| match number % 3 {
        0 => format!("{number},Processor {number} Temp,Temperature,Nominal,45.00,C,'OK'\n"),
        1 => format!("{number},Fan {number},Fan,Nominal,4200.00,RPM,'OK'\n"),
        _ => format!("{number},Memory Device {number},Memory,N/A,N/A,N/A,N/A\n"),
    };
    (1..=BOARD_SENSORS).map(line).collect()
}

fn write(tree: &Captured, dir: &str, files: &[(&str, &str)]) {
    for (name, text) in files {
        tree.write(&format!("{dir}/{name}"), format!("{text}\n").as_bytes());
    }
}

fn processors(tree: &Captured) {
    let mut stat = "cpu  16 0 1026 2495 30 0 45 0 0 0\n".to_owned();
    for cpu in 0..PROCESSORS {
        writeln!(stat, "cpu{cpu} 9 0 504 1287 6 0 14 0 0 0").unwrap();
        let (package, siblings) = if cpu < PROCESSORS / 2 { ("0", "0-31") } else { ("1", "32-63") };
        let dir = format!("sys/devices/system/cpu/cpu{cpu}");
        let files = [("topology/physical_package_id", package), ("topology/package_cpus_list", siblings)];
        write(tree, &dir, &files);
        write(tree, &dir, &[("thermal_throttle/package_throttle_count", "0"), ("microcode/version", "0x2b000603")]);
    }
    let interrupts = " 0".repeat(4_000);
    write!(
        stat,
        "intr 7732{interrupts}\nctxt 5189\nbtime 1795400280\nprocesses 172\nprocs_running 3\nprocs_blocked 0\n"
    )
    .unwrap();
    tree.write("proc/stat", stat.as_bytes());
}

/// Copies of the recorded SAS-like disk, each with a name and a number of its own.
fn disks(tree: &Captured) {
    let recorded: Vec<&str> = Q35.lines().filter(|line| line.contains("host6/target6:0:0")).collect();
    for index in 0..DISKS {
        let letter = |number: usize| char::from(b'a' + u8::try_from(number).unwrap());
        let name = if index < 22 { format!("sd{}", letter(4 + index)) } else { format!("sda{}", letter(index - 22)) };
        let of_this = |line: &str| {
            line.replace("6:0:0:0", &format!("6:0:{}:0", index + 1))
                .replace("target6:0:0", &format!("target6:0:{}", index + 1))
                .replace("sdc", &name)
                .replace("deadbeef", &format!("dead{index:04}"))
                .replace("SCSI-0001", &format!("SCSI-B{index:03}"))
                .replace("8:32", &format!("65:{index}"))
        };
        tree.add(&recorded.iter().map(|line| of_this(line)).collect::<Vec<_>>().join("\n"));
    }
}

/// Two controllers that know their DIMMs, one of an old driver, and what became of broken pages.
fn memory(tree: &Captured) {
    let edac = "sys/devices/system/edac/mc";
    for controller in 0..2 {
        let dir = format!("{edac}/mc{controller}");
        write(tree, &dir, &[("ce_noinfo_count", "0"), ("ue_noinfo_count", "0")]);
        for dimm in 0..8 {
            let label = format!("CPU_SrcID#{controller}_MC#0_Chan#{dimm}_DIMM#0");
            let files = [("dimm_label", label.as_str()), ("dimm_ce_count", "0"), ("dimm_ue_count", "0")];
            write(tree, &format!("{dir}/dimm{dimm}"), &files);
        }
    }
    for row in 0..4 {
        let dir = format!("{edac}/mc2/csrow{row}");
        write(tree, &dir, &[("ce_count", "0"), ("ue_count", "0")]);
        for channel in 0..2 {
            let label = format!("ROW{row}_CH{channel}");
            write(tree, &dir, &[(&format!("ch{channel}_ce_count"), "0"), (&format!("ch{channel}_dimm_label"), &label)]);
        }
    }
    for node in 0..2 {
        let dir = format!("sys/devices/system/node/node{node}/memory_failure");
        write(tree, &dir, &[("total", "0"), ("recovered", "0"), ("ignored", "0"), ("failed", "0"), ("delayed", "0")]);
    }
}

fn sensors(tree: &Captured) {
    for chip in 0..CHIPS {
        let dir = format!("sys/class/hwmon/hwmon{}", chip + 1);
        write(tree, &dir, &[("name", &format!("coretemp{chip}"))]);
        for sensor in 1..=SENSORS_PER_CHIP {
            for (suffix, value) in [("input", "45000"), ("max", "85000"), ("crit", "95000"), ("crit_alarm", "0")] {
                write(tree, &dir, &[(&format!("temp{sensor}_{suffix}"), value)]);
            }
            write(tree, &dir, &[(&format!("temp{sensor}_label"), &format!("Core {sensor}"))]);
        }
    }
}

fn pci(tree: &Captured) {
    let kinds = |names: &[&str], total: &str| {
        let lines: String = names.iter().map(|name| format!("{name} 0\n")).collect();
        format!("{lines}{total} 0")
    };
    let correctable = kinds(
        &["RxErr", "BadTLP", "BadDLLP", "Rollover", "Timeout", "NonFatalErr", "CorrIntErr", "HeaderOF"],
        "TOTAL_ERR_COR",
    );
    let names = [
        "Undefined",
        "DLP",
        "SDES",
        "TLP",
        "FCP",
        "CmpltTO",
        "CmpltAbrt",
        "UnxCmplt",
        "RxOF",
        "MalfTLP",
        "ECRC",
        "UnsupReq",
    ];
    let (nonfatal, fatal) = (kinds(&names, "TOTAL_ERR_NONFATAL"), kinds(&names, "TOTAL_ERR_FATAL"));
    for index in 0..PCI_DEVICES {
        let dir = format!("sys/bus/pci/devices/0000:{:02x}:{:02x}.0", 0x40 + index / 32, index % 32);
        write(tree, &dir, &[("vendor", "0x8086"), ("device", "0x0a54"), ("class", "0x010802")]);
        if index < PCI_COUNTING {
            let files =
                [("aer_dev_correctable", &*correctable), ("aer_dev_nonfatal", &nonfatal), ("aer_dev_fatal", &fatal)];
            write(tree, &dir, &files);
        }
        if index < PCI_LINKED {
            let speed = "16.0 GT/s PCIe";
            write(tree, &dir, &[("current_link_width", "4"), ("max_link_width", "4"), ("current_link_speed", speed)]);
            write(tree, &dir, &[("max_link_speed", speed), ("power/runtime_status", "active")]);
        }
    }
}

/// The collectors that read files in each pass, with what they keep.
#[derive(Default)]
pub(crate) struct Pass {
    cpu: CpuFiles,
    memory: MemoryFiles,
    pressure: PressureFiles,
    nics: KnownNics,
    disks: KnownDisks,
}

impl Pass {
    /// How many processors, DIMMs, interfaces, disks, sensors and kinds of broken pages there are.
    pub(crate) fn read(&mut self, tree: &Captured) -> Result<[usize; 6], HostError> {
        let host = &tree.host();
        self.pressure.probe(host)?;
        assert_eq!(probe_watchdogs(host)?.len(), 1);
        assert_eq!(md::probe_arrays(host)?.len(), 1);
        let memory = self.memory.probe(host)?;
        Ok([
            self.cpu.probe(host)?.times.len(),
            memory.dimm_errors.len(),
            self.nics.probe(host)?.len(),
            self.disks.probe(host)?.len(),
            probe_sensors(host)?.len(),
            memory.bad_pages.len(),
        ])
    }
}

/// How many files and directories were opened meanwhile.
fn opened(work: impl FnOnce()) -> u64 {
    let before = kernel_dir::opened();
    work();
    kernel_dir::opened() - before
}

#[test]
fn a_big_host_is_read_whole() {
    let tree = big_host();
    let unplaced_and_rows = 2 + 4;
    let recorded = [Q35.lines().filter(|line| line.starts_with("l sys/block/")).count(), 1];
    let read = Pass::default().read(&tree).unwrap();
    let expected = [64, DIMMS + unplaced_and_rows, 4, 0, CHIPS * SENSORS_PER_CHIP + recorded[1], 10];
    for place in [0, 1, 2, 4, 5] {
        assert_eq!(read[place], expected[place], "{place}: {read:?}");
    }
    assert!(read[3] >= DISKS && read[3] <= DISKS + recorded[0], "{read:?}");
    let devices = KnownPci::default().probe(&tree.host()).unwrap();
    assert_eq!(devices.iter().filter(|device| device.errors.is_some()).count(), PCI_COUNTING);
    assert_eq!(devices.iter().filter(|device| device.link.is_some()).count(), PCI_LINKED);
    let throttles = CpuFiles::default().probe(&tree.host()).unwrap().package_throttles;
    assert_eq!(throttles, [(0, 0), (1, 0)]);
    assert_eq!(parse_sensors(&board_sensors()).unwrap().len(), BOARD_SENSORS);
}

/// What a pass opens costs more than what it computes, and it is done every ten seconds for ever.
#[test]
fn a_pass_over_a_big_host_opens_a_bounded_number_of_files() {
    let tree = big_host();
    let mut pass = Pass::default();
    pass.read(&tree).unwrap();
    let again = opened(|| assert!(pass.read(&tree).is_ok()));
    // Some 240 for sensors, 110 for memory, 350 for disks, and the rest.
    assert!((1..=850).contains(&again), "{again} openings in each pass");
    let mut pci = KnownPci::default();
    let first = opened(|| drop(pci.probe(&tree.host()).unwrap()));
    let later = opened(|| drop(pci.probe(&tree.host()).unwrap()));
    // A directory and three files for each that counts, three more for each that has a link; nothing for the rest.
    let most = u64::try_from(PCI_COUNTING * 4 + PCI_LINKED * 3 + 2).unwrap();
    assert!(later <= most && later < first, "{later} openings once a minute, at most {most}; {first} at first");
}

#[test]
fn thousands_of_lines_of_the_kernels_log_are_read_once() {
    let line = "mce: [Hardware Error]: CPU 40: Machine Check: 0 Bank 7: 8c00004000010090".to_owned();
    let lines: Vec<(u64, String)> = (0..2_000).map(|number| (number, line.clone())).collect();
    assert_eq!(hardware_errors::parse(&lines, |cpu| Some(cpu / 32)).len(), 2_000);
}
