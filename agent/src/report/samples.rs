//! Made-up passes and judgements for the tests of what is shown.
//!
//! It must never be compiled into the product.

use hardstand_core::health::{ServiceRow, ServiceWindow};
use hardstand_core::observed::Moment;
use hardstand_core::observed::{
    AerCounts, BackupCopy, BackupSeen, CephCheck, CephCluster, CephHealth, CephMons, CephOsd, CephOsdTree, CephPgState,
    CephPgs, CephStatus, CephStop, Clock, Corosync, CorosyncConfig, CorosyncDevice, CorosyncLink, Cpu, CpuInfo,
    CpuTimes, Disk, DiskId, Dmi, Filesystem, FirmwareType, FluxObject, HalfConfigured, HardwareErrors, Inventory, Ipmi,
    IpmiLog, IpmiSensor, IpmiState, IpmiTold, IscsiDevice, IscsiSession, IscsiSessions, IscsiTarget, Kernel,
    KernelImage, KubeBudget, KubeCondition, KubeNode, KubePod, KubeServer, KubernetesCluster, MdArray, Memory,
    MultipathMap, MultipathPath, NasAlert, NasJob, NasPool, NasTask, NasUpdate, Nic, NicInfo, NvmeSmart, Observed,
    OperState, Packages, PathGroup, PciDevice, PciErrors, PciLink, PendingPackage, PoolScan, PoolSpace, PoolStatus,
    PowerState, Pressure, PressureLine, PveBackups, PveGuestConfig, PveHa, PveHaEntry, PveNode, PveReplication,
    PveResource, PveResources, PveStorage, PveTask, PveUncovered, Quorum, QuorumMember, RebootReason, Role, ScanKind,
    ScanState, Sensor, SensorKind, ServiceAnswer, Smart, SmartDetail, Space, TargetSession, Transport, TrueNas, Unit,
    Units, Vdev, Watchdog, ZfsPool, ZpoolReport,
};
use hardstand_core::{Finding, Gate, Health, Reading, Sample, Severity};

/// 2026-11-23 01:00:00 UTC.
pub(crate) const NOW: u64 = 1_795_395_600;

pub(crate) fn finding(severity: Severity, gate: Gate, words: [&str; 4], age_seconds: u64) -> Finding {
    let [check, subject, summary, evidence] = words.map(str::to_owned);
    Finding {
        check,
        subject,
        severity,
        gate,
        summary,
        evidence,
        since_unix_seconds: NOW - age_seconds,
        acknowledged: None,
    }
}

/// A sick node, worst first.
pub(crate) fn sick() -> Health {
    let mut findings = vec![
        finding(
            Severity::Crit,
            Gate::Blocks,
            [
                "filesystem.space",
                "/var/lib/vz",
                "/var/lib/vz has 2.1 % free",
                "less than 3 % is free; see what grew: du -xh --max-depth=2 /var/lib/vz | sort -h | tail",
            ],
            720,
        ),
        finding(
            Severity::Unknown,
            Gate::Blocks,
            [
                "disk.smart",
                "sda S3Z9NB0K123456789",
                "sda S3Z9NB0K123456789 does not tell its health",
                "the helper does not answer: connecting to /run/hardstand/helper.sock: no such file; see: systemctl status hardstand-helper.socket",
            ],
            7200,
        ),
        finding(
            Severity::Warn,
            Gate::None,
            [
                "packages.security",
                "apt",
                "3 security updates for 9 days",
                "pending for longer than 7 days: apt upgrade",
            ],
            777_600,
        ),
        finding(
            Severity::Info,
            Gate::Warns,
            ["kernel.reboot", "linux", "reboot due: 6.12.48 runs, 6.12.57 installed", ""],
            40,
        ),
    ];
    for subject in ["/", "/boot", "/boot/efi"] {
        findings.push(finding(Severity::Ok, Gate::None, ["filesystem.space", subject, "61 % free", ""], 86_400));
    }
    let mut seen = observed();
    seen.smart = Sample::never("the helper does not answer");
    seen.clock.reading = Reading::unknown("adjtimex hangs");
    seen.clock.kept = observed().clock.reading.known().cloned();
    seen.clock.age_seconds = 125.0;
    Health {
        node: "pve1".into(),
        verdict: Severity::Crit,
        findings,
        collectors: seen.collectors(),
        services: services(),
        errors: Vec::new(),
    }
}

