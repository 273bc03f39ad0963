//! The signing key and signatures, in minisign's format. The secret key never leaves its file of mode 0600, which lies
//! in the user's configuration, not in a checkout.

use std::path::{Path, PathBuf};

use minisign::{KeyPair, PublicKeyBox, SecretKeyBox, SignatureBox};

use crate::files;
use crate::problem::{Doing, Problem};
use crate::progress::say;
use crate::store::user_dir;

const SECRET: &str = "image.key";
const PUBLIC: &str = "image.pub";
/// In minisign's first line; not part of what is signed.
const COMMENT: &str = "signature of a hardstand image";

/// Signs bytes with the user's key, which is made on first use. Returns the signature and the public key, as files.
pub(crate) fn sign(bytes: &[u8], trusted_comment: &str) -> Result<(String, String), Problem> {
    let dir = user_dir("XDG_CONFIG_HOME", ".config")?;
    let (secret_path, public_path) = (dir.join(SECRET), dir.join(PUBLIC));
    if !secret_path.exists() {
        make_key(&dir)?;
    }
    let public = files::read_text(&public_path)?;
    let doing = || format!("signing with {}", secret_path.display());
    let secret = SecretKeyBox::from_string(&files::read_text(&secret_path)?)
        .and_then(SecretKeyBox::into_unencrypted_secret_key)
        .doing(doing)?;
    let key = PublicKeyBox::from_string(&public).and_then(PublicKeyBox::into_public_key).doing(doing)?;
    let signature = minisign::sign(Some(&key), &secret, bytes, Some(trusted_comment), Some(COMMENT)).doing(doing)?;
    Ok((signature.into_string(), public))
}

/// Checks a signature. Without `key` the user's own public key is used: never one that lies beside the signature.
pub(crate) fn check(bytes: &[u8], signature: &str, key: Option<&Path>) -> Result<String, Problem> {
    let path: PathBuf = match key {
        Some(path) => path.to_owned(),
        None => user_dir("XDG_CONFIG_HOME", ".config")?.join(PUBLIC),
    };
    if !path.exists() {
        return Err(Problem::Refused(format!(
            "there is no public key at {}; name the one of whoever built this image with --key FILE",
            path.display()
        )));
    }
    let doing = || format!("checking the signature against {}", path.display());
    let key =
        PublicKeyBox::from_string(&files::read_text(&path)?).and_then(PublicKeyBox::into_public_key).doing(doing)?;
    let signature = SignatureBox::from_string(signature).doing(doing)?;
    minisign::verify(&key, &signature, std::io::Cursor::new(bytes), true, false, false).doing(doing)?;
    signature.trusted_comment().doing(doing)
}

fn make_key(dir: &Path) -> Result<(), Problem> {
    let doing = || "making a signing key".to_owned();
    let pair = KeyPair::generate_unencrypted_keypair().doing(doing)?;
    let secret = pair.sk.to_box(Some("hardstand image signing key")).doing(doing)?.into_string();
    let public = pair.pk.to_box().doing(doing)?.into_string();
    files::make_dir(dir)?;
    // The public half first: a secret key without its public half would never be replaced.
    files::replace(&dir.join(PUBLIC), public.as_bytes(), 0o644)?;
    files::replace(&dir.join(SECRET), secret.as_bytes(), 0o600)?;
    say(&format!(
        "made a signing key: {} (keep it), {} (give it away)",
        dir.join(SECRET).display(),
        dir.join(PUBLIC).display()
    ));
    Ok(())
}
