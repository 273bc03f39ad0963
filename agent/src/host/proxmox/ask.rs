//! Asking Proxmox VE over its API, with a token that may only look.
//!
//! It must never ask for anything but GET, wait without a limit, let the token be printed, or take an answer that did not
//! come for one that tells of nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hardstand_core::Reading;
use hardstand_core::observed::{PveNode, PveResource, PveResources};
use hardstand_core::settings::ProxmoxSettings;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::{HeaderMap, Method, Uri};
use tokio::time::Instant;

use super::{ha, node, refusal, resources};
use crate::host::https::{Answer, Authorities, Question, ask, late};
use crate::host::{Host, HostError, excerpt};
use slow::Kept;

mod slow;

/// What one turn may take in all.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// What one question may take. A storage that hangs makes its own question late, and leaves time for what comes behind.
const EACH: Duration = Duration::from_secs(6);
/// A guest's row has half a kilobyte; a backup's log some hundred.
const BODY_BYTES: usize = 4 << 20;
/// What is on every host of Proxmox VE, and on no mount that may hang.
const SIGNS: [&str; 2] = ["usr/bin/pveproxy", "var/lib/dpkg/info/pve-manager.list"];
/// The role that may look at everything, and change nothing.
const ROLE: &str = "PVEAuditor";

/// What was asked less often than the rest.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Kept>);

/// What is needed to ask. It has no `Debug`: the token is in it.
pub(crate) struct Access {
    token: HeaderValue,
    /// `hardstand@pve!one`, of the token.
    token_id: String,
    authorities: Authorities,
    node: String,
}

impl Access {
    /// `None` where this is no host of Proxmox VE. It reads files, one of which may lie where reading hangs.
    ///
    /// # Errors
    /// It is one, and its token or its authority cannot be read, with what to do.
    pub(crate) fn find(host: &Host, settings: &ProxmoxSettings) -> Result<Option<Self>, HostError> {
        let is_here = SIGNS.iter().any(|sign| host.path(sign).symlink_metadata().is_ok());
        // Who names another endpoint means that there is one.
        if !is_here && settings.endpoint == ProxmoxSettings::ENDPOINT {
            return Ok(None);
        }
        let node = settings.node.clone().or_else(|| {
            let name = host.attribute("proc/sys/kernel/hostname")?;
            Some(name.split('.').next().unwrap_or_default().to_owned())
        });
        let node = node.ok_or_else(|| unanswered("this host does not tell its name; say it in [proxmox] node"))?;
        let path = host.path(settings.token_file.trim_start_matches('/'));
        let (token_id, token) = read_token(&path, &node)?;
        let authorities = Authorities::read(host, Some(&settings.ca_file)).map_err(|error| {
            let path = &settings.ca_file;
            let copy = "/etc/hardstand/pve-root-ca.pem";
            unanswered(format!(
                "{error}; what it is in /etc/pve only root and www-data may read, so as root: install -m 644 {} {copy}, \
                 and ca_file = \"{copy}\" in [proxmox] of agent.toml (now it is {path})",
                ProxmoxSettings::CA_FILE
            ))
        })?;
        Ok(Some(Self { token, token_id, authorities, node }))
    }
}

