//! `hardstand runbook`: what a rollout was, as Markdown for the site's git.
//!
//! It must never tell more than the audit chain and the records hold: a chain that is broken is said to be.

use anyhow::Context as _;
use clap::Args;
use hardstand_core::audit::{AuditHead, AuditRecord, Transition, verify};
use hardstand_core::plan::{NodePlan, Plan};
use hardstand_core::rollout::{Done, Probed};
use hardstand_core::view::View;
use serde::Serialize;

use super::desk::{Desk, DeskArgs, show};
use super::rollout::{find, line, short};
use super::rollout_watch::{clock, last_failure, share, spent};
use crate::report::document::rfc3339;
use crate::report::terminal::one_line;

/// `hardstand runbook`
#[derive(Debug, Args)]
pub(super) struct RunbookArgs {
    /// The rollout, by its plan's name or the beginning of its id.
    rollout: String,
    #[command(flatten)]
    desk: DeskArgs,
}

const SCHEMA: &str = "hardstand.runbook/1";

#[derive(Debug, Serialize)]
struct RunbookDocument<'a> {
    id: &'a str,
    plan: &'a Plan,
    done: Vec<&'a Done>,
    services: Vec<Probed>,
    records: Vec<&'a AuditRecord>,
    chain: String,
}

/// Prints it.
pub(super) fn run(args: &RunbookArgs) -> anyhow::Result<()> {
    let (view, mut audit) = Desk::open(&args.desk)?.read()?;
    audit.sort_by_key(|record| record.seq);
    let (id, plan) = find(&view, &args.rollout).context("finding the rollout")?;
    let document = document(&view, &audit, id, &plan.value);
    show(args.desk.json, SCHEMA, &document, &markdown(&document, &view))
}

/// The same without a store; the audit records in their order.
#[cfg(test)]
pub(super) fn markdown_of(view: &View, audit: &[AuditRecord], id: &str, plan: &Plan) -> String {
    markdown(&document(view, audit, id, plan), view)
}

fn document<'a>(view: &'a View, audit: &'a [AuditRecord], id: &'a str, plan: &'a Plan) -> RunbookDocument<'a> {
    let mine = |record: &&AuditRecord| record.deed.plan.as_deref() == Some(id);
    let first = audit.iter().find(mine).map_or(u64::MAX, |record| record.seq);
    let last = audit.iter().rev().find(mine).map_or(0, |record| record.seq);
    // What was not done for a plan happened to it all the same: a halt, its lifting, a new leader.
    let about = |record: &&AuditRecord| {
        mine(record)
            || (first..=last).contains(&record.seq)
                && matches!(
                    record.deed.what,
                    Transition::Led
                        | Transition::Halted
                        | Transition::Lifted
                        | Transition::ForceReleased
                        | Transition::Rejoined
                )
    };
    let chain = match verify(&AuditHead::default(), audit) {
        Ok(head) => format!("whole up to record {}, {}", head.seq, head.hash),
        Err(broken) => format!("BROKEN: {broken}"),
    };
    RunbookDocument {
        id,
        plan,
        done: plan.nodes.iter().filter_map(|part| view.done(id, &part.node)).map(|done| &done.value).collect(),
        services: view.services(id),
        records: audit.iter().filter(about).collect(),
        chain,
    }
}