/// A healthy one.
pub(crate) fn healthy() -> Health {
    let mut findings =
        vec![finding(Severity::Info, Gate::None, ["packages.pending", "apt", "7 updates pending", ""], 3600)];
    for subject in ["/", "/boot"] {
        findings.push(finding(Severity::Ok, Gate::None, ["filesystem.space", subject, "61 % free", ""], 86_400));
    }
    Health {
        node: "pve1".into(),
        verdict: Severity::Info,
        findings,
        collectors: observed().collectors(),
        services: services(),
        errors: Vec::new(),
    }
}

pub(crate) fn disk(name: &str, serial: &str) -> Disk {
    Disk {
        id: DiskId { wwn: Some("eui.0025388b01d0f7c4".into()), serial: Some(serial.into()), name: name.into() },
        model: Some("Samsung SSD 980 PRO 1TB".into()),
        vendor: None,
        firmware: Some("5B2QGXA7".into()),
        size_bytes: 1_000_204_886_016,
        transport: Transport::Nvme,
        rotational: false,
        removable: false,
        read_only: false,
        device_state: Some("live".into()),
        io_errors: Some(0),
        io: [100, 2048, 50, 4096, 1500],
    }
}

fn inventory() -> Inventory {
    Inventory {
        machine_id: Some("0123456789abcdef0123456789abcdef".into()),
        operating_system: "Debian GNU/Linux 13 (trixie)".into(),
        cpu: CpuInfo {
            model: "AMD Ryzen 7 PRO 5750GE".into(),
            vendor: "AuthenticAMD".into(),
            sockets: 1,
            cores: 8,
            threads: 16,
            microcode: vec!["0xa50000f".into()],
        },
        memory_bytes: 67_299_049_472,
        dimms: Reading::unknown("only root may read /sys/firmware/dmi/tables/DMI, and the helper does not answer"),
        dmi: Dmi {
            sys_vendor: Some("LENOVO".into()),
            product_name: Some("11JKS0QP00".into()),
            bios_vendor: Some("LENOVO".into()),
            bios_version: Some("M47KT2EA".into()),
            bios_date: Some("05/23/2024".into()),
            board_name: Some("32E5 \"rev\\2\"".into()),
            ..Dmi::default()
        },
        firmware: FirmwareType::Uefi,
        secure_boot: Reading::Known(false),
        boot_entries: Reading::Known(Vec::new()),
        tpm: None,
        virtualisation: None,
        nics: vec![NicInfo {
            name: "eno1".into(),
            mac: "88:ae:dd:01:02:03".into(),
            driver: Some("igc".into()),
            bus: Some("0000:02:00.0".into()),
            pci_id: Some("8086:15f3".into()),
            speed_bytes_per_second: Some(312_500_000),
        }],
        disks: vec![disk("nvme0n1", "S5GXNX0T123456A")],
    }
}

