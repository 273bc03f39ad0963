//! A machine outside the fleet that asks for its reboot as Zincati does: no Content-Type, a base URL that ends in `/`, and
//! redirects followed with the same question.
//!
//! It must never take a slot for its own that the server has not given.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Seed;

/// A server may hold a question while it commits; the door answers within half a minute.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// From a node to the one that leads, which may have changed meanwhile.
const REDIRECTS: usize = 3;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The status of the last answer.
    pub status: u16,
    /// `kind` of a refusal, empty otherwise.
    pub kind: String,
    /// The node that gave it.
    pub by: String,
}

/// The client.
#[derive(Debug)]
pub(crate) struct Zincati {
    /// Its id.
    id: String,
    /// Names and addresses of the servers, as its resolver has them.
    servers: Vec<(String, Ipv4Addr)>,
    port: u16,
    /// Whether it sends the protocol's header.
    polite: bool,
}

#[derive(Debug, Deserialize)]
struct Refused {
    kind: String,
}

/// One answer, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    location: Option<String>,
    body: String,
}

impl Zincati {
    /// A client with this id that knows the machines of a fleet.
    pub(crate) fn new(id: &str, seeds: &[Seed], port: u16) -> Self {
        let servers = seeds.iter().map(|seed| (seed.name.clone(), seed.address())).collect();
        Self { id: id.to_owned(), servers, port, polite: true }
    }

    /// The same without the protocol's header, as something that is no FleetLock client.
    pub(crate) fn without_header(self) -> Self {
        Self { polite: false, ..self }
    }

    /// Asks a node for a slot of a group.
    pub(crate) async fn pre_reboot(&self, node: &str, group: &str) -> Result<Reply> {
        self.ask(node, group, "/v1/pre-reboot").await
    }

    /// Tells a node that it is steady.
    pub(crate) async fn steady_state(&self, node: &str, group: &str) -> Result<Reply> {
        self.ask(node, group, "/v1/steady-state").await
    }

    async fn ask(&self, node: &str, group: &str, path: &str) -> Result<Reply> {
        let mut by = node.to_owned();
        for _ in 0..=REDIRECTS {
            let answer = tokio::time::timeout(ANSWER_LIMIT, self.post(&by, group, path)).await;
            let answer = answer.with_context(|| format!("{by} did not answer {path} within {ANSWER_LIMIT:?}"))??;
            match (answer.status, answer.location) {
                (307, Some(location)) => by = host_of(&location)?.to_owned(),
                (200, _) => return Ok(Reply { status: 200, kind: String::new(), by }),
                (status, _) => {
                    let refused: Refused = serde_json::from_str(&answer.body)
                        .with_context(|| format!("{by} refuses with {status} and {:?}", answer.body))?;
                    return Ok(Reply { status, kind: refused.kind, by });
                }
            }
        }
        bail!("{path} was sent on more than {REDIRECTS} times, at last to {by}")
    }

    async fn post(&self, node: &str, group: &str, path: &str) -> Result<Answer> {
        let server = self.servers.iter().find(|(name, _)| name == node);
        let (_, address) = server.with_context(|| format!("no machine is called {node}"))?;
        let body = format!("{{\"client_params\":{{\"group\":\"{group}\",\"id\":\"{}\"}}}}", self.id);
        let header = if self.polite { "fleet-lock-protocol: true\r\n" } else { "" };
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {node}:{}\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        );
        let mut stream = TcpStream::connect((*address, self.port)).await.with_context(|| format!("asking {node}"))?;
        stream.write_all(request.as_bytes()).await.context("asking")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.context("reading the answer")?;
        parted(&text).with_context(|| format!("{node} answers {text:?}"))
    }
}

fn parted(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let location = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    });
    Some(Answer { status, location, body: body.to_owned() })
}

/// The machine's name in `http://NAME:PORT/PATH`.
fn host_of(location: &str) -> Result<&str> {
    let rest = location.strip_prefix("http://").with_context(|| format!("sent on to {location:?}"))?;
    Ok(rest.split([':', '/']).next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let text = "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://nas:9786/v1/pre-reboot\r\n\r\n{}";
        let answer = parted(text).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (307, "{}"));
        assert_eq!(host_of(answer.location.as_deref().unwrap()).unwrap(), "nas");
        assert!(parted("SSH-2.0").is_none() && host_of("ftp://nas/").is_err());
    }
}
