//! Asks the fleet's web service ten times a second, from outside, at the address that moves.
//!
//! Each question is a connection of its own with its own limit, so that one that hangs does not delay the next. It
//! must never ask twice in place of one that failed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::SERVICE;

/// Ten times a second.
const EVERY: Duration = Duration::from_millis(100);
/// An emulated guest that shares a processor with two others answers within half a second; a user waits two.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// A question that got no good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// When it was asked, since the prober's start.
    pub at: Duration,
    /// What came instead of an answer.
    pub why: String,
}

/// What the prober has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Availability {
    /// Questions that are answered or have failed.
    pub asked: usize,
    /// Those that failed, in the order they were asked.
    pub failures: Vec<Failure>,
    /// The longest time between two answered questions, by when they were asked. An undisturbed run shows 0.1 s and
    /// what the host was late.
    pub longest_gap: Duration,
    /// How many answers each node gave, by its name.
    pub answers: BTreeMap<String, usize>,
}

impl Availability {
    /// Answered questions of all, in percent; 0 before the first.
    pub(crate) fn percent(&self) -> f64 {
        let answered = self.asked - self.failures.len();
        if self.asked == 0 { 0.0 } else { answered as f64 * 100.0 / self.asked as f64 }
    }
}

impl fmt::Display for Availability {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, gap) = (self.failures.len(), self.longest_gap.as_secs_f64());
        write!(out, "{:.2} % ({failed} of {} probes failed, longest gap {gap:.1} s", self.percent(), self.asked)?;
        for (node, answers) in &self.answers {
            write!(out, ", {answers} by {node}")?;
        }
        if let Some(first) = self.failures.first() {
            write!(out, "; first at {:.1} s: {}", first.at.as_secs_f64(), first.why)?;
        }
        write!(out, ")")
    }
}

/// One question: when it was asked, and the node that answered or why none did.
type Outcome = (Duration, Result<String, String>);

/// The prober while it asks.
pub(crate) struct Prober {
    task: JoinHandle<()>,
    seen: Arc<Mutex<Vec<Outcome>>>,
}

impl Prober {
    /// Begins to ask. Must be called inside the lab's network.
    pub(crate) fn start() -> Self {
        Self::asking(SERVICE, 80)
    }

    fn asking(address: Ipv4Addr, port: u16) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(ask_for_ever(address, port, Arc::clone(&seen)));
        Self { task, seen }
    }

    /// What has been seen so far; questions under way are not counted.
    pub(crate) fn so_far(&self) -> Availability {
        let mut outcomes = self.seen.lock().expect("no holder of this lock can panic").clone();
        outcomes.sort_by_key(|(at, _)| *at);
        summed(outcomes)
    }

    /// Ends the asking. Questions under way are dropped, not judged.
    pub(crate) async fn stop(self) -> Availability {
        self.task.abort();
        self.so_far()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn summed(outcomes: Vec<Outcome>) -> Availability {
    let mut all = Availability { asked: outcomes.len(), ..Availability::default() };
    let end = outcomes.last().map_or(Duration::ZERO, |(at, _)| *at);
    let mut answered = Duration::ZERO;
    for (at, outcome) in outcomes {
        match outcome {
            Ok(node) => {
                all.longest_gap = all.longest_gap.max(at.saturating_sub(answered));
                answered = at;
                *all.answers.entry(node).or_default() += 1;
            }
            Err(why) => all.failures.push(Failure { at, why }),
        }
    }
    all.longest_gap = all.longest_gap.max(end.saturating_sub(answered));
    all
}

async fn ask_for_ever(address: Ipv4Addr, port: u16, seen: Arc<Mutex<Vec<Outcome>>>) {
    let start = Instant::now();
    let mut tick = tokio::time::interval(EVERY);
    // A harness that was late must not ask everything it has missed at once.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut questions = JoinSet::new();
    loop {
        tick.tick().await;
        let (at, seen) = (start.elapsed(), Arc::clone(&seen));
        questions.spawn(async move {
            let outcome = match tokio::time::timeout(ANSWER_LIMIT, ask(address, port)).await {
                Ok(answer) => answer.map_err(|error| format!("{error:#}")),
                Err(_) => Err(format!("no answer within {} s", ANSWER_LIMIT.as_secs())),
            };
            seen.lock().expect("no holder of this lock can panic").push((at, outcome));
        });
        while questions.try_join_next().is_some() {}
    }
}

/// The name of the node that answers.
async fn ask(address: Ipv4Addr, port: u16) -> Result<String> {
    let mut stream = TcpStream::connect((address, port)).await.context("connecting")?;
    stream.write_all(b"GET /name HTTP/1.0\r\nHost: service\r\n\r\n").await.context("asking")?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.context("reading the answer")?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") && !body.trim().is_empty() => {
            Ok(body.trim().to_owned())
        }
        _ => bail!("answered {:?}", text.lines().next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn a_gap_reaches_from_answer_to_answer_and_to_the_end() {
        let at = Duration::from_millis;
        let good = |ms| (at(ms), Ok("node1".to_owned()));
        let bad = |ms| (at(ms), Err("refused".to_owned()));
        let all = summed(vec![good(0), good(100), bad(200), bad(300), good(400), bad(500)]);
        assert_eq!((all.asked, all.failures.len(), all.longest_gap), (6, 3, at(300)));
        assert_eq!(all.answers, BTreeMap::from([("node1".to_owned(), 3)]));
        assert_eq!(summed(vec![good(0), bad(100), bad(900)]).longest_gap, at(900));
        assert_eq!(
            all.to_string(),
            "50.00 % (3 of 6 probes failed, longest gap 0.3 s, 3 by node1; first at 0.2 s: refused)"
        );
    }

    #[tokio::test]
    async fn a_service_that_goes_away_is_seen() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 256]).await;
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nnode1\n").await;
            }
        });
        let prober = Prober::asking(Ipv4Addr::LOCALHOST, port);
        let limit = Duration::from_secs(20);
        crate::wait::until("three answers", limit, async || Ok((prober.so_far().asked >= 3).then_some(())))
            .await
            .unwrap();
        assert_eq!(prober.so_far().failures, []);
        server.abort();
        let failed = async || Ok((!prober.so_far().failures.is_empty()).then_some(()));
        crate::wait::until("a failure", limit, failed).await.unwrap();
        let all = prober.stop().await;
        assert!(all.percent() < 100.0 && all.percent() > 0.0, "{all}");
    }
}
