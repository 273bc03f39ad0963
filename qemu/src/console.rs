//! What a serial console showed, as text a person can read: kept as a file, shown when something went wrong.
//!
//! It must never be the proof that a program works inside the guest; for that there is the control port.

use std::path::Path;

use anyhow::{Context as _, Result};

/// Lines shown with a failure: enough for a kernel's last words.
const LAST_LINES: usize = 25;
/// A kernel that prints one of these will not come back.
const DEATHS: [&str; 3] = ["Kernel panic - not syncing", "Oops: ", "end Kernel panic"];

/// Everything so far, without escape sequences and carriage returns. Empty while there is no file yet.
pub(crate) fn read(path: &Path) -> Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(plain(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// The line with which the kernel died, if it has.
pub(crate) fn death(text: &str) -> Option<&str> {
    text.lines().find(|line| DEATHS.iter().any(|death| line.contains(death)))
}

/// The last lines, empty ones left out.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// Drops `ESC [ ... letter`, other two-byte escapes and control characters but the line feed.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                while chars.next_if(|char| !('@'..='~').contains(char)).is_some() {}
                chars.next();
            }
            '\u{1b}' => drop(chars.next()),
            '\n' => out.push('\n'),
            char if char.is_control() => {}
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_carriage_returns_are_dropped() {
        assert_eq!(plain("\u{1b}[2J\u{1b}[01;01HBdsDxe\r\n\u{1b}[0;32m  OK  \u{1b}[0m\u{1b}7x\n"), "BdsDxe\n  OK  x\n");
    }

    #[test]
    fn a_panic_is_found_and_the_tail_is_short() {
        let text =
            (0..40).map(|n| format!("line {n}\n\n")).collect::<String>() + "[ 1.0] Kernel panic - not syncing: x\n";
        assert_eq!(death(&text), Some("[ 1.0] Kernel panic - not syncing: x"));
        assert_eq!(tail(&text).lines().count(), LAST_LINES);
        assert_eq!(tail(&text).lines().next(), Some("line 16"));
    }
}
