//! The agent's memory on disk: [`hardstand_core::History`] as one JSON file, replaced whole.
//!
//! It must never take a torn file for an absent one, and never leave half a file behind.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use hardstand_core::History;

/// Seconds between two writes while nothing changes that must not be forgotten: a flash disk should not be worn
/// for counters that can be read again.
const WRITE_EVERY_SECONDS: f64 = 600.0;
const FILE: &str = "history.json";

/// Why the memory could not be written.
#[derive(Debug, thiserror::Error)]
#[error("writing {}: {source}; free some space or check its owner", path.display())]
pub(crate) struct StateError {
    path: PathBuf,
    source: std::io::Error,
}

/// Where the memory lies, and when it was last written.
#[derive(Debug)]
pub(crate) struct State {
    dir: PathBuf,
    written_at: f64,
    remembered: Vec<String>,
}

impl State {
    /// Reads the memory below `dir`. One that cannot be read is set aside as `history.json.broken` and its loss is
    /// part of the memory that starts now.
    pub(crate) fn read(dir: &Path) -> (Self, History) {
        let path = dir.join(FILE);
        let history = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => History::default(),
            Err(error) => History::lost(format!("reading {}: {error}", path.display())),
            Ok(text) => serde_json::from_str(&text).unwrap_or_else(|error| {
                let aside = path.with_extension("json.broken");
                let kept = match std::fs::rename(&path, &aside) {
                    Ok(()) => format!("kept as {}", aside.display()),
                    Err(error) => format!("left where it is: {error}"),
                };
                History::lost(format!("parsing {}: {error} ({kept})", path.display()))
            }),
        };
        let remembered = history.remembered().cloned().collect();
        (Self { dir: dir.to_owned(), written_at: f64::NEG_INFINITY, remembered }, history)
    }

    /// Writes the memory if a disk or another thing that would be missed came or went, if it has not been written for a while, or if it `must`.
    pub(crate) fn keep(&mut self, history: &History, boottime_seconds: f64, must: bool) -> Result<(), StateError> {
        let same = history.remembered().eq(self.remembered.iter());
        if !must && same && boottime_seconds - self.written_at < WRITE_EVERY_SECONDS {
            return Ok(());
        }
        // Also when it fails: a full disk is asked again later, not every ten seconds.
        self.written_at = boottime_seconds;
        self.remembered = history.remembered().cloned().collect();
        self.write(history)
    }

    fn write(&self, history: &History) -> Result<(), StateError> {
        let path = self.dir.join(FILE);
        let failed = |source| StateError { path: path.clone(), source };
        let text = serde_json::to_vec(history).map_err(|error| failed(error.into()))?;
        std::fs::create_dir_all(&self.dir).map_err(failed)?;
        let next = self.dir.join(".history.json.next");
        let mut file = File::create(&next).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&next, &path).map_err(failed)?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (mut state, history) = State::read(dir.path());
        state.keep(&history, 0.0, true).unwrap();
        let (_, read) = State::read(dir.path());
        assert_eq!(read, history);
    }

    #[test]
    fn a_torn_file_is_set_aside_and_its_loss_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "{\"boot_id\": \"a").unwrap();
        let (_, history) = State::read(dir.path());
        assert_ne!(history, History::default());
        assert!(dir.path().join("history.json.broken").exists());
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn a_write_that_fails_says_where_and_is_not_tried_at_once_again() {
        let mut state = State::read(Path::new("/proc")).0;
        let error = state.keep(&History::default(), 0.0, false).unwrap_err().to_string();
        assert!(error.starts_with("writing /proc/history.json: "), "{error}");
        let known = r#"{"disks":{"S1":{"name":"sda","model":null,"size_bytes":1,"comes_and_goes":false,"last_seen_unix_seconds":1}}}"#;
        let history: History = serde_json::from_str(known).unwrap();
        assert!(state.keep(&history, 1.0, false).is_err(), "a disk that came is worth a try");
        assert!(state.keep(&history, 2.0, false).is_ok(), "one try, not one each pass");
    }
}
