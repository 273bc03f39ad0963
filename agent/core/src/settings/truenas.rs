//! `[truenas]`: which TrueNAS is asked, and over what.
//!
//! It must never have a place for a key that would go over an unprotected connection: TrueNAS revokes such a key.

use serde::{Deserialize, Serialize};

/// `[truenas]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrueNasSettings {
    /// The box's own socket, or `wss://HOST[:PORT]` of one elsewhere.
    pub endpoint: String,
    /// The user whom the key is of.
    pub user: String,
    /// The file with the key; a user without rights needs one on the socket, too.
    pub api_key_file: Option<String>,
    /// PEM file of the authorities that are trusted instead of the system's.
    pub ca_file: Option<String>,
    /// Between two questions, in seconds.
    pub interval_secs: u64,
    /// Warn when a replication that runs by itself has not ended well for longer than this (days).
    pub replication_age_warn_days: f64,
}

impl TrueNasSettings {
    /// Where TrueNAS listens on its own box.
    pub const SOCKET: &str = "/var/run/middleware/middlewared.sock";
}

impl Default for TrueNasSettings {
    fn default() -> Self {
        Self {
            endpoint: Self::SOCKET.to_owned(),
            user: "hardstand".to_owned(),
            api_key_file: None,
            ca_file: None,
            interval_secs: 30,
            replication_age_warn_days: 8.0,
        }
    }
}

/// Where a TrueNAS is asked. There is no kind without protection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NasEndpoint {
    /// A socket of this node: it is the box itself.
    Socket(String),
    /// TLS.
    Tls {
        /// What its certificate must be for, an IPv6 address in brackets.
        host: String,
        /// 443 where none is named.
        port: u16,
    },
}

impl NasEndpoint {
    /// Reads `/PATH` or `wss://HOST[:PORT]`.
    ///
    /// # Errors
    /// What it must be, as the rest of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        const MUST: &str = "must be the path of a socket or wss://HOST[:PORT]";
        if text.starts_with('/') {
            return Ok(Self::Socket(text.to_owned()));
        }
        let Some(rest) = text.strip_prefix("wss://") else {
            let plain = ["ws://", "http://"].iter().any(|scheme| text.starts_with(scheme));
            let why = if plain { "; TrueNAS revokes a key that comes without TLS" } else { "" };
            return Err(format!("{MUST}, not {text:?}{why}"));
        };
        let place = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (place, Some(443)),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = match bare {
            Some(address) => address.parse::<core::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')),
        };
        match port {
            Some(port) if is_host && port > 0 => Ok(Self::Tls { host: host.to_owned(), port }),
            _ => Err(format!("{MUST}, without a path or a password, not {text:?}")),
        }
    }

    /// Whether it is this node that is asked.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Socket(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_socket_or_tls_and_nothing_else() {
        let tls = |host: &str, port| Ok(NasEndpoint::Tls { host: host.to_owned(), port });
        for (text, place) in [
            (TrueNasSettings::SOCKET, Ok(NasEndpoint::Socket(TrueNasSettings::SOCKET.to_owned()))),
            ("wss://nas.lan", tls("nas.lan", 443)),
            ("wss://nas.lan:8443/", tls("nas.lan", 8443)),
            ("wss://192.0.2.7:1", tls("192.0.2.7", 1)),
            ("wss://[2001:db8::7]", tls("[2001:db8::7]", 443)),
            ("wss://[2001:db8::7]:8443", tls("[2001:db8::7]", 8443)),
        ] {
            assert_eq!(NasEndpoint::parse(text), place, "{text}");
        }
        for bad in [
            "",
            "nas.lan",
            "wss://",
            "wss://nas.lan/api/current",
            "wss://root@nas.lan",
            "wss://nas.lan:0",
            "wss://nas.lan:99999",
            "wss://nas lan",
            "wss://2001:db8::7",
            "wss://nas.lan:",
            "https://nas.lan",
        ] {
            assert!(NasEndpoint::parse(bad).unwrap_err().starts_with("must be the path of a socket"), "{bad}");
        }
        for plain in ["ws://127.0.0.1/api/current", "http://nas.lan"] {
            assert!(
                NasEndpoint::parse(plain).unwrap_err().ends_with("revokes a key that comes without TLS"),
                "{plain}"
            );
        }
    }
}
