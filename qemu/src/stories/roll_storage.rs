//! `roll-storage`: two nodes keep their data on disks that the storage box serves from a mirrored pool, and are a corosync
//! cluster whose quorum device runs there. While the first is away the pool loses a disk, then the quorum device stops: the
//! second stays up until both are back, and each node comes back to what it had. Before that the storage box itself is
//! patched, and keeps a snapshot of what it had.

mod quorum;

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::fleet::operator::Operator;
use crate::fleet::trust::Engine;
use crate::fleet::{Fleet, SeedFile, Topology};
use crate::scene::Scene;
use crate::stories::claims::{self, COMMAND_LIMIT};
use crate::stories::iscsi;
use crate::stories::rolling::{ROLL_LIMIT, explain, finishes, is_shut, nothing_begins, start, told, up_as};
use crate::updates::Version;
use crate::wait::until;

const NODES: [&str; 2] = ["node1", "node2"];
const NAME: &str = "lab-storage";
const NAS_NAME: &str = "lab-nas";
const DISK_BYTES: u64 = 512 << 20;
/// Modules are loaded, disks are partitioned and named, under emulation.
const POOL_LIMIT: Duration = Duration::from_secs(180);
/// Where the storage box is.
const NAS: &str = "10.77.0.13";

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let own = "[node]\nexpect = [\"zfs\"]\n[snapshots]\ndatasets = [\"tank/node1\"]\n\
               [[prune]]\ndataset = \"tank/node1\"\nprefix = \"auto-\"\nkeep_last = 1\n";
    let topology = Topology::three()
        .with_storage()
        .disk("nas", "one", DISK_BYTES)
        .disk("nas", "other", DISK_BYTES)
        .file("nas", SeedFile::plain("/etc/hardstand/agent.toml.d/60-storage.toml", own));
    let (fleet, operator) = up_as(scene, Engine::Embedded, topology).await?;
    serve(&fleet).await?;
    fleet.repository.publish(Version::Small)?;
    patch_nas(scene, &fleet, &operator).await?;
    for name in NODES {
        use_disk(&fleet, name).await.with_context(|| format!("giving {name} its disk"))?;
    }
    quorum::join(&fleet, NODES, NAS).await?;
    is_well(scene, &fleet).await?;

    let more = ["--node", "node1", "--node", "node2", "--reboot", "full", "--reason", "to see the disks come back"];
    start(scene, &operator, NAME, &more).await?;
    told(&operator, "node1 to go down", |chain| chain.has_begun("node1", "reboot_armed")).await?;
    fleet.node("nas").ok("zpool offline tank virtio-other", COMMAND_LIMIT).await?;
    scene.say("node1 goes down, and the pool of nas has lost a disk");
    both_are_missed(scene, &fleet, &operator).await?;

    finishes(scene, &fleet, &operator, NAME).await?;
    let chain = operator.chain().await?;
    ensure!(chain.order("verified")[1..] == NODES, "verified: {:?}", chain.order("verified"));
    for name in NODES {
        let version = fleet.node(name).ok("lab-tool", COMMAND_LIMIT).await?;
        ensure!(version.trim() == "lab-tool 2.0", "{name} has {version}");
        let kept = fleet.node(name).ok("cat /srv/data/whose", COMMAND_LIMIT).await.context("reading its disk")?;
        ensure!(kept.trim() == name, "the disk of {name} says {kept:?}");
    }
    is_well(scene, &fleet).await?;
    scene.say("both came back to their disks, and to what was on them");
    scene.say(operator.ok(&["audit", "verify"]).await?.trim());
    fleet.end().await
}

/// Neither the host of the quorum device nor the second node may go; each thing that is missing is enough.
async fn both_are_missed(scene: &Scene, fleet: &Fleet, operator: &Operator) -> Result<()> {
    is_shut(scene, operator, "nas", "corosync lab has 1 of 3 votes without nas").await?;
    stands_still(scene, fleet, operator).await?;
    fleet.node("nas").ok("systemctl stop corosync-qnetd", COMMAND_LIMIT).await?;
    is_shut(scene, operator, "node2", "no quorum without this node: 1 of 2 votes").await?;
    fleet.node("nas").ok("zpool online tank virtio-other", COMMAND_LIMIT).await?;
    claims::finds(scene, fleet.node("nas").running()?, ("zfs.pool", "tank", "ok"), "ONLINE").await?;
    waits(scene, operator).await?;
    fleet.node("nas").ok("systemctl start corosync-qnetd", COMMAND_LIMIT).await?;
    scene.say("the pool has its disk again, and the quorum device votes");
    Ok(())
}

/// A mirror, and of it a disk for each node.
async fn serve(fleet: &Fleet) -> Result<()> {
    let nas = fleet.node("nas");
    let disks = "/dev/disk/by-id/virtio-one /dev/disk/by-id/virtio-other";
    nas.ok(&format!("modprobe zfs && udevadm settle && zpool create tank mirror {disks}"), POOL_LIMIT)
        .await
        .context("making a pool")?;
    for name in NODES {
        nas.ok(&format!("zfs create -V 64M tank/{name} && udevadm settle"), POOL_LIMIT).await?;
        let device = format!("/dev/zvol/tank/{name}");
        nas.ok(&iscsi::serve(name, &device), iscsi::LIMIT).await.with_context(|| format!("serving {device}"))?;
    }
    Ok(())
}

