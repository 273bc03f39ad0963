//! Connections to the members: mutual TLS, HTTP/2, one at a time, the next member when one fails.
//!
//! It must never send a request itself, and never speak without TLS: the certificate's common name is who we are.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::grpc::{CallError, Sender, chain};
use super::version::{self, Version};

/// TCP and TLS to one member: two round trips, which take 2 s on a link with 500 ms each way.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// A member that has not answered by then gets company: the next one is tried beside it. A LAN answers in a few
/// milliseconds; a member that is stopped or cut off answers never.
const STAGGER: Duration = Duration::from_millis(300);

/// Where etcd is and who we are there. Files are read again for each connection, so that renewed ones are taken up.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    /// `https://host:port` of each member, the preferred one first.
    pub(crate) urls: Vec<String>,
    /// Who signed the members' certificates (PEM).
    pub(crate) ca: PathBuf,
    /// Our certificate (PEM); its common name is our user.
    pub(crate) cert: PathBuf,
    /// Its key (PEM).
    pub(crate) key: PathBuf,
}

/// One connection that works, or did.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) sender: Sender,
    /// `host:port`.
    pub(super) authority: String,
    member: usize,
    number: u64,
    /// The member's version, once somebody has asked.
    pub(super) version: Arc<RwLock<Option<Version>>>,
}

/// The connection of the moment, shared by all calls.
#[derive(Debug)]
pub(super) struct Links {
    endpoints: Endpoints,
    now: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    link: Option<Link>,
    /// Tried first when there is no link.
    start: usize,
    made: u64,
}

impl Links {
    pub(super) fn new(endpoints: Endpoints) -> Self {
        Self { endpoints, now: Mutex::default() }
    }

    /// The link of the moment, and whether it is a new one, as there was none or it had closed.
    pub(super) async fn link(&self) -> Result<(Link, bool), CallError> {
        let mut now = self.now.lock().await;
        if let Some(link) = now.link.as_ref().filter(|link| !link.sender.is_closed()) {
            return Ok((link.clone(), false));
        }
        if let Some(closed) = now.link.take() {
            now.start = closed.member + 1;
        }
        now.made += 1;
        let link = self.connect(now.start, now.made).await.map_err(CallError::NotSent)?;
        now.start = link.member;
        now.link = Some(link.clone());
        tracing::debug!(member = link.authority, "connected to etcd");
        Ok((link, true))
    }

    /// A link has failed its caller: the next call tries the next member first. Another link than this one stays.
    pub(super) async fn leave(&self, link: &Link, why: &CallError) {
        let mut now = self.now.lock().await;
        if now.link.as_ref().is_some_and(|current| current.number == link.number) {
            tracing::info!(member = link.authority, %why, "leaving an etcd member");
            now.link = None;
            now.start = link.member + 1;
        }
    }

    /// The first member that answers, asked one after the other and then together.
    async fn connect(&self, start: usize, number: u64) -> Result<Link, String> {
        let count = self.endpoints.urls.len();
        let mut waiting = (0..count).map(|step| (start + step) % count);
        let mut tries = JoinSet::new();
        let mut told = Vec::new();
        loop {
            let next = waiting.next();
            if let Some(member) = next {
                tries.spawn(connect(self.endpoints.clone(), member, number));
            }
            // With nobody left to try, only the connection's own limit ends the wait.
            let limit = if next.is_some() { STAGGER } else { CONNECT_LIMIT };
            match timeout(limit, tries.join_next()).await {
                Ok(Some(Ok(Ok(link)))) => return Ok(link),
                Ok(Some(Ok(Err(why)))) => told.push(why),
                Ok(Some(Err(error))) => told.push(error.to_string()),
                Ok(None) if next.is_none() => break,
                Ok(None) | Err(_) => {}
            }
        }
        if told.is_empty() {
            told.push("no endpoint is set, or none answered".to_owned());
        }
        Err(told.join("; "))
    }
}

async fn connect(endpoints: Endpoints, member: usize, number: u64) -> Result<Link, String> {
    let url = &endpoints.urls[member];
    match timeout(CONNECT_LIMIT, handshake(&endpoints, url)).await {
        Ok(Ok((sender, authority))) => Ok(Link { sender, authority, member, number, version: Arc::default() }),
        Ok(Err(why)) => Err(format!("{url}: {why}")),
        Err(_) => Err(format!("{url}: no connection within {} s", CONNECT_LIMIT.as_secs())),
    }
}

async fn handshake(endpoints: &Endpoints, url: &str) -> Result<(Sender, String), String> {
    let authority = url.strip_prefix("https://").ok_or("is not https://host:port; mutual TLS is the only way in")?;
    let authority = authority.trim_end_matches('/').to_owned();
    let (host, _port) = authority.rsplit_once(':').ok_or("has no port; etcd's is 2379")?;
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|error| error.to_string())?;
    let tls = TlsConnector::from(Arc::new(tls(endpoints)?));
    let tcp = TcpStream::connect(&authority).await.map_err(|error| format!("connecting: {error}"))?;
    tcp.set_nodelay(true).map_err(|error| format!("setting TCP_NODELAY: {error}"))?;
    let tls = tls.connect(name, tcp).await.map_err(|error| format!("TLS: {error}"))?;
    let handshake = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .handshake(TokioIo::new(tls))
        .await;
    let (sender, connection) = handshake.map_err(|error| format!("HTTP/2: {}", chain(&error)))?;
    // Ends when the last sender is dropped, or the peer ends it; who waits for an answer is told the cause.
    tokio::spawn(async move { drop(connection.await) });
    Ok((sender, authority))
}

fn tls(endpoints: &Endpoints) -> Result<ClientConfig, String> {
    let reading = |path: &PathBuf, error: String| format!("reading {}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for root in certificates(&endpoints.ca).map_err(|error| reading(&endpoints.ca, error))? {
        roots.add(root).map_err(|error| reading(&endpoints.ca, error.to_string()))?;
    }
    let chain = certificates(&endpoints.cert).map_err(|error| reading(&endpoints.cert, error))?;
    let key =
        PrivateKeyDer::from_pem_file(&endpoints.key).map_err(|error| reading(&endpoints.key, error.to_string()))?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| reading(&endpoints.cert, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?.collect();
    let found = read.map_err(|error| error.to_string())?;
    if found.is_empty() { Err("no certificate in it".to_owned()) } else { Ok(found) }
}

impl Link {
    /// Remembers what the member said of its version, and warns once per connection of one that flaps sessions.
    pub(super) fn learn_version(&self, text: &str) {
        if let Some(warning) = version::warning(text) {
            tracing::warn!(member = self.authority, "{warning}");
        }
        *self.version.write().unwrap_or_else(PoisonError::into_inner) = version::parse(text);
    }

    /// Whether a progress answer that was asked for never overtakes the changes before it.
    pub(super) fn tells_progress_truly(&self) -> bool {
        let version = *self.version.read().unwrap_or_else(PoisonError::into_inner);
        version.is_some_and(version::tells_progress_truly)
    }
}
