//! apt-get as a resolver: in directories of its own, so that neither the machine's lists nor its dpkg state play a part.
//! It must never install anything here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hardstand_exec::{ExecError, Run, Stream, find};
use hardstand_recipe::lock::{Archive, Package};
use hardstand_recipe::sources::Mirrors;
use hardstand_recipe::zfs;

use crate::files;
use crate::problem::{Doing, Problem};
use crate::progress::Progress;

/// Package lists of a suite are about 10 MB; a slow line needs minutes, a dead one must not hold us for ever.
const UPDATE_LIMIT: Duration = Duration::from_secs(600);
/// Resolving some hundred packages takes a second.
const RESOLVE_LIMIT: Duration = Duration::from_secs(120);
/// Signs the archive of every release this program builds.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Packed lists of one suite, for the bar.
const LISTS_BYTES: u64 = 10_000_000;

/// Stands in the resolver's dpkg status for the package that the build of the ZFS modules makes.
const PROVIDED: &str = "Package: zfs-modules-of-this-image\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\
                        Maintainer: nobody <root@localhost>\nDescription: modules\nProvides: zfs-modules\n\n";

/// What to resolve.
pub(crate) struct Question<'a> {
    pub(crate) suite: &'a str,
    pub(crate) components: &'a [String],
    pub(crate) packages: &'a [String],
    pub(crate) mirrors: &'a Mirrors,
    /// Whether the packages that compile the ZFS modules are resolved too.
    pub(crate) zfs: bool,
}

/// What apt answered.
pub(crate) struct Answer {
    pub(crate) archives: Vec<Archive>,
    pub(crate) packages: Vec<Package>,
    /// What compiles the ZFS modules.
    pub(crate) build: Vec<Package>,
}

/// Fetches the lists (signatures checked by apt) and resolves the packages with all they need.
pub(crate) async fn resolve(scratch: &Path, question: &Question<'_>) -> Result<Answer, Problem> {
    let apt_get = find("apt-get").ok_or_else(|| Problem::Refused("apt-get is missing; install apt".to_owned()))?;
    let config = prepare(scratch, question)?;
    update(&apt_get, &config, question.suite).await?;
    let packages = choose(&apt_get, &config, question, question.packages).await?;
    let build = if question.zfs {
        let wanted = zfs::build_packages(&packages).ok_or_else(|| {
            Problem::Refused("zfs = true needs one kernel in `packages`; leave the others out".to_owned())
        })?;
        choose(&apt_get, &config, question, &wanted).await?
    } else {
        Vec::new()
    };
    Ok(Answer { archives: archives(scratch)?, packages, build })
}

/// What apt would install for these, from nothing.
async fn choose(
    apt_get: &Path,
    config: &Path,
    question: &Question<'_>,
    wanted: &[String],
) -> Result<Vec<Package>, Problem> {
    let printed = Run::new(apt_get, RESOLVE_LIMIT)
        .env("APT_CONFIG", config)
        .args(["--yes", "--print-uris", "--no-install-recommends", "install", "?essential"])
        .args(wanted)
        .success()
        .await
        .map_err(|error| explain(error, question))?;
    let text = String::from_utf8_lossy(&printed.stdout);
    let mut packages = text
        .lines()
        .filter(|line| line.starts_with('\''))
        .map(|line| parse_line(line, question.mirrors))
        .collect::<Result<Vec<_>, _>>()?;
    packages.sort();
    Ok(packages)
}

fn prepare(scratch: &Path, question: &Question<'_>) -> Result<PathBuf, Problem> {
    for dir in ["state/lists/partial", "cache/archives/partial", "etc", "log"] {
        files::make_dir(&scratch.join(dir))?;
    }
    // The tools need the modules, which no package of the archive holds: the build's own will.
    let status = if question.zfs { PROVIDED } else { "" };
    files::write(&scratch.join("state/status"), status.as_bytes())?;
    let components = question.components.join(" ");
    let line = |uri: &str, suite: &str| format!("deb [signed-by={KEYRING}] {uri} {suite} {components}\n");
    let suite = question.suite;
    let mut sources = line(&question.mirrors.main, suite) + &line(&question.mirrors.main, &format!("{suite}-updates"));
    if let Some(security) = &question.mirrors.security {
        sources += &line(security, &format!("{suite}-security"));
    }
    files::write(&scratch.join("etc/sources.list"), sources.as_bytes())?;
    let root = scratch.display();
    let config = format!(
        "Dir \"{root}\";\nDir::State \"state\";\nDir::State::status \"{root}/state/status\";\nDir::Cache \"cache\";\n\
         Dir::Log \"log\";\nDir::Etc \"etc\";\nDir::Etc::sourceparts \"-\";\nDir::Etc::trustedparts \"-\";\n\
         APT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\nAPT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\nAcquire::Retries \"3\";\nAcquire::ForceHash \"SHA256\";\n"
    );
    let path = scratch.join("apt.conf");
    files::write(&path, config.as_bytes())?;
    Ok(path)
}

