//! `hardstand inventory`: what the machine is made of.
//!
//! It must never guess: what could not be read is shown with its reason.

use clap::Args;

use super::ViewArgs;
use super::client::Agent;
use crate::report::document::InventoryDocument;
use crate::report::inventory_screen::inventory_screen;
use crate::report::terminal::{self, Style};
use crate::{config, run};

/// `hardstand inventory`
#[derive(Debug, Args)]
pub(super) struct InventoryArgs {
    /// Print hardstand.inventory/1.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    view: ViewArgs,
}

/// Prints the inventory.
pub(super) fn run(args: &InventoryArgs) -> anyhow::Result<()> {
    let document: InventoryDocument = if args.view.local {
        let (observed, _) = run::local_pass(config::load(args.view.config.as_deref())?.settings)?;
        InventoryDocument::from(&observed)
    } else {
        Agent::at(&args.view.socket.socket)?.get("/v1/inventory")?
    };
    let text = if args.json {
        serde_json::to_string_pretty(&document)? + "\n"
    } else {
        inventory_screen(&document, Style::of_stdout())
    };
    terminal::print(&text)?;
    Ok(())
}
