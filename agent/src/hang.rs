//! What tests of things that hang share: a door that keeps a job until it is opened, and a runtime with a limit.
//!
//! It must never be part of the program.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Most a test waits for something that should happen at once, on a machine that is busy with other builds.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A door that keeps a job until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    /// Waits until it is open.
    pub(crate) fn wait(&self) {
        let mut open = self.0.0.lock().expect("no test panics with the door in its hand");
        while !*open {
            open = self.0.1.wait(open).expect("no test panics with the door in its hand");
        }
    }

    /// Lets everybody through, now and later.
    pub(crate) fn open(&self) {
        *self.0.0.lock().expect("no test panics with the door in its hand") = true;
        self.0.1.notify_all();
    }
}

/// Runs a future on a runtime of its own, within [`LIMIT`].
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime
        .expect("a test may have a runtime")
        .block_on(async { tokio::time::timeout(LIMIT, future).await.expect("the test should have ended by now") })
}
