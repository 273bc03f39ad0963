//! Which licences and which crates we build on, against `deny.toml`.
//!
//! `deny.toml` is the only list; cargo-deny reads the same one. This reads the part that needs no network, so that it
//! is checked in every test run, also where cargo-deny is not installed. It must never hold a list of its own.

use serde::Deserialize;
use spdx::{Expression, ParseMode};

/// The part of `deny.toml` that is read here.
#[derive(Debug, Deserialize)]
pub struct Deny {
    /// `[licenses]`
    pub licenses: Licences,
    /// `[bans]`
    pub bans: Bans,
}

/// `[licenses]`
#[derive(Debug, Deserialize)]
pub struct Licences {
    /// SPDX ids any crate may carry.
    pub allow: Vec<String>,
    /// SPDX ids one crate may carry besides.
    pub exceptions: Vec<Exception>,
}

/// One crate with licences of its own.
#[derive(Debug, Deserialize)]
pub struct Exception {
    /// The crate.
    #[serde(rename = "crate")]
    pub name: String,
    /// What it may carry besides.
    pub allow: Vec<String>,
}

/// `[bans]`
#[derive(Debug, Deserialize)]
pub struct Bans {
    /// Crates that may not be in the graph.
    pub deny: Vec<Ban>,
}

/// One banned crate.
#[derive(Debug, Deserialize)]
pub struct Ban {
    /// The crate, perhaps as `name:requirement` (those are left to cargo-deny).
    #[serde(rename = "crate")]
    pub name: String,
    /// Why. A ban without its reason is refused.
    pub reason: String,
    /// Crates that may bring it in all the same. Who does bring it in is left to cargo-deny.
    #[serde(default)]
    pub wrappers: Vec<String>,
}

/// What `cargo metadata` prints, as far as it matters here.
#[derive(Debug, Deserialize)]
pub struct Graph {
    /// Every crate known to the lock, wanted on this platform or not.
    pub packages: Vec<Crate>,
    /// What the platform really takes.
    pub resolve: Resolve,
}

/// The resolved graph.
#[derive(Debug, Deserialize)]
pub struct Resolve {
    /// One node for each crate taken.
    pub nodes: Vec<Node>,
}

/// One crate that is taken.
#[derive(Debug, Deserialize)]
pub struct Node {
    /// Its id among `packages`.
    pub id: String,
}

/// One crate.
#[derive(Debug, Clone, Deserialize)]
pub struct Crate {
    /// Its id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// The SPDX expression of its manifest.
    pub license: Option<String>,
}

impl Graph {
    /// The crates taken on the platform asked for.
    pub fn taken(&self) -> impl Iterator<Item = &Crate> {
        self.packages.iter().filter(|one| self.resolve.nodes.iter().any(|node| node.id == one.id))
    }
}

/// Every crate whose licence is not allowed, or that may not be here at all.
pub fn refused<'a>(deny: &Deny, crates: impl Iterator<Item = &'a Crate>) -> Vec<String> {
    crates.flat_map(|one| bad_licence(&deny.licenses, one).into_iter().chain(ban(&deny.bans, one))).collect()
}

fn bad_licence(rules: &Licences, one: &Crate) -> Option<String> {
    let named = format!("{} {}", one.name, one.version);
    let Some(text) = &one.license else { return Some(format!("{named} names no licence")) };
    // Older manifests write `MIT/Apache-2.0` and mean OR.
    let expression = match Expression::parse_mode(text, ParseMode::LAX) {
        Ok(expression) => expression,
        Err(error) => return Some(format!("{named} has a licence that cannot be read ({text}): {}", error.reason)),
    };
    let own = rules.exceptions.iter().filter(|exception| exception.name == one.name).flat_map(|rule| &rule.allow);
    let allowed: Vec<&String> = rules.allow.iter().chain(own).collect();
    // `Apache-2.0 WITH LLVM-exception` is another licence than `Apache-2.0`: compared as written.
    let holds = expression.evaluate(|wanted| allowed.iter().any(|id| **id == wanted.to_string()));
    (!holds).then(|| format!("{named} is {text}; the allow list of deny.toml does not cover it"))
}

fn ban(rules: &Bans, one: &Crate) -> Option<String> {
    let hit = rules.deny.iter().find(|ban| ban.name == one.name && ban.wrappers.is_empty())?;
    Some(format!("{} {} is banned: {}", one.name, one.version, hit.reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Deny {
        Deny {
            licenses: Licences {
                allow: vec!["MIT".to_owned(), "Apache-2.0".to_owned()],
                exceptions: vec![Exception { name: "odd".to_owned(), allow: vec!["Zlib".to_owned()] }],
            },
            bans: Bans {
                deny: vec![Ban {
                    name: "sled".to_owned(),
                    reason: "the store is redb".to_owned(),
                    wrappers: Vec::new(),
                }],
            },
        }
    }

    fn judged(name: &str, license: Option<&str>) -> Vec<String> {
        let one = Crate {
            id: name.to_owned(),
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(ToOwned::to_owned),
        };
        refused(&rules(), std::iter::once(&one))
    }

    #[test]
    fn allowed_licences_pass_in_every_spelling() {
        for text in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "Apache-2.0 WITH LLVM-exception OR MIT",
            "GPL-3.0-only OR MIT",
            "MIT AND Apache-2.0",
        ] {
            assert_eq!(judged("a", Some(text)), [""; 0], "{text}");
        }
        assert_eq!(judged("odd", Some("MIT AND Zlib")), [""; 0]);
    }

    #[test]
    fn others_are_refused_by_name() {
        for text in ["GPL-3.0-only", "MIT AND GPL-2.0-only", "Zlib", "Apache-2.0 WITH LLVM-exception"] {
            assert_eq!(
                judged("a", Some(text)),
                [format!("a 1.0.0 is {text}; the allow list of deny.toml does not cover it")]
            );
        }
        assert_eq!(judged("a", None), ["a 1.0.0 names no licence"]);
        assert_eq!(judged("a", Some("whatever")).len(), 1);
        assert_eq!(judged("sled", Some("MIT")), ["sled 1.0.0 is banned: the store is redb"]);
    }
}
