//! `hardstand status`: the node on one screen.
//!
//! It must never hide that a value is old: what is not current is named.

use super::client::Agent;
use super::{ViewArgs, watch};
use crate::report::document::HealthDocument;
use crate::report::status_screen::status_screen;
use crate::report::terminal::{self, Style};
use crate::{config, run};

/// Prints the screen.
pub(super) fn run(args: &ViewArgs) -> anyhow::Result<()> {
    let (observed, health) = if args.local {
        let (observed, health) = run::local_pass(config::load(args.config.as_deref())?.settings)?;
        (observed, HealthDocument::from(&health))
    } else {
        let agent = Agent::at(&args.socket.socket)?;
        (agent.get("/v1/observed")?, agent.get("/v1/health")?)
    };
    terminal::print(&status_screen(&observed, &health, Style::of_stdout(), watch::unix_seconds()))?;
    Ok(())
}
