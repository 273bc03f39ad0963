//! The door: open while a policy names its address, on every member; who does not lead sends guests to who does.
//!
//! It must never hold a request for longer than its limit: the guest asks again by itself.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hardstand_core::fleetlock::{Guest, Refusal, Wish};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Connections at once: a guest asks every five minutes.
const CONNECTIONS: usize = 64;
/// A client that has not sent its request by then never will.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// A commit and what comes before it in the member's loop.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// A request has two short names in it.
const BODY_BYTES: usize = 4 * 1024;
/// Between two tries to have the address: it may be one that moves.
const BIND_AGAIN: Duration = Duration::from_secs(5);

/// A guest at the door.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Who, for which group.
    pub(crate) guest: Guest,
    /// What.
    pub(crate) wish: Wish,
    /// Takes the answer.
    pub(crate) answer: oneshot::Sender<Reply>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It is so.
    Yes,
    /// No.
    No(Refusal),
    /// This node does not lead; who does is reached there: `host:port`.
    Elsewhere(String),
}

/// The door of this node.
#[derive(Debug)]
pub(crate) struct Door {
    open: Option<(String, JoinHandle<Infallible>)>,
    next_try: Instant,
    guests: mpsc::Receiver<Asked>,
    /// Kept, so that the channel stays open while the door is shut.
    sender: mpsc::Sender<Asked>,
}

impl Door {
    pub(crate) fn new() -> Self {
        let (sender, guests) = mpsc::channel(CONNECTIONS);
        Self { open: None, next_try: Instant::now(), guests, sender }
    }

    /// Opens it at this address, or shuts it.
    pub(crate) async fn keep(&mut self, listen: Option<&str>) {
        if self.open.as_ref().map(|(address, _)| address.as_str()) == listen {
            return;
        }
        if let Some((address, task)) = self.open.take() {
            task.abort();
            tracing::info!(address, "the door for guests is shut");
        }
        let Some(listen) = listen.filter(|_| self.next_try <= Instant::now()) else { return };
        self.next_try = Instant::now() + BIND_AGAIN;
        match TcpListener::bind(listen).await {
            Ok(listener) => {
                tracing::info!(address = listen, "guests may ask");
                self.open = Some((listen.to_owned(), tokio::spawn(serve(listener, self.sender.clone()))));
            }
            Err(error) => tracing::warn!(address = listen, %error, "guests cannot be heard; see [fleetlock] listen"),
        }
    }

    /// The next guest (cancel safe); never ends while nobody asks.
    pub(crate) async fn next(&mut self) -> Asked {
        match self.guests.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.open {
            task.abort();
        }
    }
}

/// Answers until it is dropped.
pub(super) async fn serve(listener: TcpListener, guests: mpsc::Sender<Asked>) -> Infallible {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let guests = guests.clone();
                tokio::spawn(async move {
                    connection(stream, guests).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a guest failed");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, guests: mpsc::Sender<Asked>) {
    let service = service_fn(|request| {
        let guests = guests.clone();
        async move { Ok::<_, Infallible>(respond(request, &guests).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(REQUEST_LIMIT).keep_alive(false);
    let served = http.serve_connection(TokioIo::new(stream), service);
    match timeout(REQUEST_LIMIT + ANSWER_LIMIT, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a guest left early"),
        Err(_) => tracing::debug!("a guest passed its limit"),
    }
}

/// The body of a request. Members that are not known are left alone, as the protocol's servers do.
#[derive(Debug, Deserialize)]
struct Asking {
    client_params: Params,
}

#[derive(Debug, Deserialize)]
struct Params {
    group: String,
    id: String,
}

/// The body of a refusal.
#[derive(Debug, Serialize)]
struct Refused<'a> {
    kind: &'a str,
    value: &'a str,
}

async fn respond(request: Request<Incoming>, guests: &mpsc::Sender<Asked>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let wish = match path.as_str() {
        "/v1/pre-reboot" => Wish::PreReboot,
        "/v1/steady-state" => Wish::SteadyState,
        _ => return refused(&Refusal::new(404, "not_found", "there are /v1/pre-reboot and /v1/steady-state")),
    };
    if request.method() != Method::POST {
        return refused(&Refusal::new(405, "method_not_allowed", "ask with POST"));
    }
    match ask(request, wish, guests).await {
        Ok(Reply::Yes) => Response::new(Full::default()),
        Ok(Reply::No(refusal)) | Err(refusal) => refused(&refusal),
        Ok(Reply::Elsewhere(host)) => {
            let mut response = refused(&Refusal::new(307, "not_leader", format!("ask {host}, which leads")));
            if let Ok(location) = HeaderValue::from_str(&format!("http://{host}{path}")) {
                response.headers_mut().insert(LOCATION, location);
            }
            response
        }
    }
}

async fn ask(request: Request<Incoming>, wish: Wish, guests: &mpsc::Sender<Asked>) -> Result<Reply, Refusal> {
    let header = request.headers().get("fleet-lock-protocol").and_then(|value| value.to_str().ok()).map(str::to_owned);
    // The header first: without it this is no FleetLock client, whatever it says.
    Guest::new(header.as_deref(), "group", "id")?;
    let body = timeout(REQUEST_LIMIT, Limited::new(request.into_body(), BODY_BYTES).collect()).await;
    let unreadable = || {
        Refusal::new(
            400,
            "invalid_client_identity",
            "the body must be {\"client_params\": {\"group\": .., \"id\": ..}}",
        )
    };
    let body = body.map_err(|_| unreadable())?.map_err(|_| unreadable())?.to_bytes();
    let Asking { client_params: Params { group, id } } = serde_json::from_slice(&body).map_err(|_| unreadable())?;
    let guest = Guest::new(header.as_deref(), &group, &id)?;
    let (answer, answered) = oneshot::channel();
    let asked = async {
        guests.send(Asked { guest, wish, answer }).await.ok()?;
        answered.await.ok()
    };
    let late = || Refusal::out_of_reach("no answer in time; ask again");
    timeout(ANSWER_LIMIT, asked).await.ok().flatten().ok_or_else(late)
}

fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(&Refused { kind: refusal.kind, value: &refusal.value });
    let mut response = Response::new(Full::from(body.unwrap_or_default()));
    *response.status_mut() = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
