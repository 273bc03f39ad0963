//! Who is who: certificates of our own authority, for both sides of every connection (design §5).
//!
//! It must never fall back to less: TLS 1.3 only, both sides show a certificate, both look it up in the authority's
//! revocation list, and a list that is missing or too old refuses everybody.
//!
//! What a certificate says of its owner stands in one URI among its alternative names: `hardstand://node/NAME` or
//! `hardstand://operator/NAME`. The common name, the same without the scheme, is for people and for etcd. The other
//! alternative names are the addresses a node is reached by.

mod authority;
mod files;
mod loaded;
#[cfg(test)]
pub(crate) mod samples;
mod validity;

use std::fmt;
use std::path::PathBuf;

use hardstand_core::store::access::Role;
use rustls::pki_types::CertificateDer;

pub(crate) use authority::{Authority, Issued};
pub(crate) use loaded::{Loaded, Trust, TrustFiles};
pub(crate) use validity::not_after;

/// Begins the URI that names a certificate's owner.
const SCHEME: &str = "hardstand://";
/// Longest name: a label of the DNS, and short enough for any file system.
const NAME_LETTERS: usize = 63;

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// What it may do.
    pub(crate) role: Role,
    /// Which of them.
    pub(crate) name: String,
}

/// Why somebody or something is not trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// A file of ours.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// Reading, writing, ...
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// What is in it.
    #[error("{}: {why}; see: hardstand ca show", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A name that cannot be one.
    #[error("{name:?} is no name: 1 to 63 of a-z, 0-9, '-' and '.', a letter or digit first and last, no two dots")]
    Name {
        /// What was given.
        name: String,
    },
    /// A certificate that names nobody, or more than one.
    #[error("the certificate {why}; issue one with: hardstand ca issue")]
    Nobody {
        /// How.
        why: String,
    },
    /// The authority will not.
    #[error("{why}")]
    Refused {
        /// Why, and what to do.
        why: String,
    },
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.role.name(), self.name)
    }
}

impl Identity {
    /// Checks the name.
    ///
    /// # Errors
    /// When it could not be part of a key, a path or a host's name.
    pub(crate) fn new(role: Role, name: &str) -> Result<Self, TrustError> {
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = (1..=NAME_LETTERS).contains(&name.len())
            && name.chars().all(|c| letter(c) || c == '-' || c == '.')
            && name.starts_with(letter)
            && name.ends_with(letter)
            && !name.contains("..");
        if !good {
            return Err(TrustError::Name { name: name.to_owned() });
        }
        Ok(Self { role, name: name.to_owned() })
    }

    /// Whom a certificate names. It says nothing about who signed it.
    ///
    /// # Errors
    /// When it names nobody, more than one, or not as we do.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<Self, TrustError> {
        let nobody = |why: String| TrustError::Nobody { why };
        let read = webpki::EndEntityCert::try_from(certificate).map_err(|error| nobody(format!("{error:?}")))?;
        let mut uris = read.valid_uri_names().filter(|uri| uri.starts_with(SCHEME));
        let uri = uris.next().ok_or_else(|| nobody(format!("has no {SCHEME} name")))?;
        if uris.next().is_some() {
            return Err(nobody("names more than one owner".to_owned()));
        }
        let parts = uri.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/'));
        let (role, name) = parts.ok_or_else(|| nobody(format!("names its owner as {uri:?}")))?;
        let role = Role::parse(role).ok_or_else(|| nobody(format!("has the role {role:?}")))?;
        Self::new(role, name)
    }

    fn uri(&self) -> String {
        format!("{SCHEME}{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_narrow() {
        for good in ["pve1", "a", "nas.home.example", "a-b", "1", &"a".repeat(63)] {
            assert!(Identity::new(Role::Node, good).is_ok(), "{good}");
        }
        for bad in ["", "PVE1", "a/b", "..", "a..b", ".a", "a.", "-a", "a b", "a\0", "ü", "*", "a_b", &"a".repeat(64)]
        {
            assert!(matches!(Identity::new(Role::Node, bad), Err(TrustError::Name { .. })), "{bad}");
        }
    }
}
