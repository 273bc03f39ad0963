//! The store's file: its tables, and a transaction over them.
//!
//! It must never start anew over what it cannot read, and never answer before the disk has.
//!
//! One file of redb. `facts` holds the format's number and where history stands; `entries` the keys as they are;
//! `history` what changed, oldest first, bounded; `sessions` who is alive, without deadlines: these count from the start
//! of the server anew, so that a restart never shortens one.

use std::fmt;
use std::path::{Path, PathBuf};

use hardstand_core::store::{Answer, Compare, Entry, Op, Revision, SessionId};
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend, Table,
    TableDefinition, WriteTransaction,
};

use super::super::{Change, StoreError, Txn};

/// Number of the format below. Another one is not read.
const FORMAT: u64 = 1;
/// Memory for pages of the file in bytes. The whole of a small fleet's store; a large one's is read from the page cache.
const CACHE_BYTES: usize = 1 << 20;
/// Changes that are kept for watches. A rollout of three nodes makes about 200; a watch that was cut off for longer
/// reads all keys again.
pub(super) const HISTORY_CHANGES: u64 = 10_000;
/// Bytes of keys and values in them: sixteen of the largest transactions.
const HISTORY_BYTES: u64 = 16 << 20;

/// Bytes of changes that a watch takes at once: a node that was away must not make us hold all of history in memory.
const BATCH_BYTES: u64 = 1 << 20;

const FACTS: TableDefinition<&str, u64> = TableDefinition::new("facts");
/// Key to created, modified, session (0: none), value.
const ENTRIES: TableDefinition<&str, (u64, u64, u64, &str)> = TableDefinition::new("entries");
/// Revision and place in it, to key, created (0: removed), value.
const HISTORY: TableDefinition<(u64, u64), (&str, u64, &str)> = TableDefinition::new("history");
/// Session to its TTL in ms and who opened it.
const SESSIONS: TableDefinition<u64, (u64, &str)> = TableDefinition::new("sessions");

/// What is under redb: the file itself, or something that fails on demand in a test.
pub(super) type Backend = Box<dyn Fn(&Path) -> std::io::Result<Box<dyn StorageBackend>> + Send>;

/// The file, opened.
pub(super) struct Disk {
    path: PathBuf,
    backend: Option<Backend>,
    /// Closed after a write that failed, until the next call opens it again.
    db: Option<Database>,
    facts: Facts,
    history_changes: u64,
    history_bytes: u64,
}

/// Where the store stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Of the last write.
    pub(super) revision: Revision,
    /// History up to and with it is gone.
    pub(super) compacted: Revision,
    /// Commits to the file, also those that only touch sessions.
    commits: u64,
}

