//! A Kubernetes cluster as its API tells it; and answers of that API to requests to evict pods
//! (`POST .../pods/NAME/eviction`), told by itself or by `kubectl drain`.
//!
//! It must never hold an opinion: words are kept as they are told.

mod cluster;
mod selector;

pub use cluster::{FluxObject, KubeBudget, KubeClaim, KubeCondition, KubeNode, KubePod, KubeServer, KubernetesCluster};
pub use selector::{LabelRequirement, LabelSelector};
use serde::{Deserialize, Serialize};

/// What one report says, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evictions {
    /// Whether it is kubectl's, which ends with the nodes that are drained.
    pub by_kubectl: bool,
    /// One for each answer, or for each pod that kubectl names.
    pub answers: Vec<EvictionAnswer>,
    /// What kubectl says of nodes.
    pub nodes: Vec<DrainedNode>,
    /// What kubectl warns of: pods that it leaves where they are, or that nobody will start again.
    pub warnings: Vec<String>,
    /// Lines that could not be read.
    pub unread: Vec<String>,
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EvictionAnswer {
    /// Name of the pod, where it is told: a success does not name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `Success` or `Failure`; of kubectl `evicting`, `evicted`, `deleted`, or `gone` where it says that the node is
    /// drained and no more of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The HTTP status code in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u64>,
    /// Why not, in one word: `TooManyRequests` (also where kubectl says that it tries again), `NotFound`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why not, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What kind of object a failure is about (`pods`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The causes' messages, or their words where they have none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub causes: Vec<String>,
    /// The disruption budget that does not allow it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// Seconds after which the API wants to be asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

/// What kubectl says of one node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DrainedNode {
    /// Its name.
    pub name: String,
    /// The last word on it: `cordoned`, `already cordoned`, `drained` (`evicted` of old versions).
    pub state: String,
    /// Why it could not be drained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
