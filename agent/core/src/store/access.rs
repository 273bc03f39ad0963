//! Who may write what (design §5): one table for every engine that knows who asks.
//!
//! It must never say yes to a key it does not know. Reading is free to every node and operator of the fleet.

use super::key::Key;

/// What a certificate says its owner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The agent of one node. Any of them may lead.
    Node,
    /// A person.
    Operator,
}

impl Role {
    /// Its name, as certificates carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Operator => "operator",
        }
    }

    /// The role of a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Node, Self::Operator].into_iter().find(|role| role.name() == name)
    }
}

/// How a key may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Put and deleted.
    Free,
    /// Put, and not deleted.
    Put,
    /// Put once: the transaction must compare that the key does not exist. Never deleted.
    Once,
}

/// Why a key may not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// None of ours.
    #[error("{key} is no key of hardstand")]
    Stranger {
        /// The key.
        key: String,
    },
    /// Another one's.
    #[error("{role} {name} may not write {key}", role = role.name())]
    NotYours {
        /// Who asked.
        role: Role,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// It may be written, but not so.
    #[error("{role} {name} may write {key} only {how}", role = role.name())]
    NotSo {
        /// Who asked.
        role: Role,
        /// Its name.
        name: String,
        /// The key.
        key: String,
        /// What would be right.
        how: &'static str,
    },
}

/// How `name` in its role may write `key`.
///
/// # Errors
/// With the reason when it may not at all.
pub fn may_write(role: Role, name: &str, key: &str) -> Result<Permit, Refusal> {
    let known = Key::parse(key).filter(|known| known.path() == key);
    let known = known.ok_or_else(|| Refusal::Stranger { key: key.to_owned() })?;
    let permit = match role {
        Role::Node => node(name, &known),
        Role::Operator => operator(&known),
    };
    permit.ok_or_else(|| Refusal::NotYours { role, name: name.to_owned(), key: key.to_owned() })
}

/// Whether a write of a transaction is as its key's permit asks. `puts`: it is no deletion; `if_absent`: the transaction
/// compares that the key does not exist.
///
/// # Errors
/// With what is missing.
pub fn check_write(role: Role, name: &str, key: &str, puts: bool, if_absent: bool) -> Result<(), Refusal> {
    let permit = may_write(role, name, key)?;
    let not_so = |how| Err(Refusal::NotSo { role, name: name.to_owned(), key: key.to_owned(), how });
    match permit {
        Permit::Put if !puts => not_so("by putting it: only a person may take it away"),
        Permit::Once if !puts || !if_absent => not_so("once, if it does not exist"),
        Permit::Free | Permit::Put | Permit::Once => Ok(()),
    }
}

/// A node speaks for itself, and may lead.
fn node(name: &str, key: &Key) -> Option<Permit> {
    let own = |node: &String| (node == name).then_some(Permit::Free);
    match key {
        Key::Incarnation | Key::Audit(_) => Some(Permit::Once),
        Key::Halt => Some(Permit::Put),
        Key::Leader | Key::Lease { .. } | Key::Order(_) | Key::Rollout | Key::AuditHead => Some(Permit::Free),
        Key::Session(node)
        | Key::Report(node)
        | Key::Updates(node)
        | Key::Outcast(node)
        | Key::Done { node, .. }
        | Key::Probes { node, .. } => own(node),
        Key::Fleet | Key::Ask | Key::Plan(_) | Key::Approval(_) => None,
    }
}

