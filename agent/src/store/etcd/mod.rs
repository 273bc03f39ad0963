//! The engine `etcd`: its v3 API over gRPC with mutual TLS, many members, one answer.
//!
//! It must never send a write twice, and never read from a member alone: reads are linearizable, watches end when their
//! member has lost its leader. Who we are is our certificate's common name (etcd's JSON gateway cannot do that).

pub(crate) mod auth;
mod grpc;
mod link;
mod refusal;
mod version;
mod watching;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hardstand_core::store::{Answer, Compare, Op, Revision, SessionId};
use prost::Message;
use tokio::time::{Instant, timeout_at};

use super::session::Moment;
use super::{
    Beat, Doing, Entry, READ_LIMIT, SESSION_LIMIT, SESSION_TTL_MAX, SESSION_TTL_MIN, Session, Store, StoreError,
    TXN_LIMIT, Txn, Watch, check,
};
use grpc::{CallError, Stream};
use link::{Link, Links};
use wire::{
    CompareWith, DeleteRequest, Empty, KeyValue, LeaseGrantRequest, LeaseId, LeaseResponse, PutRequest, RangeRequest,
    RangeResponse, Request, RequestOp, StatusResponse, TxnRequest, TxnResponse,
};

pub(crate) use link::Endpoints;

/// One try of a read at one member. A member that is stopped answers never, and the read limit must hold a second try.
const TRY_LIMIT: Duration = Duration::from_secs(2);
/// Entries of one page of a range: reports of 2 KiB each stay far below gRPC's usual 4 MB.
const PAGE: i64 = 500;
/// Pause before a call that did nothing is asked of the next member: an election takes about a second.
const PAUSE: Duration = Duration::from_millis(100);

/// A cluster of etcd. Clones share one connection.
#[derive(Debug, Clone)]
pub(crate) struct Etcd {
    links: Arc<Links>,
}

impl Etcd {
    /// A client of these members. Nothing is connected yet; that is done by the first call, and again after each loss.
    pub(crate) fn new(endpoints: Endpoints) -> Self {
        Self { links: Arc::new(Links::new(endpoints)) }
    }

    /// Asks of one member after the other until one has answered or the time is up. Only what may be asked twice is
    /// asked twice: reads whatever happened, writes if they did nothing.
    async fn ask<Q, A>(&self, path: &str, question: &Q, kind: Kind, limit: Duration) -> Result<A, CallError>
    where
        Q: Message,
        A: Message + Default,
    {
        let deadline = Instant::now() + limit;
        // What the last try said is the cause; that the time ran out during the next one is not.
        let mut before = None;
        loop {
            let error = match timeout_at(deadline, self.link()).await {
                Ok(Ok(link)) => match self.ask_at(&link, path, question, kind.limit(deadline)).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                },
                Ok(Err(error)) => error,
                Err(_) => {
                    let none = CallError::NotSent(format!("no member answered within {} s", limit.as_secs()));
                    return Err(before.unwrap_or(none));
                }
            };
            let again = refusal::may_go_elsewhere(&error) || kind == Kind::Read && refusal::is_members_fault(&error);
            if !again || Instant::now() + PAUSE >= deadline {
                return Err(error);
            }
            before = Some(error);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask_at<Q, A>(&self, link: &Link, path: &str, question: &Q, until: Instant) -> Result<A, CallError>
    where
        Q: Message,
        A: Message + Default,
    {
        let call = grpc::call(link.sender.clone(), &link.authority, path, question);
        let answer = timeout_at(until, call).await;
        let answer = answer.unwrap_or_else(|_| Err(CallError::Unanswered("no answer in time".to_owned())));
        if let Err(error) = &answer
            && refusal::is_members_fault(error)
        {
            self.links.leave(link, error).await;
        }
        answer
    }

    /// The link of the moment, with its version known if the member tells it.
    async fn link(&self) -> Result<Link, CallError> {
        let (link, is_new) = self.links.link().await?;
        if is_new {
            let until = Instant::now() + TRY_LIMIT;
            let status: Result<StatusResponse, _> =
                self.ask_at(&link, "/etcdserverpb.Maintenance/Status", &Empty {}, until).await;
            // Only a hint hangs on it; what is wrong with the member shows in the call itself.
            if let Ok(status) = status {
                link.learn_version(&status.version);
            }
        }
        Ok(link)
    }

    async fn read_page(&self, request: &RangeRequest, until: Instant) -> Result<RangeResponse, StoreError> {
        let limit = until.saturating_duration_since(Instant::now());
        self.ask("/etcdserverpb.KV/Range", request, Kind::Read, limit).await.map_err(refusal::of_read)
    }
}

/// Whether a call may be asked again after it may have been heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

impl Kind {
    fn limit(self, deadline: Instant) -> Instant {
        match self {
            Self::Read => deadline.min(Instant::now() + TRY_LIMIT),
            Self::Write => deadline,
        }
    }
}

impl Store for Etcd {
    fn get<'a>(&'a self, key: &'a str) -> Doing<'a, Option<Entry>> {
        Box::pin(async move {
            let request = RangeRequest { key: bytes(key), ..RangeRequest::default() };
            let page = self.read_page(&request, Instant::now() + READ_LIMIT).await?;
            Ok(page.entries.into_iter().next().map(entry).transpose()?.map(|(_key, entry)| entry))
        })
    }

