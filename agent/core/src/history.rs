//! What earlier passes leave to later ones: counters that rise, conditions that last, disks that were there.
//!
//! Invariant: durations are differences of CLOCK_BOOTTIME alone; the wall clock is kept only to be shown (S16).
//! It must never forget because a collector was away for a while, nor keep for ever what is gone: what no pass has
//! touched for an hour is dropped. Disks stay until they are forgotten on purpose, best values until the next boot.

mod availability;
mod ledger;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use availability::LONGEST_SECONDS;
use availability::{Availability, Share};
use ledger::Ledger;

use crate::Severity;
use crate::observed::{Disk, Moment, PciLink};

/// Steps in which the rises of a counter are added up, per window: keeps a window of a day at 96 numbers.
const BUCKETS_PER_WINDOW: f64 = 96.0;
/// Samples of a trend: 6 hours at one every 5 minutes, and one more.
const TREND_SAMPLES: usize = 73;
/// Seconds between two samples of a trend.
const TREND_STEP_SECONDS: f64 = 300.0;

/// Seconds for which a counter, condition or trend is kept that no pass touches, because its collector hangs or its
/// subject is gone.
const KEEP_UNTOUCHED_SECONDS: f64 = 3_600.0;

/// The memory of the rules. Kept across restarts of the agent; its form is the agent's own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// The boot these boottime values belong to.
    boot_id: String,
    since: BTreeMap<String, (Severity, u64)>,
    counters: BTreeMap<String, Counter>,
    conditions: BTreeMap<String, f64>,
    trends: BTreeMap<String, Vec<(f64, f64)>>,
    best: BTreeMap<String, u64>,
    disks: BTreeMap<String, KnownDisk>,
    /// What else was there and should be, `KIND NAME`, and when it was last seen, seconds since 1970 by this node's clock.
    things: BTreeMap<String, u64>,
    /// Findings that a person knows of, by check and subject.
    acknowledged: BTreeMap<String, Known>,
    /// When something that should happen from time to time did last, seconds since 1970; or was first looked for.
    dates: BTreeMap<String, u64>,
    /// The best link that each PCI device had, by address. It outlasts reboots: a link may come up worse after one.
    links: BTreeMap<String, (String, BestLink)>,
    /// What was counted in logs that others write, by [`Log`].
    ledgers: BTreeMap<String, Ledger>,
    /// For how long each declared service answered.
    availability: BTreeMap<String, Availability>,
    /// Why there is no older memory, where there should be one. Said until the next start.
    #[serde(skip)]
    lost: Option<String>,
    #[serde(skip)]
    touched: BTreeSet<String>,
    /// When each counter, condition and trend was last touched, in boottime seconds.
    #[serde(skip)]
    last_touched: BTreeMap<String, f64>,
    #[serde(skip)]
    now: Moment,
}

/// What a person said of a finding: it is known, and need not be told as loudly for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Why, in their words.
    pub reason: String,
    /// Until when, seconds since 1970 by this node's clock.
    pub until_unix_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// How bad it was then. What has become worse since is told again.
    severity: Severity,
    said: Acknowledgement,
}

/// A counter as last seen, and its rises.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counter {
    last: u64,
    /// (boottime of the bucket's start, rise within it), oldest first.
    rises: Vec<(f64, u64)>,
    /// Survives a reboot: the device counts, not the kernel.
    lasting: bool,
}

/// A disk that has been seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDisk {
    /// The kernel name it had last.
    pub name: String,
    /// Its model.
    pub model: Option<String>,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Whether its going is worth no more than a remark (USB, removable).
    pub comes_and_goes: bool,
    /// When it was last there, seconds since 1970 by this node's clock.
    pub last_seen_unix_seconds: u64,
}

/// A log that others write and overwrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    /// The kernel's. It begins anew with each boot.
    Kernel,
    /// That of the board's controller. A person may clear it.
    Ipmi,
}

impl Log {
    /// The word used in the memory.
    fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Ipmi => "ipmi",
        }
    }
}

/// The most that a link had, each for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BestLink {
    /// Lanes.
    pub width: u64,
    /// Millions of transfers per second and lane.
    pub megatransfers: u64,
}

impl BestLink {
    /// As it is now.
    pub(crate) fn of(link: PciLink) -> Self {
        Self { width: link.width, megatransfers: link.megatransfers }
    }
}

