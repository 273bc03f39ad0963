//! The client of an embedded store in another agent: HTTPS with certificates on both sides.
//!
//! It must never call a transaction not done once a byte of it may have left, and never talk to a server that the
//! authority does not vouch for as a node at the address that was dialled.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hardstand_core::store::access::Role;
use hardstand_core::store::{Answer, Revision, SessionId};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::AlertDescription;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::session::Moment;
use super::watch::{Feed, SILENCE_LIMIT};
use super::wire::{ANSWER_BYTES, Ask, PATH, Question, Reply, Say, VERSION};
use super::{
    Beat, Doing, Entry, News, READ_LIMIT, SESSION_LIMIT, SESSION_TTL_MAX, SESSION_TTL_MIN, Session, Store, StoreError,
    TXN_LIMIT, Txn, Watch, check,
};
use crate::trust::{Identity, Trust};

/// A server on a LAN answers in milliseconds; a busy one in a second.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// An unused connection is not trusted for longer: the server gives it up after 30 s.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// Connections kept for later. Sessions, reads and writes of one agent rarely overlap.
const IDLE: usize = 2;
/// Pauses between tries to take up a watch again.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Where the store listens when the address does not say.
const PORT: u16 = 7743;

type Sender = SendRequest<Full<Bytes>>;

/// A handle on a store elsewhere. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Remote {
    shared: Arc<Shared>,
}

struct Shared {
    host: String,
    port: u16,
    server: ServerName<'static>,
    trust: Arc<Trust>,
    idle: Mutex<VecDeque<(Sender, Instant)>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({}:{})", self.shared.host, self.shared.port)
    }
}

impl Remote {
    /// The store at `https://HOST:PORT`. Nothing is connected yet.
    ///
    /// # Errors
    /// When that is no address.
    pub(crate) fn at(url: &str, trust: Arc<Trust>) -> Result<Self, StoreError> {
        let wrong = |why: &str| StoreError::Refused { why: format!("{url}: {why}; write https://HOST:PORT") };
        let uri: Uri = url.parse().map_err(|_| wrong("this is no address"))?;
        if uri.scheme_str() != Some("https") || !matches!(uri.path(), "" | "/") {
            return Err(wrong("the store speaks HTTPS at the top of its address"));
        }
        let host = uri.host().ok_or_else(|| wrong("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let server = ServerName::try_from(host.clone()).map_err(|_| wrong("its host is no name and no address"))?;
        let port = uri.port_u16().unwrap_or(PORT);
        Ok(Self { shared: Arc::new(Shared { host, port, server, trust, idle: Mutex::default() }) })
    }

    /// One question and its answer.
    async fn ask(&self, ask: Ask, limit: Duration) -> Result<Say, Failed> {
        let sent = AtomicBool::new(false);
        let exchange = async {
            let mut sender = self.connection().await?;
            sent.store(true, Ordering::Relaxed);
            let response = match sender.try_send_request(self.request(ask)).await {
                Ok(response) => response,
                Err(mut error) => {
                    // Handed back: it never left.
                    sent.store(error.take_message().is_none(), Ordering::Relaxed);
                    return Err(self.failed(error.error()));
                }
            };
            let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| self.failed(error.as_ref()))?.to_bytes();
            self.shared.keep(sender);
            read(&body)
        };
        let done = match timeout(limit, exchange).await {
            Ok(done) => done,
            Err(_) => Err(StoreError::OutOfReach { why: format!("{self:?} did not answer in time") }),
        };
        match done {
            Ok(Say::Error(error)) => Err(Failed { error: error.into(), sent: false }),
            Ok(say) => Ok(say),
            Err(error) => Err(Failed { error, sent: sent.load(Ordering::Relaxed) }),
        }
    }

    async fn read(&self, ask: Ask, limit: Duration) -> Result<Say, StoreError> {
        self.ask(ask, limit).await.map_err(|failed| failed.error)
    }

    fn request(&self, ask: Ask) -> Request<Full<Bytes>> {
        let body = serde_json::to_vec(&Question { version: VERSION, ask }).expect("plain data has a text");
        let host =
            if self.shared.host.contains(':') { format!("[{}]", self.shared.host) } else { self.shared.host.clone() };
        Request::builder()
            .method(Method::POST)
            .uri(PATH)
            .header(HOST, format!("{host}:{}", self.shared.port))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("every part of it was checked")
    }

    /// One that is kept and still good, or a new one.
    async fn connection(&self) -> Result<Sender, StoreError> {
        while let Some(mut sender) = self.shared.kept() {
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<Sender, StoreError> {
        let connect = async {
            let loaded = self.shared.trust.now().map_err(|error| StoreError::Denied { why: error.to_string() })?;
            let stream = TcpStream::connect((self.shared.host.as_str(), self.shared.port)).await;
            let stream = stream.map_err(|error| self.failed(&error))?;
            let _ = stream.set_nodelay(true);
            let connector = TlsConnector::from(Arc::clone(&loaded.client));
            let tls =
                connector.connect(self.shared.server.clone(), stream).await.map_err(|error| self.failed(&error))?;
            let shown = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let identity = shown.map(Identity::of);
            match identity {
                Some(Ok(identity)) if identity.role == Role::Node => {}
                Some(Ok(identity)) => return Err(self.denied(&format!("{identity} is no node"))),
                Some(Err(error)) => return Err(self.denied(&error.to_string())),
                None => return Err(self.denied("it showed no certificate")),
            }
            let (sender, connection) = handshake(TokioIo::new(tls)).await.map_err(|error| self.failed(&error))?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the store has ended");
                }
            });
            Ok(sender)
        };
        match timeout(CONNECT_LIMIT, connect).await {
            Ok(connected) => connected,
            Err(_) => Err(StoreError::OutOfReach { why: format!("{self:?} did not answer a connection in time") }),
        }
    }

