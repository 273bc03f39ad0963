//! `hardstand forget`: something was taken away on purpose.
//!
//! It must never forget by itself: the agent does, and says whether it knew the thing.

use clap::Subcommand;
use hardstand_core::Thing;

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
    /// An array of disks (md) that was stopped for good.
    Array {
        /// Its kernel name.
        name: String,
        #[command(flatten)]
        socket: SocketArgs,
    },
    /// A ZFS pool that was exported or destroyed for good.
    Pool {
        /// Its name.
        name: String,
        #[command(flatten)]
        socket: SocketArgs,
    },
    /// A node of a corosync cluster that was taken out for good.
    Node {
        /// Its number.
        name: String,
        #[command(flatten)]
        socket: SocketArgs,
    },
    /// What the link of a PCI device was at best: it was moved to another slot.
    Link {
        /// The device's address, as hardstand health names it.
        name: String,
        #[command(flatten)]
        socket: SocketArgs,
    },
    /// A multipath map that was taken away for good.
    Map {
        /// Its name.
        name: String,
        #[command(flatten)]
        socket: SocketArgs,
    },
    /// An initiator that is not coming back to an iSCSI target of this node.
    Initiator {
        /// The target and the initiator, as hardstand health names them.
        name: String,
        #[command(flatten)]
        socket: SocketArgs,
    },
    /// An iSCSI session that was ended for good.
    Session {
        /// Its target and portal, as hardstand health names it.
        name: String,
        #[command(flatten)]
        socket: SocketArgs,
    },
}

/// Tells the agent, and prints its answer.
pub(super) fn run(command: &ForgetCommand) -> anyhow::Result<()> {
    let (thing, name, socket) = match command {
        ForgetCommand::Disk { serial, socket } => (Thing::Disk, serial, socket),
        ForgetCommand::Pool { name, socket } => (Thing::Pool, name, socket),
        ForgetCommand::Array { name, socket } => (Thing::Array, name, socket),
        ForgetCommand::Node { name, socket } => (Thing::Node, name, socket),
        ForgetCommand::Initiator { name, socket } => (Thing::Initiator, name, socket),
        ForgetCommand::Link { name, socket } => (Thing::Link, name, socket),
        ForgetCommand::Map { name, socket } => (Thing::Map, name, socket),
        ForgetCommand::Session { name, socket } => (Thing::Session, name, socket),
    };
    let answer = Agent::at(&socket.socket)?.tell("/v1/forget", &[(thing.word(), name)])?;
    terminal::print(&answer)?;
    Ok(())
}