/// A whole pass with something in every room.
pub(crate) fn observed() -> Observed {
    let at = Moment { boottime_seconds: 93_784.5, unix_seconds: NOW };
    let times =
        CpuTimes { user: 10.5, nice: 0.0, system: 4.25, idle: 1000.0, iowait: 1.0, irq: 0.0, softirq: 0.5, steal: 0.0 };
    let line = PressureLine { avg: [0.0, 0.1, 0.2], total_seconds: 12.5 };
    Observed {
        at,
        node: "pve1".into(),
        role: Role::Proxmox,
        inventory: Sample::fresh(inventory(), 0.01),
        cpu: Sample::fresh(
            Cpu {
                times: vec![(0, times), (1, times)],
                load: [0.5, 0.25, 0.1],
                package_throttles: vec![(0, 3)],
                context_switches: 1000,
                interrupts: 2000,
                forks: 300,
                procs_running: 2,
                procs_blocked: 0,
                vulnerabilities: vec![
                    ("meltdown".into(), "Not affected".into()),
                    ("spectre_v2".into(), "Mitigation: Retpolines; IBPB: conditional".into()),
                    ("retbleed".into(), "Vulnerable".into()),
                ],
            },
            0.001,
        ),
        memory: Sample::fresh(
            Memory {
                fields: vec![
                    ("MemTotal".into(), 67_299_049_472),
                    ("MemAvailable".into(), 40_000_000_000),
                    ("Active(anon)".into(), 4096),
                    ("HugePages_Total".into(), 0),
                ],
                oom_kills: 1,
                dimm_errors: vec![("mc0".into(), "dimm0".into(), "DIMM_A1".into(), 2, 0)],
                bad_pages: vec![(0, "recovered".into(), 1), (0, "total".into(), 1)],
            },
            0.001,
        ),
        pressure: Sample::fresh(
            Pressure {
                cpu_some: Some(line),
                io_some: Some(line),
                io_full: Some(line),
                memory_some: Some(line),
                memory_full: None,
            },
            0.001,
        ),
        sensors: Sample::fresh(
            vec![Sensor {
                chip: "k10temp".into(),
                sensor: "temp1".into(),
                label: Some("Tctl".into()),
                kind: SensorKind::Temperature,
                value: 48.5,
                max: Some(95.0),
                critical: None,
                alarm: false,
            }],
            0.001,
        ),
        pci: Sample::fresh(vec![pci_device()], 0.002),
        hardware_errors: Sample::fresh(HardwareErrors::default(), 0.02),
        ipmi: Sample::fresh(Some(board()), 1.2),
        watchdogs: Sample::fresh(vec![watchdog()], 0.001),
        filesystems: Sample::fresh(filesystems(), 0.002),
        nics: Sample::fresh(vec![nic("eno1", true), nic("vmbr0", false)], 0.001),
        zpool: Sample::fresh(Some(zpool()), 0.02),
        zfs: Sample::fresh(Some(vec![ZfsPool { name: "tank".into(), state: Some("ONLINE".into()) }]), 0.001),
        iscsi: Sample::fresh(Some(initiator()), 0.001),
        iscsi_target: Sample::fresh(Some(vec![target()]), 0.001),
        multipath: Sample::fresh(Some(vec![map()]), 0.001),
        md: Sample::fresh(vec![array()], 0.001),
        corosync: Sample::fresh(Some(cluster()), 0.01),
        ceph: Sample::fresh(Some(ceph_cluster()), 0.9),
        proxmox: Sample::fresh(Some(pve_node()), 0.3),
        kubernetes: Sample::fresh(Some(kubernetes_cluster()), 0.2),
        truenas: Sample::fresh(Some(nas()), 0.2),
        disks: Sample::fresh(vec![disk("nvme0n1", "S5GXNX0T123456A")], 0.001),
        smart: Sample::fresh([("S5GXNX0T123456A".to_owned(), smart())].into(), 0.2),
        clock: Sample::fresh(
            Clock {
                synchronised: true,
                offset_seconds: -0.000_012,
                max_error_seconds: 0.002,
                estimated_error_seconds: 0.0,
                frequency_ratio: 1.000_01,
                source: Some("chrony.service".into()),
            },
            0.001,
        ),
        units: Sample::fresh(units(), 0.01),
        kernel: Sample::fresh(kernel(), 0.001),
        packages: Sample::fresh(packages(), 0.3),
        services: Sample::fresh(vec![("wiki".to_owned(), Sample::fresh(answer(), 0.034))], 0.034),
        certificates: Sample::fresh(
            vec![("/etc/pve/local/pve-ssl.pem".to_owned(), Sample::fresh(NOW + 86_400 * 300, 0.001))],
            0.001,
        ),
        backups: Sample::fresh(
            vec![
                ("photos".to_owned(), Sample::fresh(BackupSeen { newest: Some(copy()), count: 31 }, 0.2)),
                ("wiki".to_owned(), Sample::fresh(BackupSeen::default(), 0.001)),
            ],
            0.2,
        ),
    }
}

