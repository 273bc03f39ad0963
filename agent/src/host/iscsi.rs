//! iSCSI as an initiator: the parser of `iscsiadm -m session`, at every level of detail (`-P 0` to `-P 3`).
//!
//! It must never keep what it reads of CHAP, and never take a report that breaks off for a shorter one.

use hardstand_core::observed::{IscsiDevice, IscsiSession, IscsiSessions};

use super::{HostError, excerpt};

pub(crate) mod sysfs;

/// What iscsiadm says, on stderr, of a node without sessions.
const NO_SESSIONS: &str = "No active sessions";

/// Parses the output of `iscsiadm -m session`, with or without `-P N`.
///
/// # Errors
/// Nothing of it is what iscsiadm prints, iscsiadm itself says that it could not ask, or a line about a state cannot be
/// read or comes twice.
pub(crate) fn parse(text: &str) -> Result<IscsiSessions, HostError> {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        reader.line(line.trim()).map_err(|why| bad(format!("line {}: {why}", index + 1)))?;
    }
    reader.finish().map_err(bad)
}

fn bad(why: String) -> HostError {
    HostError::Parse { what: "iscsiadm -m session".to_owned(), why }
}

#[derive(Default)]
struct Reader {
    told: IscsiSessions,
    /// The session that the lines are about; without a number until its `SID:` line comes.
    open: Option<IscsiSession>,
    says_none: bool,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(words) = line.strip_prefix("iscsiadm: ") {
            match words.starts_with(NO_SESSIONS) {
                true => self.says_none = true,
                false => self.told.complaints.push(excerpt(words)),
            }
            return Ok(());
        }
        // Only `-P 3` begins with the versions.
        if line.starts_with("iSCSI Transport Class version") {
            self.told.tells_devices = true;
            return Ok(());
        }
        if line == "Attached SCSI devices:" {
            self.told.tells_devices = true;
            let devices = &mut self.session()?.devices;
            return once("`Attached SCSI devices`", devices, Vec::new());
        }
        if line.starts_with("scsi") && line.contains("Lun") {
            let device = unit(line).ok_or_else(|| format!("{:?} names no unit", excerpt(line)))?;
            self.devices()?.push(device);
            return Ok(());
        }
        if line.starts_with("Attached scsi") {
            return self.disk(line);
        }
        match line.split_once(':') {
            Some((key, value)) => self.pair(key, value.trim(), line),
            None => Ok(()),
        }
    }

    fn pair(&mut self, key: &str, value: &str, line: &str) -> Result<(), String> {
        let text = || value.to_owned();
        match key {
            "Target" => {
                self.close();
                self.open = Some(IscsiSession { target: without_flash(value).to_owned(), ..IscsiSession::default() });
            }
            "Current Portal" => self.next_of_target(|_| None)?.portal = Some(text()),
            // Several interfaces may hold a session each to one portal.
            "Iface Name" => self.next_of_target(|session| session.portal.clone())?.interface = Some(text()),
            "SID" => {
                let sid = value.parse().map_err(|_| format!("{:?} is no number of a session", excerpt(value)))?;
                once("`SID`", &mut self.session()?.sid, sid)?;
            }
            "iSCSI Connection State" => once("connection state", &mut self.session()?.connection_state, text())?,
            "iSCSI Session State" => once("session state", &mut self.session()?.session_state, text())?,
            "Internal iscsid Session State" => once("iscsid state", &mut self.session()?.iscsid_state, text())?,
            "Recovery Timeout" => self.session()?.recovery_timeout_secs = value.parse().ok(),
            "Host Number" => {
                let state = value.split_once("State:").map(|(_number, state)| state.trim().to_owned());
                let state = state.ok_or_else(|| format!("{:?} tells no state", excerpt(line)))?;
                once("state of the host", &mut self.session()?.host_state, state)?;
            }
            transport if value.starts_with('[') && is_word(transport) => {
                let session = flat(value).ok_or_else(|| format!("{:?} is no session", excerpt(line)))?;
                self.close();
                self.told.sessions.push(session);
            }
            _ => {}
        }
        Ok(())
    }

    fn session(&mut self) -> Result<&mut IscsiSession, String> {
        self.open.as_mut().ok_or_else(|| "no `Target:` before it".to_owned())
    }

    /// The open session while nothing is told of it yet, else the next one of the same target.
    fn next_of_target(
        &mut self,
        portal: impl FnOnce(&IscsiSession) -> Option<String>,
    ) -> Result<&mut IscsiSession, String> {
        let open = self.session()?;
        if open.sid.is_some() {
            let next = IscsiSession { target: open.target.clone(), portal: portal(open), ..IscsiSession::default() };
            self.close();
            self.open = Some(next);
        }
        self.session()
    }

    fn devices(&mut self) -> Result<&mut Vec<IscsiDevice>, String> {
        let devices = self.session()?.devices.as_mut();
        devices.ok_or_else(|| "no `Attached SCSI devices` before it".to_owned())
    }

    /// `Attached scsi disk sdb State: running`, which belongs to the unit above it.
    fn disk(&mut self, line: &str) -> Result<(), String> {
        let unread = || format!("{:?} is not `Attached scsi disk NAME State: STATE`", excerpt(line));
        let (name, state) = line
            .strip_prefix("Attached scsi disk ")
            .and_then(|rest| rest.split_once("State:"))
            .map(|(name, state)| (name.trim(), state.trim()))
            .filter(|(name, state)| !name.is_empty() && !state.is_empty())
            .ok_or_else(unread)?;
        let unit = self.devices()?.last_mut().ok_or_else(|| "no unit before it".to_owned())?;
        once("disk of a unit", &mut unit.disk, name.to_owned())?;
        unit.state = Some(state.to_owned());
        Ok(())
    }

    fn close(&mut self) {
        self.told.sessions.extend(self.open.take());
    }

    fn finish(mut self) -> Result<IscsiSessions, String> {
        self.close();
        let mut told = self.told;
        // The flat list tells no states at all; whatever else was asked of iscsid is missed where it is not told.
        told.tells_iscsid = true;
        match told.complaints.first() {
            _ if !told.sessions.is_empty() => Ok(told),
            Some(words) => Err(format!("it says: {words}")),
            None if self.says_none => Ok(told),
            None => Err("no session in it; is this the output of iscsiadm -m session?".to_owned()),
        }
    }
}

