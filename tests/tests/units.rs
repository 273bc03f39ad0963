//! The shipped systemd units: how exposed they are, and that systemd understands every line of them.
//!
//! Whether the agent still sees the whole host from inside its sandbox is shown in a guest, by the lab.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

use std::path::PathBuf;
use std::time::Duration;

use hardstand_exec::{Finished, Run};
use hardstand_tests::root;

/// `systemd-analyze` answers within a second.
const ANALYZE_LIMIT: Duration = Duration::from_secs(30);
/// The highest exposure of the agent, in tenths (`anchors.md`: <= 2.0).
const AGENT_MOST: u32 = 20;
/// The highest exposure of the helper, in tenths (<= 3.0).
const HELPER_MOST: u32 = 30;

fn unit(name: &str) -> PathBuf {
    root().join("agent/units").join(name)
}

async fn analyze(args: &[&str], units: &[&str]) -> Finished {
    let program = hardstand_exec::find("systemd-analyze").expect("systemd is installed (qemu/lab installs it)");
    Run::new(program, ANALYZE_LIMIT).args(args).args(units.iter().map(|name| unit(name))).output().await.unwrap()
}

/// The overall exposure in tenths, from the last line: `Overall exposure level for x.service: 1.9 OK`.
fn exposure(printed: &str) -> Option<u32> {
    let line = printed.lines().find(|line| line.contains("Overall exposure level"))?;
    let figure = line.rsplit_once(": ")?.1.split_whitespace().next()?;
    let (whole, tenth) = figure.split_once('.')?;
    Some(whole.parse::<u32>().ok()? * 10 + tenth.parse::<u32>().ok()?)
}

async fn score(name: &str) -> u32 {
    let finished = analyze(&["security", "--offline=true", "--no-pager"], &[name]).await;
    let printed = String::from_utf8_lossy(&finished.stdout).into_owned();
    exposure(&printed).unwrap_or_else(|| panic!("no exposure in:\n{printed}\n{}", finished.stderr))
}

#[tokio::test]
async fn the_agent_is_hardly_exposed() {
    let tenths = score("hardstand-agent.service").await;
    assert!(tenths <= AGENT_MOST, "agent: {tenths} tenths, at most {AGENT_MOST}");
}

#[tokio::test]
async fn the_helper_is_little_exposed() {
    let tenths = score("hardstand-helper.service").await;
    assert!(tenths <= HELPER_MOST, "helper: {tenths} tenths, at most {HELPER_MOST}");
}

/// A misspelt option is ignored by systemd with a warning, and the sandbox would be weaker than it looks.
#[tokio::test]
async fn systemd_knows_every_line() {
    let units = ["hardstand-agent.service", "hardstand-helper.service", "hardstand-helper.socket"];
    let finished = analyze(&["verify", "--man=no"], &units).await;
    let told: Vec<&str> =
        finished.stderr.lines().filter(|line| line.contains("hardstand") && !not_installed_here(line)).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// The program need not be installed where the units are checked.
fn not_installed_here(line: &str) -> bool {
    line.contains("/usr/bin/hardstand is not executable")
}

#[tokio::test]
async fn a_misspelt_option_would_be_seen() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let bad = dir.join("hardstand-bad.service");
    std::fs::write(&bad, "[Service]\nExecStart=/bin/true\nProtectHomes=yes\n").unwrap();
    let program = hardstand_exec::find("systemd-analyze").expect("systemd is installed (qemu/lab installs it)");
    let finished = Run::new(program, ANALYZE_LIMIT).args(["verify", "--man=no"]).arg(&bad).output().await.unwrap();
    assert!(finished.stderr.contains("ProtectHomes"), "{}", finished.stderr);
}

#[test]
fn the_exposure_is_read_from_the_last_line() {
    let printed = "✗ PrivateNetwork= Service has access 0.5\n\n→ Overall exposure level for a.service: 1.9 OK 🙂\n";
    assert_eq!(exposure(printed), Some(19));
    assert_eq!(exposure("→ Overall exposure level for a.service: 10.0 UNSAFE"), Some(100));
    assert_eq!(exposure(""), None);
}