    /// Refusals by a certificate, in either direction, happen before anything is asked; all else is out of reach.
    fn failed(&self, error: &(dyn std::error::Error + 'static)) -> StoreError {
        let mut chain = vec![error.to_string()];
        let mut next = Some(error);
        while let Some(error) = next {
            let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            let tls = error.downcast_ref::<rustls::Error>();
            let tls = tls.or_else(|| inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()));
            match tls {
                Some(rustls::Error::AlertReceived(alert)) if is_refusal(*alert) => {
                    return self.denied(&format!("it does not take our certificate ({alert:?})"));
                }
                Some(error @ (rustls::Error::InvalidCertificate(_) | rustls::Error::InvalidCertRevocationList(_))) => {
                    return self.denied(&error.to_string());
                }
                Some(error @ (rustls::Error::PeerIncompatible(_) | rustls::Error::InvalidMessage(_))) => {
                    return self.denied(&error.to_string());
                }
                _ => {}
            }
            next = error.source();
            if let Some(error) = next {
                let told = error.to_string();
                if chain.last() != Some(&told) {
                    chain.push(told);
                }
            }
        }
        StoreError::OutOfReach { why: format!("{self:?}: {}", chain.join(": ")) }
    }

    fn denied(&self, why: &str) -> StoreError {
        tracing::warn!(server = ?self, why, "refused a store, or was refused by it");
        StoreError::Denied { why: format!("{self:?}: {why}") }
    }
}

impl Shared {
    fn kept(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < IDLE_LIMIT);
        idle.pop_back().map(|(sender, _)| sender)
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push_back((sender, Instant::now()));
        if idle.len() > IDLE {
            idle.pop_front();
        }
    }
}

/// Alerts that a server sends while it looks at our certificate, and never after.
fn is_refusal(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
    )
}

struct Failed {
    error: StoreError,
    /// A byte of the question may have left.
    sent: bool,
}

impl Failed {
    fn of_a_write(self) -> StoreError {
        match self.error {
            StoreError::OutOfReach { why } | StoreError::Corrupt { why } if self.sent => StoreError::Unknown { why },
            error => error,
        }
    }
}

fn read(line: &[u8]) -> Result<Say, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { why: format!("an answer of the store: {why}") };
    let reply: Reply = serde_json::from_slice(line).map_err(|error| corrupt(error.to_string()))?;
    if reply.version != VERSION {
        return Err(corrupt(format!("version {}, this program speaks {VERSION}", reply.version)));
    }
    Ok(reply.say)
}

fn unasked(say: &Say) -> StoreError {
    StoreError::Corrupt { why: format!("an answer to another question: {say:?}") }
}

impl Store for Remote {
    fn get<'a>(&'a self, key: &'a str) -> Doing<'a, Option<Entry>> {
        let ask = Ask::Get { key: key.to_owned() };
        Box::pin(async move {
            match self.read(ask, READ_LIMIT).await? {
                Say::Entry(entry) => Ok(entry.map(Into::into)),
                say => Err(unasked(&say)),
            }
        })
    }

    fn range<'a>(&'a self, prefix: &'a str) -> Doing<'a, (Vec<(String, Entry)>, Revision)> {
        let ask = Ask::Range { prefix: prefix.to_owned() };
        Box::pin(async move {
            match self.read(ask, READ_LIMIT).await? {
                Say::Range { entries, revision } => {
                    Ok((entries.into_iter().map(|(key, entry)| (key, entry.into())).collect(), revision))
                }
                say => Err(unasked(&say)),
            }
        })
    }

