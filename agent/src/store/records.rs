//! The store as typed records: JSON under the keys of the core.
//!
//! It must never take a text for a record it is not: what cannot be read is an error, and a plan whose text does not
//! have the hash it is named by is no plan.

use std::sync::Arc;

use hardstand_core::store::{Answer, Change, Compare, Entry, Key, Op, PREFIX, Record, Revision, Txn};
use hardstand_core::view::View;
use sha2::{Digest as _, Sha256};

use super::{News, Store, StoreError, Watch};

/// The store, typed.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    store: Arc<dyn Store>,
}

/// What a watch of records tells.
#[derive(Debug)]
pub(crate) enum RecordNews {
    /// Changes, in order.
    Changes(Vec<Change<Key, Record>>),
    /// Nothing changed up to here.
    Progress(Revision),
}

impl Records {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The engine below.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Everything, at one revision. Keys of other programs or of a later release are left out.
    pub(crate) async fn read(&self) -> Result<(Vec<(Key, Entry<Record>)>, Revision), StoreError> {
        let (texts, revision) = self.store.range(PREFIX).await?;
        let mut entries = Vec::with_capacity(texts.len());
        for (path, entry) in texts {
            if let Some(key) = Key::parse(&path) {
                let value = decode(&key, &entry.value)?;
                entries.push((key, Entry { value, created: entry.created, modified: entry.modified }));
            }
        }
        Ok((entries, revision))
    }

    /// The fleet as it is now, read once.
    pub(crate) async fn view(&self, now_ms: u64) -> Result<View, StoreError> {
        let (entries, revision) = self.read().await?;
        let mut view = View::default();
        view.reload(entries.iter().map(|(key, entry)| (key, entry)), revision, now_ms);
        Ok(view)
    }

    /// The hash of one audit record; `None`: the store has no such record.
    pub(crate) async fn audit_hash(&self, seq: u64) -> Result<Option<String>, StoreError> {
        let key = Key::Audit(seq);
        let Some(entry) = self.store.get(&key.path()).await? else { return Ok(None) };
        match decode(&key, &entry.value)? {
            Record::Audit(record) => Ok(Some(record.hash)),
            _ => Ok(None),
        }
    }

    /// Commits.
    pub(crate) async fn commit(&self, txn: &Txn<Key, Record>) -> Result<Answer, StoreError> {
        self.store.txn(&texts(txn)).await
    }

    /// Changes after a revision.
    pub(crate) fn watch(&self, after: Revision) -> RecordWatch {
        RecordWatch(self.store.watch(PREFIX, after))
    }
}

/// A watch of records.
#[derive(Debug)]
pub(crate) struct RecordWatch(Watch);

impl RecordWatch {
    /// What comes next (cancel safe).
    pub(crate) async fn next(&mut self) -> Result<RecordNews, StoreError> {
        match self.0.next().await? {
            News::Progress(revision) => Ok(RecordNews::Progress(revision)),
            News::Changes(changes) => {
                let typed = changes.into_iter().filter_map(|change| Some((Key::parse(&change.key)?, change)));
                let typed = typed.map(|(key, change)| {
                    let entry = match change.entry {
                        Some(entry) => {
                            let value = decode(&key, &entry.value)?;
                            Some(Entry { value, created: entry.created, modified: entry.modified })
                        }
                        None => None,
                    };
                    Ok(Change { revision: change.revision, key, entry })
                });
                Ok(RecordNews::Changes(typed.collect::<Result<_, StoreError>>()?))
            }
        }
    }
}

