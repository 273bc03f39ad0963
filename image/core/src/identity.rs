//! The identity gate: an image must not carry what belongs to one host. It judges a tree; it repairs nothing.

use crate::glob;
use crate::tree::{Kind, Node, Origin, Tree};

/// What maintainer scripts and the bootstrap leave behind of a host, removed in a declared step before the gate looks.
/// Each is made anew on the machine that boots.
pub const SCRUBBED: [&str; 8] = [
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/nvme/hostid",
    "/etc/nvme/hostnqn",
    "/etc/iscsi/initiatorname.iscsi",
    "/var/lib/dbus/machine-id",
    "/var/lib/systemd/random-seed",
    "/etc/hostid",
];

/// One forbidden path.
struct Rule {
    pattern: &'static str,
    why: &'static str,
    allowed: Allowed,
}

enum Allowed {
    Never,
    Empty,
    FromOverlay,
}

const RULES: [Rule; 11] = [
    Rule { pattern: "etc/ssh/ssh_host_*", why: "SSH host keys", allowed: Allowed::Never },
    Rule { pattern: "etc/nvme/hostid", why: "an NVMe host id", allowed: Allowed::Never },
    Rule { pattern: "etc/nvme/hostnqn", why: "an NVMe host name", allowed: Allowed::Never },
    Rule { pattern: "etc/iscsi/initiatorname.iscsi", why: "an iSCSI initiator name", allowed: Allowed::Never },
    Rule { pattern: "etc/machine-id", why: "a machine id", allowed: Allowed::Empty },
    Rule { pattern: "var/lib/dbus/machine-id", why: "a machine id", allowed: Allowed::Never },
    Rule { pattern: "etc/hostid", why: "a host id", allowed: Allowed::Never },
    Rule { pattern: "var/lib/systemd/random-seed", why: "a random seed", allowed: Allowed::Never },
    Rule { pattern: "var/lib/systemd/credential.secret", why: "a credential key", allowed: Allowed::Never },
    Rule { pattern: "etc/hostname", why: "the build machine's host name", allowed: Allowed::FromOverlay },
    Rule { pattern: "etc/resolv.conf", why: "the build machine's name servers", allowed: Allowed::FromOverlay },
];

/// One piece of host identity found in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// Path in the tree.
    pub path: String,
    /// What it is.
    pub what: &'static str,
    /// Who put it there.
    pub origin: Origin,
}

impl std::fmt::Display for Leak {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (by, remedy) = match &self.origin {
            Origin::Overlay(name) => (format!("from overlay {name}"), "take it out of the overlay".to_owned()),
            Origin::Packages => {
                ("made while packages were installed".to_owned(), format!("add remove = [\"/{}\"]", self.path))
            }
            Origin::Build => ("made by the build".to_owned(), "report this as a bug".to_owned()),
        };
        write!(f, "/{} ({}, {by}): {remedy}", self.path, self.what)
    }
}

/// All host identity left in a tree. Empty means the gate is passed.
pub fn judge(tree: &Tree) -> Vec<Leak> {
    tree.iter()
        .filter_map(|(path, node)| {
            let rule = RULES.iter().find(|rule| glob::matches(rule.pattern, path))?;
            let harmless = match rule.allowed {
                Allowed::Never => false,
                Allowed::Empty => is_empty(node),
                // A link only says where the running system keeps its own; it carries nothing of the builder.
                Allowed::FromOverlay => {
                    matches!(node.kind, Kind::Symlink(_)) || matches!(node.origin, Origin::Overlay(_))
                }
            };
            (!harmless).then(|| Leak { path: path.to_owned(), what: rule.why, origin: node.origin.clone() })
        })
        .collect()
}

/// Removes what [`SCRUBBED`] lists and empties `/etc/machine-id`, so that the first boot makes one.
pub fn scrub(tree: &mut Tree, clock: u64) {
    tree.trim(&SCRUBBED.map(str::to_owned), &[]);
    tree.insert("etc/machine-id", Node { mode: 0o444, ..Node::file(Vec::new(), clock, Origin::Build) });
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.kind, Kind::File { bytes, .. } if bytes.get().is_empty())
}

#[cfg(test)]
mod tests {
    use super::{judge, scrub};
    use crate::tree::{Node, Origin, Tree};

    fn with(path: &str, content: &str, origin: Origin) -> Tree {
        let mut tree = Tree::default();
        tree.insert(path, Node::file(content.as_bytes().to_vec(), 0, origin));
        tree
    }

    const PLANTED: [&str; 10] = [
        "etc/ssh/ssh_host_ed25519_key",
        "etc/ssh/ssh_host_rsa_key.pub",
        "etc/nvme/hostid",
        "etc/nvme/hostnqn",
        "etc/iscsi/initiatorname.iscsi",
        "etc/machine-id",
        "var/lib/dbus/machine-id",
        "etc/hostid",
        "var/lib/systemd/random-seed",
        "var/lib/systemd/credential.secret",
    ];

    #[test]
    fn each_planted_identity_is_found_wherever_it_comes_from() {
        for path in PLANTED {
            for origin in [Origin::Packages, Origin::Overlay("site".to_owned())] {
                let leaks = judge(&with(path, "4c4c4544", origin));
                assert_eq!(leaks.len(), 1, "{path}");
                assert_eq!(leaks[0].path, path);
            }
        }
    }

    #[test]
    fn names_of_the_build_machine_are_refused_unless_an_overlay_says_so() {
        for path in ["etc/hostname", "etc/resolv.conf"] {
            assert_eq!(judge(&with(path, "builder", Origin::Packages)).len(), 1, "{path}");
            assert_eq!(judge(&with(path, "node", Origin::Overlay("base".to_owned()))), [], "{path}");
        }
    }

    #[test]
    fn a_leak_says_where_it_comes_from_and_what_to_do() {
        let leaks = judge(&with("etc/ssh/ssh_host_rsa_key", "k", Origin::Overlay("site".to_owned())));
        assert_eq!(
            leaks[0].to_string(),
            "/etc/ssh/ssh_host_rsa_key (SSH host keys, from overlay site): take it out of the overlay"
        );
    }

    #[test]
    fn scrubbing_leaves_an_empty_machine_id_and_passes_the_gate() {
        let mut tree = with("etc/machine-id", "4c4c4544", Origin::Packages);
        tree.insert("etc/hostname", Node::file(b"builder".to_vec(), 0, Origin::Packages));
        tree.insert("etc/nvme/hostid", Node::file(b"id".to_vec(), 0, Origin::Packages));
        scrub(&mut tree, 7);
        assert_eq!(judge(&tree), []);
        assert_eq!(tree.file("etc/machine-id"), Some(&b""[..]));
    }
}
