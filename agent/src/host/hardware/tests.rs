//! Tests of the inventory: a captured machine, SMBIOS and EFI bytes, broken input.

use std::path::PathBuf;

use hardstand_core::observed::{BootEntry, CpuInfo, NicInfo, Tpm, Transport};

use super::*;
use crate::helper::captured_client;
use crate::host::captured::{Captured, Q35};

const VARIABLES: &str = "sys/firmware/efi/efivars";
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

fn inventory(tree: &Captured) -> Inventory {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = captured_client(tree.host(), PathBuf::from("/nonexistent"));
    runtime.block_on(probe_inventory(&tree.host(), &client)).unwrap()
}

#[test]
fn a_machine_is_read_whole() {
    let tree = Captured::unpack(Q35);
    tree.write("etc/machine-id", b"0123456789abcdef0123456789abcdef\n");
    tree.write("etc/os-release", b"ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n");
    let seen = inventory(&tree);
    assert_eq!(seen.machine_id.as_deref(), Some("0123456789abcdef0123456789abcdef"));
    assert_eq!(seen.operating_system, "Debian GNU/Linux 13 (trixie)");
    let cpu = CpuInfo {
        model: "QEMU TCG CPU version 2.5+".to_owned(),
        vendor: "AuthenticAMD".to_owned(),
        sockets: 2,
        cores: 2,
        threads: 2,
        microcode: vec!["0x1000065".to_owned()],
    };
    assert_eq!(seen.cpu, cpu);
    assert_eq!(seen.memory_bytes, 975_352 * 1024);
    let dimm = Dimm {
        locator: "DIMM_A 0".to_owned(),
        bank: "BANK0".to_owned(),
        size_bytes: 1 << 30,
        kind: "RAM".to_owned(),
        speed_mts: Some(3200),
        manufacturer: Some("ACME".to_owned()),
        part_number: Some("PART-1".to_owned()),
        serial: Some("DIMM-77".to_owned()),
    };
    assert_eq!(seen.dimms, Reading::Known(vec![dimm]));
    assert_eq!(seen.dmi.product_name.as_deref(), Some("Rack"));
    assert_eq!(seen.dmi.product_serial.as_deref(), Some("SYS-0042"));
    assert_eq!((seen.firmware, seen.secure_boot), (FirmwareType::Uefi, Reading::Known(false)));
    assert_eq!(seen.virtualisation.as_deref(), Some("qemu"));
    assert_eq!((seen.tpm, seen.disks.len()), (None, 6));
    assert_eq!(seen.disks.iter().filter(|disk| disk.transport == Transport::Sata).count(), 2);
}

#[test]
fn cards_are_found_on_their_bus_behind_virtio_too() {
    let cards = inventory(&Captured::unpack(Q35)).nics;
    let card = |name: &str, mac: &str, driver: &str, bus: &str, pci: &str, speed| NicInfo {
        name: name.to_owned(),
        mac: mac.to_owned(),
        driver: Some(driver.to_owned()),
        bus: Some(bus.to_owned()),
        pci_id: Some(pci.to_owned()),
        speed_bytes_per_second: speed,
    };
    let virtio = card("eth0", "52:54:00:00:00:02", "virtio_net", "0000:00:06.0", "1af4:1000", None);
    let e1000e = card("eth1", "52:54:00:00:00:01", "e1000e", "0000:00:05.0", "8086:10d3", Some(125_000_000));
    assert_eq!(cards, [virtio, e1000e]);
}

