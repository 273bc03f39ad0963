//! `hardstand-image check` as an operator meets it: what it accepts, and the exact words of each refusal. No network.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use hardstand_exec::{Finished, Run};

const LIMIT: Duration = Duration::from_secs(30);

async fn check(recipe: &Path) -> Finished {
    Run::new(env!("CARGO_BIN_EXE_hardstand-image"), LIMIT).arg("check").arg(recipe).output().await.unwrap()
}

/// Writes files into a directory of their own and returns it.
fn files(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("check").join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    for (path, text) in files {
        std::fs::write(dir.join(path), text).unwrap();
    }
    dir
}

async fn refusal(name: &str, recipes: &[(&str, &str)]) -> String {
    let dir = files(name, recipes);
    let finished = check(&dir.join("a.toml")).await;
    assert_eq!(finished.code, Some(1));
    finished.stderr.replace(&format!("{}/", dir.display()), "")
}

#[tokio::test]
async fn the_recipes_of_this_repository_are_right() {
    for name in ["live", "lab-node", "lab-storage", "lab-fleet"] {
        let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../recipes/{name}.toml"));
        let finished = check(&recipe).await;
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert!(String::from_utf8_lossy(&finished.stdout).starts_with(&format!("{name}: ")));
    }
}

#[tokio::test]
async fn a_refusal_names_file_line_and_way_out() {
    assert_eq!(
        refusal("typo", &[("a.toml", "suite = \"trixie\"\novrelays = [\"x\"]\n")]).await,
        "hardstand-image: a.toml:2: unknown key `ovrelays`; did you mean `overlays`?\n"
    );
    assert_eq!(
        refusal("parent-typo", &[("a.toml", "extends = \"b\"\n"), ("b.toml", "\n\nzsf = true\n")]).await,
        "hardstand-image: b.toml:3: unknown key `zsf`; did you mean `zfs`?\n"
    );
    assert_eq!(
        refusal("orphan", &[("a.toml", "extends = \"b\"\n")]).await,
        "hardstand-image: a.toml: `extends` names b.toml, which does not exist\n"
    );
    assert_eq!(
        refusal("circle", &[("a.toml", "extends = \"b\"\n"), ("b.toml", "extends = \"a\"\n")]).await,
        "hardstand-image: a.toml: `extends` leads back to a.toml; break the circle\n"
    );
    let bare = "suite = \"trixie\"\nkernel = \"cloud\"\noverlays = [\"./over\"]\n";
    assert_eq!(
        refusal("overlay", &[("a.toml", bare)]).await,
        "hardstand-image: a.toml: overlay `./over` is not a directory at ./over; make it or correct `overlays`\n"
    );
}