/// The token's id, and what is sent.
fn read_token(path: &Path, node: &str) -> Result<(String, HeaderValue), HostError> {
    let bad = |why: String| unanswered(format!("{}: {why}; {}", path.display(), how_to_make(path, node)));
    let mode = std::fs::metadata(path).map_err(|error| bad(error.to_string()))?.mode();
    // Group bits may be an access list's mask, as systemd sets it on credentials.
    if mode & 0o007 != 0 {
        return Err(bad(
            "everybody may use this token: have it removed (pveum user token remove), and make another".to_owned()
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let token = text.trim();
    let token = token.strip_prefix("PVEAPIToken=").unwrap_or(token);
    let id = token.split_once('=').filter(|(id, secret)| {
        let named = id.split_once('!').is_some_and(|(user, name)| user.contains('@') && !name.is_empty());
        named && !secret.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
    });
    let (id, _) = id.ok_or_else(|| bad("it is not USER@REALM!NAME=SECRET in one line".to_owned()))?;
    let mut value = HeaderValue::try_from(format!("PVEAPIToken={token}"))
        .map_err(|_| bad("it holds signs that no token has".to_owned()))?;
    value.set_sensitive(true);
    Ok((id.to_owned(), value))
}

/// As root, on any node: a user that may only look, and a token of its own for each node.
fn how_to_make(path: &Path, node: &str) -> String {
    let path = path.display();
    let user = "hardstand@pve";
    format!(
        "to make one that may only look, as root: pveum user add {user}; pveum acl modify / --users {user} --roles {ROLE}; \
         umask 027; pveum user token add {user} {node} --privsep 0 --output-format json | sed \
         's/.*\"value\":\"\\([^\"]*\\)\".*/{user}!{node}=\\1/' > {path}; chown root:hardstand {path}"
    )
}

/// Asks about this node.
///
/// # Errors
/// The API does not answer at all. What fails alone is unknown alone.
pub(crate) async fn probe_node(
    access: &Access,
    settings: &ProxmoxSettings,
    memory: &Memory,
) -> Result<PveNode, HostError> {
    let api = Api { access, settings, until: Instant::now() + LIMIT };
    let name = &access.node;
    let told = api.get("/cluster/resources").await.map_err(unanswered)?;
    let resources = resources::parse(&told)?;
    let of_node = |path: &str| format!("/nodes/{}/{path}", encoded(name));
    let (tasks, storages, replication) =
        (of_node("tasks?source=active&limit=1000"), of_node("storage?enabled=1"), of_node("replication"));
    // Side by side, so that one that hangs makes no other late.
    let (ha, tasks, storages, replication) = tokio::join!(
        api.read("/cluster/ha/status/current", ha::parse),
        api.read(&tasks, node::parse_tasks),
        api.read(&storages, node::parse_storages),
        api.read(&replication, node::parse_replication),
    );
    let mut kept = std::mem::take(&mut *memory.0.lock().unwrap_or_else(PoisonError::into_inner));
    let slow = api.ask_slow(&resources, &tasks, &mut kept).await;
    *memory.0.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    Ok(PveNode {
        name: name.clone(),
        ha,
        tasks,
        storages,
        replication,
        uncovered: slow.uncovered,
        backups: slow.backups,
        configs: slow.configs,
        asked_before_seconds: slow.age.as_secs_f64(),
        resources,
    })
}

/// One turn's questions.
struct Api<'a> {
    access: &'a Access,
    settings: &'a ProxmoxSettings,
    /// When the turn ends.
    until: Instant,
}

impl Api<'_> {
    /// One question, and what is made of its answer.
    async fn read<T>(&self, path: &str, parse: impl Fn(&str) -> Result<T, HostError>) -> Reading<T> {
        let told = self.get(path).await;
        told.and_then(|text| parse(&text).map_err(|error| error.to_string())).into()
    }

    /// The body of a good answer; else why there is none, in a sentence.
    async fn get(&self, path: &str) -> Result<String, String> {
        let began = Instant::now();
        let until = self.until.min(began + EACH);
        if until <= began {
            return Err(format!(
                "there was no time left to ask for {path}, all of it must be told within {} s",
                LIMIT.as_secs()
            ));
        }
        let answer = tokio::time::timeout_at(until, self.ask(path)).await;
        let answer = answer.unwrap_or_else(|_| Err(late(until - began)));
        answer.map_err(|why| format!("GET {path} at {}: {why}", self.settings.endpoint))
    }

    async fn ask(&self, path: &str) -> Result<String, String> {
        let url = format!("{}/api2/json{path}", self.settings.endpoint.trim_end_matches('/'));
        let url: Uri = url.parse().map_err(|error| format!("{error}"))?;
        let headers = HeaderMap::from_iter([(AUTHORIZATION, self.access.token.clone())]);
        let connect_to = self.settings.connect_to.as_deref();
        let question = Question { method: Method::GET, url: &url, connect_to, headers, body_bytes: BODY_BYTES };
        let answer = ask(question, Some(&self.access.authorities), &mut None).await?;
        match answer.status {
            200 if !answer.whole => Err(format!("its answer is larger than {} MiB", BODY_BYTES >> 20)),
            200 => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
            _ => Err(self.refused(&answer)),
        }
    }

    /// What a refusal says, and what to do. Its words are in the status line, and of parameters in the body.
    fn refused(&self, answer: &Answer) -> String {
        let id = &self.access.token_id;
        let user = id.split('!').next().unwrap_or_default();
        let next = match answer.status {
            401 => {
                let path = Path::new(&self.settings.token_file);
                format!(
                    "it does not take the token {id} of {}; {}",
                    path.display(),
                    how_to_make(path, &self.access.node)
                )
            }
            403 => format!(
                "the token {id} may not ask this; as root: pveum acl modify / --users {user} --roles {ROLE}, and where it \
                 has rights of its own (privsep): pveum acl modify / --tokens '{id}' --roles {ROLE}"
            ),
            501 => "this release does not know the question; see: pveversion".to_owned(),
            595..=599 => "the node that was asked through this one does not answer".to_owned(),
            _ => "see: journalctl -u pveproxy -u pvedaemon".to_owned(),
        };
        let said = said(answer).map_or_else(String::new, |said| format!(" ({said})"));
        format!("it answered {}{said}: {next}", answer.status)
    }
}

/// The API's own words.
fn said(answer: &Answer) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Body {
        errors: Option<serde_json::Value>,
        message: Option<serde_json::Value>,
    }
    let body: Option<Body> = serde_json::from_slice(&answer.body).ok();
    let told = body.and_then(|body| refusal(body.errors.as_ref().or(body.message.as_ref())));
    told.or_else(|| answer.reason.as_deref().map(excerpt).filter(|reason| !reason.is_empty()))
}

/// What may stand in a path as it is (RFC 3986 §2.3); all else is `%XX`.
fn encoded(text: &str) -> String {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if letter(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn unanswered(why: impl Into<String>) -> HostError {
    HostError::Bus { service: "Proxmox VE", why: why.into() }
}

/// The nodes of the cluster, and whether each is there.
fn nodes_of(resources: &PveResources) -> BTreeMap<&str, bool> {
    let nodes = resources.resources.iter().filter(|row| row.kind.as_deref() == Some("node"));
    nodes.filter_map(|row| Some((row.node.as_deref()?, row.status.as_deref() == Some("online")))).collect()
}

/// The numbers of the guests on a node.
fn vmids_of(resources: &PveResources, node: &str) -> BTreeSet<u64> {
    resources.guests_on(node).filter_map(PveResource::vmid).collect()
}

#[cfg(test)]
mod tests;
