//! The operator's commands, one file per command.
//!
//! It must never decide what is healthy: it shows what the agent, or one local pass, has judged.

mod ack;
mod audit;
mod ca;
mod client;
mod config;
mod desk;
mod fleet;
mod fleetlock;
mod forget;
mod gate;
mod generate;
mod halt;
mod health;
mod inventory;
mod lease;
mod monitoring;
mod node;
mod one;
mod parse;
mod rollout;
mod rollout_watch;
mod runbook;
mod simulate;
mod snapshots;
mod source;
mod stale;
mod status;
mod store;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::report::{serve, terminal};

/// What a monitoring system takes for "unknown", and what a wrong command line gives: nothing was learnt.
const EXIT_UNKNOWN: u8 = 3;

/// Below the long help, and in the manual page.
const FILES: &str = "\
Files:
  /etc/hardstand/agent.toml      the settings; absent, every one has its default
  /etc/hardstand/agent.toml.d/   drop-ins (*.toml), applied in the order of their names; also in
                                 /run and /usr/lib, where one of the same name in /etc hides them
  /run/hardstand/agent/agent.sock  where the agent answers these commands

See also: systemctl status hardstand-agent, journalctl -u hardstand-agent";

/// Shows and judges the state of a node.
#[derive(Debug, Parser)]
#[command(name = "hardstand", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "See also: systemctl status hardstand-agent, journalctl -u hardstand-agent")]
#[command(after_long_help = FILES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the node agent: look, judge, report, until told to stop.
    Agent(node::AgentArgs),
    /// Run the root side, which reads what only root may read.
    Helper(node::HelperArgs),
    /// Show what is wrong with this node, and what to do about it.
    ///
    /// Exit status: 0 ok or info, 1 warn, 2 crit, 3 unknown. It serves as a monitoring plugin as it is.
    Health(health::HealthArgs),
    /// Say whether a node may go down now, and if not, what is in the way and what to do about it.
    ///
    /// Exit status: 0 it may, 2 it must stay up, 3 that is not known.
    Gate(gate::GateArgs),
    /// Show the node on one screen.
    Status(ViewArgs),
    /// Show what the machine is made of.
    Inventory(inventory::InventoryArgs),
    /// Make the fleet's store and look at it.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Apply, show and compare the fleet's policy.
    #[command(subcommand)]
    Fleet(fleet::FleetCommand),
    /// Plan, approve, start and follow a rollout.
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Stop everything that has not begun, at once, until somebody lifts it.
    Halt(halt::HaltArgs),
    /// Look at one node; drain, restart or patch it alone.
    #[command(subcommand)]
    Node(one::NodeCommand),
    /// Look at leases; take one from a machine that is off for good.
    #[command(subcommand)]
    Lease(lease::LeaseCommand),
    /// Show, check and export the record of everything that was decided.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Print a rollout's record as Markdown.
    Runbook(runbook::RunbookArgs),
    /// Play rollouts of a policy file: how long they take, who waits for whom, what each fault does.
    ///
    /// Touches no store and no host. Exit status: 0, or 2 when a rollout broke a rule, which is a bug.
    Simulate(simulate::SimulateArgs),
    /// Ask a FleetLock server for a slot, as a guest.
    #[command(subcommand)]
    Fleetlock(fleetlock::FleetlockCommand),
    /// Keep the fleet's own certificate authority.
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// Look at configuration files.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Read the output of another program or of the kernel and print it as JSON.
    ///
    /// Exit status: 0, or 3 when nothing can be made of the input.
    Parse(parse::ParseArgs),
    /// Acknowledge a finding: it is told no louder than info for a while. Its gate stays as it is.
    Ack(ack::AckArgs),
    /// Tell the agent that something was taken away on purpose.
    #[command(subcommand)]
    Forget(forget::ForgetCommand),
    /// Print alert rules for Prometheus, or a dashboard for Grafana.
    #[command(subcommand)]
    Monitoring(monitoring::MonitoringCommand),
    /// Prune ZFS snapshots by rules, dry run first.
    #[command(subcommand)]
    Snapshots(snapshots::SnapshotsCommand),
    /// Restart the services that still run code which was replaced on the disk.
    #[command(hide = true)]
    RestartStale(stale::StaleArgs),
    /// Print completions for a shell.
    Completions(generate::CompletionsArgs),
    /// Print the manual page, or write all of them into a directory.
    Man(generate::ManArgs),
}