    fn range<'a>(&'a self, prefix: &'a str) -> Doing<'a, (Vec<(String, Entry)>, Revision)> {
        Box::pin(async move {
            let until = Instant::now() + READ_LIMIT;
            let mut request =
                RangeRequest { key: bytes(prefix), end: end_of(prefix), limit: PAGE, ..RangeRequest::default() };
            let mut found = Vec::new();
            loop {
                let page = self.read_page(&request, until).await?;
                // The first page says at which revision; the rest is read at the same one.
                if request.revision == 0 {
                    request.revision = page.header.as_ref().map(|header| header.revision).unwrap_or_default();
                }
                let last = page.entries.last().map(|entry| entry.key.clone());
                for entry_read in page.entries {
                    found.push(entry(entry_read)?);
                }
                match last.filter(|_| page.more) {
                    Some(last) => request.key = [last.as_ref(), &[0]].concat().into(),
                    None => return Ok((found, revision(request.revision))),
                }
            }
        })
    }

    fn txn<'a>(&'a self, txn: &'a Txn) -> Doing<'a, Answer> {
        Box::pin(async move {
            check(txn)?;
            let request = request_of(txn);
            let answer = self.ask("/etcdserverpb.KV/Txn", &request, Kind::Write, TXN_LIMIT).await;
            let answer: TxnResponse = answer.map_err(|error| match session_of(txn) {
                Some(session) if refusal::is_lost_lease(&error) => refusal::lost(session),
                _ => refusal::of_write(error),
            })?;
            let revision = revision(answer.header.unwrap_or_default().revision);
            Ok(if answer.succeeded { Answer::Committed { revision } } else { Answer::Conflict { revision } })
        })
    }

    fn watch(&self, prefix: &str, after: Revision) -> Watch {
        let (etcd, prefix) = (self.clone(), prefix.to_owned());
        Watch::fed(move |feed| watching::feed(etcd, prefix, after, feed))
    }

    fn session(&self, ttl: Duration) -> Doing<'_, Session> {
        Box::pin(async move {
            let ttl = ttl.clamp(SESSION_TTL_MIN, SESSION_TTL_MAX);
            let asked_at = Moment::now();
            // Whole seconds, and never shorter than asked: the owner's own clock ends it first.
            let ttl_secs = i64::try_from(ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)).unwrap_or(i64::MAX);
            // A lease that nobody learnt of ends by itself: asking again after a lost answer does no harm.
            let answer: LeaseResponse = self
                .ask("/etcdserverpb.Lease/LeaseGrant", &LeaseGrantRequest { ttl_secs }, Kind::Read, SESSION_LIMIT)
                .await
                .map_err(refusal::of_read)?;
            let id = SessionId::try_from(answer.id)
                .map_err(|_| StoreError::Corrupt { why: format!("a lease with the number {}", answer.id) })?;
            Ok(Session::keep(id, ttl, asked_at, Arc::new(self.clone())))
        })
    }
}

