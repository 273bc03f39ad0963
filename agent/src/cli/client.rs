//! Asks the running agent over its unix socket.
//!
//! It must never wait long: an agent that does not answer is a finding of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

/// The agent answers from memory; one that takes longer than this is not well.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// A wish goes through the agent's loop, which may be in the middle of a pass.
const WISH_LIMIT: Duration = Duration::from_secs(12);

/// Why the agent did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nobody listens, or nobody may be asked.
    #[error("the agent does not answer on {}: {why}; start it (systemctl start hardstand-agent){way_out}", socket.display())]
    Unreachable {
        /// Where it was looked for.
        socket: PathBuf,
        /// What stood in the way.
        why: String,
        /// What else can be done, if anything.
        way_out: &'static str,
    },
    /// It took the question and did not answer.
    #[error(
        "the agent does not answer on {} within {} s; see what it does (systemctl status hardstand-agent){way_out}",
        socket.display(),
        limit.as_secs()
    )]
    Late {
        /// Where it was asked.
        socket: PathBuf,
        /// How long it was waited for.
        limit: Duration,
        /// What else can be done, if anything.
        way_out: &'static str,
    },
    /// It answered with a refusal; its own words.
    #[error("the agent answers: {0}")]
    Refused(String),
    /// It answered something else.
    #[error(
        "reading the agent's answer to {path}: {why}; the agent may be of another version: restart it (systemctl restart hardstand-agent)"
    )]
    Strange {
        /// What was asked.
        path: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// This process could not ask.
    #[error("preparing to ask the agent: {0}")]
    Setup(String),
}

/// The running agent.
pub(super) struct Agent {
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    socket: PathBuf,
}

impl Agent {
    /// The agent that listens on `socket`. Nothing is asked yet.
    pub(super) fn at(socket: &Path) -> Result<Self, ClientError> {
        // The client wants to know its cryptography even for a socket on this machine. A second call finds it set.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().unix_socket(socket).pool_max_idle_per_host(0).build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            http: http.map_err(|error| ClientError::Setup(deepest(&error)))?,
            runtime: runtime.map_err(|error| ClientError::Setup(error.to_string()))?,
            socket: socket.to_owned(),
        })
    }

    /// One document.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let text =
            self.ask(self.http.get(format!("http://agent{path}")), ANSWER_LIMIT, ", or look without it: --local")?;
        serde_json::from_str(&text)
            .map_err(|error| ClientError::Strange { path: path.to_owned(), why: error.to_string() })
    }

    /// Tells it something; its answer in words.
    pub(super) fn tell(&self, path: &str, query: &[(&str, &str)]) -> Result<String, ClientError> {
        let pairs: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let url = format!("http://agent{path}?{}", pairs.join("&"));
        self.ask(self.http.post(url), WISH_LIMIT, "")
    }

    fn ask(
        &self,
        request: reqwest::RequestBuilder,
        limit: Duration,
        way_out: &'static str,
    ) -> Result<String, ClientError> {
        let unreachable = |error: reqwest::Error| {
            let socket = self.socket.clone();
            if error.is_timeout() {
                return ClientError::Late { socket, limit, way_out };
            }
            ClientError::Unreachable { socket, why: deepest(&error), way_out }
        };
        self.runtime.block_on(async {
            let answer = request.timeout(limit).send().await.map_err(unreachable)?;
            let status = answer.status();
            let text = answer.text().await.map_err(unreachable)?;
            if status.is_success() { Ok(text) } else { Err(ClientError::Refused(text.trim().to_owned())) }
        })
    }
}

/// The innermost cause in its own words: the outer ones say only that a request failed.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Everything but letters, digits and `-._~` as `%XX`.
fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_agent_gives_one_sentence_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent.sock");
        let error = Agent::at(&socket).unwrap().get::<serde_json::Value>("/v1/health").unwrap_err().to_string();
        let wanted = format!(
            "the agent does not answer on {}: No such file or directory (os error 2); start it (systemctl start \
             hardstand-agent), or look without it: --local",
            socket.display()
        );
        assert_eq!(error, wanted);
    }

    #[test]
    fn an_answer_that_is_no_document_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let agent = Agent::at(&socket).unwrap();
        let error = agent.get::<std::collections::BTreeMap<String, String>>("/v1/health").unwrap_err().to_string();
        assert!(error.starts_with("reading the agent's answer to /v1/health: invalid type: sequence"), "{error}");
        assert!(server.join().unwrap().starts_with("GET /v1/health HTTP/1.1\r\n"));
    }

    #[test]
    fn a_key_is_sent_whole() {
        assert_eq!(percent_encoded("WD-1 a/b&c=ä"), "WD-1%20a%2Fb%26c%3D%C3%A4");
    }
}
