//! Tests of the disk collector.

use hardstand_core::observed::Transport;

use super::*;
use crate::host::captured::{Captured, Q35};

const SATA: &str = "sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0";

fn probe(tree: &Captured) -> Vec<Disk> {
    probe_disks(&tree.host()).unwrap()
}

fn disk(tree: &Captured, name: &str) -> Disk {
    probe(tree).into_iter().find(|disk| disk.id.name == name).unwrap()
}

#[test]
fn disks_of_every_kind_are_told_apart() {
    let disks = probe(&Captured::unpack(Q35));
    let rows: Vec<_> = disks
        .iter()
        .map(|disk| {
            let id = &disk.id;
            (id.name.as_str(), disk.transport, id.serial.as_deref(), id.wwn.as_deref(), disk.device_state.as_deref())
        })
        .collect();
    let running = Some("running");
    // Not listed: the hidden path of the NVMe disk and the empty optical drive.
    assert_eq!(
        rows,
        [
            ("nvme0n1", Transport::Nvme, Some("NVME-0001"), None, Some("live")),
            ("sda", Transport::Sata, Some("SATA-0002"), None, running),
            ("sdb", Transport::Sata, Some("SATA-0001"), Some("naa.5000c500a1b2c3d4"), running),
            ("sdc", Transport::Virtio, Some("SCSI-0001"), Some("naa.5000c500deadbeef"), running),
            ("sdd", Transport::Usb, Some("USB-0001"), None, running),
            ("vda", Transport::Virtio, Some("VIRT-0001"), None, None),
        ]
    );
}

#[test]
fn a_sata_disk_is_read_whole() {
    let tree = Captured::unpack(Q35);
    let whole = disk(&tree, "sdb");
    assert_eq!(
        (whole.model.as_deref(), whole.vendor, whole.firmware.as_deref()),
        (Some("EMULATED HARDDIS"), None, Some("FW42"))
    );
    assert_eq!((whole.size_bytes, whole.rotational, whole.removable, whole.read_only), (64 << 20, true, false, false));
    assert_eq!(whole.io_errors, Some(1));
    tree.write(&format!("{SATA}/block/sdb/stat"), b"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n");
    assert_eq!(disk(&tree, "sdb").io, [1, 3, 5, 7, 10]);
    // Disks behind virtio-scsi are SCSI disks and count their errors; virtio's own do not.
    assert_eq!((disk(&tree, "sdc").io_errors, disk(&tree, "vda").io_errors), (Some(2), None));
}

#[test]
fn a_disc_in_the_drive_and_a_card_in_the_reader_are_seen() {
    let tree = Captured::unpack(Q35);
    let drive = "sys/devices/pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sr0";
    assert!(!probe(&tree).iter().any(|disk| disk.id.name == "sr0"));
    tree.write("run/udev/data/b11:0", b"N:sr0\nE:ID_CDROM=1\nE:ID_CDROM_MEDIA=1\n");
    let disc = disk(&tree, "sr0");
    assert!(disc.removable && disc.read_only);
    tree.remove("run/udev/data/b11:0");
    tree.write(&format!("{drive}/size"), b"1300000\n");
    assert_eq!(disk(&tree, "sr0").size_bytes, 1_300_000 * 512);
    let stick = "sys/devices/pci0000:00/0000:00:03.0/usb2/2-1/2-1:1.0/host7/target7:0:0/7:0:0:0/block/sdd";
    tree.write(&format!("{stick}/size"), b"0\n");
    assert!(!probe(&tree).iter().any(|disk| disk.id.name == "sdd"));
}

#[test]
fn what_is_no_disk_is_left_out() {
    let tree = Captured::unpack(Q35);
    for name in ["loop0", "zram0", "dm-0", "md127", "zd16", "nbd0", "bcache0"] {
        tree.write(&format!("sys/devices/virtual/block/{name}/size"), b"0\n");
        tree.write(&format!("sys/devices/virtual/block/{name}/stat"), b"0 0 0 0 0 0 0 0 0 0 0\n");
        tree.link(&format!("sys/block/{name}"), &format!("../devices/virtual/block/{name}"));
    }
    assert_eq!(probe(&tree).len(), 6);
    tree.write("sys/devices/virtual/block/nbd0/size", b"2048\n");
    assert_eq!(disk(&tree, "nbd0").transport, Transport::Other);
}