/// A person may do all, but not speak in a node's name, and not rewrite what has happened.
fn operator(key: &Key) -> Option<Permit> {
    match key {
        Key::Session(_) | Key::Report(_) | Key::Probes { .. } => None,
        Key::Audit(_) => Some(Permit::Once),
        Key::Incarnation
        | Key::Fleet
        | Key::Leader
        | Key::Ask
        | Key::Updates(_)
        | Key::Outcast(_)
        | Key::Lease { .. }
        | Key::Rollout
        | Key::Plan(_)
        | Key::Approval(_)
        | Key::Done { .. }
        | Key::Order(_)
        | Key::Halt
        | Key::AuditHead => Some(Permit::Free),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key below the prefix; what node `pve1` may; what an operator may. `None`: nothing.
    const TABLE: &[(&str, Option<Permit>, Option<Permit>)] = &[
        ("incarnation", Some(Permit::Once), Some(Permit::Free)),
        ("fleet", None, Some(Permit::Free)),
        ("leader", Some(Permit::Free), Some(Permit::Free)),
        ("ask", None, Some(Permit::Free)),
        ("node/pve1/session", Some(Permit::Free), None),
        ("node/pve1/report", Some(Permit::Free), None),
        ("node/pve1/updates", Some(Permit::Free), Some(Permit::Free)),
        ("node/pve1/outcast", Some(Permit::Free), Some(Permit::Free)),
        ("node/pve2/session", None, None),
        ("node/pve2/report", None, None),
        ("node/pve2/updates", None, Some(Permit::Free)),
        ("node/pve2/outcast", None, Some(Permit::Free)),
        ("node/pve1/other", None, None),
        ("node/pve1/session/deep", None, None),
        ("lease/cluster/0", Some(Permit::Free), Some(Permit::Free)),
        ("lease/cluster/00", None, None),
        ("lease/cluster", None, None),
        ("rollout/current", Some(Permit::Free), Some(Permit::Free)),
        ("rollout/7f3a/plan", None, Some(Permit::Free)),
        ("rollout/7f3a/approval", None, Some(Permit::Free)),
        ("rollout/7f3a/done/pve1", Some(Permit::Free), Some(Permit::Free)),
        ("rollout/7f3a/done/pve2", None, Some(Permit::Free)),
        ("rollout/7f3a/probes/pve1", Some(Permit::Free), None),
        ("rollout/7f3a/probes/pve2", None, None),
        ("order/pve1", Some(Permit::Free), Some(Permit::Free)),
        ("order/pve2", Some(Permit::Free), Some(Permit::Free)),
        ("halt", Some(Permit::Put), Some(Permit::Free)),
        ("audit/head", Some(Permit::Free), Some(Permit::Free)),
        ("audit/00000000000000000042", Some(Permit::Once), Some(Permit::Once)),
        ("audit/42", None, None),
        ("", None, None),
        ("anything", None, None),
    ];

    #[test]
    fn every_key_has_its_writers() {
        for (rest, node, operator) in TABLE {
            let key = format!("{}{rest}", super::super::PREFIX);
            assert_eq!(may_write(Role::Node, "pve1", &key).ok(), *node, "node: {key}");
            assert_eq!(may_write(Role::Operator, "anna", &key).ok(), *operator, "operator: {key}");
        }
    }

    #[test]
    fn another_s_prefix_is_no_key() {
        for key in ["/registry/pods", "leader", "/hardstand/v2/leader", ""] {
            assert!(matches!(may_write(Role::Operator, "anna", key), Err(Refusal::Stranger { .. })), "{key}");
        }
    }

    #[test]
    fn an_operator_called_like_a_node_is_no_node() {
        assert!(may_write(Role::Operator, "pve1", "/hardstand/v1/node/pve1/session").is_err());
    }

    #[test]
    fn a_node_halts_and_a_person_lifts() {
        let halt = "/hardstand/v1/halt";
        assert_eq!(check_write(Role::Node, "pve1", halt, true, false), Ok(()));
        let told = check_write(Role::Node, "pve1", halt, false, false).unwrap_err().to_string();
        assert_eq!(told, "node pve1 may write /hardstand/v1/halt only by putting it: only a person may take it away");
        assert_eq!(check_write(Role::Operator, "anna", halt, false, false), Ok(()));
    }

    #[test]
    fn what_happened_is_written_once() {
        let record = Key::Audit(7).path();
        for role in [Role::Node, Role::Operator] {
            assert_eq!(check_write(role, "x", &record, true, true), Ok(()));
            assert!(check_write(role, "x", &record, true, false).is_err());
            assert!(check_write(role, "x", &record, false, true).is_err());
        }
    }

    #[test]
    fn roles_survive_their_names() {
        for role in [Role::Node, Role::Operator] {
            assert_eq!(Role::parse(role.name()), Some(role));
        }
        assert_eq!(Role::parse("Node"), None);
    }
}
