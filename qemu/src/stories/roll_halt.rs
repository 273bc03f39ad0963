//! `roll-halt`: a person stops a rollout. Nothing more begins, whoever leads and whoever starts again, until a person lifts
//! it; then it goes on to its end. The update needs no reboot.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::fleet::trust::Engine;
use crate::scene::Scene;
use crate::stories::claims::COMMAND_LIMIT;
use crate::stories::rolling::{answers, finishes, nothing_begins_since, start, up};
use crate::updates::Version;

/// An agent that starts again reads the store and has its session within this, on a busy machine.
const AGAIN_LIMIT: Duration = Duration::from_secs(120);
/// What the rollout is called.
const NAME: &str = "lab-small";

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let (fleet, operator) = up(scene, Engine::Embedded).await?;
    fleet.repository.publish(Version::Small)?;
    start(scene, &operator, NAME, &[]).await?;
    let begin = Instant::now();
    operator.ok(&["halt", "somebody smells smoke"]).await?;
    scene.say(&format!("halted, {:.2} s after it was asked for", begin.elapsed().as_secs_f64()));
    let before = operator.chain().await?;
    fleet.node("nas").ok("systemctl restart hardstand-agent", AGAIN_LIMIT).await?;
    answers(&operator).await?;
    let said = operator.ok(&["halt", "--show"]).await?;
    ensure!(said.contains("somebody smells smoke") && said.contains("operator:anna"), "the halt says: {said}");
    // What had begun when the halt came may end; nothing begins after it.
    nothing_begins_since(&operator, &before).await?;
    ensure!(operator.chain().await?.count("verified") == 0, "a node was done under the halt");
    scene.say("nothing began under the halt, not after the leader's restart either");
    let stranger = operator.run(&["rollout", "start", NAME]).await?;
    ensure!(stranger.code != Some(0), "a rollout was started under a halt");

    operator.ok(&["halt", "--lift", "it was the toaster"]).await?;
    finishes(scene, &fleet, &operator, NAME).await?;
    for node in fleet.nodes() {
        let version = node.ok("lab-tool", COMMAND_LIMIT).await?;
        ensure!(version.trim() == "lab-tool 2.0", "{} has {version}", node.name());
    }
    scene.say(operator.ok(&["audit", "verify"]).await?.trim());
    fleet.end().await
}
