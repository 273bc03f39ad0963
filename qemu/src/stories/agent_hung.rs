//! `agent-hung`: a mount whose server stopped answering and a bus that stopped answering. The page comes as fast as
//! before, what hangs is named, and everything else goes on.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::args::{Bus, Rom};
use crate::health::Health;
use crate::machine::Running;
use crate::scene::{Scene, TAP, nic};
use crate::stories::claims::{self, COMMAND_LIMIT};
use crate::wait::until;

/// Several passes: a hung collector is given its whole deadline first.
const SEEN_LIMIT: Duration = Duration::from_secs(180);
/// How much later than before the fastest page may come, on a machine as fast as before. The fastest, because the host is
/// busy with other things too, and what the agent adds to a page it adds to every page.
const PAGE_SLACK_MS: f64 = 1.0;
/// No page at all may take this long; one that waits for a collector takes its deadline, 5 s.
const PAGE_WORST_MS: f64 = 2_500.0;
/// A collector whose value is older than its interval and this many seconds has missed two passes.
const STALE_SECONDS: f64 = 20.0;

/// A FUSE mount whose server never answers, which is what a dead NFS server or a crashed gateway looks like.
const STICK_MOUNT: &str = r#"set -e
modprobe fuse 2>/dev/null || true
mkdir -p /srv/stuck
exec 3<>/dev/fuse
mount -i -t fuse.lab -o fd=3,rootmode=40000,user_id=0,group_id=0,allow_other lab /srv/stuck
sleep infinity >/dev/null 2>&1 &
echo $! >/run/lab-stuck.pid"#;
/// The server ends: the kernel then fails everything that waits for it.
const FREE_MOUNT: &str = "kill $(cat /run/lab-stuck.pid); umount -l /srv/stuck";
/// The bus stops answering. Everything that asks systemd over it hangs.
const STICK_BUS: &str = "kill -STOP $(systemctl show -P MainPID dbus.service)";
/// Straight from the cgroup: `systemctl` would ask the bus.
const FREE_BUS: &str = "kill -CONT $(cat /sys/fs/cgroup/system.slice/dbus.service/cgroup.procs)";
/// A thousand pages one after the other, enough for one of them to meet a quiet moment, and between them the ruler: twenty
/// words that go to another program and come back. Prints in microseconds the shortest and the longest time to a page's
/// first byte, and the shortest of the ruler.
/// Only the shell's own means, because starting a program takes longer than the page.
const TIME_PAGES: &str = r#"coproc cat
exec 5>&"${COPROC[1]}" 6<&"${COPROC[0]}"
fastest=999999999 slowest=0 ruler=999999999
for n in {1..1000}; do
    begin=${EPOCHREALTIME/./}
    for word in {1..20}; do echo "$word" >&5; IFS= read -r line <&6; done
    asked=${EPOCHREALTIME/./}
    exec 4<>/dev/tcp/127.0.0.1/9787
    printf 'GET /metrics HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n' >&4
    IFS= read -r line <&4
    end=${EPOCHREALTIME/./}
    case $line in *" 200 "*) ;; *) echo "page: $line" >&2; exit 1 ;; esac
    exec 4<&- 4>&-
    page=$((end - asked)) words=$((asked - begin))
    ((page >= fastest)) || fastest=$page
    ((page <= slowest)) || slowest=$page
    ((words >= ruler)) || ruler=$words
done
echo "$fastest $slowest $ruler""#;

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let _network = scene.network(&[TAP]).await?;
    let mut machine = scene.machine("node", scene.uefi()?);
    machine.disks = vec![scene.system_disk("lab-node", Bus::Virtio).await?];
    machine.nics = vec![nic(Rom::Empty, None)];
    let mut running = scene.power_on(machine).await?;
    claims::comes_up(scene, &mut running).await?;
    let normal = pages(&running).await?;
    scene.say(&normal.to_string());

    running.guest().ok(STICK_MOUNT, COMMAND_LIMIT).await.context("mounting from a server that never answers")?;
    let health = seen(&running, "the stuck mount to be named", |health| {
        health.worst("filesystem.stuck", "/srv/stuck").is_some_and(|finding| finding.severity == "crit")
    });
    let health = health.await?;
    says(scene, &health, "filesystem.stuck", "/srv/stuck")?;
    others_go_on(scene, &health, "filesystems")?;
    page_is_not_later(scene, &running, normal, "a stuck mount").await?;

    running.guest().ok(STICK_BUS, COMMAND_LIMIT).await.context("stopping the bus")?;
    let health = seen(&running, "the collector behind the bus to be stale", |health| {
        health.collector("units").is_some_and(|units| units.state == "stale" && units.age_seconds > STALE_SECONDS)
    });
    let health = health.await?;
    let units = health.collector("units").context("the collector was just there")?;
    scene.say(&format!("collector units is {}, its value {:.0} s old", units.state, units.age_seconds));
    page_is_not_later(scene, &running, normal, "a stuck mount and a stuck bus").await?;

    running.guest().ok(FREE_BUS, COMMAND_LIMIT).await.context("letting the bus go on")?;
    running.guest().ok(FREE_MOUNT, COMMAND_LIMIT).await.context("ending the server of the mount")?;
    let health = seen(&running, "everything to be read again", |health| {
        let stuck = health.worst("filesystem.stuck", "/srv/stuck").is_some();
        !stuck && health.collectors.iter().all(|collector| collector.state == "ok")
    });
    health.await?;
    scene.say("everything is read again");
    running.power_off().await
}

