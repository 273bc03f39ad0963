//! `roll-embedded` and `roll-etcd`: three machines take a real update, new kernel and new agent included, and reboot one
//! after the other, as planned, approved and started by a person; somebody answers for the web service all the time.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::fleet::operator::Operator;
use crate::fleet::prober::Prober;
use crate::fleet::trust::{Engine, Trust};
use crate::fleet::{Fleet, SeedFile, Topology};
use crate::scene::Scene;
use crate::stories::claims::COMMAND_LIMIT;
use crate::updates::{AGENT_TWO, Version};
use crate::wait::until;

/// Agents of three machines that share two processors find the store and say what they have.
const TOLD_LIMIT: Duration = Duration::from_secs(240);
/// Lists are fetched and the update is resolved by three emulated machines at once.
const PLANNED_LIMIT: Duration = Duration::from_secs(5 * 60);
/// Three upgrades with an initrd each, three boots, three streaks: 14 minutes on two idle cores, twice that beside others.
const ROLL_LIMIT: Duration = Duration::from_secs(40 * 60);

/// The fleet as its operator writes it down.
const POLICY: &str = r#"
[fleet]
name = "lab"

[[group]]
name = "all"
nodes = ["node1", "node2", "nas"]
max_down = 1
order = ["node1", "node2", "nas"]
alone = ["nas"]
STORE_HOSTS

[gates]
streak = "20s"
"#;

pub(crate) async fn run(scene: &Scene, engine: Engine) -> Result<()> {
    let (fleet, operator) = up(scene, engine).await?;
    let kernels = [kernel(&fleet, "node1").await?, kernel(&fleet, "node2").await?, kernel(&fleet, "nas").await?];

    fleet.repository.publish(Version::Two)?;
    let rollout = plan(scene, &operator).await?;
    let prober = Prober::start();
    operator.ok(&["rollout", "approve", &rollout]).await?;
    operator.ok(&["rollout", "start", &rollout]).await?;
    let watch = operator.command(&["rollout", "watch", &rollout], ROLL_LIMIT);
    let ended = watch.lines(|_, line| scene.say(line)).await;
    if let Err(error) = ended {
        explain(scene, &fleet).await;
        return Err(error).context("watching the rollout");
    }
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
    let runbook = operator.ok(&["runbook", &rollout]).await?;
    std::fs::write(scene.dir.join("runbook.md"), &runbook).context("keeping the runbook")?;
    for name in ["node1", "node2", "nas"] {
        ensure!(runbook.contains(name), "the runbook does not speak of {name}");
    }
    ensure!(availability.asked > 0 && availability.answers.len() == 2, "both nodes must have served: {availability}");
    fleet.end().await
}

/// Three machines that are one fleet, with its policy applied and every node heard of.
pub(crate) async fn up(scene: &Scene, engine: Engine) -> Result<(Fleet, Operator)> {
    let mut topology = Topology::three();
    let trust = Trust::make(&scene.program, scene.dir.join("trust")).await?;
    trust.enlist(&mut topology, engine).await?;
    for name in ["node1", "node2"] {
        let drain = "[drain]\nunits = [\"lab-web.service\"]\n\n[hooks]\npre_drain = [\"lab-address-give.service\"]\n";
        topology = topology.file(name, SeedFile::plain("/etc/hardstand/agent.toml.d/70-drain.toml", drain));
    }
    let operator = Operator::new("anna", &trust, &topology, engine, &scene.program).await?;
    let fleet = Fleet::boot(scene, topology).await?;
    match engine {
        Engine::Embedded => fleet.node("nas").ok("hardstand store init", COMMAND_LIMIT).await?,
        Engine::Etcd => found(&trust, &operator, &fleet).await?,
    };
    scene.say("the store was made");
    let hosts = match engine {
        Engine::Embedded => "store_hosts = [\"nas\"]",
        Engine::Etcd => "",
    };
    let policy = operator.file("fleet.toml", &POLICY.replace("STORE_HOSTS", hosts))?;
    until("the store to answer", TOLD_LIMIT, async || {
        Ok((operator.run(&["store", "show"]).await?.code == Some(0)).then_some(()))
    })
    .await?;
    operator.ok(&["fleet", "apply", &policy]).await?;
    let mut last = String::new();
    until("every node to have reported", TOLD_LIMIT, async || {
        last = operator.ok(&["store", "show", "--json"]).await?;
        Ok(last.contains("\"nodes_reporting\": 3").then_some(()))
    })
    .await
    .with_context(|| format!("the store says: {last}"))?;
    scene.say("every node has reported");
    Ok((fleet, operator))
}

/// Gives everybody their user in etcd, by somebody whose certificate is used for nothing else, and makes the store.
async fn found(trust: &Trust, operator: &Operator, fleet: &Fleet) -> Result<String> {
    let root = trust.operator("root").await?.display().to_string();
    let nodes: Vec<&str> = fleet.nodes().iter().flat_map(|node| ["--node", node.name()]).collect();
    let users = [&["store", "users", "--operator", "anna", "--credentials", &root][..], &nodes].concat();
    until("etcd to have its users", TOLD_LIMIT, async || {
        Ok((operator.run(&users).await?.code == Some(0)).then_some(()))
    })
    .await?;
    operator.ok(&["store", "init"]).await
}

/// Plans until nothing is in the way, and gives the rollout's name.
async fn plan(scene: &Scene, operator: &Operator) -> Result<String> {
    let mut last = String::new();
    let what = "a plan without a blocker";
    let name = until(what, PLANNED_LIMIT, async || {
        let said = operator.run(&["rollout", "plan", "--refresh", "--name", "lab-two"]).await?;
        last = format!("{}{}", String::from_utf8_lossy(&said.stdout), said.stderr);
        Ok((said.code == Some(0)).then(|| "lab-two".to_owned()))
    })
    .await
    .with_context(|| format!("the last plan said: {last}"))?;
    for line in last.lines() {
        scene.say(line);
    }
    Ok(name)
}

/// What the nodes say of themselves, for a rollout that did not end well.
async fn explain(scene: &Scene, fleet: &Fleet) {
    let ask = "journalctl --no-pager -b -o short-monotonic -u hardstand-agent -u hardstand-helper -u 'hardstand-*' | tail -60";
    for node in fleet.nodes() {
        let said = match node.run(ask, COMMAND_LIMIT).await {
            Ok(said) => said.stdout,
            Err(error) => format!("{error:#}"),
        };
        scene.say(&format!("{} says:\n{said}", node.name()));
    }
}

async fn kernel(fleet: &Fleet, name: &str) -> Result<String> {
    Ok(fleet.node(name).ok("uname -r", COMMAND_LIMIT).await?.trim().to_owned())
}
