//! What the lab's Ceph clusters have in common, wherever their daemons run.
//!
//! It must never run anything: it says what is written down and done.

use std::fmt::Write as _;
use std::path::Path;

/// Which cluster it is. No two of them are up on one network.
pub(super) const FSID: &str = "5d3d2f1c-7a0e-4c52-9d0b-2f4f3f1a6c77";
/// Keys, the new protocol alone, three copies, OSDs in memory.
pub(super) const SETTINGS: [&str; 13] = [
    "auth cluster required = cephx",
    "auth service required = cephx",
    "auth client required = cephx",
    "ms bind msgr1 = false",
    "mon data avail warn = 1",
    "mon data avail crit = 1",
    "mgr initial modules =",
    "osd objectstore = memstore",
    "memstore device bytes = 268435456",
    // So that it writes down what it has in memory before it ends.
    "osd fast shutdown = false",
    "osd pool default size = 3",
    "osd pool default min size = 2",
    "osd pool default pg autoscale mode = off",
];
/// What the agent's key may do, as its configuration says.
pub(super) const READER: &str = r#"mon 'allow r' mgr 'allow command "osd ok-to-stop"'"#;

/// The commands of a shell that make a key for everybody, in one file.
pub(super) fn keys(keyring: &Path, managers: &[&str], osds: &[&str]) -> String {
    let file = keyring.display();
    let mut script =
        format!("set -e\nceph-authtool --create-keyring {file} --gen-key --name mon. --cap mon 'allow *'\n");
    let mut key = |name: &str, caps: &str| {
        let _ = writeln!(script, "ceph-authtool {file} --gen-key --name {name} {caps}");
    };
    key("client.admin", "--cap mon 'allow *' --cap mgr 'allow *' --cap osd 'allow *'");
    for name in managers {
        key(&format!("mgr.{name}"), "--cap mon 'allow profile mgr' --cap osd 'allow *'");
    }
    for number in osds {
        let caps = "--cap mon 'allow profile osd' --cap mgr 'allow profile osd' --cap osd 'allow *'";
        key(&format!("osd.{number}"), caps);
    }
    script
}
