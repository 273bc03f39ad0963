//! Tests of asking: a made-up server on loopback says what it is told to. One with TLS, rights and all is in the lab.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hardstand_core::settings::KubernetesSettings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::host::Scratch;

/// A server's part.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<Part>>);

#[derive(Default)]
struct Part {
    /// What is answered, by the beginning of what is asked for.
    answers: BTreeMap<String, String>,
    asked: Vec<String>,
}

const EMPTY: [(&str, &str, &str); 4] = [
    ("/api/v1/nodes?", "NodeList", "v1"),
    ("/apis/policy/v1/poddisruptionbudgets?", "PodDisruptionBudgetList", "policy/v1"),
    ("/api/v1/persistentvolumes?", "PersistentVolumeList", "v1"),
    ("/api/v1/pods?", "PodList", "v1"),
];

impl Script {
    /// A server on which all lists are empty and there is no Flux.
    async fn serve() -> (Self, String) {
        let script = Self::default();
        script.says("/readyz", 200, "ok");
        for (path, kind, version) in EMPTY {
            script.says(
                path,
                200,
                &format!(r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{{}},"items":[]}}"#),
            );
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = format!("http://{}", listener.local_addr().unwrap());
        let serving = script.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().answer(stream));
            }
        });
        (script, place)
    }

    fn says(&self, path: &str, status: u16, body: &str) {
        let date = "date: Thu, 26 Nov 2026 10:10:00 GMT";
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} Word\r\n{date}\r\ncontent-length: {length}\r\n\r\n{body}");
        self.0.lock().unwrap().answers.insert(path.to_owned(), answer);
    }

    fn hangs(&self, path: &str) {
        self.0.lock().unwrap().answers.insert(path.to_owned(), String::new());
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    async fn answer(self, mut stream: tokio::net::TcpStream) {
        let mut head = vec![0; 8192];
        let length = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        assert!(head.contains("authorization: Bearer t0ken\r\n"), "{head}");
        let (method, path) = head.lines().next().unwrap().split_once(' ').unwrap();
        assert_eq!(method, "GET", "nothing else is ever asked");
        let path = path.trim_end_matches(" HTTP/1.1").to_owned();
        let answer = {
            let mut script = self.0.lock().unwrap();
            script.asked.push(path.clone());
            let longest = script.answers.iter().rev().find(|(start, _)| path.starts_with(start.as_str()));
            longest.map(|(_, answer)| answer.clone())
        };
        match answer.as_deref() {
            Some("") => std::future::pending().await,
            Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
            None => {
                let none = "HTTP/1.1 404 Not Found\r\ncontent-length: 19\r\n\r\n404 page not found\n";
                drop(stream.write_all(none.as_bytes()).await);
            }
        }
    }
}

async fn asks(endpoints: &[&str], nodes: &[&str]) -> Result<KubernetesCluster, String> {
    // A machine that builds beside this is slow.
    asks_within(endpoints, nodes, Limits { ready: LIMIT, lists: LIMIT }).await
}

async fn asks_within(endpoints: &[&str], nodes: &[&str], limits: Limits) -> Result<KubernetesCluster, String> {
    let scratch = Scratch::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["ca".to_owned()]).unwrap().self_signed(&key).unwrap();
    scratch.write("ca.crt", certificate.pem());
    let token = scratch.write("token", "t0ken\n");
    std::fs::set_permissions(token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let settings = KubernetesSettings {
        endpoints: owned(endpoints),
        token_file: Some("/token".to_owned()),
        ca_file: Some("/ca.crt".to_owned()),
        ..KubernetesSettings::default()
    };
    let access = Access::read(&scratch, &settings).unwrap();
    probe_cluster(access, &owned(nodes), limits).await.map_err(|error| error.to_string())
}

fn status(code: u16, message: &str) -> String {
    serde_json::json!({"kind": "Status", "status": "Failure", "code": code, "message": message}).to_string()
}

#[tokio::test]
async fn the_first_server_that_is_ready_is_asked_and_the_others_are_told() {
    let ((sick, first), (_, second)) = (Script::serve().await, Script::serve().await);
    sick.says(
        "/readyz",
        500,
        "[+]ping ok\n[-]etcd failed: reason withheld\n[-]informer-sync failed: reason withheld\nreadyz check failed\n",
    );
    let cluster = asks(&["http://127.0.0.1:1", &first, &second], &[]).await.unwrap();
    assert_eq!(cluster.asked, second);
    assert!(cluster.servers[0].fault.as_deref().unwrap().contains("Connection refused"));
    let told = "it is not ready (etcd failed: reason withheld, informer-sync failed: reason withheld)";
    assert_eq!(cluster.servers[1].fault.as_deref(), Some(told));
    assert_eq!(cluster.servers[2].fault, None);
    assert_eq!((cluster.kustomizations, cluster.helm_releases), (Reading::Known(None), Reading::Known(None)));
    let none = asks(&["http://127.0.0.1:1", &first], &[]).await.unwrap_err();
    assert!(none.starts_with("no API server of Kubernetes can be asked: http://127.0.0.1:1: connecting to"), "{none}");
    assert!(none.ends_with(told), "{none}");
    sick.says("/readyz", 401, &status(401, "Unauthorized"));
    assert!(asks(&[&first], &[]).await.unwrap_err().contains("it does not know us (401)"));
}

