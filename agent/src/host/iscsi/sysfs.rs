//! iSCSI sessions as the kernel itself lists them, below `/sys/class/iscsi_session`.
//!
//! It must never ask iscsid, which hangs when a session does, and never take a class that it cannot read for an empty one.

use std::io::ErrorKind;

use hardstand_core::observed::{IscsiDevice, IscsiSession, IscsiSessions};

use super::super::{Host, HostError};

const SESSIONS: &str = "sys/class/iscsi_session";
const CONNECTIONS: &str = "sys/class/iscsi_connection";
/// What the kernel prints of a text that iscsid has not given it yet.
const NOT_YET: &str = "(null)";

/// The sessions of this node, by number; `None` where the kernel has no iSCSI.
///
/// # Errors
/// The class is there and cannot be listed.
pub(crate) fn probe_sessions(host: &Host) -> Result<Option<IscsiSessions>, HostError> {
    let path = host.path(SESSIONS);
    let failed = |source| HostError::Read { path: path.clone(), source };
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut sessions = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        sessions.push(session(host, &name.to_string_lossy()));
    }
    sessions.sort_by_key(|session| session.sid);
    Ok(Some(IscsiSessions { tells_iscsid: false, tells_devices: true, sessions, complaints: Vec::new() }))
}

/// A session may go while it is read: what is missing then stays `None`, and is unknown.
fn session(host: &Host, name: &str) -> IscsiSession {
    let told = |path: String| host.attribute(path).filter(|text| text != NOT_YET);
    let of_session = |attribute: &str| told(format!("{SESSIONS}/{name}/{attribute}"));
    let sid = name.strip_prefix("session").and_then(|number| number.parse().ok());
    // open-iscsi makes one connection to a session.
    let of_connection = |attribute: &str| {
        let sid: u64 = sid?;
        told(format!("{CONNECTIONS}/connection{sid}:0/{attribute}"))
    };
    let address = of_connection("address").or_else(|| of_connection("persistent_address"));
    let port = of_connection("port").or_else(|| of_connection("persistent_port"));
    IscsiSession {
        sid,
        target: of_session("targetname").unwrap_or_default(),
        portal: address.zip(port).map(|(address, port)| portal(&address, &port, of_session("tpgt").as_deref())),
        interface: of_session("ifacename"),
        connection_state: of_connection("state"),
        session_state: of_session("state"),
        iscsid_state: None,
        host_state: None,
        recovery_timeout_secs: of_session("recovery_tmo").and_then(|seconds| seconds.parse().ok()),
        devices: Some(devices(host, &format!("{SESSIONS}/{name}/device"))),
    }
}

/// As iscsiadm writes it: `192.0.2.1:3260,1`, `[fd00::1]:3260,1`.
fn portal(address: &str, port: &str, group: Option<&str>) -> String {
    let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    match group {
        Some(group) => format!("{address}:{port},{group}"),
        None => format!("{address}:{port}"),
    }
}

fn devices(host: &Host, below: &str) -> Vec<IscsiDevice> {
    let mut devices = Vec::new();
    for target in host.names(below).into_iter().filter(|name| name.starts_with("target")) {
        for address in host.names(format!("{below}/{target}")) {
            let Some(lun) = lun(&address) else { continue };
            let device = format!("{below}/{target}/{address}");
            devices.push(IscsiDevice {
                lun,
                disk: host.names(format!("{device}/block")).into_iter().next(),
                state: host.attribute(format!("{device}/state")),
                address,
            });
        }
    }
    devices.sort_by(|one, other| (one.lun, &one.address).cmp(&(other.lun, &other.address)));
    devices
}

