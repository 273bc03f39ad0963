//! What a ClusterRole grants, read from the very file that the package ships.
//!
//! It must never grant what does not stand there.

use anyhow::{Context as _, Result, ensure};

/// Rules: groups, resources, verbs.
pub(crate) struct Rights(Vec<[Vec<String>; 3]>);

const KEYS: [&str; 3] = ["apiGroups", "resources", "verbs"];

impl Rights {
    /// Reads the rules of the one ClusterRole in a file, each of three lines with a list in brackets.
    pub(crate) fn of(text: &str) -> Result<Self> {
        let is_role = |document: &&str| document.lines().any(|line| line == "kind: ClusterRole");
        let role = text.split("\n---\n").find(is_role).context("finding the ClusterRole")?;
        let mut rules: Vec<[Vec<String>; 3]> = Vec::new();
        let lines = role.lines().skip_while(|line| *line != "rules:").skip(1);
        for (place, line) in lines.enumerate() {
            let line = if place % 3 == 0 { line.strip_prefix("- ") } else { line.strip_prefix("  ") };
            let (key, value) = line.and_then(|line| line.split_once(": ")).context("reading a rule")?;
            ensure!(key == KEYS[place % 3], "a rule has {key} where {} should be", KEYS[place % 3]);
            let value = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')).context("reading a list")?;
            if place % 3 == 0 {
                rules.push(Default::default());
            }
            let rule = rules.last_mut().context("reading a rule")?;
            rule[place % 3] = value.split(", ").map(|word| word.trim_matches('"').to_owned()).collect();
        }
        ensure!(!rules.is_empty(), "the ClusterRole grants nothing");
        Ok(Self(rules))
    }

    pub(super) fn grants(&self, group: &str, resource: &str, verb: &str) -> bool {
        let asked = [group, resource, verb];
        self.0
            .iter()
            .any(|rule| rule.iter().zip(asked).all(|(granted, asked)| granted.iter().any(|word| word == asked)))
    }
}