#[tokio::test]
async fn long_lists_are_read_page_by_page_and_never_cut_short() {
    let (script, place) = Script::serve().await;
    let page = |names: &[&str], more: &str| {
        let items: Vec<_> = names.iter().map(|name| serde_json::json!({"metadata": {"name": name}})).collect();
        serde_json::json!({"kind": "PodList", "metadata": {"continue": more}, "items": items}).to_string()
    };
    let first = "/api/v1/pods?limit=250&fieldSelector=spec.nodeName%3Dk1";
    script.says(first, 200, &page(&["a", "b"], "a+b/c="));
    script.says(&format!("{first}&continue=a%2Bb%2Fc%3D"), 200, &page(&["c"], ""));
    script.says("/api/v1/pods?limit=250&fieldSelector=spec.nodeName%3Dk2", 200, &page(&["d"], ""));
    let cluster = asks(&[&place], &["k1", "k2"]).await.unwrap();
    let names: Vec<&str> = cluster.pods.known().unwrap().iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    let asked = script.asked();
    assert_eq!(asked.iter().filter(|path| path.starts_with("/api/v1/pods?")).count(), 3, "{asked:?}");
    assert!(
        asked.iter().all(|path| path.contains("limit=") || path == "/readyz" || path.contains("fluxcd")),
        "{asked:?}"
    );
    // It has forgotten where the list was: that is asked once more from the beginning, and no further.
    script.says(
        &format!("{first}&continue=a%2Bb%2Fc%3D"),
        410,
        &status(410, "The provided continue parameter is too old"),
    );
    let cluster = asks(&[&place], &["k1"]).await.unwrap();
    assert_eq!(cluster.pods.why(), Some("it answered 410: The provided continue parameter is too old"));
    assert_eq!(script.asked().iter().filter(|path| path.starts_with("/api/v1/pods?")).count(), 4);
    // A list without an end.
    script.says(first, 200, &page(&["a"], "on"));
    assert_eq!(asks(&[&place], &["k1"]).await.unwrap().pods.why(), Some("there are more than 10000 of them"));
}

#[tokio::test]
async fn what_is_refused_is_unknown_alone_with_what_to_do() {
    let (script, place) = Script::serve().await;
    let forbidden = "poddisruptionbudgets.policy is forbidden: User \"x\" cannot list resource";
    script.says("/apis/policy/v1/poddisruptionbudgets?", 403, &status(403, forbidden));
    script.says("/api/v1/persistentvolumes?", 200, "<html>");
    script.says("/apis/kustomize.toolkit.fluxcd.io/v1/", 503, "");
    script.says("/apis/helm.toolkit.fluxcd.io", 200, r#"{"kind":"APIGroup"}"#);
    script.says("/apis/helm.toolkit.fluxcd.io/v2/helmreleases", 404, "404 page not found");
    let cluster = asks(&[&place], &[]).await.unwrap();
    let why = cluster.budgets.why().unwrap();
    assert!(why.starts_with(&format!("it refuses (403): {forbidden}; grant it: kubectl apply -f ")), "{why}");
    assert!(cluster.local_claims.why().unwrap().starts_with("parsing a PersistentVolumeList: expected value"));
    assert_eq!(cluster.kustomizations.why(), Some("it answered 503"));
    let why = cluster.helm_releases.why().unwrap();
    assert_eq!(why, "the cluster has helm.toolkit.fluxcd.io and not its v2; bring Flux up to 2.3 or newer");
    assert_eq!(cluster.pods, Reading::Known(Vec::new()));
    script.says("/api/v1/nodes?", 302, "");
    let why = asks(&[&place], &[]).await.unwrap_err();
    assert_eq!(why, format!("asking {place} for the nodes: it answered 302; is this an API server of Kubernetes?"));
}

#[tokio::test]
async fn one_that_hangs_is_given_up_in_time() {
    assert!(LIMITS.ready + LIMITS.lists < LIMIT, "each part says for itself that it is late");
    let (script, place) = Script::serve().await;
    script.hangs("/apis/policy/v1/poddisruptionbudgets?");
    let lists = Duration::from_secs(2);
    let cluster = asks_within(&[&place], &[], Limits { ready: LIMIT, lists }).await.unwrap();
    assert_eq!(cluster.budgets.why(), Some("no answer within 2 s"));
    assert_eq!(cluster.pods, Reading::Known(Vec::new()), "the others are read");
    script.hangs("/readyz");
    let ready = Duration::from_millis(100);
    let why = asks_within(&[&place], &[], Limits { ready, lists }).await.unwrap_err();
    assert!(why.ends_with(": no answer within 0.1 s"), "{why}");
}
