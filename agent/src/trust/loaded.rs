//! Certificates as a running program uses them, read again when a file changes.
//!
//! It must never go on with what it had when a file has become bad: then nobody gets in, with the reason, until it is
//! good again.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::files::read;
use super::{Identity, TrustError};

/// Where they lie.
#[derive(Debug, Clone)]
pub(crate) struct TrustFiles {
    /// The authority's certificate.
    pub(crate) authority: PathBuf,
    /// Its revocation list.
    pub(crate) list: PathBuf,
    /// Our certificate.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
}

/// The files, and what was last read of them.
#[derive(Debug)]
pub(crate) struct Trust {
    files: TrustFiles,
    loaded: Mutex<(Stamp, Arc<Loaded>)>,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Who we are.
    pub(crate) identity: Identity,
    /// For those who connect to us.
    pub(crate) server: Arc<ServerConfig>,
    /// For those we connect to.
    pub(crate) client: Arc<ClientConfig>,
    peers: Arc<dyn ClientCertVerifier>,
}

/// Tells one state of the files from another: inode, length and times of each.
type Stamp = Vec<(u64, u64, i64, i64)>;

impl Trust {
    /// Reads the files.
    ///
    /// # Errors
    /// When one is missing, is not what it should be, or does not belong to the others.
    pub(crate) fn load(files: TrustFiles) -> Result<Self, TrustError> {
        let stamp = stamp(&files)?;
        let loaded = Arc::new(Loaded::read(&files)?);
        Ok(Self { files, loaded: Mutex::new((stamp, loaded)) })
    }

    /// What the files say now.
    ///
    /// # Errors
    /// When a file has become bad.
    pub(crate) fn now(&self) -> Result<Arc<Loaded>, TrustError> {
        let stamp = stamp(&self.files)?;
        let mut kept = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != stamp {
            let loaded = Arc::new(Loaded::read(&self.files)?);
            tracing::info!(identity = %loaded.identity, "the certificates were read again");
            *kept = (stamp, loaded);
        }
        Ok(Arc::clone(&kept.1))
    }
}

impl Loaded {
    fn read(files: &TrustFiles) -> Result<Self, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(roots(&files.authority)?);
        let list = list(&files.list)?;
        let (chain, key) = (chain(&files.certificate)?, key(&files.key)?);
        let leaf = chain.first().ok_or_else(|| bad(&files.certificate, "it holds no certificate"))?;
        let identity = Identity::of(leaf)?;
        let peers = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .with_crls([list.clone()])
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| bad(&files.list, &error))?;
        let servers = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .with_crls([list])
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| bad(&files.list, &error))?;
        Ok(Self {
            identity,
            server: Arc::new(server(&provider, &peers, chain.clone(), key.clone_key(), files)?),
            client: Arc::new(client(&provider, servers, chain, key, files)?),
            peers,
        })
    }

    /// Whether a certificate that was good when its owner connected still is: not revoked since, not expired.
    pub(crate) fn check_peer(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        self.peers.verify_client_cert(certificate, &[], UnixTime::now()).map(|_| ())
    }
}

fn server(
    provider: &Arc<CryptoProvider>,
    peers: &Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    files: &TrustFiles,
) -> Result<ServerConfig, TrustError> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| bad(&files.certificate, &error))?
        .with_client_cert_verifier(Arc::clone(peers))
        .with_single_cert(chain, key)
        .map_err(|error| bad(&files.certificate, &error))?;
    // Each connection shows its certificate: a resumed one would not be looked up in the list.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    provider: &Arc<CryptoProvider>,
    servers: Arc<WebPkiServerVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    files: &TrustFiles,
) -> Result<ClientConfig, TrustError> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| bad(&files.certificate, &error))?
        .with_webpki_verifier(servers)
        .with_client_auth_cert(chain, key)
        .map_err(|error| bad(&files.certificate, &error))?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn roots(path: &Path) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots.add(certificate).map_err(|error| bad(path, &error))?;
    }
    if roots.is_empty() {
        return Err(bad(path, "it holds no certificate"));
    }
    Ok(roots)
}

fn list(path: &Path) -> Result<CertificateRevocationListDer<'static>, TrustError> {
    CertificateRevocationListDer::from_pem_slice(read(path)?.as_bytes()).map_err(|error| bad(path, &error))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let text = read(path)?;
    CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(|error| bad(path, &error))
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TrustError> {
    let found = std::fs::metadata(path).map_err(|source| TrustError::File {
        doing: "reading",
        path: path.to_owned(),
        source,
    })?;
    // Group bits may be an access list's mask, as systemd sets it on credentials.
    if found.mode() & 0o007 != 0 {
        return Err(bad(path, "everybody may use this key: chmod 0600, and issue another one"));
    }
    PrivateKeyDer::from_pem_slice(read(path)?.as_bytes()).map_err(|error| bad(path, &error))
}

fn stamp(files: &TrustFiles) -> Result<Stamp, TrustError> {
    [&files.authority, &files.list, &files.certificate, &files.key]
        .into_iter()
        .map(|path| match std::fs::metadata(path) {
            Ok(found) => Ok((found.ino(), found.len(), found.mtime(), found.mtime_nsec())),
            Err(source) => Err(TrustError::File { doing: "reading", path: path.clone(), source }),
        })
        .collect()
}

fn bad(path: &Path, why: impl std::fmt::Display) -> TrustError {
    TrustError::Content { path: path.to_owned(), why: why.to_string() }
}
