//! Do PCI Express devices report errors, and is a link narrower or slower than it was?
//!
//! It must never take a device that saves power for one that is broken: the width of a link counts, its speed only for
//! storage and network, and what was never better than now is told and no more.

use super::{Court, Gate, Severity, names, span};
use crate::history::BestLink;
use crate::observed::{AerCounts, PciDevice, PciErrors, PciLink};

const ERRORS: &str = "pcie.errors";
const LINK: &str = "pcie.link";
/// What is said of all devices with which nothing is wrong, in one row for all of them.
const ALL: &str = "pcie";

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(devices) = seen.pci.reading.known() else { return };
    let (mut counting, mut linked) = (0_usize, 0_usize);
    for device in devices {
        counting += device.errors.as_ref().map_or(0, |counts| usize::from(!errors(court, device, counts)));
        linked += device.link.map_or(0, |now| usize::from(!link(court, device, now)));
    }
    court.ok((ERRORS, ALL), format!("{counting} devices count errors and report no new ones"));
    court.ok((LINK, ALL), format!("{linked} links as wide as they were and could be"));
}

/// Whether something was found.
fn errors(court: &mut Court<'_>, device: &PciDevice, counts: &PciErrors) -> bool {
    let name = (ERRORS, device.address.as_str());
    let who = who(device);
    let look = format!("see: journalctl -k -g {}, and seat the card anew, or move it", device.address);
    if counts.fatal.total > 0 {
        let evidence = format!("{} since boot; {look}", told(&counts.fatal));
        court.find(name, Severity::Crit, Gate::Blocks, format!("{who} reported fatal errors"), evidence);
        return true;
    }
    let window = court.limits.event_memory_secs as f64;
    let mut risen = |what: &str, counts: &AerCounts| {
        court.history.risen(&format!("aer {} {} {what}", device.address, device.id), counts.total, window, false)
    };
    let (nonfatal, correctable) = (risen("nonfatal", &counts.nonfatal), risen("correctable", &counts.correctable));
    let (new, what, counts) = match (nonfatal, correctable) {
        (0, 0) => return false,
        (0, new) => (new, "corrected", &counts.correctable),
        (new, _) => (new, "uncorrected", &counts.nonfatal),
    };
    let evidence = format!("{new} new ones in the last {}; since boot {}; {look}", span(window), told(counts));
    court.find(name, Severity::Warn, Gate::Warns, format!("{who} reports {what} errors"), evidence);
    true
}

/// Whether something was found.
fn link(court: &mut Court<'_>, device: &PciDevice, now: PciLink) -> bool {
    let best = court.history.best_link(&device.address, &device.id, BestLink::of(now));
    let name = (LINK, device.address.as_str());
    let speed = |megatransfers: u64| format!("{} GT/s", megatransfers as f64 / 1000.0);
    if now.width < best.width || (device.keeps_its_speed() && now.megatransfers < best.megatransfers) {
        let evidence = format!(
            "{} lanes at {}, was {} at {}; seat the card anew, look at its slot and riser; if it was moved on purpose: \
             hardstand forget link {}",
            now.width,
            speed(now.megatransfers),
            best.width,
            speed(best.megatransfers),
            device.address
        );
        court.find(
            name,
            Severity::Warn,
            Gate::Warns,
            format!("{} has a worse link than it had", who(device)),
            evidence,
        );
        return true;
    }
    let is_slow = device.keeps_its_speed() && now.megatransfers < now.max_megatransfers;
    // A slot that is wider than its card is no matter of either.
    if device.is_bridge() || (now.width >= now.max_width && !is_slow) {
        return false;
    }
    let evidence = format!(
        "{} of {} lanes at {} of {}, and never had more since it is watched; its slot may be no better",
        now.width,
        now.max_width,
        speed(now.megatransfers),
        speed(now.max_megatransfers)
    );
    let summary = format!("{} could have a better link", who(device));
    court.find(name, Severity::Info, Gate::None, summary, evidence);
    true
}

fn who(device: &PciDevice) -> String {
    match &device.driver {
        Some(driver) => format!("{} ({driver})", device.address),
        None => device.address.clone(),
    }
}

