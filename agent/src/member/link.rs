//! The way to the store: connects, reads, watches, keeps the session; and notices a store that was restored.
//!
//! It must never take what it has for current when the store was silent, and never fold a restored store's changes
//! into what it saw of the one before.

use std::time::Duration;

use hardstand_core::audit::AuditHead;
use hardstand_core::journal::KnownStore;
use hardstand_core::reading::Reading;
use hardstand_core::rollout::SessionRecord;
use hardstand_core::settings::StoreSettings;
use hardstand_core::store::access::Role;
use hardstand_core::store::{Answer, Key, Op, Record, Revision, Txn};
use hardstand_core::view::View;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{not_read, now_ms};
use crate::store::open::{Hosted, open};
use crate::store::records::{RecordNews, RecordWatch, Records};
use crate::store::{Session, StoreError, serve};

/// How long a session lives without a sign: with it ends the reign of a leader that died. Another one leads within 10 s,
/// and etcd may take a second more to end a session, an election as much, and the first write of the next leader too. A
/// node that sleeps longer is seen to be away, which costs others a wait (a session is a hint, never a permit).
const SESSION_TTL: Duration = Duration::from_secs(6);
/// Between two tries to connect. The first ones after a loss come at once.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// One try to connect, session and first reading included.
const CONNECT_LIMIT: Duration = Duration::from_secs(12);
/// How long own writes may take to come back by the watch before the store is read anew.
const OWN_LIMIT: Duration = Duration::from_secs(3);

/// The node's connection to its fleet.
pub(super) struct Link {
    /// What is known of the fleet.
    pub(super) view: View,
    /// Whether the store is the one this node knows.
    pub(super) same_history: Reading<bool>,
    settings: StoreSettings,
    node: String,
    records: Option<Records>,
    watch: Option<RecordWatch>,
    session: Option<Session>,
    server: Option<JoinHandle<()>>,
    /// The end of the chain that the last own commit made.
    own_head: Option<AuditHead>,
    next_try: Instant,
    /// The last trouble told, so that each is logged once.
    trouble: String,
}

