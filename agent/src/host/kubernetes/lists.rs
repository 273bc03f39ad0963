//! Lists of Kubernetes' objects, a page at a time, and of each object what matters here.
//!
//! It must never take a page of another kind for an empty one. Words that are not known are kept.

use std::collections::BTreeMap;

use hardstand_core::observed::{
    FluxObject, KubeBudget, KubeClaim, KubeCondition, KubeNode, KubePod, LabelRequirement, LabelSelector,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::host::{HostError, excerpt};

/// A part of a list.
#[derive(Debug, PartialEq)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// What to ask on with, where there is more.
    pub(crate) more: Option<String>,
}

/// An object on the wire.
pub(crate) trait Wire: DeserializeOwned + Send + 'static {
    /// The kind of a list of them.
    const LIST: &'static str;
    /// What is kept of one.
    type Kept: Send + 'static;
    /// Keeps what matters; `now` is the API server's clock, seconds since 1970.
    fn keep(self, now: Option<f64>) -> Result<Option<Self::Kept>, String>;
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned", expecting = "a list of Kubernetes")]
struct WireList<T> {
    kind: Option<String>,
    #[serde(default)]
    metadata: WireListMeta,
    items: Option<Vec<T>>,
}

#[derive(Deserialize, Default)]
#[serde(expecting = "metadata")]
struct WireListMeta {
    #[serde(rename = "continue")]
    more: Option<String>,
}

/// Reads one page.
///
/// # Errors
/// It is no list of that kind.
pub(crate) fn parse<T: Wire>(text: &[u8], now: Option<f64>) -> Result<Page<T::Kept>, HostError> {
    let bad = |why: String| HostError::Parse { what: format!("a {}", T::LIST), why };
    let list: WireList<T> = serde_json::from_slice(text).map_err(|error| bad(excerpt(&error.to_string())))?;
    if list.kind.as_deref() != Some(T::LIST) {
        let kind = list.kind.as_deref().map_or_else(|| "no kind".to_owned(), |kind| format!("{:?}", excerpt(kind)));
        return Err(bad(format!("it is of {kind}")));
    }
    let Some(items) = list.items else { return Err(bad("it has no items".to_owned())) };
    let mut kept = Vec::with_capacity(items.len());
    for item in items {
        kept.extend(item.keep(now).map_err(bad)?);
    }
    Ok(Page { items: kept, more: list.metadata.more.filter(|more| !more.is_empty()) })
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default, expecting = "metadata")]
struct WireMeta {
    name: Option<String>,
    namespace: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    owner_references: Option<Vec<WireOwner>>,
    deletion_timestamp: Option<String>,
}

impl WireMeta {
    fn name(&self) -> Result<String, String> {
        self.name.as_deref().map(excerpt).ok_or_else(|| "an object without a name".to_owned())
    }

    fn namespace(&self) -> String {
        self.namespace.as_deref().map(excerpt).unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(expecting = "an owner")]
struct WireOwner {
    kind: Option<String>,
    controller: Option<bool>,
}

#[derive(Deserialize)]
#[serde(expecting = "a condition")]
struct WireCondition {
    #[serde(rename = "type")]
    kind: Option<String>,
    status: Option<String>,
    reason: Option<String>,
    message: Option<String>,
}

impl WireCondition {
    fn keep(self) -> KubeCondition {
        let text = |text: Option<String>| text.as_deref().map(excerpt).filter(|text| !text.is_empty());
        KubeCondition {
            kind: text(self.kind).unwrap_or_default(),
            status: text(self.status).unwrap_or_default(),
            reason: text(self.reason),
            message: text(self.message),
        }
    }
}

/// A node.
#[derive(Deserialize)]
#[serde(expecting = "a node")]
pub(crate) struct WireNode {
    #[serde(default)]
    metadata: WireMeta,
    #[serde(default)]
    spec: WireNodeSpec,
    #[serde(default)]
    status: WireNodeStatus,
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a node's spec")]
struct WireNodeSpec {
    unschedulable: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a node's status")]
struct WireNodeStatus {
    conditions: Option<Vec<WireCondition>>,
}

impl Wire for WireNode {
    const LIST: &'static str = "NodeList";
    type Kept = KubeNode;

