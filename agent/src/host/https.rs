//! One question over HTTP/1.1, with or without TLS, on a connection of its own; and the certificate that was shown.
//!
//! It must never send anything to a server whose certificate does not hold, and never read more than it was told to. It
//! has no deadline: who asks sets one around the whole.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::handshake;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{HeaderMap, Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Host, HostError};
use crate::trust::not_after;

/// Where Debian keeps the authorities that the system trusts.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Whose certificates are taken, and where that is written; and the one that we show, where we are to show one.
#[derive(Debug, Clone)]
pub(crate) struct Authorities {
    verifier: Arc<WebPkiServerVerifier>,
    file: String,
    identity: Option<Identity>,
}

/// A certificate of ours, with those above it, and its key.
#[derive(Clone)]
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// Of what PEM files hold. The error is a sentence for a person, and shows nothing of the key.
    pub(crate) fn of_pem(chain: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("its client certificate: {error}"))?;
        if chain.is_empty() {
            return Err("its client certificate holds none".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key of its client: {error}"))?;
        Ok(Self { chain, key: Arc::new(key) })
    }

    /// When it expires, seconds since 1970.
    pub(crate) fn not_after(&self) -> Option<u64> {
        not_after(self.chain.first()?)
    }
}

/// What is asked, and where.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Uri,
    /// Connected to instead of the URL's host.
    pub(crate) connect_to: Option<&'a str>,
    /// Beyond those that every question has.
    pub(crate) headers: HeaderMap,
    /// What is read of the body.
    pub(crate) body_bytes: usize,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// What stands behind the status, where it is not the usual word.
    pub(crate) reason: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Nothing of the body was left out.
    pub(crate) whole: bool,
}

impl Authorities {
    /// Those of a file, or of the system.
    ///
    /// # Errors
    /// When the file cannot be read or holds none.
    pub(crate) fn read(host: &Host, file: Option<&str>) -> Result<Self, HostError> {
        let file = file.unwrap_or(SYSTEM_AUTHORITIES);
        let path = host.path(file.trim_start_matches('/'));
        Self::of(read_pem(&path)?, file.to_owned())
    }

    /// Those of a PEM text that stands in a file with other things.
    ///
    /// # Errors
    /// When it holds none.
    pub(crate) fn of_pem(pem: &[u8], file: String) -> Result<Self, HostError> {
        let parse = |why: String| HostError::Parse { what: file.clone(), why };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        Self::of(certificates.map_err(|error| parse(format!("its authorities: {error}")))?, file)
    }

    fn of(certificates: Vec<CertificateDer<'static>>, file: String) -> Result<Self, HostError> {
        let mut roots = RootCertStore::empty();
        // One that no verifier can use is no reason to do without the others.
        roots.add_parsable_certificates(certificates);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let next = "install the package ca-certificates, or name the right file in ca_file";
        match verifier {
            Ok(verifier) => Ok(Self { verifier, file, identity: None }),
            Err(error) => Err(HostError::Parse { what: file, why: format!("{error}; {next}") }),
        }
    }

    /// Shows a certificate to who asks for one.
    pub(crate) fn with(self, identity: Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }
}

/// The certificates of a PEM file.
pub(crate) fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, HostError> {
    let text = std::fs::read(path).map_err(|source| HostError::Read { path: path.to_owned(), source })?;
    CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| HostError::Parse { what: path.display().to_string(), why: error.to_string() })
}

/// Asks. When the certificate that was shown expires goes into `expires`, whether it holds or not. The error is a
/// sentence for a person.
pub(crate) async fn ask(
    question: Question<'_>,
    authorities: Option<&Authorities>,
    expires: &mut Option<u64>,
) -> Result<Answer, String> {
    let url = question.url;
    let host = url.host().unwrap_or_default();
    let is_tls = url.scheme_str() == Some("https");
    let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = connect(host, port, question.connect_to).await?;
    if !is_tls {
        return converse(stream, question).await;
    }
    let authorities = authorities.ok_or("it speaks TLS, and no authorities were read; this is a bug, report it")?;
    let shown = Arc::new(Shown { inner: Some(Arc::clone(&authorities.verifier)), leaf: Mutex::default() });
    let secured = secure(host, stream, &shown, authorities.identity.as_ref()).await;
    *expires = shown.expires();
    let secured = secured.map_err(|error| refusal(&error, host, &authorities.file))?;
    converse(secured, question).await
}

/// TLS to a host whose certificate holds, for another protocol than HTTP.
pub(crate) async fn dial(host: &str, port: u16, authorities: &Authorities) -> Result<TlsStream<TcpStream>, String> {
    let stream = connect(host, port, None).await?;
    let shown = Arc::new(Shown { inner: Some(Arc::clone(&authorities.verifier)), leaf: Mutex::default() });
    secure(host, stream, &shown, authorities.identity.as_ref())
        .await
        .map_err(|error| refusal(&error, host, &authorities.file))
}

