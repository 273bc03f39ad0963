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
const FORGET_LIMIT: Duration = Duration::from_secs(10);

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

/// A disk was taken out on purpose. The loop forgets it and says whether it knew it.
#[derive(Debug)]
pub(crate) struct Forget {
    /// Serial number, WWN or kernel name: the key it is remembered under.
    pub(crate) key: String,
    /// Takes the answer.
    pub(crate) answer: oneshot::Sender<bool>,
}

/// What the server needs of the loop.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    /// The last judged pass.
    pub(crate) published: watch::Receiver<Arc<Published>>,
    /// Where wishes to forget a disk go.
    pub(crate) forget: mpsc::Sender<Forget>,
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
        (&Method::POST, "/v1/forget") if local => {
            if !trusted {
                return sentence(
                    StatusCode::FORBIDDEN,
                    "only root may tell the agent that a disk was taken out: use sudo",
                );
            }
            forget(request.uri().query(), shared).await
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
    let key = query.into_iter().flat_map(|query| query.split('&')).find_map(|pair| pair.strip_prefix("disk="));
    let Some(key) = key.and_then(percent_decoded).filter(|key| !key.is_empty()) else {
        return sentence(StatusCode::BAD_REQUEST, "the query must be ?disk=SERIAL");
    };
    let (answer, answered) = oneshot::channel();
    let asked = async {
        shared.forget.send(Forget { key: key.clone(), answer }).await.ok()?;
        answered.await.ok()
    };
    match tokio::time::timeout(FORGET_LIMIT, asked).await {
        Ok(Some(true)) => sentence(StatusCode::OK, &format!("disk {key} is forgotten")),
        Ok(Some(false)) => sentence(
            StatusCode::NOT_FOUND,
            &format!("no disk is remembered as {key}; hardstand health names those that are missed"),
        ),
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