/// Where the facts come from.
#[derive(Debug, Clone, Args)]
struct ViewArgs {
    /// Look once from here instead of asking the running agent.
    ///
    /// What needs more rights than yours is unknown then, and nothing is known of earlier passes.
    #[arg(long)]
    local: bool,
    /// Configuration file for --local, instead of /etc/hardstand/agent.toml and its drop-ins.
    #[arg(long, value_name = "FILE", requires = "local")]
    config: Option<PathBuf>,
    #[command(flatten)]
    socket: SocketArgs,
}

/// Where the agent listens.
#[derive(Debug, Clone, Args)]
struct SocketArgs {
    /// The agent's socket.
    #[arg(long, value_name = "PATH", default_value = serve::SOCKET)]
    socket: PathBuf,
}

/// Reads the command line, runs the command, returns its exit status.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return usage(&told),
    };
    let outcome = match cli.command {
        Command::Agent(args) => node::agent(args),
        Command::Helper(args) => node::helper(args),
        Command::Health(args) => return health::run(&args),
        Command::Gate(args) => return gate::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Inventory(args) => inventory::run(&args),
        Command::Store(command) => store::run(&command),
        Command::Fleet(command) => fleet::run(&command),
        Command::Rollout(command) => return with_status(rollout::run(&command)),
        Command::Node(command) => return with_status(one::run(&command)),
        Command::Simulate(args) => return with_status(simulate::run(&args)),
        Command::Fleetlock(command) => return with_status(fleetlock::run(&command)),
        Command::Halt(args) => halt::run(&args),
        Command::Lease(command) => lease::run(&command),
        Command::Audit(command) => audit::run(&command),
        Command::Runbook(args) => runbook::run(&args),
        Command::Ca(command) => ca::run(&command),
        Command::Config(command) => config::run(&command),
        Command::Parse(args) => return with_status(parse::run(&args)),
        Command::Ack(args) => ack::run(&args),
        Command::Forget(command) => forget::run(&command),
        Command::Monitoring(command) => monitoring::run(&command),
        Command::Snapshots(command) => snapshots::run(&command),
        Command::RestartStale(args) => stale::run(&args),
        Command::Completions(args) => generate::completions(args, &mut Cli::command()),
        Command::Man(args) => generate::man(&args, Cli::command()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn with_status(outcome: anyhow::Result<u8>) -> ExitCode {
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints help, version, or what is wrong with the command line.
fn usage(told: &clap::Error) -> ExitCode {
    if told.use_stderr() {
        terminal::print_error(&told.to_string());
        return ExitCode::from(EXIT_UNKNOWN);
    }
    // Help that cannot be printed has no reader to be told so.
    let _ = terminal::print(&told.to_string());
    ExitCode::SUCCESS
}

/// Prints an error with everything that led to it.
fn complain(error: &anyhow::Error) {
    terminal::print_error(&format!("hardstand: {error:#}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_configuration_is_for_a_local_look_only() {
        assert!(Cli::try_parse_from(["hardstand", "health", "--config", "a.toml"]).is_err());
        assert!(Cli::try_parse_from(["hardstand", "health", "--local", "--config", "a.toml"]).is_ok());
        assert!(Cli::try_parse_from(["hardstand", "agent", "--config", "a.toml"]).is_ok());
    }

    #[test]
    fn every_command_says_what_it_does() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
