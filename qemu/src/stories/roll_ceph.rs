//! `roll-ceph`: all three machines are one Ceph cluster, with a monitor and an OSD on each and managers on the two nodes
//! (Debian's packages, Ceph's own units). A node is let go while the cluster is whole; while it is away Ceph lacks an OSD
//! and a monitor, and by that alone nobody else may go.
//!
//! It ends there. What comes next, a cluster that finds together again, is more than three emulated machines on two processors
//! can tell of in time: all of them ask, and Ceph's tool is later than its limits.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hardstand_exec::Run;

use crate::fleet::trust::Engine;
use crate::fleet::{Fleet, Topology};
use crate::scene::Scene;
use crate::stories::ceph::{FSID, READER, SETTINGS, keys};
use crate::stories::claims;
use crate::stories::rolling::{is_shut, nothing_begins, start, told, up_as};
use crate::updates::Version;

/// The machines, by where they are in this list: the OSDs' numbers, and the last figure of their addresses less 11.
const ALL: [&str; 3] = ["node1", "node2", "nas"];
const MANAGERS: [&str; 2] = ["node1", "node2"];
const NAME: &str = "lab-ceph";
/// Three small programs on the host.
const KEYS_LIMIT: Duration = Duration::from_secs(60);
/// Ceph's tool is a program in Python that takes seconds under emulation, and a daemon's start takes more.
const LIMIT: Duration = Duration::from_secs(240);
/// An emulated daemon is late, and so is its clock.
const PATIENT: [&str; 5] = [
    "mon clock drift allowed = 5",
    "mon lease = 10",
    "mon election timeout = 10",
    "mon mgr beacon grace = 120",
    "osd heartbeat grace = 60",
];

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let (fleet, operator) = up_as(scene, Engine::Embedded, Topology::three().with_storage()).await?;
    join(scene, &fleet).await?;
    for (number, node) in fleet.nodes().iter().enumerate() {
        let (running, osd) = (node.running()?, format!("osd.{number}"));
        claims::finds(scene, running, ("ceph.pgs", "all", "ok"), "all active and clean").await?;
        claims::finds(scene, running, ("ceph.stop", "osd", "ok"), &osd).await?;
        claims::finds(scene, running, ("ceph.stop", "mon", "ok"), node.name()).await?;
    }
    fleet.repository.publish(Version::Small)?;
    let more = ["--node", "node1", "--node", "node2", "--reboot", "full", "--reason", "to see Ceph without a node"];
    start(scene, &operator, NAME, &more).await?;
    told(&operator, "node1 to go down", |chain| chain.has_begun("node1", "reboot_armed")).await?;
    scene.say("node1 goes down");
    is_shut(scene, &operator, "node2", "1 of 3 votes without node2, and needs 2 (not up: node1)").await?;
    is_shut(scene, &operator, "node2", "OSD_DOWN").await?;
    nothing_begins(&operator).await?;
    ensure!(!operator.chain().await?.has_begun("node2", "draining"), "node2 was drained while its gate was shut");
    scene.say("node2 waits");
    fleet.end().await
}

/// Makes the cluster, puts something in it, and lets the agents ask it.
async fn join(scene: &Scene, fleet: &Fleet) -> Result<()> {
    let keyring = keyring(scene).await?;
    let mons: Vec<String> =
        ALL.iter().enumerate().map(|(at, name)| format!("--addv {name} '[v2:10.77.0.{}:3300]'", at + 11)).collect();
    let (conf, mons) = (conf(), mons.join(" "));
    for name in ALL {
        let script = format!(
            "set -e
cat > /etc/ceph/ceph.conf <<'EOF'
{conf}EOF
install -m 640 -g ceph /dev/null /etc/ceph/keyring
cat > /etc/ceph/keyring <<'EOF'
{keyring}EOF
monmaptool --create --fsid {FSID} {mons} /run/monmap
chmod 644 /run/monmap
install -d -o ceph -g ceph /var/lib/ceph/mon/ceph-{name}
runuser -u ceph -- ceph-mon --mkfs --id {name} --monmap /run/monmap --keyring /etc/ceph/keyring
systemctl enable --now ceph-mon@{name}"
        );
        fleet.node(name).ok(&script, LIMIT).await.with_context(|| format!("a monitor on {name}"))?;
    }
    for name in MANAGERS {
        let script = format!(
            "set -e
install -d -o ceph -g ceph /var/lib/ceph/mgr/ceph-{name}
systemctl enable --now ceph-mgr@{name}"
        );
        fleet.node(name).ok(&script, LIMIT).await.with_context(|| format!("a manager on {name}"))?;
    }
    for (number, name) in ALL.iter().enumerate() {
        let script = format!(
            "set -e
uuid=$(cat /proc/sys/kernel/random/uuid)
ceph osd new $uuid {number}
install -d -o ceph -g ceph /var/lib/ceph/osd/ceph-{number}
runuser -u ceph -- ceph-osd --mkfs --id {number} --osd-uuid $uuid
systemctl enable --now ceph-osd@{number}
key=/etc/ceph/ceph.client.hardstand.keyring
ceph auth get-or-create client.hardstand {READER} -o $key
chown root:hardstand $key
chmod 640 $key"
        );
        fleet.node(name).ok(&script, LIMIT).await.with_context(|| format!("an OSD on {name}"))?;
    }
    // Without an object nothing is degraded.
    let fill = "set -e
ceph osd pool create data 8 8
ceph osd pool application enable data rbd
rados --pool data put object /etc/ceph/ceph.conf";
    fleet.node(ALL[0]).ok(fill, LIMIT).await.context("making a pool of Ceph")?;
    scene.say("Ceph has a monitor and an OSD on each machine");
    Ok(())
}

fn conf() -> String {
    let hosts: Vec<String> = (11..=13).map(|last| format!("v2:10.77.0.{last}:3300")).collect();
    let mut text = format!("[global]\nfsid = {FSID}\nmon host = {}\nkeyring = /etc/ceph/keyring\n", hosts.join(","));
    for setting in SETTINGS.iter().chain(&PATIENT) {
        let _ = writeln!(text, "{setting}");
    }
    text
}

/// A key for everybody, made by the host, which has Ceph's programs.
async fn keyring(scene: &Scene) -> Result<String> {
    let file = scene.dir.join("ceph.keyring");
    let numbers: Vec<String> = (0..ALL.len()).map(|number| number.to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let script = keys(&file, &MANAGERS, &numbers);
    let finished = Run::new("/bin/sh", KEYS_LIMIT).args(["-c", &script]).output().await?;
    ensure!(finished.code == Some(0), "making keys: {}: {}", finished.status, finished.stderr);
    std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
}