fn pci_device() -> PciDevice {
    let counts = AerCounts { total: 3, kinds: vec![("BadDLLP".into(), 3)] };
    PciDevice {
        address: "0000:01:00.0".into(),
        id: "144d:a80a".into(),
        class: 0x01_0802,
        driver: Some("nvme".into()),
        link: Some(PciLink { width: 2, max_width: 4, megatransfers: 16_000, max_megatransfers: 16_000 }),
        errors: Some(PciErrors { correctable: counts, ..PciErrors::default() }),
    }
}

fn board() -> Ipmi {
    let sensor = |name: &str, kind: &str, reading, event: &str| IpmiSensor {
        name: name.into(),
        kind: kind.into(),
        state: if event == "Redundancy Lost" { IpmiState::Critical } else { IpmiState::Nominal },
        reading,
        unit: reading.map(|_| "C".into()),
        events: vec![event.into()],
    };
    let sensors = vec![
        sensor("CPU1 Temp", "Temperature", Some(45.0), "OK"),
        sensor("PS Redundancy", "Power Supply", None, "Redundancy Lost"),
    ];
    let log = IpmiLog { entries: 8, free_bytes: Some(15_872), ..IpmiLog::default() };
    Ipmi { told: Reading::Known(IpmiTold { sensors, log }) }
}

fn watchdog() -> Watchdog {
    Watchdog {
        name: "watchdog0".into(),
        identity: Some("iTCO_wdt".into()),
        state: Some("active".into()),
        timeout_seconds: Some(30),
        no_way_out: Some(false),
        boot_status: Some(0),
    }
}

fn answer() -> ServiceAnswer {
    ServiceAnswer {
        boottime_seconds: 93_780.0,
        failure: None,
        status: Some(200),
        latency_seconds: Some(0.034),
        not_after_unix_seconds: Some(NOW + 86_400 * 60),
    }
}

fn copy() -> BackupCopy {
    BackupCopy { name: "photos/2026-11-22.tar.zst".to_owned(), unix_seconds: NOW - 86_400 }
}

/// One that is up, and one of which little is known.
fn services() -> Vec<ServiceRow> {
    let window =
        |window: &str, ratio, coverage_ratio| ServiceWindow { window: window.to_owned(), ratio, coverage_ratio };
    vec![
        ServiceRow {
            name: "home-assistant".to_owned(),
            windows: vec![window("1h", None, 0.0), window("30d", Some(0.75), 0.125)],
            ..ServiceRow::default()
        },
        ServiceRow {
            name: "wiki".to_owned(),
            up: Some(true),
            latency_seconds: Some(0.034),
            slo_ratio: Some(0.995),
            windows: vec![
                window("1h", Some(1.0), 1.0),
                window("24h", Some(0.9996), 0.75),
                window("30d", Some(0.9912), 0.5),
            ],
        },
    ]
}

