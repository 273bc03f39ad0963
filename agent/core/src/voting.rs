//! The voting sets that a node tells the fleet of, made from what it has seen: corosync with its quorum device, and the
//! monitors of Ceph (S2).
//!
//! It must never tell who is up by what was kept from before a failure, nor without its age.

use std::collections::BTreeMap;

use crate::observed::{CephCluster, Corosync, QuorumMember};
use crate::reading::Sample;
use crate::status::Votes;

/// The voter that a quorum device is, where nobody says on which node it runs.
const DEVICE: &str = "quorum device";

/// Corosync's set: the nodes that are configured, and the quorum device at the node that hosts it (`device_on`, else the
/// host of its configuration). `None`: there is no corosync, or no list of its nodes that could be told.
pub fn of_corosync(sample: &Sample<Option<Corosync>>, device_on: Option<&str>) -> Option<Votes> {
    let corosync = sample.shown()?.as_ref()?;
    let config = corosync.config.as_ref().filter(|config| !config.nodes.is_empty())?;
    let members = &corosync.quorum.members;
    let member = |id: u64| members.iter().find(|member| !member.is_qdevice() && member.node_id == id);
    let device = members.iter().find(|member| member.is_qdevice());
    let mut weights: BTreeMap<String, u64> = BTreeMap::new();
    let mut up: Vec<String> = Vec::new();
    for node in &config.nodes {
        let voter = short(&node.name);
        *weights.entry(voter.clone()).or_default() += node.votes;
        if member(node.node_id).is_some() {
            up.push(voter);
        }
    }
    if let Some(configured) = &config.device {
        let host = device_on.map(ToOwned::to_owned).or_else(|| configured.host.as_deref().map(short));
        let voter = host.unwrap_or_else(|| DEVICE.to_owned());
        // The votes it would cast are those that are missing to what is expected.
        let nodes = config.nodes.iter().fold(0_u64, |sum, node| sum.saturating_add(node.votes));
        let expected = corosync.quorum.expected_votes.max(corosync.quorum.highest_expected).unwrap_or(nodes + 1);
        let is_also_a_node = weights.contains_key(&voter);
        *weights.entry(voter.clone()).or_default() += expected.saturating_sub(nodes).max(1);
        // Each node has its own connection to it: it is up where all have its vote.
        let nodes = members.iter().filter(|member| !member.is_qdevice());
        let serves = device.is_some_and(|device| device.votes > 0) && nodes.clone().all(QuorumMember::has_device_vote);
        match (serves, is_also_a_node) {
            (true, false) => up.push(voter),
            (false, true) => up.retain(|name| *name != voter),
            _ => {}
        }
    }
    let is_read = sample.reading.known().is_some();
    let up = (is_read && corosync.quorum.quorate == Some(true)).then_some(up);
    let set = format!("corosync {}", config.cluster.as_deref().unwrap_or("cluster"));
    let (voters, weights) = weights.into_iter().unzip();
    Some(Votes { set, voters, weights, needed: corosync.quorum.quorum_votes, up, age_ms: age_ms(sample) })
}

/// The monitors of a Ceph cluster, by the hosts they run on.
pub fn of_ceph(sample: &Sample<Option<CephCluster>>) -> Option<Votes> {
    let cluster = sample.shown()?.as_ref()?;
    let mut weights: BTreeMap<String, u64> = BTreeMap::new();
    for (_, host) in &cluster.mons_on {
        *weights.entry(short(host)).or_default() += 1;
    }
    if weights.is_empty() {
        return None;
    }
    let quorum = cluster.status.mons.in_quorum.as_ref().filter(|_| sample.reading.known().is_some());
    let up = quorum.map(|quorum| {
        let out = cluster.mons_on.iter().filter(|(mon, _)| !quorum.contains(mon));
        let out: Vec<String> = out.map(|(_, host)| short(host)).collect();
        // A host with one of two monitors in quorum is not one that can be counted on for both.
        weights.keys().filter(|host| !out.contains(host)).cloned().collect()
    });
    let fsid = cluster.status.fsid.as_deref().unwrap_or("cluster");
    let (voters, weights) = weights.into_iter().unzip();
    Some(Votes { set: format!("ceph-mon {fsid}"), voters, weights, needed: None, up, age_ms: age_ms(sample) })
}

/// How long ago it was read. Rounded up, so that nothing is told as younger than it is.
fn age_ms<T>(sample: &Sample<T>) -> u64 {
    (sample.age_seconds * 1_000.0).ceil() as u64
}

