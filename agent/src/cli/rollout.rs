//! `hardstand rollout`: from a plan to its end, as a person decides it.
//!
//! It must never start what the person has not seen: a plan is named, and what changed since is told.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};
use hardstand_core::audit::AuditRecord;
use hardstand_core::fleet::Policy;
use hardstand_core::operator;
use hardstand_core::plan::{NodePlan, Plan, RebootKind};
use hardstand_core::planner::{self, Wish};
use hardstand_core::rollout::{Rollout, RolloutState};
use hardstand_core::safety;
use hardstand_core::status::Blocker;
use hardstand_core::view::{Seen, View};
use hardstand_core::window::{Approves, Opening};
use serde::Serialize;

use super::desk::{Desk, DeskArgs, as_read_now, now_ms, refused, show};
use super::rollout_watch;
use super::watch::unix_seconds;
use crate::host::clock::opening;
use crate::report::document::rfc3339;
use crate::report::terminal::{age, one_line};
use crate::store::records::plan_id;

/// `hardstand rollout`
#[derive(Debug, Subcommand)]
pub(super) enum RolloutCommand {
    /// Plan: which nodes, in which order, with which packages and which reboot. Changes nothing on any node.
    ///
    /// The plan is kept in the store, so that it can be approved and started as it is.
    Plan(PlanArgs),
    /// Approve a plan.
    Approve(DecideArgs),
    /// Start an approved plan.
    ///
    /// A plan without a person's approval starts where an open window of the policy approves it.
    Start(DecideArgs),
    /// Follow the rollout to its end: every node's phase, what it waits for and why.
    ///
    /// Exit status 0 when it has finished, 2 when it was aborted or is halted.
    Watch {
        /// The plan's name or the beginning of its id; the one under way when absent.
        plan: Option<String>,
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// Begin nothing new. What has begun goes on to its next safe place.
    Pause(StateArgs),
    /// Go on after a pause.
    Resume(StateArgs),
    /// End it: nodes that have installed nothing go back, the others finish.
    Abort(StateArgs),
    /// Show a plan and how far it has come.
    Show {
        /// The plan's name or the beginning of its id; the one under way when absent.
        plan: Option<String>,
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// List the plans and what became of them.
    History {
        #[command(flatten)]
        desk: DeskArgs,
    },
}

/// `hardstand rollout plan`
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// What to call it; today's date when absent.
    #[arg(long)]
    name: Option<String>,
    /// Only this node; may be given again.
    #[arg(long = "node", value_name = "NODE")]
    nodes: Vec<String>,
    /// Restart at least this much, whatever the packages need.
    #[arg(long, value_name = "KIND")]
    reboot: Option<Restart>,
    /// Why to restart, for the plan; as in "firmware is staged".
    #[arg(long, requires = "reboot")]
    reason: Option<String>,
    /// Install nothing: restart alone.
    #[arg(long, requires = "reboot")]
    no_packages: bool,
    /// Have every node refresh its package lists first, and wait for it.
    #[arg(long)]
    refresh: bool,
    #[command(flatten)]
    desk: DeskArgs,
}

/// How much of a restart to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Restart {
    /// User space alone; only where the node declares it ([patch] soft_reboot).
    Soft,
    /// The kernel without the firmware; only where the node declares it ([patch] kexec).
    Kexec,
    /// The whole machine, through its firmware.
    Full,
}

/// A decision on one plan.
#[derive(Debug, Args)]
pub(super) struct DecideArgs {
    /// The plan's name or the beginning of its id.
    plan: String,
    /// Why, for the audit chain.
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    desk: DeskArgs,
}

/// A decision on the rollout under way.
#[derive(Debug, Args)]
pub(super) struct StateArgs {
    /// Why, for the audit chain.
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    desk: DeskArgs,
}

const SCHEMA: &str = "hardstand.plan/1";
const STATE_SCHEMA: &str = "hardstand.rollout/1";
const HISTORY_SCHEMA: &str = "hardstand.rollout-history/1";
/// Fetching package lists over a slow line, and resolving on a slow machine.
const REFRESH_LIMIT: Duration = Duration::from_secs(10 * 60);
/// Between two looks whether every node has.
const REFRESH_LOOK: Duration = Duration::from_secs(1);
/// Packages of a node that are listed by name; the rest is counted.
const LISTED: usize = 12;

