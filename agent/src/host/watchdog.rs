//! Watchdogs from `/sys/class/watchdog` (the kernel's `sysfs-class-watchdog`).
//!
//! It must never open `/dev/watchdog`: that starts it.

use hardstand_core::observed::Watchdog;

use super::kernel_dir::KernelDir;
use super::{Host, HostError};

const CLASS: &str = "sys/class/watchdog";

/// All of them, by name; none on a machine without. Drivers that do not tell their state leave it out.
///
/// # Errors
/// The list cannot be read.
pub(crate) fn probe_watchdogs(host: &Host) -> Result<Vec<Watchdog>, HostError> {
    let Some(class) = KernelDir::open_if_there(host, CLASS)? else { return Ok(Vec::new()) };
    let names = class.names()?.into_iter();
    Ok(names.filter_map(|name| Some(watchdog(&class.below(&name)?, name))).collect())
}

fn watchdog(dir: &KernelDir, name: String) -> Watchdog {
    Watchdog {
        name,
        identity: dir.text("identity"),
        state: dir.text("state"),
        timeout_seconds: dir.number("timeout"),
        no_way_out: dir.number("nowayout").map(|value: u8| value != 0),
        boot_status: dir.number("bootstatus"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Scratch;

    #[test]
    fn a_watchdog_is_read_without_being_started() {
        let host = Scratch::new();
        assert_eq!(probe_watchdogs(&host).unwrap(), []);
        let files = [
            ("identity", "iTCO_wdt\n"),
            ("state", "active\n"),
            ("timeout", "30\n"),
            ("nowayout", "0\n"),
            ("bootstatus", "0\n"),
        ];
        for (file, text) in files {
            host.write(&format!("sys/class/watchdog/watchdog0/{file}"), text);
        }
        host.write("sys/class/watchdog/watchdog1/timeout", "many\n");
        let read = probe_watchdogs(&host).unwrap();
        let expected = Watchdog {
            name: "watchdog0".to_owned(),
            identity: Some("iTCO_wdt".to_owned()),
            state: Some("active".to_owned()),
            timeout_seconds: Some(30),
            no_way_out: Some(false),
            boot_status: Some(0),
        };
        assert_eq!(read[0], expected);
        assert_eq!(read[1], Watchdog { name: "watchdog1".to_owned(), ..Watchdog::default() });
        assert!(!read[1].is_armed(), "what is not told is not armed");
    }
}
