//! A guest at somebody else's FleetLock server, such as airlock's.
//!
//! It must never take an answer that is none for a yes.

use std::time::Duration;

use anyhow::{Context as _, bail};
use hardstand_core::fleetlock::Wish;
use serde::{Deserialize, Serialize};

use crate::hmac::{hex, hmac_sha256};

/// A server may hold a request while it drains; Zincati waits as long.
pub(crate) const LIMIT: Duration = Duration::from_secs(30 * 60);
/// The longest answer that is read.
const ANSWER_CHARS: usize = 2_000;

#[derive(Serialize)]
struct Asking<'a> {
    client_params: Params<'a>,
}

#[derive(Serialize)]
struct Params<'a> {
    group: &'a str,
    id: &'a str,
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It is so.
    Yes,
    /// Not now: `kind: value`.
    NotNow(String),
}

#[derive(Deserialize)]
struct Refused {
    kind: String,
    value: String,
}

/// Asks the server below `base` (`http://host:port/`).
///
/// # Errors
/// The server cannot be reached, or refuses for good.
pub(crate) async fn ask(base: &str, group: &str, id: &str, wish: Wish, limit: Duration) -> anyhow::Result<Reply> {
    let path = match wish {
        Wish::PreReboot => "v1/pre-reboot",
        Wish::SteadyState => "v1/steady-state",
    };
    let url = format!("{}/{path}", base.trim_end_matches('/'));
    let body = serde_json::to_vec(&Asking { client_params: Params { group, id } })?;
    // The one provider of this program; installed already when another client came first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(limit).build().context("making an HTTP client")?;
    let request = client.post(&url).header("fleet-lock-protocol", "true").body(body);
    let response = request.send().await.with_context(|| format!("asking {url}"))?;
    let status = response.status();
    if status.is_success() {
        return Ok(Reply::Yes);
    }
    let text: String = response.text().await.unwrap_or_default().chars().take(ANSWER_CHARS).collect();
    let told = match serde_json::from_str::<Refused>(&text) {
        Ok(refused) => format!("{}: {}", refused.kind, refused.value),
        Err(_) => text,
    };
    // Taken, closed or busy: another time. Anything else stays so until somebody changes something.
    if status.is_server_error() || [409, 423, 429].contains(&status.as_u16()) {
        return Ok(Reply::NotNow(told));
    }
    bail!("{url} refuses with {status}: {told}; look at the group and the id that the server knows")
}

/// This machine's id as Zincati makes it: systemd's app-specific id for its own application id (sd-id128(3)).
///
/// # Errors
/// `machine_id` is not 32 hexadecimal digits.
pub(crate) fn app_specific(machine_id: &str) -> anyhow::Result<String> {
    const APPLICATION: &str = "de35106b6ec24688b63afddaa156679b";
    let key = bytes_of(machine_id.trim()).context("reading the machine id; make one: systemd-machine-id-setup")?;
    let code = hmac_sha256(&key, &bytes_of(APPLICATION)?);
    let mut id = [0u8; 16];
    id.copy_from_slice(&code[..16]);
    id[6] = (id[6] & 0x0F) | 0x40;
    id[8] = (id[8] & 0x3F) | 0x80;
    Ok(hex(&id))
}

fn bytes_of(hex: &str) -> anyhow::Result<[u8; 16]> {
    let mut bytes = [0u8; 16];
    if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!("{hex:?} is not 32 hexadecimal digits");
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * place..2 * place + 2], 16)?;
    }
    Ok(bytes)
}
