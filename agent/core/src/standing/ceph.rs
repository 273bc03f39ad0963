//! How a Ceph cluster stands by its own words; here by its health, which is a part of its status too.
//!
//! It must never take a warning for harmless that is not in one list by its name, nor take what was muted for mended.

mod pgs;
mod status;
mod stop;
mod tree;

use super::{Fault, Report, Standing, Subject};
use crate::observed::{CephCheck, CephHealth};

/// Checks that may warn of a cluster that works with all its redundancy. Nothing is here that is about data, space, slow
/// requests, placement groups, or whether a daemon serves; and none of them is harmless as an error.
const HARMLESS: [&str; 11] = [
    // Who may log in, and with what kind of key: a matter of security, which takes nothing down.
    "AUTH_INSECURE_GLOBAL_ID_RECLAIM",
    "AUTH_INSECURE_GLOBAL_ID_RECLAIM_ALLOWED",
    "AUTH_INSECURE_CLIENT_KEY_TYPE",
    "AUTH_INSECURE_KEYS_ALLOWED",
    "AUTH_INSECURE_KEYS_CREATABLE",
    // The manager's web page shows its errors in full.
    "DASHBOARD_DEBUG",
    // The reports that go to the project hold more than before, and somebody should agree to it anew.
    "TELEMETRY_CHANGED",
    // The manager cannot load some of its modules, as Debian's cannot. Whether it answers is told by itself.
    "MGR_MODULE_DEPENDENCY",
    // A pool without the label that says what it is for.
    "POOL_APP_NOT_ENABLED",
    // A daemon or a module of the manager crashed in the last two weeks. Whether it is back is told by other checks.
    "RECENT_CRASH",
    "RECENT_MGR_MODULE_CRASH",
];

/// Flags of the cluster with which clients wait: reads or writes are paused, or there is no space left.
const STOPS_CLIENTS: [&str; 3] = ["pauserd", "pausewr", "full"];

impl Report for CephHealth {
    fn subjects(&self) -> Vec<Subject> {
        self.subjects_of("ceph")
    }
}

impl CephHealth {
    /// The cluster under its name, and each check.
    fn subjects_of(&self, cluster: &str) -> Vec<Subject> {
        let mut subjects = vec![Subject::judged("cluster", cluster, self.fault().as_slice())];
        let checks = self.checks.iter().flatten();
        subjects.extend(checks.map(|check| Subject::judged("check", &check.name, self.of_check(check).as_slice())));
        subjects
    }

    /// The word for all of it must be what its checks make of it, or the list of them is not to be trusted.
    fn fault(&self) -> Option<Fault> {
        let mut counted = self.checks.iter().flatten().filter(|check| !check.muted).peekable();
        let fault = |state, why: &str| Some((state, why.to_owned()));
        match self.status.as_deref() {
            None => fault(Standing::Unknown, "the report does not tell its health"),
            Some("HEALTH_OK") if self.checks.is_none() => {
                fault(Standing::Unknown, "HEALTH_OK, and the report has no list of checks")
            }
            Some("HEALTH_OK") => {
                counted.next().map(|check| (Standing::Unknown, format!("HEALTH_OK, and {} fails", check.name)))
            }
            Some("HEALTH_WARN") if counted.peek().is_none() => {
                fault(Standing::Degraded, "HEALTH_WARN, and no check says why")
            }
            Some("HEALTH_WARN") if counted.all(is_harmless) => None,
            Some("HEALTH_WARN") => fault(Standing::Degraded, "HEALTH_WARN"),
            Some("HEALTH_ERR") => fault(Standing::Failed, "HEALTH_ERR"),
            Some(other) => Some((Standing::Unknown, format!("health {other} is not known"))),
        }
    }

    fn of_check(&self, check: &CephCheck) -> Option<Fault> {
        let muted = if check.muted { "(muted) " } else { "" };
        let message = check.message.as_deref().unwrap_or("it does not say what it is");
        let said = format!("{muted}{message}");
        match check.severity.as_deref() {
            Some("HEALTH_ERR") => Some((Standing::Failed, said)),
            Some("HEALTH_WARN") => self.of_warning(check).map(|state| (state, said)),
            Some(other) => Some((Standing::Unknown, format!("severity {other} is not known: {said}"))),
            None => Some((Standing::Unknown, format!("it has no severity: {said}"))),
        }
    }