/// A node is known to the fleet by the first part of its name. An address stays what it is.
fn short(name: &str) -> String {
    if name.parse::<core::net::IpAddr>().is_ok() {
        return name.to_owned();
    }
    name.split('.').next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{CephMons, CephStatus, CorosyncConfig, CorosyncDevice, CorosyncNode, Quorum};
    use crate::reading::Reading;

    fn two_and_a_device() -> Corosync {
        let member = |node_id: u64, words: &[&str]| QuorumMember {
            node_id,
            votes: 1,
            qdevice: words.iter().map(|word| (*word).to_owned()).collect(),
            name: format!("192.0.2.{node_id}"),
            local: node_id == 1,
        };
        let node = |node_id, name: &str| CorosyncNode { node_id, name: name.to_owned(), votes: 1 };
        Corosync {
            quorum: Quorum {
                quorate: Some(true),
                expected_votes: Some(3),
                quorum_votes: Some(2),
                members: vec![member(1, &["A", "V"]), member(2, &["A", "V"]), member(0, &[])],
                ..Quorum::default()
            },
            links: Reading::Known(Vec::new()),
            config: Some(CorosyncConfig {
                cluster: Some("home".to_owned()),
                nodes: vec![node(1, "pve1"), node(2, "PVE2.example")],
                device: Some(CorosyncDevice { host: Some("192.0.2.13".to_owned()) }),
            }),
        }
    }

    fn told(change: impl FnOnce(&mut Corosync), device_on: Option<&str>) -> Votes {
        let mut corosync = two_and_a_device();
        change(&mut corosync);
        of_corosync(&Sample::fresh(Some(corosync), 0.0), device_on).unwrap()
    }

    fn up(votes: &Votes) -> Option<Vec<&str>> {
        votes.up.as_ref().map(|up| up.iter().map(String::as_str).collect())
    }

    #[test]
    fn s2_corosync_is_told_with_its_device_at_the_node_that_hosts_it() {
        let votes = told(|_| {}, Some("nas"));
        assert_eq!(
            (votes.set.as_str(), votes.voters.as_slice()),
            ("corosync home", &["nas", "pve1", "pve2"].map(str::to_owned)[..])
        );
        assert_eq!((votes.total(), votes.floor()), (3, 2));
        assert_eq!(up(&votes), Some(vec!["pve1", "pve2", "nas"]));
        let votes = told(|_| {}, None);
        assert_eq!(votes.voters[0], "192.0.2.13", "nobody has said which node that is");
    }

    #[test]
    fn s2_who_is_not_seen_is_not_told_as_up() {
        let votes = told(|corosync| drop(corosync.quorum.members.remove(1)), Some("nas"));
        assert_eq!(up(&votes), Some(vec!["pve1", "nas"]));
        let votes = told(|corosync| corosync.quorum.members[2].votes = 0, Some("nas"));
        assert_eq!(up(&votes), Some(vec!["pve1", "pve2"]));
        let votes = told(|corosync| corosync.quorum.members[1].qdevice = vec!["NA".to_owned()], Some("nas"));
        assert_eq!(up(&votes), Some(vec!["pve1", "pve2"]), "the other node has no vote of the device");
        let votes = told(|corosync| corosync.quorum.quorate = Some(false), Some("nas"));
        assert_eq!(up(&votes), None, "no quorum, no evidence");
    }

    #[test]
    fn s2_a_device_on_a_node_of_the_cluster_goes_with_it() {
        let votes = told(|_| {}, Some("pve2"));
        assert_eq!((votes.weight("pve2"), votes.total()), (2, 3));
        let votes = told(|corosync| corosync.quorum.members[2].votes = 0, Some("pve2"));
        assert_eq!(up(&votes), Some(vec!["pve1"]));
    }

    #[test]
    fn s2_a_device_with_the_votes_of_all_but_one_has_them() {
        let votes = told(|corosync| corosync.quorum.expected_votes = Some(5), Some("nas"));
        assert_eq!((votes.weight("nas"), votes.total()), (3, 5));
    }

    #[test]
    fn s6_what_is_old_is_told_as_that_and_what_failed_as_unknown() {
        let mut sample = Sample::fresh(Some(two_and_a_device()), 0.0);
        for (age_seconds, is_evidence) in [(0.0, true), (10.0, true), (10.000_1, false), (10.5, false)] {
            sample.age_seconds = age_seconds;
            assert_eq!(of_corosync(&sample, None).unwrap().is_evidence(), is_evidence, "{age_seconds}");
        }
        sample.age_seconds = 1.0;
        (sample.kept, sample.reading) = (Some(Some(two_and_a_device())), Reading::unknown("no answer"));
        assert_eq!(of_corosync(&sample, None).unwrap().up, None);
        assert_eq!(of_corosync(&Sample::fresh(None, 0.0), None), None, "no corosync, no set");
    }

    #[test]
    fn s2_monitors_are_told_by_their_hosts() {
        let cluster = |quorum: &[&str]| CephCluster {
            status: CephStatus {
                fsid: Some("f".to_owned()),
                mons: CephMons {
                    in_quorum: Some(quorum.iter().map(|name| (*name).to_owned()).collect()),
                    ..CephMons::default()
                },
                ..CephStatus::default()
            },
            mons_on: [("a", "pve1"), ("b", "pve2.lab"), ("c", "nas"), ("d", "nas")]
                .map(|(mon, host)| (mon.to_owned(), host.to_owned()))
                .to_vec(),
            ..CephCluster::default()
        };
        let told = |quorum: &[&str]| of_ceph(&Sample::fresh(Some(cluster(quorum)), 0.0)).unwrap();
        let votes = told(&["a", "b", "c", "d"]);
        assert_eq!((votes.weight("nas"), votes.total(), votes.floor()), (2, 4, 3));
        assert_eq!(up(&votes), Some(vec!["nas", "pve1", "pve2"]));
        assert_eq!(up(&told(&["a", "b", "d"])), Some(vec!["pve1", "pve2"]));
    }
}
