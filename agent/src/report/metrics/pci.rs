//! PCI Express: errors that devices reported, and how wide their links are.
//!
//! It must never write a line for each kind of error there could be: a host has hundreds of devices with forty kinds each.

use hardstand_core::Observed;

use super::page::{Kind, Page};

/// The kernel's own sum over all kinds.
const ALL: &str = "all";

pub(super) fn write(page: &mut Page, observed: &Observed) {
    let devices = observed.pci.shown().map(Vec::as_slice).unwrap_or_default();
    let mut errors = page.family(
        "hardstand_pcie_aer_errors_total",
        Kind::Counter,
        "Errors a PCI Express device reported; kind all is the sum, others are there once they happened.",
    );
    for device in devices {
        let Some(counts) = &device.errors else { continue };
        let severities =
            [("correctable", &counts.correctable), ("nonfatal", &counts.nonfatal), ("fatal", &counts.fatal)];
        for (severity, counts) in severities {
            let mut sample = |kind: &str, count: u64| {
                let labels = [("device", &*device.address), ("severity", severity), ("kind", kind)];
                errors.sample(&labels, count as f64);
            };
            sample(ALL, counts.total);
            counts.kinds.iter().for_each(|(kind, count)| sample(kind, *count));
        }
    }
    let links: Vec<_> = devices.iter().filter_map(|device| Some((&*device.address, device.link?))).collect();
    let mut width = page.family("hardstand_pcie_link_width_lanes", Kind::Gauge, "Lanes a PCI Express link uses.");
    for (address, link) in &links {
        width.sample(&[("device", address)], link.width as f64);
    }
    let mut most = page.family("hardstand_pcie_link_max_width_lanes", Kind::Gauge, "Lanes the device has.");
    for (address, link) in &links {
        most.sample(&[("device", address)], link.max_width as f64);
    }
    let mut speed = page.family(
        "hardstand_pcie_link_transfers_per_second",
        Kind::Gauge,
        "Speed of each lane, in transfers per second.",
    );
    for (address, link) in &links {
        speed.sample(&[("device", address)], link.megatransfers as f64 * 1e6);
    }
}
