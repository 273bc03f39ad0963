//! Declared services, certificates and backups.
//!
//! It must never write a share of time of which nothing is known.

use hardstand_core::{Health, Observed, Reading};

use super::page::{Kind, Page};

pub(super) fn write(page: &mut Page, observed: &Observed, health: &Health) {
    let services = &health.services;
    let mut up = page.family("hardstand_service_up", Kind::Gauge, "Whether a declared service answers as it should.");
    for row in services {
        up.optional(&[("service", &row.name)], row.up.map(|up| f64::from(u8::from(up))));
    }
    let mut latency =
        page.family("hardstand_service_latency_seconds", Kind::Gauge, "What the last answer of a service took.");
    for row in services {
        latency.optional(&[("service", &row.name)], row.latency_seconds);
    }
    let mut ratio = page.family(
        "hardstand_service_availability_ratio",
        Kind::Gauge,
        "The share of the known time of a window for which a service answered.",
    );
    for (row, window) in services.iter().flat_map(|row| row.windows.iter().map(move |window| (row, window))) {
        ratio.optional(&[("service", &row.name), ("window", &window.window)], window.ratio);
    }
    let mut coverage = page.family(
        "hardstand_service_coverage_ratio",
        Kind::Gauge,
        "The share of a window of which anything is known.",
    );
    for (row, window) in services.iter().flat_map(|row| row.windows.iter().map(move |window| (row, window))) {
        coverage.sample(&[("service", &row.name), ("window", &window.window)], window.coverage_ratio);
    }
    let mut promised = page.family(
        "hardstand_service_slo_ratio",
        Kind::Gauge,
        "The share of time for which a service should answer, over its longest window.",
    );
    for row in services {
        promised.optional(&[("service", &row.name)], row.slo_ratio);
    }
    let mut not_after = page.family(
        "hardstand_certificate_not_after_timestamp_seconds",
        Kind::Gauge,
        "When a certificate expires: of a file, a TLS port, or a declared service.",
    );
    for (path, sample) in observed.certificates.shown().into_iter().flatten() {
        not_after.optional(&[("path", path)], sample.reading.known().map(|at| *at as f64));
    }
    for (name, sample) in observed.services.shown().into_iter().flatten() {
        let at = sample.reading.known().and_then(|answer| answer.not_after_unix_seconds);
        not_after.optional(&[("path", &format!("service {name}"))], at.map(|at| at as f64));
    }
    let mut backups = page.family(
        "hardstand_backup_last_success_timestamp_seconds",
        Kind::Gauge,
        "When the newest of a declared backup was made, a restore was tried last, or a guest was backed up.",
    );
    for (name, sample) in observed.backups.shown().into_iter().flatten() {
        let Reading::Known(seen) = &sample.reading else { continue };
        backups.optional(&[("backup", name)], seen.newest.as_ref().map(|newest| newest.unix_seconds as f64));
    }
    let node = observed.proxmox.reading.known().and_then(Option::as_ref);
    for (guest, at) in node.iter().flat_map(|node| node.last_backups()) {
        backups.sample(&[("guest", guest)], at as f64);
    }
}
