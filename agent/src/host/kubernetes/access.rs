//! How we show ourselves to a Kubernetes API, and whom we take for one: a service account's token, or a kubeconfig.
//!
//! It must never use what everybody may read, keep a token longer than one round of questions, or let one be printed.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hardstand_core::settings::KubernetesSettings;
use hyper::header::HeaderValue;
use serde_json::Value;

use super::yaml;
use crate::host::https::{Authorities, Identity};
use crate::host::{Host, HostError};

/// A kubeconfig with a certificate and its key has 6 kB; a token 1 kB.
const FILE_BYTES: u64 = 256 << 10;
/// What is understood of a cluster and of a user. Whatever else is there may change whom we ask, and as whom.
const OF_CLUSTER: [&str; 3] = ["server", "certificate-authority-data", "disable-compression"];
const OF_USER: [&str; 3] = ["token", "client-certificate-data", "client-key-data"];
const FLATTEN: &str = "write it anew: kubectl config view --raw --minify --flatten";

/// Everything that is needed to ask.
pub(crate) struct Access {
    /// `https://HOST:PORT`, the preferred one first.
    pub(super) endpoints: Vec<String>,
    pub(super) authorities: Authorities,
    /// `Bearer ...`, marked as sensitive.
    pub(super) bearer: Option<HeaderValue>,
    /// When our certificate expires, where one is shown.
    pub(super) certificate_until_unix_seconds: Option<u64>,
}

impl Access {
    /// Reads the files anew: tokens and certificates are renewed under the same name.
    ///
    /// # Errors
    /// When one of them cannot be read, may be read by everybody, or does not hold what it should.
    pub(crate) fn read(host: &Host, settings: &KubernetesSettings) -> Result<Self, HostError> {
        if let Some(file) = &settings.kubeconfig {
            let text = read_secret(host, file)?;
            let mut access = of_kubeconfig(&text, file).map_err(|why| HostError::Parse { what: file.clone(), why })?;
            if !settings.endpoints.is_empty() {
                access.endpoints.clone_from(&settings.endpoints);
            }
            return Ok(access);
        }
        let file = settings.token_file.as_deref().unwrap_or_default();
        let token = read_secret(host, file)?;
        let bearer = bearer(token.trim()).map_err(|why| HostError::Parse { what: file.to_owned(), why })?;
        Ok(Self {
            endpoints: settings.endpoints.clone(),
            authorities: Authorities::read(host, settings.ca_file.as_deref())?,
            bearer: Some(bearer),
            certificate_until_unix_seconds: None,
        })
    }
}

fn read_secret(host: &Host, file: &str) -> Result<String, HostError> {
    let path = host.path(file.trim_start_matches('/'));
    let read = |source| HostError::Read { path: path.clone(), source };
    let parse = |why: &str| HostError::Parse { what: file.to_owned(), why: why.to_owned() };
    let opened = std::fs::File::open(&path).map_err(read)?;
    // Group bits may be an access list's mask, as systemd sets it on credentials.
    if opened.metadata().map_err(read)?.mode() & 0o007 != 0 {
        return Err(parse("everybody may use it: chmod 0640 it (root:hardstand), and have another one made"));
    }
    let mut text = String::new();
    opened.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(read)?;
    if text.len() as u64 > FILE_BYTES { Err(parse("it is too large for what it should be")) } else { Ok(text) }
}

fn bearer(token: &str) -> Result<HeaderValue, String> {
    if token.is_empty() {
        return Err("it holds no token".to_owned());
    }
    if token.contains(char::is_whitespace) {
        return Err("it holds more than a token".to_owned());
    }
    let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| "the token holds odd signs")?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

/// Takes what the current context names.
fn of_kubeconfig(text: &str, file: &str) -> Result<Access, String> {
    let config = match text.trim_start().starts_with('{') {
        true => serde_json::from_str(text).map_err(|error| error.to_string())?,
        false => yaml::parse(text).map_err(|why| format!("{why}; {FLATTEN} -o json"))?,
    };
    let context = named(&config, "context", string(&config, "current-context").ok_or("it has no current-context")?)?;
    let cluster = named(&config, "cluster", string(context, "cluster").ok_or("its context names no cluster")?)?;
    let user = named(&config, "user", string(context, "user").ok_or("its context names no user")?)?;
    understood(cluster, "cluster", &OF_CLUSTER)?;
    understood(user, "user", &OF_USER)?;
    let server = string(cluster, "server").unwrap_or_default();
    if !super::is_endpoint(server) {
        return Err("its server is no https://HOST:PORT".to_owned());
    }
    let authorities = match decoded(cluster, "certificate-authority-data")? {
        Some(pem) => Authorities::of_pem(&pem, file.to_owned()).map_err(|error| error.to_string())?,
        None => return Err(format!("it has no certificate-authority-data; {FLATTEN}")),
    };
    let mut access = Access {
        endpoints: vec![server.trim_end_matches('/').to_owned()],
        authorities,
        bearer: None,
        certificate_until_unix_seconds: None,
    };
    if let Some(token) = string(user, "token") {
        access.bearer = Some(bearer(token)?);
    }
    match (decoded(user, "client-certificate-data")?, decoded(user, "client-key-data")?) {
        (Some(chain), Some(key)) => {
            let identity = Identity::of_pem(&chain, &key)?;
            access.certificate_until_unix_seconds = identity.not_after();
            access.authorities = access.authorities.with(identity);
        }
        (None, None) if access.bearer.is_some() => {}
        _ => return Err(format!("its user has neither a token nor a certificate with its key; {FLATTEN}")),
    }
    Ok(access)
}

/// The entry of this name in the list of its kind.
fn named<'a>(config: &'a Value, kind: &str, name: &str) -> Result<&'a Value, String> {
    let entries = config.get(format!("{kind}s")).and_then(Value::as_array);
    let entry = entries.into_iter().flatten().find(|entry| string(entry, "name") == Some(name));
    let entry = entry.and_then(|entry| entry.get(kind)).filter(|entry| entry.is_object());
    entry.ok_or_else(|| format!("it has no {kind} of the name that is asked for"))
}

fn string<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn understood(value: &Value, kind: &str, known: &[&str]) -> Result<(), String> {
    let keys = value.as_object().into_iter().flatten();
    let mut odd = keys.filter(|(key, value)| !known.contains(&key.as_str()) && !value.is_null()).map(|(key, _)| key);
    match odd.next() {
        Some(key) => Err(format!("its {kind} has {:?}, which is not done here; {FLATTEN}", super::excerpt(key))),
        None => Ok(()),
    }
}

fn decoded(value: &Value, key: &str) -> Result<Option<Vec<u8>>, String> {
    let Some(text) = string(value, key) else { return Ok(None) };
    STANDARD.decode(text).map(Some).map_err(|_| format!("its {key} is no base64"))
}

#[cfg(test)]
mod tests;
