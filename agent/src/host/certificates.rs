//! Certificates in files and behind TLS ports (`[certificates]`), and our own for the store.
//!
//! It must never read a key.

use std::path::Path;
use std::time::Duration;

use hardstand_core::Settings;
use hardstand_core::settings::Engine;

use super::https::{expiry_of, late, read_pem};
use super::{Host, HostError};
use crate::trust::not_after;

/// What a port may take to show its certificate.
pub(crate) const ENDPOINT_LIMIT: Duration = Duration::from_secs(10);

/// All that are watched: those declared, and where a store is configured ours and its authority's. Files begin with `/`.
pub(crate) fn watched(settings: &Settings, node: &str) -> Vec<String> {
    let certificates = &settings.certificates;
    let mut all = certificates.files.clone();
    if settings.store.engine != Engine::None {
        let room = Path::new(&settings.store.credentials);
        let ours = [format!("node-{node}.crt"), "ca.crt".to_owned()];
        all.extend(ours.map(|file| room.join(file).display().to_string()));
    }
    all.extend(certificates.endpoints.iter().cloned());
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|one| seen.insert(one.clone()));
    all
}

/// When the first certificate of a file expires.
///
/// # Errors
/// When it cannot be read, with what to do.
pub(crate) fn expiry_of_file(host: &Host, file: &str) -> Result<u64, HostError> {
    let broken = |why: String| HostError::Parse { what: file.to_owned(), why };
    let chain = read_pem(&host.path(file.trim_start_matches('/'))).map_err(|error| {
        let next = match &error {
            HostError::Read { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                "let the group hardstand read it, or watch the port that shows it in [certificates] endpoints"
            }
            _ => "see what renews it, or take it out of [certificates] files",
        };
        HostError::Broken(format!("{error}; {next}"))
    })?;
    let leaf = chain.first().ok_or_else(|| broken("it holds no certificate in PEM form".to_owned()))?;
    not_after(leaf).ok_or_else(|| broken("its first certificate cannot be read".to_owned()))
}

/// When the certificate that a port shows expires.
///
/// # Errors
/// When it shows none, with what to do.
pub(crate) async fn expiry_of_endpoint(endpoint: &str) -> Result<u64, HostError> {
    let shown = tokio::time::timeout(ENDPOINT_LIMIT, expiry_of(endpoint)).await;
    let shown = shown.unwrap_or_else(|_| Err(late(ENDPOINT_LIMIT)));
    shown.map_err(|why| HostError::Broken(format!("{endpoint}: {why}; see: openssl s_client -connect {endpoint}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Scratch;

    #[test]
    fn ours_is_watched_where_there_is_a_store() {
        let mut settings = Settings::default();
        assert!(watched(&settings, "pve1").is_empty());
        settings.certificates.files = vec!["/etc/ssl/a.pem".to_owned(), "/etc/hardstand/credentials/ca.crt".to_owned()];
        settings.certificates.endpoints = vec!["pve1:8006".to_owned()];
        settings.store.engine = Engine::Embedded;
        let room = "/etc/hardstand/credentials";
        let all = ["/etc/ssl/a.pem", &format!("{room}/ca.crt"), &format!("{room}/node-pve1.crt"), "pve1:8006"];
        assert_eq!(watched(&settings, "pve1"), all);
    }

    #[test]
    fn a_file_tells_its_first_certificate_or_what_to_do() {
        let scratch = Scratch::new();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["wiki.lan".to_owned()]).unwrap();
        let mut pem = String::new();
        for year in [2026, 2027] {
            params.not_after = rcgen::date_time_ymd(year, 11, 26);
            pem += &params.self_signed(&key).unwrap().pem();
        }
        scratch.write("etc/a.pem", &pem);
        assert_eq!(expiry_of_file(&scratch, "/etc/a.pem").unwrap(), 1_795_651_200);
        scratch.write("etc/b.pem", "no PEM at all");
        for (file, told) in [
            ("/etc/b.pem", "parsing /etc/b.pem: it holds no certificate in PEM form"),
            ("/etc/c.pem", "see what renews it, or take it out of [certificates] files"),
        ] {
            let error = expiry_of_file(&scratch, file).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
