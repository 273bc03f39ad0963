//! `hardstand rollout watch`: a rollout as it goes, drawn again and again on a terminal, line by line elsewhere.
//!
//! It must never take silence for progress: a store that does not answer is told on the screen.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;
use hardstand_core::audit::{AuditRecord, Transition};
use hardstand_core::phase::Phase;
use hardstand_core::plan::{NodePlan, Plan};
use hardstand_core::rollout::{Probed, Rollout, RolloutState};
use hardstand_core::safety;
use hardstand_core::store::{Entry, Key, Record, Revision};
use hardstand_core::view::View;
use tokio::time::{Instant, sleep, timeout};

use super::desk::{Desk, DeskArgs, now_ms};
use super::rollout::{find_or_current, line, short};
use super::watch::{frame, reader_left_within, unix_seconds};
use crate::host::clock::opening;
use crate::report::document::rfc3339;
use crate::report::terminal::{self, age, one_line};
use crate::store::StoreError;
use crate::store::records::{RecordNews, RecordWatch, Records};

/// Between two drawings.
const DRAW_EVERY: Duration = Duration::from_millis(500);
/// Between two tries to read a store that is away.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// A store that is away for longer than a host takes to reboot is told by the exit as well.
const AWAY_LIMIT: Duration = Duration::from_secs(20 * 60);
/// Nodes report every three seconds while a rollout runs; until then nothing is known of those that wait.
const LEARNING: Duration = Duration::from_secs(5);
/// Exit status of a rollout that did not end well.
const NOT_WELL: u8 = 2;
/// Columns of the bar of a phase.
const BAR: usize = 18;

