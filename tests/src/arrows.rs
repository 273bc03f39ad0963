//! Who may depend on whom (design §3), over what `cargo metadata` says.
//!
//! It must never learn an arrow from the manifests it checks: the arrows stand here.

use serde::Deserialize;

/// `crate -> house crates it may use`.
const ARROWS: &[(&str, &[&str])] = &[
    ("hardstand-core", &[]),
    ("hardstand-exec", &[]),
    ("hardstand", &["hardstand-core", "hardstand-exec"]),
    ("hardstand-recipe", &[]),
    ("hardstand-image", &["hardstand-recipe", "hardstand-exec"]),
    ("hardstand-lab", &["hardstand-recipe", "hardstand-exec"]),
    (
        "hardstand-tests",
        &["hardstand", "hardstand-core", "hardstand-exec", "hardstand-recipe", "hardstand-image", "hardstand-lab"],
    ),
];

/// The pure crates, and the data crates each may use besides.
pub const PURE: &[(&str, &[&str])] = &[
    // sha2: plans and the audit chain are named by their hash.
    ("hardstand-core", &["serde", "sha2", "thiserror"]),
    // strsim: "did you mean"; toml: a recipe is text the operator hands in; serde_json and sha2: manifests and the lock.
    ("hardstand-recipe", &["serde", "serde_json", "sha2", "strsim", "thiserror", "toml"]),
];

/// Crates only some may use, with the reason.
const KEPT: &[(&str, &[&str], &str)] = &[
    ("zbus", &["hardstand"], "only the agent talks to a running system's buses"),
    ("gptman", &["hardstand-image", "hardstand-lab"], "the agent cannot change a partition table"),
    ("clap", &["hardstand", "hardstand-image", "hardstand-lab"], "libraries have no command line"),
    ("anyhow", &["hardstand", "hardstand-image", "hardstand-lab"], "libraries have typed errors"),
];

/// What `cargo metadata --no-deps` prints, as far as it matters here.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The workspace's crates.
    pub packages: Vec<Package>,
}

/// One crate of the workspace.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Everything it names in its manifest.
    pub dependencies: Vec<Dependency>,
}

/// One line of a `[dependencies]` table.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The crate's own name, whatever it was renamed to.
    pub name: String,
    /// `dev`, `build` or nothing for a normal one.
    pub kind: Option<String>,
}

/// Every dependency that has no arrow. Development dependencies do not ship, so only the arrows inside the house bind them.
pub fn broken(metadata: &Metadata) -> Vec<String> {
    let mut told = Vec::new();
    for package in &metadata.packages {
        let Some((_, arrows)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
            told.push(format!("{} has no arrows; add it to design §3 and to tests/src/arrows.rs", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let inside = ARROWS.iter().any(|(house, _)| *house == name);
            if inside && !arrows.contains(&name) && name != package.name {
                told.push(format!("{} -> {name} is no arrow of the house", package.name));
            }
            if !inside && dependency.kind.as_deref() != Some("dev") {
                told.extend(outside(&package.name, name));
            }
        }
    }
    let absent = ARROWS.iter().filter(|(name, _)| !metadata.packages.iter().any(|package| package.name == *name));
    told.extend(absent.map(|(name, _)| format!("{name} is not in the workspace")));
    told
}

fn outside(package: &str, name: &str) -> Vec<String> {
    let mut told = Vec::new();
    if let Some((_, data)) = PURE.iter().find(|(pure, _)| *pure == package)
        && !data.contains(&name)
    {
        told.push(format!("{package} -> {name}: a pure crate uses only {}", data.join(", ")));
    }
    if let Some((_, users, why)) = KEPT.iter().find(|(kept, _, _)| *kept == name)
        && !users.contains(&package)
    {
        told.push(format!("{package} -> {name}: {why}"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The house as drawn, with one dependency added to one crate.
    fn house_with(package: &str, dependency: &str, kind: Option<&str>) -> Metadata {
        let packages = ARROWS.iter().map(|(name, _)| Package {
            name: (*name).to_owned(),
            version: "0.0.0".to_owned(),
            dependencies: (*name == package)
                .then(|| Dependency { name: dependency.to_owned(), kind: kind.map(ToOwned::to_owned) })
                .into_iter()
                .collect(),
        });
        Metadata { packages: packages.collect() }
    }

    #[test]
    fn the_house_as_drawn_stands() {
        assert_eq!(broken(&house_with("hardstand", "hardstand-core", None)), [""; 0]);
        assert_eq!(broken(&house_with("hardstand-tests", "hardstand-image", Some("dev"))), [""; 0]);
    }

    #[test]
    fn a_new_arrow_is_told() {
        for (from, to) in [
            ("hardstand-core", "hardstand-exec"),
            ("hardstand", "hardstand-recipe"),
            ("hardstand-image", "hardstand-core"),
            ("hardstand-lab", "hardstand-image"),
        ] {
            assert_eq!(
                broken(&house_with(from, to, Some("dev"))),
                [format!("{from} -> {to} is no arrow of the house")]
            );
        }
    }

    #[test]
    fn a_pure_crate_takes_data_crates_only() {
        assert_eq!(
            broken(&house_with("hardstand-core", "tokio", None)),
            ["hardstand-core -> tokio: a pure crate uses only serde, sha2, thiserror"]
        );
        assert_eq!(broken(&house_with("hardstand-core", "tokio", Some("build"))).len(), 1);
        assert_eq!(broken(&house_with("hardstand-core", "tokio", Some("dev"))), [""; 0]);
    }

    #[test]
    fn kept_crates_and_strangers_are_told() {
        assert_eq!(broken(&house_with("hardstand-image", "zbus", None)).len(), 1);
        assert_eq!(broken(&house_with("hardstand", "gptman", None)).len(), 1);
        let mut metadata = house_with("hardstand", "serde", None);
        metadata.packages[0].name = "stranger".to_owned();
        assert_eq!(broken(&metadata).len(), 2, "a stranger came and a crate went");
    }
}
