//! What is simulated: a fleet, the faults that may happen to it, and how long things take there.
//!
//! It must never depend on the seed: the seed says which faults, when and where.

use super::fault::Fault;
use super::pace::Pace;
use super::variant::Variant;
use crate::fleet::{Fleet, Gates, Group, Policy, UpdatePolicy};

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The fleet. Its windows are taken as open, packages as ripe; its first three nodes vote.
    pub policy: Policy,
    /// Which faults may happen; empty: none.
    pub faults: Vec<Fault>,
    /// The rules as shipped, or one broken on purpose.
    pub variant: Variant,
    /// How long things take.
    pub pace: Pace,
    /// Other wall clocks for the same seed (S16).
    pub clocks: u64,
    /// One more fault, at exactly this moment.
    pub cut: Option<Cut>,
}

/// A fault between two instructions of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The node, by its place in the policy.
    pub node: usize,
    /// Which of its moments between two instructions, from 0; [`super::Outcome::edges`] says how many there are.
    pub edge: u32,
    /// What happens then.
    pub fault: Fault,
    /// For how long, in virtual milliseconds.
    pub lasts_ms: u64,
}

impl Scenario {
    /// A fleet of an operator, at the pace of real machines.
    pub fn of(policy: Policy, faults: &[Fault], variant: Variant) -> Self {
        Self { policy, faults: faults.to_vec(), variant, pace: Pace::REAL, clocks: 0, cut: None }
    }

    fn short(groups: Vec<Group>, faults: &[Fault], variant: Variant) -> Self {
        let policy = Policy {
            fleet: Fleet { name: "sim".to_owned(), time_zone: "UTC".to_owned() },
            groups,
            windows: std::collections::BTreeMap::new(),
            gates: Gates { streak_seconds: 4, tolerate: Vec::new() },
            timeouts: Pace::short_limits(),
            updates: UpdatePolicy::default(),
            services: Vec::new(),
            fleetlock: None,
        };
        Self { pace: Pace::SHORT, ..Self::of(policy, faults, variant) }
    }

    /// Two hosts and a storage box that exclude each other.
    pub fn small(faults: &[Fault], variant: Variant) -> Self {
        let cluster = Group { alone: vec!["nas".to_owned()], ..group("cluster", &["pve1", "pve2", "nas"], 1) };
        Self::short(vec![cluster], faults, variant)
    }

    /// Five nodes of which two may be down, three of them voters.
    pub fn wide(faults: &[Fault], variant: Variant) -> Self {
        let order = ["d", "e", "a", "b", "c"].map(ToOwned::to_owned).to_vec();
        Self::short(vec![Group { order, ..group("rack", &["a", "b", "c", "d", "e"], 2) }], faults, variant)
    }

    /// The embedded store on one of three: away while its host is.
    pub fn embedded(faults: &[Fault], variant: Variant) -> Self {
        let cluster = Group { store_hosts: vec!["nas".to_owned()], ..group("cluster", &["nas", "pve1", "pve2"], 1) };
        Self::short(vec![cluster], faults, variant)
    }

    /// Two groups that know nothing of each other, and a host of the embedded store in the first.
    pub fn groups(faults: &[Fault], variant: Variant) -> Self {
        let first = Group { store_hosts: vec!["box".to_owned()], ..group("one", &["box", "host"], 1) };
        Self::short(vec![first, group("two", &["web1", "web2"], 1)], faults, variant)
    }

    /// The names of the fleets of the tests.
    pub const FLEETS: [&str; 4] = ["small", "wide", "embedded", "groups"];

    /// A fleet of the tests, by its name.
    pub fn named(name: &str, faults: &[Fault], variant: Variant) -> Option<Self> {
        let fleet = match name {
            "small" => Self::small,
            "wide" => Self::wide,
            "embedded" => Self::embedded,
            "groups" => Self::groups,
            _ => return None,
        };
        Some(fleet(faults, variant))
    }
}

fn group(name: &str, nodes: &[&str], max_down: u32) -> Group {
    Group {
        name: name.to_owned(),
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        max_down,
        order: Vec::new(),
        alone: Vec::new(),
        store_hosts: Vec::new(),
    }
}
