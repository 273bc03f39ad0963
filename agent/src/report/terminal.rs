//! What the terminal can take: its width, colour, and text that came from outside.
//!
//! It must never let a control character from a disk label or a unit name reach the terminal.

use std::io::{IsTerminal, Write};

use hardstand_core::Severity;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns to fit where nothing says how many there are.
const USUAL_WIDTH: usize = 80;
/// Below this no table is readable; lines wrap instead.
const LEAST_WIDTH: usize = 60;
/// Above this the eye loses the row.
const MOST_WIDTH: usize = 140;

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Columns.
    pub(crate) width: usize,
    /// Whether to colour.
    pub(crate) colour: bool,
}

impl Style {
    /// For standard output as it is: colour only on a terminal that wants it.
    pub(crate) fn of_stdout() -> Self {
        let width = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
        Self {
            width: width.unwrap_or(USUAL_WIDTH).clamp(LEAST_WIDTH, MOST_WIDTH),
            colour: wants_colour(std::io::stdout().is_terminal()),
        }
    }

    /// `text` in the colour of a severity.
    pub(crate) fn severity(self, severity: Severity, text: &str) -> String {
        let code = match severity {
            Severity::Ok => "32",
            Severity::Info => "36",
            Severity::Warn => "33",
            Severity::Unknown => "35",
            Severity::Crit => "1;31",
        };
        self.paint(code, text)
    }

    /// `text` made to stand out.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// `text` made to stand back.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Whether output may be coloured: on a terminal, unless `NO_COLOR` is set to something or the terminal is dumb.
pub(crate) fn wants_colour(is_terminal: bool) -> bool {
    is_terminal
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Writes to standard output. A reader that went away (`| head`) is not an error: `false` says there is no use going on.
///
/// # Errors
/// Anything else that stands in the way, for example a full disk.
pub(crate) fn print(text: &str) -> std::io::Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(std::io::Error::new(error.kind(), format!("writing to standard output: {error}"))),
    }
}

/// Writes to standard error. Where that fails there is nobody left to be told.
pub(crate) fn print_error(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Text from outside as one line: white space becomes a blank, other control characters a question mark.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            c if c.is_whitespace() => ' ',
            c if c.is_control() || is_invisible(c) => '?',
            c => c,
        })
        .collect()
}

/// Characters that turn or hide text without being control characters.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Columns that `text` takes.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// At most `limit` columns of `text`, with an ellipsis where something was left out.
pub(crate) fn ellipsize(text: &str, limit: usize) -> String {
    if columns(text) <= limit {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > limit {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// `text` broken at blanks into lines of at most `limit` columns; a longer word is cut.
pub(crate) fn wrap(text: &str, limit: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word = word.to_owned();
        loop {
            let last = lines.last_mut().expect("there is always a line");
            let gap = usize::from(!last.is_empty());
            if columns(last) + gap + columns(&word) <= limit {
                last.push_str(&" "[..gap]);
                last.push_str(&word);
                break;
            }
            if last.is_empty() {
                let mut used = 0;
                let cut = word.char_indices().find(|(_, c)| {
                    used += c.width().unwrap_or(0);
                    used > limit
                });
                let rest = word.split_off(cut.map_or(word.len(), |(at, _)| at.max(1)));
                last.push_str(&word);
                word = rest;
            }
            lines.push(String::new());
        }
    }
    lines
}

/// A duration in its largest unit: `12s`, `5m`, `3h`, `2d`.
pub(crate) fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// A size with a binary unit and at most three digits: `512 B`, `1.9 GiB`, `120 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 10.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A disk's size as its maker prints it, in powers of ten: `480 GB`, `4.0 TB`.
pub(crate) fn decimal_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 10.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A link speed: `1 Gbit/s`, `2.5 Gbit/s`, `100 Mbit/s`.
pub(crate) fn link_speed(bytes_per_second: u64) -> String {
    let megabits = bytes_per_second as f64 * 8.0 / 1e6;
    if megabits >= 1000.0 { format!("{} Gbit/s", megabits / 1000.0) } else { format!("{megabits} Mbit/s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_move_the_cursor() {
        assert_eq!(one_line("a\nb\tc\u{1b}[2Jd\u{202e}e\u{7}"), "a b c?[2Jd?e?");
    }

    #[test]
    fn cutting_counts_columns_not_bytes() {
        assert_eq!(ellipsize("ähnlich", 7), "ähnlich");
        assert_eq!(ellipsize("ähnlich", 4), "ähn…");
        assert_eq!(ellipsize("日本語", 5), "日本…");
        assert_eq!(columns(&ellipsize("日本語", 4)), 3);
    }

    #[test]
    fn wrapping_keeps_to_the_limit_and_loses_nothing() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 3), [""]);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([age(59), age(3599), age(90_000), age(172_800)], ["59s", "59m", "25h", "2d"]);
        assert_eq!([size(512), size(2_040_109_465), size(128_849_018_880)], ["512 B", "1.9 GiB", "120 GiB"]);
        assert_eq!([decimal_size(480_103_981_056), decimal_size(4_000_787_030_016)], ["480 GB", "4.0 TB"]);
        assert_eq!(
            [link_speed(125_000_000), link_speed(312_500_000), link_speed(12_500_000)],
            ["1 Gbit/s", "2.5 Gbit/s", "100 Mbit/s"]
        );
    }
}