/// A session as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) id: SessionId,
    pub(super) ttl_ms: u64,
    pub(super) owner: String,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("path", &self.path).field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Disk {
    /// Makes an empty store. It appears under its name whole and synced, or not at all.
    ///
    /// # Errors
    /// When something is there already, or the disk fails.
    pub(super) fn create(path: &Path) -> Result<(), StoreError> {
        let failed = |error: std::io::Error| io_error(path, "making", &error);
        if path.symlink_metadata().is_ok() {
            let why = format!("{} exists; a store is made where there is none", path.display());
            return Err(StoreError::Denied { why });
        }
        let next = path.with_extension("next");
        match std::fs::remove_file(&next) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let made = || -> Result<(), redb::Error> {
            let db = builder().create(&next)?;
            let mut tx = db.begin_write()?;
            tx.set_durability(Durability::Immediate)?;
            {
                let mut facts = tx.open_table(FACTS)?;
                facts.insert("format", FORMAT)?;
                facts.insert("revision", 1)?;
                facts.insert("compacted", 1)?;
                facts.insert("commits", 1)?;
                tx.open_table(ENTRIES)?;
                tx.open_table(HISTORY)?;
                tx.open_table(SESSIONS)?;
            }
            tx.commit()?;
            Ok(())
        };
        made().map_err(|error| refused(&next, error))?;
        // A link, not a rename: it does not replace what somebody else has put there meanwhile.
        std::fs::hard_link(&next, path).map_err(failed)?;
        std::fs::remove_file(&next).map_err(failed)?;
        let room = path.parent().filter(|room| !room.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(room).and_then(|room| room.sync_all()).map_err(failed)
    }

    /// Opens a store that is there, and reads all of it once against its checksums.
    ///
    /// # Errors
    /// When there is none, when it is not ours, when any of it is damaged, or when another process has it open.
    pub(super) fn open(path: &Path, backend: Option<Backend>) -> Result<Self, StoreError> {
        let mut disk = Self {
            path: path.to_owned(),
            backend,
            db: None,
            facts: Facts::default(),
            history_changes: 0,
            history_bytes: 0,
        };
        disk.reopen()?;
        Ok(disk)
    }

    /// Where the store stands.
    pub(super) fn facts(&self) -> Facts {
        self.facts
    }

    /// One key.
    pub(super) fn get(&mut self, key: &str) -> Result<Option<Entry<String>>, StoreError> {
        self.read(|tx| {
            let entries = tx.open_table(ENTRIES)?;
            Ok(entries.get(key)?.map(|found| entry(found.value())))
        })
    }

    /// Every key that begins so.
    pub(super) fn range(&mut self, prefix: &str) -> Result<Vec<(String, Entry<String>)>, StoreError> {
        self.read(|tx| {
            let mut found = Vec::new();
            for one in tx.open_table(ENTRIES)?.range(prefix..)? {
                let (key, value) = one?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                found.push((key.value().to_owned(), entry(value.value())));
            }
            Ok(found)
        })
    }

    /// Changes after a revision among the keys that begin so, whole revisions, until there are `most` of them or
    /// [`BATCH_BYTES`]; and the revision up to which that is all.
    pub(super) fn changes(
        &mut self,
        prefix: &str,
        after: Revision,
        most: usize,
    ) -> Result<(Vec<Change>, Revision), StoreError> {
        let facts = self.facts;
        // Ahead of us: we are an older state that was restored. What happened since is not known here.
        if after < facts.compacted || after > facts.revision {
            return Err(StoreError::Compacted { at: facts.compacted });
        }
        self.read(|tx| {
            let mut found: Vec<Change> = Vec::new();
            let mut bytes = 0;
            for one in tx.open_table(HISTORY)?.range((after + 1, 0)..)? {
                let (place, change) = one?;
                let ((revision, _), (key, created, value)) = (place.value(), change.value());
                if (found.len() >= most || bytes >= BATCH_BYTES)
                    && found.last().is_some_and(|last| last.revision < revision)
                {
                    return Ok((found, revision - 1));
                }
                if key.starts_with(prefix) {
                    bytes += weight((key, created, value));
                    let entry = (created > 0).then(|| Entry { value: value.to_owned(), created, modified: revision });
                    found.push(Change { revision, key: key.to_owned(), entry });
                }
            }
            Ok((found, facts.revision))
        })
    }

    /// Every session.
    pub(super) fn sessions(&mut self) -> Result<Vec<Kept>, StoreError> {
        self.read(|tx| {
            let mut kept = Vec::new();
            for one in tx.open_table(SESSIONS)?.iter()? {
                let (id, value) = one?;
                let (ttl_ms, owner) = value.value();
                kept.push(Kept { id: id.value(), ttl_ms, owner: owner.to_owned() });
            }
            Ok(kept)
        })
    }

    /// Writes, and returns once the disk has it. One fsync.
    ///
    /// # Errors
    /// `Unknown` when the disk may have it after all; with any other, nothing was written.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&mut Writing<'_>) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        if self.db.is_none() {
            self.reopen()?;
        }
        let db = self.db.as_ref().expect("opened above");
        let before = self.facts;
        match write(db, self, work) {
            Ok((done, after)) => {
                self.facts = after.facts;
                self.history_changes = after.history_changes;
                self.history_bytes = after.history_bytes;
                Ok(done)
            }
            Err(error) => {
                let why = refused(&self.path, error);
                tracing::error!(error = %why, "the store's file could not be written");
                // redb takes no more writes after one that failed: what is on the disk is read again.
                self.db = None;
                match self.reopen() {
                    Ok(()) if self.facts.commits == before.commits => Err(why),
                    Ok(()) => Err(StoreError::Unknown { why: why.to_string() }),
                    Err(again) => Err(StoreError::Unknown { why: format!("{why}; and {again}") }),
                }
            }
        }
    }

    fn read<T>(
        &mut self,
        work: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        if self.db.is_none() {
            self.reopen()?;
        }
        let db = self.db.as_ref().expect("opened above");
        let done = db.begin_read().map_err(redb::Error::from).and_then(|tx| work(&tx));
        done.map_err(|error| refused(&self.path, error))
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        self.db = None;
        let corrupt = |why: String| StoreError::Corrupt { why: format!("{}: {why}", self.path.display()) };
        let found = std::fs::metadata(&self.path).map_err(|error| io_error(&self.path, "opening", &error))?;
        if found.len() == 0 {
            // redb would make a new one of it.
            return Err(corrupt("the file is empty".to_owned()));
        }
        // Whatever a damaged file makes a library do, it is a damaged file.
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.opened()));
        let (db, facts, changes, bytes) = match opened {
            Ok(opened) => opened?,
            Err(_) => return Err(corrupt("it cannot be read".to_owned())),
        };
        self.db = Some(db);
        (self.facts, self.history_changes, self.history_bytes) = (facts, changes, bytes);
        Ok(())
    }

    fn opened(&self) -> Result<(Database, Facts, u64, u64), StoreError> {
        let failed = |error: redb::Error| refused(&self.path, error);
        let corrupt = |why: &str| StoreError::Corrupt { why: format!("{}: {why}", self.path.display()) };
        let db = match &self.backend {
            None => builder().open(&self.path).map_err(|error| failed(error.into()))?,
            Some(backend) => {
                let backend = backend(&self.path).map_err(|error| io_error(&self.path, "opening", &error))?;
                builder().create_with_backend(Boxed(backend)).map_err(|error| failed(error.into()))?
            }
        };
        let read = || -> Result<(Option<u64>, Facts, u64, u64), redb::Error> {
            let tx = db.begin_read()?;
            let table = tx.open_table(FACTS)?;
            let fact = |name: &str| -> Result<Option<u64>, redb::Error> { Ok(table.get(name)?.map(|it| it.value())) };
            let facts = Facts {
                revision: fact("revision")?.unwrap_or_default(),
                compacted: fact("compacted")?.unwrap_or_default(),
                commits: fact("commits")?.unwrap_or_default(),
            };
            let history = tx.open_table(HISTORY)?;
            let mut bytes = 0;
            for one in history.iter()? {
                let (_, change) = one?;
                bytes += weight(change.value());
            }
            Ok((fact("format")?, facts, history.len()?, bytes))
        };
        let (format, facts, changes, bytes) = match read() {
            Err(redb::Error::TableDoesNotExist(table)) => {
                return Err(corrupt(&format!("it has no table {table}: it is another program's")));
            }
            read => read.map_err(failed)?,
        };
        if format != Some(FORMAT) {
            let found = format.map_or_else(|| "no format".to_owned(), |format| format!("format {format}"));
            return Err(corrupt(&format!("it has {found}, this program reads format {FORMAT}")));
        }
        if facts.revision == 0 {
            return Err(corrupt("it has no revision"));
        }
        Ok((db, facts, changes, bytes))
    }
}

