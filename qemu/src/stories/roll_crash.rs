//! `roll-crash`: a node is patched with a new kernel and loses its power at every boundary of its journal, on a disk that
//! forgets what was not flushed. Each time it is switched on again and found in the phase that its disk must say; the
//! rollout ends; nothing is lost and nothing is done twice.
//!
//! A record is written before its act, and the act of a phase ends before the next record's write begins. So the two
//! moments around each write are all there are: before the write, which is after the act of the phase before; and after
//! the write, which is before the act. Cuts inside the longer acts come on top. The agent is held at a boundary by a
//! tracer from outside ([`tracer`]), so the cut is at that boundary and not near it; the program is the one that ships.

mod cells;
mod matrix;
mod tracer;
mod whole;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

pub(crate) use self::cells::Part;
use self::cells::{Cell, Moment, NODE, OTHER, Sign, matrix};
use self::matrix::Table;
use crate::fleet::operator::Operator;
use crate::fleet::trust::Engine;
use crate::fleet::{Fleet, Topology};
use crate::scene::Scene;
use crate::stories::claims::COMMAND_LIMIT;
use crate::stories::rolling::{explain, start, up_as};
use crate::updates::{AGENT_TWO, Version};
use crate::wait::until;

/// What the rollouts are called, with the node's name.
const NAME: &str = "lab-crash";
/// From one cut to the next moment: a boot, and what is left of the phase.
const PHASE_LIMIT: Duration = Duration::from_secs(15 * 60);
/// One look from inside for something to come; between two of them the fleet is asked whether it halted.
const LOOK: Duration = Duration::from_secs(10);
/// What would be taken for the update's kernel in dpkg's log.
const KERNEL_INSTALLED: &str = "grep -m 1 'status half-.* linux-image-[0-9]' /var/log/dpkg.log";
/// The first words of a kernel, and of the init that it starts once it has its root.
const KERNEL: &str = "Linux version ";
const INIT: &str = "Welcome to ";
/// What init says of its targets when it goes down, and at no other time.
const STOPPED: &str = "Stopped target ";

pub(crate) async fn run(scene: &Scene, part: Option<Part>) -> Result<()> {
    let all = matrix();
    let cells = part.map_or(&all[..], |part| part.of(&all));
    scene.say(&format!(
        "{} of {} cells, part {}",
        cells.len(),
        all.len(),
        part.map_or("1/1".to_owned(), |part| part.to_string())
    ));
    let nodes: Vec<&str> =
        [NODE, OTHER].into_iter().filter(|node| cells.iter().any(|cell| cell.node == *node)).collect();
    let mut topology = nodes.iter().fold(Topology::three(), |topology, name| topology.strict(name));
    for node in &nodes {
        let first = cells.iter().find(|cell| cell.node == *node);
        topology = topology.hand(node, tracer::credentials(first));
    }
    let (fleet, operator) = up_as(scene, Engine::Embedded, topology).await?;
    let mut crash = Crash { scene, fleet, operator, table: Table::new(&scene.dir, cells.len()) };
    let told = crash.tell(cells, &nodes).await;
    if told.is_err() {
        explain(scene, &crash.fleet).await;
        return told;
    }
    crash.fleet.end().await
}

/// A cut whose node has come back and not yet gone on.
struct Open<'c> {
    cell: &'c Cell,
    found: String,
    since: Instant,
}

struct Crash<'s> {
    scene: &'s Scene,
    fleet: Fleet,
    operator: Operator,
    table: Table,
}

