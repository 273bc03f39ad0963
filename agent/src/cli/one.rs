//! `hardstand node`: one node, under the same lease and the same gates as in a rollout of all.
//!
//! It must never go around the plan: what is done to one node is a rollout of one.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use hardstand_core::operator;
use hardstand_core::plan::RebootKind;
use hardstand_core::planner::Wish;
use hardstand_core::rollout::RolloutState;
use hardstand_core::status::{Blocker, Report};
use hardstand_core::view::View;
use hardstand_core::window::span;
use serde::Serialize;

use super::desk::{Desk, DeskArgs, refused, show};
use super::rollout::{blockers_now, keep, line};
use super::rollout_watch;
use crate::report::terminal::one_line;

/// `hardstand node`
#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// Show what a node says of itself, and what would keep it from going down now.
    Show {
        /// The node.
        node: String,
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// Take a node's services away and leave it so, for work by hand.
    Drain {
        /// For how long at most; after that the fleet is halted, so that it is not forgotten.
        #[arg(long = "for", value_name = "SPAN", default_value = "4h", value_parser = span::parse)]
        limit: u64,
        #[command(flatten)]
        one: OneArgs,
    },
    /// Give a drained node its services back.
    Undrain {
        /// The node.
        node: String,
        /// Why, for the audit chain.
        #[arg(long, default_value = "done")]
        reason: String,
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// Drain a node, restart it, prove it, and give its services back.
    Reboot(OneArgs),
    /// Install what a node has on offer, and restart it where that is needed.
    Patch(OneArgs),
}

/// One node and why.
#[derive(Debug, Args)]
pub(super) struct OneArgs {
    /// The node.
    node: String,
    /// Why, for the plan and the audit chain.
    #[arg(long)]
    reason: String,
    /// Return at once instead of following it to the end.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    desk: DeskArgs,
}

const SCHEMA: &str = "hardstand.node/1";

#[derive(Debug, Serialize)]
struct NodeDocument<'a> {
    report: &'a Report,
    /// Whether its agent has a session.
    alive: bool,
    lease: Option<String>,
    blockers: Vec<Blocker>,
}

/// Does what is asked; the number is the exit status.
pub(super) fn run(command: &NodeCommand) -> anyhow::Result<u8> {
    match command {
        NodeCommand::Show { node, desk } => tell(&Desk::open(desk)?.view()?, node, desk.json).map(|()| 0),
        NodeCommand::Drain { limit, one } => {
            if *limit == 0 {
                bail!("--for must be more than nothing, as in 4h");
            }
            roll(one, &Wish { stay_seconds: *limit, ..Wish::default() })
        }
        NodeCommand::Undrain { node, reason, desk } => undrain(node, reason, desk),
        NodeCommand::Reboot(one) => {
            roll(one, &Wish { reboot: Some((RebootKind::Full, one.reason.clone())), ..Wish::default() })
        }
        NodeCommand::Patch(one) => roll(one, &Wish { packages: true, ..Wish::default() }),
    }
}

/// Plans, approves, starts and follows a rollout of one node.
fn roll(args: &OneArgs, wish: &Wish) -> anyhow::Result<u8> {
    let desk = Desk::open(&args.desk)?;
    let wish = Wish { nodes: vec![args.node.clone()], ..wish.clone() };
    let (id, _) = keep(&desk, &wish, None)?;
    let person = desk.person();
    desk.commit(
        |_| Vec::new(),
        |view| {
            let plan = view.plans.get(&id).context("the plan just made is gone; who else works on the store?")?;
            Ok(operator::approve(view, &person, plan, &id, &args.reason))
        },
    )?;
    desk.commit(
        |_| Vec::new(),
        |view| {
            operator::start(view, &person, &id, &args.reason)
                .map_err(|blockers| refused(&format!("{} is left as it is", args.node), &blockers))
        },
    )?;
    if args.no_wait || wish.stay_seconds > 0 {
        let text = format!("started; follow it: hardstand rollout watch {}\n", super::rollout::short(&id));
        show(args.desk.json, SCHEMA, &serde_json::json!({ "node": args.node, "plan": id }), &text)?;
        return Ok(0);
    }
    rollout_watch::run(Some(&id), &args.desk)
}

/// Ends the rollout that keeps a node drained: it goes back the way it came.
fn undrain(node: &str, reason: &str, args: &DeskArgs) -> anyhow::Result<u8> {
    let desk = Desk::open(args)?;
    let person = desk.person();
    desk.commit(
        |view| vec![view.rollout.as_ref().map_or(0, |rollout| rollout.modified)],
        |view| {
            let stays = view.plan().is_some_and(|(_, plan)| {
                plan.value.nodes.iter().all(|part| part.node == node && part.stay_seconds > 0)
            });
            if !stays {
                bail!("{node} is not kept drained; see: hardstand lease list");
            }
            operator::set_state(view, &person, RolloutState::Aborted, reason)
                .map_err(|blockers| refused("nothing was changed", &blockers))
        },
    )?;
    let text = format!("{} goes back; follow it: hardstand rollout watch\n", one_line(node));
    show(args.json, SCHEMA, &serde_json::json!({ "node": node }), &text)?;
    Ok(0)
}

fn tell(view: &View, node: &str, json: bool) -> anyhow::Result<()> {
    let report = view.reports.get(node).map(|report| &report.value);
    let report = report.with_context(|| format!("{node} has never reported; see: hardstand fleet show"))?;
    let lease = view.lease_of(node).map(|lease| lease.value.token(lease.created).to_string());
    let blockers = match view.plan().filter(|(_, plan)| plan.value.of(node).is_some()) {
        Some((rollout, _)) => {
            let of_node = |one: &Blocker| one.subject == node || one.subject == "fleet";
            blockers_now(view, &rollout.value.plan).into_iter().filter(of_node).collect()
        }
        None => report.blockers().collect(),
    };
    let document = NodeDocument { report, alive: view.sessions.contains_key(node), lease, blockers };
    show(json, SCHEMA, &document, &screen(&document))
}

fn screen(document: &NodeDocument<'_>) -> String {
    let NodeDocument { report, alive, lease, blockers } = document;
    let mut out = String::new();
    let alive = if *alive { "its agent is connected" } else { "its agent is NOT connected; this is what it said last" };
    line(&mut out, &format!("{}  {}  {alive}", report.node, report.verdict.word()));
    line(
        &mut out,
        &format!(
            "  phase    {}{}",
            report.phase,
            lease.as_ref().map_or_else(String::new, |lease| format!(", lease {lease}"))
        ),
    );
    line(&mut out, &format!("  kernel   {}", report.kernel));
    line(&mut out, &format!("  agent    {}", report.version));
    if let Some(what) = &report.waits_for {
        line(&mut out, &format!("  waits    {what}"));
    }
    if let Some(hold) = &report.hold {
        line(&mut out, &format!("  HOLDS    {}; {}", hold.reason, hold.next_action));
    }
    for finding in &report.findings {
        let gate = if finding.blocks { "  blocks" } else { "" };
        line(
            &mut out,
            &format!(
                "  {:<8} {} {}: {}{gate}",
                finding.severity.word(),
                finding.check,
                finding.subject,
                finding.summary
            ),
        );
    }
    if !blockers.is_empty() {
        writeln!(out, "in the way now").expect("writing to a string never fails");
        for blocker in blockers {
            line(&mut out, &format!("  {}: {}", blocker.check, blocker.why));
            line(&mut out, &format!("      {}", blocker.way_out));
        }
    }
    out
}
