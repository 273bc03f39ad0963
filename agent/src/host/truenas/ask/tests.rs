//! Asking a TrueNAS that is played by a socket of the test: who is let in, and every way in which an answer stays out.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use hardstand_core::observed::NasPool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::host::Scratch;

/// What a made-up TrueNAS answers: a result or an error by method; nothing to what is not named.
#[derive(Clone)]
struct Box_ {
    versions: &'static str,
    answers: BTreeMap<&'static str, Value>,
    /// Connections that asked for a WebSocket, and calls by method.
    opened: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Box_ {
    fn well() -> Self {
        let pool = json!({"name": "tank", "status": "ONLINE", "healthy": true, "warning": false, "scan": null});
        let answers = [
            ("system.state", json!({"result": "READY"})),
            ("system.info", json!({"result": {"version": "25.10.1", "datetime": {"$date": 1}}})),
            ("pool.query", json!({"result": [pool]})),
            ("boot.get_state", json!({"result": pool})),
            ("boot.environment.query", json!({"result": [{"id": "a", "active": true, "activated": true}]})),
            ("system.reboot.info", json!({"result": {"boot_id": "b", "reboot_required_reasons": []}})),
            ("update.status", json!({"result": {"code": "NORMAL", "status": {"new_version": null}, "error": null}})),
            ("pool.snapshot.query", json!({"result": 7})),
            ("auth.login_ex", json!({"result": {"response_type": "SUCCESS"}})),
        ];
        let lists =
            ["alert.list", "iscsi.global.sessions", "replication.query", "pool.snapshottask.query", "core.get_jobs"];
        let lists = lists.map(|method| (method, json!({"result": []})));
        Self {
            versions: r#"["v25.04.0","v25.10.0"]"#,
            answers: answers.into_iter().chain(lists).collect(),
            opened: Arc::default(),
            heard: Arc::default(),
        }
    }

    fn with(mut self, method: &'static str, answer: Value) -> Self {
        self.answers.insert(method, answer);
        self
    }

    fn listen(&self, path: &std::path::Path) {
        let listener = UnixListener::bind(path).unwrap();
        let this = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(this.clone().serve(stream));
            }
        });
    }

    async fn serve(self, mut stream: UnixStream) {
        // The first line is looked at without being taken.
        let mut head = [0; 64];
        stream.readable().await.unwrap();
        let first = loop {
            match nix::sys::socket::recv(
                std::os::fd::AsRawFd::as_raw_fd(&stream),
                &mut head,
                nix::sys::socket::MsgFlags::MSG_PEEK | nix::sys::socket::MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(0) => return,
                Ok(count) => break String::from_utf8_lossy(&head[..count]).into_owned(),
                Err(_) => tokio::task::yield_now().await,
            }
        };
        if first.starts_with("GET /api/versions ") {
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await;
            let (size, body) = (self.versions.len(), self.versions);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
            return;
        }
        self.opened.fetch_add(1, Ordering::SeqCst);
        self.heard.lock().unwrap().push(first.lines().next().unwrap_or_default().to_owned());
        let mut socket = accept_async(stream).await.unwrap();
        while let Some(Ok(Message::Text(text))) = socket.next().await {
            let call: Value = serde_json::from_str(&text).unwrap();
            let method = call["method"].as_str().unwrap().to_owned();
            self.heard.lock().unwrap().push(method.clone());
            let Some(mut answer) = self.answers.get(method.as_str()).cloned() else { continue };
            answer["id"] = call["id"].clone();
            let _ = socket.send(Message::text(answer.to_string())).await;
        }
    }

    fn heard(&self, method: &str) -> usize {
        self.heard.lock().unwrap().iter().filter(|heard| heard.as_str() == method).count()
    }
}

/// A look at a made-up TrueNAS on the node's own socket.
struct Site {
    host: Scratch,
    settings: TrueNasSettings,
    last: LastLook,
}

