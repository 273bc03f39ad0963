//! Do the services that people use answer, in time, for as long as promised, and with a certificate that stays good?
//!
//! It must never take a question that could not be put for an answer, neither a good one nor a bad one.

use serde::{Deserialize, Serialize};

use super::{Court, Gate, Severity, certificate, percent_of, span};
use crate::observed::ServiceAnswer;
use crate::settings::ServiceSettings;
use crate::{Reading, Sample};

/// One service as it stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ServiceRow {
    /// Its name.
    pub name: String,
    /// Whether it answers as declared; absent while that is not known.
    pub up: Option<bool>,
    /// How long its last answer took.
    pub latency_seconds: Option<f64>,
    /// The share of time for which it should answer, 0 to 1, over the longest window.
    pub slo_ratio: Option<f64>,
    /// For how long it did.
    pub windows: Vec<ServiceWindow>,
}

/// What is known of one window that ends now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceWindow {
    /// As declared: `24h`.
    pub window: String,
    /// The share of the known time for which it answered; absent where none is known.
    pub ratio: Option<f64>,
    /// The share of the window of which anything is known.
    pub coverage_ratio: f64,
}

pub(super) fn judge(court: &mut Court<'_>) -> Vec<ServiceRow> {
    let (seen, settings) = (court.seen, court.settings);
    let Some(services) = seen.services.reading.known() else { return Vec::new() };
    let judged = settings.service.iter().map(|service| {
        let sample = services.iter().find(|(name, _)| *name == service.name).map(|(_, sample)| sample);
        judge_one(court, service, sample)
    });
    judged.collect()
}

fn judge_one(court: &mut Court<'_>, service: &ServiceSettings, sample: Option<&Sample<ServiceAnswer>>) -> ServiceRow {
    let mut row = ServiceRow { name: service.name.clone(), ..ServiceRow::default() };
    match sample.map(|sample| &sample.reading) {
        Some(Reading::Known(answer)) => {
            let good = answer.failure.is_none();
            court.history.answered(&service.name, answer.boottime_seconds, good, service.interval_secs as f64);
            (row.up, row.latency_seconds) = (Some(good), answer.latency_seconds);
            answered(court, service, answer);
        }
        unknown => {
            let why = unknown.and_then(Reading::why).unwrap_or("not asked yet");
            let summary = format!("{}: not known whether it answers", service.name);
            court.find(("service.up", &service.name), Severity::Unknown, gate(service), summary, why);
        }
    }
    row.windows = service
        .windows()
        .map(|(window, seconds)| {
            let share = court.history.availability(&service.name, seconds);
            ServiceWindow { window: window.clone(), ratio: share.ratio, coverage_ratio: share.coverage }
        })
        .collect();
    row.slo_ratio = service.slo_percent.map(|percent| percent / 100.0);
    promised(court, service, &row);
    row
}

/// One that everybody needs keeps the node as it is; of another one people are told.
fn gate(service: &ServiceSettings) -> Gate {
    if service.required { Gate::Blocks } else { Gate::Warns }
}

fn answered(court: &mut Court<'_>, service: &ServiceSettings, answer: &ServiceAnswer) {
    let name = service.name.as_str();
    let took = answer.latency_seconds.map_or_else(String::new, |seconds| format!(" after {}", milliseconds(seconds)));
    match &answer.failure {
        None => {
            let status = answer.status.map_or_else(String::new, |status| status.to_string());
            court.ok(("service.up", name), format!("{status}{took} from {}", service.url));
        }
        Some(why) => {
            let severity = if service.required { Severity::Crit } else { Severity::Warn };
            let through = service.connect_to.as_ref().map_or_else(String::new, |to| format!("--connect-to ::{to} "));
            let trusted = service.ca_file.as_ref().map_or_else(String::new, |file| format!("--cacert {file} "));
            let evidence = format!("{why}{took}; see: curl -v {through}{trusted}{}", service.url);
            court.find(("service.up", name), severity, gate(service), format!("service {name}: {why}"), evidence);
        }
    }
    if let (None, Some(seconds), Some(most)) = (&answer.failure, answer.latency_seconds, service.latency_warn_seconds) {
        if seconds > most {
            let summary = format!("service {name} took {}", milliseconds(seconds));
            let evidence = format!("it should answer within {}; see what its host is busy with", milliseconds(most));
            court.find(("service.latency", name), Severity::Warn, Gate::Warns, summary, evidence);
        } else {
            court.ok(("service.latency", name), format!("{} of {}", milliseconds(seconds), milliseconds(most)));
        }
    }
    if let Some(not_after) = answer.not_after_unix_seconds {
        certificate::expiry(court, ("service.certificate", name), not_after, &format!("curl -vI {}", service.url));
    }
}

/// Holds the longest window against what was promised.
fn promised(court: &mut Court<'_>, service: &ServiceSettings, row: &ServiceRow) {
    let longest = service.windows().zip(&row.windows).max_by_key(|((_, seconds), _)| *seconds);
    let (Some(promised), Some(((window, seconds), share))) = (row.slo_ratio, longest) else { return };
    let name = ("service.slo", service.name.as_str());
    let Some(ratio) = share.ratio else { return };
    let seen = format!("of the last {window}, {} was seen", percent_of(share.coverage_ratio));
    let told = format!("{} of {} promised", percent_of(ratio), percent_of(promised));
    if ratio >= promised {
        let left = (ratio - promised) * seconds as f64 * share.coverage_ratio;
        return court.ok(name, format!("{told}, {} left; {seen}", span(left)));
    }
    let evidence = format!("{seen}; until it is above that again, put off what may interrupt it");
    court.find(name, Severity::Warn, Gate::Warns, format!("service {} answered {told}", service.name), evidence);
}

