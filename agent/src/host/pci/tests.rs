//! Tests of the PCI collector, over devices written in the kernel's form.

use super::*;
use crate::host::Scratch;
use crate::host::feed_damaged;

const DEVICE: &str = "sys/bus/pci/devices/0000:01:00.0";
const CORRECTABLE: &str = "RxErr 2\nBadTLP 0\nBadDLLP 5\nRollover 0\nTimeout 0\nNonFatalErr 0\nCorrIntErr 0\nHeaderOF 0\n\
                           TOTAL_ERR_COR 7\n";

fn write_device(host: &Scratch, dir: &str) {
    let files = [
        ("vendor", "0x144d\n"),
        ("device", "0xa80a\n"),
        ("class", "0x010802\n"),
        ("current_link_width", "4\n"),
        ("max_link_width", "4\n"),
        ("current_link_speed", "8.0 GT/s PCIe\n"),
        ("max_link_speed", "16.0 GT/s PCIe\n"),
        ("power/runtime_status", "active\n"),
        ("aer_dev_correctable", CORRECTABLE),
        ("aer_dev_nonfatal", "Undefined 0\nTLP 0\nUnsupReq 1\nTOTAL_ERR_NONFATAL 1\n"),
        ("aer_dev_fatal", "Undefined 0\nDLP 0\nTOTAL_ERR_FATAL 0\n"),
    ];
    for (name, text) in files {
        host.write(&format!("{dir}/{name}"), text);
    }
}

fn made() -> Scratch {
    let host = Scratch::new();
    write_device(&host, DEVICE);
    // One of the chipset: neither link nor counters.
    for (name, text) in [("vendor", "0x8086\n"), ("device", "0x29c0\n"), ("class", "0x060000\n")] {
        host.write(&format!("sys/bus/pci/devices/0000:00:00.0/{name}"), text);
    }
    host
}

fn read(host: &Host) -> Result<Vec<PciDevice>, HostError> {
    KnownPci::default().probe(host)
}

fn plain(host: &Host, error: impl std::fmt::Display) -> String {
    error.to_string().replace(&host.path("").display().to_string(), "")
}

#[test]
fn a_device_is_read_with_its_link_and_what_it_counted() {
    let host = made();
    std::os::unix::fs::symlink("../../drivers/nvme", host.path(format!("{DEVICE}/driver"))).unwrap();
    let none = |total| AerCounts { total, kinds: Vec::new() };
    let kinds = |kinds: &[(&str, u64)], total| AerCounts {
        total,
        kinds: kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
    };
    let expected = PciDevice {
        address: "0000:01:00.0".to_owned(),
        id: "144d:a80a".to_owned(),
        class: 0x01_0802,
        driver: Some("nvme".to_owned()),
        link: Some(PciLink { width: 4, max_width: 4, megatransfers: 8_000, max_megatransfers: 16_000 }),
        errors: Some(PciErrors {
            correctable: kinds(&[("RxErr", 2), ("BadDLLP", 5)], 7),
            nonfatal: kinds(&[("UnsupReq", 1)], 1),
            fatal: none(0),
        }),
    };
    assert_eq!(read(&host).unwrap(), [expected]);
    assert_eq!(read(&Scratch::new()).unwrap(), [], "a machine without PCI");
}

#[test]
fn a_device_that_sleeps_is_not_asked_for_its_link() {
    let host = made();
    host.write(&format!("{DEVICE}/power/runtime_status"), "suspended\n");
    assert_eq!(read(&host).unwrap()[0].link, None);
    host.write(&format!("{DEVICE}/power/runtime_status"), "active\n");
    for (width, speed) in [("0", "Unknown"), ("63", "16.0 GT/s PCIe"), ("4", "Unknown")] {
        host.write(&format!("{DEVICE}/current_link_width"), width);
        host.write(&format!("{DEVICE}/current_link_speed"), speed);
        assert_eq!(read(&host).unwrap()[0].link, None, "{width} {speed}");
    }
}

#[test]
fn a_counter_that_cannot_be_read_is_an_error_that_names_it() {
    let host = made();
    host.write(&format!("{DEVICE}/aer_dev_fatal"), "Undefined 0\nDLP many\n");
    let expected = "parsing sys/bus/pci/devices/0000:01:00.0/aer_dev_fatal: \"Undefined 0\\nDLP many\" is not lines of a \
                    kind and a count";
    assert_eq!(plain(&host, read(&host).unwrap_err()), expected);
    host.write(&format!("{DEVICE}/aer_dev_fatal"), "Undefined 0\n");
    assert!(read(&host).is_err(), "cut before its sum");
}

#[test]
fn what_is_known_is_kept_until_the_device_is_another() {
    let host = made();
    let mut known = KnownPci::default();
    known.probe(&host).unwrap();
    host.write(&format!("{DEVICE}/max_link_width"), "16\n");
    assert_eq!(known.probe(&host).unwrap()[0].link.unwrap().max_width, 4, "not read again");
    // Another device has come in its place; the old directory stays, so that its number is not used again.
    std::fs::rename(host.path(DEVICE), host.path("gone")).unwrap();
    write_device(&host, DEVICE);
    host.write(&format!("{DEVICE}/max_link_width"), "16\n");
    assert_eq!(known.probe(&host).unwrap()[0].link.unwrap().max_width, 16);
    std::fs::rename(host.path(DEVICE), host.path("gone too")).unwrap();
    assert_eq!(known.probe(&host).unwrap(), []);
    assert_eq!(known.0.len(), 1, "only the chipset is left");
}

#[test]
fn older_kernels_wrote_kinds_of_several_words() {
    let counts = parse_counts(b"Receiver Error 3\nBad TLP 0\nTOTAL_ERR_COR 3").unwrap();
    assert_eq!((counts.total, counts.kinds), (3, vec![("Receiver Error".to_owned(), 3)]));
    feed_damaged(CORRECTABLE, |text| drop(parse_counts(text.as_bytes())));
}
