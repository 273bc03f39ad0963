//! The ZFS modules of an image: compiled once per lock, in a throw-away tree of the lock's build packages, kept in the
//! store as one package that the image's tree installs. It must never let a build package into the image, and never sign
//! a module: a random key would make every build another one.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hardstand_recipe::plan::Install;
use hardstand_recipe::zfs::{ModuleBuild, SOURCE};

use crate::deb;
use crate::files;
use crate::mmdebstrap::{self, Source};
use crate::problem::{Doing, Problem};
use crate::progress::{Progress, say};
use crate::store::Store;

/// What runs inside the throw-away tree. Part of the key: another script is another build.
pub(crate) const SCRIPT: &str = include_str!("zfs/build-modules");
/// Kind of the derived thing.
const KIND: &str = "zfs";
/// About 4 minutes on two idle cores, installing the compiler included; an emulated or busy builder ten times that.
const LIMIT: Duration = Duration::from_secs(3600);

/// The package with the modules: from the store if it is there and whole, else compiled now. Its file is in `scratch`.
pub(crate) async fn modules(store: &Store, build: &ModuleBuild, scratch: &Path) -> Result<Install, Problem> {
    let scratch = scratch.join("zfs");
    files::make_dir(&scratch)?;
    let key = files::sha256(format!("{}{SCRIPT}", build.inputs()).as_bytes());
    let package = match store.derived(KIND, &key)? {
        Some(package) => package,
        None => {
            let package = compile(store, build, &scratch).await?;
            store.keep_derived(KIND, &key, &package)?;
            package
        }
    };
    let file = scratch.join(format!("{}.deb", build.package()));
    files::write(&file, &package)?;
    let made = deb::read_local(&file).await?;
    Ok(Install {
        name: made.name,
        version: made.version,
        architecture: made.architecture,
        sha256: made.sha256,
        size: made.size,
        file: Some(made.file),
    })
}

async fn compile(store: &Store, build: &ModuleBuild, scratch: &Path) -> Result<Vec<u8>, Problem> {
    let all = build.packages.iter().map(|one| mmdebstrap::source(store, one)).collect::<Result<Vec<_>, _>>()?;
    let (code, tools): (Vec<_>, Vec<_>) = all.into_iter().partition(|source| source.name == SOURCE);
    let [code] = &code[..] else {
        return Err(Problem::Refused(format!(
            "the lock's build packages do not hold {SOURCE} once; run `hardstand-image lock` again"
        )));
    };
    let log = store.log(&format!("{}.log", build.package()))?;
    say(&format!("compiling ZFS for kernel {}, once for this lock; log: {}", build.release, log.display()));
    let script = scratch.join("build-modules");
    files::write(&script, SCRIPT.as_bytes())?;
    let made = scratch.join("made.deb");
    let hooks = [
        format!("upload {} /{SOURCE}.deb", quoted(&code.file)),
        format!("upload {} /build-modules", quoted(&script)),
        format!("chroot \"$1\" sh /build-modules {} amd64 {} {}", build.release, build.package(), build.clock),
        format!("download /modules.deb {}", quoted(&made)),
    ];
    let mut follower = Follower::new(&log, &tools)?;
    let run = mmdebstrap::throw_away(scratch, &tools, build.clock, LIMIT).await?;
    let run = run.args(hooks.map(|hook| format!("--customize-hook={hook}")));
    let run = mmdebstrap::into_nothing(run, scratch);
    let ended = run.lines(|_, line| follower.hear(line)).await;
    match ended {
        Ok(_) => follower.end(),
        Err(error) => return Err(follower.explain(error, build, &log)),
    }
    files::read(&made)
}

/// A path as mmdebstrap's hooks and a shell read it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// Keeps the log and shows the progress: first of the packages, then of the compiler.
struct Follower {
    log: File,
    path: PathBuf,
    sizes: mmdebstrap::Sizes,
    progress: Progress,
    failed: Option<String>,
    error: Option<std::io::Error>,
}