/// The storage box is patched before anybody uses it: a snapshot is made first, and pruning touches nothing of ours.
async fn patch_nas(scene: &Scene, fleet: &Fleet, operator: &Operator) -> Result<()> {
    let nas = fleet.node("nas");
    for other in ["theirs", "auto-1", "auto-2", "auto-3"] {
        nas.ok(&format!("zfs snapshot tank/node1@{other} && sleep 1"), COMMAND_LIMIT).await?;
    }
    start(scene, operator, NAS_NAME, &["--node", "nas"]).await?;
    finishes(scene, fleet, operator, NAS_NAME).await?;
    let list = "zfs list -H -t snapshot -o name,hardstand:made -s creation tank/node1";
    let said = nas.ok(list, COMMAND_LIMIT).await?;
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("@hardstand-")).collect();
    let [ours] = ours[..] else { bail!("one snapshot of ours is expected: {said}") };
    let (name, mark) = ours.split_once('\t').context("two columns")?;
    ensure!(name.ends_with(mark), "the snapshot {name} is marked {mark}");
    scene.say(&format!("before it was patched, nas kept {name}"));

    let prune = "hardstand snapshots prune";
    let dry = nas.ok(prune, COMMAND_LIMIT).await?;
    ensure!(dry.contains("2 of 3 snapshots would go"), "the dry run says: {dry}");
    ensure!(nas.ok(list, COMMAND_LIMIT).await? == said, "the dry run changed something");
    scene.say(&format!("the dry run says:\n{}", dry.trim_end()));
    nas.ok(&format!("{prune} --apply && hardstand snapshots prune tank/node1 --keep-last 1 --apply"), COMMAND_LIMIT)
        .await?;
    let left = nas.ok(&format!("{list} | cut -f 1 | cut -d @ -f 2"), COMMAND_LIMIT).await?;
    let left: Vec<&str> = left.lines().collect();
    ensure!(left.len() == 3 && left[..2] == ["theirs", "auto-3"], "left are {left:?}");
    scene.say(&format!("pruned, and left: {}", left.join(", ")));
    Ok(())
}

/// Its disk, which it logs in to and mounts at each boot.
async fn use_disk(fleet: &Fleet, name: &str) -> Result<()> {
    let target = iscsi::target(name);
    let disk = format!("/dev/disk/by-path/ip-{NAS}:3260-iscsi-{target}-lun-0");
    let script = format!(
        "set -e
{initiate}
systemctl enable iscsid open-iscsi
iscsiadm -m discovery -t sendtargets -p {NAS}
iscsiadm -m node -o delete -T {other}
iscsiadm -m node -T {target} -o update -n node.startup -v automatic
iscsiadm -m node -T {target} --login
udevadm settle
mkfs.ext4 -q {disk}
mkdir -p /srv/data
echo '{disk} /srv/data ext4 _netdev,nofail 0 0' >> /etc/fstab
systemctl daemon-reload
mount /srv/data
echo {name} > /srv/data/whose
sync
printf '[node]\\nexpect = [\"iscsi-initiator\", \"corosync\"]\\n' > /etc/hardstand/agent.toml.d/60-storage.toml",
        initiate = iscsi::initiate(name),
        other = iscsi::target(if name == NODES[0] { NODES[1] } else { NODES[0] }),
    );
    fleet.node(name).ok(&script, iscsi::LIMIT).await.map(drop)
}

/// Everybody's agent says so.
async fn is_well(scene: &Scene, fleet: &Fleet) -> Result<()> {
    claims::finds(scene, fleet.node("nas").running()?, ("zfs.pool", "tank", "ok"), "ONLINE").await?;
    for name in NODES {
        let session = format!("{} {NAS}:3260,1", iscsi::target(name));
        let running = fleet.node(name).running()?;
        claims::finds(scene, running, ("iscsi.session", &session, "ok"), "logged in").await?;
        claims::finds(scene, running, ("corosync.margin", "cluster", "ok"), "3 of 3 votes are there").await?;
    }
    Ok(())
}

/// The first node is done, and the second one is not begun: the gate says why, by the pool's name.
async fn stands_still(scene: &Scene, fleet: &Fleet, operator: &Operator) -> Result<()> {
    let done = until("node1 to be done", ROLL_LIMIT, async || {
        Ok(operator.chain().await?.place("verified", "node1").map(|_| ()))
    });
    if let Err(error) = done.await {
        explain(scene, fleet).await;
        return Err(error);
    }
    is_shut(scene, operator, "node2", "pool tank DEGRADED").await?;
    waits(scene, operator).await
}

/// Nothing begins on the second node for a while.
async fn waits(scene: &Scene, operator: &Operator) -> Result<()> {
    nothing_begins(operator).await?;
    ensure!(!operator.chain().await?.has_begun("node2", "draining"), "node2 was drained while its gate was shut");
    scene.say("node1 is done, and node2 waits");
    Ok(())
}