    fn txn<'a>(&'a self, txn: &'a Txn) -> Doing<'a, Answer> {
        Box::pin(async move {
            check(txn)?;
            match self.ask(Ask::txn(txn), TXN_LIMIT).await.map_err(Failed::of_a_write)? {
                Say::Committed { revision } => Ok(Answer::Committed { revision }),
                Say::Conflict { revision } => Ok(Answer::Conflict { revision }),
                say => Err(StoreError::Unknown { why: unasked(&say).to_string() }),
            }
        })
    }

    fn watch(&self, prefix: &str, after: Revision) -> Watch {
        let (store, prefix) = (self.clone(), prefix.to_owned());
        Watch::fed(move |feed| feeder(store, prefix, after, feed))
    }

    fn session(&self, ttl: Duration) -> Doing<'_, Session> {
        Box::pin(async move {
            let ttl = ttl.clamp(SESSION_TTL_MIN, SESSION_TTL_MAX);
            let ttl_ms = u64::try_from(ttl.as_millis()).expect("the longest TTL is a few minutes");
            let asked_at = Moment::now();
            match self.read(Ask::Begin { ttl_ms }, SESSION_LIMIT).await? {
                Say::Session { session } => Ok(Session::keep(session, ttl, asked_at, Arc::new(self.clone()))),
                say => Err(unasked(&say)),
            }
        })
    }
}

impl Beat for Remote {
    fn beat(&self, session: SessionId) -> Doing<'_, ()> {
        Box::pin(async move {
            match self.read(Ask::Beat { session }, SESSION_LIMIT).await? {
                Say::Done => Ok(()),
                say => Err(unasked(&say)),
            }
        })
    }

    fn end(&self, session: SessionId) -> Doing<'_, ()> {
        Box::pin(async move {
            match self.read(Ask::End { session }, SESSION_LIMIT).await? {
                Say::Done => Ok(()),
                say => Err(unasked(&say)),
            }
        })
    }
}

/// Streams one after another, each from where the last one broke.
async fn feeder(store: Remote, prefix: String, after: Revision, feed: Feed) {
    let mut told = after;
    let mut pause = RETRY_MIN;
    let mut is_away = false;
    loop {
        let before = told;
        let mut heard = false;
        let error = match stream(&store, &prefix, &mut told, &feed, &mut heard).await {
            Ok(()) => return,
            Err(error) => error,
        };
        if heard {
            (is_away, pause) = (false, RETRY_MIN);
        }
        let last = !matches!(error, StoreError::OutOfReach { .. });
        let is_news = last || !is_away;
        if is_news && feed.send(Err(error)).await.is_err() {
            return;
        }
        if last {
            return;
        }
        is_away = true;
        tracing::debug!(server = ?store, from = before, "taking up a watch again");
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// One stream, until it breaks. `Ok`: nobody reads any more.
async fn stream(
    store: &Remote,
    prefix: &str,
    told: &mut Revision,
    feed: &Feed,
    heard: &mut bool,
) -> Result<(), StoreError> {
    let silent = || StoreError::OutOfReach { why: format!("{store:?} was silent for {} s", SILENCE_LIMIT.as_secs()) };
    let mut sender = store.connect().await?;
    let ask = Ask::Watch { prefix: prefix.to_owned(), after: *told };
    let response = timeout(SILENCE_LIMIT, sender.send_request(store.request(ask))).await.map_err(|_| silent())?;
    let mut body: Incoming = response.map(Response::into_body).map_err(|error| store.failed(&error))?;
    let mut rest = Vec::new();
    loop {
        let frame = timeout(SILENCE_LIMIT, body.frame()).await.map_err(|_| silent())?;
        let ended = || StoreError::OutOfReach { why: format!("{store:?} ended the watch") };
        let frame = frame.ok_or_else(ended)?.map_err(|error| store.failed(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            rest.extend_from_slice(piece);
            if rest.len() > ANSWER_BYTES {
                return Err(StoreError::Corrupt { why: format!("a line of more than {ANSWER_BYTES} bytes") });
            }
            if !piece.ends_with(b"\n") {
                break;
            }
            let news = match read(&rest)? {
                Say::Changes(changes) => News::Changes(changes.into_iter().map(Into::into).collect()),
                Say::Progress { revision } => News::Progress(revision),
                Say::Error(error) => return Err(error.into()),
                say => return Err(unasked(&say)),
            };
            rest.clear();
            *heard = true;
            *told = match &news {
                News::Changes(changes) => changes.last().map_or(*told, |last| last.revision),
                News::Progress(revision) => *revision,
            };
            if feed.send(Ok(news)).await.is_err() {
                return Ok(());
            }
        }
    }
}