/// What is missed once it is gone, until a person says that it was taken away on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A disk, by its key.
    Disk,
    /// An iSCSI session, by target and portal.
    Session,
    /// A ZFS pool, by its name.
    Pool,
    /// A multipath map, by its name.
    Map,
    /// An array of disks, by its kernel name.
    Array,
    /// Another node of a corosync cluster, by its number.
    Node,
    /// An initiator at an iSCSI target of this node, by both names.
    Initiator,
    /// What the link of a PCI device had at best, by the device's address.
    Link,
}

impl Thing {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Disk, Self::Session, Self::Pool, Self::Map, Self::Array, Self::Node, Self::Initiator, Self::Link];

    /// The word used on the command line and in the memory.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Session => "session",
            Self::Pool => "pool",
            Self::Map => "map",
            Self::Array => "array",
            Self::Node => "node",
            Self::Initiator => "initiator",
            Self::Link => "link",
        }
    }
}

impl History {
    /// An empty memory in place of one that could not be read. A torn file is an error, not an absence.
    pub fn lost(why: impl Into<String>) -> Self {
        Self { lost: Some(why.into()), ..Self::default() }
    }

    /// Why older memory is missing, if it is.
    pub(crate) fn why_lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// Begins a pass. After a reboot, what the old kernel counted is dropped, and what was remembered of devices
    /// counts as seen just now: that can only delay an all-clear.
    pub(crate) fn begin(&mut self, now: Moment, boot_id: Option<&str>) {
        self.now = now;
        self.touched.clear();
        let Some(boot_id) = boot_id else { return };
        if self.boot_id == boot_id {
            return;
        }
        if !self.boot_id.is_empty() {
            self.counters.retain(|_, counter| counter.lasting);
            for counter in self.counters.values_mut() {
                let risen = counter.rises.iter().map(|(_, rise)| rise).sum();
                counter.rises = if risen == 0 { Vec::new() } else { vec![(now.boottime_seconds, risen)] };
            }
            self.conditions.clear();
            self.last_touched.clear();
            self.trends.clear();
            self.best.clear();
            self.ledgers.remove(Log::Kernel.word());
            self.availability.values_mut().for_each(Availability::reboot);
        }
        boot_id.clone_into(&mut self.boot_id);
    }

    /// Ends a pass: a finding that is gone is forgotten at once, what it was judged by after a while.
    pub(crate) fn end(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        let unix_seconds = self.now.unix_seconds;
        self.acknowledged.retain(|_, known| known.said.until_unix_seconds > unix_seconds);
        self.since.retain(|key, _| touched.contains(key));
        let now = self.now.boottime_seconds;
        let last_touched = &mut self.last_touched;
        // What an earlier run of the agent left counts as touched at its first sight.
        let mut keep = |key: &String| {
            let last = last_touched.entry(key.clone()).or_insert(now);
            if touched.contains(key) {
                *last = now;
            }
            now - *last <= KEEP_UNTOUCHED_SECONDS
        };
        self.conditions.retain(|key, _| keep(key));
        self.trends.retain(|key, _| keep(key));
        // A device keeps its counters while it is away: they are its own.
        self.counters.retain(|key, counter| keep(key) || counter.lasting);
        self.last_touched.retain(|_, last| now - *last <= KEEP_UNTOUCHED_SECONDS);
        let now = self.now;
        // A service that is not declared for a while has its past when it comes back.
        self.availability.retain(|_, counted| counted.prune(now));
    }

    /// Counts an answer of a service.
    pub(crate) fn answered(&mut self, service: &str, answered: f64, good: bool, interval_seconds: f64) {
        let now = self.now;
        self.availability.entry(service.to_owned()).or_default().count(now, answered, good, interval_seconds);
    }

    /// For how long a service answered in the window that ends now.
    pub(crate) fn availability(&self, service: &str, window_seconds: u64) -> Share {
        let nothing = Availability::default();
        self.availability.get(service).unwrap_or(&nothing).over(self.now, window_seconds)
    }

    /// Since when a check of a subject has had this severity, seconds since 1970.
    pub(crate) fn since(&mut self, check: &str, subject: &str, severity: Severity) -> u64 {
        let key = format!("{check} {subject}");
        let now = self.now.unix_seconds;
        let entry = self.since.entry(key.clone()).or_insert((severity, now));
        if entry.0 != severity {
            *entry = (severity, now);
        }
        let since = entry.1;
        self.touched.insert(key);
        since
    }

