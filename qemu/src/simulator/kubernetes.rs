//! A simulator of a Kubernetes API server, for who only looks: TLS, bearer tokens and client certificates, rights as a
//! ClusterRole grants them, lists in pages, `Status` objects for what it refuses.
//!
//! It keeps to the published API, and is stricter in one thing: a query parameter that no list knows is refused, where the
//! real one ignores it. It differs in another: a client certificate of a stranger ends the handshake, where the real one
//! says 401. It must never be kinder than the real one.

mod list;
mod rights;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rights::Rights;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Whom a token or a certificate stands for.
const USER: &str = "system:serviceaccount:hardstand:hardstand";

/// What all servers of a cluster share, and how they behave.
#[derive(Default)]
pub(crate) struct State {
    /// Objects by the plural of their kind, in the order of their names.
    pub(crate) objects: BTreeMap<&'static str, Vec<Value>>,
    /// Tokens that are good.
    pub(crate) tokens: BTreeSet<String>,
    /// What is refused beyond what the role leaves out.
    pub(crate) refused: BTreeSet<&'static str>,
    /// Groups that the cluster does not have.
    pub(crate) absent: BTreeSet<&'static str>,
    /// Checks of readiness that fail.
    pub(crate) failing: Vec<&'static str>,
    /// What of the next pages was there has been forgotten, so often.
    pub(crate) forgets: usize,
    /// Lists are not what they should be.
    pub(crate) garbage: bool,
    /// Nothing is answered any more.
    pub(crate) hangs: bool,
    /// `METHOD PATH STATUS` of everything that was answered.
    pub(crate) log: Vec<String>,
}

/// A cluster's servers.
pub(crate) struct Cluster {
    state: Arc<Mutex<State>>,
    rights: Arc<Rights>,
    acceptor: TlsAcceptor,
    serving: BTreeMap<u16, JoinHandle<()>>,
}

/// What a request is, as far as it matters.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    /// `Authorization`, where there is one.
    pub(crate) authorization: Option<&'a str>,
    /// It showed a certificate of the cluster's authority.
    pub(crate) by_certificate: bool,
}

impl Cluster {
    /// Servers with the certificate `server.pem` of `dir`, which take clients of `ca.pem`; `role` is what its ClusterRole
    /// grants them.
    pub(crate) fn new(dir: &Path, role: &str) -> Result<Self> {
        let read = |name: &str| std::fs::read(dir.join(name)).with_context(|| format!("reading {name}"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&read("ca.pem")?).context("reading the authority")?)?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let clients = clients.allow_unauthenticated().build().context("taking clients")?;
        let chain = vec![CertificateDer::from_pem_slice(&read("server.pem")?).context("reading the certificate")?];
        let key = PrivateKeyDer::from_pem_slice(&read("server.key")?).context("reading its key")?;
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_client_cert_verifier(clients).with_single_cert(chain, key)?;
        Ok(Self {
            state: Arc::default(),
            rights: Arc::new(Rights::of(role)?),
            acceptor: TlsAcceptor::from(Arc::new(config)),
            serving: BTreeMap::new(),
        })
    }

    /// What the servers share, to be changed.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a server.
    pub(crate) async fn up(&mut self, port: u16) -> Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.context("listening as an API server")?;
        let (state, rights, acceptor) = (Arc::clone(&self.state), Arc::clone(&self.rights), self.acceptor.clone());
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, rights, acceptor) = (Arc::clone(&state), Arc::clone(&rights), acceptor.clone());
                tokio::spawn(async move {
                    // Who comes without TLS, or with a certificate that does not hold, is let go.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let by_certificate = stream.get_ref().1.peer_certificates().is_some();
                    let service =
                        service_fn(move |request| serve(state.clone(), rights.clone(), by_certificate, request));
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        self.serving.insert(port, serving);
        Ok(())
    }

    /// Ends a server: nobody listens there any more when this has come back.
    pub(crate) async fn down(&mut self, port: u16) {
        if let Some(serving) = self.serving.remove(&port) {
            serving.abort();
            let _ = serving.await;
        }
    }
}

