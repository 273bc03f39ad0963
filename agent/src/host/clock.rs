//! The clock: adjtimex(2), read only, and the time service that is at work.
//!
//! It must never set anything. The unit needs the system call: `ProtectClock=yes` and a filter without `adjtimex`
//! both refuse it, even for reading.

use std::time::Duration;

use hardstand_core::fleet::Policy;
use hardstand_core::observed::Clock;
use hardstand_core::window::{self, Civil, Opening};
use nix::libc;
use nix::time::{ClockId, clock_gettime};

use super::{Host, HostError};

/// Time services, by the unit's name. The first one at work is the source.
const SERVICES: [&str; 8] = [
    "chrony.service",
    "chronyd.service",
    "systemd-timesyncd.service",
    "ntpsec.service",
    "ntpd.service",
    "ntp.service",
    "openntpd.service",
    "ntpd-rs.service",
];
/// Where systemd keeps the control groups of system services: unified, legacy, mixed.
const SLICES: [&str; 3] =
    ["sys/fs/cgroup/system.slice", "sys/fs/cgroup/systemd/system.slice", "sys/fs/cgroup/unified/system.slice"];
/// The kernel's frequency offset is in parts per million with 16 fractional bits.
const FREQUENCY_UNIT: f64 = 65_536.0 * 1e6;

/// Time since boot, suspend included (CLOCK_BOOTTIME).
pub(crate) fn boottime() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).expect("CLOCK_BOOTTIME exists since Linux 2.6.39").into()
}

/// Seconds since 1970-01-01 00:00 of local time in a zone of the system's database (`Europe/Berlin`).
///
/// # Errors
/// The zone is not in the database.
pub(crate) fn local_seconds(unix_seconds: u64, zone: &str) -> Result<i64, jiff::Error> {
    let seconds = i64::try_from(unix_seconds).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_second(seconds)?;
    Ok(seconds + i64::from(jiff::tz::TimeZone::get(zone)?.to_offset(at).seconds()))
}

/// Where the policy's windows stand, by this machine's clock in the fleet's time zone. Without local time no window is
/// known to be open; without windows none is needed.
pub(crate) fn opening(policy: &Policy, unix_seconds: u64) -> Opening {
    match local_seconds(unix_seconds, &policy.fleet.time_zone) {
        _ if policy.windows.is_empty() => Opening::Always,
        Ok(seconds) => window::opening(&policy.windows, Civil::from_seconds(seconds)),
        Err(error) => {
            tracing::warn!(%error, "no window is known to be open");
            Opening::Closed { next: None }
        }
    }
}

/// The kernel's view of the clock, and the service that disciplines it.
///
/// A service counts as at work while it has processes, which is while its control group is there: systemd removes it
/// when the last one ends. Reading that needs neither the bus nor a program. chrony without `rtcsync` leaves the kernel
/// believing that the clock is not synchronised; Debian's configuration has it.
pub(crate) fn probe_clock(host: &Host) -> Result<Clock, HostError> {
    Ok(clock_of(&read_timex()?, time_service(host)))
}

fn time_service(host: &Host) -> Option<String> {
    // Mostly there is one, so that each service costs one look.
    let slices: Vec<_> = SLICES.iter().map(|slice| host.path(slice)).filter(|slice| slice.is_dir()).collect();
    let at_work = |service: &&&str| slices.iter().any(|slice| slice.join(service).is_dir());
    SERVICES.iter().find(at_work).map(|service| (*service).to_owned())
}

fn read_timex() -> Result<libc::timex, HostError> {
    // SAFETY: `timex` is a plain C structure of integers, for which all bits zero is a valid value; with `modes` 0
    // the call only writes into it, and it lives until the call returns.
    #[allow(unsafe_code)]
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    if state < 0 {
        let source = std::io::Error::last_os_error();
        return Err(HostError::Call { call: "adjtimex (the unit must allow it: ProtectClock=no)", source });
    }
    Ok(timex)
}

#[allow(clippy::cast_precision_loss, reason = "corrections are far below 2^52 units")]
fn clock_of(timex: &libc::timex, source: Option<String>) -> Clock {
    let offset_unit = if timex.status & libc::STA_NANO == 0 { 1e-6 } else { 1e-9 };
    Clock {
        synchronised: timex.status & libc::STA_UNSYNC == 0,
        offset_seconds: timex.offset as f64 * offset_unit,
        max_error_seconds: timex.maxerror as f64 * 1e-6,
        estimated_error_seconds: timex.esterror as f64 * 1e-6,
        frequency_ratio: 1.0 + timex.freq as f64 / FREQUENCY_UNIT,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel answers, with the given fields.
    fn timex(status: i32, offset: i64, maxerror: i64, freq: i64) -> libc::timex {
        let mut timex = read_timex().expect("every user may read the clock");
        (timex.status, timex.offset, timex.maxerror, timex.esterror, timex.freq) =
            (status, offset, maxerror, 500, freq);
        timex
    }

    #[test]
    fn units_follow_the_kernels_flags() {
        let clock = clock_of(&timex(libc::STA_NANO | libc::STA_PLL, -1_500_000, 16_000_000, 65_536_000), None);
        assert_eq!((clock.synchronised, clock.offset_seconds), (true, -0.0015));
        assert_eq!((clock.max_error_seconds, clock.estimated_error_seconds), (16.0, 0.0005));
        assert_eq!(clock.frequency_ratio, 1.001);
        let clock = clock_of(&timex(libc::STA_UNSYNC, 2_000, 0, 0), Some("chrony.service".to_owned()));
        assert_eq!((clock.synchronised, clock.offset_seconds, clock.frequency_ratio), (false, 0.002, 1.0));
        assert_eq!(clock.source.as_deref(), Some("chrony.service"));
    }

    #[test]
    fn the_service_with_a_control_group_is_the_source() {
        let host = crate::host::Scratch::new();
        assert_eq!(time_service(&host), None);
        std::fs::create_dir_all(host.path("sys/fs/cgroup/system.slice/systemd-timesyncd.service")).unwrap();
        assert_eq!(time_service(&host).as_deref(), Some("systemd-timesyncd.service"));
        std::fs::create_dir_all(host.path("sys/fs/cgroup/unified/system.slice/chrony.service")).unwrap();
        assert_eq!(time_service(&host).as_deref(), Some("chrony.service"));
    }

    #[test]
    fn time_since_boot_runs() {
        let before = boottime();
        assert!(before > Duration::ZERO);
        while boottime() <= before {
            std::hint::spin_loop();
        }
    }
}
