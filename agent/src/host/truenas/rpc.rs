//! JSON-RPC 2.0 in a WebSocket: questions in flight side by side, each with its answer or its refusal.
//!
//! It must never have more under way than TrueNAS takes, send or take a message without a limit, or repeat what it was told
//! of a login: that may hold the key.

use std::collections::BTreeMap;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::Why;
use super::link::Private;
use crate::host::excerpt;
use crate::host::https::causes;

/// TrueNAS slows down from 10 calls of one connection on, and refuses from 20 on.
const IN_FLIGHT: usize = 8;
/// What TrueNAS takes in one message before a login; after it, eight times that.
const SEND_LIMIT: usize = 8 << 10;
/// A box with a thousand alerts and tasks has some 2 MB of them.
const ANSWER_LIMIT: usize = 8 << 20;
/// JSON-RPC: there is no such method.
const NO_METHOD: i64 = -32601;
/// TrueNAS: the method was called, and failed.
const FAILED: i64 = -32001;
/// TrueNAS's own error: not logged in.
const NOT_LOGGED_IN: i64 = 207;
/// The system's error: not allowed.
const NOT_ALLOWED: i64 = 13;

/// One call.
pub(super) type Call = (&'static str, Value);

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Refusal {
    /// This version has no such method.
    NoMethod,
    /// It tells nothing to who is not logged in.
    NotLoggedIn,
    /// It has not come in time.
    Late(f64),
    /// A sentence.
    Other(Why),
}

impl Refusal {
    pub(super) fn sentence(&self) -> Why {
        match self {
            Self::NoMethod => "this version of TrueNAS has no such method".to_owned(),
            Self::NotLoggedIn => "it tells nothing without a login".to_owned(),
            Self::Late(seconds) => format!("no answer within {seconds} s"),
            Self::Other(why) => why.clone(),
        }
    }
}

/// What TrueNAS says: an answer, or an event that nobody asked for.
#[derive(Debug, Deserialize)]
struct Said {
    id: Option<Value>,
    #[serde(default)]
    result: Value,
    error: Option<Fault>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    code: i64,
    message: Option<String>,
    data: Option<FaultData>,
}

/// Its trace is not read: it holds arguments.
#[derive(Debug, Deserialize)]
struct FaultData {
    error: Option<i64>,
    errname: Option<String>,
    reason: Option<String>,
    extra: Option<Value>,
}

/// A connection that calls are made over.
pub(super) struct Rpc {
    socket: WebSocketStream<Private>,
    last_id: u64,
}

/// What the WebSocket is told to take.
pub(super) fn limits() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(ANSWER_LIMIT)).max_frame_size(Some(ANSWER_LIMIT))
}

impl Rpc {
    pub(super) fn new(socket: WebSocketStream<Private>) -> Self {
        Self { socket, last_id: 0 }
    }

    /// Makes calls side by side, and waits for their answers until `until`; one that has not come by then is late. The
    /// answers are in the order of the calls.
    ///
    /// # Errors
    /// When the connection is of no use any more.
    pub(super) async fn call_all(
        &mut self,
        calls: &[Call],
        until: Instant,
    ) -> Result<Vec<Result<Value, Refusal>>, Why> {
        let began = Instant::now();
        let mut answers: Vec<Option<Result<Value, Refusal>>> = vec![None; calls.len()];
        let mut under_way: BTreeMap<u64, usize> = BTreeMap::new();
        let mut next = 0;
        loop {
            while under_way.len() < IN_FLIGHT && next < calls.len() {
                under_way.insert(self.send(&calls[next]).await?, next);
                next += 1;
            }
            if under_way.is_empty() {
                break;
            }
            let Ok(said) = tokio::time::timeout_at(until, self.hear()).await else { break };
            let said = said?;
            let place = said.id.as_ref().and_then(Value::as_u64).and_then(|id| under_way.remove(&id));
            match (place, said.error) {
                (Some(place), None) => answers[place] = Some(Ok(said.result)),
                (Some(place), Some(fault)) => answers[place] = Some(Err(refused(&fault))),
                // An event, or the answer to a question that is given up.
                (None, None) => {}
                (None, Some(fault)) if said.id.is_none() => {
                    return Err(format!("it did not understand a question: {}", refused(&fault).sentence()));
                }
                (None, Some(_)) => {}
            }
        }
        let waited = began.elapsed().as_secs_f64().ceil().max(1.0);
        Ok(answers.into_iter().map(|answer| answer.unwrap_or(Err(Refusal::Late(waited)))).collect())
    }

    /// Makes one call.
    ///
    /// # Errors
    /// When the connection is of no use any more.
    pub(super) async fn call(&mut self, call: Call, until: Instant) -> Result<Result<Value, Refusal>, Why> {
        let mut answers = self.call_all(&[call], until).await?;
        Ok(answers.pop().unwrap_or(Err(Refusal::NoMethod)))
    }

