//! `roll-crash`: one node is patched with a new kernel and loses its power in every phase of it, on a disk that forgets
//! what was not flushed. Each time it is switched on again; the rollout ends, or halts with a reason that a person can
//! follow; nothing is lost and nothing is done twice.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::fleet::Fleet;
use crate::fleet::operator::Operator;
use crate::fleet::trust::Engine;
use crate::scene::Scene;
use crate::stories::claims::COMMAND_LIMIT;
use crate::stories::rolling::{explain, start, up_on};
use crate::updates::Version;
use crate::wait::until;

/// The node that is cut.
const NODE: &str = "node1";
/// What the rollout is called.
const NAME: &str = "lab-crash";
/// Where the power is cut: at the first audit record that says so, and so much later.
const CUTS: [(&str, Duration); 6] = [
    ("\"phase\":\"draining\"", Duration::ZERO),
    ("\"phase\":\"patching\"", Duration::ZERO),
    // In the middle of unpacking or configuring.
    ("\"phase\":\"patching\"", Duration::from_secs(40)),
    ("\"phase\":\"reboot_armed\"", Duration::ZERO),
    ("\"phase\":\"reboot_armed\"", Duration::from_secs(15)),
    ("\"what\":\"verified\"", Duration::ZERO),
];
/// From one cut to the next phase: a boot, and what is left of the step.
const PHASE_LIMIT: Duration = Duration::from_secs(15 * 60);
/// Between two looks at the audit chain.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let (mut fleet, operator) = up_on(scene, Engine::Embedded, &[NODE]).await?;
    let before = kernel(&fleet).await?;
    fleet.repository.publish(Version::Two)?;
    start(scene, &operator, NAME, &["--node", NODE]).await?;
    for (place, (sign, later)) in CUTS.into_iter().enumerate() {
        let again = CUTS[..place].iter().any(|(earlier, _)| *earlier == sign);
        if let Err(error) = appears(&operator, sign, again).await {
            explain(scene, &fleet).await;
            return Err(error);
        }
        tokio::time::sleep(later).await;
        let node = fleet.node_mut(NODE);
        node.cut_power().await?;
        scene.say(&format!("cut {} of {}: {} after {sign}", place + 1, CUTS.len(), shown(later)));
        node.power_on(scene).await?;
    }
    fleet.node_mut(NODE).comes_up(scene).await?;
    let mut last = String::new();
    let ended = until("the rollout to end", PHASE_LIMIT, async || {
        last = operator.ok(&["rollout", "history"]).await? + &operator.ok(&["halt", "--show"]).await?;
        if last.contains("HALTED") {
            bail!("it halted: {last}");
        }
        Ok(last.contains(" finished ").then_some(()))
    });
    if let Err(error) = ended.await {
        explain(scene, &fleet).await;
        return Err(error.context(last));
    }
    ensure!(kernel(&fleet).await? != before, "{NODE} still runs {before}");
    let broken = fleet.node(NODE).ok("dpkg --audit", COMMAND_LIMIT).await?;
    ensure!(broken.is_empty(), "dpkg is not whole: {broken}");
    nothing_doubled(&operator).await?;
    scene.say(operator.ok(&["audit", "verify"]).await?.trim());
    fleet.end().await
}

fn shown(later: Duration) -> String {
    if later.is_zero() { "at once".to_owned() } else { format!("{} s", later.as_secs()) }
}

/// Waits for the audit record; `again`: it has been there before, and the node has come back since.
async fn appears(operator: &Operator, sign: &str, again: bool) -> Result<()> {
    if again {
        // The step goes on under the record that is there; the node must be at it again.
        return until("the node to be back at it", PHASE_LIMIT, async || {
            let node = operator.run(&["node", "show", NODE, "--json"]).await?;
            Ok(String::from_utf8_lossy(&node.stdout).contains("\"alive\": true").then_some(()))
        })
        .await;
    }
    let begin = tokio::time::Instant::now();
    loop {
        let export = operator.ok(&["audit", "export"]).await?;
        if export.lines().any(|line| line.contains(sign)) {
            return Ok(());
        }
        let halt = operator.ok(&["halt", "--show"]).await?;
        ensure!(!halt.contains("HALTED"), "it halted before {sign}: {halt}");
        ensure!(begin.elapsed() < PHASE_LIMIT, "{sign} did not come");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Each step was entered once, under one lease.
async fn nothing_doubled(operator: &Operator) -> Result<()> {
    let export = operator.ok(&["audit", "export"]).await?;
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for what in ["granted", "entered", "verified", "finished"] {
        count.insert(what, export.lines().filter(|line| line.contains(&format!("\"what\":\"{what}\""))).count());
    }
    let doubled = count.iter().find(|(_, count)| **count != 1);
    ensure!(doubled.is_none(), "counted {count:?}");
    Ok(())
}

async fn kernel(fleet: &Fleet) -> Result<String> {
    let said = fleet.node(NODE).ok("uname -r", COMMAND_LIMIT).await.context("asking for the kernel")?;
    Ok(said.trim().to_owned())
}