impl Crash<'_> {
    /// A rollout of each node, one after the other, with the cells of that node.
    async fn tell(&mut self, cells: &[Cell], nodes: &[&str]) -> Result<()> {
        self.fleet.repository.publish(Version::Two)?;
        for (done, node) in nodes.iter().enumerate() {
            let own: Vec<Cell> = cells.iter().filter(|cell| cell.node == *node).copied().collect();
            let before = self.kernel(node).await?;
            let known = self.fleet.node(node).run(KERNEL_INSTALLED, COMMAND_LIMIT).await?;
            ensure!(known.status != 0, "{node} has installed a kernel before: {}", known.stdout.trim());
            start(self.scene, &self.operator, &format!("{NAME}-{node}"), &["--node", node]).await?;
            self.roll(&own, done + 1).await?;
            self.is_whole(node, &before, &own).await?;
        }
        let chain = self.operator.chain().await?;
        chain.has_one_leader_at_a_time()?;
        ensure!(chain.count("finished") == nodes.len(), "{} rollouts finished", chain.count("finished"));
        self.scene.say(self.operator.ok(&["audit", "verify"]).await?.trim());
        Ok(())
    }

    /// One rollout from its start until so many have finished.
    async fn roll(&mut self, cells: &[Cell], finished: usize) -> Result<()> {
        let mut open: Option<Open> = None;
        for (place, cell) in cells.iter().enumerate() {
            let reached = self.reached(cell, open.is_some()).await;
            self.close(open.take(), reached.as_ref().err())?;
            reached?;
            open = Some(self.cut(cell, cells.get(place + 1)).await?);
        }
        let ended = until("the rollout to end", PHASE_LIMIT, async || {
            no_halt(&self.operator).await?;
            Ok((self.operator.chain().await?.count("finished") == finished).then_some(()))
        });
        let ended = ended.await;
        self.close(open, ended.as_ref().err())?;
        ended
    }

    /// Waits until the node is at the cell's moment. `cut`: the machine was cut before.
    async fn reached(&mut self, cell: &Cell, cut: bool) -> Result<()> {
        match cell.moment {
            Moment::Before | Moment::After => {
                self.sees(cell.node, &format!("{cell}"), tracer::HELD).await?;
                let late = self.fleet.node(cell.node).run(tracer::LATE, COMMAND_LIMIT).await?;
                ensure!(late.status != 0, "the tracer of {} came too late: {}", cell.node, late.stdout.trim());
                Ok(())
            }
            Moment::Inside { sign: Sign::Inside(sign), .. } => self.sees(cell.node, &format!("{cell}"), sign).await,
            Moment::Inside { sign: Sign::GoesDown, .. } => self.shows(cell, 0, STOPPED).await,
            // A machine that was cut boots now; another one when it restarts as ordered.
            Moment::Inside { sign: Sign::Boots, .. } => self.shows(cell, usize::from(!cut), INIT).await,
        }
    }

    /// Waits until the console shows these words of a boot, counted from the last power-on.
    async fn shows(&mut self, cell: &Cell, boot: usize, words: &str) -> Result<()> {
        let (fleet, operator) = (&mut self.fleet, &self.operator);
        until(&format!("{cell}"), PHASE_LIMIT, async || {
            let node = fleet.node_mut(cell.node);
            node.alive()?;
            let shown = node.console()?;
            let seen = shown.split(KERNEL).nth(boot + 1).is_some_and(|boot| boot.contains(words));
            if !seen {
                no_halt(operator).await?;
            }
            Ok(seen.then_some(()))
        })
        .await
    }

    /// Waits until a shell condition holds inside; the machine may restart meanwhile, the fleet may not halt.
    async fn sees(&mut self, name: &str, what: &str, condition: &str) -> Result<()> {
        let command = format!("until {condition}; do sleep 0.2; done");
        let (fleet, operator) = (&mut self.fleet, &self.operator);
        until(what, PHASE_LIMIT, async || {
            no_halt(operator).await?;
            let node = fleet.node_mut(name);
            node.alive()?;
            if node.boots()? == 0 {
                return Ok(None);
            }
            // What was asked when the machine went down is never answered.
            let said = node.run(&command, LOOK).await;
            Ok(said.is_ok_and(|said| said.status == 0).then_some(()))
        })
        .await
    }

    /// Cuts the power, switches it on again, and reads what was on the disk before the agent ran.
    async fn cut<'c>(&mut self, cell: &'c Cell, next: Option<&Cell>) -> Result<Open<'c>> {
        let node = self.fleet.node_mut(cell.node);
        node.cut_power().await?;
        let since = Instant::now();
        node.hand(tracer::credentials(next));
        node.power_on(self.scene).await?;
        if matches!(next.map(|next| next.moment), Some(Moment::Inside { sign: Sign::Boots, .. })) {
            // It is cut again before it could say.
            return Ok(Open { cell, found: "not yet told, as it was cut again first".to_owned(), since });
        }
        let what = format!("{} to start its agent again", cell.node);
        if let Err(error) = self.sees(cell.node, &what, tracer::STARTED).await {
            bail!(self.table.add(cell, "not read", &format!("did not come back: {error:#}"), since.elapsed())?);
        }
        let said = self.fleet.node(cell.node).ok(tracer::FOUND, COMMAND_LIMIT).await?;
        let found = said.trim().to_owned();
        if found != cell.found() {
            let wrong = format!("the disk must say {}", cell.found());
            bail!(self.table.add(cell, &found, &wrong, since.elapsed())?);
        }
        Ok(Open { cell, found, since })
    }

    /// The node has gone on from its last cut, or has not.
    fn close(&mut self, open: Option<Open>, error: Option<&anyhow::Error>) -> Result<()> {
        let Some(Open { cell, found, since }) = open else { return Ok(()) };
        let outcome = error.map_or("went on".to_owned(), |error| format!("did not go on: {error:#}"));
        let line = self.table.add(cell, &found, &outcome, since.elapsed())?;
        self.scene.say(&line);
        Ok(())
    }

    /// What must hold on a node that was cut.
    async fn is_whole(&mut self, name: &str, before: &str, cells: &[Cell]) -> Result<()> {
        self.fleet.node_mut(name).comes_up(self.scene).await?;
        ensure!(self.kernel(name).await? != before, "{name} still runs {before}");
        let node = self.fleet.node(name);
        let broken = node.ok("dpkg --audit", COMMAND_LIMIT).await?;
        ensure!(broken.is_empty(), "dpkg of {name} is not whole: {broken}");
        let agent = node.ok("dpkg-query -W -f '${Version}' hardstand", COMMAND_LIMIT).await?;
        ensure!(agent == AGENT_TWO, "{name} has the agent {agent}, not {AGENT_TWO}");
        node.ok("systemctl is-active lab-web.service", COMMAND_LIMIT).await?;
        let packages = whole::installed_once(&node.ok("cat /var/log/dpkg.log", COMMAND_LIMIT).await?)?;
        let memory = node.ok("cat /var/lib/hardstand-helper/errands.json", COMMAND_LIMIT).await?;
        let attempts = whole::errands(&memory)?;
        let ordered = self.restarts(name)?;
        let stands_for_it = cells.iter().any(Cell::is_the_restart);
        ensure!(ordered == usize::from(!stands_for_it), "{name} restarted {ordered} times without a cut");
        let leases = whole::leases(&self.operator.chain().await?, name)?;
        self.scene.say(&format!(
            "{name}: leases {leases}, one of them entered, once; installations that dpkg's log still tells of {packages}, \
             none of them twice; restarts but for the cuts {ordered}; attempts {attempts:?}"
        ));
        Ok(())
    }

    /// Kernels that came up on this machine's consoles without its power button.
    fn restarts(&self, name: &str) -> Result<usize> {
        let power_ons = self.fleet.node(name).power_ons();
        let mut kernels = 0;
        for number in 1..=power_ons {
            let log = self.scene.dir.join(format!("{name}.{number}.console.log"));
            kernels += crate::console::read(&log)?.matches(KERNEL).count();
        }
        let power_ons = usize::try_from(power_ons).context("counting power-ons")?;
        kernels.checked_sub(power_ons).with_context(|| format!("{name}: {kernels} boots of {power_ons} power-ons"))
    }

    async fn kernel(&self, name: &str) -> Result<String> {
        let said = self.fleet.node(name).ok("uname -r", COMMAND_LIMIT).await.context("asking for the kernel")?;
        Ok(said.trim().to_owned())
    }
}

async fn no_halt(operator: &Operator) -> Result<()> {
    let halt = operator.ok(&["halt", "--show"]).await?;
    if halt.contains("HALTED") {
        bail!("it halted: {}", halt.trim());
    }
    Ok(())
}