async fn serve<B>(
    state: Arc<Mutex<State>>,
    rights: Arc<Rights>,
    by_certificate: bool,
    request: Request<B>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let asked = Asked {
        method: request.method(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        authorization,
        by_certificate,
    };
    let answered = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.hangs { None } else { Some(answer(&mut state, &rights, &asked)) }
    };
    match answered {
        Some(answer) => Ok(answer.into_response()),
        None => std::future::pending().await,
    }
}

/// An answer before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    Text(String),
    Json(Value),
}

impl Answer {
    fn text(code: u16, text: impl Into<String>) -> Self {
        Self { code, body: Body::Text(text.into()) }
    }

    /// A refusal, as Kubernetes words them.
    fn status(code: u16, reason: &str, message: impl Into<String>) -> Self {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message.into(), "reason": reason, "code": code,
        });
        Self { code, body: Body::Json(status) }
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let (kind, text) = match self.body {
            Body::Text(text) => ("text/plain; charset=utf-8", text),
            Body::Json(value) => ("application/json", value.to_string()),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = hyper::StatusCode::from_u16(self.code).expect("the codes stand in this file");
        response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
        response
    }
}

/// Answers, and writes down that it did.
pub(crate) fn answer(state: &mut State, rights: &Rights, asked: &Asked<'_>) -> Answer {
    let answer = decide(state, rights, asked);
    state.log.push(format!("{} {} {}", asked.method, asked.path, answer.code));
    answer
}

/// First who it is, then whether they may, and then only whether there is such a thing.
fn decide(state: &mut State, rights: &Rights, asked: &Asked<'_>) -> Answer {
    let token = asked.authorization.and_then(|value| value.strip_prefix("Bearer "));
    let is_known = match token {
        Some(token) => state.tokens.contains(token),
        None => asked.by_certificate,
    };
    if !is_known {
        return Answer::status(401, "Unauthorized", "Unauthorized");
    }
    // Everybody who is known may see these, by roles that every cluster has.
    let is_public = asked.method == Method::GET;
    match asked.path.trim_start_matches('/').split('/').collect::<Vec<_>>()[..] {
        ["readyz" | "livez"] if is_public => readiness(state),
        ["apis", group] if is_public => match list::KINDS.iter().any(|kind| kind.group == group) {
            true if !state.absent.contains(group) => {
                Answer { code: 200, body: Body::Json(json!({"kind": "APIGroup", "apiVersion": "v1", "name": group})) }
            }
            _ => Answer::text(404, "404 page not found\n"),
        },
        ["api", version, resource] => resources(state, rights, asked, ("", version, resource)),
        ["apis", group, version, resource] => resources(state, rights, asked, (group, version, resource)),
        _ => forbidden_path(asked),
    }
}

fn readiness(state: &State) -> Answer {
    if state.failing.is_empty() {
        return Answer::text(200, "ok");
    }
    let mut text = "[+]ping ok\n[+]log ok\n".to_owned();
    for check in &state.failing {
        text += &format!("[-]{check} failed: reason withheld\n");
    }
    Answer::text(500, text + "readyz check failed\n")
}

fn forbidden_path(asked: &Asked<'_>) -> Answer {
    let verb = asked.method.as_str().to_lowercase();
    Answer::status(403, "Forbidden", format!("forbidden: User \"{USER}\" cannot {verb} path \"{}\"", asked.path))
}

fn resources(state: &mut State, rights: &Rights, asked: &Asked<'_>, of: (&str, &str, &str)) -> Answer {
    let (group, _, resource) = of;
    let verb = match asked.method.as_str() {
        "GET" | "HEAD" => "list",
        "POST" => "create",
        "DELETE" => "deletecollection",
        "PUT" => "update",
        other => other,
    };
    if !rights.grants(group, resource, verb) || state.refused.contains(resource) {
        let named = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        let message = format!(
            "{named} is forbidden: User \"{USER}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" at the \
             cluster scope"
        );
        return Answer::status(403, "Forbidden", message);
    }
    let kind = list::KINDS.iter().find(|kind| (kind.group, kind.version, kind.plural) == of);
    match kind.filter(|kind| !state.absent.contains(kind.group)) {
        Some(_) if state.garbage => Answer::text(200, "{\"kind\":\"NodeList\",\"items\":[{\"metadata\":{\"name\":"),
        Some(kind) => list::answer(state, kind, asked.query),
        None => Answer::text(404, "404 page not found\n"),
    }
}

#[cfg(test)]
mod tests;