    /// Notes that a person knows of a finding as bad as it was in the last pass, for so many seconds; for none, that they
    /// want to be told again. `false`: there was no such finding that anybody would have to be told of.
    pub fn acknowledge(&mut self, check: &str, subject: &str, reason: &str, seconds: u64) -> bool {
        let key = format!("{check} {subject}");
        if seconds == 0 {
            return self.acknowledged.remove(&key).is_some();
        }
        let Some((severity, _)) = self.since.get(&key).filter(|(severity, _)| *severity > Severity::Info) else {
            return false;
        };
        let until_unix_seconds = self.now.unix_seconds.saturating_add(seconds);
        let said = Acknowledgement { reason: reason.to_owned(), until_unix_seconds };
        self.acknowledged.insert(key, Known { severity: *severity, said });
        true
    }

    /// What a person said of a finding that is no worse than it was then.
    pub(crate) fn acknowledgement(&self, check: &str, subject: &str, severity: Severity) -> Option<&Acknowledgement> {
        if severity <= Severity::Info {
            return None;
        }
        let known = self.acknowledged.get(&format!("{check} {subject}"))?;
        let holds = severity <= known.severity && known.said.until_unix_seconds > self.now.unix_seconds;
        holds.then_some(&known.said)
    }

    /// How long a condition has held without a break, in seconds; `None` while it does not hold.
    pub(crate) fn held_for(&mut self, key: &str, holds: bool) -> Option<f64> {
        if !holds {
            self.conditions.remove(key);
            return None;
        }
        let now = self.now.boottime_seconds;
        let since = *self.conditions.entry(key.to_owned()).or_insert(now);
        self.touched.insert(key.to_owned());
        Some((now - since).max(0.0))
    }

    /// How much a kernel counter rose within the last `window_seconds`. The first sight counts as no rise, unless
    /// `from_zero`: then all of it counts as risen now.
    pub(crate) fn risen(&mut self, key: &str, value: u64, window_seconds: f64, from_zero: bool) -> u64 {
        self.rise(key, value, window_seconds, from_zero, false)
    }

    /// The same for a counter that a device keeps across reboots.
    pub(crate) fn risen_on_device(&mut self, key: &str, value: u64, window_seconds: f64) -> u64 {
        self.rise(key, value, window_seconds, false, true)
    }

    fn rise(&mut self, key: &str, value: u64, window_seconds: f64, from_zero: bool, lasting: bool) -> u64 {
        let now = self.now.boottime_seconds;
        self.touched.insert(key.to_owned());
        let counter = self.counters.entry(key.to_owned()).or_insert_with(|| Counter {
            last: if from_zero { 0 } else { value },
            rises: Vec::new(),
            lasting,
        });
        // A counter that fell was reset (a driver reload, a replaced device): what it shows now is since then.
        let rise = value.checked_sub(counter.last).unwrap_or(value);
        counter.last = value;
        counter.rises.retain(|(at, _)| now - at <= window_seconds);
        if rise > 0 {
            match counter.rises.last_mut() {
                Some((at, sum)) if now - *at < window_seconds / BUCKETS_PER_WINDOW => *sum += rise,
                _ => counter.rises.push((now, rise)),
            }
        }
        counter.rises.iter().map(|(_, rise)| rise).sum()
    }

    /// The highest value ever seen under this key in this boot, this one included.
    pub(crate) fn best(&mut self, key: &str, value: u64) -> u64 {
        let best = self.best.entry(key.to_owned()).or_insert(value);
        *best = (*best).max(value);
        *best
    }

    /// Counts the entries of a log that are new, each under its key. `next` is the number that its next entry will have.
    pub(crate) fn enter(&mut self, log: Log, entries: impl IntoIterator<Item = (u64, String)>, next: u64) {
        self.ledgers.entry(log.word().to_owned()).or_default().enter(entries, next);
    }

    /// The same for a log that is older than our interest: at the first look nothing in it is new. It may have been cleared,
    /// and then numbers its entries anew.
    pub(crate) fn enter_from_now(&mut self, log: Log, entries: impl IntoIterator<Item = (u64, String)>, next: u64) {
        let ledger = self.ledgers.entry(log.word().to_owned()).or_default();
        match ledger.next() {
            0 => ledger.enter([], next),
            before if next < before => ledger.begin_anew(entries, next),
            _ => ledger.enter(entries, next),
        }
    }