/// One of another machine's, with an alert and a replication that runs.
fn nas() -> TrueNas {
    let alert = NasAlert {
        uuid: "4f1e".into(),
        klass: "ZpoolCapacityWarning".into(),
        level: "WARNING".into(),
        text: "tank is 81 % full".into(),
        ..NasAlert::default()
    };
    let pool = |name: &str| NasPool {
        name: name.into(),
        status: Some("ONLINE".into()),
        healthy: Some(true),
        warning: Some(false),
        ..NasPool::default()
    };
    let replication = |name: &str, state: &str| NasTask {
        name: name.into(),
        state: Some(state.into()),
        since_unix_seconds: Some(NOW - 3600),
        age_seconds: Some(3600.0),
        ..NasTask::default()
    };
    let job = NasJob { id: 7, method: "replication.run".into(), state: "RUNNING".into(), ..NasJob::default() };
    TrueNas {
        is_local: false,
        api: "v25.10.0".into(),
        version: Reading::Known("25.10.1".into()),
        state: Reading::Known("READY".into()),
        pools: Reading::Known(vec![pool("tank")]),
        boot_pool: Reading::Known(pool("boot-pool")),
        alerts: Reading::Known(vec![alert.clone(), NasAlert { dismissed: true, ..alert }]),
        sessions: Reading::Known(Vec::new()),
        replications: Reading::Known(vec![replication("vm", "RUNNING"), replication("home", "FINISHED")]),
        snapshot_tasks: Reading::Known(Vec::new()),
        jobs: Reading::Known(vec![job]),
        environments: Reading::Known(Vec::new()),
        reboot_reasons: Reading::Known(Vec::new()),
        update: Some(Reading::Known(NasUpdate { code: "NORMAL".into(), ..NasUpdate::default() })),
        snapshots: Some(Reading::Known(1234)),
        asked_before_seconds: 600.0,
    }
}

fn ceph_cluster() -> CephCluster {
    let text = |text: &str| Some(text.to_owned());
    let check = CephCheck {
        name: "OSD_DOWN".into(),
        severity: text("HEALTH_WARN"),
        message: text("1 osds down"),
        ..CephCheck::default()
    };
    let osd = |id: i64, status: &str| CephOsd {
        id,
        name: format!("osd.{id}"),
        device_class: text("ssd"),
        status: text(status),
        exists: Some(true),
        crush_weight: Some(1.0),
        reweight: Some(1.0),
    };
    CephCluster {
        status: CephStatus {
            fsid: text("c1"),
            health: CephHealth { status: text("HEALTH_WARN"), checks: Some(vec![check]), ..CephHealth::default() },
            mons: CephMons { total: Some(3), in_quorum: Some(vec!["a".into(), "b".into()]), ..CephMons::default() },
            pgs: CephPgs {
                total: Some(9),
                states: Some(vec![CephPgState { state: "active+undersized+degraded".into(), count: 9 }]),
                used_bytes: Some(4096),
                total_bytes: Some(1 << 30),
                ..CephPgs::default()
            },
            ..CephStatus::default()
        },
        local: vec!["mon.a".into(), "osd.0".into()],
        strangers: Vec::new(),
        mons_on: Vec::new(),
        tree: CephOsdTree { osds: vec![osd(0, "up"), osd(1, "down")], ..CephOsdTree::default() },
        stops: vec![CephStop {
            daemons: vec!["osd.0".into()],
            answer: Reading::unknown("no manager is available to answer"),
        }],
        asked_before_seconds: 12.5,
    }
}

