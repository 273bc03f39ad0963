//! Requests signed as S3 wants them: AWS Signature Version 4, for a GET without a body.
//!
//! It must never let a key be printed: [`Keys`] has no `Debug`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::hmac::{hex, hmac_sha256};
use crate::host::HostError;

/// The SHA-256 of nothing.
pub(super) const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What requests are signed with.
pub(crate) struct Keys {
    id: String,
    secret: String,
    /// Of keys that are lent for a while.
    pub(super) token: Option<String>,
}

impl Keys {
    /// Reads them in the form of AWS's own tools, `[default]` or without a section.
    ///
    /// # Errors
    /// When everybody may read the file, or it lacks a key.
    pub(crate) fn read(path: &Path) -> Result<Self, HostError> {
        let read = |source| HostError::Read { path: path.to_owned(), source };
        let parse = |why: &str| HostError::Parse { what: path.display().to_string(), why: why.to_owned() };
        // Group bits may be an access list's mask, as systemd sets it on credentials.
        if std::fs::metadata(path).map_err(read)?.mode() & 0o007 != 0 {
            return Err(parse("everybody may use these keys: chmod 0640 it, and have other keys made"));
        }
        let text = std::fs::read_to_string(path).map_err(read)?;
        let value = |name: &str| {
            let mut pairs = text.lines().filter_map(|line| line.split_once('='));
            pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
        };
        let needed = |name: &str| {
            value(name).filter(|value| !value.is_empty()).ok_or_else(|| parse(&format!("it has no {name} = ...")))
        };
        Ok(Self {
            id: needed("aws_access_key_id")?,
            secret: needed("aws_secret_access_key")?,
            token: value("aws_session_token"),
        })
    }
}

/// What is signed.
pub(super) struct Asked<'a> {
    pub(super) host: &'a str,
    /// Encoded.
    pub(super) path: &'a str,
    /// Encoded, and in the order of its names.
    pub(super) query: &'a str,
    pub(super) region: &'a str,
    /// `YYYYMMDDThhmmssZ`
    pub(super) at: &'a str,
}

/// The `Authorization` of a request that has `x-amz-date` and `x-amz-content-sha256` (of nothing), and the token if
/// there is one.
pub(super) fn authorization(keys: &Keys, asked: &Asked<'_>) -> String {
    let Asked { host, path, query, region, at } = asked;
    let (token, also) = match &keys.token {
        Some(token) => (format!("x-amz-security-token:{token}\n"), ";x-amz-security-token"),
        None => (String::new(), ""),
    };
    let names = format!("host;x-amz-content-sha256;x-amz-date{also}");
    let headers = format!("host:{host}\nx-amz-content-sha256:{EMPTY}\nx-amz-date:{at}\n{token}");
    let request = format!("GET\n{path}\n{query}\n{headers}\n{names}\n{EMPTY}");
    let day = at.get(..8).unwrap_or_default();
    let scope = format!("{day}/{region}/s3/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(&Sha256::digest(request)));
    let mut key = hmac_sha256(format!("AWS4{}", keys.secret).as_bytes(), day.as_bytes());
    for part in [region, "s3", "aws4_request", to_sign.as_str()] {
        key = hmac_sha256(&key, part.as_bytes());
    }
    format!("AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={}", keys.id, hex(&key))
}

/// What may stand in a path or query as it is (RFC 3986 §2.3); all else is `%XX`.
pub(crate) fn encoded(text: &str) -> String {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if letter(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Scratch;

    /// "Signature Calculations for the Authorization Header" of the S3 API reference, its examples without a body.
    #[test]
    fn the_published_examples_are_signed_alike() {
        let keys = Keys {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            token: None,
        };
        for (query, signature) in [
            ("lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ] {
            let asked = Asked {
                host: "examplebucket.s3.amazonaws.com",
                path: "/",
                query,
                region: "us-east-1",
                at: "20130524T000000Z",
            };
            let told = authorization(&keys, &asked);
            let before = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
                          SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=";
            assert_eq!(told, format!("{before}{signature}"));
        }
        assert_eq!(encoded("a b/ü~+"), "a%20b%2F%C3%BC~%2B");
        assert_eq!(hex(&Sha256::digest(b"")), EMPTY);
    }

    #[test]
    fn keys_that_everybody_may_read_are_refused_and_never_shown() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = Scratch::new();
        let path = scratch.write("s3", "[default]\naws_access_key_id = AKIA\naws_secret_access_key = geheim\n");
        for (mode, good) in [(0o600, true), (0o640, true), (0o644, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match Keys::read(&path) {
                Ok(keys) => assert!(good && keys.secret == "geheim" && keys.token.is_none()),
                Err(error) => {
                    let error = error.to_string();
                    assert!(!good && error.contains("chmod 0640") && !error.contains("geheim"), "{error}");
                }
            }
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "aws_secret_access_key = geheim\n").unwrap();
        let error = Keys::read(&path).err().unwrap().to_string();
        assert!(error.ends_with("it has no aws_access_key_id = ...") && !error.contains("geheim"), "{error}");
    }
}
