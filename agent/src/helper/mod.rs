//! The root side: a closed list of verbs on a unix socket, and the client the agent uses.
//!
//! It must never take a path, a program or a free-form argument from its caller.
//!
//! - `wire`: the verbs, their answers, and how they are written (one line of JSON each way).
//! - `verbs`: what each verb does. A verb that changes the host will need more of its caller (plan, step, token): those
//!   go into the verb's own fields in `wire`, and are checked in `verbs` before anything is done.
//! - `serve`: who may ask, how much and for how long.
//! - `client`: the agent's side.

mod client;
mod serve;
mod verbs;
mod wire;

pub(crate) use client::Client;
pub(crate) use serve::{Options, run};
pub(crate) use wire::{DiskName, SmartAnswer};

/// Where the helper listens.
pub(crate) const SOCKET: &str = "/run/hardstand/helper.sock";

#[cfg(test)]
mod tests;

/// A client that runs the verbs in this process, on a captured machine.
#[cfg(test)]
pub(crate) fn captured_client(host: crate::host::Host, smartctl: std::path::PathBuf) -> Client {
    Client::with_verbs(verbs::Verbs::captured(host, smartctl))
}