/// `hardstand.plan/1`
#[derive(Debug, Serialize)]
pub(super) struct PlanDocument<'a> {
    pub(super) id: &'a str,
    pub(super) plan: &'a Plan,
    pub(super) approved_by: Option<&'a str>,
    /// What would keep each node from going down now.
    pub(super) blockers: Vec<Blocker>,
}

/// `hardstand.rollout/1`
#[derive(Debug, Serialize)]
struct StateDocument<'a> {
    rollout: Option<&'a Rollout>,
    halted: Option<&'a str>,
}

/// Does what is asked; the number is the exit status.
pub(super) fn run(command: &RolloutCommand) -> anyhow::Result<u8> {
    match command {
        RolloutCommand::Plan(args) => make(args),
        RolloutCommand::Approve(args) => approve(args),
        RolloutCommand::Start(args) => start(args),
        RolloutCommand::Watch { plan, desk } => return rollout_watch::run(plan.as_deref(), desk),
        RolloutCommand::Pause(args) => set(args, RolloutState::Paused),
        RolloutCommand::Resume(args) => set(args, RolloutState::Running),
        RolloutCommand::Abort(args) => set(args, RolloutState::Aborted),
        RolloutCommand::Show { plan, desk } => show_plan(plan.as_deref(), desk),
        RolloutCommand::History { desk } => history(desk),
    }?;
    Ok(0)
}

fn make(args: &PlanArgs) -> anyhow::Result<()> {
    let desk = Desk::open(&args.desk)?;
    if args.refresh {
        refresh(&desk, &args.nodes)?;
    }
    let why = args.reason.clone().unwrap_or_else(|| "asked for".to_owned());
    let reboot = args.reboot.map(|kind| match kind {
        Restart::Soft => (RebootKind::SoftReboot, why),
        Restart::Kexec => (RebootKind::Kexec, why),
        Restart::Full => (RebootKind::Full, why),
    });
    let wish = Wish { nodes: args.nodes.clone(), packages: !args.no_packages, reboot, ..Wish::default() };
    let (id, view) = keep(&desk, &wish, args.name.as_deref())?;
    tell(&args.desk, &view, &id)
}

/// Makes a plan and keeps it; its id, and the fleet with it.
pub(super) fn keep(desk: &Desk, wish: &Wish, name: Option<&str>) -> anyhow::Result<(String, View)> {
    let person = desk.person();
    let mut made = None;
    desk.commit(
        |_| Vec::new(),
        |view| {
            let policy =
                &view.policy.as_ref().context("no policy is applied; see: hardstand fleet apply --help")?.value;
            let wish = Wish {
                name: name.map_or_else(|| todays_name(view), str::to_owned),
                by: format!("operator:{}", person.name),
                made_unix_seconds: person.unix_seconds,
                policy: policy_id(policy),
                ..wish.clone()
            };
            let plan = planner::plan(view, &wish).map_err(|blockers| refused("nothing was planned", &blockers))?;
            let id = plan_id(&plan);
            made = Some(id.clone());
            Ok(operator::keep_plan(view, &person, &id, plan))
        },
    )?;
    Ok((made.context("a plan that was kept has an id")?, desk.view()?))
}

