//! The fleet's policy: groups, order, windows, gates, limits. What an operator keeps in git and applies.
//!
//! It must never be half right: [`Policy::check`] names everything that is wrong with it at once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::plan::Timeouts;
use crate::status::Blocker;
use crate::window::Window;

/// The applied policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Name and time zone.
    pub fleet: Fleet,
    /// Nodes that exclude each other.
    #[serde(default, rename = "group")]
    pub groups: Vec<Group>,
    /// When rollouts may go on, by name. None: always.
    #[serde(default, rename = "window")]
    pub windows: std::collections::BTreeMap<String, Window>,
    /// What must hold.
    #[serde(default)]
    pub gates: Gates,
    /// Limits of a node's journey.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// When package sets are old enough.
    #[serde(default)]
    pub updates: UpdatePolicy,
    /// Smoke checks; each keeps a row of its availability.
    #[serde(default, rename = "service")]
    pub services: Vec<Service>,
    /// FleetLock clients that may take slots.
    #[serde(default, rename = "fleetlock")]
    pub fleetlock: Option<FleetLock>,
}

/// Name and time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// Its name.
    pub name: String,
    /// The IANA name of the zone windows are written in.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Nodes that exclude each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its nodes.
    pub nodes: Vec<String>,
    /// How many of them may be down at once.
    #[serde(default = "one")]
    pub max_down: u32,
    /// The order of a rollout; as listed when empty. Store hosts go last in any case.
    #[serde(default)]
    pub order: Vec<String>,
    /// Nodes that go alone, whatever `max_down` allows: storage heads (S14).
    #[serde(default)]
    pub alone: Vec<String>,
    /// Nodes that host the embedded store: last, and alone (S15).
    #[serde(default)]
    pub store_hosts: Vec<String>,
}

fn one() -> u32 {
    1
}

/// What must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gates {
    /// How long gates must hold after a reboot.
    pub streak_seconds: u64,
    /// How many blockers a report may show at most that are tolerated by name: `check` or `check:subject`.
    pub tolerate: Vec<String>,
}

impl Default for Gates {
    fn default() -> Self {
        Self { streak_seconds: 120, tolerate: Vec::new() }
    }
}

/// When package sets are old enough.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpdatePolicy {
    /// A set must have been on offer for this long, in hours.
    pub cool_hours: u64,
    /// The node that takes new sets first; the others follow when it has run them for `canary_hours`.
    pub canary: Option<String>,
    /// How long the canary must have run a set, in hours.
    pub canary_hours: u64,
}

/// A smoke check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Answers 2xx or 3xx while it serves.
    pub url: String,
    /// What share of probes must succeed over a rollout, in percent.
    #[serde(default)]
    pub slo_percent: Option<Percent>,
}

/// A share in hundredths of a percent, so that it compares exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percent(u32);

impl TryFrom<f64> for Percent {
    type Error = String;

    fn try_from(percent: f64) -> Result<Self, Self::Error> {
        if (0.0..=100.0).contains(&percent) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 10000")]
            Ok(Self((percent * 100.0).round() as u32))
        } else {
            Err(format!("{percent} is not between 0 and 100"))
        }
    }
}

impl Percent {
    /// `part` of `whole`, rounded down; `None` of nothing.
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        let hundredths = part.min(whole).saturating_mul(10_000).checked_div(whole)?;
        Some(Self(u32::try_from(hundredths).unwrap_or_default()))
    }
}

impl std::fmt::Display for Percent {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{:02} %", self.0 / 100, self.0 % 100)
    }
}

impl From<Percent> for f64 {
    fn from(percent: Percent) -> Self {
        Self::from(percent.0) / 100.0
    }
}

/// Who may speak FleetLock v1 with the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetLock {
    /// Where the leader listens: `192.0.2.7:9786`.
    pub listen: String,
    /// Ids that may ask without a client certificate.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Seconds until a slot that was not given back halts.
    #[serde(default = "half_an_hour")]
    pub deadline_seconds: u64,
}

fn half_an_hour() -> u64 {
    1_800
}

impl Policy {
    /// The group of a node.
    pub fn group_of(&self, node: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.nodes.iter().any(|name| name == node))
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// All nodes, as listed.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().flat_map(|group| group.nodes.iter().map(String::as_str))
    }

    /// Everything that is wrong with it; empty: nothing.
    pub fn check(&self) -> Vec<Blocker> {
        let mut wrong = Vec::new();
        let mut tell = |subject: &str, why: String, way_out: &str| {
            wrong.push(Blocker::new("fleet", subject, why, way_out));
        };
        if self.groups.is_empty() {
            tell("fleet", "there is no group".to_owned(), "add [[group]] with its nodes");
        }
        let mut seen = BTreeSet::new();
        for node in self.nodes() {
            if !seen.insert(node) {
                tell(node, format!("{node} stands in two groups or twice in one"), "a node belongs to one group, once");
            }
            if !is_name(node) {
                tell(node, format!("{node:?} is no node name"), "use lower-case letters, digits, '-' and '.'");
            }
        }
        let mut names = BTreeSet::new();
        for group in &self.groups {
            if !names.insert(&group.name) {
                tell(&group.name, format!("group {} stands twice", group.name), "give each group its own name");
            }
            if !is_name(&group.name) {
                tell(
                    &group.name,
                    format!("{:?} is no group name", group.name),
                    "use lower-case letters, digits, '-' and '.'",
                );
            }
            if group.max_down == 0 {
                tell(&group.name, "max_down is 0, so nothing could ever be patched".to_owned(), "set it to 1 or more");
            }
            if group.nodes.is_empty() {
                tell(&group.name, "it has no nodes".to_owned(), "list its nodes, or remove it");
            }
            for (list, named) in [("order", &group.order), ("alone", &group.alone), ("store_hosts", &group.store_hosts)]
            {
                for node in named.iter().filter(|node| !group.nodes.contains(node)) {
                    tell(
                        node,
                        format!("{list} of group {} names {node}, which is not in it", group.name),
                        "add it to nodes, or remove it there",
                    );
                }
            }
        }
        if let Some(canary) = self.updates.canary.as_deref().filter(|canary| !seen.contains(canary)) {
            tell(canary, format!("the canary {canary} is in no group"), "name a node of a group");
        }
        wrong.extend(self.windows.iter().flat_map(|(name, window)| window.check(name)));
        wrong
    }
}

/// Whether a text can be a node's or a group's name: it stands in keys, certificates and addresses.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    (1..=63).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
}
