//! The fleet's own certificate authority: a directory that an operator keeps, best off line.
//!
//! It must never overwrite a key, never sign a name it has not checked, and never run in the agent.
//!
//! In the directory: `ca.crt` and `crl.pem` (for every node), `ca.key` (for nobody), `issued.json` (what was issued),
//! and `issued/` with what goes to whom.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hardstand_core::store::access::Role;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};
use rustls::crypto::SecureRandom;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::files::{PUBLIC, SECRET, make_room, read, replace, write_new};
use super::{Identity, TrustError};

const DAY_SECONDS: u64 = 24 * 3600;
/// Ten years: a fleet's authority is replaced with the fleet.
const AUTHORITY_SECONDS: u64 = 3653 * DAY_SECONDS;
/// Two years and a month, as long as the public ones once were.
const LEAF_SECONDS: u64 = 760 * DAY_SECONDS;
/// A year and a month. Every `issue` and `revoke` makes a new one; `renew` does nothing else.
const LIST_SECONDS: u64 = 396 * DAY_SECONDS;
/// Clocks of fresh machines are wrong by minutes; by more, they have other troubles.
const SKEW_SECONDS: u64 = 3600;
/// What the authority is called in its certificates. Authorities differ by their keys.
const SUBJECT: &str = "hardstand authority";

/// The authority's directory, opened.
#[derive(Debug)]
pub(crate) struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    ledger: Ledger,
}

/// What was issued.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    version: u32,
    /// Number of the last revocation list.
    list: u64,
    issued: Vec<Issued>,
}

/// One certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issued {
    /// In hexadecimal.
    pub(crate) serial: String,
    /// `node` or `operator`.
    pub(crate) role: String,
    /// Whose.
    pub(crate) name: String,
    /// Addresses it is good for.
    pub(crate) addresses: Vec<String>,
    /// Last second it is good for.
    pub(crate) until_unix_seconds: u64,
    /// When it was revoked.
    pub(crate) revoked_unix_seconds: Option<u64>,
}

impl Authority {
    /// Makes one, in a directory that holds none.
    ///
    /// # Errors
    /// When there is one already, or the files cannot be made.
    pub(crate) fn init(dir: &Path, now_unix_seconds: u64) -> Result<Self, TrustError> {
        let failed = |source| TrustError::File { doing: "making", path: dir.to_owned(), source };
        std::fs::create_dir_all(dir.join("issued")).map_err(failed)?;
        let key = KeyPair::generate().map_err(|error| content(dir, &error))?;
        // The key first: its name is what says that the directory is taken.
        write_new(&dir.join("ca.key"), &key.serialize_pem(), SECRET)?;
        let mut params = authority_params();
        params.not_before = at(now_unix_seconds.saturating_sub(SKEW_SECONDS));
        params.not_after = at(now_unix_seconds + AUTHORITY_SECONDS);
        let certificate = params.self_signed(&key).map_err(|error| content(dir, &error))?;
        write_new(&dir.join("ca.crt"), &certificate.pem(), PUBLIC)?;
        let ledger = Ledger { version: 1, list: 0, issued: Vec::new() };
        let mut made = Self { dir: dir.to_owned(), issuer: Issuer::new(authority_params(), key), ledger };
        made.renew(now_unix_seconds)?;
        Ok(made)
    }

    /// Opens the one that is there.
    ///
    /// # Errors
    /// When a file is missing or is not what it should be.
    pub(crate) fn open(dir: &Path) -> Result<Self, TrustError> {
        let (key_path, ledger_path) = (dir.join("ca.key"), dir.join("issued.json"));
        let key = KeyPair::from_pem(&read(&key_path)?).map_err(|error| content(&key_path, &error))?;
        let ledger: Ledger =
            serde_json::from_str(&read(&ledger_path)?).map_err(|error| content(&ledger_path, &error))?;
        if ledger.version != 1 {
            return Err(content(&ledger_path, &format!("version {}, this program reads 1", ledger.version)));
        }
        Ok(Self { dir: dir.to_owned(), issuer: Issuer::new(authority_params(), key), ledger })
    }

    /// What was issued, in its order.
    pub(crate) fn issued(&self) -> &[Issued] {
        &self.ledger.issued
    }

