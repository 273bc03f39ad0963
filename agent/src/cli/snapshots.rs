//! `hardstand snapshots`: take away ZFS snapshots that no rule keeps, of datasets that a person names or wrote down.
//!
//! It must never take one away that it did not show in a dry run by the same rules, nor one of another kind than was named.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{ArgGroup, Args, Subcommand};
use hardstand_core::settings::PruneSettings;
use hardstand_core::snapshot::{Fate, Keep, Snapshot, Whose, fates};
use hardstand_exec::{Run, find};
use serde::Serialize;

use super::desk::with_schema;
use crate::config;
use crate::host::zfs;
use crate::report::document::rfc3339;
use crate::report::terminal::{one_line, print};

const SCHEMA: &str = "hardstand.snapshots/1";
/// What listing the snapshots of one dataset may take: tens of thousands of them take a minute.
const LIST_LIMIT: Duration = Duration::from_secs(180);
/// What taking one away may take; the space is given back later.
const DESTROY_LIMIT: Duration = Duration::from_secs(120);

/// `hardstand snapshots`
#[derive(Debug, Subcommand)]
pub(super) enum SnapshotsCommand {
    /// Take away what no rule keeps. Shows what it would do, until --apply is given.
    ///
    /// Without a dataset: by the rules of the configuration, its [[prune]] tables.
    ///
    /// Never touched: snapshots of another name, held ones, those something was cloned from, and the newest.
    Prune(PruneArgs),
}

/// `hardstand snapshots prune`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("keep").multiple(true).requires("datasets"))]
pub(super) struct PruneArgs {
    /// A dataset, as in tank/data; those below it are left alone.
    #[arg(value_name = "DATASET", requires = "keep")]
    datasets: Vec<String>,
    /// Snapshots whose name begins so; without it those that hardstand made before it installed packages.
    #[arg(long, requires = "datasets")]
    prefix: Option<String>,
    /// Keep this many of the newest.
    #[arg(long, group = "keep", value_name = "N")]
    keep_last: Option<usize>,
    /// Keep the newest of each of the latest N hours that have one.
    #[arg(long, group = "keep", value_name = "N")]
    keep_hourly: Option<usize>,
    /// Keep the newest of each of the latest N days (UTC) that have one.
    #[arg(long, group = "keep", value_name = "N")]
    keep_daily: Option<usize>,
    /// Keep the newest of each of the latest N weeks (from Monday, UTC) that have one.
    #[arg(long, group = "keep", value_name = "N")]
    keep_weekly: Option<usize>,
    /// Configuration file with the rules, instead of /etc/hardstand/agent.toml and its drop-ins.
    #[arg(long, value_name = "FILE", conflicts_with = "datasets")]
    config: Option<PathBuf>,
    /// Do it.
    #[arg(long)]
    apply: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    snapshot: &'a Snapshot,
    fate: Fate,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    applied: bool,
    snapshots: Vec<Row<'a>>,
}

/// Shows what becomes of each snapshot, and does it where it is told to.
pub(super) fn run(command: &SnapshotsCommand) -> anyhow::Result<()> {
    let SnapshotsCommand::Prune(args) = command;
    let rules = rules(args)?;
    let program = find("zfs").context("zfs is not installed; install zfsutils-linux")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let mut listed = Vec::new();
    for rule in &rules {
        let dataset = &rule.dataset;
        let there = runtime.block_on(list(&program, dataset)).with_context(|| format!("listing {dataset}"))?;
        listed.push((there, rule));
    }
    let rows: Vec<(&Snapshot, Fate)> =
        listed.iter().flat_map(|(there, rule)| fates(there, rule.whose(), rule.keep)).collect();
    show(args, &rows)?;
    if !args.apply {
        return Ok(());
    }
    let mut failed = Vec::new();
    for (snapshot, _) in rows.iter().filter(|(_, fate)| *fate == Fate::Goes) {
        let destroy = Run::new(&program, DESTROY_LIMIT).args(["destroy", &snapshot.name]);
        if let Err(error) = runtime.block_on(destroy.success()) {
            failed.push(format!("{}: {error}", snapshot.name));
        }
    }
    ensure!(failed.is_empty(), "not taken away: {}", failed.join("; "));
    Ok(())
}

/// What is said of one dataset.
struct Rule {
    dataset: String,
    /// How the names begin; `None`: ours.
    prefix: Option<String>,
    keep: Keep,
}

impl Rule {
    fn whose(&self) -> Whose<'_> {
        self.prefix.as_deref().map_or(Whose::Ours, Whose::Named)
    }
}

/// Those of the command line, or else those that were written down.
fn rules(args: &PruneArgs) -> anyhow::Result<Vec<Rule>> {
    if args.datasets.is_empty() {
        let written = config::load(args.config.as_deref())?.settings.prune;
        ensure!(
            !written.is_empty(),
            "the configuration has no [[prune]]; write one, or name a DATASET and what stays of it"
        );
        let rule = |one: PruneSettings| Rule { keep: one.keep(), dataset: one.dataset, prefix: Some(one.prefix) };
        return Ok(written.into_iter().map(rule).collect());
    }
    let prefix = args.prefix.clone();
    ensure!(prefix.as_deref() != Some(""), "an empty --prefix would mean every snapshot; say how their names begin");
    let keep = Keep {
        last: args.keep_last.unwrap_or(0),
        hours: args.keep_hourly.unwrap_or(0),
        days: args.keep_daily.unwrap_or(0),
        weeks: args.keep_weekly.unwrap_or(0),
    };
    let rule = |dataset: &String| Rule { dataset: dataset.clone(), prefix: prefix.clone(), keep };
    Ok(args.datasets.iter().map(rule).collect())
}

async fn list(program: &Path, dataset: &str) -> anyhow::Result<Vec<Snapshot>> {
    let said = Run::new(program, LIST_LIMIT).args(zfs::snapshot_arguments(dataset)).success().await?;
    Ok(zfs::parse_snapshots(&String::from_utf8_lossy(&said.stdout))?)
}

fn show(args: &PruneArgs, rows: &[(&Snapshot, Fate)]) -> anyhow::Result<()> {
    if args.json {
        let snapshots = rows.iter().map(|&(snapshot, fate)| Row { snapshot, fate }).collect();
        print(&with_schema(SCHEMA, &Document { applied: args.apply, snapshots })?)?;
        return Ok(());
    }
    let goes = rows.iter().filter(|(_, fate)| *fate == Fate::Goes).count();
    let mut text = String::new();
    for (snapshot, fate) in rows {
        text += &one_line(&format!("{}  {:<5} {}", rfc3339(snapshot.created), word(*fate), snapshot.name));
        text.push('\n');
    }
    text += &match (goes, args.apply) {
        (0, _) => format!("nothing goes of {} snapshots\n", rows.len()),
        (_, true) => format!("{goes} of {} snapshots go\n", rows.len()),
        (_, false) => format!("{goes} of {} snapshots would go; do it with --apply\n", rows.len()),
    };
    print(&text)?;
    Ok(())
}

/// Why it stays, in a word.
fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Goes => "goes",
        Fate::Last => "last",
        Fate::Hour => "hour",
        Fate::Day => "day",
        Fate::Week => "week",
        Fate::Held => "held",
        Fate::Cloned => "clone",
    }
}