async fn seen(running: &Running, what: &str, holds: impl Fn(&Health) -> bool) -> Result<Health> {
    let mut last = String::new();
    let health = until(what, SEEN_LIMIT, async || {
        let health = claims::health(running).await?;
        last = format!("{:?}; {}", health.collectors, health.complaints().join("; "));
        Ok(holds(&health).then_some(health))
    });
    health.await.with_context(|| format!("the agent says: {last}"))
}

fn says(scene: &Scene, health: &Health, check: &str, subject: &str) -> Result<()> {
    let finding = health.worst(check, subject).context("the finding was just there")?;
    scene.say(&format!("{} {check}: {}", finding.severity, finding.evidence));
    Ok(())
}

fn others_go_on(scene: &Scene, health: &Health, hung: &str) -> Result<()> {
    let is_late = |name: &str, age: f64| name != hung && age > interval_seconds(name) + STALE_SECONDS;
    let late = health.collectors.iter().find(|collector| is_late(&collector.name, collector.age_seconds));
    ensure!(late.is_none(), "another collector is late as well: {late:?}");
    scene.say("every other collector goes on");
    Ok(())
}

/// Between two turns of a collector, by its design: most run in every pass.
fn interval_seconds(collector: &str) -> f64 {
    match collector {
        "inventory" => 3600.0,
        "smart" => 300.0,
        "ceph" | "kubernetes" | "proxmox" | "truenas" | "zpool" => 30.0,
        "hardware_errors" | "ipmi" => 120.0,
        "pci" => 60.0,
        "corosync" => 15.0,
        _ => 0.0,
    }
}

async fn page_is_not_later(scene: &Scene, running: &Running, normal: Pages, during: &str) -> Result<()> {
    let now = pages(running).await?;
    let allowed = (normal.fastest_ms + PAGE_SLACK_MS) * now.slower_than(&normal);
    ensure!(now.fastest_ms <= allowed, "with {during} {now}; {allowed:.2} ms allowed, because before {normal}");
    ensure!(now.slowest_ms <= PAGE_WORST_MS, "with {during} one page took {:.0} ms", now.slowest_ms);
    scene.say(&format!("with {during} {now}"));
    Ok(())
}

/// How long a thousand pages took.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pages {
    fastest_ms: f64,
    slowest_ms: f64,
    /// What has nothing to do with the agent, in the same seconds: how fast the machine was.
    ruler_ms: f64,
}

impl Pages {
    /// How many times slower the machine was itself. Never below one: a page owes nothing to a machine that got faster.
    fn slower_than(&self, before: &Self) -> f64 {
        (self.ruler_ms / before.ruler_ms).max(1.0)
    }
}

impl std::fmt::Display for Pages {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { fastest_ms, slowest_ms, ruler_ms } = self;
        write!(out, "the page comes in {fastest_ms:.2} ms, the slowest of a thousand in {slowest_ms:.0} ms ")?;
        write!(out, "(the ruler: {ruler_ms:.2} ms)")
    }
}

async fn pages(running: &Running) -> Result<Pages> {
    let said = running.guest().ok(TIME_PAGES, COMMAND_LIMIT).await.context("timing the metrics page")?;
    let mut times = said.split_whitespace().map(|micros| micros.parse::<f64>().map(|micros| micros / 1000.0));
    let mut next = || times.next().context("timing the metrics page")?.with_context(|| format!("reading {said}"));
    Ok(Pages { fastest_ms: next()?, slowest_ms: next()?, ruler_ms: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn pages(fastest_ms: f64, ruler_ms: f64) -> Pages {
        Pages { fastest_ms, slowest_ms: fastest_ms, ruler_ms }
    }

    #[test]
    fn a_slower_machine_excuses_a_page_and_a_faster_one_blames_none() {
        assert!((pages(6.0, 3.0).slower_than(&pages(4.0, 2.0)) - 1.5).abs() < f64::EPSILON);
        assert!((pages(4.0, 1.0).slower_than(&pages(4.0, 2.0)) - 1.0).abs() < f64::EPSILON);
    }
}
