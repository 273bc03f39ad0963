//! A rollout that reboots every node and has nothing to install: what it takes beyond what it must.
//!
//! It must never subtract more than was seen: the streak of each node, and the time in which a node was down.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::read::{Memory, is_so, sample};
use super::three::{STREAK, Three};

/// What the rollout is called.
const NAME: &str = "bench";
/// Between two looks at the nodes.
const LOOK: Duration = Duration::from_millis(10);
/// Three streaks and what is around them, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(300);

/// What came of it.
pub(super) struct Rolled {
    /// From one node's end to the next one's, without the streak and the time down, in the order they went.
    pub(super) overheads: Vec<Duration>,
    /// The highest resident memory of each agent, in the order of the rooms.
    pub(super) memory: Vec<Memory>,
}

impl Rolled {
    pub(super) fn mean(&self) -> Duration {
        self.overheads.iter().sum::<Duration>() / u32::try_from(self.overheads.len()).unwrap_or(1).max(1)
    }
}

/// Plans, approves, starts, and plays the machines' part: a reboot ends both processes and starts them again.
pub(super) async fn roll(three: &mut Three) -> Result<Rolled> {
    let plan = ["rollout", "plan", "--name", NAME, "--reboot", "full", "--no-packages", "--reason", "the bench"];
    three.operator.ok(&plan).await?;
    three.operator.ok(&["rollout", "approve", NAME]).await?;
    while three.reboots.try_recv().is_ok() {}
    let mut last = Instant::now();
    three.operator.ok(&["rollout", "start", NAME]).await?;
    let deadline = last + LIMIT;
    let mut rolled = Rolled { overheads: Vec::new(), memory: vec![Memory::default(); three.rooms.len()] };
    let mut down = Duration::ZERO;
    loop {
        tokio::select! {
            Some(number) = three.reboots.recv() => {
                let began = Instant::now();
                note_memory(three, &mut rolled.memory);
                three.rooms[number].reboot().await?;
                down += began.elapsed();
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        note_memory(three, &mut rolled.memory);
        let (done, finished) = seen(three).await;
        if done > rolled.overheads.len() {
            let overhead = last.elapsed().saturating_sub(STREAK + down);
            println!(
                "node {done} of {}: {:.2} s, {:.3} s of it down",
                three.rooms.len(),
                last.elapsed().as_secs_f64(),
                down.as_secs_f64()
            );
            rolled.overheads.push(overhead);
            (last, down) = (Instant::now(), Duration::ZERO);
        }
        if finished {
            return Ok(rolled);
        }
        if Instant::now() > deadline {
            let said = three.operator.ok(&["rollout", "show", NAME]).await.unwrap_or_else(|error| format!("{error:#}"));
            bail!("the rollout does not finish: {said}");
        }
    }
}

fn note_memory(three: &Three, most: &mut [Memory]) {
    for (room, most) in three.rooms.iter().zip(most) {
        let now = room.memory().unwrap_or_default();
        most.highest = most.highest.max(now.highest);
        most.anonymous = most.anonymous.max(now.anonymous);
    }
}

/// How many nodes are done, as far as anybody shows, and whether it has finished.
async fn seen(three: &Three) -> (usize, bool) {
    let (mut done, mut finished) = (0, false);
    for room in &three.rooms {
        let page = room.page().await.unwrap_or_default();
        finished |= is_so(&page, &format!("hardstand_rollout{{name=\"{NAME}\",state=\"finished\"}}"));
        let nodes = sample(&page, &format!("hardstand_rollout_nodes{{name=\"{NAME}\",of=\"done\"}}"));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let nodes = nodes.unwrap_or_default() as usize;
        done = done.max(nodes);
    }
    (done, finished)
}

/// What the audit chain says of it, for the evidence.
pub(super) async fn chain(three: &Three) -> Result<String> {
    three.operator.ok(&["audit", "export"]).await.context("exporting the chain")
}