fn pve_node() -> PveNode {
    let text = |text: &str| Some(text.to_owned());
    let row = |kind: &str, id: &str, status: &str| PveResource {
        kind: text(kind),
        id: text(id),
        node: text("pve1"),
        status: text(status),
        ..PveResource::default()
    };
    let guest = |id: &str, name: &str| PveResource { name: text(name), ..row("qemu", id, "running") };
    let storage = |name: &str, active| PveStorage {
        name: name.into(),
        kind: text("nfs"),
        active: Some(active),
        enabled: Some(true),
        shared: Some(true),
    };
    PveNode {
        name: "pve1".into(),
        resources: PveResources {
            resources: vec![
                PveResource { ha_state: text("online"), ..row("node", "node/pve1", "online") },
                PveResource { ha_state: text("started"), ..guest("qemu/100", "wiki") },
                guest("qemu/101", "scratch"),
            ],
        },
        ha: Reading::Known(PveHa {
            tells_end: true,
            entries: vec![PveHaEntry {
                kind: text("quorum"),
                state: text("OK"),
                quorate: Some(true),
                ..PveHaEntry::default()
            }],
        }),
        tasks: Reading::Known(vec![PveTask {
            upid: "UPID:pve1:0003A1B2:0123ABCD:66F0A1B2:qmigrate:100:root@pam:".into(),
            kind: "qmigrate".into(),
            id: "100".into(),
            user: "root@pam".into(),
            start_unix_seconds: Some(NOW - 60),
            ..PveTask::default()
        }]),
        storages: Reading::Known(vec![storage("nas", true), storage("old-nas", false)]),
        replication: Reading::Known(vec![PveReplication {
            id: "100-0".into(),
            guest: Some(100),
            target: text("pve2"),
            last_sync_unix_seconds: Some(NOW - 900),
            fail_count: Some(0),
            ..PveReplication::default()
        }]),
        uncovered: Reading::Known(vec![PveUncovered { vmid: 101, kind: text("qemu"), name: text("scratch") }]),
        backups: Reading::Known(PveBackups {
            last_unix_seconds: [(100, NOW - 7_200)].into(),
            since_unix_seconds: NOW - 2_678_400,
            ..PveBackups::default()
        }),
        configs: [
            (
                "qemu/100".to_owned(),
                Reading::Known(PveGuestConfig { storages: vec!["nas".into()], ..PveGuestConfig::default() }),
            ),
            ("qemu/101".to_owned(), Reading::Known(PveGuestConfig::default())),
        ]
        .into(),
        asked_before_seconds: 42.0,
    }
}

fn kubernetes_cluster() -> KubernetesCluster {
    let condition = |kind: &str, status: &str| KubeCondition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        ..KubeCondition::default()
    };
    let node = |name: &str, ready: &str| KubeNode {
        name: name.to_owned(),
        unschedulable: ready != "True",
        conditions: vec![condition("Ready", ready)],
        ..KubeNode::default()
    };
    let flux = |name: &str, ready: &str| FluxObject {
        name: name.to_owned(),
        suspended: ready == "Unknown",
        ready: Some(condition("Ready", ready)),
        ..FluxObject::default()
    };
    let budget = KubeBudget {
        namespace: "home".into(),
        name: "wiki".into(),
        allowed: Some(0),
        healthy: Some(1),
        desired: Some(1),
        expected: Some(1),
        ..KubeBudget::default()
    };
    let server = |endpoint: &str, fault: Option<&str>| KubeServer {
        endpoint: endpoint.to_owned(),
        fault: fault.map(str::to_owned),
    };
    KubernetesCluster {
        servers: vec![server("https://k1:6443", Some("no answer within 3 s")), server("https://k2:6443", None)],
        asked: "https://k2:6443".into(),
        certificate_until_unix_seconds: None,
        nodes: vec![node("k1", "Unknown"), node("k2", "True"), node("k3", "True")],
        budgets: Reading::Known(vec![budget]),
        pods: Reading::Known(vec![KubePod::default()]),
        local_claims: Reading::Known(Vec::new()),
        kustomizations: Reading::Known(Some(vec![flux("apps", "True"), flux("infra", "False")])),
        helm_releases: Reading::Known(Some(vec![flux("wiki", "Unknown")])),
    }
}

fn initiator() -> IscsiSessions {
    let text = |text: &str| Some(text.to_owned());
    let disk = IscsiDevice { address: "5:0:0:1".into(), lun: 1, disk: text("sdb"), state: text("running") };
    IscsiSessions {
        tells_devices: true,
        sessions: vec![IscsiSession {
            sid: Some(3),
            target: "iqn.2020-01.lab:one".into(),
            portal: text("192.0.2.1:3260,1"),
            connection_state: text("up"),
            session_state: text("LOGGED_IN"),
            devices: Some(vec![disk]),
            ..IscsiSession::default()
        }],
        ..IscsiSessions::default()
    }
}

