//! Windows: when a rollout may go on, in systemd's calendar syntax (systemd.time(7)) and the fleet's local time.
//!
//! It must never read a clock: local time is an argument. A window opens at each second its calendar matches and stays
//! open for its duration, both by local wall time.

mod calendar;

use serde::{Deserialize, Serialize};

pub use calendar::{Calendar, Civil, NotACalendar};

use crate::status::Blocker;

/// The longest window, in hours. A longer one is no window.
const LONGEST_HOURS: u64 = 7 * 24;

/// What a window lets happen without a person's approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approves {
    /// Nothing: each plan wants a person.
    #[default]
    Nothing,
    /// Plans of security updates alone.
    Security,
    /// Every plan.
    All,
}

/// One window of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// When it opens: `Sun *-*-1..7 02:00`.
    pub calendar: Calendar,
    /// How long it stays open, in seconds; in the policy's text `4h`, `90m`.
    #[serde(with = "span")]
    pub duration: u64,
    /// What it approves.
    #[serde(default)]
    pub approves: Approves,
}

/// Where a set of windows stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// There are no windows, so there is no limit.
    Always,
    /// This window is open.
    Open {
        /// Its name.
        window: String,
        /// For so many more seconds.
        seconds_left: u64,
    },
    /// None is open.
    Closed {
        /// The next to open within a year, in local time.
        next: Option<(String, Civil)>,
    },
}

impl Window {
    /// What is wrong with it.
    pub(crate) fn check(&self, name: &str) -> Vec<Blocker> {
        let mut wrong = Vec::new();
        if self.duration == 0 || self.duration > LONGEST_HOURS * 3600 {
            let why = format!("window {name} is open for {} s", self.duration);
            wrong.push(Blocker::new("fleet", name, why, "set duration between 1s and 168h"));
        }
        wrong
    }

    /// Seconds it stays open from `now` on; `None`: it is closed.
    pub fn seconds_left(&self, now: Civil) -> Option<u64> {
        let opened = self.calendar.last_at_or_before(now, self.duration)?;
        let ends = opened.seconds() + i64::try_from(self.duration).ok()?;
        u64::try_from(ends - now.seconds()).ok().filter(|left| *left > 0)
    }
}

/// Where these windows stand at `now`, local time: the one that stays open longest, or the next to open.
pub fn opening<'a>(windows: impl IntoIterator<Item = (&'a String, &'a Window)>, now: Civil) -> Opening {
    let windows: Vec<_> = windows.into_iter().collect();
    if windows.is_empty() {
        return Opening::Always;
    }
    let open = windows.iter().filter_map(|(name, window)| Some((window.seconds_left(now)?, *name)));
    if let Some((seconds_left, window)) = open.max() {
        return Opening::Open { window: window.clone(), seconds_left };
    }
    let next = windows.iter().filter_map(|(name, window)| Some((window.calendar.next_after(now)?, *name)));
    Opening::Closed { next: next.min().map(|(when, name)| (name.clone(), when)) }
}

/// A duration as text: `4h`, `1h 30m`, `90s`.
pub mod span {
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// Seconds of a text like `4h` or `1h 30m`; a bare number is seconds.
    ///
    /// # Errors
    /// What cannot be read, with an example.
    pub fn parse(text: &str) -> Result<u64, String> {
        let unreadable = || format!("{text:?} is no duration; write 4h, 1h 30m or 90s");
        let mut total = 0u64;
        let mut digits = String::new();
        let mut unit = String::new();
        let mut parts = Vec::new();
        for sign in text.trim().chars().chain([' ']) {
            if sign.is_ascii_digit() && unit.is_empty() {
                digits.push(sign);
            } else if sign.is_ascii_alphabetic() {
                unit.push(sign);
            } else if (sign == ' ' || sign.is_ascii_digit()) && !digits.is_empty() {
                parts.push((std::mem::take(&mut digits), std::mem::take(&mut unit)));
                if sign != ' ' {
                    digits.push(sign);
                }
            } else if sign != ' ' {
                return Err(unreadable());
            }
        }
        if parts.is_empty() || !unit.is_empty() {
            return Err(unreadable());
        }
        for (digits, unit) in parts {
            let scale = match unit.as_str() {
                "" | "s" | "sec" => 1,
                "m" | "min" => 60,
                "h" | "hr" => 3_600,
                "d" => 86_400,
                _ => return Err(unreadable()),
            };
            let count: u64 = digits.parse().map_err(|_| unreadable())?;
            total = count.checked_mul(scale).and_then(|part| total.checked_add(part)).ok_or_else(unreadable)?;
        }
        Ok(total)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(super) fn serialize<S: Serializer>(seconds: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{seconds}s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(calendar: &str, hours: u64) -> Window {
        Window { calendar: calendar.parse().expect("a calendar"), duration: hours * 3_600, approves: Approves::Nothing }
    }

    fn at(text: &str) -> Civil {
        text.parse().expect("a local time")
    }

    #[test]
    fn the_first_sunday_of_a_month_at_night() {
        let monthly = window("Sun *-*-1..7 02:00", 4);
        for (now, left) in [
            ("2026-12-06 01:59:59", None),
            ("2026-12-06 02:00:00", Some(4 * 3_600)),
            ("2026-12-06 05:59:59", Some(1)),
            ("2026-12-06 06:00:00", None),
            ("2026-12-13 03:00:00", None),
        ] {
            assert_eq!(monthly.seconds_left(at(now)), left, "{now}");
        }
    }

    #[test]
    fn a_window_reaches_over_midnight_and_new_year() {
        let night = window("*-12-31 23:00", 3);
        assert_eq!(night.seconds_left(at("2027-01-01 01:30:00")), Some(1_800));
    }

    #[test]
    fn closed_windows_say_which_opens_next() {
        let windows = std::collections::BTreeMap::from([
            ("monthly".to_owned(), window("Sun *-*-1..7 02:00", 4)),
            ("daily".to_owned(), window("*-*-* 03:30", 1)),
        ]);
        let next = Opening::Closed { next: Some(("daily".to_owned(), at("2026-12-02 03:30:00"))) };
        assert_eq!(opening(&windows, at("2026-12-01 12:00:00")), next);
        let open = Opening::Open { window: "monthly".to_owned(), seconds_left: 8_100 };
        assert_eq!(opening(&windows, at("2026-12-06 03:45:00")), open, "the one that stays open longest");
        assert_eq!(opening(&std::collections::BTreeMap::new(), at("2026-12-01 12:00:00")), Opening::Always);
    }

    #[test]
    fn durations_are_read_as_systemd_writes_them() {
        for (text, seconds) in [("4h", 14_400), ("1h 30m", 5_400), ("1h30m", 5_400), ("90", 90), ("2min", 120)] {
            assert_eq!(span::parse(text), Ok(seconds), "{text}");
        }
        for text in ["", "h", "4 parsecs", "-1h", "1.5h", "99999999999999999999h"] {
            assert!(span::parse(text).is_err(), "{text}");
        }
    }
}
