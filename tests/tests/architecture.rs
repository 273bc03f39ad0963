//! Keeps the arrows and rules of design §3 over the repository as it is.
//!
//! What each rule means, and its exceptions, stands in `hardstand_tests::rules` and `::arrows`. Nothing is decided here.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

use std::path::Path;
use std::time::Duration;

use hardstand_exec::Run;
use hardstand_tests::source::{self, Scope};
use hardstand_tests::{arrows, cargo_env, files_below, root, rules};

/// Reading the manifests takes well under a second.
const METADATA_LIMIT: Duration = Duration::from_secs(60);
/// Fewer source files than this and the checks below looked at the wrong place.
const FEWEST_SOURCES: usize = 30;
/// The top level of the repository, as design §3 fixes it.
const TOP: [&str; 17] = [
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "agent",
    "clippy.toml",
    "deny.toml",
    "image",
    "overlays",
    "qemu",
    "recipes",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "tests",
];

/// Every Rust file of these places: its path below the top, and its text.
fn sources(places: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for place in places {
        for path in files_below(&root().join(place), ".rs").unwrap() {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path.strip_prefix(root()).unwrap().display().to_string(), text));
        }
    }
    assert!(!found.is_empty(), "no source below {places:?}");
    found
}

/// Holds a rule over every file of these places.
fn keep(rule: impl Fn(&str, &str) -> Vec<String>, places: &[&str]) {
    hold(rule, &sources(places));
}

/// Holds a rule over what ships: files that are modules for tests only are left out.
fn keep_shipped(rule: impl Fn(&str, &str) -> Vec<String>, places: &[&str]) {
    let mut sources = sources(places);
    let tests: Vec<String> = sources.iter().flat_map(|(file, text)| test_files(file, text)).collect();
    sources.retain(|(file, _text)| {
        !tests.iter().any(|test| file == &format!("{test}.rs") || file.starts_with(&format!("{test}/")))
    });
    hold(rule, &sources);
}

/// The modules of a file that are compiled for tests only, as paths without their ending.
fn test_files(file: &str, text: &str) -> Vec<String> {
    let path = Path::new(file).with_extension("");
    let is_room = path.file_name().is_some_and(|name| name == "mod" || name == "lib" || name == "main");
    let room = if is_room { path.parent().unwrap().to_owned() } else { path };
    let modules = source::parse(text, Scope::Shipped).unwrap().test_modules;
    modules.iter().map(|name| room.join(name).display().to_string()).collect()
}

fn hold(rule: impl Fn(&str, &str) -> Vec<String>, sources: &[(String, String)]) {
    assert!(!sources.is_empty());
    let broken: Vec<String> = sources.iter().flat_map(|(file, text)| rule(file, text)).collect();
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}

const ALL: [&str; 4] = ["agent", "image", "qemu", "tests"];
const AGENT: [&str; 1] = ["agent/src"];
const IMAGE: [&str; 1] = ["image/src"];
const PURE: [&str; 2] = ["agent/core/src", "image/core/src"];

#[tokio::test]
async fn the_arrows_are_those_of_the_design() {
    let cargo = Path::new(env!("CARGO"));
    let manifest = root().join("Cargo.toml");
    let mut run = Run::new(cargo, METADATA_LIMIT)
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(manifest);
    for (name, value) in cargo_env() {
        run = run.env(name, value);
    }
    let printed = run.success().await.unwrap().stdout;
    let metadata: arrows::Metadata = serde_json::from_slice(&printed).unwrap();
    let broken = arrows::broken(&metadata);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_source_opens_with_its_purpose() {
    assert!(sources(&ALL).len() >= FEWEST_SOURCES);
    keep(rules::opens_with_purpose, &ALL);
}

#[test]
fn the_pure_crates_do_no_io() {
    keep_shipped(rules::is_pure, &PURE);
}

#[test]
fn one_crate_runs_programs() {
    keep(rules::runs_no_program, &ALL);
}

#[test]
fn one_file_writes_block_devices() {
    keep_shipped(rules::writes_no_device, &["agent", "image"]);
}

#[test]
fn the_agent_cannot_wipe_a_disk() {
    keep_shipped(rules::wipes_nothing, &AGENT);
    keep_shipped(rules::wipes_nothing, &["agent/core/src", "agent/exec/src"]);
}

#[test]
fn the_image_program_cannot_patch_a_node() {
    keep_shipped(rules::patches_nothing, &IMAGE);
}

#[test]
fn unsafe_stands_only_where_listed() {
    keep(rules::is_safe, &ALL);
}

#[test]
fn imports_and_modules_have_names() {
    keep(rules::imports_by_name, &ALL);
    keep(|file, _text| rules::has_a_telling_name(file), &ALL);
}

#[test]
fn the_top_level_is_the_design_s() {
    let ignored = std::fs::read_to_string(root().join(".gitignore")).unwrap();
    let ignored: Vec<&str> = ignored.lines().map(|line| line.trim_matches('/')).chain([".git"]).collect();
    let mut found: Vec<String> = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !ignored.contains(&name.as_str()))
        .collect();
    found.sort();
    assert_eq!(found, TOP, "the top level of the repository is fixed by design §3");
}
