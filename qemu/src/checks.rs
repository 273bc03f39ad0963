//! `lab test`: every check as one line with its seconds, independent ones side by side.
//!
//! It must never repeat a check that failed, nor count one that did not run as passed.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hardstand_exec::Run;
use tokio::task::JoinSet;

use crate::house::House;

/// Checks that run at the same time: a build machine has two cores, and more guests at once only slow each other.
const SIDE_BY_SIDE: usize = 2;
/// Lines of a failed check's log shown on the spot.
const SHOWN_LINES: usize = 40;

/// One check: programs run one after the other, all of which must succeed.
pub(crate) struct Check {
    /// Its line in the summary.
    pub name: String,
    /// Checks that must have passed, because this one uses what they made.
    pub needs: Vec<String>,
    /// Checks that must be over, because both use the same thing.
    pub after: Vec<String>,
    /// The programs.
    pub runs: Vec<Run>,
}

impl Check {
    /// A check that depends on nothing.
    pub(crate) fn new(name: impl Into<String>, runs: Vec<Run>) -> Self {
        Self { name: name.into(), needs: Vec::new(), after: Vec::new(), runs }
    }

    /// Adds a check that must have passed before.
    #[must_use]
    pub(crate) fn needs(mut self, name: impl Into<String>) -> Self {
        self.needs.push(name.into());
        self
    }

    /// Adds a check that must be over before.
    #[must_use]
    pub(crate) fn after(mut self, name: impl Into<String>) -> Self {
        self.after.push(name.into());
        self
    }
}

/// How many passed and failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Checks that passed.
    pub passed: usize,
    /// Checks that failed or could not run.
    pub failed: usize,
}

/// Runs all checks and prints the summary. Each check's output is kept under `out/log/`.
pub(crate) async fn run(house: &House, checks: Vec<Check>) -> Result<Tally> {
    let logs = house.evidence("log", "")?;
    let mut tally = Tally::default();
    let mut over: HashMap<String, bool> = HashMap::new();
    let mut waiting = checks;
    let mut running = JoinSet::new();
    loop {
        while let Some(place) = waiting.iter().position(|check| may_start(check, &over)) {
            let failed_need = waiting[place].needs.iter().find(|need| over.get(*need) == Some(&false));
            if let Some(need) = failed_need.cloned() {
                let check = waiting.remove(place);
                println!("FAIL  {:<24}      -   not run: {need} failed", check.name);
                tally.failed += 1;
                over.insert(check.name, false);
            } else if running.len() < SIDE_BY_SIDE {
                let check = waiting.remove(place);
                let log = logs.join(format!("{}.log", check.name));
                running.spawn(async move { (check.name, log.clone(), Instant::now(), drive(check.runs, &log).await) });
            } else {
                break;
            }
        }
        let Some(ended) = running.join_next().await else { break };
        let (name, log, start, outcome) = ended.context("running a check")?;
        print_outcome(&name, &log, start.elapsed(), &outcome);
        if outcome.is_ok() {
            tally.passed += 1
        } else {
            tally.failed += 1
        }
        over.insert(name, outcome.is_ok());
    }
    // A name nobody has is never over; what waits for it must not be forgotten.
    for check in waiting {
        println!("FAIL  {:<24}      -   not run: it waits for a check that does not exist", check.name);
        tally.failed += 1;
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally)
}

fn may_start(check: &Check, over: &HashMap<String, bool>) -> bool {
    let failed = check.needs.iter().any(|need| over.get(need) == Some(&false));
    failed || check.needs.iter().chain(&check.after).all(|name| over.contains_key(name))
}

async fn drive(runs: Vec<Run>, log: &Path) -> Result<()> {
    let mut file = std::fs::File::create(log).with_context(|| format!("creating {}", log.display()))?;
    for run in runs {
        run.lines(|_, line| {
            // A full disk shows in the check itself; the log must not end it.
            let _ = writeln!(file, "{line}");
        })
        .await?;
    }
    Ok(())
}

fn print_outcome(name: &str, log: &PathBuf, took: Duration, outcome: &Result<()>) {
    let seconds = took.as_secs_f64();
    let Err(error) = outcome else {
        println!("ok    {name:<24} {seconds:>6.1} s");
        return;
    };
    println!("FAIL  {name:<24} {seconds:>6.1} s");
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
        println!("      | {line}");
    }
    // What the program printed last is above already.
    println!("      {}", format!("{error:#}").lines().next().unwrap_or_default());
    println!("      whole log: {}", log.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(name: &str) -> House {
        let root = std::env::temp_dir().join(format!("hardstand-lab-checks-{name}-{}", std::process::id()));
        House { out: root.join("out"), cache: root.join("cache"), root }
    }

    fn shell(script: &str) -> Vec<Run> {
        vec![Run::new("/bin/sh", Duration::from_secs(10)).args(["-c", script])]
    }

    #[tokio::test]
    async fn a_failure_is_counted_and_so_is_what_needed_it() {
        let house = house("fail");
        let checks = vec![
            Check::new("bad", shell("echo no; exit 1")),
            Check::new("uses-bad", shell("true")).needs("bad"),
            Check::new("uses-that", shell("true")).needs("uses-bad"),
            Check::new("follows-bad", shell("true")).after("bad"),
            Check::new("waits-for-nobody", shell("true")).needs("nobody"),
        ];
        let tally = run(&house, checks).await.unwrap();
        let log = std::fs::read_to_string(house.out.join("log/bad.log")).unwrap();
        std::fs::remove_dir_all(&house.root).unwrap();
        assert_eq!(tally, Tally { passed: 1, failed: 4 });
        assert_eq!(log, "no\n");
    }
}