async fn update(apt_get: &Path, config: &Path, suite: &str) -> Result<(), Problem> {
    let mut progress = Progress::new("package lists", LISTS_BYTES);
    let (mut failed, mut missing) = (None, None);
    Run::new(apt_get, UPDATE_LIMIT)
        .env("APT_CONFIG", config)
        .args(["--error-on=any", "update"])
        .lines(|stream, line| {
            if stream == Stream::Err && line.starts_with("E:") && failed.is_none() {
                failed = Some(line.to_owned());
            }
            missing = missing.take().or_else(|| missing_component(line, suite));
            progress.add(fetched_bytes(line));
        })
        .await
        .doing(|| {
            let why = failed.map_or_else(String::new, |line| format!(" ({line})"));
            format!("fetching the package lists{why}; check the mirror, or name another with --mirror URL")
        })?;
    progress.end();
    match missing {
        None => Ok(()),
        Some(component) => Err(Problem::Refused(format!(
            "the mirror has no component {component} in {suite}, which the recipe asks for ({}); name a mirror that has it with --mirror URL, or take that out of the recipe",
            asked_by(&component)
        ))),
    }
}

/// The keys of a recipe that bring a component with them.
fn asked_by(component: &str) -> &'static str {
    match component {
        "contrib" => "by zfs = true or components",
        "non-free-firmware" => "by firmware = true, microcode = true or components",
        _ => "by components",
    }
}

/// The component that the suite itself does not have; its updates may lack one. apt only warns of it.
fn missing_component(line: &str, suite: &str) -> Option<String> {
    let rest = line.strip_prefix("W: Skipping acquire of configured file ")?;
    let (repository, rest) = rest.split_once(" doesn't have the component '")?;
    repository.ends_with(&format!(" {suite} InRelease'")).then(|| rest.split('\'').next().unwrap_or("?").to_owned())
}

/// `Get:5 http://... trixie/main amd64 Packages [9670 kB]`
fn fetched_bytes(line: &str) -> u64 {
    let Some((_, size)) = line.rsplit_once('[').filter(|_| line.starts_with("Get:")) else { return 0 };
    let mut words = size.trim_end_matches(']').split(' ');
    let number: u64 = words.next().and_then(|word| word.replace(',', "").parse().ok()).unwrap_or(0);
    match words.next() {
        Some("kB") => number * 1000,
        Some("MB") => number * 1_000_000,
        _ => number,
    }
}

/// apt's "Unable to locate package x" becomes one sentence about the recipe.
fn explain(error: ExecError, question: &Question<'_>) -> Problem {
    if let ExecError::Failed { stderr, .. } = &error {
        let missing = |line: &str| {
            line.strip_prefix("E: Unable to locate package ")
                .or_else(|| line.strip_prefix("E: Package '")?.strip_suffix("' has no installation candidate"))
                .map(str::to_owned)
        };
        let names: Vec<_> = stderr.lines().filter_map(missing).collect();
        if !names.is_empty() {
            return Problem::Refused(format!(
                "the archive has no package {} in {} ({}); correct `packages` of the recipe, or add the component that holds it",
                names.join(", "),
                question.suite,
                question.components.join(" ")
            ));
        }
    }
    Problem::Program { doing: "resolving the packages of the recipe".to_owned(), source: error }
}

