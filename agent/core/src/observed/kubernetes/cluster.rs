//! A Kubernetes cluster, as much of it as matters when the host of some of its nodes goes down.
//!
//! It must never hold an opinion: words are kept as they are told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::LabelSelector;
use crate::Reading;

/// What one round of questions brought. What could not be listed is unknown alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KubernetesCluster {
    /// The API servers that are declared, in their order.
    pub servers: Vec<KubeServer>,
    /// The address of the one that was asked for the rest.
    pub asked: String,
    /// When the certificate that we show expires, seconds since 1970; absent where a token is shown.
    pub certificate_until_unix_seconds: Option<u64>,
    /// Every node.
    pub nodes: Vec<KubeNode>,
    /// Every disruption budget.
    pub budgets: Reading<Vec<KubeBudget>>,
    /// The pods on the nodes that are declared to run here.
    pub pods: Reading<Vec<KubePod>>,
    /// Claims whose volume lies on one node's own disk.
    pub local_claims: Reading<Vec<KubeClaim>>,
    /// Flux's kustomizations; nothing where the cluster has no such kind.
    pub kustomizations: Reading<Option<Vec<FluxObject>>>,
    /// Flux's helm releases; nothing where the cluster has no such kind.
    pub helm_releases: Reading<Option<Vec<FluxObject>>>,
}

/// An API server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeServer {
    /// Its address, as declared.
    pub endpoint: String,
    /// Why it cannot be asked; absent when it says that it is ready.
    pub fault: Option<String>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KubeNode {
    /// Its name.
    pub name: String,
    /// It takes no new pods: somebody has cordoned it.
    pub unschedulable: bool,
    /// It is labelled as one that runs the API.
    pub control_plane: bool,
    /// It is labelled as one that runs a member of etcd.
    pub etcd: bool,
    /// What is told of it: `Ready`, `MemoryPressure`, ...
    pub conditions: Vec<KubeCondition>,
}

/// One thing that is told of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KubeCondition {
    /// What it is about.
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    pub reason: Option<String>,
    /// Why, for people; the beginning of it.
    pub message: Option<String>,
}

/// A disruption budget: how many pods must stay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KubeBudget {
    /// Its namespace; it selects pods of that only.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which pods; absent: none.
    pub selector: Option<LabelSelector>,
    /// The numbers below are about what is declared now, not about what was before.
    pub is_current: bool,
    /// Pods that may go now.
    pub allowed: Option<i64>,
    /// Healthy pods.
    pub healthy: Option<i64>,
    /// How many of them must be.
    pub desired: Option<i64>,
    /// Pods there should be.
    pub expected: Option<i64>,
    /// Why its numbers cannot be made out, in Kubernetes' words: no pod that it selects can be evicted then.
    pub fault: Option<String>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KubePod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The node it runs on.
    pub node: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The kind of what makes it anew when it is gone: `ReplicaSet`, `DaemonSet`, ...
    pub controller: Option<String>,
    /// The kubelet runs it from a file of its own, and the API only shows it.
    pub is_mirror: bool,
    /// It keeps something on the node that goes when it goes (`emptyDir`).
    pub has_scratch: bool,
    /// Names of the volume claims it uses.
    pub claims: Vec<String>,
    /// For how long it should have been gone, by the API server's own clock; absent while nobody has it go.
    pub overdue_seconds: Option<f64>,
}

/// A claim of a volume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KubeClaim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A kustomization or a helm release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FluxObject {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// A person has told Flux to leave it as it is.
    pub suspended: bool,
    /// What is told is about what is declared now.
    pub is_current: bool,
    /// Whether it is brought about; absent where that is not told.
    pub ready: Option<KubeCondition>,
}

impl KubeNode {
    /// What is told of one thing.
    pub fn condition(&self, kind: &str) -> Option<&KubeCondition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Whether it says that it is ready.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|ready| ready.status == "True")
    }
}
