//! The root side: a closed list of verbs on a unix socket, and the client the agent uses.
//!
//! It must never take a path, a program or a free-form argument from its caller.
//!
//! - `wire`: the verbs, their answers, and how they are written (one line of JSON each way).
//! - `errand`: what a verb that changes the host must carry; `replay`: what was run already, on the disk before each act.
//! - `verbs`, `zpool`: what each verb that reads does. `patch`, `drain`, `hooks`, `reboot`: what those do that change the host.
//! - `snapshots`: what is kept of the system before packages are installed.
//! - `staged`: the set that is to be installed; `unsettled`: whether installing it was cut by a lost power.
//! - `serve`: who may ask, how much and for how long.
//! - `client`, `changes`: the agent's side.

#[cfg(test)]
pub(crate) mod bench;
mod changes;
mod client;
mod drain;
mod errand;
mod ground;
mod hooks;
mod ipmi;
mod kernel_log;
mod meaning;
mod patch;
mod reboot;
mod replay;
mod serve;
mod snapshots;
mod staged;
mod unsettled;
mod verbs;
mod wire;
mod zpool;

pub(crate) use client::AskError;
pub(crate) use client::Client;
pub(crate) use errand::{Deed, Digest, Errand, Permit, Point, Release};
pub(crate) use ground::Rooms;
pub(crate) use serve::{Options, run};
pub(crate) use wire::{DiskName, RunState, SmartAnswer, ZpoolAnswer};

/// Where the helper listens.
pub(crate) const SOCKET: &str = "/run/hardstand/helper.sock";

#[cfg(test)]
mod tests;

/// A client that runs the verbs in this process, on a captured machine.
#[cfg(test)]
pub(crate) fn captured_client(host: crate::host::Host, programs: std::path::PathBuf) -> Client {
    Client::with_verbs(verbs::Verbs::captured(host, programs))
}
