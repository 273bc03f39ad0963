//! What the stories of a rollout share: three machines that are one fleet, a plan, and a rollout that is followed.
//!
//! It must never retry what an operator would not.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hardstand_exec::ExecError;

use crate::fleet::chain::Chain;
use crate::fleet::operator::Operator;
use crate::fleet::trust::{Engine, Trust};
use crate::fleet::{Fleet, SeedFile, Topology};
use crate::scene::Scene;
use crate::stories::claims::COMMAND_LIMIT;
use crate::wait::until;

/// Agents of three machines that share two processors find the store and say what they have.
const TOLD_LIMIT: Duration = Duration::from_secs(240);
/// Lists are fetched and the update is resolved by three emulated machines at once.
const PLANNED_LIMIT: Duration = Duration::from_secs(5 * 60);
/// Three upgrades with an initrd each, three boots, three streaks: 14 minutes on two idle cores, twice that beside others.
pub(crate) const ROLL_LIMIT: Duration = Duration::from_secs(40 * 60);

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

[timeouts]
verify = "5m"
"#;

/// The policy of a fleet on this engine.
pub(crate) fn policy(engine: Engine) -> String {
    let hosts = match engine {
        Engine::Embedded => "store_hosts = [\"nas\"]",
        Engine::Etcd => "",
    };
    POLICY.replace("STORE_HOSTS", hosts)
}

/// Three machines that are one fleet, with its policy applied and every node heard of.
pub(crate) async fn up(scene: &Scene, engine: Engine) -> Result<(Fleet, Operator)> {
    up_as(scene, engine, Topology::three()).await
}

/// The same with machines that are something more.
pub(crate) async fn up_as(scene: &Scene, engine: Engine, mut topology: Topology) -> Result<(Fleet, Operator)> {
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
    let policy = operator.file("fleet.toml", &policy(engine))?;
    answers(&operator).await?;
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

/// Waits until the store answers: after its members or its host came or went, nobody can say when it does.
pub(crate) async fn answers(operator: &Operator) -> Result<()> {
    until("the store to answer", TOLD_LIMIT, async || {
        Ok((operator.run(&["store", "show"]).await?.code == Some(0)).then_some(()))
    })
    .await
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

/// Has every node refresh its lists, plans under this name with what `more` asks for, approves and starts.
pub(crate) async fn start(scene: &Scene, operator: &Operator, name: &str, more: &[&str]) -> Result<()> {
    let mut last = String::new();
    let made = until("a plan to be made", PLANNED_LIMIT, async || {
        let said = operator.run(&[&["rollout", "plan", "--refresh", "--name", name][..], more].concat()).await?;
        last = format!("{}{}", String::from_utf8_lossy(&said.stdout), said.stderr);
        Ok((said.code == Some(0)).then_some(()))
    });
    made.await.with_context(|| format!("the last plan said: {last}"))?;
    for line in last.lines().filter(|line| !line.starts_with("       ")) {
        scene.say(line);
    }
    operator.ok(&["rollout", "approve", name]).await?;
    operator.ok(&["rollout", "start", name]).await?;
    Ok(())
}

/// Follows a rollout until it has finished (0) or needs a person (2).
pub(crate) async fn follow(scene: &Scene, operator: &Operator, name: &str) -> Result<u8> {
    let watch = operator.command(&["rollout", "watch", name], ROLL_LIMIT);
    match watch.lines(|_, line| scene.say(line)).await {
        Ok(_) => Ok(0),
        Err(ExecError::Failed { status, .. }) if status.ends_with(" 2") => Ok(2),
        Err(error) => Err(error).context("watching the rollout"),
    }
}

/// Follows a rollout that must finish.
pub(crate) async fn finishes(scene: &Scene, fleet: &Fleet, operator: &Operator, name: &str) -> Result<()> {
    if follow(scene, operator, name).await? != 0 {
        explain(scene, fleet).await;
        // Where the store is out of reach, that is what can be said.
        let halt = operator.ok(&["halt", "--show"]).await.unwrap_or_else(|error| format!("{error:#}"));
        bail!("rollout {name} did not finish: {halt}");
    }
    Ok(())
}

/// What has happened becomes known with an agent's next question.
const SHUT_LIMIT: Duration = Duration::from_secs(180);

/// The gate of a node says no, with these words among its reasons.
pub(crate) async fn is_shut(scene: &Scene, operator: &Operator, node: &str, words: &str) -> Result<()> {
    let mut last = String::new();
    let what = format!("the gate of {node} to be shut: {words}");
    let shut = until(&what, SHUT_LIMIT, async || {
        let said = operator.run(&["gate", node]).await?;
        last = String::from_utf8_lossy(&said.stdout).into_owned();
        // Its lines are folded for the terminal.
        let flat = last.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok((said.code == Some(2) && flat.contains(words)).then_some(()))
    });
    shut.await.with_context(|| format!("the gate says: {last}"))?;
    scene.say(&format!("the gate of {node} says:\n{}", last.trim_end()));
    Ok(())
}

/// A leader that may grant does so within a second or two; ten of those are a silence that says something.
const QUIET: Duration = Duration::from_secs(20);

/// Looks for some time whether anything begins: nobody is granted a lease, nobody enters one.
pub(crate) async fn nothing_begins(operator: &Operator) -> Result<()> {
    nothing_begins_since(operator, &operator.chain().await?).await
}

/// The same, and nothing has begun since the chain was as it was `before`.
pub(crate) async fn nothing_begins_since(operator: &Operator, before: &Chain) -> Result<()> {
    tokio::time::sleep(QUIET).await;
    let after = operator.chain().await?;
    for what in ["granted", "entered"] {
        let (was, is) = (before.count(what), after.count(what));
        ensure!(is == was, "{what} {was} times before, {is} times {} s later", QUIET.as_secs());
    }
    Ok(())
}

/// Waits until the audit chain says something.
pub(crate) async fn told(operator: &Operator, what: &str, seen: impl Fn(&Chain) -> bool) -> Result<()> {
    until(what, ROLL_LIMIT, async || {
        let halt = operator.ok(&["halt", "--show"]).await?;
        ensure!(!halt.contains("HALTED"), "it halted before {what}: {halt}");
        Ok(seen(&operator.chain().await?).then_some(()))
    })
    .await
}

/// What the nodes say of themselves, for a rollout that did not end well.
pub(crate) async fn explain(scene: &Scene, fleet: &Fleet) {
    let ask = "journalctl --no-pager -b -o short-monotonic -u hardstand-agent -u hardstand-helper -u 'hardstand-*' 2>&1 | tail -60";
    for node in fleet.nodes() {
        let said = match node.run(ask, COMMAND_LIMIT).await {
            Ok(said) => said.stdout,
            Err(error) => format!("{error:#}"),
        };
        scene.say(&format!("{} says:\n{said}", node.name()));
    }
}
