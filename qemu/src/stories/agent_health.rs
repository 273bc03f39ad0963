//! `agent-health`: the node is made wrong in real ways; each shows in `hardstand health` with the right severity, and
//! goes away when it is put right.
//!
//! The faults are made together and undone together: each must be told among the others, as on a bad day.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::args::{Bus, Rom};
use crate::health::{Health, rank};
use crate::machine::Running;
use crate::scene::{SECOND_TAP, Scene, TAP, nic, second_nic};
use crate::stories::claims::{self, COMMAND_LIMIT};
use crate::stories::faults::{Act, FAULTS, Fault, PREPARE};
use crate::wait::until;

/// Three passes of the agent (one each 10 s), a pass taking seconds under emulation.
const SEEN_LIMIT: Duration = Duration::from_secs(150);
/// mkfs, mount and dpkg each load a program from a cold disk under emulation.
const ACT_LIMIT: Duration = Duration::from_secs(60);
/// timesyncd asks its server within a minute of the network being up.
const CLOCK_LIMIT: Duration = Duration::from_secs(120);
/// Size of the disks that are filled, made read-only and pulled.
const DISK_BYTES: u64 = 64 << 20;

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let _network = scene.network(&[TAP, SECOND_TAP]).await?;
    let mut machine = scene.machine("node", scene.uefi()?);
    machine.disks = vec![scene.system_disk("lab-node", Bus::Virtio).await?];
    for serial in ["full", "readonly", "pulled"] {
        machine.disks.push(scene.blank_disk(serial, DISK_BYTES)?);
    }
    machine.nics = vec![nic(Rom::Empty, None), second_nic()];
    let mut running = scene.power_on(machine).await?;
    claims::comes_up(scene, &mut running).await?;
    running.guest().ok(PREPARE, ACT_LIMIT).await.context("preparing what is to be broken")?;
    starts_well(scene, &running).await?;

    for fault in &FAULTS {
        act(&mut running, &fault.make).await.with_context(|| format!("making the fault: {}", fault.name))?;
        scene.say(&format!("made: {}", fault.name));
    }
    let health = all(&running, "every fault to show", shows).await?;
    for fault in &FAULTS {
        let finding = health.worst(fault.check, fault.subject).context("a fault that shows has a finding")?;
        scene.say(&format!("seen: {:<5} {:<26} {}", finding.severity, finding.check, finding.summary));
    }
    status_says(scene, &running).await?;

    for fault in FAULTS.iter().rev() {
        act(&mut running, &fault.undo).await.with_context(|| format!("undoing the fault: {}", fault.name))?;
    }
    scene.say("all put right");
    let health = all(&running, "every fault to go away", |health, fault| !shows(health, fault)).await?;
    ensure!(health.verdict != "crit", "the verdict is still crit: {}", health.complaints().join("; "));
    scene.say(&format!("all gone, verdict {}", health.verdict));
    status_says(scene, &running).await?;
    running.power_off().await
}

/// None of the faults may show before it is made, or the story would prove nothing.
async fn starts_well(scene: &Scene, running: &Running) -> Result<()> {
    let health = until("the clock to be kept by the lab's server", CLOCK_LIMIT, async || {
        let health = claims::health(running).await?;
        let kept = health.worst("clock.sync", "").is_some_and(|finding| finding.severity == "ok");
        Ok(kept.then_some(health))
    });
    let health = health.await?;
    if let Some(fault) = FAULTS.iter().find(|fault| shows(&health, fault)) {
        bail!("{} shows before it was made: {}", fault.check, health.complaints().join("; "));
    }
    status_says(scene, running).await?;
    scene.say(&format!("before: verdict {}; {}", health.verdict, health.complaints().join("; ")));
    Ok(())
}

/// Waits until `holds` for every fault at once; the error names those for which it does not.
async fn all(running: &Running, what: &str, holds: impl Fn(&Health, &Fault) -> bool) -> Result<Health> {
    let mut missing = Vec::new();
    let mut complaints = Vec::new();
    let seen = until(what, SEEN_LIMIT, async || {
        let health = claims::health(running).await?;
        missing = FAULTS.iter().filter(|fault| !holds(&health, fault)).map(|fault| fault.name).collect();
        complaints = health.complaints();
        Ok(missing.is_empty().then_some(health))
    });
    let seen = seen.await;
    seen.with_context(|| format!("not so for: {}. The agent says: {}", missing.join(", "), complaints.join("; ")))
}

fn shows(health: &Health, fault: &Fault) -> bool {
    let severity = health.worst(fault.check, fault.subject).map_or("ok", |finding| finding.severity.as_str());
    // Worse than asked is wrong as well: a severity that is too loud is not read a second time.
    rank(severity) == rank(fault.severity)
}

async fn act(running: &mut Running, act: &Act) -> Result<()> {
    match *act {
        Act::Inside(command) => drop(running.guest().ok(command, ACT_LIMIT).await?),
        Act::Pull(serial) => running.pull(serial).await?,
        Act::PutBack(serial) => running.put_back(serial).await?,
        Act::Cable { place, plugged } => running.cable(place, plugged).await?,
    }
    Ok(())
}

/// What `systemctl status` shows, the first thing anybody looks at, must be what the health page says. Both are of the
/// same pass, or one pass apart: so it is waited for.
async fn status_says(scene: &Scene, running: &Running) -> Result<()> {
    let command = "systemctl show -P StatusText hardstand-agent";
    let mut text = String::new();
    let agreed = until("systemctl status to say what the health page says", SEEN_LIMIT, async || {
        let verdict = claims::health(running).await?.verdict;
        text = running.guest().ok(command, COMMAND_LIMIT).await?;
        let word = if verdict == "ok" || verdict == "info" { "healthy" } else { &verdict };
        Ok(text.starts_with(&format!("{word}: ")).then_some(()))
    });
    agreed.await.with_context(|| format!("it says: {}", text.trim()))?;
    scene.say(&format!("systemctl status says: {}", text.trim()));
    Ok(())
}
