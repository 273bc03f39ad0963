//! Runs jobs that may hang. One thread works them off in order; a job that takes long keeps that thread for itself
//! and another thread goes on with the rest. So a quiet host needs one thread, and a hung file costs only its own.
//! Answers are handed over together when the queue is empty, so that a pass costs a few thread switches and not two
//! for each job; those done before a job that hangs are fetched by whoever waits.
//!
//! It must never wait for a job to end, and never start a job twice: who gave the job decides how long to wait.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use crate::host::clock::boottime;

/// How long a job may keep the thread before another one goes on with the rest. A whole healthy pass takes a few
/// milliseconds; a busy disk may take a hundred.
const PATIENCE: Duration = Duration::from_millis(50);
/// Stack of a working thread in bytes. The deepest collector uses about 40 kB; the rest is never touched.
const STACK_BYTES: usize = 256 << 10;
/// Most threads that may hang at once. Above it nothing new is started: the kernel does not answer at all then.
const HUNG_LIMIT: usize = 48;

/// Does a job, and gives what hands its answer over.
type Work = Box<dyn FnOnce() -> HandOver + Send>;
type HandOver = Box<dyn FnOnce() + Send>;

/// The threads. Dropping it ends the idle one; a hung one ends when its job comes back.
pub(crate) struct Crew {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Wakes one of those who wait for an answer; it hands over all that are there.
    finished: Notify,
}

struct State {
    queue: VecDeque<Work>,
    /// Answers that nobody has fetched yet.
    done: Vec<HandOver>,
    /// The thread that takes jobs sleeps until there is one.
    idle: bool,
    /// The thread that takes jobs. Others have been left alone with theirs.
    worker: u64,
    /// When the thread that takes jobs began its present one.
    busy_since: Option<Instant>,
    /// Threads left alone with a job that takes long.
    hung: usize,
    closed: bool,
}

/// A job under way.
pub(crate) struct Job<T> {
    shared: Arc<Shared>,
    answer: oneshot::Receiver<Timed<T>>,
}

/// An answer, with the time the job itself took. The error is what a panic said.
pub(crate) struct Timed<T> {
    pub(crate) result: Result<T, String>,
    /// What the job took on its thread, without waiting for it.
    pub(crate) took: Duration,
    /// CLOCK_BOOTTIME when it ended.
    pub(crate) at: Duration,
}

