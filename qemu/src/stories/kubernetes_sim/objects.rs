//! The objects of a small cluster that is well, in the words of the API reference: three K3s servers with etcd, of which
//! k1 runs on the host of the story.
//!
//! It must never hold an object that the real API would not take.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::simulator::kubernetes::State;

/// More than fit into one page, so that those of k1 come on the last of several.
const PODS_ELSEWHERE: usize = 600;

/// Puts all of it where it is served from.
pub(super) fn put(state: &mut State) {
    state.objects.insert("nodes", ["k1", "k2", "k3"].map(node).to_vec());
    let mut pods: Vec<Value> =
        (0..PODS_ELSEWHERE).map(|number| pod(&format!("job-{number:03}"), "k2", "batch")).collect();
    pods.push(pod("web-1", "k1", "web"));
    pods.push(daemon("svclb-1"));
    state.objects.insert("pods", pods);
    state.objects.insert("poddisruptionbudgets", vec![budget([2, 3, 3])]);
    state.objects.insert("persistentvolumes", vec![volume("pvc-1", "data")]);
    state.objects.insert("kustomizations", vec![flux("Kustomization", "apps")]);
    state.objects.insert("helmreleases", vec![flux("HelmRelease", "wiki")]);
}

fn node(name: &str) -> Value {
    let labels = json!({
        "kubernetes.io/hostname": name,
        "node-role.kubernetes.io/control-plane": "true",
        "node-role.kubernetes.io/etcd": "true",
        "node-role.kubernetes.io/master": "true",
    });
    let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "message": format!("kubelet says {reason}")});
    json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDR": "10.42.0.0/24", "providerID": format!("k3s://{name}")},
        "status": {"conditions": [
            condition("EtcdIsVoter", "True", "MemberNotLearner"),
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
            condition("Ready", "True", "KubeletReady"),
        ]},
    })
}

/// A pod of a Deployment.
pub(super) fn pod(name: &str, node: &str, app: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "home", "labels": {"app": app},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app, "uid": "1", "controller": true}],
        },
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "registry.lan/c:1"}]},
        "status": {"phase": "Running"},
    })
}

fn daemon(name: &str) -> Value {
    let mut pod = pod(name, "k1", "svclb");
    pod["metadata"]["ownerReferences"][0]["kind"] = json!("DaemonSet");
    pod["spec"]["volumes"] = json!([{"name": "tmp", "emptyDir": {}}]);
    pod
}

/// One of so many pods that must stay, are healthy, and should be there.
pub(super) fn budget([desired, healthy, expected]: [i64; 3]) -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "home", "generation": 1},
        "spec": {"minAvailable": desired, "selector": {"matchExpressions": [
            {"key": "app", "operator": "In", "values": ["web", "api"]},
            {"key": "canary", "operator": "DoesNotExist"},
        ]}},
        "status": {
            "observedGeneration": 1, "disruptionsAllowed": (healthy - desired).max(0), "currentHealthy": healthy,
            "desiredHealthy": desired, "expectedPods": expected,
        },
    })
}

/// What K3s' local-path makes: it lies on the node's own disk.
fn volume(name: &str, claim: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "hostPath": {"path": format!("/var/lib/rancher/k3s/storage/{name}"), "type": "DirectoryOrCreate"},
            "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "home", "name": claim},
            "storageClassName": "local-path",
        },
    })
}

fn flux(kind: &str, name: &str) -> Value {
    json!({
        "kind": kind, "metadata": {"name": name, "namespace": "flux-system", "generation": 3},
        "spec": {"interval": "10m"},
        "status": {"observedGeneration": 3, "conditions": [
            {"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded", "message": "Applied revision: main"},
        ]},
    })
}

/// A moment so long ago, as Kubernetes writes it.
pub(super) fn ago(span: Duration) -> String {
    let seconds = (SystemTime::now() - span).duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut day) = (1970, days);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while day >= if is_leap(year) { 366 } else { 365 } {
        day -= if is_leap(year) { 366 } else { 365 };
        year += 1;
    }
    let mut month = 1;
    let lengths = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for length in lengths {
        if day < length {
            break;
        }
        (day, month) = (day - length, month + 1);
    }
    format!("{year}-{month:02}-{:02}T{:02}:{:02}:{:02}Z", day + 1, rest / 3600, rest / 60 % 60, rest % 60)
}