/// SHA-256 of the policy's text.
fn policy_id(policy: &Policy) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(crate::config::fleet::text(policy).as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Today, and a number where that is taken.
fn todays_name(view: &View) -> String {
    let today: String = rfc3339(unix_seconds()).chars().take(10).collect();
    let taken = |name: &str| view.plans.values().any(|plan| plan.value.name == name);
    let later = (2..).map(|number| format!("{today}-{number}"));
    std::iter::once(today.clone()).chain(later).find(|name| !taken(name)).unwrap_or(today)
}

/// Has every node refresh its package lists, and waits until each has answered.
fn refresh(desk: &Desk, nodes: &[String]) -> anyhow::Result<()> {
    let mut asked = 0;
    desk.commit(
        |_| Vec::new(),
        |view| {
            asked = view.ask.as_ref().map_or(0, |ask| ask.value.refresh) + 1;
            Ok(operator::ask_refresh(view))
        },
    )?;
    let begin = std::time::Instant::now();
    loop {
        let view = desk.view()?;
        let policy = &view.policy.as_ref().context("no policy is applied; see: hardstand fleet apply --help")?.value;
        let wanted = policy.nodes().filter(|node| nodes.is_empty() || nodes.iter().any(|one| one == node));
        let answered = |node: &&str| view.updates.get(*node).is_some_and(|said| said.value.answers >= asked);
        let missing: Vec<&str> = wanted.filter(|node| !answered(node)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        if begin.elapsed() > REFRESH_LIMIT {
            bail!(
                "{} did not refresh within {}; see there: journalctl -u hardstand-agent, or plan without --refresh",
                missing.join(", "),
                age(REFRESH_LIMIT.as_secs())
            );
        }
        std::thread::sleep(REFRESH_LOOK);
    }
}

/// The plan of this name, the newest of them, or the one whose id begins so.
pub(super) fn find<'a>(view: &'a View, word: &str) -> anyhow::Result<(&'a String, &'a Seen<Plan>)> {
    let named = view.plans.iter().filter(|(_, plan)| plan.value.name == word).max_by_key(|(_, plan)| plan.value.serial);
    if let Some(found) = named {
        return Ok(found);
    }
    let mut begins = view.plans.iter().filter(|(id, _)| !word.is_empty() && id.starts_with(word));
    match (begins.next(), begins.next()) {
        (Some(found), None) => Ok(found),
        (Some(_), Some(_)) => bail!("more than one plan's id begins with {word}; write more of it"),
        (None, _) => bail!("no plan is called {word}; see: hardstand rollout history"),
    }
}

/// The plan of this name, or the one under way.
pub(super) fn find_or_current<'a>(view: &'a View, word: Option<&str>) -> anyhow::Result<(&'a String, &'a Seen<Plan>)> {
    match word {
        Some(word) => find(view, word),
        None => {
            let rollout = view.rollout.as_ref().context("nothing was ever started; see: hardstand rollout history")?;
            let id = &rollout.value.plan;
            view.plans.get_key_value(id).ok_or_else(|| anyhow!("the plan {id} is not in the store"))
        }
    }
}

fn approve(args: &DecideArgs) -> anyhow::Result<()> {
    let desk = Desk::open(&args.desk)?;
    let person = desk.person();
    desk.commit(
        |view| find(view, &args.plan).map_or_else(|_| Vec::new(), |(_, plan)| vec![plan.modified]),
        |view| {
            let (id, plan) = find(view, &args.plan)?;
            Ok(operator::approve(view, &person, plan, id, &args.reason))
        },
    )?;
    let view = desk.view()?;
    let (id, _) = find(&view, &args.plan)?;
    tell(&args.desk, &view, id)
}

fn start(args: &DecideArgs) -> anyhow::Result<()> {
    let desk = Desk::open(&args.desk)?;
    let person = desk.person();
    approve_by_window(&desk, &args.plan)?;
    desk.commit(
        |view| find(view, &args.plan).map_or_else(|_| Vec::new(), |(_, plan)| vec![plan.modified]),
        |view| {
            let (id, _) = find(view, &args.plan)?;
            let name = &args.plan;
            operator::start(view, &person, id, &args.reason)
                .map_err(|blockers| refused(&format!("{name} was not started"), &blockers))
        },
    )?;
    tell_state(&desk, &args.desk, "started; follow it: hardstand rollout watch\n")
}

/// What no person has approved, an open window may.
fn approve_by_window(desk: &Desk, word: &str) -> anyhow::Result<()> {
    let view = desk.view()?;
    let (id, plan) = find(&view, word)?;
    if view.approvals.contains_key(id) {
        return Ok(());
    }
    let Some(policy) = view.policy.as_ref().map(|policy| &policy.value) else { return Ok(()) };
    let Opening::Open { window, .. } = opening(policy, unix_seconds()) else { return Ok(()) };
    let approves = policy.windows.get(&window).map(|window| window.approves).unwrap_or_default();
    let security = plan.value.nodes.iter().all(|part| part.packages.is_all_security());
    if approves == Approves::All || approves == Approves::Security && security {
        desk.commit(
            |_| Vec::new(),
            |view| {
                let (id, plan) = find(view, word)?;
                Ok(operator::approve_by_window(view, &desk.person(), plan, id, &window))
            },
        )?;
    }
    Ok(())
}

