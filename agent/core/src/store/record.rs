//! What lies under each key, as typed records.
//!
//! It must never decide how a record is written: the edge does (JSON).

use serde::{Deserialize, Serialize};

use crate::audit::{AuditHead, AuditRecord};
use crate::fleet::Policy;
use crate::lease::{Lease, Outcast};
use crate::plan::{Plan, Updates};
use crate::rollout::{Approval, Ask, Done, Halt, LeaderRecord, Order, Probed, Rollout, SessionRecord};
use crate::status::Report;

/// What lies under a key. Which kind a key holds is fixed by the key ([`Key`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Record {
    Incarnation(String),
    Fleet(Box<Policy>),
    Leader(LeaderRecord),
    Ask(Ask),
    Session(SessionRecord),
    Report(Box<Report>),
    Updates(Updates),
    Outcast(Outcast),
    Lease(Lease),
    Rollout(Rollout),
    Plan(Box<Plan>),
    Approval(Approval),
    Done(Done),
    Probes(Vec<Probed>),
    Order(Order),
    Halt(Halt),
    AuditHead(AuditHead),
    Audit(Box<AuditRecord>),
}
