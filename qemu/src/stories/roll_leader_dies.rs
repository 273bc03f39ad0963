//! `roll-leader-dies`: the machine that leads loses its power while another node, or it itself, is in maintenance. Another
//! one leads soon; it grants nothing while a machine is away (S1), and goes on when it is back. The store is an etcd with a
//! member on each machine, so the store loses a member too.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::fleet::trust::Engine;
use crate::scene::Scene;
use crate::stories::rolling::{answers, explain, finishes, nothing_begins, start, told, up};
use crate::updates::Version;
use crate::wait::until;

/// A session of 10 s has to run out, etcd has to elect, and the next one stands: more is a fault even on a busy machine.
const NEXT_LEADER_LIMIT: Duration = Duration::from_secs(60);
/// What the rollout is called.
const NAME: &str = "lab-small";

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let (mut fleet, operator) = up(scene, Engine::Etcd).await?;
    fleet.repository.publish(Version::Small)?;
    start(scene, &operator, NAME, &[]).await?;
    told(&operator, "a node to begin", |chain| chain.count("entered") == 1).await?;
    let leader = operator.leader().await?.context("nobody leads a rollout that is under way")?;
    let terms = operator.chain().await?.count("led");
    fleet.node_mut(&leader).cut_power().await?;
    let begin = Instant::now();
    scene.say(&format!("{leader}, which led, has lost its power"));

    answers(&operator).await?;
    scene.say(&format!("the store answers, {:.1} s after the power went", begin.elapsed().as_secs_f64()));
    let mut next = String::new();
    let led = until("another node to lead", NEXT_LEADER_LIMIT, async || {
        let chain = operator.chain().await?;
        next = operator.leader().await?.unwrap_or_default();
        Ok((chain.count("led") > terms && !next.is_empty() && next != leader).then_some(()))
    });
    if let Err(error) = led.await {
        explain(scene, &fleet).await;
        return Err(error);
    }
    scene.say(&format!("{next} leads, {:.1} s after the power went", begin.elapsed().as_secs_f64()));
    nothing_begins(&operator).await?;
    scene.say(&format!("nothing begins while {leader} is away"));

    let node = fleet.node_mut(&leader);
    node.power_on(scene).await?;
    node.comes_up(scene).await?;
    finishes(scene, &fleet, &operator, NAME).await?;
    let chain = operator.chain().await?;
    ensure!(chain.order("verified").len() == 3, "verified: {:?}", chain.order("verified"));
    chain.has_one_leader_at_a_time()?;
    scene.say(operator.ok(&["audit", "verify"]).await?.trim());
    fleet.end().await
}
