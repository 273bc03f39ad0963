//! `hardstand monitoring`: what a Prometheus and a Grafana need to know of the metrics page.
//!
//! It must never look at the host: what it prints is the same on every node of a release.

use clap::Subcommand;

use crate::report::terminal::print;
use crate::report::{alerts, dashboard};

/// `hardstand monitoring`
#[derive(Debug, Subcommand)]
pub(super) enum MonitoringCommand {
    /// Print alert rules for Prometheus, one for each check.
    Alerts,
    /// Print a dashboard for Grafana, as JSON to be imported.
    Dashboard,
}

/// Prints what is asked for.
pub(super) fn run(command: &MonitoringCommand) -> anyhow::Result<()> {
    let text = match command {
        MonitoringCommand::Alerts => alerts::rules(),
        MonitoringCommand::Dashboard => serde_json::to_string_pretty(&dashboard::dashboard())? + "\n",
    };
    print(&text)?;
    Ok(())
}
