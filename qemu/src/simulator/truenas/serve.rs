//! One connection to the simulator: HTTP, then a WebSocket, then calls side by side.
//!
//! It must never tell anything to who is not logged in, nor let a key that came without TLS be used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::methods::{METHODS, Method, faults, queried};
use super::world::{Trouble, Version, World};
use super::{Peer, Simulator};

/// What it takes in one message, before and after a login.
const MESSAGE: [usize; 2] = [8 << 10, 64 << 10];
/// From so many calls of one connection on it refuses more.
const UNDER_WAY: usize = 20;
const HEAD: usize = 8 << 10;
const HUGE: usize = 9 << 20;

pub(super) async fn connection<S>(simulator: Simulator, mut stream: S, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(head) = head(&mut stream).await else { return };
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let version = simulator.world().version;
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    if path == "/api/versions" {
        return answer_http(&mut stream, "200 OK", &json!(versions(version)).to_string()).await;
    }
    let is_api = path.strip_prefix("/api/").is_some_and(|name| name == "current" || versions(version).contains(&name));
    let Some(key) = header("sec-websocket-key").filter(|_| is_api) else {
        return answer_http(&mut stream, "404 Not Found", "").await;
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    if stream.write_all(upgrade.as_bytes()).await.is_ok() {
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        converse(simulator, socket, peer).await;
    }
}

/// What a version tells of the versions of its API: older ones stay.
pub(super) fn versions(version: Version) -> Vec<&'static str> {
    let all = [(Version::V25_04, "v25.04.2"), (Version::V25_10, "v25.10.5"), (Version::V26, "v26.0.0")];
    all.into_iter().filter(|(of, _)| *of <= version).map(|(_, name)| name).collect()
}

async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

async fn answer_http<S: AsyncWrite + Unpin>(stream: &mut S, status: &str, body: &str) {
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    // Who asked may be gone.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn converse<S>(simulator: Simulator, mut socket: WebSocketStream<S>, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut logged_in = peer == Peer::Local(simulator.world().root);
    let under_way = Arc::new(AtomicUsize::new(0));
    let (answers, mut answered) = mpsc::unbounded_channel::<Value>();
    loop {
        tokio::select! {
            answer = answered.recv() => {
                let Some(answer) = answer else { return };
                under_way.fetch_sub(1, Ordering::SeqCst);
                if !send(&simulator, &mut socket, &answer).await {
                    return;
                }
            }
            message = socket.next() => {
                let Some(Ok(message)) = message else { return };
                let Message::Text(text) = message else { continue };
                if text.len() > MESSAGE[usize::from(logged_in)] {
                    return;
                }
                let count = under_way.fetch_add(1, Ordering::SeqCst) + 1;
                let mut world = simulator.world();
                world.most_under_way = world.most_under_way.max(count);
                if world.trouble == Trouble::Hangs {
                    continue;
                }
                let answer = call(&mut world, &text, peer, &mut logged_in, count);
                drop(world);
                // Answers come after what else was sent meanwhile, so that calls are side by side.
                let answers = answers.clone();
                tokio::spawn(async move {
                    tokio::task::yield_now().await;
                    // The connection may have ended.
                    let _ = answers.send(answer);
                });
            }
        }
    }
}

/// Whether the connection goes on.
async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    simulator: &Simulator,
    socket: &mut WebSocketStream<S>,
    answer: &Value,
) -> bool {
    let trouble = simulator.world().trouble;
    let text = match trouble {
        Trouble::None | Trouble::Hangs => answer.to_string(),
        Trouble::Garbage => "<html>geheim</html>".to_owned(),
        Trouble::Huge => format!("{{\"id\":1,\"result\":\"{}\"}}", "x".repeat(HUGE)),
        Trouble::Drops => {
            // A frame of a thousand bytes, of which these come.
            let _ = socket.get_mut().write_all(&[0x81, 126, 0x03, 0xe8, b'{', b'"']).await;
            let _ = socket.get_mut().shutdown().await;
            return false;
        }
    };
    socket.send(Message::text(text)).await.is_ok()
}

fn call(world: &mut World, text: &str, peer: Peer, logged_in: &mut bool, under_way: usize) -> Value {
    let Ok(question) = serde_json::from_str::<Value>(text) else {
        return refusal(world, &Value::Null, -32700, "Parse error", Value::Null);
    };
    let (id, name) = (question["id"].clone(), question["method"].as_str().unwrap_or_default().to_owned());
    if question["jsonrpc"] != "2.0" || name.is_empty() {
        return refusal(world, &id, -32600, "Invalid Request", Value::Null);
    }
    world.heard.push(name.clone());
    if under_way > UNDER_WAY {
        return refusal(world, &id, -32000, "Too many concurrent calls", Value::Null);
    }
    let known = |method: &&Method| method.name == name && (method.since..=method.until).contains(&world.version);
    let Some(method) = METHODS.iter().find(known) else {
        return refusal(world, &id, -32601, "Method does not exist", Value::Null);
    };
    let params = question.get("params").cloned().unwrap_or(json!([]));
    if let Some(extra) = faults(method, &params) {
        return refusal(
            world,
            &id,
            -32602,
            "Invalid params",
            json!({"error": 22, "errname": "EINVAL", "extra": extra}),
        );
    }
    if name.starts_with("auth.") {
        let result = log_in(world, &name, &params, peer);
        *logged_in |= result == json!(true) || result["response_type"] == "SUCCESS";
        return json!({"jsonrpc": "2.0", "id": id, "result": result});
    }
    if !*logged_in {
        let data = json!({"error": 207, "errname": "ENOTAUTHENTICATED", "reason": "Not authenticated", "trace": null, "extra": null});
        return refusal(world, &id, -32001, "Method call error", data);
    }
    let rows = world.answers.get(method.name).cloned().unwrap_or(Value::Null);
    json!({"jsonrpc": "2.0", "id": id, "result": queried(rows, &params)})
}

fn refusal(world: &mut World, id: &Value, code: i64, message: &str, data: Value) -> Value {
    world.refused.push((code, data["extra"].to_string()));
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, "data": data}})
}

/// A key that came over a network without TLS is nobody's any more.
pub(super) fn log_in(world: &mut World, name: &str, params: &Value, peer: Peer) -> Value {
    let is_ex = name == "auth.login_ex";
    let (user, key) = if is_ex { (&params[0]["username"], &params[0]["api_key"]) } else { (&Value::Null, &params[0]) };
    let is_right = key.as_str() == Some(&world.key) && (!is_ex || user == world.user);
    if is_right && peer == Peer::Plain {
        world.key = String::new();
    }
    let is_good = is_right && peer != Peer::Plain;
    let mut success = json!({"response_type": "SUCCESS", "user_info": null, "authenticator": "LEVEL_1"});
    if world.version >= Version::V26 {
        success["reconnect_token"] = Value::Null;
    }
    match (is_ex, is_good, world.key_expired) {
        (false, good, expired) => json!(good && !expired),
        (true, true, true) => json!({"response_type": "EXPIRED"}),
        (true, true, false) => success,
        (true, false, _) => json!({"response_type": "AUTH_ERR"}),
    }
}
