//! What the lock takes in, against `deny.toml`: licences, banned crates, and where crates may come from.
//!
//! It reads the graph as cargo resolves it for the platforms we ship; it must never reach the network.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

use std::time::Duration;

use hardstand_exec::Run;
use hardstand_tests::licences::{Deny, Graph, refused};
use hardstand_tests::{cargo_env, root};

/// Resolving a committed lock takes about a second.
const METADATA_LIMIT: Duration = Duration::from_secs(60);
/// The platforms we ship are those `deny.toml` names.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
/// Fewer crates than this and the graph was not read.
const FEWEST_CRATES: usize = 50;

fn deny() -> (Deny, toml::Table) {
    let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    (toml::from_str(&text).unwrap(), text.parse().unwrap())
}

#[tokio::test]
async fn licences_and_bans_hold() {
    let mut run = Run::new(env!("CARGO"), METADATA_LIMIT)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM, "--manifest-path"])
        .arg(root().join("Cargo.toml"));
    for (name, value) in cargo_env() {
        run = run.env(name, value);
    }
    let graph: Graph = serde_json::from_slice(&run.success().await.unwrap().stdout).unwrap();
    assert!(graph.taken().count() >= FEWEST_CRATES, "only {} crates", graph.taken().count());
    let refused = refused(&deny().0, graph.taken());
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn every_ban_has_its_reason_and_the_platform_is_ours() {
    let (deny, whole) = deny();
    assert!(deny.bans.deny.iter().all(|ban| ban.reason.len() > 10));
    let targets = whole["graph"]["targets"].as_array().unwrap();
    assert!(targets.iter().any(|target| target.as_str() == Some(PLATFORM)));
}

/// A crate from anywhere but the one registry could change under the same version.
#[test]
fn every_crate_comes_from_the_registry_with_its_checksum() {
    let lock: toml::Table = std::fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    assert!(packages.len() >= FEWEST_CRATES);
    for package in packages {
        if let Some(source) = package.get("source") {
            assert!(source.as_str().unwrap().starts_with("registry+"), "{package}");
            assert!(package.get("checksum").is_some(), "{package}");
        }
    }
}