/// A backend behind a pointer, which redb does not take as it is.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.0.write(offset, data)
    }
    fn close(&self) -> Result<(), std::io::Error> {
        self.0.close()
    }
}

/// The tables of one write.
pub(super) struct Writing<'tx> {
    facts: Facts,
    history_changes: u64,
    history_bytes: u64,
    touched: bool,
    /// Place of the next change in the present revision.
    place: u64,
    entries: Table<'tx, &'static str, (u64, u64, u64, &'static str)>,
    history: Table<'tx, (u64, u64), (&'static str, u64, &'static str)>,
    sessions: Table<'tx, u64, (u64, &'static str)>,
}

struct After {
    facts: Facts,
    history_changes: u64,
    history_bytes: u64,
}

fn write<T>(
    db: &Database,
    disk: &Disk,
    work: impl FnOnce(&mut Writing<'_>) -> Result<T, redb::Error>,
) -> Result<(T, After), redb::Error> {
    let mut tx = db.begin_write()?;
    tx.set_durability(Durability::Immediate)?;
    let (done, after, touched) = {
        let mut writing = Writing::begin(&tx, disk)?;
        let done = work(&mut writing)?;
        writing.trim()?;
        writing.facts.commits += u64::from(writing.touched);
        let after = After {
            facts: writing.facts,
            history_changes: writing.history_changes,
            history_bytes: writing.history_bytes,
        };
        (done, after, writing.touched)
    };
    if !touched {
        tx.abort()?;
        return Ok((done, after));
    }
    {
        let mut facts = tx.open_table(FACTS)?;
        facts.insert("revision", after.facts.revision)?;
        facts.insert("compacted", after.facts.compacted)?;
        facts.insert("commits", after.facts.commits)?;
    }
    tx.commit()?;
    Ok((done, after))
}

impl<'tx> Writing<'tx> {
    fn begin(tx: &'tx WriteTransaction, disk: &Disk) -> Result<Self, redb::Error> {
        Ok(Self {
            facts: disk.facts,
            history_changes: disk.history_changes,
            history_bytes: disk.history_bytes,
            touched: false,
            place: 0,
            entries: tx.open_table(ENTRIES)?,
            history: tx.open_table(HISTORY)?,
            sessions: tx.open_table(SESSIONS)?,
        })
    }

    /// Judges, and writes if every condition holds. `Err` inside: it names a session that is not its owner's.
    pub(super) fn commit(&mut self, txn: &Txn, owner: &str) -> Result<Result<Answer, StoreError>, redb::Error> {
        for compare in &txn.compares {
            if !self.holds(compare)? {
                return Ok(Ok(Answer::Conflict { revision: self.facts.revision }));
            }
        }
        let mut writes = false;
        for op in &txn.ops {
            match op {
                Op::PutInSession { session, .. } => {
                    let alive = self.sessions.get(*session)?.map(|kept| kept.value().1 == owner);
                    if alive != Some(true) {
                        return Ok(Err(lost(*session)));
                    }
                    writes = true;
                }
                Op::Put { .. } => writes = true,
                Op::Delete { key } => writes |= self.entries.get(key.as_str())?.is_some(),
            }
        }
        if writes {
            self.next_revision();
        }
        for op in &txn.ops {
            match op {
                Op::Put { key, value } => self.put(key, value, 0)?,
                Op::PutInSession { key, value, session } => self.put(key, value, *session)?,
                Op::Delete { key } => self.remove(key)?,
            }
        }
        Ok(Ok(Answer::Committed { revision: self.facts.revision }))
    }

    /// A new session.
    pub(super) fn begin_session(&mut self, kept: &Kept) -> Result<(), redb::Error> {
        self.touched = true;
        self.sessions.insert(kept.id, (kept.ttl_ms, kept.owner.as_str()))?;
        Ok(())
    }

    /// Ends a session, and removes its keys at one revision.
    pub(super) fn end_session(&mut self, id: SessionId) -> Result<(), redb::Error> {
        if self.sessions.remove(id)?.is_none() {
            return Ok(());
        }
        self.touched = true;
        let mut keys = Vec::new();
        for one in self.entries.iter()? {
            let (key, value) = one?;
            if value.value().2 == id {
                keys.push(key.value().to_owned());
            }
        }
        if !keys.is_empty() {
            self.next_revision();
        }
        for key in keys {
            self.remove(&key)?;
        }
        Ok(())
    }

    /// Forgets history up to and with a revision.
    pub(super) fn compact(&mut self, revision: Revision) -> Result<(), redb::Error> {
        let upto = revision.min(self.facts.revision);
        while self.facts.compacted < upto {
            match self.oldest()? {
                Some(oldest) if oldest <= upto => self.forget_oldest(oldest)?,
                Some(_) | None => {
                    self.facts.compacted = upto;
                    self.touched = true;
                }
            }
        }
        Ok(())
    }

    fn next_revision(&mut self) {
        self.facts.revision += 1;
        self.place = 0;
        self.touched = true;
    }

    fn holds(&self, compare: &Compare<String>) -> Result<bool, redb::Error> {
        let (key, wanted) = match compare {
            Compare::Created { key, revision } | Compare::Modified { key, revision } => (key, *revision),
        };
        let (created, modified) = match self.entries.get(key.as_str())? {
            Some(found) => (found.value().0, found.value().1),
            None => (0, 0),
        };
        Ok(wanted == if matches!(compare, Compare::Created { .. }) { created } else { modified })
    }

    fn put(&mut self, key: &str, value: &str, session: SessionId) -> Result<(), redb::Error> {
        let revision = self.facts.revision;
        let created = self.entries.get(key)?.map_or(revision, |found| found.value().0);
        self.entries.insert(key, (created, revision, session, value))?;
        self.remember((key, created, value))
    }

    fn remove(&mut self, key: &str) -> Result<(), redb::Error> {
        if self.entries.remove(key)?.is_some() {
            self.remember((key, 0, ""))?;
        }
        Ok(())
    }

    fn remember(&mut self, change: (&str, u64, &str)) -> Result<(), redb::Error> {
        self.history.insert((self.facts.revision, self.place), change)?;
        self.place += 1;
        self.history_changes += 1;
        self.history_bytes += weight(change);
        Ok(())
    }

    /// Keeps history within its bounds.
    fn trim(&mut self) -> Result<(), redb::Error> {
        while self.history_changes > HISTORY_CHANGES || self.history_bytes > HISTORY_BYTES {
            match self.oldest()? {
                Some(oldest) => self.forget_oldest(oldest)?,
                None => break,
            }
        }
        Ok(())
    }

    fn oldest(&self) -> Result<Option<Revision>, redb::Error> {
        Ok(self.history.first()?.map(|(place, _)| place.value().0))
    }

    /// The whole oldest revision goes, so that none is ever told in part.
    fn forget_oldest(&mut self, oldest: Revision) -> Result<(), redb::Error> {
        while self.oldest()? == Some(oldest) {
            let gone = self.history.pop_first()?.map(|(_, change)| weight(change.value()));
            self.history_changes -= 1;
            self.history_bytes -= gone.unwrap_or_default();
        }
        self.facts.compacted = oldest;
        self.touched = true;
        Ok(())
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    // The whole file is read at each start: a few MB, and redb may panic on a damaged page that it meets later.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

fn weight((key, _, value): (&str, u64, &str)) -> u64 {
    (key.len() + value.len()) as u64
}

fn entry((created, modified, _, value): (u64, u64, u64, &str)) -> Entry<String> {
    Entry { value: value.to_owned(), created, modified }
}

pub(super) fn lost(session: SessionId) -> StoreError {
    StoreError::SessionLost { session, why: "the store does not know it".to_owned() }
}

fn io_error(path: &Path, doing: &str, error: &std::io::Error) -> StoreError {
    use std::io::ErrorKind;
    let why = format!("{doing} {}: {error}", path.display());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StoreError::Full { why },
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => StoreError::Corrupt { why },
        ErrorKind::NotFound => {
            StoreError::OutOfReach { why: format!("{why}; a new one is made with: hardstand store init") }
        }
        _ => StoreError::OutOfReach { why },
    }
}

/// What redb says, as one of ours.
fn refused(path: &Path, error: redb::Error) -> StoreError {
    let why = format!("{}: {error}", path.display());
    match error {
        redb::Error::Io(error) => io_error(path, "using", &error),
        redb::Error::DatabaseAlreadyOpen | redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
            StoreError::OutOfReach { why }
        }
        _ => StoreError::Corrupt { why },
    }
}
