//! Three machines as one thing: booted from one image, told apart from outside, cut off, switched off, switched on
//! again, with a package repository that moves to the next version and a prober that asks their web service.
//!
//! ```text
//! let mut fleet = Fleet::boot(scene, Topology::three()?).await?;      // node1, node2, nas: all READY
//! fleet.node("node1").ok("hardstand health", LIMIT).await?;            // a command inside
//! let guest = fleet.node("node1").guest()?;                            // the same, for a task beside the story
//! let mut words = fleet.node("node1").follow("apt-get -y upgrade").await?;  // what it prints while it runs
//! fleet.node_mut("node2").cut_power().await?;                          // disk kept
//! fleet.node_mut("node2").power_on(scene).await?;
//! fleet.links.cut("nas").await?;  fleet.links.drop_one_way("node1", "node2").await?;  fleet.links.mend().await?;
//! fleet.repository.publish(Version::Two)?;                             // what apt sees from now on
//! let prober = Prober::start();  ...  let availability = prober.stop().await;
//! ```
//!
//! Configuration and certificates of a node are files of its [`Seed`]: they reach the guest as credentials and are in no
//! image and in no argument of a program. It must never write to the image.

pub(crate) mod chain;
mod follow;
mod links;
pub(crate) mod operator;
pub(crate) mod prober;
pub(crate) mod repository;
mod seed;
pub(crate) mod trust;
mod write_log;
pub(crate) mod zincati;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use self::follow::Followed;
use self::links::Links;
use self::repository::Repository;
pub(crate) use self::seed::{Seed, SeedFile};
use self::write_log::Strict;
use crate::args::{Bus, Credential, Disk, Format, Machine, Nic, Rom};
use crate::console;
use crate::guest::{Guest, Said};
use crate::machine::{self, Running};
use crate::network::{HOST, Network};
use crate::scene::{BOOT_LIMIT, Scene};
use crate::stories::claims::{self, COMMAND_LIMIT};
use crate::wait::until;

/// The recipe all machines boot.
pub(crate) const RECIPE: &str = "lab-fleet";
/// The same with shared storage, for stories that need it.
pub(crate) const STORAGE_RECIPE: &str = "lab-storage";
/// The address of the web service; the drain hooks move it.
pub(crate) const SERVICE: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 77, 0, 200);
/// Making an initrd for a new kernel is what needs it; the installed system itself runs in a quarter.
const MEMORY_MIB: u32 = 768;
/// Ceph's monitor, manager and OSD beside it, and its tool, which is a program in Python.
const STORAGE_MEMORY_MIB: u32 = 2048;
/// Takes the moving address on the node it runs on.
const TAKE: &str = "/usr/lib/hardstand-lab/address take";
/// Three machines share the host's processors: each gets one, and takes longer.
const REBOOT_LIMIT: Duration = Duration::from_secs(2 * BOOT_LIMIT.as_secs());

/// Whether machines of this recipe can be a fleet: they have its services and its package repository.
pub(crate) fn can_be(recipe: &str) -> bool {
    [RECIPE, STORAGE_RECIPE].contains(&recipe)
}

/// Which machines there are, and how they differ.
#[derive(Debug, Clone)]
pub(crate) struct Topology {
    /// The recipe they boot.
    pub recipe: &'static str,
    /// The machines, in the order they are named.
    pub seeds: Vec<Seed>,
    /// Memory of each in MiB.
    pub memory_mib: u32,
    /// Processors of each.
    pub cpus: u8,
}

impl Topology {
    /// Two nodes that serve and a storage box.
    pub(crate) fn three() -> Self {
        let seeds = [("node1", 11), ("node2", 12), ("nas", 13)];
        let seeds = seeds.map(|(name, last)| Seed::new(name, last)).into();
        Self { recipe: RECIPE, seeds, memory_mib: MEMORY_MIB, cpus: 1 }
    }

    /// The same machines from the image with shared storage.
    #[must_use]
    pub(crate) fn with_storage(self) -> Self {
        Self { recipe: STORAGE_RECIPE, memory_mib: STORAGE_MEMORY_MIB, cpus: 2, ..self }
    }

    /// Gives a machine a blank disk of this serial number, which no other of the topology's may have.
    #[must_use]
    pub(crate) fn disk(mut self, name: &str, serial: &'static str, bytes: u64) -> Self {
        self.seed(name).disks.push((serial, bytes));
        self
    }

    /// Gives a machine a disk that keeps, over a power cut, only what the guest had flushed.
    #[must_use]
    pub(crate) fn strict(mut self, name: &str) -> Self {
        self.seed(name).strict = true;
        self
    }

    /// Gives a machine a file that is there from its first boot on.
    #[must_use]
    pub(crate) fn file(mut self, name: &str, file: SeedFile) -> Self {
        self.seed(name).files.push(file);
        self
    }

