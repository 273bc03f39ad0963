//! `hardstand ack`: a finding is known, and need not be told as loudly for a while.
//!
//! It must never open a gate: what keeps the node up keeps it up.

use clap::Args;
use hardstand_core::window::span;

use super::SocketArgs;
use super::client::Agent;
use crate::report::terminal;

/// `hardstand ack`
#[derive(Debug, Args)]
pub(super) struct AckArgs {
    /// The check, as hardstand health names it (zfs.pool).
    check: String,
    /// Its subject (tank).
    subject: String,
    /// Why, for everybody who will read it.
    #[arg(long, required_unless_present = "withdraw", conflicts_with = "withdraw")]
    reason: Option<String>,
    /// For how long. What becomes worse meanwhile is told again at once.
    #[arg(long = "for", value_name = "SPAN", default_value = "3d", value_parser = span::parse)]
    seconds: u64,
    /// Tell it again from now on.
    #[arg(long)]
    withdraw: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

/// Tells the agent, and prints its answer.
pub(super) fn run(args: &AckArgs) -> anyhow::Result<()> {
    anyhow::ensure!(args.withdraw || args.seconds > 0, "--for must be more than nothing, as in 3d");
    let seconds = if args.withdraw { 0 } else { args.seconds }.to_string();
    let query = [
        ("check", args.check.as_str()),
        ("subject", &args.subject),
        ("reason", args.reason.as_deref().unwrap_or_default()),
        ("seconds", &seconds),
    ];
    let answer = Agent::at(&args.socket.socket)?.tell("/v1/acknowledge", &query)?;
    terminal::print(&answer)?;
    Ok(())
}
