//! Everybody who must not get in, and every server that must not be believed, against the real server and the real
//! client on loopback: refused, with the reason in the log, and nothing done.
//!
//! It must never use the client's own checks to judge the server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hardstand_core::store::access::Role;
use rcgen::{CustomExtension, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tracing_subscriber::fmt::format::FmtSpan;

use super::contract::run;
use super::served::Served;
use super::{Remote, Store, StoreError, Txn};
use crate::trust::samples::{House, Leaf, days, node, off_the_curve, operator, rsa_1024};
use crate::trust::{Identity, Trust};

/// A connection that is neither answered nor closed by then has hung.
const LIMIT: Duration = Duration::from_secs(10);

/// What the program has logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Takes over this thread's log until the guard is dropped.
    fn take() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_span_events(FmtSpan::NONE)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// Waits for a refusal, and empties the log.
    async fn refusal(&self) -> String {
        let told = tokio::time::timeout(LIMIT, async {
            loop {
                let text = String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned();
                if text.contains("refused") {
                    break text;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let told = told.await.unwrap_or_else(|_| "nothing was logged".to_owned());
        self.0.lock().unwrap().clear();
        told
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Shows a certificate whether or not it fits the key.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
    fn has_certs(&self) -> bool {
        true
    }
}

/// A client that believes the server and shows whatever it has.
fn bold(house: &House, leaf: Option<&Leaf>, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(house.authority.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    match leaf {
        None => config.with_no_client_auth(),
        Some(leaf) => {
            let chain = CertificateDer::pem_slice_iter(leaf.chain.as_bytes()).collect::<Result<_, _>>().unwrap();
            let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
            let key = provider.key_provider.load_private_key(key).unwrap();
            config.with_client_cert_resolver(Arc::new(Shown(Arc::new(CertifiedKey::new(chain, key)))))
        }
    }
}

/// A transaction that any node may commit, as bytes.
fn question() -> Vec<u8> {
    let body =
        r#"{"version":1,"ask":{"txn":{"compares":[],"ops":[{"put":{"key":"/hardstand/v1/halt","value":"x"}}]}}}"#;
    format!("POST /v1/store HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// Asks over TLS, and gives all that came back, errors as text.
async fn ask(served: &Served, config: ClientConfig) -> String {
    let exchange = async {
        let stream = TcpStream::connect(served.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        tls.write_all(&question()).await?;
        let mut answer = String::new();
        tls.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match tokio::time::timeout(LIMIT, exchange).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => error.to_string(),
        Err(_) => panic!("the server hung"),
    }
}

/// A stranger, and what the log says of it.
type Stranger = (&'static str, Leaf, &'static str);

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

/// A node whose certificate names it so.
fn called(house: &House, uris: &[&str]) -> Leaf {
    house.odd(&node("pve2"), |params| {
        params.subject_alt_names = uris.iter().map(|one| uri(one)).collect();
    })
}

fn strangers(house: &House) -> Vec<Stranger> {
    let pve2 = node("pve2");
    let other = House::new();
    let critical = |params: &mut rcgen::CertificateParams| {
        let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        unknown.set_criticality(true);
        params.custom_extensions.push(unknown);
    };
    let good = house.leaf(&pve2);
    let another_key = Leaf { chain: good.chain.clone(), key: KeyPair::generate().unwrap().serialize_pem() };
    let own_key = KeyPair::generate().unwrap();
    let self_signed =
        Leaf { chain: House::params(&pve2).self_signed(&own_key).unwrap().pem(), key: own_key.serialize_pem() };
    let at = |not_before: i64, not_after: i64| {
        house.odd(&pve2, |params| {
            params.not_before = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(days(not_before));
            params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(days(not_after));
        })
    };
    vec![
        ("expired", at(-30, -1), "expired"),
        ("not yet valid", at(1, 30), "not valid yet"),
        ("of another authority of the same name", other.leaf(&pve2), "BadSignature"),
        ("signed by itself", self_signed, "UnknownIssuer"),
        ("revoked", house.odd(&pve2, |params| params.serial_number = Some(66_u64.into())), "Revoked"),
        (
            "for servers only",
            house.odd(&pve2, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            "does not allow extended key usage for client authentication",
        ),
        (
            "for signing code",
            house.odd(&pve2, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
            "does not allow extended key usage for client authentication",
        ),
        ("the authority's own", house.as_leaf(), "CaUsedAsEndEntity"),
        ("signed by a leaf", house.below_a_leaf(&pve2), "EndEntityUsedAsCa"),
        ("below another authority", house.below_another_authority(&pve2), "UnknownRevocationStatus"),
        ("with a critical extension", house.odd(&pve2, critical), "UnsupportedCriticalExtension"),
        ("with another's key", another_key, "BadSignature"),
        (
            "with an RSA key of 1024 bits",
            house.with_public_key(&pve2, &rsa_1024()),
            "UnsupportedSignatureAlgorithmForPublicKey",
        ),
        ("with a key off its curve", house.with_public_key(&pve2, &off_the_curve()), "BadSignature"),
        ("without any name", called(house, &[]), "has no hardstand:// name"),
        (
            "with a host's name only",
            house.odd(&pve2, |params| params.subject_alt_names = vec![SanType::DnsName("pve2".try_into().unwrap())]),
            "has no hardstand:// name",
        ),
        ("of no role", called(house, &["hardstand://admin/pve2"]), "has the role"),
        ("of another scheme", called(house, &["spiffe://node/pve2"]), "has no hardstand:// name"),
        ("without a role", called(house, &["hardstand://pve2"]), "names its owner as"),
        ("of two owners", called(house, &["hardstand://node/pve2", "hardstand://node/pve1"]), "more than one owner"),
        ("called a path", called(house, &["hardstand://node/pve2/../pve1"]), "is no name"),
        ("called dots", called(house, &["hardstand://node/.."]), "is no name"),
        ("in capitals", called(house, &["hardstand://node/PVE2"]), "is no name"),
        ("called nothing", called(house, &["hardstand://node/"]), "is no name"),
        ("called a pattern", called(house, &["hardstand://node/*"]), "is no name"),
    ]
}

#[test]
fn no_stranger_gets_in() {
    let (log, _guard) = Log::take();
    run(async {
        let house = House::new();
        let list = house.list(&[66], days(30));
        let files = house.files_with(&house.leaf(&node("pve1")), &list);
        let served = Served::with(house, files).await;
        let empty = served.store.range("/").await.unwrap();
        let strangers = strangers(&served.house);
        assert!(strangers.len() >= 20, "{}", strangers.len());
        for (kind, leaf, reason) in &strangers {
            let answer = ask(&served, bold(&served.house, Some(leaf), &rustls::version::TLS13)).await;
            assert!(!answer.contains("committed"), "{kind}: {answer}");
            let told = log.refusal().await;
            assert!(told.contains("refused a connection") && told.contains(reason), "{kind}: {told}");
        }
        let answer = ask(&served, bold(&served.house, None, &rustls::version::TLS13)).await;
        assert!(!answer.contains("committed"), "{answer}");
        let told = log.refusal().await;
        assert!(told.contains("peer sent no certificates"), "{told}");
        let good = served.house.leaf(&node("pve2"));
        ask(&served, bold(&served.house, Some(&good), &rustls::version::TLS12)).await;
        let told = log.refusal().await;
        assert!(told.contains("peer is incompatible") || told.contains("versions"), "{told}");
        assert_eq!(served.store.range("/").await.unwrap(), empty, "nothing was done");
        // And the one who may: the same question with nothing wrong about it.
        let answer = ask(&served, bold(&served.house, Some(&good), &rustls::version::TLS13)).await;
        assert!(answer.contains("committed"), "{answer}");
    });
}

#[test]
fn no_one_gets_in_without_tls() {
    let (log, _guard) = Log::take();
    run(async {
        let served = Served::new().await;
        for (kind, bytes) in
            [("plain HTTP", question()), ("noise", vec![0x5a; 400]), ("half a hello", vec![0x16, 3, 1, 2, 0, 1])]
        {
            let mut stream = TcpStream::connect(served.address).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            // A reset is an answer too.
            let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect(kind);
            assert!(!String::from_utf8_lossy(&answer).contains("committed"), "{kind}");
            let told = log.refusal().await;
            assert!(told.contains("refused a connection"), "{kind}: {told}");
        }
        assert_eq!(served.store.range("/").await.unwrap().0, []);
    });
}

#[test]
fn a_list_that_is_old_or_another_s_refuses_everybody() {
    let (log, _guard) = Log::take();
    run(async {
        let house = House::new();
        let (old, other) = (house.list(&[], days(-1)), House::new().list(&[], days(30)));
        let mut served = Served::new().await;
        for (kind, list, reason) in [("old", old, "expired"), ("another's", other, "revocation list: BadSignature")] {
            // The server's files with another list; its authority is the one of `house`.
            let leaf = house.leaf(&node("pve1"));
            let files = house.files_with(&leaf, &list);
            served = Served::with(House::new(), files).await;
            let answer = ask(&served, bold(&house, Some(&house.leaf(&node("pve2"))), &rustls::version::TLS13)).await;
            assert!(!answer.contains("committed"), "{kind}: {answer}");
            let told = log.refusal().await;
            assert!(told.contains("refused a connection") && told.contains(reason), "{kind}: {told}");
            assert_eq!(served.store.range("/").await.unwrap().0, []);
        }
        drop(served);
    });
}

/// What a good client says to a server with this certificate.
async fn believe(house: &House, leaf: &Leaf, url: impl Fn(u16) -> String, list: &str) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_slice_iter(leaf.chain.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut tls) = acceptor.accept(stream).await {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = tls.read(&mut bytes).await {
                    hearing.lock().unwrap().extend_from_slice(&bytes[..count]);
                }
            }
        }
    });
    let trust = Trust::load(house.files_with(&house.leaf(&node("pve2")), list)).unwrap();
    let client = Remote::at(&url(port), Arc::new(trust)).unwrap();
    let told = client.txn(&Txn::new().put("/hardstand/v1/halt".to_owned(), "x".to_owned())).await.unwrap_err();
    server.abort();
    assert!(matches!(told, StoreError::Denied { .. }), "{told}");
    assert_eq!(*heard.lock().unwrap(), b"", "nothing was said to it");
    told.to_string()
}

#[test]
fn no_false_server_is_believed() {
    let (log, _guard) = Log::take();
    run(async {
        let house = House::new();
        let pve1 = node("pve1");
        let by_address = |port: u16| format!("https://127.0.0.1:{port}");
        let list = house.list(&[66], days(30));
        let elsewhere = |name: &str| {
            house.odd(&pve1, |params| {
                params.subject_alt_names =
                    vec![SanType::DnsName(name.try_into().unwrap()), uri("hardstand://node/pve1")];
            })
        };
        let (made, old) = (rcgen::date_time_ymd(2019, 1, 1), rcgen::date_time_ymd(2020, 1, 1));
        let servers: Vec<Stranger> = vec![
            ("of another authority", House::new().leaf(&pve1), "BadSignature"),
            ("at another address", elsewhere("nas.example"), "not valid for name"),
            ("expired", house.odd(&pve1, |params| (params.not_before, params.not_after) = (made, old)), "expired"),
            ("revoked", house.odd(&pve1, |params| params.serial_number = Some(66_u64.into())), "Revoked"),
            (
                "for clients only",
                house.odd(&pve1, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
                "does not allow extended key usage for server authentication",
            ),
            (
                "an operator's",
                house.odd(&operator("anna"), |params| {
                    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                }),
                "operator/anna is no node",
            ),
            (
                "of nobody",
                house.odd(&pve1, |params| {
                    params.subject_alt_names.retain(|name| !matches!(name, SanType::URI(_)));
                }),
                "has no hardstand:// name",
            ),
            ("signed by a leaf", house.below_a_leaf(&pve1), "EndEntityUsedAsCa"),
        ];
        for (kind, leaf, reason) in &servers {
            let told = believe(&house, leaf, by_address, &list).await;
            assert!(told.contains(reason), "{kind}: {told}");
            let logged = log.refusal().await;
            assert!(logged.contains(reason), "{kind}: {logged}");
        }
        let good = house.leaf(&pve1);
        let told = believe(&house, &good, by_address, &house.list(&[], days(-1))).await;
        assert!(told.contains("expired"), "an old list: {told}");
        let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", plain.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = plain.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        });
        let trust = Arc::new(Trust::load(house.files(&house.leaf(&node("pve2")))).unwrap());
        let told = Remote::at(&url, trust).unwrap().get("/k").await.unwrap_err();
        assert!(matches!(told, StoreError::Denied { .. } | StoreError::OutOfReach { .. }), "plain HTTP: {told}");
    });
}

#[test]
fn bad_files_of_our_own_are_told_by_name() {
    let house = House::new();
    let good = house.leaf(&node("pve1"));
    let list = house.list(&[], days(30));
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let files = |leaf: &Leaf, list: &str| house.files_with(leaf, list);
    let told = |files| Trust::load(files).map(|_| ()).unwrap_err().to_string();

    let torn = Leaf { chain: half(&good.chain), ..good.clone() };
    assert!(told(files(&torn, &list)).contains("node.crt"));
    let torn = Leaf { key: half(&good.key), ..good.clone() };
    assert!(told(files(&torn, &list)).contains("node.key"));
    let other = Leaf { key: house.leaf(&node("pve2")).key, ..good.clone() };
    assert!(told(files(&other, &list)).contains("node.crt"), "{}", told(files(&other, &list)));
    assert!(told(files(&good, &half(&list))).contains("crl.pem"));
    assert!(told(files(&good, "")).contains("crl.pem"));
    let nobody = house.odd(&node("x"), |params| params.subject_alt_names.clear());
    assert!(told(files(&nobody, &list)).contains("has no hardstand:// name"));

    let gone = files(&good, &list);
    std::fs::remove_file(&gone.list).unwrap();
    assert!(told(gone).contains("crl.pem: No such file"));
    let open = files(&good, &list);
    std::fs::set_permissions(&open.key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(told(open).contains("everybody may use this key"));
    let empty = files(&good, &list);
    std::fs::write(&empty.authority, "").unwrap();
    assert!(told(empty).contains("ca.crt: it holds no certificate"));
}

#[test]
fn the_real_authority_s_certificates_work_and_their_revocation_too() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = crate::trust::Authority::init(dir.path(), days(0)).unwrap();
        let mut files = |role, name: &str, addresses: &[String]| {
            let who = Identity::new(role, name).unwrap();
            let (certificate, key) = authority.issue(&who, addresses, None, days(0)).unwrap();
            crate::trust::TrustFiles {
                authority: dir.path().join("ca.crt"),
                list: dir.path().join("crl.pem"),
                certificate,
                key,
            }
        };
        let server = files(Role::Node, "pve1", &["127.0.0.1".to_owned()]);
        let client = files(Role::Node, "pve2", &["127.0.0.1".to_owned()]);
        let person = files(Role::Operator, "anna", &[]);
        let served = Served::with(House::new(), server).await;
        let at = |files| {
            let trust = Arc::new(Trust::load(files).unwrap());
            Remote::at(&format!("https://{}", served.address), trust).unwrap()
        };
        let (pve2, anna) = (at(client), at(person));
        let txn = Txn::new().put("/hardstand/v1/halt".to_owned(), "x".to_owned());
        pve2.txn(&txn).await.unwrap();
        anna.txn(&txn).await.unwrap();
        authority.revoke("node/pve2", days(0)).unwrap();
        assert!(matches!(pve2.txn(&txn).await, Err(StoreError::Denied { .. })));
        anna.txn(&txn).await.unwrap();
    });
}
