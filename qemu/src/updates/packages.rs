//! Small packages made for the lab: a tool, a service, a configuration file, and versions of them that go wrong in one
//! way each.
//!
//! It must never make a package that does harm outside a guest of the lab: all they hold is below their own names.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hardstand_exec::{Run, find};

/// dpkg-deb packs a few files, or one kernel.
const DEB_LIMIT: Duration = Duration::from_secs(120);
/// Packages the image holds in version 1.0.
pub(super) const BAKED: [&str; 3] = ["lab-config", "lab-service", "lab-tool"];
/// The same input gives the same package.
const EPOCH: &str = "1767225600";
/// Restarts the service after an upgrade, as debhelper's scripts do.
const RESTART: &str = "#!/bin/sh\nset -e\nif [ \"$1\" = configure ] && [ -d /run/systemd/system ]; then\n    \
                       systemctl daemon-reload\n    systemctl restart lab-service.service || true\nfi\n";
/// What makes an installation fail.
const FAIL: &str = "#!/bin/sh\necho 'lab-tool: this version never installs' >&2\nexit 1\n";

/// A package to be made.
pub(super) struct Parts<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    /// `all` or `amd64`.
    pub(super) architecture: &'a str,
    /// More lines of the control file.
    pub(super) control: String,
    /// Path below the root, mode, content.
    pub(super) files: Vec<(String, u32, Vec<u8>)>,
    /// Name of a script or list beside the control file, mode, content.
    pub(super) scripts: Vec<(&'a str, u32, String)>,
}

impl Parts<'_> {
    /// Packs it into `dir`; the file is named as the archive names packages.
    pub(super) async fn pack(self, dir: &Path) -> Result<PathBuf> {
        let tree = dir.join(format!("{}.tree", self.name));
        if tree.exists() {
            std::fs::remove_dir_all(&tree).with_context(|| format!("emptying {}", tree.display()))?;
        }
        let Self { name, version, architecture, control, .. } = &self;
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: hardstand lab <lab@localhost>\n\
             Section: misc\nPriority: optional\n{control}Description: part of the hardstand lab\n"
        );
        put(&tree, "DEBIAN/control", 0o644, control.as_bytes())?;
        for (script, mode, text) in &self.scripts {
            put(&tree, &format!("DEBIAN/{script}"), *mode, text.as_bytes())?;
        }
        for (path, mode, content) in &self.files {
            put(&tree, path, *mode, content)?;
        }
        let file = dir.join(format!("{name}_{version}_{architecture}.deb"));
        let tool = find("dpkg-deb").context("finding dpkg-deb; install dpkg")?;
        Run::new(tool, DEB_LIMIT)
            .env("SOURCE_DATE_EPOCH", EPOCH)
            .args(["--root-owner-group", "-Zgzip", "-z1", "--build"])
            .arg(&tree)
            .arg(&file)
            .success()
            .await
            .with_context(|| format!("packing {name} {version}"))?;
        std::fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))?;
        Ok(file)
    }
}

/// What the image holds.
pub(super) async fn first(dir: &Path) -> Result<Vec<PathBuf>> {
    version("1.0", dir).await
}

/// The same, one version later.
pub(super) async fn second(dir: &Path) -> Result<Vec<PathBuf>> {
    version("2.0", dir).await
}

/// The versions that go wrong.
pub(super) async fn bad(dir: &Path) -> Result<()> {
    let mut fails = tool("2.0+fails");
    fails.scripts.push(("postinst", 0o755, FAIL.to_owned()));
    fails.pack(dir).await?;
    service("2.0+down", "echo 'lab-service: this version never runs' >&2; exit 1").pack(dir).await?;
    Ok(())
}

async fn version(version: &str, dir: &Path) -> Result<Vec<PathBuf>> {
    let config = config(version).pack(dir).await?;
    let service = service(version, "exec sleep infinity").pack(dir).await?;
    Ok(vec![config, service, tool(version).pack(dir).await?])
}

fn tool(version: &str) -> Parts<'_> {
    let text = format!("#!/bin/sh\necho lab-tool {version}\n");
    parts("lab-tool", version, vec![("usr/bin/lab-tool".to_owned(), 0o755, text.into_bytes())])
}

fn config(version: &str) -> Parts<'_> {
    let text = format!("# as shipped by version {version}\nsetting = {version}\n");
    let mut parts = parts("lab-config", version, vec![("etc/lab-config.conf".to_owned(), 0o644, text.into_bytes())]);
    parts.scripts.push(("conffiles", 0o644, "/etc/lab-config.conf\n".to_owned()));
    parts
}

fn service<'a>(version: &'a str, run: &str) -> Parts<'a> {
    let unit = "[Unit]\nDescription=A service of the hardstand lab\n\n[Service]\nType=exec\nExecStart=/usr/libexec/lab-service\n\
                \n[Install]\nWantedBy=multi-user.target\n";
    let program = format!("#!/bin/sh\necho lab-service {version}\n{run}\n");
    let files = vec![
        ("usr/lib/systemd/system/lab-service.service".to_owned(), 0o644, unit.as_bytes().to_vec()),
        // Wanted by the package itself, so that an image needs no script to enable it.
        ("usr/lib/systemd/system/multi-user.target.wants/lab-service.service".to_owned(), 0o777, Vec::new()),
        ("usr/libexec/lab-service".to_owned(), 0o755, program.into_bytes()),
    ];
    let mut parts = parts("lab-service", version, files);
    parts.scripts.push(("postinst", 0o755, RESTART.to_owned()));
    parts
}

fn parts<'a>(name: &'a str, version: &'a str, files: Vec<(String, u32, Vec<u8>)>) -> Parts<'a> {
    Parts { name, version, architecture: "all", control: String::new(), files, scripts: Vec::new() }
}

/// Writes one file; mode 0777 means a link to the same name one directory up, which is all the lab needs.
fn put(tree: &Path, path: &str, mode: u32, content: &[u8]) -> Result<()> {
    let file = tree.join(path);
    let doing = || format!("writing {}", file.display());
    let parent = file.parent().with_context(doing)?;
    std::fs::create_dir_all(parent).with_context(doing)?;
    if mode == 0o777 {
        let name = file.file_name().with_context(doing)?;
        return std::os::unix::fs::symlink(Path::new("..").join(name), &file).with_context(doing);
    }
    std::fs::write(&file, content).with_context(doing)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).with_context(doing)
}
