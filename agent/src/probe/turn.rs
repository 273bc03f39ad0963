//! One collector's turns: when the next is due, whether the last one came back, and the last good value with its age.
//!
//! It must never start a turn while an earlier one has not come back, and never show an old value as a current one.

use std::time::{Duration, Instant};

use hardstand_core::{Reading, Sample};
use tokio::task::{JoinError, JoinHandle};

use crate::crew::{Timed, said};
use crate::host::HostError;
use crate::host::clock::boottime;

/// After how long a slow collector that failed is tried again: whatever was missing may have come meanwhile.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// One collector.
pub(crate) struct Turn<T> {
    /// What the turn under way may take before it counts as hung.
    deadline: Duration,
    flight: Option<Flight<T>>,
    started: Option<Instant>,
    /// The next turn is due whatever the interval.
    hastened: bool,
    /// Why the last turn that came back gave no value; `None` when it did. Before the first: that there was none.
    why: Option<String>,
    good: Option<Good<T>>,
    took: Duration,
    /// Some turn has come back.
    has_landed: bool,
}

/// A turn under way.
struct Flight<T> {
    task: JoinHandle<Landed<T>>,
    /// A pass has waited for it up to its deadline; no other will.
    waited_out: bool,
}

/// A turn that came back.
struct Landed<T> {
    result: Result<T, HostError>,
    took: Duration,
    /// CLOCK_BOOTTIME when it came back.
    at: Duration,
}

struct Good<T> {
    value: T,
    /// CLOCK_BOOTTIME when it was read.
    at: Duration,
}

impl<T> Default for Turn<T> {
    /// A collector that has not run yet.
    fn default() -> Self {
        let why = Some("not read yet".to_owned());
        Self {
            deadline: Duration::ZERO,
            flight: None,
            started: None,
            hastened: false,
            why,
            good: None,
            took: Duration::ZERO,
            has_landed: false,
        }
    }
}