/// `'http://mirror/debian/pool/main/a/apt/apt_3.0.3_amd64.deb' apt_3.0.3_amd64.deb 1431320 SHA256:...`
fn parse_line(line: &str, mirrors: &Mirrors) -> Result<Package, Problem> {
    let refuse = || Problem::Refused(format!("apt-get printed a line this program does not know: {line}"));
    let mut words = line.split_whitespace();
    let uri = words.next().ok_or_else(refuse)?.trim_matches('\'');
    let file = words.next().ok_or_else(refuse)?;
    let size = words.next().and_then(|word| word.parse().ok()).ok_or_else(refuse)?;
    let sha256 = words.next().and_then(|word| word.strip_prefix("SHA256:")).ok_or_else(refuse)?.to_owned();
    let mut parts = file.strip_suffix(".deb").ok_or_else(refuse)?.split('_');
    let (Some(name), Some(version), Some(architecture)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(refuse());
    };
    // The longer address first: a security archive may lie below the main one.
    let below = |base: &str| uri.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
    let (archive, path) = match mirrors.security.as_deref().and_then(below) {
        Some(path) => ("security", path),
        None => ("main", below(&mirrors.main).ok_or_else(refuse)?),
    };
    Ok(Package {
        name: name.to_owned(),
        version: version.replace("%3a", ":").replace("%7e", "~"),
        architecture: architecture.to_owned(),
        size,
        sha256,
        archive: archive.to_owned(),
        path: path.replace("%2b", "+").replace("%7e", "~"),
    })
}

fn archives(scratch: &Path) -> Result<Vec<Archive>, Problem> {
    let dir = scratch.join("state/lists");
    let doing = || format!("listing {}", dir.display());
    let mut archives = Vec::new();
    for entry in std::fs::read_dir(&dir).doing(doing)? {
        let path = entry.doing(doing)?.path();
        if !path.to_string_lossy().ends_with("_InRelease") {
            continue;
        }
        let text = files::read_text(&path)?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let suite = field("Codename:").unwrap_or("?").to_owned();
        let date = field("Date:").and_then(crate::date::parse_rfc5322).ok_or_else(|| {
            Problem::Refused(format!(
                "the Release file of {suite} has no date this program can read; try another mirror"
            ))
        })?;
        let name = if suite.ends_with("-security") { "security" } else { "main" };
        archives.push(Archive { name: name.to_owned(), suite, date });
    }
    archives.sort_by(|a, b| a.suite.cmp(&b.suite));
    Ok(archives)
}

#[cfg(test)]
mod tests {
    use super::{fetched_bytes, missing_component, parse_line};
    use hardstand_recipe::sources::Mirrors;

    #[test]
    fn a_line_of_apt_becomes_a_package() {
        let mirrors = Mirrors {
            main: "http://m.example/debian".to_owned(),
            security: Some("http://m.example/debian-security".to_owned()),
        };
        let line = format!(
            "'http://m.example/debian-security/pool/updates/main/d/dbus/dbus_1.16.2-2+b1_amd64.deb' dbus_1%3a1.16.2-2+b1_amd64.deb 71312 SHA256:{}",
            "0".repeat(64)
        );
        let package = parse_line(&line, &mirrors).unwrap();
        assert_eq!((package.name.as_str(), package.version.as_str()), ("dbus", "1:1.16.2-2+b1"));
        assert_eq!((package.archive.as_str(), package.size), ("security", 71312));
        assert_eq!(package.path, "pool/updates/main/d/dbus/dbus_1.16.2-2+b1_amd64.deb");
        assert!(parse_line("'x' y", &mirrors).is_err());
    }

    #[test]
    fn a_component_the_mirror_lacks_is_seen() {
        let line = |suite: &str| {
            format!(
                "W: Skipping acquire of configured file 'non-free-firmware/binary-amd64/Packages' as repository \
                 'http://m.example/debian {suite} InRelease' doesn't have the component 'non-free-firmware' (component misspelt in sources.list?)"
            )
        };
        assert_eq!(missing_component(&line("trixie"), "trixie").as_deref(), Some("non-free-firmware"));
        assert_eq!(missing_component(&line("trixie-updates"), "trixie"), None);
        assert_eq!(missing_component("W: something else", "trixie"), None);
    }

    #[test]
    fn fetched_sizes_are_counted() {
        assert_eq!(fetched_bytes("Get:4 http://m.example trixie/main amd64 Packages [9,670 kB]"), 9_670_000);
        assert_eq!(fetched_bytes("Reading package lists..."), 0);
    }
}
