//! `hardstand agent` and `hardstand helper`: the two processes of a node.
//!
//! It must never do their work: it hands over what the command line says.

use std::path::PathBuf;

use clap::Args;

use super::SocketArgs;
use crate::report::log;
use crate::{helper, run};

/// `hardstand agent`
#[derive(Debug, Args)]
pub(super) struct AgentArgs {
    /// Configuration file, instead of /etc/hardstand/agent.toml and its drop-ins. It is read alone.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the memory of earlier passes lies. Without it: systemd's state directory, else none is kept.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    socket: SocketArgs,
    /// The helper's socket.
    #[arg(long, value_name = "PATH", default_value = helper::SOCKET)]
    helper: PathBuf,
    /// Log what is done in between, too.
    #[arg(long, short)]
    verbose: bool,
}

/// `hardstand helper`
#[derive(Debug, Args)]
pub(super) struct HelperArgs {
    /// Listen here, in the foreground, instead of on the socket that systemd passes.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Serve this user, too, besides root and hardstand.
    #[arg(long, value_name = "UID")]
    allow_uid: Vec<u32>,
    /// Where it remembers what it ran. Without it: /var/lib/hardstand-helper.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Log what is done in between, too.
    #[arg(long, short)]
    verbose: bool,
}

/// Runs the agent until it is told to stop.
pub(super) fn agent(args: AgentArgs) -> anyhow::Result<()> {
    log::start(args.verbose);
    let state = args.state.or_else(state_directory);
    run::agent(&run::AgentOptions { config: args.config, state, socket: args.socket.socket, helper: args.helper })
}

/// What systemd made for `StateDirectory=` (the first of them).
fn state_directory() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("STATE_DIRECTORY")?).find(|path| !path.as_os_str().is_empty())
}

/// Runs the helper until it is told to stop or is idle.
pub(super) fn helper(args: HelperArgs) -> anyhow::Result<()> {
    log::start(args.verbose);
    let mut rooms = helper::Rooms::of_this_machine();
    if let Some(state) = args.state {
        rooms = helper::Rooms { logs: state.join("logs"), state };
    }
    helper::run(helper::Options {
        socket: args.socket,
        allow_uids: args.allow_uid,
        rooms,
        ..helper::Options::default()
    })
}
