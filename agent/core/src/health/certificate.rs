//! Is every certificate renewed in time?
//!
//! It must never take one that cannot be read for one that is good.

use super::{Court, Gate, Severity, span};
use crate::Reading;
use crate::window::Civil;

const DAY_SECONDS: f64 = 86_400.0;

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    for (path, sample) in seen.certificates.reading.known().into_iter().flatten() {
        let name = ("certificate.expiry", path.as_str());
        match &sample.reading {
            Reading::Known(not_after) => {
                let look = if path.starts_with('/') {
                    format!("openssl x509 -enddate -noout -in {path}")
                } else {
                    format!("openssl s_client -connect {path} </dev/null | openssl x509 -enddate -noout")
                };
                expiry(court, name, *not_after, &look);
            }
            Reading::Unknown { why } => {
                let summary = format!("certificate {path} cannot be read");
                court.find(name, Severity::Unknown, Gate::Warns, summary, why.clone());
            }
        }
    }
}

/// Judges when a certificate expires.
pub(super) fn expiry(court: &mut Court<'_>, name: (&str, &str), not_after_unix_seconds: u64, look: &str) {
    let left = not_after_unix_seconds as f64 - court.seen.at.unix_seconds as f64;
    let until = Civil::from_seconds(i64::try_from(not_after_unix_seconds).unwrap_or(i64::MAX));
    let severity = match left / DAY_SECONDS {
        days if days < court.limits.certificate_crit_days => Severity::Crit,
        days if days < court.limits.certificate_warn_days => Severity::Warn,
        _ => return court.ok(name, format!("until {until} UTC, {}", span(left))),
    };
    let told = if left < 0.0 { format!("expired {} ago", span(-left)) } else { format!("expires in {}", span(left)) };
    let evidence = format!("it is good until {until} UTC; renew it, then load it where it is used; see: {look}");
    court.find(name, severity, Gate::Warns, format!("certificate of {} {told}", name.1), evidence);
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::super::tests::well;
    use super::*;
    use crate::{History, Sample, Settings};

    #[test]
    fn each_is_told_in_time() {
        const DAY: u64 = 86_400;
        let now = well(0.0).at.unix_seconds;
        for (path, reading, severity, summary, evidence) in [
            ("/a.pem", Reading::Known(now + 22 * DAY), Severity::Ok, "/a.pem ok", "22 days"),
            (
                "/a.pem",
                Reading::Known(now + 20 * DAY),
                Severity::Warn,
                "certificate of /a.pem expires in 20 days",
                "-in /a.pem",
            ),
            ("pve:8006", Reading::Known(now + 2 * DAY), Severity::Crit, "expires in 2 days", "-connect pve:8006"),
            ("/a.pem", Reading::Known(now - DAY), Severity::Crit, "expired 24 h ago", "renew it"),
            ("/a.pem", Reading::unknown("reading /a.pem: gone"), Severity::Unknown, "cannot be read", "gone"),
        ] {
            let mut seen = well(0.0);
            let kept = Sample { reading, kept: Some(now + 90 * DAY), age_seconds: 0.0, duration_seconds: 0.0 };
            seen.certificates = Sample::fresh(vec![(path.to_owned(), kept)], 0.0);
            let health = judge(&seen, &Settings::default(), &mut History::default());
            let found = health.findings.iter().find(|finding| finding.check == "certificate.expiry").unwrap();
            assert_eq!((found.severity, &*found.subject), (severity, path), "{found:?}");
            assert!(found.summary.contains(summary) && found.evidence.contains(evidence), "{found:?}");
            assert_eq!(found.gate, if severity == Severity::Ok { Gate::None } else { Gate::Warns });
        }
    }
}
