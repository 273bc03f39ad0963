//! The command line of hardstand-image. It parses and prints; the work is in the modules it calls.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Parser, Subcommand};
use hardstand_recipe::lock::{Lock, SCHEMA};
use hardstand_recipe::manifest;
use hardstand_recipe::plan::{self, Local, Plan, PlanError};
use hardstand_recipe::recipe::Recipe;
use hardstand_recipe::size;

use crate::files;
use crate::problem::Problem;
use crate::progress::say;
use crate::scratch::Scratch;
use crate::store::{self, Store};
use crate::{apt, build, deb, fetch, load, mirrors, seal, twice, verify, zfs};

/// Builds, locks, verifies and compares hardstand images.
#[derive(Debug, Parser)]
#[command(name = "hardstand-image", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read a recipe with its ancestors and overlays; say what it means or what is wrong. Touches no network.
    #[command(after_help = hardstand_recipe::recipe::HELP)]
    Check {
        /// The recipe.
        recipe: PathBuf,
    },
    /// Resolve the recipe's packages, write the lock, fetch the packages into the store.
    Lock(LockArgs),
    /// Build the image from the lock and the store alone.
    Build(BuildArgs),
    /// Check an image directory: signature, checksums, manifest. Says which bytes are wrong; ends with 1 if any are.
    Verify {
        /// The image directory.
        dir: PathBuf,
        /// Public key of whoever built it [default: your own].
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Say what differs between two images: packages, files, sizes. Ends with 1 if anything does.
    Diff {
        /// The older image directory.
        old: PathBuf,
        /// The newer image directory.
        new: PathBuf,
    },
    /// Remove from the store what was made and not used for 30 days. Packages stay; so does all of a store in use.
    Clean {
        /// The package store [default: ~/.cache/hardstand/store].
        #[arg(long, value_name = "DIR")]
        store: Option<PathBuf>,
    },
    /// Print the software bill of materials of an image (SPDX 2.3, JSON).
    Sbom {
        /// The image directory.
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
struct LockArgs {
    /// The recipe.
    recipe: PathBuf,
    /// The lock file [default: the recipe's name with .lock, beside it].
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Resolve nothing; fetch what the lock already names.
    #[arg(long)]
    locked: bool,
    /// Address of the main archive [default: from this machine's package sources].
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Address of the security archive [default: from this machine's package sources].
    #[arg(long, value_name = "URL")]
    security_mirror: Option<String>,
    /// The package store [default: ~/.cache/hardstand/store].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct BuildArgs {
    /// The recipe.
    recipe: PathBuf,
    /// The lock file [default: the recipe's name with .lock, beside it].
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Output directory; replaced as a whole when the build is done.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A package file the recipe names in local_packages; may be repeated.
    #[arg(long = "package", value_name = "FILE.deb")]
    packages: Vec<PathBuf>,
    /// Build a second time from nothing but the packages, and compare every byte.
    #[arg(long)]
    twice: bool,
    /// Print the plan and build nothing.
    #[arg(long)]
    plan: bool,
    /// The package store [default: ~/.cache/hardstand/store].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

impl Cli {
    /// Does what was asked; the status the program ends with.
    pub(crate) async fn run(self) -> Result<ExitCode, Problem> {
        match self.command {
            Command::Check { recipe } => check(&recipe)?,
            Command::Lock(args) => lock(&args).await?,
            Command::Build(args) => build_image(&args).await?,
            Command::Verify { dir, key } => return verify(&dir, key.as_deref()),
            Command::Diff { old, new } => {
                let lines = manifest::diff(&load::manifest(&old)?, &load::manifest(&new)?);
                lines.iter().for_each(|line| print(line));
                return Ok(ExitCode::from(u8::from(!lines.is_empty())));
            }
            Command::Clean { store } => clean(store.as_deref())?,
            Command::Sbom { dir } => {
                let document = seal::sbom_of(&load::manifest(&dir)?);
                print(&serde_json::to_string_pretty(&document).expect("our own types have string keys only"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn verify(dir: &Path, key: Option<&Path>) -> Result<ExitCode, Problem> {
    let verdict = verify::verify(dir, key)?;
    for fault in &verdict.faults {
        print(fault);
    }
    if verdict.faults.is_empty() {
        print(&format!("{}: good, {} files, signed ({})", dir.display(), verdict.files, verdict.signed));
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!(
        "{}: do not boot this image; build it again or copy it again from where it was built",
        dir.display()
    ));
    Ok(ExitCode::FAILURE)
}

async fn build_image(args: &BuildArgs) -> Result<(), Problem> {
    let recipe = load::recipe(&args.recipe)?;
    let lock_path = lock_path(&args.recipe, args.lock.as_deref());
    let lock = load::lock(&lock_path)?;
    lock.check(&lock_path.display().to_string(), &recipe)?;
    let store = Store::open(args.store.as_deref())?;
    let mut local = Vec::new();
    for file in &args.packages {
        local.push(deb::read_local(file).await?);
    }
    let plan = make_plan(&store, &recipe, &lock, &local).await?;
    if args.plan {
        print(plan.to_string().trim_end());
        return Ok(());
    }
    let lock_sha256 = files::sha256(lock.text().as_bytes());
    let job = build::Job { plan: &plan, recipe: &args.recipe, lock_sha256: &lock_sha256, out: &args.out };
    build::build(&store, &job).await?;
    if args.twice {
        twice::prove(&store, &job).await?;
    }
    Ok(())
}

fn clean(given: Option<&Path>) -> Result<(), Problem> {
    print(&match store::prune(given, SystemTime::now())? {
        Some(freed) => format!("store: {} unused entries removed, {}", freed.entries, size::words(freed.bytes)),
        None => "store: left alone, another run uses it; clean again when that has ended".to_owned(),
    });
    Ok(())
}

async fn make_plan(store: &Store, recipe: &Recipe, lock: &Lock, local: &[Local]) -> Result<Plan, Problem> {
    let mut inputs = plan::inputs(recipe, lock, local);
    if recipe.zfs {
        inputs.push_str(zfs::SCRIPT);
    }
    let digest = files::digest(inputs.as_bytes());
    match plan::make(recipe, lock, local, &[], &digest) {
        // Perhaps a package of the lock provides it under another name: worth a look into each, but only now.
        Err(PlanError::Needs { .. }) => {
            let mut provided = Vec::new();
            for package in &lock.packages {
                if let Some(file) = store.package(&package.sha256, package.size)? {
                    provided.extend(deb::provides(&file).await?);
                }
            }
            Ok(plan::make(recipe, lock, local, &provided, &digest)?)
        }
        made => Ok(made?),
    }
}

fn check(path: &Path) -> Result<(), Problem> {
    let recipe = load::recipe(path)?;
    for name in &recipe.overlays {
        load::overlay(path, name, 0)?;
    }
    print(&format!("{}: {}", recipe.name, recipe.description));
    print(&format!("  packages  {} by name, {} local", recipe.packages.len(), recipe.local_packages.len()));
    print(&format!("  overlays  {}", recipe.overlays.join(", ")));
    print(&format!("  cmdline   {}", recipe.cmdline));
    Ok(())
}

async fn lock(args: &LockArgs) -> Result<(), Problem> {
    let recipe = load::recipe(&args.recipe)?;
    let path = lock_path(&args.recipe, args.lock.as_deref());
    let store = Store::open(args.store.as_deref())?;
    let mirrors = mirrors::find(args.mirror.as_deref(), args.security_mirror.as_deref())?;
    if mirrors.security.is_none() && !args.locked {
        say("no security archive is known, so the lock will lack its updates; name one with --security-mirror URL");
    }
    let lock = if args.locked {
        let lock = load::lock(&path)?;
        lock.check(&path.display().to_string(), &recipe)?;
        lock
    } else {
        resolve(&recipe, &mirrors).await?
    };
    fetch::packages(&store, &mirrors, &lock.files()).await?;
    if !args.locked {
        if let Some(dir) = path.parent() {
            files::make_dir(dir)?;
        }
        files::replace(&path, lock.text().as_bytes(), 0o644)?;
    }
    let build = match lock.build.len() {
        0 => String::new(),
        count => format!(", and {count} that compile ZFS"),
    };
    say(&format!("{}: {} packages{build}", path.display(), lock.packages.len()));
    Ok(())
}

async fn resolve(recipe: &Recipe, mirrors: &hardstand_recipe::sources::Mirrors) -> Result<Lock, Problem> {
    let scratch = Scratch::new()?;
    let question = apt::Question {
        suite: &recipe.suite,
        components: &recipe.components,
        packages: &recipe.packages,
        mirrors,
        zfs: recipe.zfs,
    };
    let answer = apt::resolve(scratch.path(), &question).await?;
    let clock = answer.archives.iter().map(|archive| archive.date).max().unwrap_or(0);
    Ok(Lock {
        schema: SCHEMA.to_owned(),
        recipe: recipe.name.clone(),
        clock,
        suite: recipe.suite.clone(),
        components: recipe.components.clone(),
        asked: recipe.packages.clone(),
        archives: answer.archives,
        packages: answer.packages,
        build: answer.build,
    })
}

fn lock_path(recipe: &Path, given: Option<&Path>) -> PathBuf {
    given.map_or_else(|| recipe.with_extension("lock"), Path::to_owned)
}

/// One line of the answer. A reader who has seen enough (`| head`) is no error.
fn print(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}
