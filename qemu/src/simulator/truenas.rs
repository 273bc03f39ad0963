//! A simulator of TrueNAS: its API over a Unix socket, over TLS and over plain TCP, in the shapes of 25.04, 25.10 and 26.
//! It is no TrueNAS: it has no pools, and answers what it was told to.
//!
//! It must never answer a call that the published interface does not allow: see [`methods`].

pub(crate) mod methods;
mod serve;
#[cfg(test)]
mod tests;
pub(crate) mod world;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use world::World;

/// A simulated TrueNAS; its listeners end with the process.
#[derive(Clone)]
pub(crate) struct Simulator(Arc<Mutex<World>>);

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    /// A user of the box, by the socket.
    Local(u32),
    /// Over TLS.
    Tls,
    /// Over a network, without TLS.
    Plain,
}

impl Simulator {
    pub(crate) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    /// What it is and does; held for a moment only.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves the socket of the box.
    pub(crate) fn listen_socket(&self, path: &Path) -> Result<()> {
        let listener = UnixListener::bind(path).with_context(|| format!("listening at {}", path.display()))?;
        let this = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let uid = stream.peer_cred().map_or(u32::MAX, |peer| peer.uid());
                tokio::spawn(serve::connection(this.clone(), stream, Peer::Local(uid)));
            }
        });
        Ok(())
    }

    /// Serves TLS with a certificate and its key.
    pub(crate) async fn listen_tls(&self, address: &str, certificate: &Path, key: &Path) -> Result<()> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening at {address}"))?;
        let certificate = CertificateDer::from_pem_file(certificate).context("reading a certificate")?;
        let key = PrivateKeyDer::from_pem_file(key).context("reading a certificate's key")?;
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let (this, acceptor) = (self.clone(), TlsAcceptor::from(Arc::new(config)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (this, acceptor) = (this.clone(), acceptor.clone());
                tokio::spawn(async move {
                    // Who does not like the certificate goes away.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve::connection(this, stream, Peer::Tls).await;
                    }
                });
            }
        });
        Ok(())
    }
}