/// A second value where there can be but one: the line that tells them apart was lost.
fn once<T>(what: &str, slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("a second {what} of one session")),
    }
}

/// `scsi54 Channel 00 Id 0 Lun: 1`
fn unit(line: &str) -> Option<IscsiDevice> {
    let mut words = line.split_whitespace();
    let host: u64 = words.next()?.strip_prefix("scsi")?.parse().ok()?;
    let mut number = |name: &str| words.next().filter(|word| *word == name).and(words.next())?.parse::<u64>().ok();
    let (channel, id, lun) = (number("Channel")?, number("Id")?, number("Lun:")?);
    Some(IscsiDevice { address: format!("{host}:{channel}:{id}:{lun}"), lun, disk: None, state: None })
}

/// `[3] 192.0.2.1:3260,1 iqn.2020-01.lab:one (non-flash)`, what follows `tcp: ` in the flat list.
fn flat(value: &str) -> Option<IscsiSession> {
    let (sid, rest) = value.strip_prefix('[')?.split_once(']')?;
    let mut words = rest.split_whitespace();
    let (portal, target) = (words.next()?, words.next()?);
    Some(IscsiSession {
        sid: Some(sid.parse().ok()?),
        target: target.to_owned(),
        portal: Some(portal.to_owned()),
        ..IscsiSession::default()
    })
}

/// `tcp`, `iser`, `bnx2i`, ...
fn is_word(transport: &str) -> bool {
    transport.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn without_flash(target: &str) -> &str {
    target.split_whitespace().next().unwrap_or(target)
}

#[cfg(test)]
mod tests;
