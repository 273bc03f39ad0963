//! The cluster's quorum and links.
//!
//! It must never show votes that were counted before corosync fell silent: they are not known then, and have no sample.

use hardstand_core::Observed;

use super::page::{Kind, Page};

pub(super) fn write(page: &mut Page, observed: &Observed) {
    let corosync = observed.corosync.reading.known().and_then(Option::as_ref);
    let quorum = corosync.map(|corosync| &corosync.quorum);
    let help = "Whether the cluster has quorum, as this node sees it.";
    let mut quorate = page.family("hardstand_pve_quorate", Kind::Gauge, help);
    if let Some(is_quorate) = quorum.and_then(|quorum| quorum.quorate) {
        quorate.flag(&[], is_quorate);
    }
    let help = "Votes of the cluster: that should be there, that are, and that are needed.";
    let mut votes = page.family("hardstand_pve_votes", Kind::Gauge, help);
    if let Some(quorum) = quorum {
        let kinds =
            [("expected", quorum.expected_votes), ("total", quorum.total_votes), ("needed", quorum.quorum_votes)];
        for (kind, count) in kinds {
            votes.optional(&[("kind", kind)], count.map(|count| count as f64));
        }
    }
    let mut device = page.family("pve_qdevice_up", Kind::Gauge, "Whether the quorum device casts its vote.");
    let is_configured =
        corosync.and_then(|corosync| corosync.config.as_ref()).is_some_and(|config| config.device.is_some());
    if let Some(quorum) = quorum.filter(|quorum| is_configured || quorum.has_qdevice) {
        device.flag(&[], quorum.qdevice_votes.unwrap_or(0) > 0);
    }
    let help = "Whether another node answers over a link of corosync's.";
    let mut links = page.family("hardstand_corosync_link_up", Kind::Gauge, help);
    for link in corosync.iter().filter_map(|corosync| corosync.links.known()).flatten() {
        let (node, number) = (link.node_id.to_string(), link.link.to_string());
        links.flag(&[("link", &number), ("node", &node)], link.is_connected());
    }
}
