//! Tests of reading lists: as the API reference writes them, and broken ones.

use hardstand_core::observed::{KubeBudget, KubeNode};

use super::*;

const NODES: &str = r#"{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"abc","remainingItemCount":2},
"items":[
 {"metadata":{"name":"k1","labels":{"node-role.kubernetes.io/control-plane":"true","node-role.kubernetes.io/etcd":"true"}},
  "spec":{"podCIDR":"10.42.0.0/24","unschedulable":true,"taints":[{"key":"node.kubernetes.io/unschedulable","effect":"NoSchedule"}]},
  "status":{"conditions":[{"type":"EtcdIsVoter","status":"True","reason":"MemberNotLearner"},
   {"type":"Ready","status":"False","reason":"KubeletNotReady","message":"container runtime is down","lastHeartbeatTime":"2026-11-26T10:00:00Z"}]}},
 {"metadata":{"name":"k2","labels":{"node-role.kubernetes.io/master":""}}}]}"#;

const BUDGETS: &str = r#"{"kind":"PodDisruptionBudgetList","apiVersion":"policy/v1","metadata":{"continue":""},"items":[
 {"metadata":{"name":"web","namespace":"home","generation":2},
  "spec":{"minAvailable":2,"selector":{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"tier","operator":"In","values":["front"]}]}},
  "status":{"observedGeneration":2,"disruptionsAllowed":1,"currentHealthy":3,"desiredHealthy":2,"expectedPods":3,
   "conditions":[{"type":"DisruptionAllowed","status":"True","reason":"SufficientPods","message":""}]}},
 {"metadata":{"name":"odd","namespace":"home","generation":3},"spec":{},
  "status":{"observedGeneration":2,"disruptionsAllowed":0,"currentHealthy":0,"desiredHealthy":0,"expectedPods":0,
   "conditions":[{"type":"DisruptionAllowed","status":"False","reason":"SyncFailed","message":"found no controllers for pod \"x\""}]}}]}"#;

const PODS: &str = r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[
 {"metadata":{"name":"web-1","namespace":"home","labels":{"app":"web"},
   "ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"k1","uid":"u"},{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"u","controller":true}],
   "deletionTimestamp":"2026-11-26T10:00:00Z","deletionGracePeriodSeconds":30},
  "spec":{"nodeName":"k1","volumes":[{"name":"tmp","emptyDir":{}},{"name":"d","persistentVolumeClaim":{"claimName":"data"}}]},
  "status":{"phase":"Running"}},
 {"metadata":{"name":"proxy-k1","namespace":"kube-system","annotations":{"kubernetes.io/config.mirror":"hash"}},
  "spec":{"nodeName":"k1"},"status":{"phase":"Running"}}]}"#;

const VOLUMES: &str = r#"{"kind":"PersistentVolumeList","apiVersion":"v1","metadata":{},"items":[
 {"metadata":{"name":"a"},"spec":{"hostPath":{"path":"/x"},"claimRef":{"namespace":"home","name":"data"},"storageClassName":"local-path"}},
 {"metadata":{"name":"b"},"spec":{"local":{"path":"/x"},"claimRef":{"namespace":"home","name":"more"}}},
 {"metadata":{"name":"c"},"spec":{"nfs":{"server":"s","path":"/"},"claimRef":{"namespace":"home","name":"shared"}}},
 {"metadata":{"name":"d"},"spec":{"hostPath":{"path":"/y"}}}]}"#;

const RELEASES: &str = r#"{"kind":"HelmReleaseList","apiVersion":"helm.toolkit.fluxcd.io/v2","metadata":{},"items":[
 {"metadata":{"name":"wiki","namespace":"home","generation":4},"spec":{"suspend":true,"interval":"5m"},
  "status":{"observedGeneration":4,"conditions":[{"type":"Released","status":"True"},
   {"type":"Ready","status":"False","reason":"InstallFailed","message":"Helm install failed\nfor release"}]}},
 {"metadata":{"name":"new","namespace":"home","generation":1},"spec":{},"status":{"observedGeneration":-1}}]}"#;

fn read<T: Wire>(text: &str) -> Page<T::Kept> {
    parse::<T>(text.as_bytes(), Some(1_795_687_800.0)).unwrap()
}

