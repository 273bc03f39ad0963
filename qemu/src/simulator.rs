//! Simulators: servers of the lab's own that stand in for systems which cannot run here. What they know of the real one
//! is in their tables, and what is not in there they refuse.
//!
//! It must never be taken for the real system: a story that asks a simulator says so in its name.

pub(crate) mod kubernetes;
pub(crate) mod proxmox;
pub(crate) mod truenas;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a client asks, as far as a simulator looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `GET`
    pub method: String,
    /// As it came, without what is behind the question mark.
    pub path: String,
    /// What is behind the question mark.
    pub query: String,
    /// The header of that name.
    pub authorization: Option<String>,
}

/// What a simulator answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Any of three digits: some systems have their own.
    pub status: u16,
    /// What stands behind the status.
    pub reason: String,
    /// JSON.
    pub body: String,
}

/// A system that answers.
pub(crate) trait Simulated: Send + 'static {
    /// What the real one would answer.
    fn answer(&mut self, asked: &Asked) -> Answered;
}

/// What goes wrong instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It answers this, whatever was asked.
    Answers(Answered),
    /// It never answers, and keeps the connection.
    Hangs,
}

/// A simulator while it serves; it ends with the runtime.
pub(crate) struct Serving<S> {
    shared: Arc<Mutex<Shared<S>>>,
}

struct Shared<S> {
    system: S,
    /// By the beginning of a path.
    faults: Vec<(String, Fault)>,
    asked: Vec<String>,
}

impl<S: Simulated> Serving<S> {
    /// Serves `system` with TLS on a port of loopback, with the PEM files of that name in `dir` (`NAME.pem`, `NAME.key`).
    pub(crate) async fn start(system: S, port: u16, (dir, name): (&Path, &str)) -> Result<Self> {
        let acceptor = acceptor(&dir.join(format!("{name}.pem")), &dir.join(format!("{name}.key")))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        let shared = Arc::new(Mutex::new(Shared { system, faults: Vec::new(), asked: Vec::new() }));
        let serving = Self { shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    // A client that does not like the certificate goes away.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(serving)
    }

    /// Changes what it stands for.
    pub(crate) fn change(&self, change: impl FnOnce(&mut S)) {
        change(&mut lock(&self.shared).system);
    }

    /// From now on this goes wrong wherever the path begins so, until [`Serving::heal`].
    pub(crate) fn break_at(&self, path: &str, fault: Fault) {
        lock(&self.shared).faults.push((path.to_owned(), fault));
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        lock(&self.shared).faults.clear();
    }

    /// What was asked since the last time, with the status that was answered.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared).asked)
    }
}

fn lock<S>(shared: &Mutex<Shared<S>>) -> MutexGuard<'_, Shared<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn acceptor(chain: &Path, key: &Path) -> Result<TlsAcceptor> {
    let reading = |path: &Path| format!("reading {}", path.display());
    let certificates = CertificateDer::pem_file_iter(chain).with_context(|| reading(chain))?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().with_context(|| reading(chain))?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| reading(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("choosing versions of TLS")?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("taking the simulator's certificate")?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn answer<S: Simulated>(
    shared: Arc<Mutex<Shared<S>>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let asked = Asked {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        authorization,
    };
    let answered = {
        let mut shared = lock(&shared);
        let fault = shared.faults.iter().find(|(path, _)| asked.path.starts_with(path)).map(|(_, fault)| fault.clone());
        let answered = match fault {
            None => Some(shared.system.answer(&asked)),
            Some(Fault::Answers(answered)) => Some(answered),
            Some(Fault::Hangs) => None,
        };
        let status = answered.as_ref().map_or_else(|| "hangs".to_owned(), |answered| answered.status.to_string());
        let mark = if asked.query.is_empty() { "" } else { "?" };
        shared.asked.push(format!("{} {}{mark}{} {status}", asked.method, asked.path, asked.query));
        answered
    };
    match answered {
        Some(answered) => Ok(answered.into_response()),
        None => std::future::pending().await,
    }
}

impl Answered {
    /// A good answer.
    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, reason: "OK".to_owned(), body: body.into() }
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Ok(reason) = ReasonPhrase::try_from(self.reason.into_bytes()) {
            response.extensions_mut().insert(reason);
        }
        let json = hyper::header::HeaderValue::from_static("application/json;charset=UTF-8");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}