/// The name of a plan: the SHA-256 of its text.
pub(crate) fn plan_id(plan: &hardstand_core::plan::Plan) -> String {
    hash(&encode(&Record::Plan(Box::new(plan.clone()))))
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(record: &Record) -> String {
    serde_json::to_string(record).expect("records are plain data with string keys, which JSON can hold")
}

fn decode(key: &Key, text: &str) -> Result<Record, StoreError> {
    let read = match key {
        Key::Incarnation => serde_json::from_str(text).map(Record::Incarnation),
        Key::Fleet => serde_json::from_str(text).map(Record::Fleet),
        Key::Leader => serde_json::from_str(text).map(Record::Leader),
        Key::Ask => serde_json::from_str(text).map(Record::Ask),
        Key::Session(_) => serde_json::from_str(text).map(Record::Session),
        Key::Report(_) => serde_json::from_str(text).map(Record::Report),
        Key::Updates(_) => serde_json::from_str(text).map(Record::Updates),
        Key::Outcast(_) => serde_json::from_str(text).map(Record::Outcast),
        Key::Lease { .. } => serde_json::from_str(text).map(Record::Lease),
        Key::Rollout => serde_json::from_str(text).map(Record::Rollout),
        Key::Plan(_) => serde_json::from_str(text).map(Record::Plan),
        Key::Approval(_) => serde_json::from_str(text).map(Record::Approval),
        Key::Done { .. } => serde_json::from_str(text).map(Record::Done),
        Key::Probes { .. } => serde_json::from_str(text).map(Record::Probes),
        Key::Order(_) => serde_json::from_str(text).map(Record::Order),
        Key::Halt => serde_json::from_str(text).map(Record::Halt),
        Key::AuditHead => serde_json::from_str(text).map(Record::AuditHead),
        Key::Audit(_) => serde_json::from_str(text).map(Record::Audit),
    };
    let wrong = |why: String| StoreError::Corrupt { why: format!("{}: {why}", key.path()) };
    let record = read.map_err(|error| wrong(error.to_string()))?;
    match key {
        Key::Plan(id) if hash(text) != *id => Err(wrong("its text does not have the hash it is named by".to_owned())),
        _ => Ok(record),
    }
}

fn texts(txn: &Txn<Key, Record>) -> super::Txn {
    let compares = txn.compares.iter().map(|compare| match compare {
        Compare::Created { key, revision } => Compare::Created { key: key.path(), revision: *revision },
        Compare::Modified { key, revision } => Compare::Modified { key: key.path(), revision: *revision },
    });
    let ops = txn.ops.iter().map(|op| match op {
        Op::Put { key, value } => Op::Put { key: key.path(), value: encode(value) },
        Op::PutInSession { key, value, session } => {
            Op::PutInSession { key: key.path(), value: encode(value), session: *session }
        }
        Op::Delete { key } => Op::Delete { key: key.path() },
    });
    super::Txn { compares: compares.collect(), ops: ops.collect() }
}

#[cfg(test)]
mod tests {
    use hardstand_core::audit::{AuditHead, Deed, Transition, chained};
    use hardstand_core::rollout::Halt;

    use super::super::memory::Memory;
    use super::*;

    #[tokio::test]
    async fn records_come_back_as_they_were_committed() {
        let records = Records::new(Arc::new(Memory::new()));
        let halt = Record::Halt(Halt {
            reason: "pool tank is degraded".to_owned(),
            next_action: "replace the disk".to_owned(),
            by: "operator:anna".to_owned(),
            node: None,
            at_unix_seconds: 7,
        });
        let link = chained(&AuditHead::default(), Deed::new(Transition::Halted, "operator:anna", "why", 7));
        let audit = Record::Audit(Box::new(link.clone()));
        let txn = Txn::new().if_absent(Key::Halt).put(Key::Halt, halt.clone()).put(Key::Audit(1), audit.clone());
        assert!(matches!(records.commit(&txn).await, Ok(Answer::Committed { .. })));
        assert!(matches!(records.commit(&txn).await, Ok(Answer::Conflict { .. })));
        let (entries, _) = records.read().await.unwrap();
        let values: Vec<_> = entries.into_iter().map(|(key, entry)| (key, entry.value)).collect();
        assert_eq!(values, [(Key::Audit(1), audit), (Key::Halt, halt)]);
        assert_eq!(records.audit_hash(1).await.unwrap(), Some(link.hash));
        assert_eq!(records.audit_hash(2).await.unwrap(), None);
    }

    #[test]
    fn s10_a_plan_that_was_changed_is_no_plan() {
        let plan = hardstand_core::plan::Plan {
            name: "2026-12".to_owned(),
            serial: 1,
            policy: String::new(),
            nodes: Vec::new(),
            timeouts: hardstand_core::plan::Timeouts::default(),
            streak_seconds: 120,
            by: "operator:anna".to_owned(),
            made_unix_seconds: 0,
        };
        let id = plan_id(&plan);
        let text = encode(&Record::Plan(Box::new(plan)));
        assert!(decode(&Key::Plan(id.clone()), &text).is_ok());
        let told = decode(&Key::Plan(id), &text.replace("\"serial\":1", "\"serial\":2")).unwrap_err().to_string();
        assert!(told.contains("does not have the hash"), "{told}");
    }
}