/// A target with two sessions of one initiator.
fn target() -> IscsiTarget {
    let session = TargetSession { initiator: "iqn.2020-01.lab:pve2".into(), ..TargetSession::default() };
    IscsiTarget {
        name: "iqn.2020-01.lab:two".into(),
        enabled: Some(true),
        sessions: vec![session.clone(), session],
        units: Vec::new(),
    }
}

/// Two nodes and a device that casts no vote; one of two links is down.
fn cluster() -> Corosync {
    let member = |node_id, votes| QuorumMember {
        node_id,
        votes,
        qdevice: Vec::new(),
        name: format!("192.0.2.{node_id}"),
        local: node_id == 1,
    };
    let quorum = Quorum {
        quorate: Some(true),
        expected_votes: Some(3),
        total_votes: Some(2),
        quorum_votes: Some(2),
        has_qdevice: true,
        qdevice_votes: Some(0),
        members: vec![member(1, 1), member(2, 1), member(0, 0)],
        ..Quorum::default()
    };
    let link = |link, state: &str| CorosyncLink { node_id: 2, link, state: state.into() };
    let links = Reading::Known(vec![link(0, "connected"), link(1, "disconnected")]);
    let device = Some(CorosyncDevice::default());
    Corosync { quorum, links, config: Some(CorosyncConfig { device, ..CorosyncConfig::default() }) }
}

/// An array that has lost one of its two devices.
fn array() -> MdArray {
    MdArray {
        name: "md0".into(),
        level: Some("raid1".into()),
        state: Some("active".into()),
        raid_disks: Some(2),
        degraded: Some(1),
        action: Some("recover".into()),
        progress: Some(0.25),
        devices: vec![("sda1".into(), Some("in_sync".into())), ("sdb1".into(), Some("faulty".into()))],
    }
}

/// A map of two paths, one of which has failed.
fn map() -> MultipathMap {
    let path = |device: &str, dm: &str| MultipathPath {
        device: Some(device.into()),
        dm_state: Some(dm.into()),
        ..MultipathPath::default()
    };
    let paths = vec![path("sdb", "active"), path("sdc", "failed")];
    let group = PathGroup { paths, ..PathGroup::default() };
    MultipathMap { name: "mpatha".into(), whole: true, groups: vec![group], ..MultipathMap::default() }.counted()
}

/// A mirror half of which is being filled.
fn zpool() -> ZpoolReport {
    let device = |name: &str, depth, has_children, checksum| Vdev {
        name: name.into(),
        guid: Some(4_711),
        depth,
        has_children,
        state: Some("ONLINE".into()),
        read_errors: Some(0),
        write_errors: Some(0),
        checksum_errors: Some(checksum),
        ..Vdev::default()
    };
    let scan = PoolScan {
        kind: ScanKind::Resilver,
        state: ScanState::Running,
        progress: Some(0.25),
        ended_unix_seconds: None,
        errors: Some(0),
    };
    let pool = PoolStatus {
        name: "tank".into(),
        state: Some("ONLINE".into()),
        scan: Some(scan),
        data_errors: Some(0),
        whole: true,
        devices: vec![device("tank", 0, true, 0), device("mirror-0", 1, true, 0), device("sdc", 2, false, 3)],
        ..PoolStatus::default()
    };
    let space = PoolSpace {
        name: "tank".into(),
        size_bytes: Some(4_000_000_000_000),
        allocated_bytes: Some(1_000_000_000_000),
        free_bytes: Some(3_000_000_000_000),
        fragmentation_percent: Some(7),
        ..PoolSpace::default()
    };
    ZpoolReport { pools: vec![pool], space: vec![space] }
}

fn smart() -> Smart {
    Smart {
        power: PowerState::Active,
        detail: Reading::Known(SmartDetail {
            passed: Some(true),
            temperature_celsius: Some(41.0),
            power_on_hours: Some(12_345),
            error_log_count: Some(0),
            ata: None,
            nvme: Some(NvmeSmart {
                critical_warning: 0,
                available_spare_percent: 100,
                available_spare_threshold_percent: 10,
                percentage_used: 4,
                media_errors: 0,
                unsafe_shutdowns: 17,
            }),
            scsi: None,
        }),
    }
}

