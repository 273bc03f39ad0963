//! One `.deb`: its control fields, read by dpkg-deb. It must never unpack or run anything of it.

use std::path::Path;
use std::time::Duration;

use hardstand_exec::{Run, find};
use hardstand_recipe::plan::Local;

use crate::files;
use crate::problem::{Doing, Problem};

/// Reading the control part of one package takes milliseconds; a damaged one must not hang the build.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// Reads a package file given by the operator.
pub(crate) async fn read_local(path: &Path) -> Result<Local, Problem> {
    let path = std::fs::canonicalize(path).doing(|| format!("reading {}", path.display()))?;
    let control = control(&path).await?;
    let (sha256, size) = files::sha256_file(&path)?;
    let needed = |name: &str| {
        field(&control, name)
            .map(str::to_owned)
            .ok_or_else(|| Problem::Refused(format!("{} has no field {name}: it is not a package", path.display())))
    };
    let depends: Vec<_> = ["Pre-Depends", "Depends"].iter().filter_map(|name| field(&control, name)).collect();
    Ok(Local {
        file: path.display().to_string(),
        name: needed("Package")?,
        version: needed("Version")?,
        architecture: needed("Architecture")?,
        sha256,
        size,
        depends: depends.join(", "),
    })
}

/// Virtual packages a package file provides.
pub(crate) async fn provides(path: &Path) -> Result<Vec<String>, Problem> {
    let control = control(path).await?;
    let list = field(&control, "Provides").unwrap_or("");
    Ok(list.split(',').filter_map(|one| one.split_whitespace().next()).map(str::to_owned).collect())
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
fn field<'a>(control: &'a str, name: &str) -> Option<&'a str> {
    control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
