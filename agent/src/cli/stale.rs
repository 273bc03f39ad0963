//! `hardstand restart-stale`: what the helper runs, outside its sandbox, where a plan restarts services only.
//!
//! It must never restart what the configuration keeps running, and never call a service restarted that is not up.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::config;
use crate::host::Host;
use crate::host::stale::stale_services;
use crate::host::systemd::jobs::Jobs;
use crate::report::terminal;

/// What one service may take to stop and to start: systemd's own limits are 90 s each.
const RESTART_LIMIT: Duration = Duration::from_secs(190);

/// `hardstand restart-stale`
#[derive(Debug, Args)]
pub(super) struct StaleArgs {
    /// Only name them.
    #[arg(long)]
    dry_run: bool,
}

/// Restarts the services that still run replaced code, one after the other.
pub(super) fn run(args: &StaleArgs) -> anyhow::Result<()> {
    let settings = config::load(None)?.settings;
    let services = stale_services(&Host::this(), &settings.patch.keep_running);
    for service in &services {
        terminal::print(&format!("{service}\n")).context("printing")?;
    }
    if args.dry_run {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let failed = runtime.block_on(restart(&services))?;
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} did not come back; see: systemctl status {}", failed.join(", "), failed.join(" "))
}

/// Restarts them all and names those that are not up afterwards.
async fn restart(services: &[String]) -> anyhow::Result<Vec<String>> {
    let jobs = Jobs::default();
    let mut failed = Vec::new();
    for service in services {
        jobs.restart(service).await?;
        if !jobs.settled(service, RESTART_LIMIT).await?.is_up() {
            failed.push(service.clone());
        }
    }
    Ok(failed)
}
