//! Turns of things that are declared any number of times: each has its own, so that one that hangs is stale alone.
//!
//! It must never drop the turn of one that stayed as it was.

use std::time::Duration;

use hardstand_core::Sample;

use super::turn::Turn;
use crate::host::HostError;

/// What a pass may come early: an interval that is a multiple of the passes' is kept, not missed by a hair.
const EARLY: Duration = Duration::from_millis(500);

/// All of one kind.
pub(crate) struct Each<S, T> {
    rows: Vec<(S, Turn<T>)>,
}

impl<S, T> Default for Each<S, T> {
    fn default() -> Self {
        Self { rows: Vec::new() }
    }
}

impl<S: Clone + PartialEq, T: Clone + Send + 'static> Each<S, T> {
    /// Starts those that are due: how often each is, and what it may take, says `times`.
    pub(crate) async fn start<F>(
        &mut self,
        declared: &[S],
        times: impl Fn(&S) -> (Duration, Duration),
        ask: impl Fn(&S) -> F,
    ) where
        F: Future<Output = Result<T, HostError>> + Send + 'static,
    {
        let mut before = std::mem::take(&mut self.rows);
        for one in declared {
            let known = before.iter().position(|(known, _)| known == one);
            let turn = known.map_or_else(Turn::default, |place| before.swap_remove(place).1);
            self.rows.push((one.clone(), turn));
        }
        for (one, turn) in &mut self.rows {
            // One that came back since the last pass is taken in, so that the next may start.
            turn.look().await;
            let (every, deadline) = times(one);
            turn.start(every.saturating_sub(EARLY), deadline, || ask(one));
        }
    }

    /// Waits for the first turn of each; they run side by side.
    pub(crate) async fn settle(&mut self) {
        for (_, turn) in &mut self.rows {
            turn.settle_in_background().await;
        }
    }

    /// What each has to say, by its name.
    pub(crate) fn sample(&self, name: impl Fn(&S) -> &String) -> Sample<Vec<(String, Sample<T>)>> {
        let rows: Vec<_> = self.rows.iter().map(|(one, turn)| (name(one).clone(), turn.sample())).collect();
        let longest = rows.iter().map(|(_, sample)| sample.duration_seconds).fold(0.0, f64::max);
        Sample::fresh(rows, longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hang::{LIMIT, run};

    #[test]
    fn one_that_hangs_is_stale_alone_and_one_that_stays_keeps_its_turn() {
        run(async {
            let mut each: Each<String, usize> = Each::default();
            let times = |_: &String| (LIMIT, Duration::from_millis(60));
            let ask = |one: &String| {
                let length = one.len();
                async move { if length == 4 { std::future::pending().await } else { Ok(length) } }
            };
            let both = ["a".to_owned(), "hang".to_owned()];
            each.start(&both, times, ask).await;
            each.settle().await;
            let seen = each.sample(|one| one).reading.known().unwrap().clone();
            assert_eq!((seen[0].0.as_str(), seen[0].1.reading.known()), ("a", Some(&1)));
            assert!(seen[1].1.reading.why().unwrap().starts_with("has not come back"), "{seen:?}");
            // Another one comes, and the first is not due: it would be asked for another length.
            each.start(&["bb".to_owned(), "a".to_owned()], times, |one| {
                let length = one.len() + 10;
                async move { Ok(length) }
            })
            .await;
            each.settle().await;
            let seen = each.sample(|one| one).reading.known().unwrap().clone();
            let told: Vec<_> =
                seen.iter().map(|(name, sample)| (name.as_str(), sample.reading.known().copied())).collect();
            assert_eq!(told, [("bb", Some(12)), ("a", Some(1))]);
        });
    }
}