fn set(args: &StateArgs, state: RolloutState) -> anyhow::Result<()> {
    let desk = Desk::open(&args.desk)?;
    let person = desk.person();
    desk.commit(
        |view| vec![view.rollout.as_ref().map_or(0, |rollout| rollout.modified)],
        |view| {
            operator::set_state(view, &person, state, &args.reason)
                .map_err(|blockers| refused("nothing was changed", &blockers))
        },
    )?;
    tell_state(&desk, &args.desk, &format!("{}\n", state.word()))
}

fn tell_state(desk: &Desk, args: &DeskArgs, text: &str) -> anyhow::Result<()> {
    let view = desk.view()?;
    let rollout = view.rollout.as_ref().map(|rollout| &rollout.value);
    let halted = view.halt.as_ref().map(|halt| halt.value.reason.as_str());
    let name = rollout.map_or("", |rollout| rollout.name.as_str());
    show(args.json, STATE_SCHEMA, &StateDocument { rollout, halted }, &format!("rollout {} {text}", one_line(name)))
}

fn show_plan(word: Option<&str>, args: &DeskArgs) -> anyhow::Result<()> {
    let view = Desk::open(args)?.view()?;
    let (id, _) = find_or_current(&view, word)?;
    tell(args, &view, id)
}

fn tell(args: &DeskArgs, view: &View, id: &String) -> anyhow::Result<()> {
    let plan = &view.plans.get(id).context("the plan is no longer in the store; see: hardstand rollout history")?.value;
    let document = PlanDocument {
        id,
        plan,
        approved_by: view.approvals.get(id).map(|approval| approval.value.by.as_str()),
        blockers: blockers_now(view, id),
    };
    show(args.json, SCHEMA, &document, &screen(&document, view))
}

/// What would keep nodes of the plan that are not done from going down if it ran now. From one reading: whether a node
/// reports freshly is known by its session alone.
pub(super) fn blockers_now(view: &View, id: &str) -> Vec<Blocker> {
    let now_ms = now_ms();
    let mut then = as_read_now(view, now_ms);
    let Some(plan) = view.plans.get(id).map(|plan| &plan.value) else { return Vec::new() };
    let running = view.rollout.as_ref().is_some_and(|rollout| rollout.value.plan == id);
    if !running {
        then.rollout = Some(Seen {
            value: Rollout {
                plan: id.to_owned(),
                name: plan.name.clone(),
                serial: plan.serial,
                state: RolloutState::Running,
                by: String::new(),
                reason: String::new(),
                started_unix_seconds: 0,
            },
            created: 0,
            modified: 0,
            first_seen_ms: now_ms,
            changed_ms: now_ms,
            watched: true,
        });
    }
    let opening = then.policy.as_ref().map_or(Opening::Always, |policy| opening(&policy.value, unix_seconds()));
    let open =
        plan.nodes.iter().filter(|part| then.done(id, &part.node).is_none() && then.lease_of(&part.node).is_none());
    let mut blockers: Vec<Blocker> = open
        .flat_map(|part| safety::blockers(&then, part, &opening, now_ms))
        // These are about a rollout under way: who goes last, and what its leader's probes of services say.
        .filter(|one| !["store.last", "service"].contains(&one.check.as_str()))
        .collect();
    blockers.sort();
    blockers.dedup();
    blockers
}

