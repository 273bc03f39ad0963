//! `roll-store-host-last`: the operator lists the machine that hosts the store first, and it still goes last, alone (S15).

use anyhow::{Context as _, Result, ensure};

use crate::fleet::chain::Chain;
use crate::fleet::trust::Engine;
use crate::scene::Scene;
use crate::stories::rolling::{finishes, policy, start, up};
use crate::updates::Version;

/// What the rollout is called.
const NAME: &str = "lab-small";
/// What the policy of the other stories says, and what this one asks for.
const ORDER: [&str; 2] = ["order = [\"node1\", \"node2\", \"nas\"]", "order = [\"nas\", \"node2\", \"node1\"]"];

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let (fleet, operator) = up(scene, Engine::Embedded).await?;
    let asked = policy(Engine::Embedded);
    ensure!(asked.contains(ORDER[0]), "the policy has another order than this story thinks");
    let file = operator.file("nas-first.toml", &asked.replace(ORDER[0], ORDER[1]))?;
    operator.ok(&["fleet", "apply", &file]).await?;
    fleet.repository.publish(Version::Small)?;
    start(scene, &operator, NAME, &[]).await?;
    finishes(scene, &fleet, &operator, NAME).await?;
    let chain = operator.chain().await?;
    ensure!(chain.order("entered") == ["node2", "node1", "nas"], "entered: {:?}", chain.order("entered"));
    is_alone(&chain, "nas")?;
    scene.say("nas was asked for first, and went last and alone");
    scene.say(operator.ok(&["audit", "verify"]).await?.trim());
    fleet.end().await
}

/// Everybody else was done before it was granted its lease.
fn is_alone(chain: &Chain, host: &str) -> Result<()> {
    let granted = chain.place("granted", host).with_context(|| format!("{host} was never granted a lease"))?;
    for other in ["node1", "node2"] {
        let verified = chain.place("verified", other).with_context(|| format!("{other} was never verified"))?;
        ensure!(verified < granted, "{other} was not done when {host} was granted its lease");
    }
    Ok(())
}
