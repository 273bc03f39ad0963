//! `fleetlock`: machines that run no agent ask for their reboots by FleetLock v1, beside a rollout of those that do. A slot
//! is a slot, whoever holds it: a rollout waits for a guest and a guest for a node; a halt holds both.

use anyhow::{Result, ensure};

use crate::fleet::Fleet;
use crate::fleet::operator::Operator;
use crate::fleet::trust::Engine;
use crate::fleet::zincati::{Reply, Zincati};
use crate::scene::Scene;
use crate::stories::claims::COMMAND_LIMIT;
use crate::stories::rolling::{finishes, nothing_begins, policy, start, told, up};
use crate::updates::Version;
use crate::wait::until;

/// Where guests are heard on every node.
const PORT: u16 = 9786;
/// The group that the nodes are in too.
const GROUP: &str = "all";
/// What the rollout is called.
const NAME: &str = "lab-small";

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let (fleet, operator) = up(scene, Engine::Embedded).await?;
    let rules = format!("\n[fleetlock]\nlisten = \"0.0.0.0:{PORT}\"\nids = [\"anton\", \"berta\"]\n");
    let file = operator.file("with-guests.toml", &(policy(Engine::Embedded) + &rules))?;
    operator.ok(&["fleet", "apply", &file]).await?;
    let guest = |id: &str| Zincati::new(id, fleet.seeds(), PORT);
    let (anton, berta) = (guest("anton"), guest("berta"));
    doors_open(&anton).await?;

    // Whoever is asked first sends on to who leads.
    let first = anton.pre_reboot("node1", GROUP).await?;
    is(&first, 200, "", "the first of two guests")?;
    let again = anton.pre_reboot("node2", GROUP).await?;
    is(&again, 200, "", "the same guest again, at another node")?;
    ensure!(first.by == again.by, "two nodes answer as the leader: {first:?}, {again:?}");
    is(&berta.pre_reboot("nas", GROUP).await?, 423, "slots_full", "the second of two guests")?;
    is(&berta.steady_state("nas", GROUP).await?, 200, "", "steady without a slot")?;
    is(&berta.pre_reboot("node1", "nobody").await?, 400, "unknown_group", "an unknown group")?;
    is(&guest("carl").pre_reboot("node1", GROUP).await?, 400, "invalid_client_identity", "a stranger")?;
    is(&guest("berta").without_header().pre_reboot(&first.by, GROUP).await?, 400, "missing_header", "no header")?;
    let leases = operator.ok(&["lease", "list"]).await?;
    ensure!(leases.lines().count() == 1 && leases.starts_with("anton "), "leases: {leases}");
    scene.say(&format!("{} leads and gave the one slot to one of two guests", first.by));

    fleet.repository.publish(Version::Small)?;
    start(scene, &operator, NAME, &[]).await?;
    nothing_begins(&operator).await?;
    ensure!(operator.chain().await?.count("entered") == 0, "a node began beside a guest");
    scene.say("the rollout waits for the guest");
    is(&anton.steady_state("node2", GROUP).await?, 200, "", "steady with a slot")?;
    told(&operator, "a node to begin", |chain| chain.count("entered") == 1).await?;
    is(&berta.pre_reboot("node2", GROUP).await?, 423, "slots_full", "a guest beside a node")?;
    scene.say("a guest waits for the node");

    operator.ok(&["halt", "somebody smells smoke"]).await?;
    let halted = berta.pre_reboot("node2", GROUP).await?;
    is(&halted, 409, "rollout_halted", "a guest under a halt")?;
    operator.ok(&["halt", "--lift", "it was the toaster"]).await?;
    finishes(scene, &fleet, &operator, NAME).await?;
    our_own_client(&fleet, &operator).await?;
    scene.say("our own client takes a slot and gives it back");
    scene.say(operator.ok(&["audit", "verify"]).await?.trim());
    fleet.end().await
}

/// Every node hears guests once it knows the policy.
async fn doors_open(guest: &Zincati) -> Result<()> {
    for node in ["node1", "node2", "nas"] {
        until(&format!("the door of {node} to open"), COMMAND_LIMIT, async || {
            Ok(guest.steady_state(node, GROUP).await.ok().filter(|reply| reply.status == 200).map(drop))
        })
        .await?;
    }
    Ok(())
}

fn is(reply: &Reply, status: u16, kind: &str, what: &str) -> Result<()> {
    ensure!(reply.status == status && reply.kind == kind, "{what}: {reply:?}, not {status} {kind}");
    Ok(())
}

/// `hardstand fleetlock` on a node, as a hook would run it.
async fn our_own_client(fleet: &Fleet, operator: &Operator) -> Result<()> {
    let node = fleet.node("node1");
    let ask = |wish: &str, id: &str| {
        format!("hardstand fleetlock {wish} --url http://node2:{PORT}/ --group {GROUP} --id {id}")
    };
    node.ok(&ask("pre-reboot", "berta"), COMMAND_LIMIT).await?;
    let leases = operator.ok(&["lease", "list"]).await?;
    ensure!(leases.starts_with("berta "), "leases: {leases}");
    let other = node.run(&ask("pre-reboot", "anton"), COMMAND_LIMIT).await?;
    ensure!(other.status == 75 && other.stderr.contains("slots_full"), "{}: {}", other.status, other.stderr);
    node.ok(&ask("steady-state", "berta"), COMMAND_LIMIT).await?;
    let leases = operator.ok(&["lease", "list"]).await?;
    ensure!(leases.starts_with("no lease"), "leases: {leases}");
    Ok(())
}
