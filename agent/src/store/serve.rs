//! The embedded store for other nodes: HTTPS with certificates on both sides.
//!
//! It must never do anything for a peer whose certificate does not name it, nor write for it what
//! [`hardstand_core::store::access`] does not allow. Each refusal is a line in the log with its reason.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hardstand_core::store::access::check_write;
use hardstand_core::store::{Compare, Op};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Frame, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::embedded::Embedded;
use super::wire::{self, Ask, PATH, QUESTION_BYTES, Question, Reply, Say, VERSION};
use super::{Beat, News, Store, StoreError, Txn, Watch, key_of};
use crate::trust::{Identity, Loaded, Trust, TrustError};

/// Connections at once: below the 1024 descriptors a service has by default. A node holds two or three.
const CONNECTIONS: usize = 900;
/// A peer that has not shown its certificate by then never will.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// A question comes whole within this, and the next one on the same connection within it too.
const QUESTION_LIMIT: Duration = Duration::from_secs(30);
/// How often a peer's certificate is looked at again while its connection lasts.
const CHECK_EVERY: Duration = Duration::from_secs(60);
/// After a failed accept (no file descriptor left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Lines of a watch that wait for a slow reader.
const LINES: usize = 4;

/// Answers until it is dropped.
pub(crate) async fn serve(listener: TcpListener, trust: Arc<Trust>, store: Embedded) -> Infallible {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    // Connections end with the server: whoever opens the file next finds it free.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, address)) => {
                let (trust, store) = (Arc::clone(&trust), store.clone());
                connections.spawn(async move {
                    if let Err(why) = connection(stream, address, trust, store).await {
                        tracing::warn!(peer = %address, why, "refused a connection");
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One peer, as its certificate names it.
struct Peer {
    identity: Identity,
    certificate: CertificateDer<'static>,
    trust: Arc<Trust>,
    store: Embedded,
    /// By what and when it was last found good.
    checked: Mutex<(Arc<Loaded>, Instant)>,
}

impl Peer {
    /// Whether it is still good.
    fn check(&self) -> Result<(), StoreError> {
        let denied = |why: String| {
            tracing::warn!(peer = %self.identity, why, "refused a peer");
            StoreError::Denied { why }
        };
        let now = self.trust.now().map_err(|error| denied(error.to_string()))?;
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&checked.0, &now) || checked.1.elapsed() > CHECK_EVERY {
            now.check_peer(&self.certificate).map_err(|error| denied(error.to_string()))?;
            *checked = (now, Instant::now());
        }
        Ok(())
    }

    /// Whether it may write all of this.
    fn check_writes(&self, txn: &Txn) -> Result<(), StoreError> {
        for op in &txn.ops {
            let key = key_of(op);
            let if_absent = txn.compares.iter().any(|compare| match compare {
                Compare::Created { key: compared, revision } | Compare::Modified { key: compared, revision } => {
                    compared == key && *revision == 0
                }
            });
            let puts = !matches!(op, Op::Delete { .. });
            if let Err(refusal) = check_write(self.identity.role, &self.identity.name, key, puts, if_absent) {
                tracing::warn!(peer = %self.identity, key, why = %refusal, "refused a write");
                return Err(StoreError::Denied { why: refusal.to_string() });
            }
        }
        Ok(())
    }
}

async fn connection(stream: TcpStream, address: SocketAddr, trust: Arc<Trust>, store: Embedded) -> Result<(), String> {
    let loaded = trust.now().map_err(|error| error.to_string())?;
    let said = |error: TrustError| error.to_string();
    let _ = stream.set_nodelay(true);
    let accept = TlsAcceptor::from(Arc::clone(&loaded.server)).accept(stream);
    let tls = match timeout(HANDSHAKE_LIMIT, accept).await {
        Ok(tls) => tls.map_err(|error| error.to_string())?,
        Err(_) => return Err("it did not say who it is in time".to_owned()),
    };
    let shown = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate = shown.ok_or("it showed no certificate")?.clone().into_owned();
    let identity = Identity::of(&certificate).map_err(said)?;
    tracing::debug!(peer = %address, %identity, "a peer has connected");
    let peer = Arc::new(Peer {
        store: store.owned_by(&identity.to_string()),
        identity,
        certificate,
        trust,
        checked: Mutex::new((loaded, Instant::now())),
    });
    let service = service_fn(|request| {
        let peer = Arc::clone(&peer);
        async move { Ok::<_, Infallible>(answer(request, peer).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(QUESTION_LIMIT);
    if let Err(error) = http.serve_connection(TokioIo::new(tls), service).await {
        tracing::debug!(peer = %peer.identity, %error, "a connection ended early");
    }
    Ok(())
}

async fn answer(request: Request<Incoming>, peer: Arc<Peer>) -> Response<Body> {
    match asked(request).await {
        Err((status, why)) => {
            tracing::warn!(peer = %peer.identity, why, "refused a request");
            respond(status, Body::Whole(Some(line(Say::Error(StoreError::Refused { why }.into())))))
        }
        Ok(ask) => match said(ask, &peer).await {
            Ok(Told::Say(say)) => respond(StatusCode::OK, Body::Whole(Some(line(say)))),
            Ok(Told::Watch(watch)) => respond(StatusCode::OK, Body::Lines(lines(watch, peer))),
            Err(error) => respond(StatusCode::OK, Body::Whole(Some(line(Say::Error(error.into()))))),
        },
    }
}

async fn asked(request: Request<Incoming>) -> Result<Ask, (StatusCode, String)> {
    if request.uri().path() != PATH {
        return Err((StatusCode::NOT_FOUND, format!("there is no {}", request.uri().path())));
    }
    if request.method() != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, format!("{} is not asked here", request.method())));
    }
    let body = Limited::new(request.into_body(), QUESTION_BYTES).collect();
    let body = match timeout(QUESTION_LIMIT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return Err((StatusCode::PAYLOAD_TOO_LARGE, error.to_string())),
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "the question did not come in time".to_owned())),
    };
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    let question: Question = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    if question.version != VERSION {
        return Err(bad(format!("version {} is asked, this store speaks {VERSION}", question.version)));
    }
    Ok(question.ask)
}

enum Told {
    Say(Say),
    Watch(Watch),
}

async fn said(ask: Ask, peer: &Peer) -> Result<Told, StoreError> {
    peer.check()?;
    let store = &peer.store;
    Ok(Told::Say(match ask {
        Ask::Get { key } => Say::Entry(store.get(&key).await?.map(Into::into)),
        Ask::Range { prefix } => {
            let (entries, revision) = store.range(&prefix).await?;
            Say::Range { entries: entries.into_iter().map(|(key, entry)| (key, entry.into())).collect(), revision }
        }
        Ask::Txn { compares, ops } => {
            let txn = wire::txn(compares, ops);
            peer.check_writes(&txn)?;
            store.txn(&txn).await?.into()
        }
        Ask::Watch { prefix, after } => return Ok(Told::Watch(store.watch(&prefix, after))),
        Ask::Begin { ttl_ms } => Say::Session { session: store.begin_session(Duration::from_millis(ttl_ms)).await? },
        Ask::Beat { session } => {
            store.beat(session).await?;
            Say::Done
        }
        Ask::End { session } => {
            store.end(session).await?;
            Say::Done
        }
    }))
}

/// A watch as lines. Its heartbeats are the store's own, so that a stuck disk is silence too.
fn lines(mut watch: Watch, peer: Arc<Peer>) -> mpsc::Receiver<Bytes> {
    let (send, lines) = mpsc::channel(LINES);
    tokio::spawn(async move {
        loop {
            let news = tokio::select! {
                news = watch.next() => news,
                () = send.closed() => return,
            };
            let (say, last) = match peer.check().and(news) {
                Ok(News::Changes(changes)) => (Say::Changes(changes.into_iter().map(Into::into).collect()), false),
                Ok(News::Progress(revision)) => (Say::Progress { revision }, false),
                Err(error) => (Say::Error(error.into()), true),
            };
            if send.send(line(say)).await.is_err() || last {
                return;
            }
        }
    });
    lines
}

fn line(say: Say) -> Bytes {
    let mut text = serde_json::to_vec(&Reply { version: VERSION, say }).expect("plain data has a text");
    text.push(b'\n');
    text.into()
}

fn respond(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}

/// One answer, or lines as they come.
enum Body {
    Whole(Option<Bytes>),
    Lines(mpsc::Receiver<Bytes>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Self::Whole(whole) => Poll::Ready(whole.take()),
            Self::Lines(lines) => lines.poll_recv(context),
        };
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(whole) => hyper::body::SizeHint::with_exact(whole.as_ref().map_or(0, |all| all.len() as u64)),
            Self::Lines(_) => hyper::body::SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }
}
