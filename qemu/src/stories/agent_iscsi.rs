//! `agent-iscsi`: one machine serves a disk over iSCSI, another one uses it over two paths with multipath. A path is cut,
//! then the cable, then a session is ended on purpose; the agent says so each time, and when all is well again.

use anyhow::{Context as _, Result, ensure};

use crate::args::{Bus, Disk, Machine, Nic, Rom};
use crate::machine::{self, Running};
use crate::network::{guest_address, guest_mac};
use crate::scene::{SECOND_TAP, Scene, TAP};
use crate::stories::claims::{self, COMMAND_LIMIT, finds};
use crate::stories::iscsi;

const LUN_BYTES: u64 = 64 << 20;
/// Last numbers of the initiator's address, the target's, and the target's other one.
const NODE: u8 = 11;
const NAS: u8 = 12;
const NAS_OTHER: u8 = 32;
/// What is said of a session whose way is cut: FAILED while it is tried again, FREE when its time for that is over.
const CUT: &str = "connection failed";
/// The card's device, by the way to the harness.
const CARD: &str = "$(ip -o route get 10.77.0.1 | sed 's/.* dev \\([^ ]*\\) .*/\\1/')";

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let _network = scene.network(&[TAP, SECOND_TAP]).await?;
    let mut nas = machine(scene, "nas", NAS, SECOND_TAP).await?;
    nas.disks.push(scene.blank_disk("lun", LUN_BYTES)?);
    let mut nas = scene.power_on(nas).await?;
    let mut node = scene.power_on(machine(scene, "node", NODE, TAP).await?).await?;
    claims::comes_up(scene, &mut nas).await?;
    claims::comes_up(scene, &mut node).await?;
    serve(&nas).await.context("serving a disk")?;
    scene.say("nas serves a disk at two addresses");
    log_in(&node).await.context("logging in")?;
    well(scene, &node).await?;
    keep(scene, &node, "well").await?;
    served(scene, &nas).await?;
    weigh(scene, &node).await.context("with a pool beside it")?;
    one_path(scene, &nas, &node).await?;
    no_path(scene, &mut node).await?;
    ended(scene, &node).await?;
    no_daemon(scene, &node).await?;
    node.power_cut().await?;
    nas.power_off().await
}

