//! `hardstand lease`: who is in maintenance, and the last resort for a node that cannot give its lease back.
//!
//! It must never make a forced release look safe: no program can know that a machine is off.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use hardstand_core::lease::{Lease, LeaseState};
use hardstand_core::operator;
use hardstand_core::view::View;
use serde::Serialize;

use super::desk::{Desk, DeskArgs, show};
use super::rollout::line;

/// `hardstand lease`
#[derive(Debug, Subcommand)]
pub(super) enum LeaseCommand {
    /// List the leases that are taken, and nodes that lost theirs to a person.
    List {
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// Show a node's lease.
    Show {
        /// The node.
        node: String,
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// Take a lease away from a node that cannot give it back itself.
    ///
    /// Safe only while the machine is off for sure: look at its power, or pull the plug. A machine that still runs may
    /// go on with what it began. The node counts as down until its agent has proved itself again.
    Release(ReleaseArgs),
}

/// `hardstand lease release`
#[derive(Debug, Args)]
pub(super) struct ReleaseArgs {
    /// The node.
    node: String,
    /// That you know what it means.
    #[arg(long)]
    force: bool,
    /// Why.
    #[arg(long)]
    reason: String,
    /// How you know that the machine is off, as in "power button held, fans stopped".
    #[arg(long)]
    evidence: String,
    #[command(flatten)]
    desk: DeskArgs,
}

const SCHEMA: &str = "hardstand.leases/1";

#[derive(Debug, Serialize)]
struct LeasesDocument<'a> {
    leases: Vec<Row<'a>>,
    /// Nodes whose lease a person took, until they have proved themselves.
    outcasts: Vec<&'a String>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    token: String,
    #[serde(flatten)]
    lease: &'a Lease,
}

/// Does what is asked.
pub(super) fn run(command: &LeaseCommand) -> anyhow::Result<()> {
    match command {
        LeaseCommand::List { desk } => tell(&Desk::open(desk)?.view()?, desk.json, None),
        LeaseCommand::Show { node, desk } => {
            let view = Desk::open(desk)?.view()?;
            if view.lease_of(node).is_none() && !view.outcasts.contains_key(node) {
                bail!("{node} has no lease; see all: hardstand lease list");
            }
            tell(&view, desk.json, Some(node))
        }
        LeaseCommand::Release(args) => release(args),
    }
}

fn release(args: &ReleaseArgs) -> anyhow::Result<()> {
    let node = &args.node;
    if !args.force {
        bail!(
            "nothing was released: a machine that still runs may go on with what it began. Make sure that {node} is off, \
             then add --force; where it runs, its agent gives the lease back itself: systemctl status hardstand-agent"
        );
    }
    let desk = Desk::open(&args.desk)?;
    let person = desk.person();
    desk.commit(
        |view| vec![view.lease_of(node).map_or(0, |lease| lease.modified)],
        |view| {
            let held =
                view.lease_of(node).with_context(|| format!("{node} has no lease; see: hardstand lease list"))?;
            Ok(operator::force_release(view, &person, held, &args.reason, &args.evidence))
        },
    )?;
    tell(&desk.view()?, args.desk.json, None)
}

fn tell(view: &View, json: bool, only: Option<&String>) -> anyhow::Result<()> {
    let wanted = |node: &String| only.is_none_or(|only| only == node);
    let leases = view.leases.values().filter(|lease| wanted(&lease.value.node));
    let leases =
        leases.map(|lease| Row { token: lease.value.token(lease.created).to_string(), lease: &lease.value }).collect();
    let document = LeasesDocument { leases, outcasts: view.outcasts.keys().filter(|node| wanted(node)).collect() };
    show(json, SCHEMA, &document, &screen(&document))
}

fn screen(document: &LeasesDocument<'_>) -> String {
    let mut out = String::new();
    for Row { token, lease } in &document.leases {
        let state = match lease.state {
            LeaseState::Granted => "granted".to_owned(),
            LeaseState::Entered => format!("entered, {}", lease.phase),
        };
        let Lease { node, group, slot, deadline_seconds, .. } = lease;
        line(
            &mut out,
            &format!("{node}  slot {slot} of {group}  {state}  at most {deadline_seconds} s a phase  token {token}"),
        );
    }
    for node in &document.outcasts {
        line(
            &mut out,
            &format!("{node}  lost its lease to a person, counts as down until its agent has proved itself"),
        );
    }
    if out.is_empty() {
        out.push_str("no lease is taken\n");
    }
    out
}
