//! Users and roles of etcd: one user per certificate, by its common name (`node/pve1`), nodes confined to what a node
//! writes.
//!
//! It must never take anything from etcd's users that it did not make, and never turn authentication on before the
//! one who asks for it would still get in as root. No user has a password: a certificate is the only way in.

use std::collections::BTreeSet;
use std::time::Duration;

use hardstand_core::store::PREFIX;
use hardstand_core::store::access::{Role as CertificateRole, may_write};
use prost::Message;

use super::super::StoreError;
use super::grpc::CallError;
use super::wire::{
    AuthStatusResponse, Empty, Name, Names, PERMIT_BOTH, PERMIT_READ, Permission, RoleGetResponse, RoleGrant,
    RoleRevoke, UserAddOptions, UserAddRequest, UserRole,
};
use super::{Etcd, Kind, bytes, end_of, refusal};
use crate::trust::Identity;

/// One step of the set-up. Each is one small transaction of etcd.
const STEP_LIMIT: Duration = Duration::from_secs(5);
/// etcd wants a user and a role of this name before it enforces roles.
const ROOT: &str = "root";
/// Users and roles of ours begin so, but for users: those have the names of the certificates.
const NODE_ROLE: &str = "hardstand-node-";
/// The role of operators: everything below our prefix.
const OPERATOR_ROLE: &str = "hardstand-operator";
/// What etcd can be told to allow, as keys and prefixes (these end with a slash), each with a key below it that the
/// table of the core is asked about. `*` is the node. etcd knows ranges only: it cannot say `rollout/<any>/done/<node>`,
/// nor "once", so that a node holds all of `rollout/`, and plans and approvals are checked by who reads them.
const RANGES: [(&str, &str); 15] = [
    ("incarnation", "incarnation"),
    ("fleet", "fleet"),
    ("leader", "leader"),
    ("ask", "ask"),
    ("halt", "halt"),
    ("node/*/session", "node/*/session"),
    ("node/*/report", "node/*/report"),
    ("node/*/updates", "node/*/updates"),
    ("node/*/outcast", "node/*/outcast"),
    ("lease/", "lease/any/0"),
    ("rollout/", "rollout/any/done/*"),
    ("rollout/current", "rollout/current"),
    ("order/", "order/any"),
    ("audit/head", "audit/head"),
    ("audit/", "audit/00000000000000000001"),
];

/// A role as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Role {
    /// Its name.
    pub(crate) name: String,
    /// Read everything of ours.
    pub(crate) reads: Vec<String>,
    /// Keys it may also write; a prefix ends with a slash.
    pub(crate) writes: Vec<String>,
}

/// The role of one node: what the core's table lets it write, as far as etcd can tell it apart.
pub(crate) fn node_role(node: &str) -> Role {
    let path = |key: &str| format!("{PREFIX}{}", key.replace('*', node));
    let may = |sample: &str| may_write(CertificateRole::Node, node, &path(sample)).is_ok();
    let writes: Vec<String> = RANGES.iter().filter(|(_, sample)| may(sample)).map(|(range, _)| path(range)).collect();
    Role { name: format!("{NODE_ROLE}{node}"), reads: vec![PREFIX.to_owned()], writes }
}

/// The role of an operator.
pub(crate) fn operator_role() -> Role {
    Role { name: OPERATOR_ROLE.to_owned(), reads: Vec::new(), writes: vec![PREFIX.to_owned()] }
}

fn role_of(member: &Identity) -> Role {
    match member.role {
        CertificateRole::Node => node_role(&member.name),
        CertificateRole::Operator => operator_role(),
    }
}

