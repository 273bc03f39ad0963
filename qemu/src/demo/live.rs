//! `lab demo --live`: the live image boots over the network, and an operator looks at the node; then a disk is pulled,
//! seen to be missing, and put back.
//!
//! It must show nothing that was not printed by the node itself.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::args::Rom;
use crate::follow::Boot;
use crate::health::Health;
use crate::machine::Running;
use crate::scene::{Scene, TAP, nic};
use crate::stories::claims::{self, COMMAND_LIMIT};
use crate::wait::until;

/// The recipe it boots.
pub(super) const RECIPE: &str = "live";
/// Size of the disk that is pulled.
const DISK_BYTES: u64 = 64 << 20;
/// Three passes of the agent, and timesyncd's first question, under emulation on a loaded machine.
const SEEN_LIMIT: Duration = Duration::from_secs(150);

pub(super) async fn show(scene: &Scene) -> Result<()> {
    let _network = scene.network_boot(RECIPE, &[TAP]).await?;
    let mut machine = scene.machine("live", scene.uefi()?);
    machine.nics = vec![nic(Rom::Empty, Some(1))];
    machine.disks = vec![scene.blank_disk("demo-disk", DISK_BYTES)?];
    let download = std::fs::metadata(scene.artefact(RECIPE, "uki.efi")?).context("reading the image's size")?.len();
    let mut running = scene.power_on(machine).await?;
    Boot::follow(&mut running, TAP, download).await?;

    settled(&running).await?;

    prompt(&running, "systemctl status --no-pager --lines=3 hardstand-agent").await?;
    prompt(&running, "hardstand health").await?;
    prompt(&running, "hardstand inventory").await?;

    println!("\nNow somebody pulls the disk.");
    running.pull("demo-disk").await?;
    seen(&running, "the agent to miss the disk", |severity| severity == Some("crit")).await?;
    prompt(&running, "hardstand health").await?;
    prompt(&running, "systemctl show -P StatusText hardstand-agent").await?;

    println!("\nAnd puts it back.");
    running.put_back("demo-disk").await?;
    seen(&running, "the agent to see the disk again", |severity| severity != Some("crit")).await?;
    prompt(&running, "hardstand health").await?;
    prompt(&running, "systemctl show -P StatusText hardstand-agent").await?;

    running.power_cut().await?;
    println!("\nThat was all. The same machine to play with: qemu/lab run out/images/{RECIPE} --pxe");
    Ok(())
}

/// Waits until the boot is over and the clock is kept: right after READY both are true findings, and not the point.
async fn settled(running: &Running) -> Result<()> {
    waited(running, "the boot to be over and the clock to be kept", |health| {
        let ok = |check| health.worst(check, "").is_some_and(|finding| finding.severity == "ok");
        ok("clock.sync") && ok("systemd.state")
    })
    .await
}

async fn seen(running: &Running, what: &str, holds: impl Fn(Option<&str>) -> bool) -> Result<()> {
    waited(running, what, |health| {
        holds(health.worst("disk.present", "demo-disk").map(|finding| finding.severity.as_str()))
    })
    .await
}

async fn waited(running: &Running, what: &str, holds: impl Fn(&Health) -> bool) -> Result<()> {
    let mut last = String::new();
    let seen = until(what, SEEN_LIMIT, async || {
        let health = claims::health(running).await?;
        last = format!("{}; {:?}", health.complaints().join("; "), health.collectors);
        Ok(holds(&health).then_some(()))
    });
    seen.await.with_context(|| format!("the agent says: {last}"))
}

/// Types a command as an operator would and shows the answer. An unhealthy node is an answer, not an error.
async fn prompt(running: &Running, command: &str) -> Result<()> {
    let said = running.guest().run(&format!("COLUMNS=80 {command}"), COMMAND_LIMIT).await?;
    println!("\n# {command}\n{}{}", said.stdout, said.stderr);
    Ok(())
}
