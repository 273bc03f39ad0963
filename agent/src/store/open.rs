//! Which engine, with which certificates: from the settings to a [`Store`].
//!
//! It must never choose another engine than the one that is set, nor go on without certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hardstand_core::settings::{Engine, StoreSettings};
use hardstand_core::store::access::Role;

use super::etcd::{Endpoints, Etcd};
use super::{Embedded, Remote, Store, StoreError};
use crate::trust::{Trust, TrustFiles};

/// The certificates in a directory that say who we are.
///
/// # Errors
/// There is none for this role, or more than one.
pub(crate) fn identity(dir: &Path, role: Role) -> Result<TrustFiles, StoreError> {
    let prefix = format!("{}-", role.name());
    let denied = |why: String| StoreError::Denied { why };
    let entries = std::fs::read_dir(dir).map_err(|error| denied(format!("reading {}: {error}", dir.display())))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "crt"))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .collect();
    found.sort();
    let role = role.name();
    let certificate = match found.as_slice() {
        [one] => one.clone(),
        [] => return Err(denied(format!("{} holds no {role}-NAME.crt; make one: hardstand ca issue", dir.display()))),
        [one, other, ..] => {
            let why = format!("{} and {} are both here; keep the one of this machine", one.display(), other.display());
            return Err(denied(why));
        }
    };
    let key = certificate.with_extension("key");
    Ok(TrustFiles { authority: dir.join("ca.crt"), list: dir.join("crl.pem"), certificate, key })
}

/// Opens the store as this role. An embedded store is opened in this process by its agent, and asked over its address by
/// everybody else.
///
/// # Errors
/// There is none set, or what is set cannot be used.
pub(crate) fn open(settings: &StoreSettings, role: Role) -> Result<(Arc<dyn Store>, Option<Hosted>), StoreError> {
    if settings.engine == Engine::None {
        let why = "no store is set on this node: set [store] engine in /etc/hardstand/agent.toml".to_owned();
        return Err(StoreError::Denied { why });
    }
    let files = identity(Path::new(&settings.credentials), role)?;
    let first = || {
        let none = || StoreError::Refused { why: "[store] endpoints is empty; name the store's address".to_owned() };
        settings.endpoints.first().ok_or_else(none)
    };
    match settings.engine {
        Engine::Embedded if role == Role::Node => {
            let trust = Arc::new(trust(files)?);
            let store = Embedded::open(Path::new(&settings.file))?;
            let hosted = Hosted { store: store.clone(), trust, listen: settings.listen.clone() };
            Ok((Arc::new(store), Some(hosted)))
        }
        Engine::Embedded | Engine::Remote | Engine::None => {
            Ok((Arc::new(Remote::at(first()?, Arc::new(trust(files)?))?), None))
        }
        Engine::Etcd => {
            first()?;
            Ok((Arc::new(etcd(settings, files)), None))
        }
    }
}

/// The etcd that is set, as the owner of these certificates.
pub(crate) fn etcd(settings: &StoreSettings, files: TrustFiles) -> Etcd {
    let TrustFiles { authority: ca, certificate: cert, key, .. } = files;
    Etcd::new(Endpoints { urls: settings.endpoints.clone(), ca, cert, key })
}

/// An embedded store that is to be served to the others.
pub(crate) struct Hosted {
    /// The store.
    pub(crate) store: Embedded,
    /// Who may ask.
    pub(crate) trust: Arc<Trust>,
    /// Where.
    pub(crate) listen: String,
}

fn trust(files: TrustFiles) -> Result<Trust, StoreError> {
    Trust::load(files).map_err(|error| StoreError::Denied { why: error.to_string() })
}
