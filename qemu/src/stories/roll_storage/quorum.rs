//! Two machines made a corosync cluster, and a third the host of its quorum device.
//!
//! It must never ask for keys: nobody else is on this network.

use anyhow::{Context as _, Result};

use crate::fleet::Fleet;
use crate::stories::iscsi::LIMIT;

/// Starts the device, then the cluster, and lets the agents ask it. All of it comes back with each boot.
pub(super) async fn join(fleet: &Fleet, nodes: [&str; 2], device: &str) -> Result<()> {
    let serve = "set -e
echo 'COROSYNC_QNETD_OPTIONS=\"-4 -s off\"' > /etc/default/corosync-qnetd
systemctl enable --now corosync-qnetd";
    fleet.node("nas").ok(serve, LIMIT).await.context("starting the quorum device")?;
    let config = config(nodes, device);
    for name in nodes {
        let script = format!(
            "set -e
cat > /etc/corosync/corosync.conf <<'EOF'
{config}EOF
mkdir -p /etc/corosync/uidgid.d
install -m 644 /usr/share/hardstand/corosync-uidgid /etc/corosync/uidgid.d/hardstand
systemctl enable --now corosync
systemctl enable --now corosync-qdevice
printf '[corosync]\\ndevice_on = \"nas\"\\n' > /etc/hardstand/agent.toml.d/65-corosync.toml
systemctl reload hardstand-agent"
        );
        fleet.node(name).ok(&script, LIMIT).await.with_context(|| format!("joining {name} to the cluster"))?;
    }
    Ok(())
}

fn config(nodes: [&str; 2], device: &str) -> String {
    let node = |(index, name): (usize, &str)| {
        let id = index + 1;
        format!("  node {{\n    name: {name}\n    nodeid: {id}\n    ring0_addr: 10.77.0.1{id}\n  }}\n")
    };
    let nodes: String = nodes.into_iter().enumerate().map(node).collect();
    format!(
        "totem {{\n  version: 2\n  cluster_name: lab\n  transport: knet\n  crypto_cipher: none\n  crypto_hash: none\n\
         \x20 token: 10000\n}}\nnodelist {{\n{nodes}}}\nquorum {{\n  provider: corosync_votequorum\n  device {{\n    \
         model: net\n    votes: 1\n    net {{\n      host: {device}\n      algorithm: ffsplit\n      tls: off\n    }}\n  }}\n}}\n"
    )
}
