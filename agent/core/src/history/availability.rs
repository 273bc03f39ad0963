//! The share of time for which a service answered, over the last hours and days.
//!
//! Each answer stands for the time since the one before it, and for no more than two intervals: while nobody asked,
//! nothing is known, which is neither success nor failure. Lengths are differences of CLOCK_BOOTTIME; the wall clock only
//! says into which bucket they fall, so a clock that jumps loses what it jumps over and invents nothing (S16).
//! It must never hold more than its two rings: minutes of two hours, hours of a month.

use serde::{Deserialize, Serialize};

use crate::observed::Moment;

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
/// The longest window that is read from minutes.
const FINE_SECONDS: u64 = 2 * HOUR;
/// The longest window there is.
pub const LONGEST_SECONDS: u64 = 31 * 24 * HOUR;

/// What was counted of one service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Availability {
    minutes: Vec<Bucket>,
    hours: Vec<Bucket>,
    /// CLOCK_BOOTTIME of the answer counted last, of this boot.
    last: Option<f64>,
}

/// (minute or hour since 1970, milliseconds it answered, milliseconds it did not), oldest first.
type Bucket = (u64, u64, u64);

/// What is known of one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share {
    /// Good time in all time that is known; absent where none is.
    pub ratio: Option<f64>,
    /// Known time in the whole window.
    pub coverage: f64,
}

impl Availability {
    /// Counts an answer once, however often it is told.
    pub(crate) fn count(&mut self, now: Moment, answered: f64, good: bool, interval_seconds: f64) {
        let stands_for = match self.last {
            Some(last) if answered <= last => return,
            Some(last) => (answered - last).min(2.0 * interval_seconds),
            None => interval_seconds,
        };
        self.last = Some(answered);
        let milliseconds = (stands_for * 1_000.0) as u64;
        let added = if good { (milliseconds, 0) } else { (0, milliseconds) };
        add(&mut self.minutes, now.unix_seconds / MINUTE, added, FINE_SECONDS / MINUTE);
        add(&mut self.hours, now.unix_seconds / HOUR, added, LONGEST_SECONDS / HOUR);
    }

    /// The window that ends now. It begins with a whole bucket, so it may be a little longer than asked for.
    pub(crate) fn over(&self, now: Moment, window_seconds: u64) -> Share {
        let (ring, width) = if window_seconds <= FINE_SECONDS { (&self.minutes, MINUTE) } else { (&self.hours, HOUR) };
        let first = now.unix_seconds.saturating_sub(window_seconds) / width;
        let within = ring.iter().filter(|(at, ..)| (first..=now.unix_seconds / width).contains(at));
        let (good, bad) = within.fold((0, 0), |(good, bad), bucket| (good + bucket.1, bad + bucket.2));
        let known = (good + bad) as f64;
        Share {
            ratio: (known > 0.0).then(|| good as f64 / known),
            coverage: (known / 1_000.0 / window_seconds.max(1) as f64).min(1.0),
        }
    }

    /// After a boot its clock begins anew.
    pub(super) fn reboot(&mut self) {
        self.last = None;
    }

    /// Drops what no window reaches any more; says whether anything is left.
    pub(super) fn prune(&mut self, now: Moment) -> bool {
        for (ring, width, most) in [(&mut self.minutes, MINUTE, FINE_SECONDS), (&mut self.hours, HOUR, LONGEST_SECONDS)]
        {
            let now = now.unix_seconds / width;
            ring.retain(|(at, ..)| *at + most / width >= now);
        }
        !self.hours.is_empty()
    }
}

fn add(ring: &mut Vec<Bucket>, at: u64, added: (u64, u64), most: u64) {
    // What lies ahead was counted by a clock that has been set back since: it would count as new once more.
    ring.retain(|bucket| bucket.0 <= at && bucket.0 + most >= at);
    match ring.last_mut() {
        Some(bucket) if bucket.0 == at => (bucket.1, bucket.2) = (bucket.1 + added.0, bucket.2 + added.1),
        _ => ring.push((at, added.0, added.1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment { boottime_seconds: seconds as f64, unix_seconds: 1_800_000_000 + seconds }
    }

    /// Asks every ten seconds from `from` to `to`.
    fn ask(counted: &mut Availability, from: u64, to: u64, good: bool) {
        for seconds in (from..to).step_by(10) {
            counted.count(at(seconds), seconds as f64, good, 10.0);
        }
    }

    #[test]
    fn time_is_shared_out_and_what_nobody_saw_is_neither() {
        let mut counted = Availability::default();
        assert_eq!(counted.over(at(0), HOUR), Share { ratio: None, coverage: 0.0 });
        ask(&mut counted, 0, 1_800, true);
        // The agent is away for half an hour; then it fails for six minutes.
        ask(&mut counted, 3_600, 3_960, false);
        let hour = counted.over(at(3_960), HOUR);
        assert!((hour.ratio.unwrap() - 1_440.0 / 1_810.0).abs() < 0.03, "{hour:?}");
        assert!((hour.coverage - 1_810.0 / 3_600.0).abs() < 0.02, "{hour:?}");
        let day = counted.over(at(3_960), 24 * HOUR);
        assert!((day.coverage - 2_170.0 / 86_400.0).abs() < 0.001, "{day:?}");
    }

    #[test]
    fn an_answer_counts_once() {
        let mut counted = Availability::default();
        for now in [5, 6, 7] {
            counted.count(at(now), 5.0, true, 10.0);
        }
        assert_eq!(counted.minutes, [(30_000_000, 10_000, 0)]);
    }

    #[test]
    fn both_rings_are_bounded() {
        let mut counted = Availability::default();
        for minute in 0..(40 * 24 * 60_u64) {
            counted.count(at(minute * 60), (minute * 60) as f64, true, 60.0);
        }
        assert!(
            counted.minutes.len() <= 121 && counted.hours.len() <= 745,
            "{} {}",
            counted.minutes.len(),
            counted.hours.len()
        );
        let now = at(40 * 24 * 3_600);
        assert_eq!(counted.over(now, 30 * 24 * HOUR), Share { ratio: Some(1.0), coverage: 1.0 });
        assert!(counted.prune(now) && !counted.prune(at(80 * 24 * 3_600)));
    }

    #[test]
    fn a_clock_that_jumps_invents_nothing() {
        let mut counted = Availability::default();
        ask(&mut counted, 0, 1_800, true);
        let back = Moment { boottime_seconds: 1_800.0, unix_seconds: at(0).unix_seconds - 7_200 };
        counted.count(back, 1_800.0, false, 10.0);
        let share = counted.over(back, HOUR);
        assert_eq!(share.ratio, Some(0.0), "what lies ahead is gone: {share:?}");
        assert!(share.coverage < 0.01);
        counted.reboot();
        counted.count(at(3_600), 3.0, true, 10.0);
        assert_eq!(
            counted.over(at(3_600), 24 * HOUR).ratio,
            Some(0.5),
            "a boot clock that begins anew stands for one interval"
        );
    }
}
