//! Tests of the helper over a real socket, on a captured machine, with a stand-in for smartctl that prints what the real
//! one printed.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use hardstand_core::observed::{Disk, PowerState, ZfsPool};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::client::AskError;
use super::serve::Server;
use super::verbs::Verbs;
use super::wire::{self, Verb};
use super::*;
use crate::host::captured::{Captured, Q35};
use crate::host::{disks, smart, zfs};

/// Longest any of these tests may wait for the helper.
const SOON: Duration = Duration::from_secs(20);
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/smartctl");

/// A helper that serves a captured machine on a socket of its own.
struct Helper {
    tree: Captured,
    dir: TempDir,
    served: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Helper {
    fn start(allowed: Vec<u32>, idle: Option<Duration>) -> Self {
        let dir = TempDir::new().unwrap();
        let tree = Captured::unpack(Q35);
        let listener = UnixListener::bind(dir.path().join("helper.sock")).unwrap();
        smartctl(&dir);
        let verbs = Verbs::captured(tree.host(), dir.path().to_owned());
        let served = tokio::spawn(Server { verbs, allowed, idle }.serve(listener));
        Self { tree, dir, served }
    }

    fn for_us() -> Self {
        Self::start(vec![nix::unistd::geteuid().as_raw()], None)
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("helper.sock")
    }

    fn client(&self) -> Client {
        Client::new(self.socket())
    }

    fn disks(&self) -> Vec<Disk> {
        disks::probe_disks(&self.tree.host()).unwrap()
    }

    /// Sends bytes as they are and returns the reply as it comes.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.socket()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut reply = String::new();
        tokio::time::timeout(SOON, stream.read_to_string(&mut reply)).await.unwrap().unwrap();
        reply
    }
}

/// Prints the captured answer for the disk that is asked for; checks that it was asked as it should be.
fn smartctl(dir: &TempDir) {
    let script = format!(
        "#!/bin/sh\n\
         [ \"$*\" = \"--json=c --nocheck=standby --info --health --attributes --log=error --log=ssd $8\" ] || exit 99\n\
         case $8 in\n\
         /dev/sda|/dev/sdb) cat {FIXTURES}/qemu-ide-hd.json; exit 4;;\n\
         /dev/sdc) cat {FIXTURES}/qemu-scsi-hd.json;;\n\
         /dev/sdd) cat {FIXTURES}/qemu-usb-storage.json; exit 1;;\n\
         /dev/nvme0n1) cat {FIXTURES}/qemu-nvme.json;;\n\
         *) echo \"asked for $8\" >&2; exit 99;;\n\
         esac\n"
    );
    program(dir, "smartctl", &script);
}

fn program(dir: &TempDir, name: &str, script: &str) {
    let path = dir.path().join(name);
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn every_disk_is_asked_and_those_without_smart_are_absent() {
    let helper = Helper::for_us();
    let smart = smart::probe_smart(&helper.disks(), &helper.client()).await.unwrap();
    let keys: Vec<_> = smart.keys().map(String::as_str).collect();
    assert_eq!(keys, ["NVME-0001", "SATA-0001", "SATA-0002"]);
    assert!(smart.values().all(|one| one.power == PowerState::Active && one.detail.known().is_some()));
}

#[tokio::test]
async fn a_suspended_disk_is_not_touched_and_a_failing_query_spoils_no_other() {
    let helper = Helper::for_us();
    let disk = "sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0";
    helper.tree.write(&format!("{disk}/power/runtime_status"), b"suspended\n");
    let disks = helper.disks();
    std::fs::write(helper.dir.path().join("smartctl"), "#!/bin/sh\necho broken >&2; exit 3\n").unwrap();
    helper.tree.remove("sys/block/sda");
    let smart = smart::probe_smart(&disks, &helper.client()).await.unwrap();
    assert_eq!(smart["SATA-0001"].power, PowerState::Standby);
    let gone = "smart was refused: there is no disk sda in /sys/block";
    assert_eq!(smart["SATA-0002"].detail.why(), Some(gone));
    let broken = "smart failed: smartctl ended with exit status 3 and no output: broken";
    assert_eq!(smart["NVME-0001"].detail.why(), Some(broken));
}

/// A `zpool` of OpenZFS 2.2 that tells of one pool.
const OLD_ZPOOL: &str = "#!/bin/sh
case $* in
'status -j --json-int') echo \"invalid option 'j'\" >&2; echo usage: >&2; exit 2;;
'status -p') printf '  pool: lake\\n state: ONLINE\\nconfig:\\n\\n\\tNAME  STATE  READ WRITE CKSUM\\n\\tlake  ONLINE 0 0 0\\n'
    printf '\\t  sda  ONLINE 0 0 0\\n\\nerrors: No known data errors\\n'; [ \"$TZ\" = UTC ] || exit 1;;
'list -Hp') printf 'lake\\t9\\t3\\t6\\t-\\t-\\t7\\t33\\t1.00\\tONLINE\\t-\\n';;
*) exit 99;;
esac
";

