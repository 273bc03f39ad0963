//! The pages over HTTP: `/metrics` on a TCP address, and everything on a unix socket for the operator commands.
//!
//! It must never wait for a collector: it answers from the last pass, whatever happens to the next. It must never
//! change anything but for root and the agent's own user, known by the socket's peer credentials.
//!
//! The socket may be read by every local user, as /proc and `systemctl status` may: the health of a node is no secret
//! from those who work on it. What the kernel keeps for root (serial numbers of the board and its memory) is left out
//! for others.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::buf::Chain;
use bytes::{Buf, Bytes};
use hardstand_core::Thing;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::time::{ClockId, clock_gettime};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::metrics::Format;
use super::published::Published;

/// Where the operator commands find the agent: in the agent's own runtime directory.
pub(crate) const SOCKET: &str = "/run/hardstand/agent/agent.sock";

/// Connections at once, per listener: a few scrapers and a few terminals; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// A client that has not sent its request by then never will.
const HEADER_LIMIT: Duration = Duration::from_secs(5);
/// One connection is one request; a reader slower than this is stuck. Above what a scraper waits by default (10 s).
const CONNECTION_LIMIT: Duration = Duration::from_secs(15);
/// Room for a request's line and headers. Nothing that is asked here comes near it.
const REQUEST_BYTES: usize = 16 * 1024;
/// After a failed accept (no file descriptor left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// The loop answers between two passes, which the probe's own deadlines keep short.
const WISH_LIMIT: Duration = Duration::from_secs(10);

type Body = Full<Chain<Bytes, Bytes>>;

/// Why a listener could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The TCP address cannot be had.
    #[error("listening on {address}: {source}; set [metrics] listen to another ADDRESS:PORT, or to \"off\"")]
    Address {
        /// Which.
        address: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The unix socket cannot be made.
    #[error("listening on {}: {source}; name another path with --socket", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Somebody answers there already.
    #[error("listening on {}: another agent answers there; stop it, or name another path with --socket", path.display())]
    Taken {
        /// Where.
        path: PathBuf,
    },
}

/// What a person wants of the loop, which says whether it knew what it is about.
#[derive(Debug)]
pub(crate) struct Wish {
    /// What.
    pub(crate) wanted: Wanted,
    /// Takes the answer.
    pub(crate) answer: oneshot::Sender<bool>,
}

/// What a person may want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Something was taken away on purpose: forget it.
    Forget {
        /// What it was.
        kind: Thing,
        /// What it is remembered under: of a disk its serial number, WWN or kernel name.
        name: String,
    },
    /// A finding is known: tell it no louder than info for a while.
    Acknowledge {
        /// The check.
        check: String,
        /// The subject.
        subject: String,
        /// Why.
        reason: String,
        /// For how long; 0: tell it again.
        seconds: u64,
    },
}

/// What the server needs of the loop.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    /// The last judged pass.
    pub(crate) published: watch::Receiver<Arc<Published>>,
    /// Where wishes go.
    pub(crate) wishes: mpsc::Sender<Wish>,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    /// Somebody over TCP.
    Network,
    /// A local process; `trusted` when it runs as root or as the agent's own user.
    Local { trusted: bool },
}

/// Makes the TCP listener, or none where `listen` is `off`.
///
/// # Errors
/// When the address cannot be had.
pub(crate) async fn bind_tcp(listen: &str) -> Result<Option<TcpListener>, ServeError> {
    if listen == "off" {
        return Ok(None);
    }
    let failed = |source| ServeError::Address { address: listen.to_owned(), source };
    Ok(Some(TcpListener::bind(listen).await.map_err(failed)?))
}

/// Makes the unix socket, readable by all. A socket that a dead agent left is replaced; a live one is not.
///
/// # Errors
/// When the path cannot be used or another agent answers there.
pub(crate) async fn bind_unix(path: &Path) -> Result<UnixListener, ServeError> {
    let failed = |source| ServeError::Socket { path: path.to_owned(), source };
    match UnixStream::connect(path).await {
        Ok(_) => return Err(ServeError::Taken { path: path.to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)?;
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(failed)?;
    Ok(listener)
}

/// Answers on TCP until it is dropped.
pub(crate) async fn serve_tcp(listener: TcpListener, shared: Shared) -> Infallible {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    connection(stream, Peer::Network, shared).await;
                    drop(slot);
                });
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Answers on the unix socket until it is dropped.
pub(crate) async fn serve_unix(listener: UnixListener, shared: Shared) -> Infallible {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let uid = stream.peer_cred().map(|peer| peer.uid());
                let trusted = uid.is_ok_and(|uid| uid == 0 || uid == nix::unistd::geteuid().as_raw());
                let shared = shared.clone();
                tokio::spawn(async move {
                    connection(stream, Peer::Local { trusted }, shared).await;
                    drop(slot);
                });
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

async fn pause_after(error: &std::io::Error) {
    tracing::warn!(%error, "accepting a connection failed");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn connection<S>(stream: S, peer: Peer, shared: Shared)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(&request, peer, &shared).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT).keep_alive(false).max_buf_size(REQUEST_BYTES);
    let served = http.serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_LIMIT, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
        Err(_) => tracing::debug!("a connection passed its limit"),
    }
}

