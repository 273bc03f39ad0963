//! Asking a Kubernetes API, with GET alone: which servers are ready, and of one that is, the lists that matter here.
//!
//! It must never change anything there, wait beyond its limits, or take a list that was refused or cut short for an empty
//! or a whole one.

use std::sync::Arc;
use std::time::Duration;

use hardstand_core::Reading;
use hardstand_core::observed::{FluxObject, KubeServer, KubernetesCluster};
use hyper::header::{AUTHORIZATION, DATE};
use hyper::{HeaderMap, Method, Uri};
use serde_json::Value;
use tokio::task::JoinSet;

use super::access::Access;
use super::lists::{
    Page, Wire, WireBudget, WireHelmRelease, WireKustomization, WireNode, WirePersistentVolume, WirePod, parse,
};
use crate::host::backups::encoded;
use crate::host::https::{Answer, Question, ask, late};
use crate::host::{HostError, excerpt};

/// What all of it may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// What the parts of it may take; less than [`LIMIT`] together, so that each says for itself that it is late.
pub(crate) const LIMITS: Limits = Limits { ready: Duration::from_secs(3), lists: Duration::from_millis(6_500) };
/// Objects of one page.
const PAGE: usize = 250;
/// Pages of one list.
const PAGES: usize = 40;
/// A page of pods has about 3 MB.
const PAGE_BYTES: usize = 16 << 20;
/// What is said of readiness has a line for each check.
const READY_BYTES: usize = 64 << 10;
const GRANT: &str = "grant it: kubectl apply -f /usr/share/hardstand/kubernetes-reader.yaml";
const GONE: u16 = 410;
const NOT_FOUND: u16 = 404;

/// What parts of a round may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// All servers, side by side, to say whether they are ready. One whose machine is off says nothing.
    ready: Duration,
    /// All lists, side by side.
    lists: Duration,
}

/// Asks everything.
///
/// # Errors
/// No server is ready, or the one that is does not list its nodes.
pub(crate) async fn probe_cluster(
    access: Access,
    nodes: &[String],
    limits: Limits,
) -> Result<KubernetesCluster, HostError> {
    let access = Arc::new(access);
    let servers = ready(&access, limits.ready).await;
    let Some(asked) = servers.iter().find(|server| server.fault.is_none()) else {
        let told =
            |server: &KubeServer| format!("{}: {}", server.endpoint, server.fault.as_deref().unwrap_or_default());
        let told: Vec<String> = servers.iter().map(told).collect();
        return Err(HostError::Broken(format!("no API server of Kubernetes can be asked: {}", told.join("; "))));
    };
    let api = Api { access: &access, base: asked.endpoint.clone() };
    let (listed, budgets, pods, local_claims, kustomizations, helm_releases) = tokio::join!(
        timely(limits.lists, api.list::<WireNode>("/api/v1/nodes", "")),
        timely(limits.lists, api.list::<WireBudget>("/apis/policy/v1/poddisruptionbudgets", "")),
        timely(limits.lists, api.pods(nodes)),
        timely(limits.lists, api.list::<WirePersistentVolume>("/api/v1/persistentvolumes", "")),
        timely(limits.lists, api.flux::<WireKustomization>("kustomize.toolkit.fluxcd.io", "v1", "kustomizations")),
        timely(limits.lists, api.flux::<WireHelmRelease>("helm.toolkit.fluxcd.io", "v2", "helmreleases")),
    );
    let listed = listed.map_err(|why| HostError::Broken(format!("asking {} for the nodes: {why}", asked.endpoint)))?;
    Ok(KubernetesCluster {
        asked: asked.endpoint.clone(),
        certificate_until_unix_seconds: access.certificate_until_unix_seconds,
        servers,
        nodes: listed,
        budgets: Reading::from(budgets),
        pods: Reading::from(pods),
        local_claims: Reading::from(local_claims),
        kustomizations: Reading::from(kustomizations),
        helm_releases: Reading::from(helm_releases),
    })
}

async fn timely<T>(limit: Duration, listing: impl Future<Output = Result<T, Refused>>) -> Result<T, String> {
    match tokio::time::timeout(limit, listing).await {
        Ok(listed) => listed.map_err(|refused| refused.why),
        Err(_) => Err(late(limit)),
    }
}

/// Asks all servers side by side whether they are ready.
async fn ready(access: &Arc<Access>, limit: Duration) -> Vec<KubeServer> {
    let mut asking = JoinSet::new();
    for (place, endpoint) in access.endpoints.iter().cloned().enumerate() {
        let access = Arc::clone(access);
        asking.spawn(async move {
            let api = Api { access: &access, base: endpoint };
            let answered = tokio::time::timeout(limit, api.readiness()).await;
            (place, answered.unwrap_or_else(|_| Err(late(limit))))
        });
    }
    let mut faults: Vec<Option<String>> = vec![Some("asking it ended early".to_owned()); access.endpoints.len()];
    while let Some(joined) = asking.join_next().await {
        if let Ok((place, answered)) = joined {
            faults[place] = answered.err();
        }
    }
    let server = |(endpoint, fault): (&String, _)| KubeServer { endpoint: endpoint.clone(), fault };
    access.endpoints.iter().zip(faults).map(server).collect()
}