/// When the certificate of a TLS port expires. Whether it holds is not asked: nothing is sent there.
pub(crate) async fn expiry_of(endpoint: &str) -> Result<u64, String> {
    let place: hyper::http::uri::Authority = endpoint.parse().map_err(|_| "it is no HOST:PORT".to_owned())?;
    let stream = connect(place.host(), place.port_u16().unwrap_or(443), None).await?;
    let shown = Arc::new(Shown { inner: None, leaf: Mutex::default() });
    let secured = secure(place.host(), stream, &shown, None).await;
    match (shown.expires(), secured) {
        (Some(expires), _) => Ok(expires),
        (None, Ok(_)) => Err("its certificate cannot be read".to_owned()),
        (None, Err(error)) => Err(format!("it does not speak TLS as it should: {}", causes(&error))),
    }
}

async fn connect(host: &str, port: u16, connect_to: Option<&str>) -> Result<TcpStream, String> {
    let to = connect_to.unwrap_or(host);
    let is_address = unbracketed(to).parse::<std::net::IpAddr>().is_ok();
    let with_port = connect_to.filter(|_| !is_address).and_then(|to| to.rsplit_once(':'));
    let (place, port) = match with_port {
        Some((place, port)) => (place, port.parse().map_err(|_| format!("{to} has no port"))?),
        None => (to, port),
    };
    let place = unbracketed(place);
    let stream = TcpStream::connect((place, port)).await;
    stream.map_err(|error| format!("connecting to {place} port {port}: {error}"))
}

/// A host as the system knows it: a URL has IPv6 addresses in brackets.
fn unbracketed(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

async fn secure(
    host: &str,
    stream: TcpStream,
    shown: &Arc<Shown>,
    identity: Option<&Identity>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(unbracketed(host).to_owned()).map_err(std::io::Error::other)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(shown) as Arc<dyn ServerCertVerifier>);
    let config = match identity {
        Some(Identity { chain, key }) => {
            config.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(std::io::Error::other)?
        }
        None => config.with_no_client_auth(),
    };
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Asks over a stream that stands; whose it is was seen to when it was made.
pub(crate) async fn converse<S>(stream: S, question: Question<'_>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let said = |error: &(dyn std::error::Error + 'static)| format!("talking HTTP: {}", causes(error));
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    // Ends with this function, whatever the server does.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let authority = question.url.authority().map(ToString::to_string).unwrap_or_default();
    let path = question.url.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    let mut request = Request::builder()
        .method(question.method)
        .uri(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("hardstand/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| said(&error))?;
    request.headers_mut().extend(question.headers);
    let mut response: Response<_> = sender.send_request(request).await.map_err(|error| said(&error))?;
    let (mut body, mut whole) = (Vec::new(), true);
    while let Some(frame) = response.body_mut().frame().await {
        let frame = frame.map_err(|error| said(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        let room = question.body_bytes - body.len();
        body.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            whole = false;
            break;
        }
    }
    let status = response.status().as_u16();
    let reason = response.extensions().get::<hyper::ext::ReasonPhrase>();
    let reason = reason.map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned());
    Ok(Answer { status, reason, headers: std::mem::take(response.headers_mut()), body, whole })
}

/// Checks a certificate as told, and remembers it either way.
#[derive(Debug)]
struct Shown {
    /// Absent where only the date is wanted.
    inner: Option<Arc<WebPkiServerVerifier>>,
    leaf: Mutex<Option<Vec<u8>>>,
}

impl Shown {
    fn expires(&self) -> Option<u64> {
        not_after(self.leaf.lock().unwrap_or_else(PoisonError::into_inner).as_deref()?)
    }
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.leaf.lock().unwrap_or_else(PoisonError::into_inner) = Some(leaf.to_vec());
        match &self.inner {
            Some(inner) => inner.verify_server_cert(leaf, others, name, ocsp, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match &self.inner {
            Some(inner) => inner.verify_tls12_signature(message, leaf, signed),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match &self.inner {
            Some(inner) => inner.verify_tls13_signature(message, leaf, signed),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// What is wrong with a certificate, and what would be right.
fn refusal(error: &std::io::Error, host: &str, authorities: &str) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(why)) = inner else { return format!("TLS: {}", causes(error)) };
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not good yet; compare the clocks".to_owned()
        }
        CertificateError::NotValidForName => format!("its certificate is not for {host}"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("its certificate is not for {host} but for {}", presented.join(", "))
        }
        CertificateError::UnknownIssuer => {
            format!("its certificate is not signed by an authority in {authorities}; name the right one in ca_file")
        }
        other => format!("its certificate does not hold: {other}"),
    }
}

/// An error with everything below it, in one line.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let (mut text, mut below) = (error.to_string(), error.source());
    while let Some(cause) = below {
        let told = cause.to_string();
        if !text.ends_with(&told) {
            text = format!("{text}: {told}");
        }
        below = cause.source();
    }
    text
}

/// What is said of an answer that did not come.
pub(crate) fn late(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs_f32())
}
