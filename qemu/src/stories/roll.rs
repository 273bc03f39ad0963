//! `roll-embedded` and `roll-etcd`: three machines take a real update, new kernel and new agent included, and reboot one
//! after the other, as planned, approved and started by a person; somebody answers for the web service all the time.

use anyhow::{Context as _, Result, ensure};

use crate::fleet::Fleet;
use crate::fleet::prober::Prober;
use crate::fleet::trust::Engine;
use crate::scene::Scene;
use crate::stories::claims::COMMAND_LIMIT;
use crate::stories::rolling::{finishes, policy, start, up};
use crate::updates::{AGENT_TWO, Version};

/// The web service as an operator declares it: the leader asks it too, and grants nothing while it is down.
const SERVICE: &str = "\n[[service]]\nname = \"lab-web\"\nurl = \"http://10.77.0.200/name\"\nslo_percent = 99.0\n";
/// What the rollout is called.
const NAME: &str = "lab-two";

pub(crate) async fn run(scene: &Scene, engine: Engine) -> Result<()> {
    let (fleet, operator) = up(scene, engine).await?;
    let kernels = [kernel(&fleet, "node1").await?, kernel(&fleet, "node2").await?, kernel(&fleet, "nas").await?];

    let file = operator.file("with-service.toml", &(policy(engine) + SERVICE))?;
    operator.ok(&["fleet", "apply", &file]).await?;
    fleet.repository.publish(Version::Two)?;
    let prober = Prober::start();
    start(scene, &operator, NAME, &[]).await?;
    finishes(scene, &fleet, &operator, NAME).await?;
    let availability = prober.stop().await;
    scene.say(&format!("the service: {availability}"));

    for (name, before) in ["node1", "node2", "nas"].into_iter().zip(kernels) {
        let after = kernel(&fleet, name).await?;
        ensure!(before != after, "{name} still runs {before}");
        let agent = fleet.node(name).ok("dpkg-query -W -f '${Version}' hardstand", COMMAND_LIMIT).await?;
        ensure!(agent == AGENT_TWO, "{name} has the agent {agent}, not {AGENT_TWO}");
    }
    scene.say("all three run the new kernel and the new agent");
    operator.ok(&["audit", "verify"]).await?;
    let runbook = operator.ok(&["runbook", NAME]).await?;
    std::fs::write(scene.dir.join("runbook.md"), &runbook).context("keeping the runbook")?;
    for name in ["node1", "node2", "nas", "lab-web"] {
        ensure!(runbook.contains(name), "the runbook does not speak of {name}");
    }
    ensure!(availability.asked > 0 && availability.answers.len() == 2, "both nodes must have served: {availability}");
    fleet.end().await
}

async fn kernel(fleet: &Fleet, name: &str) -> Result<String> {
    Ok(fleet.node(name).ok("uname -r", COMMAND_LIMIT).await?.trim().to_owned())
}