impl Site {
    fn new() -> Self {
        let host = Scratch::new();
        std::fs::create_dir_all(host.path("var/run/middleware")).unwrap();
        Self { host, settings: TrueNasSettings::default(), last: LastLook::default() }
    }

    fn socket(&self) -> PathBuf {
        self.host.path(TrueNasSettings::SOCKET.trim_start_matches('/'))
    }

    fn with_key(mut self) -> Self {
        let path = self.host.write("key", "5-geheim");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o640)).unwrap();
        self.settings.api_key_file = Some("/key".to_owned());
        self
    }

    async fn look(&self) -> Result<Option<TrueNas>, String> {
        let manner = Manner::read(&self.host, &self.settings).map_err(|error| error.to_string())?;
        let Some(manner) = manner else { return Ok(None) };
        probe_box(manner, &self.settings, &self.last).await.map(Some).map_err(|error| error.to_string())
    }
}

fn refused(error: u64, errname: &str) -> Value {
    json!({"error": {"code": -32001, "message": "m", "data": {"error": error, "errname": errname}}})
}

#[tokio::test]
async fn a_box_is_asked_over_one_connection_that_is_kept() {
    let (site, nas) = (Site::new().with_key(), Box_::well());
    nas.listen(&site.socket());
    let seen = site.look().await.unwrap().unwrap();
    assert_eq!(seen.unanswered(), []);
    assert_eq!((seen.api.as_str(), seen.is_local), ("v25.10.0", true));
    let tank = NasPool {
        name: "tank".into(),
        status: Some("ONLINE".into()),
        healthy: Some(true),
        warning: Some(false),
        ..NasPool::default()
    };
    assert_eq!((seen.pools.known(), seen.snapshots), (Some(&vec![tank]), Some(Reading::Known(7))));
    site.look().await.unwrap();
    assert_eq!(nas.heard("GET /api/v25.10.0 HTTP/1.1"), 1, "one connection");
    assert_eq!((nas.heard("auth.login_ex"), nas.heard("alert.list")), (1, 2));
    assert_eq!((nas.heard("update.status"), nas.heard("pool.snapshot.query")), (1, 1), "rarely");
}

#[tokio::test]
async fn where_there_is_none_there_is_nothing_and_what_is_named_is_missed() {
    let mut site = Site::new();
    assert_eq!(site.look().await, Ok(None));
    site.settings.endpoint = "/run/other.sock".to_owned();
    assert!(site.look().await.unwrap_err().contains("connecting: No such file"));
    site.settings.endpoint = "wss://nas.lan".to_owned();
    assert!(site.look().await.unwrap_err().contains("needs api_key_file"));
    site.settings.endpoint = "ws://nas.lan".to_owned();
    assert!(site.look().await.unwrap_err().contains("revokes a key"));
    site.settings = TrueNasSettings { api_key_file: Some("/gone".to_owned()), ..TrueNasSettings::default() };
    std::fs::write(site.socket(), "").unwrap();
    assert!(site.look().await.unwrap_err().starts_with("reading "));
    site.settings.api_key_file = None;
    let why = site.look().await.unwrap_err();
    assert!(why.contains("Connection refused") && why.ends_with("see there: systemctl status middlewared"), "{why}");
}

#[tokio::test]
async fn without_a_login_the_next_step_is_told() {
    let deaf = Box_::well().with("system.state", refused(207, "ENOTAUTHENTICATED"));
    let site = Site::new();
    deaf.listen(&site.socket());
    assert!(site.look().await.unwrap_err().contains("name the file with the key as api_key_file"));
    let site = site.with_key();
    assert!(site.look().await.unwrap_err().contains("give it the role READONLY_ADMIN"));
}

