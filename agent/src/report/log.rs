//! Where the log goes: to the journal with its fields where standard error is the journal, else to standard error.
//!
//! It must never lose a line because the journal cannot be reached: then it is written as text.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::terminal::wants_colour;

/// Sets up logging for the rest of the process: our own lines from info on, those of libraries from warnings on.
/// `verbose` adds our own debug lines.
pub(crate) fn start(verbose: bool) {
    let own = if verbose { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let levels = Targets::new().with_default(LevelFilter::WARN).with_target("hardstand", own);
    let registry = tracing_subscriber::registry().with(levels);
    let journal = stderr_is_journal().then(tracing_journald::layer).and_then(Result::ok);
    let started = match journal {
        Some(journal) => {
            let journal = journal.with_field_prefix(Some("HARDSTAND".to_owned()));
            registry.with(journal.with_syslog_identifier("hardstand".to_owned())).try_init()
        }
        None => {
            let colour = wants_colour(std::io::stderr().is_terminal());
            let text = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colour);
            registry.with(text.with_target(false)).try_init()
        }
    };
    // It fails only where a log was set up before, and then that one serves.
    drop(started);
}

/// Whether standard error leads to the journal: systemd names the stream's device and inode in `JOURNAL_STREAM`, and
/// a redirected standard error has others.
fn stderr_is_journal() -> bool {
    let Some(named) = std::env::var_os("JOURNAL_STREAM") else { return false };
    nix::sys::stat::fstat(std::io::stderr().as_fd()).is_ok_and(|stat| names(&named, stat.st_dev, stat.st_ino))
}

fn names(stream: &OsStr, device: u64, inode: u64) -> bool {
    stream.to_str() == Some(&format!("{device}:{inode}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_stream_is_the_journal() {
        assert!(names(OsStr::new("8:1234"), 8, 1234));
        assert!(!names(OsStr::new("8:1234"), 8, 1235));
        assert!(!names(OsStr::new(""), 8, 1234));
    }
}
