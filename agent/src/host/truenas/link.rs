//! The way to a TrueNAS: its own socket, or TLS; which version of its API is spoken; and the login.
//!
//! It must never send a key where others could read it: [`Private`] is made of a local socket or of TLS whose certificate
//! holds, and nothing else can carry the calls.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use hardstand_core::settings::NasEndpoint;
use hyper::{HeaderMap, Method, Uri};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error as WsError;

use super::Why;
use super::key::ApiKey;
use super::rpc::{Refusal, Rpc, limits};
use crate::host::excerpt;
use crate::host::https::{Answer, Authorities, Question, causes, converse, dial};

/// The list of versions has some 100 bytes.
const VERSIONS_BYTES: usize = 64 << 10;
/// Where the API is when no version of it is asked for.
const CURRENT: &str = "current";

/// A stream that only TrueNAS reads.
pub(super) enum Private {
    Socket(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Private {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Private {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A generation of the API, by what of it is used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Generation {
    /// 25.04: looking for updates asks the vendor each time.
    Fangtooth,
    /// 25.10: `update.status`.
    Goldeye,
    /// 26: `zfs.resource.snapshot.count` in the place of `pool.snapshot.query`.
    TwentySix,
}

/// Generations by the year and month that their versions begin with.
const OLDEST: ((u64, u64), Generation) = ((25, 4), Generation::Fangtooth);
const NEWEST: ((u64, u64), Generation) = ((26, 0), Generation::TwentySix);
const GENERATIONS: [((u64, u64), Generation); 3] = [OLDEST, ((25, 10), Generation::Goldeye), NEWEST];

/// Which API is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Api {
    /// `v25.10.0`, or `current`.
    pub(super) name: String,
    pub(super) generation: Generation,
}

/// Where and how a TrueNAS is reached.
pub(super) struct Way<'a> {
    pub(super) endpoint: &'a NasEndpoint,
    /// The socket below the host's root.
    pub(super) socket: &'a Path,
    pub(super) authorities: Option<&'a Authorities>,
}

impl Way<'_> {
    async fn dial(&self) -> Result<Private, Why> {
        match self.endpoint {
            NasEndpoint::Socket(_) => match UnixStream::connect(self.socket).await {
                Ok(stream) => Ok(Private::Socket(stream)),
                Err(error) => Err(format!("connecting: {error}; see there: systemctl status middlewared")),
            },
            NasEndpoint::Tls { host, port } => {
                let authorities = self.authorities.ok_or("no authorities were read; this is a bug, report it")?;
                let stream = dial(host, *port, authorities).await?;
                Ok(Private::Tls(Box::new(stream)))
            }
        }
    }

    fn host(&self) -> String {
        match self.endpoint {
            NasEndpoint::Socket(_) => "localhost".to_owned(),
            NasEndpoint::Tls { host, port: 443 } => host.clone(),
            NasEndpoint::Tls { host, port } => format!("{host}:{port}"),
        }
    }

    /// Asks for the versions of the API, and chooses one.
    pub(super) async fn choose(&self) -> Result<Api, Why> {
        let url = format!("http://{}/api/versions", self.host());
        let url: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let headers = HeaderMap::new();
        let question =
            Question { method: Method::GET, url: &url, connect_to: None, headers, body_bytes: VERSIONS_BYTES };
        let Answer { status, body, whole, .. } = converse(self.dial().await?, question).await?;
        match status {
            200 if whole => choose(&body),
            404 => Err("it has no list of versions; TrueNAS before 25.04 cannot be asked".to_owned()),
            status => Err(format!("asked for the versions of its API, it answered {status}")),
        }
    }

    /// A connection that calls can be made over, without a login yet.
    pub(super) async fn open(&self, api: &Api) -> Result<Rpc, Why> {
        let url = format!("ws://{}/api/{}", self.host(), api.name);
        let opened = client_async_with_config(url, self.dial().await?, Some(limits())).await;
        match opened {
            Ok((socket, _)) => Ok(Rpc::new(socket)),
            Err(WsError::Http(answer)) => {
                Err(format!("asked for a WebSocket at /api/{}, it answered {}", api.name, answer.status().as_u16()))
            }
            Err(error) => Err(format!("asking for a WebSocket: {}", causes(&error))),
        }
    }
}

/// The newest version that is known here; where all are newer, what it calls current.
pub(super) fn choose(list: &[u8]) -> Result<Api, Why> {
    let versions: Vec<String> =
        serde_json::from_slice(list).map_err(|_| "its list of versions is no list; is this a TrueNAS?".to_owned())?;
    let mut told: Vec<((u64, u64), u64, &String)> = versions.iter().filter_map(numbered).collect();
    told.sort();
    let generation = |of: &(u64, u64)| GENERATIONS.iter().find(|(first, _)| first == of).map(|(_, known)| *known);
    let known = told.iter().rev().find_map(|(of, _, name)| Some(((*name).clone(), generation(of)?)));
    match (known, told.last()) {
        (Some((name, generation)), _) => Ok(Api { name, generation }),
        (None, Some((newest, ..))) if *newest < OLDEST.0 => Err("TrueNAS before 25.04 cannot be asked".to_owned()),
        (None, Some((newest, ..))) if *newest > NEWEST.0 => Ok(Api { name: CURRENT.to_owned(), generation: NEWEST.1 }),
        _ => Err("its list of versions has none that is known here".to_owned()),
    }
}

/// `v25.10.5` as numbers; `None` of what is no plain version.
fn numbered(name: &String) -> Option<((u64, u64), u64, &String)> {
    let mut numbers = name.trim_start_matches('v').split('.').map(|number| number.parse::<u64>().ok());
    let (year, month, patch) = (numbers.next()??, numbers.next()??, numbers.next().unwrap_or(Some(0))?);
    numbers.next().is_none().then_some(((year, month), patch, name))
}

/// Logs in with a key. What TrueNAS says of it is not repeated, for it may hold the key.
///
/// # Errors
/// When it is not taken, with what to do.
pub(super) async fn log_in(rpc: &mut Rpc, user: &str, key: &ApiKey, until: Instant) -> Result<(), Why> {
    let ask = json!([{"mechanism": "API_KEY_PLAIN", "username": user, "api_key": key.secret()}]);
    match rpc.call(("auth.login_ex", ask), until).await? {
        Ok(answer) => judge_login(&answer, user),
        // Versions before it know keys alone, without users.
        Err(Refusal::NoMethod) => {
            let answer = rpc.call(("auth.login_with_api_key", json!([key.secret()])), until).await?;
            match answer {
                Ok(Value::Bool(true)) => Ok(()),
                Ok(_) => Err(wrong_key(user)),
                Err(refusal) => Err(not_taken(&refusal)),
            }
        }
        Err(refusal) => Err(not_taken(&refusal)),
    }
}

fn not_taken(refusal: &Refusal) -> Why {
    let why = match refusal {
        Refusal::Late(_) => refusal.sentence(),
        _ => "it refused the question".to_owned(),
    };
    format!("logging in: {why}; see there the log of middlewared")
}

fn wrong_key(user: &str) -> Why {
    format!(
        "it does not take this key for the user {user}: see `user` and the file in `api_key_file`, or make another key"
    )
}

fn judge_login(answer: &Value, user: &str) -> Result<(), Why> {
    let why = match answer.get("response_type").and_then(Value::as_str) {
        Some("SUCCESS") => return Ok(()),
        Some("AUTH_ERR") => wrong_key(user),
        Some("EXPIRED") => format!("the key of the user {user} has expired or was revoked: make another one"),
        Some("DENIED") => format!("the user {user} may not log in this way: let it use the API"),
        Some("OTP_REQUIRED") => format!("the user {user} needs a second factor: make a user without one for this key"),
        Some("REDIRECT") => "this is the controller that stands by: name the active one in `endpoint`".to_owned(),
        other => format!("logging in, it answered {}, which is not known here", excerpt(other.unwrap_or("nothing"))),
    };
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_is_known_is_spoken() {
        let chosen = |list: &str| choose(list.as_bytes()).map(|api| (api.name, api.generation));
        let of = |name: &str, generation| Ok((name.to_owned(), generation));
        for (list, expected) in [
            (r#"["v25.04.0","v25.04.2"]"#, of("v25.04.2", Generation::Fangtooth)),
            (r#"["v25.10.0","v25.04.2","v25.10.5"]"#, of("v25.10.5", Generation::Goldeye)),
            (r#"["v25.04.0","v25.10.0","v26.0.0"]"#, of("v26.0.0", Generation::TwentySix)),
            (r#"["v25.10.0","v26.0.0","v27.0.0","next"]"#, of("v26.0.0", Generation::TwentySix)),
            (r#"["v25.10.9","v25.10.10","v26.0.0/../x"]"#, of("v25.10.10", Generation::Goldeye)),
            (r#"["v27.0.0"]"#, of("current", Generation::TwentySix)),
        ] {
            assert_eq!(chosen(list), expected, "{list}");
        }
        for (list, why) in [
            (r#"["v24.10.0"]"#, "TrueNAS before 25.04 cannot be asked"),
            ("[]", "its list of versions has none that is known here"),
            (r#"["v25.11.0"]"#, "its list of versions has none that is known here"),
            ("{}", "its list of versions is no list; is this a TrueNAS?"),
        ] {
            assert_eq!(chosen(list).unwrap_err(), why, "{list}");
        }
        crate::host::feed_damaged(r#"["v25.04.0","v25.10.0","v26.0.0"]"#, |text| drop(choose(text.as_bytes())));
    }

    #[test]
    fn a_login_that_is_not_taken_says_what_to_do() {
        assert_eq!(judge_login(&json!({"response_type": "SUCCESS"}), "u"), Ok(()));
        for (word, told) in [
            ("AUTH_ERR", "make another key"),
            ("EXPIRED", "expired or was revoked"),
            ("DENIED", "let it use the API"),
            ("OTP_REQUIRED", "a user without one"),
            ("REDIRECT", "the controller that stands by"),
            ("DANCE", "answered DANCE, which is not known here"),
        ] {
            let why = judge_login(&json!({"response_type": word}), "u").unwrap_err();
            assert!(why.contains(told), "{why}");
        }
        assert!(judge_login(&Value::Null, "u").unwrap_err().contains("answered nothing"));
        assert!(!not_taken(&Refusal::Other("5-geheim is bad".to_owned())).contains("geheim"));
    }
}