    fn keep(self, _now: Option<f64>) -> Result<Option<KubeNode>, String> {
        let has = |role: &str| {
            let label = format!("node-role.kubernetes.io/{role}");
            self.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(&label))
        };
        Ok(Some(KubeNode {
            name: self.metadata.name()?,
            unschedulable: self.spec.unschedulable.unwrap_or(false),
            control_plane: has("control-plane") || has("master"),
            etcd: has("etcd"),
            conditions: self.status.conditions.into_iter().flatten().map(WireCondition::keep).collect(),
        }))
    }
}

/// A disruption budget.
#[derive(Deserialize)]
#[serde(expecting = "a disruption budget")]
pub(crate) struct WireBudget {
    #[serde(default)]
    metadata: WireMeta,
    #[serde(default)]
    spec: WireBudgetSpec,
    #[serde(default)]
    status: WireBudgetStatus,
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a disruption budget's spec")]
struct WireBudgetSpec {
    selector: Option<WireSelector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a selector")]
struct WireSelector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<WireRequirement>>,
}

#[derive(Deserialize)]
#[serde(expecting = "a requirement")]
struct WireRequirement {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default, expecting = "a disruption budget's status")]
struct WireBudgetStatus {
    observed_generation: Option<i64>,
    disruptions_allowed: Option<i64>,
    current_healthy: Option<i64>,
    desired_healthy: Option<i64>,
    expected_pods: Option<i64>,
    conditions: Option<Vec<WireCondition>>,
}

impl Wire for WireBudget {
    const LIST: &'static str = "PodDisruptionBudgetList";
    type Kept = KubeBudget;

    fn keep(self, _now: Option<f64>) -> Result<Option<KubeBudget>, String> {
        let status = self.status;
        let conditions = status.conditions.into_iter().flatten().map(WireCondition::keep);
        // What the controller says of a budget that it cannot work out.
        let fault = conditions
            .filter(|one| one.kind == "DisruptionAllowed" && one.reason.as_deref() == Some("SyncFailed"))
            .map(|one| one.message.unwrap_or_else(|| "SyncFailed".to_owned()))
            .next();
        Ok(Some(KubeBudget {
            namespace: self.metadata.namespace(),
            name: self.metadata.name()?,
            selector: self.spec.selector.map(WireSelector::keep),
            is_current: is_current(self.metadata.generation, status.observed_generation),
            allowed: status.disruptions_allowed,
            healthy: status.current_healthy,
            desired: status.desired_healthy,
            expected: status.expected_pods,
            fault,
        }))
    }
}

impl WireSelector {
    fn keep(self) -> LabelSelector {
        let requirement = |one: WireRequirement| LabelRequirement {
            key: one.key,
            operator: one.operator,
            values: one.values.unwrap_or_default(),
        };
        LabelSelector {
            labels: self.match_labels.unwrap_or_default(),
            requirements: self.match_expressions.into_iter().flatten().map(requirement).collect(),
        }
    }
}

/// Whether a status is about what is declared now.
fn is_current(generation: Option<i64>, observed: Option<i64>) -> bool {
    generation.zip(observed).is_some_and(|(generation, observed)| observed >= generation)
}

/// A pod.
#[derive(Deserialize)]
#[serde(expecting = "a pod")]
pub(crate) struct WirePod {
    #[serde(default)]
    metadata: WireMeta,
    #[serde(default)]
    spec: WirePodSpec,
    #[serde(default)]
    status: WirePodStatus,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default, expecting = "a pod's spec")]
struct WirePodSpec {
    node_name: Option<String>,
    volumes: Option<Vec<WireVolume>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a volume")]
struct WireVolume {
    empty_dir: Option<serde::de::IgnoredAny>,
    persistent_volume_claim: Option<WireClaim>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a claim")]
struct WireClaim {
    claim_name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a pod's status")]
struct WirePodStatus {
    phase: Option<String>,
}

impl Wire for WirePod {
    const LIST: &'static str = "PodList";
    type Kept = KubePod;

