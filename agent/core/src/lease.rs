//! Leases: the durable permits to be in maintenance, and the transactions that make and end them.
//!
//! Invariant: an entered lease is never released by time (S12); every transaction that lets a node act carries its token,
//! the leader's epoch, the rollout's revision and the absence of a halt (S3, S5, S9).

use serde::{Deserialize, Serialize};

use crate::phase::Phase;
use crate::rollout::Order;
use crate::store::{Key, Record, Revision, Txn};

/// The fencing number of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token {
    /// Which life of the store gave it. A restored store gives others.
    pub incarnation: String,
    /// The create revision of the lease.
    pub revision: Revision,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.incarnation, self.revision)
    }
}

/// How far a lease has come. There is no "released": a released lease is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// The node may begin. Nothing was done yet; the leader may take it back after its deadline.
    Granted,
    /// The node is in maintenance. Only itself ends it, or a person with a reason and evidence.
    Entered,
}

/// What a lease is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A node's part of a plan.
    Plan(String),
    /// A FleetLock client with this id; its deadline means halt like any other.
    FleetLock(String),
}

impl Purpose {
    /// The plan, where there is one.
    pub fn plan(&self) -> Option<&str> {
        match self {
            Self::Plan(plan) => Some(plan),
            Self::FleetLock(_) => None,
        }
    }
}

/// One taken slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Whose it is.
    pub node: String,
    /// Its group.
    pub group: String,
    /// Its slot of the group.
    pub slot: u32,
    /// What for.
    pub purpose: Purpose,
    /// How far.
    pub state: LeaseState,
    /// The phase the node last wrote its intent for.
    pub phase: Phase,
    /// The store's incarnation when it was granted.
    pub incarnation: String,
    /// The leader that granted it.
    pub epoch: Revision,
    /// From its grant on; afterwards it is overdue, which halts. Never frees it.
    pub deadline_seconds: u64,
    /// The boot the node was in when it entered.
    pub boot_id_before: Option<String>,
}

impl Lease {
    /// The key it lies under.
    pub fn key(&self) -> Key {
        Key::Lease { group: self.group.clone(), slot: self.slot }
    }

    /// Its token, given when its key was made.
    pub fn token(&self, created: Revision) -> Token {
        Token { incarnation: self.incarnation.clone(), revision: created }
    }
}

/// A node that lost its lease to a person. It counts as down until it proves itself and removes this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcast {
    /// The lease it held.
    pub token: Token,
    /// Who took it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// How the person knew that the node is off.
    pub evidence: String,
}

/// What a leader must still be for its writes to count (S9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reign {
    /// Create revision of the leader key.
    pub epoch: Revision,
    /// Revision of the incarnation key.
    pub incarnation_modified: Revision,
}

impl Reign {
    /// A transaction that commits only under this reign.
    pub fn txn(&self) -> Txn<Key, Record> {
        Txn::new().if_created(Key::Leader, self.epoch).if_modified(Key::Incarnation, self.incarnation_modified)
    }
}

/// Takes a slot for a node (S1): the slot is free, no halt, the rollout unchanged, and this leader still leads.
/// `all_slots` names the group's slots that must be free besides, for a node that goes alone (S14).
pub fn grant(reign: &Reign, rollout_modified: Revision, lease: Lease, all_slots: &[u32]) -> Txn<Key, Record> {
    let mut txn = reign.txn().if_absent(Key::Halt).if_modified(Key::Rollout, rollout_modified);
    for slot in all_slots.iter().filter(|slot| **slot != lease.slot) {
        txn = txn.if_absent(Key::Lease { group: lease.group.clone(), slot: *slot });
    }
    let key = lease.key();
    txn.if_absent(key.clone()).put(key, Record::Lease(lease))
}

/// Gives an order under a lease that still stands unchanged since it was seen.
pub fn order(reign: &Reign, lease_key: Key, order: Order) -> Txn<Key, Record> {
    reign
        .txn()
        .if_created(lease_key, order.token.revision)
        .if_absent(Key::Halt)
        .if_modified(Key::Rollout, order.rollout_modified)
        .put(Key::Order(order.node.clone()), Record::Order(order))
}

/// Takes back a lease that was granted and never entered: unchanged since it was seen so (S12).
pub fn reclaim(reign: &Reign, lease: &Lease, modified: Revision) -> Txn<Key, Record> {
    reign.txn().if_modified(lease.key(), modified).delete(lease.key()).delete(Key::Order(lease.node.clone()))
}

/// Writes the intent of one disruptive act, and is the permit for it (S3). `lease` is the lease as it will be.
pub fn fence(order: &Order, incarnation_modified: Revision, lease: Lease) -> Txn<Key, Record> {
    let key = lease.key();
    Txn::new()
        .if_created(key.clone(), order.token.revision)
        .if_created(Key::Leader, order.epoch)
        .if_modified(Key::Incarnation, incarnation_modified)
        .if_modified(Key::Rollout, order.rollout_modified)
        .if_absent(Key::Halt)
        .put(key, Record::Lease(lease))
}

/// The node's own end of its lease, with what came of it. A halt does not hinder it: what it ends is over.
pub fn release(token: &Token, lease_key: Key, incarnation_modified: Revision) -> Txn<Key, Record> {
    Txn::new()
        .if_created(lease_key.clone(), token.revision)
        .if_modified(Key::Incarnation, incarnation_modified)
        .delete(lease_key)
}

/// A person's end of a lease: exactly this life of it, and the node counts as down from here on (S12).
pub fn force_release(token: &Token, lease: &Lease, outcast: Outcast) -> Txn<Key, Record> {
    Txn::new()
        .if_created(lease.key(), token.revision)
        .delete(lease.key())
        .delete(Key::Order(lease.node.clone()))
        .put(Key::Outcast(lease.node.clone()), Record::Outcast(outcast))
}