impl<T: Clone + Send + 'static> Turn<T> {
    /// Makes the next turn due now.
    pub(crate) fn hasten(&mut self) {
        self.hastened = true;
    }

    /// Why there is nothing to start with yet. A turn that has run knows better.
    pub(crate) fn cannot_start(&mut self, why: &str) {
        if self.started.is_none() {
            self.why = Some(why.to_owned());
        }
    }

    /// Starts a turn if the last one began `every` ago (sooner when it failed) and none is under way. It counts as hung
    /// after `deadline`. Says whether it did.
    pub(crate) fn start<F>(&mut self, every: Duration, deadline: Duration, make: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = Result<T, HostError>> + Send + 'static,
    {
        self.begin(every, deadline, |started| {
            let work = make();
            async move {
                let result = work.await;
                Landed { result, took: started.elapsed(), at: boottime() }
            }
        })
    }

    /// As [`Turn::start`], for a job of the crew: it knows its own time, whatever ran before it and whenever its answer
    /// is fetched.
    pub(crate) fn start_job<F>(&mut self, every: Duration, deadline: Duration, make: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = Timed<Result<T, HostError>>> + Send + 'static,
    {
        self.begin(every, deadline, |_started| {
            let work = make();
            async move {
                let Timed { result, took, at } = work.await;
                Landed { result: result.map_err(HostError::Broken).flatten(), took, at }
            }
        })
    }

    fn begin<F>(&mut self, every: Duration, deadline: Duration, make: impl FnOnce(Instant) -> F) -> bool
    where
        F: Future<Output = Landed<T>> + Send + 'static,
    {
        let every = if self.why.is_some() { every.min(RETRY_AFTER) } else { every };
        let waits = !self.hastened && self.started.is_some_and(|started| started.elapsed() < every);
        if waits || self.flight.is_some() {
            return false;
        }
        self.hastened = false;
        self.deadline = deadline;
        let started = Instant::now();
        let task = tokio::spawn(make(started));
        self.started = Some(started);
        self.flight = Some(Flight { task, waited_out: false });
        true
    }

    /// Waits for the turn under way, once, up to its deadline. A turn that was waited out before is only looked at.
    pub(crate) async fn settle(&mut self) {
        let since = self.started.map_or(Duration::ZERO, |started| started.elapsed());
        self.wait(self.deadline.saturating_sub(since)).await;
    }

    /// Like [`Turn::settle`] for the first turn; afterwards it only looks, for a slow collector whose last value stays
    /// good between its turns.
    pub(crate) async fn settle_in_background(&mut self) {
        if self.has_landed { self.look().await } else { self.settle().await }
    }

    /// Takes in a turn that came back, without waiting for one.
    pub(crate) async fn look(&mut self) {
        self.wait(Duration::ZERO).await;
    }

    async fn wait(&mut self, limit: Duration) {
        let Some(flight) = &mut self.flight else { return };
        let limit = if flight.waited_out { Duration::ZERO } else { limit };
        // On a passed limit only the waiting ends; the task goes on.
        match tokio::time::timeout(limit, &mut flight.task).await {
            Ok(landed) => {
                self.flight = None;
                self.land(landed);
            }
            Err(_) => flight.waited_out = true,
        }
    }

    /// Takes in a turn that came back.
    fn land(&mut self, landed: Result<Landed<T>, JoinError>) {
        self.has_landed = true;
        match landed {
            Ok(Landed { result: Ok(value), took, at }) => {
                (self.why, self.took, self.good) = (None, took, Some(Good { value, at }));
            }
            Ok(Landed { result: Err(error), took, .. }) => (self.why, self.took) = (Some(error.to_string()), took),
            Err(ended) => {
                self.took = self.started.map_or(Duration::ZERO, |started| started.elapsed());
                self.why = Some(match ended.try_into_panic() {
                    Ok(panic) => said(panic.as_ref()),
                    Err(_) => "its turn was ended before it came back".to_owned(),
                });
            }
        }
    }

    /// The last good value, whatever its age. For finding out what to ask next, never for judging.
    pub(crate) fn last_good(&self) -> Option<&T> {
        self.good.as_ref().map(|good| &good.value)
    }

    /// What this collector has to say now.
    pub(crate) fn sample(&self) -> Sample<T> {
        let duration_seconds = self.took.as_secs_f64();
        let age_seconds = self.good.as_ref().map_or(0.0, |good| boottime().saturating_sub(good.at).as_secs_f64());
        let value = self.last_good().cloned();
        match (self.overdue().or_else(|| self.why.clone()), value) {
            (None, Some(value)) => Sample { reading: Reading::Known(value), kept: None, age_seconds, duration_seconds },
            (Some(why), kept) => Sample { reading: Reading::unknown(why), kept, age_seconds, duration_seconds },
            (None, None) => Sample::never("there is neither a value nor a reason; this is a bug, report it"),
        }
    }

    /// Why the turn under way counts as hung, if it does.
    fn overdue(&self) -> Option<String> {
        self.flight.as_ref()?;
        let since = self.started?.elapsed();
        (since >= self.deadline).then(|| {
            let (since, deadline) = (since.as_secs(), self.deadline.as_secs_f64());
            format!("has not come back for {since} s; deadline {deadline} s; it is not started again until it does")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crew::Crew;
    use crate::hang::{Door, LIMIT, run};

    /// A deadline short enough to be waited out in a test.
    const SHORT: Duration = Duration::from_millis(60);

    /// Starts a turn that runs `work` on the crew, with a short deadline.
    fn start<T: Clone + Send + 'static>(turn: &mut Turn<T>, crew: &Crew, work: impl FnOnce() -> T + Send + 'static) {
        turn.start(Duration::ZERO, SHORT, || {
            let mut job = crew.give(work);
            async move { job.answer().await.map_err(HostError::Broken) }
        });
    }

    #[test]
    fn a_hung_turn_delays_one_pass_up_to_its_deadline_and_no_other() {
        run(async {
            let (crew, door) = (Crew::new(), Door::default());
            let (mut hung, mut sound) = (Turn::default(), Turn::default());
            hung.start(Duration::ZERO, LIMIT, || async { Ok(1) });
            hung.settle().await;
            assert_eq!(hung.sample().reading, Reading::Known(1));

            let (behind, began) = (door.clone(), Instant::now());
            start(&mut hung, &crew, move || {
                behind.wait();
                2
            });
            let mut job = crew.give(|| 10);
            sound.start(Duration::ZERO, LIMIT, || async move { job.answer().await.map_err(HostError::Broken) });
            sound.settle().await;
            assert_eq!(sound.sample().reading, Reading::Known(10));
            hung.settle().await;
            assert!(began.elapsed() >= SHORT, "the first pass waits for it up to its deadline");
            let sample = hung.sample();
            let why = sample.reading.why().unwrap();
            assert!(why.starts_with("has not come back for "), "{why}");
            assert!(why.ends_with(" s; deadline 0.06 s; it is not started again until it does"), "{why}");
            assert_eq!(sample.kept, Some(1));
            assert!(sample.age_seconds >= SHORT.as_secs_f64(), "the kept value grows old: {}", sample.age_seconds);

            // The second pass: it is not started again (that would answer 3), and not waited for (it would never end).
            hung.deadline = LIMIT * 100;
            start(&mut hung, &crew, || 3);
            hung.settle().await;
            assert!(hung.flight.is_some());

            door.open();
            while hung.flight.is_some() {
                hung.settle().await;
                tokio::task::yield_now().await;
            }
            let sample = hung.sample();
            assert_eq!((sample.reading, sample.kept), (Reading::Known(2), None));
            hung.start(Duration::ZERO, LIMIT, || async { Ok(4) });
            hung.settle().await;
            assert_eq!(hung.sample().reading, Reading::Known(4), "once back, it runs as before");
        });
    }

    #[test]
    fn a_failing_turn_is_unknown_with_its_reason_and_keeps_the_last_value() {
        run(async {
            let mut turn = Turn::default();
            assert_eq!(turn.sample().reading.why(), Some("not read yet"));
            turn.start(Duration::ZERO, LIMIT, || async { Ok(5) });
            turn.settle().await;
            let why = "parsing /proc/stat: line 1: no cpu";
            turn.start(Duration::ZERO, LIMIT, || async {
                Err(HostError::Parse { what: "/proc/stat".to_owned(), why: "line 1: no cpu".to_owned() })
            });
            turn.settle().await;
            assert_eq!((turn.sample().reading, turn.sample().kept), (Reading::unknown(why), Some(5)));
        });
    }

    #[test]
    fn a_panic_on_a_thread_or_in_a_task_is_unknown() {
        run(async {
            let (crew, mut turn) = (Crew::new(), Turn::<u8>::default());
            let mut job = crew.give(|| panic!("bad index"));
            turn.start(Duration::ZERO, LIMIT, || async move { job.answer().await.map_err(HostError::Broken) });
            turn.settle().await;
            let why = "it panicked: bad index; this is a bug, report it";
            assert_eq!(turn.sample().reading, Reading::unknown(why));
            turn.start(Duration::ZERO, LIMIT, || async { panic!("bad {}", "task") });
            turn.settle().await;
            let why = "it panicked: bad task; this is a bug, report it";
            assert_eq!(turn.sample().reading, Reading::unknown(why));
        });
    }

    #[test]
    fn a_slow_collector_runs_at_its_own_times_and_its_value_stays_good_between_them() {
        run(async {
            let mut turn = Turn::default();
            turn.start(LIMIT, LIMIT, || async { Ok(1) });
            turn.settle_in_background().await;
            assert_eq!(turn.sample().reading, Reading::Known(1), "the first time it is waited for");
            turn.start(LIMIT, LIMIT, || async { Ok(2) });
            turn.settle_in_background().await;
            assert_eq!(turn.sample().reading, Reading::Known(1), "not due");
            turn.hasten();
            let (send, receive) = tokio::sync::oneshot::channel::<u8>();
            turn.start(LIMIT, LIMIT, || async { Ok(receive.await.unwrap()) });
            turn.settle_in_background().await;
            assert_eq!(turn.sample().reading, Reading::Known(1), "under way and not overdue");
            send.send(3).unwrap();
            while turn.flight.is_some() {
                turn.settle_in_background().await;
                tokio::task::yield_now().await;
            }
            assert_eq!(turn.sample().reading, Reading::Known(3));
        });
    }

    #[test]
    fn a_slow_collector_that_failed_is_not_waited_for_again() {
        run(async {
            let mut turn = Turn::<u8>::default();
            turn.start(LIMIT, LIMIT, || async { Err(HostError::Helper { why: "not there".to_owned() }) });
            turn.settle_in_background().await;
            turn.hasten();
            assert!(turn.start(LIMIT, LIMIT * 100, std::future::pending));
            turn.settle_in_background().await;
            assert_eq!(turn.sample().reading, Reading::unknown("asking the helper: not there"));
        });
    }
}