fn screen(document: &PlanDocument<'_>, view: &View) -> String {
    let PlanDocument { id, plan, approved_by, blockers } = document;
    let whole: u64 = plan.nodes.iter().map(|part| part.estimate_seconds).sum();
    let mut out = format!(
        "plan {}   {}   {} node{}, about {} one after the other\n",
        one_line(&plan.name),
        short(id),
        plan.nodes.len(),
        if plan.nodes.len() == 1 { "" } else { "s" },
        age(whole)
    );
    for (place, part) in plan.nodes.iter().enumerate() {
        let done = if view.done(id, &part.node).is_some() { "   done" } else { "" };
        line(&mut out, &format!("  {}  {}   about {}{done}", place + 1, part_line(part), age(part.estimate_seconds)));
        for change in part.packages.changes().iter().take(LISTED) {
            let from = change.from.as_deref().unwrap_or("(new)");
            let to = change.to.as_deref().unwrap_or("(removed)");
            let security = if change.security { "  security" } else { "" };
            line(&mut out, &format!("       {} {from} -> {to}{security}", change.name));
        }
        let more = part.packages.changes().len().saturating_sub(LISTED);
        if more > 0 {
            line(&mut out, &format!("       and {more} more"));
        }
    }
    if !blockers.is_empty() {
        out.push_str("in the way now\n");
        for blocker in blockers {
            line(&mut out, &format!("  {}: {}", blocker.check, blocker.why));
            line(&mut out, &format!("      {}", blocker.way_out));
        }
    }
    match approved_by {
        Some(by) => line(&mut out, &format!("approved by {by}; next: hardstand rollout start {}", plan.name)),
        None => line(&mut out, &format!("not approved; next: hardstand rollout approve {}", plan.name)),
    }
    out
}

fn part_line(part: &NodePlan) -> String {
    let count = part.packages.changes().len();
    let security = part.packages.changes().iter().filter(|change| change.security).count();
    let packages = match (count, security) {
        (0, _) => "no packages".to_owned(),
        (count, 0) => format!("{count} packages"),
        (count, security) => format!("{count} packages ({security} security)"),
    };
    let alone = if part.alone { ", alone" } else { "" };
    format!("{}   {packages}, reboot {}: {}{alone}", part.node, part.reboot.kind.word(), part.reboot.why)
}

/// What of an id people are shown.
pub(super) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

pub(super) fn line(out: &mut String, text: &str) {
    writeln!(out, "{}", one_line(text)).expect("writing to a string never fails");
}

/// One row of `hardstand.rollout-history/1`.
#[derive(Debug, Serialize)]
struct HistoryRow {
    name: String,
    id: String,
    serial: u64,
    made_by: String,
    approved_by: Option<String>,
    /// `planned`, `running`, `paused`, `aborted`, `finished`.
    state: &'static str,
    nodes_done: usize,
    nodes: usize,
    last_unix_seconds: u64,
}

fn history(args: &DeskArgs) -> anyhow::Result<()> {
    let (view, audit) = Desk::open(args)?.read()?;
    let mut rows: Vec<HistoryRow> = view.plans.iter().map(|(id, plan)| row(&view, &audit, id, &plan.value)).collect();
    rows.sort_by_key(|row| row.serial);
    let mut out = String::new();
    for row in rows.iter().rev() {
        let when = rfc3339(row.last_unix_seconds);
        line(
            &mut out,
            &format!(
                "{when}  {:<14} {}  {:<8}  {} of {} nodes  planned by {}",
                row.name,
                short(&row.id),
                row.state,
                row.nodes_done,
                row.nodes,
                row.made_by
            ),
        );
    }
    if out.is_empty() {
        out.push_str("no plan was ever made; see: hardstand rollout plan --help\n");
    }
    show(args.json, HISTORY_SCHEMA, &serde_json::json!({ "plans": rows }), &out)
}

fn row(view: &View, audit: &[AuditRecord], id: &str, plan: &Plan) -> HistoryRow {
    use hardstand_core::audit::Transition;
    let of_plan = || audit.iter().filter(|record| record.deed.plan.as_deref() == Some(id));
    let state = of_plan().rev().find_map(|record| match record.deed.what {
        Transition::Started | Transition::Resumed => Some("running"),
        Transition::Paused => Some("paused"),
        Transition::Aborted => Some("aborted"),
        Transition::Finished => Some("finished"),
        _ => None,
    });
    HistoryRow {
        name: plan.name.clone(),
        id: id.to_owned(),
        serial: plan.serial,
        made_by: plan.by.clone(),
        approved_by: view.approvals.get(id).map(|approval| approval.value.by.clone()),
        state: state.unwrap_or("planned"),
        nodes_done: plan.nodes.iter().filter(|part| view.done(id, &part.node).is_some()).count(),
        nodes: plan.nodes.len(),
        last_unix_seconds: of_plan().next_back().map_or(plan.made_unix_seconds, |record| record.deed.at_unix_seconds),
    }
}

#[cfg(test)]
mod tests;
