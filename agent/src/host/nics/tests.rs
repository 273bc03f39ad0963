//! Tests of the interface collector.

use super::*;
use crate::host::captured::{Captured, Q35};

fn by_name(tree: &Captured) -> HashMap<String, Nic> {
    KnownNics::default().probe(&tree.host()).unwrap().into_iter().map(|nic| (nic.name.clone(), nic)).collect()
}

#[test]
fn a_machine_with_a_bond_is_read() {
    let nics = by_name(&Captured::unpack(Q35));
    let mut names: Vec<_> = nics.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["bond0", "eth0", "eth1", "lo"]);
    let bond = &nics["bond0"];
    assert_eq!((bond.physical, bond.kind.as_deref(), bond.bond_active_of), (false, Some("bond"), Some((1, 1))));
    assert_eq!((bond.admin_up, bond.carrier, bond.oper_state), (true, Some(true), OperState::Up));
    let member = &nics["eth1"];
    assert_eq!((member.physical, member.kind.as_deref(), member.master.as_deref()), (true, None, Some("bond0")));
    assert_eq!((member.speed_bytes_per_second, member.mtu_bytes), (Some(125_000_000), 1500));
    assert_eq!((member.mac.as_str(), member.carrier_changes), ("52:54:00:00:00:01", 2));
    // virtio does not know its speed and says -1.
    assert_eq!(nics["eth0"].speed_bytes_per_second, None);
    assert_eq!((nics["lo"].oper_state, nics["lo"].physical), (OperState::Unknown, false));
}

#[test]
fn counters_come_from_the_right_columns() {
    let tree = Captured::unpack(Q35);
    let head =
        "Inter-|   Receive  |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes ...\n";
    let rows = "  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
    tree.write("proc/net/dev", format!("{head}{rows}").as_bytes());
    let nics = by_name(&tree);
    // An interface that the counters do not know has gone between the two readings.
    assert_eq!(nics.len(), 1);
    assert_eq!((nics["eth0"].receive, nics["eth0"].transmit), ([1, 2, 3, 4], [9, 10, 11, 12]));
}

#[test]
fn an_interface_that_is_down_has_no_carrier_and_no_speed() {
    let tree = Captured::unpack(Q35);
    let dir = "sys/devices/pci0000:00/0000:00:05.0/net/eth1";
    tree.write(&format!("{dir}/flags"), b"0x1802\n");
    tree.write(&format!("{dir}/operstate"), b"down\n");
    let nic = &by_name(&tree)["eth1"];
    assert_eq!((nic.admin_up, nic.carrier, nic.speed_bytes_per_second), (false, None, None));
    assert_eq!(nic.oper_state, OperState::Down);
}

#[test]
fn a_bond_counts_members_that_are_down() {
    let tree = Captured::unpack(Q35);
    tree.write("sys/devices/pci0000:00/0000:00:05.0/net/eth1/bonding_slave/mii_status", b"down\n");
    assert_eq!(by_name(&tree)["bond0"].bond_active_of, Some((0, 1)));
    tree.write("sys/devices/virtual/net/bond0/bonding/slaves", b"\n");
    assert_eq!(by_name(&tree)["bond0"].bond_active_of, Some((0, 0)));
}

#[test]
fn what_is_broken_is_named() {
    let tree = Captured::unpack(Q35);
    tree.write("sys/devices/virtual/net/lo/mtu", b"large\n");
    let error = KnownNics::default().probe(&tree.host()).unwrap_err();
    assert_eq!(tree.plain(error), "parsing /sys/class/net/lo/mtu: \"large\" is not a number");
    tree.write("sys/devices/virtual/net/lo/flags", b"9\n");
    let error = KnownNics::default().probe(&tree.host()).unwrap_err();
    assert_eq!(tree.plain(error), "parsing /sys/class/net/lo/flags: \"9\" is not a hexadecimal number");
    tree.remove("sys/class/net");
    let error = KnownNics::default().probe(&tree.host()).unwrap_err();
    assert_eq!(tree.plain(error), "reading /sys/class/net: No such file or directory (os error 2)");
}

#[test]
fn a_broken_counter_file_says_which_line() {
    let why = |text: &str| parse_net_dev(text).unwrap_err().to_string();
    assert_eq!(why("a\nb\n"), "parsing /proc/net/dev: line 2 is not the known heading");
    let head = "Inter-|\n face |bytes    packets errs drop fifo\n";
    assert_eq!(why(&format!("{head}eth0 1\n")), "parsing /proc/net/dev: line 3: not `NAME:` and 16 counts");
    let short = format!("{head} eth0: 1 2 3\n");
    assert_eq!(why(&short), "parsing /proc/net/dev: line 3: not `NAME:` and 16 counts");
}

#[test]
fn an_open_file_never_speaks_for_another_interface() {
    let tree = Captured::unpack(Q35);
    let mut known = KnownNics::default();
    let mac = |nics: &[Nic], name: &str| nics.iter().find(|nic| nic.name == name).unwrap().mac.clone();
    let before = known.probe(&tree.host()).unwrap();
    assert_eq!(known.probe(&tree.host()).unwrap(), before, "read again from the same open files");
    // As udev gives two cards each other's names.
    let (one, other) = (tree.path("sys/class/net/eth0"), tree.path("sys/class/net/eth1"));
    let targets = [&one, &other].map(|link| std::fs::read_link(link).unwrap());
    for (name, target) in ["eth1", "eth0"].into_iter().zip(targets) {
        tree.remove(&format!("sys/class/net/{name}"));
        tree.link(&format!("sys/class/net/{name}"), target.to_str().unwrap());
    }
    let after = known.probe(&tree.host()).unwrap();
    assert_ne!(mac(&before, "eth0"), mac(&before, "eth1"));
    assert_eq!([mac(&after, "eth0"), mac(&after, "eth1")], [mac(&before, "eth1"), mac(&before, "eth0")]);
    tree.remove("sys/class/net/eth1");
    assert!(known.probe(&tree.host()).unwrap().iter().all(|nic| nic.name != "eth1"));
    assert!(!known.by_name.contains_key("eth1"), "its files are closed");
}

#[test]
fn what_changes_in_an_open_file_is_seen() {
    let tree = Captured::unpack(Q35);
    let mut known = KnownNics::default();
    known.probe(&tree.host()).unwrap();
    let file = tree.path("sys/class/net/eth0/mtu");
    std::fs::write(file, "9000\n").unwrap();
    let nics = known.probe(&tree.host()).unwrap();
    assert_eq!(nics.iter().find(|nic| nic.name == "eth0").unwrap().mtu_bytes, 9000);
}
