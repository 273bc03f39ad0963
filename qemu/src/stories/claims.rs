//! What several stories claim about a machine that came up. Each claim says what it has seen.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hardstand_exec::{ExecError, Run, find};

use crate::health::Health;
use crate::machine::Running;
use crate::scene::{BOOT_LIMIT, Scene};

/// One small program inside an emulated guest takes up to 3 s while it still starts services, and ten
/// times that on a loaded machine.
pub(crate) const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// From a systemd that runs commands to an agent that has judged its first pass.
/// (12 s on an idle machine, 30 s with a load of seven per core).
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(150);

/// What was made wrong may be known to the kernel after its own timeouts only (iSCSI: 10 s and more), a pass is due every
/// ten seconds, and the guest is slow.
const SEEN_LIMIT: Duration = Duration::from_secs(150);

/// HTTP/1.0 and the shell's own means: the image has no HTTP client.
pub(super) const GET_PAGE: &str =
    "exec 3<>/dev/tcp/127.0.0.1/9787; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";

/// systemd is up, the agent has reported READY, nothing has failed.
pub(crate) async fn comes_up(scene: &Scene, running: &mut Running) -> Result<()> {
    running.guest_answers(BOOT_LIMIT).await?;
    let kernel = running.guest().ok("uname -r", COMMAND_LIMIT).await?;
    scene.say(&format!("systemd is up, kernel {}", kernel.trim()));
    agent_is_ready(running).await?;
    scene.say(&format!("agent READY {:.1} s after power-on", running.uptime().as_secs_f64()));
    let state =
        running.guest().until("systemd to finish starting", READY_LIMIT, "systemctl is-system-running", |said| {
            let state = said.stdout.trim();
            (state != "starting" && state != "initializing").then(|| state.to_owned())
        });
    let state = state.await?;
    if state != "running" {
        let failed = running.guest().ok("systemctl --failed --no-legend --plain", COMMAND_LIMIT).await?;
        bail!("the system is {state}, not running; failed units:\n{failed}");
    }
    scene.say("no unit has failed");
    Ok(())
}

/// The agent's unit is active, which its `Type=notify` makes READY.
pub(crate) async fn agent_is_ready(running: &Running) -> Result<()> {
    let command = "systemctl is-active hardstand-agent || systemctl status --no-pager hardstand-agent >&2";
    running
        .guest()
        .until("hardstand-agent to be READY", READY_LIMIT, command, |said| {
            (said.stdout.trim() == "active").then_some(())
        })
        .await
}

/// What the agent says now.
pub(crate) async fn health(running: &Running) -> Result<Health> {
    Health::read(&running.guest().run("hardstand health --json", COMMAND_LIMIT).await?)
}

/// The metrics page of the node passes promtool, and says how old it is.
pub(crate) async fn page_is_sound(scene: &Scene, running: &Running) -> Result<()> {
    let page = running.guest().ok(GET_PAGE, COMMAND_LIMIT).await.context("asking for the metrics page")?;
    let (head, body) = page.split_once("\r\n\r\n").context("the page has a head and a body")?;
    ensure!(head.lines().next().is_some_and(|line| line.contains(" 200 ")), "the page is {head}");
    ensure!(body.contains("hardstand_collector_age_seconds{"), "the page does not say how old it is");
    std::fs::write(scene.dir.join("metrics.txt"), body).context("keeping the metrics page")?;
    let promtool = find("promtool").context("finding promtool; install prometheus, or start through qemu/lab")?;
    let mut complaints = Vec::new();
    let check = Run::new(promtool, COMMAND_LIMIT).args(["check", "metrics"]).stdin(body);
    let checked = check.lines(|_, line| complaints.push(line.to_owned())).await;
    // node_exporter's own names break this one rule, and its names are kept on purpose.
    complaints.retain(|line| !(line.starts_with("node_") && line.ends_with("'snake_case' not 'camelCase'")));
    ensure!(complaints.is_empty(), "promtool says: {}", complaints.join("; "));
    match checked {
        Ok(_) | Err(ExecError::Failed { .. }) => {}
        Err(error) => return Err(error).context("checking the metrics page"),
    }
    scene.say(&format!("the metrics page passes promtool, {} lines", body.lines().count()));
    Ok(())
}

