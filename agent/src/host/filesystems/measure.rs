//! statvfs with a deadline: each mount is a job of the crew, and one that hangs is remembered until it comes back.
//!
//! It must never have two probes of one mount under way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hardstand_core::observed::Space;
use nix::errno::Errno;
use nix::sys::statvfs::statvfs;

use super::Listed;
use crate::crew::{Crew, Job};
use crate::host::Host;

/// Most mounts that may hang at once, each with a thread. A dead file server with more mounts than that is told as well
/// by the first ones.
const HUNG_LIMIT: usize = 16;

/// Device number and mount point.
type Place = (String, String);
type Answer = Result<Space, String>;

/// Measures filesystems, and remembers which hang.
pub(crate) struct Gauges {
    host: Host,
    crew: Arc<Crew>,
    measure: Arc<dyn Fn(&Path) -> Answer + Send + Sync>,
    under_way: Arc<AtomicUsize>,
    hung: Mutex<BTreeMap<Place, (Instant, Job<Answer>)>>,
}

/// What came of one mount.
pub(super) enum Measured {
    Space(Space),
    Failed(String),
    Stuck(String),
}

impl Gauges {
    /// Gauges of this machine's statvfs.
    pub(crate) fn new(host: Host, crew: Arc<Crew>) -> Self {
        Self::with(host, crew, Arc::new(space_of))
    }

    pub(super) fn with(host: Host, crew: Arc<Crew>, measure: Arc<dyn Fn(&Path) -> Answer + Send + Sync>) -> Self {
        Self { host, crew, measure, under_way: Arc::default(), hung: Mutex::default() }
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn crew(&self) -> &Crew {
        &self.crew
    }

    /// One answer for each filesystem, in the same order. `deadline` is for one mount, and must be shorter than the
    /// collector's.
    pub(super) async fn measure(&self, listed: &[Listed], deadline: Duration) -> Vec<Measured> {
        let began = Instant::now();
        let places = listed.iter().map(|listed| (listed.mount.device_number.clone(), listed.mount.mount_point.clone()));
        let places: Vec<Place> = places.collect();
        self.forget_returned();
        let begun: Vec<Begun> = listed.iter().zip(&places).map(|(listed, place)| self.begin(listed, place)).collect();
        let mut answers = Vec::with_capacity(begun.len());
        for (begun, place) in begun.into_iter().zip(places) {
            answers.push(match begun {
                Begun::Known(measured) => measured,
                Begun::Job(job) => self.wait(place, began, deadline, job).await,
            });
        }
        answers
    }

    fn forget_returned(&self) {
        self.hung.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, (_, job)| !job.has_ended());
    }

    fn begin(&self, listed: &Listed, place: &Place) -> Begun {
        if let Some(why) = &listed.hidden {
            return Begun::Known(Measured::Failed(why.clone()));
        }
        if let Some((since, _)) = self.hung.lock().unwrap_or_else(PoisonError::into_inner).get(place) {
            return Begun::Known(Measured::Stuck(stuck_for(since.elapsed())));
        }
        let path: PathBuf = self.host.path(place.1.trim_start_matches('/'));
        let (measure, under_way) = (Arc::clone(&self.measure), Arc::clone(&self.under_way));
        Begun::Job(self.crew.give(move || {
            let Some(_entered) = Entered::new(&under_way) else {
                return Err(format!("not measured: {HUNG_LIMIT} other mounts hang; bring their server or disk back"));
            };
            measure(&path)
        }))
    }

    async fn wait(&self, place: Place, began: Instant, deadline: Duration, mut job: Job<Answer>) -> Measured {
        let left = deadline.saturating_sub(began.elapsed());
        match tokio::time::timeout(left, job.answer()).await {
            Ok(Ok(Ok(space))) => Measured::Space(space),
            Ok(Ok(Err(why)) | Err(why)) => Measured::Failed(why),
            Err(_) => {
                self.hung.lock().unwrap_or_else(PoisonError::into_inner).insert(place, (began, job));
                Measured::Stuck(stuck_for(began.elapsed()))
            }
        }
    }
}

enum Begun {
    Known(Measured),
    Job(Job<Answer>),
}

/// Counts a probe that is under way, until it is dropped.
struct Entered<'a>(&'a AtomicUsize);

impl<'a> Entered<'a> {
    fn new(under_way: &'a AtomicUsize) -> Option<Self> {
        let entered = Self(under_way);
        (under_way.fetch_add(1, Ordering::Relaxed) < HUNG_LIMIT).then_some(entered)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn stuck_for(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("statvfs has not come back for {seconds} s; bring its server or disk back, or unmount it with umount -f -l")
}

fn space_of(path: &Path) -> Answer {
    let stat = statvfs(path).map_err(|errno| match errno {
        Errno::EACCES => format!(
            "statvfs: {}; the agent's user may not go there: list the mount point in [filesystems] ignore",
            errno.desc()
        ),
        errno => format!("statvfs: {}", errno.desc()),
    })?;
    let unit = stat.fragment_size();
    Ok(Space {
        size_bytes: stat.blocks().saturating_mul(unit),
        free_bytes: stat.blocks_free().saturating_mul(unit),
        available_bytes: stat.blocks_available().saturating_mul(unit),
        inodes: stat.files(),
        inodes_free: stat.files_free(),
    })
}
