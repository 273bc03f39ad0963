//! The Debian package: built twice to the same bytes, clean for lintian, and its whole life on a small Debian.
//!
//! The package is made from `$HARDSTAND_BINARY` (absolute) where that is set (the lab hands over the release binary), else from a
//! development build. The throw-away roots come from this machine's own Debian mirror, as any user. That the units
//! start and stop with it is shown in a guest, by the lab: no systemd runs in these roots.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hardstand_core::Settings;
use hardstand_exec::{Finished, Run};
use hardstand_tests::{cargo_env, root};
use tokio::sync::OnceCell;

/// A development build of the agent from nothing, on two busy cores.
const BUILD_LIMIT: Duration = Duration::from_secs(900);
/// Packing takes 10 s of one core, most of them for compressing; four times that was seen on a busy machine.
const PACK_LIMIT: Duration = Duration::from_secs(300);
/// lintian takes 3 s, and 11 s on a busy machine; apt less.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
/// A root takes about 10 s from a near mirror; a far one may need minutes.
const LIFE_LIMIT: Duration = Duration::from_secs(600);
/// The version that upgrades the one of the changelog.
const NEXT_VERSION: &str = "9999.0";

static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
static DEB: OnceCell<PathBuf> = OnceCell::const_new();
static NEXT_DEB: OnceCell<PathBuf> = OnceCell::const_new();

fn tool(name: &str) -> PathBuf {
    hardstand_exec::find(name).unwrap_or_else(|| panic!("{name} is missing (qemu/lab installs it)"))
}

/// An empty directory of this test's own.
fn fresh(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// The program to be packaged.
async fn binary() -> PathBuf {
    if let Some(given) = std::env::var_os("HARDSTAND_BINARY") {
        return PathBuf::from(given);
    }
    let manifest = root().join("Cargo.toml");
    let mut run = Run::new(env!("CARGO"), BUILD_LIMIT)
        .args(["build", "--locked", "-p", "hardstand", "--message-format=json", "--manifest-path"])
        .arg(manifest);
    for (name, value) in cargo_env() {
        run = run.env(name, value);
    }
    let printed = run.success().await.unwrap().stdout;
    let programs = String::from_utf8(printed).unwrap();
    let artefacts = programs.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let made = artefacts.filter_map(|artefact| artefact["executable"].as_str().map(PathBuf::from)).next_back();
    made.expect("cargo names the program it built")
}

/// Builds the package into a directory of that name.
async fn build_deb(name: &str, options: &[&str]) -> PathBuf {
    let script = root().join("agent/debian/build-deb");
    let run = Run::new(script, PACK_LIMIT).arg("--binary").arg(BINARY.get_or_init(binary).await).args(options);
    let printed = String::from_utf8(run.arg(fresh(name)).success().await.unwrap().stdout).unwrap();
    PathBuf::from(printed.lines().last().unwrap())
}

/// The package as shipped, built once for all tests of this file.
async fn deb() -> &'static Path {
    DEB.get_or_init(|| build_deb("deb", &[])).await
}

/// The same with a higher version.
async fn next_deb() -> &'static Path {
    NEXT_DEB.get_or_init(|| build_deb("deb-next", &["--version", NEXT_VERSION])).await
}

#[tokio::test]
async fn the_same_binary_gives_the_same_package() {
    let one = deb().await;
    let two = build_deb("deb-again", &[]).await;
    assert_eq!(one.file_name(), two.file_name());
    assert!(std::fs::read(one).unwrap() == std::fs::read(two).unwrap(), "two builds differ");
}

#[tokio::test]
async fn lintian_has_nothing_to_say() {
    let finished = Run::new(tool("lintian"), ANSWER_LIMIT)
        .args(["--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0"])
        .arg(deb().await)
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&finished.stdout);
    assert_eq!(finished.code, Some(0), "{told}{}", finished.stderr);
}

#[tokio::test]
async fn installed_upgraded_removed_and_purged_on_debian_13() {
    live("trixie").await;
}

#[tokio::test]
async fn installed_upgraded_removed_and_purged_on_debian_12() {
    live("bookworm").await;
}

/// Runs `tests/package/life.sh` in a root of that suite.
async fn live(suite: &str) {
    let dir = fresh(&format!("life-{suite}"));
    let inside = dir.join("life");
    std::fs::create_dir(&inside).unwrap();
    std::fs::copy(deb().await, inside.join("old.deb")).unwrap();
    std::fs::copy(next_deb().await, inside.join("new.deb")).unwrap();
    std::fs::copy(root().join("tests/package/life.sh"), inside.join("life.sh")).unwrap();
    let run = Run::new(tool("mmdebstrap"), LIFE_LIMIT)
        .args(["--quiet", "--variant=minbase", "--include=systemd", "--format=null"])
        .arg(format!("--customize-hook=copy-in '{}' /", inside.display()))
        .arg("--customize-hook=chroot \"$1\" sh /life/life.sh")
        .args([suite, "-"])
        .args(mirror().await);
    let finished = run.output().await.unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&finished.stdout), finished.stderr);
    assert!(finished.code == Some(0) && told.contains("life: whole"), "{suite}: {}\n{told}", finished.status);
}

