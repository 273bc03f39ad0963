//! What measured programs print, and what the kernel says of them, as numbers. Pure.
//!
//! It must never take a text that is not as expected for a zero.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// Measured times, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    /// At least one.
    pub(super) fn new(mut took: Vec<Duration>) -> Result<Self> {
        ensure!(!took.is_empty(), "nothing was measured");
        took.sort_unstable();
        Ok(Self(took))
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that so many of a thousand are below.
    pub(super) fn permille(&self, part: usize) -> Duration {
        self.0[(self.0.len() * part / 1000).min(self.0.len() - 1)]
    }

    pub(super) fn most(&self) -> Duration {
        self.permille(1000)
    }
}

/// A sample of a metrics page, without labels.
pub(super) fn sample(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.split(' ').next()?.parse().ok())
}

/// Whether a metrics page has a sample of 1 that begins so.
pub(super) fn is_so(page: &str, start: &str) -> bool {
    page.lines().any(|line| line.starts_with(start) && line.ends_with(" 1"))
}

/// Bytes that passed an interface in both directions (`/proc/PID/net/dev`).
pub(super) fn passed(table: &str, interface: &str) -> Result<u64> {
    let line = table.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'));
    let line = line.with_context(|| format!("finding {interface} in {table}"))?;
    let columns: Vec<u64> =
        line.split_whitespace().map(str::parse).collect::<Result<_, _>>().context(table.to_owned())?;
    // Received is the first column, sent the ninth.
    let sent = columns.get(8).context("reading what an interface has sent")?;
    Ok(columns[0] + sent)
}

/// Resident memory in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// The most there was.
    pub(super) highest: u64,
    /// What of it, now, is no page of a file: the heap and the stacks.
    pub(super) anonymous: u64,
}

/// Resident memory of a process (`/proc/PID/status`).
pub(super) fn resident(status: &str) -> Result<Memory> {
    let of = |name: &str| -> Result<u64> {
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("finding {name}"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().with_context(|| format!("reading {line}"))?;
        Ok(kib * 1024)
    };
    Ok(Memory { highest: of("VmHWM:")?, anonymous: of("RssAnon:")? })
}

/// p50 and p99 of a line of one of the agent's measurements.
pub(in crate::bench) fn measured(said: &str, what: &str) -> Result<(Duration, Duration)> {
    let line = said.lines().find_map(|line| line.strip_prefix(what)).with_context(|| format!("finding {what}"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["p50", p50, "us", "p99", p99, "us"] = words[..] else { anyhow::bail!("{what}{line} is no measurement") };
    let micros = |text: &str| text.parse().map(Duration::from_micros).with_context(|| format!("reading {text}"));
    Ok((micros(p50)?, micros(p99)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_thousand_are_taken_from_the_sorted_times() {
        let times = Times::new((1..=200).rev().map(Duration::from_millis).collect()).expect("some");
        let ms = |part| times.permille(part).as_millis();
        assert_eq!((times.count(), ms(500), ms(990), times.most().as_millis()), (200, 101, 199, 200));
        assert!(Times::new(Vec::new()).is_err());
    }

    #[test]
    fn samples_are_found_by_their_whole_name() {
        let page = "# TYPE hardstand_halt gauge\nhardstand_halted 7\nhardstand_halt 1\n\
                    hardstand_rollout{name=\"b\",state=\"finished\"} 1\n";
        assert_eq!((sample(page, "hardstand_halt"), sample(page, "hardstand_leader")), (Some(1.0), None));
        assert!(is_so(page, "hardstand_rollout{name=\"b\",state=\"finished\"}"));
        assert!(!is_so(page, "hardstand_rollout{name=\"b\",state=\"running\"}"));
    }

    #[test]
    fn both_directions_of_one_interface_are_counted() {
        let table = "Inter-|   Receive\n    lo:  9 0 0 0 0 0 0 0  9 0\n  eth0: 1000 10 0 0 0 0 0 0 234 4 0 0 0 0 0 0\n";
        assert_eq!(passed(table, "eth0").expect("there"), 1234);
        assert!(passed(table, "eth1").is_err());
        assert!(passed("eth0: x\n", "eth0").is_err());
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let read = resident("VmHWM:\t    20 kB\nVmRSS:\t    10 kB\nRssAnon:\t    3 kB\n").expect("both");
        assert_eq!((read.highest, read.anonymous), (20_480, 3_072));
        assert!(resident("VmHWM:\t    20 kB\n").is_err());
    }

    #[test]
    fn a_line_of_the_stores_measurement_has_two_times() {
        let said = "fenced transaction, embedded                 p50      900 us   p99     2100 us\n";
        let (p50, p99) = measured(said, "fenced transaction, embedded").expect("two times");
        assert_eq!((p50.as_micros(), p99.as_micros()), (900, 2100));
        assert!(measured(said, "fenced transaction, etcd").is_err());
        assert!(measured("a p50 soon us p99 1 us\n", "a").is_err());
    }
}