impl Beat for Etcd {
    fn beat(&self, session: SessionId) -> Doing<'_, ()> {
        Box::pin(async move {
            let link = self.link().await.map_err(refusal::of_read)?;
            let beaten = tokio::time::timeout(TRY_LIMIT, beat(&link, session)).await;
            let beaten = beaten.unwrap_or_else(|_| Err(CallError::Unanswered("no answer in time".to_owned())));
            match beaten {
                Ok(ttl_secs) if ttl_secs > 0 => Ok(()),
                Ok(_) => Err(refusal::lost(session)),
                Err(error) if refusal::is_lost_lease(&error) => Err(refusal::lost(session)),
                Err(error) => {
                    self.links.leave(&link, &error).await;
                    Err(refusal::of_read(error))
                }
            }
        })
    }

    fn end(&self, session: SessionId) -> Doing<'_, ()> {
        Box::pin(async move {
            // Ending twice is ending once.
            let request = LeaseId { id: lease(session) };
            let ended = self.ask("/etcdserverpb.Lease/LeaseRevoke", &request, Kind::Read, SESSION_LIMIT).await;
            match ended.map(|Empty {}| ()) {
                Err(error) if refusal::is_lost_lease(&error) => Ok(()),
                other => other.map_err(refusal::of_read),
            }
        })
    }
}

/// One sign of life, on a stream of its own: etcd has no other way, and a stream that is kept would have to be watched.
async fn beat(link: &Link, session: SessionId) -> Result<i64, CallError> {
    let ask = LeaseId { id: lease(session) };
    let path = "/etcdserverpb.Lease/LeaseKeepAlive";
    let mut stream = Stream::open(link.sender.clone(), &link.authority, path, true, &ask).await?;
    let answer: Option<LeaseResponse> = stream.next().await?;
    answer.map(|answer| answer.ttl_secs).ok_or_else(|| CallError::Unanswered("the stream ended".to_owned()))
}

fn request_of(txn: &Txn) -> TxnRequest {
    let put =
        |key: &str, value: &str, lease: i64| Request::Put(PutRequest { key: bytes(key), value: bytes(value), lease });
    let compares = txn.compares.iter().map(|compare| {
        let (key, target, with) = match compare {
            Compare::Created { key, revision } => (key, wire::TARGET_CREATE, CompareWith::Created(signed(*revision))),
            Compare::Modified { key, revision } => (key, wire::TARGET_MOD, CompareWith::Modified(signed(*revision))),
        };
        wire::Compare { target, key: bytes(key), with: Some(with) }
    });
    let ops = txn.ops.iter().map(|op| match op {
        Op::Put { key, value } => put(key, value, 0),
        Op::PutInSession { key, value, session } => put(key, value, lease(*session)),
        Op::Delete { key } => Request::Delete(DeleteRequest { key: bytes(key), end: Bytes::new() }),
    });
    TxnRequest {
        compares: compares.collect(),
        success: ops.map(|request| RequestOp { request: Some(request) }).collect(),
    }
}

fn session_of(txn: &Txn) -> Option<SessionId> {
    txn.ops.iter().find_map(|op| match op {
        Op::PutInSession { session, .. } => Some(*session),
        Op::Put { .. } | Op::Delete { .. } => None,
    })
}

/// A key and what it holds, in the store's words.
fn entry(read: KeyValue) -> Result<(String, Entry), StoreError> {
    let corrupt = |what: &str, key: &[u8]| StoreError::Corrupt {
        why: format!("the {what} of {} is not UTF-8", String::from_utf8_lossy(key)),
    };
    let value = String::from_utf8(read.value.to_vec()).map_err(|_| corrupt("value", &read.key))?;
    let key = String::from_utf8(read.key.to_vec()).map_err(|_| corrupt("name", &read.key))?;
    Ok((key, Entry { value, created: revision(read.created), modified: revision(read.modified) }))
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// The first key after all that begin so. No text has the byte 0xff, so that the last byte always has a successor.
fn end_of(prefix: &str) -> Bytes {
    let mut end = prefix.as_bytes().to_vec();
    match end.last_mut() {
        Some(last) => *last += 1,
        // etcd's way to say: up to the last key there is.
        None => end.push(0),
    }
    end.into()
}

fn revision(signed: i64) -> Revision {
    Revision::try_from(signed).unwrap_or_default()
}

fn signed(revision: Revision) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn lease(session: SessionId) -> i64 {
    i64::try_from(session).unwrap_or(i64::MAX)
}
