//! The store as it should be, in memory: one history, every transaction whole. What engines are tested against, and
//! what the simulator runs on.
//!
//! It must never be kinder than a real engine: sessions end, history is compacted, conditions are judged at one revision.

use std::collections::BTreeMap;
use std::ops::RangeBounds;

use super::{Answer, Change, Compare, Entry, Op, Revision, SessionId, Txn};

/// A linearizable store in memory.
#[derive(Debug, Clone)]
pub struct Model<K, V> {
    entries: BTreeMap<K, (Entry<V>, Option<SessionId>)>,
    sessions: BTreeMap<SessionId, ()>,
    history: Vec<Change<K, V>>,
    revision: Revision,
    compacted: Revision,
    next_session: SessionId,
}

impl<K: Ord + Clone, V: Clone> Default for Model<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            sessions: BTreeMap::new(),
            history: Vec::new(),
            revision: 1,
            compacted: 0,
            next_session: 1,
        }
    }
}

impl<K: Ord + Clone, V: Clone> Model<K, V> {
    /// Where history stands.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// One key.
    pub fn get(&self, key: &K) -> Option<&Entry<V>> {
        self.entries.get(key).map(|(entry, _)| entry)
    }

    /// All keys in their order.
    pub fn all(&self) -> impl Iterator<Item = (&K, &Entry<V>)> {
        self.entries.iter().map(|(key, (entry, _))| (key, entry))
    }

    /// The keys of a range, in their order.
    pub fn range(&self, keys: impl RangeBounds<K>) -> impl Iterator<Item = (&K, &Entry<V>)> {
        self.entries.range(keys).map(|(key, (entry, _))| (key, entry))
    }

    /// A new session. It lives until [`Self::end_session`].
    pub fn begin_session(&mut self) -> SessionId {
        let id = self.next_session;
        self.next_session += 1;
        self.sessions.insert(id, ());
        id
    }

    /// Goes back to a snapshot. Session ids are never given twice, as in real engines.
    pub fn restore(&mut self, snapshot: Self) {
        let next_session = self.next_session;
        *self = Self { next_session, ..snapshot };
    }

    /// Whether a session is alive.
    pub fn has_session(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// Ends a session, and removes its keys at one revision.
    pub fn end_session(&mut self, id: SessionId) {
        if self.sessions.remove(&id).is_none() {
            return;
        }
        let keys: Vec<K> =
            self.entries.iter().filter(|(_, (_, session))| *session == Some(id)).map(|(key, _)| key.clone()).collect();
        if keys.is_empty() {
            return;
        }
        self.revision += 1;
        for key in keys {
            self.remove(&key);
        }
    }

    /// Judges and, if every condition holds, writes. `None`: it names a session that is not alive.
    pub fn commit(&mut self, txn: &Txn<K, V>) -> Option<Answer> {
        if !txn.compares.iter().all(|compare| self.holds(compare)) {
            return Some(Answer::Conflict { revision: self.revision });
        }
        let alive = txn.ops.iter().all(|op| match op {
            Op::PutInSession { session, .. } => self.has_session(*session),
            Op::Put { .. } | Op::Delete { .. } => true,
        });
        if !alive {
            return None;
        }
        let writes = txn.ops.iter().any(|op| match op {
            Op::Delete { key } => self.entries.contains_key(key),
            Op::Put { .. } | Op::PutInSession { .. } => true,
        });
        if writes {
            self.revision += 1;
        }
        for op in &txn.ops {
            match op {
                Op::Put { key, value } => self.put(key, value, None),
                Op::PutInSession { key, value, session } => self.put(key, value, Some(*session)),
                Op::Delete { key } => self.remove(key),
            }
        }
        Some(Answer::Committed { revision: self.revision })
    }

    /// Everything that changed after `revision`; `None` when that part of history was compacted.
    pub fn changes_after(&self, revision: Revision) -> Option<&[Change<K, V>]> {
        if revision < self.compacted {
            return None;
        }
        let from = self.history.partition_point(|change| change.revision <= revision);
        Some(&self.history[from..])
    }

    /// Forgets what happened up to and with `revision`; the entries stay.
    pub fn compact(&mut self, revision: Revision) {
        let revision = revision.min(self.revision);
        self.history.retain(|change| change.revision > revision);
        self.compacted = self.compacted.max(revision);
    }

    fn holds(&self, compare: &Compare<K>) -> bool {
        match compare {
            Compare::Created { key, revision } => self.get(key).map_or(0, |entry| entry.created) == *revision,
            Compare::Modified { key, revision } => self.get(key).map_or(0, |entry| entry.modified) == *revision,
        }
    }

    fn put(&mut self, key: &K, value: &V, session: Option<SessionId>) {
        let created = self.get(key).map_or(self.revision, |entry| entry.created);
        let entry = Entry { value: value.clone(), created, modified: self.revision };
        self.entries.insert(key.clone(), (entry.clone(), session));
        self.history.push(Change { revision: self.revision, key: key.clone(), entry: Some(entry) });
    }

    fn remove(&mut self, key: &K) {
        if self.entries.remove(key).is_some() {
            self.history.push(Change { revision: self.revision, key: key.clone(), entry: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Txn<String, String> {
        Txn::new().put(key.to_owned(), value.to_owned())
    }

    #[test]
    fn a_slot_is_taken_once() {
        let mut model = Model::default();
        let take = |who: &str| put("slot", who).if_absent("slot".to_owned());
        assert_eq!(model.commit(&take("a")), Some(Answer::Committed { revision: 2 }));
        assert_eq!(model.commit(&take("b")), Some(Answer::Conflict { revision: 2 }));
        assert_eq!(model.get(&"slot".to_owned()).map(|entry| entry.value.as_str()), Some("a"));
    }

    #[test]
    fn a_session_takes_its_keys_along_at_one_revision() {
        let mut model = Model::default();
        let session = model.begin_session();
        let txn = Txn::new().put_in_session("a".to_owned(), "1".to_owned(), session).put_in_session(
            "b".to_owned(),
            "2".to_owned(),
            session,
        );
        model.commit(&txn);
        model.end_session(session);
        let gone = model.changes_after(2).map(<[_]>::to_vec);
        assert_eq!(gone.iter().flatten().map(|change| change.revision).collect::<Vec<_>>(), [3, 3]);
        assert_eq!(model.commit(&txn), None, "a session that ended binds nothing");
    }

    #[test]
    fn compacted_history_is_refused_and_not_skipped() {
        let mut model = Model::default();
        for value in ["1", "2", "3"] {
            model.commit(&put("k", value));
        }
        model.compact(3);
        assert_eq!(model.changes_after(2), None);
        assert_eq!(model.changes_after(3).map(<[_]>::len), Some(1));
    }
}