#[tokio::test]
async fn pools_are_asked_for_only_where_there_are_some_and_also_of_an_old_zpool() {
    let helper = Helper::for_us();
    let client = helper.client();
    let ask = async |pools: &Option<Vec<ZfsPool>>| zfs::probe_report(pools, &client).await;
    assert_eq!(ask(&None).await.unwrap(), None);
    assert_eq!(ask(&Some(Vec::new())).await.unwrap(), None);
    let there = Some(vec![ZfsPool { name: "lake".to_owned(), state: Some("ONLINE".to_owned()) }]);
    let missing = ask(&there).await.unwrap_err().to_string();
    assert_eq!(missing, "asking the helper: zpool is not installed; install zfsutils-linux");
    program(&helper.dir, "zpool", OLD_ZPOOL);
    let report = ask(&there).await.unwrap().unwrap();
    assert_eq!((report.pools[0].whole, report.pools[0].devices.len()), (true, 2));
    assert_eq!(report.space[0].capacity_percent, Some(33));
    program(&helper.dir, "zpool", "#!/bin/sh\necho no pool will do >&2\nexit 1\n");
    let failed = ask(&there).await.unwrap_err().to_string();
    assert_eq!(failed, "asking the helper: zpool failed: zpool status ended with exit status 1: no pool will do");
}

#[tokio::test]
async fn no_second_zpool_is_started_while_one_hangs_in_the_kernel() {
    let helper = Helper::for_us();
    program(&helper.dir, "zpool", OLD_ZPOOL);
    helper.tree.write("proc/self/cgroup", b"0::/system.slice/hardstand-helper.service\n");
    helper.tree.write("sys/fs/cgroup/system.slice/hardstand-helper.service/cgroup.procs", b"40\n41\n42\n");
    for (pid, stat) in [(40, "40 (hardstand) D 1 40"), (41, "41 (zpool) S 40 40"), (42, "42 (zpool) D 40 40")] {
        helper.tree.write(&format!("proc/{pid}/stat"), stat.as_bytes());
    }
    let why = helper.client().zpool().await.unwrap_err().to_string();
    assert!(why.contains("zpool (process 42) has hung in the kernel"), "{why}");
    helper.tree.write("proc/42/stat", b"42 (zpool) Z 40 40");
    helper.client().zpool().await.unwrap();
}

#[tokio::test]
async fn boot_entries_memory_slots_and_serials_are_read() {
    let helper = Helper::for_us();
    let client = helper.client();
    assert_eq!(client.boot_entries().await.unwrap()[0].description, "UiApp");
    assert_eq!(client.dimms().await.unwrap()[0].serial.as_deref(), Some("DIMM-77"));
    assert_eq!(client.dmi_serials().await.unwrap().product_serial.as_deref(), Some("SYS-0042"));
    helper.tree.remove("sys/firmware/dmi");
    let error = helper.tree.plain(client.dimms().await.unwrap_err());
    let expected =
        "asking the helper: dimms failed: reading /sys/firmware/dmi/tables/DMI: No such file or directory (os error 2)";
    assert_eq!(error, expected);
}

