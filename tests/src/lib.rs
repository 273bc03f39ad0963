//! Checkers that look at the whole house. They take text and return violations; the files in `tests/` feed them
//! with the repository and demand that nothing comes back.
//!
//! Each checker is itself tested on small bad inputs here, so that none can pass because it sees nothing.

pub mod arrows;
pub mod licences;
pub mod rules;
pub mod source;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The top of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate lies one below the top").to_owned()
}

/// What cargo needs of our environment to find its compiler, its registry and its output: all else stays away.
pub fn cargo_env() -> Vec<(&'static str, OsString)> {
    let names = ["HOME", "PATH", "CARGO_HOME", "CARGO_TARGET_DIR", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
    names.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect()
}

/// Every file below `top` whose name ends so, sorted; build output and hidden directories left out.
pub fn files_below(top: &Path, ending: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut rooms = vec![top.to_owned()];
    while let Some(room) = rooms.pop() {
        for entry in std::fs::read_dir(&room)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    rooms.push(entry.path());
                }
            } else if name.ends_with(ending) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
