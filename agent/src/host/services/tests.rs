//! What is made of answers: a made-up server on loopback says what it is told to. Real ones are asked in the lab.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Serves one connection after the other: what it answers by the path that is asked for.
async fn serve(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let answer = match path.as_str() {
            "/good" => format!("200 OK\r\ncontent-length: {}\r\n\r\nhello {host}", 6 + host.len()),
            "/moved" => "302 Found\r\nlocation: /good\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "/circle" => "302 Found\r\nlocation: circle\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "/short" => "200 OK\r\ncontent-length: 100\r\n\r\nhello".to_owned(),
            "/large" => format!("200 OK\r\n\r\n{}", "x".repeat(BODY_BYTES + 10)),
            "/silent" => std::future::pending().await,
            _ => "404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
        };
        // One that has read enough goes away.
        let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await;
    }
}

#[tokio::test]
async fn an_answer_is_held_against_what_is_declared() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(serve(listener));
    let of = |path: &str| ServiceSettings {
        url: format!("http://wiki.lan{path}"),
        connect_to: Some(place.clone()),
        ..ServiceSettings::default()
    };
    let text = |text: &str| Some(text.to_owned());
    for (service, failure) in [
        (of("/good"), None),
        (ServiceSettings { body_contains: text("hello wiki.lan"), ..of("/good") }, None),
        (ServiceSettings { body_contains: text("moin"), ..of("/good") }, Some("it answered 200 without \"moin\"")),
        (ServiceSettings { status: vec!["404".to_owned()], ..of("/none") }, None),
        (of("/none"), Some("it answered 404")),
        (of("/moved"), Some("it answered 302 to /good")),
        (ServiceSettings { location: text("/good"), ..of("/moved") }, None),
        (ServiceSettings { location: text("/bad"), ..of("/moved") }, Some("it answered 302 to /good, not to /bad")),
        (ServiceSettings { redirects: 1, ..of("/moved") }, None),
        (ServiceSettings { redirects: 3, ..of("/circle") }, Some("it answered 302 to circle")),
        (of("/short"), Some("talking HTTP: ")),
        (of("/large"), None),
        (ServiceSettings { body_contains: text("y"), ..of("/large") }, Some("without \"y\" in its first 512 KiB")),
        (ServiceSettings { timeout_secs: 1, ..of("/silent") }, Some("no answer within 1 s")),
    ] {
        let answer = probe_service(&service, None).await;
        let told = answer.failure.as_deref();
        let same = match (told, failure) {
            (Some(told), Some(failure)) => told.contains(failure),
            (told, failure) => told == failure,
        };
        assert!(same, "{}: {answer:?}", service.url);
    }
    server.abort();
}

#[test]
fn redirects_are_resolved_where_they_stand() {
    let from: Uri = "https://wiki.lan:8443/a/b?c".parse().unwrap();
    for (to, url) in [
        ("https://auth.lan/login?rd=x", "https://auth.lan/login?rd=x"),
        ("//auth.lan/x", "https://auth.lan/x"),
        ("/x", "https://wiki.lan:8443/x"),
        ("x", "https://wiki.lan:8443/a/x"),
    ] {
        assert_eq!(joined(&from, to).unwrap().to_string(), url);
    }
    for (to, url, way_there) in [
        ("192.0.2.7:443", "https://wiki.lan:8443/x", Some("192.0.2.7:443")),
        ("192.0.2.7:443", "https://wiki.lan/x", Some("192.0.2.7")),
        ("[::1]:443", "http://wiki.lan/x", Some("[::1]")),
        ("::1", "http://wiki.lan/x", Some("::1")),
        ("192.0.2.7:443", "https://auth.lan:8443/x", None),
    ] {
        assert_eq!(way(Some(to), &from, &url.parse().unwrap()), way_there, "{to} {url}");
    }
    assert!(joined(&from, "ftp://wiki.lan/").is_err());
}
