//! How iSCSI sessions stand by what iscsiadm or sysfs says of them.
//!
//! It must never call a session good whose devices should have been listed and were not.

use super::{Fault, Report, Standing, Subject};
use crate::observed::{IscsiDevice, IscsiSession, IscsiSessions};

impl Report for IscsiSessions {
    fn subjects(&self) -> Vec<Subject> {
        let mut subjects = Vec::new();
        for (index, session) in self.sessions.iter().enumerate() {
            let name = match session.sid {
                Some(sid) => format!("{sid} {}", session.target),
                None => format!("#{} {}", index + 1, session.target),
            };
            subjects.push(self.subject(session, &name));
            for device in session.devices.iter().flatten() {
                let name = device.disk.as_ref().unwrap_or(&device.address);
                subjects.push(Subject::judged("device", name, device_fault(device).as_slice()));
            }
        }
        subjects.extend(
            self.complaints
                .iter()
                .enumerate()
                .map(|(index, words)| Subject::not_ok("complaint", (index + 1).to_string(), Standing::Unknown, words)),
        );
        subjects
    }
}

impl IscsiSessions {
    /// One of its sessions, under the name that the reader knows it by.
    pub(crate) fn subject(&self, session: &IscsiSession, name: &str) -> Subject {
        Subject::judged("session", name, &self.faults(session))
    }

    fn faults(&self, session: &IscsiSession) -> Vec<Fault> {
        let Some(_sid) = session.sid else {
            return vec![(Standing::Unknown, "the report names no session of it; is it cut short?".to_owned())];
        };
        let mut faults: Vec<Fault> = Vec::new();
        faults.extend(word("session", session.session_state.as_deref(), of_session));
        faults.extend(word("connection", session.connection_state.as_deref(), of_connection));
        if self.tells_iscsid {
            faults.extend(word("iscsid", session.iscsid_state.as_deref(), of_iscsid));
        }
        // The host's line is of newer versions, and of sysfs not at all.
        if session.host_state.is_some() {
            faults.extend(word("SCSI host", session.host_state.as_deref(), of_host));
        }
        if self.tells_devices {
            faults.extend(devices(session.devices.as_deref()));
        }
        faults
    }
}

fn devices(devices: Option<&[IscsiDevice]>) -> Vec<Fault> {
    let unknown = |why: &str| vec![(Standing::Unknown, why.to_owned())];
    match devices {
        None => unknown("its devices are not listed; is the report cut short?"),
        Some(devices) if devices.iter().all(|device| device.disk.is_none()) => {
            unknown("no disk of it is listed: nothing is mapped, or the report is cut short")
        }
        Some(devices) => devices
            .iter()
            .filter_map(|device| {
                let (state, why) = device_fault(device)?;
                Some((state, format!("{} {why}", device.disk.as_ref().unwrap_or(&device.address))))
            })
            .collect(),
    }
}

/// Unit 0 may be the box's own controller, which is no disk and has no state to tell.
fn device_fault(device: &IscsiDevice) -> Option<Fault> {
    if device.lun == 0 && device.disk.is_none() && device.state.is_none() {
        return None;
    }
    word("device", device.state.as_deref(), of_device)
}

/// `None` when the word is the good one; a word that is not known, and none at all, are unknown.
fn word(what: &str, said: Option<&str>, standing: fn(&str) -> Standing) -> Option<Fault> {
    match said {
        None => Some((Standing::Unknown, format!("{what} state is not told"))),
        Some(said) => match standing(said) {
            Standing::Ok => None,
            state => Some((state, format!("{what} {said}"))),
        },
    }
}

fn of_session(said: &str) -> Standing {
    match said {
        "LOGGED_IN" => Standing::Ok,
        "FAILED" | "FREE" => Standing::Failed,
        _ => Standing::Unknown,
    }
}

fn of_connection(said: &str) -> Standing {
    match said {
        "LOGGED IN" | "up" => Standing::Ok,
        // On its way in, or still there and asked by the box to leave.
        "IN LOGIN" | "LOGOUT REQUESTED" => Standing::Degraded,
        "FREE" | "TRANSPORT WAIT" | "IN LOGOUT" | "CLEANUP WAIT" | "failed" | "down" => Standing::Failed,
        _ => Standing::Unknown,
    }
}

fn of_iscsid(said: &str) -> Standing {
    match said {
        "NO CHANGE" => Standing::Ok,
        "REDIRECT" => Standing::Degraded,
        "REOPEN" | "CLEANUP" => Standing::Failed,
        _ => Standing::Unknown,
    }
}

fn of_host(said: &str) -> Standing {
    match said {
        "running" => Standing::Ok,
        "created" | "recovery" => Standing::Degraded,
        "cancel" | "deleted" | "cancel/recovery" | "deleted/recovery" => Standing::Failed,
        _ => Standing::Unknown,
    }
}

