//! The agent while it watches a Ceph cluster, a Proxmox VE, a TrueNAS and a Kubernetes at once, each as often as it does by
//! default. Ceph is real; the other three are the lab's simulators.
//!
//! It must never be taken for a node of those: pools and sessions need a kernel that has them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Row;
use super::peers::Server;
use crate::house::House;
use crate::simulator::truenas::Simulator;
use crate::simulator::truenas::world::{Version, World};
use crate::stories::{ceph_live, kubernetes_sim, proxmox_sim};
use crate::wait::until;

/// Each has answered by then, on a busy machine too.
const SEEN_LIMIT: Duration = Duration::from_secs(120);
/// Between two passes, by default.
const INTERVAL_SECS: u64 = 10;
/// What is on the page when a system was read.
const SIGNS: [&str; 4] = ["hardstand_ceph_ok_to_stop{", "pve_up{", "hardstand_truenas_pool_healthy{", "kube_"];

pub(super) async fn measure(dir: &Path, house: &House) -> Result<Vec<Row>> {
    println!("measuring the agent beside Ceph, and simulators of Proxmox VE, TrueNAS and Kubernetes");
    let room = |name: &str| -> Result<PathBuf> {
        let room = dir.join(name);
        std::fs::create_dir_all(&room).with_context(|| format!("creating {}", room.display()))?;
        room.canonicalize().with_context(|| format!("finding {}", room.display()))
    };
    let (_ceph, ceph) = ceph_live::beside(&room("ceph")?).await?;
    let (_proxmox, proxmox) = proxmox_sim::beside(&room("proxmox")?).await?;
    let (_kubernetes, kubernetes) = kubernetes_sim::beside(&room("kubernetes")?).await?;
    let truenas = Simulator::new(World::well(Version::V25_10));
    let socket = room("truenas")?.join("mw.sock");
    truenas.listen_socket(&socket)?;
    let expect = "[node]\nname = \"one\"\nexpect = [\"ceph\", \"proxmox\", \"truenas\", \"kubernetes\"]\n";
    let more = format!("{expect}{ceph}{proxmox}{kubernetes}[truenas]\nendpoint = {socket:?}\n");
    let program = house.built("release", "hardstand");
    let agent = Server::agent(dir, &program, "agent-together", INTERVAL_SECS, &more).await?;
    let mut missing = Vec::new();
    let seen = until("all four systems to be on the page", SEEN_LIMIT, async || {
        let page = agent.page().await?;
        missing = SIGNS.into_iter().filter(|sign| !page.lines().any(|line| line.starts_with(sign))).collect();
        Ok(missing.is_empty().then_some(()))
    });
    seen.await.with_context(|| format!("missing: {missing:?}"))?;
    let (before, start) = (agent.children()?, Instant::now());
    let idle_percent = agent.idle(false).await?;
    let tools = (agent.children()? - before).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
    let resident = agent.resident()?;
    let row = |figure, ours, target, reached| Row { figure, ours, peer: String::new(), target, reached };
    Ok(vec![
        row(
            "agent memory (RSS), Ceph and simulated Proxmox VE, TrueNAS, Kubernetes watched",
            format!("{:.1} MB", resident as f64 / 1e6),
            "<= 10 MB",
            Some(resident <= 10_000_000),
        ),
        row(
            "CPU, the same four watched",
            format!("{idle_percent:.3} %, and {tools:.2} % by Ceph's own tool"),
            "",
            None,
        ),
    ])
}