/// Why a question was not answered with what it asked for.
#[derive(Debug)]
struct Refused {
    /// The HTTP status, where there was an answer.
    status: Option<u16>,
    why: String,
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self { status: None, why }
    }
}

struct Api<'a> {
    access: &'a Access,
    /// `https://HOST:PORT`
    base: String,
}

impl Api<'_> {
    async fn get(&self, path: &str, body_bytes: usize) -> Result<Answer, String> {
        let url = format!("{}{path}", self.base.trim_end_matches('/'));
        let url: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let mut headers = HeaderMap::new();
        if let Some(bearer) = &self.access.bearer {
            headers.insert(AUTHORIZATION, bearer.clone());
        }
        let question = Question { method: Method::GET, url: &url, connect_to: None, headers, body_bytes };
        ask(question, Some(&self.access.authorities), &mut None).await
    }

    /// Says why it is not ready. One that may not tell is asked all the same.
    async fn readiness(&self) -> Result<(), String> {
        let answer = self.get("/readyz", READY_BYTES).await?;
        match answer.status {
            200 | 403 => Ok(()),
            500 => {
                let text = String::from_utf8_lossy(&answer.body);
                let failed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("[-]")).collect();
                let failed = if failed.is_empty() { "it does not tell why".to_owned() } else { failed.join(", ") };
                Err(format!("it is not ready ({})", excerpt(&failed)))
            }
            _ => Err(refusal(&answer).why),
        }
    }

    /// Lists all of one kind, page after page.
    async fn list<T: Wire>(&self, path: &str, filter: &str) -> Result<Vec<T::Kept>, Refused> {
        match self.pages::<T>(path, filter).await {
            // It may forget where a long list was: once that is bad luck.
            Err(refused) if refused.status == Some(GONE) => self.pages::<T>(path, filter).await,
            other => other,
        }
    }

    async fn pages<T: Wire>(&self, path: &str, filter: &str) -> Result<Vec<T::Kept>, Refused> {
        let (mut all, mut more) = (Vec::new(), None::<String>);
        for _ in 0..PAGES {
            let after = more.map_or_else(String::new, |more| format!("&continue={}", encoded(&more)));
            let answer = self.get(&format!("{path}?limit={PAGE}{filter}{after}"), PAGE_BYTES).await?;
            if answer.status != 200 {
                return Err(refusal(&answer));
            }
            if !answer.whole {
                return Err(format!("a page of {PAGE} is larger than {} MB", PAGE_BYTES >> 20).into());
            }
            let Page { mut items, more: next } = parsed::<T>(answer).await?;
            all.append(&mut items);
            match next {
                Some(next) => more = Some(next),
                None => return Ok(all),
            }
        }
        Err(format!("there are more than {} of them", PAGE * PAGES).into())
    }

    /// The pods on these nodes.
    async fn pods(&self, nodes: &[String]) -> Result<Vec<<WirePod as Wire>::Kept>, Refused> {
        let mut all = Vec::new();
        for node in nodes {
            let filter = format!("&fieldSelector={}", encoded(&format!("spec.nodeName={node}")));
            all.append(&mut self.list::<WirePod>("/api/v1/pods", &filter).await?);
        }
        Ok(all)
    }

    /// A kind of Flux's; nothing where the cluster has none. One that is served in another version only is told.
    async fn flux<T: Wire<Kept = FluxObject>>(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<Vec<FluxObject>>, Refused> {
        match self.list::<T>(&format!("/apis/{group}/{version}/{kind}"), "").await {
            Err(refused) if refused.status == Some(NOT_FOUND) => {
                match self.get(&format!("/apis/{group}"), READY_BYTES).await?.status {
                    NOT_FOUND => Ok(None),
                    _ => {
                        Err(format!("the cluster has {group} and not its {version}; bring Flux up to 2.3 or newer")
                            .into())
                    }
                }
            }
            other => other.map(Some),
        }
    }
}

/// A page has megabytes: it is not read on the thread that answers everybody.
async fn parsed<T: Wire>(answer: Answer) -> Result<Page<T::Kept>, String> {
    let now = answer.headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(seconds);
    let page = tokio::task::spawn_blocking(move || parse::<T>(&answer.body, now)).await;
    page.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// `Thu, 26 Nov 2026 16:34:25 GMT`
fn seconds(date: &str) -> Option<f64> {
    let at = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(at.timestamp().as_second() as f64)
}

/// What a refusal means, in Kubernetes' own words where it has some, and what to do.
fn refusal(answer: &Answer) -> Refused {
    let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = told.get("message").and_then(Value::as_str).map(excerpt).unwrap_or_default();
    let status = answer.status;
    let why = match status {
        401 => "it does not know us (401): the token or the certificate is not good, or not any more; have a new one \
                made, under the same name"
            .to_owned(),
        403 => format!("it refuses (403): {message}; {GRANT}"),
        429 => "it has too much to do (429)".to_owned(),
        300..=399 => format!("it answered {status}; is this an API server of Kubernetes?"),
        _ if message.is_empty() => format!("it answered {status}"),
        _ => format!("it answered {status}: {message}"),
    };
    Refused { status: Some(status), why }
}

#[cfg(test)]
mod tests;
