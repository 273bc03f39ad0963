//! `hardstand health --watch`: the same screen again and again, or only what changes.
//!
//! It must never end because the agent is away for a while: that is what somebody watches for.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hardstand_core::Severity;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::source::Source;
use crate::report::document::{HealthDocument, rfc3339};
use crate::report::health_screen::health_screen;
use crate::report::sentence::document_sentence;
use crate::report::terminal::{self, Style, one_line};

/// Between two looks: what a person at a terminal takes for now.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Watches until nobody reads any more or the process is told to end.
pub(super) fn run(source: &Source<'_>, json: bool, all: bool) -> anyhow::Result<()> {
    let redraw = std::io::stdout().is_terminal() && !json;
    let mut seen = Seen::default();
    loop {
        let health = source.health().map_err(|error| format!("{error:#}"));
        let text = if redraw { screen(&health, all) } else { seen.changes(&health, json, unix_seconds())? };
        if !text.is_empty() && !terminal::print(&text)? {
            return Ok(());
        }
        if reader_left_within(LOOK_EVERY) {
            return Ok(());
        }
    }
}

/// Waits for `limit`, or until whoever reads standard output has gone (`| head`), which a write would show too late.
pub(super) fn reader_left_within(limit: Duration) -> bool {
    let stdout = std::io::stdout();
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        match poll(&mut watched, timeout) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => {
                std::thread::sleep(left);
                return false;
            }
        }
    }
}

/// The node's wall clock, in seconds since 1970.
pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn screen(health: &Result<HealthDocument, String>, all: bool) -> String {
    let style = Style::of_stdout();
    frame(&match health {
        Ok(health) => health_screen(health, style, all, unix_seconds()),
        Err(why) => terminal::wrap(why, style.width).join("\n") + "\n",
    })
}

/// A whole screen: from the top left corner, and nothing left of the screen before.
pub(super) fn frame(text: &str) -> String {
    let rows = terminal_size::terminal_size_of(std::io::stdout()).map_or(24, |(_, height)| usize::from(height.0));
    let lines: Vec<&str> = text.lines().collect();
    let fits = rows.saturating_sub(2).max(1);
    let mut out = "\x1b[H".to_owned();
    for line in lines.iter().take(fits) {
        out.push_str(line);
        out.push_str("\x1b[K\n");
    }
    if lines.len() > fits {
        out.push_str(&format!("... {} more lines\x1b[K", lines.len() - fits));
    }
    out + "\x1b[J"
}

/// What has been printed.
#[derive(Debug, Default)]
struct Seen {
    findings: Option<BTreeMap<(String, String), (Severity, String)>>,
    away: Option<String>,
}

impl Seen {
    /// The lines for what is not as it was last time. Empty when nothing changed.
    fn changes(
        &mut self,
        health: &Result<HealthDocument, String>,
        json: bool,
        now_unix_seconds: u64,
    ) -> serde_json::Result<String> {
        let now = rfc3339(now_unix_seconds);
        let health = match health {
            Ok(health) => health,
            Err(why) if self.away.as_deref() == Some(why) => return Ok(String::new()),
            Err(why) => {
                self.away = Some(why.clone());
                // A reader of JSON lines gets documents only; that there is none is for the person.
                terminal::print_error(&format!("{now} {}\n", one_line(why)));
                return Ok(String::new());
            }
        };
        self.away = None;
        let mut rows = BTreeMap::new();
        for row in &health.findings {
            rows.insert((row.check.clone(), row.subject.clone()), (row.severity, row.summary.clone()));
        }
        let before = self.findings.replace(rows.clone());
        let first = before.is_none();
        let before = before.unwrap_or_default();
        let mut out = if first { format!("{now} {}\n", document_sentence(health)) } else { String::new() };
        for ((check, subject), (severity, summary)) in &rows {
            let old = before.get(&(check.clone(), subject.clone())).map(|(severity, _)| *severity);
            let news = if first { *severity > Severity::Ok } else { old != Some(*severity) };
            if news {
                let line = format!("{now} {:<7} {check} {subject}: {summary}", severity.word());
                out.push_str(&(one_line(&line) + "\n"));
            }
        }
        for (check, subject) in before.keys().filter(|key| !rows.contains_key(*key)) {
            out.push_str(&(one_line(&format!("{now} gone    {check} {subject}")) + "\n"));
        }
        match (json, out.is_empty()) {
            (true, false) => Ok(serde_json::to_string(health)? + "\n"),
            _ => Ok(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{NOW, sick};

    fn document(health: &hardstand_core::Health) -> Result<HealthDocument, String> {
        Ok(HealthDocument::from(health))
    }

    #[test]
    fn only_changes_are_printed() {
        let mut seen = Seen::default();
        let mut health = sick();
        let first = seen.changes(&document(&health), false, NOW).unwrap();
        assert!(first.starts_with("2026-11-23T01:00:00Z crit: "), "{first}");
        assert_eq!(first.lines().count(), 5);
        assert_eq!(seen.changes(&document(&health), false, NOW).unwrap(), "");
        health.findings[0].severity = Severity::Ok;
        health.findings[0].summary = "61 % free".into();
        health.findings.remove(2);
        assert_eq!(
            seen.changes(&document(&health), false, NOW + 2).unwrap(),
            "2026-11-23T01:00:02Z ok      filesystem.space /var/lib/vz: 61 % free\n\
             2026-11-23T01:00:02Z gone    packages.security apt\n"
        );
    }

    #[test]
    fn as_json_each_change_is_one_document_on_one_line() {
        let mut seen = Seen::default();
        let document = Ok(HealthDocument::from(&sick()));
        let line = seen.changes(&document, true, NOW).unwrap();
        assert_eq!(serde_json::from_str::<HealthDocument>(&line).unwrap(), *document.as_ref().unwrap());
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(seen.changes(&document, true, NOW).unwrap(), "");
    }
}