#[tokio::test]
async fn a_key_that_is_not_taken_is_told_and_never_repeated() {
    let said = |answer: Value| async move {
        let site = Site::new().with_key();
        Box_::well().with("auth.login_ex", answer).listen(&site.socket());
        let why = site.look().await.unwrap_err();
        assert!(!why.contains("geheim"), "{why}");
        why
    };
    assert!(said(json!({"result": {"response_type": "AUTH_ERR"}})).await.contains("make another key"));
    assert!(said(json!({"result": {"response_type": "EXPIRED"}})).await.contains("expired or was revoked"));
    let echo =
        json!({"error": {"code": -32602, "message": "5-geheim", "data": {"extra": [["api_key", "5-geheim", 22]]}}});
    assert!(said(echo).await.contains("logging in: it refused the question"));
    let missing = json!({"error": {"code": -32601, "message": "m"}});
    let site = Site::new().with_key();
    let old = Box_::well().with("auth.login_ex", missing).with("auth.login_with_api_key", json!({"result": true}));
    old.listen(&site.socket());
    assert!(site.look().await.is_ok(), "as before 25.04");
}

#[tokio::test]
async fn what_is_refused_is_unknown_alone() {
    let site = Site::new();
    let nas = Box_::well()
        .with("alert.list", refused(13, "EACCES"))
        .with("update.status", json!({"error": {"code": -32601, "message": "m"}}))
        .with("pool.query", json!({"result": [{}]}));
    nas.listen(&site.socket());
    let seen = site.look().await.unwrap().unwrap();
    let told: Vec<&str> = seen.unanswered().into_iter().map(|(method, _)| method).collect();
    assert_eq!(told, ["pool.query", "alert.list", "update.status"]);
    assert!(seen.alerts.why().unwrap().contains("READONLY_ADMIN"));
    assert!(seen.pools.why().unwrap().starts_with("its answer is not what it should be: missing field"));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_is_late_and_the_connection_is_left() {
    let site = Site::new();
    let mut nas = Box_::well();
    nas.answers.remove("alert.list");
    nas.listen(&site.socket());
    let seen = site.look().await.unwrap().unwrap();
    assert_eq!(seen.unanswered()[0], ("alert.list", "no answer within 9 s"));
    site.look().await.unwrap();
    assert_eq!(nas.opened.load(Ordering::SeqCst), 2);
    let site = Site::new();
    Box_ { answers: BTreeMap::new(), ..Box_::well() }.listen(&site.socket());
    assert!(site.look().await.unwrap_err().contains("no answer within 9 s"));
}

#[tokio::test]
async fn each_generation_is_asked_in_its_own_words() {
    for (versions, update, count) in [
        (r#"["v25.04.0"]"#, 0, "pool.snapshot.query"),
        (r#"["v25.10.0"]"#, 1, "pool.snapshot.query"),
        (r#"["v26.0.0"]"#, 1, "zfs.resource.snapshot.count"),
    ] {
        let site = Site::new();
        let nas = Box_ { versions, ..Box_::well() }.with("zfs.resource.snapshot.count", json!({"result": {"tank": 7}}));
        nas.listen(&site.socket());
        let seen = site.look().await.unwrap().unwrap();
        assert_eq!((seen.unanswered(), &seen.snapshots), (Vec::new(), &Some(Reading::Known(7))), "{versions}");
        assert_eq!((nas.heard("update.status"), nas.heard(count)), (update, 1), "{versions}");
        assert_eq!(seen.update.is_some(), update == 1);
    }
}

#[test]
fn what_is_rarely_asked_is_asked_again_when_another_system_is_to_be_booted() {
    let rare = |update| Rare { at: boottime(), next: Some("a".into()), update, snapshots: None };
    assert!(!rare(None).is_due(Some("a")));
    assert!(rare(None).is_due(Some("b")), "an update was installed");
    assert!(rare(None).is_due(None));
    let long_ago = |update, ago: u64| Rare { at: boottime().saturating_sub(Duration::from_secs(ago)), ..rare(update) };
    if boottime() > RARELY_AGAIN {
        assert!(long_ago(Some(Reading::unknown("late")), 600).is_due(Some("a")));
        assert!(!long_ago(None, 600).is_due(Some("a")));
    }
}
