//! A disk served over iSCSI, and used: the kernel's own target by its own files, and open-iscsi.
//!
//! It must never ask for passwords or names of initiators: who may log in is not what stories are about.

use std::time::Duration;

/// Kernel modules are unpacked and daemons start, under emulation.
pub(super) const LIMIT: Duration = Duration::from_secs(150);

/// Serves a block device as the one unit of a target, at every address of the machine. `name` is letters and digits; the
/// target is [`target`]'s.
pub(super) fn serve(name: &str, device: &str) -> String {
    format!(
        "set -e
modprobe target_core_iblock; modprobe iscsi_target_mod
cd /sys/kernel/config/target
mkdir -p core/iblock_0/{name} iscsi
echo udev_path={device} > core/iblock_0/{name}/control
echo {device} > core/iblock_0/{name}/udev_path
echo 1 > core/iblock_0/{name}/enable
echo 4f1c0b6e-lab-{name} > core/iblock_0/{name}/wwn/vpd_unit_serial
mkdir iscsi/{target}; group=iscsi/{target}/tpgt_1; mkdir $group
mkdir $group/np/0.0.0.0:3260 $group/lun/lun_0
ln -s $PWD/core/iblock_0/{name} $group/lun/lun_0/{name}
for setting in authentication=0 generate_node_acls=1 cache_dynamic_acls=1 demo_mode_write_protect=0; do
    echo ${{setting#*=}} > $group/attrib/${{setting%=*}}
done
echo 1 > $group/enable",
        target = target(name),
    )
}

/// The name of the target that serves a disk of this name.
pub(super) fn target(name: &str) -> String {
    format!("iqn.2026-11.lab:{name}")
}

/// Gives the initiator of a machine its name, which no image has, and starts it.
pub(super) fn initiate(name: &str) -> String {
    format!(
        "echo InitiatorName={} > /etc/iscsi/initiatorname.iscsi && modprobe iscsi_tcp && systemctl restart iscsid",
        target(name)
    )
}
