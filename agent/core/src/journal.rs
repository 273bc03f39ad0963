//! What a node knows of its own journey: the record that lies on its disk before each act (design §6).
//!
//! It must never hold what can be looked up on the host: that is looked up.

use serde::{Deserialize, Serialize};

use crate::audit::AuditHead;
use crate::phase::Phase;
use crate::plan::{NodePlan, Timeouts};
use crate::rollout::{Ending, Order};
use crate::status::Hold;

/// The format of the record. Another one is refused.
pub const VERSION: u32 = 1;
/// Orders to reboot for one journey; after that a person looks (design §6).
pub const REBOOT_ATTEMPTS: u32 = 2;
/// How many uids of finished orders are remembered. A lease is gone with its order, so a replay is of the last few.
const REMEMBERED: usize = 64;

/// The whole journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// [`VERSION`].
    pub version: u32,
    /// Where the step machine is.
    pub phase: Phase,
    /// The journey under way; there is none when idle.
    pub journey: Option<Journey>,
    /// Why it stands still, if it does.
    pub hold: Option<Hold>,
    /// The highest plan serial obeyed so far (S10).
    pub plan_floor: u64,
    /// Package sets that did not come up, by id.
    pub denied: Vec<Denied>,
    /// Uids of orders that ended, oldest first (S11).
    pub finished: Vec<String>,
    /// The store as this node last wrote to it.
    pub seen: Option<KnownStore>,
    /// The last plan this node carried out.
    #[serde(default)]
    pub ran: Option<Ran>,
}

/// A plan that a node has carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// The plan's SHA-256.
    pub plan: String,
    /// When it ended, by this node's own clock: seconds since 1970.
    pub at_unix_seconds: u64,
}

/// The store as a node knows it: if the same life of it no longer has this record, it was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownStore {
    /// Which life.
    pub incarnation: String,
    /// The last audit record seen in it.
    pub head: AuditHead,
}

impl KnownStore {
    /// Whether a store of this incarnation, with this hash at our record's number, is the one we know. A new incarnation
    /// was given by a person who restored it; what belongs to the old one is void.
    pub fn is_still(&self, incarnation: &str, hash_at_seq: Option<&str>) -> bool {
        incarnation != self.incarnation || self.head.seq == 0 || hash_at_seq == Some(self.head.hash.as_str())
    }
}

/// A package set that is not installed again until a person says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// The set's id.
    pub set: String,
    /// Why.
    pub why: String,
}

/// One order being carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journey {
    /// The order, with the epoch and rollout revision last accepted.
    pub order: Order,
    /// This node's part of the plan.
    pub part: NodePlan,
    /// The plan's limits.
    pub timeouts: Timeouts,
    /// The plan's streak.
    pub streak_seconds: u64,
    /// The lease's slot.
    pub slot: u32,
    /// The lease's limit, as granted.
    pub deadline_seconds: u64,
    /// The boot in which it began.
    pub boot_id_before: String,
    /// Whether the node is going back instead of on.
    pub undoing: bool,
    /// Orders to reboot given so far.
    pub reboots: u32,
    /// What of the host's state the drain takes away, as it was before: the compensation.
    pub drained: Vec<String>,
    /// When the phase began, in milliseconds since the boot named by `phase_boot_id`.
    pub phase_since_ms: u64,
    /// The boot that `phase_since_ms` counts in.
    pub phase_boot_id: String,
    /// Seconds spent in earlier phases.
    pub spent: Vec<(Phase, u64)>,
}

impl Journey {
    /// How it ends if it ends now.
    pub fn ending(&self) -> Ending {
        if self.undoing { Ending::Undone } else { Ending::Verified }
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            version: VERSION,
            phase: Phase::Idle,
            journey: None,
            hold: None,
            plan_floor: 0,
            denied: Vec::new(),
            finished: Vec::new(),
            seen: None,
            ran: None,
        }
    }
}

impl Journal {
    /// Whether an order was carried out before.
    pub fn has_finished(&self, uid: &str) -> bool {
        self.finished.iter().any(|known| known == uid)
    }

    /// Remembers an order as carried out.
    pub(crate) fn finish(&mut self, uid: String) {
        self.finished.push(uid);
        let over = self.finished.len().saturating_sub(REMEMBERED);
        self.finished.drain(..over);
    }

    /// Why a package set is not installed, if it is denied.
    pub fn denial(&self, set: &str) -> Option<&Denied> {
        self.denied.iter().find(|denied| denied.set == set)
    }
}