fn milliseconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1_000.0) } else { format!("{seconds:.1} s") }
}

#[cfg(test)]
mod tests {
    use super::super::tests::well;
    use super::super::{Health, judge};
    use super::*;
    use crate::observed::Observed;
    use crate::{Finding, History, Settings};

    fn settings(service: ServiceSettings) -> Settings {
        let service = ServiceSettings { name: "wiki".to_owned(), url: "https://wiki/".to_owned(), ..service };
        Settings { service: vec![service], ..Settings::default() }
    }

    fn answer(failure: Option<&str>) -> ServiceAnswer {
        ServiceAnswer {
            boottime_seconds: 1_000.0,
            failure: failure.map(str::to_owned),
            status: Some(200),
            latency_seconds: Some(0.034),
            not_after_unix_seconds: None,
        }
    }

    fn seen(seconds: f64, answer: ServiceAnswer) -> Observed {
        let mut seen = well(seconds);
        seen.services = Sample::fresh(vec![("wiki".to_owned(), Sample::fresh(answer, 0.0))], 0.0);
        seen
    }

    fn found<'a>(health: &'a Health, check: &str) -> Option<&'a Finding> {
        health.findings.iter().find(|finding| finding.check == check && finding.subject == "wiki")
    }

    #[test]
    fn one_that_is_required_blocks_and_another_is_told() {
        for (required, failure, severity, gate) in [
            (true, None, Severity::Ok, Gate::None),
            (true, Some("it answered 502"), Severity::Crit, Gate::Blocks),
            (false, Some("it answered 502"), Severity::Warn, Gate::Warns),
        ] {
            let connect_to = Some("192.0.2.7:443".to_owned());
            let settings = settings(ServiceSettings { required, connect_to, ..ServiceSettings::default() });
            let health = judge(&seen(0.0, answer(failure)), &settings, &mut History::default());
            let up = found(&health, "service.up").unwrap();
            assert_eq!((up.severity, up.gate), (severity, gate), "{up:?}");
            assert_eq!(health.services[0].up, Some(failure.is_none()));
            if failure.is_some() {
                let told = "it answered 502 after 34 ms; see: curl -v --connect-to ::192.0.2.7:443 https://wiki/";
                assert_eq!(up.evidence, told);
            }
        }
    }

    #[test]
    fn a_question_that_could_not_be_put_is_unknown_and_counts_as_nothing() {
        let settings = settings(ServiceSettings { required: true, ..ServiceSettings::default() });
        let mut history = History::default();
        let mut blind = seen(0.0, answer(None));
        blind.services = Sample::fresh(vec![("wiki".to_owned(), Sample::never("reading /ca.pem: gone"))], 0.0);
        for pass in [blind, well(10.0)] {
            let health = judge(&pass, &settings, &mut history);
            let up = found(&health, "service.up").unwrap();
            assert_eq!((up.severity, up.gate), (Severity::Unknown, Gate::Blocks), "{up:?}");
            assert_eq!((health.services[0].up, health.services[0].windows[0].ratio), (None, None));
        }
    }

    #[test]
    fn late_answers_and_old_certificates_are_told() {
        let settings = settings(ServiceSettings { latency_warn_seconds: Some(0.5), ..ServiceSettings::default() });
        let now = well(0.0).at.unix_seconds;
        for (latency, days, late, certificate) in [
            (0.4, 30, Severity::Ok, Severity::Ok),
            (0.6, 10, Severity::Warn, Severity::Warn),
            (1.5, 1, Severity::Warn, Severity::Crit),
        ] {
            let not_after_unix_seconds = Some(now + days * 86_400);
            let answer = ServiceAnswer { latency_seconds: Some(latency), not_after_unix_seconds, ..answer(None) };
            let health = judge(&seen(0.0, answer), &settings, &mut History::default());
            assert_eq!(found(&health, "service.latency").unwrap().severity, late);
            assert_eq!(found(&health, "service.certificate").unwrap().severity, certificate);
        }
        let health = judge(&seen(0.0, answer(Some("refused"))), &settings, &mut History::default());
        assert!(found(&health, "service.latency").is_none(), "one that failed is not late as well");
    }

    #[test]
    fn what_was_promised_is_held_against_what_was_seen() {
        let settings = settings(ServiceSettings { slo_percent: Some(99.0), ..ServiceSettings::default() });
        let mut history = History::default();
        let mut last = None;
        // 200 questions, of which the last three fail: 98.5 % of the time.
        for count in 0..200_u32 {
            let seconds = f64::from(count) * 30.0;
            let said = ServiceAnswer {
                boottime_seconds: 1_000.0 + seconds,
                ..answer((count >= 197).then_some("it answered 502"))
            };
            // Each is seen in three passes and counts once.
            for pass in [0.0, 10.0, 20.0] {
                last = Some(judge(&seen(seconds + pass, said.clone()), &settings, &mut history));
            }
            let slo = found(last.as_ref().unwrap(), "service.slo").unwrap().severity;
            assert_eq!(slo, if count < 198 { Severity::Ok } else { Severity::Warn }, "{count}");
        }
        let health = last.unwrap();
        let slo = found(&health, "service.slo").unwrap();
        assert_eq!(slo.summary, "service wiki answered 98.50 % of 99 % promised");
        assert_eq!(slo.evidence.split(';').next(), Some("of the last 30d, 0.23 % was seen"));
        let [hour, day, month] = &health.services[0].windows[..] else { panic!("three windows") };
        assert!(hour.ratio < day.ratio && day.ratio == month.ratio, "{:?}", health.services);
        assert!(hour.coverage_ratio > 0.99 && day.coverage_ratio < 0.07);
    }
}