/// The mirror this machine itself takes Debian from; none on another system (mmdebstrap then knows one).
async fn mirror() -> Option<String> {
    let format = "$(ORIGIN) $(CODENAME) $(SITE)";
    let asked = Run::new(tool("apt-get"), ANSWER_LIMIT).args(["indextargets", "--format", format]).success().await;
    let Finished { stdout, .. } = asked.unwrap();
    let targets = String::from_utf8(stdout).unwrap();
    let mut sites = targets.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (origin, codename, site) = (words.next()?, words.next()?, words.next()?);
        // `bookworm-security` and the like live at other addresses or in other suites of the same one.
        (origin == "Debian" && !codename.contains('-')).then(|| site.to_owned())
    });
    sites.next()
}

/// Settings that have no default, only an example.
const EXAMPLES: [&str; 27] = [
    "node.name = \"node1\"",
    "proxmox.connect_to = \"192.0.2.7:8006\"",
    "proxmox.node = \"pve1\"",
    "service.name = \"wiki\"",
    "service.url = \"https://wiki.example/\"",
    "service.body_contains = \"Wiki.js\"",
    "service.location = \"https://auth.example/\"",
    "service.latency_warn_seconds = 1.5",
    "service.ca_file = \"/etc/ssl/home-ca.pem\"",
    "service.connect_to = \"192.0.2.7:443\"",
    "service.slo_percent = 99.5",
    "backup.name = \"photos\"",
    "backup.path = \"/var/lib/backup\"",
    "backup.dated_by = \"mtime\"",
    "backup.endpoint = \"https://s3.example\"",
    "backup.bucket = \"backup\"",
    "backup.credentials = \"/etc/hardstand/credentials/s3\"",
    "backup.ca_file = \"/etc/ssl/home-ca.pem\"",
    "backup.max_age_hours = 26.0",
    "prune.dataset = \"tank/data\"",
    "prune.prefix = \"auto-\"",
    "corosync.device_on = \"nas\"",
    "kubernetes.ca_file = \"/etc/hardstand/credentials/kubernetes-ca.crt\"",
    "kubernetes.kubeconfig = \"/etc/hardstand/credentials/kubeconfig\"",
    "kubernetes.token_file = \"/etc/hardstand/credentials/kubernetes-token\"",
    "truenas.api_key_file = \"/etc/hardstand/credentials/truenas\"",
    "truenas.ca_file = \"/etc/hardstand/nas-ca.pem\"",
];

/// Every setting stands in the shipped config with its default, and nothing else does.
#[test]
fn the_default_config_tells_the_defaults() {
    let text = std::fs::read_to_string(root().join("agent/debian/agent.toml")).unwrap();
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with(['#', '['])), "a default is not commented out");
    let told: Vec<&str> = text.lines().map(|line| if is_setting(line) { &line[1..] } else { line }).collect();
    let told = settings_of(&told.join("\n").parse().unwrap());
    let mut real = settings_of(&toml::Table::try_from(Settings::with_one_of_each()).unwrap());
    real.retain(|setting| !EXAMPLES.iter().any(|example| setting.split(" = ").next() == example.split(" = ").next()));
    real.extend(EXAMPLES.map(str::to_owned));
    let differ: Vec<&String> = told.symmetric_difference(&real).collect();
    assert!(differ.is_empty(), "agent/debian/agent.toml and core::Settings differ in {differ:#?}");
}

/// `section.key = value`, one for each setting.
fn settings_of(config: &toml::Table) -> BTreeSet<String> {
    // Of tables of which there may be several, the first.
    let table = |section: &'_ toml::Value| section.get(0).unwrap_or(section).as_table().cloned();
    let sections = config.iter().map(|(name, section)| (name, table(section).expect("settings are in sections")));
    sections
        .flat_map(|(section, settings)| {
            settings.into_iter().map(move |(key, value)| format!("{section}.{key} = {value}"))
        })
        .collect()
}

/// `#key = value` or `#[[table]]`; prose has a blank after its `#`.
fn is_setting(line: &str) -> bool {
    line.strip_prefix('#').is_some_and(|rest| {
        rest.starts_with("[[") || rest.starts_with(|c: char| c.is_ascii_lowercase()) && rest.contains(" = ")
    })
}

#[test]
fn the_package_has_the_version_of_the_program() {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let program = manifest["workspace"]["package"]["version"].as_str().unwrap();
    let changelog = std::fs::read_to_string(root().join("agent/debian/changelog")).unwrap();
    assert_eq!(changelog.lines().next().unwrap().split(['(', ')']).nth(1), Some(program));
}

/// The units and the user they run as are shipped under the names the units use.
#[test]
fn every_unit_is_in_the_package() {
    let rules = std::fs::read_to_string(root().join("agent/debian/rules")).unwrap();
    let units = std::fs::read_dir(root().join("agent/units")).unwrap();
    let shipped: BTreeSet<String> =
        units.map(|unit| unit.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(shipped.len(), 3);
    for unit in shipped {
        assert!(rules.contains(&format!("units/{unit}")), "{unit} is not installed by agent/debian/rules");
    }
}