impl Link {
    pub(super) fn new(settings: StoreSettings, node: String) -> Self {
        Self {
            view: View::default(),
            same_history: not_read(),
            settings,
            node,
            records: None,
            watch: None,
            session: None,
            server: None,
            own_head: None,
            next_try: Instant::now(),
            trouble: String::new(),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.watch.is_some()
    }

    /// Why the store cannot be used; `None` while it can.
    pub(super) fn trouble(&self) -> Option<&str> {
        (!self.trouble.is_empty()).then_some(self.trouble.as_str())
    }

    /// The session's number, while it is alive.
    pub(super) fn session(&self) -> Option<hardstand_core::store::SessionId> {
        self.session.as_ref().filter(|session| session.is_alive()).map(Session::id)
    }

    /// Connects where there is no connection, and takes in what the watch has ready. `seen` is what the journal knows of
    /// the store.
    pub(super) async fn keep(&mut self, seen: Option<&KnownStore>) {
        if self.session.as_ref().is_some_and(|session| !session.is_alive()) {
            self.session = None;
        }
        if self.watch.is_none() && self.next_try <= Instant::now() {
            self.next_try = Instant::now() + RETRY_EVERY;
            let seen = seen.cloned();
            let tried = timeout(CONNECT_LIMIT, self.connect(seen.as_ref())).await;
            let late = || StoreError::OutOfReach { why: format!("nothing came of it within {CONNECT_LIMIT:?}") };
            if let Err(error) = tried.unwrap_or_else(|_| Err(late())) {
                self.note_trouble(&error.to_string());
            }
        }
        if self.watch.is_some()
            && self.session.is_none()
            && let Err(error) = self.open_session().await
        {
            self.note_trouble(&error.to_string());
        }
        if self.watch.is_some() && self.session.is_some() {
            self.trouble.clear();
        }
    }

    /// Waits for the next news and folds them in; for ever while there is no connection.
    pub(super) async fn listen(&mut self) {
        let Some(watch) = &mut self.watch else {
            sleep_until(self.next_try).await;
            return;
        };
        match watch.next().await {
            Ok(news) => self.fold(news),
            Err(error) => self.lose(&error),
        }
    }

    /// Commits, and waits until the view has what came of it: no decision rests on a view older than its own writes.
    pub(super) async fn commit(&mut self, txn: &Txn<Key, Record>) -> Result<Answer, StoreError> {
        let Some(records) = &self.records else {
            return Err(StoreError::OutOfReach { why: "there is no connection".to_owned() });
        };
        let answer = records.commit(txn).await;
        match &answer {
            Ok(Answer::Committed { .. }) => self.own_head = head_of(txn).or(self.own_head.take()),
            Ok(Answer::Conflict { .. }) => {}
            Err(error) => self.lose(error),
        }
        answer
    }

    /// Waits until the view is at this revision, or gives the connection up.
    pub(super) async fn catch_up(&mut self, revision: Revision) {
        let limit = Instant::now() + OWN_LIMIT;
        while self.view.revision < revision && self.watch.is_some() {
            tokio::select! {
                () = self.listen() => {}
                () = sleep_until(limit) => {
                    self.lose(&StoreError::OutOfReach { why: "its own writes do not come back".to_owned() });
                }
            }
        }
    }

    async fn connect(&mut self, seen: Option<&KnownStore>) -> Result<(), StoreError> {
        if self.records.is_none() {
            let (store, hosted) = open(&self.settings, Role::Node)?;
            if let Some(hosted) = hosted {
                self.server = Some(host(hosted).await?);
            }
            self.records = Some(Records::new(store));
        }
        let Some(records) = self.records.clone() else { return Ok(()) };
        let (entries, revision) = records.read().await?;
        let incarnation = entries.iter().find_map(|(_, entry)| match &entry.value {
            Record::Incarnation(text) => Some(text.clone()),
            _ => None,
        });
        let known = self.known(seen);
        let same = match (&known, &incarnation) {
            (None, _) => true,
            // A store that has forgotten that it ever was one is not the one we know.
            (Some(_), None) => false,
            (Some(known), Some(incarnation)) => {
                known.is_still(incarnation, records.audit_hash(known.head.seq).await?.as_deref())
            }
        };
        self.same_history = Reading::Known(same);
        if !same {
            let why = "the store was restored: it has forgotten what this node saw; nothing is done until somebody looks \
                       at every node and runs: hardstand store adopt";
            return Err(StoreError::Corrupt { why: why.to_owned() });
        }
        self.view.reload(entries.iter().map(|(key, entry)| (key, entry)), revision, now_ms());
        self.own_head = None;
        self.watch = Some(records.watch(revision));
        self.trouble.clear();
        tracing::info!(revision, "the store was read");
        Ok(())
    }

    async fn open_session(&mut self) -> Result<(), StoreError> {
        let Some(records) = &self.records else { return Ok(()) };
        let session = records.store().session(SESSION_TTL).await?;
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let record =
            SessionRecord { boot_id: boot_id.trim().to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let key = Key::Session(self.node.clone());
        let txn = Txn::new().put_in_session(key, Record::Session(record), session.id());
        records.commit(&txn).await?;
        self.session = Some(session);
        Ok(())
    }

    /// What this node knows of the store: by its own commits, by its watch, or by its disk; the latest of them.
    fn known(&self, seen: Option<&KnownStore>) -> Option<KnownStore> {
        let incarnation = self.view.incarnation.as_ref().map(|seen| seen.value.clone());
        let watched = self.view.audit.as_ref().map(|head| head.value.clone());
        let heads = [watched, self.own_head.clone()].into_iter().flatten();
        let remembered = incarnation.zip(heads.max_by_key(|head| head.seq));
        let remembered = remembered.map(|(incarnation, head)| KnownStore { incarnation, head });
        [remembered, seen.cloned()].into_iter().flatten().max_by_key(|known| known.head.seq)
    }

    fn fold(&mut self, news: RecordNews) {
        let now_ms = now_ms();
        self.view.heard_ms = Some(now_ms);
        match news {
            RecordNews::Changes(changes) => changes.iter().for_each(|change| self.view.apply(change, now_ms)),
            RecordNews::Progress(revision) => self.view.revision = self.view.revision.max(revision),
        }
    }

    /// The connection is given up; the next one reads everything anew.
    fn lose(&mut self, error: &StoreError) {
        self.watch = None;
        self.next_try = Instant::now();
        self.note_trouble(&error.to_string());
    }

    fn note_trouble(&mut self, trouble: &str) {
        if self.trouble != trouble {
            tracing::warn!(trouble, "the store cannot be used");
            trouble.clone_into(&mut self.trouble);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

/// Serves an embedded store to the others.
async fn host(hosted: Hosted) -> Result<JoinHandle<()>, StoreError> {
    const BIND_RETRY: Duration = Duration::from_millis(500);
    let listen = hosted.listen.clone();
    let bind = async || loop {
        match TcpListener::bind(&listen).await {
            Ok(listener) => return listener,
            Err(error) => {
                tracing::warn!(%error, listen, "the store cannot be served yet");
                sleep(BIND_RETRY).await;
            }
        }
    };
    let listener = timeout(CONNECT_LIMIT / 2, bind()).await;
    let listener = listener.map_err(|_| StoreError::OutOfReach { why: format!("{listen} cannot be listened on") })?;
    Ok(tokio::spawn(async move { match serve::serve(listener, hosted.trust, hosted.store).await {} }))
}

fn head_of(txn: &Txn<Key, Record>) -> Option<AuditHead> {
    txn.ops.iter().find_map(|op| match op {
        Op::Put { value: Record::AuditHead(head), .. } => Some(head.clone()),
        _ => None,
    })
}