/// Makes etcd's users and roles as they shall be, and turns authentication on. May be done again at any time; returns
/// what it changed, one sentence each. `root` asks, and will be able to ask again.
///
/// # Errors
/// `Denied` when the one who asks is not root and authentication is on already.
pub(crate) async fn set_up(etcd: &Etcd, root: &Identity, members: &[Identity]) -> Result<Vec<String>, StoreError> {
    let mut changed = Vec::new();
    let mut users: Vec<(String, Option<Role>)> = vec![(ROOT.to_owned(), None), (root.to_string(), None)];
    users.extend(members.iter().map(|member| (member.to_string(), Some(role_of(member)))));
    let known_users = names(etcd, "UserList", &Empty {}).await?;
    let mut known_roles = names(etcd, "RoleList", &Empty {}).await?;
    make_role(etcd, ROOT, &mut known_roles, &mut changed).await?;
    let mut seen = BTreeSet::new();
    for (user, role) in users {
        if !seen.insert(user.clone()) {
            continue;
        }
        if !known_users.contains(&user) {
            let options = Some(UserAddOptions { no_password: true });
            let request = UserAddRequest { name: user.clone(), options };
            let _: Empty = step(etcd, "UserAdd", &request).await?;
            changed.push(format!("user {user} made"));
        }
        let name = match &role {
            Some(role) => {
                make_role(etcd, &role.name, &mut known_roles, &mut changed).await?;
                confine(etcd, role, &mut changed).await?;
                role.name.as_str()
            }
            None => ROOT,
        };
        if !names(etcd, "UserGet", &Name { name: user.clone() }).await?.contains(name) {
            let request = UserRole { user: user.clone(), role: name.to_owned() };
            let _: Empty = step(etcd, "UserGrantRole", &request).await?;
            changed.push(format!("user {user} has role {name}"));
        }
    }
    let status: AuthStatusResponse = step(etcd, "AuthStatus", &Empty {}).await?;
    if !status.enabled {
        let _: Empty = step(etcd, "AuthEnable", &Empty {}).await?;
        changed.push("authentication is on".to_owned());
    }
    Ok(changed)
}

async fn make_role(
    etcd: &Etcd,
    name: &str,
    known: &mut BTreeSet<String>,
    changed: &mut Vec<String>,
) -> Result<(), StoreError> {
    if known.insert(name.to_owned()) {
        let _: Empty = step(etcd, "RoleAdd", &Name { name: name.to_owned() }).await?;
        changed.push(format!("role {name} made"));
    }
    Ok(())
}

/// Gives a role of ours what it lacks and takes what it has besides.
async fn confine(etcd: &Etcd, role: &Role, changed: &mut Vec<String>) -> Result<(), StoreError> {
    let has: RoleGetResponse = step(etcd, "RoleGet", &Name { name: role.name.clone() }).await?;
    let shall: Vec<Permission> = role
        .reads
        .iter()
        .map(|key| permission(key, PERMIT_READ))
        .chain(role.writes.iter().map(|key| permission(key, PERMIT_BOTH)))
        .collect();
    for extra in has.permissions.iter().filter(|one| !shall.contains(one)) {
        let (key, end) = (extra.key.clone(), extra.end.clone());
        let _: Empty = step(etcd, "RoleRevokePermission", &RoleRevoke { role: role.name.clone(), key, end }).await?;
        changed.push(format!("role {} loses {}", role.name, String::from_utf8_lossy(&extra.key)));
    }
    for lacking in shall.iter().filter(|one| !has.permissions.contains(one)) {
        let request = RoleGrant { role: role.name.clone(), permission: Some(lacking.clone()) };
        let _: Empty = step(etcd, "RoleGrantPermission", &request).await?;
        changed.push(format!("role {} gets {}", role.name, String::from_utf8_lossy(&lacking.key)));
    }
    Ok(())
}

fn permission(key: &str, kind: i32) -> Permission {
    let end = if key.ends_with('/') { end_of(key) } else { bytes::Bytes::new() };
    Permission { kind, key: bytes(key), end }
}

async fn names<Q: Message>(etcd: &Etcd, what: &str, question: &Q) -> Result<BTreeSet<String>, StoreError> {
    let found: Names = step(etcd, what, question).await?;
    Ok(found.names.into_iter().collect())
}

/// Set-up steps may be asked twice: what is there already is what was wanted.
async fn step<Q: Message, A: Message + Default>(etcd: &Etcd, what: &str, question: &Q) -> Result<A, StoreError> {
    let answer = etcd.ask(&format!("/etcdserverpb.Auth/{what}"), question, Kind::Read, STEP_LIMIT).await;
    match answer {
        Err(CallError::Refused(status)) if status.message.contains("already exists") => Ok(A::default()),
        answer => answer.map_err(refusal::of_read),
    }
}