/// The last of `host:channel:target:unit`; `None` for what else lies beside the devices.
fn lun(address: &str) -> Option<u64> {
    let numbers: Vec<u64> = address.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    match numbers.as_slice() {
        [_host, _channel, _target, lun] => Some(*lun),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hardstand_core::standing::{Report, Standing, worst};

    use super::*;
    use crate::host::Scratch;

    const SESSION: &str = "sys/class/iscsi_session/session3";
    const CONNECTION: &str = "sys/class/iscsi_connection/connection3:0";
    const DISK: &str = "sys/class/iscsi_session/session3/device/target5:0:0/5:0:0:1";

    fn machine() -> Scratch {
        let scratch = Scratch::new();
        for (path, text) in [
            (format!("{SESSION}/state"), "LOGGED_IN\n"),
            (format!("{SESSION}/targetname"), "iqn.2020-01.lab:one\n"),
            (format!("{SESSION}/tpgt"), "1\n"),
            (format!("{SESSION}/ifacename"), "default\n"),
            (format!("{SESSION}/recovery_tmo"), "120\n"),
            (format!("{SESSION}/password"), "secret\n"),
            (format!("{CONNECTION}/state"), "up\n"),
            (format!("{CONNECTION}/address"), "192.0.2.1\n"),
            (format!("{CONNECTION}/port"), "3260\n"),
            (format!("{SESSION}/device/target5:0:0/5:0:0:0/state"), "running\n"),
            (format!("{SESSION}/device/target5:0:0/power/control"), "auto\n"),
            (format!("{DISK}/state"), "running\n"),
            (format!("{DISK}/block/sdb/size"), "2048\n"),
        ] {
            scratch.write(&path, text);
        }
        scratch
    }

    fn state(host: &Host) -> Standing {
        worst(&probe_sessions(host).unwrap().unwrap().subjects())
    }

    #[test]
    fn a_session_is_read_whole() {
        let scratch = machine();
        let told = probe_sessions(&scratch).unwrap().unwrap();
        let text = |text: &str| Some(text.to_owned());
        let device = |lun: u64, disk: Option<&str>| IscsiDevice {
            address: format!("5:0:0:{lun}"),
            lun,
            disk: disk.map(str::to_owned),
            state: text("running"),
        };
        let session = IscsiSession {
            sid: Some(3),
            target: "iqn.2020-01.lab:one".to_owned(),
            portal: text("192.0.2.1:3260,1"),
            interface: text("default"),
            connection_state: text("up"),
            session_state: text("LOGGED_IN"),
            iscsid_state: None,
            host_state: None,
            recovery_timeout_secs: Some(120),
            devices: Some(vec![device(0, None), device(1, Some("sdb"))]),
        };
        assert_eq!(told.sessions, [session]);
        assert_eq!(state(&scratch), Standing::Ok);
        assert!(!format!("{told:?}").contains("secret"));
    }

    #[test]
    fn what_the_kernel_was_not_told_yet_is_no_name() {
        let scratch = machine();
        for file in [format!("{SESSION}/targetname"), format!("{SESSION}/ifacename"), format!("{CONNECTION}/address")] {
            scratch.write(&file, "(null)\n");
        }
        let told = probe_sessions(&scratch).unwrap().unwrap();
        let session = &told.sessions[0];
        assert_eq!((session.target.as_str(), &session.portal, &session.interface), ("", &None, &None));
    }

    #[test]
    fn states_decide() {
        for (file, word, expected) in [
            (format!("{SESSION}/state"), "FAILED", Standing::Failed),
            (format!("{SESSION}/state"), "", Standing::Unknown),
            (format!("{CONNECTION}/state"), "failed", Standing::Failed),
            (format!("{CONNECTION}/state"), "down", Standing::Failed),
            (format!("{CONNECTION}/state"), "", Standing::Unknown),
            (format!("{DISK}/state"), "blocked", Standing::Degraded),
            (format!("{DISK}/state"), "transport-offline", Standing::Failed),
            (format!("{DISK}/state"), "offline", Standing::Failed),
            (format!("{DISK}/state"), "", Standing::Unknown),
        ] {
            let scratch = machine();
            scratch.write(&file, word);
            assert_eq!(state(&scratch), expected, "{file} {word}");
        }
        let scratch = machine();
        std::fs::remove_dir_all(scratch.path(DISK)).unwrap();
        assert_eq!(state(&scratch), Standing::Unknown, "no disk is left of it");
        let scratch = machine();
        std::fs::remove_dir_all(scratch.path("sys/class/iscsi_connection")).unwrap();
        assert_eq!(state(&scratch), Standing::Unknown);
    }

    #[test]
    fn no_class_is_none_and_an_empty_one_lists_nothing() {
        let scratch = Scratch::new();
        assert_eq!(probe_sessions(&scratch).unwrap(), None);
        std::fs::create_dir_all(scratch.path(SESSIONS)).unwrap();
        assert!(probe_sessions(&scratch).unwrap().unwrap().sessions.is_empty());
        assert_eq!(state(&scratch), Standing::Unknown);
        let broken = Scratch::new();
        let path = broken.write(SESSIONS, "no directory");
        let error = probe_sessions(&broken).unwrap_err().to_string();
        assert_eq!(error, format!("reading {}: Not a directory (os error 20)", path.display()));
    }

    #[test]
    fn portals_are_written_as_iscsiadm_does() {
        assert_eq!(portal("fd00::1", "3260", Some("2")), "[fd00::1]:3260,2");
        assert_eq!(portal("192.0.2.1", "3260", None), "192.0.2.1:3260");
        assert_eq!(lun("5:0:0:18446744073709551616"), None);
    }
}