fn markdown(document: &RunbookDocument<'_>, view: &View) -> String {
    let RunbookDocument { id, plan, done, services, records, chain } = document;
    let of = |what: Transition| records.iter().find(|record| record.deed.what == what).map(|record| &record.deed);
    let mut out = format!("# Rollout {}\n\n", cell(&plan.name));
    line(&mut out, &format!("- plan `{id}`, made by {} at {}", plan.by, rfc3339(plan.made_unix_seconds)));
    for (what, word) in [(Transition::Approved, "approved"), (Transition::Started, "started")] {
        if let Some(deed) = of(what) {
            let reason = if deed.reason.is_empty() { String::new() } else { format!(": {}", deed.reason) };
            line(&mut out, &format!("- {word} by {} at {}{reason}", deed.by, rfc3339(deed.at_unix_seconds)));
        }
    }
    let end = [Transition::Finished, Transition::Aborted].into_iter().find_map(of);
    let state = match (end, of(Transition::Started)) {
        (Some(end), Some(start)) => {
            let took = clock(end.at_unix_seconds.saturating_sub(start.at_unix_seconds));
            format!("{} at {} after {took}", end.what.word(), rfc3339(end.at_unix_seconds))
        }
        (None, Some(_)) => "under way".to_owned(),
        (_, None) => "not started".to_owned(),
    };
    line(&mut out, &format!("- {state}; {} of {} nodes done", done.len(), plan.nodes.len()));
    line(&mut out, &format!("- audit chain {chain}"));

    out.push_str("\n## Plan\n\n| # | node | packages | reboot | estimate |\n| --- | --- | --- | --- | --- |\n");
    for (place, part) in plan.nodes.iter().enumerate() {
        let (reboot, count) = (&part.reboot, part.packages.changes().len());
        let row = [
            (place + 1).to_string(),
            part.node.clone(),
            count.to_string(),
            format!("{}: {}", reboot.kind.word(), reboot.why),
            clock(part.estimate_seconds),
        ];
        line(&mut out, &format!("| {} |", row.map(|text| cell(&text)).join(" | ")));
    }
    plan.nodes.iter().for_each(|part| packages(&mut out, part));

    out.push_str(
        "\n## Result\n\n| node | ended | kernel | boot | time in each phase |\n| --- | --- | --- | --- | --- |\n",
    );
    for part in &plan.nodes {
        let row = match view.done(id, &part.node).map(|done| &done.value) {
            Some(done) => [
                part.node.clone(),
                "verified".to_owned(),
                done.kernel.clone(),
                done.boot_id.clone(),
                spent(&done.spent).join(", "),
            ],
            None => [part.node.clone(), "not done".to_owned(), String::new(), String::new(), String::new()],
        };
        line(&mut out, &format!("| {} |", row.map(|text| cell(&text)).join(" | ")));
    }

    if !services.is_empty() {
        self::services(&mut out, services, view);
    }

    out.push_str("\n## Record\n\n| # | when | who | what | node | why and what was seen |\n| --- | --- | --- | --- | --- | --- |\n");
    for record in records {
        let deed = &record.deed;
        let what = match deed.phase {
            Some(phase) => format!("{} {phase}", deed.what.word()),
            None => deed.what.word().to_owned(),
        };
        let row = [
            record.seq.to_string(),
            rfc3339(deed.at_unix_seconds),
            deed.by.clone(),
            what,
            deed.node.clone().unwrap_or_default(),
            deed.reason.clone(),
        ];
        line(&mut out, &format!("| {} |", row.map(|text| cell(&text)).join(" | ")));
    }
    out
}

/// What the leaders' probes found, against what was promised.
fn services(out: &mut String, rows: &[Probed], view: &View) {
    out.push_str("\n## Services\n\n| service | available | probes | promised | longest gap | last failure |\n");
    out.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for row in rows {
        let declared = view.policy.iter().flat_map(|policy| &policy.value.services);
        let promised = declared.into_iter().find(|service| service.name == row.service).and_then(|one| one.slo_percent);
        let promised = match (promised, row.availability()) {
            (Some(slo), Some(seen)) if seen < slo => format!("{slo}: NOT KEPT"),
            (Some(slo), Some(_)) => format!("{slo}: kept"),
            (Some(slo), None) => format!("{slo}: not known"),
            (None, _) => String::new(),
        };
        let gap = if row.failed == 0 { String::new() } else { format!("{:.1} s", row.longest_gap_ms as f64 / 1e3) };
        let probes = format!("{} of {} good", row.asked.saturating_sub(row.failed), row.asked);
        let cells = [row.service.clone(), share(row), probes, promised, gap, last_failure(row).unwrap_or_default()];
        line(out, &format!("| {} |", cells.map(|text| cell(&text)).join(" | ")));
    }
}

fn packages(out: &mut String, part: &NodePlan) {
    if part.packages.is_empty() {
        return;
    }
    let set = part.packages.id();
    out.push_str(&format!("\n### {}: packages (set `{}`)\n\n", cell(&part.node), short(&set)));
    out.push_str("| package | from | to | security |\n| --- | --- | --- | --- |\n");
    for change in part.packages.changes() {
        let or = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
        let row = [
            format!("{}:{}", change.name, change.architecture),
            or(&change.from, "(new)"),
            or(&change.to, "(removed)"),
            if change.security { "yes" } else { "" }.to_owned(),
        ];
        line(out, &format!("| {} |", row.map(|text| cell(&text)).join(" | ")));
    }
}

/// Text that stays in its cell.
fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}
