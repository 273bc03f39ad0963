//! `hardstand halt`: stops everything that has not begun, and keeps it stopped until a person lifts it.
//!
//! It must never lift another halt than the one the person has seen.

use anyhow::{anyhow, bail};
use clap::Args;
use hardstand_core::operator;
use hardstand_core::rollout::Halt;
use serde::Serialize;

use super::desk::{Desk, DeskArgs, show};
use crate::report::document::rfc3339;
use crate::report::terminal::one_line;

/// `hardstand halt`
#[derive(Debug, Args)]
pub(super) struct HaltArgs {
    /// Why, for everybody who will read it.
    #[arg(required_unless_present_any = ["lift", "show"])]
    reason: Option<String>,
    /// Lift the halt that is in force. REASON says why it may go on.
    #[arg(long, requires = "reason", conflicts_with = "show")]
    lift: bool,
    /// Show whether the fleet is halted.
    #[arg(long, conflicts_with = "reason")]
    show: bool,
    #[command(flatten)]
    desk: DeskArgs,
}

const SCHEMA: &str = "hardstand.halt/1";

#[derive(Debug, Serialize)]
struct HaltDocument<'a> {
    halted: bool,
    halt: Option<&'a Halt>,
}

/// Does what is asked.
pub(super) fn run(args: &HaltArgs) -> anyhow::Result<()> {
    let desk = Desk::open(&args.desk)?;
    let reason = args.reason.as_deref().unwrap_or_default();
    if args.lift {
        lift(&desk, reason)?;
    } else if !args.show {
        let person = desk.person();
        desk.commit(
            |_| Vec::new(),
            |view| {
                operator::halt(view, &person, reason).ok_or_else(|| {
                    let why = view.halt.as_ref().map_or("", |halt| halt.value.reason.as_str());
                    anyhow!("the fleet is halted already: {}; see: hardstand halt --show", one_line(why))
                })
            },
        )?;
    }
    let view = desk.view()?;
    let halt = view.halt.as_ref().map(|halt| &halt.value);
    show(args.desk.json, SCHEMA, &HaltDocument { halted: halt.is_some(), halt }, &screen(halt))
}

/// Lifts the halt that is in force now, and none that comes in between.
fn lift(desk: &Desk, reason: &str) -> anyhow::Result<()> {
    if reason.is_empty() {
        bail!("say why it may go on: hardstand halt --lift \"pool is healthy again\"");
    }
    let person = desk.person();
    desk.commit(
        |view| vec![view.halt.as_ref().map_or(0, |halt| halt.modified)],
        |view| operator::lift(view, &person, reason).ok_or_else(|| anyhow!("the fleet is not halted")),
    )?;
    Ok(())
}

fn screen(halt: Option<&Halt>) -> String {
    match halt {
        None => "not halted\n".to_owned(),
        Some(halt) => {
            let when = rfc3339(halt.at_unix_seconds);
            let (by, reason, next) = (one_line(&halt.by), one_line(&halt.reason), one_line(&halt.next_action));
            format!("HALTED since {when} by {by}: {reason}\nnext: {next}\n")
        }
    }
}