    /// The number of the first entry of a log that was not counted yet; 0 before the first look.
    pub(crate) fn next_of(&self, log: Log) -> u64 {
        self.ledgers.get(log.word()).map_or(0, Ledger::next)
    }

    /// What was counted in a log.
    pub(crate) fn counted(&self, log: Log) -> impl Iterator<Item = (&str, u64)> {
        let counts = self.ledgers.get(log.word()).into_iter().flat_map(Ledger::counts);
        counts.map(|(key, count)| (key.as_str(), *count))
    }

    /// The best link that this device ever had, this one included. Another device at its address begins anew.
    pub(crate) fn best_link(&mut self, address: &str, id: &str, now: BestLink) -> BestLink {
        let (of, best) = self.links.entry(address.to_owned()).or_insert_with(|| (id.to_owned(), now));
        if of != id {
            (*of, *best) = (id.to_owned(), now);
        }
        best.width = best.width.max(now.width);
        best.megatransfers = best.megatransfers.max(now.megatransfers);
        *best
    }

    /// Seconds until `value` reaches 0 at its rate over the last hours; `None` while it does not fall or has been
    /// watched for less than `least_seconds`.
    pub(crate) fn empty_in(&mut self, key: &str, value: f64, least_seconds: f64) -> Option<f64> {
        let now = self.now.boottime_seconds;
        self.touched.insert(key.to_owned());
        let samples = self.trends.entry(key.to_owned()).or_default();
        if samples.last().is_none_or(|(at, _)| now - at >= TREND_STEP_SECONDS) {
            samples.push((now, value));
            if samples.len() > TREND_SAMPLES {
                samples.remove(0);
            }
        }
        let (begin, first) = *samples.first()?;
        let elapsed = now - begin;
        if elapsed < least_seconds || value >= first {
            return None;
        }
        Some(value / ((first - value) / elapsed))
    }

    /// Remembers the disks that are there and returns those that were and are not, by key.
    pub(crate) fn missing_disks(&mut self, present: &[Disk]) -> Vec<(String, KnownDisk)> {
        for disk in present {
            self.disks.insert(
                disk.id.key().into_owned(),
                KnownDisk {
                    name: disk.id.name.clone(),
                    model: disk.model.clone(),
                    size_bytes: disk.size_bytes,
                    comes_and_goes: disk.removable || disk.transport == crate::observed::Transport::Usb,
                    last_seen_unix_seconds: self.now.unix_seconds,
                },
            );
        }
        let here: BTreeSet<_> = present.iter().map(|disk| disk.id.key()).collect();
        self.disks
            .iter()
            .filter(|(key, _)| !here.contains(&std::borrow::Cow::Borrowed(key.as_str())))
            .map(|(key, disk)| (key.clone(), disk.clone()))
            .collect()
    }

    /// Remembers the things of a kind that are there and returns the names of those that were and are not.
    pub(crate) fn missing(&mut self, kind: Thing, present: &BTreeSet<String>) -> Vec<String> {
        for name in present {
            self.things.insert(format!("{} {name}", kind.word()), self.now.unix_seconds);
        }
        let of_kind = |key: &String| Some(key.strip_prefix(kind.word())?.strip_prefix(' ')?.to_owned());
        self.things.keys().filter_map(of_kind).filter(|name| !present.contains(name)).collect()
    }

    /// When something happened last, by all that was ever told of it; before the first time, when it was first looked for.
    pub(crate) fn latest(&mut self, key: &str, told: Option<u64>) -> u64 {
        let now = self.now.unix_seconds;
        // Before it is told once, the date is that of the first look; that one is no later than now.
        let latest = self.dates.entry(key.to_owned()).or_insert_with(|| told.unwrap_or(now));
        *latest = (*latest).max(told.unwrap_or(0));
        *latest
    }

    /// What is missed once it is gone, in its order: keys of disks, then the other things.
    pub fn remembered(&self) -> impl Iterator<Item = &String> {
        self.disks.keys().chain(self.things.keys()).chain(self.links.keys())
    }

    /// Forgets what was taken away on purpose. Says whether it was remembered.
    pub fn forget(&mut self, kind: Thing, name: &str) -> bool {
        match kind {
            Thing::Disk => self.disks.remove(name).is_some(),
            Thing::Link => self.links.remove(name).is_some(),
            other => self.things.remove(&format!("{} {name}", other.word())).is_some(),
        }
    }
}

#[cfg(test)]
mod tests;