fn told(counts: &AerCounts) -> String {
    let kinds: Vec<String> = counts.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    match kinds.as_slice() {
        [] => format!("{} of no kind that is told", counts.total),
        kinds => names(kinds.iter().map(String::as_str)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::well;
    use super::super::{Finding, judge};
    use super::*;
    use crate::history::Thing;
    use crate::{History, Observed, Sample, Settings};

    fn nvme(change: impl FnOnce(&mut PciDevice)) -> PciDevice {
        let link = PciLink { width: 4, max_width: 4, megatransfers: 16_000, max_megatransfers: 16_000 };
        let mut device = PciDevice {
            address: "0000:01:00.0".to_owned(),
            id: "144d:a80a".to_owned(),
            class: 0x01_0802,
            driver: Some("nvme".to_owned()),
            link: Some(link),
            errors: Some(PciErrors::default()),
        };
        change(&mut device);
        device
    }

    fn lanes(width: u64) -> PciDevice {
        nvme(|device| device.link.as_mut().unwrap().width = width)
    }

    fn found(history: &mut History, seconds: f64, device: PciDevice) -> Vec<Finding> {
        let mut seen = well(seconds);
        seen.pci = Sample::fresh(vec![device], 0.0);
        let mut findings = judge(&seen, &Settings::default(), history).findings;
        findings.retain(|finding| finding.check.starts_with("pcie.") && finding.severity != Severity::Ok);
        findings
    }

    fn one(history: &mut History, seconds: f64, device: PciDevice) -> (Severity, Gate, String) {
        let mut findings = found(history, seconds, device);
        assert_eq!(findings.len(), 1, "{findings:?}");
        let finding = findings.remove(0);
        (finding.severity, finding.gate, finding.evidence)
    }

    fn counts(total: u64) -> AerCounts {
        AerCounts { total, kinds: vec![("BadTLP".to_owned(), total)] }
    }

    #[test]
    fn a_device_that_is_well_is_one_row_with_the_others() {
        assert_eq!(found(&mut History::default(), 0.0, nvme(|_| {})), Vec::new());
        let mut seen = well(0.0);
        seen.pci = Sample::fresh(vec![nvme(|_| {}), nvme(|device| device.address = "0000:02:00.0".to_owned())], 0.0);
        let health = judge(&seen, &Settings::default(), &mut History::default());
        let rows: Vec<_> = health.findings.iter().filter(|finding| finding.check.starts_with("pcie.")).collect();
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert_eq!(rows[0].evidence, "2 devices count errors and report no new ones");
    }

    #[test]
    fn a_fatal_error_blocks_whenever_it_was() {
        let device = nvme(|device| device.errors.as_mut().unwrap().fatal = counts(1));
        let (severity, gate, evidence) = one(&mut History::default(), 0.0, device);
        assert_eq!((severity, gate), (Severity::Crit, Gate::Blocks));
        let expected = "1 BadTLP since boot; see: journalctl -k -g 0000:01:00.0, and seat the card anew, or move it";
        assert_eq!(evidence, expected);
    }

    #[test]
    fn corrected_errors_warn_while_they_rise_and_old_ones_do_not() {
        let mut history = History::default();
        let with = |total| nvme(|device| device.errors.as_mut().unwrap().correctable = counts(total));
        assert_eq!(found(&mut history, 0.0, with(900)), Vec::new(), "they were there before anybody looked");
        let (severity, gate, evidence) = one(&mut history, 60.0, with(903));
        assert_eq!((severity, gate), (Severity::Warn, Gate::Warns));
        assert!(evidence.starts_with("3 new ones in the last 24 h; since boot 903 BadTLP; "), "{evidence}");
        assert_eq!(found(&mut history, 90_000.0, with(903)), Vec::new(), "a day without new ones");
        let lost = nvme(|device| device.errors.as_mut().unwrap().nonfatal = counts(2));
        assert_eq!(found(&mut History::default(), 0.0, lost), Vec::new());
    }

    #[test]
    fn a_link_that_dropped_warns_and_one_that_never_was_better_is_told() {
        let mut history = History::default();
        assert_eq!(one(&mut history, 0.0, lanes(2)).0, Severity::Info, "in a slot that has no more, as it seems");
        assert_eq!(found(&mut history, 60.0, lanes(4)), Vec::new());
        let (severity, gate, evidence) = one(&mut history, 120.0, lanes(2));
        assert_eq!((severity, gate), (Severity::Warn, Gate::Warns));
        let expected = "2 lanes at 16 GT/s, was 4 at 16 GT/s; seat the card anew, look at its slot and riser; if it was \
                        moved on purpose: hardstand forget link 0000:01:00.0";
        assert_eq!(evidence, expected);
        assert!(history.forget(Thing::Link, "0000:01:00.0"));
        assert_eq!(one(&mut history, 180.0, lanes(2)).0, Severity::Info);
    }

    #[test]
    fn a_link_is_compared_over_a_reboot_and_not_with_another_card() {
        let mut history = History::default();
        found(&mut history, 0.0, lanes(4));
        let mut seen = well(600.0);
        let mut kernel = seen.kernel.reading.known().unwrap().clone();
        kernel.boot_id = "another".to_owned();
        seen.kernel = Sample::fresh(kernel, 0.0);
        seen.pci = Sample::fresh(vec![lanes(1)], 0.0);
        let severity = |seen: &Observed, history: &mut History| {
            let health = judge(seen, &Settings::default(), history);
            health.findings.iter().find(|finding| finding.subject == "0000:01:00.0").map(|finding| finding.severity)
        };
        assert_eq!(severity(&seen, &mut history), Some(Severity::Warn), "it came up narrower");
        let other = PciDevice { id: "8086:0a54".to_owned(), ..lanes(1) };
        seen.pci = Sample::fresh(vec![other], 0.0);
        assert_eq!(severity(&seen, &mut history), Some(Severity::Info), "another card in the slot");
    }

    #[test]
    fn a_device_that_saves_power_and_a_wide_slot_are_no_matter() {
        let slow = |class| {
            nvme(|device| {
                device.class = class;
                device.link.as_mut().unwrap().megatransfers = 2_500;
            })
        };
        let mut history = History::default();
        found(&mut history, 0.0, nvme(|device| device.class = 0x03_0000));
        assert_eq!(found(&mut history, 60.0, slow(0x03_0000)), Vec::new(), "a graphics card at rest");
        assert_eq!(one(&mut History::default(), 0.0, slow(0x02_0000)).0, Severity::Info, "a network card never rests");
        let port = PciDevice { class: 0x06_0400, ..lanes(1) };
        assert_eq!(found(&mut History::default(), 0.0, port), Vec::new());
    }
}
