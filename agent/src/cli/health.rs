//! `hardstand health`: what is wrong, and the exit status that says how bad it is.
//!
//! It must never exit with 0 unless a judged verdict of ok or info was seen.

use std::process::ExitCode;

use clap::Args;
use hardstand_core::Severity;

use super::source::Source;
use super::{EXIT_UNKNOWN, ViewArgs, complain, watch};
use crate::report::document::HealthDocument;
use crate::report::health_screen::health_screen;
use crate::report::terminal::{self, Style};

/// `hardstand health`
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// Print hardstand.health/1, one document.
    #[arg(long)]
    json: bool,
    /// Go on: redraw on a terminal, else print what changes.
    #[arg(long)]
    watch: bool,
    /// Show what is as it should be, too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    view: ViewArgs,
}

/// Prints the health of the node; the exit status is its verdict.
pub(super) fn run(args: &HealthArgs) -> ExitCode {
    let outcome = Source::of(&args.view).and_then(|source| {
        if args.watch {
            return watch::run(&source, args.json, args.all).map(|()| EXIT_UNKNOWN);
        }
        let health = source.health()?;
        terminal::print(&shown(&health, args.json, args.all)?)?;
        Ok(exit_status(health.verdict))
    });
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // A monitoring system shows what is on standard output; a reader of JSON must find nothing there.
            let said = if args.json { None } else { terminal::print(&format!("unknown: {error:#}\n")).ok() };
            if said.is_none() {
                complain(&error);
            }
            ExitCode::from(EXIT_UNKNOWN)
        }
    }
}

fn shown(health: &HealthDocument, json: bool, all: bool) -> anyhow::Result<String> {
    if json {
        return Ok(serde_json::to_string_pretty(health)? + "\n");
    }
    Ok(health_screen(health, Style::of_stdout(), all, watch::unix_seconds()))
}

/// 0 ok or info, 1 warn, 2 crit, 3 unknown.
fn exit_status(verdict: Severity) -> u8 {
    match verdict {
        Severity::Ok | Severity::Info => 0,
        Severity::Warn => 1,
        Severity::Crit => 2,
        Severity::Unknown => EXIT_UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_is_what_monitoring_systems_expect() {
        let all = [Severity::Ok, Severity::Info, Severity::Warn, Severity::Crit, Severity::Unknown];
        assert_eq!(all.map(exit_status), [0, 0, 1, 2, 3]);
    }
}
