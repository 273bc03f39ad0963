//! The image's figures: how large, how long a build takes with nothing cached and with only the overlay changed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hardstand_exec::Run;

use super::Row;
use crate::house::House;

/// A cold build fetches some 80 packages first.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
/// The list the anchor was measured with. Its image is smaller than the anchor's at this compression too; `live` spends
/// more on its size.
const NINE_PACKAGES: &str = r#"description = "the nine packages of the comparison"
suite = "trixie"
kernel = "cloud"
root = "ram"
outputs = ["uki"]
compression = 12
packages = ["systemd", "systemd-sysv", "dbus", "udev", "iproute2", "kmod", "openssh-server", "systemd-boot-efi"]
cmdline = ["console=ttyS0"]
remove = ["/etc/ssh/ssh_host_*"]
overlays = ["bench"]
"#;

/// Measures size and build times. The caches of the user are not used: the store is a new one.
pub(super) async fn measure(house: &House, images: &Path) -> Result<Vec<Row>> {
    let dir = house.evidence("bench-build", "")?;
    let (recipe, overlay) = (dir.join("recipes/nine.toml"), dir.join("overlays/bench/etc/motd"));
    write(&recipe, NINE_PACKAGES)?;
    write(&overlay, "first\n")?;
    println!("building an image of nine packages with nothing cached");
    let (cold, fetch) = cold(house, &dir, &recipe).await?;
    println!("building it again with another overlay");
    write(&overlay, "second\n")?;
    let warm = timed(build(house, &dir, &recipe)).await?;
    let nine = std::fs::metadata(dir.join("nine/uki.efi")).context("reading the size of the image of nine packages")?;
    let live = std::fs::metadata(images.join("live/uki.efi")).context("reading the size of the live image")?;
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    Ok(vec![
        Row {
            figure: "live image (UKI), metal kernel",
            ours: format!("{:.1} MB", live.len() as f64 / 1e6),
            peer: "mkosi, cloud kernel 112.6 MB (published)".to_owned(),
            target: "<= 80 MB",
            reached: Some(live.len() <= 80_000_000),
        },
        Row {
            figure: "image of nine packages, cold",
            ours: format!(
                "{}, {} of it resolving and fetching; {:.1} MB",
                seconds(cold),
                seconds(fetch),
                nine.len() as f64 / 1e6
            ),
            peer: "mkosi 25.3 48 to 57 s, 112.6 MB (published)".to_owned(),
            target: "<= 57 s",
            reached: Some(cold <= Duration::from_secs(57)),
        },
        Row {
            figure: "the same, warm (overlay changed)",
            ours: seconds(warm),
            peer: String::new(),
            target: ">= 10 times faster than cold",
            reached: Some(warm * 10 <= cold),
        },
    ])
}

fn write(file: &Path, text: &str) -> Result<()> {
    let dir = file.parent().context("a file of the bench has a directory")?;
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

async fn cold(house: &House, dir: &Path, recipe: &Path) -> Result<(Duration, Duration)> {
    let lock = program(house, dir).arg("lock").arg(recipe).arg("--lock").arg(dir.join("nine.lock"));
    let fetch = timed(store(lock, dir)).await?;
    Ok((fetch + timed(build(house, dir, recipe)).await?, fetch))
}

fn build(house: &House, dir: &Path, recipe: &Path) -> Run {
    let run = program(house, dir).arg("build").arg(recipe).arg("--lock").arg(dir.join("nine.lock"));
    store(run, dir).arg("--out").arg(dir.join("nine"))
}

/// Nothing of an earlier run may help: every cache is looked for in a directory that is new.
fn program(house: &House, dir: &Path) -> Run {
    let program: PathBuf = house.built("release", "hardstand-image");
    house.build_run(program, BUILD_LIMIT).env("XDG_CACHE_HOME", dir.join("cache"))
}

fn store(run: Run, dir: &Path) -> Run {
    run.arg("--store").arg(dir.join("store"))
}

async fn timed(run: Run) -> Result<Duration> {
    let start = Instant::now();
    run.attached().await?;
    Ok(start.elapsed())
}