impl Crew {
    /// A crew with its first thread waiting for work.
    pub(crate) fn new() -> Self {
        let state = State {
            queue: VecDeque::new(),
            done: Vec::new(),
            idle: false,
            worker: 0,
            busy_since: None,
            hung: 0,
            closed: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), finished: Notify::new() });
        start_worker(&shared, 0);
        Self { shared }
    }

    /// Puts a job in the queue. A job nobody waits for any more when its turn comes is left out.
    pub(crate) fn give<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        let (send, answer) = oneshot::channel();
        let job = move || -> HandOver {
            if send.is_closed() {
                return Box::new(|| {});
            }
            let began = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| said(panic.as_ref()));
            let timed = Timed { result, took: began.elapsed(), at: boottime() };
            Box::new(move || drop(send.send(timed)))
        };
        let mut state = self.shared.lock();
        state.queue.push_back(Box::new(job));
        if std::mem::take(&mut state.idle) {
            drop(state);
            self.shared.changed.notify_all();
        }
        Job { shared: Arc::clone(&self.shared), answer }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl<T> Job<T> {
    /// Waits for the job, as long as it takes; the caller sets the limit. The error is what a panic said.
    pub(crate) async fn answer(&mut self) -> Result<T, String> {
        self.timed().await.result
    }

    /// As [`Job::answer`], with the time it took.
    pub(crate) async fn timed(&mut self) -> Timed<T> {
        loop {
            self.shared.hand_over();
            tokio::select! {
                biased;
                answer = &mut self.answer => return answer.unwrap_or_else(|_closed| Timed {
                    result: Err("its thread ended without an answer; this is a bug, report it".to_owned()),
                    took: Duration::ZERO,
                    at: boottime(),
                }),
                () = self.shared.finished.notified() => {}
                () = tokio::time::sleep(PATIENCE) => relieve(&self.shared),
            }
        }
    }

    /// Whether the job has come back. Takes the answer away.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.shared.hand_over();
        !matches!(self.answer.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Jobs run outside the lock, so nothing that panics holds it; the state is whole even if it were poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over the answers that are there.
    fn hand_over(&self) {
        let done = std::mem::take(&mut self.lock().done);
        for hand_over in done {
            hand_over();
        }
    }
}

/// Leaves the working thread alone with its job when it has taken too long, and starts another for the rest.
fn relieve(shared: &Arc<Shared>) {
    let mut state = shared.lock();
    let late = state.busy_since.is_some_and(|since| since.elapsed() >= PATIENCE);
    if !late || state.queue.is_empty() || state.hung >= HUNG_LIMIT {
        return;
    }
    state.worker += 1;
    state.hung += 1;
    state.busy_since = None;
    let worker = state.worker;
    drop(state);
    start_worker(shared, worker);
}

fn start_worker(shared: &Arc<Shared>, worker: u64) {
    let own = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("collector".to_owned()).stack_size(STACK_BYTES);
    if thread.spawn(move || work_off(&own, worker)).is_err() {
        // No thread to be had: the jobs wait, pass their deadlines and are reported so; the next wait tries again.
        let mut state = shared.lock();
        state.hung = state.hung.saturating_sub(1);
        state.busy_since = Some(Instant::now());
    }
}

fn work_off(shared: &Shared, worker: u64) {
    let mut state = shared.lock();
    loop {
        if state.worker != worker {
            state.hung = state.hung.saturating_sub(1);
            return;
        }
        if let Some(work) = state.queue.pop_front() {
            state.busy_since = Some(Instant::now());
            drop(state);
            let hand_over = work();
            state = shared.lock();
            state.done.push(hand_over);
            if state.worker == worker {
                state.busy_since = None;
            }
            // One wakes the others. Left alone, this thread does not know when the queue will be empty.
            if state.queue.is_empty() || state.worker != worker {
                shared.finished.notify_one();
            }
        } else if state.closed {
            return;
        } else {
            state.idle = true;
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no words".to_owned());
    format!("it panicked: {text}; this is a bug, report it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hang::{Door, run};

    #[test]
    fn hung_jobs_keep_only_their_own_threads() {
        run(async {
            let (crew, door) = (Crew::new(), Door::default());
            let mut hung: Vec<Job<()>> = (0..3)
                .map(|_| {
                    let door = door.clone();
                    crew.give(move || door.wait())
                })
                .collect();
            let mut last = crew.give(|| 7);
            assert_eq!(last.answer().await, Ok(7));
            assert!(hung.iter_mut().all(|job| !job.has_ended()));
            assert_eq!(crew.shared.lock().hung, 3);
            door.open();
            for mut job in hung {
                assert_eq!(job.answer().await, Ok(()));
            }
            while crew.shared.lock().hung != 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(crew.give(|| 8).answer().await, Ok(8));
        });
    }

    #[test]
    fn what_was_done_before_a_hung_job_and_after_it_is_handed_over() {
        run(async {
            let (crew, door) = (Crew::new(), Door::default());
            let mut first = crew.give(|| 1);
            let behind = door.clone();
            let mut hung = crew.give(move || behind.wait());
            let mut last = crew.give(|| 3);
            assert_eq!((first.answer().await, last.answer().await), (Ok(1), Ok(3)));
            assert!(!hung.has_ended());
            door.open();
            assert_eq!(hung.answer().await, Ok(()));
        });
    }

    #[test]
    fn a_job_tells_its_own_time_and_not_that_of_others() {
        run(async {
            let (crew, door) = (Crew::new(), Door::default());
            let behind = door.clone();
            let mut slow = crew.give(move || behind.wait());
            let mut quick = crew.give(|| ());
            let began = Instant::now();
            tokio::time::sleep(PATIENCE / 2).await;
            door.open();
            let (slow, quick) = (slow.timed().await, quick.timed().await);
            assert!(slow.took >= PATIENCE / 4 && quick.took < slow.took, "{:?} {:?}", slow.took, quick.took);
            assert!(slow.took <= began.elapsed() + PATIENCE && quick.at >= slow.at);
        });
    }

    #[test]
    fn a_panic_is_an_answer_and_the_thread_goes_on() {
        run(async {
            let crew = Crew::new();
            let mut job = crew.give(|| -> u8 { panic!("index {} out of range", 9) });
            let why = "it panicked: index 9 out of range; this is a bug, report it";
            assert_eq!(job.answer().await, Err(why.to_owned()));
            assert_eq!(crew.give(|| 1).answer().await, Ok(1));
            assert_eq!(crew.shared.lock().worker, 0, "no second thread was needed");
        });
    }

    #[test]
    fn a_job_nobody_waits_for_is_left_out() {
        run(async {
            let (crew, door) = (Crew::new(), Door::default());
            let behind = door.clone();
            let mut first = crew.give(move || behind.wait());
            let ran = Arc::new(Mutex::new(false));
            let mark = Arc::clone(&ran);
            drop(crew.give(move || *mark.lock().unwrap() = true));
            door.open();
            first.answer().await.unwrap();
            crew.give(|| ()).answer().await.unwrap();
            assert!(!*ran.lock().unwrap());
        });
    }
}
