//! What changes seldom and costs a question for each guest or task: asked every few minutes, and when guests come or go
//! or a backup has ended.
//!
//! It must never answer with what is older than that, nor forget what it did not get round to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hardstand_core::Reading;
use hardstand_core::observed::{PveBackups, PveGuestConfig, PveResources, PveTask, PveUncovered};
use tokio::time::Instant;

use super::super::node;
use super::{Api, encoded, nodes_of, vmids_of};
use crate::host::clock::boottime;

/// After how long an answer is asked for again.
const AGAIN: Duration = Duration::from_secs(300);
/// Guests whose configuration is read in one turn; the others come in the next ones.
const CONFIGS: usize = 100;
/// Logs that are read in one turn; the others come in the next ones.
const LOGS: usize = 30;
/// Lines of one log: a job of many hours has some thousand.
const LINES: usize = 20_000;
/// How far back backups are looked for.
const WINDOW_SECONDS: u64 = 31 * 86_400;
/// Backup tasks of one node that are looked through: one an hour for more than that time.
const TASKS: usize = 1000;

/// What was asked before.
#[derive(Default)]
pub(super) struct Kept {
    configs: BTreeMap<String, Aged<PveGuestConfig>>,
    uncovered: Option<Aged<Vec<PveUncovered>>>,
    backups: Option<Aged<PveBackups>>,
    /// The guests of this node when it was asked.
    guests: BTreeSet<u64>,
    /// Backups that ran then, by the ids of their tasks.
    backing_up: BTreeSet<String>,
    /// By a task's id: whom it has backed up. A task that has ended does not change.
    logs: BTreeMap<String, Vec<u64>>,
}

/// An answer, and when it came (CLOCK_BOOTTIME).
struct Aged<T> {
    value: T,
    at: Duration,
}

impl<T> Aged<T> {
    fn now(value: T) -> Self {
        Self { value, at: boottime() }
    }

    fn age(&self) -> Duration {
        boottime().saturating_sub(self.at)
    }

    fn is_good(&self) -> bool {
        self.age() < AGAIN
    }
}

/// What of it goes into a turn's answer.
pub(super) struct Slow {
    pub(super) configs: BTreeMap<String, Reading<PveGuestConfig>>,
    pub(super) uncovered: Reading<Vec<PveUncovered>>,
    pub(super) backups: Reading<PveBackups>,
    /// Age of the oldest answer in it.
    pub(super) age: Duration,
}

impl Kept {
    /// Forgets what is told of backups, when guests have come or gone, or a backup has ended.
    fn hasten(&mut self, guests: BTreeSet<u64>, tasks: &Reading<Vec<PveTask>>) {
        let running = tasks.known().into_iter().flatten().filter(|task| task.kind == "vzdump" && task.runs());
        let running: BTreeSet<String> = running.map(|task| task.upid.clone()).collect();
        if self.guests != guests || self.backing_up.iter().any(|upid| !running.contains(upid)) {
            (self.uncovered, self.backups) = (None, None);
        }
        self.guests = guests;
        // Where tasks are not told, those that ran before may still do.
        if tasks.known().is_some() {
            self.backing_up = running;
        }
    }
}

