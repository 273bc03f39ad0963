//! Words to the service manager over `$NOTIFY_SOCKET` (sd_notify(3)).
//!
//! It must never block the loop or fail it: a manager that does not listen is no reason to stop watching.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The way to the service manager, or none where nobody asked to be told.
#[derive(Debug)]
pub(crate) struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// As the environment says.
    pub(crate) fn from_environment() -> Self {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return Self { to: None } };
        Self::to(&address).unwrap_or_else(|error| {
            tracing::warn!(%error, address = %address.display(), "the service manager cannot be told anything");
            Self { to: None }
        })
    }

    /// To a path, or to an abstract socket where the address begins with `@`.
    fn to(address: &OsStr) -> std::io::Result<Self> {
        let to = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { to: Some((socket, to)) })
    }

    /// The first pass is judged.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", line(status)));
    }

    /// The sentence for `systemctl status`.
    pub(crate) fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", line(status)));
    }

    /// The loop turns. Sent by the loop itself, so that one that hangs is restarted.
    pub(crate) fn watchdog(&self) {
        self.send("WATCHDOG=1");
    }

    /// A reload began; [`Notifier::ready`] ends it.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock");
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", Duration::from(now).as_micros()));
    }

    /// The agent is on its way out.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, text: &str) {
        if let Some((socket, to)) = &self.to
            && let Err(error) = socket.send_to_addr(text.as_bytes(), to)
        {
            tracing::debug!(%error, "telling the service manager failed");
        }
    }
}

/// A status is one line: a line break would begin another word to the manager.
fn line(status: &str) -> String {
    super::terminal::one_line(status)
}

/// How often the service manager wants to hear from this process; `None` where it does not.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    interval(number("WATCHDOG_USEC"), number("WATCHDOG_PID"), std::process::id())
}

fn interval(usec: Option<u64>, meant: Option<u64>, own: u32) -> Option<Duration> {
    let ours = meant.is_none_or(|pid| pid == u64::from(own));
    usec.filter(|usec| ours && *usec > 0).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn the_manager_hears_each_word_at_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str()).unwrap();
        notifier.ready("healthy: 41 checks ok\nREADY=0");
        assert_eq!(heard(&manager), "READY=1\nSTATUS=healthy: 41 checks ok READY=0");
        notifier.status("warn: a");
        assert_eq!(heard(&manager), "STATUS=warn: a");
        notifier.watchdog();
        assert_eq!(heard(&manager), "WATCHDOG=1");
        notifier.reloading();
        let said = heard(&manager);
        let usec = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(usec.parse::<u64>().unwrap() > 0);
        notifier.stopping();
        assert_eq!(heard(&manager), "STOPPING=1");
    }

    #[test]
    fn an_abstract_socket_works_too() {
        let name = format!("hardstand-notify-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notifier::to(OsStr::new(&format!("@{name}"))).unwrap().stopping();
        assert_eq!(heard(&manager), "STOPPING=1");
    }

    #[test]
    fn a_manager_that_does_not_listen_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        Notifier::to(dir.path().join("gone").as_os_str()).unwrap().watchdog();
        Notifier { to: None }.watchdog();
    }

    #[test]
    fn the_watchdog_is_for_the_process_it_names() {
        assert_eq!(interval(Some(30_000_000), None, 7), Some(Duration::from_secs(30)));
        assert_eq!(interval(Some(30_000_000), Some(7), 7), Some(Duration::from_secs(30)));
        assert_eq!(interval(Some(30_000_000), Some(8), 7), None);
        assert_eq!(interval(Some(0), None, 7), None);
        assert_eq!(interval(None, None, 7), None);
    }
}
