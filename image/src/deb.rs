//! One `.deb`: its control fields, read by dpkg-deb, and what it needs.

use std::path::Path;
use std::time::Duration;

use hardstand_exec::{Run, find};

use crate::files;
use crate::problem::{Doing, Problem};

/// Reading the control part of one package takes milliseconds; a damaged one must not hang the build.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// What a package file says about itself.
#[derive(Debug, Clone)]
pub(crate) struct Deb {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) architecture: String,
    pub(crate) sha256: String,
    pub(crate) size: u64,
    /// The control stanza as dpkg-deb prints it.
    pub(crate) control: String,
}

/// Reads a package file.
pub(crate) async fn read(path: &Path) -> Result<Deb, Problem> {
    let control = control(path).await?;
    let (sha256, size) = files::sha256_file(path)?;
    let field = |name: &str| {
        field(&control, name)
            .map(str::to_owned)
            .ok_or_else(|| Problem::Refused(format!("{} has no field {name}: it is not a package", path.display())))
    };
    Ok(Deb {
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
        sha256,
        size,
        control,
    })
}

/// The control stanza of a package file.
pub(crate) async fn control(path: &Path) -> Result<String, Problem> {
    let dpkg_deb = find("dpkg-deb").ok_or_else(|| Problem::Refused("dpkg-deb is missing; install dpkg".to_owned()))?;
    let finished = Run::new(dpkg_deb, READ_LIMIT)
        .arg("--field")
        .arg(path)
        .success()
        .await
        .doing(|| format!("reading package {}", path.display()))?;
    Ok(String::from_utf8_lossy(&finished.stdout).trim_end().to_owned())
}

/// One field of a stanza, its first line.
pub(crate) fn field<'a>(control: &'a str, name: &str) -> Option<&'a str> {
    control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
