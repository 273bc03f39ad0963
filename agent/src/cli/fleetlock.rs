//! `hardstand fleetlock`: this machine as a guest at a FleetLock server, as a hook needs it.
//!
//! It must never exit with 0 while it has no slot.

use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use hardstand_core::fleetlock::Wish;
use hardstand_core::window::span;

use super::desk::runtime;
use crate::fleetlock::client::{LIMIT, Reply, app_specific, ask};
use crate::report::terminal::{one_line, print_error};

/// What hooks exit with for "not yet, ask again" (EX_TEMPFAIL).
const NOT_NOW: u8 = 75;
/// Where systemd keeps the machine's id.
const MACHINE_ID: &str = "/etc/machine-id";

/// `hardstand fleetlock`
#[derive(Debug, Subcommand)]
pub(super) enum FleetlockCommand {
    /// Take a slot before a reboot. Exit status 0: it is ours; 75: not now, ask again.
    PreReboot(GuestArgs),
    /// Give the slot back: this machine is steady.
    SteadyState(GuestArgs),
}

/// Where, and as whom.
#[derive(Debug, Args)]
pub(super) struct GuestArgs {
    /// The server's base URL, as in http://airlock.example:3333/
    #[arg(long)]
    url: String,
    /// The group.
    #[arg(long)]
    group: String,
    /// This machine's id; as Zincati makes it from /etc/machine-id when absent.
    #[arg(long)]
    id: Option<String>,
    /// How long to wait for the answer; a server may hold it while it drains.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    limit: Option<u64>,
}

/// Does what is asked; the number is the exit status.
pub(super) fn run(command: &FleetlockCommand) -> anyhow::Result<u8> {
    let (wish, args) = match command {
        FleetlockCommand::PreReboot(args) => (Wish::PreReboot, args),
        FleetlockCommand::SteadyState(args) => (Wish::SteadyState, args),
    };
    let id = match &args.id {
        Some(id) => id.clone(),
        None => app_specific(&std::fs::read_to_string(MACHINE_ID).with_context(|| format!("reading {MACHINE_ID}"))?)?,
    };
    let limit = args.limit.map_or(LIMIT, Duration::from_secs);
    match runtime()?.block_on(ask(&args.url, &args.group, &id, wish, limit))? {
        Reply::Yes => Ok(0),
        Reply::NotNow(why) => {
            print_error(&format!("not now: {}\n", one_line(&why)));
            Ok(NOT_NOW)
        }
    }
}
