//! `roll-bad-update`: updates that go wrong. A package that fails to install, and a service that stays down after its
//! upgrade: each halts with the node's name and the next action, the node holds, the others stay as they are and serve.
//! A person mends the node and ends the rollout; the node proves itself and gives its lease back.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::fleet::Fleet;
use crate::fleet::operator::Operator;
use crate::fleet::prober::Prober;
use crate::fleet::trust::Engine;
use crate::scene::Scene;
use crate::stories::claims::COMMAND_LIMIT;
use crate::stories::rolling::{explain, follow, policy, start, up};
use crate::updates::Version;
use crate::wait::until;

/// Gates that hold for the streak, and services that come back.
const BACK_LIMIT: Duration = Duration::from_secs(240);
/// How long gates may take to hold, as other stories have it and as this one does.
const VERIFY: [&str; 2] = ["verify = \"5m\"", "verify = \"1m\""];
/// As an operator would, who has read what failed.
const MEND_TOOL: &str = "rm /var/lib/dpkg/info/lab-tool.postinst && dpkg --configure -a";
/// The same for the service: another version of what it runs.
const MEND_SERVICE: &str = "printf '#!/bin/sh\\nexec sleep infinity\\n' >/usr/libexec/lab-service && \
                            systemctl reset-failed lab-service && systemctl restart lab-service";

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let (fleet, operator) = up(scene, Engine::Embedded).await?;
    let prober = Prober::start();
    fleet.repository.publish(Version::FailsToInstall)?;
    halts_at_node1(scene, &fleet, &operator, "fails", "installing packages failed").await?;
    mended(scene, &fleet, &operator, MEND_TOOL).await?;

    // A service that stays down is a matter of the limit: a short one, so that the story is.
    let patient = policy(Engine::Embedded);
    ensure!(patient.contains(VERIFY[0]), "the policy has another limit than this story thinks");
    let file = operator.file("impatient.toml", &patient.replace(VERIFY[0], VERIFY[1]))?;
    operator.ok(&["fleet", "apply", &file]).await?;
    fleet.repository.publish(Version::ServiceStaysDown)?;
    halts_at_node1(scene, &fleet, &operator, "stays-down", "lab-service").await?;
    mended(scene, &fleet, &operator, MEND_SERVICE).await?;
    let availability = prober.stop().await;
    scene.say(&format!("the service: {availability}"));
    ensure!(availability.asked > 0 && availability.percent() > 99.0, "the service was away: {availability}");
    scene.say(operator.ok(&["audit", "verify"]).await?.trim());
    fleet.end().await
}

/// Rolls until it halts, which must name the node, the reason and a next action, and leave the others alone.
pub(super) async fn halts_at_node1(
    scene: &Scene,
    fleet: &Fleet,
    operator: &Operator,
    name: &str,
    reason: &str,
) -> Result<()> {
    start(scene, operator, name, &[]).await?;
    if follow(scene, operator, name).await? != 2 {
        explain(scene, fleet).await;
        anyhow::bail!("the rollout {name} finished");
    }
    let halt = operator.ok(&["halt", "--show", "--json"]).await?;
    ensure!(halt.contains("\"node\": \"node1\"") && halt.contains(reason), "the halt says: {halt}");
    ensure!(!halt.contains("\"next_action\": \"\""), "no next action: {halt}");
    let leases = operator.ok(&["lease", "list"]).await?;
    ensure!(leases.lines().count() == 1 && leases.starts_with("node1 "), "leases: {leases}");
    let health = fleet.node("node1").run("hardstand health", COMMAND_LIMIT).await?;
    ensure!(health.status == 2 && health.stdout.contains("fleet.hold"), "node1 says: {}", health.stdout);
    for other in ["node2", "nas"] {
        let pending =
            fleet.node(other).ok("dpkg-query -W -f '${Version}\\n' lab-tool lab-service", COMMAND_LIMIT).await?;
        ensure!(!pending.contains('+'), "{other} has been touched: {pending}");
    }
    ensure!(fleet.holder().await? == Some("node2"), "node2 does not serve");
    scene.say("halted at node1; node2 and nas are as they were");
    Ok(())
}

/// A person mends the node, ends the rollout and lifts the halt: the node goes on to its own end.
pub(super) async fn mended(scene: &Scene, fleet: &Fleet, operator: &Operator, mend: &str) -> Result<()> {
    fleet.node("node1").ok(mend, COMMAND_LIMIT).await?;
    operator.ok(&["rollout", "abort", "--reason", "a bad update"]).await?;
    operator.ok(&["halt", "--lift", "mended by hand"]).await?;
    let mut last = String::new();
    let what = "node1 to give its lease back";
    let back = until(what, BACK_LIMIT, async || {
        last = operator.ok(&["lease", "list"]).await?;
        Ok(last.starts_with("no lease").then_some(()))
    });
    if let Err(error) = back.await {
        explain(scene, fleet).await;
        return Err(error.context(last));
    }
    fleet.node("node1").ok("systemctl is-active lab-web.service", COMMAND_LIMIT).await?;
    scene.say("mended by hand; node1 has proved itself and serves again");
    Ok(())
}
