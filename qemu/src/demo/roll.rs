//! Two nodes that serve and a storage box take a new kernel and a new agent, one after the other, while somebody asks their
//! web service ten times a second.
//!
//! It must never help the rollout along.

use anyhow::{Result, ensure};

use crate::fleet::operator::Operator;
use crate::fleet::prober::Prober;
use crate::fleet::trust::Engine;
use crate::scene::Scene;
use crate::stories::rolling::{ROLL_LIMIT, up};
use crate::updates::Version;

/// What the rollout is called.
const NAME: &str = "demo";

pub(super) async fn show(scene: &Scene) -> Result<()> {
    let (fleet, operator) = up(scene, Engine::Embedded).await?;
    prompt(&operator, &["fleet", "show"]).await?;
    println!("\nUpdates are published: a few packages, a new kernel, a new version of the agent itself.");
    fleet.repository.publish(Version::Two)?;
    let prober = Prober::start();
    prompt(&operator, &["rollout", "plan", "--refresh", "--name", NAME]).await?;
    prompt(&operator, &["rollout", "approve", NAME, "--reason", "the monthly round"]).await?;
    prompt(&operator, &["rollout", "start", NAME]).await?;
    println!("\n# hardstand rollout watch");
    let watched = operator.command(&["rollout", "watch", NAME], ROLL_LIMIT).attached().await;
    let availability = prober.stop().await;
    prompt(&operator, &["runbook", NAME]).await?;
    println!("\nThe web service, asked ten times a second all the time: {availability}");
    watched?;
    fleet.end().await
}

/// Types a command as an operator would and shows the answer.
async fn prompt(operator: &Operator, words: &[&str]) -> Result<()> {
    println!("\n# hardstand {}", words.join(" "));
    let said = operator.run(words).await?;
    print!("{}{}", String::from_utf8_lossy(&said.stdout), said.stderr);
    ensure!(said.code == Some(0), "hardstand {} ended with {}", words.join(" "), said.status);
    Ok(())
}
