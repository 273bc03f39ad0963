//! Certificates of every kind, good and bad, for tests.
//!
//! It must never be part of the program: its authority signs whatever it is told to.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use hardstand_core::store::access::Role;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PublicKeyData, RevokedCertParams, SerialNumber, SignatureAlgorithm,
};

use super::authority::{at, authority_params, leaf_params, named};
use super::{Identity, TrustFiles};

const DAY: i64 = 24 * 3600;

/// An authority and its files.
pub(crate) struct House {
    dir: tempfile::TempDir,
    count: AtomicU32,
    key: KeyPair,
    /// The authority's certificate.
    pub(crate) authority: String,
}

/// A certificate, those between it and the authority, and its key.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// A moment so many days from now.
pub(crate) fn days(days: i64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    now.checked_add_signed(days * DAY).unwrap()
}

/// A node of that name.
pub(crate) fn node(name: &str) -> Identity {
    Identity { role: Role::Node, name: name.to_owned() }
}

/// An operator of that name.
pub(crate) fn operator(name: &str) -> Identity {
    Identity { role: Role::Operator, name: name.to_owned() }
}

impl House {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let authority = authority_params().self_signed(&key).unwrap().pem();
        Self { dir: tempfile::tempdir().unwrap(), count: AtomicU32::new(0), key, authority }
    }

    /// The authority's own key, in the hands of somebody who should not have it.
    pub(crate) fn as_leaf(&self) -> Leaf {
        Leaf { chain: self.authority.clone(), key: self.key.serialize_pem() }
    }

    /// Parameters as the real authority makes them.
    pub(crate) fn params(who: &Identity) -> CertificateParams {
        let mut params = leaf_params(who, &["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.not_before = at(days(-1));
        params.not_after = at(days(30));
        params
    }

    /// A leaf as the real authority makes it.
    pub(crate) fn leaf(&self, who: &Identity) -> Leaf {
        self.sign(&Self::params(who))
    }

    /// A leaf with something else about it.
    pub(crate) fn odd(&self, who: &Identity, twist: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = Self::params(who);
        twist(&mut params);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &Issuer::new(authority_params(), &self.key)).unwrap().pem();
        Leaf { chain, key: key.serialize_pem() }
    }

    /// A leaf that says it holds another key than its own.
    pub(crate) fn with_public_key(&self, who: &Identity, key: &Claimed) -> Leaf {
        let own = KeyPair::generate().unwrap();
        let issuer = Issuer::new(authority_params(), &self.key);
        let chain = Self::params(who).signed_by(key, &issuer).unwrap().pem();
        Leaf { chain, key: own.serialize_pem() }
    }

    /// A leaf signed by another leaf, which says nothing of being an authority.
    pub(crate) fn below_a_leaf(&self, who: &Identity) -> Leaf {
        self.below(who, |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign))
    }

    /// A leaf below an authority that ours should never have made.
    pub(crate) fn below_another_authority(&self, who: &Identity) -> Leaf {
        self.below(who, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params.extended_key_usages.clear();
        })
    }

    fn below(&self, who: &Identity, twist: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut middle = Self::params(&node("middle"));
        middle.distinguished_name = named("middle");
        twist(&mut middle);
        let middle_key = KeyPair::generate().unwrap();
        let signed = middle.signed_by(&middle_key, &Issuer::new(authority_params(), &self.key)).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let leaf = Self::params(who).signed_by(&key, &Issuer::new(middle, &middle_key)).unwrap().pem();
        Leaf { chain: leaf + &signed, key: key.serialize_pem() }
    }

    /// A revocation list of these serials, good until then.
    pub(crate) fn list(&self, revoked: &[u64], until: u64) -> String {
        let list = CertificateRevocationListParams {
            this_update: at(days(-2)),
            next_update: at(until),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time: at(days(-1)),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&Issuer::new(authority_params(), &self.key)).unwrap().pem().unwrap()
    }

    /// Files with an empty list.
    pub(crate) fn files(&self, leaf: &Leaf) -> TrustFiles {
        self.files_with(leaf, &self.list(&[], days(30)))
    }

    /// Files with this list.
    pub(crate) fn files_with(&self, leaf: &Leaf, list: &str) -> TrustFiles {
        let room = self.dir.path().join(self.count.fetch_add(1, Ordering::SeqCst).to_string());
        std::fs::create_dir(&room).unwrap();
        let write = |name: &str, text: &str| -> PathBuf {
            let path = room.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        TrustFiles {
            authority: write("ca.crt", &self.authority),
            list: write("crl.pem", list),
            certificate: write("node.crt", &leaf.chain),
            key: write("node.key", &leaf.key),
        }
    }
}

/// A public key whose other half nobody has.
pub(crate) struct Claimed(Vec<u8>, &'static SignatureAlgorithm);

impl PublicKeyData for Claimed {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.1
    }
}

/// An RSA key of 1024 bits.
pub(crate) fn rsa_1024() -> Claimed {
    let mut key = vec![0x30, 0x81, 0x89, 0x02, 0x81, 0x81, 0x00];
    key.extend([0xc5; 128]);
    key.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
    Claimed(key, &rcgen::PKCS_RSA_SHA256)
}

/// A key that is no point of its curve.
pub(crate) fn off_the_curve() -> Claimed {
    let mut point = vec![0x04];
    point.extend([0x5a; 64]);
    Claimed(point, &rcgen::PKCS_ECDSA_P256_SHA256)
}
