//! Is a watchdog armed, where one should be?
//!
//! It must never ask for one that nobody declared: most machines do well without.

use super::{Court, Gate, Severity, names};
use crate::settings::Expected;

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(watchdogs) = seen.watchdogs.reading.known() else { return };
    let name = ("watchdog.armed", "watchdog");
    let armed: Vec<&str> = watchdogs.iter().filter(|one| one.is_armed()).map(|one| one.name.as_str()).collect();
    let is_expected = court.settings.node.expect.contains(&Expected::Watchdog);
    match (armed.as_slice(), watchdogs.as_slice()) {
        ([], []) if !is_expected => {}
        ([], all) if !is_expected => court.ok(name, format!("{} not armed, and not declared", all.len())),
        ([], all) => {
            let what = if all.is_empty() {
                "there is none: load its driver (softdog where the board has none)"
            } else {
                "none is fed"
            };
            let evidence = format!(
                "it is declared in [node] expect, and {what}; arm it: RuntimeWatchdogSec= in /etc/systemd/system.conf, or \
                 the cluster's own"
            );
            court.find(name, Severity::Warn, Gate::Warns, "no watchdog is armed", evidence);
        }
        (armed, _) => court.ok(name, format!("{} armed", names(armed.iter().copied()))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::super::tests::well;
    use super::*;
    use crate::observed::Watchdog;
    use crate::{History, Sample, Settings};

    #[test]
    fn it_warns_only_where_one_is_declared() {
        let dog = |state: &str| Watchdog {
            name: "watchdog0".to_owned(),
            state: Some(state.to_owned()),
            ..Watchdog::default()
        };
        let cases = [
            (false, vec![], None),
            (false, vec![dog("inactive")], Some(Severity::Ok)),
            (true, vec![], Some(Severity::Warn)),
            (true, vec![dog("inactive")], Some(Severity::Warn)),
            (true, vec![dog("unheard of")], Some(Severity::Warn)),
            (true, vec![dog("inactive"), dog("active")], Some(Severity::Ok)),
        ];
        for (is_expected, watchdogs, expected) in cases {
            let mut settings = Settings::default();
            settings.node.expect.extend(is_expected.then_some(Expected::Watchdog));
            let mut seen = well(0.0);
            seen.watchdogs = Sample::fresh(watchdogs.clone(), 0.0);
            let health = judge(&seen, &settings, &mut History::default());
            let found = health.findings.iter().find(|finding| finding.check == "watchdog.armed");
            assert_eq!(found.map(|finding| finding.severity), expected, "{is_expected} {watchdogs:?}");
        }
    }
}
