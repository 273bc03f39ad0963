//! mmdebstrap: installs exactly the packages of the lock, from files whose hashes were checked, into a tar of the root tree.
//! It must never reach a network: its only source is a directory of this build.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hardstand_exec::{ExecError, Run, find};
use hardstand_recipe::plan::Install;

use crate::deb;
use crate::files;
use crate::problem::{Doing, Problem};
use crate::progress::Progress;
use crate::store::Store;

/// Some hundred packages take half a minute; an emulated or busy builder ten times that.
const LIMIT: Duration = Duration::from_secs(1800);

/// One package to install and the checked file that holds it.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) sha256: String,
    pub(crate) size: u64,
    pub(crate) file: PathBuf,
}

/// How large each package is, by name.
pub(crate) type Sizes = HashMap<String, u64>;

/// The file of one package, its bytes hashed just now.
pub(crate) fn source(store: &Store, install: &Install) -> Result<Source, Problem> {
    let file = match &install.file {
        Some(file) => {
            let path = PathBuf::from(file);
            if files::sha256_file(&path)?.0 != install.sha256 {
                return Err(Problem::Refused(format!("{file} changed while the image was built; run the build again")));
            }
            path
        }
        None => store.package(&install.sha256, install.size)?.ok_or_else(|| {
            Problem::Refused(format!(
                "{} {} is not in the package store, or was damaged there; `hardstand-image lock --locked` fetches what the lock names",
                install.name, install.version
            ))
        })?,
    };
    Ok(Source { name: install.name.clone(), sha256: install.sha256.clone(), size: install.size, file })
}

/// Builds the tree and returns its tar.
pub(crate) async fn bootstrap(
    scratch: &Path,
    sources: &[Source],
    clock: u64,
    make_initrd: bool,
) -> Result<Vec<u8>, Problem> {
    let tar = scratch.join("root.tar");
    let sizes = sizes(sources);
    let mut progress = Progress::new("installing packages", sources.iter().map(|source| source.size).sum());
    let mut run = prepared(scratch, sources, clock, LIMIT).await?.arg("--format=tar");
    if !make_initrd {
        run = run.env("INITRD", "No");
    }
    run = target(run, scratch, &tar);
    run.lines(|_, line| progress.add(done_bytes(line, &sizes))).await.map_err(explain)?;
    progress.end();
    files::read(&tar)
}

/// A tree that holds these packages while the hooks that the caller adds run in it, and is gone then. It ends with
/// [`into_nothing`].
pub(crate) async fn throw_away(
    scratch: &Path,
    sources: &[Source],
    clock: u64,
    limit: Duration,
) -> Result<Run, Problem> {
    Ok(prepared(scratch, sources, clock, limit).await?.env("INITRD", "No").arg("--format=null"))
}

/// The last arguments of [`throw_away`].
pub(crate) fn into_nothing(run: Run, scratch: &Path) -> Run {
    target(run, scratch, Path::new("/dev/null"))
}

/// mmdebstrap with the repository of these packages and all arguments but the format and the target.
async fn prepared(scratch: &Path, sources: &[Source], clock: u64, limit: Duration) -> Result<Run, Problem> {
    write_repository(&scratch.join("repository"), sources).await?;
    let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
    let run = contained(limit)?
        .env("SOURCE_DATE_EPOCH", clock.to_string())
        .env("TMPDIR", scratch)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .dir(scratch)
        .args(["--verbose", "--variant=essential", "--architectures=amd64"])
        .args(["--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Languages \"none\""])
        .args(["--dpkgopt=force-unsafe-io", "--dpkgopt=force-confdef"])
        .arg(format!("--include={}", names.join(",")));
    Ok(run)
}

fn target(run: Run, scratch: &Path, target: &Path) -> Run {
    let repository = scratch.join("repository");
    run.arg("").arg(target).arg(format!("deb [trusted=yes] copy:{} ./", repository.display()))
}

/// The sizes of these packages, for [`done_bytes`].
pub(crate) fn sizes(sources: &[Source]) -> Sizes {
    sources.iter().map(|source| (source.name.clone(), source.size)).collect()
}

/// mmdebstrap, so started that nothing of it outlives it. As root it mounts /proc, /sys and parts of /dev inside the
/// tree: in a mount namespace of its own, so that a killed build leaves no door from its directory to the machine; and
/// with process ids of its own, so that dpkg ends with it. An ordinary user's mmdebstrap makes both by itself.
fn contained(limit: Duration) -> Result<Run, Problem> {
    let program = |name: &str, package: &str| {
        find(name).ok_or_else(|| Problem::Refused(format!("{name} is missing; install {package}")))
    };
    let mmdebstrap = program("mmdebstrap", "mmdebstrap")?;
    if !nix::unistd::geteuid().is_root() {
        return Ok(Run::new(mmdebstrap, limit));
    }
    let namespaces = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"];
    Ok(Run::new(program("unshare", "util-linux")?, limit).args(namespaces).arg(mmdebstrap))
}

/// A flat archive: the files and an index of them. It is not signed: every file was checked against the lock.
async fn write_repository(dir: &Path, sources: &[Source]) -> Result<(), Problem> {
    files::make_dir(dir)?;
    let mut index = String::new();
    for source in sources {
        let name = format!("{}.deb", source.sha256);
        let target = dir.join(&name);
        if fs::hard_link(&source.file, &target).is_err() {
            fs::copy(&source.file, &target).doing(|| format!("copying {} to {}", source.name, target.display()))?;
        }
        let control = deb::control(&source.file).await?;
        let _ = writeln!(index, "{control}\nFilename: ./{name}\nSize: {}\nSHA256: {}\n", source.size, source.sha256);
    }
    files::write(&dir.join("Packages"), index.as_bytes())
}

/// mmdebstrap's words when nothing lets an ordinary user make a root tree become a way out.
fn explain(error: ExecError) -> Problem {
    match &error {
        ExecError::Failed { stderr, .. } if stderr.contains("unable to pick chroot mode") => Problem::Refused(
            "this user cannot make a root tree: install uidmap and give the user a range in /etc/subuid and /etc/subgid, or build as root"
                .to_owned(),
        ),
        _ => Problem::Program { doing: "installing the packages of the lock with mmdebstrap".to_owned(), source: error },
    }
}

/// dpkg speaks of every package twice: when it unpacks it and when it sets it up. Each counts half.
pub(crate) fn done_bytes(line: &str, sizes: &Sizes) -> u64 {
    let name = line.strip_prefix("Unpacking ").or_else(|| line.strip_prefix("Setting up "));
    let name = name.and_then(|rest| rest.split([' ', ':']).next()).unwrap_or("");
    sizes.get(name).map_or(0, |size| size / 2)
}