    /// Hands a machine credentials at its first power-on; [`Node::hand`] says which it gets from then on.
    #[must_use]
    pub(crate) fn hand(mut self, name: &str, credentials: Vec<Credential>) -> Self {
        self.seed(name).handed = credentials;
        self
    }

    /// Makes every machine a member of one etcd without certificates. [`trust::Trust::enlist`] makes one with.
    #[must_use]
    pub(crate) fn etcd(mut self) -> Self {
        let all = self.seeds.clone();
        for seed in &mut self.seeds {
            seed.files.push(seed.etcd(&all, false));
        }
        self
    }

    fn seed(&mut self, name: &str) -> &mut Seed {
        self.seeds.iter_mut().find(|seed| seed.name == name).expect("a story names machines of its own topology")
    }
}

/// The machines while they are there. Ends with this value.
pub(crate) struct Fleet {
    nodes: Vec<Node>,
    seeds: Vec<Seed>,
    /// The cables between them.
    pub links: Links,
    /// What apt finds inside.
    pub repository: Repository,
    _network: Network,
}

impl Fleet {
    /// Brings up the network and the repository (at version one), boots all machines at once, waits until each agent
    /// is READY and no unit has failed, and gives the first machine the moving address.
    pub(crate) async fn boot(scene: &Scene, topology: Topology) -> Result<Self> {
        let repository = Repository::open(scene)?;
        let taps: Vec<String> = topology.seeds.iter().map(Seed::tap).collect();
        let network = Network::up(&taps, &crate::network::Offer::Nothing, &scene.dir).await?;
        crate::http::serve(HOST, repository.dir().to_owned(), scene.dir.join("repository.log")).await?;
        let mut nodes = Vec::new();
        for seed in &topology.seeds {
            nodes.push(Node::prepare(scene, seed, &topology, &repository).await?);
        }
        for node in &mut nodes {
            node.power_on(scene).await?;
        }
        for node in &mut nodes {
            node.comes_up(scene).await.with_context(|| format!("booting {}", node.seed.name))?;
        }
        let links = Links::new(topology.seeds.clone())?;
        nodes[0].ok(TAKE, COMMAND_LIMIT).await.context("taking the moving address")?;
        Ok(Self { nodes, seeds: topology.seeds, links, repository, _network: network })
    }

    /// A machine by its name.
    pub(crate) fn node(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.seed.name == name).expect("a story names machines of its own topology")
    }

    /// A machine by its name, to switch it.
    pub(crate) fn node_mut(&mut self, name: &str) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.seed.name == name).expect("a story names machines of its own topology")
    }

    /// Who they are, in the topology's order.
    pub(crate) fn seeds(&self) -> &[Seed] {
        &self.seeds
    }

    /// All machines, in the topology's order.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The name of the machine that has the moving address, if one has it.
    pub(crate) async fn holder(&self) -> Result<Option<&str>> {
        for node in self.nodes.iter().filter(|node| node.running.is_some()) {
            if node.run("/usr/lib/hardstand-lab/address holds", COMMAND_LIMIT).await?.status == 0 {
                return Ok(Some(&node.seed.name));
            }
        }
        Ok(None)
    }

    /// Cuts the power of all machines: the end of a story that has seen everything.
    pub(crate) async fn end(self) -> Result<()> {
        for mut node in self.nodes {
            if node.running.is_some() {
                node.cut_power().await?;
            }
        }
        Ok(())
    }
}

/// One machine of a fleet, on or off.
pub(crate) struct Node {
    seed: Seed,
    machine: Machine,
    strict: Option<Strict>,
    running: Option<Running>,
    power_ons: u32,
}

impl Node {
    async fn prepare(scene: &Scene, seed: &Seed, topology: &Topology, repository: &Repository) -> Result<Self> {
        let dir = scene.dir.join(&seed.name);
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let image = scene.artefact(topology.recipe, "disk.img")?;
        let mut machine = scene.machine(&seed.name, machine::uefi(&dir)?);
        machine.memory_mib = topology.memory_mib;
        machine.cpus = topology.cpus;
        let strict = if seed.strict { Some(Strict::over(&image, &dir).await?) } else { None };
        let (file, format, write_log) = match &strict {
            Some(strict) => (strict.disk(), Format::Raw, Some(strict.log())),
            None => {
                let layer = dir.join("system.qcow2");
                (layer.clone(), machine::overlay(&image, &layer).await?, None)
            }
        };
        let serial = format!("{}-system", seed.name);
        machine.disks = vec![Disk { serial, file, format, bus: Bus::Virtio, boot: Some(1), write_log }];
        for (serial, bytes) in &seed.disks {
            machine.disks.push(scene.blank_disk(serial, *bytes)?);
        }
        machine.nics = vec![Nic { tap: seed.tap(), mac: seed.mac(), rom: Rom::Empty, boot: None }];
        machine.credentials.extend(seed.credentials(&topology.seeds, repository.key())?);
        Ok(Self { seed: seed.clone(), machine, strict, running: None, power_ons: 0 })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.seed.name
    }

