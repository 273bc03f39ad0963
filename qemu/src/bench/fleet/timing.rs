//! How long a lease, a halt and a fail-over take, and what an idle node says to the store.
//!
//! It must never count an answer that is none for a grant.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::read::{Times, sample};
use super::three::{DOOR_PORT, GROUP, GUEST, Three};
use crate::wait::until;

/// Leases that are taken and given back: enough that one in a hundred is four of them.
const GRANTS: usize = 400;
/// Halts that are made and lifted.
const HALTS: usize = 20;
/// Leaders that are killed.
const FALLS: usize = 5;
/// How long an idle fleet is watched: two reports of each node and twelve signs of life.
const IDLE: Duration = Duration::from_secs(180);
/// Between two looks at a page. Small against what is measured, large against what a look costs.
const LOOK: Duration = Duration::from_millis(3);
/// The same while a leader is missed, which takes seconds.
const SLOW_LOOK: Duration = Duration::from_millis(20);
/// Anything below takes less, or is broken.
const LIMIT: Duration = Duration::from_secs(60);

/// From a guest's question to the answer that its lease is in the store.
pub(super) async fn grants(three: &Three) -> Result<Times> {
    doors_open(three).await?;
    let leader = three.leader().await?;
    let mut took = Vec::new();
    let mut refused = 0;
    for _ in 0..GRANTS {
        let began = Instant::now();
        let (status, body) = ask(three, leader, "pre-reboot").await?;
        match status {
            200 => took.push(began.elapsed()),
            423 => refused += 1,
            _ => bail!("a guest was answered {status} {body}"),
        }
        let (status, body) = ask(three, leader, "steady-state").await?;
        ensure!(status == 200, "a guest was not let go: {status} {body}");
    }
    ensure!(refused == 0, "{refused} of {GRANTS} guests were refused while every slot was free");
    Times::new(took)
}

/// A node opens its door after it has reported under the policy that lets guests in; whatever it answers, it is open.
async fn doors_open(three: &Three) -> Result<()> {
    for number in 0..three.rooms.len() {
        let open =
            until("the doors to open", LIMIT, async || Ok(ask(three, number, "steady-state").await.ok().map(drop)));
        open.await?;
    }
    Ok(())
}

async fn ask(three: &Three, leader: usize, wish: &str) -> Result<(u16, String)> {
    let body = format!("{{\"client_params\":{{\"group\":\"{GROUP}\",\"id\":\"{GUEST}\"}}}}");
    let request = format!(
        "POST /v1/{wish} HTTP/1.1\r\nHost: leader\r\nfleet-lock-protocol: true\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    three.rooms[leader].ask(DOOR_PORT, &request).await
}

/// A halt: from the beginning of the command until the last agent shows it, and how much of that the command was.
pub(super) struct Halts {
    pub(super) seen: Times,
    pub(super) command: Times,
}

/// Halts and lifts, again and again.
pub(super) async fn halts(three: &Three) -> Result<Halts> {
    let (mut seen, mut command) = (Vec::new(), Vec::new());
    for _ in 0..HALTS {
        let began = Instant::now();
        let order = async {
            three.operator.ok(&["halt", "the bench halts"]).await?;
            anyhow::Ok(began.elapsed())
        };
        let [a, b, c] = [0, 1, 2].map(|number| shows(three, number, "hardstand_halt", 1.0, LOOK));
        let (ordered, _, _, _) = tokio::try_join!(order, a, b, c)?;
        seen.push(began.elapsed().max(ordered));
        command.push(ordered);
        three.operator.ok(&["halt", "--lift", "the bench goes on"]).await?;
        let [a, b, c] = [0, 1, 2].map(|number| shows(three, number, "hardstand_halt", 0.0, LOOK));
        tokio::try_join!(a, b, c)?;
    }
    Ok(Halts { seen: Times::new(seen)?, command: Times::new(command)? })
}

/// Waits until an agent's page shows this value.
async fn shows(three: &Three, number: usize, name: &str, value: f64, look: Duration) -> Result<()> {
    let waited = async {
        while three.rooms[number].page().await.ok().and_then(|page| sample(&page, name)) != Some(value) {
            tokio::time::sleep(look).await;
        }
    };
    let limit = tokio::time::timeout(LIMIT, waited).await;
    limit.with_context(|| format!("{} does not show {name} {value}", three.rooms[number].seed.name))
}

/// From the death of the agent that leads until another one's page says that it leads.
pub(super) async fn falls(three: &mut Three) -> Result<Times> {
    let mut took = Vec::new();
    for _ in 0..FALLS {
        let leader = three.leader().await?;
        let began = Instant::now();
        three.rooms[leader].kill().await?;
        let heir = tokio::time::timeout(LIMIT, heir(three, leader)).await.context("nobody leads any more")?;
        took.push(began.elapsed());
        let names = [leader, heir].map(|number| three.rooms[number].seed.name.clone());
        println!("{} was killed, {} leads after {:.2} s", names[0], names[1], began.elapsed().as_secs_f64());
        three.rooms[leader].start()?;
        three.rooms[leader].serves().await?;
        three.all_report().await?;
    }
    Times::new(took)
}

async fn heir(three: &Three, fallen: usize) -> usize {
    loop {
        for (number, room) in three.rooms.iter().enumerate().filter(|(number, _)| *number != fallen) {
            let page = room.page().await.unwrap_or_default();
            if sample(&page, "hardstand_leader") == Some(1.0) {
                return number;
            }
        }
        tokio::time::sleep(SLOW_LOOK).await;
    }
}

/// What passed an idle node's card, and what an idle fleet wrote.
pub(super) struct Idle {
    pub(super) watched: Duration,
    pub(super) bytes: u64,
    pub(super) writes: u64,
}

impl Idle {
    /// So many in an hour.
    pub(super) fn per_hour(&self, count: u64) -> f64 {
        count as f64 * 3600.0 / self.watched.as_secs_f64()
    }
}

/// Watches a node that neither leads nor hosts the store; nobody asks it anything meanwhile.
pub(super) async fn idle(three: &Three) -> Result<Idle> {
    let leader = three.leader().await?;
    let room = three.rooms.iter().enumerate().find(|(number, _)| *number != leader);
    let (_, room) = room.context("a fleet has nodes")?;
    let (writes, bytes, began) = (three.shown().await?.revision, room.traffic()?, Instant::now());
    tokio::time::sleep(IDLE).await;
    let (watched, bytes) = (began.elapsed(), room.traffic()? - bytes);
    Ok(Idle { watched, bytes, writes: three.shown().await?.revision - writes })
}