#[test]
fn transports_are_told_by_the_place() {
    let tree = Captured::empty();
    for (name, place, expected) in [
        ("sda", "platform/host2/session1/target2:0:0/2:0:0:0", Transport::Iscsi),
        ("sdb", "pci0000:00/0000:00:01.0/host4/port-4:0/end_device-4:0/target4:0:0/4:0:0:0", Transport::Sas),
        ("sdc", "pci0000:00/0000:00:01.0/host5/rport-5:0-0/target5:0:0/5:0:0:0", Transport::Fc),
        ("sdd", "pci0000:00/0000:00:01.0/host6/target6:0:0/6:0:0:0", Transport::Scsi),
        ("mmcblk0", "platform/mmc0/mmc0:0001", Transport::Mmc),
    ] {
        let dir = format!("sys/devices/{place}/block/{name}");
        tree.write(&format!("{dir}/size"), b"2048\n");
        tree.write(&format!("{dir}/stat"), b"0 0 0 0 0 0 0 0 0 0 0\n");
        tree.link(&format!("sys/block/{name}"), &format!("../devices/{place}/block/{name}"));
        assert_eq!(disk(&tree, name).transport, expected, "{place}");
    }
}

#[test]
fn udev_fills_in_what_sysfs_does_not_say() {
    let tree = Captured::unpack(Q35);
    tree.remove(&format!("{SATA}/vpd_pg80"));
    tree.remove(&format!("{SATA}/wwid"));
    assert_eq!(disk(&tree, "sdb").id.key(), "sdb");
    tree.write("run/udev/data/b8:16", b"S:disk/by-id/x\nE:ID_SERIAL_SHORT=UDEV-1\nE:ID_WWN=0x5000c500a1b2c3d4\n");
    let number = std::fs::read_to_string(tree.path(&format!("{SATA}/block/sdb/dev"))).unwrap();
    assert_eq!(number.trim(), "8:16");
    let id = disk(&tree, "sdb").id;
    assert_eq!((id.serial.as_deref(), id.wwn.as_deref()), (Some("UDEV-1"), Some("naa.5000c500a1b2c3d4")));
}

#[test]
fn a_disk_behind_several_nvme_controllers_lives_while_one_does() {
    let tree = Captured::unpack(Q35);
    tree.write("sys/devices/pci0000:00/0000:00:01.0/nvme/nvme0/state", b"dead\n");
    assert_eq!(disk(&tree, "nvme0n1").device_state.as_deref(), Some("dead"));
    tree.write("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme1/state", b"live\n");
    assert_eq!(disk(&tree, "nvme0n1").device_state.as_deref(), Some("live"));
}

#[test]
fn what_is_known_is_kept_until_the_disk_is_another() {
    let tree = Captured::unpack(Q35);
    let mut known = KnownDisks::default();
    let model = |known: &mut KnownDisks| {
        let disks = known.probe(&tree.host()).unwrap();
        disks.into_iter().find(|disk| disk.id.name == "sdb").unwrap().model.unwrap()
    };
    assert_eq!(model(&mut known), "EMULATED HARDDIS");
    tree.write(&format!("{SATA}/model"), b"ANOTHER DISK\n");
    assert_eq!(model(&mut known), "EMULATED HARDDIS");
    tree.write(&format!("{SATA}/block/sdb/diskseq"), b"77\n");
    assert_eq!(model(&mut known), "ANOTHER DISK");
    // What changes is never kept.
    tree.write(&format!("{SATA}/block/sdb/size"), b"8\n");
    tree.write(&format!("{SATA}/state"), b"offline\n");
    let disks = known.probe(&tree.host()).unwrap();
    let disk = disks.iter().find(|disk| disk.id.name == "sdb").unwrap();
    assert_eq!((disk.size_bytes, disk.device_state.as_deref()), (4096, Some("offline")));
    // A pulled disk is forgotten.
    tree.remove("sys/block/sdb");
    assert_eq!(known.probe(&tree.host()).unwrap().len(), 5);
    assert!(!known.by_name.contains_key("sdb"));
}

#[test]
fn what_is_broken_is_named() {
    let tree = Captured::unpack(Q35);
    tree.write(&format!("{SATA}/block/sdb/stat"), b"1 2 3\n");
    let error = probe_disks(&tree.host()).unwrap_err();
    assert_eq!(tree.plain(error), "parsing /sys/block/sdb/stat: \"1 2 3\" is not 11 counts");
    tree.write(&format!("{SATA}/block/sdb/size"), b"big\n");
    let error = probe_disks(&tree.host()).unwrap_err();
    assert_eq!(tree.plain(error), "parsing /sys/block/sdb/size: \"big\" is not a number");
    let empty = Captured::empty();
    let error = probe_disks(&empty.host()).unwrap_err();
    assert_eq!(empty.plain(error), "reading /sys/block: No such file or directory (os error 2)");
}
