//! iSCSI targets of this node: the kernel's own (LIO) by configfs, SCST by sysfs.
//!
//! It must never write there (what is written is done), and never take a list it cannot read for an empty one.

use std::io::ErrorKind;

use hardstand_core::observed::{IscsiTarget, TargetSession, TargetUnit};

use super::{Host, HostError};

const LIO: &str = "sys/kernel/config/target/iscsi";
const SCST: &str = "sys/kernel/scst_tgt/targets/iscsi";

/// The targets by name; `None` where neither system is loaded.
///
/// # Errors
/// A list is there and cannot be read.
pub(crate) fn probe_targets(host: &Host) -> Result<Option<Vec<IscsiTarget>>, HostError> {
    let mut targets = Vec::new();
    let lio = list(host, LIO)?;
    for name in lio.iter().flatten() {
        targets.extend(of_lio(host, name)?);
    }
    let scst = list(host, SCST)?;
    for name in scst.iter().flatten() {
        targets.extend(of_scst(host, name)?);
    }
    targets.sort_by(|one, other| one.name.cmp(&other.name));
    Ok((lio.is_some() || scst.is_some()).then_some(targets))
}

/// The names in a directory; `None` where there is no such directory.
fn list(host: &Host, below: &str) -> Result<Option<Vec<String>>, HostError> {
    let path = host.path(below);
    let names = std::fs::read_dir(&path)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect());
    match names {
        Ok(names) => Ok(Some(names)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(HostError::Read { path, source }),
    }
}

/// A target of LIO with all its portal groups; `None` for what else lies beside the targets.
fn of_lio(host: &Host, name: &str) -> Result<Option<IscsiTarget>, HostError> {
    let below = format!("{LIO}/{name}");
    let groups: Vec<String> = list(host, &below)?.unwrap_or_default();
    let groups: Vec<&String> = groups.iter().filter(|group| group.starts_with("tpgt_")).collect();
    if groups.is_empty() {
        return Ok(None);
    }
    let mut target = IscsiTarget { name: name.to_owned(), ..IscsiTarget::default() };
    for group in groups {
        let group = format!("{below}/{group}");
        let enabled = host.attribute(format!("{group}/enable")).map(|word| word == "1");
        target.enabled = target.enabled.max(enabled);
        for initiator in list(host, &format!("{group}/acls"))?.unwrap_or_default() {
            if let Some(info) = attribute(host, &format!("{group}/acls/{initiator}/info"))? {
                target.sessions.extend(session(&initiator, &info));
            }
        }
        // Sessions of initiators without a rule of their own, one a line, with zeros between.
        let open = attribute(host, &format!("{group}/dynamic_sessions"))?.unwrap_or_default();
        let names = open.split(['\n', '\0']).map(str::trim).filter(|name| !name.is_empty());
        target
            .sessions
            .extend(names.map(|name| TargetSession { initiator: name.to_owned(), ..TargetSession::default() }));
        for lun in host.names(format!("{group}/lun")) {
            let unit = format!("{group}/lun/{lun}");
            let Some(lun) = lun.strip_prefix("lun_").and_then(|lun| lun.parse().ok()) else { continue };
            let backing = host.names(&unit).into_iter().find_map(|link| {
                let to = std::fs::read_link(host.path(format!("{unit}/{link}"))).ok()?;
                let device = host.attribute(format!("{unit}/{link}/udev_path"));
                device.or_else(|| Some(to.file_name()?.to_string_lossy().into_owned()))
            });
            target.units.push(TargetUnit { lun, backing });
        }
    }
    Ok(Some(target))
}