/// Follows a rollout to its end; the exit status.
pub(super) fn run(word: Option<&str>, args: &DeskArgs) -> anyhow::Result<u8> {
    let desk = Desk::open(args)?;
    let view = desk.view()?;
    let id = find_or_current(&view, word)?.0.clone();
    let follow = Follow {
        records: desk.records().clone(),
        plan: id,
        view: View::default(),
        audit: Vec::new(),
        told: 0,
        watch: None,
        away: None,
        begin: Instant::now(),
        style: Drawing::of(args.json),
    };
    desk.wait(follow.follow())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drawing {
    Screen,
    Lines,
    Json,
}

impl Drawing {
    fn of(json: bool) -> Self {
        match (json, std::io::stdout().is_terminal()) {
            (true, _) => Self::Json,
            (false, true) => Self::Screen,
            (false, false) => Self::Lines,
        }
    }
}

struct Follow {
    records: Records,
    plan: String,
    view: View,
    audit: Vec<AuditRecord>,
    /// The last record that was printed as a line.
    told: u64,
    watch: Option<RecordWatch>,
    away: Option<(Instant, String)>,
    begin: Instant,
    style: Drawing,
}

impl Follow {
    async fn follow(mut self) -> anyhow::Result<u8> {
        loop {
            if let Err(error) = self.learn().await {
                self.away.get_or_insert_with(|| (Instant::now(), String::new())).1 = error.to_string();
                self.watch = None;
                let since = self.away.as_ref().map(|(since, _)| since.elapsed()).unwrap_or_default();
                if since > AWAY_LIMIT {
                    return Err(error).context("the rollout goes on or waits without being watched");
                }
                sleep(RETRY_EVERY).await;
            }
            if !self.draw()? {
                return Ok(0);
            }
            if let Some(status) = self.ended() {
                self.last_words()?;
                return Ok(status);
            }
            if self.style != Drawing::Screen && reader_left_within(Duration::ZERO) {
                return Ok(0);
            }
        }
    }

    /// Reads what is new, for at most the time between two drawings.
    async fn learn(&mut self) -> Result<(), StoreError> {
        let Some(watch) = &mut self.watch else {
            let (entries, revision) = self.records.read().await?;
            self.take(&entries, revision);
            self.watch = Some(self.records.watch(revision));
            return Ok(());
        };
        match timeout(DRAW_EVERY, watch.next()).await {
            Err(_) => Ok(()),
            Ok(Err(error)) => Err(error),
            Ok(Ok(RecordNews::Progress(_))) => {
                self.view.heard_ms = Some(now_ms());
                Ok(())
            }
            Ok(Ok(RecordNews::Changes(changes))) => {
                for change in &changes {
                    if let Some(Record::Audit(record)) = change.entry.as_ref().map(|entry| &entry.value) {
                        self.audit.push(record.as_ref().clone());
                    }
                    self.view.apply(change, now_ms());
                }
                Ok(())
            }
        }
    }

    fn take(&mut self, entries: &[(Key, Entry<Record>)], revision: Revision) {
        self.view.reload(entries.iter().map(|(key, entry)| (key, entry)), revision, now_ms());
        self.audit = entries
            .iter()
            .filter_map(|(_, entry)| match &entry.value {
                Record::Audit(record) => Some(record.as_ref().clone()),
                _ => None,
            })
            .collect();
        self.audit.sort_by_key(|record| record.seq);
        self.away = None;
    }

    fn rollout(&self) -> Option<&Rollout> {
        self.view.rollout.as_ref().map(|rollout| &rollout.value).filter(|rollout| rollout.plan == self.plan)
    }

    /// The exit status, once there is one: nothing more comes of it without a person.
    fn ended(&self) -> Option<u8> {
        if self.away.is_some() {
            return None;
        }
        let at_work = !self.view.leases.is_empty();
        match self.rollout().map(|rollout| rollout.state) {
            // Another rollout is the current one: this one is over.
            None if self.started() => Some(self.old_status()),
            None => None,
            Some(RolloutState::Finished) => Some(0),
            Some(RolloutState::Aborted) => (!at_work).then_some(NOT_WELL),
            Some(RolloutState::Running | RolloutState::Paused) => self.view.halt.is_some().then_some(NOT_WELL),
        }
    }

    fn started(&self) -> bool {
        self.audit.iter().any(|record| self.is_mine(record) && record.deed.what == Transition::Started)
    }

    fn old_status(&self) -> u8 {
        let finished = self.audit.iter().any(|record| self.is_mine(record) && record.deed.what == Transition::Finished);
        if finished { 0 } else { NOT_WELL }
    }

    fn is_mine(&self, record: &AuditRecord) -> bool {
        record.deed.plan.as_deref() == Some(self.plan.as_str())
    }

    /// False when nobody reads any more.
    fn draw(&mut self) -> anyhow::Result<bool> {
        match self.style {
            Drawing::Screen => Ok(terminal::print(&frame(&self.screen()))?),
            Drawing::Lines | Drawing::Json => self.lines(),
        }
    }

    /// Every transition once, in its order.
    fn lines(&mut self) -> anyhow::Result<bool> {
        let mut out = String::new();
        let about = |record: &&AuditRecord| {
            record.seq > self.told
                && (self.is_mine(record)
                    || matches!(
                        record.deed.what,
                        Transition::Led | Transition::Halted | Transition::Lifted | Transition::ForceReleased
                    ))
        };
        let started = self.audit.iter().find(|record| self.is_mine(record)).map_or(u64::MAX, |record| record.seq);
        for record in self.audit.iter().filter(about).filter(|record| record.seq >= started) {
            if self.style == Drawing::Json {
                out.push_str(&(serde_json::to_string(record)? + "\n"));
            } else {
                line(&mut out, &event(record));
            }
        }
        self.told = self.audit.last().map_or(self.told, |record| record.seq);
        Ok(out.is_empty() || terminal::print(&out)?)
    }

    fn screen(&self) -> String {
        let Some(plan) = self.view.plans.get(&self.plan).map(|plan| &plan.value) else {
            return format!("the plan {} is no longer in the store\n", short(&self.plan));
        };
        let mut out = self.head(plan);
        let width = plan.nodes.iter().map(|part| part.node.len()).max().unwrap_or(0);
        for part in &plan.nodes {
            line(&mut out, &format!("  {:<width$}  {}", part.node, self.node(plan, part)));
        }
        if let Some(services) = services(&self.view.services(&self.plan)) {
            line(&mut out, &services);
        }
        if let Some(halt) = self.view.halt.as_ref().map(|halt| &halt.value) {
            line(&mut out, &format!("HALTED by {}: {}", halt.by, halt.reason));
            line(&mut out, &format!("  next: {}", halt.next_action));
        }
        if let Some((since, why)) = &self.away {
            line(&mut out, &format!("the store is away since {}: {why}", age(since.elapsed().as_secs())));
        }
        out
    }

    fn head(&self, plan: &Plan) -> String {
        let done = plan.nodes.iter().filter(|part| self.view.done(&self.plan, &part.node).is_some()).count();
        let state = self.rollout().map_or("not started", |rollout| rollout.state.word());
        let started = self.rollout().map(|rollout| unix_seconds().saturating_sub(rollout.started_unix_seconds));
        let elapsed = started.map(|seconds| format!("   {}", clock(seconds))).unwrap_or_default();
        let open = plan.nodes.iter().filter(|part| self.view.done(&self.plan, &part.node).is_none());
        let left: u64 = open
            .map(|part| {
                let spent = self.since(&part.node, &[Transition::Entered]).unwrap_or(0);
                part.estimate_seconds.saturating_sub(spent)
            })
            .sum();
        let left = if left == 0 { String::new() } else { format!(", about {} left", age(left)) };
        format!(
            "rollout {} {state}   plan {}   {done} of {} nodes{elapsed}{left}\n",
            one_line(&plan.name),
            short(&self.plan),
            plan.nodes.len()
        )
    }

    fn node(&self, plan: &Plan, part: &NodePlan) -> String {
        if let Some(done) = self.view.done(&self.plan, &part.node).map(|done| &done.value) {
            let spent: Vec<String> = spent(&done.spent);
            return format!("done       {}   kernel {}", spent.join("   "), done.kernel);
        }
        let report = self.view.reports.get(&part.node).map(|report| &report.value);
        if let Some(hold) = report.and_then(|report| report.hold.as_ref()) {
            return format!("holds      {}", hold.reason);
        }
        if let Some(lease) = self.view.lease_of(&part.node).map(|lease| &lease.value) {
            let seconds =
                self.since(&part.node, &[Transition::Granted, Transition::Entered, Transition::Stepped]).unwrap_or(0);
            let phase = lease.phase;
            let bar = match phase {
                Phase::Verifying => bar(seconds, plan.streak_seconds),
                _ => String::new(),
            };
            let waits = report.and_then(|report| report.waits_for.clone()).unwrap_or_default();
            return format!("{:<10} {bar}{}   {waits}", phase.word(), clock(seconds));
        }
        format!("waiting    {}", self.waits(plan, part))
    }

    /// Who or what a node waits for.
    fn waits(&self, plan: &Plan, part: &NodePlan) -> String {
        let mut before = plan.nodes.iter().take_while(|other| other.node != part.node);
        if let Some(other) =
            before.find(|other| other.group == part.group && self.view.done(&self.plan, &other.node).is_none())
        {
            return format!("for {}", other.node);
        }
        if self.begin.elapsed() < LEARNING {
            return String::new();
        }
        let Some(policy) = self.view.policy.as_ref() else { return "for a policy".to_owned() };
        let opening = opening(&policy.value, unix_seconds());
        match safety::blockers(&self.view, part, &opening, now_ms()).as_slice() {
            [] => "for the leader".to_owned(),
            [one] => format!("{} ({})", one.why, one.way_out),
            [one, rest @ ..] => format!("{} ({}) and {} more", one.why, one.way_out, rest.len()),
        }
    }

    /// Seconds since the last of these transitions of a node, by the clocks of who wrote it and of who watches.
    fn since(&self, node: &str, of: &[Transition]) -> Option<u64> {
        let last = self.audit.iter().rev().find(|record| {
            self.is_mine(record) && record.deed.node.as_deref() == Some(node) && of.contains(&record.deed.what)
        })?;
        Some(unix_seconds().saturating_sub(last.deed.at_unix_seconds))
    }

    /// What a person needs to know at the end, where the screen does not stand any more.
    fn last_words(&self) -> anyhow::Result<()> {
        if self.style == Drawing::Json {
            return Ok(());
        }
        let name = self.view.plans.get(&self.plan).map_or("", |plan| plan.value.name.as_str());
        let mut out = String::new();
        if self.style == Drawing::Screen {
            out.push('\n');
        }
        match self.view.halt.as_ref().map(|halt| &halt.value) {
            Some(halt) => {
                line(&mut out, &format!("halted by {}: {}; next: {}", halt.by, halt.reason, halt.next_action))
            }
            None => {
                let state = self.rollout().map_or("over", |rollout| rollout.state.word());
                line(&mut out, &format!("rollout {name} {state}; its record: hardstand runbook {name}"));
            }
        }
        terminal::print(&out)?;
        Ok(())
    }
}

/// One transition as a line: `2026-12-06T02:19:44Z  pve2  stepped to draining: ...`
pub(super) fn event(record: &AuditRecord) -> String {
    let deed = &record.deed;
    let node = deed.node.as_deref().unwrap_or("fleet");
    let what = match deed.phase {
        Some(phase) => format!("{} {}", deed.what.word(), phase.word()),
        None => deed.what.word().to_owned(),
    };
    let reason = if deed.reason.is_empty() { String::new() } else { format!(": {}", deed.reason) };
    format!("{}  {node:<8}  {what}{reason}  by {}", rfc3339(deed.at_unix_seconds), deed.by)
}

/// `  services  wiki 99.97 % (1 of 3412 probes failed, the last at 2026-12-06T02:19:44Z: no answer within 2 s)`; nothing
/// where no service is declared.
fn services(rows: &[Probed]) -> Option<String> {
    let one = |row: &Probed| {
        let failed = last_failure(row)
            .map(|last| format!(" ({} of {} probes failed, the last at {last})", row.failed, row.asked))
            .unwrap_or_default();
        format!("{} {}{failed}", row.service, share(row))
    };
    let all: Vec<String> = rows.iter().map(one).collect();
    (!all.is_empty()).then(|| format!("  services  {}", all.join("   ")))
}

/// `99.97 %`, or that nobody asked.
pub(super) fn share(row: &Probed) -> String {
    row.availability().map_or_else(|| "not probed".to_owned(), |share| share.to_string())
}

/// When a service failed last, and what was seen.
pub(super) fn last_failure(row: &Probed) -> Option<String> {
    row.last_failure.as_ref().map(|last| format!("{}: {}", rfc3339(last.at_unix_seconds), last.why))
}

/// Times of the phases that took any.
pub(super) fn spent(spent: &[(Phase, u64)]) -> Vec<String> {
    spent
        .iter()
        .filter(|(_, seconds)| *seconds > 0)
        .map(|(phase, seconds)| format!("{phase} {}", clock(*seconds)))
        .collect()
}

/// `14m32s`, `41s`, `1h02m`.
pub(super) fn clock(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `[############------] `
fn bar(seconds: u64, of: u64) -> String {
    let filled = usize::try_from(seconds.saturating_mul(BAR as u64) / of.max(1)).unwrap_or(BAR).min(BAR);
    format!("[{}{}] ", "#".repeat(filled), "-".repeat(BAR - filled))
}