async fn answer(request: &Request<Incoming>, peer: Peer, shared: &Shared) -> Response<Body> {
    let local = matches!(peer, Peer::Local { .. });
    let trusted = peer == Peer::Local { trusted: true };
    let published = || Arc::clone(&shared.published.borrow());
    let path = request.uri().path();
    let known = path == "/" || path == "/metrics" || (local && path.starts_with("/v1/"));
    match (request.method(), path) {
        (&Method::POST, "/v1/forget" | "/v1/acknowledge") if local => {
            if !trusted {
                let refusal = "only root may tell the agent what is known or was taken away: use sudo";
                return sentence(StatusCode::FORBIDDEN, refusal);
            }
            let query = request.uri().query();
            if path == "/v1/forget" { forget(query, shared).await } else { acknowledge(query, shared).await }
        }
        (&Method::GET | &Method::HEAD, "/metrics") => metrics(request, &published()),
        (&Method::GET | &Method::HEAD, "/v1/health") if local => {
            json(published().health_json(seconds_of(ClockId::CLOCK_BOOTTIME)))
        }
        (&Method::GET | &Method::HEAD, "/v1/inventory") if local => json(published().inventory_json(trusted)),
        (&Method::GET | &Method::HEAD, "/v1/observed") if local => json(published().observed_json(trusted)),
        (&Method::GET | &Method::HEAD, "/") => sentence(StatusCode::OK, "hardstand agent; its metrics are at /metrics"),
        (&Method::GET | &Method::HEAD, _) => sentence(StatusCode::NOT_FOUND, "there is no such page"),
        _ if !known => sentence(StatusCode::NOT_FOUND, "there is no such page"),
        _ => {
            let mut refusal = sentence(StatusCode::METHOD_NOT_ALLOWED, "this page can be read only");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refusal
        }
    }
}

fn metrics(request: &Request<Incoming>, published: &Published) -> Response<Body> {
    let format = Format::accepted(request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()));
    let (ages, rest) = published.page(format, seconds_of(ClockId::CLOCK_BOOTTIME), seconds_of(ClockId::CLOCK_REALTIME));
    response(StatusCode::OK, format.content_type(), ages, rest)
}

fn seconds_of(clock: ClockId) -> f64 {
    let time = clock_gettime(clock).expect("Linux has had this clock since 2.6.39");
    Duration::from(time).as_secs_f64()
}

async fn forget(query: Option<&str>, shared: &Shared) -> Response<Body> {
    let asked = query.and_then(|query| query.split_once('=')).and_then(|(word, name)| {
        let kind = Thing::ALL.into_iter().find(|kind| kind.word() == word)?;
        Some((kind, percent_decoded(name).filter(|name| !name.is_empty())?))
    });
    let Some((kind, name)) = asked else {
        let words = Thing::ALL.map(|kind| format!("?{}=NAME", kind.word())).join(", ");
        return sentence(StatusCode::BAD_REQUEST, &format!("the query must be one of {words}"));
    };
    let word = kind.word();
    let known = format!("{word} {name} is forgotten");
    let unknown = format!("no {word} is remembered as {name}; hardstand health names what is missed");
    wish(Wanted::Forget { kind, name }, shared, &known, &unknown).await
}

async fn acknowledge(query: Option<&str>, shared: &Shared) -> Response<Body> {
    let value = |wanted: &str| {
        let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == wanted)?;
        percent_decoded(value)
    };
    let asked =
        (value("check"), value("subject"), value("reason"), value("seconds").and_then(|text| text.parse().ok()));
    let (Some(check), Some(subject), Some(reason), Some(seconds)) = asked else {
        let form = "the query must be ?check=CHECK&subject=SUBJECT&reason=WORDS&seconds=NUMBER";
        return sentence(StatusCode::BAD_REQUEST, form);
    };
    if seconds > 0 && reason.trim().is_empty() {
        return sentence(StatusCode::BAD_REQUEST, "say why: the reason is shown with the finding");
    }
    let known = match seconds {
        0 => format!("{check} of {subject} is told again"),
        _ => format!("{check} of {subject} is acknowledged; its gate stays as it is"),
    };
    let unknown = format!(
        "there is nothing to acknowledge of {check} of {subject}; hardstand health names the checks and their subjects"
    );
    wish(Wanted::Acknowledge { check, subject, reason, seconds }, shared, &known, &unknown).await
}

/// Hands a wish to the loop; the sentence for one that it knew what to do with, and for one that it did not.
async fn wish(wanted: Wanted, shared: &Shared, known: &str, unknown: &str) -> Response<Body> {
    let (answer, answered) = oneshot::channel();
    let asked = async {
        shared.wishes.send(Wish { wanted, answer }).await.ok()?;
        answered.await.ok()
    };
    match tokio::time::timeout(WISH_LIMIT, asked).await {
        Ok(Some(true)) => sentence(StatusCode::OK, known),
        Ok(Some(false)) => sentence(StatusCode::NOT_FOUND, unknown),
        Ok(None) => sentence(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping; ask again once it runs"),
        Err(_) => sentence(StatusCode::SERVICE_UNAVAILABLE, "the agent did not answer in time; ask again"),
    }
}

/// `%41` becomes `A`; `None` for what is not UTF-8 or not an escape.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

fn json(body: Bytes) -> Response<Body> {
    response(StatusCode::OK, "application/json", body, Bytes::new())
}

fn sentence(status: StatusCode, text: &str) -> Response<Body> {
    response(status, "text/plain; charset=utf-8", Bytes::from(format!("{text}\n")), Bytes::new())
}

fn response(status: StatusCode, content_type: &'static str, first: Bytes, rest: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(first.chain(rest)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests;
