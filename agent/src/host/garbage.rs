//! A property: whatever lies in `/proc` and `/sys`, a pass over it ends with values or errors, never with a panic.

use std::path::PathBuf;

use super::captured::{Captured, Q35};
use super::{Host, disks, hardware, load, nics, pci, sensors, watchdog};
use crate::helper::{Client, captured_client};

/// Rounds of damage; each damages up to [`MOST_FILES`] files of a whole tree.
const ROUNDS: u64 = 200;
const MOST_FILES: u64 = 12;

/// xorshift64*: the same rounds on every machine, so that a failure can be repeated by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.roll(length as u64)).unwrap()
    }

    /// What a file may turn into: random bytes, itself cut short, with flipped bits, with a huge number, or twice itself.
    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        match self.roll(6) {
            0 => (0..self.roll(200)).map(|_| u8::try_from(self.roll(256)).unwrap()).collect(),
            1 => Vec::new(),
            2 if !bytes.is_empty() => bytes[..self.index(bytes.len())].to_vec(),
            3 if !bytes.is_empty() => {
                let at = self.index(bytes.len());
                damaged[at] ^= 1 << self.roll(8);
                damaged
            }
            4 => b"99999999999999999999999999999999\n".to_vec(),
            _ => [bytes, bytes].concat(),
        }
    }
}

fn pass(host: &Host, client: &Client, runtime: &tokio::runtime::Runtime, known: &mut disks::KnownDisks) -> usize {
    let mut errors = 0;
    errors += usize::from(load::CpuFiles::default().probe(host).is_err());
    errors += usize::from(load::MemoryFiles::default().probe(host).is_err());
    errors += usize::from(load::PressureFiles::default().probe(host).is_err());
    errors += usize::from(nics::KnownNics::default().probe(host).is_err());
    errors += usize::from(sensors::probe_sensors(host).is_err());
    errors += usize::from(pci::KnownPci::default().probe(host).is_err());
    errors += usize::from(watchdog::probe_watchdogs(host).is_err());
    errors += usize::from(known.probe(host).is_err());
    errors += usize::from(runtime.block_on(hardware::probe_inventory(host, client)).is_err());
    errors
}

/// What an emulated machine does not have, in the kernel's form.
fn hardware_beyond_the_recording(tree: &Captured) {
    for (path, text) in [
        ("sys/bus/pci/devices/0000:41:00.0/vendor", "0x144d"),
        ("sys/bus/pci/devices/0000:41:00.0/device", "0xa80a"),
        ("sys/bus/pci/devices/0000:41:00.0/class", "0x010802"),
        ("sys/bus/pci/devices/0000:41:00.0/current_link_width", "4"),
        ("sys/bus/pci/devices/0000:41:00.0/max_link_width", "4"),
        ("sys/bus/pci/devices/0000:41:00.0/current_link_speed", "16.0 GT/s PCIe"),
        ("sys/bus/pci/devices/0000:41:00.0/max_link_speed", "16.0 GT/s PCIe"),
        ("sys/bus/pci/devices/0000:41:00.0/aer_dev_correctable", "RxErr 2\nTOTAL_ERR_COR 2"),
        ("sys/bus/pci/devices/0000:41:00.0/aer_dev_nonfatal", "DLP 0\nTOTAL_ERR_NONFATAL 0"),
        ("sys/bus/pci/devices/0000:41:00.0/aer_dev_fatal", "DLP 0\nTOTAL_ERR_FATAL 0"),
        ("sys/class/watchdog/watchdog0/state", "active"),
        ("sys/class/watchdog/watchdog0/timeout", "30"),
        ("sys/devices/system/edac/mc/mc0/csrow0/ue_count", "0"),
        ("sys/devices/system/edac/mc/mc0/csrow0/ch0_ce_count", "0"),
        ("sys/devices/system/node/node0/memory_failure/total", "0"),
    ] {
        tree.write(path, format!("{text}\n").as_bytes());
    }
}

#[test]
fn a_pass_over_garbage_never_panics() {
    let tree = Captured::unpack(Q35);
    hardware_beyond_the_recording(&tree);
    let host = tree.host();
    let client = captured_client(tree.host(), PathBuf::from("/nonexistent"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let files = tree.files();
    let mut known = disks::KnownDisks::default();
    assert_eq!(pass(&host, &client, &runtime, &mut known), 0, "the tree is whole before it is damaged");
    let mut errors = 0;
    for seed in 1..=ROUNDS {
        let mut dice = Dice(seed);
        let mut kept = Vec::new();
        for _ in 0..=dice.roll(MOST_FILES) {
            let file = &files[dice.index(files.len())];
            let bytes = std::fs::read(file).unwrap();
            std::fs::write(file, dice.damage(&bytes)).unwrap();
            kept.push((file, bytes));
        }
        // Shown by the test harness only when the pass below panics.
        println!("seed {seed} damaged {:?}", kept.iter().map(|(file, _)| file).collect::<Vec<_>>());
        errors += pass(&host, &client, &runtime, &mut known);
        for (file, bytes) in kept.into_iter().rev() {
            std::fs::write(file, bytes).unwrap();
        }
    }
    assert!(errors > 25, "the damage must be seen: {errors} errors in {ROUNDS} rounds");
    assert_eq!(pass(&host, &client, &runtime, &mut known), 0, "and the tree is whole again");
}

#[test]
fn parsers_of_bytes_and_json_never_panic() {
    let table = std::fs::read(Captured::unpack(Q35).path("sys/firmware/dmi/tables/DMI")).unwrap();
    let json = include_bytes!("../../tests/fixtures/smartctl/qemu-nvme.json");
    let mut read = [0, 0];
    for seed in 1..=5 * ROUNDS {
        let mut dice = Dice(seed);
        read[0] += usize::from(hardware::smbios::parse_dimms(&dice.damage(&table)).is_ok());
        let text = dice.damage(json);
        read[1] += usize::from(super::smart::parse(&String::from_utf8_lossy(&text)).is_ok());
        let option: Vec<u8> = dice.damage(&table[..40]);
        drop(hardware::efi::parse_load_option(&option));
    }
    assert!(read.iter().all(|read| *read > 0 && *read < 950), "some are read and some are refused: {read:?}");
}

#[test]
fn this_machine_is_read() {
    let host = Host::this();
    assert!(!load::CpuFiles::default().probe(&host).unwrap().times.is_empty());
    assert!(load::MemoryFiles::default().probe(&host).unwrap().field("MemTotal").is_some());
    load::PressureFiles::default().probe(&host).unwrap();
    sensors::probe_sensors(&host).unwrap();
    assert!(nics::KnownNics::default().probe(&host).unwrap().iter().any(|nic| nic.name == "lo"));
    println!("{:#?}", disks::probe_disks(&host).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let inventory = runtime.block_on(hardware::probe_inventory(&host, &Client::local())).unwrap();
    println!("{inventory:#?}");
    assert!(inventory.cpu.threads > 0 && !inventory.cpu.model.is_empty());
}
