//! The metrics page: OpenMetrics 1.0 for who asks for it, else the Prometheus text format 0.0.4.
//!
//! It must never drop a metric because there is nothing to count: families are always declared, and what can be
//! counted is written as 0. What is not known (a sleeping disk's temperature) has no sample, for any number would be a
//! lie. node_exporter's names are kept where the meaning is the same.

mod board;
mod ceph;
mod corosync;
mod errors;
mod fleet;
mod health;
mod iscsi;
mod iscsi_target;
mod kubernetes;
mod load;
mod md;
mod multipath;
mod page;
mod pci;
mod proxmox;
mod services;
mod storage;
mod system;
mod truenas;
mod zfs;

use bytes::Bytes;
use hardstand_core::{Health, Observed};

pub(crate) use page::Format;
use page::{Kind, Page};
pub(crate) use storage::transport_word;

use crate::member::Standing;

/// Room for the page of a usual node; a larger one grows.
const PAGE_BYTES: usize = 48 * 1024;
/// Room for the lines that are made for each request.
const AGES_BYTES: usize = 2 * 1024;

/// Renders the part of the page that belongs to one pass.
pub(crate) fn render(observed: &Observed, health: &Health, standing: Option<&Standing>, format: Format) -> Bytes {
    let mut page = Page::new(format, PAGE_BYTES);
    health::write(&mut page, observed, health);
    load::write(&mut page, observed);
    pci::write(&mut page, observed);
    errors::write(&mut page, health);
    board::write(&mut page, observed);
    storage::write(&mut page, observed, health);
    zfs::write(&mut page, observed, health);
    iscsi::write(&mut page, observed, health);
    iscsi_target::write(&mut page, observed);
    multipath::write(&mut page, observed);
    md::write(&mut page, observed);
    corosync::write(&mut page, observed);
    ceph::write(&mut page, observed, health);
    proxmox::write(&mut page, observed);
    kubernetes::write(&mut page, observed);
    truenas::write(&mut page, observed);
    system::write(&mut page, observed);
    services::write(&mut page, observed, health);
    fleet::write(&mut page, standing);
    page.finish()
}

/// When a page is asked for, which is later than its pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Asked {
    /// Seconds since the pass was put together.
    pub(crate) pass_age_seconds: f64,
    /// The node's wall clock, seconds since 1970.
    pub(crate) unix_seconds: f64,
}

/// Renders the first lines, which are made anew for each request: how old what follows is. They need no collector, so
/// that an agent whose pass hangs says so by itself.
pub(crate) fn render_ages(observed: &Observed, asked: Asked, format: Format) -> Bytes {
    let mut page = Page::new(format, AGES_BYTES);
    page.family("hardstand_pass_age_seconds", Kind::Gauge, "Seconds since the pass that this page shows.")
        .sample(&[], milliseconds(asked.pass_age_seconds));
    page.family(
        "hardstand_pass_timestamp_seconds",
        Kind::Gauge,
        "When that pass was put together, by the node's clock.",
    )
    .sample(&[], observed.at.unix_seconds as f64);
    let mut ages =
        page.family("hardstand_collector_age_seconds", Kind::Gauge, "Age of the value each collector shows.");
    for collector in observed.collectors() {
        ages.sample(&[("collector", &collector.name)], milliseconds(collector.age_seconds + asked.pass_age_seconds));
    }
    page.family("node_time_seconds", Kind::Gauge, "System time in seconds since 1970.")
        .sample(&[], milliseconds(asked.unix_seconds));
    page.into_bytes()
}

/// No age is known better than that.
fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
