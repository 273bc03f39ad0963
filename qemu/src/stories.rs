//! Whole scenarios against the images as built, one file each. A story is over when its last claim has been seen, and
//! fails at the first that has not.
//!
//! It must never look at anything an operator could not see, but for the faults it makes.

mod agent_health;
mod agent_hung;
mod agent_iscsi;
mod agent_md;
mod boot_disk;
mod boot_pxe;
mod boot_usb;
mod boot_zfs;
mod ceph;
pub(crate) mod ceph_live;
pub(crate) mod claims;
mod faults;
mod fleet_boot;
mod fleet_power;
mod fleetlock;
mod iscsi;
pub(crate) mod kubernetes_sim;
pub(crate) mod proxmox_sim;
mod quorum_live;
mod reboot_kinds;
mod roll;
mod roll_bad_kernel;
mod roll_bad_update;
mod roll_ceph;
mod roll_crash;
mod roll_halt;
mod roll_leader_dies;
mod roll_partition;
mod roll_storage;
mod roll_store_host_last;
pub(crate) mod rolling;
mod services_live;
mod truenas_sim;

#[cfg(test)]
pub(crate) use proxmox_sim::{CHANGES as PROXMOX_CHANGES, well as proxmox_world};
pub(crate) use roll_crash::Part;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::fleet;
use crate::house::House;
use crate::scene::Scene;

/// The stories by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Story {
    /// An installed system boots from its disk (UEFI)
    BootDisk,
    /// The live image boots from a USB stick (UEFI)
    BootUsb,
    /// The live image boots over the network (BIOS, iPXE, kernel and initrd by HTTP)
    BootPxeBios,
    /// The live image boots over the network (UEFI's own PXE, one file by TFTP)
    BootPxeUefi,
    /// An installed system with ZFS makes a pool on a spare disk and finds it again (UEFI)
    BootZfs,
    /// What is made wrong shows in `hardstand health`, and goes away again
    AgentHealth,
    /// A collector that hangs does not delay the page
    AgentHung,
    /// Two paths to a disk of another machine are lost one after the other, and come back
    AgentIscsi,
    /// An array of two disks loses one, gets it back and is stopped
    AgentMd,
    /// Two nodes and a quorum device, as real daemons without machines, lose each other in every way that counts
    QuorumLive,
    /// nginx serves with TLS, without machines, and is broken in every way that people who use it would notice
    ServicesLive,
    /// A simulated TrueNAS is well, ill, busy, rude and gone (no machine, no TrueNAS)
    TruenasSim,
    /// A real Ceph cluster loses an OSD, a monitor and every answer (daemons on loopback, no machine)
    CephLive,
    /// A simulator of Proxmox VE's API has everything happen that keeps a node up, then stops answering (no machine)
    ProxmoxSim,
    /// A Kubernetes cluster falls ill in every way that counts (a simulator of its API, no machine)
    KubernetesSim,
    /// Three machines boot from one image; one of them is upgraded, new kernel included, and reboots into it
    FleetBoot,
    /// Two of three machines lose their power and come back with what they had flushed
    FleetPower,
    /// Three machines are patched and rebooted one after the other, with the store on one of them
    RollEmbedded,
    /// The same with etcd, a member on each of them
    RollEtcd,
    /// A person halts a rollout, and lifts it
    RollHalt,
    /// A package fails to install, a service stays down: each halts and leaves the others alone
    RollBadUpdate,
    /// A kernel that does not boot halts; the node is back with the one before it
    RollBadKernel,
    /// A node loses its power at every boundary of its journal, and inside its acts
    RollCrash,
    /// The machine that leads loses its power in the middle of a rollout
    RollLeaderDies,
    /// Cables fail: of a node in maintenance, of the leader, in one direction
    RollPartition,
    /// The machine that hosts the store is asked for first, and goes last and alone
    RollStoreHostLast,
    /// All three machines are one Ceph cluster: while one is away nobody else may go
    RollCeph,
    /// A pool of the storage box loses a disk between two nodes: the rollout waits until it is whole again
    RollStorage,
    /// Machines without an agent take slots by FleetLock beside a rollout
    Fleetlock,
    /// The lesser restarts: user space alone, and the kernel without its firmware
    RebootKinds,
}

