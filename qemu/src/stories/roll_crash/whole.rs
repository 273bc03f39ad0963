//! What must hold after all cuts: nothing is lost, and nothing was done twice.
//!
//! It must never take a count for granted: each is read from what the fleet and the node have written down themselves.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::fleet::chain::Chain;

/// How a lease ends.
const ENDS: [&str; 3] = ["verified", "withdrawn", "reclaimed"];

/// Each lease of `node` was granted once, entered at most once, and ended once; one was entered, and that one is the one
/// that was verified. A grant is recorded before its lease has a token, so grants are counted. Gives how many there were.
pub(super) fn leases(chain: &Chain, node: &str) -> Result<usize> {
    let mut leases: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for deed in chain.of(node) {
        if let Some(token) = &deed.token {
            leases.entry(token.to_string()).or_default().push(&deed.what);
        }
    }
    let granted = chain.of(node).filter(|deed| deed.what == "granted").count();
    ensure!(granted == leases.len(), "{node} was granted {granted} leases, and did something under {}", leases.len());
    let mut entered = 0;
    for (token, deeds) in &leases {
        let count = |what: &str| deeds.iter().filter(|deed| **deed == what).count();
        let ends: usize = ENDS.iter().map(|end| count(end)).sum();
        ensure!(ends == 1 && count("entered") <= 1, "{node}, lease {token}: {deeds:?}");
        ensure!(count("entered") == count("verified"), "{node}, lease {token}: entered is not verified in {deeds:?}");
        entered += count("entered");
    }
    ensure!(entered == 1, "{node} entered {entered} leases of {}", leases.len());
    Ok(leases.len())
}

/// No version of a package was unpacked again after it had been installed. dpkg does not flush its log, so a cut loses
/// lines and may leave zeros in their place; what is left is judged. Gives how many installations it still tells of.
pub(super) fn installed_once(log: &str) -> Result<usize> {
    let mut installed = BTreeSet::new();
    let log = log.replace('\0', "");
    for line in log.lines() {
        // 2026-12-01 10:00:00 install NAME:ARCH <none> VERSION; ... status installed NAME:ARCH VERSION
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [_, _, "status", "installed", name, version] => {
                installed.insert((name, version));
            }
            [_, _, "install" | "upgrade", name, _, version] => {
                ensure!(!installed.contains(&(name, version)), "{name} {version} was installed, and unpacked again");
            }
            _ => {}
        }
    }
    Ok(installed.len())
}

/// The helper's memory of its errands.
#[derive(Debug, Deserialize)]
struct Errands {
    runs: Vec<Ran>,
}

#[derive(Debug, Deserialize)]
struct Ran {
    step: String,
    attempt: u32,
    parts: Vec<String>,
}

/// The helper remembers its errands whole, each attempt and each part of it once. Gives the attempts of each step.
pub(super) fn errands(memory: &str) -> Result<BTreeMap<String, usize>> {
    let memory: Errands = serde_json::from_str(memory).context("reading what the helper remembers")?;
    let mut attempts: BTreeMap<String, usize> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for run in &memory.runs {
        ensure!(known.insert((&run.step, run.attempt)), "the helper ran {} {} twice", run.step, run.attempt);
        let parts: BTreeSet<&String> = run.parts.iter().collect();
        ensure!(parts.len() == run.parts.len(), "the helper did a part of {} {} twice", run.step, run.attempt);
        *attempts.entry(run.step.clone()).or_default() += 1;
    }
    Ok(attempts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(deeds: &[(&str, u32)]) -> Chain {
        let line = |(what, token): &(&str, u32)| {
            let token = if *what == "granted" { "null".to_owned() } else { format!("{{\"revision\":{token}}}") };
            format!("{{\"what\":\"{what}\",\"by\":\"x\",\"node\":\"node1\",\"phase\":null,\"token\":{token}}}\n")
        };
        Chain::read(&deeds.iter().map(line).collect::<String>()).unwrap()
    }

    #[test]
    fn a_lease_may_be_given_back_before_it_is_entered_and_no_later() {
        let good = [("granted", 1), ("withdrawn", 1), ("granted", 2), ("entered", 2), ("stepped", 2), ("verified", 2)];
        assert_eq!(leases(&chain(&good), "node1").unwrap(), 2);
        for bad in [
            &[("granted", 1), ("entered", 1)][..],
            &[("granted", 1), ("entered", 1), ("entered", 1), ("verified", 1)],
            &[("granted", 1), ("entered", 1), ("withdrawn", 1)],
            &[("granted", 1), ("entered", 1), ("verified", 1), ("verified", 1)],
            &[("granted", 1), ("entered", 1), ("verified", 1), ("granted", 2), ("entered", 2), ("verified", 2)],
            &[("granted", 1), ("granted", 1), ("entered", 1), ("verified", 1)],
            &[("granted", 1), ("withdrawn", 1)],
        ] {
            leases(&chain(bad), "node1").unwrap_err();
        }
    }

    #[test]
    fn what_is_installed_is_not_unpacked_again() {
        let cut = "\0\0d t install tool:all 1 2\nd t status half-installed tool:all 2\nd t install tool:all 1 2\n\
                   d t status installed tool:all 2\nd t upgrade tool:all 2 3\nd t status installed tool:all 3\n";
        assert_eq!(installed_once(cut).unwrap(), 2);
        installed_once(&(cut.to_owned() + "d t upgrade tool:all 3 3\n")).unwrap_err();
    }

    #[test]
    fn an_attempt_is_made_once() {
        let memory = |second: u32, part: &str| {
            let runs = format!(
                "{{\"plan\":\"x\",\"step\":\"drain\",\"attempt\":1,\"parts\":[]}},\
                 {{\"plan\":\"x\",\"step\":\"drain\",\"attempt\":{second},\"parts\":[\"a\",\"{part}\"]}}"
            );
            errands(&format!("{{\"version\":1,\"floors\":[],\"runs\":[{runs}]}}"))
        };
        assert_eq!(memory(2, "b").unwrap(), [("drain".to_owned(), 2)].into());
        memory(1, "b").unwrap_err();
        memory(2, "a").unwrap_err();
        errands("{\"version\":1").unwrap_err();
    }
}
