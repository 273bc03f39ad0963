//! `hardstand audit`: the chained record of everything that was decided.
//!
//! It must never call a chain whole that it has not read from its first record to the head.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use hardstand_core::audit::{AuditHead, AuditRecord, verify};

use super::desk::{Desk, DeskArgs, show};
use super::rollout::{find, line};
use super::rollout_watch::event;

/// `hardstand audit`
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Show the records, the oldest first.
    Show {
        /// Only the last so many.
        #[arg(long, value_name = "N")]
        last: Option<usize>,
        /// Only of this plan, by its name or the beginning of its id.
        #[arg(long)]
        plan: Option<String>,
        /// Only of this node.
        #[arg(long)]
        node: Option<String>,
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// Check the whole chain: no record missing, changed or out of order.
    Verify {
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// Print every record as a line of JSON, for a copy that is kept elsewhere.
    Export {
        #[command(flatten)]
        desk: DeskArgs,
    },
}

const SCHEMA: &str = "hardstand.audit/1";

/// Does what is asked.
pub(super) fn run(command: &AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::Show { last, plan, node, desk: args } => {
            let (view, audit) = read(args)?;
            let plan = plan.as_deref().map(|word| find(&view, word).map(|(id, _)| id.clone())).transpose()?;
            let wanted = |record: &&AuditRecord| {
                plan.as_ref().is_none_or(|id| record.deed.plan.as_ref() == Some(id))
                    && node.as_ref().is_none_or(|node| record.deed.node.as_ref() == Some(node))
            };
            let records: Vec<&AuditRecord> = audit.iter().filter(wanted).collect();
            let records = &records[records.len().saturating_sub(last.unwrap_or(usize::MAX))..];
            let mut out = String::new();
            records.iter().for_each(|record| line(&mut out, &format!("{:>5}  {}", record.seq, event(record))));
            if out.is_empty() {
                out.push_str("no such record\n");
            }
            show(args.json, SCHEMA, &BTreeMap::from([("records", records)]), &out)
        }
        AuditCommand::Verify { desk: args } => {
            let (view, audit) = read(args)?;
            let head = verify(&AuditHead::default(), &audit)
                .context("the chain is broken: the store was changed by hand, or restored; compare with an export")?;
            let (known, _) = view.audit_head();
            if head != known {
                bail!("the chain ends at record {} and the head says {}; records were lost", head.seq, known.seq);
            }
            show(args.json, SCHEMA, &head, &format!("{} records, whole, the last is {}\n", head.seq, head.hash))
        }
        AuditCommand::Export { desk: args } => {
            let (_, audit) = read(args)?;
            let mut out = String::new();
            for record in &audit {
                out.push_str(&(serde_json::to_string(record)? + "\n"));
            }
            crate::report::terminal::print(&out)?;
            Ok(())
        }
    }
}

fn read(args: &DeskArgs) -> anyhow::Result<(hardstand_core::view::View, Vec<AuditRecord>)> {
    let (view, mut audit) = Desk::open(args)?.read()?;
    audit.sort_by_key(|record| record.seq);
    Ok((view, audit))
}
