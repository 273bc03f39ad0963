//! `hardstand forget`: something was taken away on purpose.
//!
//! It must never forget by itself: the agent does, and says whether it knew the thing.

use clap::Subcommand;

use super::SocketArgs;
use super::client::Agent;
use crate::report::terminal;

/// `hardstand forget`
#[derive(Debug, Subcommand)]
pub(super) enum ForgetCommand {
    /// A disk that is not coming back: it is not missed any more.
    Disk {
        /// Its serial number, as hardstand health names it.
        serial: String,
        #[command(flatten)]
        socket: SocketArgs,
    },
}

/// Tells the agent, and prints its answer.
pub(super) fn run(command: &ForgetCommand) -> anyhow::Result<()> {
    let ForgetCommand::Disk { serial, socket } = command;
    let answer = Agent::at(&socket.socket)?.tell("/v1/forget", &[("disk", serial)])?;
    terminal::print(&answer)?;
    Ok(())
}
