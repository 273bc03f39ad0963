//! `roll-partition`: cables fail during a rollout, on an etcd with a member on each machine. A node in maintenance that is
//! cut off keeps its lease, begins nothing and waits (S4, S12), and nobody else begins (S1); a leader that is cut off is
//! followed by another and writes nothing any more (S9); a node that hears and is not heard delays, and no more. Each time
//! the cables are mended the rollout goes on, to its end.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::fleet::Fleet;
use crate::fleet::operator::Operator;
use crate::fleet::trust::Engine;
use crate::scene::Scene;
use crate::stories::claims::COMMAND_LIMIT;
use crate::stories::rolling::{answers, explain, finishes, nothing_begins, start, told, up};
use crate::updates::Version;
use crate::wait::until;

/// A session runs out and etcd elects, or an agent gives up its connection, on a busy machine.
const NOTICED_LIMIT: Duration = Duration::from_secs(90);
/// What the rollout is called.
const NAME: &str = "lab-small";

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let (mut fleet, operator) = up(scene, Engine::Etcd).await?;
    fleet.repository.publish(Version::Small)?;
    start(scene, &operator, NAME, &[]).await?;
    let outcome = cut_and_mended(scene, &mut fleet, &operator).await;
    if outcome.is_err() {
        fleet.links.mend().await?;
        explain(scene, &fleet).await;
    }
    outcome?;
    let chain = operator.chain().await?;
    ensure!(chain.order("entered") == ["node1", "node2", "nas"], "entered: {:?}", chain.order("entered"));
    ensure!(chain.order("verified") == ["node1", "node2", "nas"], "verified: {:?}", chain.order("verified"));
    chain.has_one_leader_at_a_time()?;
    scene.say(operator.ok(&["audit", "verify"]).await?.trim());
    fleet.end().await
}

async fn cut_and_mended(scene: &Scene, fleet: &mut Fleet, operator: &Operator) -> Result<()> {
    a_node_in_maintenance(scene, fleet, operator).await?;
    the_leader(scene, fleet, operator).await?;
    one_direction(scene, fleet, operator).await?;
    finishes(scene, fleet, operator, NAME).await
}

async fn a_node_in_maintenance(scene: &Scene, fleet: &mut Fleet, operator: &Operator) -> Result<()> {
    told(operator, "node1 to patch", |chain| chain.has_begun("node1", "patching")).await?;
    fleet.links.partition(&["node1"]).await?;
    scene.say("node1, which is in maintenance, is cut off");
    // Its packages come to their end, its services come back; giving the lease back is an act of the store.
    alone(fleet, "node1").await?;
    answers(operator).await?;
    nothing_begins(operator).await?;
    let leases = operator.ok(&["lease", "list"]).await?;
    ensure!(leases.lines().count() == 1 && leases.starts_with("node1 "), "leases: {leases}");
    ensure!(operator.chain().await?.order("verified").is_empty(), "node1 was verified from behind the cut");
    scene.say("it keeps its lease, and nobody else begins");
    mend(fleet, operator).await
}

async fn the_leader(scene: &Scene, fleet: &mut Fleet, operator: &Operator) -> Result<()> {
    told(operator, "node2 to begin", |chain| chain.place("entered", "node2").is_some()).await?;
    let leader = operator.leader().await?.context("nobody leads a rollout that is under way")?;
    let terms = operator.chain().await?.count("led");
    fleet.links.partition(&[&leader]).await?;
    scene.say(&format!("{leader}, which leads, is cut off"));
    answers(operator).await?;
    until("another node to lead", NOTICED_LIMIT, async || {
        let others = operator.leader().await?.is_some_and(|now| now != leader);
        Ok((others && operator.chain().await?.count("led") > terms).then_some(()))
    })
    .await?;
    nothing_begins(operator).await?;
    scene.say("another one leads, and nobody begins while a node is out of sight");
    mend(fleet, operator).await
}

async fn one_direction(scene: &Scene, fleet: &mut Fleet, operator: &Operator) -> Result<()> {
    told(operator, "nas to begin", |chain| chain.place("entered", "nas").is_some()).await?;
    for other in ["node1", "node2"] {
        fleet.links.drop_one_way("nas", other).await?;
    }
    alone(fleet, "nas").await?;
    scene.say("nas hears the others, and they do not hear it");
    mend(fleet, operator).await
}

async fn mend(fleet: &mut Fleet, operator: &Operator) -> Result<()> {
    fleet.links.mend().await?;
    answers(operator).await
}

/// The agent says that the store is out of its reach.
async fn alone(fleet: &Fleet, name: &str) -> Result<()> {
    let guest = fleet.node(name).guest()?;
    let page = "exec 3<>/dev/tcp/127.0.0.1/9787; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";
    let what = format!("the agent of {name} to miss the store");
    guest
        .until(&what, NOTICED_LIMIT.max(COMMAND_LIMIT), page, |said| {
            said.stdout.lines().any(|line| line == "hardstand_store_up 0").then_some(())
        })
        .await
}
