//! `hardstand fleet`: the policy that the operators keep in git, applied, shown, compared.
//!
//! It must never apply a file that has a problem, nor apply over a policy the person has not seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use hardstand_core::fleet::Policy;
use hardstand_core::operator;
use hardstand_core::safety;
use hardstand_core::view::View;
use serde::Serialize;

use super::desk::{Desk, DeskArgs, now_ms, refused, show};
use crate::config::fleet::{flat, load, text};
use crate::report::table::{Cell, Fit, Row, draw};
use crate::report::terminal::{self, Style};

/// `hardstand fleet`
#[derive(Debug, Subcommand)]
pub(super) enum FleetCommand {
    /// Check a policy file, and name everything that is wrong. Touches no store.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Apply a policy file to the fleet.
    Apply {
        /// The file.
        file: PathBuf,
        /// Why, for the audit chain.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// Show the fleet: its nodes now, and the applied policy.
    Show {
        /// Print the policy as a file instead.
        #[arg(long)]
        policy: bool,
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// Show what applying a file would change.
    Diff {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        desk: DeskArgs,
    },
}

const SCHEMA: &str = "hardstand.fleet/1";
const DIFF_SCHEMA: &str = "hardstand.fleet-diff/1";

/// `hardstand.fleet/1`
#[derive(Debug, Serialize)]
struct FleetDocument<'a> {
    policy: Option<&'a Policy>,
    revision: u64,
    halted: Option<&'a str>,
    nodes: Vec<NodeRow>,
}

/// One node of the fleet, as its last report and the store have it.
#[derive(Debug, Serialize)]
struct NodeRow {
    node: String,
    group: String,
    /// Whether its agent has a session.
    alive: bool,
    phase: Option<String>,
    verdict: Option<String>,
    kernel: Option<String>,
    version: Option<String>,
    /// Security updates on offer, and all updates.
    updates: Option<(usize, usize)>,
    /// What it waits for, why it holds, or why it counts as down.
    says: Option<String>,
}

/// `hardstand.fleet-diff/1`
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Difference {
    changes: Vec<Change>,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
struct Change {
    key: String,
    from: Option<String>,
    to: Option<String>,
}

/// Does what is asked.
pub(super) fn run(command: &FleetCommand) -> anyhow::Result<()> {
    match command {
        FleetCommand::Check { file } => {
            load(file)?;
            terminal::print(&format!("{}: ok\n", file.display()))?;
            Ok(())
        }
        FleetCommand::Apply { file, reason, desk } => apply(file, reason.as_deref(), desk),
        FleetCommand::Show { policy, desk: args } => {
            let view = Desk::open(args)?.view()?;
            let document = document(&view);
            let shown = if *policy {
                text(&view.policy.as_ref().context("no policy is applied; see: hardstand fleet apply --help")?.value)
            } else {
                screen(&document, Style::of_stdout())
            };
            show(args.json, SCHEMA, &document, &shown)
        }
        FleetCommand::Diff { file, desk: args } => {
            let policy = load(file)?;
            let view = Desk::open(args)?.view()?;
            let difference = difference(view.policy.as_ref().map(|seen| &seen.value), &policy);
            show(args.json, DIFF_SCHEMA, &difference, &changes(&difference))
        }
    }
}

fn apply(file: &Path, reason: Option<&str>, args: &DeskArgs) -> anyhow::Result<()> {
    let policy = load(file)?;
    let desk = Desk::open(args)?;
    let view = desk.view()?;
    let difference = difference(view.policy.as_ref().map(|seen| &seen.value), &policy);
    if difference.changes.is_empty() {
        return show(args.json, DIFF_SCHEMA, &difference, "nothing changes: this policy is applied already\n");
    }
    let reason = reason.map_or_else(|| format!("{} changes", difference.changes.len()), str::to_owned);
    desk.commit(
        |view| vec![view.policy.as_ref().map_or(0, |seen| seen.modified)],
        |view| {
            operator::apply_policy(view, &desk.person(), policy.clone(), &reason)
                .map_err(|blockers| refused("the policy cannot be applied", &blockers))
        },
    )?;
    show(args.json, DIFF_SCHEMA, &difference, &format!("applied {}:\n{}", file.display(), changes(&difference)))
}

fn difference(old: Option<&Policy>, new: &Policy) -> Difference {
    let old = old.map(flat).unwrap_or_default();
    let new = flat(new);
    let mut keys: BTreeMap<&String, ()> = BTreeMap::new();
    keys.extend(old.keys().chain(new.keys()).map(|key| (key, ())));
    let rows =
        keys.into_keys().map(|key| Change { key: key.clone(), from: old.get(key).cloned(), to: new.get(key).cloned() });
    Difference { changes: rows.filter(|row| row.from != row.to).collect() }
}

fn changes(difference: &Difference) -> String {
    let mut out = String::new();
    for Change { key, from, to } in &difference.changes {
        let line = match (from, to) {
            (None, Some(to)) => format!("+ {key} = {to}"),
            (Some(from), None) => format!("- {key} = {from}"),
            (from, to) => format!("~ {key} = {} (was {})", to.as_deref().unwrap_or(""), from.as_deref().unwrap_or("")),
        };
        writeln!(out, "{}", terminal::one_line(&line)).expect("writing to a string never fails");
    }
    if out.is_empty() {
        out.push_str("nothing changes\n");
    }
    out
}

fn document(view: &View) -> FleetDocument<'_> {
    let policy = view.policy.as_ref().map(|seen| &seen.value);
    let mut nodes: Vec<(String, String)> = Vec::new();
    for group in policy.iter().flat_map(|policy| &policy.groups) {
        nodes.extend(group.nodes.iter().map(|node| (node.clone(), group.name.clone())));
    }
    for node in view.sessions.keys().chain(view.reports.keys()) {
        if !nodes.iter().any(|(listed, _)| listed == node) {
            nodes.push((node.clone(), "-".to_owned()));
        }
    }
    FleetDocument {
        policy,
        revision: view.revision,
        halted: view.halt.as_ref().map(|halt| halt.value.reason.as_str()),
        nodes: nodes.into_iter().map(|(node, group)| row(view, node, group)).collect(),
    }
}

fn row(view: &View, node: String, group: String) -> NodeRow {
    let report = view.reports.get(&node).map(|seen| &seen.value);
    let updates = view.updates.get(&node).map(|seen| &seen.value).filter(|updates| updates.failed.is_none());
    let alive = view.sessions.contains_key(&node);
    // Ages cannot be told from one look, so only what one look shows counts here.
    let away = (!alive || report.is_none() || view.outcasts.contains_key(&node))
        .then(|| safety::down(view, &node, now_ms()))
        .flatten();
    let held = report.and_then(|report| report.hold.as_ref()).map(|hold| format!("holds: {}", hold.reason));
    let waits = report.and_then(|report| report.waits_for.clone()).map(|what| format!("waits for {what}"));
    NodeRow {
        alive,
        phase: report.map(|report| report.phase.word().to_owned()),
        verdict: report.map(|report| report.verdict.word().to_owned()),
        kernel: report.map(|report| report.kernel.clone()),
        version: report.map(|report| report.version.clone()),
        updates: updates.map(|updates| {
            let changes = updates.packages.changes();
            (changes.iter().filter(|change| change.security).count(), changes.len())
        }),
        says: away.or(held).or(waits),
        node,
        group,
    }
}

fn screen(document: &FleetDocument<'_>, style: Style) -> String {
    let Some(policy) = document.policy else {
        return "no policy is applied; see: hardstand fleet apply --help\n".to_owned();
    };
    let mut out =
        format!("fleet {}   {} nodes in {} groups\n", policy.fleet.name, document.nodes.len(), policy.groups.len());
    if let Some(reason) = document.halted {
        writeln!(out, "HALTED: {}", terminal::one_line(reason)).expect("writing to a string never fails");
    }
    let headings = [
        ("node", Fit::Whole),
        ("group", Fit::Cut),
        ("phase", Fit::Whole),
        ("health", Fit::Whole),
        ("updates", Fit::Whole),
        ("kernel", Fit::Cut),
    ];
    let rows = document.nodes.iter().map(|node| {
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let updates =
            node.updates.map_or_else(|| "-".to_owned(), |(security, all)| format!("{all} ({security} security)"));
        Row {
            cells: vec![
                Cell::new(&node.node),
                Cell::new(&node.group),
                Cell::new(or(&node.phase)),
                Cell::new(or(&node.verdict)),
                Cell::new(updates),
                Cell::new(or(&node.kernel)),
            ],
            below: node.says.clone().unwrap_or_default(),
        }
    });
    out + &draw(style, &headings, &rows.collect::<Vec<_>>(), 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fleet::{SAMPLE, parse};

    #[test]
    fn a_difference_names_each_key() {
        let old = parse(Path::new("a"), SAMPLE).unwrap();
        let text = SAMPLE.replace("max_down = 1", "max_down = 2").replace("approves = \"security\"", "");
        let new = parse(Path::new("b"), &text).unwrap();
        assert_eq!(
            changes(&difference(Some(&old), &new)),
            "~ group.cluster.max_down = 2 (was 1)\n~ window.monthly.approves = \"nothing\" (was \"security\")\n"
        );
        assert_eq!(changes(&difference(Some(&old), &old)), "nothing changes\n");
        assert!(changes(&difference(None, &new)).starts_with("+ fleet.name = \"home\"\n"));
    }
}
