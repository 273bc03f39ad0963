//! Tests of the load collectors against a captured machine, and of their parsers against broken input.

use super::*;
use crate::host::captured::{Captured, Q35};

fn why(result: Result<impl std::fmt::Debug, HostError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn processors_are_read_in_seconds() {
    let cpu = CpuFiles::default().probe(&Captured::unpack(Q35).host()).unwrap();
    assert_eq!(cpu.times.len(), 2);
    let (number, times) = cpu.times[0];
    assert_eq!((number, times.user, times.system, times.idle), (0, 0.09, 5.04, 12.87));
    assert_eq!(cpu.load, [0.46, 0.11, 0.04]);
    assert_eq!((cpu.interrupts, cpu.procs_running), (7732, 3));
    assert!(cpu.vulnerabilities.contains(&("spec_store_bypass".to_owned(), "Vulnerable".to_owned())));
    assert_eq!(cpu.package_throttles, []);
}

#[test]
fn each_package_counts_its_throttling_once() {
    let tree = Captured::unpack(Q35);
    for cpu in 0..4 {
        let dir = format!("sys/devices/system/cpu/cpu{cpu}");
        let (package, siblings) = if cpu % 2 == 0 { (0, "0,2") } else { (1, "1,3") };
        tree.write(&format!("{dir}/topology/physical_package_id"), format!("{package}\n").as_bytes());
        tree.write(&format!("{dir}/topology/package_cpus_list"), siblings.as_bytes());
        tree.write(&format!("{dir}/thermal_throttle/package_throttle_count"), format!("{}\n", 10 + cpu).as_bytes());
    }
    assert_eq!(CpuFiles::default().probe(&tree.host()).unwrap().package_throttles, [(0, 10), (1, 11)]);
}

#[test]
fn memory_is_read_in_bytes_and_counts_are_left_out() {
    let memory = MemoryFiles::default().probe(&Captured::unpack(Q35).host()).unwrap();
    assert_eq!(memory.field("MemTotal"), Some(975_352 * 1024));
    assert_eq!(memory.field("HugePages_Total"), None);
    assert_eq!((memory.oom_kills, memory.dimm_errors), (0, Vec::new()));
}

#[test]
fn errors_are_counted_per_dimm_and_what_has_no_place_is_not_lost() {
    let tree = Captured::unpack(Q35);
    let edac = "sys/devices/system/edac/mc";
    for (file, text) in [
        ("mc0/ce_noinfo_count", "4"),
        ("mc0/ue_noinfo_count", "0"),
        ("mc0/dimm0/dimm_ce_count", "12"),
        ("mc0/dimm0/dimm_ue_count", "1"),
        ("mc0/dimm0/dimm_label", "CPU_SrcID#0_MC#0_Chan#0_DIMM#0"),
        ("mc1/csrow0/ce_count", "3"),
        ("mc1/csrow0/ue_count", "2"),
        ("mc1/csrow0/ch0_dimm_label", "A1"),
        ("mc2/csrow0/ce_count", "7"),
        ("mc2/csrow0/ue_count", "1"),
        ("mc2/csrow0/ch0_ce_count", "0"),
        ("mc2/csrow0/ch0_dimm_label", "B1"),
        ("mc2/csrow0/ch1_ce_count", "7"),
        ("mc2/csrow0/ch1_dimm_label", "B2"),
        ("power/control", "auto"),
    ] {
        tree.write(&format!("{edac}/{file}"), format!("{text}\n").as_bytes());
    }
    let row = |controller: &str, dimm: &str, label: &str, corrected, uncorrected| {
        (controller.to_owned(), dimm.to_owned(), label.to_owned(), corrected, uncorrected)
    };
    assert_eq!(
        MemoryFiles::default().probe(&tree.host()).unwrap().dimm_errors,
        [
            row("mc0", "dimm0", "CPU_SrcID#0_MC#0_Chan#0_DIMM#0", 12, 1),
            row("mc0", "unplaced", "", 4, 0),
            row("mc1", "csrow0", "A1", 3, 2),
            row("mc2", "csrow0/ch0", "B1", 0, 0),
            row("mc2", "csrow0/ch1", "B2", 7, 0),
            row("mc2", "csrow0", "", 0, 1),
        ]
    );
    tree.write("sys/devices/system/edac/mc/mc0/dimm0/dimm_ue_count", b"many\n");
    let error = why(MemoryFiles::default().probe(&tree.host()));
    let path = "/sys/devices/system/edac/mc/mc0/dimm0/dimm_ue_count";
    assert_eq!(tree.plain(error), format!("parsing {path}: \"many\" is not a number"));
}

#[test]
fn pressure_is_read_and_a_kernel_without_it_has_none() {
    let tree = Captured::unpack(Q35);
    let pressure = PressureFiles::default().probe(&tree.host()).unwrap();
    let cpu = pressure.cpu_some.unwrap();
    assert_eq!((cpu.avg, cpu.total_seconds), ([2.70, 1.35, 0.34], 1.324_38));
    assert!(pressure.io_full.is_some() && pressure.memory_some.is_some());
    tree.remove("proc/pressure");
    assert_eq!(PressureFiles::default().probe(&tree.host()).unwrap(), Pressure::default());
}

#[test]
fn a_missing_file_is_named() {
    let tree = Captured::empty();
    let missing = "No such file or directory (os error 2)";
    assert_eq!(tree.plain(why(CpuFiles::default().probe(&tree.host()))), format!("reading /proc/stat: {missing}"));
    assert_eq!(
        tree.plain(why(MemoryFiles::default().probe(&tree.host()))),
        format!("reading /proc/meminfo: {missing}")
    );
}

#[test]
fn a_broken_stat_says_which_line() {
    assert_eq!(why(parse_stat("")), "parsing /proc/stat: no processor in it");
    assert_eq!(why(parse_stat("cpu0 1 2 3\n")), "parsing /proc/stat: line 1: not 8 tick counts");
    assert_eq!(why(parse_stat("cpu0 1 2 3 4 5 6 7 x\n")), "parsing /proc/stat: line 1: not 8 tick counts");
    assert_eq!(why(parse_stat("cpux 1\n")), "parsing /proc/stat: line 1: no processor `cpux`");
    assert_eq!(why(parse_stat("\nctxt\n")), "parsing /proc/stat: line 2: `ctxt` has no count");
    let short = "cpu0 1 2 3 4 5 6 7 8\nctxt 1\nintr 1 2 3\nprocesses 4\n";
    assert_eq!(why(parse_stat(short)), "parsing /proc/stat: no line `procs_running`");
}

#[test]
fn broken_load_memory_and_pressure_say_what_is_wrong() {
    let load = "parsing /proc/loadavg: \"0.1 nan 0.3\" does not start with three numbers";
    assert_eq!(why(parse_loadavg("0.1 nan 0.3\n")), load);
    assert_eq!(why(parse_meminfo("MemFree: 1 kB\n")), "parsing /proc/meminfo: no line `MemTotal`");
    let line = "parsing /proc/meminfo: line 1: `MemTotal: 1 MB` is not `NAME: NUMBER kB`";
    assert_eq!(why(parse_meminfo("MemTotal: 1 MB\n")), line);
    let large = "parsing /proc/meminfo: line 1: `MemTotal: 18446744073709551615 kB` is not `NAME: NUMBER kB`";
    assert_eq!(why(parse_meminfo("MemTotal: 18446744073709551615 kB\n")), large);
    let missing = "parsing /proc/vmstat: no line `oom_kill` (kernels before 4.13 have none)";
    assert_eq!(why(parse_vmstat("nr_free_pages 3\n")), missing);
    assert_eq!(why(parse_vmstat("oom_kill x\n")), "parsing /proc/vmstat: `oom_kill` has no count");
    assert_eq!(why(parse_pressure("")), "parsing /proc/pressure: no line `some`");
    let cut =
        "parsing /proc/pressure: line 1: `some avg10=0.00 avg60=` is not `some|full avg10=N avg60=N avg300=N total=N`";
    assert_eq!(why(parse_pressure("some avg10=0.00 avg60=")), cut);
}

#[test]
fn broken_pages_are_counted_by_what_became_of_them() {
    let tree = Captured::unpack(Q35);
    let read = || MemoryFiles::default().probe(&tree.host()).map(|memory| memory.bad_pages);
    assert_eq!(read().unwrap(), [], "a kernel that does not count them");
    for (file, text) in [
        ("node0/memory_failure/total", "0\n"),
        ("node1/memory_failure/total", "2\n"),
        ("node1/memory_failure/recovered", "2\n"),
        ("has_cpu", "0-1\n"),
    ] {
        tree.write(&format!("sys/devices/system/node/{file}"), text.as_bytes());
    }
    let row = |node, result: &str, count| (node, result.to_owned(), count);
    assert_eq!(read().unwrap(), [row(0, "total", 0), row(1, "recovered", 2), row(1, "total", 2)]);
    tree.write("sys/devices/system/node/node0/memory_failure/total", b"some\n");
    assert!(why(read()).ends_with("memory_failure/total: \"some\" is not a number"));
}