/// The firmware was UEFI.
pub(crate) async fn booted_by_uefi(scene: &Scene, running: &Running) -> Result<()> {
    running.guest().ok("test -d /sys/firmware/efi", COMMAND_LIMIT).await.context("expecting a UEFI boot")?;
    scene.say("booted by UEFI");
    Ok(())
}

/// The firmware was a BIOS.
pub(crate) async fn booted_by_bios(scene: &Scene, running: &Running) -> Result<()> {
    running.guest().ok("test ! -d /sys/firmware/efi", COMMAND_LIMIT).await.context("expecting a BIOS boot")?;
    scene.say("booted by BIOS");
    Ok(())
}

/// The root is the image's own partition.
pub(crate) async fn root_is_on_a_disk(scene: &Scene, running: &Running) -> Result<()> {
    let source = running.guest().ok("findmnt -no SOURCE,FSTYPE /", COMMAND_LIMIT).await?;
    ensure!(source.starts_with("/dev/vd"), "the root is {}, not a partition of the disk", source.trim());
    scene.say(&format!("root on {}", source.trim()));
    Ok(())
}

/// The root is in memory and no disk is mounted or used for swap.
pub(crate) async fn runs_from_memory(scene: &Scene, running: &Running) -> Result<()> {
    let root = running.guest().ok("findmnt -no FSTYPE /", COMMAND_LIMIT).await?;
    ensure!(["rootfs", "tmpfs", "ramfs", "overlay"].contains(&root.trim()), "the root is {}", root.trim());
    let used = running.guest().ok("grep ^/dev/ /proc/mounts; tail -n +2 /proc/swaps", COMMAND_LIMIT).await;
    // `grep` finding nothing still leaves `tail`'s status 0.
    let used = used?;
    ensure!(used.trim().is_empty(), "a disk is in use: {}", used.trim());
    let memory = running
        .guest()
        .ok("awk '/MemTotal|MemAvailable/ {printf \"%s%d MiB \", $1, $2/1024}' /proc/meminfo", COMMAND_LIMIT);
    scene.say(&format!("runs from memory ({}), no disk in use", memory.await?.trim()));
    Ok(())
}

/// A server of the lab really served it: a booted machine alone does not say from where.
pub(crate) fn was_served(scene: &Scene, log: &str, what: &str) -> Result<()> {
    let path = scene.dir.join(log);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let line = text.lines().rfind(|line| line.contains(what));
    let line = line.with_context(|| format!("finding \"{what}\" in {}", path.display()))?;
    scene.say(&format!("served: {line}"));
    Ok(())
}

/// A disk that was blank still is.
pub(crate) fn disk_is_untouched(scene: &Scene, file: &Path) -> Result<()> {
    let mut bytes = std::fs::File::open(file).with_context(|| format!("opening {}", file.display()))?;
    let mut chunk = vec![0; 1 << 20];
    loop {
        let read = bytes.read(&mut chunk).with_context(|| format!("reading {}", file.display()))?;
        if read == 0 {
            scene.say("the machine's own disk is untouched");
            return Ok(());
        }
        ensure!(chunk[..read].iter().all(|byte| *byte == 0), "{} was written to", file.display());
    }
}

/// Keeps what a program prints now with the story's evidence: such files are where our parsers' fixtures come from.
pub(super) async fn keep(scene: &Scene, running: &Running, file: &str, command: &str) -> Result<()> {
    let printed = running.guest().ok(command, COMMAND_LIMIT).await.with_context(|| format!("keeping {command}"))?;
    std::fs::write(scene.dir.join(file), printed).with_context(|| format!("keeping {file}"))
}

/// The agent finds of a subject what it should, with these words in its evidence, once it has looked again.
pub(crate) async fn finds(
    scene: &Scene,
    running: &Running,
    (check, subject, severity): (&str, &str, &str),
    words: &str,
) -> Result<()> {
    let what = format!("the agent to find {check} of {subject} {severity}, {words}");
    let evidence = running.guest().until(&what, SEEN_LIMIT, "hardstand health --json --all", |said| {
        let health = Health::read(said).ok()?;
        let found = health.worst(check, subject)?;
        (found.severity == severity && found.evidence.contains(words)).then(|| found.evidence.clone())
    });
    let evidence = evidence.await?;
    scene.say(&format!("the agent says: {check} of {subject} is {severity}, {evidence}"));
    Ok(())
}