/// A file that may go while it is looked for; what is there and cannot be read is an error.
fn attribute(host: &Host, path: &str) -> Result<Option<String>, HostError> {
    match host.read_lossy(path) {
        Ok(text) => Ok(Some(text)),
        Err(HostError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `No active iSCSI Session ...`, or lines of which one ends in `Session State: TARG_SESS_STATE_LOGGED_IN`.
fn session(initiator: &str, info: &str) -> Option<TargetSession> {
    if info.trim_start().starts_with("No active iSCSI Session") {
        return None;
    }
    let state = info.lines().find_map(|line| line.split_once("Session State: ")).map(|(_, state)| state.trim());
    let state = state.map(|state| state.strip_prefix("TARG_SESS_STATE_").unwrap_or(state).to_owned());
    Some(TargetSession { initiator: initiator.to_owned(), state, active_commands: None })
}

fn of_scst(host: &Host, name: &str) -> Result<Option<IscsiTarget>, HostError> {
    let below = format!("{SCST}/{name}");
    let Some(sessions) = list(host, &format!("{below}/sessions"))? else { return Ok(None) };
    let session = |name: &String| TargetSession {
        initiator: first_line(host, &format!("{below}/sessions/{name}/initiator_name")).unwrap_or_else(|| name.clone()),
        state: None,
        active_commands: first_line(host, &format!("{below}/sessions/{name}/active_commands"))
            .and_then(|count| count.parse().ok()),
    };
    let groups =
        host.names(format!("{below}/ini_groups")).into_iter().map(|group| format!("{below}/ini_groups/{group}/luns"));
    let mut units = Vec::new();
    for luns in std::iter::once(format!("{below}/luns")).chain(groups) {
        for lun in host.names(&luns) {
            let Ok(number) = lun.parse() else { continue };
            let device = std::fs::read_link(host.path(format!("{luns}/{lun}/device"))).ok();
            let device = device.and_then(|to| Some(to.file_name()?.to_string_lossy().into_owned()));
            let file = device
                .as_ref()
                .and_then(|name| first_line(host, &format!("sys/kernel/scst_tgt/devices/{name}/filename")));
            units.push(TargetUnit { lun: number, backing: file.or(device) });
        }
    }
    Ok(Some(IscsiTarget {
        enabled: first_line(host, &format!("{below}/enabled")).map(|word| word == "1"),
        sessions: sessions.iter().map(session).collect(),
        units,
        name: name.to_owned(),
    }))
}

/// SCST puts `[key]` behind a value that is not the default.
fn first_line(host: &Host, path: &str) -> Option<String> {
    host.attribute(path)?.lines().next().map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Scratch;

    const GROUP: &str = "sys/kernel/config/target/iscsi/iqn.2020-01.lab:one/tpgt_1";
    const INFO: &str = "InitiatorName: iqn.2020-01.lab:pve1\nInitiatorAlias: pve1\nLIO Session ID: 3   ISID: 0x00 02 3d 00 00 00  \
                        TSIH: 3  SessionType: Normal\nSession State: TARG_SESS_STATE_LOGGED_IN\n\
                        ---------------------[iSCSI Session Values]-----------------------\n\
                        CID: 0  Connection State: TARG_CONN_STATE_LOGGED_IN\n   Address 192.0.2.11 TCP  StatSN: 0x1\n";

    fn lio() -> Scratch {
        let scratch = Scratch::new();
        scratch.write("sys/kernel/config/target/iscsi/discovery_auth/userid", "\n");
        scratch.write("sys/kernel/config/target/iscsi/lio_version", "Datera\n");
        scratch.write(&format!("{GROUP}/enable"), "1\n");
        scratch.write(&format!("{GROUP}/acls/iqn.2020-01.lab:pve1/info"), INFO);
        let away = "No active iSCSI Session for Initiator Endpoint: iqn.2020-01.lab:pve2\n";
        scratch.write(&format!("{GROUP}/acls/iqn.2020-01.lab:pve2/info"), away);
        scratch.write(&format!("{GROUP}/dynamic_sessions"), "iqn.2020-01.lab:pve3\n\0iqn.2020-01.lab:pve3\n\0");
        scratch.write(&format!("{GROUP}/lun/lun_0/statistics/scsi_port/indx"), "1\n");
        for (number, device) in [(0, "/dev/zvol/tank/vm\n"), (1, "\n")] {
            let core = format!("sys/kernel/config/target/core/iblock_{number}/disk{number}");
            scratch.write(&format!("{core}/udev_path"), device);
            let lun = scratch.path(format!("{GROUP}/lun/lun_{number}"));
            std::fs::create_dir_all(&lun).unwrap();
            std::os::unix::fs::symlink(scratch.path(core), lun.join("7f4a4eb56d")).unwrap();
        }
        scratch
    }

    #[test]
    fn the_kernels_own_targets_are_read() {
        let targets = probe_targets(&lio()).unwrap().unwrap();
        let [target] = targets.as_slice() else { panic!("{targets:?}") };
        assert_eq!((target.name.as_str(), target.enabled), ("iqn.2020-01.lab:one", Some(true)));
        assert_eq!(target.sessions[0].state.as_deref(), Some("LOGGED_IN"));
        let initiators: Vec<&str> = target.sessions.iter().map(|session| session.initiator.as_str()).collect();
        assert_eq!(initiators, ["iqn.2020-01.lab:pve1", "iqn.2020-01.lab:pve3", "iqn.2020-01.lab:pve3"]);
        let backing: Vec<_> = target.units.iter().map(|unit| (unit.lun, unit.backing.as_deref())).collect();
        assert_eq!(backing, [(0, Some("/dev/zvol/tank/vm")), (1, Some("disk1"))]);
    }

    #[test]
    fn targets_of_scst_are_read() {
        let scratch = Scratch::new();
        let target = format!("{SCST}/iqn.2005-10.org.freenas.ctl:vm");
        scratch.write(&format!("{SCST}/enabled"), "1\n");
        scratch.write(&format!("{target}/enabled"), "1\n[key]\n");
        for (session, commands) in [("iqn.2020-01.lab:pve1", "0\n"), ("iqn.2020-01.lab:pve1_1", "7\n")] {
            scratch.write(&format!("{target}/sessions/{session}/initiator_name"), "iqn.2020-01.lab:pve1\n");
            scratch.write(&format!("{target}/sessions/{session}/active_commands"), commands);
        }
        scratch.write("sys/kernel/scst_tgt/devices/vm/filename", "/dev/zvol/tank/vm\n[key]\n");
        scratch.write(&format!("{target}/luns/mgmt"), "");
        scratch.write(&format!("{target}/luns/0/read_only"), "0\n");
        let link = scratch.path(format!("{target}/luns/0/device"));
        std::os::unix::fs::symlink("../../../../../devices/vm", link).unwrap();
        let session = |commands| TargetSession {
            initiator: "iqn.2020-01.lab:pve1".to_owned(),
            state: None,
            active_commands: Some(commands),
        };
        let mut targets = probe_targets(&scratch).unwrap().unwrap();
        targets[0].sessions.sort_by_key(|session| session.active_commands);
        let expected = IscsiTarget {
            name: "iqn.2005-10.org.freenas.ctl:vm".to_owned(),
            enabled: Some(true),
            sessions: vec![session(0), session(7)],
            units: vec![TargetUnit { lun: 0, backing: Some("/dev/zvol/tank/vm".to_owned()) }],
        };
        assert_eq!(targets, [expected]);
    }

    #[test]
    fn what_is_not_there_is_nothing_and_what_cannot_be_read_is_an_error() {
        let scratch = Scratch::new();
        assert_eq!(probe_targets(&scratch).unwrap(), None);
        std::fs::create_dir_all(scratch.path(LIO)).unwrap();
        assert_eq!(probe_targets(&scratch).unwrap(), Some(Vec::new()));
        let broken = lio();
        let info = broken.path(format!("{GROUP}/acls/iqn.2020-01.lab:pve1/info"));
        std::fs::remove_file(&info).unwrap();
        std::fs::create_dir(&info).unwrap();
        assert!(probe_targets(&broken).is_err());
        assert_eq!(session("a", "Session State: ODD\n").unwrap().state.as_deref(), Some("ODD"));
        assert_eq!(session("a", "").unwrap().state, None);
    }
}
