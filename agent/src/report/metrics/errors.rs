//! Errors of the hardware that the kernel's log tells of, as they were counted since boot.
//!
//! It must never be without a sample: a series that begins with its first error hides that error from a rate.

use hardstand_core::Health;
use hardstand_core::observed::{ErrorOrigin, ErrorSeverity};

use super::page::{Kind, Page};

pub(super) fn write(page: &mut Page, health: &Health) {
    let mut checks = page.family(
        "hardstand_mce_errors_total",
        Kind::Counter,
        "Machine checks since boot by socket, bank and severity; those without a bank stand for none.",
    );
    for row in &health.errors {
        let ErrorOrigin::Processor { socket, bank } = &row.origin else { continue };
        let socket = socket.map_or_else(String::new, |socket| socket.to_string());
        let labels = [("socket", &*socket), ("bank", &bank.to_string()), ("severity", row.severity.word())];
        checks.sample(&labels, row.count as f64);
    }
    for severity in [ErrorSeverity::Corrected, ErrorSeverity::Deferred, ErrorSeverity::Uncorrected] {
        checks.sample(&[("socket", ""), ("bank", ""), ("severity", severity.word())], 0.0);
    }
    let mut reports = page.family(
        "hardstand_ghes_errors_total",
        Kind::Counter,
        "Errors the firmware reported since boot, by severity and the part it names.",
    );
    for severity in ErrorSeverity::ALL {
        // Sections of one part are added up: the label has no room for them.
        let mut by_part = std::collections::BTreeMap::from([("", 0)]);
        for row in health.errors.iter().filter(|row| row.severity == severity) {
            if let ErrorOrigin::Firmware { fru, .. } = &row.origin {
                *by_part.entry(fru.as_str()).or_default() += row.count;
            }
        }
        for (fru, count) in by_part {
            reports.sample(&[("severity", severity.word()), ("fru", fru)], count as f64);
        }
    }
}