    /// Makes a key and a certificate for somebody, as `ROLE-NAME.key` and `ROLE-NAME.crt` in `out`, which is made where
    /// it is missing and then holds all that its owner needs: `ca.crt` and `crl.pem` beside them.
    ///
    /// # Errors
    /// When an address is none, or the files are there already.
    pub(crate) fn issue(
        &mut self,
        who: &Identity,
        addresses: &[String],
        out: Option<&Path>,
        now_unix_seconds: u64,
    ) -> Result<(PathBuf, PathBuf), TrustError> {
        let room = out.map_or_else(|| self.dir.join("issued"), Path::to_owned);
        make_room(&room)?;
        let (ours, theirs) = (self.dir.join("ca.crt"), room.join("ca.crt"));
        if out.is_some() && theirs.exists() && read(&theirs)? != read(&ours)? {
            let why = format!("{} is of another authority; name another directory with --out", theirs.display());
            return Err(TrustError::Refused { why });
        }
        let (key_path, path) = (
            room.join(format!("{}-{}.key", who.role.name(), who.name)),
            room.join(format!("{}-{}.crt", who.role.name(), who.name)),
        );
        if let Some(taken) = [&key_path, &path].into_iter().find(|path| path.symlink_metadata().is_ok()) {
            let why = format!("{} exists; move it away, or name another directory with --out", taken.display());
            return Err(TrustError::Refused { why });
        }
        let until = now_unix_seconds + LEAF_SECONDS;
        let serial = random_serial()?;
        let mut params = leaf_params(who, addresses).map_err(|error| content(&path, &error))?;
        params.not_before = at(now_unix_seconds.saturating_sub(SKEW_SECONDS));
        params.not_after = at(until);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let key = KeyPair::generate().map_err(|error| content(&key_path, &error))?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|error| content(&path, &error))?;
        // Known before it exists, so that whatever was signed can be revoked.
        self.ledger.issued.push(Issued {
            serial: hex(&serial),
            role: who.role.name().to_owned(),
            name: who.name.clone(),
            addresses: addresses.to_vec(),
            until_unix_seconds: until,
            revoked_unix_seconds: None,
        });
        self.renew(now_unix_seconds)?;
        write_new(&key_path, &key.serialize_pem(), SECRET)?;
        write_new(&path, &certificate.pem(), PUBLIC)?;
        if out.is_some() {
            for file in ["ca.crt", "crl.pem"] {
                replace(&room.join(file), &read(&self.dir.join(file))?)?;
            }
        }
        Ok((path, key_path))
    }

    /// Revokes every certificate of a name (`node/NAME`, `operator/NAME`) or of a serial; how many were not before.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn revoke(&mut self, whom: &str, now_unix_seconds: u64) -> Result<usize, TrustError> {
        let is_meant = |one: &Issued| one.serial == whom || format!("{}/{}", one.role, one.name) == whom;
        let mut meant: Vec<&mut Issued> = self.ledger.issued.iter_mut().filter(|one| is_meant(one)).collect();
        if meant.is_empty() {
            let why = format!(
                "nothing was issued as {whom:?}; name node/NAME, operator/NAME or a serial of: hardstand ca show"
            );
            return Err(TrustError::Refused { why });
        }
        let mut revoked = 0;
        for one in &mut meant {
            if one.revoked_unix_seconds.is_none() {
                one.revoked_unix_seconds = Some(now_unix_seconds);
                revoked += 1;
            }
        }
        self.renew(now_unix_seconds)?;
        Ok(revoked)
    }

    /// Makes a new revocation list, good from now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn renew(&mut self, now_unix_seconds: u64) -> Result<PathBuf, TrustError> {
        let path = self.dir.join("crl.pem");
        self.ledger.list += 1;
        let text = serde_json::to_string_pretty(&self.ledger).expect("plain data has a text") + "\n";
        replace(&self.dir.join("issued.json"), &text)?;
        let revoked = self.ledger.issued.iter().filter_map(|one| {
            Some(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&unhex(&one.serial)?),
                revocation_time: at(one.revoked_unix_seconds?),
                reason_code: Some(RevocationReason::Unspecified),
                invalidity_date: None,
            })
        });
        let list = CertificateRevocationListParams {
            this_update: at(now_unix_seconds.saturating_sub(SKEW_SECONDS)),
            next_update: at(now_unix_seconds + LIST_SECONDS),
            crl_number: SerialNumber::from(self.ledger.list),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).and_then(|list| list.pem()).map_err(|error| content(&path, &error))?;
        replace(&path, &list)?;
        Ok(path)
    }
}

