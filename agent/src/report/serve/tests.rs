//! The server over real sockets, spoken to in plain HTTP.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::report::samples::{observed, sick};

/// More than any answer here takes; passing it fails the test.
const LIMIT: Duration = Duration::from_secs(20);

struct Fixture {
    shared: Shared,
    publish: watch::Sender<Arc<Published>>,
    wishes: mpsc::Receiver<Wish>,
    dir: tempfile::TempDir,
}

/// The sample pass, seen just now.
fn seen_now() -> hardstand_core::Observed {
    let mut seen = observed();
    seen.at.boottime_seconds = seconds_of(ClockId::CLOCK_BOOTTIME);
    seen
}

fn fixture() -> Fixture {
    let (publish, published) = watch::channel(Arc::new(Published::new(seen_now(), sick(), None)));
    let (sender, wishes) = mpsc::channel(1);
    Fixture { shared: Shared { published, wishes: sender }, publish, wishes, dir: tempfile::tempdir().unwrap() }
}

impl Fixture {
    fn socket(&self) -> PathBuf {
        self.dir.path().join("agent.sock")
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, work).await.expect("the test ends in time") })
}

async fn say<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(mut stream: S, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn ask_unix(path: &Path, method: &str, target: &str) -> String {
    let stream = UnixStream::connect(path).await.unwrap();
    say(stream, &format!("{method} {target} HTTP/1.1\r\nHost: agent\r\n\r\n")).await
}

async fn ask_tcp(address: std::net::SocketAddr, head: &str) -> String {
    say(TcpStream::connect(address).await.unwrap(), &format!("{head}\r\nHost: node\r\n\r\n")).await
}

#[test]
fn tcp_serves_the_metrics_and_nothing_else() {
    let fixture = fixture();
    block_on(async {
        let listener = bind_tcp("127.0.0.1:0").await.unwrap().unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve_tcp(listener, fixture.shared.clone()));
        let page = ask_tcp(address, "GET /metrics HTTP/1.1").await;
        assert!(page.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4"), "{page}");
        assert!(page.contains("\nhardstand_health{verdict=\"crit\"} 1\n"), "{page}");
        let head = "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=1.0.0";
        let page = ask_tcp(address, head).await;
        assert!(page.contains("content-type: application/openmetrics-text; version=1.0.0"), "{page}");
        assert!(page.ends_with("# EOF\n"), "{page}");
        let head = ask_tcp(address, "HEAD /metrics HTTP/1.1").await;
        assert!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"), "{head}");
        for (request, status) in [
            ("GET /v1/health HTTP/1.1", "404"),
            ("POST /v1/forget?disk=x HTTP/1.1", "404"),
            ("POST /metrics HTTP/1.1", "405"),
            ("GET /nothing HTTP/1.1", "404"),
            ("GET / HTTP/1.1", "200"),
        ] {
            let answer = ask_tcp(address, request).await;
            assert_eq!(answer.get(9..12), Some(status), "{request}: {answer}");
        }
    });
}

#[test]
fn the_socket_serves_the_documents_of_the_newest_pass() {
    let fixture = fixture();
    block_on(async {
        let listener = bind_unix(&fixture.socket()).await.unwrap();
        tokio::spawn(serve_unix(listener, fixture.shared.clone()));
        let health = ask_unix(&fixture.socket(), "GET", "/v1/health").await;
        assert!(health.contains(r#"{"schema":"hardstand.health/1","node":"pve1","verdict":"crit""#), "{health}");
        let mut healthy = sick();
        healthy.verdict = hardstand_core::Severity::Ok;
        fixture.publish.send_replace(Arc::new(Published::new(seen_now(), healthy, None)));
        let health = ask_unix(&fixture.socket(), "GET", "/v1/health").await;
        assert!(health.contains(r#""verdict":"ok""#), "{health}");
        let inventory = ask_unix(&fixture.socket(), "GET", "/v1/inventory").await;
        assert!(inventory.contains(r#""schema":"hardstand.inventory/1""#), "{inventory}");
        let observed = ask_unix(&fixture.socket(), "GET", "/v1/observed").await;
        assert!(observed.contains(r#""boot_id":"8f0ad1c5"#), "{observed}");
    });
}

#[test]
fn a_disk_is_forgotten_through_the_loop() {
    let mut fixture = fixture();
    block_on(async {
        let listener = bind_unix(&fixture.socket()).await.unwrap();
        tokio::spawn(serve_unix(listener, fixture.shared.clone()));
        let loop_side = tokio::spawn(async move {
            let mut keys = Vec::new();
            for known in [true, false, true, true] {
                let wish = fixture.wishes.recv().await.unwrap();
                wish.answer.send(known).unwrap();
                keys.push(wish.wanted);
            }
            keys
        });
        let socket = fixture.dir.path().join("agent.sock");
        let answer = ask_unix(&socket, "POST", "/v1/forget?disk=WD%2FA%20b").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("disk WD/A b is forgotten\n"), "{answer}");
        let answer = ask_unix(&socket, "POST", "/v1/forget?session=other").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        let known =
            "/v1/acknowledge?check=zfs.pool&subject=my%20tank&reason=new%20disk%20is%20on%20its%20way&seconds=60";
        let answer = ask_unix(&socket, "POST", known).await;
        let told = "zfs.pool of my tank is acknowledged; its gate stays as it is\n";
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with(told), "{answer}");
        let again = "/v1/acknowledge?check=zfs.pool&subject=my%20tank&reason=&seconds=0";
        let answer = ask_unix(&socket, "POST", again).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("is told again\n"), "{answer}");
        let forget = |kind, name: &str| Wanted::Forget { kind, name: name.to_owned() };
        let acknowledge = |reason: &str, seconds| Wanted::Acknowledge {
            check: "zfs.pool".to_owned(),
            subject: "my tank".to_owned(),
            reason: reason.to_owned(),
            seconds,
        };
        let wished = [
            forget(Thing::Disk, "WD/A b"),
            forget(Thing::Session, "other"),
            acknowledge("new disk is on its way", 60),
            acknowledge("", 0),
        ];
        assert_eq!(loop_side.await.unwrap(), wished);
        for query in ["", "?check=a&subject=b&reason=c", "?check=a&subject=b&reason=+&seconds=9", "?check=a&seconds=x"]
        {
            let answer = ask_unix(&socket, "POST", &format!("/v1/acknowledge{query}")).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{query}: {answer}");
        }
        for query in ["disk=", "diskette=x", "x"] {
            let answer = ask_unix(&socket, "POST", &format!("/v1/forget?{query}")).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{query}: {answer}");
        }
        let answer = ask_unix(&socket, "POST", "/v1/forget?disk=late").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        let answer = ask_unix(&socket, "GET", "/v1/forget?disk=x").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    });
}

#[test]
fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
    let fixture = fixture();
    block_on(async {
        let path = fixture.socket();
        drop(bind_unix(&path).await.unwrap());
        let live = bind_unix(&path).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
        let error = bind_unix(&path).await.unwrap_err().to_string();
        assert!(error.ends_with("another agent answers there; stop it, or name another path with --socket"), "{error}");
        drop(live);
    });
}

#[test]
fn a_silent_client_does_not_keep_others_out() {
    let fixture = fixture();
    block_on(async {
        let listener = bind_unix(&fixture.socket()).await.unwrap();
        tokio::spawn(serve_unix(listener, fixture.shared.clone()));
        let mut silent = UnixStream::connect(fixture.socket()).await.unwrap();
        silent.write_all(b"GET /v1/hea").await.unwrap();
        let health = ask_unix(&fixture.socket(), "GET", "/v1/health").await;
        assert!(health.starts_with("HTTP/1.1 200 OK"), "{health}");
    });
}

#[test]
fn what_the_kernel_keeps_for_root_is_left_out_for_others() {
    let mut seen = observed();
    if let hardstand_core::Reading::Known(inventory) = &mut seen.inventory.reading {
        inventory.dmi.product_serial = Some("PF2SECRET".into());
    }
    let published = Published::new(seen, sick(), None);
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text(published.inventory_json(true)).contains("PF2SECRET"));
    assert!(!text(published.inventory_json(false)).contains("PF2SECRET"));
    assert!(!text(published.observed_json(false)).contains("PF2SECRET"));
}

#[test]
fn the_metrics_address_can_be_off_or_taken() {
    block_on(async {
        assert!(bind_tcp("off").await.unwrap().is_none());
        let held = bind_tcp("127.0.0.1:0").await.unwrap().unwrap();
        let address = held.local_addr().unwrap();
        let error = bind_tcp(&address.to_string()).await.unwrap_err().to_string();
        assert!(error.contains("set [metrics] listen to another ADDRESS:PORT"), "{error}");
    });
}
