//! Turns that ask somebody else: services, certificates, backups, the APIs of other systems.
//!
//! It must never read a file itself: what those lie on may hang, so the crew reads them.

use std::sync::Arc;

use hardstand_core::Settings;
use hardstand_core::observed::{BackupSeen, KubernetesCluster, PveNode, ServiceAnswer, TrueNas};
use hardstand_core::settings::{BackupKind, BackupSettings, ProxmoxSettings, ServiceSettings};

use crate::crew::Crew;
use crate::host::backups::files::probe_files;
use crate::host::backups::s3::{Keys, probe_bucket};
use crate::host::certificates::{expiry_of_endpoint, expiry_of_file};
use crate::host::https::{Authorities, late};
use crate::host::kubernetes::access::Access;
use crate::host::kubernetes::ask as kubernetes;
use crate::host::proxmox::ask as pve;
use crate::host::services::{needs_authorities, probe_service};
use crate::host::truenas::ask::{LastLook, Manner, probe_box};
use crate::host::{Host, HostError};

/// Reads files on a thread that may hang.
async fn read_on<T: Send + 'static>(
    crew: &Crew,
    read: impl FnOnce() -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    crew.give(read).answer().await.map_err(HostError::Broken).flatten()
}

async fn authorities(crew: &Crew, host: &Host, file: Option<String>) -> Result<Authorities, HostError> {
    let host = host.clone();
    read_on(crew, move || Authorities::read(&host, file.as_deref())).await
}

pub(super) async fn ask_service(
    crew: Arc<Crew>,
    host: Host,
    service: ServiceSettings,
) -> Result<ServiceAnswer, HostError> {
    let authorities = match needs_authorities(&service) {
        true => Some(authorities(&crew, &host, service.ca_file.clone()).await?),
        false => None,
    };
    Ok(probe_service(&service, authorities.as_ref()).await)
}

pub(super) async fn ask_certificate(crew: Arc<Crew>, host: Host, place: String) -> Result<u64, HostError> {
    match place.starts_with('/') {
        true => read_on(&crew, move || expiry_of_file(&host, &place)).await,
        false => expiry_of_endpoint(&place).await,
    }
}

pub(super) async fn ask_backup(crew: Arc<Crew>, host: Host, backup: BackupSettings) -> Result<BackupSeen, HostError> {
    if backup.kind != BackupKind::S3 {
        return read_on(&crew, move || probe_files(&host, &backup)).await;
    }
    let credentials = host.path(backup.credentials.as_deref().unwrap_or_default().trim_start_matches('/'));
    let keys = read_on(&crew, move || Keys::read(&credentials)).await?;
    let is_tls = backup.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("https:"));
    let authorities = match is_tls {
        true => Some(authorities(&crew, &host, backup.ca_file.clone()).await?),
        false => None,
    };
    probe_bucket(&backup, &keys, authorities.as_ref()).await
}

/// Its authority may lie in `/etc/pve`, which hangs when the cluster does: it is read by the crew, in this turn alone.
pub(super) async fn ask_proxmox(
    crew: Arc<Crew>,
    host: Host,
    settings: ProxmoxSettings,
    memory: Arc<pve::Memory>,
) -> Result<Option<PveNode>, HostError> {
    let wanted = settings.clone();
    let access = read_on(&crew, move || pve::Access::find(&host, &wanted)).await?;
    match access {
        Some(access) => pve::probe_node(&access, &settings, &memory).await.map(Some),
        None => Ok(None),
    }
}

pub(super) async fn ask_truenas(
    crew: Arc<Crew>,
    host: Host,
    settings: Arc<Settings>,
    last: &LastLook,
) -> Result<Option<TrueNas>, HostError> {
    let read = Arc::clone(&settings);
    let manner = read_on(&crew, move || Manner::read(&host, &read.truenas)).await?;
    match manner {
        Some(manner) => probe_box(manner, &settings.truenas, last).await.map(Some),
        None => Ok(None),
    }
}

pub(super) async fn ask_kubernetes(
    crew: Arc<Crew>,
    host: Host,
    settings: Arc<Settings>,
) -> Result<Option<KubernetesCluster>, HostError> {
    if !settings.kubernetes.is_declared() {
        return Ok(None);
    }
    let about = Arc::clone(&settings);
    let access = read_on(&crew, move || Access::read(&host, &about.kubernetes)).await?;
    let asking = kubernetes::probe_cluster(access, &settings.kubernetes.nodes, kubernetes::LIMITS);
    let asked = tokio::time::timeout(kubernetes::LIMIT, asking);
    asked.await.unwrap_or_else(|_| Err(HostError::Broken(late(kubernetes::LIMIT)))).map(Some)
}