async fn machine(scene: &Scene, name: &str, last: u8, tap: &str) -> Result<Machine> {
    let dir = scene.dir.join(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    let mut machine = scene.machine(name, machine::uefi(&dir)?);
    machine.cpus = 1;
    let file = dir.join("system.qcow2");
    let format = machine::overlay(&scene.artefact("lab-storage", "disk.img")?, &file).await?;
    let serial = format!("{name}-system");
    machine.disks = vec![Disk { serial, file, format, bus: Bus::Virtio, boot: Some(1), write_log: None }];
    machine.nics = vec![Nic { tap: tap.to_owned(), mac: guest_mac(last), rom: Rom::Empty, boot: None }];
    Ok(machine)
}

/// At two addresses, which are two paths.
async fn serve(nas: &Running) -> Result<()> {
    let other = format!("ip addr add {}/24 dev {CARD}", guest_address(NAS_OTHER));
    let disk = iscsi::serve("nas", "/dev/disk/by-id/virtio-lun");
    nas.guest().ok(&format!("{disk}\n{other}"), iscsi::LIMIT).await.map(drop)
}

/// A name, which no image has; both addresses, and one map over both disks that come of them.
async fn log_in(node: &Running) -> Result<()> {
    let script = format!(
        "set -e
printf 'defaults {{\\n find_multipaths no\\n user_friendly_names yes\\n polling_interval 2\\n}}\\nblacklist {{\\n devnode \"^vd\"\\n}}\\n' \
    > /etc/multipath.conf
systemctl restart multipathd
{initiate}
for address in {one} {other}; do iscsiadm -m discovery -t sendtargets -p $address; done
iscsiadm -m node -o update -n node.session.timeo.replacement_timeout -v 15
iscsiadm -m node --login",
        initiate = iscsi::initiate("node"),
        one = guest_address(NAS),
        other = guest_address(NAS_OTHER),
    );
    node.guest().ok(&script, iscsi::LIMIT).await.map(drop)
}

fn session(last: u8) -> String {
    format!("{} {}:3260,1", iscsi::target("nas"), guest_address(last))
}

async fn well(scene: &Scene, node: &Running) -> Result<()> {
    for last in [NAS, NAS_OTHER] {
        finds(scene, node, ("iscsi.session", &session(last), "ok"), "logged in").await?;
    }
    finds(scene, node, ("multipath.map", "mpatha", "ok"), "active").await?;
    finds(scene, node, ("multipath.paths", "mpatha", "ok"), "2 active").await
}

/// The target knows who is logged in, and that its unit has a disk behind it.
async fn served(scene: &Scene, nas: &Running) -> Result<()> {
    let target = iscsi::target("nas");
    finds(scene, nas, ("iscsi_target.target", &target, "ok"), "serves 0 /dev/disk/by-id/virtio-lun").await?;
    finds(scene, nas, ("iscsi_target.sessions", &target, "info"), "iqn.2026-11.lab:node in 2 sessions").await
}

/// What the agent takes while it watches a pool, two sessions and the map over them.
async fn weigh(scene: &Scene, node: &Running) -> Result<()> {
    let make = "modprobe zfs && truncate -s 128M /var/tmp/side && zpool create tank /var/tmp/side";
    node.guest().ok(make, iscsi::LIMIT).await.context("making a pool")?;
    finds(scene, node, ("zfs.pool", "tank", "ok"), "ONLINE").await?;
    let ask = "grep VmRSS /proc/$(systemctl show -P MainPID hardstand-agent)/status";
    let said = node.guest().ok(ask, COMMAND_LIMIT).await?;
    scene.say(&format!("the agent beside a pool, two sessions and a map: {}", said.trim()));
    Ok(())
}

/// Keeps what the systems' own tools say.
async fn keep(scene: &Scene, node: &Running, state: &str) -> Result<()> {
    for (kind, command) in [
        ("sessions.txt", "iscsiadm -m session -P 3"),
        ("maps.json", "multipathd show maps json"),
        ("ll.txt", "multipath -ll"),
    ] {
        claims::keep(scene, node, &format!("{state}-{kind}"), command).await?;
    }
    Ok(())
}

/// The target loses one of its addresses: its session fails, and the other one carries the map alone.
async fn one_path(scene: &Scene, nas: &Running, node: &Running) -> Result<()> {
    let address = format!("{}/24 dev {CARD}", guest_address(NAS_OTHER));
    nas.guest().ok(&format!("ip addr del {address}"), COMMAND_LIMIT).await.context("taking an address")?;
    scene.say("nas has lost one of its addresses");
    finds(scene, node, ("iscsi.session", &session(NAS_OTHER), "crit"), CUT).await?;
    finds(scene, node, ("multipath.paths", "mpatha", "crit"), "1 of the 2").await?;
    finds(scene, node, ("iscsi.session", &session(NAS), "ok"), "logged in").await?;
    keep(scene, node, "one-path").await?;
    let gate = node.guest().run("hardstand gate --here", COMMAND_LIMIT).await?;
    ensure!(
        gate.status == 2 && gate.stdout.contains("multipath.paths mpatha"),
        "the gate is not shut by the lost path: status {}, {}",
        gate.status,
        gate.stdout
    );
    scene.say(&format!("the gate says: {}", gate.stdout.lines().next().unwrap_or_default()));
    nas.guest().ok(&format!("ip addr add {address}"), COMMAND_LIMIT).await.context("giving it back")?;
    scene.say("nas has it again");
    well(scene, node).await
}

/// The initiator's cable is pulled: nothing is left, the page answers, and all comes back with the cable.
async fn no_path(scene: &Scene, node: &mut Running) -> Result<()> {
    node.cable(0, false).await?;
    scene.say("node has lost its cable");
    for last in [NAS, NAS_OTHER] {
        finds(scene, node, ("iscsi.session", &session(last), "crit"), CUT).await?;
    }
    finds(scene, node, ("multipath.map", "mpatha", "crit"), "none of its 2 paths works").await?;
    keep(scene, node, "no-path").await?;
    node.cable(0, true).await?;
    scene.say("node has it again");
    well(scene, node).await
}

/// A person logs out of one session: it is missed until they say that it was on purpose, and is well when it is back.
async fn ended(scene: &Scene, node: &Running) -> Result<()> {
    let (target, other, name) = (iscsi::target("nas"), guest_address(NAS_OTHER), session(NAS_OTHER));
    let act = async |act: &str| node.guest().ok(act, iscsi::LIMIT).await.with_context(|| format!("running {act}"));
    act(&format!("iscsiadm -m node -T {target} -p {other} --logout")).await?;
    finds(scene, node, ("iscsi.session", &name, "crit"), "is not any more").await?;
    act(&format!("hardstand forget session '{name}'")).await?;
    act(&format!("iscsiadm -m node -T {target} -p {other} --login")).await?;
    well(scene, node).await
}

/// Without multipathd nobody can tell of the map that the kernel has.
async fn no_daemon(scene: &Scene, node: &Running) -> Result<()> {
    let act = async |act: &str| node.guest().ok(act, iscsi::LIMIT).await.with_context(|| format!("running {act}"));
    act("systemctl stop multipathd.socket multipathd").await?;
    finds(scene, node, ("collector", "multipath", "unknown"), "nobody listens").await?;
    act("systemctl start multipathd").await?;
    finds(scene, node, ("multipath.map", "mpatha", "ok"), "active").await
}