    async fn send(&mut self, (method, params): &Call) -> Result<u64, Why> {
        self.last_id += 1;
        let text = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}).to_string();
        if text.len() > SEND_LIMIT {
            return Err(format!("a question of {} bytes is more than it takes; this is a bug, report it", text.len()));
        }
        self.socket.send(Message::text(text)).await.map_err(|error| lost(&error))?;
        Ok(self.last_id)
    }

    /// The next that it says. Pings are answered on the way.
    async fn hear(&mut self) -> Result<Said, Why> {
        loop {
            let message = match self.socket.next().await {
                None => return Err("it ended the connection".to_owned()),
                Some(message) => message.map_err(|error| lost(&error))?,
            };
            match &message {
                Message::Text(text) => return parse(text.as_str()),
                Message::Binary(_) => return Err("it sent bytes where JSON was expected".to_owned()),
                Message::Close(frame) => {
                    let why = frame.as_ref().map_or("without a reason", |frame| frame.reason.as_str());
                    return Err(format!("it ended the connection: {}", excerpt(why)));
                }
                _ => {}
            }
        }
    }
}

fn lost(error: &WsError) -> Why {
    match error {
        WsError::Capacity(_) => format!("one answer is larger than {} MiB", ANSWER_LIMIT >> 20),
        other => format!("the connection broke: {}", causes(other)),
    }
}

fn parse(text: &str) -> Result<Said, Why> {
    // serde's own words quote what it read.
    let place = |error: serde_json::Error| format!("line {} column {}", error.line(), error.column());
    serde_json::from_str(text).map_err(|error| format!("it sent what is no JSON-RPC ({})", place(error)))
}

fn refused(fault: &Fault) -> Refusal {
    let data = fault.data.as_ref();
    match (fault.code, data.and_then(|data| data.error)) {
        (NO_METHOD, _) => return Refusal::NoMethod,
        (FAILED, Some(NOT_LOGGED_IN)) => return Refusal::NotLoggedIn,
        (FAILED, Some(NOT_ALLOWED)) => {
            return Refusal::Other("its user may not ask this: give it the role READONLY_ADMIN".to_owned());
        }
        _ => {}
    }
    let named = data.and_then(|data| data.errname.as_deref()).map(|name| format!(" {}", excerpt(name)));
    let said = data.and_then(|data| data.reason.as_deref()).or(fault.message.as_deref()).unwrap_or("nothing more");
    let extra = data.and_then(|data| data.extra.as_ref()).filter(|extra| !extra.is_null());
    let extra = extra.map_or_else(String::new, |extra| format!(" ({})", excerpt(&extra.to_string())));
    Refusal::Other(format!("error {}{}: {}{extra}", fault.code, named.unwrap_or_default(), excerpt(said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: i64, data: &str) -> Refusal {
        let text = format!(r#"{{"id":1,"error":{{"code":{code},"message":"Method call error","data":{data}}}}}"#);
        refused(&parse(&text).unwrap().error.unwrap())
    }

    #[test]
    fn an_answer_is_a_result_or_a_refusal_that_says_what_to_do() {
        assert_eq!(parse(r#"{"jsonrpc":"2.0","id":1,"result":[]}"#).unwrap().result, json!([]));
        assert_eq!(parse(r#"{"jsonrpc":"2.0","id":1,"result":null}"#).unwrap().result, Value::Null);
        assert_eq!(refusal(-32601, "null"), Refusal::NoMethod);
        assert_eq!(refusal(-32001, r#"{"error":207,"errname":"ENOTAUTHENTICATED"}"#), Refusal::NotLoggedIn);
        assert!(refusal(-32001, r#"{"error":13,"errname":"EACCES"}"#).sentence().contains("READONLY_ADMIN"));
        let told =
            refusal(-32001, r#"{"error":22,"errname":"EINVAL","reason":"no\nsuch pool","trace":{"a":"geheim"}}"#);
        assert_eq!(told.sentence(), "error -32001 EINVAL: nosuch pool");
        let told = refusal(-32602, r#"{"error":22,"extra":[["options.limit","too large",22]]}"#);
        assert_eq!(told.sentence(), r#"error -32602: Method call error ([["options.limit","too large",22]])"#);
        assert_eq!(refusal(-32000, "null").sentence(), "error -32000: Method call error");
    }

    #[test]
    fn what_is_no_json_rpc_is_refused_without_being_repeated() {
        for bad in ["", "geheim", "[]", "{\"id\":1,\"error\":\"geheim\"}", "{\"id\":1,\"error\":{}}", "7"] {
            let why = parse(bad).unwrap_err();
            assert!(why.starts_with("it sent what is no JSON-RPC") && !why.contains("geheim"), "{bad}: {why}");
        }
        let good = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"m","data":{"error":207,"extra":[]}}}"#;
        crate::host::feed_damaged(good, |text| {
            if let Ok(Said { error: Some(fault), .. }) = parse(text) {
                assert!(!refused(&fault).sentence().is_empty());
            }
        });
    }
}