impl Story {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().expect("no story is hidden").get_name().to_owned()
    }

    /// Stories of which a test run takes one, in turn: all of them do not fit its hour.
    pub(crate) const IN_TURN: [Self; 11] = [
        Self::RollHalt,
        Self::FleetBoot,
        Self::RollLeaderDies,
        Self::RollPartition,
        Self::RollStoreHostLast,
        Self::Fleetlock,
        Self::RebootKinds,
        Self::RollBadUpdate,
        Self::RollStorage,
        Self::RollCrash,
        Self::FleetPower,
    ];
    /// Stories that are told on demand only.
    pub(crate) const ON_DEMAND: [Self; 3] = [Self::RollBadKernel, Self::RollCeph, Self::RollEtcd];

    /// Whether its machines are a fleet: three of them at once.
    pub(crate) fn is_of_a_fleet(self) -> bool {
        self.recipe() == Some(fleet::RECIPE) || [Self::RollCeph, Self::RollStorage].contains(&self)
    }

    /// The recipe whose image it boots; `None`: it boots nothing.
    pub(crate) fn recipe(self) -> Option<&'static str> {
        Some(match self {
            Self::QuorumLive
            | Self::ServicesLive
            | Self::CephLive
            | Self::ProxmoxSim
            | Self::TruenasSim
            | Self::KubernetesSim => return None,
            Self::BootUsb | Self::BootPxeBios | Self::BootPxeUefi => "live",
            Self::BootZfs | Self::AgentIscsi | Self::AgentMd | Self::RollCeph | Self::RollStorage => {
                fleet::STORAGE_RECIPE
            }
            Self::BootDisk | Self::AgentHealth | Self::AgentHung => "lab-node",
            Self::FleetBoot | Self::FleetPower => fleet::RECIPE,
            Self::RollEmbedded
            | Self::RollEtcd
            | Self::RollHalt
            | Self::RollBadUpdate
            | Self::RollBadKernel
            | Self::RollCrash
            | Self::RollLeaderDies
            | Self::RollPartition
            | Self::RollStoreHostLast
            | Self::Fleetlock
            | Self::RebootKinds => fleet::RECIPE,
        })
    }
}

/// Runs one story, or a part of one that has parts, and says its steps. The last lines of its consoles are part of a
/// failure.
pub(crate) async fn run(house: &House, story: Story, images: PathBuf, part: Option<Part>) -> Result<()> {
    let scene = Scene::enter(house, &story.name(), images).await?;
    let outcome = tell(&scene, story, part).await;
    if outcome.is_err() {
        print!("{}", scene.last_words());
    } else {
        scene.say(&format!("{} holds", story.name()));
    }
    outcome
}

/// One machine, or two that are no fleet, or none; all else is of a fleet.
async fn tell(scene: &Scene, story: Story, part: Option<Part>) -> Result<()> {
    match story {
        Story::BootDisk => boot_disk::run(scene).await,
        Story::BootUsb => boot_usb::run(scene).await,
        Story::BootPxeBios => boot_pxe::bios(scene).await,
        Story::BootPxeUefi => boot_pxe::uefi(scene).await,
        Story::BootZfs => boot_zfs::run(scene).await,
        Story::AgentHealth => agent_health::run(scene).await,
        Story::AgentHung => agent_hung::run(scene).await,
        Story::AgentIscsi => agent_iscsi::run(scene).await,
        Story::AgentMd => agent_md::run(scene).await,
        Story::QuorumLive => quorum_live::run(scene).await,
        Story::ServicesLive => services_live::run(scene).await,
        Story::TruenasSim => truenas_sim::run(scene).await,
        Story::CephLive => ceph_live::run(scene).await,
        Story::ProxmoxSim => proxmox_sim::run(scene).await,
        Story::KubernetesSim => kubernetes_sim::run(scene).await,
        of_a_fleet => tell_of_a_fleet(scene, of_a_fleet, part).await,
    }
}

async fn tell_of_a_fleet(scene: &Scene, story: Story, part: Option<Part>) -> Result<()> {
    match story {
        Story::FleetBoot => fleet_boot::run(scene).await,
        Story::FleetPower => fleet_power::run(scene).await,
        Story::RollEmbedded => roll::run(scene, fleet::trust::Engine::Embedded).await,
        Story::RollEtcd => roll::run(scene, fleet::trust::Engine::Etcd).await,
        Story::RollHalt => roll_halt::run(scene).await,
        Story::RollCrash => roll_crash::run(scene, part).await,
        Story::RollBadUpdate => roll_bad_update::run(scene).await,
        Story::RollBadKernel => roll_bad_kernel::run(scene).await,
        Story::RollLeaderDies => roll_leader_dies::run(scene).await,
        Story::RollPartition => roll_partition::run(scene).await,
        Story::RollCeph => roll_ceph::run(scene).await,
        Story::RollStorage => roll_storage::run(scene).await,
        Story::RollStoreHostLast => roll_store_host_last::run(scene).await,
        Story::Fleetlock => fleetlock::run(scene).await,
        Story::RebootKinds => reboot_kinds::run(scene).await,
        other => bail!("{} is of no fleet", other.name()),
    }
}