    /// Presses the power button of a machine that is off; `comes_up` waits for it.
    pub(crate) async fn power_on(&mut self, scene: &Scene) -> Result<()> {
        ensure!(self.running.is_none(), "{} is on already", self.seed.name);
        self.power_ons += 1;
        let name = &self.seed.name;
        self.machine.console_log = scene.dir.join(format!("{name}.{}.console.log", self.power_ons));
        if let Some(strict) = &self.strict {
            strict.begin()?;
        }
        let mut machine = self.machine.clone();
        machine.credentials.extend(self.seed.handed.iter().cloned());
        self.running = Some(scene.power_on(machine).await?);
        Ok(())
    }

    /// Hands it these credentials at the next power-on, in the place of those before.
    pub(crate) fn hand(&mut self, credentials: Vec<Credential>) {
        self.seed.handed = credentials;
    }

    /// What its console has shown since the last power-on.
    pub(crate) fn console(&self) -> Result<String> {
        console::read(&self.machine.console_log)
    }

    /// How often it was switched on.
    pub(crate) fn power_ons(&self) -> u32 {
        self.power_ons
    }

    /// An error if it is off, or its kernel has died.
    pub(crate) fn alive(&mut self) -> Result<()> {
        self.running.as_mut().with_context(|| format!("{} is off", self.seed.name))?.alive()
    }

    /// The machine, while it is on.
    pub(crate) fn running(&self) -> Result<&Running> {
        self.running.as_ref().with_context(|| format!("{} is off", self.seed.name))
    }

    /// Waits until the agent is READY and nothing has failed.
    pub(crate) async fn comes_up(&mut self, scene: &Scene) -> Result<()> {
        let name = self.seed.name.clone();
        let running = self.running.as_mut().with_context(|| format!("{name} is off"))?;
        scene.say(&format!("waiting for {name}"));
        claims::comes_up(scene, running).await
    }

    /// Cuts the power. What the guest had not flushed to its disk is gone; on a strict disk also what the host had
    /// accepted and not flushed. Returns once the disk is as the next power-on will find it.
    pub(crate) async fn cut_power(&mut self) -> Result<()> {
        self.take()?.power_cut().await?;
        match &self.strict {
            Some(strict) => strict.cut().await,
            None => Ok(()),
        }
    }

    /// Presses the power button of a machine that is on, and waits until it is off.
    pub(crate) async fn power_off(&mut self) -> Result<()> {
        self.take()?.power_off().await?;
        match &self.strict {
            // An orderly end has flushed everything, so nothing is forgotten.
            Some(strict) => strict.cut().await,
            None => Ok(()),
        }
    }

    /// Tells the guest to reboot and waits until it has booted again.
    pub(crate) async fn reboot(&mut self) -> Result<()> {
        let (before, guest) = (self.boots()?, self.guest()?);
        // The answer goes down with the machine: whether it reboots is what is waited for.
        let order = tokio::spawn(async move { guest.run("systemctl reboot --no-block", COMMAND_LIMIT).await });
        let again = self.boots_again(before).await;
        order.abort();
        again
    }

    /// How often this machine's control port has come up since its last power-on: 1 after a boot, 2 after a reboot.
    pub(crate) fn boots(&self) -> Result<u32> {
        Ok(self.guest()?.boots())
    }

    /// Waits until the machine has booted again since [`Self::boots`] said `before`.
    pub(crate) async fn boots_again(&mut self, before: u32) -> Result<()> {
        let name = self.seed.name.clone();
        let running = self.running.as_mut().with_context(|| format!("{name} is off"))?;
        let guest = Arc::clone(running.guest());
        until(&format!("{name} to boot again"), REBOOT_LIMIT, async || {
            running.alive()?;
            Ok((guest.boots() > before).then_some(()))
        })
        .await
    }

    /// The way to run commands inside, for a task beside the story.
    pub(crate) fn guest(&self) -> Result<Arc<Guest>> {
        Ok(Arc::clone(self.running()?.guest()))
    }

    /// Runs a shell command inside, at most `limit`.
    pub(crate) async fn run(&self, command: &str, limit: Duration) -> Result<Said> {
        self.guest()?.run(command, limit).await.with_context(|| format!("on {}", self.seed.name))
    }

    /// Runs a command that must succeed and returns what it printed.
    pub(crate) async fn ok(&self, command: &str, limit: Duration) -> Result<String> {
        self.guest()?.ok(command, limit).await.with_context(|| format!("on {}", self.seed.name))
    }

    /// Starts a command that goes on by itself; what it prints can be read while it runs.
    pub(crate) async fn follow(&self, command: &str) -> Result<Followed> {
        Followed::start(self.guest()?, command).await.with_context(|| format!("on {}", self.seed.name))
    }

    fn take(&mut self) -> Result<Running> {
        self.running.take().with_context(|| format!("{} is off", self.seed.name))
    }
}