    fn keep(self, now: Option<f64>) -> Result<Option<KubePod>, String> {
        let meta = self.metadata;
        let name = meta.name()?;
        let overdue_seconds = match meta.deletion_timestamp.as_deref() {
            None => None,
            Some(at) => Some(since(at, now).map_err(|why| format!("the pod {name} should be gone, and {why}"))?),
        };
        let volumes = self.spec.volumes.unwrap_or_default();
        let mut owners = meta.owner_references.iter().flatten();
        let controller = owners.find(|owner| owner.controller == Some(true));
        Ok(Some(KubePod {
            controller: controller.map(|owner| owner.kind.as_deref().map(excerpt).unwrap_or_default()),
            namespace: meta.namespace(),
            node: self.spec.node_name.as_deref().map(excerpt).unwrap_or_default(),
            phase: self.status.phase.as_deref().map(excerpt),
            is_mirror: meta.annotations.is_some_and(|all| all.contains_key("kubernetes.io/config.mirror")),
            has_scratch: volumes.iter().any(|volume| volume.empty_dir.is_some()),
            claims: volumes.into_iter().filter_map(|volume| volume.persistent_volume_claim?.claim_name).collect(),
            labels: meta.labels.unwrap_or_default(),
            overdue_seconds,
            name,
        }))
    }
}

/// For how long a moment has been over, by the API server's own clock.
fn since(at: &str, now: Option<f64>) -> Result<f64, String> {
    let at: jiff::Timestamp = at.parse().map_err(|_| format!("{:?} is no time", excerpt(at)))?;
    let now = now.ok_or("the API server does not tell its time")?;
    Ok(now - at.as_second() as f64)
}

/// A volume. Kept is the claim that uses it, where it lies on one node's own disk.
#[derive(Deserialize)]
#[serde(expecting = "a volume")]
pub(crate) struct WirePersistentVolume {
    #[serde(default)]
    spec: WireVolumeSpec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default, expecting = "a volume's spec")]
struct WireVolumeSpec {
    local: Option<serde::de::IgnoredAny>,
    host_path: Option<serde::de::IgnoredAny>,
    claim_ref: Option<WireClaimRef>,
}

#[derive(Deserialize)]
#[serde(expecting = "a reference to a claim")]
struct WireClaimRef {
    namespace: Option<String>,
    name: Option<String>,
}

impl Wire for WirePersistentVolume {
    const LIST: &'static str = "PersistentVolumeList";
    type Kept = KubeClaim;

    fn keep(self, _now: Option<f64>) -> Result<Option<KubeClaim>, String> {
        let is_local = self.spec.local.is_some() || self.spec.host_path.is_some();
        let claim = self.spec.claim_ref.filter(|_| is_local);
        Ok(claim.and_then(|claim| Some(KubeClaim { namespace: claim.namespace?, name: claim.name? })))
    }
}

#[derive(Deserialize)]
#[serde(expecting = "an object of Flux")]
struct WireFlux {
    #[serde(default)]
    metadata: WireMeta,
    #[serde(default)]
    spec: WireFluxSpec,
    #[serde(default)]
    status: WireFluxStatus,
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a spec of Flux")]
struct WireFluxSpec {
    suspend: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default, expecting = "a status of Flux")]
struct WireFluxStatus {
    observed_generation: Option<i64>,
    conditions: Option<Vec<WireCondition>>,
}

impl WireFlux {
    fn keep(self) -> Result<Option<FluxObject>, String> {
        let mut conditions = self.status.conditions.into_iter().flatten().map(WireCondition::keep);
        Ok(Some(FluxObject {
            namespace: self.metadata.namespace(),
            name: self.metadata.name()?,
            suspended: self.spec.suspend.unwrap_or(false),
            is_current: is_current(self.metadata.generation, self.status.observed_generation),
            ready: conditions.find(|condition| condition.kind == "Ready"),
        }))
    }
}

/// A kustomization of Flux.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct WireKustomization(WireFlux);

/// A helm release of Flux.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct WireHelmRelease(WireFlux);

impl Wire for WireKustomization {
    const LIST: &'static str = "KustomizationList";
    type Kept = FluxObject;

    fn keep(self, _now: Option<f64>) -> Result<Option<FluxObject>, String> {
        self.0.keep()
    }
}

impl Wire for WireHelmRelease {
    const LIST: &'static str = "HelmReleaseList";
    type Kept = FluxObject;

    fn keep(self, _now: Option<f64>) -> Result<Option<FluxObject>, String> {
        self.0.keep()
    }
}

#[cfg(test)]
mod tests;