fn of_device(said: &str) -> Standing {
    match said {
        "running" => Standing::Ok,
        // I/O waits, and none is lost yet.
        "blocked" | "quiesce" | "created" | "created-blocked" => Standing::Degraded,
        "offline" | "transport-offline" | "cancel" | "del" | "deleted" => Standing::Failed,
        _ => Standing::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::worst;
    use super::*;

    fn good() -> IscsiSessions {
        let text = |text: &str| Some(text.to_owned());
        let device = |lun, disk: Option<&str>| IscsiDevice {
            address: format!("5:0:0:{lun}"),
            lun,
            disk: disk.map(str::to_owned),
            state: disk.and(text("running")),
        };
        IscsiSessions {
            tells_iscsid: true,
            tells_devices: true,
            sessions: vec![IscsiSession {
                sid: Some(3),
                target: "iqn.2020-01.lab:one".to_owned(),
                connection_state: text("LOGGED IN"),
                session_state: text("LOGGED_IN"),
                iscsid_state: text("NO CHANGE"),
                host_state: text("running"),
                devices: Some(vec![device(0, None), device(1, Some("sdb"))]),
                ..IscsiSession::default()
            }],
            complaints: Vec::new(),
        }
    }

    fn standing(change: impl FnOnce(&mut IscsiSession)) -> Standing {
        let mut report = good();
        change(&mut report.sessions[0]);
        worst(&report.subjects())
    }

    #[test]
    fn a_session_stands_as_the_worst_of_its_words() {
        use Standing::{Degraded, Failed, Ok, Unknown};
        assert_eq!(standing(|_| ()), Ok);
        let said = |said: &str| Some(said.to_owned());
        for (word, expected) in [("LOGGED_IN", Ok), ("FAILED", Failed), ("FREE", Failed), ("Unknown", Unknown)] {
            assert_eq!(standing(|session| session.session_state = said(word)), expected, "{word}");
        }
        for (word, expected) in [
            ("LOGGED IN", Ok),
            ("up", Ok),
            ("IN LOGIN", Degraded),
            ("LOGOUT REQUESTED", Degraded),
            ("FREE", Failed),
            ("TRANSPORT WAIT", Failed),
            ("IN LOGOUT", Failed),
            ("CLEANUP WAIT", Failed),
            ("failed", Failed),
            ("down", Failed),
            ("LOGGED", Unknown),
        ] {
            assert_eq!(standing(|session| session.connection_state = said(word)), expected, "{word}");
        }
        for (word, expected) in
            [("NO CHANGE", Ok), ("REDIRECT", Degraded), ("REOPEN", Failed), ("CLEANUP", Failed), ("NO", Unknown)]
        {
            assert_eq!(standing(|session| session.iscsid_state = said(word)), expected, "{word}");
        }
        for (word, expected) in [("running", Ok), ("recovery", Degraded), ("deleted", Failed), ("new", Unknown)] {
            assert_eq!(standing(|session| session.host_state = said(word)), expected, "{word}");
        }
        for (word, expected) in [
            ("running", Ok),
            ("blocked", Degraded),
            ("quiesce", Degraded),
            ("created", Degraded),
            ("created-blocked", Degraded),
            ("offline", Failed),
            ("transport-offline", Failed),
            ("cancel", Failed),
            ("del", Failed),
            ("Unknown", Unknown),
        ] {
            let change = |session: &mut IscsiSession| session.devices.as_mut().unwrap()[1].state = said(word);
            assert_eq!(standing(change), expected, "{word}");
        }
    }

    #[test]
    fn what_is_not_told_is_unknown() {
        assert_eq!(standing(|session| session.sid = None), Standing::Unknown);
        assert_eq!(standing(|session| session.session_state = None), Standing::Unknown);
        assert_eq!(standing(|session| session.connection_state = None), Standing::Unknown);
        assert_eq!(standing(|session| session.iscsid_state = None), Standing::Unknown);
        assert_eq!(standing(|session| session.devices = None), Standing::Unknown);
        assert_eq!(standing(|session| session.devices.as_mut().unwrap().truncate(1)), Standing::Unknown);
        let silent = |session: &mut IscsiSession| {
            let devices = session.devices.as_mut().unwrap();
            let more = IscsiDevice { address: "5:0:0:2".to_owned(), lun: 2, disk: None, state: None };
            devices.push(more);
        };
        assert_eq!(standing(silent), Standing::Unknown, "only unit 0 may be no disk");
        let mut report = good();
        report.complaints.push("could not ask all".to_owned());
        assert_eq!(worst(&report.subjects()), Standing::Unknown);
        assert_eq!(worst(&IscsiSessions::default().subjects()), Standing::Unknown);
    }

    #[test]
    fn a_session_names_its_worst_faults() {
        let mut report = good();
        report.sessions[0].session_state = Some("FAILED".to_owned());
        report.sessions[0].devices.as_mut().unwrap()[1].state = Some("transport-offline".to_owned());
        report.sessions[0].connection_state = Some("IN LOGIN".to_owned());
        let subjects = report.subjects();
        assert_eq!(subjects[0].name, "3 iqn.2020-01.lab:one");
        assert_eq!(subjects[0].why.as_deref(), Some("session FAILED, sdb device transport-offline"));
        assert_eq!(subjects[2].name, "sdb");
        assert_eq!(subjects[2].state, Standing::Failed);
    }
}