#[tokio::test]
async fn an_absent_helper_says_how_to_start_it() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("helper.sock");
    let error = Client::new(&socket).dimms().await.unwrap_err().to_string();
    let expected = format!(
        "asking the helper: no helper at {}; start it with: systemctl start hardstand-helper.socket, or run as root with --local",
        socket.display()
    );
    assert_eq!(error, expected);
    let tree = Captured::unpack(Q35);
    let disks = disks::probe_disks(&tree.host()).unwrap();
    let error = smart::probe_smart(&disks, &Client::new(&socket)).await.unwrap_err();
    assert_eq!(error.to_string(), expected);
    // With no disk that could be asked there is nothing to miss.
    assert!(smart::probe_smart(&[], &Client::new(&socket)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_stranger_is_refused() {
    let helper = Helper::start(vec![4_000_000_000], None);
    let uid = nix::unistd::geteuid();
    let disk = DiskName::try_from("sda".to_owned()).unwrap();
    let error = helper.client().smart(disk).await.unwrap_err();
    let why = format!("uid {uid} is not served; only root and the user hardstand are");
    assert_eq!(error, AskError::Refused { verb: "smart", why });
}

#[tokio::test]
async fn what_is_not_a_request_is_refused_with_the_reason() {
    let helper = Helper::for_us();
    let refused = |why: &str| format!("{{\"version\":1,\"outcome\":{{\"refused\":{{\"why\":{why:?}}}}}}}\n");
    let verbs = "expected one of `smart`, `boot_entries`, `dimms`, `dmi_serials`, `zpool`, `kernel_log`, \
                 `ipmi`, `ipmi_events`, `refresh`, `plan`, `attempts`, `open`, \
                 `stage`, `apply`, `run_state`, `package_state`, `drain`, `restore`, `drained`, `hook`, `hook_lines`, \
                 `reboot`";
    let disk = "is not the name of a disk (sda, nvme0n1)";
    for (request, why) in [
        ("", "the request has no end of line".to_owned()),
        ("{}", "the request has no end of line".to_owned()),
        ("x\n", "the request cannot be read: expected value at line 1 column 1".to_owned()),
        ("{\"version\":1}\n", "the request cannot be read: missing field `verb` at line 1 column 13".to_owned()),
        (
            "{\"version\":2,\"verb\":{\"later\":{}}}\n",
            "version 2 was asked, 1 is spoken here; install agent and helper of one release".to_owned(),
        ),
        (
            "{\"version\":1,\"verb\":{\"dimms\":{}},\"as\":\"root\"}\n",
            "the request cannot be read: unknown field `as`, expected `version` or `verb` at line 1 column 37"
                .to_owned(),
        ),
        (
            "{\"version\":1,\"verb\":{\"wipe\":{}}}\n",
            format!("the verb cannot be read: unknown variant `wipe`, {verbs}"),
        ),
        (
            "{\"version\":1,\"verb\":{\"smart\":{\"disk\":\"sda\",\"args\":\"-s off\"}}}\n",
            "the verb cannot be read: unknown field `args`, expected `disk`".to_owned(),
        ),
        (
            "{\"version\":1,\"verb\":{\"dimms\":{\"path\":\"/etc/shadow\"}}}\n",
            "the verb cannot be read: unknown field `path`, there are no fields".to_owned(),
        ),
        (
            "{\"version\":1,\"verb\":{\"smart\":{\"disk\":\"../sda\"}}}\n",
            format!("the verb cannot be read: \"../sda\" {disk}"),
        ),
        (
            "{\"version\":1,\"verb\":{\"smart\":{\"disk\":\"vda\"}}}\n",
            format!("the verb cannot be read: \"vda\" {disk}"),
        ),
        ("{\"version\":1,\"verb\":{\"smart\":{\"disk\":\"sdz\"}}}\n", "there is no disk sdz in /sys/block".to_owned()),
    ] {
        assert_eq!(helper.send(request.as_bytes()).await, refused(&why), "{request}");
    }
    let long = vec![b' '; wire::REQUEST_LIMIT];
    assert_eq!(helper.send(&long).await, refused("the request is longer than 4096 bytes"));
}

#[tokio::test]
async fn a_missing_smartctl_is_said_once_for_all() {
    let tree = Captured::unpack(Q35);
    let disks = disks::probe_disks(&tree.host()).unwrap();
    let client = captured_client(tree.host(), PathBuf::from("/nonexistent"));
    let error = smart::probe_smart(&disks, &client).await.unwrap_err();
    assert_eq!(error.to_string(), "asking the helper: smartctl is not installed; install smartmontools");
}

#[tokio::test]
async fn a_smartctl_that_cannot_be_started_says_why() {
    let tree = Captured::unpack(Q35);
    std::fs::write(tree.path("smartctl"), "").unwrap();
    let client = captured_client(tree.host(), tree.path(""));
    let disk = DiskName::try_from("sda".to_owned()).unwrap();
    let error = client.smart(disk).await.unwrap_err();
    let program = tree.path("smartctl");
    let expected = format!("smart failed: starting {}: Permission denied (os error 13)", program.display());
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn an_idle_helper_ends_by_itself_and_a_served_one_first_replies() {
    let helper = Helper::start(vec![nix::unistd::geteuid().as_raw()], Some(Duration::from_millis(50)));
    assert!(!helper.client().dimms().await.unwrap().is_empty());
    tokio::time::timeout(SOON, helper.served).await.expect("it ends when idle").unwrap().unwrap();
}

#[tokio::test]
async fn a_hung_helper_is_given_up_after_the_limit() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("helper.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let client = Client::new(&socket);
    let asked = tokio::spawn(async move { client.dimms().await });
    // Let the request reach the listener before the clock is moved.
    tokio::task::yield_now().await;
    tokio::time::pause();
    let error = asked.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "asking the helper: no reply to dimms within 10 s");
}

#[tokio::test]
async fn many_requests_at_once_are_all_served() {
    let helper = Helper::for_us();
    let client = helper.client();
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let client = client.clone();
        asked.spawn(async move { client.dimms().await.unwrap().len() });
    }
    let mut served = 0;
    while let Some(slots) = tokio::time::timeout(SOON, asked.join_next()).await.expect("in time") {
        served += slots.unwrap();
    }
    assert_eq!(served, 200);
}

#[tokio::test]
async fn a_silent_peer_delays_nobody_and_garbage_is_always_refused() {
    let helper = Helper::for_us();
    let _silent = UnixStream::connect(helper.socket()).await.unwrap();
    assert!(!helper.client().dimms().await.unwrap().is_empty());
    let whole = wire::write_request(&Verb::Dimms {});
    for at in 0..whole.len() - 1 {
        // Each byte of a good request turned into another one: refused, or (in a blank or a name) still understood.
        let mut bytes = whole.clone();
        bytes[at] ^= 0x15;
        let reply = helper.send(&bytes).await;
        assert!(reply.starts_with("{\"version\":1,\"outcome\":{\"refused\":"), "{at}: {reply}");
    }
}

#[test]
fn names_of_disks_are_taken_and_nothing_else() {
    for name in ["sda", "sdzz", "nvme0n1", "nvme12n34"] {
        assert_eq!(DiskName::try_from(name.to_owned()).unwrap().as_str(), name);
    }
    for name in
        ["", "sd", "sda1", "sdA", "nvme", "nvme0", "nvme0n", "nvme0n1p1", "nvme0c0n1", "sd/../a", "sda\n", "vda"]
    {
        assert!(DiskName::try_from(name.to_owned()).is_err(), "{name:?}");
    }
}

#[test]
fn a_request_and_its_reply_survive_the_wire() {
    let disk = DiskName::try_from("nvme0n1".to_owned()).unwrap();
    for verb in [Verb::Smart { disk }, Verb::BootEntries {}, Verb::Dimms {}, Verb::DmiSerials {}] {
        assert_eq!(wire::read_request(&wire::write_request(&verb)), Ok(verb));
    }
    let other = b"{\"version\":7,\"outcome\":{\"refused\":{\"why\":\"\"}}}\n";
    assert_eq!(wire::read_reply(other), Err("it replied in version 7, 1 is spoken here".to_owned()));
}

#[test]
fn the_rules_know_a_run_of_ours_by_its_name() {
    use crate::helper::Deed;
    for step in [Deed::Stage, Deed::Patch, Deed::Reboot] {
        let unit = format!("hardstand-{}-0badcafe-7-12345678.service", step.word());
        assert!(hardstand_core::step::is_own_run(&unit), "{unit}");
    }
    assert!(!hardstand_core::step::is_own_run("hardstand-agent.service"));
}
