//! The audit chain as an operator exports it, and what stories ask of it.
//!
//! It must never fill in what a record does not say.

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Deed {
    /// What was done: `granted`, `entered`, `led`...
    pub what: String,
    /// Who did it: `leader:nas`, `node:node1`.
    pub by: String,
    /// To which node, where there is one.
    pub node: Option<String>,
    /// The phase that began, for a step.
    pub phase: Option<String>,
    /// The lease it was done under, where there is one.
    pub token: Option<serde_json::Value>,
}

/// The records, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain(Vec<Deed>);

impl Chain {
    /// Reads what `hardstand audit export` prints: a record a line.
    pub(crate) fn read(export: &str) -> Result<Self> {
        let deed = |line: &str| serde_json::from_str(line).with_context(|| format!("reading the record {line}"));
        export.lines().map(deed).collect::<Result<Vec<Deed>>>().map(Self)
    }

    /// How often something was done, to whomever.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.0.iter().filter(|deed| deed.what == what).count()
    }

    /// What was done to a node, or by it, the oldest first.
    pub(crate) fn of(&self, node: &str) -> impl Iterator<Item = &Deed> {
        self.0.iter().filter(move |deed| deed.node.as_deref() == Some(node))
    }

    /// Where something was done to a node first, counted from the chain's beginning.
    pub(crate) fn place(&self, what: &str, node: &str) -> Option<usize> {
        self.0.iter().position(|deed| deed.what == what && deed.node.as_deref() == Some(node))
    }

    /// Whether a step of a node has begun.
    pub(crate) fn has_begun(&self, node: &str, phase: &str) -> bool {
        self.0.iter().any(|deed| deed.node.as_deref() == Some(node) && deed.phase.as_deref() == Some(phase))
    }

    /// The nodes something was done to, in that order.
    pub(crate) fn order(&self, what: &str) -> Vec<&str> {
        self.0.iter().filter(|deed| deed.what == what).filter_map(|deed| deed.node.as_deref()).collect()
    }

    /// S9: after a node has taken the lead nobody else has written as the leader, until another took it.
    pub(crate) fn has_one_leader_at_a_time(&self) -> Result<()> {
        let mut leads = None;
        for deed in &self.0 {
            if deed.what == "led" {
                leads = deed.by.strip_prefix("node:");
            } else if let Some(wrote) = deed.by.strip_prefix("leader:") {
                ensure!(Some(wrote) == leads, "{wrote} wrote {} as the leader while {leads:?} led", deed.what);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORT: &str = r#"{"seq":1,"what":"led","by":"node:nas","node":"nas","phase":null,"reason":"x"}
{"seq":2,"what":"granted","by":"leader:nas","node":"node1","phase":null,"reason":"x"}
{"seq":3,"what":"entered","by":"node:node1","node":"node1","phase":"draining","reason":"x"}
{"seq":4,"what":"led","by":"node:node2","node":"node2","phase":null,"reason":"x"}
{"seq":5,"what":"granted","by":"leader:node2","node":"nas","phase":null,"reason":"x"}
"#;

    #[test]
    fn a_chain_tells_who_when_and_how_often() {
        let chain = Chain::read(EXPORT).unwrap();
        assert_eq!((chain.count("granted"), chain.place("granted", "nas")), (2, Some(4)));
        assert_eq!(chain.order("granted"), ["node1", "nas"]);
        assert!(chain.has_begun("node1", "draining") && !chain.has_begun("node1", "patching"));
        chain.has_one_leader_at_a_time().unwrap();
        assert!(Chain::read("{").is_err());
    }

    #[test]
    fn a_leader_that_writes_on_is_found() {
        let late = EXPORT.to_owned() + r#"{"seq":6,"what":"finished","by":"leader:nas","node":null,"phase":null}"#;
        let error = Chain::read(&late).unwrap().has_one_leader_at_a_time().unwrap_err().to_string();
        assert_eq!(error, "nas wrote finished as the leader while Some(\"node2\") led");
    }
}