fn filesystems() -> Vec<Filesystem> {
    let space = |size_gib: u64, free_gib: u64| Space {
        size_bytes: size_gib << 30,
        free_bytes: free_gib << 30,
        available_bytes: free_gib << 30,
        inodes: 1_000_000,
        inodes_free: 900_000,
    };
    let row = |mount_point: &str, device: &str, space| Filesystem {
        mount_point: mount_point.into(),
        device: device.into(),
        kind: "ext4".into(),
        read_only: false,
        read_only_by_design: false,
        errors: Some(0),
        space,
        stuck: false,
    };
    vec![
        row("/", "/dev/mapper/pve-root", Reading::Known(space(94, 61))),
        row("/var/lib/vz", "/dev/mapper/pve-vz", Reading::Known(space(57, 1))),
        Filesystem { stuck: true, ..row("/mnt/a \"b\"\nc", "nas:/export", Reading::unknown("statvfs hangs")) },
    ]
}

fn nic(name: &str, physical: bool) -> Nic {
    Nic {
        name: name.into(),
        mac: "88:ae:dd:01:02:03".into(),
        physical,
        kind: (!physical).then(|| "bridge".to_owned()),
        admin_up: true,
        oper_state: OperState::Up,
        carrier: Some(true),
        carrier_changes: 2,
        speed_bytes_per_second: Some(312_500_000),
        mtu_bytes: 1500,
        master: physical.then(|| "vmbr0".to_owned()),
        bond_active_of: None,
        receive: [1_000_000, 1000, 1, 2],
        transmit: [2_000_000, 2000, 0, 0],
    }
}

fn units() -> Units {
    let unit = |name: &str, active: &str, sub: &str| Unit {
        name: name.into(),
        description: "A service".into(),
        load: "loaded".into(),
        active: active.into(),
        sub: sub.into(),
    };
    Units {
        system_state: "degraded".into(),
        version: "257.8-1~deb13u2".into(),
        failed: vec![unit("backup.service", "failed", "failed")],
        declared: vec![unit("corosync.service", "active", "running")],
    }
}

fn kernel() -> Kernel {
    let image = |release: &str| KernelImage {
        release: release.into(),
        path: format!("/boot/vmlinuz-{release}"),
        bootable: true,
    };
    Kernel {
        boot_id: "8f0ad1c5-2d57-4f1c-bb4a-b0a6c7c1c7ce".into(),
        release: "6.12.48+deb13-amd64".into(),
        version: "#1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1".into(),
        command_line: "BOOT_IMAGE=/vmlinuz root=/dev/mapper/pve-root ro quiet".into(),
        booted_unix_seconds: NOW - 93_784,
        installed: Reading::Known(vec![image("6.12.57+deb13-amd64"), image("6.12.48+deb13-amd64")]),
        reboot: Reading::Known(vec![RebootReason::NewerKernel {
            running: "6.12.48+deb13-amd64".into(),
            newest: "6.12.57+deb13-amd64".into(),
        }]),
    }
}

fn packages() -> Packages {
    let pending = |name: &str, origin: &str, security| PendingPackage {
        name: name.into(),
        arch: "amd64".into(),
        installed: "1.0-1".into(),
        candidate: "1.0-2".into(),
        origin: origin.into(),
        security,
        held: false,
    };
    Packages {
        installed: 812,
        half_configured: vec![HalfConfigured { name: "nginx".into(), state: "half-configured".into() }],
        held: vec!["pve-kernel".into()],
        pending: Reading::Known(vec![
            pending("openssl", "Debian/stable-security", true),
            pending("libssl3t64", "Debian/stable-security", true),
            pending("vim", "Debian/stable", false),
        ]),
        lists_refreshed_unix_seconds: Reading::Known(NOW - 7200),
        dpkg_interrupted: false,
    }
}