impl Api<'_> {
    /// Asks for what is due, in the order in which it matters, for as long as there is time.
    pub(super) async fn ask_slow(
        &self,
        resources: &PveResources,
        tasks: &Reading<Vec<PveTask>>,
        kept: &mut Kept,
    ) -> Slow {
        kept.hasten(vmids_of(resources, &self.access.node), tasks);
        let mut age = Duration::ZERO;
        let configs = self.configs(resources, kept, &mut age).await;
        let uncovered = self.uncovered(kept, &mut age).await;
        let backups = self.backups(resources, kept, &mut age).await;
        Slow { configs, uncovered, backups, age }
    }

    async fn configs(
        &self,
        resources: &PveResources,
        kept: &mut Kept,
        age: &mut Duration,
    ) -> BTreeMap<String, Reading<PveGuestConfig>> {
        let node = encoded(&self.access.node);
        let mut configs = BTreeMap::new();
        let mut left = CONFIGS;
        let mut before = std::mem::take(&mut kept.configs);
        for guest in resources.guests_on(&self.access.node) {
            let (Some(id), Some(kind), Some(vmid)) = (&guest.id, &guest.kind, guest.vmid()) else { continue };
            let reading = match before.remove(id).filter(Aged::is_good) {
                Some(known) => {
                    *age = known.age().max(*age);
                    Reading::Known(kept.configs.entry(id.clone()).or_insert(known).value.clone())
                }
                None if left == 0 => Reading::unknown("not asked yet: there are many guests, and it is its turn soon"),
                None => {
                    left -= 1;
                    self.read(&format!("/nodes/{node}/{kind}/{vmid}/config"), node::parse_config).await
                }
            };
            if let Reading::Known(config) = &reading {
                kept.configs.entry(id.clone()).or_insert_with(|| Aged::now(config.clone()));
            }
            configs.insert(id.clone(), reading);
        }
        configs
    }

    async fn uncovered(&self, kept: &mut Kept, age: &mut Duration) -> Reading<Vec<PveUncovered>> {
        if let Some(known) = kept.uncovered.as_ref().filter(|known| known.is_good()) {
            *age = known.age().max(*age);
            return Reading::Known(known.value.clone());
        }
        let reading = self.read("/cluster/backup-info/not-backed-up", node::parse_uncovered).await;
        kept.uncovered = reading.known().map(|value| Aged::now(value.clone()));
        reading
    }

    /// The logs of all nodes are looked into, because a guest is backed up where it is at the time.
    async fn backups(&self, resources: &PveResources, kept: &mut Kept, age: &mut Duration) -> Reading<PveBackups> {
        let is_whole = |known: &&Aged<PveBackups>| known.is_good() && known.value.unseen.is_empty();
        if let Some(known) = kept.backups.as_ref().filter(is_whole) {
            *age = known.age().max(*age);
            return Reading::Known(known.value.clone());
        }
        kept.backups = None;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut found = PveBackups { since_unix_seconds: now.saturating_sub(WINDOW_SECONDS), ..PveBackups::default() };
        let tasks = match self.backup_tasks(resources, &mut found).await {
            Ok(tasks) => tasks,
            Err(why) => return Reading::unknown(why),
        };
        self.look_into(&tasks, (&mut found, kept)).await;
        kept.backups = Some(Aged::now(found.clone()));
        Reading::Known(found)
    }

    /// Backup tasks of all nodes that have ended, the newest first, each with its node.
    async fn backup_tasks<'a>(
        &self,
        resources: &'a PveResources,
        found: &mut PveBackups,
    ) -> Result<Vec<(&'a str, PveTask)>, String> {
        let mut tasks = Vec::new();
        for (name, is_online) in nodes_of(resources) {
            if !is_online {
                found.unseen.push(format!("{name} is not online"));
                continue;
            }
            let since = found.since_unix_seconds;
            let filter = format!("typefilter=vzdump&source=all&since={since}&limit={TASKS}");
            let path = format!("/nodes/{}/tasks?{filter}", encoded(name));
            match self.read(&path, node::parse_tasks).await {
                Reading::Known(more) => tasks.extend(more.into_iter().map(|task| (name, task))),
                // Without those of this node next to nothing is known.
                Reading::Unknown { why } if name == self.access.node => return Err(why),
                Reading::Unknown { why } => found.unseen.push(format!("{name}: {why}")),
            }
        }
        tasks.retain(|(_, task)| task.end_unix_seconds.is_some());
        tasks.sort_by_key(|(_, task)| std::cmp::Reverse(task.end_unix_seconds));
        Ok(tasks)
    }

    /// Goes back in time until each guest has been seen, or there is no task left.
    async fn look_into(&self, tasks: &[(&str, PveTask)], (found, kept): (&mut PveBackups, &mut Kept)) {
        let known: BTreeSet<&str> = tasks.iter().map(|(_, task)| task.upid.as_str()).collect();
        kept.logs.retain(|upid, _| known.contains(upid.as_str()));
        let (mut left, mut put_off) = (LOGS, 0);
        for (name, task) in tasks {
            if kept.guests.iter().all(|vmid| found.last_unix_seconds.contains_key(vmid)) {
                break;
            }
            let finished = if let Some(vmid) = backed_up_alone(task) {
                vmid.into_iter().collect()
            } else if let Some(known) = kept.logs.get(&task.upid) {
                known.clone()
            } else if left == 0 || self.until <= Instant::now() {
                put_off += 1;
                continue;
            } else {
                left -= 1;
                let path = format!("/nodes/{}/tasks/{}/log?limit={LINES}", encoded(name), encoded(&task.upid));
                match self.read(&path, node::parse_backup_log).await {
                    Reading::Known(finished) => kept.logs.entry(task.upid.clone()).or_insert(finished).clone(),
                    Reading::Unknown { why } => {
                        found.unseen.push(why);
                        continue;
                    }
                }
            };
            for vmid in finished {
                found.last_unix_seconds.entry(vmid).or_insert(task.end_unix_seconds.unwrap_or_default());
            }
        }
        if put_off > 0 {
            found.unseen.push(format!("{put_off} logs are looked into in the next minutes"));
        }
    }
}

/// The guest of a task that is about one, if it went well; `None` when only its log tells whom it was about.
fn backed_up_alone(task: &PveTask) -> Option<Option<u64>> {
    let vmid = task.id.parse().ok()?;
    let status = task.status.as_deref().unwrap_or_default();
    Some(Some(vmid).filter(|_| status == "OK" || status.starts_with("WARNINGS: ")))
}

#[cfg(test)]
mod tests;
