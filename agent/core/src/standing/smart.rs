//! How a disk stands by its own SMART or NVMe report.
//!
//! It must never judge what only growth can tell (reallocated sectors, media errors): that takes more than one report.

use super::{Report, Standing, Subject};
use crate::observed::{Smart, SmartDetail};
use crate::reading::Reading;

/// Bit 1 of an NVMe drive's critical warning: it is hot. It works.
const NVME_WARNS_OF_TEMPERATURE: u8 = 1 << 1;

/// Nothing where the device has no SMART.
impl Report for Option<Smart> {
    fn subjects(&self) -> Vec<Subject> {
        self.iter()
            .map(|smart| match &smart.detail {
                Reading::Unknown { why } => Subject::not_ok("disk", "disk", Standing::Unknown, why),
                Reading::Known(detail) => match faults(detail).into_iter().max_by_key(|(state, _)| *state) {
                    None => Subject::ok("disk", "disk"),
                    Some((state, why)) => Subject::not_ok("disk", "disk", state, why),
                },
            })
            .collect()
    }
}

fn faults(detail: &SmartDetail) -> Vec<(Standing, String)> {
    let mut faults = Vec::new();
    match detail.passed {
        Some(true) => {}
        Some(false) => faults.push((Standing::Failed, "it says itself that it fails".to_owned())),
        None => faults.push((Standing::Unknown, "it does not say whether it fails".to_owned())),
    }
    let mut some = |count: Option<u64>, what: &str| {
        if let Some(count) = count.filter(|count| *count > 0) {
            faults.push((Standing::Degraded, format!("{count} {what}")));
        }
    };
    if let Some(ata) = &detail.ata {
        some(ata.pending_sectors, "sectors that it cannot read (pending)");
        some(ata.uncorrectable_sectors, "sectors that it could not correct (offline uncorrectable)");
    }
    if let Some(scsi) = &detail.scsi {
        some(scsi.uncorrected_errors, "errors that it could not correct");
    }
    if let Some(nvme) = &detail.nvme {
        let warning = nvme.critical_warning;
        if warning != 0 {
            let state = if warning == NVME_WARNS_OF_TEMPERATURE { Standing::Degraded } else { Standing::Failed };
            faults.push((state, format!("critical warning 0x{warning:02x}")));
        }
        if nvme.available_spare_percent < nvme.available_spare_threshold_percent {
            let (left, least) = (nvme.available_spare_percent, nvme.available_spare_threshold_percent);
            faults.push((Standing::Failed, format!("{left} % spare left, less than its threshold of {least} %")));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{AtaSmart, NvmeSmart, PowerState};

    fn standing(change: impl FnOnce(&mut SmartDetail)) -> Standing {
        let mut detail = SmartDetail {
            passed: Some(true),
            temperature_celsius: None,
            power_on_hours: None,
            error_log_count: None,
            ata: Some(AtaSmart { reallocated_sectors: Some(304), ..AtaSmart::default() }),
            nvme: Some(NvmeSmart { media_errors: 3, ..NvmeSmart::default() }),
            scsi: None,
        };
        change(&mut detail);
        super::super::worst(&Some(Smart { power: PowerState::Active, detail: Reading::Known(detail) }).subjects())
    }

    #[test]
    fn a_disk_stands_as_it_says_itself() {
        assert_eq!(standing(|_| ()), Standing::Ok, "counts that only growth can judge are left alone");
        assert_eq!(standing(|detail| detail.passed = Some(false)), Standing::Failed);
        assert_eq!(standing(|detail| detail.passed = None), Standing::Unknown);
        assert_eq!(standing(|detail| detail.ata.as_mut().unwrap().pending_sectors = Some(1)), Standing::Degraded);
        assert_eq!(standing(|detail| detail.nvme.as_mut().unwrap().critical_warning = 2), Standing::Degraded);
        assert_eq!(standing(|detail| detail.nvme.as_mut().unwrap().critical_warning = 16), Standing::Failed);
        assert_eq!(
            standing(|detail| detail.nvme.as_mut().unwrap().available_spare_threshold_percent = 10),
            Standing::Failed
        );
    }

    #[test]
    fn a_disk_that_sleeps_or_has_no_smart_vouches_for_nothing() {
        let asleep = Some(Smart { power: PowerState::Standby, detail: Reading::unknown("it sleeps") });
        assert_eq!(super::super::worst(&asleep.subjects()), Standing::Unknown);
        assert_eq!(super::super::worst(&None::<Smart>.subjects()), Standing::Unknown);
    }
}
