//! What was counted in a log that others write and overwrite: each entry once, over restarts of the agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Different things counted in one log. More than that are counted under the last one, [`MORE`].
const MOST_KEYS: usize = 512;
/// What stands for all things beyond [`MOST_KEYS`].
const MORE: &str = "more";

/// One log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ledger {
    /// The number of the first entry that was not counted yet.
    next: u64,
    counts: BTreeMap<String, u64>,
}

impl Ledger {
    /// Counts the entries that are new, each under its key. `next` is the number that the next entry will have.
    pub(super) fn enter(&mut self, entries: impl IntoIterator<Item = (u64, String)>, next: u64) {
        for (number, key) in entries {
            if number < self.next {
                continue;
            }
            let room = self.counts.len() < MOST_KEYS || self.counts.contains_key(&key);
            *self.counts.entry(if room { key } else { MORE.to_owned() }).or_default() += 1;
        }
        self.next = next;
    }

    /// The same when all entries are new, whatever their numbers.
    pub(super) fn begin_anew(&mut self, entries: impl IntoIterator<Item = (u64, String)>, next: u64) {
        self.next = 0;
        self.enter(entries, next);
    }

    /// The number of the first entry that was not counted yet.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(numbers: std::ops::Range<u64>) -> Vec<(u64, String)> {
        numbers.map(|number| (number, "bank 1".to_owned())).collect()
    }

    #[test]
    fn an_entry_counts_once_however_often_it_is_seen() {
        let mut ledger = Ledger::default();
        for (seen, next, counted) in [(0..3, 5, 3), (0..3, 5, 3), (2..7, 7, 5), (7..7, 9, 5)] {
            ledger.enter(entries(seen), next);
            assert_eq!((ledger.counts()["bank 1"], ledger.next()), (counted, next));
        }
    }

    #[test]
    fn it_has_an_end() {
        let mut ledger = Ledger::default();
        let many = (0..2_000).map(|number| (number, number.to_string()));
        ledger.enter(many, 2_000);
        assert_eq!(ledger.counts().len(), MOST_KEYS + 1);
        assert_eq!(ledger.counts().values().sum::<u64>(), 2_000, "nothing goes uncounted");
    }
}
