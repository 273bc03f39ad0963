//! That the simulator refuses what the real one refuses.

use super::*;

const ROLE: &str = include_str!("../../../../agent/debian/kubernetes-reader.yaml");

fn cluster() -> State {
    let pod = |number: usize| {
        let node = if number == 4 { "k1" } else { "k2" };
        json!({"metadata": {"name": format!("p{number}"), "namespace": "home"}, "spec": {"nodeName": node}})
    };
    let mut state = State::default();
    state.tokens.insert("good".to_owned());
    state.objects.insert("pods", (0..5).map(pod).collect());
    state
}

fn ask(state: &mut State, method: &Method, path: &str, token: Option<&str>) -> Answer {
    let rights = Rights::of(ROLE).unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let authorization = token.map(|token| format!("Bearer {token}"));
    let asked = Asked { method, path, query, authorization: authorization.as_deref(), by_certificate: false };
    answer(state, &rights, &asked)
}

fn get(state: &mut State, path: &str) -> Answer {
    ask(state, &Method::GET, path, Some("good"))
}

fn body(answer: &Answer) -> Value {
    match &answer.body {
        Body::Json(value) => value.clone(),
        Body::Text(text) => json!(text),
    }
}

#[test]
fn who_is_not_known_or_may_not_is_refused_before_anything_is_looked_for() {
    let mut state = cluster();
    for token in [None, Some("bad"), Some("")] {
        assert_eq!(ask(&mut state, &Method::GET, "/api/v1/pods", token).code, 401, "{token:?}");
        assert_eq!(ask(&mut state, &Method::GET, "/readyz", token).code, 401, "{token:?}");
    }
    for path in ["/api/v1/secrets", "/api/v1/namespaces", "/apis/apps/v1/deployments", "/apis/none.example/v1/things"] {
        assert_eq!(get(&mut state, path).code, 403, "{path}");
    }
    for method in [Method::POST, Method::PATCH, Method::DELETE, Method::PUT] {
        assert_eq!(ask(&mut state, &method, "/api/v1/pods", Some("good")).code, 403, "{method}");
    }
    let told = body(&get(&mut state, "/api/v1/secrets"));
    let message = "secrets is forbidden: User \"system:serviceaccount:hardstand:hardstand\" cannot list resource \
                   \"secrets\" in API group \"\" at the cluster scope";
    assert_eq!((told["kind"].as_str(), told["message"].as_str()), (Some("Status"), Some(message)));
    state.absent.insert("policy");
    assert_eq!(get(&mut state, "/apis/policy/v1/poddisruptionbudgets").code, 404);
    assert_eq!(get(&mut state, "/apis/policy").code, 404);
    assert_eq!(get(&mut state, "/apis/helm.toolkit.fluxcd.io/v2beta1/helmreleases").code, 404);
    assert_eq!(get(&mut state, "/apis/helm.toolkit.fluxcd.io").code, 200);
}

#[test]
fn pages_follow_one_another_and_may_be_empty() {
    let mut state = cluster();
    let first = "/api/v1/pods?limit=2&fieldSelector=spec.nodeName%3Dk1";
    let (mut path, mut seen, mut pages) = (first.to_owned(), Vec::new(), 0);
    loop {
        let page = body(&get(&mut state, &path));
        seen.extend(page["items"].as_array().unwrap().iter().map(|pod| pod["metadata"]["name"].clone()));
        pages += 1;
        let Some(more) = page["metadata"]["continue"].as_str() else { break };
        path = format!("{first}&continue={more}");
    }
    assert_eq!((seen, pages), (vec![json!("p4")], 3));
    state.forgets = 1;
    assert_eq!((get(&mut state, &path).code, get(&mut state, &path).code), (410, 200));
}

#[test]
fn queries_that_make_no_sense_are_refused() {
    let mut state = cluster();
    for query in [
        "limit=many",
        "continue=x",
        "fieldSelector=spec.node%3Dk1",
        "fieldSelector=spec.nodeName",
        "nodeName=k1",
        "fieldSelector=%zz",
    ] {
        assert_eq!(get(&mut state, &format!("/api/v1/pods?{query}")).code, 400, "{query}");
    }
    assert_eq!(get(&mut state, "/api/v1/nodes?fieldSelector=spec.nodeName%3Dk1").code, 400, "it is a field of pods");
}

#[test]
fn one_that_is_not_ready_says_what_fails() {
    let mut state = cluster();
    assert_eq!(get(&mut state, "/readyz"), Answer::text(200, "ok"));
    state.failing = vec!["etcd"];
    let answer = get(&mut state, "/readyz");
    assert!(answer.code == 500 && body(&answer).as_str().unwrap().contains("\n[-]etcd failed: reason withheld\n"));
}
