//! The door with a client that behaves as Zincati does, and with clients that do not behave.

use hardstand_core::fleetlock::{Refusal, Wish};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::client::{Reply as Told, app_specific, ask};
use super::door::{Asked, Reply, serve};
use crate::hang::LIMIT;

/// A door on loopback whose guests are answered by `reply`; its base URL.
async fn door(reply: impl Fn(&Asked) -> Reply + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, mut guests) = mpsc::channel::<Asked>(1);
    tokio::spawn(serve(listener, sender));
    tokio::spawn(async move {
        while let Some(asked) = guests.recv().await {
            let told = reply(&asked);
            asked.answer.send(told).unwrap();
        }
    });
    base
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, test).await.expect("the test hung") });
}

/// Sends bytes and gives all that comes back.
async fn raw(base: &str, bytes: &str) -> String {
    let address = base.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[test]
fn a_client_like_zincati_is_heard() {
    run(async {
        let base = door(|asked| {
            assert_eq!((asked.guest.group.as_str(), asked.guest.id.as_str()), ("workers", "c988"));
            match asked.wish {
                Wish::PreReboot => Reply::No(Refusal::new(423, "slots_full", "node1 holds slot 0")),
                Wish::SteadyState => Reply::Yes,
            }
        })
        .await;
        assert_eq!(ask(&base, "workers", "c988", Wish::SteadyState, LIMIT).await.unwrap(), Told::Yes);
        let told = ask(&base, "workers", "c988", Wish::PreReboot, LIMIT).await.unwrap();
        assert_eq!(told, Told::NotNow("slots_full: node1 holds slot 0".to_owned()));
    });
}

#[test]
fn no_content_type_is_needed_and_bad_requests_never_reach_the_leader() {
    run(async {
        let base = door(|_| Reply::Yes).await;
        let post = |path: &str, header: &str, body: &str| {
            let length = body.len();
            format!("POST {path} HTTP/1.1\r\nhost: x\r\n{header}content-length: {length}\r\n\r\n{body}")
        };
        let good = r#"{"client_params":{"group":"workers","id":"c988"}}"#;
        let header = "fleet-lock-protocol: true\r\n";
        let rows = [
            (post("/v1/pre-reboot", header, good), "200 ", ""),
            (post("/v1/pre-reboot", "", good), "400 ", "missing_header"),
            (post("/v1/pre-reboot", header, "{"), "400 ", "invalid_client_identity"),
            (post("/v1/pre-reboot", header, &"x".repeat(5_000)), "400 ", "invalid_client_identity"),
            (
                post("/v1/pre-reboot", header, r#"{"client_params":{"group":"","id":"c"}}"#),
                "400 ",
                "invalid_client_identity",
            ),
            (post("/v1/else", header, good), "404 ", "not_found"),
            ("GET /v1/pre-reboot HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "405 ", "method_not_allowed"),
        ];
        for (request, status, kind) in rows {
            let answer = raw(&base, &request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(kind), "{request}\n{answer}");
        }
    });
}

#[test]
fn who_does_not_lead_sends_guests_to_who_does() {
    run(async {
        let leader = door(|_| Reply::Yes).await;
        let host = leader.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let follower = door(move |_| Reply::Elsewhere(host.clone())).await;
        assert_eq!(ask(&follower, "workers", "c988", Wish::PreReboot, LIMIT).await.unwrap(), Told::Yes);
    });
}

#[test]
fn a_refusal_for_good_and_a_server_that_is_away_are_errors() {
    run(async {
        let base = door(|_| Reply::No(Refusal::new(400, "unknown_group", "no group x"))).await;
        let told = ask(&base, "x", "c988", Wish::PreReboot, LIMIT).await.unwrap_err();
        assert!(format!("{told:#}").contains("unknown_group: no group x"), "{told:#}");
        assert!(ask("http://127.0.0.1:1/", "x", "c", Wish::PreReboot, LIMIT).await.is_err());
    });
}

#[test]
fn the_id_is_the_app_specific_machine_id() {
    // The expected one was made with another program's HMAC-SHA256.
    let id = app_specific("0123456789abcdef0123456789abcdef\n").unwrap();
    assert_eq!(id, "583627a932274834a8ebd99f4ed41c0d");
    assert!(app_specific("uninitialized").is_err());
}
