//! Every check there is, in one place: what alert rules, dashboards and the court itself go by.
//!
//! It must never lack a check that the rules find something by: the court refuses it in tests.

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Its name; the part before the point is its group.
    pub name: &'static str,
    /// What is wrong when it is not ok, in a few words.
    pub about: &'static str,
}

impl Check {
    /// The system it belongs to: `zfs` of `zfs.pool`.
    pub fn group(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }
}

const fn check(name: &'static str, about: &'static str) -> Check {
    Check { name, about }
}

/// All of them, by name.
pub const CHECKS: [Check; 128] = [
    check("agent.history", "the agent has lost its memory of earlier passes"),
    check("agent.journal", "the agent's journal cannot be used"),
    check("backup.age", "a backup is too old, or there is none"),
    check("backup.drill", "a restore has not been tried for long"),
    check("ceph.check", "a check of Ceph's own fails"),
    check("ceph.expected", "this node is set up for no Ceph cluster, and should be"),
    check("ceph.flags", "Ceph is told to leave something undone"),
    check("ceph.health", "a Ceph cluster is not healthy"),
    check("ceph.mds", "a file system of Ceph lacks a metadata server"),
    check("ceph.mgr", "no manager of Ceph answers"),
    check("ceph.mons", "monitors of Ceph are not in quorum"),
    check("ceph.osds", "OSDs of Ceph are down or out"),
    check("ceph.pgs", "placement groups of Ceph are not whole"),
    check("ceph.stop", "daemons of Ceph on this node must not be stopped"),
    check("certificate.expiry", "a certificate expires soon, or cannot be read"),
    check("clock.offset", "the clock is off"),
    check("clock.sync", "the clock is not synchronised"),
    check("collector", "something cannot be read, so nothing is known of it"),
    check("corosync.expected", "there is no corosync cluster, and there should be"),
    check("corosync.link", "a link to another node of the cluster is down"),
    check("corosync.margin", "the cluster has no quorum without this node"),
    check("corosync.node", "another node of the cluster is gone"),
    check("corosync.qdevice", "the quorum device casts no vote"),
    check("corosync.quorum", "the cluster has no quorum, or that is not known"),
    check("cpu.busy", "the processors are busy"),
    check("cpu.load", "more wants to run than there are processors"),
    check("cpu.machine_check", "a processor reports machine checks"),
    check("cpu.microcode", "processors run different microcode"),
    check("cpu.throttled", "processors are slowed down by heat"),
    check("cpu.vulnerability", "the processors are vulnerable"),
    check("disk.io_errors", "commands to a disk fail"),
    check("disk.present", "a disk is gone"),
    check("disk.smart", "a disk fails, wears out, or does not tell its health"),
    check("disk.state", "the kernel does not talk to a disk any more"),
    check("disk.temperature", "a disk is hot"),
    check("filesystem.errors", "a filesystem has errors"),
    check("filesystem.inodes", "a filesystem runs out of inodes"),
    check("filesystem.readonly", "a filesystem became read-only"),
    check("filesystem.space", "a filesystem is full, or soon will be"),
    check("filesystem.stuck", "a filesystem does not answer"),
    check("firmware.errors", "the firmware reports errors of the hardware"),
    check("fleet.hold", "the node stands still until a person has looked"),
    check("fleet.store", "the fleet's store is not reached"),
    check("ipmi.event", "the board's controller logged critical events"),
    check("ipmi.log", "the event log of the board's controller is full, or soon will be"),
    check("ipmi.redundancy", "the power supplies are not redundant"),
    check("ipmi.sensor", "a sensor of the board's controller is not as it should be, or not known"),
    check("iscsi.disks", "an iSCSI session has fewer disks than it had"),
    check("iscsi.expected", "there is no iSCSI session, and there should be"),
    check("iscsi.session", "an iSCSI session does not stand, or is gone"),
    check("iscsi_target.expected", "there is no iSCSI target, and there should be"),
    check("iscsi_target.initiator", "an initiator is not logged in at an iSCSI target"),
    check("iscsi_target.sessions", "initiators are logged in, and lose their disks with this node"),
    check("iscsi_target.target", "an iSCSI target takes no logins"),
    check("kernel.log", "lines of the kernel's log were overwritten before they were read"),
    check("kernel.reboot_needed", "the node wants to be rebooted"),
    check("kubernetes.api", "an API server of Kubernetes is not ready"),
    check("kubernetes.budget", "a disruption budget of Kubernetes is not met, or lets nothing go"),
    check("kubernetes.certificate", "the agent's certificate for Kubernetes expires soon"),
    check("kubernetes.expected", "no Kubernetes cluster is declared, and there should be one"),
    check("kubernetes.flux", "Flux does not bring about what is declared"),
    check("kubernetes.node", "a node of Kubernetes is not ready, or is short of something"),
    check("kubernetes.pods", "pods would not come back from a drain, or have to be looked at"),
    check("kubernetes.quorum", "Kubernetes loses its servers' quorum, or its API, with this node"),
    check("kubernetes.schedulable", "a node of Kubernetes takes no pods"),
    check("kubernetes.stuck", "pods of Kubernetes do not end"),
    check("kubernetes.volumes", "pods have data that does not move with them"),
    check("md.array", "an array of disks is degraded, or gone"),
    check("memory.available", "memory is short"),
    check("memory.bad_pages", "pages of memory are broken"),
    check("memory.ecc", "memory has errors"),
    check("memory.oom", "a process was killed for lack of memory"),
    check("multipath.expected", "there is no multipath map, and there should be"),
    check("multipath.map", "a multipath map does not stand, or is gone"),
    check("multipath.paths", "a multipath map has fewer paths than it had"),
    check("nic.bond", "a bond has lost a link"),
    check("nic.errors", "an interface has errors"),
    check("nic.link", "an interface has no link"),
    check("nic.speed", "an interface is slower than it was"),
    check("packages.half_configured", "a package was left half installed"),
    check("packages.held", "packages are held back"),
    check("packages.lists_age", "the package lists are old"),
    check("packages.pending", "updates are pending, or that is not known"),
    check("packages.security", "security updates have been pending for long"),
    check("pcie.errors", "a PCI Express device reports errors"),
    check("pcie.link", "a PCI Express link is worse than it was"),
    check("pve.api", "a part of what Proxmox VE should tell is not told"),
    check("pve.backup_age", "the last backup of a guest is old, or there is none"),
    check("pve.backup_job", "a guest is in no backup job"),
    check("pve.expected", "this node is no host of Proxmox VE, and should be"),
    check("pve.guest", "a guest is broken, or held by a lock"),
    check("pve.ha", "high availability does not stand"),
    check("pve.node", "a node of the cluster is offline"),
    check("pve.pinned", "guests cannot be moved to another node"),
    check("pve.replication", "the disks of a guest are not replicated"),
    check("pve.resource", "the cluster has something of a kind that is not known here"),
    check("pve.storage", "a storage cannot be used"),
    check("pve.task", "a task runs that a reboot would kill"),
    check("sensor.fan", "a fan stands still"),
    check("sensor.temperature", "something is hot"),
    check("sensor.voltage", "a voltage is off"),
    check("service.certificate", "the certificate of a service expires soon"),
    check("service.latency", "a service answers late"),
    check("service.slo", "a service answered less often than promised"),
    check("service.up", "a service does not answer as it should"),
    check("systemd.failed_unit", "a unit has failed"),
    check("systemd.required_unit", "a unit that must run does not"),
    check("systemd.state", "the system has not finished starting, or is degraded"),
    check("truenas.alert", "TrueNAS raises an alert"),
    check("truenas.answer", "TrueNAS does not tell something it was asked"),
    check("truenas.boot", "the pool that TrueNAS boots from is not healthy"),
    check("truenas.environment", "a system that TrueNAS could boot is not as it should be"),
    check("truenas.expected", "there is no TrueNAS, and there should be"),
    check("truenas.job", "TrueNAS does something that a reboot would cut off"),
    check("truenas.pool", "a pool of TrueNAS is not healthy"),
    check("truenas.reboot", "TrueNAS wants to be rebooted"),
    check("truenas.replication", "a replication of TrueNAS fails, waits or runs"),
    check("truenas.snapshot_task", "periodic snapshots of TrueNAS fail"),
    check("truenas.state", "TrueNAS is not ready"),
    check("truenas.update", "TrueNAS could be updated, or cannot tell"),
    check("watchdog.armed", "no watchdog is armed, and one should be"),
    check("zfs.device", "a device of a ZFS pool is not online"),
    check("zfs.errors", "a device of a ZFS pool has new errors"),
    check("zfs.expected", "there is no ZFS pool, and there should be"),
    check("zfs.pool", "a ZFS pool is not online, or is gone"),
    check("zfs.scrub", "a ZFS pool was not scrubbed for long"),
    check("zfs.space", "a ZFS pool is filling up"),
    check("zfs.status", "a ZFS pool has lost data, is resilvered, or is not told of"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_in_order_and_say_what_they_are_about() {
        assert!(CHECKS.is_sorted_by(|one, other| one.name < other.name), "by name, each once");
        for check in CHECKS {
            assert!(!check.about.is_empty() && !check.group().is_empty(), "{check:?}");
        }
    }
}