fn why<T: Wire>(text: &str, now: Option<f64>) -> String {
    parse::<T>(text.as_bytes(), now).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn nodes_keep_their_roles_and_what_is_told_of_them() {
    let page = read::<WireNode>(NODES);
    assert_eq!(page.more.as_deref(), Some("abc"));
    let [first, second] = &page.items[..] else { panic!("two nodes") };
    assert!(first.control_plane && first.etcd && first.unschedulable && !first.is_ready());
    let ready = first.condition("Ready").unwrap();
    assert_eq!(
        (ready.reason.as_deref(), ready.message.as_deref()),
        (Some("KubeletNotReady"), Some("container runtime is down"))
    );
    assert_eq!(*second, KubeNode { name: "k2".into(), control_plane: true, ..KubeNode::default() });
}

#[test]
fn budgets_keep_their_numbers_and_what_they_select() {
    let page = read::<WireBudget>(BUDGETS);
    assert_eq!(page.more, None, "an empty token is the end");
    let selector = page.items[0].selector.clone().unwrap();
    assert_eq!(selector.labels["app"], "web");
    assert_eq!(
        (&*selector.requirements[0].operator, &selector.requirements[0].values[..]),
        ("In", &["front".to_owned()][..])
    );
    let numbers = |budget: &KubeBudget| (budget.allowed, budget.healthy, budget.desired, budget.expected);
    assert_eq!(numbers(&page.items[0]), (Some(1), Some(3), Some(2), Some(3)));
    assert_eq!((page.items[0].is_current, page.items[0].fault.as_deref()), (true, None));
    assert_eq!((page.items[1].is_current, &page.items[1].selector), (false, &None));
    assert_eq!(page.items[1].fault.as_deref(), Some("found no controllers for pod \"x\""));
}

#[test]
fn pods_keep_who_makes_them_and_what_they_keep() {
    let page = read::<WirePod>(PODS);
    let [web, proxy] = &page.items[..] else { panic!("two pods") };
    assert_eq!(
        (web.controller.as_deref(), web.has_scratch, &web.claims[..]),
        (Some("ReplicaSet"), true, &["data".to_owned()][..])
    );
    // 2026-11-26 10:10:00, ten minutes after it should have been gone.
    assert_eq!(web.overdue_seconds, Some(600.0));
    assert!(proxy.is_mirror && proxy.controller.is_none() && proxy.overdue_seconds.is_none());
    let told = why::<WirePod>(PODS, None);
    assert!(told.ends_with("the pod web-1 should be gone, and the API server does not tell its time"), "{told}");
    let odd = PODS.replace("2026-11-26T10:00:00Z", "soon");
    assert!(why::<WirePod>(&odd, Some(0.0)).ends_with("\"soon\" is no time"));
}

#[test]
fn volumes_of_one_node_give_their_claims_and_flux_its_word() {
    let claims = read::<WirePersistentVolume>(VOLUMES).items;
    assert_eq!(claims.iter().map(|claim| claim.name.as_str()).collect::<Vec<_>>(), ["data", "more"]);
    let releases = read::<WireHelmRelease>(RELEASES).items;
    let ready = releases[0].ready.as_ref().unwrap();
    assert_eq!(
        (releases[0].suspended, releases[0].is_current, ready.reason.as_deref()),
        (true, true, Some("InstallFailed"))
    );
    assert_eq!(ready.message.as_deref(), Some("Helm install failedfor release"), "on one line");
    assert_eq!((&releases[1].ready, releases[1].is_current), (&None, false));
}

#[test]
fn what_is_no_such_list_is_refused() {
    for (text, told) in [
        ("", "parsing a NodeList: EOF while parsing a value at line 1 column 0"),
        ("[]", "parsing a NodeList: invalid length 0, expected a list of Kubernetes"),
        ("{}", "parsing a NodeList: it is of no kind"),
        (r#"{"kind":"NodeList"}"#, "parsing a NodeList: it has no items"),
        (r#"{"kind":"PodList","items":[]}"#, "parsing a NodeList: it is of \"PodList\""),
        (r#"{"kind":"NodeList","items":[{}]}"#, "parsing a NodeList: an object without a name"),
        (r#"{"kind":"NodeList","items":[7]}"#, "parsing a NodeList: invalid type: integer `7`, expected a node"),
        (
            r#"{"kind":"NodeList","items":[{"metadata":{"name":"a"},"spec":{"unschedulable":"yes"}}]}"#,
            "parsing a NodeList: invalid type: string",
        ),
    ] {
        let said = why::<WireNode>(text, None);
        assert!(said.starts_with(told), "{text}: {said}");
    }
    crate::host::feed_damaged(NODES, |text| drop(parse::<WireNode>(text.as_bytes(), None)));
    crate::host::feed_damaged(BUDGETS, |text| drop(parse::<WireBudget>(text.as_bytes(), None)));
    crate::host::feed_damaged(PODS, |text| drop(parse::<WirePod>(text.as_bytes(), Some(0.0))));
    crate::host::feed_damaged(VOLUMES, |text| drop(parse::<WirePersistentVolume>(text.as_bytes(), None)));
    crate::host::feed_damaged(RELEASES, |text| drop(parse::<WireKustomization>(text.as_bytes(), None)));
}