    fn of_warning(&self, check: &CephCheck) -> Option<Standing> {
        match check.name.as_str() {
            "OSDMAP_FLAGS" => Some(match &self.flags {
                None => Standing::Unknown,
                Some(flags) if flags.iter().any(|flag| STOPS_CLIENTS.contains(&flag.as_str())) => Standing::Failed,
                Some(_) => Standing::Degraded,
            }),
            // Ceph only warns of it, and whoever uses that data waits.
            "PG_AVAILABILITY" if !is_peering_alone(check) => Some(Standing::Failed),
            // Nor can anybody write to what is full.
            "OSD_FULL" | "POOL_FULL" => Some(Standing::Failed),
            _ if is_harmless(check) => None,
            _ => Some(Standing::Degraded),
        }
    }
}

fn is_harmless(check: &CephCheck) -> bool {
    HARMLESS.contains(&check.name.as_str())
}

/// `Reduced data availability: 3 pgs peering`: on their way back, as a state of placement groups stands.
fn is_peering_alone(check: &CephCheck) -> bool {
    let list = check.message.as_deref().and_then(|message| message.split_once(": "));
    list.is_some_and(|(_, list)| {
        list.split(", ")
            .all(|part| part.split_once(' ').is_some_and(|(_, what)| matches!(what, "pg peering" | "pgs peering")))
    })
}

#[cfg(test)]
mod tests {
    use super::super::worst;
    use super::*;

    fn check(name: &str, severity: &str, message: &str) -> CephCheck {
        CephCheck {
            name: name.to_owned(),
            severity: Some(severity.to_owned()),
            message: Some(message.to_owned()),
            ..CephCheck::default()
        }
    }

    fn health(status: &str, checks: &[CephCheck]) -> CephHealth {
        CephHealth {
            status: Some(status.to_owned()),
            checks: Some(checks.to_vec()),
            flags: Some(Vec::new()),
            scoped_flags: Some(Vec::new()),
        }
    }

    fn standing(status: &str, checks: &[CephCheck]) -> Standing {
        worst(&health(status, checks).subjects())
    }

    #[test]
    fn a_cluster_stands_by_its_word() {
        let warning = check("OSD_DOWN", "HEALTH_WARN", "1 osds down");
        assert_eq!(standing("HEALTH_OK", &[]), Standing::Ok);
        assert_eq!(standing("HEALTH_WARN", std::slice::from_ref(&warning)), Standing::Degraded);
        assert_eq!(standing("HEALTH_ERR", &[check("OSD_FULL", "HEALTH_ERR", "1 full osd(s)")]), Standing::Failed);
        assert_eq!(standing("HEALTH_ERR", std::slice::from_ref(&warning)), Standing::Failed);
        assert_eq!(standing("HEALTH_ERR", &[]), Standing::Failed);
        assert_eq!(standing("HEALTH_WARN", &[]), Standing::Degraded, "a warning without a check is a warning");
        assert_eq!(standing("HEALTH_FINE", &[]), Standing::Unknown);
        assert_eq!(standing("HEALTH_OK", &[warning]), Standing::Unknown, "it contradicts itself");
        assert_eq!(standing("HEALTH_OK", &[check("RECENT_CRASH", "HEALTH_WARN", "")]), Standing::Unknown);
        assert_eq!(worst(&CephHealth::default().subjects()), Standing::Unknown);
        let silent = CephHealth { checks: None, ..health("HEALTH_OK", &[]) };
        assert_eq!(worst(&silent.subjects()), Standing::Unknown);
    }

