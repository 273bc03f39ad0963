//! Is a reboot due, and why?

use super::{Court, Gate, Severity, names};
use crate::observed::RebootReason;
use crate::reading::Reading;

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(kernel) = seen.kernel.reading.known() else { return };
    let name = ("kernel.reboot_needed", "kernel");
    match &kernel.reboot {
        Reading::Unknown { why } => {
            court.find(name, Severity::Unknown, Gate::None, "unknown whether a reboot is due", why.clone());
        }
        Reading::Known(reasons) if reasons.is_empty() => {
            court.ok(name, format!("{} runs, nothing newer waits for a boot", kernel.release));
        }
        Reading::Known(reasons) => {
            let words: Vec<String> = reasons.iter().map(words).collect();
            let evidence = format!("{}; the next rollout takes care of it, or reboot when it suits", words.join("; "));
            let summary = format!("reboot needed: {}", words[0]);
            court.find(name, Severity::Warn, Gate::None, summary, evidence);
        }
    }
}

fn words(reason: &RebootReason) -> String {
    match reason {
        RebootReason::NewerKernel { running, newest } => format!("kernel {newest} would boot, {running} runs"),
        RebootReason::Requested { packages } if packages.is_empty() => "a package asked for it".to_owned(),
        RebootReason::Requested { packages } => format!("asked for by {}", names(packages.iter().map(String::as_str))),
        RebootReason::Replaced { what } => format!("{what} was replaced after boot"),
    }
}
