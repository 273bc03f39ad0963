//! Packages a test makes itself, and a mirror that serves them: for the components of the archive that a test cannot
//! count on. The mirror is signed with a key of its own, which only the commands of [`Mirror::believed`] take for the
//! archive's; nothing of this machine changes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hardstand_exec::{Run, find};
use hardstand_recipe::lock::Lock;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::lab::{LIMIT, Lab};

/// The suite of the small recipe, and the one its locks look for updates in.
const SUITES: [&str; 2] = ["trixie", "trixie-updates"];
/// Where the program looks for the archive's key.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// More than any request of apt or of the program.
const MOST_REQUEST: usize = 8192;

/// One package: its name, what it depends on, its files.
pub(crate) struct Package<'a> {
    pub(crate) name: &'a str,
    pub(crate) depends: &'a str,
    pub(crate) files: &'a [(&'a str, &'a str)],
}

/// Builds the package into a directory; its file. A file whose text begins with `#!` can be run.
pub(crate) async fn deb(dir: &Path, package: &Package<'_>) -> PathBuf {
    let tree = dir.join(format!("{}.tree", package.name));
    let _ = fs::remove_dir_all(&tree);
    let depends = match package.depends {
        "" => String::new(),
        names => format!("Depends: {names}\n"),
    };
    let control = format!(
        "Package: {}\nVersion: 1\nArchitecture: all\nMaintainer: a test <root@localhost>\n{depends}Description: planted\n",
        package.name
    );
    for (path, text) in package.files.iter().copied().chain([("DEBIAN/control", control.as_str())]) {
        let file = tree.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    let file = dir.join(format!("{}_1_all.deb", package.name));
    let build = Run::new(find("dpkg-deb").unwrap(), LIMIT).args(["--root-owner-group", "--build"]);
    build.arg(&tree).arg(&file).success().await.unwrap();
    fs::remove_dir_all(tree).unwrap();
    file
}

/// SHA-256 of bytes, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A mirror on loopback for as long as the value lives.
pub(crate) struct Mirror {
    address: String,
    keyring: PathBuf,
    server: JoinHandle<()>,
}

impl Mirror {
    /// Serves the packages of the small lock as `main`, and these as another component.
    pub(crate) async fn start(lab: &Lab, name: &str, component: &str, packages: &[Package<'_>]) -> Self {
        let dir = lab.path(name);
        let _ = fs::remove_dir_all(&dir);
        for pool in ["main", component] {
            fs::create_dir_all(dir.join("pool").join(pool)).unwrap();
        }
        let lock = Lock::parse("tiny.lock", &fs::read_to_string(lab.path("tiny.lock")).unwrap()).unwrap();
        for package in &lock.packages {
            let file = dir.join("pool/main").join(Path::new(&package.path).file_name().unwrap());
            fs::hard_link(lab.path("store/packages").join(&package.sha256), file).unwrap();
        }
        for package in packages {
            deb(&dir.join("pool").join(component), package).await;
        }
        let keyring = dir.join("key.gpg");
        let signer = Signer::new(&keyring).await;
        for suite in SUITES {
            let filled = suite == SUITES[0];
            let release = write_lists(&dir, suite, ["main", component], filled).await;
            fs::write(dir.join("dists").join(suite).join("InRelease"), signer.sign(&release).await).unwrap();
        }
        signer.end().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(serve(listener, Arc::new(dir)));
        Self { address, keyring, server }
    }

    /// The program with these arguments and this mirror, where the mirror's key passes for the archive's.
    pub(crate) fn believed(&self, lab: &Lab, args: &str) -> Run {
        let script = format!(
            "mount --bind {} {KEYRING} && exec {} {args} --mirror {}",
            self.keyring.display(),
            env!("CARGO_BIN_EXE_hardstand-image"),
            self.address
        );
        lab.command("/usr/bin/unshare").args(["-rm", "/bin/sh", "-c", &script])
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Writes `Packages` of each component, empty ones for a suite that is not filled; the text of the release.
async fn write_lists(mirror: &Path, suite: &str, components: [&str; 2], filled: bool) -> String {
    let mut sums = String::new();
    for component in components {
        let list = match filled {
            true => {
                let scan = Run::new(find("dpkg-scanpackages").unwrap(), LIMIT).args(["--hash", "sha256"]);
                scan.arg(format!("pool/{component}")).dir(mirror).success().await.unwrap().stdout
            }
            false => Vec::new(),
        };
        let name = format!("{component}/binary-amd64/Packages");
        let file = mirror.join("dists").join(suite).join(&name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, &list).unwrap();
        writeln!(sums, " {} {} {name}", sha256(&list), list.len()).unwrap();
    }
    format!(
        "Origin: a test\nSuite: {suite}\nCodename: {suite}\nDate: Sat, 15 Nov 2025 10:00:00 UTC\nArchitectures: amd64\n\
         Components: {}\nSHA256:\n{sums}",
        components.join(" ")
    )
}

/// A key of gpg's in a directory of its own, which is gone at the end.
struct Signer {
    home: PathBuf,
}

impl Signer {
    async fn new(public: &Path) -> Self {
        // Short, because gpg's agent listens on a socket in it.
        let signer = Self { home: std::env::temp_dir().join(format!("hardstand-planted-{}", std::process::id())) };
        fs::create_dir_all(&signer.home).unwrap();
        fs::set_permissions(&signer.home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let make = signer.gpg().args(["--passphrase", "", "--quick-generate-key", "planted", "ed25519", "sign"]);
        make.arg("never").success().await.unwrap();
        fs::write(public, signer.gpg().arg("--export").success().await.unwrap().stdout).unwrap();
        signer
    }

    async fn sign(&self, text: &str) -> Vec<u8> {
        self.gpg().args(["--digest-algo", "SHA512", "--clearsign"]).stdin(text).success().await.unwrap().stdout
    }

    async fn end(self) {
        let stop = Run::new(find("gpgconf").unwrap(), LIMIT).arg("--homedir").arg(&self.home).args(["--kill", "all"]);
        stop.success().await.unwrap();
        fs::remove_dir_all(&self.home).unwrap();
    }

    fn gpg(&self) -> Run {
        let run = Run::new(find("gpg").unwrap(), LIMIT).arg("--homedir").arg(&self.home);
        run.args(["--batch", "--quiet", "--pinentry-mode", "loopback"])
    }
}

async fn serve(listener: TcpListener, root: Arc<PathBuf>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, Arc::clone(&root)));
    }
}

/// One file per connection. A reader that goes away early is its own matter.
async fn answer(mut stream: TcpStream, root: Arc<PathBuf>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < MOST_REQUEST {
        match stream.read_buf(&mut request).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').replace("%2b", "+");
    let (status, body) = match fs::read(root.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
}
