//! The files of a configuration, in the order they apply.
//!
//! It must never look inside them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{MAIN_FILE, Problem};

/// Drop-in directories, weakest first: a file hides one of the same name in the directories before it.
const DROP_IN_DIRECTORIES: [&str; 3] =
    ["usr/lib/hardstand/agent.toml.d", "run/hardstand/agent.toml.d", "etc/hardstand/agent.toml.d"];

/// No configuration of one node comes near this; a file that does was named by mistake.
const FILE_LIMIT_BYTES: u64 = 1024 * 1024;

/// One file as it was read.
#[derive(Debug)]
pub(super) struct Fragment {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Its text.
    pub(super) text: String,
}

/// Reads the one file that was named. It must be there.
pub(super) fn read_file(path: &Path) -> Result<Fragment, Problem> {
    let read = |source| Problem::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(read)?;
    file.take(FILE_LIMIT_BYTES + 1).read_to_string(&mut text).map_err(read)?;
    if text.len() as u64 > FILE_LIMIT_BYTES {
        return Err(Problem::TooLarge { path: path.to_owned(), limit: FILE_LIMIT_BYTES });
    }
    Ok(Fragment { path: path.to_owned(), text })
}

/// Reads the main file, where there is one, and every drop-in of the machine below `root`.
pub(super) fn read_system(root: &Path) -> Result<Vec<Fragment>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut paths = Vec::new();
    let main = root.join(MAIN_FILE.trim_start_matches('/'));
    if !matches!(main.try_exists(), Ok(false)) {
        paths.push(main);
    }
    let mut drop_ins = BTreeMap::new();
    for directory in DROP_IN_DIRECTORIES {
        if let Err(problem) = list_drop_ins(&root.join(directory), &mut drop_ins) {
            problems.push(problem);
        }
    }
    paths.extend(drop_ins.into_values());
    let mut fragments = Vec::new();
    for path in paths {
        match read_file(&path) {
            Ok(fragment) => fragments.push(fragment),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(fragments) } else { Err(problems) }
}

/// Adds the `*.toml` of one directory. A link to `/dev/null` hides the weaker file and, being empty, sets nothing.
fn list_drop_ins(directory: &Path, into: &mut BTreeMap<OsString, PathBuf>) -> Result<(), Problem> {
    let read = |source| Problem::Read { path: directory.to_owned(), source };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(read(error)),
    };
    for entry in entries {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|extension| extension == "toml")
            && let Some(name) = path.file_name()
        {
            into.insert(name.to_owned(), path);
        }
    }
    Ok(())
}
