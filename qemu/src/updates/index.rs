//! The lists apt reads: `Packages`, `Release`, and `InRelease` signed with a key that lives as long as the making.
//!
//! It must never keep the private key: nobody can sign for the lab afterwards.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hardstand_exec::{Run, find};
use sha2::{Digest as _, Sha256};

/// dpkg-deb reads one control file; gpg makes one key.
const TOOL_LIMIT: Duration = Duration::from_secs(60);
/// Where the lists of the one component lie below a suite.
const PACKAGES: &str = "main/binary-amd64/Packages";

/// A key of gpg's in a directory of its own, which is removed at the end.
pub(super) struct Signer {
    home: PathBuf,
    gpg: PathBuf,
}

impl Signer {
    /// Makes a new key.
    pub(super) async fn new() -> Result<Self> {
        // Short, because gpg's agent listens on a socket in it.
        let home = std::env::temp_dir().join(format!("hardstand-gpg-{}", std::process::id()));
        std::fs::create_dir_all(&home).with_context(|| format!("creating {}", home.display()))?;
        std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .with_context(|| format!("closing {}", home.display()))?;
        let gpg = find("gpg").context("finding gpg; install gpg, or start through qemu/lab")?;
        let signer = Self { home, gpg };
        let make = signer.gpg().args(["--passphrase", "", "--quick-generate-key", "hardstand lab"]);
        make.args(["ed25519", "sign", "never"]).success().await.context("making a key for the repository")?;
        Ok(signer)
    }

    async fn sign(&self, text: &str) -> Result<Vec<u8>> {
        let signed = self.gpg().args(["--digest-algo", "SHA512", "--clearsign"]).stdin(text).success().await;
        Ok(signed.context("signing the repository")?.stdout)
    }

    /// Writes the public key and forgets the private one.
    pub(super) async fn end(self, public: &Path) -> Result<()> {
        let key = self.gpg().args(["--armor", "--export"]).success().await.context("exporting the public key")?;
        std::fs::write(public, key.stdout).with_context(|| format!("writing {}", public.display()))?;
        let conf = find("gpgconf").context("finding gpgconf; install gpg, or start through qemu/lab")?;
        let stop = Run::new(conf, TOOL_LIMIT).arg("--homedir").arg(&self.home).args(["--kill", "all"]);
        stop.success().await.context("ending gpg's agent")?;
        Ok(())
    }

    fn gpg(&self) -> Run {
        let run = Run::new(&self.gpg, TOOL_LIMIT).arg("--homedir").arg(&self.home);
        run.args(["--batch", "--quiet", "--pinentry-mode", "loopback"])
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// Puts `files` into the pool and writes the lists that name them.
pub(super) async fn write(files: &[PathBuf], pool: &Path, index: &Path, signer: &Signer) -> Result<()> {
    let suite = index.join("lab");
    let packages = suite.join(PACKAGES);
    for dir in [pool, packages.parent().context("the lists have a directory")?] {
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    }
    let mut text = String::new();
    for file in files {
        text += &stanza(file, pool).await?;
    }
    std::fs::write(&packages, &text).with_context(|| format!("writing {}", packages.display()))?;
    let date = find("date").context("finding date")?;
    let date = Run::new(date, TOOL_LIMIT).args(["-u", "-R"]).success().await.context("asking for the date")?;
    let release = release(String::from_utf8_lossy(&date.stdout).trim(), &text);
    let file = suite.join("InRelease");
    std::fs::write(&file, signer.sign(&release).await?).with_context(|| format!("writing {}", file.display()))
}

fn release(date: &str, packages: &str) -> String {
    format!(
        "Origin: hardstand lab\nLabel: hardstand lab\nSuite: lab\nCodename: lab\nDate: {date}\nArchitectures: amd64\n\
         Components: main\nSHA256:\n {} {} {PACKAGES}\n",
        hex(&Sha256::digest(packages)),
        packages.len()
    )
}

/// A package's own control file with where it lies and what it is.
async fn stanza(file: &Path, pool: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let hash = hex(&Sha256::digest(&bytes));
    let place = pool.join(format!("{hash}.deb"));
    if !place.exists() {
        std::fs::write(&place, &bytes).with_context(|| format!("writing {}", place.display()))?;
    }
    let tool = find("dpkg-deb").context("finding dpkg-deb; install dpkg")?;
    let control = Run::new(tool, TOOL_LIMIT).arg("--field").arg(file).success().await;
    let control = control.with_context(|| format!("reading what {} says of itself", file.display()))?;
    let control = String::from_utf8_lossy(&control.stdout).trim_end().to_owned();
    Ok(format!("{control}\nFilename: pool/{hash}.deb\nSize: {}\nSHA256: {hash}\n\n", bytes.len()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::release;

    #[test]
    fn a_release_names_its_lists_by_hash() {
        let text = release("Mon, 23 Nov 2026 00:00:00 +0000", "");
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert!(text.ends_with(&format!("SHA256:\n {empty} 0 main/binary-amd64/Packages\n")), "{text}");
    }
}