impl Follower {
    fn new(log: &Path, tools: &[Source]) -> Result<Self, Problem> {
        let file = File::create(log).doing(|| format!("creating {}", log.display()))?;
        let total = tools.iter().map(|source| source.size).sum();
        let progress = Progress::new("installing the compiler", total);
        Ok(Self {
            log: file,
            path: log.to_owned(),
            sizes: mmdebstrap::sizes(tools),
            progress,
            failed: None,
            error: None,
        })
    }

    fn hear(&mut self, line: &str) {
        let number = |word: &str| line.strip_prefix(word).and_then(|rest| rest.trim().parse::<u64>().ok());
        if let Some(total) = number("@total ") {
            std::mem::replace(&mut self.progress, Progress::new("compiling ZFS", total)).end();
            return;
        }
        if let Some(done) = number("@done ") {
            return self.progress.add(done);
        }
        self.progress.add(mmdebstrap::done_bytes(line, &self.sizes));
        if self.failed.is_none() && names_a_reason(line) {
            self.failed = Some(line.trim().to_owned());
        }
        if let Err(error) = writeln!(self.log, "{line}") {
            self.error.get_or_insert(error);
        }
    }

    fn end(self) {
        self.progress.end();
        if let Some(error) = self.error {
            say(&format!("{} is not whole: {error}", self.path.display()));
        }
    }

    /// One sentence: what failed, where all of it stands, what to do. A full disk is said as everywhere else.
    fn explain(self, source: hardstand_exec::ExecError, build: &ModuleBuild, log: &Path) -> Problem {
        let problem = Problem::Program { doing: format!("compiling ZFS for kernel {}", build.release), source };
        if problem.is_disk_full() {
            return problem;
        }
        let Problem::Program { doing, source } = problem else { return problem };
        let why = match (&self.failed, &source) {
            (Some(line), _) => line.clone(),
            (None, hardstand_exec::ExecError::Failed { status, .. }) => format!("mmdebstrap ended with {status}"),
            (None, other) => other.to_string(),
        };
        Problem::Refused(format!(
            "{doing} failed ({why}); the whole log is {}. If ZFS does not know this kernel yet, run `hardstand-image lock` again when the archive has a newer {SOURCE}, or take zfs = true out of the recipe",
            log.display()
        ))
    }
}

/// Whether this line of the log says why the build fails: configure's own words, the compiler's, or those of the step
/// that refuses a module whose symbols this kernel does not give it.
fn names_a_reason(line: &str) -> bool {
    if line.starts_with("configure: ") || line.contains("configure: error: ") {
        return line.contains("configure: error: ") && !line.contains("error: in '");
    }
    line.contains(": error: ") || line.contains(": fatal error: ") || line.starts_with("ERROR: modpost: ")
}

#[cfg(test)]
mod tests {
    use super::names_a_reason;

    #[test]
    fn the_line_that_says_why_is_known_whoever_says_it() {
        for line in [
            "configure: error: *** Cannot find UTS_RELEASE definition.",
            "module/zfs/vdev_disk.c:112:9: error: implicit declaration of function 'bdev_file'",
            "module/os/linux/spl/spl-proc.c:29:10: fatal error: linux/seq_file.h: No such file or directory",
            "ERROR: modpost: GPL-incompatible module zfs.ko uses GPL-only symbol 'bio_associate_blkg'",
        ] {
            assert!(names_a_reason(line), "{line}");
        }
        for line in [
            "configure: error: in '/usr/src/zfs-2.3.9':",
            "checking whether bdev_file exists... no",
            "make[2]: *** [Makefile:120: module/zfs/vdev_disk.o] Error 1",
            "  CC [M]  module/zfs/zio_error.o",
        ] {
            assert!(!names_a_reason(line), "{line}");
        }
    }
}