    #[test]
    fn warnings_are_harmless_by_name_only() {
        for name in HARMLESS {
            assert_eq!(standing("HEALTH_WARN", &[check(name, "HEALTH_WARN", "words")]), Standing::Ok, "{name}");
            assert_eq!(standing("HEALTH_ERR", &[check(name, "HEALTH_ERR", "words")]), Standing::Failed, "{name}");
            assert_eq!(standing("HEALTH_WARN", &[check(name, "HEALTH_ERR", "words")]), Standing::Failed, "{name}");
            assert_eq!(standing("HEALTH_WARN", &[check(name, "HEALTH_ODD", "words")]), Standing::Unknown, "{name}");
        }
        let both = [check("RECENT_CRASH", "HEALTH_WARN", "one"), check("SLOW_OPS", "HEALTH_WARN", "two")];
        assert_eq!(standing("HEALTH_WARN", &both), Standing::Degraded);
        for name in [
            "MON_CLOCK_SKEW",
            "MON_DISK_LOW",
            "PG_NOT_SCRUBBED",
            "LARGE_OMAP_OBJECTS",
            "BLUESTORE_SLOW_OP_ALERT",
            "POOL_NO_REDUNDANCY",
            "OSD_NEARFULL",
            "OSD_FLAGS",
            "NEVER_SEEN",
            "recent_crash",
        ] {
            assert_eq!(standing("HEALTH_WARN", &[check(name, "HEALTH_WARN", "words")]), Standing::Degraded, "{name}");
        }
    }

    #[test]
    fn what_is_muted_still_counts_for_what_it_is() {
        let muted = |name: &str, severity: &str| CephCheck { muted: true, ..check(name, severity, "words") };
        assert_eq!(standing("HEALTH_OK", &[muted("OSD_DOWN", "HEALTH_WARN")]), Standing::Degraded);
        assert_eq!(standing("HEALTH_OK", &[muted("OSD_FULL", "HEALTH_ERR")]), Standing::Failed);
        assert_eq!(standing("HEALTH_OK", &[muted("RECENT_CRASH", "HEALTH_WARN")]), Standing::Ok);
        assert_eq!(standing("HEALTH_WARN", &[muted("RECENT_CRASH", "HEALTH_WARN")]), Standing::Degraded);
        let subjects = health("HEALTH_OK", &[muted("OSD_DOWN", "HEALTH_WARN")]).subjects();
        assert_eq!(subjects[1].why.as_deref(), Some("(muted) words"));
    }

    #[test]
    fn flags_with_which_clients_wait_are_failures() {
        let with = |flags: Option<&[&str]>| {
            let checks = [check("OSDMAP_FLAGS", "HEALTH_WARN", "some flag(s) set")];
            let flags = flags.map(|flags| flags.iter().map(|flag| (*flag).to_owned()).collect());
            worst(&CephHealth { flags, ..health("HEALTH_WARN", &checks) }.subjects())
        };
        assert_eq!(with(Some(&["noout"])), Standing::Degraded);
        assert_eq!(with(Some(&["noscrub", "nodeep-scrub"])), Standing::Degraded);
        assert_eq!(with(Some(&["noout", "pausewr"])), Standing::Failed);
        assert_eq!(with(Some(&["full"])), Standing::Failed);
        assert_eq!(with(None), Standing::Unknown);
    }

    #[test]
    fn what_is_full_is_a_failure_and_what_is_nearly_full_a_warning() {
        for (name, expected) in [
            ("OSD_FULL", Standing::Failed),
            ("POOL_FULL", Standing::Failed),
            ("OSD_BACKFILLFULL", Standing::Degraded),
            ("POOL_BACKFILLFULL", Standing::Degraded),
            ("OSD_NEARFULL", Standing::Degraded),
            ("POOL_NEARFULL", Standing::Degraded),
        ] {
            assert_eq!(standing("HEALTH_WARN", &[check(name, "HEALTH_WARN", "words")]), expected, "{name}");
        }
    }

    #[test]
    fn data_that_is_not_there_is_a_failure_though_ceph_only_warns() {
        for (message, expected) in [
            ("Reduced data availability: 3 pgs peering", Standing::Degraded),
            ("Reduced data availability: 1 pg peering", Standing::Degraded),
            ("Reduced data availability: 1 pg inactive, 1 pg peering", Standing::Failed),
            ("Reduced data availability: 101 pgs stale", Standing::Failed),
            ("Reduced data availability", Standing::Failed),
            ("", Standing::Failed),
        ] {
            let checks = [check("PG_AVAILABILITY", "HEALTH_WARN", message)];
            assert_eq!(standing("HEALTH_WARN", &checks), expected, "{message}");
        }
    }
}
