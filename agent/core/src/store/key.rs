//! The keys: one enum, and its text under the prefix.
//!
//! A key that is not of a known form is not guessed at: it parses to nothing and is left alone.

/// Everything of ours lies under this.
pub const PREFIX: &str = "/hardstand/v1/";

/// Width of an audit number in a key, so that the order of keys is the order of records. 20 digits hold every `u64`.
const AUDIT_DIGITS: usize = 20;

/// One key of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Which life of the store this is: a random id, changed by whoever restores it.
    Incarnation,
    /// The applied policy.
    Fleet,
    /// Who leads; bound to a session.
    Leader,
    /// What operators ask all agents to do now (refresh package lists).
    Ask,
    /// A node's agent is alive; bound to a session.
    Session(String),
    /// What a node says of itself.
    Report(String),
    /// The package set a node would install.
    Updates(String),
    /// A node whose lease was released by force: counts as down until it proves itself.
    Outcast(String),
    /// One slot of a group.
    Lease {
        /// The group.
        group: String,
        /// The slot, from 0 to `max_down - 1`.
        slot: u32,
    },
    /// The rollout under way.
    Rollout,
    /// An immutable plan, by its SHA-256.
    Plan(String),
    /// Who approved a plan.
    Approval(String),
    /// How a node's part of a plan ended.
    Done {
        /// The plan.
        plan: String,
        /// The node.
        node: String,
    },
    /// What a node's probes of the declared services found while it led a plan's rollout.
    Probes {
        /// The plan.
        plan: String,
        /// The node.
        node: String,
    },
    /// What the leader asks of a node.
    Order(String),
    /// The fleet-wide stop.
    Halt,
    /// Number and hash of the last audit record.
    AuditHead,
    /// One audit record.
    Audit(u64),
}

impl Key {
    /// The whole key as text.
    pub fn path(&self) -> String {
        let rest = match self {
            Self::Incarnation => "incarnation".to_owned(),
            Self::Fleet => "fleet".to_owned(),
            Self::Leader => "leader".to_owned(),
            Self::Ask => "ask".to_owned(),
            Self::Session(node) => format!("node/{node}/session"),
            Self::Report(node) => format!("node/{node}/report"),
            Self::Updates(node) => format!("node/{node}/updates"),
            Self::Outcast(node) => format!("node/{node}/outcast"),
            Self::Lease { group, slot } => format!("lease/{group}/{slot}"),
            Self::Rollout => "rollout/current".to_owned(),
            Self::Plan(plan) => format!("rollout/{plan}/plan"),
            Self::Approval(plan) => format!("rollout/{plan}/approval"),
            Self::Done { plan, node } => format!("rollout/{plan}/done/{node}"),
            Self::Probes { plan, node } => format!("rollout/{plan}/probes/{node}"),
            Self::Order(node) => format!("order/{node}"),
            Self::Halt => "halt".to_owned(),
            Self::AuditHead => "audit/head".to_owned(),
            Self::Audit(seq) => format!("audit/{seq:0AUDIT_DIGITS$}"),
        };
        format!("{PREFIX}{rest}")
    }

    /// The key of a text; nothing if it is none of ours.
    pub fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix(PREFIX)?.split('/').collect();
        let own = |part: &str| part.to_owned();
        Some(match parts.as_slice() {
            ["incarnation"] => Self::Incarnation,
            ["fleet"] => Self::Fleet,
            ["leader"] => Self::Leader,
            ["ask"] => Self::Ask,
            ["halt"] => Self::Halt,
            ["rollout", "current"] => Self::Rollout,
            ["audit", "head"] => Self::AuditHead,
            ["node", node, "session"] => Self::Session(own(node)),
            ["node", node, "report"] => Self::Report(own(node)),
            ["node", node, "updates"] => Self::Updates(own(node)),
            ["node", node, "outcast"] => Self::Outcast(own(node)),
            ["lease", group, slot] => Self::Lease { group: own(group), slot: slot.parse().ok()? },
            ["rollout", plan, "plan"] => Self::Plan(own(plan)),
            ["rollout", plan, "approval"] => Self::Approval(own(plan)),
            ["rollout", plan, "done", node] => Self::Done { plan: own(plan), node: own(node) },
            ["rollout", plan, "probes", node] => Self::Probes { plan: own(plan), node: own(node) },
            ["order", node] => Self::Order(own(node)),
            ["audit", seq] if seq.len() == AUDIT_DIGITS => Self::Audit(seq.parse().ok()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_survives_its_text() {
        let node = || "pve1".to_owned();
        let all = [
            Key::Incarnation,
            Key::Fleet,
            Key::Leader,
            Key::Ask,
            Key::Session(node()),
            Key::Report(node()),
            Key::Updates(node()),
            Key::Outcast(node()),
            Key::Lease { group: "cluster".to_owned(), slot: 0 },
            Key::Rollout,
            Key::Plan("7f3a".to_owned()),
            Key::Approval("7f3a".to_owned()),
            Key::Done { plan: "7f3a".to_owned(), node: node() },
            Key::Probes { plan: "7f3a".to_owned(), node: node() },
            Key::Order(node()),
            Key::Halt,
            Key::AuditHead,
            Key::Audit(42),
        ];
        for key in all {
            assert_eq!(Key::parse(&key.path()), Some(key.clone()), "{}", key.path());
        }
    }

    #[test]
    fn audit_keys_sort_as_their_numbers() {
        assert!(Key::Audit(9).path() < Key::Audit(10).path());
    }

    #[test]
    fn a_stranger_is_no_key() {
        for path in ["/registry/pods", "/hardstand/v1/lease/a", "/hardstand/v1/audit/1", "/hardstand/v1/lease/a/b"] {
            assert_eq!(Key::parse(path), None, "{path}");
        }
    }
}