/// The authority's own certificate: it signs leaves, and nothing that signs.
pub(super) fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(SUBJECT);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A leaf: a node serves and asks, an operator only asks.
pub(super) fn leaf_params(who: &Identity, addresses: &[String]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(addresses)?;
    params.subject_alt_names.push(SanType::URI(who.uri().try_into()?));
    params.distinguished_name = named(&who.to_string());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match who.role {
        Role::Node => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        Role::Operator => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

pub(super) fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

/// A moment as certificates have it, in the type of the library that writes them.
pub(super) fn at(unix_seconds: u64) -> OffsetDateTime {
    date_time_ymd(1970, 1, 1) + Duration::from_secs(unix_seconds)
}

fn random_serial() -> Result<[u8; 16], TrustError> {
    let mut serial = [0; 16];
    let random: &dyn SecureRandom = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut serial).map_err(|_| TrustError::Refused { why: "the kernel gave no randomness".to_owned() })?;
    // Positive, and of one length.
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

fn content(path: &Path, why: &dyn std::fmt::Display) -> TrustError {
    TrustError::Content { path: path.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn pve1() -> Identity {
        Identity::new(Role::Node, "pve1").unwrap()
    }

    #[test]
    fn keys_are_their_owner_s_and_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = Authority::init(dir.path(), 1_800_000_000).unwrap();
        let (_, key) = authority.issue(&pve1(), &["pve1".to_owned()], None, 1_800_000_000).unwrap();
        for path in [dir.path().join("ca.key"), key.clone()] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
        let before = std::fs::read(&key).unwrap();
        let told = authority.issue(&pve1(), &[], None, 1_800_000_000).unwrap_err().to_string();
        assert!(told.contains("exists; move it away"), "{told}");
        assert_eq!(std::fs::read(&key).unwrap(), before);
        let before = std::fs::read(dir.path().join("ca.key")).unwrap();
        assert!(Authority::init(dir.path(), 1_800_000_000).is_err());
        assert_eq!(std::fs::read(dir.path().join("ca.key")).unwrap(), before);
    }

    #[test]
    fn the_ledger_knows_what_was_issued_and_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = Authority::init(dir.path(), 1_800_000_000).unwrap();
        authority.issue(&pve1(), &["10.0.0.1".to_owned()], None, 1_800_000_000).unwrap();
        assert_eq!(authority.revoke("node/pve1", 1_800_000_100).unwrap(), 1);
        assert_eq!(authority.revoke("node/pve1", 1_800_000_200).unwrap(), 0, "once");
        assert!(authority.revoke("node/pve2", 1_800_000_200).is_err());
        let again = Authority::open(dir.path()).unwrap();
        assert_eq!(again.issued(), authority.issued());
        assert_eq!(again.issued()[0].revoked_unix_seconds, Some(1_800_000_100));
        assert_eq!(again.ledger.list, 4, "a list for each change");
    }

    #[test]
    fn a_torn_ledger_is_no_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        Authority::init(dir.path(), 1_800_000_000).unwrap();
        std::fs::write(dir.path().join("issued.json"), "{\"version\": 1, \"li").unwrap();
        assert!(matches!(Authority::open(dir.path()), Err(TrustError::Content { .. })));
    }

    #[test]
    fn what_goes_to_its_owner_is_whole_and_of_one_authority() {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = Authority::init(&dir.path().join("ca"), 1_700_000_000).unwrap();
        let out = dir.path().join("for/anna");
        let who = Identity::new(Role::Operator, "anna").unwrap();
        authority.issue(&who, &[], Some(&out), 1_700_000_000).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(&out).unwrap().map(|one| one.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["ca.crt", "crl.pem", "operator-anna.crt", "operator-anna.key"]);
        assert_eq!(std::fs::read(out.join("ca.crt")).unwrap(), std::fs::read(dir.path().join("ca/ca.crt")).unwrap());
        let mut other = Authority::init(&dir.path().join("other"), 1_700_000_000).unwrap();
        let ben = Identity::new(Role::Operator, "ben").unwrap();
        let told = other.issue(&ben, &[], Some(&out), 1_700_000_000).unwrap_err().to_string();
        assert!(told.contains("another authority"), "{told}");
        assert!(!out.join("operator-ben.key").exists());
    }
}