#[test]
fn boot_entries_come_in_boot_order() {
    let tree = Captured::unpack(Q35);
    let captured = efi::boot_entries(&tree.host()).unwrap();
    let app = BootEntry {
        number: "0000".to_owned(),
        description: "UiApp".to_owned(),
        active: true,
        order: Some(0),
        current: false,
    };
    assert_eq!(captured, [app]);
    let option = |attributes: u8, name: &str| {
        let mut bytes = vec![7, 0, 0, 0, attributes, 0, 0, 0, 4, 0];
        bytes.extend(name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        bytes.extend([0x7f, 0xff, 4, 0]);
        bytes
    };
    tree.write(&format!("{VARIABLES}/Boot00AF-{GLOBAL}"), &option(0, "Größe"));
    tree.write(&format!("{VARIABLES}/Boot0003-{GLOBAL}"), &option(1, "debian"));
    tree.write(&format!("{VARIABLES}/Boot0003-11111111-2222-3333-4444-555555555555"), b"not one of the firmware's");
    tree.write(&format!("{VARIABLES}/BootOrder-{GLOBAL}"), &[7, 0, 0, 0, 3, 0, 0, 0]);
    tree.write(&format!("{VARIABLES}/BootCurrent-{GLOBAL}"), &[6, 0, 0, 0, 3, 0]);
    let entries = efi::boot_entries(&tree.host()).unwrap();
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| (entry.number.as_str(), entry.description.as_str(), entry.active, entry.order, entry.current))
        .collect();
    let expected = [
        ("0003", "debian", true, Some(0), true),
        ("0000", "UiApp", true, Some(1), false),
        ("00AF", "Größe", false, None, false),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn broken_variables_are_named() {
    let why = |name: &str, bytes: &[u8]| {
        let tree = Captured::unpack(Q35);
        tree.write(&format!("{VARIABLES}/{name}-{GLOBAL}"), bytes);
        tree.plain(efi::boot_entries(&tree.host()).unwrap_err())
    };
    assert_eq!(
        why("BootOrder", &[7, 0, 0, 0, 3, 0, 1]),
        "parsing the EFI variable BootOrder: 3 bytes are not a list of 16-bit numbers"
    );
    assert_eq!(
        why("BootCurrent", &[7]),
        format!("parsing the EFI variable BootCurrent-{GLOBAL}: 1 bytes are too short for its attributes")
    );
    assert_eq!(
        why("Boot0001", &[7, 0, 0, 0, 1, 0]),
        format!("parsing the EFI variable Boot0001-{GLOBAL}: 2 bytes are too short for a load option")
    );
    assert_eq!(
        why("Boot0001", &[7, 0, 0, 0, 1, 0, 0, 0, 4, 0, b'a', 0]),
        format!("parsing the EFI variable Boot0001-{GLOBAL}: its description has no end")
    );
}

#[test]
fn secure_boot_is_known_or_says_why_not() {
    let tree = Captured::unpack(Q35);
    let variable = format!("{VARIABLES}/SecureBoot-{GLOBAL}");
    tree.write(&variable, &[6, 0, 0, 0, 1]);
    assert_eq!(efi::secure_boot(&tree.host(), FirmwareType::Uefi), Reading::Known(true));
    tree.write(&variable, &[6, 0, 0, 0, 9]);
    let odd = Reading::unknown("parsing the EFI variable SecureBoot: it is not one byte, 0 or 1");
    assert_eq!(efi::secure_boot(&tree.host(), FirmwareType::Uefi), odd);
    tree.remove(&variable);
    assert_eq!(efi::secure_boot(&tree.host(), FirmwareType::Uefi), Reading::Known(false));
    tree.remove(VARIABLES);
    let seen = efi::secure_boot(&tree.host(), FirmwareType::Uefi);
    let why = tree.plain(seen.why().unwrap());
    assert_eq!(
        why,
        "/sys/firmware/efi/efivars is empty; mount it with: mount -t efivarfs efivarfs /sys/firmware/efi/efivars"
    );
    assert_eq!(efi::secure_boot(&tree.host(), FirmwareType::Bios), Reading::Known(false));
}

#[test]
fn a_bios_machine_has_no_boot_entries_and_one_without_smbios_says_so() {
    let tree = Captured::unpack(Q35);
    tree.remove("sys/firmware/efi");
    tree.remove("sys/firmware/dmi");
    let seen = inventory(&tree);
    assert_eq!((seen.firmware, seen.boot_entries), (FirmwareType::Bios, Reading::Known(Vec::new())));
    let why = "this machine has no SMBIOS table (/sys/firmware/dmi), so its memory slots are not known";
    assert_eq!(seen.dimms, Reading::unknown(why));
}

#[test]
fn memory_slots_of_every_size_and_the_empty_one_are_read() {
    let slot = |size: u16, extended: u32, speed: u16| {
        let mut bytes = vec![0; 0x5c];
        (bytes[0], bytes[1]) = (17, 0x5c);
        bytes[0x0c..0x0e].copy_from_slice(&size.to_le_bytes());
        bytes[0x10] = 1;
        bytes[0x12] = 0x22;
        bytes[0x15..0x17].copy_from_slice(&5600_u16.to_le_bytes());
        bytes[0x17] = 2;
        bytes[0x1c..0x20].copy_from_slice(&extended.to_le_bytes());
        bytes[0x20..0x22].copy_from_slice(&speed.to_le_bytes());
        bytes[0x58..0x5c].copy_from_slice(&70_000_u32.to_le_bytes());
        bytes.extend(b"DIMM_A1\0NO DIMM\0\0");
        bytes
    };
    let read = |bytes: Vec<u8>| smbios::parse_dimms(&bytes).unwrap().remove(0);
    assert_eq!(read(slot(0, 0, 0)).size_bytes, 0);
    assert_eq!(read(slot(16384, 0, 0)).size_bytes, 16 << 30);
    assert_eq!(read(slot(0x8200, 0, 0)).size_bytes, 512 << 10);
    let large = read(slot(0x7fff, 65536, 0xffff));
    assert_eq!((large.size_bytes, large.speed_mts), (64 << 30, Some(70_000)));
    let small = read(slot(1024, 0, 4800));
    assert_eq!((small.locator.as_str(), small.kind.as_str(), small.speed_mts), ("DIMM_A1", "DDR5", Some(4800)));
    assert_eq!((small.manufacturer, small.bank.as_str()), (None, ""));
    assert_eq!(read(slot(1024, 0, 0)).speed_mts, Some(5600));
}

#[test]
fn a_broken_table_says_where() {
    let why = |bytes: &[u8]| smbios::parse_dimms(bytes).unwrap_err().to_string();
    let past = "parsing the SMBIOS table: the structure at byte 0 runs past the end of the table";
    assert_eq!(why(&[17]), past);
    assert_eq!(why(&[17, 40, 0, 0, 0]), past);
    assert_eq!(why(&[17, 4, 0, 0, b'a', 0]), past);
    let short = "parsing the SMBIOS table: the structure at byte 6 is 3 bytes long, less than its header";
    assert_eq!(why(&[1, 4, 0, 0, 0, 0, 17, 3, 0, 0, 0, 0]), short);
}

#[test]
fn a_tpm_and_other_hypervisors_are_named_and_placeholders_are_not() {
    let tree = Captured::unpack(Q35);
    tree.write("sys/class/tpm/tpm0/tpm_version_major", b"2\n");
    tree.link("sys/class/tpm/tpm0/device/driver", "../../../../bus/acpi/drivers/tpm_crb");
    let expected = Tpm { version: "2.0".to_owned(), description: Some("driver tpm_crb".to_owned()) };
    assert_eq!(machine::tpm(&tree.host()), Some(expected));
    let named = |tree: &Captured| {
        let dmi = machine::dmi(&tree.host());
        machine::virtualisation(&tree.host(), &dmi).unwrap()
    };
    tree.write("sys/devices/virtual/dmi/id/product_serial", b"To Be Filled By O.E.M.\n");
    assert_eq!(machine::dmi(&tree.host()).product_serial, None);
    tree.write("sys/devices/virtual/dmi/id/sys_vendor", b"VMware, Inc.\n");
    tree.write("sys/devices/virtual/dmi/id/bios_vendor", b"Phoenix\n");
    assert_eq!(named(&tree).as_deref(), Some("vmware"));
    tree.write("sys/devices/virtual/dmi/id/sys_vendor", b"Dell Inc.\n");
    assert_eq!(named(&tree).as_deref(), Some("another hypervisor"));
    tree.write("sys/devices/system/clocksource/clocksource0/available_clocksource", b"kvm-clock tsc\n");
    assert_eq!(named(&tree).as_deref(), Some("kvm"));
    tree.write("proc/cpuinfo", b"processor\t: 0\nflags\t\t: fpu\n");
    assert_eq!(named(&tree), None);
}

#[test]
fn processors_are_counted_by_socket_core_and_thread() {
    let block = |number: u32, package: u32, core: u32, microcode: &str| {
        format!(
            "processor\t: {number}\nmodel name\t: CPU X\nphysical id\t: {package}\ncore id\t\t: {core}\nmicrocode\t: {microcode}\n\n"
        )
    };
    let text = [block(0, 0, 0, "0x1"), block(1, 0, 0, "0x1"), block(2, 1, 0, "0x2"), block(3, 1, 0, "0x1")].concat();
    let info = cpu::parse_cpuinfo(&text).unwrap();
    assert_eq!((info.sockets, info.cores, info.threads), (2, 2, 4));
    assert_eq!(info.microcode, ["0x1", "0x2"]);
    let error = cpu::parse_cpuinfo("model name : x\n").unwrap_err();
    assert_eq!(error.to_string(), "parsing /proc/cpuinfo: no line `processor`");
}
